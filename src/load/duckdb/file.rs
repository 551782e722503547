//! Opening the DuckDB file: settings, waiting for whoever holds it, and errors that say what the file is.

use super::create::{check_folder, create_if_missing};
use super::session::Message;
use super::sql;
use crate::error::{Error, Kind, Result};
use ::duckdb::{Config, Connection};
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

/// Oldest DuckDB release that can open a file made with the default settings, as DuckDB's `STORAGE_VERSION` writes it.
/// On our data newer formats save neither space nor time, so the widest choice costs nothing.
pub const STORAGE_VERSION_DEFAULT: &str = "v1.0.0";

/// A second thread makes writing no faster, because one statement reads its batch with one, and the others look for work all
/// the while: a quarter of the processor time of a load. Fetching and decoding have threads of their own.
const THREADS_DEFAULT: usize = 1;

/// Rows of a row group in new tables, a third of DuckDB's default. A row group is compressed and written when it is full, so
/// that much is left to do when a load commits, when everything else waits. Files are hardly larger (1 % on our data).
const ROW_GROUP_ROWS: usize = 20 * 2048;

/// Row groups that a load keeps in memory before it writes them. By default DuckDB keeps five.
const ROW_GROUPS_BUFFERED: usize = 1;

const LOCK_POLL: Duration = Duration::from_millis(100);

/// What the operator says of the DuckDB file.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Settings {
    /// The file. Missing folders are made.
    pub path: PathBuf,
    /// Which DuckDB releases can open a new file: `v1.0.0`, `v1.4.0`, …, `latest`. Files that exist keep theirs.
    pub storage_version: Option<String>,
    /// Memory that DuckDB may use, bytes. Without one DuckDB takes up to 80 % of the machine's.
    pub memory_limit_bytes: Option<u64>,
    /// Threads that DuckDB may use. Without a number: one, see `THREADS_DEFAULT`.
    pub threads: Option<usize>,
    /// How long to wait while another process holds the file.
    pub lock_wait: Duration,
    /// Where a copy for readers is put after each run.
    pub publish: Option<PathBuf>,
}

impl Settings {
    /// The defaults for a file.
    pub fn new(path: impl Into<PathBuf>) -> Self {
        Settings {
            path: path.into(),
            storage_version: None,
            memory_limit_bytes: None,
            threads: None,
            lock_wait: Duration::from_secs(30),
            publish: None,
        }
    }
}

/// Opens the file, or makes it. It is the connection's database by default.
pub(super) fn open(settings: &Settings) -> Result<Connection> {
    let path = std::path::absolute(&settings.path)
        .map_err(|e| at(&settings.path, "the warehouse's path cannot be used").source(e))?;
    if let Some(folder) = path.parent() {
        std::fs::create_dir_all(folder).map_err(|e| at(&path, "the warehouse's folder could not be made").source(e))?;
    }
    let text = path.to_str().ok_or_else(|| not_utf8(&path))?;
    let connection = start(&path, text, settings)?;
    create_if_missing(&path, |draft| make(&connection, draft, storage_version(settings)))?;
    check_folder(&path)?;
    // The size of row groups can be said in no other way.
    attach_when_free(&connection, &path, text, settings, &format!("ROW_GROUP_SIZE {ROW_GROUP_ROWS}"))?;
    Ok(connection)
}

/// Opens the file for reading, as it is. Where there is none, or an empty one, a database in memory stands for it.
pub(super) fn open_to_read(settings: &Settings) -> Result<Connection> {
    let path = std::path::absolute(&settings.path)
        .map_err(|e| at(&settings.path, "the warehouse's path cannot be used").source(e))?;
    if std::fs::metadata(&path).map_or(true, |found| found.is_file() && found.len() == 0) {
        return in_memory();
    }
    let text = path.to_str().ok_or_else(|| not_utf8(&path))?;
    let connection = start(&path, text, settings)?;
    attach_when_free(&connection, &path, text, settings, "READ_ONLY")?;
    Ok(connection)
}

/// As [`open_to_read`]; `None` where there is no file.
pub(super) fn open_if_there(settings: &Settings) -> Result<Option<Connection>> {
    if settings.path.exists() { open_to_read(settings).map(Some) } else { Ok(None) }
}

fn not_utf8(path: &Path) -> Error {
    at(path, "the warehouse's path is not valid UTF-8, which DuckDB needs").hint("choose another folder or name")
}

/// DuckDB, with no file yet. To start it takes longer than all else here, so it is done once.
fn start(path: &Path, text: &str, settings: &Settings) -> Result<Connection> {
    // What does not fit into memory goes where it would go if the file had been opened itself.
    let config = config(settings)?.with("temp_directory", format!("{text}.tmp"));
    let started = config.and_then(Connection::open_in_memory_with_flags);
    started.map_err(|cause| refusal(path, Message::new(&cause.to_string()), settings.lock_wait))
}

/// Writes an empty database.
fn make(connection: &Connection, draft: &Path, storage_version: &str) -> ::duckdb::Result<()> {
    let (file, version) = (sql::literal(&draft.to_string_lossy()), sql::literal(storage_version));
    connection.execute_batch(&format!(
        "ATTACH {file} AS _pintail_draft (TYPE duckdb, STORAGE_VERSION {version}); DETACH _pintail_draft"
    ))
}

