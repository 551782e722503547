//! What does not go onto a tape: every secret that is known, what credentials are sent in, and what a login brings.

use super::format::{Asked, Headers};
use crate::http::transport::WireRequest;
use crate::secret::{self, MASK};
use reqwest::header::{HeaderMap, HeaderName, HeaderValue, SET_COOKIE};
use serde_json::Value;
use std::borrow::Cow;
use url::Url;

/// Headers of an answer that hold credentials by their meaning.
const CREDENTIAL_HEADERS: [&str; 5] = ["authorization", "proxy-authorization", "x-auth-token", "x-api-key", "api-key"];

/// Headers of a login's answer that are kept as they are. Any other may be the token.
const LOGIN_HEADERS: [&str; 9] = [
    "cache-control",
    "content-length",
    "content-type",
    "date",
    "expires",
    "location",
    "retry-after",
    "server",
    "www-authenticate",
];

/// Words of a login's answer up to this length are no token.
const HARMLESS_CHARS_MAX: usize = 8;

/// What stands for a secret. A number stays a number, so that JSON which repeats it without quotes stays JSON.
pub(super) fn of_secret(secret: &str) -> String {
    if secret.chars().all(|c| c.is_ascii_digit()) { "9".repeat(secret.len()) } else { MASK.to_owned() }
}

/// A text with all known secrets replaced.
pub(super) fn text(text: &str) -> Cow<'_, str> {
    secret::replace(text, of_secret)
}

/// Bytes with all known secrets replaced, whatever the rest of them is.
pub(super) fn bytes(bytes: &[u8]) -> Cow<'_, [u8]> {
    if let Ok(shown) = std::str::from_utf8(bytes) {
        return match text(shown) {
            Cow::Borrowed(_) => Cow::Borrowed(bytes),
            Cow::Owned(masked) => Cow::Owned(masked.into_bytes()),
        };
    }
    let mut masked = Cow::Borrowed(bytes);
    for secret in secret::replaced() {
        if let Some(replaced) = replace_bytes(&masked, secret.as_bytes(), of_secret(&secret).as_bytes()) {
            masked = Cow::Owned(replaced);
        }
    }
    masked
}

/// None: the pattern does not occur.
fn replace_bytes(bytes: &[u8], pattern: &[u8], mask: &[u8]) -> Option<Vec<u8>> {
    let find = |from: usize| memchr::memmem::find(bytes.get(from..)?, pattern).map(|at| from + at);
    let mut next = Some(find(0)?);
    let (mut out, mut done) = (Vec::with_capacity(bytes.len()), 0);
    while let Some(at) = next {
        out.extend_from_slice(&bytes[done..at]);
        out.extend_from_slice(mask);
        done = at + pattern.len();
        next = find(done);
    }
    out.extend_from_slice(&bytes[done..]);
    Some(out)
}

/// A request without its secrets.
pub(super) fn request(wire: &WireRequest) -> Asked {
    let of_header = |_: &HeaderName, value: &HeaderValue, shown: &str| {
        if value.is_sensitive() { MASK.to_owned() } else { text(shown).into_owned() }
    };
    let body = wire.body.as_deref().map(|body| match (wire.is_login, std::str::from_utf8(body)) {
        (true, _) => MASK.to_owned(),
        (false, Ok(body)) => text(body).into_owned(),
        // Only a login could send bytes; the plan's bodies are texts.
        (false, Err(_)) => String::from_utf8_lossy(body).into_owned(),
    });
    Asked {
        method: wire.method.as_str().to_owned(),
        url: url(&wire.url, &wire.secret_params),
        headers: Headers::of(&wire.headers, of_header),
        body,
        login: wire.is_login,
    }
}

/// A URL without user and password, and with its secret parameters masked.
fn url(url: &Url, secret_params: &[String]) -> String {
    let mut clean = url.clone();
    // Both fail only for URLs that can't have a user at all.
    let _ = clean.set_username("");
    let _ = clean.set_password(None);
    clean.set_fragment(None);
    if let Some(query) = url.query() {
        let masked = query.split('&').map(|pair| {
            let (name, _) = pair.split_once('=').unwrap_or((pair, ""));
            let decoded = url::form_urlencoded::parse(name.as_bytes()).next();
            match decoded {
                Some((decoded, _)) if secret_params.iter().any(|s| *s == decoded) => format!("{name}={MASK}"),
                _ => pair.to_owned(),
            }
        });
        clean.set_query(Some(&masked.collect::<Vec<_>>().join("&")));
    }
    text(clean.as_str()).into_owned()
}

/// The headers of an answer. Of a cookie its name and attributes stay.
pub(super) fn answer_headers(headers: &HeaderMap, is_login: bool) -> Headers {
    Headers::of(headers, |name, value, shown| {
        if *name == SET_COOKIE {
            return cookie(shown);
        }
        let is_credential = CREDENTIAL_HEADERS.contains(&name.as_str()) || value.is_sensitive();
        match is_credential || (is_login && !LOGIN_HEADERS.contains(&name.as_str())) {
            true => MASK.to_owned(),
            false => text(shown).into_owned(),
        }
    })
}

