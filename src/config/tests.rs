use super::*;
use crate::plan::model::*;
use crate::plan::template::Template;
use serde_json::json;

mod paging;

const GOOD: &str = r#"name = "shop"
[vars]
team = "growth"
[client]
base_url = "https://api.example.com/v1"
auth = { type = "bearer", token = "${TOKEN}" }
[resources.videos]
primary_key = "id"
incremental = { cursor_path = "updated_at", start_param = "since" }
[resources.comments]
parent = "videos"
path = "videos/{{ parent.id }}/comments"
params = { team = "{{ vars.team }}" }
"#;

fn env() -> Env {
    Env::from_pairs([("TOKEN", "s3cr3t-t0ken"), ("N", "7"), ("EMPTY", ""), ("HOST", "eu.example.com")])
}

fn load(source: &str) -> Result<Loaded> {
    pipeline(Path::new("p.toml"), source, &[], &env(), Secrets::Required)
}

fn plan(source: &str) -> Pipeline {
    match load(source) {
        Ok(loaded) => loaded.pipeline,
        Err(error) => panic!("{}", error.report()),
    }
}

fn base_of(plan: &Pipeline) -> &str {
    match &plan.client.base_url {
        BaseUrl::Fixed(url) => url.as_str(),
        BaseUrl::Template(template) => template.source(),
    }
}

/// Each error or warning as `line:column sentence | help`.
fn short(rendered: &str) -> Vec<String> {
    let mut all: Vec<String> = Vec::new();
    for line in rendered.lines() {
        if let Some(message) = line.strip_prefix("error: ").or(line.strip_prefix("warning: ")) {
            all.push(message.to_owned());
        } else if let (Some(place), Some(last)) = (line.trim_start().strip_prefix("--> p.toml"), all.last_mut()) {
            *last = format!("{} {last}", place.trim_start_matches(':')).trim().to_owned();
        } else if let (Some(help), Some(last)) = (line.trim_start().strip_prefix("= help: "), all.last_mut()) {
            *last = format!("{last} | {help}");
        }
    }
    all
}

fn mistakes(source: &str) -> Vec<String> {
    match load(source) {
        Ok(_) => Vec::new(),
        Err(error) => {
            assert_eq!(error.kind(), Kind::Config);
            short(&error.report())
        }
    }
}

fn warnings(source: &str) -> Vec<String> {
    match load(source) {
        Ok(loaded) => short(&loaded.warnings.join("\n")),
        Err(error) => panic!("{}", error.report()),
    }
}

/// The good file with one line in place of another.
fn with(line: &str, instead: &str) -> String {
    assert!(GOOD.contains(line), "{line}");
    GOOD.replacen(line, instead, 1)
}

const CLIENT: &str = "[client]\nbase_url = 'http://h/'\n";

/// A file with one resource, `[resources.x]`, on line 3.
fn resource(keys: &str) -> String {
    format!("{CLIENT}[resources.x]\n{keys}\n")
}

/// A file with `[client]` keys from line 3 on.
fn client(keys: &str) -> String {
    format!("{CLIENT}{keys}\n[resources.x]\n")
}

#[test]
fn a_whole_file_becomes_a_plan() {
    let plan = plan(GOOD);
    assert_eq!((plan.name.as_str(), plan.dataset.as_str()), ("shop", "shop"));
    assert_eq!(base_of(&plan), "https://api.example.com/v1/");
    assert_eq!(plan.client.concurrency, 4);
    let videos = plan.resource("videos").unwrap();
    assert_eq!(videos.write, WriteDisposition::Merge);
    assert_eq!(videos.request.path.source(), "videos");
    assert_eq!(videos.request.method, "GET");
    assert_eq!(videos.paginator, Paginator::Auto);
    let Auth::Bearer { token } = &videos.auth else { panic!() };
    assert!(token.secret);
    assert_eq!(token.template.as_literal(), Some("s3cr3t-t0ken"));
    let comments = plan.resource("comments").unwrap();
    assert_eq!(comments.write, WriteDisposition::Append);
    let parent = comments.parent.as_ref().unwrap();
    assert_eq!((parent.names().as_str(), parent.fields.len(), parent.scope), ("`videos`", 1, ParentScope::All));
    assert!(!format!("{plan:?}").contains("s3cr3t"));
}

#[test]
fn a_mistake_shows_file_line_and_column_underlined_with_advice() {
    let report = load(&with("base_url", "base_ulr")).unwrap_err().report();
    let expected = "\
error: `base_url` is missing
 --> p.toml:4:2
  |
4 | [client]
  |  ^^^^^^
  |
  = help: base_url: where relative paths begin; its path is kept

error: unknown key `base_ulr`
 --> p.toml:5:1
  |
5 | base_ulr = \"https://api.example.com/v1\"
  | ^^^^^^^^
  |
  = help: did you mean `base_url`?";
    assert_eq!(report, expected);
}

#[test]
fn typical_mistakes_have_their_place_and_advice() {
    let cases: [(String, &[&str]); 30] = [
        (with("primary_key", "primary_keys"), &["8:1 unknown key `primary_keys` | did you mean `primary_key`?"]),
        (with("\"id\"", "7"), &["8:15 `primary_key` must be text or a list, not a number"]),
        (with("${TOKEN}", "${TOKNE}"), &["6:36 the environment variable `TOKNE` is not set | did you mean `TOKEN`?"]),
        (
            with("\"videos\"\npath", "\"vidoes\"\npath"),
            &["11:10 there is no resource `vidoes` | did you mean `videos`?"],
        ),
        (
            with("{{ parent.id }}", "{{ parnt.id }}"),
            &[
                "11:10 no request of `comments` uses a field of its parent | use one, as in path = \"videos/{{ parent.id }}/comments\"",
                "12:19 unknown name `parnt` | did you mean `parent`?",
            ],
        ),
        (with("vars.team", "vars.taem"), &["13:23 unknown variable `vars.taem` | did you mean `vars.team`?"]),
        (client("rate_limit = '100/minutes'"), &["3:14 `100/minutes` is not a rate limit | did you mean `minute`?"]),
        (
            client("timeout = { read = '60 secs' }"),
            &["3:20 `read` is not a duration | write a number and a unit, such as `500ms`, `90s`, `5m`, `2h` or `7d`"],
        ),
        (
            client("timeout = { read = 60 }"),
            &[
                "3:20 `read` must be a duration such as \"30s\", not a number | write it with its unit, in quotes: \"60s\"",
            ],
        ),
        (resource("paginator = 'ofset'"), &["4:13 `ofset` is not a type of `paginator` | did you mean `offset`?"]),
        (
            resource("write_disposition = 'apend'"),
            &["4:21 `apend` is not a value of `write_disposition` | did you mean `append`?"],
        ),
        (with("name = \"shop\"", "name = shop"), &["1:8 not valid TOML: text must be in quotes | write \"shop\""]),
        (
            with("team = \"growth\"", "team = 'a'\nteam = 'b'"),
            &[
                "4:1 not valid TOML: duplicate key | the name stands above already: each key and each table is written once",
            ],
        ),
        (with("[client]", "[client"), &["4:8 not valid TOML: unclosed table, expected `]`"]),
        (
            resource("paginator = { type = 'offset', limit = '100' }"),
            &["4:40 `limit` must be a whole number from 1, not text | write it without quotes: 100"],
        ),
        (
            resource("paginator = { type = 'offset', page_param = 'p' }"),
            &["4:32 unknown key `page_param` | it is a key of `page_number`, not of `offset`"],
        ),
        (
            resource("write_disposition = 'merge'"),
            &[
                "4:21 `x` can't merge without a `primary_key` | name the fields that identify a record, or use \"append\"",
            ],
        ),
        (
            resource("primary_key = []"),
            &[
                "4:15 `primary_key` names no field | name the fields that identify a record, or write `primary_key = false`",
            ],
        ),
        (
            resource("paginator = { type = 'offset', offset_param = false }"),
            &["4:32 nothing sends the offset | name the parameter, or use `{{ page.offset }}` in the request"],
        ),
        (
            resource("paginator = { type = 'page_number', page_param = false }"),
            &["4:37 nothing sends the page's number | name the parameter, or use `{{ page.number }}` in the request"],
        ),
        (
            resource("write_disposition = 'replace'\nincremental = { cursor_path = 'u', start_param = 's' }"),
            &[
                "4:21 `x` can't be replaced and incremental: each run would keep only what is new | use \"merge\" or \"append\", or set `incremental = false`",
            ],
        ),
        (
            resource("path = 'x/{{ parent.id }}'"),
            &["4:14 `parent.id` is used, but `x` has no parent | add `parent = \"RESOURCE\"`"],
        ),
        (
            resource("parent = 'x'\npath = '{{ parent.id }}'"),
            &["4:10 `x` is its own parent | name another one that it begins with: parent = [\"RESOURCE\", \"x\"]"],
        ),
        (
            resource("path = 'https://other.example.com/x'"),
            &[
                "4:8 `path` leads to another origin than `base_url`: other.example.com | if it should, add \"other.example.com\" to `allowed_hosts` under [client]",
            ],
        ),
        (
            with("https://api.example.com/v1", "api.example.com/v1"),
            &["5:12 `base_url` is not a URL: relative URL without a base | write it as `https://api.example.com/v1/`"],
        ),
        (
            format!("{CLIENT}[resources.userViews]\n[resources.user_views]\n"),
            &[
                "4:12 `userViews` and `user_views` both fill the table `user_views` | rename one of them; if they are to share it, add `table_name = \"user_views\"`",
            ],
        ),
        (
            resource(
                "paginator = 'offset'\nparams = { o = '{{ page.offset }}', since = '{{ cursor.start }}' }\n[resources.x.paginatr]",
            ),
            &["6:14 unknown key `paginatr` | did you mean `paginator`?"],
        ),
        (
            resource("paginator = { type = 'offset', offset_param = 'o' }\nparams = { o = '{{ page.offset }}' }"),
            &["5:20 `page.offset` is sent twice: by this expression and by `offset_param` | leave `offset_param` out"],
        ),
        (
            resource("columns = { n = { type = 'INTEGER' } }"),
            &["4:26 `INTEGER` is not a column type | did you mean `BIGINT`?"],
        ),
        (
            resource("data_selector = 'items[a]'"),
            &[
                "4:23 `a` is not an index; a name needs quotes | write `$`, `data.items`, `$[*]`, `$.a['b c'][*]` or `$.items[?@.kind == 'video']`",
            ],
        ),
    ];
    for (source, expected) in cases {
        assert_eq!(mistakes(&source), expected, "{source}");
    }
}

