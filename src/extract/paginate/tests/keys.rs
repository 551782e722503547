//! `keyset`, `header_cursor`, and links in all their forms.

use super::super::super::fixture::{cursor, json_link, keyset, offset, page_number};
use super::*;
use crate::plan::model::{CursorPaging, EndSigns, Keyset, TokenPlace};

fn keyset_with(change: impl FnOnce(&mut Keyset)) -> Resource {
    let mut keys = keyset("id");
    change(&mut keys);
    resource(Paginator::Keyset(keys))
}

/// Records with these ids, the first `size` of those that a condition lets through.
fn after(ids: &[u64], size: usize, is_asked: impl Fn(u64) -> bool) -> Answer {
    (
        json!(ids.iter().filter(|id| is_asked(**id)).take(size).map(|id| json!({ "id": id })).collect::<Vec<_>>()),
        Vec::new(),
    )
}

fn key_of(page: &PageRequest) -> Option<u64> {
    page.cursor.as_ref().and_then(Value::as_u64)
}

#[test]
fn a_keyset_walk_goes_on_behind_the_last_record() {
    let ids: Vec<u64> = (1..=25).collect();
    let walked = walk(&keyset_with(|_| {}), |page| after(&ids, 10, |id| key_of(page).is_none_or(|key| id > key)));
    let walked = walked.unwrap();
    assert_eq!((walked.rows, walked.end), (ids, EndReason::EmptyPage));
    assert_eq!(walked.requests, ["", "after=10", "after=20", "after=25"]);
}

#[test]
fn a_keyset_value_keeps_its_digits_its_type_and_its_place() {
    for (value, param, cursor) in [
        (json!("a b"), "after=a b", json!("a b")),
        (json!(9007199254740993u64), "after=9007199254740993", json!(9007199254740993u64)),
    ] {
        let resource = keyset_with(|keys| keys.field = path("meta.key"));
        let mut cursors = Vec::new();
        let walked = walk(&resource, |page| {
            cursors.push(page.cursor.clone());
            let data = if page.cursor.is_none() {
                json!([{ "meta": { "key": 0 } }, { "meta": { "key": value } }])
            } else {
                json!([])
            };
            (json!({ "data": data }), Vec::new())
        });
        assert_eq!(walked.unwrap().requests, ["", param]);
        assert_eq!(cursors, [None, Some(cursor)]);
    }
    let raw =
        |text: &'static str| super::super::token::typed(&super::super::super::envelope::Fact::Number(text.into()));
    assert_eq!(raw("12345678901234567890123"), json!("12345678901234567890123"));
    assert_eq!(raw("1.10"), json!("1.10"));
    assert_eq!(raw("1.5"), json!(1.5));
}

#[test]
fn a_last_record_without_the_field_is_an_error() {
    for (record, found) in [
        (json!({ "id": null }), "null"),
        (json!({ "x": 1 }), "null"),
        (json!({ "id": [1] }), "a list"),
        (json!({ "id": "" }), "an empty text"),
    ] {
        let result = walk(&keyset_with(|_| {}), |_| (json!([{ "id": 1 }, record]), Vec::new()));
        assert_eq!(message(result), format!("the last record's `id` is {found}: nothing says where to go on"));
    }
}

#[test]
fn a_keyset_that_does_not_move_on_is_an_error() {
    let same = walk(&keyset_with(|_| {}), |_| (json!([{ "id": 1 }, { "id": 2 }]), Vec::new()));
    assert_eq!(message(same), "the server ignores `after`: page 2 is the same as page 1");
    let mut count = 0;
    let circle = walk(&keyset_with(|_| {}), |_| {
        count += 1;
        (json!([{ "id": 1, "n": count }]), Vec::new())
    });
    assert_eq!(message(circle), "page 2 gives a key that was followed before");
}

