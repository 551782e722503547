//! One pass over the records of a page: tokens into the columns of the shape, keys and cursors noted on the way.

use super::column::Fit;
use super::content::{NestedContent, content, digits_of, is_json, json_in, key_text, of_element, of_member};
use super::contract::Drift;
use super::decode::{DecodeSpec, ParentColumns, uuid8};
use super::excerpt::kept_json;
use super::json::{Fault, Number, Scanner};
use super::judge::Judge;
use super::key::id_of_texts;
use super::shape::{Field, FieldId, KeyPart, ROOT, Shape};
use super::{CursorToken, Decoded};
use crate::error::{Error, Kind, Result};
use crate::plan::model::OnCursorMissing;
use std::ops::Range;
use xxhash_rust::xxh3::xxh3_128;

/// Bytes of a value in a message.
const SHOWN_BYTES: usize = 80;

/// One pass over a page.
pub(super) struct Pass<'s> {
    pub(super) shape: &'s mut Shape,
    pub(super) spec: &'s DecodeSpec,
    /// Whether the contract forbids anything.
    judges: bool,
    pub(super) judge: Judge<'s>,
    hashes_content: bool,
    pub(super) part_number: usize,
    pub(super) ids: Vec<u128>,
    /// Which of the records with a cursor have no row.
    pub(super) absent: Vec<usize>,
    /// Hash of the parent's columns, for ids from content.
    parent_hash: u128,
    /// Key texts of the record in hand, by part of the key; those from the parent are fixed.
    key: Vec<Option<Vec<u8>>>,
    pub(super) cursor: Vec<Option<Range<usize>>>,
    pub(super) scratch: Vec<u8>,
    root_row: usize,
    /// The field whose text is being read as JSON: its tokens are no bytes of the page.
    within_text_of: Option<FieldId>,
}

impl<'s> Pass<'s> {
    pub(super) fn new(shape: &'s mut Shape, spec: &'s DecodeSpec, parent: &ParentColumns, judge: Judge<'s>) -> Self {
        let from_parent = |name: &str| parent.iter().find(|(n, _)| n == name).and_then(|(_, v)| key_text(v));
        let key = spec.shape.key.iter().map(|part| match part {
            KeyPart::Field(_) => None,
            KeyPart::Parent(name) => from_parent(name),
        });
        let of_record = parent.iter().filter(|(name, _)| !spec.shape.of_run.contains(name));
        let parent_text = of_record.map(|(n, v)| format!("{n}={v}\n")).collect::<String>();
        Pass {
            key: key.collect(),
            cursor: vec![None; spec.shape.cursor.len()],
            ids: Vec::new(),
            absent: Vec::new(),
            judges: !spec.shape.contract.modes.evolves(),
            judge,
            parent_hash: xxh3_128(parent_text.as_bytes()),
            scratch: Vec::new(),
            root_row: 0,
            within_text_of: None,
            hashes_content: spec.hashes_content() || spec.wants_contents,
            part_number: 0,
            shape,
            spec,
        }
    }

    fn rows(&self) -> usize {
        self.shape.tables[ROOT].rows.count
    }

    /// Reads one part: an array of records, or one record.
    pub(super) fn part(&mut self, bytes: &[u8], out: &mut Decoded) -> Result<()> {
        if let Err(e) = std::str::from_utf8(bytes) {
            return Err(Error::new(Kind::Body, "the body is not UTF-8").with("at", format!("byte {}", e.valid_up_to())));
        }
        if i32::try_from(bytes.len()).is_err() {
            return Err(Error::new(Kind::Body, "a page of over 2 GiB cannot be decoded").with("bytes", bytes.len()));
        }
        let mut scan = Scanner::new(bytes);
        if scan.peek() != Some(b'[') {
            self.record(&mut scan, out)?;
        } else {
            scan.open(0).map_err(|f| self.malformed(f, out))?;
            if !scan.take(b']') {
                loop {
                    self.record(&mut scan, out)?;
                    if !scan.more(b']').map_err(|f| self.malformed(f, out))? {
                        break;
                    }
                }
            }
        }
        scan.end().map_err(|f| self.malformed(f, out))
    }

    #[cold]
    fn malformed(&self, fault: Fault, out: &Decoded) -> Error {
        Error::new(Kind::Body, "the body is not valid JSON")
            .with("at", format!("record {}, byte {}: {}", out.record_count + 1, fault.at, fault.message))
    }

