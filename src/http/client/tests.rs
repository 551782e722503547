use super::*;
use crate::http::transport::TransportErrorKind;
use crate::http::{Claim, HeaderMap, KeptTokens, Setting, resolve};
use crate::plan::model::{Action, AllowedHost, Auth, BaseUrl, RateLimit, StatusSet, Text};
use crate::plan::template::{Scope, Template};
use crate::run::shutdown::Signal;
use crate::secret::Secret;
use bytes::Bytes;
use futures_util::future::BoxFuture;
use reqwest::header::{HeaderName, HeaderValue};
use std::collections::VecDeque;
use std::sync::Mutex;
use url::Url;

const TOKEN: &str = "tok-9f8e7d6c5b4a-client-tests";
const KEY: &str = "key-1a2b3c4d5e-client-tests";

/// One step of a script: what the transport does with a request.
pub(in crate::http) enum Step {
    Answer(u16, Vec<(&'static str, String)>, &'static str),
    Fault(TransportErrorKind),
    /// Never answers.
    Hang,
}

/// A transport that answers from a script and keeps what it was sent.
#[derive(Default)]
pub(in crate::http) struct Scripted {
    steps: Mutex<VecDeque<Step>>,
    sent: Mutex<Vec<WireRequest>>,
}

impl Scripted {
    pub(in crate::http) fn new(steps: impl IntoIterator<Item = Step>) -> Arc<Self> {
        Arc::new(Scripted { steps: Mutex::new(steps.into_iter().collect()), sent: Mutex::default() })
    }

    /// What was sent: `METHOD URL auth=… key-header=… body=…`.
    pub(in crate::http) fn lines(&self) -> Vec<String> {
        let text = |w: &WireRequest, name: &str| {
            w.headers.get(name).map_or("-".to_owned(), |v| String::from_utf8_lossy(v.as_bytes()).into_owned())
        };
        let line = |w: &WireRequest| {
            let body = w.body.as_ref().map_or("-".to_owned(), |b| String::from_utf8_lossy(b).into_owned());
            format!("{} {} auth={} x-team={} body={body}", w.method, w.url, text(w, "authorization"), text(w, "x-team"))
        };
        self.sent.lock().unwrap().iter().map(line).collect()
    }
}

impl Transport for Scripted {
    fn call(&self, request: WireRequest) -> BoxFuture<'_, Result<WireResponse, TransportError>> {
        self.sent.lock().unwrap().push(request);
        let step = self.steps.lock().unwrap().pop_front().expect("the script is long enough");
        Box::pin(async move {
            match step {
                Step::Answer(status, headers, body) => {
                    let header = |(name, value): (&str, String)| {
                        (name.parse::<HeaderName>().unwrap(), value.parse::<HeaderValue>().unwrap())
                    };
                    let headers: HeaderMap = headers.into_iter().map(header).collect();
                    Ok(WireResponse { status, headers, body: Bytes::from_static(body.as_bytes()), file: None })
                }
                Step::Fault(kind) => Err(TransportError::new(kind, "as scripted")),
                Step::Hang => std::future::pending().await,
            }
        })
    }
}

fn ok(body: &'static str) -> Step {
    Step::Answer(200, Vec::new(), body)
}

fn status(status: u16) -> Step {
    Step::Answer(status, Vec::new(), "")
}

fn redirect_to(location: &str) -> Step {
    Step::Answer(302, vec![("location", location.to_owned())], "")
}

pub(in crate::http) fn client() -> Client {
    let host = |host: &str, send_auth| AllowedHost { host: host.to_owned(), port: None, send_auth };
    Client {
        base_url: BaseUrl::Fixed(Url::parse("https://api.example.com/v1/").unwrap()),
        connect_timeout: Duration::from_secs(1),
        read_timeout: Duration::from_secs(1),
        rate_limits: Vec::new(),
        concurrency: 4,
        retry: Retry {
            max_attempts: 3,
            base_delay: Duration::from_millis(2),
            max_delay: Duration::from_millis(4),
            max_elapsed: Duration::from_secs(60),
            max_wait: Duration::from_secs(2),
            statuses: vec![429, 500, 503],
        },
        allowed_hosts: vec![host("cdn.example.org", false), host("eu.example.com", true)],
        max_response_bytes: 1 << 20,
        proxy: None,
        ca_certificate: None,
        user_agent: "pintail/test".to_owned(),
        accept_invalid_certificates: false,
    }
}

