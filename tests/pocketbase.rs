//! The bundled `pipelines/pocketbase.toml`, against a real PocketBase.

use crate::support::pocketbase::{EMAIL, PASSWORD, PocketBase};
use crate::support::{Outcome, Reply, Request, Server, TestEnv, Warehouse, http};
use serde_json::{Value, json};
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

const PIPELINE: &str = include_str!("../pipelines/pocketbase.toml");

const AUTHORS: usize = 12;
const POSTS: usize = 3_100;
const COMMENTS: usize = 400;

/// An id as PocketBase wants it: 15 letters and digits.
fn id(prefix: &str, number: usize) -> String {
    format!("{prefix}{number:011}")
}

/// A blog with relations: a post has an author and tags, a comment a post.
fn blog() -> PocketBase {
    let server = PocketBase::start();
    let text = |name: &str| json!({ "name": name, "type": "text" });
    let relation = |name: &str, collection: &str, many: usize| json!({ "name": name, "type": "relation", "collectionId": collection, "maxSelect": many });
    let tags = server.create_collection("tags", vec![text("name")]);
    let authors = server.create_collection("authors", vec![text("name")]);
    let fields = vec![
        text("title"),
        json!({ "name": "rating", "type": "number" }),
        json!({ "name": "published", "type": "bool" }),
        json!({ "name": "meta", "type": "json" }),
        relation("author", &authors, 1),
        relation("tags", &tags, 9),
    ];
    let posts = server.create_collection("posts", fields);
    server.create_collection("comments", vec![text("text"), relation("post", &posts, 1)]);
    let create = |collection: &str, range: std::ops::Range<usize>, record: &dyn Fn(usize) -> Value| {
        server.batch(collection, range.map(|number| ("POST", String::new(), record(number))));
    };
    create("tags", 0..5, &|n| json!({ "id": id("tags", n), "name": format!("tag {n}") }));
    create("authors", 0..AUTHORS, &|n| json!({ "id": id("auth", n), "name": format!("author {n}") }));
    for start in (0..POSTS).step_by(1_000) {
        create("posts", start..POSTS.min(start + 1_000), &post);
    }
    create(
        "comments",
        0..COMMENTS,
        &|n| json!({ "id": id("comm", n), "text": format!("comment {n}"), "post": id("post", n * 7 % POSTS) }),
    );
    server
}

fn post(number: usize) -> Value {
    json!({
        "id": id("post", number),
        "title": format!("post {number}"),
        "rating": number as f64 / 4.0,
        "published": number.is_multiple_of(2),
        "meta": { "words": number, "language": if number.is_multiple_of(3) { Value::Null } else { json!("pt") } },
        "author": id("auth", number % AUTHORS),
        "tags": (0..number % 3).map(|tag| id("tags", tag)).collect::<Vec<_>>(),
    })
}

fn retitle(server: &PocketBase, numbers: impl IntoIterator<Item = usize>, title: &str) {
    let change =
        |number| ("PATCH", format!("/{}", id("post", number)), json!({ "title": format!("{title} {number}") }));
    server.batch("posts", numbers.into_iter().map(change));
}

/// Passes a request on, as it came.
fn forward(server: &PocketBase, request: &Request) -> Reply {
    let query = url::form_urlencoded::Serializer::new(String::new()).extend_pairs(&request.params).finish();
    let target = format!("{}?{query}", request.path);
    let kept = |(name, value): &&(String, String)| matches!(name.as_str(), "authorization") && !value.is_empty();
    let headers: Vec<(&str, &str)> =
        request.headers.iter().filter(kept).map(|(name, value)| (name.as_str(), value.as_str())).collect();
    let body = serde_json::from_str(&request.body).ok();
    let answer = http::send(server.authority(), &request.method, &target, &headers, body.as_ref());
    let answer = answer.unwrap_or_else(|e| panic!("{target}: {e}"));
    let content_type = answer.headers.iter().find(|(name, _)| name == "content-type").map_or("", |(_, value)| value);
    Reply::new(answer.status, content_type, answer.body.clone())
}

fn env_for(url: String) -> TestEnv {
    let mut env = TestEnv::new();
    env.write("pipelines/pocketbase.toml", PIPELINE);
    env.set("POCKETBASE_URL", url);
    env.set("POCKETBASE_EMAIL", EMAIL);
    env.set("POCKETBASE_PASSWORD", PASSWORD);
    env
}

fn load(env: &TestEnv, warehouse: &Warehouse, further_args: &[&str]) -> Outcome {
    let destination = warehouse.flag();
    let args = [&["run", "pocketbase", "--output", "json", "--destination", &destination], further_args].concat();
    env.run(&args).expect_code(0)
}

/// A time of the server in milliseconds since 1970.
fn millis(time: &Value) -> String {
    let text = time.as_str().expect("a time").replace(' ', "T");
    chrono::DateTime::parse_from_rfc3339(&text).expect("a time").timestamp_millis().to_string()
}

