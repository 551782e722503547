//! One sequence of requests: a resource, for one parent or none. Pages are pulled, and the next request is made only
//! after the records of the last page were counted.

use super::ahead::Ahead;
use super::before::{Prepared, prepare};
use super::envelope::Envelope;
use super::fetch::{Fetched, Tries, fetch};
use super::format::{self, file::Files};
use super::page::{Page, PageSource};
use super::paginate::{EndReason, Join, Joined, Next, PageFacts, PageRequest, PageSeen, Paging, SeenPages, Warning};
use super::repeats::RepeatedKeys;
use super::select::{RecordSelector, Selection};
use crate::error::{Error, Kind, Result};
use crate::http::{self, Credentials, HeaderMap, Http, Meter, Response};
use crate::plan::model::{Client, FieldPath, FormatKind, Paginator, Resource, ValueTest};
use crate::plan::template::Scope;
use arrow::array::ArrayRef;
use bytes::Bytes;
use serde_json::Value;
use std::sync::Arc;
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
    /// Where bodies go that are stored as files; none: they are read.
    pub files: Option<Arc<Files>>,
}

/// A walk in progress.
pub struct Walk {
    spec: WalkSpec,
    paging: Paging,
    selector: RecordSelector,
    seen_pages: SeenPages,
    ahead: Ahead,
    repeated_keys: RepeatedKeys,
    state: State,
    page_count: u64,
    matched: bool,
    /// The request in hand, and what was known before its answer: should the answer turn out to be unreadable.
    asked: Option<(PageRequest, SeenPages)>,
    unreadable_count: u32,
    /// Fields of an answer that the next request shows.
    body_fields: Vec<FieldPath>,
    asks_for_restart: bool,
    first_answer: Option<FirstAnswer>,
    /// Whether the requests that come before the first page were sent.
    is_prepared: bool,
}

/// The first answer of a walk.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct FirstAnswer {
    /// Method and URL, without secrets.
    pub request: String,
    /// HTTP status.
    pub status: u16,
    /// What its body was read as.
    pub format: FormatKind,
    /// Content-Type, as the server sent it.
    pub content_type: Option<String>,
}

/// What a walk found out by itself, as far as the file leaves it open.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Choices {
    /// Where the records are.
    pub selector: Option<String>,
    /// How pages follow each other.
    pub paginator: Option<String>,
}

/// What a walk waits for.
#[expect(clippy::large_enum_variant, reason = "there is one per page")]
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
    records: Vec<Bytes>,
    joined: Joined,
    source: PageSource,
}

/// What a fetched page came to.
enum HandOut {
    Page(Page),
    /// It ended the walk.
    End,
    /// Another one is needed first.
    Again,
}

impl Walk {
    /// A walk before its first request.
    pub fn new(spec: WalkSpec) -> Self {
        let paging = Paging::new(&spec.resource);
        Walk {
            state: State::Ready(paging.first()),
            selector: RecordSelector::new(&spec.resource),
            repeated_keys: RepeatedKeys::new(&spec.resource),
            body_fields: spec.resource.request.page_body_fields(),
            paging,
            spec,
            seen_pages: SeenPages::default(),
            ahead: Ahead::default(),
            page_count: 0,
            matched: false,
            asked: None,
            unreadable_count: 0,
            asks_for_restart: false,
            first_answer: None,
            is_prepared: false,
        }
    }

    /// Fetches the next page; `None` when the walk has ended. A page without records is handed out too: paging goes by
    /// it.
    ///
    /// # Errors
    /// The request failed, the body is not what it should be, the selector matches nothing, or the page came before.
    pub async fn next_page(&mut self) -> Result<Option<Page>> {
        loop {
            let page = match std::mem::replace(&mut self.state, State::Failed) {
                State::Ready(page) => page,
                State::Ended(reason) => {
                    self.state = State::Ended(reason);
                    return Ok(None);
                }
                State::HandedOut(_) => return Err(misuse("a page was asked for before the last one was accepted")),
                State::Failed => return Err(misuse("a page was asked for after the walk failed")),
            };
            if !self.is_prepared && !self.prepare().await? {
                return Ok(None);
            }
            let fetched = self.fetch(&page).await?;
            self.asked = Some((page, self.seen_pages));
            let handed_out = match fetched {
                Fetched::Page(answer) => self.hand_out(answer.0, answer.1)?,
                Fetched::End(reason) => {
                    self.state = State::Ended(reason);
                    HandOut::End
                }
                Fetched::Restart(response) => {
                    self.asks_for_restart = true;
                    return Err(self.restart_error(&response));
                }
            };
            match handed_out {
                HandOut::Page(page) => return Ok(Some(page)),
                HandOut::End => return Ok(None),
                HandOut::Again => {}
            }
        }
    }

