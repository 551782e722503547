//! Where the records of a body are: a selector applied, and the automatic choice of one.

mod auto;
mod keyed;
mod names;
mod query;

pub use auto::{Choice, choose};

use super::envelope::{Envelope, Node};
use super::format::Place;
use super::raw::{self, Shape};
use super::record_columns::Namer;
use crate::error::{Error, Kind, Result};
use crate::plan::model::{QuerySelector, RecordColumns, Resource, Selector, Step};
use bytes::Bytes;

/// Keys that an error lists at most.
const LISTED_KEYS_MAX: usize = 20;

/// The records of one answer.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Selection {
    /// Slices of the body, each a JSON array of records or a single record.
    pub records: Vec<Bytes>,
    /// Whether the records are elements of a list. A lone object is not the first page of anything.
    pub is_list: bool,
    /// Whether the selector found its place, be there records or none.
    pub matched: bool,
}

impl Selection {
    /// An answer that has no place for records.
    const NOTHING: Selection = Selection { records: Vec::new(), is_list: true, matched: false };

    /// Adds the records of a further body of the same answer.
    fn append(&mut self, mut further: Selection) {
        self.records.append(&mut further.records);
        self.is_list = true;
        self.matched |= further.matched;
    }
}

/// Whether there is a record in a selection's slices.
pub fn has_records(records: &[Bytes]) -> bool {
    records.iter().any(|slice| Shape::of(slice) != Shape::List || raw::first_element(slice).is_some())
}

/// The selector of one walk: what the file says, or what was chosen from the first answer that has something to choose.
#[derive(Debug, Clone)]
pub struct RecordSelector {
    resource: String,
    primary_key: Vec<Vec<String>>,
    allow_missing: bool,
    steps: Option<Vec<Step>>,
    /// What comes behind the steps, if the file's JSONPath is more than steps.
    query: Option<QuerySelector>,
    record_columns: Option<RecordColumns>,
    /// The column for the names of records, which are members of an object.
    key_column: Option<String>,
    chosen_here: bool,
    /// Whether the choice was made from a list.
    chosen_list: bool,
}

impl RecordSelector {
    /// The selector of a resource.
    pub fn new(resource: &Resource) -> Self {
        RecordSelector {
            resource: resource.name.clone(),
            primary_key: resource.primary_key.iter().map(|path| path.0.clone()).collect(),
            allow_missing: resource.allow_missing,
            steps: match &resource.selector {
                Selector::Auto => None,
                Selector::Path(steps) => Some(steps.clone()),
                Selector::Query(query) => Some(query.prefix.clone()),
            },
            query: match &resource.selector {
                Selector::Auto | Selector::Path(_) => None,
                Selector::Query(query) => Some((**query).clone()),
            },
            record_columns: resource.format.record_columns.clone(),
            key_column: resource.format.key_column.clone(),
            chosen_here: false,
            chosen_list: false,
        }
    }

    /// The records of an answer.
    ///
    /// # Errors
    /// The selector matches nothing, nothing could be chosen without a guess, or where a list was chosen there is none any
    /// more: an error message with status 200 is no record.
    pub fn select(&mut self, envelope: &Envelope) -> Result<Selection> {
        let mut whole: Option<Selection> = None;
        for part in envelope.parts() {
            let selection = self.select_shaped(part)?;
            match &mut whole {
                None => whole = Some(selection),
                Some(whole) => whole.append(selection),
            }
        }
        Ok(whole.unwrap_or(Selection::NOTHING))
    }

    /// The records of one body, those that are lists or members of an object made records of their own.
    fn select_shaped(&mut self, body: &Envelope) -> Result<Selection> {
        let selection = self.select_values(body)?;
        if !has_records(&selection.records) {
            return Ok(selection);
        }
        let mut namer = self.record_columns.as_ref().map(|columns| Namer::new(columns, body));
        let (records, is_list) = match (&self.key_column, &mut namer) {
            (Some(column), namer) => (keyed::records(&selection, self.steps(), column, namer.as_mut())?, true),
            (None, Some(namer)) => (namer.records(&selection)?, selection.is_list),
            (None, None) => return Ok(selection),
        };
        Ok(Selection { records: vec![join_records(&records)], is_list, matched: selection.matched })
    }

