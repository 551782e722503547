//! The sample API on loopback: HTTP/1.1 with keep-alive, on a thread and a runtime of its own, so that the loads talk to
//! it exactly as they would to a machine elsewhere.

use super::api::{self, Answer, BASE_PATH};
use super::data::Account;
use crate::error::{Error, Kind, Result};
use bytes::Bytes;
use http_body_util::Full;
use hyper::body::Incoming;
use hyper::header::{AUTHORIZATION, CONTENT_TYPE, HeaderValue, RETRY_AFTER};
use hyper::service::service_fn;
use hyper::{Method, Request, Response, StatusCode};
use hyper_util::rt::{TokioIo, TokioTimer};
use std::convert::Infallible;
use std::net::{Ipv4Addr, SocketAddr};
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::thread::JoinHandle;
use tokio::net::TcpListener;
use tokio::sync::oneshot;

/// Of so many requests, one is refused with 503 and `Retry-After`, as Mindstamp does above its rate limit.
const REFUSED_EVERY: u64 = 600;

/// Which request of those is refused.
const REFUSED_FIRST: u64 = 9;

/// Request heads larger than this are refused by the HTTP layer.
const HEAD_BYTES_MAX: usize = 16 * 1024;

/// The running server. Dropping it ends it.
pub(super) struct Server {
    address: SocketAddr,
    service: Arc<Service>,
    stop: Option<oneshot::Sender<()>>,
    thread: Option<JoinHandle<()>>,
}

struct Service {
    account: Mutex<Account>,
    authorization: String,
    request_count: AtomicU64,
}

impl Server {
    /// Serves an account on a free port of 127.0.0.1 to callers who show the token.
    ///
    /// # Errors
    /// No port or no thread is to be had.
    pub(super) fn start(account: Account, token: &str) -> Result<Server> {
        let failed = |what: &str, e: std::io::Error| {
            Error::new(Kind::Internal, format!("the sample API can't start: {what}")).source(e)
        };
        let listener = std::net::TcpListener::bind((Ipv4Addr::LOCALHOST, 0))
            .and_then(|listener| listener.set_nonblocking(true).map(|()| listener))
            .map_err(|e| failed("no free port on 127.0.0.1", e))?;
        let address = listener.local_addr().map_err(|e| failed("the port has no address", e))?;
        let runtime =
            tokio::runtime::Builder::new_current_thread().enable_all().build().map_err(|e| failed("no runtime", e))?;
        let service = Arc::new(Service {
            account: Mutex::new(account),
            authorization: format!("Bearer {token}"),
            request_count: AtomicU64::new(0),
        });
        let (stop, stopped) = oneshot::channel();
        let shared = service.clone();
        let thread = std::thread::Builder::new()
            .name("sample-api".to_owned())
            .spawn(move || runtime.block_on(accept(listener, shared, stopped)))
            .map_err(|e| failed("no thread", e))?;
        Ok(Server { address, service, stop: Some(stop), thread: Some(thread) })
    }

    /// What `base_url` has to be.
    pub(super) fn base_url(&self) -> String {
        format!("http://{}{BASE_PATH}", self.address)
    }

    /// The account, to look at or to change.
    pub(super) fn account(&self) -> MutexGuard<'_, Account> {
        self.service.account()
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        if let Some(stop) = self.stop.take() {
            // Fails only when the thread has already ended.
            let _ = stop.send(());
        }
        if let Some(thread) = self.thread.take() {
            let _ = thread.join();
        }
    }
}

/// Accepts connections until told to stop; the runtime's end closes those still open.
async fn accept(listener: std::net::TcpListener, service: Arc<Service>, mut stopped: oneshot::Receiver<()>) {
    let listener = match TcpListener::from_std(listener) {
        Ok(listener) => listener,
        Err(e) => return tracing::error!(error = %e, "the sample API can't listen"),
    };
    loop {
        tokio::select! {
            _ = &mut stopped => return,
            accepted = listener.accept() => match accepted {
                Ok((stream, _)) => drop(tokio::spawn(serve(stream, service.clone()))),
                // A connection that died in the queue, or too many open files: the next one may do better.
                Err(e) => tracing::warn!(error = %e, "the sample API could not accept a connection"),
            },
        }
    }
}

