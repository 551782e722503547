use super::*;
use crate::plan::model::{BaseUrl, Retry};
use std::io::{Read, Write};
use std::net::{TcpListener, TcpStream};
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

/// A server on loopback that hands each connection, with its number, to a function on a thread of its own.
fn serve(handle: impl Fn(usize, TcpStream) + Send + Sync + 'static) -> (Url, Arc<AtomicUsize>) {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let url = Url::parse(&format!("http://{}/", listener.local_addr().unwrap())).unwrap();
    let connections = Arc::new(AtomicUsize::new(0));
    let (counter, handle) = (Arc::clone(&connections), Arc::new(handle));
    std::thread::spawn(move || {
        for stream in listener.incoming().map_while(Result::ok) {
            let (number, handle) = (counter.fetch_add(1, Ordering::SeqCst), Arc::clone(&handle));
            std::thread::spawn(move || handle(number, stream));
        }
    });
    (url, connections)
}

/// Reads a request up to the end of its head. `None`: the client closed the connection.
fn read_request(stream: &mut TcpStream) -> Option<String> {
    let mut head = Vec::new();
    let mut byte = [0];
    while !head.ends_with(b"\r\n\r\n") {
        match stream.read(&mut byte) {
            Ok(1) => head.push(byte[0]),
            _ => return None,
        }
    }
    Some(String::from_utf8_lossy(&head).into_owned())
}

/// Serves the same bytes after each request, and closes the connection.
fn serve_once(answer: Vec<u8>) -> Url {
    serve(move |_, mut stream| {
        if read_request(&mut stream).is_some() {
            let _ = stream.write_all(&answer);
        }
    })
    .0
}

fn answer(headers: &str, body: &[u8]) -> Vec<u8> {
    [format!("HTTP/1.1 200 OK\r\n{headers}\r\n").as_bytes(), body].concat()
}

fn client(url: &Url) -> Client {
    Client {
        base_url: BaseUrl::Fixed(url.clone()),
        connect_timeout: Duration::from_secs(2),
        read_timeout: Duration::from_millis(300),
        rate_limits: Vec::new(),
        concurrency: 4,
        retry: Retry {
            max_attempts: 1,
            base_delay: Duration::ZERO,
            max_delay: Duration::ZERO,
            max_elapsed: Duration::ZERO,
            max_wait: Duration::ZERO,
            statuses: Vec::new(),
        },
        allowed_hosts: Vec::new(),
        max_response_bytes: 1 << 20,
        proxy: None,
        ca_certificate: None,
        user_agent: "pintail/test".to_owned(),
        accept_invalid_certificates: false,
    }
}

fn get(url: &Url) -> WireRequest {
    let mut url = url.clone();
    url.set_query(Some("api_key=never-in-an-error"));
    WireRequest {
        method: Method::GET,
        url,
        headers: HeaderMap::new(),
        body: None,
        body_bytes_max: 1 << 20,
        secret_params: Vec::new(),
        is_login: false,
        download: None,
    }
}

async fn call(url: &Url) -> Result<WireResponse, TransportError> {
    ReqwestTransport::new(&client(url)).unwrap().call(get(url)).await
}

async fn check_error(url: &Url, kind: TransportErrorKind) -> TransportError {
    let error = call(url).await.unwrap_err();
    assert_eq!(error.kind, kind, "{error}");
    assert!(!format!("{error} {error:?}").contains("never-in-an-error"), "{error:?}");
    error
}

/// `[1,2,3,4,5,6,7,8,9]` as gzip writes it.
const GZIPPED_LIST: &[u8] = &[
    0x1f, 0x8b, 0x08, 0x00, 0x00, 0x00, 0x00, 0x00, 0x02, 0x03, 0x8b, 0x36, 0xd4, 0x31, 0xd2, 0x31, 0xd6, 0x31, 0xd1,
    0x31, 0xd5, 0x31, 0xd3, 0x31, 0xd7, 0xb1, 0xd0, 0xb1, 0x8c, 0x05, 0x00, 0x03, 0xf2, 0x93, 0x74, 0x13, 0x00, 0x00,
    0x00,
];

/// A zstd frame of blocks that each repeat one byte 128 KiB times (RFC 8878 section 3.1.1): four bytes for 131,072.
fn zstd_bomb(block_count: usize) -> Vec<u8> {
    const WINDOW_128_KIB: u8 = 7 << 3;
    const REPEAT: u32 = 1 << 1;
    let block = |last: u32| {
        let [a, b, c, _] = (last | REPEAT | (131_072 << 3)).to_le_bytes();
        [a, b, c, b'0']
    };
    let mut frame = vec![0x28, 0xb5, 0x2f, 0xfd, 0, WINDOW_128_KIB];
    (1..block_count).for_each(|_| frame.extend(block(0)));
    frame.extend(block(1));
    frame
}

