//! What a run would do, for people.

use crate::plan::model::{MergeStrategy, RateLimit, Resource};
use crate::run::outlook::{
    CursorOutlook, Origin, Outlook, RequestOutlook, ResourceOutlook, RunsFor, TableFate, TableOutlook,
};
use crate::words::{and, counted, group_digits, wrapped};

/// Widest line of prose. Addresses are not broken: they are there to be copied.
const WIDTH: usize = 80;

/// The whole.
pub(super) fn text(outlook: &Outlook, missing: &[String]) -> String {
    let mut out = Text::default();
    out.line(0, &format!("{}: what a run would do", outlook.file.display()));
    out.line(0, &into(outlook));
    out.line(0, &pace(outlook));
    if !missing.is_empty() {
        out.line(0, &format!("note: not set, and needed to run: {}", missing.join(", ")));
    }
    for (at, told) in outlook.resources.iter().enumerate() {
        out.blank();
        resource(&mut out, outlook, at + 1, told);
    }
    out.0
}

/// Lines with an indent, wrapped.
#[derive(Default)]
struct Text(String);

impl Text {
    fn line(&mut self, indent: usize, text: &str) {
        for (at, line) in wrapped(text, WIDTH - indent - 2).into_iter().enumerate() {
            let further = if at == 0 { 0 } else { 2 };
            self.0.push_str(&format!("{:further$}{:indent$}{line}\n", "", ""));
        }
    }

    /// A line that is not wrapped.
    fn whole(&mut self, indent: usize, text: &str) {
        self.0.push_str(&format!("{:indent$}{text}\n", ""));
    }

    fn blank(&mut self) {
        self.0.push('\n');
    }
}

fn into(outlook: &Outlook) -> String {
    let place = format!("into {}, schema {}", outlook.destination, outlook.dataset);
    let last = match (&outlook.last_load_id, outlook.dataset_is_new) {
        (Some(load_id), _) => format!("; the last load is {load_id}"),
        (None, true) => ", which is new".to_owned(),
        (None, false) => "; nothing is loaded yet".to_owned(),
    };
    let anew = if outlook.full_refresh { "; cursors are forgotten, tables made anew" } else { "" };
    format!("{place}{last}{anew}")
}

fn pace(outlook: &Outlook) -> String {
    let at_once = match outlook.concurrency {
        1 => "one request at a time".to_owned(),
        n => format!("up to {n} requests at once"),
    };
    match limits(&outlook.rate_limits) {
        Some(limits) => format!("{at_once}, at most {limits}"),
        None => at_once,
    }
}

fn limits(limits: &[RateLimit]) -> Option<String> {
    let words: Vec<String> = limits.iter().map(ToString::to_string).collect();
    (!words.is_empty()).then(|| and(&words))
}

fn resource(out: &mut Text, outlook: &Outlook, number: usize, told: &ResourceOutlook) {
    out.line(0, &format!("{number}. {}: {}", told.resource.name, fate_of_rows(told)));
    if !told.after.is_empty() {
        out.line(3, &format!("begins after {}: they fill the same table, or its parents", and(&told.after)));
    }
    if let Some(runs_for) = &told.runs_for {
        out.line(3, &for_what(runs_for));
    }
    if let Some(cursor) = &told.cursor {
        out.line(3, &asks_since(&told.resource, cursor));
    }
    out.line(3, &ways(&told.resource));
    requests(out, told);
    for table in &told.tables {
        tables(out, &outlook.dataset, table);
    }
}

fn fate_of_rows(told: &ResourceOutlook) -> String {
    if !told.is_stored {
        return "fetched for its children, not stored".to_owned();
    }
    let key = told.primary_key();
    let by_key = if key.is_empty() { String::new() } else { format!(" by {}", and(&key)) };
    match told.resource.merge_strategy() {
        None => told.resource.write.name().to_owned(),
        Some(MergeStrategy::Upsert) => format!("merge{by_key}"),
        Some(strategy) => format!("merge{by_key} ({})", strategy.name()),
    }
}

