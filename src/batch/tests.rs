//! Records in, tables out: the decoder together with the catalog, because only together do they keep their promises.

use super::decode::{DecodeSpec, Decoder};
use super::nesting::KeepsNested;
use super::shape::{KeyPart, ShapeSpec};
use crate::error::{Kind, Result};
use crate::plan::model::{ColumnHint, FieldPath, Nested, Nesting, OnCursorMissing};
use crate::schema::ColumnType;
use crate::schema::catalog::{Catalog, Fitted, Table};
use crate::schema::reading::Reading;
use crate::schema::widen::value_text;
use arrow::array::{Array, ArrayRef, AsArray, new_null_array};
use arrow::compute::concat_batches;
use proptest::prelude::*;
use serde_json::{Value, json};
use std::collections::{BTreeMap, HashSet};

fn path(dotted: &str) -> FieldPath {
    FieldPath(dotted.split('.').map(str::to_owned).collect())
}

fn spec() -> DecodeSpec {
    DecodeSpec {
        shape: ShapeSpec::default(),
        id_from_content: false,
        on_cursor_missing: OnCursorMissing::Include,
        wants_contents: false,
    }
}

fn keyed(key: &str) -> DecodeSpec {
    let shape = ShapeSpec { key: vec![KeyPart::Field(path(key))], ..ShapeSpec::default() };
    DecodeSpec { shape, ..spec() }
}

/// A column of which only the type is known.
fn declared(name: &str, data_type: ColumnType) -> ColumnHint {
    ColumnHint { data_type: Some(data_type), ..hint(name) }
}

/// A column of which the file says nothing.
fn hint(name: &str) -> ColumnHint {
    ColumnHint {
        name: name.into(),
        data_type: None,
        reading: Reading::default(),
        nullable: true,
        parse_json: false,
        description: None,
    }
}

/// A resource whose nested values are kept as the file says.
fn nesting(nested: Nested, max_table_nesting: Option<u64>) -> DecodeSpec {
    let nesting = Nesting { nested, max_table_nesting };
    let keeps_nested = KeepsNested { nesting, ..KeepsNested::default() };
    let shape = ShapeSpec { keeps_nested, ..keyed("id").shape };
    DecodeSpec { shape, ..spec() }
}

/// All pages through one decoder, each fitted as it comes; the last state of each table with the rows of all pages.
struct Warehouse {
    catalog: Catalog,
    rows: BTreeMap<String, Vec<Vec<String>>>,
}

/// Rows as text by column name, after the columns' final types; ids left out. Widening is replayed on the stored batches.
fn load(spec: DecodeSpec, pages: &[String]) -> Result<Warehouse> {
    let mut decoder = Decoder::new(spec, &Catalog::default());
    let mut catalog = Catalog::default();
    let mut chunks = Vec::new();
    for page in pages {
        let decoded = decoder.decode(&[page.as_bytes()], &[])?;
        catalog.fit("t", &decoded.chunks, &HashSet::new())?;
        chunks.extend(decoded.chunks);
    }
    // Fitting everything again to the final catalog gives the rows as they would be after all widening.
    let fitted = catalog.fit("t", &chunks, &HashSet::new())?;
    let rows = fitted.iter().map(|f| (f.table.name.clone(), rows_of(f))).collect();
    Ok(Warehouse { catalog, rows })
}

fn rows_of(fitted: &Fitted) -> Vec<Vec<String>> {
    let batch = concat_batches(&fitted.batches[0].schema(), &fitted.batches).unwrap();
    let own = batch.num_columns() - fitted.table.columns.len();
    let mut rows: Vec<Vec<String>> = Vec::new();
    for row in 0..batch.num_rows() {
        let mut cells = Vec::new();
        for (at, column) in fitted.table.columns.iter().enumerate() {
            let array = batch.column(own + at);
            if array.is_valid(row) {
                let text = value_text(array, row, column.data_type(), Default::default());
                cells.push(format!("{}={text}", column.name));
            }
        }
        rows.push(cells);
    }
    rows
}

fn one(spec: DecodeSpec, page: Value) -> Warehouse {
    load(spec, &[page.to_string()]).unwrap()
}

