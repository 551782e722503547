//! One request over the wire: the trait, and the network behind it.

use super::HeaderMap;
use super::auth;
use super::download::{Downloaded, Sink};
use super::unpack::{self, Packing};
use crate::error::{Error, Kind, Result};
use crate::plan::model::Client;
use bytes::{Bytes, BytesMut};
use futures_util::future::BoxFuture;
use reqwest::Method;
use reqwest::header::{ACCEPT_ENCODING, HeaderValue};
use std::error::Error as StdError;
use std::fmt;
use std::path::{Path, PathBuf};
use std::sync::Once;
use url::Url;

/// How much of a body that failed is kept for the error, bytes.
const BODY_START_BYTES: usize = 4096;

/// Largest buffer that is reserved because a server announces a length, bytes.
const RESERVED_BYTES_MAX: u64 = 8 << 20;

/// Sends one request and reads its answer whole.
///
/// An implementation follows no redirect, tries nothing twice, and does not wait for rate windows: that is what
/// [`super::Http`] does. It returns every status as an answer, undoes `Content-Encoding`, and never puts the URL, which
/// may hold credentials, into an error. An answer that is shorter than its `Content-Length` is an error. Dropping the
/// future gives the request up.
pub trait Transport: Send + Sync {
    /// Sends the request.
    ///
    /// # Errors
    /// No whole answer arrived; the kind says why, and whether another try may help.
    fn call(&self, request: WireRequest) -> BoxFuture<'_, Result<WireResponse, TransportError>>;
}

/// A request as it goes over the wire, credentials included. It has no `Debug`, so that it can't be printed.
pub struct WireRequest {
    /// Method.
    pub method: Method,
    /// URL with secret parameters.
    pub url: Url,
    /// Headers. Those that hold credentials are marked as sensitive.
    pub headers: HeaderMap,
    /// Body.
    pub body: Option<Bytes>,
    /// Largest decompressed body to accept, bytes. Does not bound a download.
    pub body_bytes_max: u64,
    /// Names of the query parameters that hold credentials.
    pub secret_params: Vec<String>,
    /// Whether it asks for credentials: its body and its answer are secret.
    pub is_login: bool,
    /// The file that the body of a 2xx answer goes to, as it arrives.
    pub download: Option<PathBuf>,
}

/// An answer that arrived whole, decompressed.
#[derive(Debug)]
pub struct WireResponse {
    /// HTTP status.
    pub status: u16,
    /// Headers.
    pub headers: HeaderMap,
    /// Body; empty where it went to a file.
    pub body: Bytes,
    /// The file that the body went to, if one was asked for and the status is 2xx.
    pub file: Option<Downloaded>,
}

/// Why no whole answer arrived.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum TransportErrorKind {
    /// No connection: name lookup, refused, unreachable, the handshake broken off, connect timeout. Retried.
    Connect,
    /// The certificate is not accepted. Not retried.
    Tls,
    /// Nothing arrived for as long as the read timeout. Retried.
    Timeout,
    /// The connection ended before an answer began. Retried.
    Reset,
    /// The connection ended within the body. Retried.
    Truncated,
    /// The body is not in the encoding that `Content-Encoding` names. Retried.
    Decode,
    /// The decompressed body is larger than `max_response_bytes`. Not retried.
    TooLarge,
    /// The file that the body goes to can't be written. Not retried.
    Storage,
    /// The request can't be put on the wire. Not retried.
    Unsendable,
    /// A tape is played, and has no such request. Not retried.
    NotOnTape,
    /// The tape can't be read or written. Not retried.
    TapeUnusable,
    /// Anything else. Retried.
    Unknown,
}

impl TransportErrorKind {
    /// Whether another try may help.
    pub fn is_retried(self) -> bool {
        match self {
            Self::Connect | Self::Timeout | Self::Reset | Self::Truncated | Self::Decode | Self::Unknown => true,
            Self::Tls | Self::TooLarge | Self::Storage | Self::Unsendable => false,
            Self::NotOnTape | Self::TapeUnusable => false,
        }
    }

