//! `{{ … }}` expressions (Jinja, by minijinja), compiled once and evaluated per request.
//!
//! Names are checked when a text is parsed, so a run never meets an unknown one. A null is not a text: an expression that
//! touches an absent or null value gives none, unless it deals with that itself (`default`, `if`, `is`, `or`, …).

mod expression;
mod filters;
mod lexer;
mod scope;

pub use scope::{Scope, descend};

use super::model::FieldPath;
use crate::error::{Error, Kind, Result};
use percent_encoding::{AsciiSet, NON_ALPHANUMERIC, utf8_percent_encode};
use serde_json::Value;
use std::borrow::Cow;
use std::fmt;
use std::ops::Range;
use std::sync::Arc;

/// A text with expressions, compiled. Two are equal when their sources are.
#[derive(Clone)]
pub struct Template {
    inner: Arc<Compiled>,
}

#[derive(Clone)]
struct Compiled {
    source: String,
    parts: Vec<Part>,
    references: Vec<Reference>,
}

#[derive(Clone)]
enum Part {
    Literal(String),
    /// `{{ page.offset }}`: needs no engine.
    Name {
        written: String,
        path: Vec<String>,
    },
    Expression {
        written: String,
        compiled: Arc<minijinja::Expression<'static, 'static>>,
        names: Vec<Reference>,
    },
}

/// A name that an expression uses, with its place in the source.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Reference {
    /// `["parent", "author", "id"]`.
    pub path: Vec<String>,
    /// Bytes of the source.
    pub range: Range<usize>,
    /// Whether the expression says itself what an absent value means (`default`, `if`, `or`, …).
    pub guarded: bool,
}

/// Why a text is not a template: which bytes of it, and what is wrong.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct TemplateError {
    /// Bytes of the source concerned.
    pub range: Range<usize>,
    /// One sentence.
    pub message: String,
    /// What to do about it ("did you mean `page.offset`?").
    pub hint: Option<String>,
}

/// Everything but the unreserved characters of RFC 3986 section 2.3.
const SEGMENT: &AsciiSet = &NON_ALPHANUMERIC.remove(b'-').remove(b'.').remove(b'_').remove(b'~');

/// The same for what stands between values: delimiters that a segment may hold (RFC 3986 section 3.3) stay.
const SEPARATOR: &AsciiSet = &SEGMENT.remove(b',').remove(b';').remove(b':').remove(b'+').remove(b'*');

impl Template {
    /// Compiles a text. Unknown names, unknown filters and syntax errors are found here.
    ///
    /// # Errors
    /// The first thing that is wrong, with its place in the text.
    pub fn parse(source: &str) -> Result<Template, TemplateError> {
        let mut parts = Vec::new();
        let mut references = Vec::new();
        let mut done = 0;
        while let Some(open) = next_opening(source, done)? {
            if open > done {
                parts.push(Part::Literal(source[done..open].to_owned()));
            }
            let end = expression_end(source, open).ok_or_else(|| TemplateError {
                range: open..source.len(),
                message: "the expression has no end".into(),
                hint: Some("close it with `}}`".into()),
            })?;
            parts.push(compile(source, open + 2..end - 2, &mut references)?);
            done = end;
        }
        if done < source.len() {
            parts.push(Part::Literal(source[done..].to_owned()));
        }
        Ok(Template { inner: Arc::new(Compiled { source: source.to_owned(), parts, references }) })
    }

    /// A text that is taken as it is, whatever it holds.
    pub fn literal(text: &str) -> Template {
        let parts = if text.is_empty() { Vec::new() } else { vec![Part::Literal(text.to_owned())] };
        Template { inner: Arc::new(Compiled { source: escape_literal(text), parts, references: Vec::new() }) }
    }

    /// Several texts one after the other, as one.
    pub fn concat(parts: Vec<Template>) -> Template {
        let mut whole = Compiled { source: String::new(), parts: Vec::new(), references: Vec::new() };
        for template in parts {
            let offset = whole.source.len();
            let part = Arc::unwrap_or_clone(template.inner);
            whole.source.push_str(&part.source);
            whole.references.extend(
                part.references
                    .into_iter()
                    .map(|r| Reference { range: r.range.start + offset..r.range.end + offset, ..r }),
            );
            for part in part.parts {
                match (whole.parts.last_mut(), part) {
                    (Some(Part::Literal(before)), Part::Literal(text)) => before.push_str(&text),
                    (_, part) => whole.parts.push(part),
                }
            }
        }
        Template { inner: Arc::new(whole) }
    }

