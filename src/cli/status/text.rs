//! What people read, made to fit 80 columns.

use super::bars::{Mark, bar, sparkline};
use crate::history::{Ending, History, Run, Source, rows_of};
use crate::run::report::short_name;
use crate::words::{age, counted, group_digits, length, minute};
use chrono::{DateTime, Utc};
use comfy_table::{CellAlignment, Table, TableStyle};

/// Columns of a terminal.
const WIDTH: usize = 80;
/// Characters of the longest bar.
const BAR_WIDTH: usize = 16;
/// Lines of an error.
const ERROR_LINES: usize = 4;
/// Errors of a run.
const ERRORS_SHOWN: usize = 3;
/// Runs in a row of bars.
const SPARKS: usize = 14;

/// All pipelines, a line each.
pub(super) fn overview(histories: &[History], now: DateTime<Utc>) -> String {
    let mut table = table(&["pipeline", "last run", "ended", "rows", "took", "rows of the last runs"], &[3, 4]);
    for history in histories {
        let name = short_name(&history.pipeline);
        let marks: Vec<Mark> = history.runs.iter().take(SPARKS).map(mark_of_run).collect();
        let sparks = sparkline(&marks.into_iter().rev().collect::<Vec<_>>());
        let now_running = if history.running.is_some() { ", runs now" } else { "" };
        match history.last_run() {
            Some(run) => table.add_row([
                name,
                format!("{}{now_running}", run.ending.word()),
                age(run.ended_at, now),
                group_digits(run.rows()),
                length(run.ended_at - run.started_at),
                sparks,
            ]),
            None => table.add_row([name, format!("none{now_running}"), "-".into(), "-".into(), "-".into(), sparks]),
        };
    }
    let mut out = lines_of(&table);
    for history in histories.iter().filter(|history| history.is_bad()) {
        if let Some(run) = history.last_run() {
            out.push_str(&format!("\n{} {} at {} UTC\n", history.pipeline, run.ending.word(), minute(run.ended_at)));
            push_errors(&mut out, run);
        }
    }
    out
}

/// One pipeline.
pub(super) fn detail(history: &History, now: DateTime<Utc>) -> String {
    let mut out = match history.last_run() {
        Some(run) => format!(
            "{}: {} {}, {} in {}\n",
            history.pipeline,
            run.ending.word(),
            ago(run.ended_at, now),
            counted(run.rows(), "row"),
            length(run.ended_at - run.started_at)
        ),
        None => format!("{}: no run has ended yet\n", history.pipeline),
    };
    out.push_str(&format!("{}, schema {}\n", history.destination, history.dataset));
    if let Some(owner) = &history.running {
        out.push_str(&format!(
            "runs now: pid {} on {} since {}\n  {}\n",
            owner.pid, owner.host, owner.since, owner.command
        ));
    }
    match &history.source {
        Source::Copy(path) => out.push_str(&format!(
            "note: another process holds the warehouse; this is from the copy {}\n",
            path.display()
        )),
        Source::Reports => {
            out.push_str("note: another process holds the warehouse; this is from the reports in the\nstate folder\n")
        }
        Source::Warehouse | Source::Nothing => {}
    }
    push_runs(&mut out, history);
    push_resources(&mut out, history, now);
    out
}

fn ago(at: DateTime<Utc>, now: DateTime<Utc>) -> String {
    match age(at, now).as_str() {
        "now" => "just now".to_owned(),
        age => format!("{age} ago"),
    }
}

fn push_runs(out: &mut String, history: &History) {
    if history.runs.is_empty() {
        return;
    }
    let largest = history.runs.iter().map(Run::rows).max().unwrap_or_default();
    let heads = ["ended (UTC)", "status", "rows", "requests", "took", ""];
    let mut table = table(&heads, &[2, 3, 4]);
    for run in &history.runs {
        table.add_row([
            minute(run.ended_at),
            run.ending.word().to_owned(),
            group_digits(run.rows()),
            group_digits(run.requests()),
            length(run.ended_at - run.started_at),
            bar(run.rows(), largest, BAR_WIDTH),
        ]);
    }
    out.push('\n');
    // Errors stand below their run; the first line is that of the heads.
    let text = lines_of(&table);
    let mut lines = text.lines();
    out.extend(lines.next().map(|heads| format!("{heads}\n")));
    for (run, line) in history.runs.iter().zip(lines) {
        out.push_str(&format!("{line}\n"));
        push_errors(out, run);
    }
}

