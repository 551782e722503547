//! One sequence of requests: a resource, for one parent or none. Pages are pulled, and the next request is made only
//! after the records of the last page were counted.

use super::envelope::Envelope;
use super::paginate::{EndReason, Next, PageFacts, PageRequest, PageSeen, Paging, SeenPages, Warning};
use super::request;
use super::select::{RecordSelector, Selection};
use crate::error::{Error, Kind, Result};
use crate::http::{Answer, Credentials, HeaderMap, Http, Meter, Response, describe, excerpt};
use crate::plan::model::{Client, Resource};
use crate::plan::template::Scope;
use bytes::Bytes;
use serde_json::Value;
use std::error::Error as StdError;
use std::sync::{Arc, Mutex, PoisonError};
use url::Url;

/// What a walk is made of.
#[derive(Clone)]
pub struct WalkSpec {
    /// What is asked for.
    pub resource: Arc<Resource>,
    /// What all requests share.
    pub client: Arc<Client>,
    /// Parent, variables and run. `cursor_start` is the frozen start, as a request shows it.
    pub scope: Scope,
    /// Sends the requests.
    pub http: Http,
    /// Credentials of the resource.
    pub credentials: Arc<Credentials>,
    /// Counters of the resource.
    pub meter: Arc<Meter>,
}

/// One page of records.
#[derive(Debug, Clone)]
pub struct Page {
    /// Slices of the body: each a JSON array of records, or a single record.
    pub records: Vec<Bytes>,
    /// Number of the page, from 1.
    pub number: u64,
    /// Length of the body, bytes.
    pub body_bytes: u64,
    /// Where it came from.
    pub source: PageSource,
}

/// Where a page came from, for errors about its records.
#[derive(Debug, Clone)]
pub struct PageSource {
    /// Method and URL, without secrets.
    pub request: String,
    /// HTTP status.
    pub status: u16,
    /// The body.
    body: Bytes,
}

impl PageSource {
    /// An error with the request, the status and the start of the body.
    #[must_use]
    pub fn explain(&self, error: Error) -> Error {
        error.with("request", &self.request).with("status", self.status).with("body", excerpt(&self.body))
    }
}

/// A walk in progress.
pub struct Walk {
    spec: WalkSpec,
    paging: Paging,
    selector: RecordSelector,
    seen_pages: SeenPages,
    state: State,
    page_count: u64,
    matched: bool,
    /// The request in hand, and what was known before its answer: should the answer turn out to be unreadable.
    asked: Option<(PageRequest, SeenPages)>,
    unreadable_count: u32,
}

/// What a walk waits for.
enum State {
    /// [`Walk::next_page`], to send this.
    Ready(PageRequest),
    /// [`Walk::accept`], to count the records of this answer.
    HandedOut(Box<Pending>),
    Ended(EndReason),
    /// An error ended it.
    Failed,
}

/// A page that was handed out and not yet counted.
struct Pending {
    envelope: Envelope,
    headers: HeaderMap,
    url: Url,
    is_list: bool,
    source: PageSource,
}

impl Walk {
    /// A walk before its first request.
    pub fn new(spec: WalkSpec) -> Self {
        let paging = Paging::new(&spec.resource);
        Walk {
            state: State::Ready(paging.first()),
            selector: RecordSelector::new(&spec.resource),
            paging,
            spec,
            seen_pages: SeenPages::default(),
            page_count: 0,
            matched: false,
            asked: None,
            unreadable_count: 0,
        }
    }

