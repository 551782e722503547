//! The part of a pass that holds data against the contract.
//!
//! What has no place is passed over, and noted. A row that has to go is not taken out of the columns again, because they have
//! learnt from it: the page is read a second time, from where the run began, without the rows that the first pass found.

use super::contract::{Discarded, Drift, Extent, column_name, table_name};
use super::decode::{FILTERED, IsFiltered};
use super::excerpt::excerpt;
use super::json::{Fault, Scanner};
use super::pass::{Pass, is_empty};
use super::shape::{FieldId, ROOT, TableId};
use super::{CursorToken, Decoded};
use crate::error::{Error, Kind, Result};
use crate::plan::model::ContractMode;
use crate::schema::catalog::Catalog;
use std::collections::HashMap;
use std::ops::Range;

/// The rule by which a record is left out that has no cursor value.
const CURSOR_MISSING: &str = "cursor_missing";

/// Bytes of a record or value in a message.
const SHOWN_BYTES: usize = 200;

/// Rows to leave out, by their number: records and elements of lists count in the order in which they begin.
pub(super) type LeftOut = HashMap<u64, LeftOutRow>;

/// A row to leave out.
#[derive(Debug, Clone)]
pub(super) struct LeftOutRow {
    rule: &'static str,
    table: TableId,
    column: Option<String>,
    value: Option<String>,
    /// The number of the row that follows on those that are nested in it.
    end: u64,
    /// Of a record: its cursor, which counts all the same.
    cursor: Option<CursorToken>,
}

/// What a pass knows of the contract.
pub(super) struct Judge<'s> {
    catalog: &'s Catalog,
    /// Rows to leave out, which an earlier pass found.
    known: &'s LeftOut,
    is_filtered: Option<IsFiltered<'s>>,
    /// Rows to leave out, which this pass found.
    pub(super) found: LeftOut,
    /// Records and list elements so far.
    row_count: u64,
    /// The row in hand: its number and table.
    row: (u64, TableId),
    /// The number of the record in hand.
    record: u64,
    /// Lists and values that are left out of the record in hand.
    parts: Vec<Discarded>,
    /// The first thing in the record in hand that the contract forbids.
    forbidden: Option<Error>,
}

impl<'s> Judge<'s> {
    pub(super) fn new(catalog: &'s Catalog, known: &'s LeftOut, is_filtered: Option<IsFiltered<'s>>) -> Self {
        Judge {
            catalog,
            known,
            is_filtered,
            found: LeftOut::new(),
            row_count: 0,
            row: (0, ROOT),
            record: 0,
            parts: Vec::new(),
            forbidden: None,
        }
    }

    /// Begins a row. Gives the row around it, and why it is to be left out, if it is.
    fn enter(&mut self, table: TableId) -> ((u64, TableId), Option<LeftOutRow>) {
        let around = std::mem::replace(&mut self.row, (self.row_count, table));
        self.row_count += 1;
        (around, self.known.get(&self.row.0).cloned())
    }

    /// Ends a row, and goes on with the one around it.
    fn leave(&mut self, around: (u64, TableId)) {
        if let Some(row) = self.found.get_mut(&self.row.0) {
            row.end = self.row_count;
        }
        self.row = around;
    }
}