fn types(w: &Warehouse, table: &str) -> Vec<String> {
    let t = w.catalog.tables.iter().find(|t| t.name == table).unwrap();
    t.columns.iter().map(|c| format!("{} {}", c.name, c.data_type())).collect()
}

#[test]
fn nested_objects_become_columns_and_lists_become_tables() {
    let w = one(
        keyed("id"),
        json!([
            {"id": "a", "viewer": {"name": "Zoë", "address": {"city": "Lyon"}}, "responses": [{"answer": "x"}, {"answer": "y"}]},
            {"id": "b", "viewer": null, "responses": []},
        ]),
    );
    assert_eq!(types(&w, "t"), ["id VARCHAR", "viewer__name VARCHAR", "viewer__address__city VARCHAR"]);
    assert_eq!(w.rows["t"], [vec!["id=a", "viewer__name=Zoë", "viewer__address__city=Lyon"], vec!["id=b"]]);
    assert_eq!(w.rows["t__responses"], [["answer=x"], ["answer=y"]]);
}

#[test]
fn lists_of_scalars_and_lists_of_lists_are_tables_too() {
    let w = one(keyed("id"), json!([{"id": 1, "tags": ["x", null, "z"], "grid": [[1, 2], [3]]}]));
    assert_eq!(w.rows["t__tags"], [vec!["value=x"], vec![], vec!["value=z"]]);
    assert_eq!(w.rows["t__grid"], [Vec::<String>::new(), vec![]]);
    assert_eq!(w.rows["t__grid__list"], [["value=1"], ["value=2"], ["value=3"]]);
}

#[test]
fn child_rows_know_their_parent_their_root_and_their_place() {
    let mut decoder = Decoder::new(keyed("id"), &Catalog::default());
    let page = json!([{"id": 1, "a": [{"b": [10, 11]}, {"b": [12]}]}]).to_string();
    let chunks = decoder.decode(&[page], &[]).unwrap().chunks;
    let [root, a, b] = &chunks[..] else { panic!("three tables") };
    let id = |array: &arrow::array::ArrayRef, row: usize| array.as_fixed_size_binary().value(row).to_vec();
    let (al, bl) = (a.lineage.as_ref().unwrap(), b.lineage.as_ref().unwrap());
    assert_eq!(id(&al.parent_ids, 1), id(&root.ids, 0));
    assert_eq!(id(&bl.parent_ids, 2), id(&a.ids, 1));
    assert_eq!(id(&bl.root_ids, 2), id(&root.ids, 0));
    let index = bl.list_index.as_primitive::<arrow::datatypes::Int64Type>().values().to_vec();
    assert_eq!(index, [0, 1, 0]);
    assert_eq!(root.ids.as_fixed_size_binary().value(0)[6] >> 4, 8, "a UUID of version 8");
}

#[test]
fn nested_values_are_kept_as_json_where_the_file_says_so() {
    let page = json!([
        {"id": 1, "o": {"x": {"y": 1.50}}, "l": [{"m": [1, [2]]}], "n": []},
        {"id": 2, "o": null, "l": 7, "n": {}},
    ]);
    let load = |nested, max| one(nesting(nested, max), page.clone());
    let w = load(Nested::Json, None);
    assert_eq!(types(&w, "t"), ["id BIGINT", "o JSON", "l JSON", "n JSON"]);
    assert_eq!(w.rows["t"][0], ["id=1", "o={\"x\":{\"y\":1.5}}", "l=[{\"m\":[1,[2]]}]", "n=[]"]);
    assert_eq!(w.rows["t"][1], ["id=2", "l=7", "n={}"]);
    let w = load(Nested::Tables, Some(0));
    assert_eq!(types(&w, "t"), ["id BIGINT", "o__x__y DOUBLE", "l JSON", "n JSON"]);
    assert_eq!(w.rows.len(), 1);
    let w = load(Nested::Tables, Some(1));
    assert_eq!(types(&w, "t__l"), ["m JSON"]);
    let w = load(Nested::Tables, Some(2));
    assert_eq!((w.rows["t__l__m"].len(), types(&w, "t__l__m")), (2, vec!["value JSON".to_owned()]));
    assert_eq!(w.rows["t__l__m"], [["value=1"], ["value=[2]"]]);
}

