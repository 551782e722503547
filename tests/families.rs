//! What resources have in common: `extends`, and lists and tables as variables.

use crate::support::{Outcome, Reply, Request, Server, TestEnv, pipeline};
use serde_json::json;

/// Answers every request with one record that shows its path and its parameters.
fn echo() -> Server {
    Server::start(|request: &Request| {
        let params: Vec<String> = request.params.iter().map(|(name, value)| format!("{name}={value}")).collect();
        Reply::json(vec![json!({ "path": request.path, "params": params.join("&"), "name": "a", "id": 7 })])
    })
}

/// What was asked for, sorted.
fn asked(server: &Server) -> Vec<String> {
    let line = |r: Request| {
        let params: Vec<String> = r.params.iter().map(|(name, value)| format!("{name}={value}")).collect();
        format!("{}?{}", r.path, params.join("&"))
    };
    let mut asked: Vec<String> = server.requests().into_iter().map(line).collect();
    asked.sort();
    asked
}

fn load(server: &Server, resources: &str, args: &[&str]) -> (TestEnv, Outcome) {
    let env = TestEnv::new();
    env.pipeline(&pipeline(server, resources));
    let outcome = env.run(&[&["run", "api", "--output", "json"], args].concat());
    (env, outcome)
}

#[test]
fn a_resource_inherits_from_those_that_it_extends_before_the_defaults() {
    let server = echo();
    let resources = "[resource_defaults]\npaginator = \"single_page\"\nparams = { a = 0, b = 0, c = 0, d = 0 }\nselected = true\n\
        [resources.report]\nselected = false\npath = \"reports\"\nprimary_key = \"path\"\nparams = { b = 1, c = 1, e = 1 }\n\
        [resources.by_day]\nextends = \"report\"\nparams = { c = 2 }\nadd_columns = { kind = \"day\" }\n\
        [resources.by_page]\nextends = \"by_day\"\npath = \"pages\"\nparams = { d = 3, e = false }\n";
    let (env, outcome) = load(&server, resources, &[]);
    outcome.expect_code(0);
    assert_eq!(asked(&server), ["/pages?a=0&b=1&c=2&d=3", "/reports?a=0&b=1&c=2&d=0&e=1"]);
    let kinds = env.warehouse().query("SELECT kind FROM api.by_day UNION ALL SELECT kind FROM api.by_page");
    assert_eq!(kinds, [["day"], ["day"]], "keys of the base's base are inherited too");
    let tables = "SELECT count(*) FROM information_schema.tables WHERE table_name = 'report'";
    assert_eq!(env.warehouse().value(tables), "0", "what is only extended is not loaded");
}

#[test]
fn a_parent_and_its_children_can_be_inherited() {
    let server = Server::start(|request: &Request| match request.path.as_str() {
        "/teams" => Reply::json(vec![json!({ "id": 1 }), json!({ "id": 2 })]),
        path => Reply::json(vec![json!({ "path": path })]),
    });
    let resources = "[resource_defaults]\npaginator = \"single_page\"\n[resources.teams]\nprimary_key = \"id\"\n\
        [resources.of_team]\nselected = false\nparent = \"teams\"\ninclude_from_parent = [\"id\"]\n\
        path = \"teams/{{ parent.id }}/x\"\n\
        [resources.users]\nextends = \"of_team\"\npath = \"teams/{{ parent.id }}/users\"\n\
        [resources.posts]\nextends = \"of_team\"\nparent = \"users\"\ninclude_from_parent = []\npath = \"posts/{{ parent.parent.id }}\"\n";
    let (env, outcome) = load(&server, resources, &[]);
    outcome.expect_code(0);
    let found = env.warehouse().query("SELECT teams_id, path FROM api.users ORDER BY 1");
    assert_eq!(found, [["1", "/teams/1/users"], ["2", "/teams/2/users"]]);
    assert_eq!(env.warehouse().query("SELECT path FROM api.posts ORDER BY 1"), [["/posts/1"], ["/posts/2"]]);
}

#[test]
fn bases_that_are_not_there_and_circles_are_mistakes_with_their_places() {
    let server = echo();
    for (resources, says) in [
        (
            "[resources.a]\n[resources.b]\nextends = \"aa\"\n",
            &["there is no resource `aa` to extend", "did you mean `a`?"][..],
        ),
        ("[resources.a]\nextends = \"a\"\n", &["`a` extends itself"]),
        (
            "[resources.a]\nextends = \"b\"\n[resources.b]\nextends = \"c\"\n[resources.c]\nextends = \"a\"\n\
             [resources.d]\nextends = \"a\"\n",
            &[
                "circle: a → b → c → a",
                "circle: b → c → a → b",
                "circle: c → a → b → c",
                "api.toml:8:11",
                "api.toml:10:11",
            ],
        ),
        ("[resource_defaults]\nextends = \"a\"\n[resources.a]\n", &["unknown key `extends`"]),
    ] {
        let (_env, outcome) = load(&server, resources, &[]);
        outcome.expect_code(2).expect_stderr(says);
    }
    assert!(server.requests().is_empty());
}