    /// What happened, as a sentence for people.
    pub fn sentence(self) -> &'static str {
        match self {
            Self::Connect => "no connection to the server",
            Self::Tls => "the server's certificate is not accepted",
            Self::Timeout => "the server fell silent",
            Self::Reset => "the connection ended before an answer began",
            Self::Truncated => "the body ended early",
            Self::Decode => "the body is not in the encoding that its Content-Encoding names",
            Self::TooLarge => "the body is larger than `max_response_bytes`",
            Self::Storage => "the body can't be written to its file",
            Self::Unsendable => "the request can't be put on the wire",
            Self::NotOnTape => "the request is not on the tape",
            Self::TapeUnusable => "the tape can't be used",
            Self::Unknown => "the request failed",
        }
    }
}

/// What had arrived of an answer when it failed.
#[derive(Debug, Clone)]
pub struct Received {
    /// HTTP status.
    pub status: u16,
    /// Start of the body, at most 4 KiB.
    pub body_start: Bytes,
    /// Decompressed bytes that arrived.
    pub bytes: u64,
}

/// A failure of the transport. Displays its innermost cause; never holds the URL.
#[derive(Debug)]
pub struct TransportError {
    /// What class of failure.
    pub kind: TransportErrorKind,
    /// The part of the answer that arrived, if its head did.
    pub received: Option<Received>,
    cause: String,
}

impl TransportError {
    /// A failure of a kind with its cause in words.
    pub fn new(kind: TransportErrorKind, cause: impl Into<String>) -> Self {
        TransportError { kind, received: None, cause: cause.into() }
    }

    /// Adds what had arrived.
    #[must_use]
    pub fn with_received(mut self, status: u16, body: &[u8]) -> Self {
        let body_start = Bytes::copy_from_slice(&body[..body.len().min(BODY_START_BYTES)]);
        self.received = Some(Received { status, body_start, bytes: body.len() as u64 });
        self
    }

    /// Takes away what had arrived, where it may hold a token.
    #[must_use]
    pub(super) fn without_body(mut self) -> Self {
        self.received = None;
        self
    }
}

impl fmt::Display for TransportError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.cause)
    }
}

impl StdError for TransportError {}

/// The network: reqwest over rustls. Connections are kept alive and shared by all requests of a run.
pub struct ReqwestTransport {
    client: reqwest::Client,
}

impl ReqwestTransport {
    /// A transport with the timeouts, the proxy and the certificates of a pipeline.
    ///
    /// # Errors
    /// [`Kind::Config`]: the certificate file can't be read, the proxy is no URL, or the system has no root
    /// certificates.
    pub fn new(client: &Client) -> Result<Self> {
        install_cryptography();
        let builder = || -> Result<reqwest::ClientBuilder> {
            let mut builder = reqwest::Client::builder()
                .connect_timeout(client.connect_timeout)
                .read_timeout(client.read_timeout)
                .user_agent(&client.user_agent)
                .redirect(reqwest::redirect::Policy::none())
                // A repeated request has to pass the rate windows, so only `Http` repeats.
                .retry(reqwest::retry::never())
                .referer(false)
                // Both are undone by `unpack`, which reads all members of a body.
                .gzip(false)
                .zstd(false)
                .default_headers([(ACCEPT_ENCODING, HeaderValue::from_static(unpack::ACCEPTED))].into_iter().collect())
                .tls_danger_accept_invalid_certs(client.accept_invalid_certificates);
            if let Some(path) = &client.ca_certificate {
                builder = builder.tls_certs_merge(read_certificates(path)?);
            }
            if let Some(proxy) = &client.proxy {
                builder = builder.proxy(auth::proxy(proxy)?);
            }
            Ok(builder)
        };
        let built = match builder()?.build() {
            // A bare system without root certificates can still talk plain HTTP.
            Err(_) if client.base_url.is_plain_http() => builder()?.tls_certs_only([]).build(),
            other => other,
        };
        match built {
            Ok(client) => Ok(ReqwestTransport { client }),
            Err(e) => Err(Error::new(Kind::Config, "the HTTP client can't be set up").source(root_cause(&e)).hint(
                "HTTPS needs root certificates: install the system's `ca-certificates` package, or name a PEM file \
                     as `[client].ca_certificate`",
            )),
        }
    }

