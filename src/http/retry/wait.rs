//! What the headers of an answer say of the time to wait.

use crate::http::HeaderMap;
use crate::plan::model::Again;
use std::time::{Duration, SystemTime};

/// Numbers below this are seconds from now (three years), those above are seconds since 1970.
const EPOCH_SECONDS_MIN: f64 = 1e8;

/// Numbers from here on are milliseconds since 1970.
const EPOCH_MILLIS_MIN: f64 = 1e11;

/// The wait that the `wait_header` of an entry names.
pub(super) fn named(entry: Option<&Again>, headers: &HeaderMap, now: SystemTime) -> Option<Duration> {
    moment(header(headers, entry?.wait_header.as_deref()?)?, headers, now)
}

/// How long a server that throttles wants us to wait: `Retry-After`, else the reset of its quota. `None` also for zero.
pub(super) fn stated(headers: &HeaderMap, now: SystemTime) -> Option<Duration> {
    // With quota left, the reset is not what the server is waiting for.
    let reset = || (remaining_quota(headers).unwrap_or(0) == 0).then(|| quota_reset(headers, now)).flatten();
    retry_after(headers, now).or_else(reset).filter(|wait| !wait.is_zero())
}

/// `Retry-After`: seconds or a date (RFC 9110 section 10.2.3). A date in the past is zero.
pub(super) fn retry_after(headers: &HeaderMap, now: SystemTime) -> Option<Duration> {
    let text = header(headers, "retry-after")?;
    seconds(text).or_else(|| Some(until(httpdate::parse_http_date(text).ok()?, headers, now)))
}

/// Requests that are left of a quota.
pub(super) fn remaining_quota(headers: &HeaderMap) -> Option<u64> {
    quota_header(headers, "remaining").or_else(|| quota_parameter(headers, ["remaining", "r"]))?.parse().ok()
}

/// When the quota is full again.
fn quota_reset(headers: &HeaderMap, now: SystemTime) -> Option<Duration> {
    let text = quota_header(headers, "reset").or_else(|| quota_parameter(headers, ["reset", "t"]))?;
    moment(text, headers, now)
}

/// The time until a moment. Servers write seconds from now, or seconds or milliseconds since 1970, told apart by size;
/// or a date.
fn moment(text: &str, headers: &HeaderMap, now: SystemTime) -> Option<Duration> {
    let Ok(number) = text.parse::<f64>() else {
        let rfc3339 = || chrono::DateTime::parse_from_rfc3339(text).ok().map(SystemTime::from);
        return Some(until(httpdate::parse_http_date(text).ok().or_else(rfc3339)?, headers, now));
    };
    let since_1970 = if number < EPOCH_SECONDS_MIN {
        return seconds(text);
    } else if number < EPOCH_MILLIS_MIN {
        Duration::try_from_secs_f64(number)
    } else {
        Duration::try_from_secs_f64(number / 1000.0)
    };
    Some(until(SystemTime::UNIX_EPOCH.checked_add(since_1970.ok()?)?, headers, now))
}

/// `RateLimit-X` (IETF draft), `X-RateLimit-X` (GitHub and most), `X-Rate-Limit-X` (Okta and others).
fn quota_header<'a>(headers: &'a HeaderMap, suffix: &str) -> Option<&'a str> {
    ["ratelimit-", "x-ratelimit-", "x-rate-limit-"].iter().find_map(|p| header(headers, &format!("{p}{suffix}")))
}

/// A parameter of the one header of newer drafts (draft-ietf-httpapi-ratelimit-headers): `RateLimit: limit=10, remaining=0,
/// reset=5`, later `RateLimit: "default";r=0;t=5`. Of several policies the first counts.
fn quota_parameter<'a>(headers: &'a HeaderMap, names: [&str; 2]) -> Option<&'a str> {
    let parts = header(headers, "ratelimit")?.split([',', ';']);
    let mut pairs = parts.filter_map(|part| part.split_once('='));
    pairs.find(|(name, _)| names.contains(&name.trim())).map(|(_, value)| value.trim())
}

fn header<'a>(headers: &'a HeaderMap, name: &str) -> Option<&'a str> {
    headers.get(name).and_then(|v| v.to_str().ok()).map(str::trim)
}

fn seconds(text: &str) -> Option<Duration> {
    Duration::try_from_secs_f64(text.parse().ok()?).ok()
}

/// Time until a moment of the server, by its own clock if it tells it: ours may differ.
fn until(moment: SystemTime, headers: &HeaderMap, now: SystemTime) -> Duration {
    let server_now = header(headers, "date").and_then(|d| httpdate::parse_http_date(d).ok()).unwrap_or(now);
    moment.duration_since(server_now).unwrap_or_default()
}
