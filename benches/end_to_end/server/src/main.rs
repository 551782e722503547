//! The API that the benchmark loads from, as fast as one thread allows: rows are rendered once, a page is a slice of them.
//!
//! | path | |
//! | --- | --- |
//! | `/videos` | all rows, in one array |
//! | `/views`, `/interactions`, `/wide`, `/dirty` | `offset`, `limit`: an array. `since=TIME`: rows with `updated_at` at or after it |
//! | `/videos/ID/interactions` | the rows of a video |
//! | `/stats`, `/reset` | requests, most in flight, when the last answer went out; needs no token |
//!
//! Everything else wants `Authorization: Bearer bench-token`.

mod data;

use bytes::Bytes;
use data::{Data, Sizes, Table};
use http_body::{Frame, SizeHint};
use hyper::header::{AUTHORIZATION, CONTENT_TYPE, HeaderValue};
use hyper::server::conn::http1;
use hyper::service::service_fn;
use hyper::{Request, Response, StatusCode};
use hyper_util::rt::TokioIo;
use std::cell::{Cell, RefCell};
use std::collections::HashMap;
use std::convert::Infallible;
use std::io::Write;
use std::pin::Pin;
use std::rc::Rc;
use std::task::{Context, Poll};
use std::time::{Duration, SystemTime};

const USAGE: &str =
    "server [--rows N] [--videos N] [--wide N] [--revised N] [--cap N] [--latency-ms N] [--dump RESOURCE]

  --rows N         rows of /views and of /interactions (default 0)
  --videos N       rows of /videos (default 100)
  --wide N         rows of /wide and of /dirty (default 0)
  --revised N      so many views and interactions were changed, later than all others (default 0)
  --cap N          most rows of a page, whatever is asked for (default 1000)
  --latency-ms N   wait so long before each answer (default 0)
  --dump RESOURCE  write the rows to stdout, one a line, and exit

It listens on a free port of 127.0.0.1, which it prints.";

/// The header that requests need.
const CREDENTIAL: &[u8] = b"Bearer bench-token";

struct Options {
    sizes: Sizes,
    page_rows_max: usize,
    latency: Duration,
    dump: Option<String>,
}

fn stop(why: &str) -> ! {
    eprintln!("{why}\n\n{USAGE}");
    std::process::exit(2)
}

fn options() -> Options {
    let sizes = Sizes { rows: 0, videos: 100, wide: 0, revised: 0 };
    let mut options = Options { sizes, page_rows_max: 1000, latency: Duration::ZERO, dump: None };
    let mut words = std::env::args().skip(1);
    while let Some(name) = words.next() {
        let Some(value) = words.next() else { stop(&format!("{name}: unknown, or its value is missing")) };
        let number = || value.parse().unwrap_or_else(|_| stop(&format!("{name}: not a number: {value}")));
        match name.as_str() {
            "--rows" => options.sizes.rows = number(),
            "--videos" => options.sizes.videos = number().max(1),
            "--wide" => options.sizes.wide = number(),
            "--revised" => options.sizes.revised = number(),
            "--cap" => options.page_rows_max = number().max(1),
            "--latency-ms" => options.latency = Duration::from_millis(number() as u64),
            "--dump" => options.dump = Some(value),
            _ => stop(&format!("{name}: unknown")),
        }
    }
    options
}

/// A body of up to three pieces, none of them copied.
struct Pieces {
    pieces: [Bytes; 3],
    next: usize,
}

impl Pieces {
    fn one(piece: impl Into<Bytes>) -> Self {
        Pieces { pieces: [piece.into(), Bytes::new(), Bytes::new()], next: 0 }
    }

    fn array(rows: Bytes) -> Self {
        Pieces { pieces: [Bytes::from_static(b"["), rows, Bytes::from_static(b"]")], next: 0 }
    }
}

impl http_body::Body for Pieces {
    type Data = Bytes;
    type Error = Infallible;

    fn poll_frame(mut self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<Option<Result<Frame<Bytes>, Infallible>>> {
        while self.next < self.pieces.len() {
            let at = self.next;
            self.next += 1;
            let piece = std::mem::take(&mut self.pieces[at]);
            if !piece.is_empty() {
                return Poll::Ready(Some(Ok(Frame::data(piece))));
            }
        }
        Poll::Ready(None)
    }

    fn is_end_stream(&self) -> bool {
        self.pieces[self.next..].iter().all(Bytes::is_empty)
    }

    fn size_hint(&self) -> SizeHint {
        SizeHint::with_exact(self.pieces[self.next..].iter().map(|piece| piece.len() as u64).sum())
    }
}

struct Server {
    data: Data,
    page_rows_max: usize,
    latency: Duration,
    /// Selections that were asked for before.
    selected: RefCell<HashMap<String, Rc<Table>>>,
    requests: Cell<u64>,
    in_flight: Cell<u64>,
    in_flight_max: Cell<u64>,
    /// When the last answer was made, seconds since 1970.
    answered_at: Cell<f64>,
}

fn reply(status: StatusCode, body: Pieces) -> Response<Pieces> {
    let mut response = Response::new(body);
    *response.status_mut() = status;
    response.headers_mut().insert(CONTENT_TYPE, HeaderValue::from_static("application/json"));
    response
}

fn refusal(status: StatusCode, message: &str) -> Response<Pieces> {
    reply(status, Pieces::one(format!("{{\"error\":\"{message}\"}}")))
}

/// A parameter, with `%3A` for a colon and no other escapes: it is a number or a time.
fn parameter(query: &str, name: &str) -> Option<String> {
    let of_name = |pair: &str| pair.strip_prefix(name)?.strip_prefix('=').map(|v| v.replace("%3A", ":"));
    query.split('&').find_map(of_name)
}

fn now() -> f64 {
    SystemTime::now().duration_since(SystemTime::UNIX_EPOCH).map_or(0.0, |time| time.as_secs_f64())
}

impl Server {
    fn selected(&self, key: String, rows: impl FnOnce() -> Table) -> Rc<Table> {
        self.selected.borrow_mut().entry(key).or_insert_with(|| Rc::new(rows())).clone()
    }