fn cookie(value: &str) -> String {
    let (pair, attributes) = value.split_at(value.find(';').unwrap_or(value.len()));
    match pair.split_once('=') {
        Some((name, _)) => text(&format!("{name}={MASK}{attributes}")).into_owned(),
        None => MASK.to_owned(),
    }
}

/// The body of an answer.
pub(super) fn answer_body(body: &[u8], is_login: bool) -> Cow<'_, [u8]> {
    match std::str::from_utf8(body) {
        Ok(shown) if is_login => Cow::Owned(login_body(shown).into_bytes()),
        Err(_) if is_login => Cow::Borrowed(MASK.as_bytes()),
        Ok(_) | Err(_) => bytes(body),
    }
}

/// The answer to a login. Nobody has said yet which of its texts is a secret, so all are masked that could be one.
fn login_body(body: &str) -> String {
    match serde_json::from_str::<Value>(body) {
        Ok(mut json) => {
            mask_texts(&mut json);
            json.to_string()
        }
        Err(_) if body.is_empty() => String::new(),
        Err(_) => MASK.to_owned(),
    }
}

fn mask_texts(value: &mut Value) {
    match value {
        Value::String(text) if !is_harmless(text) => MASK.clone_into(text),
        Value::Array(values) => values.iter_mut().for_each(mask_texts),
        Value::Object(members) => members.values_mut().for_each(mask_texts),
        Value::String(_) | Value::Null | Value::Bool(_) | Value::Number(_) => {}
    }
}

/// Short words such as `Bearer`, and times, which say when a token expires.
fn is_harmless(text: &str) -> bool {
    let is_time = text.len() <= 35 && chrono::DateTime::parse_from_rfc3339(text).is_ok();
    let is_word = text.chars().count() <= HARMLESS_CHARS_MAX && text.chars().all(char::is_alphabetic);
    is_time || (is_word && !secret::is_secret(text))
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn a_number_stays_a_number() {
        assert_eq!(of_secret("918273"), "999999");
        assert_eq!(of_secret("tok-918273"), MASK);
    }

    #[test]
    fn secret_parameters_are_masked_by_name_and_known_secrets_anywhere() {
        secret::register("s3cr3t/in the path");
        let address = Url::parse("https://bob:pw@h/s3cr3t%2Fin%20the%20path/x?a=1&key=abc&b=2#f").unwrap();
        assert_eq!(url(&address, &["key".to_owned()]), "https://h/***/x?a=1&key=***&b=2");
    }

    #[test]
    fn a_cookie_keeps_its_name_and_attributes() {
        let mut headers = HeaderMap::new();
        headers.append(SET_COOKIE, HeaderValue::from_static("sid=abc=def; Path=/; HttpOnly"));
        headers.append(SET_COOKIE, HeaderValue::from_static("odd"));
        headers.append("x-auth-token", HeaderValue::from_static("abc"));
        headers.append("x-session", HeaderValue::from_static("abc"));
        let shown = |is_login| serde_json::to_value(answer_headers(&headers, is_login)).unwrap();
        let cookies = json!(["sid=***; Path=/; HttpOnly", "***"]);
        assert_eq!(shown(false), json!({ "set-cookie": cookies, "x-auth-token": "***", "x-session": "abc" }));
        assert_eq!(shown(true), json!({ "set-cookie": cookies, "x-auth-token": "***", "x-session": "***" }));
    }

    #[test]
    fn a_login_answer_keeps_what_says_when_it_expires() {
        let body = json!({
            "access_token": "abc.def.ghi", "token_type": "Bearer", "expires_in": 3600, "sid": "s-1",
            "expires_at": "2026-01-02T03:04:05Z", "user": { "email": "bob@example.com" },
        });
        let masked = json!({
            "access_token": "***", "token_type": "Bearer", "expires_in": 3600, "sid": "***",
            "expires_at": "2026-01-02T03:04:05Z", "user": { "email": "***" },
        });
        assert_eq!(answer_body(body.to_string().as_bytes(), true), masked.to_string().as_bytes());
        assert_eq!(*answer_body(b"token=abc&x=1", true), *b"***");
        assert_eq!(*answer_body(b"\xff\x00", true), *b"***");
        assert_eq!(*answer_body(b"\xff\x00", false), *b"\xff\x00");
    }

    #[test]
    fn secrets_are_found_among_bytes_that_are_no_text() {
        secret::register("tok-9d8e7f");
        assert_eq!(*bytes(b"\xfftok-9d8e7f\x00tok-9d8e7f"), *b"\xff***\x00***");
        assert_eq!(*bytes(b"tok-9d8e7f"), *b"***");
    }
}
