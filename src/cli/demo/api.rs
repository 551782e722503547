//! What the sample API answers: a pure function of the account and the request.
//!
//! It follows Mindstamp's documentation: a bearer token, at most 100 records in an answer whatever `limit` asks for,
//! `offset`, null for what has no data. `since` (inclusive, on `updated_at`) is honoured by the four big lists only.

use super::data::{Account, stamp};
use chrono::{DateTime, Duration, Utc};
use serde_json::{Value, json};
use std::collections::HashSet;

/// Records in an answer, at most.
const PAGE_LIMIT: usize = 100;

/// Where the API lives on its host.
pub(super) const BASE_PATH: &str = "/api/v1/";

/// An answer: status and JSON body.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct Answer {
    pub(super) status: u16,
    pub(super) body: Value,
}

impl Answer {
    fn ok(body: Value) -> Answer {
        Answer { status: 200, body }
    }

    /// An error as the API words it.
    pub(super) fn error(status: u16, message: &str) -> Answer {
        Answer { status, body: json!({ "error": message }) }
    }

    fn not_found() -> Answer {
        Answer::error(404, "Not Found")
    }
}

/// Answers `GET path?query` for a caller who has shown the token.
pub(super) fn answer(account: &Account, path: &str, query: &str) -> Answer {
    let Some(path) = path.strip_prefix(BASE_PATH) else { return Answer::not_found() };
    let query = match Query::parse(query) {
        Ok(query) => query,
        Err(message) => return Answer::error(422, &message),
    };
    let segments: Vec<&str> = path.trim_end_matches('/').split('/').collect();
    match segments.as_slice() {
        ["user", "me"] => Answer::ok(account.user.clone()),
        ["views", "summary"] => Answer::ok(summary(account, None)),
        ["views", "summary", "month"] => Answer::ok(summary(account, Some(Duration::days(30)))),
        ["views", "summary", "week"] => Answer::ok(summary(account, Some(Duration::days(7)))),
        ["videos"] => query.changed(&account.videos),
        ["viewers"] => query.changed(&account.viewers),
        ["views"] => query.changed(&account.views),
        ["interactions"] => query.changed(&account.interactions),
        ["plink"] => query.page(account.plinks.iter()),
        ["videos", id] => one(&account.videos, id),
        ["viewers", id] => one(&account.viewers, id),
        ["views", id] => one(&account.views, id),
        ["interactions", id] => one(&account.interactions, id),
        ["plink", id] => one(&account.plinks, id),
        ["videos", id, "views"] => query.within(&account.videos, id, &account.views, "video_id"),
        ["videos", id, "interactions"] => query.within(&account.videos, id, &account.interactions, "video_id"),
        ["viewers", id, "views"] => query.within(&account.viewers, id, &account.views, "viewer_id"),
        ["viewers", id, "interactions"] => query.within(&account.viewers, id, &account.interactions, "viewer_id"),
        ["views", id, "interactions"] => query.within(&account.views, id, &account.interactions, "view_id"),
        ["interactions", id, "responses"] => {
            query.within(&account.interactions, id, &account.responses, "interaction_id")
        }
        _ => Answer::not_found(),
    }
}

/// The parameters that the API understands; others are ignored, as servers do.
struct Query {
    offset: usize,
    limit: usize,
    since: Option<DateTime<Utc>>,
}

impl Query {
    fn parse(query: &str) -> Result<Query, String> {
        let mut parsed = Query { offset: 0, limit: PAGE_LIMIT, since: None };
        for (name, value) in url::form_urlencoded::parse(query.as_bytes()) {
            let wrong = |what: &str| format!("`{name}` is not {what}");
            match name.as_ref() {
                "offset" => parsed.offset = value.parse().map_err(|_| wrong("a whole number"))?,
                "limit" => parsed.limit = value.parse::<usize>().map_err(|_| wrong("a whole number"))?.min(PAGE_LIMIT),
                "since" => {
                    let time = DateTime::parse_from_rfc3339(&value).map_err(|_| wrong("an ISO 8601 time"))?;
                    parsed.since = Some(time.to_utc());
                }
                _ => {}
            }
        }
        Ok(parsed)
    }

