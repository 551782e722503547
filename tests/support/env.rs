//! A temporary directory and the real executable in it.

use super::{Warehouse, books};
use serde_json::Value;
use std::fs::File;
use std::os::unix::fs::PermissionsExt;
use std::os::unix::process::CommandExt;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, ExitStatus, Stdio};
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::{Duration, Instant};

/// A run that takes longer hangs: it is killed, and the test fails with what it printed.
const RUN_TIME_MAX: Duration = Duration::from_secs(120);

/// A user without rights of its own.
const NOBODY: u32 = 65_534;

/// A directory of its own for each test, removed at its end.
pub(crate) struct TestEnv {
    dir: tempfile::TempDir,
    variables: Vec<(String, String)>,
    file_blocks_max: Option<u64>,
    /// Whether runs have no more rights than anybody.
    is_unprivileged: bool,
    run_count: AtomicUsize,
}

/// How a run ended and what it printed.
#[derive(Debug)]
pub(crate) struct Outcome {
    pub(crate) status: ExitStatus,
    pub(crate) stdout: String,
    pub(crate) stderr: String,
    command: String,
}

/// A run that goes on.
pub(crate) struct Running {
    child: Child,
    stdout: PathBuf,
    stderr: PathBuf,
    command: String,
}

impl TestEnv {
    pub(crate) fn new() -> TestEnv {
        TestEnv {
            dir: tempfile::tempdir().expect("a temporary directory"),
            variables: Vec::new(),
            file_blocks_max: None,
            is_unprivileged: false,
            run_count: AtomicUsize::new(0),
        }
    }

    /// Sets an environment variable for all runs from now on.
    pub(crate) fn set(&mut self, name: &str, value: impl Into<String>) {
        self.variables.push((name.to_owned(), value.into()));
    }

    /// Lets no file grow beyond so many blocks of `ulimit -f`: writing then fails, as it does on a full disk. None: no limit.
    pub(crate) fn limit_files(&mut self, blocks: Option<u64>) {
        self.file_blocks_max = blocks;
    }

    /// From now on runs may do what permissions allow, also where the tests run as the superuser.
    pub(crate) fn drop_privileges(&mut self) {
        self.is_unprivileged = true;
        // Whoever that is must reach the program and write into the directory.
        let program = self.path("pintail");
        std::fs::copy(env!("CARGO_BIN_EXE_pintail"), &program).expect("a copy of the program");
        allow(self.dir.path(), 0o777);
    }

    pub(crate) fn path(&self, name: &str) -> PathBuf {
        self.dir.path().join(name)
    }

    /// Writes a file, with its directories.
    pub(crate) fn write(&self, name: &str, text: &str) -> PathBuf {
        let path = self.path(name);
        std::fs::create_dir_all(path.parent().expect("a directory above")).expect("directories");
        std::fs::write(&path, text).expect("a written file");
        path
    }

    /// The text of a file.
    pub(crate) fn read(&self, name: &str) -> String {
        std::fs::read_to_string(self.path(name)).expect("a readable file")
    }

    /// Writes the pipeline file `pipelines/api.toml`.
    pub(crate) fn pipeline(&self, text: &str) {
        self.write("pipelines/api.toml", text);
    }

    /// The DuckDB file that runs load into unless told otherwise.
    pub(crate) fn warehouse(&self) -> Warehouse {
        Warehouse::duckdb(self.path("warehouse.duckdb"))
    }

    /// Both kinds of destination, each at a place of its own.
    pub(crate) fn destinations(&self) -> [Warehouse; 2] {
        [Warehouse::duckdb(self.path("both.duckdb")), Warehouse::parquet(self.path("both-parquet"))]
    }

    /// Starts the program in the directory. Of the environment only what the test sets reaches it.
    pub(crate) fn start(&self, args: &[&str]) -> Running {
        let number = self.run_count.fetch_add(1, Ordering::SeqCst);
        let (stdout, stderr) = (self.path(&format!("stdout-{number}")), self.path(&format!("stderr-{number}")));
        let mut command = self.command();
        command.args(args).current_dir(self.dir.path()).stdin(Stdio::null());
        for (name, _) in std::env::vars_os() {
            let text = name.to_string_lossy();
            let ours =
                ["MINDSTAMP_", "MIND_", "STINTMINT_", "POCKETBASE_", "PINTAIL_"].iter().any(|p| text.starts_with(p));
            if ours || text.to_lowercase().ends_with("_proxy") || text == "RUST_LOG" {
                command.env_remove(name);
            }
        }
        command.env("NO_COLOR", "1").envs(self.variables.iter().cloned());
        command.stdout(File::create(&stdout).expect("a file for stdout"));
        command.stderr(File::create(&stderr).expect("a file for stderr"));
        let child = command.spawn().expect("the program starts");
        Running { child, stdout, stderr, command: format!("pintail {}", args.join(" ")) }
    }

    fn command(&self) -> Command {
        if self.is_unprivileged {
            let mut command = Command::new(self.path("pintail"));
            if rustix::process::geteuid().is_root() {
                command.uid(NOBODY).gid(NOBODY);
            }
            return command;
        }
        let program = env!("CARGO_BIN_EXE_pintail");
        let Some(blocks) = self.file_blocks_max else { return Command::new(program) };
        let mut command = Command::new("sh");
        // Without the signal, a write beyond the limit is an error like any other.
        command.args(["-c", &format!("trap '' XFSZ; ulimit -f {blocks}; exec \"$@\""), "sh", program]);
        command
    }

