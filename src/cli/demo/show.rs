//! What the demo prints: plain text, made to fit 80 columns.

use super::data::Changes;
use super::warehouse::{Rows, TableFacts};
use super::{DATABASE, DATASET, LoadOutcome, ResourceOutcome};
use comfy_table::{CellAlignment, Table, presets};
use std::path::Path;
use std::time::Duration;

/// A first question to the tables.
pub(super) const EXAMPLE_SQL: &str = "\
SELECT videos.title, count(*) AS views,
       round(avg(views.watched_percent), 1) AS watched_percent
FROM mindstamp.views JOIN mindstamp.videos ON videos.id = views.video_id
GROUP BY videos.title ORDER BY views DESC, videos.title";

/// What is about to happen.
pub(super) fn introduction(base_url: &str, pipeline_file: &Path) -> String {
    format!(
        "\
Pintail loads a REST API into DuckDB, then only what changed since.

This demo serves a sample API, made after Mindstamp's, on this machine:
  {base_url}
It loads it over HTTP into {DATABASE}, changes some records on the server, and
loads again. All that Pintail knows of the API is in one file:
  {}
(The file allows 100 requests a minute. This server is our own, so that limit is
raised for the demo, the way an operator would: with MINDSTAMP_PER_MINUTE.)

",
        pipeline_file.display()
    )
}

/// The first load, and the tables that it made.
pub(super) fn first_load(outcome: &LoadOutcome, elapsed: Duration, tables: &[TableFacts]) -> String {
    let mut table = plain_table(&["table", "rows", "columns"], &[1, 2]);
    for facts in tables {
        table.add_row([format!("{DATASET}.{}", facts.name), count(facts.rows), count(facts.columns.len() as u64)]);
    }
    format!("FIRST LOAD: {}\n{}\n\n", totals(outcome, elapsed), indented(&table))
}

/// What the server did between the loads.
pub(super) fn changes(changes: Changes) -> String {
    let Changes { videos_renamed, viewers_added, views_added, interactions_edited, interactions_added, new_field } =
        changes;
    format!(
        "\
A day passes on the server: {videos_renamed} videos get a new title, {viewers_added} viewer, {views_added} views and
{interactions_added} interactions are new, {interactions_edited} interactions change, and interactions now have a field
`{new_field}`.

"
    )
}

/// The second load beside the first, and what became of the tables.
pub(super) fn second_load(
    first: &LoadOutcome,
    second: &LoadOutcome,
    elapsed: Duration,
    before: &[TableFacts],
    after: &[TableFacts],
) -> String {
    let mut table = plain_table(&["resource", "asked for", "records", "(first)", "requests", "(first)"], &[2, 3, 4, 5]);
    for resource in &second.resources {
        let earlier = first.resources.iter().find(|r| r.name == resource.name).cloned().unwrap_or_default();
        table.add_row([
            resource.name.clone(),
            if resource.from_cursor { "changes" } else { "everything" }.to_owned(),
            count(resource.records),
            count(earlier.records),
            count(resource.requests),
            count(earlier.requests),
        ]);
    }
    let mut text = format!("SECOND LOAD: {}\n{}\n", totals(second, elapsed), indented(&table));
    text.push_str(
        "Lists that know `since` sent only their changes. The others don't, and were read\n\
         again in full; rows are merged by their key, so nothing is stored twice.\n",
    );
    text.push_str(&growth(before, after));
    text.push('\n');
    text
}

/// How tables grew from one load to the next.
fn growth(before: &[TableFacts], after: &[TableFacts]) -> String {
    let mut text = String::new();
    for facts in after {
        let earlier = before.iter().find(|t| t.name == facts.name);
        let earlier_rows = earlier.map_or(0, |t| t.rows);
        let new_columns: Vec<&str> = facts
            .columns
            .iter()
            .filter(|c| earlier.is_some_and(|t| !t.columns.contains(*c)))
            .map(String::as_str)
            .collect();
        if facts.rows == earlier_rows && new_columns.is_empty() {
            continue;
        }
        text.push_str(&format!("  {:<32} {:>5} -> {:>5} rows", facts.name, count(earlier_rows), count(facts.rows)));
        if !new_columns.is_empty() {
            text.push_str(&format!(", new column {}", new_columns.join(", ")));
        }
        text.push('\n');
    }
    text
}

/// A query and its answer.
pub(super) fn example_query(rows: &Rows) -> String {
    let right: Vec<usize> = (1..rows.columns.len()).collect();
    let mut table = plain_table(&rows.columns.iter().map(String::as_str).collect::<Vec<_>>(), &right);
    table.add_rows(rows.rows.clone());
    format!("A FIRST QUERY, answered from {DATABASE}\n{}\n{}\n\n", indent(EXAMPLE_SQL), indented(&table))
}

