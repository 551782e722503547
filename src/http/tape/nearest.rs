//! What of a tape comes nearest to a request that is not on it, and how the two differ.

use super::request::Identity;

/// Most recorded requests that are shown.
const SHOWN_MAX: usize = 3;

/// Longest body that is shown, characters.
const BODY_CHARS_MAX: usize = 200;

/// Differences to recorded requests, a line for each of the nearest. `recorded` may hold equal ones.
pub(super) fn explain<'a>(asked: &Identity, recorded: impl Iterator<Item = &'a Identity>) -> Vec<String> {
    let mut nearest: Vec<(u64, String)> = Vec::new();
    let mut count = 0;
    for other in recorded {
        count += 1;
        let distance = distance(asked, other);
        if nearest.len() == SHOWN_MAX && nearest.last().is_some_and(|(farthest, _)| *farthest <= distance) {
            continue;
        }
        let line = describe(asked, other);
        if nearest.iter().any(|(_, known)| *known == line) {
            continue;
        }
        let place = nearest.partition_point(|(other, _)| *other <= distance);
        nearest.insert(place, (distance, line));
        nearest.truncate(SHOWN_MAX);
    }
    if count == 0 {
        return vec!["the tape has no requests".to_owned()];
    }
    // Other paths say nothing while there is a recorded request for the same one.
    let best = nearest.first().map_or(0, |(distance, _)| *distance);
    let is_close = |distance: u64| best >= PATH_WEIGHT || distance < PATH_WEIGHT;
    nearest.into_iter().filter(|(distance, _)| is_close(*distance)).map(|(_, line)| line).collect()
}

/// Weights: a request for the same path is nearer than any other, whatever its parameters.
const PATH_WEIGHT: u64 = 1 << 16;
const ORIGIN_WEIGHT: u64 = 1 << 24;
const METHOD_WEIGHT: u64 = 64;

fn distance(asked: &Identity, other: &Identity) -> u64 {
    let path = if asked.path == other.path {
        0
    } else {
        PATH_WEIGHT + (strsim::levenshtein(&asked.path, &other.path) as u64).min(PATH_WEIGHT)
    };
    let origin = if asked.origin == other.origin { 0 } else { ORIGIN_WEIGHT };
    let method = if asked.method == other.method { 0 } else { METHOD_WEIGHT };
    let params = differing_params(asked, other).len() as u64;
    path + origin + method + params + u64::from(asked.body != other.body)
}

fn describe(asked: &Identity, other: &Identity) -> String {
    let mut differences = Vec::new();
    if asked.origin != other.origin {
        differences.push(format!("it goes to {}, not to {}", other.origin, asked.origin));
    }
    differences.extend(differing_params(asked, other));
    if asked.body != other.body {
        differences.push(format!("its body is {}, not {}", short(&other.body), short(&asked.body)));
    }
    let line = format!("nearest: {} {}{}", other.method, other.path, query(other));
    if differences.is_empty() { line } else { format!("{line} ({})", differences.join(", ")) }
}

fn query(identity: &Identity) -> String {
    let pairs: Vec<String> = identity.params.iter().map(|(name, value)| format!("{name}={value}")).collect();
    if pairs.is_empty() { String::new() } else { format!("?{}", pairs.join("&")) }
}

fn short(body: &str) -> String {
    match body.char_indices().nth(BODY_CHARS_MAX) {
        _ if body.is_empty() => "empty".to_owned(),
        Some((end, _)) => format!("`{}…`", &body[..end]),
        None => format!("`{body}`"),
    }
}

/// Which parameters differ, in words.
fn differing_params(asked: &Identity, other: &Identity) -> Vec<String> {
    let mut names: Vec<&str> = asked.params.iter().chain(&other.params).map(|(name, _)| name.as_str()).collect();
    names.sort_unstable();
    names.dedup();
    let values = |identity: &Identity, name: &str| -> Vec<String> {
        identity.params.iter().filter(|(n, _)| n == name).map(|(_, value)| value.clone()).collect()
    };
    let difference = |name: &str| {
        let (ours, theirs) = (values(asked, name), values(other, name));
        match (ours.is_empty(), theirs.is_empty()) {
            _ if ours == theirs => None,
            (true, _) => Some(format!("`{name}` was {} and is not asked for", theirs.join(", "))),
            (_, true) => Some(format!("it has no `{name}`, asked is {}", ours.join(", "))),
            _ => Some(format!("`{name}` was {}, asked is {}", theirs.join(", "), ours.join(", "))),
        }
    };
    names.into_iter().filter_map(difference).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn identity(path: &str, params: &[(&str, &str)], body: &str) -> Identity {
        Identity {
            method: "GET".to_owned(),
            origin: "https://h".to_owned(),
            path: path.to_owned(),
            params: params.iter().map(|(n, v)| ((*n).to_owned(), (*v).to_owned())).collect(),
            body: body.to_owned(),
        }
    }

    #[test]
    fn the_parameter_that_differs_is_named() {
        let recorded = [
            identity("/videos", &[("offset", "0")], ""),
            identity("/videos", &[("offset", "100")], ""),
            identity("/viewers", &[], ""),
        ];
        let lines = explain(&identity("/videos", &[("offset", "100"), ("since", "2026")], ""), recorded.iter());
        assert_eq!(
            lines,
            [
                "nearest: GET /videos?offset=100 (it has no `since`, asked is 2026)",
                "nearest: GET /videos?offset=0 (`offset` was 0, asked is 100, it has no `since`, asked is 2026)",
            ]
        );
    }

    #[test]
    fn without_the_same_path_the_most_alike_are_named() {
        let recorded = [identity("/users", &[], ""), identity("/videos", &[("a", "1")], "")];
        let lines = explain(&identity("/video", &[], ""), recorded.iter());
        assert_eq!(lines[0], "nearest: GET /videos?a=1 (`a` was 1 and is not asked for)");
        assert_eq!(explain(&identity("/video", &[], ""), [].iter()), ["the tape has no requests"]);
    }

    #[test]
    fn bodies_are_shown_where_they_differ() {
        let lines = explain(&identity("/q", &[], "{\"a\":2}"), [identity("/q", &[], "{\"a\":1}")].iter());
        assert_eq!(lines, ["nearest: GET /q (its body is `{\"a\":1}`, not `{\"a\":2}`)"]);
    }
}
