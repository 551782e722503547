//! A strict JSON scanner (RFC 8259) over bytes that are known to be UTF-8: it finds tokens and builds nothing.
//!
//! Lone surrogates in `\u` escapes, which JSON's grammar allows and text cannot hold, become U+FFFD, as browsers do:
//! half an emoji in one record is no reason to load none.

use std::fmt;

/// Objects and lists within each other. Deeper is refused before the stack is.
pub const DEPTH_MAX: usize = 128;

/// Where and why a text is not what it should be.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Fault {
    /// Offset in bytes.
    pub at: usize,
    /// One sentence.
    pub message: String,
}

impl fmt::Display for Fault {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} at byte {}", self.message, self.at)
    }
}

impl std::error::Error for Fault {}

/// A number token.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Number<'a> {
    /// A whole number of at most 18 digits, and no `-0`.
    Small(i64),
    /// Any other whole number.
    Whole(&'a [u8]),
    /// A number with a point or an exponent.
    Fraction(&'a [u8]),
}

/// A position in a JSON text.
#[derive(Debug, Clone)]
pub struct Scanner<'a> {
    bytes: &'a [u8],
    pos: usize,
}

impl<'a> Scanner<'a> {
    /// At the start of a text.
    pub fn new(bytes: &'a [u8]) -> Self {
        Scanner { bytes, pos: 0 }
    }

    /// Offset of the next byte.
    #[inline]
    pub fn offset(&self) -> usize {
        self.pos
    }

