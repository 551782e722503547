//! What becomes of the rows of a load and of those that they meet: one statement per table and rule, over whole sets.
//!
//! The rows of a load are in their tables already, above the row id up to which the tables were committed. So every rule is
//! a question of one table to itself, and child rows follow the records that they belong to.

use super::load::{Load, LoadTable, first_integer};
use super::sql::{self, name};
use crate::error::Result;
use crate::load::bookkeeping::{CONTENT, ID, LOAD_ID, ROOT_ID, VALID_TO};
use crate::load::merge::{MergeRule, NOT_DELETED, Settled, deletion_columns, key_columns};
use crate::plan::model::WriteDisposition;
use crate::schema::catalog::{Catalog, Source, Table};
use crate::schema::types::ColumnType;

/// The record table in a settlement: its name in SQL and its rows, stored and new.
struct Root<'a> {
    table: &'a Table,
    target: String,
    stored: String,
    new: String,
}

impl Load {
    /// See `Destination::settle`.
    pub(super) fn settle(&mut self, catalog: &Catalog) -> Result<Settled> {
        self.clear_if_replaced()?;
        self.settled = true;
        let mut settled = Settled { repeated: self.repeated, ..Settled::default() };
        if self.spec.keyed && self.spec.merge.rule != MergeRule::KeepStored {
            self.replace_stored()?;
        }
        if self.spec.write == WriteDisposition::Merge {
            self.check_kind()?;
            if let Some(root) = self.root(catalog) {
                self.merge(&root, &mut settled).map_err(|e| e.with("table", &root.table.name))?;
            }
        }
        settled.rows = self.count_rows(catalog)?;
        Ok(settled)
    }