#[test]
fn has_more_ends_a_keyset_walk_and_an_empty_page_against_it_is_an_error_unless_it_is_the_end() {
    let ids: Vec<u64> = (1..=20).collect();
    let serve = |more_until: u64| {
        let ids = ids.clone();
        move |page: &PageRequest| {
            let key = key_of(page).unwrap_or(0);
            (json!({ "data": after(&ids, 10, |id| id > key).0, "has_more": key < more_until }), Vec::new())
        }
    };
    let declared = |stop: bool| {
        keyset_with(|keys| {
            (keys.has_more, keys.stop_on_empty_page) = (Some(more("has_more")), stop);
        })
    };
    let walked = walk(&declared(false), serve(10)).unwrap();
    assert_eq!((walked.rows.len(), walked.end, walked.requests.len()), (20, EndReason::NoMore, 2));
    let error = message(walk(&declared(false), serve(99)));
    assert_eq!(error, "the server says there is more but the page has no new record");
    assert_eq!(walk(&declared(true), serve(99)).unwrap().end, EndReason::EmptyPage);
}

#[test]
fn an_inclusive_keyset_takes_what_comes_again_once() {
    // Several records share a value at the seam; the field is no key.
    let list: Vec<(u64, u64)> = vec![(1, 1), (2, 1), (3, 2), (4, 3), (5, 3), (6, 3), (7, 4), (8, 5)];
    let resource = keyset_with(|keys| (keys.inclusive, keys.field) = (true, path("at")));
    let walked = walk(&resource, |page| {
        let from = key_of(page).unwrap_or(0);
        let data: Vec<Value> =
            list.iter().filter(|(_, at)| *at >= from).take(5).map(|(id, at)| json!({ "id": id, "at": at })).collect();
        (json!({ "data": data }), Vec::new())
    });
    let walked = walked.unwrap();
    assert_eq!((walked.rows, walked.end), ((1..=8).collect(), EndReason::NothingNew));
    assert!(walked.warnings.is_empty(), "{:?}", walked.warnings);
}

#[test]
fn an_inclusive_keyset_whose_pages_are_full_of_one_value_is_an_error_or_told() {
    let resource = keyset_with(|keys| (keys.inclusive, keys.field) = (true, path("at")));
    let serve = |list: Vec<(u64, u64)>| {
        move |page: &PageRequest| {
            let from = key_of(page).unwrap_or(0);
            let found = list.iter().filter(|(_, at)| *at >= from).take(3);
            (json!(found.map(|(id, at)| json!({ "id": id, "at": at })).collect::<Vec<_>>()), Vec::new())
        }
    };
    let many = walk(&resource, serve(vec![(1, 1), (2, 2), (3, 7), (4, 7), (5, 7), (6, 7)]));
    assert_eq!(message(many), "more records have the same `at` than fit on a page");
    let one_value = walk(&resource, serve(vec![(1, 7), (2, 7)])).unwrap();
    assert_eq!((one_value.rows, one_value.end, one_value.warnings.len()), (vec![1, 2], EndReason::NothingNew, 1));
    let one_row = walk(&resource, serve(vec![(1, 7)])).unwrap();
    assert_eq!((one_row.rows, one_row.warnings.len()), (vec![1], 0));
}

#[test]
fn an_inclusive_record_that_changed_meanwhile_is_not_left_out() {
    let resource = keyset_with(|keys| keys.inclusive = true);
    let mut count = 0;
    let walked = walk(&resource, |page| {
        count += 1;
        let ids: Vec<u64> = (1..=4).filter(|id| key_of(page).is_none_or(|key| *id >= key)).take(2).collect();
        (
            json!(
                ids.iter().map(|id| json!({ "id": id, "read": if *id == 2 { count } else { 0 } })).collect::<Vec<_>>()
            ),
            Vec::new(),
        )
    });
    assert_eq!(walked.unwrap().rows, [1, 2, 2, 3, 4]);
}