/// Attaches the file, as soon as nobody else holds it.
fn attach_when_free(
    connection: &Connection,
    path: &Path,
    text: &str,
    settings: &Settings,
    options: &str,
) -> Result<()> {
    let begun = Instant::now();
    loop {
        let said = match attach(connection, text, options) {
            Ok(()) => return Ok(()),
            Err(cause) => Message::new(&cause.to_string()),
        };
        if !is_held(said.text()) || begun.elapsed() >= settings.lock_wait {
            return Err(refusal(path, said, settings.lock_wait));
        }
        std::thread::sleep(LOCK_POLL);
    }
}

/// Opens the file and makes it the connection's database.
fn attach(connection: &Connection, path: &str, options: &str) -> ::duckdb::Result<()> {
    let name = sql::name(&database_name(Path::new(path)));
    // An absolute path is always a file to DuckDB; `name:` would load an extension.
    let file = sql::literal(path);
    connection.execute_batch(&format!("ATTACH {file} AS {name} (TYPE duckdb, {options}); USE {name}.main"))
}

/// What DuckDB calls the database of a file when it opens it: the stem of its name, unless that is one of its own.
fn database_name(path: &Path) -> String {
    let stem = path.file_stem().map(|stem| stem.to_string_lossy().into_owned()).unwrap_or_default();
    if ["memory", "system", "temp"].contains(&stem.to_lowercase().as_str()) { format!("{stem}_db") } else { stem }
}

/// A database in memory, with the same settings.
pub(in crate::load) fn in_memory() -> Result<Connection> {
    Connection::open_in_memory_with_flags(config(&Settings::new(""))?).map_err(|cause| {
        Error::new(Kind::Destination, "DuckDB could not be started").source(Message::new(&cause.to_string()))
    })
}

fn config(settings: &Settings) -> Result<Config> {
    let mut config = Config::default();
    for (name, value) in options(settings) {
        config = config.with(name, &value).map_err(|cause| {
            Error::new(Kind::Destination, format!("DuckDB does not take the setting {name}"))
                .with("value", &value)
                .source(cause)
        })?;
    }
    Ok(config)
}

fn options(settings: &Settings) -> Vec<(&'static str, String)> {
    let mut options = vec![
        // A run talks to the API and to nothing else.
        ("autoinstall_known_extensions", "false".to_owned()),
        ("autoload_known_extensions", "false".to_owned()),
        // Tables have no order; keeping one would cost memory.
        ("preserve_insertion_order", "false".to_owned()),
        ("write_buffer_row_group_count", ROW_GROUPS_BUFFERED.to_string()),
        ("storage_compatibility_version", storage_version(settings).to_owned()),
    ];
    options.push(("threads", settings.threads.unwrap_or(THREADS_DEFAULT).to_string()));
    options.extend(settings.memory_limit_bytes.map(|n| ("memory_limit", format!("{n}B"))));
    options
}

fn storage_version(settings: &Settings) -> &str {
    settings.storage_version.as_deref().unwrap_or(STORAGE_VERSION_DEFAULT)
}

fn is_held(said: &str) -> bool {
    said.contains("Could not set lock on file")
}

/// The program and process that DuckDB names as the holder of the file.
fn holder(said: &str) -> Option<&str> {
    let (_, rest) = said.split_once("lock is held in ")?;
    rest.find(')').filter(|end| rest[..*end].contains("(PID ")).map(|end| &rest[..=end])
}

fn refusal(path: &Path, said: Message, lock_wait: Duration) -> Error {
    let text = said.text();
    if is_held(text) {
        let mut error =
            Error::new(Kind::Locked, "the warehouse is open in another process").with("file", path.display());
        if let Some(holder) = holder(text) {
            error = error.with("held by", holder);
        }
        return error
            .with("waited", format!("{:.1} s", lock_wait.as_secs_f64()))
            .hint("close it there, or give `lock_wait` more time")
            .source(said);
    }
    if text.contains("not a valid DuckDB database file") {
        return at(path, "the file is not a DuckDB database")
            .hint("is this the right path? Nothing was changed")
            .source(said);
    }
    if text.contains("version number") {
        return at(path, "the file was written by a DuckDB that this program cannot read")
            .hint("the message says which versions it reads; nothing was changed")
            .source(said);
    }
    at(path, "the warehouse could not be opened").source(said)
}

fn at(path: &Path, message: &str) -> Error {
    Error::new(Kind::Destination, message).with("file", path.display())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_holder_of_the_file_is_named() {
        let said = "IO Error: Could not set lock on file \"/w.duckdb\": Conflicting lock is held in /usr/bin/duckdb (PID 4711) \
                    by user ann. See also https://duckdb.org/docs";
        assert!(is_held(said));
        assert_eq!(holder(said), Some("/usr/bin/duckdb (PID 4711)"));
        assert_eq!(holder("IO Error: Could not set lock on file \"x\": Resource temporarily unavailable"), None);
    }

    #[test]
    fn a_file_that_is_no_database_is_refused_and_untouched() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("warehouse.duckdb");
        std::fs::write(&path, "id,title\n".repeat(2000)).unwrap();
        let error = open(&Settings::new(&path)).unwrap_err();
        assert_eq!(error.message(), "the file is not a DuckDB database");
        assert_eq!(std::fs::read_to_string(&path).unwrap(), "id,title\n".repeat(2000));
    }

    #[test]
    fn missing_folders_are_made() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("a/b/warehouse.duckdb");
        drop(open(&Settings::new(&path)).unwrap());
        assert!(path.exists());
    }

    #[test]
    fn an_unknown_storage_version_is_an_error() {
        let folder = tempfile::tempdir().unwrap();
        let settings =
            Settings { storage_version: Some("v0".into()), ..Settings::new(folder.path().join("warehouse.duckdb")) };
        assert!(open(&settings).is_err());
    }
}