    async fn exchange(&self, wire: WireRequest) -> Result<WireResponse, TransportError> {
        let body_bytes_max = wire.body_bytes_max;
        let mut request = self.client.request(wire.method, wire.url).headers(wire.headers);
        if let Some(body) = wire.body {
            request = request.body(body);
        }
        let mut response = request.send().await.map_err(|e| TransportError::new(kind_of_head(&e), root_cause(&e)))?;
        let status = response.status().as_u16();
        let mut headers = std::mem::take(response.headers_mut());
        let packing = Packing::take(&mut headers);
        if let (Some(path), 200..300) = (&wire.download, status) {
            let file = download(&mut response, status, path, packing).await?;
            return Ok(WireResponse { status, headers, body: Bytes::new(), file: Some(file) });
        }
        let body = read_body(&mut response, status, body_bytes_max).await?;
        let packing = packing.filter(|_| !body.is_empty()).or_else(|| Packing::of(&body));
        let body = match packing {
            Some(packing) => unpacked(packing, body, status, body_bytes_max).await?,
            None => body,
        };
        Ok(WireResponse { status, headers, body, file: None })
    }
}

impl Transport for ReqwestTransport {
    fn call(&self, request: WireRequest) -> BoxFuture<'_, Result<WireResponse, TransportError>> {
        Box::pin(self.exchange(request))
    }
}

/// Reads a body to its end. Stops as soon as it is too large, so that a compressed bomb fills no memory.
async fn read_body(response: &mut reqwest::Response, status: u16, bytes_max: u64) -> Result<Bytes, TransportError> {
    let announced = response.content_length().unwrap_or(0).min(bytes_max).min(RESERVED_BYTES_MAX);
    let mut body = BytesMut::with_capacity(announced as usize);
    loop {
        match response.chunk().await {
            Ok(Some(chunk)) if body.len() as u64 + chunk.len() as u64 > bytes_max => {
                body.extend_from_slice(&chunk);
                let cause = format!("more than {bytes_max} bytes after decompression");
                return Err(TransportError::new(TransportErrorKind::TooLarge, cause).with_received(status, &body));
            }
            Ok(Some(chunk)) => body.extend_from_slice(&chunk),
            Ok(None) => return Ok(body.freeze()),
            Err(e) => return Err(TransportError::new(kind_of_body(&e), root_cause(&e)).with_received(status, &body)),
        }
    }
}

/// Undoes a compression, on a thread that may take its time.
async fn unpacked(packing: Packing, body: Bytes, status: u16, bytes_max: u64) -> Result<Bytes, TransportError> {
    let unpacked = tokio::task::spawn_blocking(move || {
        packing
            .unpack(&body, bytes_max)
            .map_err(|e| e.with_received(status, if Packing::of(&body).is_some() { b"" } else { &body }))
    });
    unpacked.await.unwrap_or_else(|e| Err(TransportError::new(TransportErrorKind::Unknown, e.to_string())))
}

/// Reads a body into a file, to its end.
async fn download(
    response: &mut reqwest::Response,
    status: u16,
    path: &Path,
    packing: Option<Packing>,
) -> Result<Downloaded, TransportError> {
    let sink = Sink::create(path, packing);
    loop {
        match response.chunk().await {
            Ok(Some(piece)) => {
                if !sink.push(piece).await {
                    return sink.finish().await;
                }
            }
            Ok(None) => return sink.finish().await,
            Err(e) => {
                let failed = TransportError::new(kind_of_body(&e), root_cause(&e)).with_received(status, b"");
                // The next try writes to the same file, so this one has to be over.
                let _ = sink.finish().await;
                return Err(failed);
            }
        }
    }
}

