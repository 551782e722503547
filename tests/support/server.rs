//! A scripted HTTP/1.1 server on loopback, on plain threads. It records every request, and can misbehave in the ways in
//! which servers do.

use serde_json::Value;
use std::io::{Read, Write};
use std::net::{Shutdown, SocketAddr, TcpListener, TcpStream};
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

/// A request as it came in.
#[derive(Debug, Clone)]
pub(crate) struct Request {
    /// When it was read.
    pub(crate) at: Instant,
    pub(crate) method: String,
    /// Without the query, still percent-encoded.
    pub(crate) path: String,
    /// Decoded.
    pub(crate) params: Vec<(String, String)>,
    /// Names in lower case.
    pub(crate) headers: Vec<(String, String)>,
    /// The how-manieth request of this server, from 0.
    pub(crate) number: usize,
    /// Empty where there is none.
    pub(crate) body: String,
}

impl Request {
    pub(crate) fn param(&self, name: &str) -> Option<&str> {
        self.params.iter().find(|(n, _)| n == name).map(|(_, v)| v.as_str())
    }

    /// A parameter as a number; absent: the default.
    pub(crate) fn number_param(&self, name: &str, default: usize) -> usize {
        self.param(name).map_or(default, |v| v.parse().unwrap_or_else(|_| panic!("{name}={v} is no number")))
    }

    pub(crate) fn header(&self, name: &str) -> Option<&str> {
        self.headers.iter().find(|(n, _)| n == name).map(|(_, v)| v.as_str())
    }

    fn parse(head: &str, body: &str, number: usize) -> Request {
        let mut lines = head.split("\r\n");
        let mut first = lines.next().unwrap_or_default().split(' ');
        let method = first.next().unwrap_or_default().to_owned();
        let target = first.next().unwrap_or_default();
        let (path, query) = target.split_once('?').unwrap_or((target, ""));
        Request {
            at: Instant::now(),
            method,
            path: path.to_owned(),
            params: url::form_urlencoded::parse(query.as_bytes()).into_owned().collect(),
            headers: lines
                .filter_map(|line| line.split_once(':'))
                .map(|(name, value)| (name.to_lowercase(), value.trim().to_owned()))
                .collect(),
            number,
            body: body.to_owned(),
        }
    }
}

/// How an answer goes wrong on its way.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Fault {
    None,
    /// The head promises the whole body; the connection ends after so many bytes of it.
    Truncated(usize),
    /// The connection ends without an answer.
    Closed,
    /// The connection is reset without an answer.
    Reset,
    /// Nothing is sent for so long after the head and half the body.
    Stalled(Duration),
}

/// What the server answers.
#[derive(Debug, Clone)]
pub(crate) struct Reply {
    status: u16,
    headers: Vec<(String, String)>,
    body: Vec<u8>,
    chunked: bool,
    fault: Fault,
    delay: Duration,
}

impl Reply {
    /// A status with a body of a content type.
    pub(crate) fn new(status: u16, content_type: &str, body: impl Into<Vec<u8>>) -> Reply {
        Reply {
            status,
            headers: vec![("Content-Type".to_owned(), content_type.to_owned())],
            body: body.into(),
            chunked: false,
            fault: Fault::None,
            delay: Duration::ZERO,
        }
    }

    /// 200 with JSON.
    pub(crate) fn json(body: impl Into<Value>) -> Reply {
        Reply::new(200, "application/json", body.into().to_string())
    }

    /// A status with a little JSON.
    pub(crate) fn status(status: u16) -> Reply {
        Reply::new(status, "application/json", format!("{{\"error\":\"status {status}\"}}"))
    }

    /// No answer: the connection is closed.
    pub(crate) fn closed() -> Reply {
        Reply { fault: Fault::Closed, ..Reply::status(500) }
    }

    /// No answer: the connection is reset.
    pub(crate) fn reset() -> Reply {
        Reply { fault: Fault::Reset, ..Reply::status(500) }
    }

    pub(crate) fn header(mut self, name: &str, value: impl Into<String>) -> Reply {
        self.headers.push((name.to_owned(), value.into()));
        self
    }

    /// Sends the body in chunks of some bytes, without a Content-Length.
    pub(crate) fn chunked(mut self) -> Reply {
        self.chunked = true;
        self
    }

    /// Ends the connection after so many bytes of the body.
    pub(crate) fn truncated(mut self, byte_count: usize) -> Reply {
        self.fault = Fault::Truncated(byte_count);
        self
    }

    /// Sends half the body, then nothing for a while.
    pub(crate) fn stalled(mut self, silence: Duration) -> Reply {
        self.fault = Fault::Stalled(silence);
        self
    }

    /// Takes its time before it answers.
    pub(crate) fn delayed(mut self, delay: Duration) -> Reply {
        self.delay = delay;
        self
    }
}

type Handler = dyn Fn(&Request) -> Reply + Send + Sync;

/// A running server. Dropping it ends it.
pub(crate) struct Server {
    address: SocketAddr,
    shared: Arc<Shared>,
}

struct Shared {
    handler: Box<Handler>,
    requests: Mutex<Vec<Request>>,
    stopped: std::sync::atomic::AtomicBool,
}

