//! "Did you mean": the known name nearest to one that isn't.

/// A hint that names the nearest known name, if one is near.
pub fn did_you_mean<S: AsRef<str>>(wrong: &str, known: impl IntoIterator<Item = S>) -> Option<String> {
    nearest(wrong, known).map(|name| format!("did you mean `{name}`?"))
}

/// The known name nearest to a wrong one: at most a third of its letters differ, or one begins with the other.
pub fn nearest<S: AsRef<str>>(wrong: &str, known: impl IntoIterator<Item = S>) -> Option<String> {
    let folded = fold(wrong);
    let mut best: Option<(usize, String)> = None;
    for name in known {
        let name = name.as_ref();
        let candidate = fold(name);
        let distance = strsim::damerau_levenshtein(&folded, &candidate);
        let longest = folded.chars().count().max(candidate.chars().count());
        let prefix = folded.chars().count() >= 4 && (candidate.starts_with(&folded) || folded.starts_with(&candidate));
        let near = distance * 3 <= longest.max(3) || (prefix && candidate.chars().count() >= 4);
        if near && best.as_ref().is_none_or(|(d, _)| distance < *d) {
            best = Some((distance, name.to_owned()));
        }
    }
    best.map(|(_, name)| name)
}

/// Names in code marks, as a sentence lists them.
pub fn list<S: AsRef<str>>(names: impl IntoIterator<Item = S>) -> String {
    let names: Vec<String> = names.into_iter().map(|n| format!("`{}`", n.as_ref())).collect();
    match names.as_slice() {
        [] => "none".to_owned(),
        [only] => only.clone(),
        [first @ .., last] => format!("{} and {last}", first.join(", ")),
    }
}

fn fold(name: &str) -> String {
    name.to_lowercase().replace('-', "_")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_nearest_name_is_suggested_if_it_is_near() {
        let known = ["base_url", "headers", "params", "rate_limit", "concurrency"];
        let cases = [
            ("base_ur", Some("base_url")),
            ("header", Some("headers")),
            ("Rate-Limit", Some("rate_limit")),
            ("conc", Some("concurrency")),
            ("zzz", None),
            ("timeout", None),
        ];
        for (wrong, expected) in cases {
            assert_eq!(nearest(wrong, known).as_deref(), expected, "{wrong}");
        }
    }

    #[test]
    fn lists_read_as_sentences() {
        assert_eq!(list(["a"]), "`a`");
        assert_eq!(list(["a", "b", "c"]), "`a`, `b` and `c`");
    }
}
