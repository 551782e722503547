//! Lists of partitions: opened, their columns matched with those that are wanted, and their combinations one by one.

use super::super::warehouse::Warehouse;
use super::list_file::{self, Columns};
use crate::error::{Error, Kind, Result};
use crate::plan::model::{PartitionList, PartitionRows, Partitions};
use crate::plan::suggest;
use serde_json::Value;
use std::collections::VecDeque;
use std::ops::ControlFlow;
use std::path::PathBuf;
use std::sync::Arc;
use tokio::sync::mpsc;

/// Rows read at a time.
const PAGE_ROWS: usize = 1000;

/// A combination of rows, one of each list.
#[derive(Debug, Clone)]
pub(super) struct Combination {
    /// The values of the wanted columns.
    pub(super) values: Vec<Value>,
    /// Number of each list's row: its line, element or place.
    pub(super) rows: Vec<u64>,
    /// Which list gives each of the wanted columns.
    pub(super) givers: Arc<[usize]>,
}

/// A row of one list.
#[derive(Debug, Clone, Default)]
struct ListRow {
    /// Values of the columns that the list gives.
    values: Vec<Value>,
    number: u64,
}

/// The lists of a resource, open.
pub(super) struct Lists {
    readers: Vec<Reader>,
    /// The rows of the combination in hand.
    current: Vec<ListRow>,
    begun: bool,
    /// Which list gives each of the wanted columns.
    givers: Arc<[usize]>,
}

struct Reader {
    /// Which of the wanted columns it gives.
    gives: Vec<usize>,
    rows: Rows,
}

enum Rows {
    Values { rows: Arc<Vec<Vec<Value>>>, at: usize },
    File { path: PathBuf, name: String, columns: Vec<String>, pages: Option<Pages>, page: VecDeque<ListRow> },
    Query { warehouse: Warehouse, list: usize, columns: Vec<usize>, at: u64, page: VecDeque<ListRow>, done: bool },
}

type Pages = mpsc::Receiver<Result<Vec<ListRow>>>;

/// Opens the files of lists, as far as that tells a mistake before anything is requested.
///
/// # Errors
/// [`Kind::Config`]: a file can't be read, or the lists don't give what the pipeline file uses.
pub(in crate::run) fn check_files(partitions: &Partitions) -> Result<()> {
    let mut columns = Vec::new();
    for list in &partitions.lists {
        columns.push(columns_without_query(list)?);
    }
    if let Some(columns) = columns.into_iter().collect::<Option<Vec<Columns>>>() {
        assign(partitions, &columns)?;
    }
    Ok(())
}

/// The columns of a list; none of a query, which only the warehouse can tell.
fn columns_without_query(list: &PartitionList) -> Result<Option<Columns>> {
    match &list.rows {
        PartitionRows::Values(rows) => {
            let mut names: Vec<String> = rows.iter().flat_map(|row| row.keys().cloned()).collect();
            names.sort();
            names.dedup();
            Ok(Some(Columns { open: names.is_empty(), names }))
        }
        PartitionRows::File(path) => {
            let columns = list_file::columns(path, &list.name).map_err(|e| e.with("at", &list.place))?;
            check_name(list, &columns.names)?;
            Ok(Some(columns))
        }
        PartitionRows::Sql { .. } => Ok(None),
    }
}

/// A name is for single values: it can't stand for one of several columns.
fn check_name(list: &PartitionList, columns: &[String]) -> Result<()> {
    if list.is_named && !columns.is_empty() && columns != std::slice::from_ref(&list.name) {
        return Err(Error::new(Kind::Config, "`name` is for lists of single values")
            .with("at", &list.place)
            .with("columns", columns.join(", "))
            .hint("leave `name` out, and use the columns' own names"));
    }
    Ok(())
}