impl Server {
    pub(crate) fn start(handler: impl Fn(&Request) -> Reply + Send + Sync + 'static) -> Server {
        let listener = TcpListener::bind("127.0.0.1:0").expect("a free port");
        let address = listener.local_addr().expect("an address");
        let shared = Arc::new(Shared {
            handler: Box::new(handler),
            requests: Mutex::new(Vec::new()),
            stopped: std::sync::atomic::AtomicBool::new(false),
        });
        let accepting = shared.clone();
        std::thread::spawn(move || {
            for stream in listener.incoming() {
                if accepting.stopped.load(std::sync::atomic::Ordering::SeqCst) {
                    return;
                }
                let Ok(stream) = stream else { continue };
                let serving = accepting.clone();
                std::thread::spawn(move || serve(stream, &serving));
            }
        });
        Server { address, shared }
    }

    /// The URL of a path, which begins with a slash.
    pub(crate) fn url(&self, path: &str) -> String {
        format!("http://{}{path}", self.address)
    }

    /// Host and port.
    pub(crate) fn authority(&self) -> String {
        self.address.to_string()
    }

    /// All requests until now, in the order in which they came.
    pub(crate) fn requests(&self) -> Vec<Request> {
        self.shared.requests.lock().expect("no handler panics with the lock").clone()
    }

    /// The requests for one path.
    pub(crate) fn requests_for(&self, path: &str) -> Vec<Request> {
        self.requests().into_iter().filter(|r| r.path == path).collect()
    }

    /// Forgets the requests until now.
    pub(crate) fn forget(&self) {
        self.shared.requests.lock().expect("no handler panics with the lock").clear();
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        self.shared.stopped.store(true, std::sync::atomic::Ordering::SeqCst);
        // Wakes the accepting thread, so that it sees the flag.
        let _ = TcpStream::connect(self.address);
    }
}

/// Serves one connection until it ends.
fn serve(mut stream: TcpStream, shared: &Shared) {
    let _ = stream.set_nodelay(true);
    while let Some((head, body)) = peek_request(&stream) {
        let request = {
            let mut requests = shared.requests.lock().expect("no handler panics with the lock");
            let request = Request::parse(&head, &body, requests.len());
            requests.push(request.clone());
            request
        };
        let reply = (shared.handler)(&request);
        std::thread::sleep(reply.delay);
        if reply.fault == Fault::Reset {
            // The request is still unread: closing a socket with unread bytes sends a reset.
            return;
        }
        if !consume(&mut stream, head.len() + body_length(&head)) || !send(&mut stream, &reply) {
            let _ = stream.shutdown(Shutdown::Both);
            return;
        }
    }
}

/// Head and body of the next request, left unread; none when the connection ends.
fn peek_request(stream: &TcpStream) -> Option<(String, String)> {
    let mut buffer = vec![0; 64 * 1024];
    loop {
        let length = stream.peek(&mut buffer).ok()?;
        if length == 0 {
            return None;
        }
        if let Some(end) = buffer[..length].windows(4).position(|w| w == b"\r\n\r\n") {
            let (head, rest) = buffer[..length].split_at(end + 4);
            let head = String::from_utf8_lossy(head).into_owned();
            let body_length = body_length(&head);
            if rest.len() >= body_length {
                return Some((head, String::from_utf8_lossy(&rest[..body_length]).into_owned()));
            }
        }
        std::thread::sleep(Duration::from_millis(1));
    }
}

fn body_length(head: &str) -> usize {
    let line = head.lines().find_map(|line| line.to_lowercase().strip_prefix("content-length:").map(str::to_owned));
    line.and_then(|length| length.trim().parse().ok()).unwrap_or(0)
}

fn consume(stream: &mut TcpStream, byte_count: usize) -> bool {
    stream.read_exact(&mut vec![0; byte_count]).is_ok()
}

/// Sends an answer; whether the connection lives on.
fn send(stream: &mut TcpStream, reply: &Reply) -> bool {
    if reply.fault == Fault::Closed {
        return false;
    }
    let mut head = format!("HTTP/1.1 {} Scripted\r\n", reply.status);
    for (name, value) in &reply.headers {
        head.push_str(&format!("{name}: {value}\r\n"));
    }
    if reply.chunked {
        head.push_str("Transfer-Encoding: chunked\r\n\r\n");
    } else {
        head.push_str(&format!("Content-Length: {}\r\n\r\n", reply.body.len()));
    }
    let body = if reply.chunked { in_chunks(&reply.body) } else { reply.body.clone() };
    let sent = match reply.fault {
        Fault::Truncated(byte_count) => {
            let kept = &body[..byte_count.min(body.len())];
            let _ = stream.write_all(&[head.as_bytes(), kept].concat());
            return false;
        }
        Fault::Stalled(silence) => {
            let (first, rest) = body.split_at(body.len() / 2);
            let _ = stream.write_all(&[head.as_bytes(), first].concat());
            std::thread::sleep(silence);
            stream.write_all(rest)
        }
        Fault::None | Fault::Closed | Fault::Reset => stream.write_all(&[head.as_bytes(), &body].concat()),
    };
    sent.is_ok()
}

fn in_chunks(body: &[u8]) -> Vec<u8> {
    let mut out = Vec::new();
    for chunk in body.chunks(1000) {
        out.extend_from_slice(format!("{:x}\r\n", chunk.len()).as_bytes());
        out.extend_from_slice(chunk);
        out.extend_from_slice(b"\r\n");
    }
    out.extend_from_slice(b"0\r\n\r\n");
    out
}