    fn record(&mut self, scan: &mut Scanner<'_>, out: &mut Decoded) -> Result<()> {
        if scan.peek() == Some(b'n') {
            scan.literal("null").map_err(|f| self.malformed(f, out))?;
            out.skipped.push(out.record_count);
            out.record_count += 1;
            *out.discarded.entry("null_record").or_default() += 1;
            return Ok(());
        }
        if self.judges && self.pass_over_record(scan, out).map_err(|f| self.malformed(f, out))? {
            return Ok(());
        }
        let start = scan.offset();
        let row = self.rows();
        self.root_row = row;
        for (slot, part) in self.spec.shape.key.iter().enumerate() {
            if matches!(part, KeyPart::Field(_)) {
                self.key[slot] = None;
            }
        }
        self.cursor.fill(None);
        self.shape.tables[ROOT].rows.count += 1;
        let element = self.shape.tables[ROOT].element;
        let content = match self.value(scan, element, row, 1) {
            Ok(hash) => hash,
            Err(Stop::Fault(fault)) => return Err(self.malformed(fault, out)),
            Err(Stop::Error(error)) => return Err(*error),
        };
        out.record_count += 1;
        let cursor = self.cursor.iter_mut().find_map(Option::take);
        if self.judges && self.judge_record(scan.since(start), cursor.as_ref(), out.record_count)? {
            self.ids.push(0);
            return Ok(());
        }
        if cursor.is_none() && !self.cursor.is_empty() && !self.keep_without_cursor(scan.since(start), out)? {
            out.skipped.push(out.record_count - 1);
            self.shape.truncate(ROOT, row);
            self.unsee();
            return Ok(());
        }
        let id = self.id(content, out)?;
        self.ids.push(id);
        if self.judges {
            self.note_parts(id, out);
        }
        if self.spec.wants_contents {
            out.contents.push(content);
        }
        out.cursors.push(cursor.map(|range| CursorToken { part: self.part_number, range }));
        Ok(())
    }

    /// After a record was dropped, its row number is used again: no field was seen in it yet.
    fn unsee(&mut self) {
        for field in &mut self.shape.fields {
            field.seen_row = 0;
        }
    }

    fn keep_without_cursor(&mut self, record: &[u8], out: &mut Decoded) -> Result<bool> {
        match self.spec.on_cursor_missing {
            OnCursorMissing::Include => Ok(true),
            OnCursorMissing::Exclude => {
                self.note_without_cursor(record, out);
                Ok(false)
            }
            OnCursorMissing::Raise => {
                let paths = self.spec.shape.cursor.iter().map(ToString::to_string).collect::<Vec<_>>().join(", ");
                Err(Error::new(Kind::Data, format!("a record has no `{paths}`, which is the cursor"))
                    .with("at", format!("record {}", out.record_count))
                    .hint("`on_cursor_value_missing = \"include\"` loads such records, `\"exclude\"` leaves them out"))
            }
        }
    }

    /// The id of the record in hand.
    fn id(&self, content: u128, out: &Decoded) -> Result<u128> {
        if self.spec.hashes_content() {
            return Ok(uuid8(content ^ self.parent_hash));
        }
        for (slot, text) in self.key.iter().enumerate() {
            if text.is_none() {
                let name = match &self.spec.shape.key[slot] {
                    KeyPart::Field(path) => path.to_string(),
                    KeyPart::Parent(name) => name.clone(),
                };
                return Err(Error::new(Kind::Data, format!("the primary key `{name}` of a record is null or missing"))
                    .with("at", format!("record {}", out.record_count))
                    .hint("name fields that every record has in `primary_key`, or load with `write_disposition = \"append\"`"));
            }
        }
        Ok(id_of_texts(self.key.iter().flatten().map(Vec::as_slice)))
    }

    /// Reads a value into a row of the field's table. Returns the hash of its content, if ids come from it.
    fn value(&mut self, scan: &mut Scanner<'_>, field: FieldId, row: usize, depth: usize) -> Result<u128, Stop> {
        let first = scan.peek();
        let start = scan.offset();
        if let Some(slot) = self.shape.fields[field].cursor_slot
            && matches!(first, Some(b'{' | b'['))
        {
            self.refuse_nested_cursor(scan.clone(), slot, depth)?;
        }
        if self.judges
            && let Some(drift) = self.shape.drift(field, first)
        {
            self.no_place(scan, field, drift, depth)?;
            return Ok(0);
        }
        if self.shape.fields[field].raw {
            let hash = self.raw(scan, field, row, depth)?;
            if let Some(slot) = self.shape.fields[field].cursor_slot.filter(|_| first != Some(b'n')) {
                self.cursor[slot] = Some(start..scan.offset());
            }
            return Ok(hash);
        }
        let (fit, hash) = match first {
            Some(b'"') => {
                let text = scan.string(&mut self.scratch)?;
                if self.shape.fields[field].parse_json && self.within_text_of != Some(field) {
                    let text = text.to_vec();
                    return self.unfolded(&text, scan.since(start), field, row, depth);
                }
                let fit = self.shape.buffer(field, row).text(text)?;
                note_key(&mut self.key, &self.shape.fields[field], || text.to_vec());
                (fit, content(self.hashes_content, 1, text))
            }
            Some(b'{' | b'[') if self.shape.fields[field].keeps(first) => return self.nested(scan, field, row, depth),
            Some(b'{') => return self.object(scan, field, row, depth),
            Some(b'[') => return self.list(scan, field, row, depth),
            Some(b'n') => {
                scan.literal("null")?;
                self.shape.buffer(field, row).null();
                return Ok(0);
            }
            Some(b @ (b't' | b'f')) => {
                scan.literal(if b == b't' { "true" } else { "false" })?;
                let fit = self.shape.buffer(field, row).boolean(b == b't')?;
                note_key(&mut self.key, &self.shape.fields[field], || {
                    if b == b't' { b"true".to_vec() } else { b"false".to_vec() }
                });
                (fit, self.content(2, &[b]))
            }
            _ => self.number(scan, field, row)?,
        };
        let hash = if fit == Fit::Fits { hash } else { self.widening(scan.since(start), field, depth) };
        if let (Some(slot), None) = (self.shape.fields[field].cursor_slot, self.within_text_of) {
            self.cursor[slot] = Some(start..scan.offset());
        }
        Ok(hash)
    }