#[test]
fn scalars_of_a_json_column_are_numbers_and_booleans_or_all_text() {
    let column = |values: &[&str]| {
        let pages: Vec<String> =
            values.iter().enumerate().map(|(id, v)| format!("[{{\"id\":{id},\"v\":{v}}}]")).collect();
        let rows = load(nesting(Nested::Json, None), &pages).unwrap().rows.remove("t").unwrap();
        rows.into_iter().map(|row| row[1].trim_start_matches("v=").to_owned()).collect::<Vec<_>>()
    };
    assert_eq!(column(&["5", "true", "1e2", "[]"]), ["5", "true", "100", "[]"]);
    assert_eq!(column(&["[]", "5", "\"x\\\"y\"", "{}"]), ["[]", "\"5\"", "\"x\\\"y\"", "{}"]);
    let times = ["\"2024-01-01T00:00:00Z\"", "[1]", "\"2024-01-01T02:00:00+02:00\""];
    assert_eq!(column(&times), [times[0], times[1], "\"2024-01-01T00:00:00Z\""]);
}

#[test]
fn a_content_id_is_the_same_wherever_nested_values_go() {
    let record = r#"{"id":1,"o":{"b":[1.0,{"c":null,"d":"\u0041"}],"a":true,"secret":1},"l":[[1,2],[]]}"#;
    let id = |nested, max| {
        let keeps = nesting(nested, max);
        let shape = ShapeSpec { exclude: vec![path("o.secret")], ..keeps.shape };
        let spec = DecodeSpec { shape, id_from_content: true, ..spec() };
        let decoded = Decoder::new(spec, &Catalog::default()).decode(&[record], &[]).unwrap();
        decoded.chunks[0].ids.as_fixed_size_binary().value(0).to_vec()
    };
    let expected = id(Nested::Tables, None);
    for (nested, max) in [(Nested::Json, None), (Nested::Tables, Some(0)), (Nested::Tables, Some(1))] {
        assert_eq!(id(nested, max), expected, "{nested:?} {max:?}");
    }
}

#[test]
fn what_is_excluded_or_no_character_is_in_no_json() {
    let shape = ShapeSpec { exclude: vec![path("o.secret"), path("l.x")], ..nesting(Nested::Json, None).shape };
    let page = r#"[{"id":1,"o":{"secret":1,"y":"\ud800\u0041"},"l":[{"x":1,"z":2}],"d":{"secret":1}}]"#;
    let w = load(DecodeSpec { shape, ..spec() }, &[page.to_owned()]).unwrap();
    let json = ["o={\"y\":\"\u{fffd}A\"}", "l=[{\"z\":2}]", "d={\"secret\":1}"];
    assert_eq!(w.rows["t"][0][1..], json.map(str::to_owned));
}

#[test]
fn a_null_only_field_is_a_column_and_takes_its_type_later() {
    assert_eq!(
        types(&one(spec(), json!([{"a": null, "b": [], "c": {}}])), "t"),
        ["a VARCHAR", "b VARCHAR", "c VARCHAR"]
    );
    assert_eq!(types(&one(spec(), json!([{"a": null}, {"a": 3}])), "t"), ["a BIGINT"]);
    let w = load(spec(), &[json!([{"a": null}]).to_string(), json!([{"a": 3}]).to_string()]).unwrap();
    assert_eq!(types(&w, "t"), ["a BIGINT"]);
}

#[test]
fn a_field_of_several_shapes_keeps_all_its_places() {
    let w = one(keyed("id"), json!([{"id": 1, "f": 5}, {"id": 2, "f": {"x": 6}}, {"id": 3, "f": [7]}]));
    assert_eq!(w.rows["t"], [vec!["id=1", "f=5"], vec!["id=2", "f__x=6"], vec!["id=3"]]);
    assert_eq!(w.rows["t__f"], [["value=7"]]);
}

#[test]
fn names_that_collide_keep_both_values() {
    let w = one(spec(), json!([{"userId": 1, "user_id": 2, "UserID": 3}]));
    let names: Vec<_> = w.catalog.tables[0].columns.iter().map(|c| c.name.as_str()).collect();
    assert_eq!(names[0], "user_id");
    assert_eq!(names.iter().collect::<HashSet<_>>().len(), 3);
    assert_eq!(w.rows["t"][0].len(), 3);
}

