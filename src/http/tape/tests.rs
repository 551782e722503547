use super::*;
use crate::http::download;
use crate::http::transport::{Transport, TransportError, TransportErrorKind, WireRequest, WireResponse};
use crate::secret;
use bytes::Bytes;
use chrono::{DateTime, Utc};
use futures_util::future::BoxFuture;
use reqwest::Method;
use reqwest::header::{HeaderMap, HeaderValue};
use std::collections::VecDeque;
use std::sync::{Arc, Mutex};
use tempfile::TempDir;
use url::Url;

type Result1 = Result<WireResponse, TransportError>;

/// Answers in order, whatever is asked.
struct Script(Mutex<VecDeque<Result1>>);

impl Script {
    fn new(answers: impl IntoIterator<Item = Result1>) -> Arc<Script> {
        Arc::new(Script(Mutex::new(answers.into_iter().collect())))
    }
}

impl Transport for Script {
    fn call(&self, _: WireRequest) -> BoxFuture<'_, Result1> {
        let next = self.0.lock().unwrap().pop_front().expect("one more answer");
        Box::pin(std::future::ready(next))
    }
}

fn answer(status: u16, body: &[u8]) -> Result1 {
    Ok(WireResponse { status, headers: HeaderMap::new(), body: Bytes::copy_from_slice(body), file: None })
}

fn get(path: &str) -> WireRequest {
    WireRequest {
        method: Method::GET,
        url: Url::parse("https://api.test/").unwrap().join(path).unwrap(),
        headers: HeaderMap::new(),
        body: None,
        body_bytes_max: 1 << 20,
        secret_params: Vec::new(),
        is_login: false,
        download: None,
    }
}

fn start() -> DateTime<Utc> {
    DateTime::from_timestamp(1_700_000_000, 0).unwrap()
}

fn header() -> Header {
    Header::new("api", start(), &Env::default())
}

/// Sends requests through a recorder; what is in the folder then.
async fn record(folder: &Path, exchanges: Vec<(WireRequest, Result1)>) -> String {
    let (requests, answers): (Vec<_>, Vec<_>) = exchanges.into_iter().unzip();
    let recorder = Recorder::create(folder, &header(), Script::new(answers)).unwrap();
    for request in requests {
        let _ = recorder.call(request).await;
    }
    std::fs::read_to_string(folder.join(EXCHANGES_FILE)).unwrap()
}

fn play(folder: &Path) -> Player {
    Player::new(Arc::new(Tape::open(folder).unwrap()))
}

fn folder() -> TempDir {
    tempfile::tempdir().unwrap()
}

