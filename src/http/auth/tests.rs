use super::*;
use crate::http::client::tests::{Scripted, Step, client};
use crate::http::{Limiter, Pace, any_body};
use crate::plan::model::{ClientAuth, FieldPath, Grant as GrantKind, OAuth2, TokenEndpoint, TokenRequestFormat};
use crate::plan::template::Template;
use crate::run::shutdown::Stop;
use futures_util::future::join_all;
use std::sync::atomic::Ordering;
use std::time::Duration;

fn text(source: &str) -> Text {
    Text { template: Template::parse(source).unwrap(), secret: true }
}

fn oauth2() -> Auth {
    let path = |name: &str| FieldPath(vec![name.to_owned()]);
    Auth::OAuth2(Box::new(OAuth2 {
        grant: GrantKind::ClientCredentials,
        url: Template::parse("oauth/token").unwrap(),
        endpoint: TokenEndpoint {
            client_id: Some(text("the-client")),
            client_secret: Some(text("the-client-secret")),
            client_auth: ClientAuth::Body,
            scope: vec![text("read"), text("list")],
            request_data: Vec::new(),
            request_headers: Vec::new(),
            request_format: TokenRequestFormat::Form,
            token_path: path("access_token"),
            expires_in_path: path("expires_in"),
            default_expiration: None,
        },
        place: Place::Header { name: "Authorization".to_owned(), prefix: "Bearer ".to_owned() },
    }))
}

fn credentials(auth: &Auth) -> Credentials {
    let base = Url::parse("https://api.example.com/v1/").unwrap();
    let kept = Arc::new(KeptTokens::none());
    resolve(auth, &Setting { scope: &Scope::default(), base_url: Some(&base), login: None, kept, is_replay: false })
        .unwrap()
}

fn http(transport: &Arc<Scripted>) -> Http {
    let limiter = Limiter::open(None, &[]).unwrap();
    Http::new(&client(), Arc::<Scripted>::clone(transport), limiter, Stop::default(), Pace::RealTime, None)
}

fn items() -> Request {
    Request::get(Url::parse("https://api.example.com/v1/items").unwrap())
}

fn answer(status: u16, body: &'static str) -> Step {
    Step::Answer(status, Vec::new(), body)
}

const ITEMS: &str = "GET https://api.example.com/v1/items";
const TOKEN: &str = "POST https://api.example.com/v1/oauth/token";

/// What was sent, without its body.
fn lines(transport: &Scripted) -> Vec<String> {
    let head = |line: String| line.split(" x-team=").next().unwrap_or_default().to_owned();
    transport.lines().into_iter().map(head).collect()
}

#[tokio::test]
async fn a_token_is_asked_for_once_and_counted() {
    let transport = Scripted::new([
        answer(200, "{\"access_token\":\"first-token\",\"expires_in\":3600}"),
        answer(200, "[]"),
        answer(200, "[]"),
    ]);
    let (http, credentials, meter) = (http(&transport), credentials(&oauth2()), Meter::default());
    for _ in 0..2 {
        http.send(&items(), &credentials, &[], &meter, &any_body).await.unwrap();
    }
    let sent = lines(&transport);
    assert_eq!(
        sent,
        [
            format!("{TOKEN} auth=-"),
            format!("{ITEMS} auth=Bearer first-token"),
            format!("{ITEMS} auth=Bearer first-token")
        ]
    );
    assert!(transport.lines()[0].ends_with(
        "body=grant_type=client_credentials&scope=read+list&client_id=the-client&client_secret=the-client-secret"
    ));
    assert_eq!(meter.requests.load(Ordering::Relaxed), 3);
}

#[tokio::test]
async fn a_second_refusal_is_an_error_that_says_so() {
    let transport = Scripted::new([
        answer(200, "{\"access_token\":\"first-token\"}"),
        answer(401, ""),
        answer(200, "{\"access_token\":\"second-token\"}"),
        answer(401, "{\"error\":\"bad second-token\"}"),
    ]);
    let (http, credentials) = (http(&transport), credentials(&oauth2()));
    let sent = http.send(&items(), &credentials, &[], &Meter::default(), &any_body).await;
    let report = sent.unwrap_err().report();
    assert!(report.contains("the server answered 401 Unauthorized, also with new credentials"), "{report}");
    assert!(report.contains("{\"error\":\"bad ***\"}"), "{report}");
}

#[tokio::test]
async fn a_failed_token_request_is_met_once_by_all_who_wait() {
    let transport = Scripted::new([answer(400, "{\"error\":\"invalid_client\",\"for\":\"the-client-secret\"}")]);
    let (http, credentials, meter) = (http(&transport), credentials(&oauth2()), Meter::default());
    let (credentials, meter, items) = (&credentials, &meter, &items());
    let sends = (0..5).map(|_| http.send(items, credentials, &[], meter, &any_body));
    for result in join_all(sends).await {
        let error = result.unwrap_err();
        let report = error.report();
        assert_eq!(error.kind(), Kind::Auth);
        for part in ["the token request failed: the server answered 400", "request: POST https://api", "invalid_client"]
        {
            assert!(report.contains(part), "{part} is not in:\n{report}");
        }
        assert!(!report.contains("the-client-secret"), "{report}");
    }
    assert_eq!(transport.lines().len(), 1);
}

