//! What was left out of the rows shows with the load, or not at all.

use super::{Opener, commit, opened, spec, videos, videos_part};
use crate::batch::contract::{Discarded, Extent};
use crate::load::{Destination, ListQuery};
use crate::plan::model::WriteDisposition;
use crate::schema::catalog::Catalog;
use chrono::DateTime;
use serde_json::{Value, json};
use std::path::Path;

fn left_out(value: &str) -> Discarded {
    Discarded {
        extent: Extent::Value,
        rule: "new_column",
        table: "videos".to_owned(),
        column: Some("extra".to_owned()),
        value: Some(value.to_owned()),
        record: None,
        record_id: Some(0x0102_0304_0506_0708_090a_0b0c_0d0e_0f10),
    }
}

fn shown(warehouse: &mut dyn Destination) -> Vec<Vec<Value>> {
    let sql = "SELECT load_id, CAST(value AS VARCHAR) AS v, record_id FROM _pintail_discarded ORDER BY ALL";
    let query = ListQuery { dataset: "shop_data".to_owned(), sql: sql.to_owned(), folder: ".".into() };
    let list = warehouse.open_list(&query).unwrap();
    warehouse.list_page(list.number, 0, 100).unwrap()
}

pub(crate) fn what_was_left_out_shows_with_the_commit(open: Opener, folder: &Path) {
    let at = DateTime::UNIX_EPOCH;
    let row = |load: &str, value: &str| vec![json!(load), json!(value), json!("01020304-0506-0708-090a-0b0c0d0e0f10")];
    let (mut warehouse, _) = opened(open, folder);
    let first = warehouse.begin(spec("l1", "videos", WriteDisposition::Append, &Catalog::default())).unwrap();
    warehouse.write(&first, videos_part(true, &[(1, "a")], &[])).unwrap();
    warehouse.keep_discarded(&first, &[left_out("1"), left_out("{\"a\": \"ü\"}")], at).unwrap();
    warehouse.keep_discarded(&first, &[left_out("2")], at).unwrap();
    assert!(shown(&mut *warehouse).is_empty(), "before the commit");
    warehouse.commit(first, commit(&[], &videos())).unwrap();
    let expected = vec![row("l1", "1"), row("l1", "2"), row("l1", "{\"a\": \"ü\"}")];
    assert_eq!(shown(&mut *warehouse), expected);

    let aborted = warehouse.begin(spec("l2", "videos", WriteDisposition::Append, &videos())).unwrap();
    warehouse.keep_discarded(&aborted, &[left_out("3")], at).unwrap();
    warehouse.abort(aborted).unwrap();
    assert_eq!(shown(&mut *warehouse), expected);

    // A load may have nothing else.
    let last = warehouse.begin(spec("l3", "videos", WriteDisposition::Replace, &videos())).unwrap();
    warehouse.keep_discarded(&last, &[left_out("4")], at).unwrap();
    warehouse.commit(last, commit(&[], &videos())).unwrap();
    warehouse.close().unwrap();
    let (mut warehouse, _) = opened(open, folder);
    assert_eq!(shown(&mut *warehouse), [expected, vec![row("l3", "4")]].concat());
}
