//! `rate_limit` and `retry`, of `[client]` and of a resource.

use super::layers::Layers;
use super::scope::Scope;
use crate::config::tree::Node;
use crate::config::values;
use crate::plan::duration;
use crate::plan::model::{RateLimit, Retry};
use crate::plan::suggest;
use std::time::Duration;

/// Statuses that are tried again by default.
const RETRIED_STATUSES: [u16; 7] = [408, 425, 429, 500, 502, 503, 504];

/// Windows with a name, seconds.
const WINDOWS: [(&str, u64); 4] = [("second", 1), ("minute", 60), ("hour", 3_600), ("day", 86_400)];

/// The windows of a `rate_limit`. What is none is reported.
pub(super) fn rate_limits(node: Option<&Node>, scope: &mut Scope<'_>) -> Vec<RateLimit> {
    let mut limits = Vec::new();
    for node in node.filter(|n| !n.is_off()).map(Node::one_or_many).unwrap_or_default() {
        let Some(text) = node.resolved() else { continue };
        match rate_limit(&text) {
            Ok(limit) => limits.push(limit),
            Err(help) => {
                scope.found.error(node.span.clone(), format!("`{text}` is not a rate limit")).help(help);
            }
        }
    }
    limits
}

/// Reads `100/minute` or `100/15m`; the error is the advice.
fn rate_limit(text: &str) -> Result<RateLimit, String> {
    const FORM: &str = "write a number of requests and a window, such as \"100/minute\" or \"100/15m\"";
    let (count, window) = text.split_once('/').ok_or(FORM)?;
    let per = window_length(window.trim())?;
    match count.trim().parse() {
        Ok(count) if count > 0 => Ok(RateLimit { count, per }),
        Ok(_) => Err("at least 1 request must be allowed".into()),
        Err(_) => Err(FORM.into()),
    }
}

fn window_length(window: &str) -> Result<Duration, String> {
    if let Some((_, seconds)) = WINDOWS.iter().find(|(name, _)| *name == window) {
        return Ok(Duration::from_secs(*seconds));
    }
    match duration::parse_duration(window) {
        Some(length) if !length.is_zero() => Ok(length),
        Some(_) => Err("a window must have a length".into()),
        None => {
            let known = WINDOWS.iter().map(|(name, _)| *name);
            Err(suggest::did_you_mean(window, known.clone())
                .unwrap_or_else(|| format!("windows are {}, or a length of time such as `15m`", suggest::list(known))))
        }
    }
}

/// When to try again: each key from the nearest `retry` that has it.
pub(super) fn retry(layers: &Layers<'_>) -> Retry {
    let node = |name: &str| layers.all("retry").filter_map(Node::as_table).find_map(|table| table.get(name));
    let time = |name: &str, default| node(name).and_then(values::time).unwrap_or(default);
    let statuses = node("statuses")
        .map(|n| n.one_or_many().iter().filter_map(Node::as_count).filter_map(|s| u16::try_from(s).ok()).collect());
    Retry {
        max_attempts: node("max_attempts").and_then(Node::as_count).and_then(|n| u32::try_from(n).ok()).unwrap_or(6),
        base_delay: time("base_delay", Duration::from_millis(500)),
        max_delay: time("max_delay", Duration::from_secs(60)),
        max_elapsed: time("max_elapsed", Duration::from_secs(15 * 60)),
        max_wait: time("max_wait", Duration::from_secs(3_600)),
        statuses: statuses.unwrap_or_else(|| RETRIED_STATUSES.to_vec()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn rate_limits_are_a_count_and_a_window() {
        let limit = |count, ms| Ok(RateLimit { count, per: Duration::from_millis(ms) });
        assert_eq!(rate_limit("100/minute"), limit(100, 60_000));
        assert_eq!(rate_limit(" 2 / second "), limit(2, 1000));
        assert_eq!(rate_limit("1000/day"), limit(1000, 86_400_000));
        assert_eq!(rate_limit("1/2s"), limit(1, 2000));
        assert_eq!(rate_limit("100/15m"), limit(100, 900_000));
        assert_eq!(rate_limit("3 / 1h30m"), limit(3, 5_400_000));
        assert_eq!(rate_limit("5/500ms"), limit(5, 500));
        assert_eq!(rate_limit("5/minutes"), Err("did you mean `minute`?".into()));
        assert_eq!(rate_limit("0/hour"), Err("at least 1 request must be allowed".into()));
        assert_eq!(rate_limit("5/0s"), Err("a window must have a length".into()));
        for wrong in ["5", "x/minute", "-1/minute", "5/fortnight", "", "1/1mo", "1/s", "1/2", "0.5/second"] {
            assert!(rate_limit(wrong).is_err(), "{wrong}");
        }
    }
}
