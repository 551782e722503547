//! Cursors that a person changes.

use super::*;
use crate::error::{Error, Kind, Result};
use crate::load::{Edit, StateChange};

fn cursor(resource: &str, partition: &str, value: &str) -> CursorRow {
    CursorRow { resource: resource.to_owned(), partition: partition.to_owned(), value: value.to_owned() }
}

fn values(warehouse: &mut dyn Destination, pipeline: &str, resource: &str) -> Vec<Option<String>> {
    let partitions = ["", "[1]", "[2]"].map(str::to_owned);
    let found = warehouse.cursors(pipeline, DATASET, resource, &partitions).unwrap();
    partitions.iter().map(|partition| found.get(partition).cloned()).collect()
}

fn change(
    warehouse: &mut dyn Destination,
    edit: &dyn Fn(&CursorRow) -> Result<Edit>,
    put: &[CursorRow],
) -> Result<u64> {
    let at = DateTime::from_timestamp_micros(1_700_000_200_000_000).unwrap();
    warehouse.change_state(&StateChange { pipeline: PIPELINE, dataset: DATASET, edit, put, at })
}

/// Cursors of two resources with partitions, more than are looked at together, and of another pipeline.
fn many(open: Opener, folder: &Path) -> Box<dyn Destination> {
    let (mut warehouse, _) = opened(open, folder);
    let none = Catalog::default();
    let further: Vec<String> = (0..2500).map(|n| format!("[9,{n}]")).collect();
    let mut cursors = vec![("videos", "", "v"), ("videos", "[1]", "v1"), ("videos", "[2]", "v2")];
    cursors.extend(further.iter().map(|partition| ("videos", partition.as_str(), "v9")));
    let ticket = warehouse.begin(spec("load-1", "videos", WriteDisposition::Append, &none)).unwrap();
    warehouse.commit(ticket, commit(&cursors, &none)).unwrap();
    let ticket = warehouse.begin(spec("load-1", "views", WriteDisposition::Append, &none)).unwrap();
    warehouse.commit(ticket, commit(&[("views", "", "w")], &none)).unwrap();
    warehouse.open("other", DATASET).unwrap();
    let other = LoadSpec { pipeline: "other".to_owned(), ..spec("load-1", "videos", WriteDisposition::Append, &none) };
    let ticket = warehouse.begin(other).unwrap();
    warehouse.commit(ticket, commit(&[("videos", "", "o")], &none)).unwrap();
    warehouse
}

pub(crate) fn cursors_are_changed_by_hand_all_or_none(open: Opener, folder: &Path) {
    let mut warehouse = many(open, folder);
    let of_videos = |row: &CursorRow| {
        Ok(match (row.resource.as_str(), row.partition.as_str()) {
            ("videos", "[1]") => Edit::Put("moved".to_owned()),
            ("videos", _) => Edit::Forget,
            _ => Edit::Keep,
        })
    };
    let put = [cursor("videos", "", "new"), cursor("videos", "[2]", "again")];
    assert_eq!(change(&mut *warehouse, &of_videos, &put).unwrap(), 2503 + 2);
    let of = |value: &str| Some(value.to_owned());
    let expected = vec![of("new"), of("moved"), of("again")];
    assert_eq!(values(&mut *warehouse, PIPELINE, "videos"), expected);
    assert_eq!(values(&mut *warehouse, PIPELINE, "views"), [of("w"), None, None]);
    assert_eq!(values(&mut *warehouse, "other", "videos"), [of("o"), None, None]);
    let fails_midway = |row: &CursorRow| match row.resource.as_str() {
        "videos" => Ok(Edit::Forget),
        _ => Err(Error::new(Kind::State, "no")),
    };
    assert!(change(&mut *warehouse, &fails_midway, &[]).is_err());
    assert_eq!(values(&mut *warehouse, PIPELINE, "videos"), expected, "all or none");
    warehouse.close().unwrap();
    let (mut warehouse, stored) = opened(open, folder);
    assert_eq!(values(&mut *warehouse, PIPELINE, "videos"), expected);
    assert_eq!(stored.cursors.len(), 2);
    assert_eq!(stored.last_load_id.as_deref(), Some("load-1"), "a change by hand is no load");
    let ticket = warehouse.begin(spec("load-2", "videos", WriteDisposition::Append, &Catalog::default())).unwrap();
    warehouse.commit(ticket, commit(&[("videos", "", "later")], &Catalog::default())).unwrap();
    assert_eq!(values(&mut *warehouse, PIPELINE, "videos")[0].as_deref(), Some("later"));
}
