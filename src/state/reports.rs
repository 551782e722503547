//! `STATE_DIR/reports/PIPELINE/ID.json`: what each run came to, as `run --output json` prints it. The oldest make way for new ones.
//! Nothing is read from them to decide what to ask for.

use crate::error::{Error, Kind, Result};
use crate::load::reading::LoadEntry;
use chrono::{DateTime, Utc};
use serde_json::Value;
use std::fs::{self, File};
use std::io::{self, ErrorKind, Write};
use std::path::{Path, PathBuf};

/// What a report tells, as far as it is read back.
#[derive(Debug, Clone, PartialEq)]
pub struct Report {
    /// The load; none: the run did not begin.
    pub load_id: Option<String>,
    /// `completed`, `failed`, `interrupted`, or a word of a later version.
    pub status: String,
    /// When the run began.
    pub started_at: DateTime<Utc>,
    /// When it ended.
    pub finished_at: DateTime<Utc>,
    /// What stopped it as a whole.
    pub error: Option<String>,
    /// What each resource came to. Skipped ones are left out, as they leave no load.
    pub resources: Vec<LoadEntry>,
}

/// Writes a report, whole or not at all, and removes the oldest beyond `keep`. `id`: the load, or the time for a run that has none;
/// sorts by time. `None`: `keep` is 0, and nothing is written.
///
/// # Errors
/// [`Kind::State`] when the folder or the file can't be written.
pub fn write(state_dir: &Path, pipeline: &str, id: &str, report: &str, keep: usize) -> Result<Option<PathBuf>> {
    if keep == 0 {
        return Ok(None);
    }
    let folder = folder_of(state_dir, pipeline);
    let path = folder.join(format!("{id}.json"));
    let failed = |e: io::Error| {
        Error::new(Kind::State, "the report file can't be written").with("path", path.display()).source(e)
    };
    let write = || -> io::Result<()> {
        fs::create_dir_all(&folder)?;
        let draft = folder.join(format!("{id}.tmp"));
        let mut file = File::create(&draft)?;
        file.write_all(report.as_bytes())?;
        file.write_all(b"\n")?;
        file.sync_all()?;
        fs::rename(&draft, &path)
    };
    write().map_err(failed)?;
    for old in names(&folder).map_err(failed)?.into_iter().rev().skip(keep) {
        match fs::remove_file(folder.join(old)) {
            // Another run's clean-up was faster.
            Err(e) if e.kind() != ErrorKind::NotFound => return Err(failed(e)),
            _ => {}
        }
    }
    Ok(Some(path))
}

/// The newest reports of a pipeline, newest first. What is no report is passed over.
///
/// # Errors
/// [`Kind::State`] when the folder can't be read.
pub fn read_last(state_dir: &Path, pipeline: &str, count: usize) -> Result<Vec<Report>> {
    let folder = folder_of(state_dir, pipeline);
    let failed =
        |e: io::Error| Error::new(Kind::State, "the reports can't be read").with("path", folder.display()).source(e);
    let names = match names(&folder) {
        Err(e) if e.kind() == ErrorKind::NotFound => return Ok(Vec::new()),
        names => names.map_err(failed)?,
    };
    let text_of = |name: String| fs::read_to_string(folder.join(name)).ok();
    Ok(names.into_iter().rev().take(count).filter_map(|name| parse(&text_of(name)?)).collect())
}

fn folder_of(state_dir: &Path, pipeline: &str) -> PathBuf {
    state_dir.join("reports").join(pipeline)
}

/// Names of the report files, oldest first.
fn names(folder: &Path) -> io::Result<Vec<String>> {
    let mut names = Vec::new();
    for entry in fs::read_dir(folder)? {
        let name = entry?.file_name().to_string_lossy().into_owned();
        if name.ends_with(".json") {
            names.push(name);
        }
    }
    names.sort();
    Ok(names)
}