/// Chooses ring for all TLS of the process. It was chosen already when a second run starts in the same process.
pub(super) fn install_cryptography() {
    static ONCE: Once = Once::new();
    ONCE.call_once(|| {
        // An error means that the process has chosen another one before, which serves as well.
        let _ = rustls::crypto::ring::default_provider().install_default();
    });
}

fn read_certificates(path: &std::path::Path) -> Result<Vec<reqwest::Certificate>> {
    let fault = |message: &str| Error::new(Kind::Config, message).with("file", path.display());
    let pem = std::fs::read(path).map_err(|e| fault("`ca_certificate` can't be read").source(e))?;
    let certificates = reqwest::Certificate::from_pem_bundle(&pem)
        .map_err(|e| fault("`ca_certificate` is not a PEM file").source(root_cause(&e)))?;
    if certificates.is_empty() {
        return Err(fault("`ca_certificate` holds no certificate")
            .hint("a PEM file has blocks that begin with `-----BEGIN CERTIFICATE-----`"));
    }
    Ok(certificates)
}

/// Classifies an error that came before the head of an answer.
fn kind_of_head(error: &reqwest::Error) -> TransportErrorKind {
    if error.is_builder() {
        TransportErrorKind::Unsendable
    } else if causes(error).any(is_certificate_refused) {
        TransportErrorKind::Tls
    } else if error.is_connect() {
        TransportErrorKind::Connect
    } else if error.is_timeout() {
        TransportErrorKind::Timeout
    } else if error.is_request() {
        TransportErrorKind::Reset
    } else {
        TransportErrorKind::Unknown
    }
}

/// Classifies an error that came within a body.
fn kind_of_body(error: &reqwest::Error) -> TransportErrorKind {
    if error.is_timeout() {
        return TransportErrorKind::Timeout;
    }
    // A decoder fails with an `io::Error` of these kinds; a broken connection has one of the system or none at all.
    let innermost = causes(error).filter_map(|e| e.downcast_ref::<std::io::Error>()).last();
    match innermost.map(std::io::Error::kind) {
        Some(std::io::ErrorKind::InvalidData | std::io::ErrorKind::InvalidInput | std::io::ErrorKind::Other) => {
            TransportErrorKind::Decode
        }
        Some(_) | None => TransportErrorKind::Truncated,
    }
}

/// An error and what caused it, outermost first. `io::Error` hides what it wraps from `source`, so that is opened too.
fn causes<'a>(error: &'a (dyn StdError + 'static)) -> impl Iterator<Item = &'a (dyn StdError + 'static)> {
    std::iter::successors(Some(error), |&e| {
        match e.downcast_ref::<std::io::Error>().and_then(std::io::Error::get_ref) {
            Some(inner) => Some(inner as &(dyn StdError + 'static)),
            None => e.source(),
        }
    })
}

fn is_certificate_refused(error: &(dyn StdError + 'static)) -> bool {
    matches!(
        error.downcast_ref::<rustls::Error>(),
        Some(rustls::Error::InvalidCertificate(_) | rustls::Error::NoCertificatesPresented | rustls::Error::General(_))
    )
}

/// The innermost cause in words. The outer ones only say that sending failed, and may name the URL.
pub(super) fn root_cause(error: &reqwest::Error) -> String {
    match causes(error).skip(1).last() {
        Some(cause) => cause.to_string(),
        None if error.is_builder() => "the HTTP client refuses it".to_owned(),
        None => "no further cause is known".to_owned(),
    }
}

#[cfg(test)]
mod tests;
