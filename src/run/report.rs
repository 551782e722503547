//! What a run did: the JSON report and the summary that people read.

pub use crate::words::group_digits;

use super::shutdown::Cause;
use super::stages::Spent;
use crate::words::counted;
use chrono::{DateTime, SecondsFormat, Utc};
use comfy_table::{Cell, CellAlignment, Table, TableStyle};
use serde::Serialize;
use serde_json::{Map, Value, json};
use std::collections::BTreeMap;

/// How a run or a resource ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Status {
    /// All of it was loaded.
    Completed,
    /// Something failed; what was committed stays.
    Failed,
    /// A signal ended it; what was committed stays.
    Interrupted,
    /// The budget of the command was spent; what was committed stays, and nothing is wrong.
    Stopped,
    /// It was not begun, because what it needs failed or the run ended.
    Skipped,
}

impl Status {
    /// How it ended, if it was asked to.
    pub fn of_cause(cause: Cause) -> Status {
        if cause.is_budget() { Status::Stopped } else { Status::Interrupted }
    }

    /// The word in reports and in `_pintail_loads`.
    pub fn word(self) -> &'static str {
        match self {
            Status::Completed => "completed",
            Status::Failed => "failed",
            Status::Interrupted => "interrupted",
            Status::Stopped => "stopped",
            Status::Skipped => "skipped",
        }
    }
}

/// What a run did.
#[derive(Debug, Clone)]
pub struct Report {
    /// Pipeline name.
    pub pipeline: String,
    /// Identifier of the run, in `_pintail_load_id` of its rows.
    pub load_id: String,
    /// How it ended.
    pub status: Status,
    /// When it began.
    pub started_at: DateTime<Utc>,
    /// When it ended.
    pub finished_at: DateTime<Utc>,
    /// Where rows went: `duckdb:warehouse.duckdb`.
    pub destination: String,
    /// DuckDB schema or Parquet folder.
    pub dataset: String,
    /// The past range that was loaded, from and to; none: what was new.
    pub range: Option<(String, String)>,
    /// In the order of the plan.
    pub resources: Vec<ResourceReport>,
    /// What stopped the run as a whole, if something did.
    pub error: Option<String>,
}

/// What became of one resource.
#[derive(Debug, Clone)]
pub struct ResourceReport {
    /// Name.
    pub name: String,
    /// How it ended.
    pub status: Status,
    /// Whether its rows are stored; a parent that is not selected is fetched for its children only.
    pub stored: bool,
    /// Requests sent.
    pub requests: u64,
    /// Those that were sent again.
    pub retries: u64,
    /// Time spent waiting for rate windows or for the server, milliseconds.
    pub throttled_ms: u64,
    /// Pages received.
    pub pages: u64,
    /// Records received.
    pub records: u64,
    /// Bytes received, decompressed.
    pub bytes: u64,
    /// Rows written and committed, by table.
    pub rows: BTreeMap<String, u64>,
    /// Records not loaded, by rule.
    pub discarded: BTreeMap<String, u64>,
    /// What the contract left out of the rows of records that were kept: rows by table, values by `table.column`.
    pub discarded_parts: BTreeMap<String, u64>,
    /// Rows that had moved in the list while it was read, and were fetched all the same (`overlap`).
    pub moved: u64,
    /// Records whose key came before in the same walk.
    pub repeated: u64,
    /// Why paging ended; for children, of how many parents.
    pub end: Option<String>,
    /// Parents that it ran for, if it is a child.
    pub parents: Option<u64>,
    /// Parents that it did not run for: `parent_filter` is not true for them, or they lack a field.
    pub parents_skipped: Option<u64>,
    /// Windows that were walked to their end, if its range is walked in windows.
    pub windows: Option<u64>,
    /// Windows of its past that are left, if they are counted.
    pub windows_left: Option<u64>,
    /// Starts that were moved up to `earliest`, if it is given.
    pub starts_moved: Option<u64>,
    /// Cursor that requests started from.
    pub cursor_before: Option<String>,
    /// Cursor that the next run starts from.
    pub cursor_after: Option<String>,
    /// Where the time went.
    pub spent: Spent,
    /// What a person should look at.
    pub warnings: Vec<String>,
    /// What went wrong, on several lines.
    pub error: Option<String>,
}

impl ResourceReport {
    /// The report of a resource that has not begun.
    pub fn new(name: &str, stored: bool) -> Self {
        ResourceReport {
            name: name.to_owned(),
            status: Status::Skipped,
            stored,
            requests: 0,
            retries: 0,
            throttled_ms: 0,
            pages: 0,
            records: 0,
            bytes: 0,
            rows: BTreeMap::new(),
            discarded: BTreeMap::new(),
            discarded_parts: BTreeMap::new(),
            moved: 0,
            repeated: 0,
            end: None,
            parents: None,
            parents_skipped: None,
            windows: None,
            windows_left: None,
            starts_moved: None,
            cursor_before: None,
            cursor_after: None,
            spent: Spent::default(),
            warnings: Vec::new(),
            error: None,
        }
    }

