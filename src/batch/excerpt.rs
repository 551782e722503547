//! A piece of a page as it came, without the fields that the file excludes.

use super::json::{Fault, Scanner};
use crate::plan::model::FieldPath;
use crate::schema::widen::quote;
use std::borrow::Cow;

/// The text of a value. `path` leads to it from the record, through objects and lists alike. Fields that are excluded are
/// not in it, nor is a text in whose JSON one would be.
pub(super) fn excerpt(token: &[u8], path: &[String], exclude: &[FieldPath]) -> String {
    if exclude.is_empty() {
        return String::from_utf8_lossy(token).into_owned();
    }
    copied(token, path, exclude, true)
}

/// The JSON of a value that is kept as it is, without fields that are excluded. One with halves of surrogate pairs is written
/// anew with U+FFFD in their place, because no reader of JSON takes them.
pub(super) fn kept_json<'t>(token: &'t [u8], path: &[String], exclude: &[FieldPath]) -> Cow<'t, str> {
    let hides = exclude.iter().any(|e| e.0.len() > path.len() && e.0.starts_with(path));
    if hides || has_lone_surrogate(token) {
        copied(token, path, exclude, false).into()
    } else {
        String::from_utf8_lossy(token)
    }
}

/// Whether a well-formed JSON text escapes half of a surrogate pair without the other half.
fn has_lone_surrogate(token: &[u8]) -> bool {
    let escaped = |at: usize| match token.get(at..at + 6) {
        Some([b'\\', b'u', digits @ ..]) => {
            std::str::from_utf8(digits).ok().and_then(|digits| u16::from_str_radix(digits, 16).ok())
        }
        _ => None,
    };
    let mut at = 0;
    while let Some(distance) = memchr::memchr(b'\\', &token[at..]) {
        at += distance;
        at += match escaped(at) {
            None => 2,
            Some(0xD800..=0xDBFF) if matches!(escaped(at + 6), Some(0xDC00..=0xDFFF)) => 12,
            Some(0xD800..=0xDFFF) => return true,
            Some(_) => 6,
        };
        if at >= token.len() {
            return false;
        }
    }
    false
}

fn copied(token: &[u8], path: &[String], exclude: &[FieldPath], hides_texts: bool) -> String {
    let (path, out) = (path.to_vec(), String::with_capacity(token.len()));
    let mut copy = Copy { exclude, path, out, scratch: Vec::new(), hides_texts };
    // The token was scanned before, so it is well-formed; what could not be read is better left out than shown.
    match copy.value(&mut Scanner::new(token), 1) {
        Ok(()) => copy.out,
        Err(_) => "null".to_owned(),
    }
}

struct Copy<'e> {
    exclude: &'e [FieldPath],
    path: Vec<String>,
    out: String,
    scratch: Vec<u8>,
    /// Whether texts are left out in whose JSON an excluded field would be.
    hides_texts: bool,
}

impl Copy<'_> {
    fn value(&mut self, scan: &mut Scanner<'_>, depth: usize) -> Result<(), Fault> {
        match scan.peek() {
            Some(b'{') => self.object(scan, depth),
            Some(b'[') => self.list(scan, depth),
            Some(b'"')
                if self.hides_texts
                    && self.exclude.iter().any(|e| e.0.len() > self.path.len() && e.0.starts_with(&self.path)) =>
            {
                scan.skip(depth, &mut self.scratch)?;
                self.out.push_str("null");
                Ok(())
            }
            Some(b'"') => {
                let text = String::from_utf8_lossy(scan.string(&mut self.scratch)?).into_owned();
                self.out.push_str(&quote(&text));
                Ok(())
            }
            _ => {
                let token = scan.skip(depth, &mut self.scratch)?;
                self.out.push_str(&String::from_utf8_lossy(token));
                Ok(())
            }
        }
    }

    fn object(&mut self, scan: &mut Scanner<'_>, depth: usize) -> Result<(), Fault> {
        scan.open(depth)?;
        self.out.push('{');
        let mut is_first = true;
        if !scan.take(b'}') {
            loop {
                let key = String::from_utf8_lossy(scan.string(&mut self.scratch)?).into_owned();
                scan.expect(b':', "`:`")?;
                let quoted = quote(&key);
                self.path.push(key);
                if self.exclude.iter().any(|e| e.0 == self.path) {
                    scan.skip(depth + 1, &mut self.scratch)?;
                } else {
                    self.out.push_str(if is_first { "" } else { "," });
                    self.out.push_str(&quoted);
                    self.out.push(':');
                    self.value(scan, depth + 1)?;
                    is_first = false;
                }
                self.path.pop();
                if !scan.more(b'}')? {
                    break;
                }
            }
        }
        self.out.push('}');
        Ok(())
    }

    fn list(&mut self, scan: &mut Scanner<'_>, depth: usize) -> Result<(), Fault> {
        scan.open(depth)?;
        self.out.push('[');
        if !scan.take(b']') {
            loop {
                self.value(scan, depth + 1)?;
                if !scan.more(b']')? {
                    break;
                }
                self.out.push(',');
            }
        }
        self.out.push(']');
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_halves_of_surrogate_pairs_are_replaced() {
        let cases: &[(&str, &str)] = &[
            (r#"["\uD801\udc37"]"#, r#"["\uD801\udc37"]"#),
            (r#"["\\uD801"]"#, r#"["\\uD801"]"#),
            (r#"{"a": "\u00e9\n", "b": "\\"}"#, r#"{"a": "\u00e9\n", "b": "\\"}"#),
            (r#"["\uD801"]"#, "[\"\u{fffd}\"]"),
            (r#"["\uD801x\udc37"]"#, "[\"\u{fffd}x\u{fffd}\"]"),
            (r#"["\uD801\uD801\udc37"]"#, "[\"\u{fffd}\u{10437}\"]"),
            (r#"["\udc37\"#, "null"),
        ];
        for (token, expected) in cases {
            assert_eq!(kept_json(token.as_bytes(), &[], &[]), *expected, "{token}");
        }
    }

    #[test]
    fn excluded_fields_are_in_no_excerpt() {
        let paths = |paths: &[&str]| -> Vec<FieldPath> {
            paths.iter().map(|p| FieldPath(p.split('.').map(str::to_owned).collect())).collect()
        };
        let record =
            r#"{"id": 1, "token": "t", "a": {"b": [ {"c": "x", "d": 1.50} ], "é\u0041": {}}, "j": "{\"k\":1}"}"#;
        for (exclude, expected) in [
            (&[][..], record),
            (&["token"], r#"{"id":1,"a":{"b":[{"c":"x","d":1.50}],"éA":{}},"j":"{\"k\":1}"}"#),
            (&["id", "a.b.c", "j.k"], r#"{"token":"t","a":{"b":[{"d":1.50}],"éA":{}},"j":null}"#),
            (&["a", "id", "token", "j"], "{}"),
        ] {
            assert_eq!(excerpt(record.as_bytes(), &[], &paths(exclude)), expected, "{exclude:?}");
        }
        assert_eq!(excerpt(br#"{"c":1,"d":2}"#, &["a".into(), "b".into()], &paths(&["a.b.c"])), r#"{"d":2}"#);
    }
}