    /// The bytes from an offset up to the next byte.
    pub fn since(&self, start: usize) -> &'a [u8] {
        self.bytes.get(start..self.pos).unwrap_or_default()
    }

    /// A fault at the next byte.
    #[cold]
    pub fn fault(&self, message: impl Into<String>) -> Fault {
        Fault { at: self.pos, message: message.into() }
    }

    #[cold]
    fn unexpected(&self, expected: &str) -> Fault {
        match self.bytes.get(self.pos) {
            None => self.fault(format!("the text ends where {expected} is expected")),
            Some(b) => self.fault(format!("expected {expected}, found {:?}", char::from(*b))),
        }
    }

    /// The first byte of the next token, left in place.
    #[inline]
    pub fn peek(&mut self) -> Option<u8> {
        while let Some(&b) = self.bytes.get(self.pos) {
            if !matches!(b, b' ' | b'\n' | b'\r' | b'\t') {
                return Some(b);
            }
            self.pos += 1;
        }
        None
    }

    /// Takes a byte that must come next.
    ///
    /// # Errors
    /// Another one comes.
    #[inline]
    pub fn expect(&mut self, byte: u8, what: &str) -> Result<(), Fault> {
        if self.peek() == Some(byte) {
            self.pos += 1;
            return Ok(());
        }
        Err(self.unexpected(what))
    }

    /// Takes the byte if it comes next.
    #[inline]
    pub fn take(&mut self, byte: u8) -> bool {
        let found = self.peek() == Some(byte);
        self.pos += usize::from(found);
        found
    }

    /// After an element or a member: whether another one follows.
    ///
    /// # Errors
    /// Neither a comma nor the closing byte comes.
    #[inline]
    pub fn more(&mut self, close: u8) -> Result<bool, Fault> {
        match self.peek() {
            Some(b',') => {
                self.pos += 1;
                Ok(true)
            }
            Some(b) if b == close => {
                self.pos += 1;
                Ok(false)
            }
            _ => Err(self.unexpected(if close == b'}' { "`,` or `}`" } else { "`,` or `]`" })),
        }
    }

    /// Nothing but white space may follow.
    ///
    /// # Errors
    /// Something follows.
    pub fn end(&mut self) -> Result<(), Fault> {
        if self.peek().is_none() { Ok(()) } else { Err(self.unexpected("the end of the text")) }
    }

    /// Takes a literal.
    ///
    /// # Errors
    /// Something else comes.
    #[inline]
    pub fn literal(&mut self, text: &'static str) -> Result<(), Fault> {
        if self.bytes[self.pos..].starts_with(text.as_bytes()) {
            self.pos += text.len();
            return Ok(());
        }
        Err(self.unexpected("a value"))
    }

    /// Takes a string; its text is a slice of the input, or of `scratch` if it has escapes.
    ///
    /// # Errors
    /// No string, an unknown escape, a control character, or the end.
    #[inline]
    pub fn string<'s>(&mut self, scratch: &'s mut Vec<u8>) -> Result<&'s [u8], Fault>
    where
        'a: 's,
    {
        self.expect(b'"', "a string")?;
        let start = self.pos;
        self.pos += plain_len(&self.bytes[start..]);
        if self.bytes.get(self.pos) == Some(&b'"') {
            let text = &self.bytes[start..self.pos];
            self.pos += 1;
            return Ok(text);
        }
        scratch.clear();
        scratch.extend_from_slice(&self.bytes[start..self.pos]);
        self.escaped(scratch)?;
        Ok(scratch)
    }

    /// The rest of a string whose plain beginning is in `out`.
    fn escaped(&mut self, out: &mut Vec<u8>) -> Result<(), Fault> {
        loop {
            match self.bytes.get(self.pos) {
                None => return Err(self.fault("the text ends within a string")),
                Some(b'"') => {
                    self.pos += 1;
                    return Ok(());
                }
                Some(b'\\') => self.escape(out)?,
                Some(_) => return Err(self.fault("a control character within a string")),
            }
            let plain = plain_len(&self.bytes[self.pos..]);
            out.extend_from_slice(&self.bytes[self.pos..self.pos + plain]);
            self.pos += plain;
        }
    }

    fn escape(&mut self, out: &mut Vec<u8>) -> Result<(), Fault> {
        let Some(&kind) = self.bytes.get(self.pos + 1) else {
            return Err(self.fault("the text ends within a string"));
        };
        let byte = match kind {
            b'"' | b'\\' | b'/' => kind,
            b'b' => 0x08,
            b'f' => 0x0c,
            b'n' => b'\n',
            b'r' => b'\r',
            b't' => b'\t',
            b'u' => return self.unicode(out),
            _ => return Err(self.fault("an unknown escape in a string")),
        };
        out.push(byte);
        self.pos += 2;
        Ok(())
    }

    fn unicode(&mut self, out: &mut Vec<u8>) -> Result<(), Fault> {
        let unit = self.hex4(self.pos + 2).ok_or_else(|| self.fault("`\\u` needs four hexadecimal digits"))?;
        self.pos += 6;
        let mut c = char::from_u32(unit);
        if (0xD800..0xDC00).contains(&unit)
            && self.bytes[self.pos..].starts_with(b"\\u")
            && let Some(low) = self.hex4(self.pos + 2).filter(|low| (0xDC00..0xE000).contains(low))
        {
            c = char::from_u32(0x10000 + ((unit - 0xD800) << 10) + (low - 0xDC00));
            self.pos += 6;
        }
        let mut buffer = [0; 4];
        out.extend_from_slice(c.unwrap_or(char::REPLACEMENT_CHARACTER).encode_utf8(&mut buffer).as_bytes());
        Ok(())
    }

    fn hex4(&self, at: usize) -> Option<u32> {
        let digits = self.bytes.get(at..at + 4)?;
        digits.iter().try_fold(0, |v, d| Some(v * 16 + char::from(*d).to_digit(16)?))
    }

    /// Takes a number.
    ///
    /// # Errors
    /// What comes is not a number of JSON's grammar.
    #[inline]
    pub fn number(&mut self) -> Result<Number<'a>, Fault> {
        let start = self.pos;
        let negative = self.bytes.get(self.pos) == Some(&b'-');
        self.pos += usize::from(negative);
        let first = self.pos;
        let mut value = 0i64;
        while let Some(d) = self.digit() {
            value = value.wrapping_mul(10).wrapping_add(i64::from(d));
            self.pos += 1;
        }
        let digits = self.pos - first;
        if digits == 0 {
            return Err(self.unexpected("a value"));
        }
        if digits > 1 && self.bytes[first] == b'0' {
            self.pos = first;
            return Err(self.fault("a number with a leading zero"));
        }
        if matches!(self.bytes.get(self.pos), Some(b'.' | b'e' | b'E')) {
            return self.fraction(start);
        }
        if digits <= 18 && !(negative && value == 0) {
            return Ok(Number::Small(if negative { -value } else { value }));
        }
        Ok(Number::Whole(&self.bytes[start..self.pos]))
    }

    #[inline]
    fn digit(&self) -> Option<u8> {
        self.bytes.get(self.pos).map(|b| b.wrapping_sub(b'0')).filter(|d| *d < 10)
    }

    fn digits(&mut self) -> Result<(), Fault> {
        let start = self.pos;
        while self.digit().is_some() {
            self.pos += 1;
        }
        if self.pos == start { Err(self.unexpected("a digit")) } else { Ok(()) }
    }

    fn fraction(&mut self, start: usize) -> Result<Number<'a>, Fault> {
        if self.bytes.get(self.pos) == Some(&b'.') {
            self.pos += 1;
            self.digits()?;
        }
        if matches!(self.bytes.get(self.pos), Some(b'e' | b'E')) {
            self.pos += 1;
            if matches!(self.bytes.get(self.pos), Some(b'+' | b'-')) {
                self.pos += 1;
            }
            self.digits()?;
        }
        Ok(Number::Fraction(&self.bytes[start..self.pos]))
    }

    /// Takes any value and gives its bytes.
    ///
    /// # Errors
    /// What comes is not a value, or is nested too deep.
    pub fn skip(&mut self, depth: usize, scratch: &mut Vec<u8>) -> Result<&'a [u8], Fault> {
        let first = self.peek();
        let start = self.pos;
        match first {
            Some(b'"') => {
                self.string(scratch)?;
            }
            Some(b'{') => self.skip_members(depth, scratch)?,
            Some(b'[') => self.skip_elements(depth, scratch)?,
            Some(b't') => self.literal("true")?,
            Some(b'f') => self.literal("false")?,
            Some(b'n') => self.literal("null")?,
            Some(_) => {
                self.number()?;
            }
            None => return Err(self.unexpected("a value")),
        }
        Ok(&self.bytes[start..self.pos])
    }

    fn skip_members(&mut self, depth: usize, scratch: &mut Vec<u8>) -> Result<(), Fault> {
        self.open(depth)?;
        if self.take(b'}') {
            return Ok(());
        }
        loop {
            self.string(scratch)?;
            self.expect(b':', "`:`")?;
            self.skip(depth + 1, scratch)?;
            if !self.more(b'}')? {
                return Ok(());
            }
        }
    }

    fn skip_elements(&mut self, depth: usize, scratch: &mut Vec<u8>) -> Result<(), Fault> {
        self.open(depth)?;
        if self.take(b']') {
            return Ok(());
        }
        loop {
            self.skip(depth + 1, scratch)?;
            if !self.more(b']')? {
                return Ok(());
            }
        }
    }

    /// Takes the opening byte of an object or a list at a depth.
    ///
    /// # Errors
    /// It is nested too deep.
    #[inline]
    pub fn open(&mut self, depth: usize) -> Result<(), Fault> {
        if depth >= DEPTH_MAX {
            return Err(self.fault(format!("nested deeper than {DEPTH_MAX} levels")));
        }
        self.pos += 1;
        Ok(())
    }
}

