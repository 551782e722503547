//! When two requests are the same: method, address and body, however their parameters and fields are ordered.

use super::format::Asked;
use crate::secret::MASK;
use serde_json::Value;
use url::Url;

/// A request by what makes it this one. Parameters that were masked are left out.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Identity {
    pub(super) method: String,
    /// Scheme, host and port.
    pub(super) origin: String,
    /// Decoded.
    pub(super) path: String,
    /// Decoded, sorted.
    pub(super) params: Vec<(String, String)>,
    /// Fields of JSON objects and of forms sorted.
    pub(super) body: String,
}

impl Identity {
    /// What a request on a tape is. None: its URL can't be read.
    pub(super) fn of(asked: &Asked) -> Option<Identity> {
        let url = Url::parse(&asked.url).ok()?;
        let mut params: Vec<_> = url
            .query_pairs()
            .filter(|(_, value)| value != MASK)
            .map(|(name, value)| (name.into_owned(), value.into_owned()))
            .collect();
        params.sort();
        Some(Identity {
            method: asked.method.clone(),
            origin: url.origin().ascii_serialization(),
            path: percent_encoding::percent_decode_str(url.path()).decode_utf8_lossy().into_owned(),
            params,
            // A login is the same whoever logs in.
            body: asked.body.as_deref().filter(|_| !asked.login).map(canonical_body).unwrap_or_default(),
        })
    }

    /// The identity as one text.
    pub(super) fn key(&self) -> String {
        let mut key = format!("{} {} {}\n", self.method, self.origin, self.path);
        for (name, value) in &self.params {
            key.push_str(&format!("{name}={value}\n"));
        }
        key.push('\n');
        key.push_str(&self.body);
        key
    }
}

fn canonical_body(body: &str) -> String {
    match serde_json::from_str::<Value>(body) {
        Ok(json @ (Value::Object(_) | Value::Array(_))) => sorted(json).to_string(),
        Ok(_) | Err(_) => canonical_form(body),
    }
}

/// Fields of a form in order; a text that is none stays as it is.
fn canonical_form(body: &str) -> String {
    let is_form =
        !body.is_empty() && body.split('&').all(|pair| pair.contains('=')) && !body.contains(char::is_whitespace);
    if !is_form {
        return body.to_owned();
    }
    let mut fields: Vec<&str> = body.split('&').collect();
    fields.sort_unstable();
    fields.join("&")
}

fn sorted(value: Value) -> Value {
    match value {
        Value::Object(members) => {
            let mut members: Vec<_> = members.into_iter().map(|(name, member)| (name, sorted(member))).collect();
            members.sort_by(|a, b| a.0.cmp(&b.0));
            Value::Object(members.into_iter().collect())
        }
        Value::Array(values) => Value::Array(values.into_iter().map(sorted).collect()),
        scalar => scalar,
    }
}

#[cfg(test)]
mod tests {
    use super::super::format::Headers;
    use super::*;

    fn key(method: &str, url: &str, body: Option<&str>, login: bool) -> String {
        let asked = Asked {
            method: method.to_owned(),
            url: url.to_owned(),
            headers: Headers::default(),
            body: body.map(str::to_owned),
            login,
        };
        Identity::of(&asked).unwrap().key()
    }

    #[test]
    fn order_and_spelling_make_no_difference() {
        for (a, b) in [
            ("https://h/a?x=1&y=2", "https://h/a?y=2&x=1"),
            ("https://h/a?x=a+b", "https://h/a?x=a%20b"),
            ("https://h:443/a%2Fb", "https://h/a%2fb"),
            ("https://h/a?key=***&x=1", "https://h/a?x=1"),
            ("https://h/%2A%2A%2A/x", "https://h/***/x"),
        ] {
            assert_eq!(key("GET", a, None, false), key("GET", b, None, false), "{a} {b}");
        }
        let post = |body| key("POST", "https://h/", Some(body), false);
        assert_eq!(post(r#"{"a":1,"b":{"c":2,"d":[3]}}"#), post(r#"{ "b": {"d":[3],"c":2}, "a": 1 }"#));
        assert_eq!(post("a=1&b=2"), post("b=2&a=1"));
    }

    #[test]
    fn method_address_parameters_and_body_make_a_difference() {
        let all = [
            key("GET", "https://h/a", None, false),
            key("HEAD", "https://h/a", None, false),
            key("GET", "http://h/a", None, false),
            key("GET", "https://h:8443/a", None, false),
            key("GET", "https://h/a?x=1", None, false),
            key("GET", "https://h/a?x=1&x=1", None, false),
            key("GET", "https://h/a?x=2", None, false),
            key("POST", "https://h/a", Some("[1,2]"), false),
            key("POST", "https://h/a", Some("[2,1]"), false),
            key("POST", "https://h/a", Some("b a"), false),
        ];
        for (i, a) in all.iter().enumerate() {
            assert!(all[..i].iter().all(|b| a != b), "{a}");
        }
    }

    #[test]
    fn a_login_is_the_same_whoever_logs_in() {
        assert_eq!(key("POST", "https://h/t", Some("x=1"), true), key("POST", "https://h/t", Some("***"), true));
    }
}