/// Credentials that need no request of their own.
fn credentials(auth: &Auth) -> Result<Credentials> {
    let kept = Arc::new(KeptTokens::none());
    resolve(auth, &Setting { scope: &Scope::default(), base_url: None, login: None, kept, is_replay: false })
}

fn bearer() -> Credentials {
    let token = Text { template: Template::parse(TOKEN).unwrap(), secret: true };
    credentials(&Auth::Bearer { token }).unwrap()
}

fn items() -> Request {
    Request {
        headers: vec![("Accept".to_owned(), "application/json".to_owned())],
        secret_headers: vec![("X-Team".to_owned(), Secret::new("team-secret-value"))],
        secret_params: vec![("api_key".to_owned(), Secret::new(KEY))],
        ..Request::get(Url::parse("https://api.example.com/v1/items?page=1").unwrap())
    }
}

/// What a request to the own origin carries.
fn own() -> String {
    format!("auth=Bearer {TOKEN} x-team=team-secret-value body=-")
}

struct Run {
    transport: Arc<Scripted>,
    meter: Meter,
    result: Result<Answer>,
}

impl Run {
    fn page(&self) -> &Response {
        match &self.result {
            Ok(Answer::Page(response)) => response,
            other => panic!("{other:?}"),
        }
    }

    /// The error's report, which must not hold a secret.
    fn report(&self) -> String {
        let report = self.result.as_ref().unwrap_err().report();
        for secret in [TOKEN, KEY, "team-secret-value"] {
            assert!(!report.contains(secret), "{report}");
        }
        report
    }

    fn counts(&self) -> (u64, u64) {
        (self.meter.requests.load(Ordering::Relaxed), self.meter.retries.load(Ordering::Relaxed))
    }
}

async fn run_with(request: &Request, actions: &[ResponseAction], validate: Validate<'_>, steps: Vec<Step>) -> Run {
    let transport = Scripted::new(steps);
    let limiter = Limiter::open(None, &[]).unwrap();
    let http = Http::new(&client(), Arc::<Scripted>::clone(&transport), limiter, Stop::default(), Pace::RealTime, None);
    let meter = Meter::default();
    let result = http.send(request, &bearer(), actions, &meter, validate).await;
    Run { transport, meter, result }
}

async fn run(steps: Vec<Step>) -> Run {
    run_with(&items(), &[], &any_body, steps).await
}

#[tokio::test]
async fn a_page_comes_with_its_address_and_without_secrets() {
    let run = run(vec![ok("[1]")]).await;
    assert_eq!(run.page().body, "[1]");
    assert_eq!(run.page().url.as_str(), "https://api.example.com/v1/items?page=1");
    assert_eq!(run.transport.lines(), [format!("GET https://api.example.com/v1/items?page=1&api_key={KEY} {}", own())]);
    assert_eq!(run.counts(), (1, 0));
    assert_eq!(run.meter.bytes.load(Ordering::Relaxed), 3);
    assert_eq!(run.meter.waiting.load(Ordering::Relaxed), 0);
}

#[tokio::test]
async fn a_secret_that_a_next_link_repeats_is_sent_once_and_not_shown() {
    let mut request = items();
    request.url = Url::parse("https://api.example.com/v1/items?a=%41&api_key=other&page=2#x").unwrap();
    let run = run_with(&request, &[], &any_body, vec![ok("")]).await;
    assert_eq!(run.page().url.as_str(), "https://api.example.com/v1/items?a=%41&page=2");
    assert!(run.transport.lines()[0].contains(&format!("items?a=%41&page=2&api_key={KEY} ")));
}

#[tokio::test]
async fn faults_are_retried_and_counted() {
    use TransportErrorKind::*;
    let run = run(vec![Step::Fault(Reset), Step::Fault(Truncated), ok("[]")]).await;
    assert_eq!(run.page().status, 200);
    assert_eq!(run.counts(), (3, 2));
}