impl Pass<'_> {
    /// A value for which the tables, as they were, have no place: passed over, and noted unless it says nothing.
    #[cold]
    pub(super) fn no_place(
        &mut self,
        scan: &mut Scanner<'_>,
        field: FieldId,
        drift: Drift,
        depth: usize,
    ) -> Result<(), Fault> {
        let token = scan.skip(depth, &mut self.scratch)?;
        let says_nothing = token == b"null" || is_empty(token);
        if !says_nothing {
            self.offend(field, drift, token, depth);
        }
        Ok(())
    }

    /// Notes what the contract says of a value.
    #[cold]
    pub(super) fn offend(&mut self, field: FieldId, drift: Drift, token: &[u8], depth: usize) {
        let contract = &self.shape.spec.contract;
        let own = &self.shape.fields[field];
        let table = &self.shape.tables[own.table];
        let value = excerpt(token, &full_path(&table.path, &own.path), &self.shape.spec.exclude);
        let (name, column) = if drift == Drift::Table {
            let mut path = table.path.clone();
            path.push(own.path.clone());
            (table_name(self.judge.catalog, &contract.table, &path), None)
        } else {
            let column = column_name(self.judge.catalog, &table.path, &own.path);
            (table_name(self.judge.catalog, &contract.table, &table.path), Some(column))
        };
        let extent = if drift == Drift::Table { Extent::List(element_count(token, depth)) } else { Extent::Value };
        match drift.mode(contract.modes) {
            ContractMode::Evolve => {}
            ContractMode::Freeze => {
                let data_type = own.column.map(|c| self.shape.tables[own.table].columns[c].buffer.data_type());
                let data_type = data_type.map(|t| t.to_string()).unwrap_or_default();
                let error = forbidden(drift, &name, column.as_deref(), &data_type, &value);
                self.judge.forbidden.get_or_insert(error);
            }
            ContractMode::DiscardRow if drift != Drift::Table => self.leave_out_row(drift, column, value),
            ContractMode::DiscardValue if own.needed => self.leave_out_row(drift, column, value),
            ContractMode::DiscardRow | ContractMode::DiscardValue => self.judge.parts.push(Discarded {
                extent,
                rule: drift.rule(),
                table: name,
                column,
                value: Some(value),
                record: None,
                record_id: None,
            }),
        }
    }

    /// Has the next pass leave out the row in hand. The first reason counts.
    fn leave_out_row(&mut self, drift: Drift, column: Option<String>, value: String) {
        let (number, table) = self.judge.row;
        self.judge.found.entry(number).or_insert(LeftOutRow {
            rule: drift.rule(),
            table,
            column,
            value: Some(value),
            end: number + 1,
            cursor: None,
        });
    }

    /// Begins a record. True: it is left out, and the scanner stands behind it.
    pub(super) fn pass_over_record(&mut self, scan: &mut Scanner<'_>, out: &mut Decoded) -> Result<bool, Fault> {
        let (_, left_out) = self.judge.enter(ROOT);
        self.judge.record = self.judge.row.0;
        let Some(row) = left_out else { return Ok(false) };
        let token = scan.skip(1, &mut self.scratch)?;
        self.judge.row_count = row.end;
        out.record_count += 1;
        *out.discarded.entry(row.rule).or_default() += 1;
        if row.cursor.is_none() && !self.cursor.is_empty() {
            out.skipped.push(out.record_count - 1);
        } else {
            self.absent.push(out.cursors.len());
            out.cursors.push(row.cursor.clone());
            if self.spec.wants_contents {
                out.contents.push(0);
            }
        }
        if row.rule != FILTERED {
            out.kept_out.push(self.whole(row, Extent::Record, token));
        }
        Ok(true)
    }

    /// Begins an element of a list, and gives the row around it for its end. None: it is left out, and the scanner stands
    /// behind it.
    pub(super) fn pass_over_element(
        &mut self,
        scan: &mut Scanner<'_>,
        table: TableId,
        depth: usize,
    ) -> Result<Option<(u64, TableId)>, Fault> {
        let (around, left_out) = self.judge.enter(table);
        let Some(row) = left_out else { return Ok(Some(around)) };
        scan.peek();
        let token = scan.skip(depth, &mut self.scratch)?;
        self.judge.row_count = row.end;
        self.judge.row = around;
        let note = self.whole(row, Extent::Row, token);
        self.judge.parts.push(note);
        Ok(None)
    }

    /// Ends an element of a list.
    pub(super) fn end_element(&mut self, around: (u64, TableId)) {
        self.judge.leave(around);
    }

    fn whole(&self, row: LeftOutRow, extent: Extent, token: &[u8]) -> Discarded {
        let path = &self.shape.tables[row.table].path;
        Discarded {
            extent,
            rule: row.rule,
            table: table_name(self.judge.catalog, &self.shape.spec.contract.table, path),
            column: row.column,
            value: row.value,
            record: Some(excerpt(token, &full_path(path, &[]), &self.shape.spec.exclude)),
            record_id: None,
        }
    }

    /// Ends a record. True: the next pass leaves it out, because of the contract or because the filter of the resource does
    /// not let through what the contract is not about.
    pub(super) fn judge_record(
        &mut self,
        token: &[u8],
        cursor: Option<&Range<usize>>,
        record_count: u64,
    ) -> Result<bool> {
        let number = self.judge.record;
        let rows = number..self.judge.row_count;
        self.judge.leave((number, ROOT));
        let is_clean = self.judge.parts.is_empty()
            && self.judge.forbidden.is_none()
            && (self.judge.found.is_empty() || !rows.clone().any(|row| self.judge.found.contains_key(&row)));
        if is_clean {
            return Ok(false);
        }
        let cursor = cursor.map(|range| CursorToken { part: self.part_number, range: range.clone() });
        if let Some(is_filtered) = self.judge.is_filtered.filter(|_| self.judge.known.is_empty())
            && is_filtered(token).map_err(|e| e.with("at", format!("record {record_count}")))?
        {
            let row = LeftOutRow { rule: FILTERED, table: ROOT, column: None, value: None, end: rows.end, cursor };
            self.judge.found.insert(number, row);
            self.judge.forbidden = None;
        } else if let Some(error) = self.judge.forbidden.take() {
            let record = excerpt(token, &[], &self.shape.spec.exclude);
            return Err(error.with("at", format!("record {record_count}")).with("record", start_of(&record)));
        } else if let Some(row) = self.judge.found.get_mut(&number) {
            row.cursor = cursor;
        } else {
            return Ok(false);
        }
        self.judge.parts.clear();
        Ok(true)
    }

    /// Notes what was left out of a record that is kept.
    pub(super) fn note_parts(&mut self, id: u128, out: &mut Decoded) {
        let parts = self.judge.parts.drain(..).map(|part| Discarded { record_id: Some(id), ..part });
        out.kept_out.extend(parts);
    }

    /// Notes a record that is left out because it has no cursor value.
    pub(super) fn note_without_cursor(&mut self, token: &[u8], out: &mut Decoded) {
        self.judge.parts.clear();
        *out.discarded.entry(CURSOR_MISSING).or_default() += 1;
        out.kept_out.push(Discarded {
            extent: Extent::Record,
            rule: CURSOR_MISSING,
            table: self.shape.spec.contract.table.clone(),
            column: None,
            value: None,
            record: Some(excerpt(token, &[], &self.shape.spec.exclude)),
            record_id: None,
        });
    }
}