    /// Runs the program to its end.
    pub(crate) fn run(&self, args: &[&str]) -> Outcome {
        self.start(args).wait()
    }

    /// `pintail run api` into a destination, with the report as JSON.
    pub(crate) fn load_into(&self, warehouse: &Warehouse, further_args: &[&str]) -> Outcome {
        let destination = warehouse.flag();
        let args = [&["run", "api", "--output", "json", "--destination", &destination], further_args].concat();
        let outcome = self.run(&args);
        if outcome.status.code().is_some() {
            books::check_warehouse(warehouse, || outcome.transcript());
        }
        outcome
    }

    /// As [`TestEnv::load_into`] the default file.
    pub(crate) fn load(&self) -> Outcome {
        self.load_into(&self.warehouse(), &[])
    }

    /// Every byte below a directory, for searches.
    pub(crate) fn bytes_below(&self, name: &str) -> Vec<(PathBuf, Vec<u8>)> {
        let mut found = Vec::new();
        collect_files(&self.path(name), &mut found);
        found
    }
}

/// Sets the permissions of a file or folder.
pub(crate) fn allow(path: &Path, mode: u32) {
    std::fs::set_permissions(path, std::fs::Permissions::from_mode(mode)).expect("permissions");
}

fn collect_files(path: &Path, found: &mut Vec<(PathBuf, Vec<u8>)>) {
    if path.is_dir() {
        for entry in std::fs::read_dir(path).expect("a readable directory") {
            collect_files(&entry.expect("a readable entry").path(), found);
        }
    } else if let Ok(bytes) = std::fs::read(path) {
        found.push((path.to_owned(), bytes));
    }
}

impl Running {
    /// What it has printed on stdout so far.
    pub(crate) fn printed(&self) -> String {
        read(&self.stdout)
    }

    /// Sends a signal.
    pub(crate) fn signal(&self, signal: rustix::process::Signal) {
        let pid = rustix::process::Pid::from_child(&self.child);
        rustix::process::kill_process(pid, signal).expect("the program is still there to be signalled");
    }

    /// Sends SIGINT, unless it has ended already, and waits for its end.
    pub(crate) fn interrupt_and_wait(self) -> Outcome {
        // A process that has ended can still be signalled until it is waited for; an error means the same.
        let pid = rustix::process::Pid::from_child(&self.child);
        let _ = rustix::process::kill_process(pid, rustix::process::Signal::INT);
        self.wait()
    }

    /// Kills it at once, as `kill -9` does. Harmless when it has already ended.
    pub(crate) fn kill(mut self) -> Outcome {
        let _ = self.child.kill();
        self.wait()
    }

    /// Waits for its end.
    pub(crate) fn wait(mut self) -> Outcome {
        let started = Instant::now();
        let status = loop {
            if let Some(status) = self.child.try_wait().expect("a child that can be waited for") {
                break status;
            }
            if started.elapsed() > RUN_TIME_MAX {
                let _ = self.child.kill();
                let _ = self.child.wait();
                panic!("hangs: {}\n--- stderr\n{}", self.command, read(&self.stderr));
            }
            std::thread::sleep(Duration::from_millis(2));
        };
        let outcome = Outcome { status, stdout: read(&self.stdout), stderr: read(&self.stderr), command: self.command };
        books::check_reports(&outcome.stdout, || outcome.transcript());
        outcome
    }
}

fn read(path: &Path) -> String {
    String::from_utf8_lossy(&std::fs::read(path).unwrap_or_default()).into_owned()
}

impl Outcome {
    /// Requires an exit code.
    #[track_caller]
    pub(crate) fn expect_code(self, code: i32) -> Outcome {
        assert!(self.status.code() == Some(code), "expected exit code {code}\n{}", self.transcript());
        self
    }

    /// Requires each text in stderr.
    #[track_caller]
    pub(crate) fn expect_stderr(self, texts: &[&str]) -> Outcome {
        for text in texts {
            assert!(self.stderr.contains(text), "expected `{text}` in stderr\n{}", self.transcript());
        }
        self
    }

    /// Requires each text in stdout.
    #[track_caller]
    pub(crate) fn expect_stdout(self, texts: &[&str]) -> Outcome {
        for text in texts {
            assert!(self.stdout.contains(text), "expected `{text}` in stdout\n{}", self.transcript());
        }
        self
    }

    /// The JSON report on stdout: one line, nothing else.
    #[track_caller]
    pub(crate) fn report(&self) -> Value {
        serde_json::from_str(&self.stdout)
            .unwrap_or_else(|e| panic!("stdout is not one report: {e}\n{}", self.transcript()))
    }

    /// The report of one resource.
    #[track_caller]
    pub(crate) fn resource(&self, name: &str) -> Value {
        let report = self.report();
        let found = report["resources"].get(name);
        found.unwrap_or_else(|| panic!("no report of `{name}`\n{}", self.transcript())).clone()
    }

    /// Everything that is known of the run.
    pub(crate) fn transcript(&self) -> String {
        format!("$ {}\n{}\n--- stdout\n{}\n--- stderr\n{}", self.command, self.status, self.stdout, self.stderr)
    }
}
