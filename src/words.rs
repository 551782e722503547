//! Numbers in sentences.

/// `1234567` as `1,234,567`.
pub fn group_digits(number: u64) -> String {
    let digits = number.to_string();
    let mut out = String::with_capacity(digits.len() + digits.len() / 3);
    for (at, digit) in digits.chars().enumerate() {
        if at > 0 && (digits.len() - at).is_multiple_of(3) {
            out.push(',');
        }
        out.push(digit);
    }
    out
}

/// A number of things: `1 record`, `2,000 records`. The noun has a plural in -s.
pub fn counted(number: u64, noun: &str) -> String {
    let plural = if number == 1 { "" } else { "s" };
    format!("{} {noun}{plural}", group_digits(number))
}

/// Names in a sentence: `a`, `a and b`, `a, b and c`.
pub fn and(names: &[String]) -> String {
    match names {
        [] => String::new(),
        [one] => one.clone(),
        [first @ .., last] => format!("{} and {last}", first.join(", ")),
    }
}

/// A text, if there is one: not the empty text.
pub fn written(text: &str) -> Option<&str> {
    Some(text).filter(|text| !text.is_empty())
}

/// A paragraph as lines of so many characters at most, broken between words. A word that is longer has a line of its own.
pub fn wrapped(text: &str, width: usize) -> Vec<String> {
    let mut lines: Vec<String> = Vec::new();
    for word in text.split(' ') {
        match lines.last_mut() {
            Some(line) if line.chars().count() + 1 + word.chars().count() <= width => {
                line.push(' ');
                line.push_str(word);
            }
            _ => lines.push(word.to_owned()),
        }
    }
    lines
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lines_are_broken_between_words() {
        assert_eq!(wrapped("a bc def", 4), ["a bc", "def"]);
        assert_eq!(wrapped("abcdef a b", 3), ["abcdef", "a b"]);
        assert_eq!(wrapped("", 3), [""]);
    }

    #[test]
    fn names_are_joined_as_in_a_sentence() {
        let names = |names: &[&str]| and(&names.iter().map(|n| (*n).to_owned()).collect::<Vec<_>>());
        assert_eq!([names(&[]), names(&["a"]), names(&["a", "b"])], ["", "a", "a and b"]);
        assert_eq!(names(&["a", "b", "c"]), "a, b and c");
    }

    #[test]
    fn digits_are_grouped_by_three() {
        for (n, text) in [(0, "0"), (999, "999"), (1000, "1,000"), (1_234_567, "1,234,567")] {
            assert_eq!(group_digits(n), text);
        }
    }

    #[test]
    fn one_thing_has_no_plural() {
        for (n, text) in [(0, "0 records"), (1, "1 record"), (2, "2 records"), (1000, "1,000 records")] {
            assert_eq!(counted(n, "record"), text);
        }
    }
}