    /// Takes note of how many records the page in hand had, counted by the decoder before it leaves any out, and decides
    /// what is next.
    ///
    /// # Errors
    /// Paging can't go on although there is more.
    pub fn accept(&mut self, record_count: u64) -> Result<()> {
        let State::HandedOut(pending) = std::mem::replace(&mut self.state, State::Failed) else {
            return Err(misuse("a page was accepted that was not handed out"));
        };
        self.unreadable_count = 0;
        let facts = PageFacts {
            record_count: record_count + pending.joined.left_out,
            records: &pending.records,
            joined: &pending.joined,
            is_list: pending.is_list,
            envelope: &pending.envelope,
            headers: &pending.headers,
            url: &pending.url,
            steps: self.selector.steps(),
        };
        let next = self.paging.next(&facts).map_err(|error| self.place_in_hand(pending.source.explain(error)))?;
        self.state = match next {
            Next::Page(page) => {
                let body = self.body_values(&pending.envelope);
                let body = body.map_err(|error| self.place_in_hand(pending.source.explain(error)))?;
                State::Ready(PageRequest { body, ..page })
            }
            Next::End(reason) => State::Ended(reason),
        };
        Ok(())
    }

    /// Begins with a request of its own: an address that an answer gave for it.
    pub fn begin_at(&mut self, link: Url) {
        self.state = State::Ready(PageRequest::at(link));
    }