#[tokio::test]
async fn every_body_comes_back_byte_for_byte() {
    let large = format!("[\"{}\"]", "x".repeat(70_000));
    let bodies: Vec<(&[u8], &str)> = vec![
        (b"", "\"headers\":{}}"),
        (br#"{"n": 12345678901234567890.10, "a":1,"a":2}"#, r#""body":{"json":{"n": 12345678901234567890.10,"#),
        (b"[1,\n 2]\n", r#""body":{"text":"[1,\n 2]\n"}"#),
        (b"null", r#""body":{"text":"null"}"#),
        ("{\"a\": \u{e9}\u{1f986}".as_bytes(), r#""body":{"text":"#),
        (b"\xff\xfe\x00\x01", r#""body":{"base64":"#),
        (large.as_bytes(), r#""body":{"file":"bodies/000007.json"}"#),
    ];
    let dir = folder();
    let answered = bodies.iter().enumerate().map(|(i, (body, _))| {
        let mut answered = answer(200, body).unwrap();
        answered.headers.insert("content-type", HeaderValue::from_static("application/json"));
        (get(&format!("items/{i}")), Ok(answered))
    });
    let tape = record(dir.path(), answered.collect()).await;
    for ((_, shown), line) in bodies.iter().zip(tape.lines().skip(1)) {
        assert!(line.contains(shown.trim_start_matches("\"headers\":{}")), "{line}\nlacks {shown}");
    }
    let player = play(dir.path());
    for (i, (body, _)) in bodies.iter().enumerate() {
        let replayed = player.call(get(&format!("items/{i}"))).await.unwrap();
        assert_eq!(replayed.body, *body);
        assert_eq!(replayed.headers["content-type"], "application/json");
    }
    assert_eq!(player.unused_count(), 0);
}

#[tokio::test]
async fn equal_requests_are_answered_in_recorded_order_and_failures_come_back() {
    let dir = folder();
    let truncated = TransportError::new(TransportErrorKind::Truncated, "cut off").with_received(200, b"[{\"id\":1");
    let exchanges = vec![
        (get("items?b=2&a=1"), Err(TransportError::new(TransportErrorKind::Reset, "connection reset"))),
        (get("items?b=2&a=1"), Err(truncated)),
        (get("items?a=1&b=2"), answer(503, b"busy")),
        (get("items?a=1&b=2"), answer(200, b"[]")),
    ];
    record(dir.path(), exchanges).await;
    let player = play(dir.path());
    let ask = || player.call(get("items?a=1&b=2"));
    assert_eq!(ask().await.unwrap_err().kind, TransportErrorKind::Reset);
    let truncated = ask().await.unwrap_err();
    let received = truncated.received.as_ref().unwrap();
    assert_eq!((truncated.kind, received.status, received.bytes), (TransportErrorKind::Truncated, 200, 8));
    assert_eq!(truncated.to_string(), "cut off");
    assert_eq!(ask().await.unwrap().status, 503);
    assert_eq!(ask().await.unwrap().status, 200);
    let spent = ask().await.unwrap_err();
    assert_eq!(spent.kind, TransportErrorKind::NotOnTape);
    assert_eq!(spent.to_string(), "it was recorded 4 times, and is asked for once more");
}

#[tokio::test]
async fn requests_that_differ_in_a_header_alone_are_told_apart() {
    let with_page = |page: &'static str| {
        let mut request = get("items");
        request.headers.insert("x-page", HeaderValue::from_static(page));
        request
    };
    let dir = folder();
    record(dir.path(), vec![(with_page("1"), answer(200, b"[1]")), (with_page("2"), answer(200, b"[2]"))]).await;
    let player = play(dir.path());
    assert_eq!(player.call(with_page("2")).await.unwrap().body, "[2]");
    assert_eq!(player.call(with_page("3")).await.unwrap().body, "[1]");
}

#[tokio::test]
async fn no_secret_is_written_and_none_is_needed_to_play() {
    crate::secret::register("tok-4f1c9e");
    crate::secret::register("55512345");
    let dir = folder();
    let secret_request = |token: &'static str, number: &str, login: bool| {
        let mut request = get(&format!("accounts/{number}/items?key={token}&a=1"));
        let mut authorization = HeaderValue::from_str(&format!("Bearer {token}-not-registered")).unwrap();
        authorization.set_sensitive(true);
        request.headers.insert("authorization", authorization);
        request.body = Some(Bytes::from(format!("{{\"q\":\"{token}\",\"n\":{number}}}")));
        request.secret_params = vec!["key".to_owned()];
        request.is_login = login;
        request
    };
    let mut login_answer = answer(200, br#"{"access_token":"fresh-token-value","expires_in":3600}"#).unwrap();
    login_answer.headers.insert("set-cookie", HeaderValue::from_static("sid=fresh-cookie; Path=/"));
    let exchanges = vec![
        (secret_request("tok-4f1c9e", "55512345", false), answer(200, br#"[{"id":55512345,"echo":"tok-4f1c9e"}]"#)),
        (secret_request("tok-4f1c9e", "55512345", true), Ok(login_answer)),
    ];
    let tape = record(dir.path(), exchanges).await;
    for secret in ["tok-4f1c9e", "55512345", "fresh-token-value", "fresh-cookie"] {
        assert!(!tape.contains(secret), "{secret} in\n{tape}");
    }
    let player = play(dir.path());
    let items = player.call(secret_request("***", "99999999", false)).await.unwrap();
    assert_eq!(items.body, r#"[{"id":99999999,"echo":"***"}]"#);
    // A login may be repeated: when a token ends is not a matter of the recording.
    for _ in 0..3 {
        let login = player.call(secret_request("other", "99999999", true)).await.unwrap();
        assert_eq!(login.body, r#"{"access_token":"***","expires_in":3600}"#);
        assert_eq!(login.headers["set-cookie"], "sid=***; Path=/");
    }
}

#[tokio::test]
async fn a_tape_that_a_killed_run_left_lacks_its_last_line_only() {
    let dir = folder();
    let tape = record(dir.path(), vec![(get("a"), answer(200, b"[1]")), (get("b"), answer(200, b"[2]"))]).await;
    std::fs::write(dir.path().join(EXCHANGES_FILE), &tape[..tape.len() - 5]).unwrap();
    let player = play(dir.path());
    assert_eq!(player.call(get("a")).await.unwrap().body, "[1]");
    assert_eq!(player.call(get("b")).await.unwrap_err().kind, TransportErrorKind::NotOnTape);
}

#[test]
fn variables_are_kept_and_secret_ones_masked() {
    crate::secret::register("tok-77aa12");
    crate::secret::register("808080");
    let used = [("BASE", "https://h/"), ("TOKEN", "tok-77aa12"), ("ACCOUNT", "808080"), ("URL", "x/tok-77aa12")];
    let header = Header::new("api", start(), &Env::from_pairs(used));
    let environment = Env::recorded(header.variables, header.secrets);
    assert_eq!(environment.get("BASE"), Some("https://h/"));
    assert_eq!(environment.get("URL"), Some("x/***"));
    assert_eq!((environment.get("TOKEN"), environment.mask("TOKEN")), (None, Some("***")));
    assert_eq!(environment.mask("ACCOUNT"), Some("999999"));
}

#[test]
fn an_earlier_tape_is_replaced_and_anything_else_is_left_alone() {
    let dir = folder();
    let create = |pipeline: &str| {
        let header = Header::new(pipeline, start(), &Env::default());
        Recorder::create(dir.path(), &header, Script::new([]))
            .map(|_| ())
            .map_err(|e| (e.kind(), e.message().to_owned()))
    };
    assert_eq!(create("api"), Ok(()));
    std::fs::create_dir(dir.path().join(BODIES_FOLDER)).unwrap();
    std::fs::write(dir.path().join("bodies/000001.json"), "[]").unwrap();
    assert_eq!(create("api"), Ok(()));
    assert!(!dir.path().join(BODIES_FOLDER).exists());
    let other = (Kind::Config, "the folder holds the tape of another pipeline".to_owned());
    assert_eq!(create("other"), Err(other));
    std::fs::remove_file(dir.path().join(EXCHANGES_FILE)).unwrap();
    std::fs::write(dir.path().join("notes.txt"), "mine").unwrap();
    let full = (Kind::Config, "the folder for the tape is not empty, and holds no tape".to_owned());
    assert_eq!(create("api"), Err(full));
    assert_eq!(std::fs::read_to_string(dir.path().join("notes.txt")).unwrap(), "mine");
}

#[test]
fn a_tape_that_cannot_be_read_is_refused_by_what_is_wrong() {
    let header = serde_json::to_string(&header()).unwrap();
    let cases = [
        (
            r#"{"pintail_tape":2,"new":true}"#.to_owned(),
            "the tape has version 2 of the format, this program reads up to 1",
        ),
        ("{}".to_owned(), "the tape can't be read"),
        ("not JSON".to_owned(), "the tape can't be read"),
        (String::new(), "the tape can't be read"),
        (format!("{header}\n{{\"request\":1}}"), "a line of the tape is damaged"),
    ];
    for (text, message) in cases {
        let dir = folder();
        std::fs::write(dir.path().join(EXCHANGES_FILE), format!("{text}\n")).unwrap();
        let error = Tape::open(dir.path()).unwrap_err();
        assert_eq!((error.kind(), error.message()), (Kind::Config, message), "{text}");
    }
    assert_eq!(Tape::open(folder().path()).unwrap_err().message(), "there is no tape");
}

#[tokio::test]
async fn a_body_outside_of_the_folder_is_not_read() {
    let dir = folder();
    for name in ["/etc/hostname", "../tape.jsonl", "bodies/../../x", "bodies/", "bodies/.hidden", "tape.jsonl"] {
        let header = serde_json::to_string(&header()).unwrap();
        let exchange = serde_json::json!({
            "request": { "method": "GET", "url": "https://api.test/a" },
            "outcome": { "answer": { "status": 200, "body": { "file": name } } },
        });
        std::fs::write(dir.path().join(EXCHANGES_FILE), format!("{header}\n{exchange}\n")).unwrap();
        let error = play(dir.path()).call(get("a")).await.unwrap_err();
        assert_eq!(error.kind, TransportErrorKind::TapeUnusable, "{name}");
        assert!(error.to_string().contains("outside of its folder"), "{error}");
    }
}

#[tokio::test]
async fn a_large_download_is_copied_without_its_secrets_and_stored_again() {
    secret::register("tok-5e4d3c2b1a");
    let dir = folder();
    let (stored, wanted) = (dir.path().join("stored"), dir.path().join("wanted"));
    let mut content = vec![0xff; 70_000];
    content.extend_from_slice(b"tok-5e4d3c2b1a\x00");
    std::fs::write(&stored, &content).unwrap();
    let file = download::Downloaded { path: stored, bytes: content.len() as u64, sha256: String::new() };
    let answered = WireResponse { file: Some(file), ..answer(200, b"").unwrap() };
    let tape = dir.path().join("tape");
    let line = record(&tape, vec![(get("film"), Ok(answered))]).await;
    assert!(line.contains(r#""body":{"file":"bodies/000001.bin"}"#), "{line}");
    let request = WireRequest { download: Some(wanted.clone()), ..get("film") };
    let replayed = play(&tape).call(request).await.unwrap();
    let masked = [&content[..70_000], b"***\x00"].concat();
    assert_eq!(std::fs::read(&wanted).unwrap(), masked);
    let file = replayed.file.unwrap();
    assert_eq!((file.path, file.bytes), (wanted, masked.len() as u64));
}
