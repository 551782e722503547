//! Rows of a resource that is its own parent, on their way back to it.
//!
//! The last one that came is the first to be asked for: so those that wait are the siblings along the way down, and not a
//! whole level of the tree.

use super::super::feed::ParentRow;
use std::future::pending;
use tokio::sync::mpsc::UnboundedReceiver;

/// Its rows that were not asked for yet. Those of a resource that is not its own parent are none.
#[derive(Default)]
pub(in crate::run) struct OwnRows {
    arriving: Option<UnboundedReceiver<Vec<ParentRow>>>,
    waiting: Vec<ParentRow>,
}

impl OwnRows {
    pub(super) fn new(arriving: UnboundedReceiver<Vec<ParentRow>>) -> Self {
        OwnRows { arriving: Some(arriving), waiting: Vec::new() }
    }

    /// Waits until rows arrive. Cancelling it loses none.
    pub(super) async fn arrive(&mut self) {
        let rows = match &mut self.arriving {
            Some(arriving) => arriving.recv().await,
            None => None,
        };
        match rows {
            Some(rows) => self.waiting.extend(rows),
            None => pending().await,
        }
    }

    /// Takes in what has arrived.
    pub(super) fn take_in(&mut self) {
        while let Some(rows) = self.arriving.as_mut().and_then(|arriving| arriving.try_recv().ok()) {
            self.waiting.extend(rows);
        }
    }

    /// The row to ask for next.
    pub(super) fn next(&mut self) -> Option<ParentRow> {
        self.waiting.pop()
    }

    pub(super) fn is_empty(&self) -> bool {
        self.waiting.is_empty()
    }
}
