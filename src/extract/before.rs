//! Requests that come before the first page of a walk, each with the answers of those before it.

use super::fetch::{Fetched, fetch_before};
use super::paginate::EndReason;
use super::walk::WalkSpec;
use crate::error::{Error, Kind, Result};
use serde_json::{Map, Value};

/// What the requests before a walk came to.
pub(super) enum Prepared {
    /// Their answers, by name.
    Answers(Vec<(String, Value)>),
    /// One of them says that there is nothing to walk.
    End(EndReason),
}

/// Sends the requests that come before a walk, one after the other.
///
/// # Errors
/// One failed, will never be ready, or gave something else than JSON.
pub(super) async fn prepare(spec: &WalkSpec) -> Result<Prepared> {
    let mut scope = spec.scope.clone();
    scope.before.clear();
    for preparation in &spec.resource.before {
        let place = |error: Error| error.with("before", &preparation.name);
        let answer = match fetch_before(spec, preparation, &scope).await.map_err(place)? {
            Fetched::Page(answer) => answer,
            Fetched::End(reason) => return Ok(Prepared::End(reason)),
            Fetched::Restart(_) => {
                return Err(place(Error::new(
                    Kind::Paging,
                    "`restart` can't be said of a request that comes before a list",
                )));
            }
        };
        let (response, envelope) = *answer;
        let headers = response.headers.iter().filter_map(|(name, value)| {
            let value = Value::from(value.to_str().ok()?);
            Some((name.as_str().to_owned(), value))
        });
        let body = envelope.root().map(|root| root.value()).transpose().map_err(place)?.unwrap_or_default();
        let mut known = Map::new();
        known.insert("headers".to_owned(), Value::Object(headers.collect()));
        known.insert("body".to_owned(), body);
        scope.before.push((preparation.name.clone(), Value::Object(known)));
    }
    Ok(Prepared::Answers(scope.before))
}