    fn to_json(&self) -> Value {
        let mut out = Map::new();
        out.insert("status".into(), json!(self.status.word()));
        out.insert("stored".into(), json!(self.stored));
        for (name, count) in [
            ("requests", self.requests),
            ("retries", self.retries),
            ("throttled_ms", self.throttled_ms),
            ("pages", self.pages),
            ("records", self.records),
            ("bytes", self.bytes),
        ] {
            out.insert(name.into(), json!(count));
        }
        out.insert("rows".into(), json!(self.rows));
        out.insert("discarded".into(), json!(self.discarded));
        out.insert("discarded_parts".into(), json!(self.discarded_parts));
        out.insert("moved".into(), json!(self.moved));
        out.insert("repeated".into(), json!(self.repeated));
        out.insert("end".into(), json!(self.end));
        if let Some(parents) = self.parents {
            out.insert("parents".into(), json!(parents));
        }
        if let Some(skipped) = self.parents_skipped {
            out.insert("parents_skipped".into(), json!(skipped));
        }
        if let Some(windows) = self.windows {
            out.insert("windows".into(), json!(windows));
        }
        if let Some(left) = self.windows_left {
            out.insert("windows_left".into(), json!(left));
        }
        if let Some(starts_moved) = self.starts_moved {
            out.insert("starts_moved".into(), json!(starts_moved));
        }
        out.insert("cursor_before".into(), json!(self.cursor_before));
        out.insert("cursor_after".into(), json!(self.cursor_after));
        out.insert("seconds".into(), self.spent.to_json());
        out.insert("warnings".into(), json!(self.warnings));
        out.insert("error".into(), json!(self.error));
        Value::Object(out)
    }
}

fn time(at: DateTime<Utc>) -> String {
    at.to_rfc3339_opts(SecondsFormat::Millis, true)
}

impl Report {
    /// The report as one line of JSON. Secrets are replaced.
    pub fn to_json(&self) -> String {
        let resources: Map<String, Value> = self.resources.iter().map(|r| (r.name.clone(), r.to_json())).collect();
        let report = json!({
            "pipeline": self.pipeline,
            "load_id": self.load_id,
            "status": self.status.word(),
            "started_at": time(self.started_at),
            "finished_at": time(self.finished_at),
            "destination": self.destination,
            "dataset": self.dataset,
            "error": self.error,
            "resources": resources,
        });
        let mut report = report;
        if let Some((from, to)) = &self.range {
            report["backfill"] = json!({ "from": from, "to": to });
        }
        crate::secret::redact(&report.to_string()).into_owned()
    }

    /// What went wrong and what a person should look at, for stderr: a paragraph each. Secrets are replaced.
    pub fn problems(&self) -> Vec<String> {
        let warnings =
            self.resources.iter().flat_map(|r| r.warnings.iter().map(|w| format!("warning: {}: {w}", r.name)));
        let errors = self.resources.iter().filter_map(|r| Some(format!("error: {}: {}", r.name, r.error.as_ref()?)));
        let whole = self.error.iter().map(|e| format!("error: {e}"));
        warnings.chain(errors).chain(whole).map(|text| crate::secret::redact(&text).into_owned()).collect()
    }

    /// The summary for people, without the problems. Lines end with a line feed. Secrets are replaced.
    pub fn to_text(&self) -> String {
        let mut table = Table::new();
        table.load_style(TableStyle::new());
        table.set_header(["resource", "records", "rows", "pages", "requests", "end"]);
        for resource in &self.resources {
            table.add_row(self.row(resource));
        }
        for column in table.column_iter_mut().take(5).skip(1) {
            column.set_cell_alignment(CellAlignment::Right);
        }
        let seconds = (self.finished_at - self.started_at).num_milliseconds() as f64 / 1000.0;
        let mut out = format!(
            "{}{} {} in {seconds:.1} s, load {}\ninto {}, schema {}\n\n",
            self.pipeline,
            self.range.as_ref().map(|(from, to)| format!(" backfill {from}..{to}")).unwrap_or_default(),
            self.status.word(),
            self.load_id,
            self.destination,
            self.dataset
        );
        for line in table.to_string().lines() {
            out.push_str(line.trim_end().strip_prefix(' ').unwrap_or(line.trim_end()));
            out.push('\n');
        }
        self.push_notes(&mut out);
        crate::secret::redact(&out).into_owned()
    }