fn parse(text: &str) -> Option<Report> {
    let report: Value = serde_json::from_str(text).ok()?;
    let word = |name: &str| report.get(name).and_then(Value::as_str).map(str::to_owned);
    let time = |name: &str| Some(DateTime::parse_from_rfc3339(&word(name)?).ok()?.to_utc());
    let (load_id, started_at, finished_at) = (word("load_id"), time("started_at")?, time("finished_at")?);
    let entry = |(name, resource): (&String, &Value)| {
        let text = |key: &str| resource.get(key).and_then(Value::as_str).map(str::to_owned);
        let number = |key: &str| resource.get(key).and_then(Value::as_u64).unwrap_or_default();
        let counts = |key: &str| {
            let members = resource.get(key).and_then(Value::as_object).into_iter().flatten();
            members.filter_map(|(name, n)| Some((name.clone(), n.as_u64()?))).collect()
        };
        let is_stored = resource.get("stored").and_then(Value::as_bool).unwrap_or(true);
        let status = text("status").filter(|status| is_stored && status != "skipped")?;
        Some(LoadEntry {
            load_id: load_id.clone().unwrap_or_default(),
            resource: name.clone(),
            status,
            started_at,
            committed_at: finished_at,
            requests: number("requests"),
            records: number("records"),
            bytes: number("bytes"),
            rows: counts("rows"),
            discarded: counts("discarded"),
            end: text("end"),
            error: text("error"),
        })
    };
    let resources = report.get("resources").and_then(Value::as_object).into_iter().flatten();
    Some(Report {
        status: word("status")?,
        started_at,
        finished_at,
        error: word("error"),
        resources: resources.filter_map(entry).collect(),
        load_id,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    const REPORT: &str = r#"{"pipeline":"shop","load_id":"L","status":"failed","started_at":"2026-01-02T03:04:05.000Z",
        "finished_at":"2026-01-02T03:05:05.000Z","error":null,"resources":{
        "videos":{"status":"completed","stored":true,"requests":3,"records":20,"bytes":9,"rows":{"videos":18},"discarded":{"x":2},"end":"empty page","error":null},
        "views":{"status":"failed","stored":true,"requests":1,"records":0,"bytes":0,"rows":{},"discarded":{},"end":null,"error":"no\nstatus: 500"},
        "later":{"status":"skipped","stored":true},"parents":{"status":"completed","stored":false}}}"#;

    #[test]
    fn a_report_is_read_back() {
        let report = parse(REPORT).unwrap();
        assert_eq!((report.load_id.as_deref(), report.status.as_str()), (Some("L"), "failed"));
        assert_eq!((report.finished_at - report.started_at).num_seconds(), 60);
        let told: Vec<_> =
            report.resources.iter().map(|r| (r.resource.as_str(), r.rows.clone(), r.error.clone())).collect();
        assert_eq!(
            told,
            [("videos", vec![("videos".to_owned(), 18)], None), ("views", vec![], Some("no\nstatus: 500".into()))]
        );
    }

    #[test]
    fn the_oldest_make_way_and_what_is_no_report_is_passed_over() {
        let dir = tempfile::tempdir().unwrap();
        assert_eq!(write(dir.path(), "shop", "0", REPORT, 0).unwrap(), None);
        assert!(read_last(dir.path(), "shop", 9).unwrap().is_empty());
        for id in ["1", "2", "3", "4"] {
            write(dir.path(), "shop", id, &REPORT.replace("\"L\"", &format!("\"{id}\"")), 3).unwrap();
        }
        let path = write(dir.path(), "shop", "5", "half a repo", 3).unwrap().unwrap();
        assert_eq!(fs::read_to_string(path).unwrap(), "half a repo\n");
        let ids: Vec<_> = read_last(dir.path(), "shop", 9).unwrap().into_iter().map(|r| r.load_id.unwrap()).collect();
        assert_eq!(ids, ["4", "3"]);
        assert_eq!(fs::read_dir(dir.path().join("reports/shop")).unwrap().count(), 3);
        assert_eq!(read_last(dir.path(), "shop", 2).unwrap().len(), 1);
    }
}