fn push_errors(out: &mut String, run: &Run) {
    let errors = run.errors();
    for (resource, error) in errors.iter().take(ERRORS_SHOWN) {
        let error = error.split_whitespace().collect::<Vec<_>>().join(" ");
        let text = match resource {
            Some(resource) => format!("{resource}: {error}"),
            None => error,
        };
        for line in wrapped(&text, WIDTH - 4, ERROR_LINES) {
            out.push_str(&format!("    {line}\n"));
        }
    }
    if errors.len() > ERRORS_SHOWN {
        out.push_str(&format!("    and {} more\n", errors.len() - ERRORS_SHOWN));
    }
}

fn push_resources(out: &mut String, history: &History, now: DateTime<Utc>) {
    if history.runs.is_empty() {
        return;
    }
    let mut table = table(&["resource", "last load", "completed", "new rows", "rows of the last runs"], &[]);
    for last in &history.resources {
        let entries: Vec<_> = history.of_resource(&last.resource).take(SPARKS).collect();
        let status = entries.iter().flatten().next().map_or("-", |entry| entry.status.as_str());
        let marks: Vec<Mark> = entries
            .iter()
            .rev()
            .map(|entry| match entry {
                None => Mark::Absent,
                Some(entry) if entry.status == "failed" && rows_of(entry) == 0 => Mark::Failed,
                Some(entry) => Mark::Rows(rows_of(entry)),
            })
            .collect();
        let when = |at: Option<DateTime<Utc>>| at.map_or_else(|| "never".to_owned(), |at| ago(at, now));
        table.add_row([
            short_name(&last.resource),
            status.to_owned(),
            when(last.completed_at),
            when(last.rows_at),
            sparkline(&marks),
        ]);
    }
    out.push('\n');
    out.push_str(&lines_of(&table));
}

fn mark_of_run(run: &Run) -> Mark {
    match run.ending {
        Ending::Failed | Ending::Killed if run.rows() == 0 => Mark::Failed,
        _ => Mark::Rows(run.rows()),
    }
}

/// A text in lines of so many characters, the last one cut where there is more.
fn wrapped(text: &str, width: usize, most: usize) -> Vec<String> {
    let mut lines: Vec<String> = vec![String::new()];
    for word in text.split(' ') {
        // A word longer than a line, such as an address, is broken where the line ends.
        let mut letters: Vec<char> = word.chars().collect();
        loop {
            let last = lines.len() - 1;
            let used = lines[last].chars().count();
            let gap = usize::from(used > 0);
            if used + gap + letters.len() <= width {
                lines[last].extend(std::iter::repeat_n(' ', gap).chain(letters));
                break;
            }
            if used == 0 {
                lines[last].extend(letters.drain(..width));
            }
            lines.push(String::new());
        }
    }
    if lines.len() > most {
        lines.truncate(most);
        if let Some(last) = lines.last_mut() {
            *last = last.chars().take(width - 1).chain(['…']).collect();
        }
    }
    lines
}

fn table(heads: &[&str], right: &[usize]) -> Table {
    let mut table = Table::new();
    table.load_style(TableStyle::new());
    table.set_header(heads.iter().copied());
    for column in right {
        if let Some(column) = table.column_mut(*column) {
            column.set_cell_alignment(CellAlignment::Right);
        }
    }
    table
}

fn lines_of(table: &Table) -> String {
    let lines = table.to_string();
    lines.lines().map(|line| format!("{}\n", line.trim_end().strip_prefix(' ').unwrap_or(line.trim_end()))).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn long_texts_are_wrapped_and_cut() {
        assert_eq!(wrapped("one two three", 8, 9), ["one two", "three"]);
        assert_eq!(wrapped("a bbbbbbbbbbbb c", 5, 9), ["a", "bbbbb", "bbbbb", "bb c"]);
        assert_eq!(wrapped("aaaa bbbb cccc", 4, 2), ["aaaa", "bbb…"]);
        assert_eq!(wrapped("", 4, 2), [""]);
    }
}