    /// A cursor that is an object or a list, unless another path of the list leads into it.
    #[cold]
    fn refuse_nested_cursor(&mut self, mut scan: Scanner<'_>, slot: usize, depth: usize) -> Result<(), Stop> {
        let paths = &self.spec.shape.cursor;
        let own = &paths[slot];
        if paths.iter().any(|path| path.0.len() > own.0.len() && path.0.starts_with(&own.0)) {
            return Ok(());
        }
        let token = scan.skip(depth, &mut self.scratch)?;
        let shown = String::from_utf8_lossy(&token[..token.len().min(SHOWN_BYTES)]).into_owned();
        let what = if token.starts_with(b"{") { "an object" } else { "a list" };
        let error = Error::new(Kind::Data, format!("`{own}`, the cursor, is {what}"))
            .with("value", shown)
            .hint("`cursor_path` must lead to one time, number or text of the record");
        Err(Stop::Error(Box::new(error)))
    }

    /// A value that its column has no type for says as little of the record as null does.
    #[cold]
    fn widening(&mut self, token: &[u8], field: FieldId, depth: usize) -> u128 {
        self.offend(field, Drift::DataType, token, depth);
        0
    }

    fn number(&mut self, scan: &mut Scanner<'_>, field: FieldId, row: usize) -> Result<(Fit, u128), Stop> {
        let number = scan.number()?;
        let buffer = self.shape.buffer(field, row);
        let fit = match number {
            Number::Small(value) => buffer.int(value)?,
            Number::Whole(token) => match std::str::from_utf8(token).ok().and_then(|t| t.parse().ok()) {
                Some(value) => buffer.int(value)?,
                None => buffer.number(token, false)?,
            },
            Number::Fraction(token) => buffer.number(token, true)?,
        };
        let wanted = self.hashes_content || self.shape.fields[field].key_slot.is_some();
        if !wanted {
            return Ok((fit, 0));
        }
        let (mut digits, canonical);
        let text: &[u8] = match number {
            Number::Small(value) => {
                digits = itoa::Buffer::new();
                digits.format(value).as_bytes()
            }
            Number::Whole(token) | Number::Fraction(token) => {
                canonical = digits_of(token);
                &canonical
            }
        };
        note_key(&mut self.key, &self.shape.fields[field], || text.to_vec());
        Ok((fit, self.content(3, text)))
    }

    /// A text that should be JSON (`parse = "json"`), read as if it stood in the record. One that is no JSON stays the
    /// text that it is.
    fn unfolded(&mut self, text: &[u8], token: &[u8], field: FieldId, row: usize, depth: usize) -> Result<u128, Stop> {
        if !is_json(text, depth, &mut self.scratch) {
            if self.shape.buffer(field, row).text(text)? == Fit::Refused {
                return Ok(self.widening(token, field, depth));
            }
            note_key(&mut self.key, &self.shape.fields[field], || text.to_vec());
            return Ok(self.content(1, text));
        }
        let around = self.within_text_of.replace(field);
        let hash = self.value(&mut Scanner::new(text), field, row, depth);
        self.within_text_of = around;
        hash
    }

    /// A value of a column that is declared as JSON: its text, whatever it is.
    fn raw(&mut self, scan: &mut Scanner<'_>, field: FieldId, row: usize, depth: usize) -> Result<u128, Stop> {
        let token = scan.skip(depth, &mut self.scratch)?;
        let unfolded = self.shape.fields[field].parse_json.then(|| json_in(token, depth, &mut self.scratch)).flatten();
        let token = unfolded.as_deref().unwrap_or(token);
        if token == b"null" {
            self.shape.buffer(field, row).null();
            return Ok(0);
        }
        let hash = content(self.hashes_content, 4, token);
        let full_path = self.shape.full_path(field);
        self.shape.buffer(field, row).json(kept_json(token, &full_path, &self.spec.shape.exclude).as_bytes());
        Ok(hash)
    }

