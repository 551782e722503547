//! The thread that owns the warehouse, and the handle through which tasks reach it.
//!
//! Jobs are carried out in the order in which they were sent. Their channel is bounded: whoever sends rows faster than the
//! warehouse takes them waits. A failed write is told at the resource's next commit.

use super::feed::is_of;
use super::newer::NewerStays;
use super::rows::PageRows;
use super::stages::Stages;
use super::writer::{Checkpoint, ResourceWriter, Written};
use crate::error::{Error, Kind, Result};
use crate::failpoint::{Point, reach};
use crate::load::bookkeeping::LOAD_ID;
use crate::load::{Destination, List, ListQuery, LoadSpec, ParentQuery, RowId};
use crate::plan::model::FieldPath;
use crate::schema::catalog::Catalog;
use crate::state::file::StateCopy;
use serde_json::Value;
use std::collections::{HashMap, HashSet};
use std::path::PathBuf;
use std::sync::Arc;
use tokio::sync::{mpsc, oneshot};

/// Pages that wait for the warehouse.
const QUEUE_PAGES: usize = 8;

type Job = Box<dyn FnOnce(&mut Owner) + Send>;

/// Some of the parents that the warehouse knows.
#[derive(Debug, Default)]
pub struct KnownParents {
    /// The values of each parent's fields, and whether this run loaded it.
    pub rows: Vec<(Vec<Value>, bool)>,
    /// Where to go on; none if these were the last.
    pub next: Option<RowId>,
}

/// Which of the parents are asked for.
#[derive(Debug, Clone, Default)]
pub struct KnownAfter {
    /// Only those of later loads than this one.
    pub since: Option<String>,
    /// Also those of this run.
    pub with_this_load: bool,
    /// Those after a position.
    pub after: Option<RowId>,
    /// How many at most.
    pub limit: usize,
}

/// What the thread has.
struct Owner {
    destination: Box<dyn Destination>,
    writers: HashMap<String, ResourceWriter>,
    /// Writes that failed and have not been told yet.
    failures: HashMap<String, Error>,
    copy: StateCopy,
    state_dir: PathBuf,
    pipeline: String,
    dataset: String,
    load_id: String,
}

/// The warehouse, for tasks. Clones share the thread.
#[derive(Clone)]
pub struct Warehouse {
    jobs: mpsc::Sender<Job>,
}

/// What the thread is given.
pub struct Setup {
    /// The opened destination.
    pub destination: Box<dyn Destination>,
    /// The readable copy of its state.
    pub copy: StateCopy,
    /// Where that is written.
    pub state_dir: PathBuf,
    /// Pipeline name.
    pub pipeline: String,
    /// DuckDB schema or Parquet folder.
    pub dataset: String,
    /// This run.
    pub load_id: String,
}

/// Starts the thread. It ends, and closes the destination, when all handles are gone; join it to learn how that went.
///
/// # Errors
/// No thread could be started.
pub fn start(setup: Setup) -> Result<(Warehouse, std::thread::JoinHandle<Result<()>>)> {
    let (jobs, mut queue) = mpsc::channel::<Job>(QUEUE_PAGES);
    let Setup { destination, copy, state_dir, pipeline, dataset, load_id } = setup;
    let mut owner = Owner {
        destination,
        writers: HashMap::new(),
        failures: HashMap::new(),
        copy,
        state_dir,
        pipeline,
        dataset,
        load_id,
    };
    let thread = std::thread::Builder::new().name("warehouse".to_owned()).spawn(move || {
        while let Some(job) = queue.blocking_recv() {
            job(&mut owner);
        }
        owner.close()
    });
    let thread = thread.map_err(|e| Error::new(Kind::Internal, "no thread for the warehouse").source(e))?;
    Ok((Warehouse { jobs }, thread))
}

impl Warehouse {
    /// Readies a resource. To be called once, before anything else of that resource.
    ///
    /// # Errors
    /// The thread is gone.
    pub async fn prepare(
        &self,
        spec: LoadSpec,
        table: String,
        reserved: HashSet<String>,
        stages: Arc<Stages>,
        newer: Option<NewerStays>,
    ) -> Result<()> {
        self.send(Box::new(move |owner| {
            owner.writers.insert(spec.resource.clone(), ResourceWriter::new(spec, table, reserved, stages, newer));
        }))
        .await
    }