    fn select_values(&mut self, envelope: &Envelope) -> Result<Selection> {
        let Some(root) = envelope.root() else { return Ok(Selection::NOTHING) };
        if let Some(query) = &self.query {
            return query::query(root, query, self.allow_missing);
        }
        let is_first = self.steps.is_none();
        let mut is_element = false;
        if is_first {
            let wrapped = match envelope.wrapper() {
                Some(name) => root.member(name)?.map(|node| (Step::Key(name.to_owned()), node)),
                None => None,
            };
            let (around, within) = wrapped.map_or((None, root), |(step, node)| (Some(step), node));
            let element = if around.is_some() { only_element(within)? } else { None };
            is_element = element.is_some();
            let choice = match element {
                Some(name) => Choice::Steps(vec![Step::Key(name)]),
                None => choose(within, &self.resource, &self.primary_key, self.allow_missing)?,
            };
            match choice {
                Choice::Steps(steps) => {
                    self.steps = Some(around.into_iter().chain(steps).collect());
                    self.chosen_here = true;
                }
                Choice::NothingToChoose => return Ok(Selection::NOTHING),
            }
        }
        let steps = self.steps.as_deref().unwrap_or_default();
        let mut selection = select(root, steps, self.allow_missing)?;
        selection.is_list |= is_element;
        if self.chosen_list && !selection.is_list {
            return Err(no_list(steps));
        }
        self.chosen_list |= is_first && self.chosen_here && selection.is_list;
        Ok(selection)
    }

    /// What the automatic choice was, once it is made; `None` when the file says it.
    pub fn chosen(&self) -> Option<String> {
        self.chosen_here.then(|| display_steps(self.steps.as_deref().unwrap_or_default()))
    }

    /// Where the records are expected in the next answer.
    pub(super) fn place(&self) -> Place<'_> {
        Place { steps: self.steps(), is_seen: self.chosen_list }
    }

    /// The steps in use, if they are known by now.
    pub fn steps(&self) -> &[Step] {
        self.steps.as_deref().unwrap_or_default()
    }
}

/// The name of the one element below the root of an XML document, if that has nothing else and the element has fields of its
/// own. In XML a list of one is not told from an element: were there two, they would be the records.
fn only_element(root: &Node) -> Result<Option<String>> {
    if root.shape() != Shape::Object {
        return Ok(None);
    }
    Ok(match root.members()? {
        [(name, element)] if element.shape() == Shape::Object => Some(name.clone()),
        _ => None,
    })
}

fn no_list(steps: &[Step]) -> Error {
    let selector = display_steps(steps);
    Error::new(Kind::Body, "the answer has no list where the first one had the records")
        .with("records expected at", &selector)
        .with("found by", "the first answer; the file gives no `data_selector`")
        .hint(format!(
            "`response_actions` say what such an answer means; if it is a record, `data_selector = \"{selector}\"` says so"
        ))
}

/// Records that are no neighbours in the body, as one list.
pub(super) fn join_records(records: &[Bytes]) -> Bytes {
    let mut out = Vec::with_capacity(2 + records.iter().map(|record| record.len() + 1).sum::<usize>());
    out.push(b'[');
    for record in records {
        if out.len() > 1 {
            out.push(b',');
        }
        out.extend_from_slice(record);
    }
    out.push(b']');
    out.into()
}

/// A selector as the file would say it: `$`, `data.items`, `groups[*].rows`.
pub fn display_steps(steps: &[Step]) -> String {
    let mut out = String::new();
    for step in steps {
        match step {
            Step::Key(key) if out.is_empty() => out.push_str(key),
            Step::Key(key) => out.extend([".", key]),
            Step::Index(index) => out.push_str(&format!("[{index}]")),
            Step::Every => out.push_str("[*]"),
        }
    }
    match out.chars().next() {
        None => "$".to_owned(),
        Some('[') => format!("${out}"),
        Some(_) => out,
    }
}

/// Applies a selector. A list at its end gives its elements, anything else is one record, null is none; `[*]` flattens
/// to rows however many there are.
///
/// # Errors
/// It matches nothing (and `allow_missing` is off): the API renamed a key, or this is an error message with status 200.
pub fn select(root: &Node, steps: &[Step], allow_missing: bool) -> Result<Selection> {
    // `[*]` at the end of a list is the list itself.
    let (steps, flattens) = match steps {
        [before @ .., Step::Every] => (before, true),
        all => (all, false),
    };
    let mut search = Search::default();
    match steps.iter().position(|step| !matches!(step, Step::Key(_))) {
        None => search.descend_keys(root, steps)?,
        Some(keys_len) => {
            let mut reached = Search::default();
            reached.descend_keys(root, &steps[..keys_len])?;
            search.missing = reached.missing;
            for text in reached.found {
                search.descend(text, &steps[keys_len..])?;
            }
        }
    }
    let Search { found, missing, passed_list } = search;
    if found.is_empty()
        && !allow_missing
        && let Some(missing) = missing
    {
        return Err(missing.error(&display_steps(steps)));
    }
    let mut selection = Selection {
        is_list: passed_list || flattens || found.is_empty(),
        matched: missing.is_none() || !found.is_empty(),
        records: Vec::with_capacity(found.len()),
    };
    for value in found {
        match Shape::of(&value) {
            Shape::Null => selection.is_list = true,
            Shape::List => {
                selection.is_list = true;
                selection.records.push(value);
            }
            Shape::Object if flattens => selection.records.extend(raw::members(&value)?.into_iter().map(|(_, v)| v)),
            _ => selection.records.push(value),
        }
    }
    Ok(selection)
}