    /// An object or a list that is kept as it is.
    fn nested(&mut self, scan: &mut Scanner<'_>, field: FieldId, row: usize, depth: usize) -> Result<u128, Stop> {
        let token = scan.skip(depth, &mut self.scratch)?;
        let exclude = &self.spec.shape.exclude;
        let full_path = self.shape.full_path(field);
        let hash = if self.hashes_content {
            let path = self.shape.fields[field].path.clone();
            NestedContent { path, full_path: full_path.clone(), exclude, scratch: Vec::new() }
                .of(&mut Scanner::new(token), depth)?
        } else {
            0
        };
        let json = kept_json(token, &full_path, exclude);
        match self.shape.buffer(field, row).nested(&json, token[0] == b'[')? {
            Fit::Fits => Ok(hash),
            // What is empty says no more than null, and null is no offence.
            Fit::Refused if is_empty(token) => Ok(0),
            Fit::Refused => Ok(self.widening(token, field, depth)),
        }
    }

    fn object(&mut self, scan: &mut Scanner<'_>, field: FieldId, row: usize, depth: usize) -> Result<u128, Stop> {
        scan.open(depth)?;
        if scan.take(b'}') {
            self.nothing(field, row);
            return Ok(0);
        }
        let object = self.shape.object(field);
        let (mut hint, mut sum) = (0, 0u128);
        loop {
            let key = scan.string(&mut self.scratch)?;
            let member = self.shape.field(object, key, &mut hint);
            scan.expect(b':', "`:`")?;
            if self.shape.fields[member].excluded {
                scan.skip(depth + 1, &mut self.scratch)?;
            } else {
                if self.shape.fields[member].seen_row == row + 1 {
                    self.shape.erase(member, row);
                }
                self.shape.fields[member].seen_row = row + 1;
                let hash = self.value(scan, member, row, depth + 1)?;
                sum = sum.wrapping_add(of_member(hash, self.shape.fields[member].path_hash));
            }
            if !scan.more(b'}')? {
                return Ok(sum);
            }
        }
    }

    fn list(&mut self, scan: &mut Scanner<'_>, field: FieldId, row: usize, depth: usize) -> Result<u128, Stop> {
        scan.open(depth)?;
        if scan.take(b']') {
            self.nothing(field, row);
            return Ok(0);
        }
        let table = self.shape.list(field);
        let element = self.shape.tables[table].element;
        let (mut index, mut sum) = (0i64, 0u128);
        loop {
            let mut around = None;
            if self.judges {
                around = self.pass_over_element(scan, table, depth + 1)?;
                if around.is_none() {
                    index += 1;
                    if scan.more(b']')? {
                        continue;
                    }
                    return Ok(sum);
                }
            }
            let rows = &mut self.shape.tables[table].rows;
            let child_row = rows.count;
            rows.count += 1;
            rows.parent.push(row as u32);
            rows.root.push(self.root_row as u32);
            rows.index.push(index);
            let hash = self.value(scan, element, child_row, depth + 1)?;
            sum = sum.wrapping_add(of_element(hash, index));
            index += 1;
            if let Some(around) = around {
                self.end_element(around);
            }
            if !scan.more(b']')? {
                return Ok(sum);
            }
        }
    }

    /// An empty object or list says no more than null does.
    fn nothing(&mut self, field: FieldId, row: usize) {
        // Neither does a new field that is null.
        let is_new = self.judges && self.shape.drift(field, None) == Some(Drift::Column);
        if !self.shape.fields[field].path.is_empty() && !is_new {
            self.shape.buffer(field, row).null();
        }
    }

    #[inline]
    fn content(&self, kind: u64, bytes: &[u8]) -> u128 {
        content(self.hashes_content, kind, bytes)
    }
}

/// Whether the token of an object or a list has nothing in it.
pub(super) fn is_empty(token: &[u8]) -> bool {
    matches!(token, [b'{', inner @ .., b'}'] | [b'[', inner @ .., b']'] if inner.trim_ascii().is_empty())
}

/// Why a value could not be read.
enum Stop {
    Fault(Fault),
    Error(Box<Error>),
}

impl From<Fault> for Stop {
    fn from(fault: Fault) -> Self {
        Stop::Fault(fault)
    }
}

impl From<Error> for Stop {
    fn from(error: Error) -> Self {
        Stop::Error(Box::new(error))
    }
}

#[inline]
fn note_key(key: &mut [Option<Vec<u8>>], field: &Field, text: impl FnOnce() -> Vec<u8>) {
    if let Some(slot) = field.key_slot {
        key[slot] = Some(text());
    }
}
