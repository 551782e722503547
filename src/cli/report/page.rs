//! The page.

use super::chart::bars;
use super::facts::Facts;
use super::graph::tree;
use super::html::{NOTHING, Table, name, text, time};
use crate::cli::state::cursor_text;
use crate::history::{History, Run, Source};
use crate::load::reading::LastLoad;
use crate::words::{age, counted, group_digits, length};
use chrono::{DateTime, TimeDelta, Utc};

const STYLE: &str = include_str!("style.css");
/// Runs in the table; the charts have all.
const RUNS_LISTED: usize = 20;

/// The page on some pipelines. It needs nothing beside itself, and runs no script.
pub(super) fn page(pipelines: &[Facts], now: DateTime<Utc>) -> String {
    let title = match pipelines {
        [one] => format!("Pintail: {}", one.pipeline.name),
        _ => "Pintail".to_owned(),
    };
    let mut out = format!(
        "<!DOCTYPE html>\n<html lang=\"en\">\n<head>\n<meta charset=\"utf-8\"/>\n\
         <meta http-equiv=\"Content-Security-Policy\" content=\"default-src 'none'; style-src 'unsafe-inline'\"/>\n\
         <meta name=\"viewport\" content=\"width=device-width, initial-scale=1\"/>\n\
         <meta name=\"color-scheme\" content=\"light dark\"/>\n<title>{}</title>\n<style>\n{STYLE}</style>\n</head>\n<body>\n\
         <header><h1>{}</h1><p>As of {} UTC. All times are UTC.</p></header>\n<main>\n",
        text(&title),
        text(&title),
        time(now),
    );
    if pipelines.len() > 1 {
        out.push_str(&overview(pipelines, now));
    }
    for (number, facts) in pipelines.iter().enumerate() {
        out.push_str(&section(number, facts, now));
    }
    out.push_str(&format!(
        "</main>\n<footer><p>Pintail {}</p></footer>\n</body>\n</html>\n",
        env!("CARGO_PKG_VERSION")
    ));
    out
}

fn overview(pipelines: &[Facts], now: DateTime<Utc>) -> String {
    let mut table = Table::new(&["Pipeline", "Last run", "Ended", "Rows", "Took"]);
    for (number, facts) in pipelines.iter().enumerate() {
        let link = format!("<a href=\"#p{number}\">{}</a>", name(&facts.pipeline.name));
        match facts.history.last_run() {
            Some(run) => table.row(&[link, pill(run), age_of(run.ended_at, now), group_digits(run.rows()), took(run)]),
            None => table.row(&[link, "never".to_owned(), NOTHING.to_owned(), NOTHING.to_owned(), NOTHING.to_owned()]),
        }
    }
    format!("<nav aria-label=\"Pipelines\">\n{}</nav>\n", table.html())
}

fn section(number: usize, facts: &Facts, now: DateTime<Utc>) -> String {
    let history = &facts.history;
    let mut out = format!("<section id=\"p{number}\" class=\"pipeline\">\n<h2>{}</h2>\n", name(&facts.pipeline.name));
    if let Some(description) = &facts.pipeline.description {
        out.push_str(&format!("<p>{}</p>\n", text(description)));
    }
    let place = format!("{}, schema {}", history.destination, history.dataset);
    out.push_str(&format!("<p class=\"quiet\">{}</p>\n", text(&place)));
    out.push_str(&notes(history));
    out.push_str(&tiles(facts, now));
    if !history.runs.is_empty() {
        out.push_str(&runs(history));
    }
    out.push_str(&resources(facts, now));
    out.push_str(&tables(facts, now));
    out.push_str(&changes(facts));
    out.push_str("</section>\n");
    out
}

/// What a reader has to know of the page itself.
fn notes(history: &History) -> String {
    let mut out = String::new();
    if let Some(owner) = &history.running {
        let who = format!("Runs now: pid {} on {} since {}.", owner.pid, owner.host, owner.since);
        out.push_str(&format!("<p class=\"note\">{}</p>\n", text(&who)));
    }
    let source = match &history.source {
        Source::Copy(path) => format!("Another process held the warehouse: this is from the copy {}.", path.display()),
        Source::Reports => {
            "Another process held the warehouse: runs are from the reports in the state folder; tables and cursors could not be read."
                .to_owned()
        }
        Source::Nothing => "Nothing is loaded yet.".to_owned(),
        Source::Warehouse => return out,
    };
    out.push_str(&format!("<p class=\"note\">{}</p>\n", text(&source)));
    out
}

fn tiles(facts: &Facts, now: DateTime<Utc>) -> String {
    let history = &facts.history;
    let tile = |label: &str, value: String| format!("<div><dt>{label}</dt><dd>{value}</dd></div>\n");
    let mut out = "<dl class=\"tiles\">\n".to_owned();
    match history.last_run() {
        Some(run) => {
            out.push_str(&tile("Last run", pill(run)));
            out.push_str(&tile("Ended", age_of(run.ended_at, now)));
            out.push_str(&tile("Rows in it", group_digits(run.rows())));
            out.push_str(&tile("Took", took(run)));
        }
        None => out.push_str(&tile("Last run", "none yet".to_owned())),
    }
    if !facts.tables.is_empty() {
        out.push_str(&tile("Tables", group_digits(facts.tables.len() as u64)));
        out.push_str(&tile("Rows in all", group_digits(facts.tables.iter().map(|table| table.rows).sum())));
    }
    out.push_str("</dl>\n");
    out
}