/// Which list gives each wanted column.
fn assign(partitions: &Partitions, columns: &[Columns]) -> Result<Vec<Vec<usize>>> {
    let wanted = partitions.wanted();
    let mut gives = vec![Vec::new(); columns.len()];
    let place = |list: usize| partitions.lists.get(list).map_or("", |l| l.place.as_str());
    for (position, column) in wanted.iter().enumerate() {
        let holders: Vec<usize> = (0..columns.len()).filter(|list| columns[*list].names.contains(column)).collect();
        let open: Vec<usize> = (0..columns.len()).filter(|list| columns[*list].open).collect();
        let holder = match (holders.as_slice(), open.as_slice()) {
            ([one], _) | ([], [one]) => *one,
            ([], _) => {
                let all: Vec<&str> = columns.iter().flat_map(|c| c.names.iter().map(String::as_str)).collect();
                let hint = suggest::did_you_mean(column, all.iter().copied())
                    .unwrap_or_else(|| format!("its columns: {}", suggest::list(all.iter().copied())));
                let error = Error::new(Kind::Config, format!("no partition has `{column}`"));
                return Err(error.with("at", place(0)).hint(hint));
            }
            ([first, second, ..], _) => {
                return Err(Error::new(Kind::Config, format!("two lists have a column `{column}`"))
                    .with("at", place(*first))
                    .with("and", place(*second)));
            }
        };
        gives[holder].push(position);
    }
    for (list, given) in gives.iter().enumerate() {
        if !given.iter().any(|position| *position < partitions.columns.len()) {
            let error = Error::new(Kind::Config, "no request uses a column of this list").with("at", place(list));
            return Err(error.with("columns", columns[list].names.join(", ")));
        }
    }
    Ok(gives)
}

impl Lists {
    /// Opens all lists: queries run now.
    ///
    /// # Errors
    /// A file can't be read, a query is refused, or the lists don't give what is wanted.
    pub(super) async fn open(partitions: &Partitions, warehouse: &Warehouse) -> Result<Lists> {
        let wanted = partitions.wanted();
        let mut columns = Vec::new();
        let mut queries = Vec::new();
        for list in &partitions.lists {
            let (found, query) = match &list.rows {
                PartitionRows::Sql { query, folder } => open_query(list, query, folder.clone(), warehouse).await?,
                PartitionRows::Values(_) | PartitionRows::File(_) => {
                    (columns_without_query(list)?.unwrap_or(Columns { names: Vec::new(), open: true }), 0)
                }
            };
            columns.push(found);
            queries.push(query);
        }
        let gives = assign(partitions, &columns)?;
        let mut readers = Vec::new();
        for (((list, given), columns), query) in partitions.lists.iter().zip(gives).zip(&columns).zip(queries) {
            let names: Vec<String> = given.iter().map(|position| wanted[*position].clone()).collect();
            let rows = match &list.rows {
                PartitionRows::Values(rows) => {
                    let values = |row: &serde_json::Map<String, Value>| {
                        names.iter().map(|name| row.get(name).cloned().unwrap_or_default()).collect()
                    };
                    Rows::Values { rows: Arc::new(rows.iter().map(values).collect()), at: 0 }
                }
                PartitionRows::File(path) => Rows::File {
                    path: path.clone(),
                    name: list.name.clone(),
                    columns: names,
                    pages: None,
                    page: VecDeque::new(),
                },
                PartitionRows::Sql { .. } => Rows::Query {
                    warehouse: warehouse.clone(),
                    list: query,
                    columns: names.iter().filter_map(|n| columns.names.iter().position(|c| c == n)).collect(),
                    at: 0,
                    page: VecDeque::new(),
                    done: false,
                },
            };
            readers.push(Reader { gives: given, rows });
        }
        let giver = |position| readers.iter().position(|r| r.gives.contains(&position)).unwrap_or_default();
        let givers = (0..wanted.len()).map(giver).collect();
        Ok(Lists { current: Vec::new(), begun: false, givers, readers })
    }

    /// The next combination, the last list's row changing first.
    ///
    /// # Errors
    /// A list could not be read any further.
    pub(super) async fn next(&mut self) -> Result<Option<Combination>> {
        if !self.begun {
            self.begun = true;
            self.current.clear();
            for reader in &mut self.readers {
                match reader.next().await? {
                    Some(row) => self.current.push(row),
                    None => {
                        self.current.clear();
                        break;
                    }
                }
            }
            return Ok(self.combination());
        }
        if self.current.is_empty() {
            return Ok(None);
        }
        for list in (0..self.readers.len()).rev() {
            if let Some(row) = self.readers[list].next().await? {
                self.current[list] = row;
                return Ok(self.combination());
            }
            self.readers[list].rewind();
            match self.readers[list].next().await? {
                Some(row) => self.current[list] = row,
                None => break,
            }
        }
        self.current.clear();
        Ok(None)
    }