    /// Sends a page. Waits for room, not for the write.
    ///
    /// # Errors
    /// The thread is gone. What the warehouse itself says is told at the next commit.
    pub async fn push(&self, resource: &str, page: PageRows) -> Result<()> {
        let resource = resource.to_owned();
        self.send(Box::new(move |owner| owner.push(&resource, page))).await
    }

    /// Makes visible what was pushed, with the checkpoint. Returns what the run has written so far.
    ///
    /// # Errors
    /// A write since the last commit failed, or the commit did; nothing since the last commit is visible then.
    pub async fn commit(&self, resource: &str, checkpoint: Checkpoint) -> Result<Written> {
        let resource = resource.to_owned();
        self.call(move |owner| owner.commit(&resource, checkpoint)).await?
    }

    /// Forgets what was pushed since the last commit, and writes the checkpoint's record alone.
    ///
    /// # Errors
    /// The warehouse could not.
    pub async fn record_only(&self, resource: &str, checkpoint: Checkpoint) -> Result<Written> {
        let resource = resource.to_owned();
        self.call(move |owner| owner.record_only(&resource, checkpoint)).await?
    }

    /// Forgets what was pushed since the last commit. Returns what the run has written before.
    ///
    /// # Errors
    /// The warehouse could not roll back.
    pub async fn abort(&self, resource: &str) -> Result<Written> {
        let resource = resource.to_owned();
        self.call(move |owner| owner.abort(&resource)).await?
    }

    /// Cursors of partitions, by partition; those without one are left out.
    ///
    /// # Errors
    /// The warehouse could not be read.
    pub async fn cursors(&self, resource: &str, partitions: Vec<String>) -> Result<HashMap<String, String>> {
        let resource = resource.to_owned();
        self.call(move |owner| owner.destination.cursors(&owner.pipeline, &owner.dataset, &resource, &partitions))
            .await?
    }

    /// Some of the committed rows of a resource's table, for its children. A field without a column is null.
    ///
    /// # Errors
    /// The warehouse could not be read.
    pub async fn parents(&self, resource: &str, fields: Vec<FieldPath>, wanted: KnownAfter) -> Result<KnownParents> {
        let resource = resource.to_owned();
        self.call(move |owner| owner.parents(&resource, &fields, &wanted)).await?
    }

    /// How many committed rows a record table has.
    ///
    /// # Errors
    /// The warehouse could not be read.
    pub async fn row_count(&self, table: String) -> Result<u64> {
        self.call(move |owner| owner.destination.row_count(&owner.dataset, &table)).await?
    }

    /// Runs a reading query and puts its rows aside. `folder` is what the files it names are relative to.
    ///
    /// # Errors
    /// The query does something other than reading, or is wrong.
    pub async fn open_list(&self, sql: String, folder: PathBuf) -> Result<List> {
        self.call(move |owner| {
            let dataset = owner.dataset.clone();
            owner.destination.open_list(&ListQuery { dataset, sql, folder })
        })
        .await?
    }

    /// Rows of a list from a position on.
    ///
    /// # Errors
    /// The warehouse could not be read.
    pub async fn list_page(&self, list: usize, after: u64, limit: u64) -> Result<Vec<Vec<Value>>> {
        self.call(move |owner| owner.destination.list_page(list, after, limit)).await?
    }

    async fn send(&self, job: Job) -> Result<()> {
        self.jobs.send(job).await.map_err(|_| gone())
    }

    async fn call<T: Send + 'static>(&self, work: impl FnOnce(&mut Owner) -> T + Send + 'static) -> Result<T> {
        let (answer, result) = oneshot::channel();
        self.send(Box::new(move |owner| {
            // Whoever asked may be gone; then nobody wants the answer.
            let _ = answer.send(work(owner));
        }))
        .await?;
        result.await.map_err(|_| gone())
    }
}

fn gone() -> Error {
    Error::new(Kind::Internal, "the thread that owns the warehouse has ended")
}

impl Owner {
    fn push(&mut self, resource: &str, page: PageRows) {
        // After a failure the load is lost anyway; what still comes of it is not worth writing.
        if self.failures.contains_key(resource) {
            return;
        }
        let Some(writer) = self.writers.get_mut(resource) else {
            self.failures.insert(resource.to_owned(), unprepared(resource));
            return;
        };
        if let Err(error) = writer.push(page, self.destination.as_mut()) {
            self.failures.insert(resource.to_owned(), error);
        }
    }