    /// The text as it was written.
    pub fn source(&self) -> &str {
        &self.inner.source
    }

    /// The text itself when it has no expression.
    pub fn as_literal(&self) -> Option<&str> {
        match self.inner.parts.as_slice() {
            [] => Some(""),
            [Part::Literal(text)] => Some(text),
            _ => None,
        }
    }

    /// What stands outside of expressions.
    pub fn literals(&self) -> impl Iterator<Item = &str> {
        self.inner.parts.iter().filter_map(|part| match part {
            Part::Literal(text) => Some(text.as_str()),
            Part::Name { .. } | Part::Expression { .. } => None,
        })
    }

    /// Whether it is exactly one expression: in JSON it keeps its value's type.
    pub fn is_one_expression(&self) -> bool {
        matches!(self.inner.parts.as_slice(), [Part::Name { .. } | Part::Expression { .. }])
    }

    /// The names that expressions use, in the order of the text.
    pub fn references(&self) -> &[Reference] {
        &self.inner.references
    }

    /// Whether an expression uses a name, as `page.offset` or `cursor.start`.
    pub fn uses(&self, name: &str) -> bool {
        self.inner.references.iter().any(|reference| reference.path.iter().map(String::as_str).eq(name.split('.')))
    }

    /// The parent fields that expressions use.
    pub fn parent_fields(&self) -> Vec<FieldPath> {
        let mut fields: Vec<FieldPath> = Vec::new();
        for reference in self.inner.references.iter().filter(|r| r.path[0] == "parent") {
            let field = FieldPath(reference.path[1..].to_vec());
            if !fields.contains(&field) {
                fields.push(field);
            }
        }
        fields
    }

    /// The parent fields whose values are joined in a batch of parents: not those that an expression itself makes a text of.
    pub fn joined_parent_fields(&self) -> Vec<FieldPath> {
        let makes_text =
            |part: &Part| matches!(part, Part::Expression { written, .. } if expression::makes_text(written));
        let mut references = self.inner.references.iter();
        let mut fields: Vec<FieldPath> = Vec::new();
        for part in &self.inner.parts {
            let own = references.by_ref().take(part.roots().count());
            let own = own.filter(|r| r.path[0] == "parent").map(|r| FieldPath(r.path[1..].to_vec()));
            let own: Vec<FieldPath> = own.filter(|field| !fields.contains(field)).collect();
            if !makes_text(part) {
                fields.extend(own);
            }
        }
        fields
    }

    /// The text for a request. `None` when an expression gave none: the parameter is left out.
    ///
    /// # Errors
    /// An expression failed on these values.
    pub fn render(&self, scope: &Scope) -> Result<Option<String>> {
        let mut out = String::new();
        for part in &self.inner.parts {
            match part {
                Part::Literal(text) => out.push_str(text),
                part => match part.evaluate(scope)? {
                    Some(value) => push_text(&mut out, &value, scope),
                    None => return Ok(None),
                },
            }
        }
        Ok(Some(out))
    }

    /// The texts for a parameter, which can come several times: a text that is exactly one expression gives one for each
    /// element of a list, unless that is a batch of parents. Nulls are left out. Otherwise as [`Template::render`].
    ///
    /// # Errors
    /// An expression failed on these values.
    pub fn render_each(&self, scope: &Scope) -> Result<Vec<String>> {
        let text = |value: &Value| {
            let mut out = String::new();
            push_text(&mut out, value, scope);
            out
        };
        Ok(match self.render_json(scope)? {
            // The values of a batch are one text.
            Some(Value::Array(elements)) if scope.batch_separator.is_none() => {
                elements.iter().filter(|e| !e.is_null()).map(text).collect()
            }
            Some(value) => vec![text(&value)],
            None => Vec::new(),
        })
    }

    /// The text for a URL path: each expression's value is percent-encoded as one segment (RFC 3986 section 3.3).
    ///
    /// # Errors
    /// An expression failed, or gave none, or gave what can't be one segment (an empty text, `.` or `..`).
    pub fn render_path(&self, scope: &Scope) -> Result<String> {
        let mut out = String::new();
        for part in &self.inner.parts {
            let written = match part {
                Part::Literal(text) => {
                    out.push_str(text);
                    continue;
                }
                Part::Name { written, .. } | Part::Expression { written, .. } => written,
            };
            out.push_str(&segment(written, part.evaluate(scope)?, scope)?);
        }
        Ok(out)
    }

