//! What `[client]` says of the way to a server: its address, its certificate, a proxy, and what is sent with every request.

use crate::support::{Reply, Server, TestEnv, pipeline_with_client};
use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, PrivateKeyDer};
use rustls::{ServerConfig, ServerConnection, StreamOwned};
use serde_json::json;
use std::io::{Read, Write};
use std::net::{SocketAddr, TcpListener};
use std::sync::Arc;

const ITEMS: &str = "[resources.items]\nprimary_key = \"id\"\npaginator = \"single_page\"\n";

const AUTHORITY: &str = include_str!("support/tls/authority.pem");
const CERTIFICATE: &str = include_str!("support/tls/server.pem");
const KEY: &str = include_str!("support/tls/server_key.pem");

/// A server over TLS that answers every request with one item, and ends with the process.
fn tls_server() -> SocketAddr {
    let certificate = CertificateDer::from_pem_slice(CERTIFICATE.as_bytes()).unwrap();
    let key = PrivateKeyDer::from_pem_slice(KEY.as_bytes()).unwrap();
    let provider = Arc::new(rustls::crypto::ring::default_provider());
    let config = ServerConfig::builder_with_provider(provider).with_safe_default_protocol_versions().unwrap();
    let config = Arc::new(config.with_no_client_auth().with_single_cert(vec![certificate], key).unwrap());
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = listener.local_addr().unwrap();
    std::thread::spawn(move || {
        for stream in listener.incoming().flatten() {
            let mut stream = StreamOwned::new(ServerConnection::new(config.clone()).unwrap(), stream);
            let mut head = [0; 4096];
            // A client that refuses the certificate ends the handshake: there is nobody to answer.
            if stream.read(&mut head).is_ok_and(|n| n > 0) {
                let body = "[{\"id\":1}]";
                let length = body.len();
                let answer = format!("HTTP/1.1 200 OK\r\nContent-Length: {length}\r\nConnection: close\r\n\r\n{body}");
                let _ = stream.write_all(answer.as_bytes());
                stream.conn.send_close_notify();
                let _ = stream.flush();
            }
        }
    });
    address
}

#[test]
fn a_certificate_is_accepted_when_its_authority_is_named_or_any_is() {
    let address = tls_server();
    let cases = [("", 1), ("ca_certificate = \"authority.pem\"\n", 0), ("accept_invalid_certificates = true\n", 0)];
    for (keys, code) in cases {
        let env = TestEnv::new();
        env.write("pipelines/authority.pem", AUTHORITY);
        env.pipeline(&format!("name = \"api\"\n[client]\nbase_url = \"https://{address}/\"\n{keys}{ITEMS}"));
        let outcome = env.load().expect_code(code);
        if code == 1 {
            outcome.expect_stderr(&["the server's certificate is not accepted", "ca_certificate"]);
        } else {
            assert_eq!(env.warehouse().count("api.items"), 1, "{keys}");
        }
    }
}

#[test]
fn requests_go_through_the_proxy() {
    let proxy = Server::start(|request| {
        assert_eq!(request.path, "http://api.example.invalid/items");
        assert_eq!(request.header("host"), Some("api.example.invalid"));
        // "me:proxy-password-abcdef"
        assert_eq!(request.header("proxy-authorization"), Some("Basic bWU6cHJveHktcGFzc3dvcmQtYWJjZGVm"));
        Reply::json(json!([{ "id": 1 }]))
    });
    let mut env = TestEnv::new();
    env.set("PROXY", format!("http://me:proxy-password-abcdef@{}", proxy.authority()));
    env.pipeline(&format!(
        "name = \"api\"\n[client]\nbase_url = \"http://api.example.invalid/\"\nproxy = \"${{PROXY}}\"\n{ITEMS}"
    ));
    let outcome = env.load_into(&env.warehouse(), &["-vv"]).expect_code(0);
    assert!(!outcome.stderr.contains("proxy-password-abcdef"), "{}", outcome.transcript());
    assert_eq!(env.warehouse().count("api.items"), 1);
}

#[test]
fn the_user_agent_is_ours_or_the_files() {
    for (key, expected) in
        [("", concat!("pintail/", env!("CARGO_PKG_VERSION"))), ("user_agent = \"loader/7\"", "loader/7")]
    {
        let server = Server::start(|_| Reply::json(json!([{ "id": 1 }])));
        let env = TestEnv::new();
        env.pipeline(&pipeline_with_client(&server, key, ITEMS));
        env.load().expect_code(0);
        assert_eq!(server.requests()[0].header("user-agent"), Some(expected));
    }
}

#[test]
fn a_base_may_have_expressions_and_is_the_own_origin_of_each_request() {
    let server = Server::start(|request| match request.header("authorization") {
        Some("Bearer base-token-abcdef") if request.path.ends_with("/v2/items") => Reply::json(json!([{ "id": 1 }])),
        _ => Reply::status(404),
    });
    let (host, port) = server.authority().rsplit_once(':').map(|(h, p)| (h.to_owned(), p.to_owned())).unwrap();
    let mut env = TestEnv::new();
    env.set("TOKEN", "base-token-abcdef");
    let pipeline = |base: &str| {
        format!(
            "name = \"api\"\n[vars]\nhost = \"{host}\"\nversion = \"v2\"\n[client]\nbase_url = \"{base}\"\n\
             auth = {{ type = \"bearer\", token = \"${{TOKEN}}\" }}\n{ITEMS}"
        )
    };
    for base in [
        format!("http://{{{{ vars.host }}}}:{port}/{{{{ vars.version }}}}"),
        // Known only when the run begins.
        format!("http://{{{{ vars.host }}}}:{port}/{{{{ run.started_at | date }}}}/{{{{ vars.version }}}}/"),
    ] {
        env.pipeline(&pipeline(&base));
        env.load().expect_code(0);
        assert_eq!(env.warehouse().count("api.items"), 1, "{base}");
    }
    let dated = server.requests()[1].path.clone();
    assert!(dated.starts_with("/20"), "{dated}");
}

#[test]
fn a_parent_is_one_segment_of_a_base_and_never_its_host() {
    let pipeline = |base: &str| {
        format!(
            "[client]\nbase_url = \"{base}\"\n[resources.teams]\nparent = \"regions\"\n[resources.regions]\n\
             parent = \"worlds\"\n[resources.worlds]\n"
        )
    };
    let env = TestEnv::new();
    env.pipeline(&pipeline("https://{{ parent.host }}/"));
    env.run(&["check", "api"]).expect_code(2).expect_stderr(&["`parent.host` can't name the host of `base_url`"]);
    // A resource without a parent has no value for it.
    env.pipeline(&pipeline("https://api.example.com/{{ parent.id }}/"));
    env.run(&["check", "api"]).expect_code(2).expect_stderr(&["worlds", "parent.id"]);
}
