//! Which of the `response_actions` is about an answer.

use super::HeaderMap;
use crate::plan::model::{FieldPath, ResponseAction, ValueTest};
use serde_json::value::RawValue;
use std::borrow::Cow;
use std::collections::HashMap;

const BYTE_ORDER_MARK: &[u8] = b"\xEF\xBB\xBF";

/// The first entry that applies to an answer: all that it asks for must hold.
pub(super) fn matching<'a>(
    actions: &'a [ResponseAction],
    status: u16,
    headers: &HeaderMap,
    body: &[u8],
) -> Option<&'a ResponseAction> {
    // What costs most is looked at last.
    let applies = |entry: &&ResponseAction| {
        (entry.statuses.is_empty() || entry.statuses.iter().any(|set| set.has(status)))
            && entry.header.as_ref().is_none_or(|(name, test)| has_header(headers, name, test))
            && entry.body_contains.as_ref().is_none_or(|text| String::from_utf8_lossy(body).contains(text.as_str()))
            && entry.path.as_ref().is_none_or(|(path, test)| has_value(body, path, test))
    };
    actions.iter().find(applies)
}

fn has_header(headers: &HeaderMap, name: &str, test: &ValueTest) -> bool {
    let values: Vec<_> = headers.get_all(name).iter().map(|value| String::from_utf8_lossy(value.as_bytes())).collect();
    match test {
        ValueTest::Present => !values.is_empty(),
        ValueTest::Equals(expected) => values.iter().any(|value| value.trim() == expected),
        ValueTest::In(expected) => values.iter().any(|value| expected.iter().any(|e| value.trim() == e)),
        ValueTest::NotEquals(other) => !values.is_empty() && values.iter().all(|value| value.trim() != other),
        ValueTest::Contains(part) => values.iter().any(|value| value.contains(part.as_str())),
    }
}

/// Whether a JSON body has a value at a path that is what is asked for.
pub fn has_value(body: &[u8], path: &FieldPath, test: &ValueTest) -> bool {
    let content = body.strip_prefix(BYTE_ORDER_MARK).unwrap_or(body);
    serde_json::from_slice::<&RawValue>(content)
        .ok()
        .and_then(|root| path.0.iter().try_fold(root, |value, key| member(value, key)))
        .is_some_and(|value| passes(value.get(), test))
}

/// The member of an object, or the element of a list. Nothing is built for the others.
fn member<'v>(value: &'v RawValue, key: &str) -> Option<&'v RawValue> {
    if let Some(index) = FieldPath::index_of(key) {
        let elements: Vec<&'v RawValue> = serde_json::from_str(value.get()).ok()?;
        return elements.get(index).copied();
    }
    let mut members: HashMap<Cow<'v, str>, &'v RawValue> = serde_json::from_str(value.get()).ok()?;
    members.remove(key)
}

/// Whether a value, as JSON text, is what is asked for.
fn passes(json: &str, test: &ValueTest) -> bool {
    let json = json.trim();
    let text: Cow<'_, str> = match serde_json::from_str::<String>(json) {
        Ok(text) => text.into(),
        Err(_) => json.into(),
    };
    let is = |expected: &String| *text == **expected || is_same_number(&text, expected);
    match test {
        ValueTest::Present => !is_empty(json),
        ValueTest::Equals(expected) => is(expected),
        ValueTest::In(expected) => expected.iter().any(is),
        // Null is as good as absent: there is nothing to compare.
        ValueTest::NotEquals(other) => json != "null" && !is(other),
        ValueTest::Contains(part) => text.contains(part.as_str()),
    }
}

/// Null, false, and texts, lists and objects without anything in them.
fn is_empty(json: &str) -> bool {
    let inner = |open, close| json.strip_prefix(open).and_then(|rest: &str| rest.strip_suffix(close));
    let is_bare = |open, close| inner(open, close).is_some_and(|inner: &str| inner.trim_ascii().is_empty());
    matches!(json, "null" | "false" | "\"\"") || is_bare('[', ']') || is_bare('{', '}')
}