/// What a selector has reached so far.
#[derive(Debug, Default)]
struct Search {
    found: Vec<Bytes>,
    missing: Option<Missing>,
    passed_list: bool,
}

/// The first place where a selector found nothing.
#[derive(Debug)]
struct Missing {
    wanted: String,
    shape: Shape,
    keys: Vec<String>,
}

impl Missing {
    fn error(self, selector: &str) -> Error {
        let there = match self.shape {
            Shape::Object if self.keys.is_empty() => "an object without keys".to_owned(),
            Shape::Object => self.keys.iter().map(|key| format!("`{key}`")).collect::<Vec<_>>().join(", "),
            other => other.to_string(),
        };
        Error::new(Kind::Body, format!("the answer has no `{}`, which `data_selector` needs", self.wanted))
            .with("data_selector", selector)
            .with("found there", there)
            .hint("correct `data_selector`, or set `allow_missing = true` if such an answer is an empty page")
    }
}

impl Search {
    /// Follows keys from the root, over members that are read once and kept.
    fn descend_keys(&mut self, root: &Node, keys: &[Step]) -> Result<()> {
        let mut node = root;
        for step in keys {
            let Step::Key(key) = step else { break };
            if node.shape() == Shape::Null {
                break;
            }
            match node.member(key)? {
                Some(member) => node = member,
                None => {
                    let keys = match node.shape() {
                        Shape::Object => node.members()?.iter().map(|(key, _)| key.clone()).collect(),
                        _ => Vec::new(),
                    };
                    self.note_missing(key, node.shape(), keys);
                    return Ok(());
                }
            }
        }
        self.found.push(node.text().clone());
        Ok(())
    }

    /// Follows the steps behind the first `[…]`.
    fn descend(&mut self, value: Bytes, steps: &[Step]) -> Result<()> {
        let shape = Shape::of(&value);
        let Some((step, rest)) = steps.split_first() else {
            self.found.push(value);
            return Ok(());
        };
        match (step, shape) {
            // Null stands for "none": no rows.
            (_, Shape::Null) => self.found.push(value),
            (Step::Every, Shape::List) => {
                self.passed_list = true;
                for element in raw::elements(&value)? {
                    self.descend(element, rest)?;
                }
            }
            (Step::Every, Shape::Object) => {
                self.passed_list = true;
                for (_, member) in raw::members(&value)? {
                    self.descend(member, rest)?;
                }
            }
            (Step::Index(index), Shape::List) => match raw::elements(&value)?.into_iter().nth(*index) {
                Some(element) => self.descend(element, rest)?,
                None => self.note_missing(&format!("[{index}]"), shape, Vec::new()),
            },
            (Step::Key(key), Shape::Object) => {
                let members = raw::members(&value)?;
                let mut named = members.iter().filter(|(name, _)| name == key);
                match (named.next(), named.next()) {
                    (Some((_, member)), None) => self.descend(member.clone(), rest)?,
                    (Some(_), Some(_)) => {
                        return Err(Error::new(Kind::Body, format!("the answer has the key `{key}` twice")));
                    }
                    (None, _) => self.note_missing(key, shape, members.into_iter().map(|(name, _)| name).collect()),
                }
            }
            (step, _) => self.note_missing(&display_steps(std::slice::from_ref(step)), shape, Vec::new()),
        }
        Ok(())
    }

    fn note_missing(&mut self, wanted: &str, shape: Shape, mut keys: Vec<String>) {
        keys.truncate(LISTED_KEYS_MAX);
        self.missing.get_or_insert(Missing { wanted: wanted.to_owned(), shape, keys });
    }
}

#[cfg(test)]
mod tests {
    use super::super::envelope::tests::envelope;
    use super::*;