#[test]
fn further_mistakes_are_found_too() {
    let cases: [(String, &[&str]); 18] = [
        (
            String::new(),
            &[
                "1:1 `client` is missing | client: what all requests share",
                "1:1 `resources` is missing | resources: endpoints and the tables they fill",
            ],
        ),
        (format!("{CLIENT}[resources]\n"), &["3:2 there are no resources | add one: [resources.NAME]"]),
        (
            format!(
                "{CLIENT}[resources.a]\nparent='b'\npath='{{{{ parent.id }}}}'\n[resources.b]\nparent='a'\npath='{{{{ parent.id }}}}'\n"
            ),
            &["4:8 parents go in a circle: a → b → a"],
        ),
        (client("concurrency = 0"), &["3:15 `concurrency` must be a whole number from 1 to 1024"]),
        (
            client("concurrency = '${TOKEN}'"),
            &["3:15 `concurrency` must be a whole number from 1 to 1024 once `${…}` is in place"],
        ),
        (
            client("max_response_bytes = '1 MeB'"),
            &[
                "3:22 `max_response_bytes` is not a size | write a number of bytes, or a number with KB, MB, GB, KiB, MiB or GiB",
            ],
        ),
        (
            client("allowed_hosts = ['https://cdn.example.com']"),
            &["3:18 `https://cdn.example.com` is not a host | write `host` or `host:port`, without a scheme or path"],
        ),
        (
            client("auth = { type = 'bearer', token = '${EMPTY}' }"),
            &["3:35 the token is empty | is the variable set to an empty text?"],
        ),
        (
            client("auth = 'bearer'"),
            &["3:8 `bearer` needs `token` | as in auth = { type = \"bearer\", token = \"…\" }"],
        ),
        (client("headers = { 'a b' = '1' }"), &["3:13 `a b` can't be the name of a header"]),
        (resource("json = {}\nform = {}"), &["5:1 `json` and `form` can't both be the body | keep one of them"]),
        (
            resource("paginator = { type = 'cursor', cursor_path = 'next' }"),
            &["4:32 nothing sends the cursor | add `cursor_param`, or use `{{ page.cursor }}` in the request"],
        ),
        (
            resource("paginator = { type = 'page_number', page_size = 5 }"),
            &["4:37 nothing sends `page_size` | add `page_size_param`, or use `{{ page.limit }}` in the request"],
        ),
        (
            resource("include_from_parent = ['id']"),
            &[
                "4:1 `include_from_parent` has no effect: `x` has no parent | add `parent = \"RESOURCE\"`, or leave it out",
            ],
        ),
        (
            resource("response_actions = [{ action = 'ignore' }]"),
            &["4:21 this action matches every answer | add `status`, `body_contains`, `header` or `path`"],
        ),
        (
            resource("primary_key = '{{ x }}'"),
            &[
                "4:16 `{{ … }}` can't be used in `primary_key` | expressions are evaluated in base_url, path, params, headers, json, form, body, add_columns, filter, parent_filter and auth",
            ],
        ),
        (
            resource("path = 'a{% if b %}'"),
            &[
                "4:10 statements can't be used here, only `{{ … }}` expressions | an expression can choose too: `{{ a if b else c }}`",
            ],
        ),
        (
            resource("incremental = { cursor_path = 'u', start_param = 's', format = 'iso' }"),
            &[
                "4:64 `iso` is not a format of times | known are `iso8601`, `date`, `epoch_s` and `epoch_ms`, and strftime patterns such as `%Y-%m-%d`",
            ],
        ),
    ];
    for (source, expected) in cases {
        assert_eq!(mistakes(&source), expected, "{source}");
    }
}

#[test]
fn a_filter_is_one_expression_over_records_and_nothing_else_sees_records() {
    let filter = |text: &str| mistakes(&resource(&format!("filter = \"{text}\"")));
    assert_eq!(filter("{{ record.status != 'draft' }}"), [""; 0]);
    assert!(filter("{{ record.a }} {{ record.b }}")[0].contains("`filter` must be exactly one expression"));
    assert!(filter("draft")[0].contains("`filter` must be exactly one expression"));
    assert!(filter("{{ page.number == 1 }}")[0].contains("`page.number` has no value in `filter`"));
    let path = mistakes(&resource("path = \"{{ record.id }}\""));
    assert!(path[0].contains("`record.id` has no value here"), "{path:?}");
}

#[test]
fn keys_and_values_of_later_versions_are_refused_by_name() {
    let resources = ["transform"];
    for name in resources {
        assert_eq!(mistakes(&resource(&format!("{name} = 1"))), [format!("4:1 `{name}` is not yet supported")]);
    }
}