#[tokio::test]
async fn nothing_of_a_good_answer_is_shown_when_it_can_not_be_used() {
    let cases = [
        ("{\"accessToken\":\"tok-unregistered-1\"}", 1, "brought no token at `access_token`"),
        ("{\"access_token\":\"tok-unregistered-2", 3, "the answer is not JSON"),
        ("{\"access_token\":null,\"id_token\":\"tok-unregistered-3\"}", 1, "brought no token"),
        ("{\"access_token\":\"\",\"id_token\":\"tok-unregistered-4\"}", 1, "brought no token"),
    ];
    for (body, request_count, part) in cases {
        let transport = Scripted::new((0..request_count).map(|_| answer(200, body)));
        let (http, credentials) = (http(&transport), credentials(&oauth2()));
        let sent = http.send(&items(), &credentials, &[], &Meter::default(), &any_body).await;
        let report = sent.unwrap_err().report();
        assert!(report.contains(part) && !report.contains("tok-unregistered"), "{report}");
        assert_eq!(transport.lines().len(), request_count);
    }
}

#[tokio::test]
async fn client_secrets_follow_no_redirect_to_another_origin() {
    let elsewhere = vec![("location", "https://eu.example.com/token".to_owned())];
    let transport = Scripted::new([Step::Answer(307, elsewhere, "")]);
    let (http, credentials) = (http(&transport), credentials(&oauth2()));
    let sent = http.send(&items(), &credentials, &[], &Meter::default(), &any_body).await;
    let report = sent.unwrap_err().report();
    assert!(report.contains("the answer leads to another host, https://eu.example.com"), "{report}");
    assert_eq!(transport.lines().len(), 1);
}

#[tokio::test]
async fn a_token_is_renewed_before_it_ends() {
    let transport = Scripted::new([
        answer(200, "{\"access_token\":\"first-token\",\"expires_in\":0.02}"),
        answer(200, "[]"),
        answer(200, "{\"access_token\":\"second-token\",\"expires_in\":0}"),
        answer(200, "[]"),
        answer(200, "[]"),
    ]);
    let (http, credentials, meter) = (http(&transport), credentials(&oauth2()), Meter::default());
    for pause_ms in [30, 0, 0] {
        http.send(&items(), &credentials, &[], &meter, &any_body).await.unwrap();
        tokio::time::sleep(Duration::from_millis(pause_ms)).await;
    }
    let sent = lines(&transport);
    let tokens: Vec<&str> = sent.iter().filter_map(|line| line.rsplit_once("Bearer ")).map(|(_, t)| t).collect();
    assert_eq!(tokens, ["first-token", "second-token", "second-token"]);
}

#[tokio::test]
async fn an_api_key_in_the_query_goes_to_the_own_origin_alone_and_is_not_shown() {
    let auth = Auth::ApiKey { api_key: text("query-key-value"), place: Place::Param("key".to_owned()) };
    let leads = |to: &str| Step::Answer(302, vec![("location", to.to_owned())], "");
    let transport = Scripted::new([
        leads("/v1/items?page=2&key=query-key-value"),
        leads("https://cdn.example.org/x?key=query-key-value&a=1"),
        answer(200, "[]"),
    ]);
    let (http, credentials) = (http(&transport), credentials(&auth));
    let sent = http.send(&items(), &credentials, &[], &Meter::default(), &any_body).await;
    let crate::http::Answer::Page(response) = sent.unwrap() else { panic!() };
    assert_eq!(response.url.as_str(), "https://cdn.example.org/x?a=1");
    assert_eq!(
        lines(&transport),
        [
            format!("{ITEMS}?key=query-key-value auth=-"),
            format!("{ITEMS}?page=2&key=query-key-value auth=-"),
            "GET https://cdn.example.org/x?a=1 auth=-".to_owned(),
        ]
    );
}

#[tokio::test]
async fn a_refusal_of_another_host_renews_nothing() {
    let transport = Scripted::new([
        answer(200, "{\"access_token\":\"first-token\"}"),
        Step::Answer(302, vec![("location", "https://cdn.example.org/x".to_owned())], ""),
        answer(401, ""),
    ]);
    let (http, credentials) = (http(&transport), credentials(&oauth2()));
    let sent = http.send(&items(), &credentials, &[], &Meter::default(), &any_body).await;
    assert!(sent.unwrap_err().report().contains("the server answered 401"));
    assert_eq!(transport.lines().len(), 3);
}