    /// Steps from a small notation: `data.items`, `groups.*.rows`, `list.0`.
    pub(super) fn steps(text: &str) -> Vec<Step> {
        let step = |part: &str| match part.parse() {
            Ok(index) => Step::Index(index),
            Err(_) if part == "*" => Step::Every,
            Err(_) => Step::Key(part.to_owned()),
        };
        text.split('.').filter(|part| !part.is_empty()).map(step).collect()
    }

    fn check(body: &str, selector: &str, expected: &[&str]) {
        let selection = select(envelope(body).root().unwrap(), &steps(selector), false).unwrap();
        let records: Vec<_> = selection.records.iter().map(|r| std::str::from_utf8(r).unwrap()).collect();
        assert_eq!(records, expected, "{selector} of {body}");
    }

    #[test]
    fn the_value_at_the_end_is_a_list_of_records_or_one_record() {
        check(r#"[{"a":1},{"a":2}]"#, "", &[r#"[{"a":1},{"a":2}]"#]);
        check(r#"[{"a":1},{"a":2}]"#, "*", &[r#"[{"a":1},{"a":2}]"#]);
        check(r#"{"data":{"items":[1, 2]}}"#, "data.items", &["[1, 2]"]);
        check(r#"{"data":{"id":1}}"#, "data", &[r#"{"id":1}"#]);
        check(r#"[[1],[2]]"#, "1", &["[2]"]);
        check("7", "", &["7"]);
    }

    #[test]
    fn null_and_empty_lists_are_no_rows() {
        check(r#"{"data":null}"#, "data", &[]);
        check(r#"{"data":null}"#, "data.items", &[]);
        check(r#"{"data":null}"#, "data.*.x", &[]);
        check(r#"{"groups":[]}"#, "groups.*.rows", &[]);
        check("null", "", &[]);
        check(r#"{"data":[]}"#, "data", &["[]"]);
        let selection = select(envelope(r#"{"data":[ ]}"#).root().unwrap(), &steps("data"), false).unwrap();
        assert!(!has_records(&selection.records) && selection.is_list && selection.matched);
    }

    #[test]
    fn wildcards_flatten_to_rows_whatever_the_number_of_matches() {
        check(r#"{"g":[{"rows":[1,2]}]}"#, "g.*.rows", &["[1,2]"]);
        check(r#"{"g":[{"rows":[1,2]},{"rows":[3]}]}"#, "g.*.rows", &["[1,2]", "[3]"]);
        check(r#"{"g":[{"rows":[1,2]},{"rows":[3]}]}"#, "g.*.rows.*", &["[1,2]", "[3]"]);
        check(r#"{"e":[{"node":{"id":1}},{"node":{"id":2}}]}"#, "e.*.node", &[r#"{"id":1}"#, r#"{"id":2}"#]);
        check(r#"{"e":[{"node":{"id":1}},{"other":1}]}"#, "e.*.node", &[r#"{"id":1}"#]);
        check(r#"{"by_id":{"x":{"id":1},"y":{"id":2}}}"#, "by_id.*", &[r#"{"id":1}"#, r#"{"id":2}"#]);
        check(r#"{"by_day":{"x":[1],"y":[2]}}"#, "by_day.*", &["[1]", "[2]"]);
    }

    #[test]
    fn a_selector_that_matches_nothing_names_what_is_there() {
        for (body, selector, wanted, found) in [
            (r#"{"items":[1],"total":1}"#, "data", "data", "`items`, `total`"),
            (r#"{"error":"quota"}"#, "data.items", "data", "`error`"),
            (r#"{"data":{"rows":[]}}"#, "data.items", "items", "`rows`"),
            (r#"{"data":[{"items":[]}]}"#, "data.items", "items", "a list"),
            (r#"{"e":[{"edge":1}]}"#, "e.*.node", "node", "`edge`"),
            (r#"[1]"#, "data", "data", "a list"),
            (r#"[1]"#, "3", "[3]", "a list"),
            ("{}", "data", "data", "an object without keys"),
        ] {
            let error = select(envelope(body).root().unwrap(), &steps(selector), false).unwrap_err();
            assert_eq!(error.message(), format!("the answer has no `{wanted}`, which `data_selector` needs"));
            assert_eq!(error.context("found there"), Some(found), "{body}");
            let allowed = select(envelope(body).root().unwrap(), &steps(selector), true).unwrap();
            assert!(allowed.records.is_empty() && !allowed.matched);
        }
    }

    #[test]
    fn a_selector_is_shown_as_a_file_would_say_it() {
        for (notation, shown) in
            [("", "$"), ("*", "$[*]"), ("data.items", "data.items"), ("g.*.rows", "g[*].rows"), ("0.a", "$[0].a")]
        {
            assert_eq!(display_steps(&steps(notation)), shown);
        }
    }
}