    /// The text of a URL's beginning. What stands in the host is taken as it is, and so are variables; other values in the
    /// path are percent-encoded as one segment each.
    ///
    /// # Errors
    /// As [`Template::render_path`].
    pub fn render_url(&self, scope: &Scope) -> Result<String> {
        let mut out = String::new();
        for part in &self.inner.parts {
            let is_own = part.roots().all(|root| matches!(root, "vars" | "run"));
            match part {
                Part::Literal(text) => out.push_str(text),
                Part::Name { written, .. } | Part::Expression { written, .. } if is_own || !has_host(&out) => {
                    let value = part.evaluate(scope)?;
                    push_text(&mut out, &value.ok_or_else(|| without_value(written))?, scope);
                }
                Part::Name { written, .. } | Part::Expression { written, .. } => {
                    out.push_str(&segment(written, part.evaluate(scope)?, scope)?);
                }
            }
        }
        Ok(out)
    }

    /// The names that decide about the host of a URL that begins with this text. `known` has the values that are known
    /// already; others don't end the host.
    pub fn references_in_host(&self, known: &Scope) -> Vec<Reference> {
        let (mut out, mut references) = (String::new(), self.inner.references.iter());
        let mut found = Vec::new();
        for part in &self.inner.parts {
            let own: Vec<&Reference> = references.by_ref().take(part.roots().count()).collect();
            if has_host(&out) {
                break;
            }
            found.extend(own.into_iter().cloned());
            if let Ok(Some(value)) = part.evaluate(known) {
                push_text(&mut out, &value, known);
            }
        }
        found
    }

    /// Whether its value is true: there, and not `false`, 0 or empty.
    ///
    /// # Errors
    /// An expression failed on these values.
    pub fn holds(&self, scope: &Scope) -> Result<bool> {
        Ok(self.render_json(scope)?.is_some_and(|value| match value {
            Value::Null => false,
            Value::Bool(flag) => flag,
            Value::Number(number) => number.as_f64() != Some(0.0),
            Value::String(text) => !text.is_empty(),
            Value::Array(elements) => !elements.is_empty(),
            Value::Object(members) => !members.is_empty(),
        }))
    }

    /// The value for a JSON body: a text that is exactly one expression keeps the value's type. `None` as in `render`.
    ///
    /// # Errors
    /// An expression failed on these values.
    pub fn render_json(&self, scope: &Scope) -> Result<Option<Value>> {
        match self.inner.parts.as_slice() {
            [part @ (Part::Name { .. } | Part::Expression { .. })] => part.evaluate(scope),
            _ => Ok(self.render(scope)?.map(Value::String)),
        }
    }
}

impl PartialEq for Template {
    fn eq(&self, other: &Self) -> bool {
        self.inner.source == other.inner.source
    }
}

impl fmt::Debug for Template {
    /// The source, secrets replaced.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("Template").field(&crate::secret::redact(&self.inner.source)).finish()
    }
}

impl Part {
    /// The first name of each path that it uses.
    fn roots(&self) -> impl Iterator<Item = &str> {
        let (single, several) = match self {
            Part::Literal(_) => (None, &[][..]),
            Part::Name { path, .. } => (Some(path), &[][..]),
            Part::Expression { names, .. } => (None, names.as_slice()),
        };
        let several = several.iter().map(|name| &name.path);
        single.into_iter().chain(several).filter_map(|path| path.first()).map(String::as_str)
    }

    /// The value, or `None` where it is null or absent.
    fn evaluate(&self, scope: &Scope) -> Result<Option<Value>> {
        match self {
            Part::Literal(text) => Ok(Some(Value::String(text.clone()))),
            Part::Name { path, .. } => Ok(scope.resolve(path)),
            Part::Expression { written, compiled, names } => {
                let mut values = Vec::with_capacity(names.len());
                for name in names {
                    let value = scope.resolve(&name.path);
                    if value.is_none() && !name.guarded {
                        return Ok(None);
                    }
                    values.push((name.path.as_slice(), value));
                }
                expression::evaluate(compiled, &values).map_err(|cause| {
                    Error::new(Kind::Data, "an expression failed on its values")
                        .with("expression", written)
                        .source(cause)
                })
            }
        }
    }
}

/// Whether a text names the whole host of a URL, because its path has begun.
fn has_host(url: &str) -> bool {
    url.split_once("://").is_some_and(|(_, rest)| rest.contains('/'))
}