fn is_same_number(a: &str, b: &str) -> bool {
    match (a.parse::<f64>(), b.parse::<f64>()) {
        (Ok(a), Ok(b)) => a == b,
        _ => false,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::plan::model::{Action, StatusSet};

    fn entry(status: Option<u16>) -> ResponseAction {
        ResponseAction {
            statuses: status.map(StatusSet::One).into_iter().collect(),
            ..ResponseAction::new(Action::Fail)
        }
    }

    fn at(path: &str) -> FieldPath {
        FieldPath(path.split('.').map(str::to_owned).collect())
    }

    fn equals(text: &str) -> ValueTest {
        ValueTest::Equals(text.to_owned())
    }

    #[test]
    fn a_value_is_compared_as_text_and_numbers_as_numbers() {
        let present = || ValueTest::Present;
        let cases = [
            ("\"a\\u00e9\"", equals("a\u{e9}"), true),
            ("5", equals("5"), true),
            ("5.0", equals("5"), true),
            ("\"5\"", equals("5"), true),
            ("true", equals("true"), true),
            ("null", equals("null"), true),
            ("\"error: x\"", ValueTest::Contains("error".to_owned()), true),
            ("\"fine\"", ValueTest::Contains("error".to_owned()), false),
            ("2", ValueTest::In(vec!["1".to_owned(), "2".to_owned()]), true),
            ("\"b\"", ValueTest::In(vec!["a".to_owned(), "b".to_owned()]), true),
            ("\"c\"", ValueTest::In(vec!["a".to_owned(), "b".to_owned()]), false),
            ("7", ValueTest::NotEquals("0".to_owned()), true),
            ("0.0", ValueTest::NotEquals("0".to_owned()), false),
            ("null", ValueTest::NotEquals("0".to_owned()), false),
            ("false", ValueTest::NotEquals("true".to_owned()), true),
            ("\"\"", ValueTest::NotEquals("ok".to_owned()), true),
            ("[ ]", present(), false),
            ("{}", present(), false),
            ("\"\"", present(), false),
            ("null", present(), false),
            ("false", present(), false),
            ("0", present(), true),
            ("[1]", present(), true),
            ("{\"a\":1}", present(), true),
        ];
        for (json, test, expected) in cases {
            assert_eq!(passes(json, &test), expected, "{json} {test:?}");
        }
    }

    #[test]
    fn all_that_an_entry_asks_for_must_hold_and_the_first_match_wins() {
        let mut headers = HeaderMap::new();
        headers.insert("x-error", "rate limited".parse().unwrap());
        let errors = ResponseAction { path: Some((at("errors"), ValueTest::Present)), ..entry(Some(200)) };
        let code = ResponseAction { path: Some((at("meta.code"), equals("7"))), action: Action::Retry, ..entry(None) };
        let limited = ResponseAction {
            header: Some(("x-error".to_owned(), ValueTest::Contains("rate".to_owned()))),
            body_contains: Some("slow".to_owned()),
            action: Action::Throttle,
            ..entry(None)
        };
        let actions = [errors, code, limited];
        let cases: [(u16, &str, Option<Action>); 9] = [
            (200, "{\"data\":[],\"errors\":[{\"message\":\"no\"}]}", Some(Action::Fail)),
            (200, "{\"data\":[1],\"errors\":[]}", None),
            (400, "{\"errors\":[1]}", None),
            (400, "{\"errors\":[1],\"meta\":{\"code\":7}}", Some(Action::Retry)),
            (200, "\u{feff}{\"meta\":{\"code\":7.0}}", Some(Action::Retry)),
            (200, "{\"meta\":{\"code\":8}}", None),
            (200, "slow down", Some(Action::Throttle)),
            (200, "[{\"errors\":1}]", None),
            (200, "{\"errors\":", None),
        ];
        for (status, body, expected) in cases {
            let found = matching(&actions, status, &headers, body.as_bytes()).map(|entry| entry.action);
            assert_eq!(found, expected, "{status} {body}");
        }
        assert_eq!(matching(&actions, 200, &HeaderMap::new(), b"slow down"), None);
    }

    #[test]
    fn an_absent_value_is_neither_equal_nor_different() {
        let not_ok = ValueTest::NotEquals("ok".to_owned());
        assert!(!has_value(b"{}", &at("state"), &not_ok));
        assert!(!has_value(b"<html>", &at("state"), &not_ok));
        assert!(has_value(b"{\"state\":\"bad\"}", &at("state"), &not_ok));
        // Lists are entered by index.
        let body = br#"{"errors":[{"code":"A"},{"code":"B"}]}"#;
        for (path, code, expected) in
            [("errors.[1].code", "B", true), ("errors.[2].code", "B", false), ("[0].code", "A", false)]
        {
            assert_eq!(has_value(body, &at(path), &equals(code)), expected, "{path}");
        }
        let mut headers = HeaderMap::new();
        assert!(!has_header(&headers, "x-state", &not_ok));
        headers.append("x-state", "bad".parse().unwrap());
        assert!(has_header(&headers, "x-state", &not_ok));
        headers.append("x-state", "ok".parse().unwrap());
        assert!(!has_header(&headers, "x-state", &not_ok));
        assert!(has_header(&headers, "x-state", &ValueTest::In(vec!["ok".to_owned()])));
    }

    #[test]
    fn statuses_are_single_ones_or_classes() {
        let statuses = vec![StatusSet::One(404), StatusSet::Class(5)];
        let actions = [ResponseAction { statuses, ..ResponseAction::new(Action::Ignore) }];
        for (status, expected) in [(404, true), (403, false), (500, true), (599, true), (400, false), (200, false)] {
            assert_eq!(matching(&actions, status, &HeaderMap::new(), b"").is_some(), expected, "{status}");
        }
    }
}
