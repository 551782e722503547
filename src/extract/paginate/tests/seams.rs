//! `overlap`: lists that move while they are read.

use super::*;

fn overlapping(limit: u64, change: impl FnOnce(&mut crate::plan::model::Offset)) -> Resource {
    offset_with(|keys| {
        (keys.limit, keys.overlap) = (limit, true);
        change(keys);
    })
}

/// A row with the version that its time of change stands for.
fn row((id, version): (u64, u64)) -> Value {
    json!({ "id": id, "version": version })
}

/// A page of a list, as a server with a cap sends it.
fn page(list: &[(u64, u64)], request: &PageRequest, cap: u64) -> Answer {
    let from = usize::try_from(request.offset.unwrap()).unwrap();
    let size = usize::try_from(request.limit.unwrap().min(cap)).unwrap();
    (json!(list.iter().skip(from).take(size).map(|r| row(*r)).collect::<Vec<_>>()), Vec::new())
}

/// Rows of an ascending list, each with its number as id.
fn list(count: u64) -> Vec<(u64, u64)> {
    (0..count).map(|id| (id, 0)).collect()
}

/// Changes a row, which moves it to the end of the list.
fn update(list: &mut Vec<(u64, u64)>, at: usize) {
    let (id, version) = list.remove(at);
    list.push((id, version + 1));
}

#[test]
fn pages_share_a_record_which_is_taken_once() {
    let list = list(25);
    let walked = walk(&overlapping(10, |_| {}), |request| page(&list, request, 100)).unwrap();
    assert_eq!(walked.rows, (0..25).collect::<Vec<_>>());
    assert_eq!(walked.requests, ["offset=0&limit=10", "offset=9&limit=10", "offset=18&limit=10", "offset=24&limit=10"]);
    assert_eq!((walked.end, walked.moved), (EndReason::NothingNew, 0));
}

#[test]
fn lists_of_no_and_of_one_record_end() {
    for count in [0, 1] {
        let list = list(count);
        let walked = walk(&overlapping(10, |_| {}), |request| page(&list, request, 100)).unwrap();
        assert_eq!((walked.rows.len() as u64, walked.end), (count, EndReason::EmptyPage));
    }
}

#[test]
fn rows_that_slide_over_a_seam_are_found() {
    let mut list = list(40);
    let mut count = 0;
    let walked = walk(&overlapping(10, |_| {}), |request| {
        count += 1;
        if count == 2 {
            // Three rows of the first page change: what is at 10 to 12 slides to 7 to 9.
            (0..3).for_each(|_| update(&mut list, 0));
        }
        page(&list, request, 100)
    });
    let mut walked = walked.unwrap();
    walked.rows.sort_unstable();
    let expected: Vec<u64> = (0..3).chain(0..40).collect();
    let mut expected = expected;
    expected.sort_unstable();
    assert_eq!(walked.rows, expected, "every row, and the changed ones in both versions");
    assert_eq!(walked.moved, 3);
}

#[test]
fn a_row_inserted_before_the_seam_is_taken_and_nothing_twice() {
    let mut list = list(30);
    let mut count = 0;
    let walked = walk(&overlapping(10, |_| {}), |request| {
        count += 1;
        if count == 2 {
            list.insert(9, (99, 0));
        }
        page(&list, request, 100)
    });
    let mut rows = walked.unwrap().rows;
    rows.sort_unstable();
    assert_eq!(rows, (0..30).chain([99]).collect::<Vec<_>>());
}

#[test]
fn the_record_of_the_seam_may_itself_move_away() {
    let mut list = list(30);
    let mut count = 0;
    let walked = walk(&overlapping(10, |_| {}), |request| {
        count += 1;
        if count == 2 {
            update(&mut list, 9);
        }
        page(&list, request, 100)
    });
    let mut rows = walked.unwrap().rows;
    rows.sort_unstable();
    assert_eq!(rows, (0..10).chain(9..30).collect::<Vec<_>>());
}

#[test]
fn records_that_differ_in_every_answer_are_an_error_and_not_an_endless_search() {
    let mut count = 0;
    let result = walk(&overlapping(10, |_| {}), |request| {
        count += 1;
        let from = request.offset.unwrap();
        (
            json!(rows(100, from, 10).iter().map(|id| json!({ "id": id, "read_at": count })).collect::<Vec<_>>()),
            Vec::new(),
        )
    });
    assert_eq!(message(result), "no record of the pages before comes again unchanged");
}

#[test]
fn a_server_that_ignores_the_offset_or_has_pages_of_one_record_is_found() {
    let ten = list(10);
    let ignored =
        walk(&overlapping(10, |_| {}), |_| (json!(ten.iter().map(|r| row(*r)).collect::<Vec<_>>()), Vec::new()));
    assert_eq!(message(ignored), "the server ignores `offset`: page 2 is the same as page 1");
    let result = walk(&overlapping(10, |_| {}), |request| page(&ten, request, 1));
    assert_eq!(message(result), "the server's pages have one record, and can't overlap");
}

#[test]
fn totals_and_bounds_count_records_and_not_how_often_they_came() {
    let rows = list(30);
    let resource = overlapping(10, |keys| keys.total = Some(total("total")));
    let walked = walk(&resource, |request| (json!({ "data": page(&rows, request, 100).0, "total": 30 }), Vec::new()));
    let walked = walked.unwrap();
    assert_eq!((walked.rows.len(), walked.end, walked.warnings.len()), (30, EndReason::TotalReached(30), 0));
    let resource = overlapping(10, |keys| keys.maximum_offset = Some(10));
    let walked = walk(&resource, |request| page(&rows, request, 100)).unwrap();
    assert_eq!((walked.rows.len(), walked.end), (10, EndReason::MaximumOffset(10)));
}

proptest! {
    #[test]
    fn every_row_arrives_however_the_list_moves(
        count in 2u64..80, cap in 2u64..12, moves in proptest::collection::vec((0usize..6, 0usize..80), 0..12)
    ) {
        // A change between two requests: so many rows, from one place on, move to the end.
        let mut list = list(count);
        let mut moves = moves.into_iter();
        let mut is_first = true;
        let walked = walk(&overlapping(50, |_| {}), |request| {
            if !std::mem::take(&mut is_first) && let Some((rows, at)) = moves.next() {
                (0..rows).for_each(|_| update(&mut list, at % usize::try_from(count).unwrap()));
            }
            page(&list, request, cap)
        });
        match walked {
            Ok(walked) => {
                let arrived: std::collections::BTreeSet<u64> = walked.rows.into_iter().collect();
                prop_assert_eq!(arrived, (0..count).collect());
            }
            // Where every record that was read has changed, there is nothing to recognise.
            Err(error) => prop_assert_eq!(error.message(), "no record of the pages before comes again unchanged"),
        }
    }
}