    /// Ends the walk although the list goes on.
    pub fn finish(&mut self, reason: EndReason) {
        self.paging.cut_short();
        self.ahead = Ahead::default();
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
        self.is_prepared = false;
        self.seen_pages = SeenPages::default();
        // Pages asked for ahead have the former start, and its boundary comes again rightly.
        self.ahead = Ahead::default();
        self.repeated_keys = RepeatedKeys::new(&self.spec.resource);
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

    /// Whether the last error was an answer after which the walk has to begin again, as `response_actions` say.
    pub fn asks_for_restart(&self) -> bool {
        self.asks_for_restart
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

    /// What was found out by itself so far.
    pub fn choices(&self) -> Choices {
        let paginator = self.paging.found().filter(|_| self.spec.resource.paginator == Paginator::Auto);
        Choices { selector: self.chosen_selector(), paginator: paginator.map(|found| found.to_string()) }
    }

    /// Records that the list has by the server's own account, as far as it tells.
    pub fn announced(&self) -> Option<u64> {
        self.paging.announced()
    }

    /// The first answer, once it is there.
    pub fn first_answer(&self) -> Option<&FirstAnswer> {
        self.first_answer.as_ref()
    }

    /// Takes note of the ids of the page in hand, for which the decoder left out `repeated_within` records. Returns how many
    /// records have a key that came before in this walk.
    ///
    /// # Errors
    /// One has, and `on_repeated_key` is `fail`.
    pub fn note_keys(&mut self, ids: &ArrayRef, repeated_within: u64) -> Result<u64> {
        self.repeated_keys.note(ids, repeated_within).map_err(|error| self.place_in_hand(error))
    }

    /// Sends the requests that come before the first page; whether there is a list behind them.
    async fn prepare(&mut self) -> Result<bool> {
        match prepare(&self.spec).await.map_err(|error| error.with("resource", &self.spec.resource.name))? {
            Prepared::Answers(answers) => self.spec.scope.before = answers,
            Prepared::End(reason) => {
                self.state = State::Ended(reason);
                return Ok(false);
            }
        }
        self.is_prepared = true;
        Ok(true)
    }

    async fn fetch(&mut self, page: &PageRequest) -> Result<Fetched> {
        let guessed = self.ahead.take(page);
        self.ahead.extend(page, &self.paging, self.selector.place(), &self.spec);
        if let Some(guessed) = guessed
            && let Some(fetched) = guessed.await
        {
            return Ok(fetched);
        }
        let fetched = fetch(&self.spec, page, self.selector.place(), Tries::All).await;
        fetched.map_err(|error| self.place(error))
    }

    fn hand_out(&mut self, response: Response, envelope: Envelope) -> Result<HandOut> {
        let number = self.page_count + 1;
        let source = PageSource::of(&self.spec.resource, &response);
        if number == 1 {
            self.first_answer = Some(FirstAnswer {
                request: source.request.clone(),
                status: response.status,
                format: format::kind_of_answer(&self.spec.resource.format, &response.headers, &response.body),
                content_type: response.header("content-type").map(str::to_owned),
            });
            self.check_expectation(&source)?;
        }
        let selected = self.selector.select(&envelope);
        let Selection { records, is_list, matched } = selected.map_err(|error| self.place(source.explain(error)))?;
        self.matched |= matched;
        let looks_back = self.paging.looks_back();
        let joined = match self.paging.join(&records).map_err(|error| self.place(source.explain(error)))? {
            Join::Page(joined) => joined,
            Join::Back(page) => {
                tracing::debug!(resource = %self.spec.resource.name, offset = page.offset, "rows moved; looking back");
                self.state = State::Ready(page);
                return Ok(HandOut::Again);
            }
        };
        let brings_new = joined.records.as_ref().is_none_or(|new| super::select::has_records(new));
        let is_compared =
            super::select::has_records(&records) && !looks_back && (brings_new || self.paging.counts_on());
        if is_compared && let PageSeen::SameAs(same) = self.seen_pages.note(number, &records) {
            let reason = self.paging.repeated_page(number, same);
            self.state = State::Ended(reason.map_err(|error| self.place(source.explain(error)))?);
            return Ok(HandOut::End);
        }
        self.page_count = number;
        let page = Page {
            records: joined.records.clone().unwrap_or_else(|| records.clone()),
            overlapping: joined.left_out,
            moved: joined.moved,
            number,
            body_bytes: source.body().len() as u64,
            source: source.clone(),
        };
        let (headers, url) = (response.headers, response.url);
        let pending = Pending { envelope, headers, url, is_list, records, joined, source };
        self.state = State::HandedOut(Box::new(pending));
        Ok(HandOut::Page(page))
    }

    /// Holds the first answer against what the file expects of it.
    fn check_expectation(&self, source: &PageSource) -> Result<()> {
        let expected = self.spec.resource.expect.as_ref().and_then(|expect| expect.path.as_ref());
        let Some((path, test)) = expected.filter(|(path, test)| !http::has_value(source.body(), path, test)) else {
            return Ok(());
        };
        let wanted = match test {
            ValueTest::Present => format!("a value at `{path}`"),
            ValueTest::In(values) => format!("one of `{}` at `{path}`", values.join("`, `")),
            ValueTest::NotEquals(value) => format!("a value other than `{value}` at `{path}`"),
            ValueTest::Equals(value) => format!("`{value}` at `{path}`"),
            ValueTest::Contains(part) => format!("`{part}` within `{path}`"),
        };
        let error = Error::new(Kind::Data, "the first answer is not what `expect` says").with("expected", wanted);
        Err(self.place(source.explain(error)))
    }

    /// What the next request shows of an answer.
    fn body_values(&self, envelope: &Envelope) -> Result<Vec<(FieldPath, Value)>> {
        let mut values = Vec::new();
        for field in &self.body_fields {
            if let Some(node) = envelope.node(field)? {
                values.push((field.clone(), node.value()?));
            }
        }
        Ok(values)
    }

    fn restart_error(&self, response: &Response) -> Error {
        let source = PageSource::of(&self.spec.resource, response);
        let message = "an answer asks for the list to be read again from its first page";
        self.place(source.explain(Error::new(Kind::Paging, message).with("response_actions", "restart")))
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

fn misuse(what: &str) -> Error {
    Error::new(Kind::Internal, what)
}

#[cfg(test)]
mod tests;