/// What to do next.
pub(super) fn how_to_go_on(pipeline_file: &Path) -> String {
    let (program, file) = (program_name(), pipeline_file.display());
    format!(
        "\
GO ON
  duckdb {DATABASE}
      look around: every table and column has a comment
  $EDITOR {file}
      the whole configuration; change it, break it, then ask what is wrong:
  {program} check {file}
  {program} demo --serve
      keeps the sample API up, to run your changed file against it
  MINDSTAMP_TOKEN=... {program} run {file}
      loads an account of your own, into warehouse.duckdb
"
    )
}

/// How to point a run at the sample API.
pub(super) fn how_to_use_the_server(environment: &[(String, String)], pipeline_file: &Path) -> String {
    let exports: String = environment.iter().map(|(name, value)| format!("  export {name}={value}\n")).collect();
    format!(
        "
The sample API stays up until Ctrl-C. In another terminal:
{exports}  {} run {} --destination duckdb:{DATABASE}
",
        program_name(),
        pipeline_file.display()
    )
}

/// The program as the reader started it, if that is short enough to type.
fn program_name() -> String {
    std::env::args()
        .next()
        .filter(|name| name.len() <= 24 && name.contains('/'))
        .unwrap_or_else(|| "pintail".to_owned())
}

fn totals(outcome: &LoadOutcome, elapsed: Duration) -> String {
    let sum = |part: fn(&ResourceOutcome) -> u64| outcome.resources.iter().map(part).sum::<u64>();
    let mut text = format!(
        "{} records, {} requests, {:.1} s",
        count(sum(|r| r.records)),
        count(sum(|r| r.requests)),
        elapsed.as_secs_f64()
    );
    if outcome.resources.iter().any(|r| !r.throttled.is_zero()) {
        text.push_str("\n(now and then the server said 503, too fast: waited as it asked, tried again)");
    }
    text
}

/// A number with thousands separated.
fn count(number: u64) -> String {
    let digits = number.to_string();
    let mut text = String::new();
    for (position, digit) in digits.chars().enumerate() {
        if position > 0 && (digits.len() - position).is_multiple_of(3) {
            text.push(',');
        }
        text.push(digit);
    }
    text
}

fn plain_table(header: &[&str], right_aligned: &[usize]) -> Table {
    let mut table = Table::new();
    table.load_style(presets::NOTHING);
    table.set_header(header.iter().copied());
    for &column in right_aligned {
        if let Some(column) = table.column_mut(column) {
            column.set_cell_alignment(CellAlignment::Right);
        }
    }
    table
}

fn indented(table: &Table) -> String {
    table.lines().map(|line| format!(" {}", line.trim_end())).collect::<Vec<_>>().join("\n")
}

fn indent(text: &str) -> String {
    text.lines().map(|line| format!("  {line}")).collect::<Vec<_>>().join("\n")
}

#[cfg(test)]
mod tests {
    use super::*;

    fn facts(name: &str, rows: u64, columns: &[&str]) -> TableFacts {
        TableFacts { name: name.to_owned(), rows, columns: columns.iter().map(|c| (*c).to_owned()).collect() }
    }

    #[test]
    fn thousands_are_separated() {
        let cases = [(0, "0"), (999, "999"), (1_000, "1,000"), (12_345, "12,345"), (1_234_567, "1,234,567")];
        for (number, expected) in cases {
            assert_eq!(count(number), expected);
        }
    }

    #[test]
    fn growth_tells_more_rows_and_new_columns_and_is_silent_about_the_rest() {
        let before = [facts("a", 1, &["x"]), facts("b", 2, &["x"])];
        let after = [facts("a", 1, &["x"]), facts("b", 3, &["x", "y"])];
        let text = growth(&before, &after);
        assert_eq!(text.split_whitespace().collect::<Vec<_>>().join(" "), "b 2 -> 3 rows, new column y");
    }

    #[test]
    fn everything_fits_80_columns() {
        let resource = ResourceOutcome {
            name: "interaction_responses".to_owned(),
            requests: 12_345,
            records: 12_345,
            throttled: Duration::from_secs(1),
            from_cursor: false,
        };
        let outcome = LoadOutcome { resources: vec![resource] };
        let tables = [facts("video_interactions__choices", 1_234, &["a"])];
        let elapsed = Duration::from_millis(1234);
        let text = [
            introduction("http://127.0.0.1:65535/api/v1/", Path::new("pipelines/mindstamp.toml")),
            first_load(&outcome, elapsed, &tables),
            second_load(&outcome, &outcome, elapsed, &[], &tables),
            how_to_go_on(Path::new("pipelines/mindstamp.toml")),
            indent(EXAMPLE_SQL),
        ]
        .concat();
        let too_long: Vec<&str> = text.lines().filter(|line| line.chars().count() > 80).collect();
        assert!(too_long.is_empty(), "{too_long:?}");
    }
}