async fn serve(stream: tokio::net::TcpStream, service: Arc<Service>) {
    let handle = service_fn(move |request| {
        let response = service.respond(&request);
        async move { Ok::<_, Infallible>(response) }
    });
    let served = hyper::server::conn::http1::Builder::new()
        .timer(TokioTimer::new())
        .max_buf_size(HEAD_BYTES_MAX)
        .serve_connection(TokioIo::new(stream), handle)
        .await;
    if let Err(e) = served {
        tracing::debug!(error = %e, "the sample API lost a connection");
    }
}

impl Service {
    fn account(&self) -> MutexGuard<'_, Account> {
        self.account.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn respond(&self, request: &Request<Incoming>) -> Response<Full<Bytes>> {
        let authorization = request.headers().get(AUTHORIZATION).map(HeaderValue::as_bytes);
        if authorization != Some(self.authorization.as_bytes()) {
            return render(&Answer::error(401, "Not Authorized"));
        }
        let number = self.request_count.fetch_add(1, Ordering::Relaxed);
        if number % REFUSED_EVERY == REFUSED_FIRST {
            let mut response = render(&Answer::error(503, "Rate Limit Exceeded"));
            response.headers_mut().insert(RETRY_AFTER, HeaderValue::from_static("1"));
            return response;
        }
        if request.method() != Method::GET {
            return render(&Answer::error(422, "this sample can only be read"));
        }
        let uri = request.uri();
        render(&api::answer(&self.account(), uri.path(), uri.query().unwrap_or_default()))
    }
}

fn render(answer: &Answer) -> Response<Full<Bytes>> {
    let mut response = Response::new(Full::new(Bytes::from(answer.body.to_string())));
    *response.status_mut() = StatusCode::from_u16(answer.status).unwrap_or(StatusCode::INTERNAL_SERVER_ERROR);
    response.headers_mut().insert(CONTENT_TYPE, HeaderValue::from_static("application/json"));
    response
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::io::{Read, Write};

    fn exchange(server: &Server, requests: &str) -> String {
        let mut stream = std::net::TcpStream::connect(server.address).expect("connects");
        stream.write_all(requests.as_bytes()).expect("writes");
        let mut text = String::new();
        stream.read_to_string(&mut text).expect("reads");
        text
    }

    #[test]
    fn the_token_is_required_and_a_connection_serves_several_requests() {
        let server = Server::start(Account::new(), "token").expect("starts");
        let refused = exchange(&server, "GET /api/v1/user/me HTTP/1.1\r\nHost: h\r\nConnection: close\r\n\r\n");
        assert!(refused.starts_with("HTTP/1.1 401"), "{refused}");

        let one = "GET /api/v1/user/me HTTP/1.1\r\nHost: h\r\nAuthorization: Bearer token\r\n";
        let both = exchange(&server, &format!("{one}\r\n{one}Connection: close\r\n\r\n"));
        assert_eq!(both.matches("HTTP/1.1 200").count(), 2, "{both}");
        assert_eq!(both.matches("pia@ducks.example").count(), 2);
    }

    #[test]
    fn one_request_of_many_is_refused_for_a_second() {
        let server = Server::start(Account::new(), "token").expect("starts");
        let one = "GET /api/v1/user/me HTTP/1.1\r\nHost: h\r\nAuthorization: Bearer token\r\n";
        let text = exchange(&server, &format!("{}{one}Connection: close\r\n\r\n", format!("{one}\r\n").repeat(20)));
        assert_eq!(text.matches("HTTP/1.1 503").count(), 1, "{text}");
        assert_eq!(text.to_lowercase().matches("retry-after: 1").count(), 1);
    }
}
