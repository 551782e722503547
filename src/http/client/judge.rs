//! What an answer is, before it is decided what follows from it.

use super::{Reading, Validate};
use crate::http::auth::Renewal;
use crate::http::retry::{Outcome, Rules};
use crate::http::transport::TransportError;
use crate::http::{Claim, Response};
use crate::plan::model::{Action, ResponseAction};
use bytes::Bytes;

/// What one try brought, and what is known of it.
pub(super) struct Tried<'a> {
    pub(super) result: Result<Response, TransportError>,
    /// The `response_actions` entry that is about it.
    pub(super) action: Option<&'a ResponseAction>,
    /// Whether it came from where credentials may go.
    pub(super) is_trusted: bool,
}

/// What is known of an answer that an entry took for no page. It is in the log, because a report can't list each of many.
pub(super) fn claim(target: &str, response: &Response, rules: Rules<'_>) -> Claim {
    let message = rules.action.and_then(|entry| entry.message.clone());
    let claim = Claim { status: response.status, message };
    tracing::debug!(request = target, answer = %claim, "`response_actions` say that there is nothing here");
    claim
}

/// Has the body of a page looked at. Answers that an action claims, or that refuse the credentials, are not pages.
pub(super) fn judge(tried: Tried<'_>, rules: Rules<'_>, reading: Reading, validate: Validate<'_>) -> Outcome {
    let response = match tried.result {
        Ok(response) => response,
        Err(error) => return Outcome::Transport(if reading == Reading::Page { error } else { error.without_body() }),
    };
    let is_redirect = reading == Reading::Cookies && (300..400).contains(&response.status);
    if is_redirect {
        // As good as a 2xx: the cookies came with it.
        return Outcome::Response(Response { status: 200, ..response });
    }
    let is_page = match rules.action {
        Some(entry) => entry.action == Action::Accept,
        None => (200..300).contains(&response.status) && rules.renewal == Renewal::None,
    };
    match if is_page { validate(&response) } else { Ok(()) } {
        Ok(()) => Outcome::Response(response),
        Err(complaint) if reading == Reading::Page => Outcome::Undecodable(response, complaint),
        Err(complaint) => {
            let body = Bytes::from_static(b"(not shown: it may hold a token)");
            Outcome::Undecodable(Response { body, ..response }, complaint)
        }
    }
}