    fn answer(&self, request: &Request<hyper::body::Incoming>) -> Response<Pieces> {
        if request.headers().get(AUTHORIZATION).is_none_or(|header| header.as_bytes() != CREDENTIAL) {
            return refusal(StatusCode::UNAUTHORIZED, "missing or wrong bearer token");
        }
        let path = request.uri().path();
        let query = request.uri().query().unwrap_or_default();
        let missing = || refusal(StatusCode::NOT_FOUND, "no such resource");
        if let Some(id) = path.strip_prefix("/videos/").and_then(|rest| rest.strip_suffix("/interactions")) {
            let Some(rows) = self.data.rows_of_video(id) else { return missing() };
            let rows = self.data.interactions.select(rows);
            return reply(StatusCode::OK, Pieces::array(rows.slice(0, rows.len())));
        }
        let Some(table) = self.data.table(&path[1..]) else { return missing() };
        if path == "/videos" {
            return reply(StatusCode::OK, Pieces::array(table.slice(0, table.len())));
        }
        let number = |name, default| parameter(query, name).and_then(|v| v.parse().ok()).unwrap_or(default);
        let (offset, limit): (usize, usize) = (number("offset", 0), number("limit", 100));
        let page = |table: &Table| {
            let end = offset.saturating_add(limit.min(self.page_rows_max)).min(table.len());
            reply(StatusCode::OK, Pieces::array(table.slice(offset.min(end), end)))
        };
        let Some(since) = parameter(query, "since") else { return page(table) };
        let Some(since_ms) = data::milliseconds(&since) else {
            return refusal(StatusCode::BAD_REQUEST, "since is no time");
        };
        page(&self.selected(format!("{path} {since_ms}"), || {
            let later = (0..table.len()).filter(|row| table.updated_ms[*row] >= since_ms);
            table.select(&later.collect::<Vec<_>>())
        }))
    }

    fn stats(&self) -> Response<Pieces> {
        let (requests, in_flight_max, at) = (self.requests.get(), self.in_flight_max.get(), self.answered_at.get());
        let text = format!("{{\"requests\":{requests},\"in_flight_max\":{in_flight_max},\"answered_at\":{at:.6}}}");
        reply(StatusCode::OK, Pieces::one(text))
    }

    async fn serve(&self, request: Request<hyper::body::Incoming>) -> Result<Response<Pieces>, Infallible> {
        match request.uri().path() {
            "/stats" => return Ok(self.stats()),
            "/reset" => {
                self.requests.set(0);
                self.in_flight_max.set(0);
                return Ok(self.stats());
            }
            _ => {}
        }
        self.in_flight.set(self.in_flight.get() + 1);
        self.in_flight_max.set(self.in_flight_max.get().max(self.in_flight.get()));
        if !self.latency.is_zero() {
            tokio::time::sleep(self.latency).await;
        }
        let response = self.answer(&request);
        self.in_flight.set(self.in_flight.get() - 1);
        self.requests.set(self.requests.get() + 1);
        self.answered_at.set(now());
        Ok(response)
    }
}

fn dump(table: &Table) -> std::io::Result<()> {
    let mut out = std::io::BufWriter::with_capacity(1 << 20, std::io::stdout().lock());
    for row in 0..table.len() {
        out.write_all(table.row(row))?;
        out.write_all(b"\n")?;
    }
    out.flush()
}

async fn listen(server: Rc<Server>) -> std::io::Result<()> {
    let listener = tokio::net::TcpListener::bind(("127.0.0.1", 0)).await?;
    println!("http://{}", listener.local_addr()?);
    std::io::stdout().flush()?;
    loop {
        let (stream, _) = listener.accept().await?;
        stream.set_nodelay(true)?;
        let server = server.clone();
        tokio::task::spawn_local(async move {
            let service = service_fn(|request| server.serve(request));
            // A client that goes away in the middle is no concern of ours.
            let _ = http1::Builder::new().serve_connection(TokioIo::new(stream), service).await;
        });
    }
}

fn main() -> std::io::Result<()> {
    let options = options();
    let data = Data::new(&options.sizes);
    if let Some(resource) = &options.dump {
        return dump(data.table(resource).unwrap_or_else(|| stop(&format!("--dump: no resource is {resource}"))));
    }
    let server = Rc::new(Server {
        data,
        page_rows_max: options.page_rows_max,
        latency: options.latency,
        selected: RefCell::default(),
        requests: Cell::default(),
        in_flight: Cell::default(),
        in_flight_max: Cell::default(),
        answered_at: Cell::default(),
    });
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    tokio::task::LocalSet::new().block_on(&runtime, listen(server))
}
