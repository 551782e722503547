//! Types, and how they change.

use super::*;

pub(crate) fn every_type_comes_back_as_it_went_in(open: Opener, folder: &Path) {
    use ColumnType as T;
    let nines = 10i128.pow(38) - 1;
    let cases: Vec<(T, ArrayRef, [Value; 3])> = vec![
        (
            T::Boolean,
            Arc::new(BooleanArray::from(vec![Some(true), Some(false), None])),
            [json!(true), json!(false), Value::Null],
        ),
        (
            T::BigInt,
            Arc::new(Int64Array::from(vec![Some(i64::MIN), Some(i64::MAX), None])),
            [json!(i64::MIN), json!(i64::MAX), Value::Null],
        ),
        (
            T::HugeInt,
            decimals(vec![Some(-nines), Some(7), None], 38, 0),
            [json!((-nines).to_string()), json!(7), Value::Null],
        ),
        (
            T::Double,
            Arc::new(Float64Array::from(vec![Some(0.1), Some(-1e300), None])),
            [json!(0.1), json!(-1e300), Value::Null],
        ),
        (
            T::Decimal(18, 4),
            decimals(vec![Some(12345), Some(-1), None], 18, 4),
            [json!("1.2345"), json!("-0.0001"), Value::Null],
        ),
        (
            T::Date,
            Arc::new(Date32Array::from(vec![Some(-1), Some(20_000), None])),
            [json!("1969-12-31"), json!("2024-10-04"), Value::Null],
        ),
        (
            T::Timestamp,
            Arc::new(TimestampMicrosecondArray::from(vec![Some(1_700_000_000_000_001), Some(3_600_000_000), None])),
            [json!("2023-11-14T22:13:20.000001"), json!("1970-01-01T01:00:00"), Value::Null],
        ),
        (
            T::TimestampTz,
            tz(vec![Some(1_700_000_000_500_000), Some(-1), None]),
            [json!("2023-11-14T22:13:20.5Z"), json!("1969-12-31T23:59:59.999999Z"), Value::Null],
        ),
        (
            T::Varchar,
            Arc::new(StringArray::from(vec![Some("it's \"é\"\n\u{0}!"), Some(""), None])),
            [json!("it's \"é\"\n\u{0}!"), json!(""), Value::Null],
        ),
        (
            T::Json,
            Arc::new(StringArray::from(vec![Some("{\"a\": [1, 2]}"), Some("null"), None])),
            [json!("{\"a\": [1, 2]}"), json!("null"), Value::Null],
        ),
    ];
    let names: Vec<String> = (0..cases.len()).map(|i| format!("column {i} \"quoted\"")).collect();
    let columns: Vec<(&str, T)> = names.iter().map(String::as_str).zip(cases.iter().map(|c| c.0)).collect();
    let things = table("things", &[], &columns);
    let catalog = Catalog { tables: vec![things.clone()] };
    let batch = root_rows(&things, &[1, 2, 3], cases.iter().map(|c| Arc::clone(&c.1)).collect());
    let part = Fitted { table: things, changes: vec![Change::CreateTable], batches: vec![batch] };

    let (mut warehouse, _) = opened(open, folder);
    let append = spec("load-1", "things", WriteDisposition::Append, &Catalog::default());
    assert_eq!(load(&mut *warehouse, append, vec![vec![part]], &catalog), [[3]]);
    warehouse.close().unwrap();

    let (mut warehouse, _) = opened(open, folder);
    let names: Vec<&str> = names.iter().map(String::as_str).collect();
    let found = rows(&mut *warehouse, "things", &names);
    for (row, id) in [1, 2, 3].into_iter().enumerate() {
        assert_eq!(found[row].0, id);
        for (column, (data_type, _, expected)) in cases.iter().enumerate() {
            assert_eq!(found[row].1[column], expected[row], "{data_type}, row {row}");
        }
    }
}

pub(crate) fn an_added_column_is_null_in_old_rows(open: Opener, folder: &Path) {
    let (mut warehouse, _) = opened(open, folder);
    let before = numbers("things", ColumnType::BigInt);
    let create = numbers_part(&before, vec![Change::CreateTable], &[1], integers(&[1]));
    load(
        &mut *warehouse,
        spec("load-1", "things", WriteDisposition::Append, &Catalog::default()),
        vec![create],
        &before,
    );

    let wide =
        table("things", &[], &[("n", ColumnType::BigInt), ("j", ColumnType::Json), ("t", ColumnType::TimestampTz)]);
    let after = Catalog { tables: vec![wide.clone()] };
    let add = |column: &str, to| Change::AddColumn { column: column.into(), to };
    let changes = vec![add("j", ColumnType::Json), add("t", ColumnType::TimestampTz)];
    let batch = root_rows(&wide, &[3], vec![integers(&[3]), texts(&["[1]"]), tz(vec![Some(0)])]);
    let writes = vec![
        numbers_part(&before, vec![], &[2], integers(&[2])),
        vec![Fitted { table: wide, changes, batches: vec![batch] }],
    ];
    load(&mut *warehouse, spec("load-2", "things", WriteDisposition::Append, &before), writes, &after);
    let nulls = |n: i64| vec![json!(n), Value::Null, Value::Null];
    let last = vec![json!(3), json!("[1]"), json!("1970-01-01T00:00:00Z")];
    assert_eq!(rows(&mut *warehouse, "things", &["n", "j", "t"]), [(1, nulls(1)), (2, nulls(2)), (3, last)]);
}