#[test]
fn a_cursor_of_a_header_is_followed_until_it_says_nothing() {
    let header = |has_more: Option<&str>| {
        resource(Paginator::Cursor(CursorPaging {
            cursor: TokenPlace::Header("x-next-cursor".into()),
            signs: EndSigns {
                has_more: has_more.map(|name| MoreSpec { place: FactPlace::Header(name.into()), is_last: false }),
                ..EndSigns::default()
            },
            ..cursor("unused")
        }))
    };
    let serve = |page: &PageRequest| match page.cursor.as_ref().and_then(Value::as_str) {
        None => (json!([1]), vec![("x-next-cursor", "b".to_owned()), ("x-more", "true".to_owned())]),
        Some("b") => (json!([2]), vec![("x-next-cursor", " c ".to_owned()), ("x-more", "false".to_owned())]),
        _ => (json!([3]), vec![("x-next-cursor", String::new())]),
    };
    let walked = walk(&header(None), serve).unwrap();
    assert_eq!((walked.rows, walked.end), (vec![1, 2, 3], EndReason::NoCursor));
    assert_eq!(walked.requests, ["", "cursor=b", "cursor=c"]);
    assert_eq!(walk(&header(Some("x-more")), serve).unwrap().end, EndReason::NoMore);
    let absent = message(walk(&header(Some("x-other")), serve));
    assert_eq!(absent, "the first answer has no has_more, which the paginator declares");
    let repeats =
        walk(&header(None), |page| (json!([page.cursor.is_some()]), vec![("x-next-cursor", "same".to_owned())]));
    assert_eq!(message(repeats), "page 2 gives a cursor that was followed before");
}

#[test]
fn a_total_beside_cursors_ends_nothing_but_is_compared() {
    let mut keys = cursor("next");
    keys.signs.total = Some(total("total"));
    let walked = walk(&resource(Paginator::Cursor(keys)), |page| match page.cursor {
        None => (json!({ "data": [1], "next": "b", "total": 1 }), Vec::new()),
        Some(_) => (json!({ "data": [2], "total": 1 }), Vec::new()),
    });
    let walked = walked.unwrap();
    assert_eq!(walked.rows, [1, 2]);
    assert_eq!(walked.warnings, ["the server announced 1 record, 2 were received"]);
}

#[test]
fn a_next_link_may_be_an_object_or_stand_in_a_list() {
    for (at, next) in [
        ("links.next", json!({ "next": "/v1/b" })),
        ("links.next", json!({ "next": { "href": "/v1/b", "meta": {} } })),
        ("links", json!([{ "rel": "prev", "href": "/v1/a" }, { "rel": "next", "href": "/v1/b" }])),
        ("links", json!([{ "relation": "self", "url": "/v1/a" }, { "relation": "next", "url": "/v1/b" }])),
        ("links", json!([{ "rel": "last NEXT", "uri": "/v1/b" }])),
    ] {
        let walked = walk(&resource(json_link(at)), |page| match page.link {
            None => (json!({ "data": [1], "links": next }), Vec::new()),
            Some(_) => (json!({ "data": [2], "links": [{ "rel": "prev", "href": "/v1/a" }] }), Vec::new()),
        });
        let walked = walked.unwrap();
        assert_eq!(
            (walked.requests[1].as_str(), walked.end),
            ("https://api.test/v1/b", EndReason::NoNextLink),
            "{next}"
        );
    }
}

#[test]
fn links_bring_no_credentials_of_their_own_and_no_step_back_from_https() {
    let base = Url::parse("https://api.test:8443/v1/videos").unwrap();
    for (link, expected) in [
        ("https://bob:pw@api.test:8443/v1/b", "https://api.test:8443/v1/b"),
        ("http://api.test:8443/v1/b", "https://api.test:8443/v1/b"),
        ("http://api.test/v1/b", "http://api.test/v1/b"),
        ("//api.test:8443/v1/b", "https://api.test:8443/v1/b"),
    ] {
        assert_eq!(super::super::token::resolve(&base, link).unwrap().as_str(), expected);
    }
}

#[test]
fn auto_never_takes_a_page_for_all_when_a_header_tells_of_another() {
    for (header, value, sign) in [
        ("x-next-page", "2", "`x-next-page` (a header) holds the number of the next page"),
        ("x-next-cursor", "abc", "`x-next-cursor` (a header) holds a cursor"),
    ] {
        let error = walk(&resource(Paginator::Auto), |_| (json!([1]), vec![(header, value.to_owned())])).unwrap_err();
        assert_eq!(error.context("sign"), Some(sign));
    }
    let last = walk(&resource(Paginator::Auto), |_| (json!([1]), vec![("x-next-page", String::new())]));
    assert_eq!(last.unwrap().end, EndReason::SinglePage);
}

