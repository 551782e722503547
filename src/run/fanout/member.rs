//! From a candidate to what a request sequence needs of it: who it is, what expressions see, which columns its rows get.

use super::lists::Combination;
use super::source::Candidate;
use crate::error::{Error, Kind};
use crate::plan::model::{FieldPath, OnMissingField, Parent, ParentField, PartitionRows, Partitions};
use serde_json::{Map, Value};

/// What a resource runs for, as the plan has it.
#[derive(Debug, Clone)]
pub(super) struct Relation {
    /// The parent, and the fields of its rows' values, in order.
    pub(super) parent: Option<(Parent, Vec<FieldPath>)>,
    pub(super) partitions: Option<Partitions>,
}

/// A candidate that can be asked for.
#[derive(Debug, Clone, PartialEq)]
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
}

/// A candidate that lacks what its requests use.
#[derive(Debug)]
pub(super) struct Missing {
    pub(super) policy: OnMissingField,
    /// Tells it from others that lack the same.
    pub(super) identity: String,
    pub(super) error: Error,
}

impl Relation {
    /// What a candidate is asked for with.
    ///
    /// # Errors
    /// It lacks a value that its requests use.
    pub(super) fn member(&self, candidate: Candidate) -> Result<Member, Box<Missing>> {
        let mut member = Member {
            parent: Vec::new(),
            partition: Vec::new(),
            columns: Vec::new(),
            identity: Value::Null,
            from_warehouse: false,
        };
        let (mut of_parent, mut of_partition) = (None, None);
        if let (Some((spec, fields)), Some(row)) = (&self.parent, candidate.parent) {
            let value = |field: &FieldPath| {
                let at = fields.iter().position(|f| f == field);
                at.and_then(|at| row.values.get(at)).cloned().unwrap_or_default()
            };
            let of = |f: &ParentField| f.value(&value(&f.field));
            if let Some(missing) = spec.fields.iter().find(|f| f.required && of(f).is_null()) {
                return Err(Box::new(lacks_field(spec, &missing.place(), fields, &row.values)));
            }
            member.parent = spec.fields.iter().chain(&spec.further_fields).map(|f| (f.name.clone(), of(f))).collect();
            member.columns.extend(spec.include.iter().map(|(column, field)| (column.clone(), value(field))));
            member.from_warehouse = row.from_warehouse;
            of_parent = Some(sorted(spec.fields.iter().map(|f| (f.place().to_string(), of(f)))));
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

fn lacks_field(spec: &Parent, field: &FieldPath, fields: &[FieldPath], values: &[Value]) -> Missing {
    let known = fields.iter().zip(values).filter(|(_, v)| !v.is_null()).map(|(f, v)| format!("{f} = {v}"));
    let known: Vec<String> = known.collect();
    let row = if known.is_empty() { "no other field known".to_owned() } else { known.join(", ") };
    Missing {
        policy: spec.on_missing_field,
        identity: Value::from(values.to_vec()).to_string(),
        error: Error::new(Kind::Data, format!("a row of `{}` has no `{field}`", spec.resource))
            .with("parent row", row)
            .hint("`on_missing_parent_field = \"skip\"` leaves such rows out, and counts them"),
    }
}

fn lacks_column(spec: &Partitions, column: &str, combination: &Combination) -> Missing {
    let position = spec.wanted().iter().position(|w| w == column).unwrap_or_default();
    let giver = combination.givers.get(position).copied().unwrap_or_default();
    let number = combination.rows.get(giver).copied().unwrap_or_default();
    let list = spec.lists.get(giver);
    let row = match list.map(|list| &list.rows) {
        Some(PartitionRows::File(path)) => format!("row {number} of {}", path.display()),
        Some(PartitionRows::Sql { .. }) => format!("row {number} of the query"),
        Some(PartitionRows::Values(_)) | None => format!("row {number} of `values`"),
    };
    Missing {
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
    use crate::plan::model::{ParentScope, PartitionList};
    use serde_json::json;

    fn path(text: &str) -> FieldPath {
        FieldPath(text.split('.').map(str::to_owned).collect())
    }

    /// A child that uses `parent.id` and `parent.parent.id`, stores the title and the partition's region.
    fn relation(with_parent: bool, with_partitions: bool) -> Relation {
        let field = |name: &str, field: &str| ParentField {
            name: path(name),
            field: path(field),
            within: Vec::new(),
            required: true,
        };
        let parent = Parent {
            resource: "views".into(),
            fields: vec![field("parent.id", "videos_id"), field("id", "id")],
            further_fields: vec![field("note", "note")],
            include: vec![("views_title".into(), path("title"))],
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
        Relation { parent: with_parent.then_some((parent, fields)), partitions: with_partitions.then_some(partitions) }
    }

    fn candidate(parent: Option<Value>, partition: Option<Value>) -> Candidate {
        let values = |value: Value| value.as_array().cloned().unwrap_or_default();
        Candidate {
            parent: parent.map(|p| ParentRow { values: values(p), from_warehouse: false }),
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
            let member = relation.member(candidate(of_parent.cloned(), of_partition.cloned())).unwrap();
            assert_eq!(member.identity.to_string(), identity.to_string());
        }
    }

    #[test]
    fn expressions_see_names_as_they_are_written_and_rows_get_the_included_columns() {
        let candidate = candidate(Some(json!([1, 7, null, "t"])), Some(json!(["x", 9, "eu"])));
        let member = relation(true, true).member(candidate).unwrap();
        let parent = [("parent.id", json!(1)), ("id", json!(7)), ("note", Value::Null)];
        assert_eq!(member.parent, parent.map(|(name, value)| (path(name), value)));
        let columns = [("views_title", json!("t")), ("region", json!("eu"))];
        assert_eq!(member.columns, columns.map(|(name, value)| (name.to_owned(), value)));
    }

    #[test]
    fn what_lacks_a_value_that_requests_use_is_named() {
        let missing = relation(true, false).member(candidate(Some(json!([1, null, null, "t"])), None)).unwrap_err();
        assert_eq!(missing.error.message(), "a row of `views` has no `id`");
        assert_eq!(missing.error.context("parent row"), Some("videos_id = 1, title = \"t\""));
        assert_eq!(missing.policy, OnMissingField::Skip);
        let missing = relation(false, true).member(candidate(None, Some(json!(["x", "", "eu"])))).unwrap_err();
        assert_eq!(missing.error.message(), "a row of the partitions has no `id`");
        assert_eq!(missing.error.context("partition"), Some("row 3 of `values`"));
        assert_eq!(missing.error.context("at"), Some("api.toml:4:1"));
    }
}