#[test]
fn mistakes_of_a_cursor_have_their_place_and_advice() {
    const START: &str = "start_param = 's'\n";
    for (keys, expected) in [
        ("start_param = 's'", "`cursor_path` is missing"),
        ("cursor_path = 'u'\nwindow = '7d'", "`window` needs an `initial_value`: slices begin there"),
        ("cursor_path = 'u'\nwindow = '7 days'\ninitial_value = 1", "`window` is not a length of time"),
        ("cursor_path = 'u'\nlag = '0s'", "`lag` is nothing"),
        ("cursor_path = 'u'\nwindow = 5\ninitial_value = 0", "`window` over numbers needs an `end_value`"),
        (
            "cursor_path = 'u'\nwindow = '1d'\ninitial_value = 0",
            "`window` is a time, but `initial_value` is a number that is no time",
        ),
        ("cursor_path = 'u'\nwindow = '1d'\ninitial_value = 'abc'", "`window` can't be counted on from a text"),
        (
            "cursor_path = 'u'\nformat = 'date'\ninitial_value = 'abc'",
            "`initial_value` is no time, so `format` can't be applied to it",
        ),
        (
            "cursor_path = 'u'\ninitial_value = '2026-02-01'\nend_value = '2026-01-01'",
            "there is nothing between `initial_value` and `end_value`",
        ),
        (
            "cursor_path = 'u'\ninitial_value = '{{ run.started_at | strftime(\"week %W\") }}'\nwindow = '7d'",
            "`window` can't be counted on from a text",
        ),
        (
            "cursor_path = 'u'\ninitial_value = '{{ run.started_at }}'\nend_value = '{{ run.started_at | add(\"-1d\") }}'",
            "there is nothing between `initial_value` and `end_value`",
        ),
        ("cursor_path = 'u'\ninitial_value = '{{ parent.id }}'", "`parent.id` has no value in `initial_value`"),
        ("cursor_path = 'u'\nend_value = '{{ vars.none }}'", "unknown variable `vars.none`"),
        ("cursor_path = 'u'\ncursor_format = ['date', 'epoch']", "`epoch` is not a format of times"),
        ("cursor_path = 'u'\ncursor_format = '%H:%M'", "no date can be read by `%H:%M`"),
        ("cursor_path = 'u'\ncursor_format = []", "`cursor_format` is an empty list"),
        ("cursor_from = 'clock'\ncursor_format = 'date'", "`cursor_format` goes by the values of records"),
        ("cursor_path = 'u'\nearliest = '2 years'", "`earliest` is not a length of time"),
        (
            "cursor_path = 'u'\nearliest = '30d'\ninitial_value = 5",
            "`earliest` is a length of time, but `initial_value` is no time",
        ),
        (
            "cursor_from = 'response'\ncursor_path = 'u'\nstart_bound = 'exclusive'",
            "`start_bound` can't be counted from a value that only the API understands",
        ),
        (
            "cursor_path = 'u'\nstart_bound = 'exclusive'\ninitial_value = 'abc'",
            "`start_bound` needs a cursor that is a time or a number",
        ),
        ("cursor_path = 'u'\nalign = true", "`align` has no effect without a `window`"),
        (
            "cursor_path = 'u'\nalign = true\nwindow = '36h'\ninitial_value = '2026-01-01'",
            "`align` needs a `window` that is a unit of the calendar",
        ),
        ("cursor_path = 'u'\ntimezone = 'Berlin'", "there is no time zone `Berlin`"),
        ("cursor_path = 'u'\nwalk = 'cursor'", "`walk = \"cursor\"` needs records that come oldest first"),
        ("cursor_path = 'u'\nscope = 'global'", "`scope` has no effect"),
        ("cursor_header = 'x'\ncursor_path = 'u'", "`cursor_header` has no effect"),
        ("cursor_from = 'clock'\ncursor_path = 'u'", "`cursor_path` has no effect"),
        ("cursor_from = 'clock'\nrow_order = 'asc'", "`row_order` goes by the values of records"),
        ("cursor_from = 'response'", "`cursor_path` is missing"),
        (
            "cursor_from = 'response'\ncursor_path = 'u'\nlag = 5",
            "`lag` can't be counted from a value that only the API understands",
        ),
        ("cursor_from = 'window'\ninitial_value = 1", "no request shows the end of the range"),
    ] {
        let start = if keys.contains("start_param") { "" } else { START };
        let found = mistakes(&resource(&format!("[resources.x.incremental]\n{start}{keys}")));
        assert!(found.iter().any(|m| m.contains(expected)), "{keys}: {found:?}");
    }
    for (keys, expected) in [
        ("cursor_path = 'u'", "uses its cursor"),
        (
            "cursor_path = 'u'\nstart_param = 's'\nwindow = '1d'\ninitial_value = '2026-01-01'",
            "no request shows the end of a `window`",
        ),
        ("cursor_path = 'u'\nstart_param = 's'\nend_value = 5", "no request shows the `end_value`"),
        ("cursor_path = 'u'\nstart_param = 's'\nend_bound = 'inclusive'", "`end_bound` has no effect"),
        ("cursor_path = 'u'\nstart_bound = 'exclusive'", "`start_bound` has no effect"),
        ("cursor_path = 'u'\nearliest = '30d'", "`earliest` has no effect"),
        (
            "cursor_path = 'u'\nstart_param = 's'\nalign = true\nwindow = '1d'\ninitial_value = '2026-01-01'\ntimezone = '+02:00'",
            "units begin in `timezone`",
        ),
    ] {
        let found = warnings(&resource(&format!("[resources.x.incremental]\n{keys}")));
        assert!(found.iter().any(|m| m.contains(expected)), "{keys}: {found:?}");
    }
}

#[test]
fn a_window_is_split_only_where_there_is_one() {
    let action = "response_actions = [{ status = 400, action = 'split' }]\n";
    let found = mistakes(&resource(action));
    let help = "add `incremental.window`, or have only the resources with a window say `split`";
    assert_eq!(found, [format!("4:46 `split` halves a `window`, and `x` has none | {help}")]);
    let window = "incremental = { cursor_path = 'u', start_param = 's', end_param = 'e', initial_value = '2026-01-01', window = '7d' }";
    assert_eq!(mistakes(&resource(&format!("{action}{window}"))), Vec::<String>::new());
}

#[test]
fn a_secret_is_no_bound_of_a_cursor() {
    let text = resource("incremental = { cursor_path = 'u', start_param = 's', initial_value = '{{ vars.since }}' }");
    let found = mistakes(&text.replacen("[client]", "[vars]\nsince = '${SINCE_OF_A_TEST}'\n[client]", 1));
    assert!(
        found.iter().any(|m| m.contains("`vars.since` is a secret, and would be stored as the cursor")),
        "{found:?}"
    );
}

#[test]
fn merges_that_can_not_work_are_refused_with_their_place() {
    let cases = [
        ("merge_key = 'day'", "4:13 `merge_key` has no effect with \"upsert\""),
        ("merge_strategy = 'scd2'\nwrite_disposition = 'merge'", "5:21 `x` can't merge without a `primary_key`"),
        (
            "write_disposition = 'merge'\nmerge_strategy = 'delete-insert'",
            "4:21 `x` can't merge without a `primary_key`",
        ),
        ("merge_strategy = 'delete-insert'\nmerge_key = []", "5:13 `merge_key` names no field"),
        (
            "primary_key = 'id'\nwrite_disposition = 'append'\nmerge_strategy = 'scd2'\nhard_delete = 'gone'",
            "6:1 `merge_strategy` has no effect with \"append\"",
        ),
        ("write_disposition = 'replace'\nhard_delete = 'gone'", "5:1 `hard_delete` has no effect with \"replace\""),
        (
            "primary_key = 'id'\nmerge_strategy = 'insert-only'\nhard_delete = 'gone'",
            "6:15 `hard_delete` has no effect with \"insert-only\", which never changes a stored row",
        ),
        ("primary_key = 'id'\nretire_absent = true", "5:1 `retire_absent` has no effect with \"upsert\""),
        (
            "primary_key = 'id'\nmerge_strategy = 'scd2'\nretire_absent = true\n\
             incremental = { cursor_path = 'u', start_param = 's' }",
            "6:1 `x` can't retire what is absent: an incremental run doesn't list everything",
        ),
        (
            "primary_key = 'a.id'\nexclude = ['b', 'a']",
            "4:15 `a.id` is left out by `exclude`, so it can't be the `primary_key`",
        ),
        ("primary_key = 'id'\nmerge_strategy = 'scd3'", "5:18 `scd3` is not a value of `merge_strategy`"),
    ];
    for (keys, expected) in cases {
        let found = mistakes(&resource(keys));
        assert!(found.first().is_some_and(|m| m.starts_with(expected)), "{keys}: {found:?}");
    }
}

#[test]
fn keys_of_a_merge_may_be_inherited_by_what_does_not_merge() {
    let source = format!(
        "{CLIENT}[resource_defaults]\nprimary_key = 'id'\nmerge_strategy = 'scd2'\nretire_absent = true\n\
         [resources.log]\nwrite_disposition = 'append'\n[resources.users]\n[resources.events]\n\
         incremental = {{ cursor_path = 'u', start_param = 's' }}\nretire_absent = false\n"
    );
    let pipeline = plan(&source);
    let strategy = |name: &str| pipeline.resource(name).unwrap().merge_strategy().cloned();
    assert_eq!(strategy("log"), None);
    assert_eq!(strategy("users"), Some(MergeStrategy::Scd2 { retire_absent: true }));
    assert_eq!(strategy("events"), Some(MergeStrategy::Scd2 { retire_absent: false }));
}

