//! From a candidate to what a request sequence needs of it: who it is, what expressions see, which columns its rows get.

use super::super::feed::Line;
use super::Sources;
use super::lists::Combination;
use super::source::Candidate;
use crate::error::{Error, Kind};
use crate::plan::model::{FieldPath, FieldPlace, OnMissingField, Parent, ParentField, PartitionRows, Partitions};
use crate::plan::template::{Scope, Template};
use serde_json::{Map, Value};

/// What a resource runs for, as the plan has it.
#[derive(Debug, Clone)]
pub(super) struct Relation {
    /// The parents, and the fields of the values of each one's rows, in order.
    pub(super) parent: Option<(Parent, Vec<Vec<FieldPath>>)>,
    pub(super) partitions: Option<Partitions>,
}

impl Relation {
    /// What a resource runs for, by its sources.
    pub(super) fn of(sources: &Sources) -> Relation {
        Relation {
            parent: sources.parents.as_ref().map(|p| (p.spec.clone(), p.fields.clone())),
            partitions: sources.partitions.clone(),
        }
    }
}

/// A candidate that can be asked for.
#[derive(Debug, Clone)]
pub(super) struct Member {
    /// `parent.FIELD`.
    pub(super) parent: Vec<(FieldPath, Value)>,
    /// `partition.COLUMN`.
    pub(super) partition: Vec<(String, Value)>,
    /// Columns of its rows.
    pub(super) columns: Vec<(String, Value)>,
    /// The values that its requests use, by name: the name of its partition in the state.
    pub(super) identity: Value,
    /// Its parent is known from the warehouse only.
    pub(super) from_warehouse: bool,
    /// Rows of the resource itself that led to it.
    pub(super) line: Line,
}

/// Why a candidate is not asked for.
#[derive(Debug)]
pub(super) enum NoMember {
    /// It lacks what its requests use.
    Missing {
        policy: OnMissingField,
        /// Tells it from others that lack the same.
        identity: String,
        error: Error,
    },
    /// `parent_filter` is not true for it.
    Filtered { identity: String },
    /// `parent_filter` fails on it.
    Unclear { identity: String, error: Error },
}

impl NoMember {
    /// Tells it from others that are not asked for.
    pub(super) fn identity(&self) -> &str {
        match self {
            NoMember::Missing { identity, .. }
            | NoMember::Filtered { identity }
            | NoMember::Unclear { identity, .. } => identity,
        }
    }
}

/// The values of a parent's row, by field.
struct RowValues<'r> {
    /// Which of the parents it is a row of.
    parent: usize,
    fields: &'r [FieldPath],
    values: &'r [Value],
}

impl RowValues<'_> {
    /// The value of a field, given as each parent's rows have it.
    fn of(&self, fields: &[FieldPath]) -> Value {
        fields.get(self.parent).map(|field| self.value(field)).unwrap_or_default()
    }

    /// The value that expressions see.
    fn of_field(&self, field: &ParentField) -> Value {
        let place = field.places.get(self.parent);
        place.map(|place| place.value(&self.value(&place.field))).unwrap_or_default()
    }

    fn value(&self, field: &FieldPath) -> Value {
        let at = self.fields.iter().position(|known| known == field);
        at.and_then(|at| self.values.get(at)).cloned().unwrap_or_default()
    }

    /// The row as people know it.
    fn text(&self) -> String {
        let known =
            self.fields.iter().zip(self.values).filter(|(_, v)| !v.is_null()).map(|(f, v)| format!("{f} = {v}"));
        let known: Vec<String> = known.collect();
        if known.is_empty() { "no other field known".to_owned() } else { known.join(", ") }
    }
}

impl Relation {
    /// What a candidate is asked for with, if the filter lets it through.
    ///
    /// # Errors
    /// Why it is not asked for.
    pub(super) fn member(
        &self,
        candidate: Candidate,
        filter: Option<(&Template, Scope)>,
    ) -> Result<Member, Box<NoMember>> {
        let mut member = Member {
            parent: Vec::new(),
            partition: Vec::new(),
            columns: Vec::new(),
            identity: Value::Null,
            from_warehouse: false,
            line: Line::default(),
        };
        let (mut of_parent, mut of_partition) = (None, None);
        if let (Some((spec, fields)), Some(row)) = (&self.parent, candidate.parent) {
            let fields = fields.get(row.parent).map(Vec::as_slice).unwrap_or_default();
            let values = RowValues { parent: row.parent, fields, values: &row.values };
            let seen = spec.fields.iter().chain(&spec.further_fields);
            member.parent = seen.map(|f| (f.name.clone(), values.of_field(f))).collect();
            if let Some((filter, scope)) = filter {
                let scope = Scope { parent: member.parent.clone(), ..scope };
                hold_against(filter, &scope, spec, &values)?;
            }
            if let Some(missing) = spec.fields.iter().find(|f| f.required && values.of_field(f).is_null()) {
                return Err(Box::new(lacks_field(spec, missing, &values)));
            }
            member.columns.extend(spec.include.iter().map(|c| (c.column.clone(), values.of(&c.fields))));
            of_parent = Some(sorted(spec.fields.iter().map(|f| (f.identity_name(), values.of_field(f)))));
            member.from_warehouse = row.from_warehouse;
            member.line = row.line;
        }
        if let (Some(spec), Some(combination)) = (&self.partitions, candidate.partition) {
            let wanted = spec.wanted();
            let value = |column: &str| {
                let at = wanted.iter().position(|w| w == column);
                at.and_then(|at| combination.values.get(at)).cloned().unwrap_or_default()
            };
            if let Some(column) = spec.columns.iter().find(|column| is_missing(&value(column))) {
                return Err(Box::new(lacks_column(spec, column, &combination)));
            }
            let seen = spec.columns.iter().chain(&spec.further_columns);
            member.partition = seen.map(|column| (column.clone(), value(column))).collect();
            member.columns.extend(spec.include.iter().map(|(name, column)| (name.clone(), value(column))));
            of_partition = Some(sorted(spec.columns.iter().map(|column| (column.clone(), value(column)))));
        }
        member.identity = match (of_parent, of_partition) {
            (Some(parent), Some(partition)) => {
                sorted([("parent", parent), ("partition", partition)].map(|(n, v)| (n.to_owned(), v)).into_iter())
            }
            (Some(one), None) | (None, Some(one)) => one,
            (None, None) => Value::Null,
        };
        Ok(member)
    }
}