#[tokio::test]
async fn an_answer_arrives_whole_with_its_headers() {
    let url = serve_once(answer("Content-Length: 2\r\nX-Total: 7\r\n", b"[]"));
    let response = call(&url).await.unwrap();
    assert_eq!((response.status, &response.body[..]), (200, &b"[]"[..]));
    assert_eq!(response.headers["x-total"], "7");
}

#[tokio::test]
async fn the_request_names_us_and_the_encodings_we_read() {
    let (sender, heads) = std::sync::mpsc::channel();
    let (url, _) = serve(move |_, mut stream| {
        sender.send(read_request(&mut stream).unwrap()).unwrap();
        stream.write_all(&answer("Content-Length: 0\r\n", b"")).unwrap();
    });
    call(&url).await.unwrap();
    let head = heads.recv().unwrap().to_lowercase();
    assert!(head.contains("user-agent: pintail/test\r\n"), "{head}");
    for encoding in ["gzip", "br", "zstd", "deflate"] {
        assert!(head.lines().any(|l| l.starts_with("accept-encoding:") && l.contains(encoding)), "{head}");
    }
}

#[tokio::test]
async fn a_body_shorter_than_announced_is_truncated() {
    let url = serve_once(answer("Content-Length: 100\r\n", b"[{\"id\": 1}, {"));
    let received = check_error(&url, TransportErrorKind::Truncated).await.received.unwrap();
    assert_eq!((received.status, received.bytes, &received.body_start[..]), (200, 13, &b"[{\"id\": 1}, {"[..]));
}

#[tokio::test]
async fn a_chunked_body_without_its_end_is_truncated() {
    let url = serve_once(answer("Transfer-Encoding: chunked\r\n", b"5\r\n[1,2,\r\n"));
    check_error(&url, TransportErrorKind::Truncated).await;
}

#[tokio::test]
async fn a_connection_that_closes_without_an_answer_is_a_reset() {
    let (url, _) = serve(|_, mut stream| drop(read_request(&mut stream)));
    check_error(&url, TransportErrorKind::Reset).await;
    let url = serve_once(b"HTTP/1.1 200 OK\r\nContent-".to_vec());
    check_error(&url, TransportErrorKind::Reset).await;
    let url = serve_once(b"SSH-2.0-OpenSSH_9.6\r\n".to_vec());
    check_error(&url, TransportErrorKind::Reset).await;
}

#[tokio::test]
async fn a_closed_port_is_no_connection() {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let url = Url::parse(&format!("http://{}/", listener.local_addr().unwrap())).unwrap();
    drop(listener);
    let error = check_error(&url, TransportErrorKind::Connect).await;
    assert!(error.to_string().contains("refused"), "{error}");
}

#[tokio::test]
async fn silence_is_a_timeout_before_the_head_and_within_the_body() {
    let (url, _) = serve(|_, mut stream| {
        read_request(&mut stream);
        std::thread::sleep(Duration::from_secs(3));
    });
    assert!(check_error(&url, TransportErrorKind::Timeout).await.received.is_none());
    let (url, _) = serve(|_, mut stream| {
        read_request(&mut stream);
        let _ = stream.write_all(&answer("Content-Length: 100\r\n", b"[1"));
        std::thread::sleep(Duration::from_secs(3));
    });
    let received = check_error(&url, TransportErrorKind::Timeout).await.received.unwrap();
    assert_eq!(&received.body_start[..], b"[1");
}

#[tokio::test]
async fn a_slow_body_lives_as_long_as_it_moves() {
    let (url, _) = serve(|_, mut stream| {
        read_request(&mut stream);
        let _ = stream.write_all(&answer("Content-Length: 6\r\n", b""));
        for _ in 0..6 {
            std::thread::sleep(Duration::from_millis(100));
            let _ = stream.write_all(b"x");
        }
    });
    assert_eq!(call(&url).await.unwrap().body, "xxxxxx");
}

#[tokio::test]
async fn compressed_bodies_are_decompressed() {
    let headers = format!("Content-Encoding: gzip\r\nContent-Length: {}\r\n", GZIPPED_LIST.len());
    let url = serve_once(answer(&headers, GZIPPED_LIST));
    let response = call(&url).await.unwrap();
    assert_eq!(response.body, "[1,2,3,4,5,6,7,8,9]");
    assert!(!response.headers.contains_key("content-encoding"));
    let frame = zstd_bomb(2);
    let url = serve_once(answer("Content-Encoding: zstd\r\n", &frame));
    assert_eq!(call(&url).await.unwrap().body.len(), 2 * 131_072);
}