#[test]
fn a_merge_key_makes_a_merge_of_it() {
    let pipeline = plan(&resource("merge_strategy = 'delete-insert'\nmerge_key = ['day', 'place.id']"));
    let x = &pipeline.resources[0];
    let keys = [vec!["day"], vec!["place", "id"]].map(|p| FieldPath(p.into_iter().map(str::to_owned).collect()));
    assert_eq!(x.merge_strategy(), Some(&MergeStrategy::DeleteInsert { merge_key: keys.to_vec() }));
    assert!(!x.has_ids_from_key());
}

#[test]
fn all_mistakes_of_a_file_are_told_at_once_in_its_order() {
    let source = with("base_url", "base_ulr").replace("team = \"growth\"", "tem = 1").replace("since", "${NOPE}");
    let places: Vec<String> =
        mistakes(&source).iter().map(|m| m.split(' ').next().unwrap_or_default().to_owned()).collect();
    assert_eq!(places, ["4:2", "5:1", "9:60", "13:23"]);
}

#[test]
fn broken_syntax_is_told_without_its_echoes() {
    assert_eq!(
        mistakes("a = [1,\n[x]\nb = \n"),
        ["2:2 not valid TOML: a list above this header has no end | close it with `]`"]
    );
    assert_eq!(
        mistakes("a = b c # d\nname = 'x\n"),
        [
            "1:5 not valid TOML: text must be in quotes | write \"b c\"",
            "2:10 not valid TOML: invalid literal string, expected `'`"
        ]
    );
}

#[test]
fn substitutions_are_secret_only_where_requests_are_made() {
    let source = "[client]\nbase_url = 'https://${HOST}/v${N}/'\nconcurrency = '${N}'\nrate_limit = '${LIMIT:-5}/minute'\n\
         headers = { X-Key = 'k-${TOKEN}', X-Plain = '${NOPE:-d}' }\n[resources.x]\npath = 'p/${N}'\nbody = '$${N}'\n";
    let plan = plan(source);
    assert_eq!(base_of(&plan), "https://eu.example.com/v7/");
    assert_eq!(plan.client.concurrency, 7);
    assert_eq!(plan.client.rate_limits, [RateLimit { count: 5, per: std::time::Duration::from_secs(60) }]);
    let request = &plan.resources[0].request;
    assert_eq!(request.path.as_literal(), Some("p/7"));
    let headers: Vec<_> =
        request.headers.iter().map(|(n, t)| (n.as_str(), t.template.as_literal(), t.secret)).collect();
    assert_eq!(headers, [("X-Key", Some("k-s3cr3t-t0ken"), true), ("X-Plain", Some("d"), false)]);
    assert_eq!(
        request.body,
        Some(BodySpec::Raw(Text { template: crate::plan::template::Template::literal("${N}"), secret: false }))
    );
    assert_eq!(crate::secret::redact("x k-s3cr3t-t0ken"), "x k-***");
}

#[test]
fn what_is_brought_in_is_never_read_as_an_expression() {
    let env = Env::from_pairs([("A", "{{ vars.x }}{% if %}")]);
    let source = resource("params = { a = '{${A}' }");
    let loaded = pipeline(Path::new("p.toml"), &source, &[], &env, Secrets::Required).unwrap();
    let text = &loaded.pipeline.resources[0].request.params[0].1[0];
    assert_eq!(text.template.render(&Default::default()).unwrap().unwrap(), "{{{ vars.x }}{% if %}");
}

#[test]
fn a_secret_variable_makes_a_secret_of_what_it_is_put_into() {
    let plan = plan(&format!(
        "{CLIENT}[vars]\nkey = '${{TOKEN}}'\nopen = 'x'\n[resources.x]\nparams = {{ a = '{{{{ vars.key }}}}', b = '{{{{ vars.open }}}}' }}\n"
    ));
    let secret: Vec<bool> = plan.resources[0].request.params.iter().map(|(_, v)| v[0].secret).collect();
    assert_eq!(secret, [true, false]);
}

#[test]
fn mounted_files_lose_their_last_newline() {
    let folder = tempfile::tempdir().unwrap();
    std::fs::write(folder.path().join("token"), "from-a-file\n").unwrap();
    let file = folder.path().join("p.toml");
    std::fs::write(&file, GOOD.replace("${TOKEN}", "${file:token}")).unwrap();
    let loaded = load_pipeline(&file, &[], &Env::default(), Secrets::Required).unwrap();
    let Auth::Bearer { token } = &loaded.pipeline.resources[0].auth else { panic!() };
    assert_eq!((token.template.as_literal(), token.secret), (Some("from-a-file"), true));
    let report = load(&GOOD.replace("${TOKEN}", "${file:nowhere}")).unwrap_err().report();
    assert_eq!(short(&report), ["6:36 the file `nowhere` can't be read: No such file or directory (os error 2)"]);
}

#[test]
fn without_secrets_a_file_can_still_be_checked() {
    let source = with("https://api.example.com/v1", "${BASE}/v1").replace("[vars]", "[vars]\nn = '${NOPE}'");
    let source = source
        .replace("[resources.videos]", "concurrency = '${MANY}'\nrate_limit = '${RATE}/minute'\n[resources.videos]");
    let loaded = pipeline(Path::new("p.toml"), &source, &[], &Env::default(), Secrets::Optional).unwrap();
    assert_eq!(loaded.missing_variables, ["NOPE", "BASE", "TOKEN", "MANY", "RATE"]);
    assert_eq!(loaded.pipeline.client.concurrency, 4);
    let missing = pipeline(Path::new("p.toml"), &source, &[], &Env::default(), Secrets::Required).unwrap_err();
    assert_eq!(short(&missing.report()).len(), 5);
}

#[test]
fn variables_can_be_overridden_but_only_known_ones() {
    let vars = |name: &str| vec![(name.to_owned(), "sales {{ x }}".to_owned())];
    let loaded = pipeline(Path::new("p.toml"), GOOD, &vars("team"), &env(), Secrets::Required).unwrap();
    assert_eq!(loaded.pipeline.vars[0].1.known().unwrap(), "sales {{ x }}");
    let error = pipeline(Path::new("p.toml"), GOOD, &vars("taem"), &env(), Secrets::Required).unwrap_err();
    assert_eq!(short(&error.report()), ["`--var taem=…` names no variable of the file | did you mean `team`?"]);
}

#[test]
fn the_nearest_layer_wins_and_false_switches_off() {
    let plan = plan(
        "[client]\nbase_url='http://h'\nparams={a='1',b='2',c='3'}\nheaders={Accept='x'}\npaginator='single_page'\n\
         auth={type='bearer',token='t'}\nresponse_actions=[{status=503,action='throttle'}]\n\
         [resource_defaults]\nparams={b='20'}\nprimary_key='id'\nincremental={cursor_path='u',start_param='s'}\n\
         paginator={type='offset',limit=10}\njson={q='x',r=1}\n\
         [resources.one]\nparams={c=false,d=false,e=['1',2]}\nheaders={accept='y'}\njson={r=false,s=true}\n\
         response_actions=[{status=404,action='ignore'}]\n\
         [resources.two]\nprimary_key=false\nincremental=false\npaginator=false\nauth=false\njson=false\n",
    );
    let one = plan.resource("one").unwrap();
    let params: Vec<String> = one
        .request
        .params
        .iter()
        .map(|(name, values)| {
            let values: Vec<&str> = values.iter().map(|v| v.template.source()).collect();
            format!("{name}={}", values.join(","))
        })
        .collect();
    assert_eq!(params, ["a=1", "b=20", "d=false", "e=1,2"]);
    let headers: Vec<_> = one.request.headers.iter().map(|(n, t)| (n.as_str(), t.template.source())).collect();
    assert_eq!(headers, [("accept", "y")]);
    let Some(BodySpec::Json(JsonTemplate::Object(members))) = &one.request.body else { panic!() };
    assert_eq!(members.iter().map(|(n, _)| n.as_str()).collect::<Vec<_>>(), ["q", "s"]);
    assert_eq!(members[1].1, JsonTemplate::Literal(json!(true)));
    assert_eq!(one.request.method, "POST");
    assert_eq!(
        one.response_actions.iter().flat_map(|a| a.statuses.clone()).collect::<Vec<_>>(),
        [StatusSet::One(404), StatusSet::One(503)]
    );
    assert!(matches!(&one.paginator, Paginator::Offset(offset) if offset.limit == 10));
    let two = plan.resource("two").unwrap();
    assert_eq!((two.write, two.primary_key.len(), two.incremental.is_none()), (WriteDisposition::Append, 0, true));
    assert_eq!((&two.paginator, &two.auth, two.request.method.as_str()), (&Paginator::SinglePage, &Auth::None, "GET"));
}

