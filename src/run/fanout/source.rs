//! What a resource runs for, one after the other: rows of its parent, combinations of its lists, or each with each.
//!
//! They are made by a task of their own, a few pages ahead, so that a wait for the next one can be given up at any moment.

use super::super::feed::ParentRow;
use super::lists::{Combination, Lists};
use super::parents::ParentPages;
use crate::error::Result;
use std::collections::VecDeque;
use tokio::sync::mpsc;
use tokio::task::JoinSet;

/// Pages made ahead.
const QUEUE_PAGES: usize = 2;

/// Combinations of a page.
const PAGE_ROWS: usize = 500;

/// What one request sequence is for.
#[derive(Debug, Clone)]
pub(super) struct Candidate {
    pub(super) parent: Option<ParentRow>,
    pub(super) partition: Option<Combination>,
}

/// The candidates of a resource.
pub(super) struct Candidates {
    pages: mpsc::Receiver<Result<Vec<Candidate>>>,
    page: VecDeque<Candidate>,
    /// Ends with this.
    _task: JoinSet<()>,
}

impl Candidates {
    pub(super) fn start(parents: Option<ParentPages>, lists: Option<Lists>) -> Self {
        let (sender, pages) = mpsc::channel(QUEUE_PAGES);
        let mut task = JoinSet::new();
        task.spawn(async move {
            if let Err(error) = make(parents, lists, &sender).await {
                // Nobody listens when the resource has ended before.
                let _ = sender.send(Err(error)).await;
            }
        });
        Candidates { pages, page: VecDeque::new(), _task: task }
    }

    /// Candidates that are there already, in order.
    pub(super) fn waiting(&self) -> impl Iterator<Item = &Candidate> {
        self.page.iter()
    }

    /// The next candidate. Cancelling it loses nothing.
    ///
    /// # Errors
    /// The warehouse or a file could not be read. No candidates come after that.
    pub(super) async fn next(&mut self) -> Result<Option<Candidate>> {
        loop {
            if let Some(candidate) = self.page.pop_front() {
                return Ok(Some(candidate));
            }
            match self.pages.recv().await {
                Some(page) => self.page.extend(page?),
                None => return Ok(None),
            }
        }
    }
}

type Sender = mpsc::Sender<Result<Vec<Candidate>>>;

async fn make(parents: Option<ParentPages>, mut lists: Option<Lists>, sender: &Sender) -> Result<()> {
    let Some(mut parents) = parents else {
        return match &mut lists {
            Some(lists) => combine(None, lists, sender).await.map(|_| ()),
            None => Ok(()),
        };
    };
    while let Some(rows) = parents.next().await? {
        match &mut lists {
            None => {
                let page = rows.into_iter().map(|row| Candidate { parent: Some(row), partition: None }).collect();
                if sender.send(Ok(page)).await.is_err() {
                    return Ok(());
                }
            }
            Some(lists) => {
                for row in rows {
                    if !combine(Some(row), lists, sender).await? {
                        return Ok(());
                    }
                }
            }
        }
    }
    Ok(())
}

/// Sends all combinations, with a parent if there is one. False: nobody listens any more.
async fn combine(parent: Option<ParentRow>, lists: &mut Lists, sender: &Sender) -> Result<bool> {
    lists.rewind();
    loop {
        let mut page = Vec::new();
        let mut failure = None;
        while page.len() < PAGE_ROWS {
            match lists.next().await {
                Ok(Some(combination)) => {
                    page.push(Candidate { parent: parent.clone(), partition: Some(combination) });
                }
                Ok(None) => break,
                Err(error) => {
                    failure = Some(error);
                    break;
                }
            }
        }
        let is_last = page.len() < PAGE_ROWS;
        if sender.send(Ok(page)).await.is_err() {
            return Ok(false);
        }
        match failure {
            // What came before a row that can't be read is asked for all the same.
            Some(error) => return Err(error),
            None if is_last => return Ok(true),
            None => {}
        }
    }
}
