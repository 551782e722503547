//! The bundled `pipelines/mind.toml`, against a server that follows the API's document.

use crate::support::{Reply, Request, Server, TestEnv};
use serde_json::{Value, json};

const PIPELINE: &str = include_str!("../pipelines/mind.toml");
const EXAMPLE: &str = include_str!("../pipelines/mind_conferences.example.csv");
const TOKEN: &str =
    "W1VJggwnvg2ldDdvSYES07tpLCWLDlD5nFakVJ6QSCPiZRpAMGyAzKW07OpM1IpceZ2WT5h5Mu7Ekt7WDTQzMUoQkVTRE4NdYUFE";
const APPLICATION: &str = "00e1db72-c57d-478c-88be-3533d43c8b34";

/// Recorded, with two people.
const MEETING: &str = "1cf69ae4-4c54-47cf-b409-97e88f62fe12";
/// Not recorded, and nobody came.
const EMPTY: &str = "5be1f2a0-6c6f-4d0e-8f4b-0a4f1c1de901";
/// Deleted.
const GONE: &str = "7d1c0a55-90a5-4f4c-9a11-2f8a0f1d3c77";

/// The beginning of an MP4 file, and bytes that are no text.
const RECORDING: &[u8] = b"\x00\x00\x00\x20ftypisom\x00\x00\x02\x00isomiso2avc1mp41\xff\xfe\x00\x80\r\n\r\n\x00";

fn person(id: &str, name: &str, role: &str, online: bool) -> Value {
    let media = json!({ "audio": online, "video": online });
    json!({
        "id": id, "online": online, "name": name, "role": role, "layout": "mosaic",
        "media": media, "secondaryMedia": { "audio": false, "video": false },
    })
}

fn participants(conference: &str, request: &Request) -> Vec<Value> {
    if conference != MEETING {
        return Vec::new();
    }
    let mut people = vec![
        person("24300bf9-d9f2-4bbf-9719-8660d110bc63", "John Doe", "speaker", true),
        person("9a7d2a9a-27c5-45cf-8a1f-8b8e5f0a9d10", "Zoë", "moderator", false),
    ];
    // "There is no guarantee that the order will remain constant over time." Not by the number of the request: which one comes
    // first is chance, and the tape of this server has to say what it says.
    if request.param("detailed").is_some() {
        people.reverse();
    }
    people
}

fn conference(id: &str, request: &Request) -> Reply {
    let recorded = id == MEETING;
    let mut answer = json!({
        "id": id,
        "name": if recorded { "Meeting name" } else { "" },
        "recording": { "layout": "mosaic", "started": recorded },
    });
    match request.param("detailed") {
        Some("true") => answer["participants"] = Value::Array(participants(id, request)),
        Some("false") | None => {}
        Some(_) => return Reply::status(400),
    }
    Reply::json(answer)
}

/// Answers as the document says: 401 without a valid token, 404 for what doesn't exist. Only reads are known.
fn answer(request: &Request) -> Reply {
    let bearer = format!("Bearer {TOKEN}");
    if request.header("authorization") != Some(bearer.as_str()) && request.param("access_token") != Some(TOKEN) {
        return Reply::status(401);
    }
    assert_eq!((request.method.as_str(), request.body.as_str()), ("GET", ""), "{request:?}");
    let segments: Vec<&str> = request.path.trim_matches('/').split('/').collect();
    match segments.as_slice() {
        [APPLICATION, id @ (MEETING | EMPTY)] => conference(id, request),
        [APPLICATION, id @ (MEETING | EMPTY), "participants"] => Reply::json(participants(id, request)),
        [APPLICATION, MEETING, "recording"] => Reply::new(200, "video/mp4", RECORDING),
        _ => Reply::status(404),
    }
}

pub(crate) fn sample() -> Server {
    Server::start(answer)
}

pub(crate) fn variables(server: &Server) -> Vec<(&'static str, String)> {
    vec![
        ("MIND_BASE_URL", server.url("/")),
        ("MIND_APPLICATION_ID", APPLICATION.to_owned()),
        ("MIND_TOKEN", TOKEN.to_owned()),
        ("MIND_CONFERENCES_FILE", "mind_conferences.example.csv".to_owned()),
    ]
}

/// The pipeline beside a list of conferences under its usual name.
fn env_for(server: &Server, conferences: &str) -> TestEnv {
    let mut env = TestEnv::new();
    env.write("pipelines/mind.toml", PIPELINE);
    env.write("pipelines/mind_conferences.csv", conferences);
    for (name, value) in variables(server).into_iter().filter(|(name, _)| *name != "MIND_CONFERENCES_FILE") {
        env.set(name, value);
    }
    env
}

