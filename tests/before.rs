//! Requests that come before the first page, and addresses that records and answers give.

use crate::support::{Reply, Request, Server, TestEnv, pipeline, pipeline_with_client};
use serde_json::{Value, json};

/// Another host, which hands out `id,day` of the days of a report as CSV.
fn files() -> Server {
    Server::start(|request| {
        let day = request.param("day").unwrap_or_default().to_owned();
        Reply::new(200, "text/csv", format!("id,day\na-{day},{day}\nb-{day},{day}\n"))
    })
}

/// An API that makes reports: created with a POST, ready when asked for the third time, and then told where it lies.
fn reports(files: &Server) -> Server {
    let host = files.url("/");
    Server::start(move |request: &Request| match (request.method.as_str(), request.path.as_str()) {
        ("POST", "/reports") => {
            let body: Value = serde_json::from_str(&request.body).unwrap();
            let day = body["from"].as_str().unwrap().to_owned();
            Reply::json(json!({ "job": { "id": day } })).header("Location", format!("/jobs/{day}"))
        }
        ("GET", path) if path.starts_with("/jobs/") => {
            let day = path.trim_start_matches("/jobs/");
            let state = if request.number % 3 == 2 { "DONE" } else { "RUNNING" };
            // The signature covers the whole query.
            Reply::json(json!({ "state": state, "url": format!("{host}file?day={day}&X-Amz-Signature=abc") }))
        }
        _ => Reply::status(404),
    })
}

const REPORT: &str = "[resources.rows]\npath = \"{{ before.status.body.url }}\"\nformat = \"csv\"\n\
    primary_key = \"id\"\npaginator = \"single_page\"\n\
    [[resources.rows.before]]\nname = \"job\"\npath = \"reports\"\n\
    json = { from = \"{{ cursor.start }}\", to = \"{{ cursor.end }}\" }\n\
    [[resources.rows.before]]\nname = \"status\"\npath = \"{{ before.job.headers.location }}\"\n\
    poll = { path = \"state\", equals = \"DONE\", fail_on = [\"FAILED\"], interval = \"5ms\" }\n";