#[test]
fn paginators_have_the_documented_defaults_and_expressions_replace_parameters() {
    let plan = plan(&format!(
        "{CLIENT}[resources.a]\npaginator='offset'\n[resources.b]\npaginator='page_number'\nmax_pages=5\non_repeat='stop'\n\
         [resources.c]\npaginator={{type='cursor',cursor_path='meta.next',max_pages=3}}\njson={{c='{{{{ page.cursor }}}}'}}\n\
         [resources.d]\npaginator='json_link'\n[resources.e]\npaginator='header_link'\n\
         [resources.f]\npaginator={{type='offset',limit_param=false,total_header='X-Total'}}\nparams={{o='{{{{ page.offset }}}}'}}\n"
    ));
    let paginator = |name: &str| &plan.resource(name).unwrap().paginator;
    let defaults = Offset {
        limit: 100,
        offset_param: Some("offset".into()),
        limit_param: Some("limit".into()),
        initial_offset: 0,
        total: None,
        has_more: None,
        maximum_offset: None,
        advance_by_limit: false,
        overlap: false,
        prefetch: 1,
    };
    assert_eq!(paginator("a"), &Paginator::Offset(defaults.clone()));
    assert!(
        matches!(paginator("b"), Paginator::PageNumber(p) if p.base_page == 1 && p.page_param.as_deref() == Some("page"))
    );
    assert_eq!(
        (plan.resource("b").unwrap().max_pages, plan.resource("b").unwrap().on_repeat),
        (Some(5), OnRepeat::Stop)
    );
    assert!(
        matches!(paginator("c"), Paginator::Cursor(c) if c.cursor_param.is_none() && c.cursor == TokenPlace::Body(vec![FieldPath(vec!["meta".into(), "next".into()])]))
    );
    assert_eq!(plan.resource("c").unwrap().max_pages, Some(3));
    assert_eq!(
        paginator("d"),
        &Paginator::JsonLink(JsonLink {
            next_url_paths: vec![FieldPath(vec!["next".into()])],
            links_next_key: "next".into(),
            keep_params: true,
            signs: EndSigns::default(),
        })
    );
    assert_eq!(
        paginator("e"),
        &Paginator::HeaderLink(HeaderLink {
            links_next_key: "next".into(),
            next_url_header: None,
            keep_params: true,
            signs: EndSigns::default()
        })
    );
    let total = Some(TotalSpec { place: FactPlace::Header("x-total".into()), pages: false });
    assert_eq!(paginator("f"), &Paginator::Offset(Offset { offset_param: None, limit_param: None, total, ..defaults }));
}

#[test]
fn parents_come_first_and_their_fields_become_columns() {
    let plan = plan(&format!(
        "{CLIENT}[resources.comments]\nparent='Videos'\npath='/v/{{{{ parent.id }}}}'\ninclude_from_parent=['id','author.userName']\n\
         primary_key=['videos_id','n']\n[resources.likes]\nparent='Videos'\nparams={{v='{{{{ parent.id }}}}'}}\n\
         include_from_parent={{ video='id' }}\nparents='changed'\non_missing_parent_field='skip'\n[resources.Videos]\n"
    ));
    let names: Vec<&str> = plan.resources.iter().map(|r| r.name.as_str()).collect();
    assert_eq!(names, ["Videos", "comments", "likes"]);
    let columns = |name: &str| -> Vec<String> {
        plan.resource(name)
            .unwrap()
            .parent
            .as_ref()
            .unwrap()
            .include
            .iter()
            .map(|c| format!("{}={}", c.column, c.fields[0]))
            .collect()
    };
    assert_eq!(columns("comments"), ["videos_id=id", "videos_author__user_name=author.userName"]);
    assert_eq!(columns("likes"), ["video=id"]);
    assert_eq!(plan.resource("comments").unwrap().request.path.source(), "v/{{ parent.id }}");
    let likes = plan.resource("likes").unwrap().parent.as_ref().unwrap();
    assert_eq!((likes.scope, likes.on_missing_field), (ParentScope::Changed, OnMissingField::Skip));
}

#[test]
fn an_inherited_parent_is_a_parent_like_any_other() {
    let file = |own: &str| {
        format!(
            "{CLIENT}[resource_defaults]\nparent='v'\npath='v/{{{{ parent.id }}}}'\n[resources.c]\n[resources.v]\n{own}\n"
        )
    };
    let names: Vec<String> = plan(&file("parent=false\npath='v'")).resources.into_iter().map(|r| r.name).collect();
    assert_eq!(names, ["v", "c"]);
    assert_eq!(
        mistakes(&file("")),
        ["4:8 `v` is its own parent | name another one that it begins with: parent = [\"RESOURCE\", \"v\"]"]
    );
}

#[test]
fn what_is_probably_not_meant_is_warned_about() {
    assert_eq!(
        warnings(&resource("incremental = { cursor_path = 'u' }")),
        [
            "4:1 no request of `x` uses its cursor: every run asks for everything | add `start_param`, or use `{{ cursor.start }}`"
        ]
    );
    assert_eq!(
        warnings(&resource("params = { a = '{{ cursor.start }}', b = '{{ page.offset }}' }\nallow_missing = true")),
        [
            "4:20 `cursor.start` has no value in `x`, which is not incremental",
            "4:46 `page.offset` has no value in `x`, whose paginator is `auto`",
            "5:1 `allow_missing` has no effect without a `data_selector`",
        ]
    );
    assert_eq!(warnings(&GOOD.replace("{{ vars.team }}", "x")), ["3:1 nothing uses the variable `team`"]);
    assert_eq!(warnings(GOOD), [""; 0]);
}

#[test]
fn a_parent_can_name_no_host() {
    let source = |base: &str| {
        format!(
            "[vars]\nteam='t'\n[client]\nbase_url='{base}'\n[resources.x]\n[resources.y]\nparent='x'\npath='y/{{{{ vars.team }}}}'\n"
        )
    };
    let in_host = mistakes(&source("https://{{ parent.host }}/v1"));
    assert!(
        in_host.iter().any(|m| m.starts_with("4:22 `parent.host` can't name the host of `base_url`")),
        "{in_host:?}"
    );
    // In the path it may: then each resource needs a parent.
    let in_path = mistakes(&source("https://{{ vars.team }}.h/{{ parent.id }}/"));
    assert!(in_path.iter().all(|m| m.contains("parent") && !m.contains("host")), "{in_path:?}");
    let fixed =
        source("https://h/{{ parent.id }}/").replace("[resources.x]", "[resources.x]\nselected=false\nparent='y'");
    assert!(mistakes(&fixed).iter().any(|m| m.contains("circle")));
}

#[test]
fn a_token_that_is_empty_on_purpose_is_no_auth() {
    let source = |vars: &str, auth: &str| format!("{CLIENT}auth = {auth}\n[resources.x]\n[vars]\n{vars}\n");
    let left_out = [
        ("", "{ type = 'bearer', token = '${ABSENT:-}' }", "3:"),
        ("", "{ type = 'bearer', token = '${EMPTY:-}' }", "3:"),
        ("", "{ type = 'api_key', name = 'X-Key', api_key = '${ABSENT:- }' }", "3:"),
        ("t = ''", "{ type = 'bearer', token = '{{ vars.t }}' }", "3:"),
        ("t = '${ABSENT:-}'", "{ type = 'bearer', token = '{{ vars.t }}' }", "3:"),
    ];
    for (vars, auth, place) in left_out {
        let text = source(vars, auth);
        let told = warnings(&text);
        assert!(told.len() == 1 && told[0].starts_with(place) && told[0].contains("is empty: requests go"), "{told:?}");
        assert_eq!(plan(&text).resources[0].auth, Auth::None, "{auth}");
    }
    // A text that nobody filled in is a mistake.
    for (vars, auth) in [
        ("", "{ type = 'bearer', token = '' }"),
        ("", "{ type = 'bearer', token = '${EMPTY}' }"),
        ("", "{ type = 'api_key', api_key = '${EMPTY}' }"),
    ] {
        assert!(mistakes(&source(vars, auth)).iter().any(|m| m.contains("is empty")), "{auth}");
    }
    let sent = plan(&source("", "{ type = 'bearer', token = '${TOKEN:-}' }"));
    assert!(matches!(sent.resources[0].auth, Auth::Bearer { .. }));
}

