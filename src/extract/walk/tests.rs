use super::super::fixture::{client, header_link, incremental, offset, resource};
use super::*;
use crate::http::transport::{TransportError, WireRequest, WireResponse};
use crate::http::{Limiter, Pace, Transport};
use crate::plan::model::{Action, Offset, PageNumber, Paginator, ResponseAction, Retry, StatusSet};
use crate::run::shutdown::Stop;
use futures_util::future::BoxFuture;
use proptest::prelude::*;
use reqwest::header::{HeaderName, HeaderValue};
use std::collections::VecDeque;
use std::sync::Mutex;

type Scripted = (u16, &'static str, &'static str, &'static str);

/// Answers from a script (status, header, its value, body), and keeps the URLs that were asked for.
struct Script {
    answers: Mutex<VecDeque<Scripted>>,
    urls: Mutex<Vec<String>>,
}

impl Transport for Script {
    fn call(&self, request: WireRequest) -> BoxFuture<'_, Result<WireResponse, TransportError>> {
        self.urls.lock().unwrap().push(request.url.to_string());
        let (status, name, value, body) = self.answers.lock().unwrap().pop_front().expect("the script is long enough");
        let headers = [(HeaderName::from_static(name), HeaderValue::from_static(value))].into_iter().collect();
        Box::pin(
            async move { Ok(WireResponse { status, headers, body: Bytes::from_static(body.as_bytes()), file: None }) },
        )
    }
}

fn start(resource: Resource, answers: &[Scripted]) -> (Walk, Arc<Script>) {
    let script = Arc::new(Script { answers: Mutex::new(answers.iter().copied().collect()), urls: Mutex::default() });
    let mut client = client();
    client.retry = Retry { max_attempts: 2, ..client.retry };
    let limiter = Limiter::open(None, &[]).unwrap();
    let http = Http::new(&client, script.clone(), limiter, Stop::default(), Pace::RealTime, None);
    let spec = WalkSpec {
        resource: Arc::new(resource),
        client: Arc::new(client),
        scope: Scope { cursor_start: Some("2026-01-01".into()), ..Scope::default() },
        http,
        credentials: Arc::new(Credentials::none()),
        meter: Arc::new(Meter::default()),
        files: None,
    };
    (Walk::new(spec), script)
}

fn json(body: &'static str) -> Scripted {
    (200, "content-type", "application/json", body)
}

/// Walks to the end; the pages' first slices.
async fn run(walk: &mut Walk) -> Result<Vec<String>> {
    let mut pages = Vec::new();
    while let Some(page) = walk.next_page().await? {
        let records: Vec<serde_json::Value> =
            page.records.iter().flat_map(|slice| serde_json::from_slice::<Vec<_>>(slice).unwrap()).collect();
        pages.push(page.records.iter().map(|slice| String::from_utf8_lossy(slice)).collect());
        walk.accept(records.len() as u64)?;
    }
    Ok(pages)
}

#[tokio::test]
async fn pages_are_walked_to_a_stated_end() {
    let mut videos = resource(Paginator::Offset(offset(2)));
    videos.incremental = Some(incremental("since"));
    let (mut walk, script) = start(videos, &[json("[1,2]"), json("[3]"), json("[]")]);
    assert_eq!(run(&mut walk).await.unwrap(), ["[1,2]", "[3]", "[]"]);
    assert_eq!(walk.end().map(ToString::to_string).as_deref(), Some("empty page"));
    assert_eq!(walk.chosen_selector().as_deref(), Some("$"));
    assert!(walk.warnings().is_empty());
    let urls = script.urls.lock().unwrap();
    assert_eq!(urls[1], "https://api.test/v1/videos?since=2026-01-01&offset=2&limit=2");
    assert_eq!(urls[2], "https://api.test/v1/videos?since=2026-01-01&offset=3&limit=2");
}

#[tokio::test]
async fn a_repeated_page_is_never_handed_out() {
    let (mut walk, _) = start(resource(Paginator::Offset(offset(2))), &[json("[1,2]"), json("[1,2]")]);
    let error = run(&mut walk).await.unwrap_err();
    assert_eq!(error.message(), "the server ignores `offset`: page 2 is the same as page 1");
    assert_eq!(error.context("request"), Some("GET https://api.test/v1/videos?offset=2&limit=2"));
    assert_eq!(error.context("page"), Some("2"));
    let mut stop = resource(Paginator::Offset(offset(2)));
    stop.on_repeat = crate::plan::model::OnRepeat::Stop;
    let (mut walk, _) = start(stop, &[json("[1,2]"), json("[1,2]")]);
    assert_eq!(run(&mut walk).await.unwrap(), ["[1,2]"]);
    assert_eq!(walk.end(), Some(&EndReason::RepeatedPage));
}

