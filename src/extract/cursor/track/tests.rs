//! What pages make of a cursor.

use super::*;
use crate::extract::cursor::Slices;
use crate::extract::{EndReason, fixture};
use crate::plan::duration::parse_span;
use crate::plan::model::{Distance, Notation};
use serde_json::Value as Json;

fn of(text: &str) -> CursorValue {
    CursorValue::parse_text(text, &Notation::default())
}

fn slice(incremental: &Incremental) -> Slice {
    Slices::new(incremental, &fixture::bounds(incremental)).first(None).unwrap().unwrap()
}

fn track(incremental: &Incremental, appends: bool) -> Track<'_> {
    Track::new(incremental, slice(incremental), Known { appends, ..Known::default() }).unwrap()
}

/// A page of whole numbers, each a record of its own.
fn page(track: &mut Track<'_>, number: u64, values: &[u64]) -> Result<Verdict> {
    let texts: Vec<String> = values.iter().map(u64::to_string).collect();
    track.page(&PageView {
        number,
        tokens: texts.iter().map(|text| Some(text.as_bytes())).collect(),
        identities: values.iter().enumerate().map(|(at, value)| Some((u128::from(*value), at as u128))).collect(),
    })
}

fn ordered(row_order: RowOrder) -> Incremental {
    Incremental { row_order: Some(row_order), ..fixture::incremental("since") }
}

#[test]
fn an_order_is_verified_within_and_across_pages() {
    for (order, pages, is_right) in [
        (RowOrder::Ascending, [&[1, 1, 2][..], &[2, 3]], true),
        (RowOrder::Ascending, [&[1, 3], &[2, 4]], false),
        (RowOrder::Ascending, [&[1, 2], &[4, 3]], false),
        (RowOrder::Descending, [&[4, 4, 3], &[3, 1]], true),
        (RowOrder::Descending, [&[4, 3], &[4, 1]], false),
    ] {
        let incremental = ordered(order);
        let mut track = track(&incremental, false);
        page(&mut track, 1, pages[0]).unwrap();
        let second = page(&mut track, 2, pages[1]);
        assert_eq!(second.is_ok(), is_right, "{order:?} {pages:?}");
        assert!(second.is_ok() || second.is_err_and(|error| is_out_of_order(&error)));
    }
}

#[test]
fn out_of_order_rows_justify_no_cursor_but_are_seen() {
    let incremental = ordered(RowOrder::Ascending);
    let before = Position { value: Some(of("3")), seen: None };
    let mut track = Track::new(
        &incremental,
        slice(&incremental),
        Known { before: Some(before), appends: true, ..Known::default() },
    )
    .unwrap();
    page(&mut track, 1, &[4, 9]).unwrap();
    assert_eq!(track.so_far().unwrap(), Position { value: Some(of("9")), seen: None });
    assert_eq!(track.held().unwrap(), Position { value: Some(of("3")), seen: Some(of("9")) });
}

#[test]
fn a_client_side_filter_stops_where_the_order_says_that_nothing_follows() {
    for (order, values, left_out, go) in [
        (None, &[5, 20, 40][..], [("before_start", vec![0]), ("after_end", vec![2])], Go::On),
        (Some(RowOrder::Descending), &[40, 20, 5], [("before_start", vec![2]), ("after_end", vec![0])], Go::Stop),
        (Some(RowOrder::Ascending), &[5, 20, 30], [("before_start", vec![0]), ("after_end", vec![2])], Go::Stop),
    ] {
        let incremental = Incremental {
            row_order: order,
            client_side: true,
            initial_value: Some(fixture::bound("10")),
            end_value: Some(fixture::bound("30")),
            ..fixture::incremental("since")
        };
        let mut track = track(&incremental, false);
        let verdict = page(&mut track, 1, values).unwrap();
        assert_eq!((verdict.left_out, verdict.go), (left_out.to_vec(), go), "{order:?}");
        assert_eq!(track.complete().unwrap().unwrap().value, Some(of("20")), "what was left out moves no cursor");
    }
}

