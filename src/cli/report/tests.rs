use super::facts::Facts;
use super::html;
use super::page::page;
use crate::config::{self, Env, Secrets};
use crate::history::{Ending, History, Run, Source};
use crate::load::CursorRow;
use crate::load::reading::{LastLoad, LoadEntry, SchemaChange, StateRow, TableFacts};
use chrono::{DateTime, Utc};
use quick_xml::events::Event;
use std::path::Path;

/// What somebody may have put into a name or an error.
const HOSTILE: &str = "</style></title><script>alert('x')</script>&\"<b>\u{202E}\u{0}";

fn at(second: i64) -> DateTime<Utc> {
    DateTime::from_timestamp(1_700_000_000 + second, 0).unwrap()
}

fn entry(resource: &str, rows: u64, error: Option<&str>) -> LoadEntry {
    LoadEntry {
        load_id: "1".into(),
        resource: resource.into(),
        status: if error.is_some() { "failed" } else { "completed" }.into(),
        started_at: at(0),
        committed_at: at(60),
        requests: 3,
        records: rows,
        bytes: 0,
        rows: vec![(resource.to_owned(), rows)],
        discarded: Vec::new(),
        end: None,
        error: error.map(str::to_owned),
    }
}

fn facts(word: &str) -> Facts {
    let text = "[client]\nbase_url = 'http://localhost/'\n[resources.videos]\nprimary_key = 'id'\n\
        [resources.views]\nparent = 'videos'\npath = 'videos/{{ parent.id }}/views'\n\
        [resources.places]\nparent = 'views'\npath = 'views/{{ parent.id }}/places'\n";
    let loaded = config::pipeline(Path::new("shop.toml"), text, &[], &Env::default(), Secrets::Optional).unwrap();
    let mut pipeline = loaded.pipeline;
    pipeline.description = Some(word.to_owned());
    pipeline.resources[0].name.clone_from(&word.to_owned());
    pipeline.resources[1].parent.as_mut().unwrap().resources = vec![word.to_owned()];
    let run = |ending: Ending, second: i64, rows: u64, error: Option<&str>| Run {
        load_id: Some(format!("{second}")),
        ending,
        started_at: at(second),
        ended_at: at(second + 60),
        resources: vec![entry(word, rows, error)],
        error: None,
    };
    let history = History {
        pipeline: word.to_owned(),
        destination: format!("duckdb:{word}"),
        dataset: word.to_owned(),
        running: None,
        source: Source::Warehouse,
        runs: vec![run(Ending::Failed, 3600, 0, Some(word)), run(Ending::Completed, 0, 1234, None)],
        resources: vec![LastLoad { resource: word.to_owned(), completed_at: Some(at(60)), rows_at: None }],
    };
    let change = SchemaChange {
        changed_at: at(0),
        table: word.to_owned(),
        change: "widen".into(),
        column: Some(word.to_owned()),
        old_type: Some("BIGINT".into()),
        new_type: Some("VARCHAR".into()),
    };
    let table =
        TableFacts { resource: word.into(), name: word.into(), columns: 3, rows: 98_765, newest_row_at: Some(at(0)) };
    let cursor = CursorRow { resource: word.into(), partition: String::new(), value: word.to_owned() };
    Facts {
        pipeline,
        history,
        tables: vec![table],
        cursors: vec![StateRow { cursor, load_id: None, updated_at: at(0) }],
        partition_counts: vec![(word.to_owned(), 3)],
        changes: vec![change],
        change_count: 60,
    }
}

/// Every text and attribute of a page, if it is well-formed; elements by name.
fn parsed(page: &str) -> (Vec<String>, Vec<String>) {
    let mut reader = quick_xml::Reader::from_str(page.strip_prefix("<!DOCTYPE html>").expect("a document type"));
    let (mut names, mut attributes) = (Vec::new(), Vec::new());
    loop {
        match reader.read_event().unwrap_or_else(|e| panic!("{e} at {}", reader.buffer_position())) {
            Event::Start(tag) | Event::Empty(tag) => {
                names.push(tag.name().as_ref().to_owned());
                for attribute in tag.attributes() {
                    attributes.push(attribute.expect("an attribute").value.into_owned());
                }
            }
            Event::Eof => return (names, attributes),
            _ => {}
        }
    }
}

#[test]
fn whatever_names_and_errors_hold_they_are_text() {
    let plain = parsed(&page(&[facts("videos"), facts("other")], at(7200)));
    let hostile_page = page(&[facts(HOSTILE), facts("other")], at(7200));
    let hostile = parsed(&hostile_page);
    assert_eq!(hostile.0, plain.0, "the same elements, whatever the names");
    for forbidden in ["<script", "<b>", "\u{0}", "alert('x')"] {
        assert!(!hostile_page.contains(forbidden), "{forbidden:?}");
    }
    assert!(hostile_page.contains("&lt;script&gt;alert(&#39;x&#39;)"));
}

#[test]
fn a_page_needs_nothing_beside_itself() {
    let page = page(&[facts("videos")], at(7200));
    let (names, attributes) = parsed(&page);
    for element in ["script", "link", "img", "iframe", "object"] {
        assert!(!names.iter().any(|name| name == element), "{element}");
    }
    assert!(attributes.iter().all(|value| !value.contains("://")), "{attributes:?}");
    assert!(page.contains("default-src 'none'") && !page.contains("@import") && !page.contains("url("));
}

#[test]
fn a_page_has_the_numbers_and_what_went_wrong() {
    let page = page(&[facts("videos")], at(7260));
    for expected in ["98,765", "1,234", "largest 1,234", "1 min", "3 partitions, each with its own", "BIGINT", "of 60"]
    {
        assert!(page.contains(expected), "{expected}");
    }
    assert!(page.contains("1 h ago"), "the age of the last run");
    assert_eq!(page.matches("class=\"fail\"").count(), 2, "one run failed, in two charts");
}

#[test]
fn text_in_html_is_text() {
    assert_eq!(html::text("<a href=\"x\">&'"), "&lt;a href=&quot;x&quot;&gt;&amp;&#39;");
    assert_eq!(html::text("a\nb\u{7}\u{FFFF}"), "a\nb\u{FFFD}\u{FFFD}");
}