/// An object whose keys are in one order, whatever the order of the expressions.
fn sorted(entries: impl Iterator<Item = (String, Value)>) -> Value {
    let mut entries: Vec<(String, Value)> = entries.collect();
    entries.sort_by(|a, b| a.0.cmp(&b.0));
    Value::Object(entries.into_iter().collect::<Map<_, _>>())
}

fn is_missing(value: &Value) -> bool {
    value.is_null() || value.as_str() == Some("")
}

/// Whether a filter lets a parent through.
fn hold_against(filter: &Template, scope: &Scope, spec: &Parent, row: &RowValues<'_>) -> Result<(), Box<NoMember>> {
    let identity = format!("filtered {} {}", row.parent, Value::from(row.values.to_vec()));
    match filter.holds(scope) {
        Ok(true) => Ok(()),
        Ok(false) => Err(Box::new(NoMember::Filtered { identity })),
        Err(error) => {
            let error = error.with("parent_filter", filter.source()).with("parent row", row.text());
            let error = error.with("parent", spec.resources.get(row.parent).map_or("", String::as_str));
            Err(Box::new(NoMember::Unclear { identity, error }))
        }
    }
}

fn lacks_field(spec: &Parent, missing: &ParentField, row: &RowValues<'_>) -> NoMember {
    let resource = spec.resources.get(row.parent).map_or("", String::as_str);
    let field = missing.places.get(row.parent).map_or_else(|| missing.name.clone(), FieldPlace::path);
    NoMember::Missing {
        policy: spec.on_missing_field,
        identity: Value::from(row.values.to_vec()).to_string(),
        error: Error::new(Kind::Data, format!("a row of `{resource}` has no `{field}`"))
            .with("parent row", row.text())
            .hint("`on_missing_parent_field = \"skip\"` leaves such rows out, and counts them"),
    }
}

fn lacks_column(spec: &Partitions, column: &str, combination: &Combination) -> NoMember {
    let position = spec.wanted().iter().position(|w| w == column).unwrap_or_default();
    let giver = combination.givers.get(position).copied().unwrap_or_default();
    let number = combination.rows.get(giver).copied().unwrap_or_default();
    let list = spec.lists.get(giver);
    let row = match list.map(|list| &list.rows) {
        Some(PartitionRows::File(path)) => format!("row {number} of {}", path.display()),
        Some(PartitionRows::Sql { .. }) => format!("row {number} of the query"),
        Some(PartitionRows::Values(_)) | None => format!("row {number} of `values`"),
    };
    NoMember::Missing {
        policy: list.map_or(OnMissingField::Raise, |list| list.on_missing),
        identity: format!("{giver}\n{number}"),
        error: Error::new(Kind::Data, format!("a row of the partitions has no `{column}`"))
            .with("partition", row)
            .with("at", list.map_or("", |list| list.place.as_str()))
            .hint("`on_missing = \"skip\"` leaves such rows out, and counts them"),
    }
}

#[cfg(test)]
mod tests {
    use super::super::super::feed::ParentRow;
    use super::*;
    use crate::plan::model::{ParentColumn, ParentScope, PartitionList};
    use serde_json::json;

    fn path(text: &str) -> FieldPath {
        FieldPath(text.split('.').map(str::to_owned).collect())
    }