const LISTS: &str = "[vars]\nsites = [\"a\", \"b/c\"]\nids = [7, 8]\nteam = { name = \"x y\", region = \"eu\" }\n\
    [resource_defaults]\npaginator = \"single_page\"\n\
    [resources.sites]\npath = \"s/{{ partition.value }}\"\npartitions = { values = \"{{ vars.sites }}\" }\n\
    filter = \"{{ record.id in vars.ids }}\"\n\
    [resources.all]\nparams = { site = \"{{ vars.sites }}\", ids = \"{{ vars.ids | join(',') }}\", \
    first = \"{{ vars.sites[0] }}\", team = \"{{ vars.team.name }}\", region = \"{{ vars.team['region'] | upper }}\" }\n\
    json = { ids = \"{{ vars.ids }}\", team = \"{{ vars.team }}\" }\nmethod = \"POST\"\n";

#[test]
fn lists_and_tables_are_values_of_expressions() {
    let server = echo();
    let (env, outcome) = load(&server, LISTS, &[]);
    outcome.expect_code(0);
    assert_eq!(asked(&server), ["/all?site=a&site=b/c&ids=7,8&first=a&team=x y&region=EU", "/s/a?", "/s/b%2Fc?"]);
    let body = server.requests().into_iter().find(|r| r.path == "/all").expect("a request").body;
    let body: serde_json::Value = serde_json::from_str(&body).expect("JSON");
    assert_eq!(body, json!({ "ids": [7, 8], "team": { "name": "x y", "region": "eu" } }));
    assert_eq!(env.warehouse().count("api.sites"), 2, "7 is in the list as a number");
}

#[test]
fn the_command_line_gives_lists_as_json_or_with_commas() {
    for (given, paths) in
        [("sites=c, d", &["/s/c?", "/s/d?"][..]), ("sites=[\"c,d\"]", &["/s/c%2Cd?"]), ("sites=", &[])]
    {
        let server = echo();
        let args = ["--var", given, "--var", "ids=9,10", "--resource", "sites"];
        let (env, outcome) = load(&server, LISTS, &args);
        let outcome = outcome.expect_code(0);
        assert_eq!(asked(&server), paths, "{given}");
        let filtered = outcome.resource("sites")["discarded"]["filtered"].as_u64().unwrap_or(0);
        assert_eq!(filtered, paths.len() as u64, "7 is not one of the given numbers");
        drop(env);
    }
    let server = echo();
    for (given, says) in [
        ("sites=[c", "`--var sites=…` is not a JSON array"),
        ("ids=x", "`--var ids=…` has an element that is no number"),
        ("team=x", "`--var team=…` is not a JSON object"),
        ("team={\"name\":\"z\"}", "unknown variable `vars.team.region`"),
    ] {
        let (_env, outcome) = load(&server, LISTS, &["--var", given]);
        outcome.expect_code(2).expect_stderr(&[says]);
    }
    let plain =
        "[vars]\nteam = \"x\"\n[resources.all]\npaginator = \"single_page\"\nparams = { team = \"{{ vars.team }}\" }\n";
    let (_env, outcome) = load(&server, plain, &["--var", "team=[\"a\", \"b\"]"]);
    outcome.expect_code(0);
    assert_eq!(asked(&server), ["/all?team=[\"a\", \"b\"]"], "what is no list in the file stays text");
}

#[test]
fn lists_of_partitions_have_to_be_lists_that_are_known() {
    let server = echo();
    let resource = |vars: &str, values: &str| {
        format!(
            "[vars]\n{vars}\n[resources.x]\npath = \"s/{{{{ partition.value }}}}\"\npartitions = {{ values = \"{values}\" }}\n"
        )
    };
    for (vars, values, says) in [
        ("s = \"a\"", "{{ vars.s }}", "`values` gives no list"),
        ("s = [[1]]", "{{ vars.s }}", "nested deeper"),
        ("s = [\"\"]", "{{ vars.s }}", "this row has no `value`"),
        ("s = [\"a\"]", "x {{ vars.s }}", "exactly one expression"),
        ("s = [\"a\"]", "{{ vars.t }}", "unknown variable `vars.t`"),
        ("s = [\"{{ run.started_at }}\"]", "{{ vars.s }}", "no value before the run"),
        ("s = [\"a\"]", "{{ vars.s if run.started_at else [] }}", "`run.started_at` has no value in `values`"),
        ("s = [\"${HOME_TOKEN}\"]", "{{ vars.s }}", "`vars.s` is a secret"),
    ] {
        let mut env = TestEnv::new();
        env.set("HOME_TOKEN", "hidden-token-abcdef");
        env.pipeline(&pipeline(&server, &resource(vars, values)));
        let outcome = env.load().expect_code(2).expect_stderr(&[says]);
        assert!(!outcome.stderr.contains("hidden-token-abcdef"), "{values}");
    }
    assert!(server.requests().is_empty());
}
