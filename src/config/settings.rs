//! The operator file, resolved: where pipelines, state and rows are, and how runs behave.

mod telling;

pub use telling::{LogFormat, LogLevel, LogSettings, LogTarget, Notice};

use super::diagnostic::Diagnostics;
use super::env::Env;
use super::tree::{self, Node, Table};
use super::{Secrets, check, keys, values};
use crate::error::{Error, Kind, Result};
use crate::plan::suggest;
use std::path::{Path, PathBuf};
use std::time::Duration;
use telling::{fill_log, notice};

/// Name of the operator file in the working directory.
pub const FILE_NAME: &str = "config.toml";

/// What an operator sets. Paths are relative to the working directory, or absolute.
#[derive(Debug, Clone, PartialEq)]
pub struct Settings {
    /// The file they come from; none: all defaults.
    pub file: Option<PathBuf>,
    /// Where pipelines are looked up by name.
    pub pipelines_dir: PathBuf,
    /// Where readable copies of the cursors and the locks are.
    pub state_dir: PathBuf,
    /// Where rows go.
    pub destination: Target,
    /// How runs behave.
    pub run: RunSettings,
    /// What is logged.
    pub log: LogSettings,
    /// Who is told when a run fails.
    pub on_failure: Option<Notice>,
    /// The environment that `${NAME}` reads, with the `.env` beside the file.
    pub env: Env,
}

/// Where rows go.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Target {
    /// A DuckDB database.
    DuckDb {
        /// The file.
        path: PathBuf,
        /// Oldest DuckDB release that can open the file (`v1.0.0`); none: DuckDB's default.
        storage_version: Option<String>,
        /// Where a copy for readers is put after each run.
        publish: Option<PathBuf>,
    },
    /// A folder of Parquet files.
    Parquet {
        /// The folder.
        path: PathBuf,
        /// How columns are compressed.
        compression: Compression,
        /// Rows of a row group, at least 1.
        row_group_rows: usize,
        /// Rows of a file, at least 1.
        file_rows: usize,
    },
}

impl Target {
    /// The database file or the folder.
    pub fn path(&self) -> &Path {
        match self {
            Target::DuckDb { path, .. } | Target::Parquet { path, .. } => path,
        }
    }
}

/// How Parquet columns are compressed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Compression {
    /// Small.
    Zstd,
    /// Fast.
    Snappy,
    /// Not at all.
    None,
}

/// How runs behave.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RunSettings {
    /// How long to wait for another run, or for who holds the database file.
    pub lock_wait: Duration,
    /// Memory that DuckDB may use, bytes; none: DuckDB's default.
    pub memory_limit_bytes: Option<u64>,
    /// Requests in flight over all pipelines of a command; none: each pipeline's own.
    pub concurrency: Option<usize>,
    /// How long a command may take before it stops, more than nothing; none: as long as it needs.
    pub max_duration: Option<Duration>,
    /// Reports that are kept of each pipeline; 0: none is written.
    pub keep_reports: usize,
}

impl Default for RunSettings {
    fn default() -> Self {
        RunSettings {
            lock_wait: Duration::from_secs(30),
            memory_limit_bytes: None,
            concurrency: None,
            max_duration: None,
            keep_reports: KEEP_REPORTS,
        }
    }
}

const KEEP_REPORTS: usize = 100;
const ROW_GROUP_ROWS: usize = 122_880;
const FILE_ROWS: usize = 5_000_000;

impl Default for Settings {
    fn default() -> Self {
        Settings {
            file: None,
            pipelines_dir: "pipelines".into(),
            state_dir: "state".into(),
            destination: Target::duckdb("warehouse.duckdb"),
            run: RunSettings::default(),
            log: LogSettings { level: LogLevel::Info, format: LogFormat::Text, file: None },
            on_failure: None,
            env: Env::default(),
        }
    }
}

impl Target {
    /// A DuckDB database with everything else at its default.
    pub fn duckdb(path: impl Into<PathBuf>) -> Target {
        Target::DuckDb { path: path.into(), storage_version: None, publish: None }
    }

