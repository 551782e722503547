//! Numbers as texts, compared digit by digit: no float comes between.

/// A number as sign, digits without zeros at either end, and the power of ten of the last digit.
#[derive(Debug, PartialEq, Eq)]
struct Digits {
    is_negative: bool,
    digits: String,
    exponent: i64,
}

fn digits(text: &str) -> Option<Digits> {
    let unsigned = text.strip_prefix('-').unwrap_or(text);
    let (mantissa, exponent) = unsigned.split_once(['e', 'E']).unwrap_or((unsigned, "0"));
    let (whole, fraction) = mantissa.split_once('.').unwrap_or((mantissa, ""));
    let all = format!("{whole}{fraction}");
    if all.is_empty() || !all.chars().all(|c| c.is_ascii_digit()) {
        return None;
    }
    let mut exponent = exponent.parse::<i64>().ok()? - i64::try_from(fraction.len()).ok()?;
    let kept = all.trim_end_matches('0');
    exponent += i64::try_from(all.len() - kept.len()).ok()?;
    let kept = kept.trim_start_matches('0').to_owned();
    let is_zero = kept.is_empty();
    Some(Digits {
        is_negative: text.starts_with('-') && !is_zero,
        digits: kept,
        exponent: if is_zero { 0 } else { exponent },
    })
}

/// Whether two texts are the same number. False if one of them is none.
pub(crate) fn same_number(a: &str, b: &str) -> bool {
    digits(a).is_some_and(|a| digits(b) == Some(a))
}

#[test]
fn numbers_are_the_same_whatever_their_form_and_differ_in_any_digit() {
    for (a, b, same) in [
        ("1", "1.0", true),
        ("1e2", "100", true),
        ("-0.0", "0", true),
        ("0.30000000000000004", "3.0000000000000004E-1", true),
        ("0.30000000000000004", "0.3", false),
        ("9007199254740993", "9007199254740992", false),
        ("-1", "1", false),
        ("1e400", "1e+400", true),
        ("NaN", "NaN", false),
        ("", "", false),
    ] {
        assert_eq!(same_number(a, b), same, "{a} {b}");
    }
}