#[tokio::test]
async fn a_broken_body_is_asked_for_again_and_then_named() {
    let (mut walk, _) = start(resource(Paginator::SinglePage), &[json("{\"data\":[1,2"), json("{\"data\":[1,2]}")]);
    assert_eq!(run(&mut walk).await.unwrap(), ["[1,2]"]);
    let html = (200, "content-type", "text/html", "<html>login</html>");
    let (mut walk, _) = start(resource(Paginator::SinglePage), &[html, html]);
    let error = run(&mut walk).await.unwrap_err();
    assert!(error.report().contains("the server sent HTML, not JSON"), "{}", error.report());
    assert_eq!(error.kind(), Kind::Body);
}

#[tokio::test]
async fn records_that_can_not_be_decoded_are_asked_for_again_until_the_tries_are_used_up() {
    let undecodable = || Error::new(Kind::Body, "record 1 is not JSON");
    let videos = resource(Paginator::Offset(offset(2)));
    let pages = [json("[1,2]"), json("[3,,]"), json("[3,4]"), json("[5,,]"), json("[5,,]")];
    let (mut walk, script) = start(videos, &pages);
    walk.next_page().await.unwrap().unwrap();
    walk.accept(2).unwrap();
    walk.next_page().await.unwrap().unwrap();
    walk.ask_again(undecodable()).await.unwrap();
    let page = walk.next_page().await.unwrap().unwrap();
    assert_eq!((page.number, &page.records[0][..]), (2, &b"[3,4]"[..]));
    walk.accept(2).unwrap();
    walk.next_page().await.unwrap().unwrap();
    walk.ask_again(undecodable()).await.unwrap();
    // The same records again are no repeated page: the first answer did not count.
    walk.next_page().await.unwrap().unwrap();
    let error = walk.ask_again(undecodable()).await.unwrap_err();
    assert_eq!((error.message(), error.context("page")), ("record 1 is not JSON", Some("3")));
    let urls = script.urls.lock().unwrap();
    assert_eq!(urls[1], urls[2]);
    assert_eq!(urls.len(), 5);
}

#[tokio::test]
async fn an_object_after_lists_is_no_record_unless_the_file_says_so() {
    let pages = [json("[1,2]"), json("{\"error\":\"too fast\"}"), json("[]")];
    let (mut walk, _) = start(resource(Paginator::Offset(offset(2))), &pages);
    let error = run(&mut walk).await.unwrap_err();
    assert_eq!(error.message(), "the answer has no list where the first one had the records");
    assert_eq!((error.context("page"), error.context("body")), (Some("2"), Some("{\"error\":\"too fast\"}")));
    let mut told = resource(Paginator::Offset(offset(2)));
    told.selector = crate::plan::model::Selector::Path(Vec::new());
    let (mut walk, _) = start(told, &pages);
    walk.next_page().await.unwrap().unwrap();
    walk.accept(2).unwrap();
    assert_eq!(walk.next_page().await.unwrap().unwrap().records.len(), 1);
}

#[tokio::test]
async fn an_error_of_paging_names_the_page_that_shows_it() {
    let mut videos = resource(Paginator::Offset(offset(2)));
    videos.max_pages = Some(1);
    let (mut walk, _) = start(videos, &[json("[1,2]")]);
    assert_eq!(run(&mut walk).await.unwrap_err().context("page"), Some("1"));
}

#[tokio::test]
async fn an_error_of_the_selector_names_request_status_and_body() {
    let mut videos = resource(Paginator::SinglePage);
    videos.selector = crate::plan::model::Selector::Path(vec![crate::plan::model::Step::Key("data".into())]);
    let (mut walk, _) = start(videos.clone(), &[json("{\"items\":[1]}")]);
    let error = run(&mut walk).await.unwrap_err();
    assert_eq!(error.message(), "the answer has no `data`, which `data_selector` needs");
    for label in ["request", "status", "body", "resource", "page"] {
        assert!(error.context(label).is_some(), "{label}");
    }
    videos.allow_missing = true;
    let (mut walk, _) = start(videos, &[json("{}")]);
    assert_eq!(run(&mut walk).await.unwrap(), [""]);
    assert_eq!(walk.warnings(), [Warning::NeverMatched]);
}