#[tokio::test]
async fn a_failure_says_what_was_asked_what_came_and_how_often() {
    let body = "{\"message\": \"no\tluck with tok-9f8e7d6c5b4a-client-tests\"}";
    let steps = (0..3).map(|_| Step::Answer(500, Vec::new(), body)).collect();
    let report = run(steps).await.report();
    for part in [
        "the server answered 500 Internal Server Error",
        "request: GET https://api.example.com/v1/items?page=1\n",
        "status: 500 Internal Server Error",
        "body: {\"message\": \"no\\tluck with ***\"}",
        "tries: 3 in ",
    ] {
        assert!(report.contains(part), "{part} is not in:\n{report}");
    }
}

#[tokio::test]
async fn hints_say_what_to_do_about_common_statuses() {
    for (code, part) in [(401, "[client].auth"), (403, "permission"), (404, "base_url")] {
        let run = run(vec![status(code)]).await;
        assert!(run.report().contains(part), "{}", run.report());
        assert_eq!(run.counts(), (1, 0));
        assert_eq!(run.result.unwrap_err().kind(), Kind::Status);
    }
}

fn action(status: Option<u16>, body_contains: Option<String>, action: Action) -> ResponseAction {
    let statuses = status.map(StatusSet::One).into_iter().collect();
    ResponseAction { statuses, body_contains, ..ResponseAction::new(action) }
}

#[tokio::test]
async fn actions_make_an_answer_an_end_or_nothing() {
    let actions = [
        action(Some(404), None, Action::Ignore),
        action(Some(400), Some("no more".to_owned()), Action::End),
        action(Some(302), None, Action::End),
    ];
    let go = async |step| run_with(&items(), &actions, &any_body, vec![step]).await.result;
    assert!(matches!(go(status(404)).await, Ok(Answer::Ignored(Claim { status: 404, .. }))));
    assert!(matches!(go(Step::Answer(400, Vec::new(), "no more")).await, Ok(Answer::End(Claim { status: 400, .. }))));
    assert!(matches!(go(redirect_to("/login")).await, Ok(Answer::End(Claim { status: 302, .. }))));
    assert!(go(status(400)).await.is_err());
}

#[tokio::test]
async fn a_throttle_is_waited_out_and_holds_the_whole_run() {
    let actions = [action(Some(503), None, Action::Throttle)];
    let throttled = || Step::Answer(503, vec![("retry-after", "0.05".to_owned())], "");
    let begun = Instant::now();
    // More throttles than `max_attempts`.
    let steps = vec![throttled(), throttled(), throttled(), throttled(), ok("[]")];
    let run = run_with(&items(), &actions, &any_body, steps).await;
    assert_eq!(run.page().status, 200);
    assert_eq!(run.counts(), (5, 4));
    assert!(begun.elapsed() >= Duration::from_millis(200));
    assert!(run.meter.throttled_ms.load(Ordering::Relaxed) >= 200);
}

#[tokio::test]
async fn a_server_that_is_always_too_busy_is_an_error() {
    let steps = (0..30).map(|_| Step::Answer(429, vec![("retry-after", "0.4".to_owned())], "")).collect();
    let run = run(steps).await;
    let report = run.report();
    assert!(report.contains("the server keeps saying that it is too busy"), "{report}");
    assert!(report.contains("waited: 5 times, 2s in all"), "{report}");
}

#[tokio::test]
async fn a_wait_that_is_too_long_is_an_error_at_once() {
    let run = run(vec![Step::Answer(503, vec![("retry-after", "7200".to_owned())], "")]).await;
    let report = run.report();
    assert!(report.contains("the server asks to wait 2h 0m, longer than `retry.max_wait` (2s)"), "{report}");
}

#[tokio::test]
async fn an_undecodable_body_is_retried_and_then_named() {
    let is_json = |r: &Response| match r.body.first() {
        Some(b'[' | b'{') => Ok(()),
        _ => Err("the body is not JSON".to_owned()),
    };
    let html = || Step::Answer(200, vec![("content-type", "text/html".to_owned())], "<html>Login</html>");
    let good = run_with(&items(), &[], &is_json, vec![html(), ok("[]")]).await;
    assert_eq!(good.page().body, "[]");

    let bad = run_with(&items(), &[], &is_json, vec![html(), html(), html()]).await;
    let report = bad.report();
    assert_eq!(bad.result.unwrap_err().kind(), Kind::Body);
    let parts =
        ["the body is not JSON", "GET https://api", "200 OK", "content type: text/html", "<html>Login", "tries: 3"];
    for part in parts {
        assert!(report.contains(part), "{part} is not in:\n{report}");
    }
}