    fn page<'a>(&self, records: impl Iterator<Item = &'a Value>) -> Answer {
        Answer::ok(records.skip(self.offset).take(self.limit).cloned().collect())
    }

    /// A page of what changed at `since` or later. As in SQL, a null `updated_at` is in no range.
    fn changed(&self, records: &[Value]) -> Answer {
        match self.since {
            None => self.page(records.iter()),
            Some(since) => self.page(records.iter().filter(|r| time(r, "updated_at").is_some_and(|t| t >= since))),
        }
    }

    /// A page of the records that belong to a parent; it does not know `since`.
    fn within(&self, parents: &[Value], id: &str, records: &[Value], parent_field: &str) -> Answer {
        if !parents.iter().any(|p| p["id"] == id) {
            return Answer::not_found();
        }
        self.page(records.iter().filter(|r| r[parent_field] == id))
    }
}

fn one(records: &[Value], id: &str) -> Answer {
    records.iter().find(|r| r["id"] == id).map_or_else(Answer::not_found, |r| Answer::ok(r.clone()))
}

fn time(record: &Value, field: &str) -> Option<DateTime<Utc>> {
    DateTime::parse_from_rfc3339(record[field].as_str()?).ok().map(|t| t.to_utc())
}

/// One object about the views of a period that ends now.
fn summary(account: &Account, period: Option<Duration>) -> Value {
    let from = period.map(|period| account.now - period);
    let views: Vec<&Value> = account
        .views
        .iter()
        .filter(|v| from.is_none_or(|from| time(v, "created_at").is_some_and(|t| t >= from)))
        .collect();
    let viewers: HashSet<&str> = views.iter().filter_map(|v| v["viewer_id"].as_str()).collect();
    let watched_seconds: u64 = views.iter().filter_map(|v| v["watched_seconds"].as_u64()).sum();
    let videos: Vec<Value> = account
        .videos
        .iter()
        .map(|video| {
            let view_count = views.iter().filter(|v| v["video_id"] == video["id"]).count();
            json!({ "video_id": video["id"], "title": video["title"], "views": view_count })
        })
        .collect();
    json!({
        "from": from.map(stamp),
        "to": stamp(account.now),
        "total_views": views.len(),
        "unique_viewers": viewers.len(),
        "watched_seconds": watched_seconds,
        "videos": videos,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn get(account: &Account, target: &str) -> Answer {
        let (path, query) = target.split_once('?').unwrap_or((target, ""));
        answer(account, &format!("{BASE_PATH}{path}"), query)
    }

    fn count(account: &Account, target: &str) -> usize {
        get(account, target).body.as_array().map_or(usize::MAX, Vec::len)
    }

    #[test]
    fn pages_are_capped_at_100_whatever_limit_asks_for() {
        let account = Account::new();
        let cases = [
            ("interactions", 100),
            ("interactions?limit=1000", 100),
            ("interactions?limit=10", 10),
            ("interactions?offset=200", 50),
            ("interactions?offset=250", 0),
            ("interactions?offset=9999", 0),
        ];
        for (target, expected) in cases {
            assert_eq!(count(&account, target), expected, "{target}");
        }
    }

    #[test]
    fn since_is_inclusive_and_known_to_the_big_lists_only() {
        let account = Account::new();
        let newest = account.videos.iter().filter_map(|v| v["updated_at"].as_str()).max().unwrap_or_default();
        assert_eq!(count(&account, &format!("videos?since={newest}")), 1);
        assert_eq!(count(&account, "videos?since=2099-01-01T00:00:00Z"), 0);
        let id = account.videos[0]["id"].as_str().unwrap_or_default();
        let nested = format!("videos/{id}/views");
        assert_eq!(count(&account, &nested), count(&account, &format!("{nested}?since=2099-01-01T00:00:00Z")));
    }

    #[test]
    fn unknown_records_and_paths_are_404_and_wrong_parameters_422() {
        let account = Account::new();
        let cases = [
            ("videos/nobody", 404),
            ("videos/nobody/views", 404),
            ("nothing", 404),
            ("videos?offset=many", 422),
            ("videos?since=yesterday", 422),
            ("user/me", 200),
            ("views/summary/week", 200),
        ];
        for (target, status) in cases {
            assert_eq!(get(&account, target).status, status, "{target}");
        }
    }
}