    fn root<'c>(&self, catalog: &'c Catalog) -> Option<Root<'c>> {
        let table = catalog.tables.iter().find(|t| t.is_root())?;
        let own = self.tables.iter().find(|t| t.root)?;
        Some(Root { table, target: self.place.table(&table.name), stored: own.stored(), new: own.new_rows() })
    }

    fn merge(&self, root: &Root<'_>, settled: &mut Settled) -> Result<()> {
        match &self.spec.merge.rule {
            MergeRule::ById => {}
            MergeRule::ByColumns(key) => self.replace_groups(root, key)?,
            MergeRule::KeepStored => settled.key_stored = self.keep_stored(root)?,
            MergeRule::Versions { key, retire_absent } => {
                return self.add_versions(root, key, *retire_absent, settled);
            }
        }
        if let Some(deleted) = self.says_deleted(root) {
            settled.deleted = self.drop_new(root, &deleted)?;
        }
        Ok(())
    }

    /// Rows that the load adds, by table.
    fn count_rows(&self, catalog: &Catalog) -> Result<Vec<(String, u64)>> {
        let known = catalog.tables.iter().filter_map(|t| self.tables.iter().find(|own| own.name == t.name));
        known.map(|table| Ok((table.name.clone(), self.count(table)?))).collect()
    }

    fn count(&self, table: &LoadTable) -> Result<u64> {
        let sql = format!("SELECT count(*) FROM {} WHERE {}", self.place.table(&table.name), table.new_rows());
        let counted = self.session.query(&sql).map_err(|e| e.with("table", &table.name))?;
        Ok(first_integer(&counted).unwrap_or(0).unsigned_abs())
    }

    /// All rows of earlier loads whose key occurs in this one make way.
    fn replace_groups(&self, root: &Root<'_>, key: &[Source]) -> Result<()> {
        let Some(key) = key_columns(root.table, key).map(sql::list) else { return Ok(()) };
        let Root { target, stored, new, .. } = root;
        // A checkpoint of the same run is no earlier load: its rows belong to the group as it is now.
        let of_other_loads = format!("{} <> {}", name(LOAD_ID), sql::literal(&self.spec.load_id));
        let goes = format!("{stored} AND {of_other_loads} AND ({key}) IN (SELECT ({key}) FROM {target} WHERE {new})");
        for child in self.children() {
            self.run(
                child,
                &format!(
                    "DELETE FROM {} WHERE {} AND {of_other_loads} AND {} IN (SELECT {} FROM {target} WHERE {goes})",
                    self.place.table(&child.name),
                    child.stored(),
                    name(ROOT_ID),
                    name(ID),
                ),
            )?;
        }
        self.session.run(&format!("DELETE FROM {target} WHERE {goes}"))
    }

    /// New rows make way for stored ones with the same id. Says how many do.
    fn keep_stored(&self, root: &Root<'_>) -> Result<u64> {
        let Root { target, stored, new, .. } = root;
        let id = name(ID);
        // The new ids are the smaller set: they choose among the stored ones.
        let known =
            format!("SELECT {id} FROM {target} WHERE {stored} AND {id} IN (SELECT {id} FROM {target} WHERE {new})");
        self.drop_new(root, &format!("{id} IN ({known})"))
    }

    /// Deletes new rows that meet a condition, with their child rows. Says how many records that were.
    fn drop_new(&self, root: &Root<'_>, condition: &str) -> Result<u64> {
        let Root { target, new, .. } = root;
        for child in self.children() {
            self.run(
                child,
                &format!(
                    "DELETE FROM {} WHERE {} AND {} IN (SELECT {} FROM {target} WHERE {new} AND {condition})",
                    self.place.table(&child.name),
                    child.new_rows(),
                    name(ROOT_ID),
                    name(ID),
                ),
            )?;
        }
        self.session.change(&format!("DELETE FROM {target} WHERE {new} AND {condition}"))
    }

    /// Closes the current versions of records that changed, and keeps of the new rows those that are new versions.
    fn add_versions(&self, root: &Root<'_>, key: &[Source], retire_absent: bool, settled: &mut Settled) -> Result<()> {
        let Root { target, stored, new, .. } = root;
        let Some(key) = key_columns(root.table, key).map(sql::list) else { return Ok(()) };
        settled.repeated = self.drop_repeated(root, &key)?;
        let current = format!("{stored} AND {} IS NULL", name(VALID_TO));
        let keys = |condition: &str| format!("SELECT ({key}) FROM {target} WHERE {new} AND {condition}");
        let retire = format!("UPDATE {target} SET {} = {}", name(VALID_TO), sql::instant(self.spec.loaded_at));
        if retire_absent {
            // No condition on new keys is needed to be sure that none is null: such a record is refused.
            self.session.run(&format!("{retire} WHERE {current} AND ({key}) NOT IN ({})", keys("true")))?;
        }
        if let Some(deleted) = self.says_deleted(root) {
            self.session.run(&format!("{retire} WHERE {current} AND ({key}) IN ({})", keys(&deleted)))?;
            settled.deleted = self.drop_new(root, &deleted)?;
        }
        let version = format!("{key}, {}", name(CONTENT));
        let known = format!("SELECT ({version}) FROM {target} WHERE {current} AND ({key}) IN ({})", keys("true"));
        settled.unchanged = self.drop_new(root, &format!("({version}) IN ({known})"))?;
        self.session.run(&format!("{retire} WHERE {current} AND ({key}) IN ({})", keys("true")))
    }

    /// Of new rows with the same key the last one stays. Says how many do not.
    fn drop_repeated(&self, root: &Root<'_>, key: &str) -> Result<u64> {
        let Root { target, new, .. } = root;
        let dropped = self.session.change(&format!(
            "DELETE FROM {target} WHERE {new} AND rowid NOT IN (SELECT max(rowid) FROM {target} WHERE {new} GROUP BY {key})"
        ))?;
        if dropped == 0 {
            return Ok(0);
        }
        for child in self.children() {
            let (table, new_child) = (self.place.table(&child.name), child.new_rows());
            // Rows that are alike have the same id: of their child rows one set stays.
            self.run(
                child,
                &format!(
                    "DELETE FROM {table} WHERE {new_child} AND \
                     ({root_id} NOT IN (SELECT {id} FROM {target} WHERE {new}) OR \
                     rowid NOT IN (SELECT max(rowid) FROM {table} WHERE {new_child} GROUP BY {id}))",
                    root_id = name(ROOT_ID),
                    id = name(ID),
                ),
            )?;
        }
        Ok(dropped)
    }

    /// A condition on records that are marked as deleted; none if nothing can mark one. Says what
    /// [`says_deleted`](crate::load::merge::says_deleted) says.
    fn says_deleted(&self, root: &Root<'_>) -> Option<String> {
        let path = self.spec.merge.hard_delete.as_ref()?;
        let of_column = |(column, data_type): (&str, ColumnType)| {
            let column = name(column);
            let said = match data_type {
                ColumnType::Boolean => column,
                ColumnType::BigInt | ColumnType::HugeInt | ColumnType::Double | ColumnType::Decimal(..) => {
                    format!("{column} <> 0")
                }
                ColumnType::Varchar | ColumnType::Json => {
                    let no = NOT_DELETED.map(sql::literal).join(", ");
                    format!("CAST({column} AS VARCHAR) NOT IN ({no})")
                }
                ColumnType::Date | ColumnType::Timestamp | ColumnType::TimestampTz => format!("{column} IS NOT NULL"),
            };
            format!("coalesce({said}, false)")
        };
        let columns: Vec<String> = deletion_columns(root.table, path).into_iter().map(of_column).collect();
        (!columns.is_empty()).then(|| format!("({})", columns.join(" OR ")))
    }

    fn children(&self) -> impl Iterator<Item = &LoadTable> {
        self.tables.iter().filter(|t| !t.root)
    }

    fn run(&self, table: &LoadTable, sql: &str) -> Result<()> {
        self.session.run(sql).map_err(|e| e.with("table", &table.name))
    }
}
