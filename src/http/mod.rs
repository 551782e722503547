//! HTTP: one request and what became of it.
//!
//! [`Http::send`] takes a [`Request`] to its [`Answer`]: it waits for the rate windows, adds credentials where they may
//! go, follows redirects within the allowed hosts, and tries again as [`retry::decide`] says. Below it is the one-method
//! trait [`Transport`], so that a [`tape`] or a scripted server can stand in for the network.

mod actions;
mod auth;
mod client;
mod download;
mod failure;
pub mod limit;
pub mod origin;
pub mod post;
mod redirect;
pub mod retry;
pub mod tape;
pub mod transport;
mod unpack;

pub use actions::has_value;
pub use auth::{Credentials, KeptTokens, Setting, resolve};
pub use client::{Http, Validate, any_body};
pub use download::Downloaded;
pub use failure::{DECIDED_BY, describe, excerpt, is_too_much, shown_url};
pub use limit::Limiter;
pub use reqwest::header::HeaderMap;
pub use retry::Pace;
pub use transport::{ReqwestTransport, Transport};
pub(crate) use unpack::Packing;

use crate::secret::Secret;
use bytes::Bytes;
use std::path::PathBuf;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;
use url::Url;

/// One request, before the credentials of its resource are added.
#[derive(Debug, Clone)]
pub struct Request {
    /// HTTP method, upper case.
    pub method: String,
    /// Absolute URL without secret parameters. Those that a `next` link repeats are removed by their names.
    pub url: Url,
    /// The base that it was made below: credentials go to its origin.
    pub base_url: Url,
    /// Headers that may go to every allowed host.
    pub headers: Vec<(String, String)>,
    /// Headers that hold a `${…}` value: they go where credentials go.
    pub secret_headers: Vec<(String, Secret)>,
    /// Query parameters that hold a `${…}` value: they go where credentials go.
    pub secret_params: Vec<(String, Secret)>,
    /// Body, if there is one.
    pub body: Option<Bytes>,
    /// `Content-Type` of the body, unless `headers` has one.
    pub content_type: Option<String>,
    /// Whether the body holds a `${…}` value. It can't be left out, so such a request is refused to other hosts.
    pub secret_body: bool,
    /// The file that the body of a 2xx answer goes to; it is neither held in memory nor bounded then.
    pub download: Option<PathBuf>,
}

impl Request {
    /// A GET without headers or body, whose own origin is its own.
    pub fn get(url: Url) -> Self {
        Request {
            method: "GET".to_owned(),
            base_url: url.clone(),
            url,
            headers: Vec::new(),
            secret_headers: Vec::new(),
            secret_params: Vec::new(),
            body: None,
            content_type: None,
            secret_body: false,
            download: None,
        }
    }
}

/// An answer that arrived whole.
#[derive(Debug, Clone)]
pub struct Response {
    /// HTTP status.
    pub status: u16,
    /// Headers; `Content-Encoding` and `Content-Length` are gone when the body was compressed.
    pub headers: HeaderMap,
    /// Decompressed body; empty where it went to a file.
    pub body: Bytes,
    /// The file that the body went to, if the request asked for one.
    pub file: Option<Downloaded>,
    /// Where it came from, after redirects and without secret parameters: the base of relative `next` links.
    pub url: Url,
}

impl Response {
    /// A header as text; `None` if it is absent or not ASCII text.
    pub fn header(&self, name: &str) -> Option<&str> {
        self.headers.get(name).and_then(|v| v.to_str().ok())
    }
}

/// What became of a request.
#[derive(Debug)]
pub enum Answer {
    /// A 2xx answer, or one that an entry of `response_actions` accepts. The body is empty after a 204.
    Page(Response),
    /// A `response_actions` entry said `ignore`: an empty page that ends this request's paging.
    Ignored(Claim),
    /// A `response_actions` entry said `end`: no more pages.
    End(Claim),
    /// A `response_actions` entry said `restart`: the walk has to begin again.
    Restart(Response),
}

/// An answer that an entry of `response_actions` took for no page.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Claim {
    /// HTTP status of the answer.
    pub status: u16,
    /// What the entry says about it.
    pub message: Option<String>,
}

impl std::fmt::Display for Claim {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match &self.message {
            Some(message) => write!(f, "{}: {}", self.status, crate::secret::redact(message)),
            None => write!(f, "{}", self.status),
        }
    }
}

/// Counters of one resource: written here, read by the progress bars and the report.
#[derive(Debug, Default)]
pub struct Meter {
    /// Requests sent, with retries and redirects.
    pub requests: AtomicU64,
    /// Requests sent again after a failure or a throttle.
    pub retries: AtomicU64,
    /// Time spent waiting for rate windows or because the server asked for it, summed over requests, milliseconds.
    pub throttled_ms: AtomicU64,
    /// Bytes of decompressed bodies that arrived whole.
    pub bytes: AtomicU64,
    /// Requests that wait at this moment for a rate window or because the server asked for it.
    pub waiting: AtomicU64,
}

impl Meter {
    /// Adds what was spent on a token for a request.
    fn absorb(&self, other: &Meter) {
        for (own, spent) in [
            (&self.requests, &other.requests),
            (&self.retries, &other.retries),
            (&self.throttled_ms, &other.throttled_ms),
            (&self.bytes, &other.bytes),
        ] {
            own.fetch_add(spent.load(Ordering::Relaxed), Ordering::Relaxed);
        }
    }

    fn add_throttled(&self, waited: Duration) {
        self.throttled_ms.fetch_add(waited.as_millis() as u64, Ordering::Relaxed);
    }
}