    /// A child that uses `parent.id` and `parent.parent.id`, stores the title and the partition's region.
    fn relation(with_parent: bool, with_partitions: bool) -> Relation {
        let field = |name: &str, field: &str| ParentField {
            name: path(name),
            places: vec![FieldPlace { field: path(field), within: Vec::new() }],
            required: true,
        };
        let parent = Parent {
            resources: vec!["views".into()],
            fields: vec![field("parent.id", "videos_id"), field("id", "id")],
            further_fields: vec![field("note", "note")],
            include: vec![ParentColumn { column: "views_title".into(), fields: vec![path("title")] }],
            filter: None,
            max_depth: 1,
            scope: ParentScope::All,
            on_missing_field: OnMissingField::Skip,
            batch: None,
        };
        let fields = ["videos_id", "id", "note", "title"].map(path).to_vec();
        let list = PartitionList {
            rows: PartitionRows::Values(Vec::new()),
            name: "value".into(),
            is_named: false,
            on_missing: OnMissingField::Raise,
            place: "api.toml:4:1".into(),
        };
        let partitions = Partitions {
            lists: vec![list],
            columns: vec!["team".into(), "id".into()],
            further_columns: Vec::new(),
            include: vec![("region".into(), "region".into())],
        };
        Relation {
            parent: with_parent.then_some((parent, vec![fields])),
            partitions: with_partitions.then_some(partitions),
        }
    }

    fn candidate(parent: Option<Value>, partition: Option<Value>) -> Candidate {
        let values = |value: Value| value.as_array().cloned().unwrap_or_default();
        Candidate {
            parent: parent.map(|p| ParentRow {
                values: values(p),
                parent: 0,
                from_warehouse: false,
                line: Line::default(),
            }),
            partition: partition.map(|p| Combination { values: values(p), rows: vec![3], givers: [0, 0, 0].into() }),
        }
    }

    #[test]
    fn a_member_is_identified_by_what_its_requests_use_in_one_order() {
        let (parent, partition) = (json!([1, 7, null, "t"]), json!(["x", 9, "eu"]));
        for (of_parent, of_partition, identity) in [
            (Some(&parent), None, json!({ "id": 7, "videos_id": 1 })),
            (None, Some(&partition), json!({ "id": 9, "team": "x" })),
            (
                Some(&parent),
                Some(&partition),
                json!({ "parent": { "id": 7, "videos_id": 1 }, "partition": { "id": 9, "team": "x" } }),
            ),
        ] {
            let relation = relation(of_parent.is_some(), of_partition.is_some());
            let member = relation.member(candidate(of_parent.cloned(), of_partition.cloned()), None).unwrap();
            assert_eq!(member.identity.to_string(), identity.to_string());
        }
    }

    #[test]
    fn expressions_see_names_as_they_are_written_and_rows_get_the_included_columns() {
        let candidate = candidate(Some(json!([1, 7, null, "t"])), Some(json!(["x", 9, "eu"])));
        let member = relation(true, true).member(candidate, None).unwrap();
        let parent = [("parent.id", json!(1)), ("id", json!(7)), ("note", Value::Null)];
        assert_eq!(member.parent, parent.map(|(name, value)| (path(name), value)));
        let columns = [("views_title", json!("t")), ("region", json!("eu"))];
        assert_eq!(member.columns, columns.map(|(name, value)| (name.to_owned(), value)));
    }

    #[test]
    fn what_lacks_a_value_that_requests_use_is_named() {
        let missing = |relation: Relation, candidate: Candidate| match *relation.member(candidate, None).unwrap_err() {
            NoMember::Missing { policy, error, .. } => (policy, error),
            other => panic!("{other:?}"),
        };
        let (policy, error) = missing(relation(true, false), candidate(Some(json!([1, null, null, "t"])), None));
        assert_eq!(error.message(), "a row of `views` has no `id`");
        assert_eq!(error.context("parent row"), Some("videos_id = 1, title = \"t\""));
        assert_eq!(policy, OnMissingField::Skip);
        let (_, error) = missing(relation(false, true), candidate(None, Some(json!(["x", "", "eu"]))));
        assert_eq!(error.message(), "a row of the partitions has no `id`");
        assert_eq!(error.context("partition"), Some("row 3 of `values`"));
        assert_eq!(error.context("at"), Some("api.toml:4:1"));
    }

    #[test]
    fn a_parent_that_the_filter_is_not_true_for_is_no_member_whatever_it_lacks() {
        let told = |filter: &str, row: Value| {
            let filter = Template::parse(filter).unwrap();
            let found = relation(true, false).member(candidate(Some(row), None), Some((&filter, Scope::default())));
            match found.map_err(|reason| *reason) {
                Ok(_) => "asked",
                Err(NoMember::Filtered { .. }) => "filtered",
                Err(NoMember::Missing { .. }) => "missing",
                Err(NoMember::Unclear { .. }) => "unclear",
            }
        };
        for (filter, row, expected) in [
            ("{{ parent.note }}", json!([1, 2, true, "t"]), "asked"),
            ("{{ parent.note }}", json!([1, 2, false, "t"]), "filtered"),
            ("{{ parent.note }}", json!([1, 2, null, "t"]), "filtered"),
            ("{{ parent.note == 'a' }}", json!([1, null, "b", "t"]), "filtered"),
            ("{{ parent.note == 'b' }}", json!([1, null, "b", "t"]), "missing"),
            ("{{ parent.note + 1 }}", json!([1, 2, "b", "t"]), "unclear"),
        ] {
            assert_eq!(told(filter, row), expected, "{filter}");
        }
    }
}
