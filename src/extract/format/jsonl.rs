//! JSON values one after the other, as one list: a line each, or with the record separators of RFC 7464, or with nothing
//! between them.

use super::line_of;
use crate::batch::json::Scanner;
use crate::error::{Error, Kind, Result};

/// Begins a value in a JSON text sequence (RFC 7464 section 2.2).
const RECORD_SEPARATOR: u8 = 0x1E;

/// The values as a JSON list, each in its own bytes. A body of one list is that list.
///
/// # Errors
/// What stands in a line is no JSON, or the last one is cut short.
pub(super) fn to_json(text: &str) -> Result<Vec<u8>> {
    let bytes = text.as_bytes();
    let mut out = Vec::with_capacity(bytes.len() + 2);
    let (mut at, mut count, mut scratch) = (0, 0usize, Vec::new());
    out.push(b'[');
    loop {
        at += bytes[at..].iter().take_while(|b| b.is_ascii_whitespace() || **b == RECORD_SEPARATOR).count();
        if at == bytes.len() {
            break;
        }
        let mut scan = Scanner::new(&bytes[at..]);
        let value = scan.skip(0, &mut scratch).map_err(|fault| {
            let what = if at + fault.at >= bytes.len() { "a JSON value is cut short" } else { "a line is not JSON" };
            Error::new(Kind::Body, format!("{what} in line {}", line_of(text, at + fault.at)))
                .with("at", format!("byte {}: {}", at + fault.at, fault.message))
        })?;
        if count > 0 {
            out.push(b',');
        }
        out.extend_from_slice(value);
        count += 1;
        at += scan.offset();
    }
    if count == 1 && out.get(1) == Some(&b'[') {
        out.remove(0);
        return Ok(out);
    }
    out.push(b']');
    Ok(out)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn values_are_found_however_they_are_separated() {
        for (text, expected) in [
            ("{\"a\":1}\n{\"a\":2}\n", "[{\"a\":1},{\"a\":2}]"),
            ("{\"a\":1}\r\n\r\n{\"a\":2}", "[{\"a\":1},{\"a\":2}]"),
            ("{\"a\":1}{\"a\":2}", "[{\"a\":1},{\"a\":2}]"),
            ("\u{1e}{\"a\":1}\n\u{1e}{\"a\":2}\n", "[{\"a\":1},{\"a\":2}]"),
            ("{\n \"a\": 1.10\n}\n", "[{\n \"a\": 1.10\n}]"),
            ("1 2\nnull", "[1,2,null]"),
            ("[1,2]\n[3]", "[[1,2],[3]]"),
            ("[{\"a\":1}]\n", "[{\"a\":1}]"),
            ("\n \n", "[]"),
            ("", "[]"),
        ] {
            assert_eq!(String::from_utf8(to_json(text).unwrap()).unwrap(), expected, "{text:?}");
        }
    }

    #[test]
    fn an_error_names_the_line() {
        for (text, message) in [
            ("{\"a\":1}\n{\"a\":", "a JSON value is cut short in line 2"),
            ("{\"a\":1}\n\n{\"a\"", "a JSON value is cut short in line 3"),
            ("{\"a\":1}\noops\n{}", "a line is not JSON in line 2"),
            ("{\"a\":1},\n{}", "a line is not JSON in line 1"),
        ] {
            assert_eq!(to_json(text).unwrap_err().message(), message, "{text:?}");
        }
    }
}
