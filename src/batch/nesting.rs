//! Which objects and lists are kept as they are, as JSON, and which have columns and tables of their own.

use crate::plan::model::{FieldPath, Nested, Nesting};
use crate::schema::catalog::{Catalog, Source, TablePath};
use crate::schema::names;

/// What the decoder has to know of it.
#[derive(Debug, Clone, Default)]
pub struct KeepsNested {
    /// What the file says.
    pub nesting: Nesting,
    /// Fields of the record that are read by themselves: objects that lead to them, or are them, have columns all the same.
    pub read: Vec<FieldPath>,
    /// Columns of the record table that the file names; likewise.
    pub columns: Vec<String>,
}

impl KeepsNested {
    /// Whether the lists of a field are kept as they are.
    pub(super) fn lists(&self, table: &TablePath) -> bool {
        self.nesting.nested == Nested::Json
            || self.nesting.max_table_nesting.is_some_and(|max| table.len() as u64 >= max)
    }

    /// Whether the objects of a field are kept as they are. Records and rows of child tables are not.
    pub(super) fn objects(&self, table: &TablePath, path: &[String]) -> bool {
        self.nesting.nested == Nested::Json && !path.is_empty() && !(table.is_empty() && self.leads_to_read(path))
    }

    fn leads_to_read(&self, path: &[String]) -> bool {
        let prefix = format!("{}{}", names::column_name(path), names::SEPARATOR);
        self.read.iter().any(|field| field.0.starts_with(path))
            || self.columns.iter().any(|name| name.starts_with(&prefix))
    }

    /// What in tables that are there contradicts it, if anything does: the name of a table or column, and what it holds.
    pub fn contradiction(&self, catalog: &Catalog) -> Option<(String, &'static str)> {
        for table in &catalog.tables {
            if let Some((step, around)) = table.path.split_last() {
                let around = around.to_vec();
                if self.lists(&around) || self.within_object(&around, step) {
                    return Some((table.name.clone(), "has the rows of lists that would now be JSON"));
                }
            }
            for column in &table.columns {
                let path: &[String] = match &column.source {
                    Source::Field(path) => path,
                    Source::Value => &[],
                    Source::Parent(_) => continue,
                };
                let name = || format!("{}.{}", table.name, column.name);
                if self.within_object(&table.path, path.split_last().map_or(&[], |(_, around)| around)) {
                    return Some((name(), "is a field of objects that would now be JSON"));
                }
                if column.observed.objects && !self.objects(&table.path, path) {
                    return Some((name(), "has objects as JSON that would now have columns"));
                }
                if column.observed.lists && !self.lists(&table.path) {
                    return Some((name(), "has lists as JSON that would now have a table"));
                }
            }
        }
        None
    }

    /// Whether one of the objects along a path is kept as it is.
    fn within_object(&self, table: &TablePath, path: &[String]) -> bool {
        (1..=path.len()).any(|len| self.objects(table, &path[..len]))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::schema::catalog::{Column, Table};

    fn path(text: &str) -> Vec<String> {
        text.split('.').filter(|part| !part.is_empty()).map(str::to_owned).collect()
    }

    fn keeps(nested: Nested, max_table_nesting: Option<u64>) -> KeepsNested {
        let nesting = Nesting { nested, max_table_nesting };
        KeepsNested { nesting, read: vec![FieldPath(path("a.b"))], columns: vec!["c__d".into()] }
    }

    #[test]
    fn objects_with_a_field_that_is_read_by_itself_have_columns() {
        let json = keeps(Nested::Json, None);
        let found = ["a", "a.b", "a.x", "c", "c.d", "e", ""].map(|p| json.objects(&Vec::new(), &path(p)));
        assert_eq!(found, [false, false, true, false, true, true, false]);
        assert!(json.objects(&vec![path("l")], &path("a")), "in child tables nothing is read by itself");
        let tables = keeps(Nested::Tables, Some(1));
        assert_eq!([0, 1, 2].map(|depth| tables.lists(&vec![path("l"); depth])), [false, true, true]);
        assert!(!tables.objects(&Vec::new(), &path("e")));
    }

    #[test]
    fn tables_that_hold_nested_values_otherwise_contradict() {
        let column = |field: &str, observed: &str| Column {
            source: Source::Field(path(field)),
            name: names::column_name(&path(field)),
            observed: observed.parse().unwrap(),
            declared: None,
        };
        let root = |columns| Table { path: Vec::new(), name: "t".into(), columns };
        let child = |steps: &[&str]| {
            let path: TablePath = steps.iter().map(|s| path(s)).collect();
            Table { name: format!("t__{}", steps.join("__")), path, columns: Vec::new() }
        };
        let flat = Catalog { tables: vec![root(vec![column("a.x", "text"), column("n", "null")])] };
        let object = Catalog { tables: vec![root(vec![column("e.x", "text")])] };
        let json = Catalog { tables: vec![root(vec![column("e", "text objects")])] };
        let lists = Catalog { tables: vec![root(vec![column("l", "lists")])] };
        let deep = Catalog { tables: vec![root(Vec::new()), child(&["l"]), child(&["l", "m"])] };
        let named = |keeps: KeepsNested, catalog: &Catalog| keeps.contradiction(catalog).map(|(name, _)| name);
        for (nested, max, expected) in [
            (Nested::Tables, None, [None, None, Some("t.e"), Some("t.l"), None]),
            (Nested::Tables, Some(0), [None, None, Some("t.e"), None, Some("t__l")]),
            (Nested::Tables, Some(1), [None, None, Some("t.e"), Some("t.l"), Some("t__l__m")]),
            (Nested::Json, None, [None, Some("t.e__x"), None, None, Some("t__l")]),
        ] {
            let found = [&flat, &object, &json, &lists, &deep].map(|catalog| named(keeps(nested, max), catalog));
            assert_eq!(found, expected.map(|name| name.map(str::to_owned)), "{nested:?} {max:?}");
        }
    }
}
