//! Parent rows on their way to a child resource.

use crate::batch::Chunk;
use crate::load::values::json_value;
use crate::plan::model::FieldPath;
use crate::schema::catalog::Source;
use serde_json::Value;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use tokio::sync::mpsc;

/// Pages of parent rows that wait for the child.
const QUEUE_PAGES: usize = 16;

/// One parent, as far as its child needs it: a value for each of the wanted fields.
#[derive(Debug, Clone)]
pub(super) struct ParentRow {
    pub(super) values: Vec<Value>,
    /// It is known from the warehouse only, and may be gone from the API.
    pub(super) from_warehouse: bool,
}

/// Where a parent's task sends its rows for one child.
#[derive(Debug)]
pub(super) struct Feed {
    fields: Vec<FieldPath>,
    rows: mpsc::Sender<Vec<ParentRow>>,
    came_through: Arc<AtomicBool>,
}

/// The child's end of a feed.
#[derive(Debug)]
pub(super) struct Live {
    pub(super) rows: mpsc::Receiver<Vec<ParentRow>>,
    /// Whether the parent was loaded without a failure; known when there are no more rows.
    pub(super) came_through: Arc<AtomicBool>,
}

/// A feed and its other end.
pub(super) fn feed(fields: Vec<FieldPath>) -> (Feed, Live) {
    let (sender, receiver) = mpsc::channel(QUEUE_PAGES);
    let came_through = Arc::new(AtomicBool::new(false));
    (Feed { fields, rows: sender, came_through: came_through.clone() }, Live { rows: receiver, came_through })
}

/// Whether a column holds a field as a child names it: a field of the API, or a column that the parent's requests brought.
pub(super) fn is_of(source: &Source, field: &FieldPath) -> bool {
    match source {
        Source::Field(path) => *path == field.0,
        Source::Parent(name) => field.0 == std::slice::from_ref(name),
        Source::Value => false,
    }
}

impl Feed {
    /// Sends the rows of a page. Waits while the child has enough to do.
    pub(super) async fn send(&self, root: &Chunk) {
        let columns: Vec<_> =
            self.fields.iter().map(|field| root.columns.iter().find(|c| is_of(&c.source, field))).collect();
        let rows = (0..root.row_count).map(|row| ParentRow {
            values: columns
                .iter()
                .map(|column| column.map_or(Value::Null, |c| json_value(&c.array, row, c.data_type())))
                .collect(),
            from_warehouse: false,
        });
        // A child that failed no longer listens; its own report says why.
        let _ = self.rows.send(rows.collect()).await;
    }

    /// Says that all of the parent's rows were loaded.
    pub(super) fn come_through(&self) {
        self.came_through.store(true, Ordering::Release);
    }
}