#[test]
fn a_report_is_made_waited_for_and_fetched_for_each_window() {
    let files = files();
    let server = reports(&files);
    let mut env = TestEnv::new();
    env.set("TOKEN", "report-token-123456");
    let host = files.authority();
    let client = format!(
        "params = {{ lang = \"en\" }}\nallowed_hosts = [\"{host}\"]\nauth = {{ type = \"bearer\", token = \"${{TOKEN}}\" }}\n"
    );
    let incremental = "[resources.rows.incremental]\ncursor_path = \"day\"\ninitial_value = \"2026-01-01\"\n\
                       end_value = \"2026-01-04\"\nwindow = \"1d\"\nformat = \"date\"\n";
    env.pipeline(&pipeline_with_client(&server, &client, &format!("{REPORT}{incremental}")));
    let outcome = env.load().expect_code(0);
    assert_eq!(env.warehouse().count("api.rows"), 6, "{}", outcome.transcript());
    assert_eq!(outcome.resource("rows")["windows"], 3, "{}", outcome.transcript());
    let made: Vec<String> = server.requests_for("/reports").iter().map(|r| r.body.clone()).collect();
    assert_eq!(made[0], r#"{"from":"2026-01-01","to":"2026-01-02"}"#);
    assert_eq!(made.len(), 3, "one report for each window");
    assert!(server.requests().iter().all(|r| r.param("lang") == Some("en")));
    for fetched in files.requests() {
        assert_eq!(fetched.header("authorization"), None, "no credentials for another host");
        assert_eq!(fetched.params.len(), 2, "a signed address is taken as it is: {:?}", fetched.params);
    }
    // The next run has nothing but the last day to ask for again.
    env.pipeline(&pipeline_with_client(&server, &client, &format!("{REPORT}{incremental}").replace("01-04", "01-06")));
    env.load().expect_code(0);
    assert_eq!(env.warehouse().count("api.rows"), 10);
    assert!(server.requests_for("/reports").iter().all(|r| !r.body.contains("\"from\":\"2026-01-06\"")));
}

#[test]
fn a_report_is_made_for_each_parent() {
    let server = Server::start(|request: &Request| match request.path.as_str() {
        "/sites" => Reply::json(json!([{ "id": 1 }, { "id": 2 }, { "id": 3 }])),
        "/exports" => {
            let body: Value = serde_json::from_str(&request.body).unwrap();
            // The third has nothing to export.
            Reply::json(json!({ "export": body["site"], "state": if body["site"] == 3 { "EMPTY" } else { "MADE" } }))
        }
        path => Reply::json(json!([{ "visit": path.trim_start_matches("/exports/") }])),
    });
    let env = TestEnv::new();
    let resources = "[resources.sites]\nprimary_key = \"id\"\n[resources.visits]\nparent = \"sites\"\n\
                     path = \"exports/{{ before.made.body.export }}\"\npaginator = \"single_page\"\n\
                     include_from_parent = [\"id\"]\nprimary_key = [\"sites_id\", \"visit\"]\n\
                     [[resources.visits.before]]\nname = \"made\"\npath = \"exports\"\njson = { site = \"{{ parent.id }}\" }\n\
                     response_actions = [{ path = \"state\", equals = \"EMPTY\", action = \"end\" }]\n";
    env.pipeline(&pipeline(&server, resources));
    let outcome = env.load().expect_code(0);
    let rows = "SELECT string_agg(sites_id || '=' || visit, ' ' ORDER BY sites_id) FROM api.visits";
    assert_eq!(env.warehouse().value(rows), "1=1 2=2", "{}", outcome.transcript());
}

#[test]
fn a_report_may_lie_in_several_files() {
    let server = Server::start(|request: &Request| match request.path.as_str() {
        "/exports" => Reply::json(json!({ "id": 5 })),
        "/exports/5" => Reply::json(json!({ "state": "DONE", "urls": ["/files/1", "/files/3"] })),
        path => {
            let first: u64 = path.trim_start_matches("/files/").parse().unwrap();
            Reply::new(200, "text/csv", format!("id\n{first}\n{}\n", first + 1))
        }
    });
    let env = TestEnv::new();
    let resources = "[resources.export_files]\nselected = false\npath = \"exports/{{ before.export.body.id }}\"\n\
                     data_selector = \"urls\"\npaginator = \"single_page\"\n\
                     [[resources.export_files.before]]\nname = \"export\"\nmethod = \"POST\"\npath = \"exports\"\n\
                     [resources.contacts]\nparent = \"export_files\"\npath = \"{{ parent.value }}\"\nformat = \"csv\"\n\
                     paginator = \"single_page\"\nprimary_key = \"id\"\n";
    env.pipeline(&pipeline(&server, resources));
    for _ in 0..2 {
        let outcome = env.load().expect_code(0);
        let rows = "SELECT string_agg(id, ' ' ORDER BY id) FROM api.contacts";
        assert_eq!(env.warehouse().value(rows), "1 2 3 4", "{}", outcome.transcript());
    }
    // Stored ones are parents as well.
    env.pipeline(&pipeline(&server, &resources.replace("selected = false\n", "")));
    env.load().expect_code(0);
    env.pipeline(&pipeline(
        &server,
        &resources.replace("selected = false\n", "").replace("\"urls\"", "\"none\"\nallow_missing = true"),
    ));
    let outcome = env.load().expect_code(0);
    assert_eq!(outcome.resource("contacts")["parents"], 2, "{}", outcome.transcript());
}

#[test]
fn a_report_that_fails_is_an_error_that_names_its_request() {
    let server = Server::start(|request: &Request| match request.path.as_str() {
        "/reports" => Reply::json(json!({ "id": 7 })),
        _ => Reply::json(json!({ "state": "FAILED" })),
    });
    let env = TestEnv::new();
    let resources = REPORT.replace("{{ before.job.headers.location }}", "jobs/{{ before.job.body.id }}");
    env.pipeline(&pipeline(
        &server,
        &resources.replace("\"{{ cursor.start }}\"", "1").replace("\"{{ cursor.end }}\"", "2"),
    ));
    let outcome = env.load().expect_code(1);
    let error = outcome.resource("rows")["error"].to_string();
    assert!(error.contains("the answer will not be ready: `state` is `FAILED`"), "{error}");
    assert!(error.contains("before: status"), "{error}");
    // An answer without what is needed of it.
    let resources = REPORT.replace("{{ before.job.headers.location }}", "jobs/{{ before.job.body.job.key }}");
    env.pipeline(&pipeline(
        &server,
        &resources.replace("\"{{ cursor.start }}\"", "1").replace("\"{{ cursor.end }}\"", "2"),
    ));
    let outcome = env.load().expect_code(1);
    assert!(outcome.stderr.contains("an expression in the path has no value"), "{}", outcome.transcript());
}

#[test]
fn a_record_can_give_the_address_of_its_children() {
    let other = Server::start(|_| Reply::json(json!([{ "id": "stolen" }])));
    let elsewhere = other.url("/");
    let server = Server::start(move |request: &Request| {
        let own = format!("http://{}", request.header("host").unwrap());
        match request.path.as_str() {
            "/lists" => Reply::json(json!([
                { "id": 1, "items_url": format!("{own}/v2/items?list=a%2Fb") },
                { "id": 2, "items_url": "/v2/items?list=2" },
                { "id": 3, "items_url": format!("{elsewhere}v2/items") },
            ])),
            _ => Reply::json(json!([{ "item": request.param("list").unwrap_or_default() }])),
        }
    });
    let mut env = TestEnv::new();
    env.set("TOKEN", "list-token-123456");
    let client = "auth = { type = \"bearer\", token = \"${TOKEN}\" }\n";
    let resources = "[resources.lists]\nprimary_key = \"id\"\n[resources.items]\nparent = \"lists\"\n\
                     path = \"{{ parent.items_url }}\"\npaginator = \"single_page\"\nprimary_key = \"item\"\n";
    env.pipeline(&pipeline_with_client(&server, client, resources));
    let outcome = env.load().expect_code(1);
    let rows = "SELECT string_agg(item, ' ' ORDER BY item) FROM api.items";
    assert_eq!(env.warehouse().value(rows), "2 a/b", "{}", outcome.transcript());
    assert!(outcome.stderr.contains("`path` leads to a host that is not allowed"), "{}", outcome.transcript());
    assert!(other.requests().is_empty());
}

#[test]
fn what_comes_before_is_checked_in_the_file() {
    let env = TestEnv::new();
    for (before, path, message) in [
        ("name = \"job\"\npath = \"jobs\"", "{{ before.jobs.body.id }}", "no request before this one gives"),
        (
            "name = \"job\"\npath = \"jobs\"",
            "{{ before.job.id }}",
            "is neither in the body of an answer nor in its headers",
        ),
        ("name = \"job\"\npath = \"jobs/{{ before.job.body.id }}\"", "x", "`before.job.body.id` has no value here"),
        ("name = \"job\"\npath = \"jobs/{{ page.number }}\"", "x", "`page.number` has no value before the first page"),
        ("name = \"1\"\npath = \"jobs\"", "x", "`1` can't be a name in expressions"),
        ("path = \"jobs\"", "x", "`name`"),
    ] {
        env.pipeline(&format!(
            "[client]\nbase_url = \"https://api.example.com/\"\n[resources.rows]\npath = \"{path}\"\n\
             [[resources.rows.before]]\n{before}\n"
        ));
        let outcome = env.run(&["check", "api"]).expect_code(2);
        assert!(outcome.stderr.contains(message), "{message}: {}", outcome.transcript());
    }
}