#[tokio::test]
async fn a_compressed_bomb_stops_at_the_largest_body() {
    let frame = zstd_bomb(100_000);
    assert!(frame.len() < 500_000);
    let url = serve_once(answer("Content-Encoding: zstd\r\n", &frame));
    let received = check_error(&url, TransportErrorKind::TooLarge).await.received.unwrap();
    assert!(received.bytes < 2 << 20, "{}", received.bytes);
}

#[tokio::test]
async fn a_plain_body_stops_at_the_largest_body_too() {
    let url = serve_once(answer("", &vec![b'x'; (1 << 20) + 1]));
    check_error(&url, TransportErrorKind::TooLarge).await;
    let url = serve_once(answer("", &vec![b'x'; 1 << 20]));
    assert_eq!(call(&url).await.unwrap().body.len(), 1 << 20);
}

#[tokio::test]
async fn a_body_in_another_encoding_than_announced_is_named() {
    for encoding in ["gzip", "zstd", "br", "deflate"] {
        let url = serve_once(answer(&format!("Content-Encoding: {encoding}\r\n"), b"[{\"id\": 1}]"));
        check_error(&url, TransportErrorKind::Decode).await;
    }
}

#[tokio::test]
async fn a_compressed_body_that_ends_early_is_truncated() {
    let half = &GZIPPED_LIST[..GZIPPED_LIST.len() / 2];
    let url = serve_once(answer("Content-Encoding: gzip\r\n", half));
    check_error(&url, TransportErrorKind::Truncated).await;
    let url = serve_once(answer("Content-Encoding: gzip\r\nContent-Length: 500\r\n", half));
    check_error(&url, TransportErrorKind::Truncated).await;
}

#[tokio::test]
async fn connections_are_kept_alive() {
    let (url, connections) = serve(|_, mut stream| {
        while read_request(&mut stream).is_some() {
            stream.write_all(&answer("Content-Length: 2\r\n", b"[]")).unwrap();
        }
    });
    let transport = ReqwestTransport::new(&client(&url)).unwrap();
    for _ in 0..20 {
        transport.call(get(&url)).await.unwrap();
    }
    assert_eq!(connections.load(Ordering::SeqCst), 1);
}

#[tokio::test]
async fn a_kept_connection_that_the_server_closed_is_replaced_unseen() {
    let (url, connections) = serve(|_, mut stream| {
        read_request(&mut stream);
        // It keeps the connection open by HTTP's rules, and then doesn't.
        stream.write_all(&answer("Content-Length: 2\r\n", b"[]")).unwrap();
    });
    let transport = ReqwestTransport::new(&client(&url)).unwrap();
    for _ in 0..5 {
        transport.call(get(&url)).await.unwrap();
        tokio::time::sleep(Duration::from_millis(30)).await;
    }
    assert_eq!(connections.load(Ordering::SeqCst), 5);
}

#[tokio::test]
async fn redirects_and_failures_are_answers() {
    let url = serve_once(b"HTTP/1.1 302 Found\r\nLocation: /x\r\nContent-Length: 0\r\n\r\n".to_vec());
    assert_eq!(call(&url).await.unwrap().status, 302);
    let url = serve_once(b"HTTP/1.1 503 Service Unavailable\r\nContent-Length: 4\r\n\r\nbusy".to_vec());
    let response = call(&url).await.unwrap();
    assert_eq!((response.status, &response.body[..]), (503, &b"busy"[..]));
    let url = serve_once(b"HTTP/1.1 204 No Content\r\n\r\n".to_vec());
    assert_eq!(call(&url).await.unwrap().body.len(), 0);
}

#[test]
fn settings_that_cannot_work_are_configuration_errors() {
    let folder = tempfile::tempdir().unwrap();
    let empty = folder.path().join("empty.pem");
    std::fs::write(&empty, "no certificate").unwrap();
    let url = Url::parse("http://127.0.0.1/").unwrap();
    let cases = [
        (Client { ca_certificate: Some(folder.path().join("absent.pem")), ..client(&url) }, "can't be read"),
        (Client { ca_certificate: Some(empty), ..client(&url) }, "certificate"),
        (Client { proxy: Some(crate::secret::Secret::new("::not a url::")), ..client(&url) }, "`proxy` is not a URL"),
    ];
    for (client, part) in cases {
        let error = ReqwestTransport::new(&client).err().unwrap();
        assert_eq!(error.kind(), Kind::Config);
        assert!(error.report().contains(part), "{error}");
    }
}