#[test]
fn a_slice_that_closes_moves_the_cursor_to_its_end_and_an_open_one_to_what_was_seen_within() {
    let window = Some(Distance::Time(parse_span("7d").unwrap()));
    let initial_value = Some(fixture::bound("2026-01-01T00:00:00Z"));
    let closing = Incremental { window, initial_value, ..fixture::incremental("since") };
    let mut open = closing.clone();
    open.window = Some(Distance::Time(parse_span("3mo").unwrap()));
    for (incremental, record, value, seen) in [
        (&closing, None, "2026-01-08T00:00:00Z", None),
        (&closing, Some("2026-01-02T00:00:00Z"), "2026-01-08T00:00:00Z", None),
        (&closing, Some("2026-01-02 01:00:00.000+01:00"), "2026-01-08 01:00:00.000+01:00", None),
        (&closing, Some("2026-02-01T00:00:00Z"), "2026-01-08T00:00:00Z", Some("2026-02-01T00:00:00Z")),
        (&open, Some("2026-02-01T00:00:00Z"), "2026-02-01T00:00:00Z", None),
        (&open, Some("2027-01-01T00:00:00Z"), "2026-03-15T12:30:45Z", Some("2027-01-01T00:00:00Z")),
    ] {
        let mut track = track(incremental, false);
        let token = record.map(|record| format!("\"{record}\""));
        let tokens = vec![token.as_ref().map(String::as_bytes)];
        track.page(&PageView { number: 1, tokens, identities: Vec::new() }).unwrap();
        let position = track.complete().unwrap().unwrap();
        let texts = (position.value.as_ref().map(CursorValue::text), position.seen.as_ref().map(CursorValue::text));
        assert_eq!(texts, (Some(value), seen), "{record:?}");
    }
}

#[test]
fn a_walk_along_the_cursor_starts_anew_when_a_page_brought_something_newer() {
    let walking = Incremental { walks_by_cursor: true, ..ordered(RowOrder::Ascending) };
    let mut track = track(&walking, false);
    page(&mut track, 1, &[1, 2, 3]).unwrap();
    assert_eq!(track.restart(None).unwrap(), Some(Json::from(3)));
    // The page begins with what is there already; the record at another place is another one.
    let token = |value: u64| (u128::from(value), 2u128);
    let again =
        PageView { number: 2, tokens: vec![Some(b"3"), Some(b"3")], identities: vec![Some(token(3)), Some((3, 7))] };
    assert_eq!(track.page(&again).unwrap().left_out, [("already_received", vec![0])]);
    assert_eq!(track.restart(None).unwrap(), None, "nothing newer: paging goes on");
    page(&mut track, 3, &[3, 5]).unwrap();
    let end = EndReason::EmptyPage;
    assert_eq!(track.restart(Some(&end)).unwrap(), Some(Json::from(5)), "the pages before may have had a seam");
    page(&mut track, 4, &[5, 6]).unwrap();
    assert_eq!(track.restart(Some(&end)).unwrap(), None, "one answer had all that follows");
}

#[test]
fn a_coarse_format_starts_anew_only_when_requests_look_different() {
    let notation = Notation { format: Some(crate::plan::model::CursorFormat::Date), ..Notation::default() };
    let walking = Incremental { walks_by_cursor: true, notation, ..ordered(RowOrder::Ascending) };
    let mut track = track(&walking, true);
    let mut restart = |number: u64, texts: &[&str]| {
        let texts: Vec<String> = texts.iter().map(|text| format!("\"{text}\"")).collect();
        let identities = texts.iter().map(|text| Some((u128::from(text.len() as u64), 0))).collect();
        let tokens = texts.iter().map(|text| Some(text.as_bytes())).collect();
        track.page(&PageView { number, tokens, identities }).unwrap();
        track.restart(None).unwrap()
    };
    assert_eq!(restart(1, &["2026-01-01T01:00:00Z", "2026-01-02T01:00:00Z"]), Some(Json::from("2026-01-02")));
    assert_eq!(restart(2, &["2026-01-02T01:00:00Z", "2026-01-02T23:00:00Z"]), None);
    assert_eq!(restart(3, &["2026-01-03T00:00:00Z"]), Some(Json::from("2026-01-03")));
}

#[test]
fn only_what_is_not_newer_than_committed_rows_may_be_stored_already() {
    let incremental = fixture::incremental("since");
    let stored = Position { value: Some(of("3")), seen: Some(of("7")) };
    for (appends, expected) in [(true, vec![true, true, false]), (false, Vec::new())] {
        let (stored, before) = (Some(stored.clone()), Some(stored.clone()));
        let known = Known { stored, before, appends, ..Known::default() };
        let mut track = Track::new(&incremental, slice(&incremental), known).unwrap();
        assert_eq!(page(&mut track, 1, &[2, 7, 8]).unwrap().suspects, expected);
    }
}
