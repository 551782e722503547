use super::super::envelope::tests::{envelope, path};
use super::super::fixture::{cursor, header_link, json_link, more, offset, page_number, resource, total};
use super::super::select::RecordSelector;
use super::*;
use crate::plan::model::{FactPlace, MoreSpec, TotalSpec};
use proptest::prelude::*;
use reqwest::header::{HeaderName, HeaderValue};
use serde_json::{Value, json};

mod keys;
mod seams;

/// What a simulated server answers: a body and headers.
type Answer = (Value, Vec<(&'static str, String)>);

/// What a walk came to.
#[derive(Debug)]
struct Walked {
    rows: Vec<u64>,
    end: EndReason,
    /// Parameters of each request, or its link.
    requests: Vec<String>,
    warnings: Vec<String>,
    moved: u64,
}

/// Walks a simulated server to the end, as the engine does.
fn walk(resource: &Resource, mut server: impl FnMut(&PageRequest) -> Answer) -> Result<Walked> {
    let mut paging = Paging::new(resource);
    let (mut selector, mut seen) = (RecordSelector::new(resource), SeenPages::default());
    let (mut rows, mut requests, mut page, mut moved) = (Vec::new(), Vec::new(), paging.first(), 0);
    let end = loop {
        assert!(requests.len() < 500, "the walk does not end: {requests:?}");
        requests.push(match &page.link {
            Some(link) => link.to_string(),
            None => page.params.iter().map(|(name, value)| format!("{name}={value}")).collect::<Vec<_>>().join("&"),
        });
        let (body, headers) = server(&page);
        let envelope = envelope(&body.to_string());
        let selection = selector.select(&envelope)?;
        let looks_back = paging.looks_back();
        let joined = match paging.join(&selection.records)? {
            Join::Page(joined) => joined,
            Join::Back(back) => {
                page = back;
                continue;
            }
        };
        let new = joined.records.clone().unwrap_or_else(|| selection.records.clone());
        let has_records = super::super::select::has_records;
        let is_compared = has_records(&selection.records) && !looks_back && (has_records(&new) || paging.counts_on());
        if is_compared && let PageSeen::SameAs(same) = seen.note(requests.len() as u64, &selection.records) {
            break paging.repeated_page(requests.len() as u64, same)?;
        }
        moved += joined.moved;
        let values: Vec<Value> = new
            .iter()
            .flat_map(|slice| match serde_json::from_slice(slice).unwrap() {
                Value::Array(rows) => rows,
                one => vec![one],
            })
            .collect();
        let headers = headers
            .into_iter()
            .map(|(name, value)| (HeaderName::from_static(name), HeaderValue::from_str(&value).unwrap()));
        let url = page.link.clone().unwrap_or_else(|| Url::parse("https://api.test/v1/videos?limit=10").unwrap());
        let facts = PageFacts {
            record_count: values.len() as u64 + joined.left_out,
            records: &selection.records,
            joined: &joined,
            is_list: selection.is_list,
            envelope: &envelope,
            headers: &headers.collect(),
            url: &url,
            steps: selector.steps(),
        };
        rows.extend(values.iter().filter_map(|value| value.as_u64().or_else(|| value["id"].as_u64())));
        match paging.next(&facts)? {
            Next::Page(next) => page = next,
            Next::End(reason) => break reason,
        }
    };
    Ok(Walked { rows, end, requests, warnings: paging.warnings().iter().map(ToString::to_string).collect(), moved })
}

fn offset_with(change: impl FnOnce(&mut crate::plan::model::Offset)) -> Resource {
    let mut keys = offset(10);
    change(&mut keys);
    resource(Paginator::Offset(keys))
}

fn pages_with(change: impl FnOnce(&mut crate::plan::model::PageNumber)) -> Resource {
    let mut keys = page_number();
    change(&mut keys);
    resource(Paginator::PageNumber(keys))
}

/// A slice of the rows `0..count`, as a server that caps its pages sends it.
fn rows(count: u64, from: u64, limit: u64) -> Vec<u64> {
    (from.min(count)..from.saturating_add(limit).min(count)).collect()
}

fn plain(rows: Vec<u64>) -> Answer {
    (json!(rows), Vec::new())
}

fn message(result: Result<Walked>) -> String {
    result.map(|walked| format!("no error: {walked:?}")).unwrap_or_else(|error| error.message().to_owned())
}

#[test]
fn a_capped_offset_list_is_read_whole() {
    let walked = walk(&offset_with(|_| {}), |page| plain(rows(23, page.offset.unwrap(), 4))).unwrap();
    assert_eq!(walked.rows, (0..23).collect::<Vec<_>>());
    assert_eq!(walked.end, EndReason::EmptyPage);
    assert_eq!(walked.requests[..3], ["offset=0&limit=10", "offset=4&limit=10", "offset=8&limit=10"]);
}

#[test]
fn a_total_ends_an_offset_list_without_a_further_request() {
    for (value, expected) in [(json!(20), 2), (json!("20"), 2), (json!(20.0), 2), (json!(-1), 3), (json!(null), 3)] {
        let resource = offset_with(|keys| keys.total = Some(total("meta.total")));
        let walked = walk(&resource, |page| {
            (json!({ "data": rows(20, page.offset.unwrap(), 10), "meta": { "total": value } }), Vec::new())
        });
        assert_eq!(walked.unwrap().requests.len(), expected, "{value}");
    }
    let in_header = offset_with(|keys| {
        keys.total = Some(TotalSpec { place: FactPlace::Header("content-range".into()), pages: false });
    });
    let walked = walk(&in_header, |page| {
        (json!(rows(20, page.offset.unwrap(), 10)), vec![("content-range", "items 0-9/20".to_owned())])
    });
    assert_eq!(walked.unwrap().end, EndReason::TotalReached(20));
}

#[test]
fn an_offset_that_counts_from_one_loses_no_last_row() {
    let resource = offset_with(|keys| (keys.initial_offset, keys.total) = (1, Some(total("total"))));
    let walked =
        walk(&resource, |page| (json!({ "data": rows(21, page.offset.unwrap() - 1, 10), "total": 21 }), Vec::new()));
    let walked = walked.unwrap();
    assert_eq!((walked.rows.len(), walked.requests.len(), walked.warnings.len()), (21, 3, 0));
}

#[test]
fn a_declared_total_or_has_more_must_be_in_the_first_answer() {
    let with_total = offset_with(|keys| keys.total = Some(total("meta.count")));
    assert_eq!(
        message(walk(&with_total, |_| plain(vec![1]))),
        "the first answer has no total, which the paginator declares"
    );
    let with_more = offset_with(|keys| keys.has_more = Some(more("more")));
    assert_eq!(
        message(walk(&with_more, |_| plain(vec![1]))),
        "the first answer has no has_more, which the paginator declares"
    );
}

#[test]
fn has_more_decides_in_all_its_writings() {
    for (yes, no) in
        [(json!(true), json!(false)), (json!("true"), json!("false")), (json!(1), json!(0)), (json!("1"), json!(""))]
    {
        let resource = offset_with(|keys| keys.has_more = Some(more("has_more")));
        let walked = walk(&resource, |page| {
            let from = page.offset.unwrap();
            (json!({ "data": rows(20, from, 10), "has_more": if from < 10 { &yes } else { &no } }), Vec::new())
        });
        let walked = walked.unwrap();
        assert_eq!((walked.rows.len(), walked.end, walked.requests.len()), (20, EndReason::NoMore, 2));
    }
    let resource = offset_with(|keys| keys.has_more = Some(more("has_more")));
    let odd = walk(&resource, |_| (json!({ "data": [1], "has_more": "perhaps" }), Vec::new()));
    assert_eq!(message(odd), "has_more at `has_more` is neither true nor false");
}

#[test]
fn an_empty_page_in_the_middle_is_not_the_end_while_there_is_more() {
    let resource = offset_with(|keys| keys.total = Some(total("total")));
    let holes = |page: &PageRequest| {
        let from = page.offset.unwrap();
        let data = if (10..30).contains(&from) { Vec::new() } else { rows(40, from, 10) };
        (json!({ "data": data, "total": 40 }), Vec::new())
    };
    let walked = walk(&resource, holes).unwrap();
    assert_eq!(walked.requests.len(), 4);
    assert_eq!(walked.rows.len(), 20);
    assert_eq!(walked.end, EndReason::TotalReached(40));
    assert_eq!(walked.warnings, ["the server announced 40 records, 20 were received"]);
}

#[test]
fn three_empty_pages_in_a_row_are_an_error_while_there_is_more() {
    let resource = offset_with(|keys| keys.total = Some(total("total")));
    let result =
        walk(&resource, |page| (json!({ "data": rows(5, page.offset.unwrap(), 10), "total": 99 }), Vec::new()));
    assert_eq!(message(result), "3 empty pages in a row although the server announces a total of 99 records");
    let resource = pages_with(|keys| keys.has_more = Some(more("more")));
    let result = walk(&resource, |_| (json!({ "data": [], "more": true }), Vec::new()));
    assert_eq!(message(result), "3 empty pages in a row although the server announces that there is more");
}

#[test]
fn a_hard_bound_wins_over_has_more() {
    let resource = offset_with(|keys| (keys.has_more, keys.maximum_offset) = (Some(more("more")), Some(30)));
    let walked =
        walk(&resource, |page| (json!({ "data": rows(1000, page.offset.unwrap(), 10), "more": true }), Vec::new()));
    let walked = walked.unwrap();
    assert_eq!((walked.rows.len(), walked.end), (30, EndReason::MaximumOffset(30)));
    let resource = pages_with(|keys| (keys.maximum_page, keys.total) = (Some(3), Some(total("total"))));
    let walked = walk(&resource, |page| {
        (json!({ "data": rows(99, (page.page_number.unwrap() - 1) * 5, 5), "total": 99 }), Vec::new())
    });
    let walked = walked.unwrap();
    assert_eq!((walked.rows.len(), walked.end, walked.warnings.len()), (15, EndReason::MaximumPage(3), 0));
}

#[test]
fn advancing_by_the_limit_serves_servers_that_filter_after_paging() {
    let resource = offset_with(|keys| (keys.advance_by_limit, keys.has_more) = (true, Some(more("more"))));
    let walked = walk(&resource, |page| {
        let from = page.offset.unwrap();
        let data: Vec<_> = rows(40, from, 10).into_iter().filter(|row| row % 3 == 0).collect();
        (json!({ "data": data, "more": from + 10 < 40 }), Vec::new())
    });
    let walked = walked.unwrap();
    assert_eq!((walked.rows.len(), walked.requests.len()), (14, 4));
}

#[test]
fn a_total_that_changed_meanwhile_is_told() {
    let resource = offset_with(|keys| keys.total = Some(total("total")));
    let walked = walk(&resource, |page| {
        let from = page.offset.unwrap();
        (json!({ "data": rows(20, from, 10), "total": if from == 0 { 21 } else { 19 } }), Vec::new())
    });
    assert_eq!(
        walked.unwrap().warnings,
        [
            "the server announced 19 records, 20 were received (it announced 21 on the first page: the list changed meanwhile)"
        ]
    );
}

#[test]
fn page_numbers_start_where_they_are_told() {
    for (base, size, numbers) in [(0, None, ["page=0", "page=1"]), (1, Some(5), ["page=1&size=5", "page=2&size=5"])] {
        let resource = pages_with(|keys| {
            (keys.base_page, keys.page_size, keys.page_size_param) = (base, size, Some("size".into()));
        });
        let walked = walk(&resource, |page| plain(rows(7, (page.page_number.unwrap() - base) * 5, 5))).unwrap();
        assert_eq!(walked.requests[..2], numbers);
        assert_eq!((walked.rows.len(), walked.end), (7, EndReason::EmptyPage));
    }
}

#[test]
fn a_total_of_pages_ends_page_numbers_from_zero_and_from_one() {
    for base in [0, 1] {
        let resource = pages_with(|keys| {
            keys.base_page = base;
            keys.total = Some(TotalSpec { place: FactPlace::Body(path("pages")), pages: true });
        });
        let walked = walk(&resource, |page| {
            (json!({ "data": rows(13, (page.page_number.unwrap() - base) * 5, 5), "pages": 3 }), Vec::new())
        });
        let walked = walked.unwrap();
        assert_eq!((walked.rows.len(), walked.end, walked.requests.len()), (13, EndReason::TotalReached(3), 3));
    }
}

#[test]
fn a_total_with_rows_that_may_not_be_seen_ends_at_the_last_page() {
    let resource = pages_with(|keys| (keys.page_size, keys.total) = (Some(5), Some(total("total"))));
    let walked = walk(&resource, |page| {
        let data: Vec<_> =
            rows(20, (page.page_number.unwrap() - 1) * 5, 5).into_iter().filter(|row| *row != 7).collect();
        (json!({ "data": data, "total": 20 }), Vec::new())
    });
    let walked = walked.unwrap();
    assert_eq!((walked.rows.len(), walked.end), (19, EndReason::EmptyPage));
    assert_eq!(walked.warnings, ["the server announced 20 records, 19 were received"]);
}

#[test]
fn a_repeated_page_is_an_error_or_the_end_and_its_rows_are_not_taken() {
    for (paginator, expected) in [
        (Paginator::Offset(offset(10)), "the server ignores `offset`: page 2 is the same as page 1"),
        (Paginator::PageNumber(page_number()), "the server ignores `page`: page 2 is the same as page 1"),
    ] {
        let mut resource = resource(paginator);
        assert_eq!(message(walk(&resource, |_| plain(vec![1, 2]))), expected);
        resource.on_repeat = OnRepeat::Stop;
        let walked = walk(&resource, |_| plain(vec![1, 2])).unwrap();
        assert_eq!((walked.rows, walked.end), (vec![1, 2], EndReason::RepeatedPage));
    }
}

#[test]
fn a_last_page_that_is_clamped_and_a_list_that_starts_again_are_found() {
    let clamped = walk(&resource(Paginator::PageNumber(page_number())), |page| {
        plain(rows(25, (page.page_number.unwrap() - 1).min(2) * 10, 10))
    });
    assert_eq!(message(clamped), "the server repeats a page: page 4 is the same as page 3");
    let around = walk(&resource(Paginator::PageNumber(page_number())), |page| {
        plain(rows(30, (page.page_number.unwrap() - 1) % 3 * 10, 10))
    });
    assert_eq!(message(around), "the server repeats a page: page 4 is the same as page 1");
}

#[test]
fn max_pages_is_an_error_only_while_there_is_more() {
    let mut resource = offset_with(|keys| keys.total = Some(total("total")));
    let server = |page: &PageRequest| (json!({ "data": rows(30, page.offset.unwrap(), 10), "total": 30 }), Vec::new());
    resource.max_pages = Some(2);
    assert_eq!(message(walk(&resource, server)), "`max_pages` is reached while there is more");
    resource.max_pages = Some(3);
    assert_eq!(walk(&resource, server).unwrap().rows.len(), 30);
}

/// A server whose first page has a cursor of this value.
fn first_cursor(resource: &Resource, value: Value) -> Result<Walked> {
    let mut count = 0;
    walk(resource, |_| {
        count += 1;
        let next = if count == 1 { value.clone() } else { Value::Null };
        (json!({ "data": [count], "next": next }), Vec::new())
    })
}

#[test]
fn a_cursor_ends_when_it_says_nothing() {
    let resource = resource(Paginator::Cursor(cursor("next")));
    for value in [json!(null), json!(""), json!(false), json!(0), json!("0")] {
        let walked = first_cursor(&resource, value.clone()).unwrap();
        assert_eq!((walked.end, walked.requests.len()), (EndReason::NoCursor, 1), "{value}");
    }
    for (value, request) in
        [(json!("a=b"), "cursor=a=b"), (json!(7), "cursor=7"), (json!(9007199254740993u64), "cursor=9007199254740993")]
    {
        let walked = first_cursor(&resource, value).unwrap();
        assert_eq!(walked.requests, ["", request]);
    }
    for value in [json!(true), json!([1]), json!({ "after": 1 })] {
        assert!(message(first_cursor(&resource, value)).starts_with("the cursor at `next` is "));
    }
}

#[test]
fn more_without_a_cursor_is_an_error_and_no_more_with_a_cursor_is_the_end() {
    let mut keys = cursor("next");
    keys.signs.has_more = Some(more("more"));
    let resource = resource(Paginator::Cursor(keys));
    let server = |more: bool, next: Value| {
        move |_: &PageRequest| (json!({ "data": [1], "next": next, "more": more }), Vec::new())
    };
    assert_eq!(
        message(walk(&resource, server(true, json!(null)))),
        "the server says there is more but gives no cursor"
    );
    assert_eq!(walk(&resource, server(false, json!("x"))).unwrap().end, EndReason::NoMore);
}

#[test]
fn a_cursor_seen_before_is_an_error_or_the_end() {
    let mut resource = resource(Paginator::Cursor(cursor("next")));
    let cycle = || {
        let mut count = 0;
        move |_: &PageRequest| {
            count += 1;
            (json!({ "data": [count], "next": (["a", "b", "c", "a"][(count - 1) % 4]) }), Vec::new())
        }
    };
    assert_eq!(message(walk(&resource, cycle())), "page 4 gives a cursor that was followed before");
    resource.on_repeat = OnRepeat::Stop;
    let walked = walk(&resource, cycle()).unwrap();
    assert_eq!((walked.rows.len(), walked.end), (4, EndReason::RepeatedCursor));
}

#[test]
fn an_empty_page_with_a_cursor_goes_on_unless_it_is_said_to_be_the_end() {
    let server = |page: &PageRequest| match page.cursor.as_ref().and_then(Value::as_str) {
        None => (json!({ "data": [1], "next": "b" }), Vec::new()),
        Some("b") => (json!({ "data": [], "next": "c" }), Vec::new()),
        _ => (json!({ "data": [2], "next": null }), Vec::new()),
    };
    let mut keys = cursor("next");
    assert_eq!(walk(&resource(Paginator::Cursor(keys.clone())), server).unwrap().rows, [1, 2]);
    keys.signs.stop_on_empty_page = true;
    let walked = walk(&resource(Paginator::Cursor(keys)), server).unwrap();
    assert_eq!((walked.rows, walked.end), (vec![1], EndReason::EmptyPage));
    let mut count = 0;
    let endless = walk(&resource(Paginator::Cursor(cursor("next"))), |_| {
        count += 1;
        (json!({ "data": [], "next": count }), Vec::new())
    });
    assert_eq!(message(endless), "100 empty pages in a row, each leading to another");
}

#[test]
fn links_of_a_body_resolve_and_end() {
    let resource = resource(json_link("next"));
    let one = |next: Value| {
        let mut count = 0;
        walk(&resource, |_| {
            count += 1;
            (json!({ "data": [count], "next": if count == 1 { next.clone() } else { Value::Null } }), Vec::new())
        })
    };
    for (next, resolved) in [
        ("https://api.test/v1/videos?page=2", "https://api.test/v1/videos?page=2"),
        ("/v1/videos?page=2#top", "https://api.test/v1/videos?page=2"),
        ("?page=2", "https://api.test/v1/videos?page=2"),
        ("more", "https://api.test/v1/more"),
        ("http://api.test/v1/videos?page=2", "https://api.test/v1/videos?page=2"),
        ("http://other.test/x", "http://other.test/x"),
    ] {
        let walked = one(json!(next)).unwrap();
        assert_eq!(walked.requests[1], resolved);
        assert_eq!(walked.end, EndReason::NoNextLink);
    }
    for end in [json!(null), json!(""), json!(false)] {
        assert_eq!(one(end).unwrap().requests.len(), 1);
    }
    assert_eq!(message(one(json!(2))), "the next link at `next` is a number, not a URL");
    assert_eq!(message(one(json!("https://[x"))), "the next link is not a URL");
}

#[test]
fn a_link_to_a_page_already_fetched_is_a_repetition() {
    let mut resource = resource(json_link("next"));
    let same = |_: &PageRequest| (json!({ "data": [1], "next": "https://api.test/v1/videos?limit=10" }), Vec::new());
    assert_eq!(message(walk(&resource, same)), "page 1 gives a next link that was followed before");
    resource.on_repeat = OnRepeat::Stop;
    let walked = walk(&resource, same).unwrap();
    assert_eq!((walked.rows, walked.end), (vec![1], EndReason::RepeatedCursor));
}

#[test]
fn links_of_headers_are_followed() {
    let follow = |paginator: Paginator, header: &'static str, value: &str| {
        walk(&resource(paginator), |page| match &page.link {
            None => (json!([1]), vec![(header, value.to_owned())]),
            Some(_) => plain(vec![2]),
        })
    };
    let link = || header_link(None);
    let walked = follow(link(), "link", "</v1/b>; rel=\"next\"").unwrap();
    assert_eq!(walked.requests, ["", "https://api.test/v1/b"]);
    assert_eq!(walked.end, EndReason::NoNextLink);
    let bare = header_link(Some("x-next"));
    assert_eq!(follow(bare, "x-next", "/v1/c").unwrap().requests[1], "https://api.test/v1/c");
    assert_eq!(follow(link(), "link", "</v1/b>; rel=\"prev\"").unwrap().requests.len(), 1);
}

#[test]
fn auto_follows_what_needs_no_guess() {
    for (body, header, request) in [
        (json!({ "data": [1], "next": "/v1/b" }), "", "https://api.test/v1/b"),
        (json!({ "data": [1], "links": { "next": "https://api.test/v1/b" } }), "", "https://api.test/v1/b"),
        (json!({ "data": [1], "_links": { "next": { "href": "/v1/b" } } }), "", "https://api.test/v1/b"),
        (
            json!({ "data": [1], "meta": { "pagination": { "next_url": "?p=2" } } }),
            "",
            "https://api.test/v1/videos?p=2",
        ),
        (json!({ "value": [1], "@odata.nextLink": "https://api.test/v1/b" }), "", "https://api.test/v1/b"),
        (json!({ "data": { "items": [1], "next": "/v1/b" } }), "", "https://api.test/v1/b"),
        (json!([1]), "</v1/b>; rel=next", "https://api.test/v1/b"),
        (
            json!({ "data": [1], "links": [{ "rel": "self", "href": "/" }, { "rel": "next", "href": "/v1/b" }] }),
            "",
            "https://api.test/v1/b",
        ),
        (
            json!({ "data": [1], "link": [{ "relation": "next", "url": "https://api.test/v1/b" }] }),
            "",
            "https://api.test/v1/b",
        ),
        (json!({ "data": [1], "next_cursor": "x" }), "", "cursor=x"),
        (json!({ "data": [1], "nextPageToken": "x" }), "", "pageToken=x"),
        (json!({ "data": [1], "response_metadata": { "next_cursor": "x" } }), "", "cursor=x"),
        (json!({ "data": [1], "paging": { "cursors": { "after": "x" } } }), "", "after=x"),
    ] {
        let walked = walk(&resource(Paginator::Auto), |page| match page {
            PageRequest { link: None, cursor: None, .. } if header.is_empty() => (body.clone(), Vec::new()),
            PageRequest { link: None, cursor: None, .. } => (body.clone(), vec![("link", header.to_owned())]),
            _ if body.is_array() => plain(vec![2]),
            _ if body.get("value").is_some() => (json!({ "value": [2] }), Vec::new()),
            _ if body["data"].is_object() => (json!({ "data": { "items": [2] } }), Vec::new()),
            _ => (json!({ "data": [2] }), Vec::new()),
        });
        let walked = walked.unwrap();
        assert_eq!(walked.requests, ["", request], "{body}");
        assert_eq!(walked.rows, [1, 2]);
    }
}

#[test]
fn auto_never_takes_a_first_page_for_all_when_there_is_more() {
    for (body, sign) in [
        (json!({ "data": [1], "total": 2 }), "`total` announces 2 records"),
        (json!({ "data": [1], "meta": { "total_count": "12" } }), "`meta.total_count` announces 12 records"),
        (json!({ "data": [1], "has_more": true }), "`has_more` says that there is more"),
        (json!({ "data": [1], "next_page": 2 }), "`next_page` holds the number of the next page"),
        (json!({ "data": [1], "page": { "totalPages": 3 } }), "`page.totalPages` announces 3 pages"),
        (json!({ "content": [{ "id": 1 }], "last": false }), "`last` says that this is not the last page"),
        (json!({ "data": [1], "next": "eyJpZCI6MX0" }), "`next` holds a cursor"),
        (json!({ "data": [1], "cursor": { "next": "abc" } }), "`cursor.next` holds a cursor"),
        (json!({ "object": "list", "data": [{ "id": 1 }], "has_more": true }), "`has_more` says that there is more"),
        (json!({ "data": [1], "next": null, "total": 500 }), "`total` announces 500 records"),
    ] {
        let error = walk(&resource(Paginator::Auto), |_| (body.clone(), Vec::new())).unwrap_err();
        assert_eq!(error.context("sign"), Some(sign), "{body}");
        assert_eq!(error.kind(), Kind::Paging);
    }
    let header = walk(&resource(Paginator::Auto), |_| (json!([1]), vec![("x-total-count", "9".to_owned())]));
    assert_eq!(header.unwrap_err().context("sign"), Some("`x-total-count` (a header) announces 9"));
    let mut with_body = resource(Paginator::Auto);
    with_body.request.body = Some(crate::plan::model::BodySpec::Raw(super::super::fixture::plain("{}")));
    let error = walk(&with_body, |_| (json!({ "data": [1], "next_cursor": "x" }), Vec::new())).unwrap_err();
    assert_eq!(error.context("sign"), Some("`next_cursor` holds a cursor"));
}

#[test]
fn auto_does_not_look_into_a_lone_record_nor_at_names_that_only_begin_alike() {
    for body in [
        json!({ "id": 1, "name": "x", "next": "/v1/b", "total": 99, "has_more": true }),
        json!({ "id": 1, "next_billing_date": "2026-01-01" }),
        json!({ "data": [1], "next_billing_date": "/2026", "totally": 99 }),
    ] {
        let walked = walk(&resource(Paginator::Auto), |_| (body.clone(), Vec::new())).unwrap();
        assert_eq!((walked.end, walked.requests.len()), (EndReason::SinglePage, 1), "{body}");
    }
}

#[test]
fn auto_warns_of_a_round_number_of_rows_only_when_nothing_says_that_they_are_all() {
    let warned =
        |body: Value| !walk(&resource(Paginator::Auto), |_| (body.clone(), Vec::new())).unwrap().warnings.is_empty();
    let hundred: Vec<u64> = (0..100).collect();
    assert!(warned(json!(hundred)));
    assert!(warned(json!({ "data": hundred })));
    assert!(!warned(json!(hundred[..99])));
    assert!(!warned(json!([])));
    for told in [
        json!({ "total": 100 }),
        json!({ "has_more": false }),
        json!({ "next": null }),
        json!({ "total_pages": 1 }),
        json!({ "last": true }),
    ] {
        let mut body = json!({ "data": hundred });
        body.as_object_mut().unwrap().extend(told.as_object().unwrap().clone());
        assert!(!warned(body), "{told}");
    }
}

/// What a simulated server tells about its list.
#[derive(Debug, Clone, Copy)]
enum Tells {
    Nothing,
    Total,
    Pages,
    HasMore,
    TotalAndHasMore,
}

fn tells() -> impl Strategy<Value = Tells> {
    prop_oneof![
        Just(Tells::Nothing),
        Just(Tells::Total),
        Just(Tells::Pages),
        Just(Tells::HasMore),
        Just(Tells::TotalAndHasMore)
    ]
}

fn declared(tells: Tells) -> (Option<TotalSpec>, Option<MoreSpec>) {
    let pages = TotalSpec { place: FactPlace::Body(path("pages")), pages: true };
    match tells {
        Tells::Nothing => (None, None),
        Tells::Total => (Some(total("total")), None),
        Tells::Pages => (Some(pages), None),
        Tells::HasMore => (None, Some(more("more"))),
        Tells::TotalAndHasMore => (Some(total("total")), Some(more("more"))),
    }
}

proptest! {
    #[test]
    fn an_offset_walk_gives_every_row_once(
        count in 0u64..90, cap in 1u64..30, limit in 1u64..40, initial in 0u64..2, tells in tells()
    ) {
        let size = cap.min(limit);
        let resource = offset_with(|keys| {
            (keys.limit, keys.initial_offset) = (limit, initial);
            (keys.total, keys.has_more) = declared(tells);
        });
        let walked = walk(&resource, |page| {
            let from = page.offset.unwrap() - initial;
            let data = rows(count, from, size);
            let more = from + (data.len() as u64) < count;
            (json!({ "data": data, "total": count, "pages": count.div_ceil(size), "more": more }), Vec::new())
        }).unwrap();
        prop_assert_eq!(walked.rows, (0..count).collect::<Vec<_>>());
        prop_assert!(walked.warnings.is_empty());
    }

    #[test]
    fn a_page_walk_gives_every_row_once(
        count in 0u64..90, cap in 1u64..30, limit in 1u64..40, asks in any::<bool>(), base in 0u64..2, tells in tells()
    ) {
        let size = if asks { cap.min(limit) } else { cap };
        let resource = pages_with(|keys| {
            keys.base_page = base;
            keys.page_size = asks.then_some(limit);
            keys.page_size_param = asks.then(|| "size".to_owned());
            (keys.total, keys.has_more) = declared(tells);
        });
        let walked = walk(&resource, |page| {
            let from = (page.page_number.unwrap() - base) * size;
            let data = rows(count, from, size);
            let more = from + (data.len() as u64) < count;
            (json!({ "data": data, "total": count, "pages": count.div_ceil(size), "more": more }), Vec::new())
        }).unwrap();
        prop_assert_eq!(walked.rows, (0..count).collect::<Vec<_>>());
        prop_assert!(walked.warnings.is_empty());
    }

    #[test]
    fn cursors_and_links_give_every_row_once(count in 0u64..90, size in 1u64..30, short in 0u64..3, links in any::<bool>()) {
        let paginator = if links { json_link("next") } else { Paginator::Cursor(cursor("next")) };
        let walked = walk(&resource(paginator), |page| {
            let from = match (&page.link, &page.cursor) {
                (Some(link), _) => link.query().unwrap().trim_start_matches("from=").parse().unwrap(),
                (None, Some(cursor)) => cursor.as_u64().unwrap(),
                (None, None) => 0,
            };
            // Pages are shorter than the size by a little, now and then.
            let data = rows(count, from, (size - (from % (short + 1)).min(size - 1)).max(1));
            let to = from + data.len() as u64;
            let next = if links { json!(format!("?from={to}")) } else { json!(to) };
            (json!({ "data": data, "next": if to < count { next } else { Value::Null } }), Vec::new())
        }).unwrap();
        prop_assert_eq!(walked.rows, (0..count).collect::<Vec<_>>());
    }
}