/// The server's posts as lines of text: every field.
fn posts_of_server(server: &PocketBase) -> Vec<Vec<String>> {
    let line = |record: &Value| {
        let text = |value: &Value| value.as_str().map_or_else(|| value.to_string(), str::to_owned);
        let language = &record["meta"]["language"];
        vec![
            text(&record["id"]),
            text(&record["title"]),
            record["rating"].as_f64().expect("a number").to_string(),
            text(&record["published"]),
            text(&record["meta"]["words"]),
            language.as_str().unwrap_or("NULL").to_owned(),
            text(&record["author"]),
            millis(&record["created"]),
            millis(&record["updated"]),
        ]
    };
    server.records("posts").iter().map(line).collect()
}

/// The same of the warehouse.
fn posts_of_warehouse(warehouse: &Warehouse) -> Vec<Vec<String>> {
    let mut rows = warehouse.query(
        "SELECT id, title, rating, published, meta__words, meta__language, author, epoch_ms(created), epoch_ms(updated) \
         FROM pocketbase.posts ORDER BY id",
    );
    for row in &mut rows {
        row[2] = row[2].parse::<f64>().expect("a number").to_string();
    }
    rows
}

#[track_caller]
fn assert_posts(server: &PocketBase, warehouse: &Warehouse) {
    let (expected, actual) = (posts_of_server(server), posts_of_warehouse(warehouse));
    assert_eq!(actual.len(), expected.len(), "posts");
    let differing = actual.iter().zip(&expected).find(|(a, b)| a != b);
    assert!(differing.is_none(), "is {:?}\nshould be {:?}", differing.unwrap().0, differing.unwrap().1);
}

fn records(outcome: &Outcome, resource: &str) -> u64 {
    outcome.resource(resource)["records"].as_u64().expect("a count")
}

#[test]
fn relations_and_changes_arrive_exactly_even_while_pages_are_read() {
    let server = Arc::new(blog());
    let (behind, pages) = (server.clone(), AtomicUsize::new(0));
    let proxy = Server::start(move |request| {
        // Early posts move to the end while a later page is asked for, and the session ends once.
        match (request.path.as_str(), pages.load(Ordering::SeqCst)) {
            ("/api/collections/posts/records", page) => {
                pages.store(page + 1, Ordering::SeqCst);
                if page == 3 {
                    retitle(&behind, (0..60).chain(1_400..1_430), "moved");
                }
                if page == 4 {
                    return Reply::status(401);
                }
                forward(&behind, request)
            }
            _ => forward(&behind, request),
        }
    });
    let env = env_for(proxy.url("/"));
    let warehouse = env.warehouse();
    let first = load(&env, &warehouse, &[]);
    assert_posts(&server, &warehouse);
    assert!(records(&first, "posts") >= POSTS as u64, "{}", first.transcript());
    let logins = proxy.requests_for("/api/collections/_superusers/auth-with-password").len();
    assert_eq!(logins, 2, "one login, and one when the session ended");
    let tags: usize = server.records("posts").iter().map(|r| r["tags"].as_array().expect("a list").len()).sum();
    assert_eq!(warehouse.count("pocketbase.posts__tags"), tags as u64);
    assert_eq!(warehouse.count("pocketbase.authors"), AUTHORS as u64);
    let by_relation = "SELECT count(*), count(DISTINCT c.id) FROM pocketbase.comments c \
        JOIN pocketbase.posts p ON p.id = c.post AND p.author = c.authors_id";
    assert_eq!(warehouse.query(by_relation), [[COMMENTS.to_string(), COMMENTS.to_string()]]);

    retitle(&server, 100..105, "changed");
    server.batch("posts", [("POST", String::new(), post(POSTS)), ("POST", String::new(), post(POSTS + 1))]);
    server.batch("posts", [("DELETE", format!("/{}", id("post", 9)), Value::Null)]);
    let second = load(&env, &warehouse, &[]);
    assert!(records(&second, "posts") < 100, "only changes: {}", second.transcript());
    let deleted = format!("FROM pocketbase.posts WHERE id = '{}'", id("post", 9));
    assert_eq!(warehouse.value(&format!("SELECT count(*) {deleted}")), "1", "a deletion is no change");
    assert_eq!(warehouse.count("pocketbase.posts"), POSTS as u64 + 2);
    assert_eq!(warehouse.value("SELECT count(*) FROM pocketbase.posts WHERE title LIKE 'changed %'"), "5");

    load(&env, &warehouse, &["--full-refresh"]);
    assert_posts(&server, &warehouse);
    for (path, bytes) in env.bytes_below(".") {
        let found = bytes.windows(PASSWORD.len()).any(|w| w == PASSWORD.as_bytes());
        assert!(!found, "the password is in {}", path.display());
    }
}

#[test]
fn a_wrong_password_is_named_and_nothing_is_loaded() {
    let server = PocketBase::start();
    let mut env = env_for(format!("http://{}/", server.authority()));
    env.set("POCKETBASE_PASSWORD", "not-the-password");
    let outcome = env.run(&["run", "pocketbase"]).expect_code(1);
    let outcome = outcome.expect_stderr(&["auth-with-password", "400", "Failed to authenticate"]);
    assert!(!outcome.stderr.contains("not-the-password"), "{}", outcome.transcript());
}