#[tokio::test]
async fn an_answer_that_is_ignored_or_the_end_ends_the_walk_with_its_status() {
    for (action, expected) in [(Action::Ignore, "ignored (404)"), (Action::End, "end (404)")] {
        let mut videos = resource(Paginator::Offset(offset(1)));
        videos.response_actions =
            vec![ResponseAction { statuses: vec![StatusSet::One(404)], ..ResponseAction::new(action) }];
        let (mut walk, _) = start(videos, &[json("[1]"), (404, "x-a", "b", "{}")]);
        assert_eq!(run(&mut walk).await.unwrap(), ["[1]"]);
        assert_eq!(walk.end().map(ToString::to_string).as_deref(), Some(expected));
    }
}

#[tokio::test]
async fn links_to_other_hosts_are_followed_only_where_they_are_allowed() {
    let page = |link| (200, "link", link, "[1]");
    let links = || resource(header_link(None));
    let (mut walk, _) = start(links(), &[page("<https://evil.test/b>; rel=next")]);
    let error = run(&mut walk).await.unwrap_err();
    assert!(error.report().contains("allowed_hosts"), "{}", error.report());
    let (mut walk, _) = start(links(), &[page("<https://files.test/b>; rel=next"), json("[2]")]);
    assert_eq!(run(&mut walk).await.unwrap().len(), 2);
}

#[tokio::test]
async fn no_content_is_an_empty_page_and_pages_must_be_accepted() {
    let (mut walk, _) = start(resource(Paginator::SinglePage), &[(204, "x-a", "b", "")]);
    let page = walk.next_page().await.unwrap().unwrap();
    assert!(page.records.is_empty() && walk.end().is_none());
    assert_eq!(walk.next_page().await.unwrap_err().kind(), Kind::Internal);
}

#[test]
fn a_walk_can_be_driven_from_any_thread() {
    fn is_send<T: Send>(_: &T) {}
    let (mut walk, _) = start(resource(Paginator::SinglePage), &[]);
    is_send(&walk);
    is_send(&walk.next_page());
}

/// Lists numbers, by offset or by page, with or without a total; keeps count of requests.
struct Numbers {
    count: u64,
    cap: u64,
    tells_total: bool,
    /// Requests from this position on fail the first time.
    fails_from: Option<u64>,
    failed: Mutex<std::collections::BTreeSet<u64>>,
    request_count: std::sync::atomic::AtomicU64,
}

impl Transport for Numbers {
    fn call(&self, request: WireRequest) -> BoxFuture<'_, Result<WireResponse, TransportError>> {
        self.request_count.fetch_add(1, std::sync::atomic::Ordering::Relaxed);
        let param = |name: &str| {
            request.url.query_pairs().find(|(n, _)| n == name).map(|(_, value)| value.parse::<u64>().unwrap())
        };
        let size = param("limit").unwrap_or(u64::MAX).min(self.cap);
        let from = param("offset").unwrap_or_else(|| (param("page").unwrap() - 1) * size);
        let fails = self.fails_from.is_some_and(|at| from >= at) && self.failed.lock().unwrap().insert(from);
        let numbers: Vec<u64> = (from.min(self.count)..from.saturating_add(size).min(self.count)).collect();
        let mut body = serde_json::json!({ "data": numbers });
        if self.tells_total {
            body["total"] = self.count.into();
        }
        let (status, body) = (if fails { 500 } else { 200 }, Bytes::from(body.to_string()));
        Box::pin(async move {
            tokio::task::yield_now().await;
            Ok(WireResponse { status, headers: HeaderMap::new(), body, file: None })
        })
    }
}

/// Walks a list of numbers: the pages, the end, the requests, and the warnings.
fn walk_numbers(paginator: Paginator, numbers: Numbers) -> (Vec<String>, String, u64, Vec<Warning>) {
    let numbers = Arc::new(numbers);
    let mut client = client();
    client.retry = Retry { max_attempts: 2, statuses: vec![500], ..client.retry };
    client.concurrency = 4;
    let http =
        Http::new(&client, numbers.clone(), Limiter::open(None, &[]).unwrap(), Stop::default(), Pace::RealTime, None);
    let mut resource = resource(paginator);
    resource.selector = crate::plan::model::Selector::Path(vec![crate::plan::model::Step::Key("data".into())]);
    let spec = WalkSpec {
        resource: Arc::new(resource),
        client: Arc::new(client),
        scope: Scope::default(),
        http,
        credentials: Arc::new(Credentials::none()),
        meter: Arc::new(Meter::default()),
        files: None,
    };
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    runtime.block_on(async {
        let mut walk = Walk::new(spec);
        let pages = run(&mut walk).await.unwrap();
        let end = walk.end().map(ToString::to_string).unwrap_or_default();
        (pages, end, numbers.request_count.load(std::sync::atomic::Ordering::Relaxed), walk.warnings())
    })
}