fn runs(history: &History) -> String {
    let seconds = |run: &Run| u64::try_from((run.ended_at - run.started_at).num_milliseconds()).unwrap_or_default();
    let shown = |ms: u64| length(TimeDelta::milliseconds(i64::try_from(ms).unwrap_or(i64::MAX)));
    let mut out = "<h3>Runs</h3>\n<div class=\"charts\">\n".to_owned();
    out.push_str(&bars("Rows per run", &history.runs, Run::rows, group_digits));
    out.push_str(&bars("Duration", &history.runs, seconds, shown));
    out.push_str("</div>\n");
    let mut table = Table::new(&["Ended", "Status", "Rows", "Requests", "Took", "What went wrong"]);
    for run in history.runs.iter().take(RUNS_LISTED) {
        let errors: Vec<String> = run
            .errors()
            .into_iter()
            .map(|(resource, error)| match resource {
                Some(resource) => format!("<p>{}: {}</p>", name(resource), text(error)),
                None => format!("<p>{}</p>", text(error)),
            })
            .collect();
        table.row(&[
            time(run.ended_at),
            pill(run),
            group_digits(run.rows()),
            group_digits(run.requests()),
            took(run),
            if errors.is_empty() {
                NOTHING.to_owned()
            } else {
                format!("<div class=\"errors\">{}</div>", errors.concat())
            },
        ]);
    }
    out.push_str(&table.html());
    if history.runs.len() > RUNS_LISTED {
        let text = format!("The {RUNS_LISTED} newest of the {} runs in the charts.", history.runs.len());
        out.push_str(&format!("<p class=\"quiet\">{text}</p>\n"));
    }
    out
}

fn resources(facts: &Facts, now: DateTime<Utc>) -> String {
    let history = &facts.history;
    let class = |name: &str| match history.last_status(name) {
        Some("completed") => "good",
        Some("failed") => "bad",
        Some(_) => "other",
        None => "none",
    };
    let mut table = Table::new(&["Resource", "Last load", "Completed", "New rows", "Cursor"]);
    for LastLoad { resource, completed_at, rows_at } in &history.resources {
        let when = |at: &Option<DateTime<Utc>>| at.map_or_else(|| "never".to_owned(), |at| age_of(at, now));
        table.row(&[
            name(resource),
            format!(
                "<span class=\"pill {}\">{}</span>",
                class(resource),
                text(history.last_status(resource).unwrap_or("none"))
            ),
            when(completed_at),
            when(rows_at),
            cursor(facts, resource),
        ]);
    }
    format!("<h3>Resources</h3>\n{}<h3>What runs for what</h3>\n{}", table.html(), tree(&facts.pipeline, class))
}

fn cursor(facts: &Facts, resource: &str) -> String {
    let own = facts.cursors.iter().find(|row| row.cursor.resource == resource);
    let own = own.map(|row| format!("<code>{}</code>", text(&cursor_text(&row.cursor.value).1)));
    let partitions = facts.partition_counts.iter().find(|(name, _)| name == resource);
    let partitions = partitions.map(|(_, count)| format!("{}, each with its own", counted(*count, "partition")));
    let all: Vec<String> = own.into_iter().chain(partitions).collect();
    if all.is_empty() { NOTHING.to_owned() } else { all.join("; ") }
}

fn tables(facts: &Facts, now: DateTime<Utc>) -> String {
    if facts.tables.is_empty() {
        return String::new();
    }
    let mut table = Table::new(&["Table", "Rows", "Columns", "Newest row", "Resource"]);
    for found in &facts.tables {
        table.row(&[
            name(&found.name),
            group_digits(found.rows),
            group_digits(found.columns),
            found.newest_row_at.map_or_else(|| NOTHING.to_owned(), |at| age_of(at, now)),
            name(&found.resource),
        ]);
    }
    format!("<h3>Tables</h3>\n{}", table.html())
}

fn changes(facts: &Facts) -> String {
    if facts.changes.is_empty() {
        return String::new();
    }
    let mut table = Table::new(&["When", "Table", "Change", "Column", "Type"]);
    for change in &facts.changes {
        let types = match (&change.old_type, &change.new_type) {
            (Some(old), Some(new)) => format!("<code>{}</code> → <code>{}</code>", text(old), text(new)),
            (None, Some(only)) | (Some(only), None) => format!("<code>{}</code>", text(only)),
            (None, None) => NOTHING.to_owned(),
        };
        table.row(&[
            time(change.changed_at),
            name(&change.table),
            text(&change.change.replace('_', " ")),
            change.column.as_deref().map_or_else(|| NOTHING.to_owned(), name),
            types,
        ]);
    }
    let shown = facts.changes.len() as u64;
    let more = if shown < facts.change_count {
        let all = group_digits(facts.change_count);
        format!("<p class=\"quiet\">The {shown} newest of {all}; <code>_pintail_schema</code> has all.</p>\n")
    } else {
        String::new()
    };
    format!(
        "<details><summary>Schema changes ({})</summary>\n{}{more}</details>\n",
        group_digits(facts.change_count),
        table.html()
    )
}

fn pill(run: &Run) -> String {
    let class = match run.ending {
        crate::history::Ending::Completed => "good",
        _ if run.ending.is_bad() => "bad",
        _ => "other",
    };
    format!("<span class=\"pill {class}\">{}</span>", text(run.ending.word()))
}

/// How long a run took, in one piece.
fn took(run: &Run) -> String {
    text(&length(run.ended_at - run.started_at)).replace(' ', "\u{A0}")
}

fn age_of(at: DateTime<Utc>, now: DateTime<Utc>) -> String {
    let ago = match age(at, now).as_str() {
        "now" => "just now".to_owned(),
        age => format!("{age} ago"),
    };
    let machine = at.to_rfc3339_opts(chrono::SecondsFormat::Secs, true);
    format!("<time datetime=\"{machine}\" title=\"{machine}\">{ago}</time>")
}
