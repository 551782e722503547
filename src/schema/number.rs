//! JSON numbers (RFC 8259 section 6) as exact decimals: what type one needs, and its one canonical text.
//!
//! A number is its digits and a power of ten, so that nothing passes through a float unless the float holds it exactly.

use std::cmp::Ordering;
use std::fmt::Write;

/// Zeros that padding may add before a number is written with an exponent instead.
const PADDING_MAX: i64 = 38;

/// Digits that any double keeps: a decimal of so many digits comes back from it unchanged (IEEE 754, `DBL_DIG`).
const DOUBLE_DIGITS: usize = 15;

/// A number token taken apart: sign, significant digits without leading or trailing zeros, and the power of ten of the
/// last one. Zero has no digits.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Decimal {
    negative: bool,
    digits: Vec<u8>,
    exponent: i64,
}

impl Decimal {
    /// Takes a token of JSON's grammar apart. Also reads the forms in which Rust prints numbers. `None` if it is neither.
    pub fn parse(token: &[u8]) -> Option<Decimal> {
        let (negative, rest) = match token.split_first()? {
            (b'-', rest) => (true, rest),
            (b'+', rest) => (false, rest),
            _ => (false, token),
        };
        let (mantissa, mut exponent) = match rest.iter().position(|c| matches!(c, b'e' | b'E')) {
            Some(at) => (&rest[..at], parse_exponent(&rest[at + 1..])?),
            None => (rest, 0),
        };
        let mut digits = Vec::with_capacity(mantissa.len());
        let mut point = false;
        for &c in mantissa {
            match c {
                b'0'..=b'9' => {
                    exponent -= i64::from(point);
                    digits.push(c);
                }
                b'.' if !point => point = true,
                _ => return None,
            }
        }
        if digits.is_empty() {
            return None;
        }
        while digits.last() == Some(&b'0') {
            digits.pop();
            exponent += 1;
        }
        let zeros = digits.iter().take_while(|c| **c == b'0').count();
        digits.drain(..zeros);
        if digits.is_empty() {
            return Some(Decimal { negative: false, digits, exponent: 0 });
        }
        Some(Decimal { negative, digits, exponent })
    }

    /// Digits before the decimal point, at least 0.
    pub fn int_digits(&self) -> u32 {
        (self.digits.len() as i64 + self.exponent).clamp(0, i64::from(u32::MAX)) as u32
    }

    /// Digits after the decimal point, at least 0.
    pub fn scale(&self) -> u32 {
        (-self.exponent).clamp(0, i64::from(u32::MAX)) as u32
    }

    /// Whether the nearest double prints as exactly this number.
    pub fn is_exact_in_double(&self) -> bool {
        let point = self.digits.len() as i64 + self.exponent;
        if self.digits.len() <= DOUBLE_DIGITS && (-290..290).contains(&point) {
            return true;
        }
        let double = self.to_f64();
        double.is_finite() && Decimal::from_f64(double).as_ref() == Some(self)
    }

    /// The nearest double.
    pub fn to_f64(&self) -> f64 {
        let mut text = String::with_capacity(self.digits.len() + 24);
        self.push_scientific(&mut text);
        text.parse().unwrap_or(f64::NAN)
    }

    /// The exact decimal that a double prints as: its shortest digits that read back as the same double.
    pub fn from_f64(value: f64) -> Option<Decimal> {
        value.is_finite().then(|| Decimal::parse(format!("{value:e}").as_bytes())).flatten()
    }

    /// This number times ten to `scale`, if that is whole and fits.
    pub fn to_scaled_i128(&self, scale: u8) -> Option<i128> {
        let zeros = self.exponent + i64::from(scale);
        if zeros < 0 || self.digits.len() as i64 + zeros > 38 {
            return self.digits.is_empty().then_some(0);
        }
        let value = self.digits.iter().fold(0i128, |v, d| v * 10 + i128::from(d - b'0'));
        let value = value * 10i128.pow(zeros as u32);
        Some(if self.negative { -value } else { value })
    }

    /// The canonical text: plain digits, or an exponent where padding would take over 38 zeros. The same value has the
    /// same text whatever column type it passed through on its way.
    pub fn canonical(&self) -> String {
        let mut out = String::with_capacity(self.digits.len() + 4);
        let (len, point) = (self.digits.len() as i64, self.digits.len() as i64 + self.exponent);
        if self.digits.is_empty() {
            out.push('0');
        } else if self.exponent > PADDING_MAX || point < -PADDING_MAX {
            self.push_scientific(&mut out);
        } else {
            if self.negative {
                out.push('-');
            }
            let digits = std::str::from_utf8(&self.digits).unwrap_or_default();
            if point <= 0 {
                out.push_str("0.");
                out.extend(std::iter::repeat_n('0', -point as usize));
                out.push_str(digits);
            } else if point >= len {
                out.push_str(digits);
                out.extend(std::iter::repeat_n('0', (point - len) as usize));
            } else {
                out.push_str(&digits[..point as usize]);
                out.push('.');
                out.push_str(&digits[point as usize..]);
            }
        }
        out
    }