    /// A folder of Parquet files with everything else at its default.
    pub fn parquet(path: impl Into<PathBuf>) -> Target {
        Target::Parquet {
            path: path.into(),
            compression: Compression::Zstd,
            row_group_rows: ROW_GROUP_ROWS,
            file_rows: FILE_ROWS,
        }
    }

    /// Reads `duckdb:PATH` or `parquet:DIR`, as the command line has it.
    ///
    /// # Errors
    /// Neither of the two, or no path.
    pub fn parse(text: &str) -> Result<Target> {
        let wrong = |message: String| {
            Error::new(Kind::Config, message)
                .hint("write `duckdb:PATH` or `parquet:DIR`, as in `duckdb:warehouse.duckdb`")
        };
        let Some((kind, path)) = text.split_once(':') else {
            return Err(wrong(format!("`{text}` is not a destination")));
        };
        match (kind, path) {
            ("duckdb" | "parquet", "") => Err(wrong(format!("the destination `{text}` has no path"))),
            ("duckdb", path) => Ok(Target::duckdb(path)),
            ("parquet", path) => Ok(Target::parquet(path)),
            _ => Err(wrong(format!("`{kind}` is not a type of destination"))),
        }
    }
}

/// Reads the operator file: the one that is named, else `config.toml` in the working directory if there is one, else the
/// defaults.
///
/// # Errors
/// The file can't be read, or is wrong; the report then has all mistakes.
pub fn load_settings(path: Option<&Path>) -> Result<Settings> {
    let working_dir_file = Path::new(FILE_NAME);
    let Some(file) = path.or_else(|| working_dir_file.is_file().then_some(working_dir_file)) else {
        return Ok(Settings { env: Env::load(Path::new("."))?, ..Settings::default() });
    };
    let source = super::read(file)?;
    let folder = super::folder_of(file);
    let env = Env::load(folder)?;
    settings(file, &source, env)
}

/// Reads the text of an operator file.
///
/// # Errors
/// All mistakes of the file.
pub fn settings(file: &Path, source: &str, env: Env) -> Result<Settings> {
    let mut found = Diagnostics::new(file.display().to_string(), source);
    let folder = super::folder_of(file);
    let sources = tree::Sources { env: &env, folder, secrets: Secrets::Required };
    let mut settings = Settings { file: Some(file.to_owned()), ..Settings::default() };
    if let Some(table) = tree::parse(source, &sources, &mut found, &mut tree::Substituted::default()) {
        check::check_table(&table, &keys::CONFIG, 0..0, &mut found);
        if !found.has_errors() {
            fill(&mut settings, &table, folder, &mut found);
        }
    }
    found.into_result(false)?;
    Ok(Settings { env, ..settings })
}

fn fill(settings: &mut Settings, table: &Table, folder: &Path, found: &mut Diagnostics) {
    let path_of = |node: Option<&Node>, default: &Path| {
        folder.join(node.and_then(Node::resolved).map_or_else(|| default.to_owned(), PathBuf::from))
    };
    settings.pipelines_dir = path_of(table.get("pipelines_dir"), &settings.pipelines_dir);
    settings.state_dir = path_of(table.get("state_dir"), &settings.state_dir);
    settings.destination = destination(table.get("destination"), folder, found);
    if let Some(run) = table.get("run").and_then(Node::as_table) {
        fill_run(&mut settings.run, run, found);
    }
    if let Some(log) = table.get("log").and_then(Node::as_table) {
        fill_log(&mut settings.log, log, folder);
    }
    let notify = table.get("notify").and_then(Node::as_table);
    settings.on_failure = notify.and_then(|notify| notice(notify.get("on_failure")?, folder, found));
}