    fn commit(&mut self, resource: &str, checkpoint: Checkpoint) -> Result<Written> {
        if let Some(failure) = self.failures.remove(resource) {
            self.abort(resource)?;
            return Err(failure);
        }
        let writer = self.writers.get_mut(resource).ok_or_else(|| unprepared(resource))?;
        let (written, commit) = match writer.commit(checkpoint, self.destination.as_mut()) {
            Ok(done) => done,
            Err(error) => {
                // The commit's own error says what happened.
                let _ = self.abort(resource);
                return Err(error);
            }
        };
        let tables_of = writer.tables_of().to_owned();
        for (_, fellow) in self.writers.iter_mut().filter(|(name, w)| *name != resource && w.tables_of() == tables_of) {
            fellow.take_over(&commit.catalog);
        }
        self.copy.record(resource, &self.load_id, &commit);
        self.write_copy();
        Ok(written)
    }

    fn record_only(&mut self, resource: &str, checkpoint: Checkpoint) -> Result<Written> {
        self.abort(resource)?;
        let committed_at = checkpoint.record.as_ref().map(|record| record.committed_at);
        let writer = self.writers.get_mut(resource).ok_or_else(|| unprepared(resource))?;
        let written = writer.record_only(checkpoint, self.destination.as_mut())?;
        if let Some(committed_at) = committed_at {
            self.copy.note_load(&self.load_id, committed_at);
            self.write_copy();
        }
        Ok(written)
    }

    /// Writes the readable copy. A failure is worth a warning and no more: nothing is ever read from it.
    fn write_copy(&self) {
        if let Err(error) = self.copy.write(&self.state_dir) {
            tracing::warn!(%error, "the readable copy of the state could not be written; the warehouse has it");
        }
        reach(Point::StateWritten);
    }

    fn abort(&mut self, resource: &str) -> Result<Written> {
        self.failures.remove(resource);
        let writer = self.writers.get_mut(resource).ok_or_else(|| unprepared(resource))?;
        writer.abort(self.destination.as_mut())?;
        Ok(writer.written().clone())
    }

    fn parents(&mut self, resource: &str, fields: &[FieldPath], wanted: &KnownAfter) -> Result<KnownParents> {
        let writer = self.writers.get(resource).ok_or_else(|| unprepared(resource))?;
        let Some(root) = writer.catalog().table(&Vec::new()) else { return Ok(KnownParents::default()) };
        let columns: Vec<Option<String>> = fields.iter().map(|field| column_of(writer.catalog(), field)).collect();
        // The load comes last, so that it is what remains when every field has its value.
        let load = (wanted.since.is_some() || wanted.with_this_load).then(|| LOAD_ID.to_owned());
        let query = ParentQuery {
            dataset: self.dataset.clone(),
            table: root.name.clone(),
            columns: columns.iter().flatten().cloned().chain(load).collect(),
            except_load_id: (!wanted.with_this_load).then(|| self.load_id.clone()),
            after: wanted.after,
            limit: wanted.limit,
            ordered: true,
        };
        let page = self.destination.parents(&query)?;
        let next = page.last().filter(|_| page.len() >= wanted.limit).map(|(id, _)| *id);
        let place = |(_, values): (RowId, Vec<Value>)| {
            let mut values = values.into_iter();
            let found: Vec<Value> =
                columns.iter().map(|c| c.as_ref().and_then(|_| values.next()).unwrap_or_default()).collect();
            let load = values.next();
            let load = load.as_ref().and_then(Value::as_str);
            let is_later = wanted.since.as_deref().is_none_or(|since| load.is_some_and(|load| load > since));
            is_later.then(|| (found, load == Some(self.load_id.as_str())))
        };
        Ok(KnownParents { rows: page.into_iter().filter_map(place).collect(), next })
    }

    fn close(mut self) -> Result<()> {
        for writer in self.writers.values_mut() {
            writer.abort(self.destination.as_mut())?;
        }
        reach(Point::ResourcesEnded);
        self.destination.close()
    }
}

fn unprepared(resource: &str) -> Error {
    Error::new(Kind::Internal, "a resource was not prepared").with("resource", resource)
}

/// The column of a field in the record table.
fn column_of(catalog: &Catalog, field: &FieldPath) -> Option<String> {
    let root = catalog.table(&Vec::new())?;
    root.columns.iter().find(|c| is_of(&c.source, field)).map(|c| c.name.clone())
}