    fn push_scientific(&self, out: &mut String) {
        let digits = std::str::from_utf8(&self.digits).unwrap_or_default();
        if digits.is_empty() {
            out.push('0');
            return;
        }
        if self.negative {
            out.push('-');
        }
        out.push_str(&digits[..1]);
        if digits.len() > 1 {
            out.push('.');
            out.push_str(&digits[1..]);
        }
        let exponent = digits.len() as i64 - 1 + self.exponent;
        let _ = write!(out, "e{}{}", if exponent < 0 { '-' } else { '+' }, exponent.unsigned_abs());
    }
}

/// Powers of ten that a double holds exactly, as far as [`Plain`] needs them.
const POWERS_OF_TEN: [f64; DOUBLE_DIGITS + 1] =
    [1e0, 1e1, 1e2, 1e3, 1e4, 1e5, 1e6, 1e7, 1e8, 1e9, 1e10, 1e11, 1e12, 1e13, 1e14, 1e15];

/// A number such as `-12.50`, with a point, without an exponent and with so few digits that any double keeps them: most
/// fractions there are. It says the same as a [`Decimal`], and is read without one being built.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Plain<'a> {
    /// The nearest double.
    pub value: f64,
    /// Digits before the decimal point, without leading zeros.
    pub int_digits: u8,
    /// Digits after the decimal point, without trailing zeros.
    pub scale: u8,
    /// The canonical text.
    pub canonical: &'a [u8],
}

impl<'a> Plain<'a> {
    /// Reads a number token of JSON's grammar. `None` if it is of another kind, or zero.
    pub fn parse(token: &'a [u8]) -> Option<Self> {
        let negative = token.first() == Some(&b'-');
        let unsigned = &token[usize::from(negative)..];
        if unsigned.len() > DOUBLE_DIGITS + 1 {
            return None;
        }
        let (mut mantissa, mut point) = (0u64, None);
        // The mantissa and the places after the last digit that is not 0.
        let (mut kept, mut end) = (0u64, 0);
        for (at, &c) in unsigned.iter().enumerate() {
            match c {
                b'0'..=b'9' => mantissa = mantissa * 10 + u64::from(c - b'0'),
                b'.' if point.is_none() => point = Some(at),
                _ => return None,
            }
            if c != b'0' || point.is_none() {
                (kept, end) = (mantissa, at + 1);
            }
        }
        let point = point.filter(|_| kept != 0)?;
        // What ends in the point has nothing behind it.
        let (scale, length) = if end <= point + 1 { (0, point) } else { (end - point - 1, end) };
        // Both are exact, so the quotient is the double that is nearest (IEEE 754: division rounds correctly).
        let value = kept as f64 / POWERS_OF_TEN[scale];
        Some(Plain {
            value: if negative { -value } else { value },
            int_digits: if unsigned.first() == Some(&b'0') { 0 } else { point as u8 },
            scale: scale as u8,
            canonical: &token[..usize::from(negative) + length],
        })
    }
}

impl Ord for Decimal {
    /// Order by value, exact for any number of digits.
    fn cmp(&self, other: &Self) -> Ordering {
        let sign = |d: &Decimal| if d.digits.is_empty() { 0 } else { 1 - 2 * i8::from(d.negative) };
        // Without leading and trailing zeros, the one whose digits begin further left is larger, then digit by digit.
        let size = |d: &Decimal| d.digits.len() as i64 + d.exponent;
        let by_size = || size(self).cmp(&size(other)).then_with(|| self.digits.cmp(&other.digits));
        sign(self).cmp(&sign(other)).then_with(|| if self.negative { by_size().reverse() } else { by_size() })
    }
}

impl PartialOrd for Decimal {
    fn partial_cmp(&self, other: &Self) -> Option<Ordering> {
        Some(self.cmp(other))
    }
}