fn destination(node: Option<&Node>, folder: &Path, found: &mut Diagnostics) -> Target {
    let empty = Table::default();
    let table = node.and_then(Node::as_table).unwrap_or(&empty);
    let tag = table.get("type").or(node).and_then(Node::resolved);
    let path = table.get("path").and_then(Node::resolved);
    let rows = |name: &str, default: usize| {
        table.get(name).and_then(Node::as_count).and_then(|n| usize::try_from(n).ok()).unwrap_or(default)
    };
    if tag.as_deref() == Some("parquet") {
        if let Some((key, _)) = table.entry("publish") {
            let help = "leave it out: readers of a Parquet folder never block a run, nor the other way round";
            found.error(key.span.clone(), "`publish` is for DuckDB files").help(help);
        }
        return Target::Parquet {
            path: folder.join(path.as_deref().unwrap_or("warehouse")),
            compression: match table.get("compression").and_then(Node::resolved).as_deref() {
                Some("snappy") => Compression::Snappy,
                Some("none") => Compression::None,
                _ => Compression::Zstd,
            },
            row_group_rows: rows("row_group_rows", ROW_GROUP_ROWS),
            file_rows: rows("file_rows", FILE_ROWS),
        };
    }
    let storage_version = table.get("storage_version").and_then(|node| {
        let version = node.resolved()?;
        if !is_storage_version(&version) {
            let help = "write a release such as \"v1.0.0\", or \"latest\"";
            found.error(node.span.clone(), format!("`{version}` is not a DuckDB release")).help(help);
        }
        Some(version)
    });
    let path = folder.join(path.as_deref().unwrap_or("warehouse.duckdb"));
    let publish = table.get("publish").and_then(|node| Some((node, folder.join(node.resolved()?))));
    if let Some((node, _)) = publish.as_ref().filter(|(_, publish)| *publish == path) {
        let help = "name another file: the copy would take the warehouse's place";
        found.error(node.span.clone(), "`publish` is the warehouse itself").help(help);
    }
    Target::DuckDb { path, storage_version, publish: publish.map(|(_, publish)| publish) }
}

/// `latest` or `vMAJOR.MINOR.PATCH`: also keeps anything else out of the SQL that it goes into.
fn is_storage_version(text: &str) -> bool {
    let numbers: Option<Vec<&str>> = text.strip_prefix('v').map(|rest| rest.split('.').collect());
    text == "latest" || numbers.is_some_and(|n| n.len() == 3 && n.iter().all(|part| part.parse::<u16>().is_ok()))
}

fn fill_run(run: &mut RunSettings, table: &Table, found: &mut Diagnostics) {
    if let Some(wait) = table.get("lock_wait").and_then(values::time) {
        run.lock_wait = wait;
    }
    run.memory_limit_bytes = table.get("memory_limit").and_then(values::size);
    if let Some(count) = table.get("keep_reports").and_then(Node::as_count).and_then(|n| usize::try_from(n).ok()) {
        run.keep_reports = count;
    }
    run.concurrency = table.get("concurrency").and_then(Node::as_count).and_then(|n| usize::try_from(n).ok());
    run.max_duration = table.get("max_duration").and_then(values::time);
    if let Some(node) = table.get("max_duration").filter(|_| run.max_duration == Some(Duration::ZERO)) {
        found.error(node.span.clone(), "no run ends at once").help("leave `max_duration` out for no limit");
    }
}

/// The files of all pipelines in `pipelines_dir`, by name. Folders in it are not looked into.
///
/// # Errors
/// The folder can't be read, or there is none.
pub fn all_pipelines(settings: &Settings) -> Result<Vec<PathBuf>> {
    let folder = &settings.pipelines_dir;
    let unreadable = |cause| {
        Error::new(Kind::Config, "the folder of the pipelines can't be read")
            .with("pipelines_dir", folder.display())
            .source(cause)
            .hint("it is `pipelines` in the working directory, unless `pipelines_dir` of config.toml says otherwise")
    };
    let mut found = Vec::new();
    for entry in std::fs::read_dir(folder).map_err(unreadable)? {
        let path = entry.map_err(unreadable)?.path();
        let is_hidden = path.file_name().is_some_and(|name| name.to_string_lossy().starts_with('.'));
        if path.extension().is_some_and(|e| e == "toml") && path.is_file() && !is_hidden {
            found.push(path);
        }
    }
    found.sort();
    if found.is_empty() {
        return Err(Error::new(Kind::Config, "there are no pipelines").with("pipelines_dir", folder.display()));
    }
    Ok(found)
}

