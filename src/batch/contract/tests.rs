//! Records held against a contract: what is kept, what is not, and that order decides nothing.

use super::{Contract, Discarded, Extent};
use crate::batch::Decoded;
use crate::batch::decode::{DecodeSpec, Decoder};
use crate::batch::shape::{KeyPart, ShapeSpec};
use crate::error::Result;
use crate::plan::model::{ColumnHint, ContractMode, FieldPath, OnCursorMissing, SchemaContract};
use crate::schema::ColumnType;
use crate::schema::catalog::Catalog;
use crate::schema::reading::Reading;
use crate::schema::widen::value_text;
use arrow::array::{Array, AsArray};
use arrow::datatypes::Int64Type;
use proptest::prelude::*;
use std::collections::{BTreeMap, HashSet};

use ContractMode::{DiscardRow, DiscardValue, Evolve, Freeze};

/// The tables that every test begins with.
const BEFORE: &str =
    r#"[{"id":1,"at":1,"n":1,"r":0.5,"s":"x","o":{"a":true},"none":null,"l":[{"v":1,"w":[1]}],"g":"2026-01-02"}]"#;

fn path(dotted: &str) -> FieldPath {
    FieldPath(dotted.split('.').map(str::to_owned).collect())
}

fn spec(modes: SchemaContract) -> DecodeSpec {
    let contract = Contract { table: "t".into(), modes, needed: vec![path("g")] };
    DecodeSpec {
        shape: ShapeSpec { key: vec![KeyPart::Field(path("id"))], contract, ..ShapeSpec::default() },
        id_from_content: false,
        on_cursor_missing: OnCursorMissing::Include,
        wants_contents: false,
    }
}

fn modes(tables: ContractMode, columns: ContractMode, data_type: ContractMode) -> SchemaContract {
    SchemaContract { tables, columns, data_type }
}

fn before() -> Catalog {
    let mut catalog = Catalog::default();
    let decoded = Decoder::new(spec(SchemaContract::default()), &catalog).decode(&[BEFORE], &[]).unwrap();
    catalog.fit("t", &decoded.chunks, &HashSet::new()).unwrap();
    catalog
}

fn decode(spec: DecodeSpec, catalog: &Catalog, page: &str) -> Result<Decoded> {
    Decoder::new(spec, catalog).decode(&[page], &[])
}

/// What was kept out, each as one text.
fn kept_out(discarded: &[Discarded]) -> Vec<String> {
    let text = |d: &Discarded| {
        let column = d.column.as_ref().map_or_else(String::new, |c| format!(".{c}"));
        let extent = match d.extent {
            Extent::List(rows) => format!("list of {rows}"),
            other => other.name().to_owned(),
        };
        let record = d.record.as_ref().map_or_else(String::new, |r| format!(" of {r}"));
        format!("{}{column}: {} {extent} {}{record}", d.table, d.rule, d.value.as_deref().unwrap_or("-"))
    };
    discarded.iter().map(text).collect()
}

/// Rows and data columns of each table of a page.
fn shape_of(decoded: &Decoded) -> Vec<(usize, usize)> {
    decoded.chunks.iter().map(|chunk| (chunk.row_count, chunk.columns.len())).collect()
}

