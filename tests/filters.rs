//! Records that a filter leaves out.

use crate::support::{Reply, Request, Server, TestEnv, pipeline};
use serde_json::{Value, json};

const CHANNEL_COUNT: u64 = 6;

/// Six channels in pages of two, the second page all drafts, and the members of each.
fn server() -> Server {
    Server::start(|request: &Request| {
        if request.path != "/channels" {
            return Reply::json(vec![json!({ "id": request.path })]);
        }
        let (offset, limit) = (request.number_param("offset", 0), request.number_param("limit", 2));
        let records: Vec<Value> = (1..=CHANNEL_COUNT).map(channel).skip(offset).take(limit).collect();
        Reply::json(records)
    })
}

fn channel(id: u64) -> Value {
    let status = if (3..=4).contains(&id) || id == CHANNEL_COUNT { "draft" } else { "open" };
    json!({ "id": id, "status": status, "tags": [id], "at": format!("2026-01-01T00:00:0{id}Z") })
}

const CHANNELS: &str = "[resources.channels]\nprimary_key = \"id\"\nfilter = \"{{ record.status != vars.unwanted }}\"\n\
    paginator = { type = \"offset\", limit = 2 }\n\
    incremental = { cursor_path = \"at\", start_param = \"since\" }\n\
    [resources.members]\nparent = \"channels\"\npath = \"channels/{{ parent.id }}/members\"\n\
    paginator = \"single_page\"\n[vars]\nunwanted = \"draft\"\n";

#[test]
fn filtered_records_are_counted_and_paging_children_and_cursor_know_of_them_what_they_should() {
    for number in 0..2 {
        let server = server();
        let env = TestEnv::new();
        let warehouse = &env.destinations()[number];
        env.pipeline(&pipeline(&server, CHANNELS));
        let outcome = env.load_into(warehouse, &[]).expect_code(0);
        let report = outcome.resource("channels");
        assert_eq!(report["records"], json!(CHANNEL_COUNT), "a page that is filtered whole is not the end: {report}");
        assert_eq!(report["discarded"], json!({ "filtered": 3 }), "{report}");
        assert!(report["cursor_after"].to_string().contains("00:00:06"), "the cursor moves over them: {report}");
        let ids = "SELECT string_agg(id::VARCHAR, ' ' ORDER BY id) FROM api.channels";
        assert_eq!(warehouse.value(ids), "1 2 5");
        assert_eq!(warehouse.count("api.channels__tags"), 3, "child rows go with their records");
        let mut asked: Vec<String> = server.requests().into_iter().map(|r| r.path).collect();
        asked.retain(|path| path != "/channels");
        asked.sort();
        assert_eq!(asked, ["/channels/1/members", "/channels/2/members", "/channels/5/members"]);
    }
}

#[test]
fn null_records_and_bare_values_are_told_apart() {
    let server = Server::start(|_| Reply::json(json!([null, "a", null, "b", "c"])));
    let env = TestEnv::new();
    let resource = "[resources.names]\npaginator = \"single_page\"\nfilter = \"{{ record.value in ['a', 'c'] }}\"\n";
    env.pipeline(&pipeline(&server, resource));
    let report = env.load().expect_code(0).resource("names");
    assert_eq!(report["discarded"], json!({ "filtered": 1, "null_record": 2 }));
    assert_eq!(env.warehouse().value("SELECT string_agg(value, ' ' ORDER BY value) FROM api.names"), "a c");
}