fn parse_exponent(text: &[u8]) -> Option<i64> {
    let (negative, digits) = match text.split_first()? {
        (b'-', rest) => (true, rest),
        (b'+', rest) => (false, rest),
        _ => (false, text),
    };
    if digits.is_empty() || !digits.iter().all(u8::is_ascii_digit) {
        return None;
    }
    // An exponent of over 15 digits is beyond any type; its exact size no longer matters, its sign does.
    let value = digits.iter().try_fold(0i64, |v, d| (v < 1_000_000_000_000_000).then(|| v * 10 + i64::from(d - b'0')));
    let value = value.unwrap_or(1_000_000_000_000_000);
    Some(if negative { -value } else { value })
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn d(text: &str) -> Decimal {
        Decimal::parse(text.as_bytes()).unwrap_or_else(|| panic!("{text} is a number"))
    }

    #[test]
    fn a_plain_fraction_is_told_from_other_numbers() {
        for other in ["1", "1e3", "1.5e2", "0.0", "-0.000", "1234567890.1234567", "", "-", ".", "1.2.3"] {
            assert_eq!(Plain::parse(other.as_bytes()), None, "{other}");
        }
        for (token, canonical, int_digits, scale) in
            [("12.50", "12.5", 2, 1), ("-0.05", "-0.05", 0, 2), ("100.0", "100", 3, 0), ("0.10", "0.1", 0, 1)]
        {
            let plain = Plain::parse(token.as_bytes()).unwrap();
            let found = (std::str::from_utf8(plain.canonical).unwrap(), plain.int_digits, plain.scale);
            assert_eq!(found, (canonical, int_digits, scale), "{token}");
        }
    }

    proptest! {
        #[test]
        fn a_plain_fraction_says_what_a_decimal_says(token in "-?(0|[1-9][0-9]{0,8})\\.[0-9]{1,8}") {
            if let Some(plain) = Plain::parse(token.as_bytes()) {
                let number = d(&token);
                prop_assert_eq!(std::str::from_utf8(plain.canonical).unwrap(), number.canonical());
                prop_assert_eq!(plain.value.to_bits(), token.parse::<f64>().unwrap().to_bits());
                prop_assert_eq!(u32::from(plain.int_digits), number.int_digits());
                prop_assert_eq!(u32::from(plain.scale), number.scale());
                prop_assert!(number.is_exact_in_double());
            } else {
                prop_assert!(d(&token).canonical() == "0" || token.len() > DOUBLE_DIGITS + 1);
            }
        }
    }

    #[test]
    fn the_same_value_has_one_canonical_text() {
        let cases = [
            ("0", "0"),
            ("-0.0", "0"),
            ("0e7", "0"),
            ("1.0", "1"),
            ("1.50", "1.5"),
            ("-12.340e2", "-1234"),
            ("1E3", "1000"),
            ("0.00001", "0.00001"),
            ("1e-5", "0.00001"),
            ("12345678901234567.89", "12345678901234567.89"),
            ("100000000000000000000", "100000000000000000000"),
            ("1e20", "100000000000000000000"),
            ("1e300", "1e+300"),
            ("-2.5E-300", "-2.5e-300"),
            (
                "123456789012345678901234567890123456789012345678901234567891",
                "123456789012345678901234567890123456789012345678901234567891",
            ),
        ];
        for (token, text) in cases {
            assert_eq!(d(token).canonical(), text, "{token}");
        }
    }

    #[test]
    fn exactness_in_a_double_is_known() {
        for exact in ["0.1", "3.7", "1e300", "9007199254740992", "0.30000000000000004", "5e-324", "-1.5"] {
            assert!(d(exact).is_exact_in_double(), "{exact}");
        }
        for inexact in ["0.1000000000000000055", "12345678901234567.89", "9007199254740993", "1e400", "1e-400"] {
            assert!(!d(inexact).is_exact_in_double(), "{inexact}");
        }
    }

    #[test]
    fn what_is_not_a_number_is_refused() {
        for bad in ["", "-", ".", "1.2.3", "1e", "1e+", "0x10", "NaN", "1 "] {
            assert_eq!(Decimal::parse(bad.as_bytes()), None, "{bad}");
        }
    }

    #[test]
    fn scaling_is_exact_or_refused() {
        assert_eq!(d("12.34").to_scaled_i128(4), Some(123_400));
        assert_eq!(d("-12.34").to_scaled_i128(2), Some(-1234));
        assert_eq!(d("12.345").to_scaled_i128(2), None);
        assert_eq!(d("1e37").to_scaled_i128(2), None);
        assert_eq!(d("0").to_scaled_i128(9), Some(0));
    }

    proptest! {
        #[test]
        fn canonical_text_reads_back_as_the_same_number(int in "-?(0|[1-9][0-9]{0,40})", frac in "(\\.[0-9]{1,40})?", exp in "([eE][+-]?[0-9]{1,3})?") {
            let number = d(&format!("{int}{frac}{exp}"));
            prop_assert_eq!(&d(&number.canonical()), &number);
        }

        #[test]
        fn doubles_survive(value in proptest::num::f64::NORMAL | proptest::num::f64::SUBNORMAL | proptest::num::f64::ZERO) {
            let number = Decimal::from_f64(value).unwrap();
            prop_assert_eq!(number.to_f64(), value);
            prop_assert!(number.is_exact_in_double());
        }
    }
}