    /// Fetches the next page; `None` when the walk has ended. A page without records is handed out too: paging goes by
    /// it.
    ///
    /// # Errors
    /// The request failed, the body is not what it should be, the selector matches nothing, or the page came before.
    pub async fn next_page(&mut self) -> Result<Option<Page>> {
        let page = match std::mem::replace(&mut self.state, State::Failed) {
            State::Ready(page) => page,
            State::Ended(reason) => {
                self.state = State::Ended(reason);
                return Ok(None);
            }
            State::HandedOut(_) => return Err(misuse("a page was asked for before the last one was accepted")),
            State::Failed => return Err(misuse("a page was asked for after the walk failed")),
        };
        let fetched = self.fetch(&page).await?;
        self.asked = Some((page, self.seen_pages));
        match fetched {
            Fetched::Page(page) => self.hand_out(page.0, page.1),
            Fetched::End(reason) => {
                self.state = State::Ended(reason);
                Ok(None)
            }
        }
    }

    /// Takes note of how many records the page in hand had, counted before any is left out, and decides what is next.
    ///
    /// # Errors
    /// Paging can't go on although there is more.
    pub fn accept(&mut self, record_count: u64) -> Result<()> {
        let State::HandedOut(pending) = std::mem::replace(&mut self.state, State::Failed) else {
            return Err(misuse("a page was accepted that was not handed out"));
        };
        self.unreadable_count = 0;
        let facts = PageFacts {
            record_count,
            is_list: pending.is_list,
            envelope: &pending.envelope,
            headers: &pending.headers,
            url: &pending.url,
            steps: self.selector.steps(),
        };
        let next = self.paging.next(&facts).map_err(|error| self.place_in_hand(pending.source.explain(error)))?;
        self.state = match next {
            Next::Page(page) => State::Ready(page),
            Next::End(reason) => State::Ended(reason),
        };
        Ok(())
    }

    /// Begins with a request of its own: an address that an answer gave for it.
    pub fn begin_at(&mut self, link: Url) {
        self.state = State::Ready(PageRequest { link: Some(link), is_whole: true, ..PageRequest::default() });
    }

    /// Ends the walk although the list goes on.
    pub fn finish(&mut self, reason: EndReason) {
        self.paging.cut_short();
        self.state = State::Ended(reason);
    }

    /// Goes on with the first page of what follows another start of the cursor. To be called when the page in hand was
    /// accepted.
    ///
    /// # Errors
    /// `max_pages` is reached.
    pub fn restart(&mut self, cursor_start: Option<Value>) -> Result<()> {
        self.paging.restart(&self.spec.resource).map_err(|error| self.place_in_hand(error))?;
        self.spec.scope.cursor_start = cursor_start;
        self.seen_pages = SeenPages::default();
        self.state = State::Ready(self.paging.first());
        Ok(())
    }

    /// The answer that the page in hand came with; `None` when no page is in hand.
    pub fn answer(&self) -> Option<(&Envelope, &HeaderMap)> {
        match &self.state {
            State::HandedOut(pending) => Some((&pending.envelope, &pending.headers)),
            State::Ready(_) | State::Ended(_) | State::Failed => None,
        }
    }

    /// Has the page in hand asked for again, because its records could not be decoded: a body that was cut short may come
    /// whole the next time. Counts as a try of the request, and waits like one.
    ///
    /// # Errors
    /// The given error, when `retry.max_attempts` are used up; or the run was asked to end.
    pub async fn ask_again(&mut self, error: Error) -> Result<()> {
        let (State::HandedOut(_), Some((page, seen_pages))) = (&self.state, self.asked.take()) else {
            return Err(misuse("a page was asked for again that was not handed out"));
        };
        self.state = State::Failed;
        self.page_count -= 1;
        self.unreadable_count += 1;
        if !self.spec.http.back_off(self.unreadable_count, &self.spec.meter).await? {
            return Err(self.place(error).with("tries", format!("{} (`retry.max_attempts`)", self.unreadable_count)));
        }
        tracing::warn!(resource = %self.spec.resource.name, %error, attempt = self.unreadable_count, "asking again");
        self.seen_pages = seen_pages;
        self.state = State::Ready(page);
        Ok(())
    }

    /// Why the walk ended; `None` while it has not.
    pub fn end(&self) -> Option<&EndReason> {
        match &self.state {
            State::Ended(reason) => Some(reason),
            State::Ready(_) | State::HandedOut(_) | State::Failed => None,
        }
    }

