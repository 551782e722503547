//! Parent rows on their way to a child resource.

use crate::batch::Chunk;
use crate::load::values::json_value;
use crate::plan::model::FieldPath;
use crate::schema::catalog::Source;
use serde_json::Value;
use std::sync::Arc;
use tokio::sync::mpsc;

/// Pages of parent rows that wait for the child.
const QUEUE_PAGES: usize = 16;

/// One parent, as far as its child needs it: a value for each of the wanted fields.
#[derive(Debug, Clone)]
pub(super) struct ParentRow {
    pub(super) values: Vec<Value>,
    /// Which of the child's parents it is a row of.
    pub(super) parent: usize,
    /// It is known from the warehouse only, and may be gone from the API.
    pub(super) from_warehouse: bool,
    /// Rows of the child itself that led to it, if the child is its own parent.
    pub(super) line: Line,
}

/// The rows of a resource that is its own parent, from the first one down to one of them.
#[derive(Debug, Clone, Default)]
pub(super) struct Line(Option<Arc<Step>>);

#[derive(Debug)]
struct Step {
    /// Hash of the identity.
    identity: u64,
    depth: u32,
    above: Line,
}

impl Line {
    /// The line with one more row.
    pub(super) fn and(&self, identity: u64) -> Line {
        Line(Some(Arc::new(Step { identity, depth: self.depth() + 1, above: self.clone() })))
    }

    /// How many rows it has.
    pub(super) fn depth(&self) -> u32 {
        self.0.as_ref().map_or(0, |step| step.depth)
    }

    /// Whether a row is in it.
    pub(super) fn has(&self, identity: u64) -> bool {
        let steps = std::iter::successors(self.0.as_deref(), |step| step.above.0.as_deref());
        steps.into_iter().any(|step| step.identity == identity)
    }
}

/// Where a parent's task sends its rows for one child.
#[derive(Debug)]
pub(super) struct Feed {
    fields: Vec<FieldPath>,
    /// Which of the child's parents this is.
    parent: usize,
    way: Way,
}

/// How rows reach the child.
#[derive(Debug)]
enum Way {
    /// Through a queue that bounds how far the parent is ahead.
    Bounded(mpsc::Sender<Vec<ParentRow>>),
    /// To the resource itself, which never waits for itself.
    Own(mpsc::UnboundedSender<Vec<ParentRow>>),
}

/// A child's queue of parent rows.
pub(super) fn queue() -> (mpsc::Sender<Vec<ParentRow>>, mpsc::Receiver<Vec<ParentRow>>) {
    mpsc::channel(QUEUE_PAGES)
}

/// Whether a column holds a field as a child names it: a field of the API, or a column that the parent's requests brought.
pub(super) fn is_of(source: &Source, field: &FieldPath) -> bool {
    match source {
        Source::Field(path) => *path == field.0,
        Source::Parent(name) => field.0 == std::slice::from_ref(name),
        // A record that is a bare text or number.
        Source::Value => field.0 == ["value"],
    }
}

impl Feed {
    /// A feed of the child's parent of this number into the child's queue.
    pub(super) fn new(parent: usize, fields: Vec<FieldPath>, queue: mpsc::Sender<Vec<ParentRow>>) -> Feed {
        Feed { fields, parent, way: Way::Bounded(queue) }
    }

    /// A feed of a resource into itself.
    pub(super) fn own(parent: usize, fields: Vec<FieldPath>) -> (Feed, mpsc::UnboundedReceiver<Vec<ParentRow>>) {
        let (sender, receiver) = mpsc::unbounded_channel();
        (Feed { fields, parent, way: Way::Own(sender) }, receiver)
    }

    /// Whether it leads back to the resource that it comes from.
    pub(super) fn is_own(&self) -> bool {
        matches!(self.way, Way::Own(_))
    }

    /// Sends the rows of a page, to which this line of rows led. Waits while the child has enough to do.
    pub(super) async fn send(&self, root: &Chunk, line: &Line) {
        let columns: Vec<_> =
            self.fields.iter().map(|field| root.columns.iter().find(|c| is_of(&c.source, field))).collect();
        let rows = (0..root.row_count).map(|row| ParentRow {
            values: columns
                .iter()
                .map(|column| column.map_or(Value::Null, |c| json_value(&c.array, row, c.data_type())))
                .collect(),
            parent: self.parent,
            from_warehouse: false,
            line: if self.is_own() { line.clone() } else { Line::default() },
        });
        // A child that failed no longer listens; its own report says why.
        match &self.way {
            Way::Bounded(queue) => {
                let _ = queue.send(rows.collect()).await;
            }
            Way::Own(queue) => {
                let _ = queue.send(rows.collect());
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_line_knows_its_rows_and_how_many_they_are() {
        let line = Line::default().and(1).and(2);
        let other = line.and(3);
        assert_eq!([Line::default().depth(), line.depth(), other.depth()], [0, 2, 3]);
        assert!(other.has(1) && other.has(3) && !line.has(3) && !Line::default().has(1));
    }
}