/// A value as one segment of a path, percent-encoded. The values of a batch are encoded one by one.
fn segment(written: &str, value: Option<Value>, scope: &Scope) -> Result<String> {
    let value = value.ok_or_else(|| without_value(written))?;
    let mut text = String::new();
    push_text(&mut text, &value, scope);
    // A URL parser would drop these segments, also in their encoded forms: the request would go elsewhere.
    if matches!(text.as_str(), "" | "." | "..") {
        return Err(Error::new(Kind::Data, "an expression in the path gives no usable segment")
            .with("expression", written)
            .hint("a path segment can't be empty, `.` or `..`"));
    }
    let encode = |text: &str| utf8_percent_encode(text, SEGMENT).to_string();
    Ok(match batch_of(&value, scope) {
        Some((values, separator)) => {
            let texts: Vec<String> = values.iter().map(|value| encode(&text_of(value))).collect();
            texts.join(&utf8_percent_encode(separator, SEPARATOR).to_string())
        }
        None => encode(&text),
    })
}

fn without_value(written: &str) -> Error {
    Error::new(Kind::Data, "an expression in the path has no value").with("expression", written)
}

/// Adds a value as a request shows it: text as it is, the values of a batch joined, everything else as JSON.
fn push_text(out: &mut String, value: &Value, scope: &Scope) {
    match batch_of(value, scope) {
        Some((values, separator)) => {
            out.push_str(&values.iter().map(text_of).collect::<Vec<_>>().join(separator));
        }
        None => out.push_str(&text_of(value)),
    }
}

/// The values of a batch, and what stands between them.
fn batch_of<'v>(value: &'v Value, scope: &'v Scope) -> Option<(&'v [Value], &'v str)> {
    Some((value.as_array()?, scope.batch_separator.as_deref()?))
}

/// One value as text.
pub fn text_of(value: &Value) -> Cow<'_, str> {
    match value {
        Value::String(text) => Cow::Borrowed(text),
        other => Cow::Owned(other.to_string()),
    }
}

/// A text that a template gives back unchanged: what would open an expression or a statement is quoted.
pub fn escape_literal(text: &str) -> String {
    if !text.contains("{{") && !text.contains("{%") {
        return text.to_owned();
    }
    text.replace('{', "{{ '{' }}")
}

/// Where the next `{{` is, at or after a place. A `{%` before it is refused.
fn next_opening(source: &str, from: usize) -> Result<Option<usize>, TemplateError> {
    let open = source[from..].find("{{").map(|i| from + i);
    let literal_end = open.unwrap_or(source.len());
    match source[from..literal_end].find("{%") {
        Some(i) => Err(TemplateError {
            range: from + i..from + i + 2,
            message: "statements can't be used here, only `{{ … }}` expressions".into(),
            hint: Some("an expression can choose too: `{{ a if b else c }}`".into()),
        }),
        None => Ok(open),
    }
}

/// The place just behind the `}}` that ends the expression which opens at `open`. Quotes and inner braces are respected.
pub fn expression_end(source: &str, open: usize) -> Option<usize> {
    let bytes = source.as_bytes();
    let mut i = open + 2;
    let mut depth = 0_usize;
    while i < bytes.len() {
        match bytes[i] {
            quote @ (b'"' | b'\'') => {
                i += 1;
                while *bytes.get(i)? != quote {
                    i += if bytes[i] == b'\\' { 2 } else { 1 };
                }
            }
            b'{' => depth += 1,
            b'}' if depth > 0 => depth -= 1,
            b'}' if bytes.get(i + 1) == Some(&b'}') => return Some(i + 2),
            _ => {}
        }
        i += 1;
    }
    None
}

/// Compiles the expression in `range` of the source, and notes the names that it uses.
fn compile(source: &str, range: Range<usize>, references: &mut Vec<Reference>) -> Result<Part, TemplateError> {
    let text = &source[range.clone()];
    let written = source[range.start - 2..range.end + 2].to_owned();
    let analysis = expression::analyse(text)
        .map_err(|e| TemplateError { range: e.range.start + range.start..e.range.end + range.start, ..e })?;
    references.extend(
        analysis
            .references
            .iter()
            .map(|r| Reference { range: r.range.start + range.start..r.range.end + range.start, ..r.clone() }),
    );
    if let Some(path) = analysis.single_name {
        return Ok(Part::Name { written, path });
    }
    let compiled = filters::environment().compile_expression_owned(text.trim().to_owned()).map_err(|e| {
        let detail = e.detail().map_or_else(|| e.to_string(), str::to_owned);
        let trimmed = text.len() - text.trim_start().len();
        TemplateError {
            range: range.start + trimmed..range.start + trimmed + text.trim().len().max(1),
            message: format!("the expression is not valid: {detail}"),
            hint: None,
        }
    })?;
    Ok(Part::Expression { written, compiled: Arc::new(compiled), names: analysis.references })
}

#[cfg(test)]
mod tests;