pub(crate) fn a_dropped_column_is_gone(open: Opener, folder: &Path) {
    let (mut warehouse, _) = opened(open, folder);
    let two = table("things", &[], &[("n", ColumnType::BigInt), ("gone", ColumnType::Varchar)]);
    let before = Catalog { tables: vec![two.clone()] };
    let rows_with = |id, n| root_rows(&two, &[id], vec![integers(&[n]), Arc::new(StringArray::new_null(1))]);
    let part = |changes, batch| vec![Fitted { table: two.clone(), changes, batches: vec![batch] }];
    let create = part(vec![Change::CreateTable], rows_with(1, 1));
    load(
        &mut *warehouse,
        spec("load-1", "things", WriteDisposition::Append, &Catalog::default()),
        vec![create],
        &before,
    );
    let after = numbers("things", ColumnType::BigInt);
    let drop = Change::DropColumn { column: "gone".into() };
    let writes = vec![part(vec![], rows_with(2, 2)), numbers_part(&after, vec![drop], &[3], integers(&[3]))];
    load(&mut *warehouse, spec("load-2", "things", WriteDisposition::Append, &before), writes, &after);
    let kept = [1, 2, 3].map(|n| (n as RowId, vec![json!(n), Value::Null]));
    assert_eq!(rows(&mut *warehouse, "things", &["n", "gone"]), kept);
}

/// Values of every type that widens, with the types that it widens to.
pub(crate) fn widenings() -> Vec<(ColumnType, ArrayRef, Vec<ColumnType>)> {
    use ColumnType as T;
    let decimal = T::Decimal(38, 9);
    vec![
        (
            T::Varchar,
            Arc::new(StringArray::from(vec![None::<&str>, None])),
            vec![T::Boolean, T::BigInt, T::HugeInt, T::Double, decimal, T::Date, T::Timestamp, T::TimestampTz],
        ),
        (T::Boolean, Arc::new(BooleanArray::from(vec![Some(true), None])), vec![T::Varchar]),
        (
            T::BigInt,
            Arc::new(Int64Array::from(vec![Some(-(1 << 53)), None])),
            vec![T::HugeInt, T::Double, decimal, T::Varchar],
        ),
        (T::BigInt, Arc::new(Int64Array::from(vec![Some(i64::MAX), None])), vec![T::HugeInt, decimal, T::Varchar]),
        (T::HugeInt, decimals(vec![Some(-(1i128 << 90)), None], 38, 0), vec![T::Double, T::Varchar]),
        (T::HugeInt, decimals(vec![Some(10i128.pow(28)), None], 38, 0), vec![decimal, T::Varchar]),
        (T::Double, Arc::new(Float64Array::from(vec![Some(0.1), None])), vec![decimal, T::Varchar]),
        (T::Double, Arc::new(Float64Array::from(vec![Some(1e21), None])), vec![decimal, T::Varchar]),
        (T::Double, Arc::new(Float64Array::from(vec![Some(-1.5e-9), Some(3.0)])), vec![T::Varchar]),
        (T::Decimal(38, 2), decimals(vec![Some(123_450), None], 38, 2), vec![decimal, T::Varchar]),
        (T::Date, Arc::new(Date32Array::from(vec![Some(-1), None])), vec![T::Timestamp, T::Varchar]),
        (
            T::Timestamp,
            Arc::new(TimestampMicrosecondArray::from(vec![Some(1), Some(86_400_000_000)])),
            vec![T::Varchar],
        ),
        (T::TimestampTz, tz(vec![Some(-1), Some(1_700_000_000_000_000)]), vec![T::Varchar]),
    ]
}

/// Writes `values` in a first load, and again in a second one before and after the column `n` is widened. Gives all rows:
/// committed ones, those before the change, those after it.
pub(crate) fn widened(
    warehouse: &mut dyn Destination,
    name: &str,
    from: ColumnType,
    values: &ArrayRef,
    to: ColumnType,
) -> Vec<(RowId, Vec<Value>)> {
    let (before, after) = (numbers(name, from), numbers(name, to));
    let create = numbers_part(&before, vec![Change::CreateTable], &[1, 2], Arc::clone(values));
    load(warehouse, spec("load-1", name, WriteDisposition::Append, &Catalog::default()), vec![create], &before);
    let recast = recast(from, to);
    let wide = recast.apply(values).unwrap();
    let writes = vec![
        numbers_part(&before, vec![], &[3, 4], Arc::clone(values)),
        numbers_part(&after, vec![Change::Widen { column: "n".into(), recast }], &[5, 6], wide),
    ];
    load(warehouse, spec("load-2", name, WriteDisposition::Append, &before), writes, &after);
    rows(warehouse, name, &["n"])
}

pub(crate) fn widening_keeps_every_value(open: Opener, folder: &Path) {
    let (mut warehouse, _) = opened(open, folder);
    for (i, (from, values, targets)) in widenings().into_iter().enumerate() {
        for (j, to) in targets.into_iter().enumerate() {
            let rows = widened(&mut *warehouse, &format!("things_{i}_{j}"), from, &values, to);
            let found: Vec<&Value> = rows.iter().map(|(_, values)| &values[0]).collect();
            assert_eq!(found[..2], found[4..], "{from} to {to}, committed rows");
            assert_eq!(found[2..4], found[4..], "{from} to {to}, rows of the same load");
        }
    }
}