    /// What a person should look at; complete when the walk has ended.
    pub fn warnings(&self) -> Vec<Warning> {
        let mut warnings = self.paging.warnings();
        if self.spec.resource.allow_missing && self.page_count > 0 && !self.matched {
            warnings.push(Warning::NeverMatched);
        }
        warnings
    }

    /// What `data_selector = "auto"` chose, once it has; `None` when the file says it.
    pub fn chosen_selector(&self) -> Option<String> {
        self.selector.chosen()
    }

    async fn fetch(&self, page: &PageRequest) -> Result<Fetched> {
        let WalkSpec { resource, client, scope, http, credentials, meter } = &self.spec;
        let request = request::build(client, resource, scope, page).map_err(|error| self.place(error))?;
        // The body is read once, where it can still be asked for again.
        let parsed = Mutex::new(None);
        let validate = |response: &Response| -> Result<(), String> {
            let envelope = Envelope::parse(response.status, &response.headers, &response.body).map_err(complaint)?;
            *parsed.lock().unwrap_or_else(PoisonError::into_inner) = Some(envelope);
            Ok(())
        };
        let answer = http.send(&request, credentials, &resource.response_actions, meter, &validate).await;
        match answer.map_err(|error| self.place(error))? {
            Answer::Page(response) => {
                let parsed = parsed.into_inner().unwrap_or_else(PoisonError::into_inner);
                let envelope = match parsed {
                    Some(envelope) => envelope,
                    None => Envelope::parse(response.status, &response.headers, &response.body)
                        .map_err(|error| self.place(error))?,
                };
                Ok(Fetched::Page(Box::new((response, envelope))))
            }
            Answer::Ignored { status } => Ok(Fetched::End(EndReason::Ignored(status))),
            Answer::End { status } => Ok(Fetched::End(EndReason::Ended(status))),
        }
    }

    fn hand_out(&mut self, response: Response, envelope: Envelope) -> Result<Option<Page>> {
        let number = self.page_count + 1;
        let source = PageSource {
            request: describe(&self.spec.resource.request.method, &response.url),
            status: response.status,
            body: response.body,
        };
        let selected = self.selector.select(&envelope);
        let Selection { records, is_list, matched } = selected.map_err(|error| self.place(source.explain(error)))?;
        self.matched |= matched;
        let has_records = super::select::has_records(&records);
        if has_records && let PageSeen::SameAs(same) = self.seen_pages.note(number, &records) {
            let reason = self.paging.repeated_page(number, same);
            self.state = State::Ended(reason.map_err(|error| self.place(source.explain(error)))?);
            return Ok(None);
        }
        self.page_count = number;
        let body_bytes = source.body.len() as u64;
        let page = Page { records, number, body_bytes, source: source.clone() };
        let (headers, url) = (response.headers, response.url);
        self.state = State::HandedOut(Box::new(Pending { envelope, headers, url, is_list, source }));
        Ok(Some(page))
    }

    /// Adds the resource and the page that is asked for to an error.
    fn place(&self, error: Error) -> Error {
        error.with("resource", &self.spec.resource.name).with("page", self.page_count + 1)
    }

    /// Adds the resource and the page that was handed out to an error.
    fn place_in_hand(&self, error: Error) -> Error {
        error.with("resource", &self.spec.resource.name).with("page", self.page_count)
    }
}

/// What became of one request.
enum Fetched {
    Page(Box<(Response, Envelope)>),
    End(EndReason),
}

fn misuse(what: &str) -> Error {
    Error::new(Kind::Internal, what)
}

/// What is wrong with a body, in one sentence.
fn complaint(error: Error) -> String {
    match StdError::source(&error) {
        Some(cause) => format!("{error}: {cause}"),
        None => error.to_string(),
    }
}

#[cfg(test)]
mod tests;
