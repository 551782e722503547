//! A page of records, and where it came from.

use crate::error::Error;
use crate::http::{Response, describe, excerpt};
use crate::plan::model::Resource;
use bytes::Bytes;

/// One page of records.
#[derive(Debug, Clone)]
pub struct Page {
    /// Slices of the body: each a JSON array of records, or a single record.
    pub records: Vec<Bytes>,
    /// Records that are left out of them, because the page shares them with the one before it.
    pub overlapping: u64,
    /// Rows by which the list had moved since the page before, as far as that can be told.
    pub moved: u64,
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
    /// Where an answer to a request of a resource came from.
    pub(super) fn of(resource: &Resource, response: &Response) -> PageSource {
        PageSource {
            request: describe(&resource.request.method, &response.url),
            status: response.status,
            body: response.body.clone(),
        }
    }

    /// The body.
    pub(super) fn body(&self) -> &Bytes {
        &self.body
    }

    /// An error with the request, the status and the start of the body.
    #[must_use]
    pub fn explain(&self, error: Error) -> Error {
        error.with("request", &self.request).with("status", self.status).with("body", excerpt(&self.body))
    }
}