#[test]
fn auth_tables_are_checked_before_anything_is_asked() {
    let cases: &[(&str, &str)] = &[
        ("{ type = 'http_basic' }", "3:1 `username` is missing"),
        ("{ type = 'http_basic', username = '${EMPTY}' }", "user and password are empty"),
        ("{ type = 'http_basic', username = 'a:b' }", "a user can't have a colon"),
        ("{ type = 'api_key', api_key = '${EMPTY}' }", "the api key is empty"),
        ("{ type = 'api_key', api_key = 'k', name = 'a b' }", "`a b` can't be the name of a header"),
        ("{ type = 'api_key', api_key = 'k', location = 'body' }", "`body` is not a value of `location`"),
        ("{ type = 'bearer', token = '{{ page.number }}' }", "`page.number` has no value in `auth`"),
        (
            "{ type = 'oauth2_client_credentials', client_id = 'a', client_secret = 'b' }",
            "`access_token_url` is missing",
        ),
        (
            "{ type = 'oauth2_client_credentials', access_token_url = 'ftp://h/', client_id = 'a', client_secret = 'b' }",
            "`access_token_url` is not a URL that a request can go to",
        ),
        (
            "{ type = 'oauth2_client_credentials', access_token_url = 'https://a:b@h/', client_id = 'a', client_secret = 'b' }",
            "`access_token_url` is not a URL that a request can go to",
        ),
        (
            "{ type = 'oauth2_refresh_token', access_token_url = 't', refresh_token = 'r', client_auth = 'basic' }",
            "`client_auth = \"basic\"` needs a `client_id`",
        ),
        (
            "{ type = 'oauth2_refresh_token', access_token_url = 't', refresh_token = 'r', param = 'p', prefix = 'x' }",
            "`prefix` has no meaning beside `param`",
        ),
        ("{ type = 'jwt', algorithm = 'HS256' }", "3:1 `jwt` has no key"),
        (
            "{ type = 'jwt', algorithm = 'HS256', key = 'a', key_file = 'b' }",
            "`key` and `key_file` can't both be the key",
        ),
        ("{ type = 'jwt', algorithm = 'HS255', key = 'a' }", "did you mean `HS256`?"),
        (
            "{ type = 'jwt', algorithm = 'HS256', key = 'a', scope = 's' }",
            "`scope` has no meaning without `access_token_url`",
        ),
        ("{ type = 'session', login = { path = 'l' } }", "`session` does not say where the token is"),
        ("{ type = 'session', token_path = 't' }", "`login` is missing"),
        ("{ type = 'session', login = { path = 'l' }, token_path = 't', token_header = 'h' }", "can't both say"),
        (
            "{ type = 'session', login = { path = 'l', json = {}, form = {} }, token_path = 't' }",
            "can't both be the body",
        ),
        ("{ type = 'session', login = { path = 'l' }, cookie = ['a', 'b'], header = 'h' }", "several cookies can't go"),
        ("{ type = 'session', login = { path = 'l' }, cookie = ['a', 'b'], token_path = 't' }", "goes to one place"),
    ];
    for (auth, part) in cases {
        let found = mistakes(&client(&format!("auth = {auth}")));
        assert!(found.len() == 1 && found[0].contains(part), "{auth}: {found:?}");
    }
}

#[test]
fn every_kind_of_auth_is_read_with_its_defaults() {
    let auth = |table: &str| plan(&client(&format!("auth = {table}"))).resources.remove(0).auth;
    let Auth::OAuth2(oauth2) =
        auth("{ type = 'oauth2_client_credentials', access_token_url = '/t', client_id = 'a', client_secret = 'b' }")
    else {
        panic!()
    };
    let bearer = Place::Header { name: "Authorization".into(), prefix: "Bearer ".into() };
    assert_eq!((&oauth2.grant, &oauth2.place), (&Grant::ClientCredentials, &bearer));
    assert_eq!(oauth2.url.source(), "t");
    assert_eq!(oauth2.endpoint.token_path, FieldPath(vec!["access_token".into()]));

    let session = |keys: &str| match auth(&format!("{{ type = 'session', login = {{ path = 'l' }}, {keys} }}")) {
        Auth::Session(session) => (session.source, session.place, session.relogin_statuses),
        other => panic!("{other:?}"),
    };
    let header = |name: &str, prefix: &str| Place::Header { name: name.into(), prefix: prefix.into() };
    let body = || SessionToken::Body(FieldPath(vec!["t".into()]));
    assert_eq!(session("token_path = 't'"), (body(), bearer, vec![401]));
    assert_eq!(session("token_path = 't', header = 'X-Session'").1, header("X-Session", ""));
    assert_eq!(session("token_path = 't', prefix = 'Token '").1, header("Authorization", "Token "));
    assert_eq!(session("token_path = 't', param = 'sid', relogin_statuses = [403]").1, Place::Param("sid".into()));
    assert_eq!(session("token_path = 't', cookie = 'sid'"), (body(), Place::Cookie("sid".into()), vec![401]));
    assert_eq!(session("cookie = 'sid'").1, Place::Cookies);
    assert_eq!(session("cookie = 'sid', header = 'X-Sid'").0, SessionToken::Cookies(vec!["sid".into()]));

    let Auth::Jwt(jwt) = auth("{ type = 'jwt', algorithm = 'ES256', key_file = 'k.pem', expires_in = '5m' }") else {
        panic!()
    };
    assert_eq!(
        (jwt.algorithm, jwt.key, jwt.expires_in.as_secs()),
        (JwtAlgorithm::Es256, JwtKey::File("k.pem".into()), 300)
    );
    assert_eq!(
        auth("{ type = 'api_key', api_key = 'k' }"),
        Auth::ApiKey {
            api_key: Text { template: Template::literal("k"), secret: false },
            place: header("Authorization", ""),
        }
    );
}

#[test]
fn what_an_action_or_an_expectation_is_about_is_clear() {
    let cases = [
        (
            "response_actions = [{ path = 'a', header = 'b', equals = 1, action = 'end' }]",
            "about `header` or about `path`",
        ),
        ("response_actions = [{ status = 200, equals = 1, action = 'end' }]", "nothing says what this is about"),
        ("response_actions = [{ path = 'a', equals = 1, contains = '1', action = 'end' }]", "can't both be asked for"),
        ("response_actions = [{ path = 'a', in = [1], not_equals = 1, action = 'end' }]", "can't both be asked for"),
        ("response_actions = [{ path = 'a', in = [], action = 'end' }]", "`in` has no value"),
        ("response_actions = [{ status = [], action = 'end' }]", "`status` has no status"),
        ("response_actions = [{ status = '6xx', action = 'end' }]", "6xx"),
        (
            "response_actions = [{ status = 404, action = 'accept', message = 'm' }]",
            "`message` says nothing about this action",
        ),
        (
            "response_actions = [{ status = 404, action = 'retry', wait = '20m' }]",
            "`wait` is longer than `retry.max_elapsed` allows",
        ),
        (
            "retry = { max_wait = '1m' }\nresponse_actions = [{ status = 404, action = 'throttle', wait = '2m' }]",
            "`wait` is longer than `retry.max_wait` allows",
        ),
        ("response_actions = [{ status = 404, action = 'end', max_attempts = 2 }]", "`max_attempts` says nothing"),
        ("response_actions = [{ status = 404, action = 'ignore', wait_header = 'X' }]", "`wait_header` says nothing"),
        (
            "response_actions = [{ status = 404, action = 'fail', wait = '1s' }]",
            "`wait` says nothing about this action",
        ),
        ("expect = {}", "`expect` expects nothing"),
        ("expect = { equals = true }", "`expect` expects nothing"),
        ("expect = { min_records = 0 }", "`min_records` must be a whole number from 1"),
    ];
    for (keys, part) in cases {
        let found = mistakes(&resource(keys));
        assert!(found.iter().any(|m| m.contains(part)), "{keys}: {found:?}");
    }
    let expect = "expect = { min_records = 2, path = 'meta.user', equals = 7 }";
    let actions = "response_actions = [{ path = 'errors', action = 'fail' }, { header = 'X-State', contains = 'busy', action = 'retry' }]";
    let x = plan(&resource(&format!("{expect}\n{actions}"))).resources.remove(0);
    let path = |names: &[&str]| FieldPath(names.iter().map(|n| (*n).to_owned()).collect());
    let test = (path(&["meta", "user"]), ValueTest::Equals("7".into()));
    assert_eq!(x.expect, Some(Expect { min_records: Some(2), path: Some(test) }));
    assert_eq!(x.response_actions[0].path, Some((path(&["errors"]), ValueTest::Present)));
    assert_eq!(x.response_actions[1].header, Some(("x-state".into(), ValueTest::Contains("busy".into()))));
    let listed =
        "response_actions = [{ status = [403, '5xx'], path = 'a', in = [1, 'b'], action = 'retry', max_attempts = 9 }]";
    let listed = plan(&resource(listed)).resources.remove(0).response_actions.remove(0);
    assert_eq!(listed.statuses, [StatusSet::One(403), StatusSet::Class(5)]);
    assert_eq!(listed.path, Some((path(&["a"]), ValueTest::In(vec!["1".into(), "b".into()]))));
    assert_eq!(listed.again, Again { max_attempts: Some(9), ..Again::default() });
    // A number of tries bounds long waits in place of `retry`.
    let bounded = "response_actions = [{ status = 404, action = 'retry', wait = '20m', max_attempts = 3 }]";
    assert_eq!(mistakes(&resource(bounded)), [""; 0]);
}