    /// How many combinations there are: each list is read once.
    ///
    /// # Errors
    /// A list could not be read to its end.
    pub(super) async fn combination_count(&mut self) -> Result<u64> {
        let mut product: u64 = 1;
        for reader in &mut self.readers {
            let mut row_count: u64 = 0;
            while reader.next().await?.is_some() {
                row_count += 1;
            }
            product = product.saturating_mul(row_count);
        }
        self.rewind();
        Ok(product)
    }

    /// Goes back to the first combination.
    pub(super) fn rewind(&mut self) {
        self.begun = false;
        self.readers.iter_mut().for_each(Reader::rewind);
    }

    fn combination(&self) -> Option<Combination> {
        if self.current.is_empty() {
            return None;
        }
        let mut values = vec![Value::Null; self.givers.len()];
        for (reader, row) in self.readers.iter().zip(&self.current) {
            for (position, value) in reader.gives.iter().zip(&row.values) {
                values[*position] = value.clone();
            }
        }
        let rows = self.current.iter().map(|row| row.number).collect();
        Some(Combination { values, rows, givers: self.givers.clone() })
    }
}

/// Runs a query and says which columns it gives.
async fn open_query(
    list: &PartitionList,
    query: &str,
    folder: PathBuf,
    warehouse: &Warehouse,
) -> Result<(Columns, usize)> {
    let opened = warehouse.open_list(query.to_owned(), folder).await.map_err(|e| e.with("at", &list.place))?;
    let names = match opened.columns.as_slice() {
        // A query of one column can have its name from the list.
        [_] if list.is_named => vec![list.name.clone()],
        _ => opened.columns,
    };
    check_name(list, &names)?;
    Ok((Columns { names, open: false }, opened.number))
}

impl Reader {
    async fn next(&mut self) -> Result<Option<ListRow>> {
        match &mut self.rows {
            Rows::Values { rows, at } => {
                let row = rows.get(*at).map(|values| ListRow { values: values.clone(), number: *at as u64 + 1 });
                *at += 1;
                Ok(row)
            }
            Rows::File { path, name, columns, pages, page } => loop {
                if let Some(row) = page.pop_front() {
                    return Ok(Some(row));
                }
                let pages = pages.get_or_insert_with(|| file_pages(path.clone(), name.clone(), columns.clone()));
                match pages.recv().await {
                    Some(rows) => page.extend(rows?),
                    None => return Ok(None),
                }
            },
            Rows::Query { warehouse, list, columns, at, page, done } => {
                if page.is_empty() && !*done {
                    let rows = warehouse.list_page(*list, *at, PAGE_ROWS as u64).await?;
                    *done = rows.len() < PAGE_ROWS;
                    for values in rows {
                        *at += 1;
                        let wanted = columns.iter().map(|c| values.get(*c).cloned().unwrap_or_default());
                        page.push_back(ListRow { values: wanted.collect(), number: *at });
                    }
                }
                Ok(page.pop_front())
            }
        }
    }

    fn rewind(&mut self) {
        match &mut self.rows {
            Rows::Values { at, .. } => *at = 0,
            Rows::File { pages, page, .. } => {
                *pages = None;
                page.clear();
            }
            Rows::Query { at, page, done, .. } => {
                (*at, *done) = (0, false);
                page.clear();
            }
        }
    }
}

/// Reads a file on a thread of its own, a few pages ahead.
fn file_pages(path: PathBuf, name: String, columns: Vec<String>) -> Pages {
    let (sender, pages) = mpsc::channel(2);
    tokio::task::spawn_blocking(move || {
        let mut page = Vec::new();
        let done = list_file::read(&path, &name, &columns, &mut |number, values| {
            page.push(ListRow { values, number });
            if page.len() < PAGE_ROWS {
                return ControlFlow::Continue(());
            }
            // Whoever asked may have gone.
            match sender.blocking_send(Ok(std::mem::take(&mut page))) {
                Ok(()) => ControlFlow::Continue(()),
                Err(_) => ControlFlow::Break(()),
            }
        });
        let _ = sender.blocking_send(Ok(page));
        if let Err(error) = done {
            let _ = sender.blocking_send(Err(error));
        }
    });
    pages
}