#[test]
fn the_last_of_a_key_that_comes_twice_counts() {
    let page = r#"[{"a":1,"a":2},{"b":[1,2],"b":[3]},{"c":{"x":1},"c":{"y":2}},{"d":1,"d":null}]"#;
    let w = load(spec(), &[page.to_owned()]).unwrap();
    assert_eq!(w.rows["t"], [vec!["a=2"], vec![], vec!["c__y=2"], vec![]]);
    assert_eq!(w.rows["t__b"], [["value=3"]]);
}

#[test]
fn the_last_record_of_a_key_counts_with_its_child_rows() {
    let mut decoder = Decoder::new(keyed("id"), &Catalog::default());
    let page = json!([{"id": 1, "v": "old", "l": [1, 2]}, {"id": 2}, {"id": 1, "v": "new", "l": [3]}]).to_string();
    let decoded = decoder.decode(&[page], &[]).unwrap();
    assert_eq!(decoded.record_count, 3);
    assert_eq!(decoded.discarded["repeated_key"], 1);
    assert_eq!(decoded.chunks[0].row_count, 2);
    assert_eq!(decoded.chunks[1].row_count, 1);
}

#[test]
fn the_same_key_has_the_same_id_whatever_its_type() {
    let id = |record: &str| {
        let page = format!("[{record}]");
        let decoded = Decoder::new(keyed("id"), &Catalog::default()).decode(&[page], &[]).unwrap();
        decoded.chunks[0].ids.as_fixed_size_binary().value(0).to_vec()
    };
    assert_eq!(id(r#"{"id":5}"#), id(r#"{"id":"5","x":1}"#));
    assert_eq!(id(r#"{"id":5}"#), id(r#"{"id":5.0}"#));
    assert_ne!(id(r#"{"id":5}"#), id(r#"{"id":50}"#));
}

#[test]
fn a_content_id_ignores_key_order_nulls_and_number_spelling_and_nothing_else() {
    let id = |record: &str| {
        let spec = DecodeSpec { id_from_content: true, ..keyed("id") };
        let decoded = Decoder::new(spec, &Catalog::default()).decode(&[record], &[]).unwrap();
        decoded.chunks[0].ids.as_fixed_size_binary().value(0).to_vec()
    };
    let base = id(r#"{"id":1,"a":"x","l":[1,2]}"#);
    assert_eq!(base, id(r#"{ "l": [1.0, 2], "a": "x", "id": 1, "new": null }"#));
    for other in [
        r#"{"id":2,"a":"x","l":[1,2]}"#,
        r#"{"id":1,"a":"y","l":[1,2]}"#,
        r#"{"id":1,"a":"x","l":[2,1]}"#,
        r#"{"id":1,"a":"x","l":[1]}"#,
        r#"{"id":1,"b":"x","l":[1,2]}"#,
        r#"{"id":"1","a":"x","l":[1,2]}"#,
    ] {
        assert_ne!(base, id(other), "{other}");
    }
}

#[test]
fn broken_bodies_and_broken_rules_are_named_with_their_place() {
    let fail =
        |spec: DecodeSpec, page: &[u8]| Decoder::new(spec, &Catalog::default()).decode(&[page], &[]).unwrap_err();
    let e = fail(spec(), b"[{\"a\":1},{\"a\":}]");
    assert_eq!((e.kind(), e.context("at")), (Kind::Body, Some("record 2, byte 14: expected a value, found '}'")));
    assert_eq!(fail(spec(), b"[1,2").kind(), Kind::Body);
    assert_eq!(fail(spec(), b"[\"\xff\"]").context("at"), Some("byte 2"));
    assert_eq!(fail(spec(), "[".repeat(100_000).as_bytes()).kind(), Kind::Body);
    let e = fail(keyed("id"), b"[{\"id\":1},{\"id\":null}]");
    assert_eq!(e.kind(), Kind::Data);
    assert_eq!(e.message(), "the primary key `id` of a record is null or missing");
}

#[test]
fn a_page_that_fails_leaves_nothing_behind() {
    let mut decoder = Decoder::new(keyed("id"), &Catalog::default());
    decoder.decode(&["[{\"id\":1,\"l\":[1]},{\"id\":"], &[]).unwrap_err();
    let decoded = decoder.decode(&["[{\"id\":2,\"l\":[5,6]}]"], &[]).unwrap();
    assert_eq!(decoded.chunks.iter().map(|c| c.row_count).collect::<Vec<_>>(), [1, 2]);
}

#[test]
fn records_without_a_cursor_follow_the_rule() {
    let page = json!([{"id": 1, "at": "2024-01-01"}, {"id": 2, "at": null, "l": [1]}, {"id": 3}]).to_string();
    let run = |on_cursor_missing| {
        let shape = ShapeSpec { cursor: vec![path("at")], ..keyed("id").shape };
        let spec = DecodeSpec { shape, on_cursor_missing, ..spec() };
        Decoder::new(spec, &Catalog::default()).decode(&[page.as_str()], &[])
    };
    let included = run(OnCursorMissing::Include).unwrap();
    assert_eq!(included.cursors.iter().filter(|c| c.is_some()).count(), 1);
    assert_eq!(included.chunks[0].row_count, 3);
    let token = included.cursors[0].as_ref().unwrap();
    assert_eq!(&page[token.range.clone()], "\"2024-01-01\"");
    let excluded = run(OnCursorMissing::Exclude).unwrap();
    assert_eq!((excluded.chunks.len(), excluded.chunks[0].row_count, excluded.discarded["cursor_missing"]), (1, 1, 2));
    assert_eq!(run(OnCursorMissing::Raise).unwrap_err().kind(), Kind::Data);
}

#[test]
fn excluded_fields_leave_no_trace() {
    let shape = ShapeSpec { exclude: vec![path("secret"), path("v.email"), path("l.x")], ..ShapeSpec::default() };
    let w = one(
        DecodeSpec { shape, ..spec() },
        json!([{"id": 1, "secret": {"a": [1]}, "v": {"email": "e", "n": 1}, "l": [{"x": 1, "y": 2}]}]),
    );
    assert_eq!(w.rows["t"], [["id=1", "v__n=1"]]);
    assert_eq!(w.rows["t__l"], [["y=2"]]);
}

#[test]
fn declared_types_are_read_from_the_text() {
    let columns = vec![
        declared("price", ColumnType::Decimal(18, 4)),
        declared("code", ColumnType::Varchar),
        declared("at", ColumnType::Timestamp),
        declared("meta", ColumnType::Json),
    ];
    let shape = ShapeSpec { columns, ..ShapeSpec::default() };
    let decode = DecodeSpec { shape, ..spec() };
    let page =
        r#"[{"price":12345678901234.5678,"code":7,"at":"2024-01-01","meta":{"b": [1]}},{"price":"0.1","meta":"x"}]"#;
    let w = load(decode.clone(), &[page.to_owned()]).unwrap();
    assert_eq!(types(&w, "t"), ["price DECIMAL(18,4)", "code VARCHAR", "at TIMESTAMP", "meta JSON"]);
    assert_eq!(w.rows["t"][0], ["price=12345678901234.5678", "code=7", "at=2024-01-01", "meta={\"b\": [1]}"]);
    assert_eq!(w.rows["t"][1], ["price=0.1", "meta=\"x\""]);
    let e = load(decode, &["[{\"price\":0.12345}]".to_owned()]).err().unwrap();
    assert_eq!(e.message(), "a value of `price` is not a DECIMAL(18,4), as `columns` declares it");
}

#[test]
fn columns_from_the_parent_stand_in_every_row_and_count_in_the_key() {
    let shape =
        ShapeSpec { key: vec![KeyPart::Parent("videos_id".into()), KeyPart::Field(path("n"))], ..ShapeSpec::default() };
    let mut decoder = Decoder::new(DecodeSpec { shape, ..spec() }, &Catalog::default());
    let mut decode = |video: &str| {
        let parent = [("videos_id".to_owned(), json!(video)), ("videos_title".to_owned(), Value::Null)];
        decoder.decode(&["[{\"n\":1},{\"n\":2}]"], &parent).unwrap().chunks.remove(0)
    };
    let (a, b) = (decode("a"), decode("b"));
    assert_eq!(a.columns.len(), 3);
    assert_eq!(a.row_count, 2);
    assert_ne!(a.ids.to_data(), b.ids.to_data());
}

#[test]
fn widths_beyond_the_ordinary_are_no_trouble() {
    let record: serde_json::Map<String, Value> = (0..1000).map(|i| (format!("c{i}"), json!(i))).collect();
    let w = one(spec(), json!([record.clone(), record]));
    assert_eq!(w.catalog.tables[0].columns.len(), 1000);
    assert_eq!(w.rows["t"][1][999], "c999=999");
}

/// A JSON scalar of any kind the lattice knows, as its token.
fn scalar() -> impl Strategy<Value = String> {
    prop_oneof![
        3 => Just("null".to_owned()),
        1 => Just("true".to_owned()),
        3 => "-?[1-9][0-9]{0,40}",
        3 => "-?(0|[1-9][0-9]{0,20})\\.[0-9]{1,12}",
        1 => "[1-9](\\.[0-9])?e-?[1-9][0-9]{0,2}",
        2 => "\"20[0-9]{2}-0[1-9]-1[0-9]\"",
        2 => "\"2024-0[1-2]-1[0-9][T ](00:00:00|1[0-9]:30:00(\\.[0-9]{1,6})?)\"",
        2 => "\"2024-0[1-2]-1[0-9][T ]1[0-9]:30:00(\\.[0-9]{1,3})?(Z|\\+02:00)\"",
        1 => "\"[a-z]{0,3}\"",
    ]
}

fn value() -> impl Strategy<Value = String> {
    let leaf = scalar();
    leaf.prop_recursive(2, 6, 3, |inner| {
        prop_oneof![
            4 => inner.clone(),
            1 => proptest::collection::vec(inner.clone(), 0..3).prop_map(|v| format!("[{}]", v.join(","))),
            1 => ("[a-c]", inner).prop_map(|(k, v)| format!("{{\"{k}\":{v}}}")),
        ]
    })
}

fn record() -> impl Strategy<Value = String> {
    proptest::collection::btree_map("[x-z]", value(), 0..3).prop_map(|fields| {
        let fields: Vec<String> = fields.iter().map(|(k, v)| format!("\"{k}\":{v}")).collect();
        fields.join(",")
    })
}

/// A batch with its number of rows: one without columns still has rows.
type Counted = (usize, Vec<ArrayRef>);

/// Rows of each table as a warehouse has them in the end that keeps what it was given and converts it at each change.
fn stored(spec: DecodeSpec, pages: &[String]) -> BTreeMap<String, Vec<Vec<String>>> {
    let (mut decoder, mut catalog) = (Decoder::new(spec, &Catalog::default()), Catalog::default());
    let mut tables: BTreeMap<String, (Table, Vec<Counted>)> = BTreeMap::new();
    for page in pages {
        let chunks = decoder.decode(&[page.as_bytes()], &[]).unwrap().chunks;
        for part in catalog.fit("t", &chunks, &HashSet::new()).unwrap() {
            let (before, batches) = tables.entry(part.table.name.clone()).or_insert((part.table.clone(), Vec::new()));
            for (rows, batch) in batches.iter_mut() {
                let convert = |column: &crate::schema::catalog::Column| match before
                    .columns
                    .iter()
                    .position(|b| b.source == column.source)
                {
                    None => new_null_array(&column.data_type().arrow(), *rows),
                    Some(at) => match column.recast_since(&before.columns[at]) {
                        Some(recast) => recast.apply(&batch[at]).unwrap(),
                        None => batch[at].clone(),
                    },
                };
                *batch = part.table.columns.iter().map(convert).collect();
            }
            let own = part.batches[0].num_columns() - part.table.columns.len();
            batches.extend(part.batches.iter().map(|b| (b.num_rows(), b.columns()[own..].to_vec())));
            *before = part.table;
        }
    }
    let text = |(table, batches): (Table, Vec<Counted>)| {
        let mut rows = Vec::new();
        for (count, batch) in batches {
            for row in 0..count {
                let valid = table.columns.iter().zip(&batch).filter(|(_, array)| array.is_valid(row));
                let cell = |(column, array): (&crate::schema::catalog::Column, &ArrayRef)| {
                    format!("{}={}", column.name, value_text(array, row, column.data_type(), Default::default()))
                };
                rows.push(valid.map(cell).collect());
            }
        }
        (table.name, rows)
    };
    sorted(tables.into_values().filter(|(table, _)| !table.columns.is_empty()).map(text).collect())
}

/// Rows in an order that says nothing; tables without columns are left out.
fn sorted(tables: BTreeMap<String, Vec<Vec<String>>>) -> BTreeMap<String, Vec<Vec<String>>> {
    let sort = |(table, mut rows): (String, Vec<Vec<String>>)| {
        rows.sort();
        (table, rows)
    };
    tables.into_iter().map(sort).filter(|(_, rows)| rows.iter().any(|row| !row.is_empty())).collect()
}

/// Columns with their types, by table.
type Columns = BTreeMap<String, BTreeMap<String, String>>;

/// Rows of all tables with their ids, sorted, and the columns by name: what must not depend on order.
fn order_free(spec: DecodeSpec, pages: &[String]) -> (Columns, BTreeMap<String, Vec<Vec<String>>>) {
    let w = load(spec, pages).unwrap();
    let columns = w
        .catalog
        .tables
        .iter()
        .map(|t| (t.name.clone(), t.columns.iter().map(|c| (c.name.clone(), c.data_type().to_string())).collect()));
    let rows = w.rows.into_iter().map(|(t, mut rows)| {
        for row in &mut rows {
            row.sort();
        }
        rows.sort();
        (t, rows)
    });
    (columns.collect(), rows.collect())
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(400))]

    #[test]
    fn the_order_of_pages_and_rows_changes_nothing(
        records in proptest::collection::vec(record(), 1..7),
        seed in any::<u64>(),
        per_page in 1usize..4,
    ) {
        let records: Vec<String> = records.iter().enumerate()
            .map(|(i, r)| if r.is_empty() { format!("{{\"id\":{i}}}") } else { format!("{{\"id\":{i},{r}}}") })
            .collect();
        let pages = |records: &[String], n: usize| -> Vec<String> {
            records.chunks(n).map(|c| format!("[{}]", c.join(","))).collect()
        };
        let mut shuffled = records.clone();
        let mut state = seed | 1;
        for i in (1..shuffled.len()).rev() {
            state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1);
            shuffled.swap(i, (state >> 33) as usize % (i + 1));
        }
        for (nested, max) in [(Nested::Tables, None), (Nested::Tables, Some(0)), (Nested::Tables, Some(1)), (Nested::Json, None)] {
            let (spec, shuffled) = (|| nesting(nested, max), pages(&shuffled, per_page));
            prop_assert_eq!(order_free(spec(), &pages(&records, records.len())), order_free(spec(), &shuffled));
            prop_assert_eq!(stored(spec(), &shuffled), sorted(load(spec(), &shuffled).unwrap().rows));
        }
    }

    #[test]
    fn text_and_numbers_come_through_unchanged(tokens in proptest::collection::vec(scalar(), 1..8)) {
        let page = format!("[{}]", tokens.iter().map(|t| format!("{{\"v\":{t}}}")).collect::<Vec<_>>().join(","));
        let w = load(spec(), &[page]).unwrap();
        let rows = &w.rows["t"];
        prop_assert_eq!(rows.len(), tokens.len());
        for (row, token) in rows.iter().zip(&tokens) {
            let expected: Option<String> = match token.as_bytes()[0] {
                b'n' => None,
                b't' | b'f' => Some(token.clone()),
                b'"' => {
                    let text = token.trim_matches('"');
                    let seen = crate::schema::temporal::parse(text.as_bytes());
                    // A date or time may be written in its canonical form; it is the same instant then.
                    let canonical = seen.map_or_else(|| text.to_owned(), crate::schema::temporal::canonical);
                    let stored = row.first().map(|c| c.trim_start_matches("v=").to_owned());
                    let back = stored.as_deref().and_then(|s| crate::schema::temporal::parse(s.as_bytes()));
                    let back = back.map_or_else(|| stored.clone().unwrap_or_default(), crate::schema::temporal::canonical);
                    prop_assert_eq!(back, canonical);
                    continue;
                }
                _ => Some(crate::schema::number::Decimal::parse(token.as_bytes()).unwrap().canonical()),
            };
            prop_assert_eq!(row.first().cloned(), expected.map(|e| format!("v={e}")));
        }
    }
}

/// Texts after JSONTestSuite (https://github.com/nst/JSONTestSuite): what RFC 8259 accepts, each as the one element of a page.
const ACCEPTED: &[&str] = &[
    "{\"\":0}",
    "{\"a\":\"b\",\"a\":\"c\"}",
    "{\"foo\\u0000bar\":42}",
    "[[]   ]",
    "[1,null,null,null,2]",
    "123456789012345678901234567890",
    "-0",
    "0e+1",
    "1E22",
    "1.5e+9999",
    "-1e-9999",
    "0.0000000000000000000000000000000000000000000000000000000000001",
    "\"\\u0060\\u012a\\u12AB\"",
    "\"\\uD801\\udc37\"",
    "\"\\u0000\"",
    "\"\\uD800\"",
    "\"\\uDd1e\\uD834\"",
    "\"\u{7f}\u{2028}\u{10ffff}\"",
    "\"/ & \\/\"",
    " [1] ",
    "\t\n\r1",
];

/// What RFC 8259 rejects.
const REJECTED: &[&str] = &[
    "[1,]",
    "[1 true]",
    "[1,,2]",
    "[,1]",
    "[\"a\"",
    "[1]]",
    "{\"a\":1,}",
    "{a:1}",
    "{'a':1}",
    "{\"a\" 1}",
    "{\"a\":}",
    "{1:1}",
    "{\"a\":1 \"b\":2}",
    "01",
    "-01",
    "+1",
    ".5",
    "1.",
    "1e",
    "1e+",
    "0x1",
    "1_000",
    "-",
    "--1",
    "NaN",
    "Infinity",
    "-Infinity",
    "True",
    "nul",
    "\"\t\"",
    "\"\n\"",
    "\"\\x41\"",
    "\"\\u00A\"",
    "\"\\uZZZZ\"",
    "\"\\\"",
    "\"a",
    "'a'",
    "// c\n1",
    "/* c */ 1",
    "1 // c",
    "\u{feff}1",
    "\u{a0}1",
    "",
];

#[test]
fn json_is_what_rfc_8259_says_it_is() {
    let decode = |text: &str| {
        let page = format!("[{{\"v\":{text}}}]");
        Decoder::new(spec(), &Catalog::default()).decode(&[page], &[]).map(|decoded| decoded.record_count)
    };
    for text in ACCEPTED {
        assert_eq!(decode(text).ok(), Some(1), "{text}");
    }
    for text in REJECTED {
        let error = decode(text).expect_err(text);
        assert_eq!(error.kind(), Kind::Body, "{text}");
    }
    for depth in [100, 200, 100_000] {
        let bomb = format!("{}{}", "[".repeat(depth), "]".repeat(depth));
        assert_eq!(decode(&bomb).is_ok(), depth == 100, "{depth}");
    }
}

#[test]
fn text_that_is_json_unfolds_like_the_rest_of_the_record() {
    let columns =
        vec![ColumnHint { parse_json: true, ..hint("m") }, ColumnHint { parse_json: true, ..hint("m__deep") }];
    let shape = ShapeSpec { columns, key: vec![KeyPart::Field(path("m.id"))], ..ShapeSpec::default() };
    let rows = json!([
        {"m": "{\"id\": 1, \"deep\": \"[\\\"x\\\"]\", \"n\": 1.50}"},
        {"m": {"id": 2, "deep": "\"y\"", "n": 2}},
    ]);
    let w = load(DecodeSpec { shape, ..spec() }, &[rows.to_string()]).unwrap();
    assert_eq!(w.rows["t"], [vec!["m__id=1", "m__n=1.5"], vec!["m__id=2", "m__n=2", "m__deep=y"]]);
    assert_eq!(w.rows["t__m__deep"], [["value=x"]]);
}