#[test]
fn conferences_participants_and_recordings_are_loaded_and_loading_again_changes_nothing() {
    let server = sample();
    let env = env_for(&server, &format!("{EXAMPLE}{GONE}\n"));
    for warehouse in env.destinations() {
        for _ in 0..2 {
            env.run(&["run", "mind", "--destination", &warehouse.flag()]).expect_code(0);
            assert_eq!(
                warehouse.tables("mind"),
                ["conferences", "conferences__participants", "participants", "recordings"]
            );
            assert_eq!(
                warehouse.query("SELECT id, name, recording__started FROM mind.conferences ORDER BY id"),
                [[MEETING, "Meeting name", "true"], [EMPTY, "", "false"]]
            );
            let people = [["John Doe", "speaker", "true"], ["Zoë", "moderator", "false"]];
            let columns = "SELECT name, \"role\", media__audio FROM";
            assert_eq!(
                warehouse
                    .query(&format!("{columns} mind.participants WHERE conference_id = '{MEETING}' ORDER BY name")),
                people
            );
            assert_eq!(warehouse.query(&format!("{columns} mind.conferences__participants ORDER BY name")), people);
            assert_eq!(warehouse.count("mind.participants"), 2);
            let recordings = warehouse.query("SELECT conference_id, bytes, content_type, path FROM mind.recordings");
            assert_eq!(recordings.len(), 1);
            assert_eq!(recordings[0][..3], [MEETING, &RECORDING.len().to_string(), "video/mp4"]);
        }
    }
    let stored = env.bytes_below("files/mind/recordings");
    assert_eq!(stored.len(), 1, "the same recording is no second file: {stored:?}");
    assert_eq!(stored[0].1, RECORDING);
    assert!(server.requests().iter().all(|r| !r.path.ends_with("/messages")), "nobody asks for messages");
}

#[test]
fn a_participant_who_leaves_stays_in_one_table_and_goes_from_the_other() {
    let server = Server::start(|request| {
        let reply = answer(request);
        // In the second run only the first of them is there.
        if request.number < 3 {
            return reply;
        }
        let john = person("24300bf9-d9f2-4bbf-9719-8660d110bc63", "John Doe", "speaker", true);
        match request.path.rsplit('/').next() {
            Some("participants") => Reply::json(vec![john]),
            Some(MEETING) => Reply::json(json!({ "id": MEETING, "name": "", "participants": [john] })),
            _ => reply,
        }
    });
    let env = env_for(&server, &format!("conference_id\n{MEETING}\n"));
    for count in [2, 1] {
        env.run(&["run", "mind"]).expect_code(0);
        assert_eq!(env.warehouse().count("mind.conferences__participants"), count);
        assert_eq!(env.warehouse().count("mind.participants"), 2);
    }
}

#[test]
fn without_a_valid_token_or_a_list_of_conferences_nothing_is_loaded() {
    let server = sample();
    let mut env = env_for(&server, EXAMPLE);
    env.set("MIND_TOKEN", "another-token");
    env.run(&["run", "mind"]).expect_code(1).expect_stderr(&["401"]);
    std::fs::remove_file(env.path("pipelines/mind_conferences.csv")).expect("the list");
    server.forget();
    env.run(&["run", "mind"]).expect_code(2).expect_stderr(&["mind_conferences.csv"]);
    assert_eq!(server.requests().len(), 0);
}

#[test]
fn messages_are_asked_for_only_by_name_and_their_time_is_a_time() {
    let server = sample();
    let env = env_for(&server, &format!("conference_id\n{MEETING}\n"));
    env.run(&["run", "mind", "--resource", "messages"]).expect_code(1).expect_stderr(&["404", "/messages"]);
    let message = json!([{
        "id": "3f09f6e0-3712-4485-9edf-7af1807b3617", "sentTo": MEETING,
        "sentBy": "24300bf9-d9f2-4bbf-9719-8660d110bc63", "sentAt": 1_516_883_710_000_u64, "text": "Message text",
    }]);
    let future = Server::start(move |_| Reply::json(message.clone()));
    let env = env_for(&future, &format!("conference_id\n{MEETING}\n"));
    env.run(&["run", "mind", "--resource", "messages"]).expect_code(0);
    let warehouse = env.warehouse();
    assert_eq!(warehouse.column_type("mind.messages", "sent_at"), "TIMESTAMP WITH TIME ZONE");
    let sent = "SELECT sent_at = TIMESTAMPTZ '2018-01-25 12:35:10+00', conference_id FROM mind.messages";
    assert_eq!(warehouse.query(sent), [["true", MEETING]]);
}