fn for_what(runs_for: &RunsFor) -> String {
    let parents: Vec<String> = runs_for
        .parents
        .iter()
        .map(|(name, known, runs)| {
            let further = if *runs { ", and those of this run" } else { "" };
            format!("{name} ({} known{further})", group_digits(*known))
        })
        .collect();
    let which = if runs_for.changed_only { "changed " } else { "" };
    let rows = if parents.is_empty() { None } else { Some(format!("each {which}row of {}", and(&parents))) };
    let lists = runs_for.partitions.map(|count| counted(count, "partition"));
    let mut text = match (rows, lists) {
        (Some(rows), Some(lists)) => format!("for {rows}, and each of {lists}"),
        (Some(rows), None) => format!("for {rows}"),
        (None, Some(lists)) => format!("for {lists}"),
        (None, None) => "for each row of its lists".to_owned(),
    };
    if runs_for.is_filtered {
        text.push_str(", as far as `parent_filter` lets them through");
    }
    if let Some(size) = runs_for.batch_size {
        text.push_str(&format!(", up to {size} in one request"));
    }
    text
}

fn asks_since(resource: &Resource, cursor: &CursorOutlook) -> String {
    let field = super::super::check::cursor_of(resource).unwrap_or_default();
    let range = match (&cursor.start, &cursor.end) {
        (Some(start), Some(end)) => format!("from {start} to {end}"),
        (Some(start), None) => format!("from {start} on"),
        (None, Some(end)) => format!("everything up to {end}"),
        (None, None) => "everything".to_owned(),
    };
    let stored = cursor.stored.as_ref().map_or("none is stored".to_owned(), |stored| format!("stored: {stored}"));
    let each = if cursor.is_per_partition { ", each with a cursor of its own; of the first" } else { "" };
    let windows = cursor.windows.map(|count| format!(", in {}", counted(count, "window"))).unwrap_or_default();
    format!("cursor {field}{each}: {range}{windows} ({stored})")
}

/// Paging, credentials, and limits of its own.
fn ways(resource: &Resource) -> String {
    let mut text = format!("pages: {}", resource.paginator);
    match resource.auth.kind() {
        "none" => {}
        kind => text.push_str(&format!("; credentials: {kind}")),
    }
    if let Some(limits) = limits(&resource.rate_limits) {
        text.push_str(&format!("; at most {limits}"));
    }
    text
}

fn requests(out: &mut Text, told: &ResourceOutlook) {
    for request in &told.requests {
        out.whole(3, &format!("{} {}", request.method, request.url));
        details(out, request);
    }
    match &told.note {
        Some(note) => {
            for line in note.lines() {
                out.whole(3, line);
            }
        }
        None if told.requests.is_empty() => out.whole(3, &format!("{}, once there are rows", told.template())),
        None if told.runs_for.is_some() => out.whole(3, "… and so on"),
        None => {}
    }
}

fn details(out: &mut Text, request: &RequestOutlook) {
    for (name, value) in &request.headers {
        out.whole(5, &format!("{name}: {value}"));
    }
    if let Some(body) = &request.body {
        out.whole(5, body);
    }
}

fn tables(out: &mut Text, dataset: &str, table: &TableOutlook) {
    let name = format!("{dataset}.{}", table.name);
    let rows = table.row_count.map(|count| format!(", {}", counted(count, "row"))).unwrap_or_default();
    let columns = counted(table.column_count as u64, "column");
    match table.fate {
        TableFate::Made => out.line(3, &format!("new table {name}; its data columns come with the first page")),
        TableFate::Kept => out.line(3, &format!("table {name}: {columns}{rows}")),
        TableFate::Exchanged => out.line(3, &format!("table {name}: {columns}{rows}; it is exchanged for a new one")),
    }
    let width = table.columns.iter().map(|column| column.name.chars().count()).max().unwrap_or(0);
    for column in table.columns.iter().filter(|column| column.origin != Origin::Own) {
        let data_type = column.data_type.as_deref().unwrap_or("type as the data are");
        out.whole(5, &format!("{:<width$}  {data_type}  ({})", column.name, column.origin.word()));
    }
    let own: Vec<String> = table.columns.iter().filter(|c| c.origin == Origin::Own).map(|c| c.name.clone()).collect();
    if !own.is_empty() {
        out.line(5, &and(&own));
    }
}
