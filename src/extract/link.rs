//! The `Link` header, RFC 8288 section 3, read as its appendix B.2 does: what is malformed ends the reading of that
//! header line and keeps the links before it.

use reqwest::header::HeaderMap;

/// One link of a header.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Link {
    /// URI reference, perhaps relative.
    pub target: String,
    /// Relation types, lower case.
    pub relations: Vec<String>,
    /// Whether it says what another resource links to (`anchor`). Such a link is not the answer's own.
    pub anchored: bool,
}

/// The target of the first link with a relation, over all `Link` headers of an answer.
pub fn find(headers: &HeaderMap, relation: &str) -> Option<String> {
    headers
        .get_all(reqwest::header::LINK)
        .iter()
        .flat_map(|value| parse(&String::from_utf8_lossy(value.as_bytes())))
        .find(|link| !link.anchored && link.relations.iter().any(|r| r.eq_ignore_ascii_case(relation)))
        .map(|link| link.target)
}

/// All links of one header value.
pub fn parse(value: &str) -> Vec<Link> {
    let mut links = Vec::new();
    let mut rest = value.trim_start_matches(is_separator);
    while let Some(after_open) = rest.strip_prefix('<') {
        let Some((target, after_target)) = after_open.split_once('>') else { break };
        let (parameters, after_link) = parameters(after_target);
        links.push(link(target, &parameters));
        rest = after_link.trim_start_matches(is_separator);
    }
    links
}

fn link(target: &str, parameters: &[(String, String)]) -> Link {
    // Only the first `rel` counts (RFC 8288 section 3.3).
    let relations = parameters.iter().find(|(name, _)| name == "rel").map_or("", |(_, value)| value);
    Link {
        target: target.trim().to_owned(),
        relations: relations.split_ascii_whitespace().map(str::to_ascii_lowercase).collect(),
        anchored: parameters.iter().any(|(name, _)| name == "anchor"),
    }
}

fn is_separator(c: char) -> bool {
    c == ',' || is_space(c)
}

fn is_space(c: char) -> bool {
    c == ' ' || c == '\t'
}

/// The parameters of a link (RFC 8288 appendix B.3), and what follows them.
fn parameters(text: &str) -> (Vec<(String, String)>, &str) {
    let mut parameters = Vec::new();
    let mut rest = text.trim_start_matches(is_space);
    while let Some(after) = rest.strip_prefix(';') {
        let after = after.trim_start_matches(is_space);
        let name_len = after.find(|c| is_space(c) || matches!(c, '=' | ';' | ',')).unwrap_or(after.len());
        let name = after[..name_len].to_ascii_lowercase();
        rest = after[name_len..].trim_start_matches(is_space);
        let mut value = String::new();
        if let Some(after) = rest.strip_prefix('=') {
            (value, rest) = parameter_value(after.trim_start_matches(is_space));
        }
        rest = rest.trim_start_matches(is_space);
        if !name.is_empty() {
            parameters.push((name, value));
        }
    }
    (parameters, rest)
}

/// A quoted string or a token, and what follows it.
fn parameter_value(text: &str) -> (String, &str) {
    let Some(quoted) = text.strip_prefix('"') else {
        let len = text.find([';', ',']).unwrap_or(text.len());
        return (text[..len].trim_end_matches(is_space).to_owned(), &text[len..]);
    };
    let mut value = String::new();
    let mut chars = quoted.char_indices();
    while let Some((at, c)) = chars.next() {
        match c {
            '"' => return (value, &quoted[at + 1..]),
            '\\' => value.extend(chars.next().map(|(_, escaped)| escaped)),
            c => value.push(c),
        }
    }
    (value, "")
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;
    use reqwest::header::HeaderValue;

    fn next_of(values: &[&str]) -> Option<String> {
        let mut headers = HeaderMap::new();
        for value in values {
            headers.append("link", HeaderValue::from_str(value).unwrap());
        }
        find(&headers, "next")
    }

    #[test]
    fn the_next_relation_is_found_in_every_legal_writing() {
        let cases: [(&[&str], Option<&str>); 14] = [
            (&[r#"<https://a/x?page=2>; rel="next""#], Some("https://a/x?page=2")),
            (&[r#"<https://a/x?page=2>; rel=next"#], Some("https://a/x?page=2")),
            (
                &[r#"<https://a/1>; rel="prev", <https://a/3>; rel="next", <https://a/9>; rel="last""#],
                Some("https://a/3"),
            ),
            (&[r#"<https://a/1>; rel="prev""#, r#"</3>; rel="next""#], Some("/3")),
            (&[r#"<?page=2>;rel="last next""#], Some("?page=2")),
            (&[r#"<a>; title="x, <b>; rel=\"next\""; rel="prev", <c>; REL=NEXT"#], Some("c")),
            (&[r#"<a,b;c>; rel="next""#], Some("a,b;c")),
            (&[r#"<a> ; foo ; rel = "next""#], Some("a")),
            (&[r#"<a>; rel="prev"; rel="next""#], None),
            (&[r#"<a>; rel="next"; anchor="/other""#], None),
            (&[r#"<a>; rel="next-archive""#], None),
            (&[r#"<a"#], None),
            (&[r#",, <a>; rel="next","#], Some("a")),
            (&[""], None),
        ];
        for (headers, expected) in cases {
            assert_eq!(next_of(headers).as_deref(), expected, "{headers:?}");
        }
    }

    proptest! {
        #[test]
        fn any_text_is_read_without_panic(text in "\\PC*") {
            parse(&text);
        }

        #[test]
        fn hostile_punctuation_is_read_without_panic(text in "[<>;,=\"\\\\ a-cé]{0,40}") {
            parse(&text);
        }
    }
}