#[test]
fn auto_suggests_a_keyset_where_lists_are_made_like_stripes() {
    let body = json!({ "object": "list", "data": [{ "id": 1 }], "has_more": true });
    let error = walk(&resource(Paginator::Auto), |_| (body.clone(), Vec::new())).unwrap_err();
    assert!(
        error.report().contains("type = \"keyset\", field = \"id\", param = \"starting_after\""),
        "{}",
        error.report()
    );
}

#[test]
fn a_flag_of_the_last_page_ends_links_that_stay_set() {
    for (no, yes) in
        [(json!(false), json!(true)), (json!("0"), json!("1")), (json!(null), json!("Yes")), (json!(""), json!(1))]
    {
        let mut resource = resource(json_link("next"));
        if let Paginator::JsonLink(keys) = &mut resource.paginator {
            keys.signs.has_more = Some(MoreSpec { place: FactPlace::Body(path("end")), is_last: true });
        }
        let walked = walk(&resource, |page| {
            let number = page.link.as_ref().map_or(1, |link| link.query().unwrap().parse::<u64>().unwrap());
            let body = json!({ "data": [number], "next": format!("?{}", number + 1), "end": if number == 3 { &yes } else { &no } });
            (body, Vec::new())
        });
        let walked = walked.unwrap();
        assert_eq!((walked.rows, walked.end), (vec![1, 2, 3], EndReason::LastPage), "{no} {yes}");
    }
}

#[test]
fn only_the_first_request_of_a_walk_is_the_first() {
    for paginator in [
        Paginator::Cursor(cursor("next")),
        json_link("next"),
        Paginator::Offset(offset(1)),
        Paginator::PageNumber(page_number()),
    ] {
        let mut firsts = Vec::new();
        let mut number = 0;
        walk(&resource(paginator), |page| {
            firsts.push(page.is_first);
            number += 1;
            let next = (number < 3).then(|| format!("?{number}"));
            let data = if number < 3 { json!([number]) } else { json!([]) };
            (json!({ "data": data, "next": next }), Vec::new())
        })
        .unwrap();
        assert_eq!(firsts, [true, false, false]);
    }
}

#[test]
fn a_link_is_the_same_in_any_order_and_encoding_and_another_with_other_values() {
    for (link, is_same) in [
        ("/v1/b?a=1&b=x%20y", true),
        ("/v1/b?b=x+y&a=1", true),
        ("/v1/b?a=%31&b=x y#top", true),
        ("/v1/b?a=1&b=x%2By", false),
        ("/v1/b?a=1", false),
        ("/v1/c?a=1&b=x%20y", false),
    ] {
        let mut number = 0;
        let walked = walk(&resource(json_link("next")), |_| {
            number += 1;
            let next = [Some("/v1/b?a=1&b=x%20y"), Some(link), None][number.min(3) - 1];
            (json!({ "data": [number], "next": next }), Vec::new())
        });
        let expected = if is_same { "page 2 gives a next link that was followed before" } else { "no error" };
        assert!(message(walked).starts_with(expected), "{link}");
    }
}

#[test]
fn a_total_that_counts_something_else_ends_nothing_while_pages_have_records() {
    // What is told on each page of ten, by the offset.
    let tells: [fn(u64) -> u64; 5] =
        [|from| 45 - from.min(45), |_| 0, |_| 5, |from| if from == 0 { 45 } else { 12 }, |from| 46 - from / 10];
    for tell in tells {
        let resource = offset_with(|keys| keys.total = Some(total("total")));
        let walked = walk(&resource, |page| {
            let from = page.offset.unwrap();
            (json!({ "data": rows(45, from, 10), "total": tell(from) }), Vec::new())
        });
        assert_eq!(walked.unwrap().rows, (0..45).collect::<Vec<_>>());
    }
}