fn numbers(count: u64, cap: u64) -> Numbers {
    let (failed, request_count) = (Mutex::default(), std::sync::atomic::AtomicU64::new(0));
    Numbers { count, cap, tells_total: false, fails_from: None, failed, request_count }
}

fn numbered(by_page: bool, limit: u64, tells_total: bool, prefetch: usize) -> Paginator {
    let total = tells_total.then(|| super::super::fixture::total("total"));
    if by_page {
        Paginator::PageNumber(PageNumber { prefetch, total, ..super::super::fixture::page_number() })
    } else {
        Paginator::Offset(Offset { prefetch, total, ..offset(limit) })
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]
    #[test]
    fn pages_asked_for_ahead_change_nothing(
        count in 0u64..120, cap in 1u64..20, limit in 1u64..20, by_page in any::<bool>(), tells_total in any::<bool>(),
        fails_from in proptest::option::of(0u64..120), prefetch in 2usize..9
    ) {
        let walked = |prefetch| {
            let server = Numbers { tells_total, fails_from, ..numbers(count, cap) };
            walk_numbers(numbered(by_page, limit, tells_total, prefetch), server)
        };
        let (one, many) = (walked(1), walked(prefetch));
        prop_assert_eq!(&one.0, &many.0);
        prop_assert_eq!((one.1, one.3), (many.1, many.3));
        let pages = one.0.len() as u64;
        // Never more guesses than pages that were needed; a failed guess is asked for once more.
        prop_assert!(many.2 <= (one.2 + pages + 1) * 2, "{} requests for {} pages", many.2, pages);
    }
}

#[test]
fn short_lists_cost_no_request_ahead_and_totals_bound_them() {
    let (_, _, requests, _) = walk_numbers(numbered(false, 10, false, 8), numbers(7, 100));
    assert_eq!(requests, 2, "a page and the empty one");
    let server = Numbers { tells_total: true, ..numbers(95, 10) };
    let (pages, end, requests, _) = walk_numbers(numbered(false, 10, true, 8), server);
    assert_eq!((pages.len(), end.as_str(), requests), (10, "total reached (95)", 10));
}

#[tokio::test]
async fn an_answer_is_asked_for_until_it_is_ready() {
    let poll = |ready: &str, timeout_ms| crate::plan::model::Poll {
        path: super::super::envelope::tests::path("status"),
        ready: vec![ready.to_owned()],
        fail_on: vec!["failed".to_owned()],
        interval: std::time::Duration::from_millis(20),
        timeout: std::time::Duration::from_millis(timeout_ms),
    };
    let with = |poll| {
        let mut job = resource(Paginator::SinglePage);
        job.poll = Some(poll);
        job.selector = crate::plan::model::Selector::Path(vec![crate::plan::model::Step::Key("data".into())]);
        job
    };
    let answers = [(202, "x-a", "b", ""), json("{\"status\":\"busy\"}"), json("{\"status\":\"done\",\"data\":[1]}")];
    let (mut walk, script) = start(with(poll("done", 60_000)), &answers);
    assert_eq!(run(&mut walk).await.unwrap(), ["[1]"]);
    assert_eq!(script.urls.lock().unwrap().len(), 3);
    let (mut walk, script) =
        start(with(poll("done", 30)), &[json("{\"status\":\"busy\"}"), json("{\"status\":\"busy\"}")]);
    let error = run(&mut walk).await.unwrap_err();
    assert_eq!(error.message(), "the answer was not ready within `poll.timeout`");
    assert_eq!((error.context("last"), error.context("resource")), (Some("`status` was `busy`"), Some("videos")));
    assert!(script.urls.lock().unwrap().len() <= 2);
    let (mut walk, _) = start(with(poll("done", 60_000)), &[json("{\"status\":\"failed\"}")]);
    assert_eq!(run(&mut walk).await.unwrap_err().message(), "the answer will not be ready: `status` is `failed`");
}