/// The file of a pipeline: by its name in `pipelines_dir`, or by its path. `.toml` may be left out in both.
///
/// # Errors
/// There is no such file; the report says which pipelines there are.
pub fn find_pipeline(settings: &Settings, name_or_path: &str) -> Result<PathBuf> {
    let written = Path::new(name_or_path);
    let with_extension = PathBuf::from(format!("{name_or_path}.toml"));
    let in_folder = settings.pipelines_dir.join(&with_extension);
    let in_folder_as_written = settings.pipelines_dir.join(written);
    let is_toml = written.extension().is_some_and(|e| e == "toml");
    // A bare name is one of the folder, also when a file or folder of that name lies in the working directory.
    let is_name = !is_toml && written.components().count() == 1;
    let candidates = if is_name {
        vec![in_folder, with_extension]
    } else {
        vec![written.to_owned(), with_extension, in_folder_as_written, in_folder]
    };
    candidates.into_iter().find(|path| path.is_file()).ok_or_else(|| not_found(settings, name_or_path))
}

fn not_found(settings: &Settings, name_or_path: &str) -> Error {
    let folder = settings.pipelines_dir.display();
    let files = all_pipelines(settings).unwrap_or_default();
    let stem = |path: &PathBuf| path.file_stem().map(|stem| stem.to_string_lossy().into_owned());
    let known: Vec<String> = files.iter().filter_map(stem).collect();
    let there = if known.is_empty() {
        format!("there are no pipelines in `{folder}`")
    } else {
        format!("in `{folder}` there are {}", suggest::list(&known))
    };
    let hint = match suggest::did_you_mean(name_or_path, &known) {
        Some(near) => format!("{near} {there}"),
        None => there,
    };
    Error::new(Kind::Config, format!("there is no pipeline `{name_or_path}`")).hint(hint)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(source: &str) -> Result<Settings> {
        settings(Path::new("config.toml"), source, Env::from_pairs([("LEVEL", "debug"), ("N", "7")]))
    }

    #[test]
    fn an_empty_file_gives_the_defaults() {
        let settings = read("").unwrap();
        let file = Some("config.toml".into());
        assert_eq!(Settings { env: Env::default(), ..settings }, Settings { file, ..Settings::default() });
    }

    #[test]
    fn every_key_is_read() {
        let settings = settings(
            Path::new("/etc/pintail/config.toml"),
            "pipelines_dir = '/p'\nstate_dir = 's'\n[destination]\ntype = 'parquet'\npath = 'w'\ncompression = 'snappy'\n\
             row_group_rows = 10\nfile_rows = '${N}'\n[run]\nlock_wait = '1m'\nmemory_limit = '1 GiB'\nconcurrency = 3\nmax_duration = '2h'\nkeep_reports = 7\n\
             [log]\nlevel = '${LEVEL}'\nformat = 'json'\nfile = 'l'\nfile_size = '1 MiB'\nfile_count = '${N}'\n\
             [notify]\non_failure = { command = ['./tell', '${LEVEL}'] }\n",
            Env::from_pairs([("LEVEL", "debug"), ("N", "7")]),
        )
        .unwrap();
        assert_eq!(settings.pipelines_dir, Path::new("/p"));
        assert_eq!(settings.state_dir, Path::new("/etc/pintail/s"));
        let path = "/etc/pintail/w".into();
        let compression = Compression::Snappy;
        assert_eq!(settings.destination, Target::Parquet { path, compression, row_group_rows: 10, file_rows: 7 });
        let run = RunSettings {
            lock_wait: Duration::from_secs(60),
            memory_limit_bytes: Some(1 << 30),
            concurrency: Some(3),
            max_duration: Some(Duration::from_secs(7200)),
            keep_reports: 7,
        };
        assert_eq!(settings.run, run);
        let file = Some(LogTarget { path: "/etc/pintail/l".into(), size_bytes: 1 << 20, count: 7 });
        assert_eq!(settings.log, LogSettings { level: LogLevel::Debug, format: LogFormat::Json, file });
        let words = vec!["./tell".to_owned(), "debug".to_owned()];
        assert_eq!(settings.on_failure, Some(Notice::Command { words, folder: "/etc/pintail".into() }));
    }

    #[test]
    fn whoever_is_told_of_failures_is_a_url_or_a_command_and_the_url_is_a_secret() {
        let env = || Env::from_pairs([("HOOK", "hook-path-that-nobody-may-read")]);
        let text = "[notify]\non_failure = 'https://hooks.example.com/${HOOK}'\n";
        let found = settings(Path::new("config.toml"), text, env()).unwrap();
        let Some(Notice::Webhook(url)) = &found.on_failure else { panic!("{found:?}") };
        assert_eq!(url.expose(), "https://hooks.example.com/hook-path-that-nobody-may-read");
        assert!(!format!("{found:?}").contains("Webhook(\"https"), "{found:?}");
        assert_eq!(crate::secret::redact("at hook-path-that-nobody-may-read"), "at ***");
        for (wrong, message) in [
            ("on_failure = 'mail@example.com'", "`on_failure` is no URL"),
            ("on_failure = 'ftp://example.com'", "`on_failure` is no URL"),
            ("on_failure = { command = [] }", "`command` names no program"),
            ("on_failure = { comand = ['a'] }", "did you mean `command`?"),
            ("on_failure = 3", "`on_failure` must be"),
        ] {
            let report = read(&format!("[notify]\n{wrong}\n")).unwrap_err().report();
            assert!(report.contains(message), "{wrong}: {report}");
        }
    }

    #[test]
    fn destinations_of_the_command_line() {
        assert_eq!(Target::parse("duckdb:a/b.duckdb").unwrap(), Target::duckdb("a/b.duckdb"));
        assert_eq!(Target::parse("parquet:out").unwrap(), Target::parquet("out"));
        for wrong in ["warehouse.duckdb", "duckdb:", "sqlite:x", ""] {
            assert!(Target::parse(wrong).is_err(), "{wrong}");
        }
    }

    #[test]
    fn pipelines_are_found_by_name_and_by_path() {
        let folder = tempfile::tempdir().unwrap();
        let pipelines_dir = folder.path().join("pipelines");
        std::fs::create_dir(&pipelines_dir).unwrap();
        let file = pipelines_dir.join("mindstamp.toml");
        std::fs::write(&file, "").unwrap();
        let settings = Settings { pipelines_dir: pipelines_dir.clone(), ..Settings::default() };
        for name in ["mindstamp", "mindstamp.toml", file.to_str().unwrap(), file.with_extension("").to_str().unwrap()] {
            assert_eq!(find_pipeline(&settings, name).unwrap(), file, "{name}");
        }
        let report = find_pipeline(&settings, "mindstmp").unwrap_err().report();
        let there = format!("in `{}` there are `mindstamp`", pipelines_dir.display());
        let expected = format!("there is no pipeline `mindstmp`\n\nhint: did you mean `mindstamp`? {there}");
        assert_eq!(report, expected);
    }

    #[test]
    fn the_example_has_every_key_with_its_default() {
        let source = include_str!("../../config.example.toml");
        let settings = read(source).unwrap();
        let file = Some("config.toml".into());
        assert_eq!(Settings { env: Env::default(), ..settings }, Settings { file, ..Settings::default() });
        for key in all_keys(keys::CONFIG.keys) {
            let shown =
                source.lines().any(|line| line.trim_start_matches(['#', ' ']).starts_with(&format!("{key} = ")));
            assert!(shown, "{key}");
        }
    }

    fn all_keys(keys: &'static [super::super::spec::Key]) -> Vec<&'static str> {
        use super::super::spec::Kind;
        keys.iter()
            .flat_map(|key| match key.kind {
                Kind::Table(table) => all_keys(table.keys),
                Kind::Tagged(tagged) => tagged.variants.iter().flat_map(|v| all_keys(v.table.keys)).collect(),
                _ => vec![key.name],
            })
            .collect()
    }
}