#[test]
fn tries_are_merged_by_key_and_rates_are_inherited_whole() {
    let text = "[client]\nbase_url = 'https://h/'\nretry = { max_attempts = 9, base_delay = '1s', statuses = [500] }\n\
                rate_limit = '100/minute'\n\
                [resource_defaults]\nretry = { base_delay = '2s' }\nrate_limit = ['1/2s', '100/15m']\n\
                [resources.a]\nretry = { max_attempts = 2 }\n[resources.b]\nrate_limit = '5/second'\n\
                [resources.c]\nrate_limit = false\n";
    let plan = plan(text);
    let (a, b) = (plan.resource("a").unwrap(), plan.resource("b").unwrap());
    let seconds = std::time::Duration::from_secs;
    assert_eq!((a.retry.max_attempts, a.retry.base_delay, &a.retry.statuses), (2, seconds(2), &vec![500]));
    assert_eq!((b.retry.max_attempts, b.retry.base_delay), (9, seconds(2)));
    assert_eq!((plan.client.retry.max_attempts, plan.client.retry.base_delay), (9, seconds(1)));
    let limit = |count, s| RateLimit { count, per: seconds(s) };
    assert_eq!(plan.client.rate_limits, [limit(100, 60)]);
    assert_eq!(a.rate_limits, [limit(1, 2), limit(100, 900)]);
    assert_eq!(b.rate_limits, [limit(5, 1)]);
    assert_eq!(plan.resource("c").unwrap().rate_limits, []);
}

#[test]
fn a_base_can_use_variables_only() {
    let source = |base: &str| {
        format!(
            "[vars]\nteam='t'\nkey='${{TOKEN}}'\n[client]\nbase_url='{base}'\n[resources.x]\nparams={{k='{{{{ vars.key }}}}'}}\n"
        )
    };
    assert_eq!(base_of(&plan(&source("https://{{ vars.team }}.h/"))), "https://t.h/");
    assert_eq!(
        mistakes(&source("https://{{ page.number }}.h/")),
        ["5:22 `page.number` has no value in `base_url` | `vars.NAME` and `run.started_at` can be used there"]
    );
}

#[test]
fn numbers_may_have_underscores_and_other_bases() {
    let plan = plan(&client("max_response_bytes = 1_000\nconcurrency = 0x10"));
    assert_eq!((plan.client.max_response_bytes, plan.client.concurrency), (1_000, 16));
    let found = mistakes(&client("concurrency = 99999999999999999999"));
    assert_eq!(found[0], "3:15 the number is too large");
}

proptest::proptest! {
    #[test]
    fn no_text_makes_the_reader_panic(at in 0_usize..600, length in 0_usize..20, put in "[\\PC\n]{0,12}") {
        let mut source = GOOD.to_owned();
        let start = at.min(source.len());
        let end = (start + length).min(source.len());
        source.replace_range(start..end, &put);
        if let Err(error) = load(&source) {
            proptest::prop_assert!(error.report().starts_with("error: "));
        }
    }

    #[test]
    fn no_value_makes_the_reader_panic(value in "[\\PC]{0,24}", key in "path|data_selector|primary_key|format|parent") {
        let quoted = toml::Value::String(value).to_string();
        let _ = load(&resource(&format!("{key} = {quoted}")));
        let _ = load(&resource(&format!("incremental = {{ cursor_path = {quoted}, format = {quoted}, lag = {quoted} }}")));
        let _ = load(&client(&format!("rate_limit = {quoted}\nallowed_hosts = [{quoted}]\nproxy = {quoted}")));
    }
}

#[test]
fn every_paginator_has_its_keys() {
    let plan = plan(&format!(
        "{CLIENT}[resources.a]\npaginator={{type='header_cursor',cursor_key='X-Next',cursor_param='after',has_more_header='X-More',stop_on='empty_page'}}\n\
         [resources.b]\npaginator={{type='keyset',field='meta.id',param='after',inclusive=true,has_more_path='more'}}\n\
         [resources.c]\npaginator={{type='json_link',next_url_path='links',links_next_key='following',keep_params=false}}\n\
         [resources.d]\npaginator={{type='offset',overlap=1}}\n[resources.e]\npaginator={{type='page_number',prefetch=8}}\n\
         [resources.f]\npaginator={{type='keyset',field='id'}}\njson={{after='{{{{ page.cursor }}}}'}}\n"
    ));
    let paginator = |name: &str| &plan.resource(name).unwrap().paginator;
    let field = |names: &[&str]| FieldPath(names.iter().map(|n| (*n).to_owned()).collect());
    assert_eq!(
        paginator("a"),
        &Paginator::Cursor(CursorPaging {
            cursor: TokenPlace::Header("x-next".into()),
            cursor_param: Some("after".into()),
            signs: EndSigns {
                total: None,
                has_more: Some(MoreSpec { place: FactPlace::Header("x-more".into()), is_last: false }),
                stop_on_empty_page: true,
            },
        })
    );
    assert_eq!(
        paginator("b"),
        &Paginator::Keyset(Keyset {
            field: field(&["meta", "id"]),
            param: Some("after".into()),
            has_more: Some(MoreSpec { place: FactPlace::Body(field(&["more"])), is_last: false }),
            inclusive: true,
            stop_on_empty_page: false,
        })
    );
    assert!(
        matches!(paginator("c"), Paginator::JsonLink(link) if link.links_next_key == "following" && !link.keep_params)
    );
    assert!(matches!(paginator("d"), Paginator::Offset(offset) if offset.overlap));
    assert_eq!(paginator("e").prefetch(), 8);
    assert!(matches!(paginator("f"), Paginator::Keyset(keyset) if keyset.param.is_none()));
}

