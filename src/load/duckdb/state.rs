//! Cursors that a person changes.

use super::load::{put, take_away};
use super::session::Session;
use super::sql::{self, Place};
use crate::error::Result;
use crate::load::bookkeeping::{self as book, STATE};
use crate::load::{CursorRow, Edit, StateChange};

/// Rows that are looked at together.
const PAGE_ROWS: usize = 1000;

/// Makes a change, within the transaction of the session. Says how many rows it concerned.
pub(super) fn change(session: &Session, place: &Place, change: &StateChange<'_>) -> Result<u64> {
    let mut changed = 0;
    let mut after: Option<CursorRow> = None;
    loop {
        let page = page(session, place, change.pipeline, after.as_ref())?;
        let (mut moved, mut gone) = (Vec::new(), Vec::new());
        for row in &page {
            match (change.edit)(row)? {
                Edit::Keep => {}
                Edit::Forget => gone.push(row.clone()),
                Edit::Put(value) => moved.push(CursorRow { value, ..row.clone() }),
            }
        }
        changed += (moved.len() + gone.len()) as u64;
        put(session, place, &STATE, &rows(change, &moved)?)?;
        if !gone.is_empty() {
            take_away(session, place, &STATE, &rows(change, &gone)?)?;
        }
        match page.into_iter().last() {
            Some(last) => after = Some(last),
            None => break,
        }
    }
    put(session, place, &STATE, &rows(change, change.put)?)?;
    Ok(changed + change.put.len() as u64)
}

fn rows(change: &StateChange<'_>, cursors: &[CursorRow]) -> Result<arrow::array::RecordBatch> {
    book::state_rows(change.pipeline, None, cursors, change.at)
}

/// Cursors of a pipeline behind one of them, in the order of their keys.
fn page(session: &Session, place: &Place, pipeline: &str, after: Option<&CursorRow>) -> Result<Vec<CursorRow>> {
    let behind = after.map_or_else(String::new, |row| {
        let (resource, partition) = (sql::literal(&row.resource), sql::literal(&row.partition));
        format!(" AND (resource, \"partition\") > ({resource}, {partition})")
    });
    let found = session.query(&format!(
        "SELECT resource, \"partition\", cursor FROM {} WHERE pipeline = {}{behind} \
         ORDER BY resource, \"partition\" LIMIT {PAGE_ROWS}",
        place.table(STATE.name),
        sql::literal(pipeline),
    ))?;
    book::cursors(&found)
}