#[test]
fn values_without_a_place_are_left_out_and_noted() {
    let all = SchemaContract::all(DiscardValue);
    for (record, expected) in [
        (r#"{"id":2,"n":5,"s":"y","o":{"a":false},"l":[{"v":2,"w":[]}]}"#, &[][..]),
        // Nothing that would be lost.
        (r#"{"id":2,"new":null,"m":[],"e":{},"o":{"b":null},"l":[{"x":null}]}"#, &[]),
        // A column that was always null has no type yet.
        (r#"{"id":2,"none":[]}"#, &[]),
        (r#"{"id":2,"none":7}"#, &[]),
        (r#"{"id":2,"new":"x"}"#, &["t.new: new_column value \"x\""]),
        (r#"{"id":2,"new":{"b":1,"c":null}}"#, &["t.new__b: new_column value 1"]),
        (r#"{"id":2,"o":5}"#, &["t.o: new_column value 5"]),
        (r#"{"id":2,"n":[1,2]}"#, &["t__n: new_table list of 2 [1,2]"]),
        (r#"{"id":2,"n":1.5}"#, &["t.n: data_type value 1.5"]),
        (r#"{"id":2,"n":9223372036854775808}"#, &["t.n: data_type value 9223372036854775808"]),
        (r#"{"id":2,"n":true}"#, &["t.n: data_type value true"]),
        (r#"{"id":2,"r":9007199254740993}"#, &["t.r: data_type value 9007199254740993"]),
        (r#"{"id":2,"r":7}"#, &[]),
        (r#"{"id":2,"s":7}"#, &[]),
        (r#"{"id":2,"o":{"a":"yes"}}"#, &["t.o__a: data_type value \"yes\""]),
        (
            r#"{"id":2,"l":[{"v":"x"},{"v":3,"u":[{"y":1}]}]}"#,
            &["t__l.v: data_type value \"x\"", "t__l__u: new_table list of 1 [{\"y\":1}]"],
        ),
    ] {
        let decoded = decode(spec(all), &before(), &format!("[{record}]")).unwrap();
        assert_eq!(kept_out(&decoded.kept_out), expected, "{record}");
        assert_eq!(decoded.chunks[0].row_count, 1, "{record}");
        assert!(decoded.discarded.is_empty(), "{record}");
    }
}

#[test]
fn a_discarded_value_counts_as_null_in_the_id_of_its_record() {
    let by_content = DecodeSpec { id_from_content: true, ..spec(SchemaContract::all(DiscardValue)) };
    let id = |record: &str| {
        let decoded = decode(by_content.clone(), &before(), &format!("[{record}]")).unwrap();
        decoded.chunks[0].ids.as_fixed_size_binary().value(0).to_vec()
    };
    let plain = id(r#"{"id":2,"l":[{"v":1}]}"#);
    assert_eq!(id(r#"{"id":2,"new":7,"n":"x","m":[1],"l":[{"v":1,"x":{"y":1}}]}"#), plain);
    assert_ne!(id(r#"{"id":2,"n":7,"l":[{"v":1}]}"#), plain);
}

#[test]
fn rows_go_with_what_is_nested_in_them_and_teach_nothing() {
    let rows = modes(Evolve, DiscardRow, DiscardRow);
    for (page, expected, shape) in [
        (
            r#"[{"id":2,"n":"x","m":[1],"l":[{"v":2}]}, {"id":3}]"#,
            &[r#"t.n: data_type record "x" of {"id":2,"n":"x","m":[1],"l":[{"v":2}]}"#][..],
            &[(1, 1)][..],
        ),
        // Places in the list stay, and the record too.
        (
            r#"[{"id":2,"l":[{"v":1},{"v":2,"x":[1]},{"v":"y","w":[1,2],"x":[3]},{"v":3,"w":[4]}]}]"#,
            &[r#"t__l.v: data_type row "y" of {"v":"y","w":[1,2],"x":[3]}"#],
            &[(1, 1), (3, 1), (1, 1), (1, 1)],
        ),
        (r#"[{"id":2,"new":1,"n":"x"}]"#, &[r#"t.new: new_column record 1 of {"id":2,"new":1,"n":"x"}"#], &[]),
    ] {
        let decoded = decode(spec(rows), &before(), page).unwrap();
        assert_eq!(kept_out(&decoded.kept_out), expected, "{page}");
        assert_eq!(shape_of(&decoded), shape, "{page}");
    }
    let page = r#"[{"id":2,"l":[{"v":"a"},{"v":7},{"v":8,"x":1},{"v":9}]}]"#;
    let decoded = decode(spec(rows), &before(), page).unwrap();
    let index = decoded.chunks[1].lineage.as_ref().unwrap().list_index.as_primitive::<Int64Type>();
    assert_eq!(index.values(), &[1, 3]);
}

#[test]
fn a_list_without_a_table_goes_alone() {
    for mode in [DiscardRow, DiscardValue] {
        let page = r#"[{"id":2,"m":[{"a":1},{"a":2}],"l":[{"v":1}]}]"#;
        let decoded = decode(spec(modes(mode, Evolve, Evolve)), &before(), page).unwrap();
        assert_eq!(kept_out(&decoded.kept_out), [r#"t__m: new_table list of 2 [{"a":1},{"a":2}]"#]);
        assert_eq!(shape_of(&decoded), [(1, 1), (1, 1)]);
        assert_eq!(decoded.kept_out[0].counted(), Some(("t__m".to_owned(), 2)));
    }
}

#[test]
fn what_is_forbidden_is_named() {
    for (record, parts) in [
        (r#"{"id":2,"new":{"b":"x"}}"#, ["`t` would get a new column, `new__b`", "columns = \"freeze\"", "\"x\""]),
        (r#"{"id":2,"m":[[1]]}"#, ["a list would become a new table, `t__m`", "tables = \"freeze\"", "[[1]]"]),
        (r#"{"id":2,"l":[{"v":0.5}]}"#, ["a value of `t__l.v` is no BIGINT", "data_type = \"freeze\"", "0.5"]),
    ] {
        let page = format!("[{{\"id\":1}},{record}]");
        let error = decode(spec(SchemaContract::all(Freeze)), &before(), &page).err().unwrap().report();
        for part in parts.iter().chain(&["at: record 2", record, "hint"]) {
            assert!(error.contains(part), "{part}\n{error}");
        }
    }
}

#[test]
fn no_record_is_kept_without_what_decides_which_rows_stay() {
    let page = r#"[{"id":2,"g":"soon"},{"id":{"x":1},"g":null}]"#;
    let decoded = decode(spec(SchemaContract::all(DiscardValue)), &before(), "[{\"id\":2,\"g\":\"soon\"}]").unwrap();
    assert_eq!(kept_out(&decoded.kept_out), [r#"t.g: data_type record "soon" of {"id":2,"g":"soon"}"#]);
    assert_eq!(decoded.discarded["data_type"], 1);
    // Without its key a record is wrong, whatever the contract says.
    assert!(decode(spec(SchemaContract::all(DiscardValue)), &before(), page).is_err());
}

#[test]
fn a_first_load_makes_the_schema_unless_columns_declare_it() {
    let page = r#"[{"id":1,"a":1,"l":[1]},{"id":2,"a":"x","b":2}]"#;
    let evolved = decode(spec(SchemaContract::all(Freeze)), &Catalog::default(), page).unwrap();
    assert_eq!(shape_of(&evolved), [(2, 3), (1, 1)]);
    let column = |name: &str, data_type| ColumnHint {
        name: name.into(),
        data_type,
        reading: Reading::default(),
        nullable: true,
        parse_json: false,
        description: None,
    };
    let mut declared = spec(SchemaContract::all(DiscardValue));
    declared.shape.columns = vec![column("a", Some(ColumnType::BigInt)), column("c", None)];
    let page = r#"[{"id":1,"a":1,"c":5,"l":[1]},{"id":2,"a":"x","b":2,"c":6}]"#;
    let decoded = decode(declared, &Catalog::default(), page).unwrap();
    assert_eq!(kept_out(&decoded.kept_out), ["t.a: data_type value \"x\"", "t.b: new_column value 2"]);
    assert_eq!(shape_of(&decoded), [(2, 3), (1, 1)]);
}

#[test]
fn a_cursor_counts_although_its_record_is_left_out() {
    let mut by_cursor = spec(SchemaContract::all(DiscardRow));
    by_cursor.shape.cursor = vec![path("at")];
    by_cursor.on_cursor_missing = OnCursorMissing::Raise;
    by_cursor.wants_contents = true;
    let page = r#"[{"id":2,"at":5},{"id":3,"at":6,"new":1},{"id":4,"new":1},{"id":5,"at":7}]"#;
    let decoded = decode(by_cursor, &before(), page).unwrap();
    let cursors: Vec<&str> = decoded.cursors.iter().flatten().map(|token| &page[token.range.clone()]).collect();
    assert_eq!((cursors, decoded.rows), (vec!["5", "6", "7"], vec![Some(0), None, Some(1)]));
    assert_eq!((decoded.skipped, decoded.contents.len()), (vec![2], 3));
    assert_eq!((decoded.record_count, decoded.discarded["new_column"]), (4, 2));
}

#[test]
fn the_contract_is_not_about_records_that_the_filter_leaves_out() {
    let page = r#"[{"id":2,"new":1,"draft":true},{"id":3},{"id":4,"n":"x","draft":true}]"#;
    for mode in [Freeze, DiscardRow, DiscardValue] {
        let is_draft = |record: &[u8]| Ok(String::from_utf8_lossy(record).contains("draft"));
        let mut decoder = Decoder::new(spec(SchemaContract::all(mode)), &before());
        let decoded = decoder.decode_but(&[page], &[], Some(&is_draft)).unwrap();
        assert_eq!(decoded.discarded, BTreeMap::from([("filtered", 2)]), "{mode:?}");
        assert_eq!((decoded.kept_out, decoded.rows), (vec![], vec![None, Some(0), None]), "{mode:?}");
    }
}

#[test]
fn excluded_fields_are_not_noted_either() {
    let mut excluding = spec(SchemaContract::all(DiscardRow));
    excluding.shape.exclude = vec![path("secret"), path("l.secret"), path("m.secret")];
    let page = r#"[{"id":2,"secret":"s","new":1},{"id":3,"l":[{"secret":"s","v":"x"}],"m":[{"secret":"s"}]}]"#;
    let decoded = decode(excluding, &before(), page).unwrap();
    assert_eq!(decoded.kept_out.len(), 3);
    assert!(!format!("{:?}", decoded.kept_out).contains("secret"), "{:?}", decoded.kept_out);
}

fn scalar() -> impl Strategy<Value = String> {
    prop_oneof![
        Just("null".to_owned()),
        Just("true".to_owned()),
        (-3i64..3).prop_map(|n| n.to_string()),
        Just("9007199254740993".to_owned()),
        Just("99999999999999999999".to_owned()),
        Just("0.25".to_owned()),
        Just("\"2026-01-02\"".to_owned()),
        Just("\"2026-01-02T03:04:05\"".to_owned()),
        Just("\"word\"".to_owned()),
    ]
}

fn value() -> impl Strategy<Value = String> {
    scalar().prop_recursive(3, 12, 3, |inner| {
        prop_oneof![
            3 => inner.clone(),
            1 => proptest::collection::vec(inner.clone(), 0..3).prop_map(|v| format!("[{}]", v.join(","))),
            2 => ("[avwxy]", inner).prop_map(|(k, v)| format!("{{\"{k}\":{v}}}")),
        ]
    })
}

fn records() -> impl Strategy<Value = Vec<String>> {
    let fields = proptest::collection::btree_map("[nrsolmg]|none|new", value(), 0..4);
    proptest::collection::vec(fields, 1..7).prop_map(|records| {
        let record = |(id, fields): (usize, BTreeMap<String, String>)| {
            let fields: String = fields.iter().map(|(k, v)| format!(",\"{k}\":{v}")).collect();
            format!("{{\"id\":{}{fields}}}", id + 10)
        };
        records.into_iter().enumerate().map(record).collect()
    })
}

fn mode() -> impl Strategy<Value = ContractMode> {
    prop_oneof![Just(Evolve), Just(Freeze), Just(DiscardRow), Just(DiscardValue)]
}

/// What a load comes to, whatever the order: columns, rows, what was kept out, counts. None: it was forbidden.
type Load = Option<(BTreeMap<String, BTreeMap<String, String>>, Vec<String>, Vec<String>, BTreeMap<&'static str, u64>)>;

fn load(modes: SchemaContract, before: &Catalog, pages: &[String]) -> Load {
    let mut decoder = Decoder::new(spec(modes), before);
    let (mut catalog, mut chunks) = (before.clone(), Vec::new());
    let (mut notes, mut counts, mut received) = (Vec::new(), BTreeMap::new(), 0);
    for page in pages {
        let decoded = decoder.decode(&[page], &[]).ok()?;
        catalog.fit("t", &decoded.chunks, &HashSet::new()).unwrap();
        chunks.extend(decoded.chunks);
        notes.extend(decoded.kept_out);
        received += decoded.record_count;
        decoded.discarded.into_iter().for_each(|(rule, n)| *counts.entry(rule).or_default() += n);
    }
    let fitted = catalog.fit("t", &chunks, &HashSet::new()).unwrap();
    let mut rows = Vec::new();
    let mut stored = 0;
    for part in &fitted {
        for batch in &part.batches {
            stored += if part.table.is_root() { batch.num_rows() as u64 } else { 0 };
            let own = batch.num_columns() - part.table.columns.len();
            for row in 0..batch.num_rows() {
                let id = format!("{:?}", batch.column(0).as_fixed_size_binary().value(row));
                let cell = |at: usize| {
                    let (column, array) = (&part.table.columns[at], batch.column(own + at));
                    let text = || value_text(array, row, column.data_type(), column.observed.text_form());
                    array.is_valid(row).then(|| format!("{}={}", column.name, text()))
                };
                let mut cells: Vec<String> = (0..part.table.columns.len()).filter_map(cell).collect();
                cells.sort();
                rows.push(format!("{} {id} {cells:?}", part.table.name));
            }
        }
    }
    assert_eq!(received, stored + counts.values().sum::<u64>(), "the books balance");
    rows.sort();
    let mut notes = kept_out(&notes);
    notes.sort();
    let columns = |table: &crate::schema::catalog::Table| {
        table.columns.iter().map(|c| (c.name.clone(), c.data_type().to_string())).collect()
    };
    Some((catalog.tables.iter().map(|t| (t.name.clone(), columns(t))).collect(), rows, notes, counts))
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(400))]

    #[test]
    fn neither_order_nor_paging_changes_what_a_contract_keeps(
        records in records(),
        (tables, columns, data_type) in (mode(), mode(), mode()),
        turn in 0usize..7,
        per_page in 1usize..4,
    ) {
        let modes = modes(tables, columns, data_type);
        let pages = |records: &[String], n: usize| -> Vec<String> {
            records.chunks(n).map(|c| format!("[{}]", c.join(","))).collect()
        };
        let mut turned = records.clone();
        turned.rotate_left(turn % records.len());
        turned.reverse();
        let before = before();
        let at_once = load(modes, &before, &pages(&records, records.len()));
        prop_assert_eq!(&at_once, &load(modes, &before, &pages(&turned, per_page)));
        let Some((after, ..)) = at_once else { return Ok(()) };
        for table in &before.tables {
            for column in table.columns.iter().filter(|c| !c.observed.is_null()) {
                let now = after[&table.name][&column.name].clone();
                prop_assert!(data_type == Evolve || now == column.data_type().to_string(), "{} is {now}", column.name);
            }
            prop_assert!(columns == Evolve || after[&table.name].len() <= table.columns.len());
        }
        prop_assert!(tables == Evolve || after.len() == before.tables.len());
    }
}