/// How many bytes there are before a quote, a backslash or a control character; eight at a time (the SWAR test of
/// "Bit Twiddling Hacks", "Determine if a word has a byte less than n").
#[inline]
fn plain_len(bytes: &[u8]) -> usize {
    const ONES: u64 = 0x0101_0101_0101_0101;
    const HIGHS: u64 = 0x8080_8080_8080_8080;
    let zero_byte = |v: u64| v.wrapping_sub(ONES) & !v & HIGHS;
    let mut at = 0;
    while let Some(chunk) = bytes[at..].first_chunk::<8>() {
        let word = u64::from_le_bytes(*chunk);
        let control = word.wrapping_sub(ONES * 0x20) & !word & HIGHS;
        let special =
            control | zero_byte(word ^ (ONES * u64::from(b'"'))) | zero_byte(word ^ (ONES * u64::from(b'\\')));
        if special != 0 {
            // Borrows only disturb bytes above the first hit, so the lowest one is exact.
            return at + (special.trailing_zeros() / 8) as usize;
        }
        at += 8;
    }
    at + bytes[at..].iter().take_while(|b| **b >= 0x20 && !matches!(b, b'"' | b'\\')).count()
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn skip(text: &str) -> Result<(), Fault> {
        let mut scan = Scanner::new(text.as_bytes());
        scan.skip(0, &mut Vec::new())?;
        scan.end()
    }

    #[test]
    fn json_and_nothing_else_is_accepted() {
        for good in ["null", " [1, -0, 0.5e-7, true] ", "{\"a\":{\"b\":[]},\"\":\"\\u00e9\\n\"}", "\"é\"", "1E+2"] {
            assert_eq!(skip(good), Ok(()), "{good}");
        }
        for bad in [
            "",
            "[1,]",
            "{\"a\":1,}",
            "[01]",
            "[1.]",
            "[.5]",
            "[+1]",
            "[1e]",
            "nul",
            "[NaN]",
            "\"\\x\"",
            "\"\\u12g4\"",
            "\"a\nb\"",
            "{a:1}",
            "[1 2]",
            "\"abc",
            "[1]]",
            "{\"a\"}",
            "-",
            "[1",
            "{\"a\":1",
            "tru",
            "'a'",
        ] {
            assert!(skip(bad).is_err(), "{bad}");
        }
    }

    #[test]
    fn nesting_has_a_limit() {
        let deep = |n: usize| format!("{}{}", "[".repeat(n), "]".repeat(n));
        assert_eq!(skip(&deep(DEPTH_MAX)), Ok(()));
        assert!(skip(&deep(DEPTH_MAX + 1)).is_err());
        assert!(skip(&"[".repeat(100_000)).is_err());
    }

    #[test]
    fn escapes_are_decoded_and_lone_surrogates_replaced() {
        let text = |t: &str| {
            let mut scratch = Vec::new();
            String::from_utf8(Scanner::new(t.as_bytes()).string(&mut scratch).unwrap().to_vec()).unwrap()
        };
        assert_eq!(text(r#""a\"\\\/\b\f\n\r\té""#), "a\"\\/\u{8}\u{c}\n\r\té");
        assert_eq!(text(r#""\ud83d\udc4d""#), "👍");
        assert_eq!(text(r#""x\ud83dy""#), "x\u{FFFD}y");
        assert_eq!(text(r#""\udc4d\ud83d\ud83d\udc4d""#), "\u{FFFD}\u{FFFD}👍");
    }

    #[test]
    fn numbers_are_told_apart_by_their_form() {
        let number = |t: &'static str| Scanner::new(t.as_bytes()).number().unwrap();
        assert_eq!(number("-12"), Number::Small(-12));
        assert_eq!(number("-0"), Number::Whole(b"-0"));
        assert_eq!(number("123456789012345678"), Number::Small(123_456_789_012_345_678));
        assert_eq!(number("1234567890123456789"), Number::Whole(b"1234567890123456789"));
        assert_eq!(number("1.0"), Number::Fraction(b"1.0"));
        assert_eq!(number("1e5,"), Number::Fraction(b"1e5"));
    }

    proptest! {
        #[test]
        fn any_text_of_serde_json_comes_back(text in "\\PC{0,40}|[\\x00-\\x1f\"\\\\é]{0,20}") {
            let json = serde_json::to_string(&text).unwrap();
            let mut scratch = Vec::new();
            prop_assert_eq!(Scanner::new(json.as_bytes()).string(&mut scratch).unwrap(), text.as_bytes());
        }

        #[test]
        fn it_agrees_with_serde_json(text in "[\\[\\]{}\",:0-9eE.+ truefalsn\\\\-]{0,12}") {
            let theirs = serde_json::from_str::<serde_json::Value>(&text);
            // A number that is too large for a double is fine here and not there.
            if !theirs.as_ref().is_err_and(|e| e.to_string().contains("number out of range")) {
                prop_assert_eq!(skip(&text).is_ok(), theirs.is_ok(), "{}", text);
            }
        }
    }
}