/// The keys that lead from the record to a field, through lists.
fn full_path(table: &[Vec<String>], field: &[String]) -> Vec<String> {
    table.iter().flatten().chain(field).cloned().collect()
}

/// Elements of a list that was scanned before.
fn element_count(token: &[u8], depth: usize) -> u64 {
    let (mut scan, mut scratch, mut count) = (Scanner::new(token), Vec::new(), 0);
    scan.peek();
    if scan.open(depth).is_err() || scan.take(b']') {
        return 0;
    }
    while scan.skip(depth + 1, &mut scratch).is_ok() {
        count += 1;
        if !scan.more(b']').unwrap_or(false) {
            break;
        }
    }
    count
}

/// The error of something that the contract forbids.
fn forbidden(drift: Drift, table: &str, column: Option<&str>, data_type: &str, value: &str) -> Error {
    let column = column.unwrap_or_default();
    let message = match drift {
        Drift::Table => format!("a list would become a new table, `{table}`"),
        Drift::Column => format!("`{table}` would get a new column, `{column}`"),
        Drift::DataType => format!("a value of `{table}.{column}` is no {data_type}"),
    };
    let mut error = Error::new(Kind::Data, message).with("table", table);
    if !column.is_empty() {
        error = error.with("column", column);
    }
    error.with("value", start_of(value)).with("schema_contract", format!("{} = \"freeze\"", drift.key())).hint(
        match drift {
            Drift::Table => {
                "take the list in by running once with `tables = \"evolve\"`, leave it out with `exclude`, or keep it \
                 aside with \"discard_value\""
            }
            Drift::Column => {
                "take the field in by running once with `columns = \"evolve\"` or by declaring it in `columns`, leave it \
                 out with `exclude`, or keep it aside with \"discard_value\""
            }
            Drift::DataType => {
                "have the column widened by running once with `data_type = \"evolve\"` (a declared type: declare another), \
                 or keep such values aside with \"discard_value\" or \"discard_row\""
            }
        },
    )
}

/// The start of a text, for a message.
fn start_of(text: &str) -> String {
    if text.len() <= SHOWN_BYTES {
        return text.to_owned();
    }
    format!("{}…", &text[..text.floor_char_boundary(SHOWN_BYTES)])
}