#[tokio::test]
async fn redirects_within_the_allowed_hosts_are_followed_and_credentials_stay_home() {
    let run = run(vec![
        redirect_to(&format!("/v2/items?api_key={KEY}&page=1")),
        redirect_to("https://cdn.example.org/items?page=1"),
        redirect_to("https://eu.example.com/items"),
        ok("[]"),
    ])
    .await;
    let own = own();
    assert_eq!(
        run.transport.lines(),
        [
            format!("GET https://api.example.com/v1/items?page=1&api_key={KEY} {own}"),
            format!("GET https://api.example.com/v2/items?page=1&api_key={KEY} {own}"),
            "GET https://cdn.example.org/items?page=1 auth=- x-team=- body=-".to_owned(),
            format!("GET https://eu.example.com/items?api_key={KEY} {own}"),
        ]
    );
    assert_eq!(run.page().url.as_str(), "https://eu.example.com/items");
    assert_eq!(run.counts(), (4, 0));
}

#[tokio::test]
async fn redirects_elsewhere_are_refused_before_anything_is_sent_there() {
    let cases = [
        ("https://evil.example.net/x", "evil.example.net"),
        ("http://api.example.com/v1/items", "not encrypted"),
        ("//api.example.com:8443/", "api.example.com:8443"),
        ("ftp://api.example.com/", "not HTTP"),
    ];
    for (location, part) in cases {
        let run = run(vec![redirect_to(location)]).await;
        assert!(run.report().contains(part), "{}", run.report());
        assert!(run.report().contains("request: GET https://api.example.com/v1/items?page=1"));
        assert_eq!(run.transport.lines().len(), 1);
    }
}

#[tokio::test]
async fn endless_redirects_are_an_error() {
    let run = run((0..11).map(|_| redirect_to("/v1/items")).collect()).await;
    assert!(run.report().contains("redirects more than 10 times"), "{}", run.report());
}

#[tokio::test]
async fn credentials_that_a_file_spells_out_stay_home_too() {
    let mut request = items();
    request.headers.push(("Authorization".to_owned(), "Basic plain".to_owned()));
    request.url = Url::parse("https://cdn.example.org/items").unwrap();
    let run = run_with(&request, &[], &any_body, vec![ok("[]")]).await;
    assert_eq!(run.transport.lines(), ["GET https://cdn.example.org/items auth=- x-team=- body=-"]);
}

#[tokio::test]
async fn a_body_follows_a_307_but_one_with_a_credential_goes_to_no_other_host() {
    let request = Request {
        method: "POST".to_owned(),
        body: Some(Bytes::from_static(b"{}")),
        content_type: Some("application/json".to_owned()),
        ..items()
    };
    let moved = || Step::Answer(307, vec![("location", "https://cdn.example.org/q".to_owned())], "");
    let followed = run_with(&request, &[], &any_body, vec![moved(), ok("[]")]).await;
    assert_eq!(followed.transport.lines()[1], "POST https://cdn.example.org/q auth=- x-team=- body={}");

    let secret = Request { secret_body: true, ..request.clone() };
    let refused = run_with(&secret, &[], &any_body, vec![moved()]).await;
    assert!(refused.report().contains("send_auth = true"), "{}", refused.report());

    let becomes_get = run_with(&request, &[], &any_body, vec![redirect_to("/q"), ok("[]")]).await;
    assert!(becomes_get.transport.lines()[1].starts_with("GET https://api.example.com/q?api_key="));
    assert!(becomes_get.transport.lines()[1].ends_with("body=-"));
}

#[tokio::test]
async fn a_token_that_a_header_cannot_hold_is_named_without_being_shown() {
    for (token, part) in [("", "is empty"), ("  ", "is empty"), ("two\nlines-of-token", "control characters")] {
        let token = Text { template: Template::parse(token).unwrap(), secret: true };
        let error = credentials(&Auth::Bearer { token }).unwrap_err();
        assert_eq!(error.kind(), Kind::Config);
        assert!(error.message().contains(part) && !error.report().contains("lines-of"), "{error}");
    }
}