#[test]
fn what_paginators_can_not_do_is_refused() {
    for (keys, mistake) in [
        (
            "paginator = { type = 'keyset', field = 'id' }",
            "nothing sends the field's value | add `param`, or use `{{ page.cursor }}` in the request",
        ),
        (
            "paginator = { type = 'header_cursor', cursor_key = 'X' }",
            "nothing sends the cursor | add `cursor_param`, or use `{{ page.cursor }}` in the request",
        ),
        (
            "paginator = { type = 'page_number', overlap = 1 }",
            "unknown key `overlap` | it is a key of `offset`, not of `page_number`",
        ),
        (
            "paginator = { type = 'cursor', cursor_path = 'n', cursor_param = 'c', prefetch = 2 }",
            "unknown key `prefetch` | it is a key of `offset`, not of `cursor`",
        ),
        ("paginator = { type = 'offset', overlap = 2 }", "`overlap` must be a whole number from 0 to 1"),
        (
            "paginator = { type = 'offset', overlap = 1, advance = 'limit' }",
            "`overlap` and `advance = \"limit\"` exclude each other | with `advance = \"limit\"` pages have gaps, so that no record need come twice",
        ),
        (
            "paginator = { type = 'offset', overlap = 1, prefetch = 2 }",
            "`overlap` and `prefetch` exclude each other | with `overlap` a page is asked for once the page before it is known",
        ),
        (
            "paginator = { type = 'offset', overlap = 1, limit = 1 }",
            "pages of one record can't overlap | raise `limit`",
        ),
        (
            "paginator = { type = 'offset', has_more_path = 'a', has_more_header = 'b' }",
            "`has_more_path` tells whether there is more already | keep one of them",
        ),
    ] {
        let found = mistakes(&resource(keys));
        assert!(found.len() == 1 && found[0].starts_with("4:") && found[0].ends_with(mistake), "{keys}: {found:?}");
    }
}

#[test]
fn params_may_give_what_the_paginator_begins_with() {
    let plan = plan(&format!(
        "{CLIENT}[resources.a]\npaginator='offset'\nparams={{offset=5,limit='50'}}\n\
         [resources.b]\npaginator={{type='page_number',page_size_param='size'}}\nparams={{page=3,size=20}}\n"
    ));
    assert!(
        matches!(&plan.resource("a").unwrap().paginator, Paginator::Offset(o) if (o.initial_offset, o.limit) == (5, 50))
    );
    assert!(
        matches!(&plan.resource("b").unwrap().paginator, Paginator::PageNumber(p) if (p.base_page, p.page_size) == (3, Some(20)))
    );
    let two = "paginator = { type = 'offset', limit = 10 }\nparams = { limit = 20 }";
    assert_eq!(
        mistakes(&resource(two)),
        ["5:20 `params` send `limit = 20`, the paginator `limit = 10` | keep one of them"]
    );
    let odd = "paginator = 'offset'\nparams = { offset = '{{ vars.x }}' }\n[vars]\nx = 1";
    assert_eq!(
        mistakes(&resource(odd)),
        [
            "5:21 the paginator counts with `offset`, which must be a whole number here | leave it out of `params`, and write `initial_offset` in the paginator"
        ]
    );
}

#[test]
fn a_poll_says_when_the_answer_is_ready() {
    let poll = |keys: &str| format!("poll = {{ path = 'state'{keys} }}");
    let built = plan(&resource(&poll(", in = ['DONE', 1, true], fail_on = 'X', interval = '1s', timeout = '1m'")));
    let expected = Poll {
        path: FieldPath(vec!["state".into()]),
        ready: vec!["DONE".into(), "1".into(), "true".into()],
        fail_on: vec!["X".into()],
        interval: std::time::Duration::from_secs(1),
        timeout: std::time::Duration::from_secs(60),
    };
    assert_eq!(built.resource("x").unwrap().poll, Some(expected));
    for (keys, mistake) in [
        ("", "`poll` does not say when the answer is ready"),
        (", equals = 'a', in = ['b']", "`equals` says already when the answer is ready"),
        (", in = []", "`in` has no state, so that the answer would never be ready"),
        (", equals = 'a', fail_on = ['b', 'a']", "`a` can't mean both ready and failed"),
        (", equals = '{{ vars.x }}'", "`{{ … }}` can't be used in `poll`"),
        (", equals = 'a', interval = 'soon'", "`interval` is not a duration"),
    ] {
        let found = mistakes(&resource(&poll(keys)));
        assert!(found.len() == 1 && found[0].contains(mistake), "{keys}: {found:?}");
    }
}

#[test]
fn headers_and_first_cursors_that_can_not_be_sent_are_found_in_the_file() {
    let header = mistakes(&resource("headers = { X-Team = \"a\\nb\" }"));
    assert!(
        header.len() == 1 && header[0].contains("the value of the header `X-Team` holds control characters"),
        "{header:?}"
    );
    let paginator = "paginator = { type = 'cursor', cursor_path = 'next' }\n";
    for (key, place) in [("body = 'after={{ page.cursor }}'", "body"), ("path = 'x/{{ page.cursor }}'", "path")] {
        let found = mistakes(&resource(&format!("{paginator}{key}")));
        let message = format!("`page.cursor` has no value on the first request, and `{place}` needs one");
        assert!(found.len() == 1 && found[0].contains(&message), "{found:?}");
    }
    assert_eq!(mistakes(&resource(&format!("{paginator}body = \"{{{{ page.cursor | default('') }}}}\""))), [""; 0]);
    assert_eq!(
        warnings(&resource("on_repeated_key = 'fail'")),
        ["4:1 `on_repeated_key` has no effect without a `primary_key`"]
    );
}

#[test]
fn what_children_need_of_ancestors_is_found_in_the_rows_of_their_parent() {
    let plan = plan(&format!(
        "{CLIENT}[resources.a]\npartitions={{values=['x'],name='r'}}\npath='{{{{ partition.r }}}}'\ninclude_from_partition=['r']\n\
         [resources.b]\nparent='a'\npath='{{{{ parent.id }}}}'\ninclude_from_parent={{ top='id', r='partition.r' }}\n\
         [resources.c]\nparent='b'\npath='{{{{ parent.parent.id }}}}/{{{{ parent.parent.partition.r }}}}'\n\
         include_from_parent=['id','parent.id']\nadd_columns={{ note='{{{{ parent.note.text }}}}' }}\n"
    ));
    let parent = plan.resource("c").unwrap().parent.as_ref().unwrap();
    let fields: Vec<String> = parent.fields.iter().map(|f| format!("{}={}", f.name, f.places[0].field)).collect();
    assert_eq!(fields, ["parent.id=top", "parent.partition.r=r"]);
    let included: Vec<String> = parent.include.iter().map(|c| format!("{}={}", c.column, c.fields[0])).collect();
    assert_eq!(included, ["b_id=id", "top=top"]);
    assert_eq!(parent.further_fields.iter().map(|f| f.places[0].field.to_string()).collect::<Vec<_>>(), ["note.text"]);
}

#[test]
fn lists_are_read_with_their_types_and_the_columns_that_requests_use() {
    let plan = plan(&format!(
        "{CLIENT}[resources.a]\npath='{{{{ partition.id }}}}'\nparams={{n='{{{{ partition.n }}}}'}}\n\
         include_from_partition={{area='region'}}\nadd_columns={{ x='{{{{ partition.id }}}}-{{{{ partition.z }}}}' }}\n\
         [[resources.a.partitions]]\nvalues=[{{ id=1, region='eu', z=1.5 }}]\n\
         [[resources.a.partitions]]\nsql='FROM n'\non_missing='skip'\n"
    ));
    let partitions = plan.resource("a").unwrap().partitions.as_ref().unwrap();
    assert_eq!(partitions.columns, ["n", "id"]);
    assert_eq!(partitions.wanted(), ["n", "id", "z", "region"]);
    assert_eq!(partitions.include, [("area".to_owned(), "region".to_owned())]);
    let rows = serde_json::json!([{ "id": 1, "region": "eu", "z": 1.5 }]);
    assert!(matches!(&partitions.lists[0].rows, PartitionRows::Values(found) if serde_json::json!(found) == rows));
    assert!(matches!(&partitions.lists[1].rows, PartitionRows::Sql { query, .. } if query == "FROM n"));
    assert_eq!(
        partitions.lists.iter().map(|l| l.on_missing).collect::<Vec<_>>(),
        [OnMissingField::Raise, OnMissingField::Skip]
    );
}

#[test]
fn a_file_is_not_asked_whether_it_is_ready() {
    let found = mistakes(&resource("format = 'file'\npoll = { path = 'state', equals = 'DONE' }"));
    assert!(
        found.len() == 1 && found[0].starts_with("5:1 `poll` has no meaning with `format = \"file\"`"),
        "{found:?}"
    );
    let inherited = format!(
        "{CLIENT}[resource_defaults]\npoll = {{ path = 'state', equals = 'DONE' }}\n[resources.x]\nformat = 'file'\n[resources.y]\n"
    );
    let plan = plan(&inherited);
    assert!(plan.resource("x").unwrap().poll.is_none() && plan.resource("y").unwrap().poll.is_some());
}