    fn row(&self, resource: &ResourceReport) -> Vec<Cell> {
        let end = match (resource.status, &resource.end) {
            (Status::Completed | Status::Stopped, Some(end)) => end.clone(),
            (status, _) => status.word().to_owned(),
        };
        let rows: u64 = resource.rows.values().sum();
        let rows = if resource.stored { group_digits(rows) } else { "not stored".to_owned() };
        vec![
            Cell::new(short_name(&resource.name)),
            Cell::new(group_digits(resource.records)),
            Cell::new(rows),
            Cell::new(group_digits(resource.pages)),
            Cell::new(group_digits(resource.requests)),
            Cell::new(end),
        ]
    }

    fn push_notes(&self, out: &mut String) {
        let waited: u64 = self.resources.iter().map(|r| r.throttled_ms).sum();
        if waited >= 1000 {
            out.push_str(&format!("\nwaited {:.1} s for rate limits, over all requests\n", waited as f64 / 1000.0));
        }
        if let Some(line) = Spent::sum(self.resources.iter().map(|r| r.spent)).to_line() {
            out.push_str(&format!("\nwhere the time went, some of it side by side: {line}\n"));
        }
        for (resource, left) in
            self.resources.iter().filter_map(|r| Some((r, r.windows_left.filter(|left| *left > 0)?)))
        {
            out.push_str(&format!(
                "\n{}: {} left, for the next backfill of this range\n",
                resource.name,
                counted(left, "window")
            ));
        }
        for resource in &self.resources {
            for (rule, count) in &resource.discarded {
                let rule = rule.replace('_', " ");
                let records = counted(*count, "record");
                out.push_str(&format!("\n{}: {records} left out: {rule}\n", resource.name));
            }
            for (place, count) in &resource.discarded_parts {
                let parts = counted(*count, if place.contains('.') { "value" } else { "row" });
                out.push_str(&format!("\n{}: {parts} left out of {place}\n", resource.name));
            }
        }
    }
}

/// Longest name in a line of a table or of progress, characters: what is told of the resource fits beside it on a terminal
/// of 80 columns.
pub const NAME_WIDTH: usize = 24;

/// A resource's name as a line has room for it.
pub fn short_name(name: &str) -> String {
    cut(name, NAME_WIDTH)
}

/// A name of so many characters at most.
pub fn cut(name: &str, width: usize) -> String {
    if name.chars().count() <= width {
        return name.to_owned();
    }
    name.chars().take(width.saturating_sub(1)).chain(['…']).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_long_name_is_cut_where_a_line_is_short() {
        assert_eq!(short_name("interaction_responses"), "interaction_responses");
        assert_eq!(short_name(&"é".repeat(24)), "é".repeat(24));
        assert_eq!(short_name(&"é".repeat(25)), format!("{}…", "é".repeat(23)));
    }

    #[test]
    fn the_summary_names_what_was_loaded_and_what_went_wrong() {
        let at = DateTime::from_timestamp(1_700_000_000, 0).unwrap();
        let videos = ResourceReport {
            status: Status::Completed,
            requests: 101,
            pages: 101,
            records: 10_000,
            rows: BTreeMap::from([("videos".to_owned(), 10_000)]),
            end: Some("empty page".to_owned()),
            ..ResourceReport::new("videos", true)
        };
        let views = ResourceReport {
            status: Status::Failed,
            error: Some("the server answered with an error\n  status: 500".to_owned()),
            ..ResourceReport::new("views", true)
        };
        let report = Report {
            pipeline: "mindstamp".to_owned(),
            load_id: "20231114T221320Z-abc".to_owned(),
            status: Status::Failed,
            started_at: at,
            finished_at: at + chrono::TimeDelta::milliseconds(2340),
            destination: "duckdb:warehouse.duckdb".to_owned(),
            dataset: "mindstamp".to_owned(),
            range: None,
            resources: vec![videos, views],
            error: None,
        };
        assert_eq!(
            report.to_text(),
            "mindstamp failed in 2.3 s, load 20231114T221320Z-abc\ninto duckdb:warehouse.duckdb, schema mindstamp\n\n\
             resource  records    rows  pages  requests  end\nvideos     10,000  10,000    101       101  empty page\n\
             views           0       0      0         0  failed\n"
        );
        assert_eq!(report.problems(), ["error: views: the server answered with an error\n  status: 500"]);
        let json: Value = serde_json::from_str(&report.to_json()).unwrap();
        assert_eq!(json["resources"]["videos"]["rows"]["videos"], 10_000);
        assert_eq!(json["status"], "failed");
    }
}
