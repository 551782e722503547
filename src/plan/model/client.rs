//! What all requests of a pipeline share.

use super::BaseUrl;
use crate::plan::template::Template;
use crate::secret::Secret;
use std::path::PathBuf;
use std::time::Duration;

/// A piece of configuration text that may hold a secret.
#[derive(Debug, Clone, PartialEq)]
pub struct Text {
    /// The template. Where `${…}` brought something from the environment it is already in place.
    pub template: Template,
    /// Whether `${…}` brought a value in: it is then a credential, and goes to the API's own origin only.
    pub secret: bool,
}

/// What all requests of a pipeline share.
#[derive(Debug, Clone, PartialEq)]
pub struct Client {
    /// Base of relative paths. Its origin is the only one that gets credentials.
    pub base_url: BaseUrl,
    /// Time to connect (`timeout.connect`).
    pub connect_timeout: Duration,
    /// Longest silence between two reads (`timeout.read`).
    pub read_timeout: Duration,
    /// All hold at once, over all resources.
    pub rate_limits: Vec<RateLimit>,
    /// Requests in flight, at least 1.
    pub concurrency: usize,
    /// When and how often to try again.
    pub retry: Retry,
    /// Other hosts that `next` links and redirects may lead to.
    pub allowed_hosts: Vec<AllowedHost>,
    /// Largest decompressed body, bytes.
    pub max_response_bytes: u64,
    /// Proxy URL, as in curl.
    pub proxy: Option<Secret>,
    /// PEM file with further root certificates.
    pub ca_certificate: Option<PathBuf>,
    /// `User-Agent` to send.
    pub user_agent: String,
    /// Accept any certificate (tests of a server of one's own).
    pub accept_invalid_certificates: bool,
}

/// At most `count` requests in any window of length `per`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct RateLimit {
    /// Requests in a window, at least 1.
    pub count: u32,
    /// Length of the window.
    pub per: Duration,
}

impl std::fmt::Display for RateLimit {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let window = match self.per.as_secs() {
            1 if self.per.subsec_nanos() == 0 => "second".to_owned(),
            60 => "minute".to_owned(),
            3_600 => "hour".to_owned(),
            86_400 => "day".to_owned(),
            _ if self.per.subsec_nanos() > 0 => format!("{}ms", self.per.as_millis()),
            seconds => format!("{seconds}s"),
        };
        write!(f, "{}/{window}", self.count)
    }
}

/// When to try again, and for how long.
#[derive(Debug, Clone, PartialEq)]
pub struct Retry {
    /// Tries in all, the first one included.
    pub max_attempts: u32,
    /// Upper bound of the first wait; it doubles with each attempt (full jitter).
    pub base_delay: Duration,
    /// Upper bound of any wait of our own.
    pub max_delay: Duration,
    /// Total time after which no further try starts. Waits that the server asked for do not count.
    pub max_elapsed: Duration,
    /// Longest wait that a server may ask for; a longer one fails at once.
    pub max_wait: Duration,
    /// Statuses that are tried again.
    pub statuses: Vec<u16>,
}

/// A host that links may lead to beside the API's own origin.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct AllowedHost {
    /// Host name, lower case.
    pub host: String,
    /// Port, if only one is allowed.
    pub port: Option<u16>,
    /// Whether credentials may go there.
    pub send_auth: bool,
}