#[tokio::test]
async fn every_request_passes_the_rate_windows() {
    let transport = Scripted::new([status(500), redirect_to("/v1/other"), ok("[]")]);
    let limiter = Limiter::open(None, &[RateLimit { count: 1, per: Duration::from_millis(100) }]).unwrap();
    let http =
        Http::new(&client(), transport, limiter, Stop::default(), Pace::RealTime, Some(Arc::new(Semaphore::new(1))));
    let (meter, begun) = (Meter::default(), Instant::now());
    http.send(&items(), &bearer(), &[], &meter, &any_body).await.unwrap();
    assert!(begun.elapsed() >= Duration::from_millis(203), "{:?}", begun.elapsed());
    assert!(meter.throttled_ms.load(Ordering::Relaxed) >= 190);
}

#[tokio::test]
async fn a_resource_has_tries_and_windows_of_its_own_beside_those_of_the_run() {
    let limiter = |ms| Limiter::open(None, &[RateLimit { count: 1, per: Duration::from_millis(ms) }]).unwrap();
    let transport = Scripted::new([status(500), ok("[]"), status(500)]);
    let http = Http::new(&client(), transport, limiter(20), Stop::default(), Pace::RealTime, None);
    let own = http.of_resource(&Retry { max_attempts: 2, ..client().retry }, Some(limiter(150)));
    let once = http.of_resource(&Retry { max_attempts: 1, ..client().retry }, None);
    let (meter, begun) = (Meter::default(), Instant::now());
    own.send(&items(), &bearer(), &[], &meter, &any_body).await.unwrap();
    assert!(begun.elapsed() >= Duration::from_millis(152), "{:?}", begun.elapsed());
    // The windows of the run know of these requests too.
    let begun = Instant::now();
    let error = once.send(&items(), &bearer(), &[], &meter, &any_body).await.unwrap_err();
    assert_eq!(error.context("tries").map(|t| t.starts_with("1 in")), Some(true));
    assert!(begun.elapsed() >= Duration::from_millis(15), "{:?}", begun.elapsed());
}

#[tokio::test]
async fn a_stop_ends_waits_at_once_and_starts_nothing_new() {
    let transport = Scripted::new([Step::Answer(429, vec![("retry-after", "2".to_owned())], "")]);
    let stop = Stop::default();
    let limiter = Limiter::open(None, &[]).unwrap();
    let http = Http::new(&client(), Arc::<Scripted>::clone(&transport), limiter, stop.clone(), Pace::RealTime, None);
    let other = stop.clone();
    tokio::spawn(async move {
        tokio::time::sleep(Duration::from_millis(30)).await;
        other.request(Signal::Terminate)
    });
    let begun = Instant::now();
    for _ in 0..2 {
        let error = http.send(&items(), &bearer(), &[], &Meter::default(), &any_body).await.unwrap_err();
        assert_eq!(error.kind(), Kind::Interrupted);
    }
    assert!(begun.elapsed() < Duration::from_secs(1));
    assert_eq!(transport.lines().len(), 1);
}

#[tokio::test]
async fn a_request_in_flight_is_given_up_seconds_after_a_stop() {
    let stop = Stop::default();
    let limiter = Limiter::open(None, &[]).unwrap();
    let http = Http::new(&client(), Scripted::new([Step::Hang]), limiter, stop.clone(), Pace::RealTime, None);
    let begun = Instant::now();
    let other = stop.clone();
    tokio::spawn(async move {
        tokio::time::sleep(Duration::from_millis(20)).await;
        other.request(Signal::Interrupt)
    });
    let error = http.send(&items(), &bearer(), &[], &Meter::default(), &any_body).await.unwrap_err();
    assert_eq!(error.kind(), Kind::Interrupted);
    assert!((5..8).contains(&begun.elapsed().as_secs()), "{:?}", begun.elapsed());
}

#[tokio::test]
async fn concurrency_bounds_the_requests_in_flight() {
    let transport = Scripted::new((0..6).map(|_| Step::Hang));
    let limiter = Limiter::open(None, &[]).unwrap();
    let http = Http::new(&client(), Arc::<Scripted>::clone(&transport), limiter, Stop::default(), Pace::RealTime, None);
    let sends: Vec<_> = (0..6)
        .map(|_| {
            let http = http.clone();
            tokio::spawn(async move { http.send(&items(), &bearer(), &[], &Meter::default(), &any_body).await })
        })
        .collect();
    tokio::time::sleep(Duration::from_millis(50)).await;
    assert_eq!(transport.lines().len(), 4);
    for send in sends {
        send.abort();
    }
}
