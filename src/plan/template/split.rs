//! A text cut in two: what is the same for all requests, and the rest.

use super::{Compiled, Part, Template, escape_literal};
use std::sync::Arc;

impl Template {
    /// Splits a text in two at the last slash before the first expression that uses one of these roots. None: no expression
    /// does, or there is no slash before it.
    pub fn split_before(&self, roots: &[&str]) -> Option<(Template, Template)> {
        let uses = |names: &[Vec<String>]| names.iter().any(|path| roots.contains(&path[0].as_str()));
        let at = self.inner.parts.iter().position(|part| match part {
            Part::Literal(_) => false,
            Part::Name { path, .. } => uses(std::slice::from_ref(path)),
            Part::Expression { names, .. } => uses(names),
        })?;
        let is_literal_with_slash = |part: &Part| matches!(part, Part::Literal(text) if text.contains('/'));
        let cut = self.inner.parts[..at].iter().rposition(is_literal_with_slash)?;
        let Part::Literal(text) = &self.inner.parts[cut] else { return None };
        let (head, tail) = text.split_at(text.rfind('/')? + 1);
        let with = |literal: &str, before: &[Part], after: &[Part]| {
            let own = Some(Part::Literal(literal.to_owned())).filter(|_| !literal.is_empty());
            Template::of_parts(before.iter().cloned().chain(own).chain(after.iter().cloned()).collect())
        };
        Some((with(head, &self.inner.parts[..cut], &[]), with(tail, &[], &self.inner.parts[cut + 1..])))
    }

    /// A text of parts, as if it had been written so.
    fn of_parts(parts: Vec<Part>) -> Template {
        let source: String = parts
            .iter()
            .map(|part| match part {
                Part::Literal(text) => escape_literal(text),
                Part::Name { written, .. } | Part::Expression { written, .. } => written.clone(),
            })
            .collect();
        let references = Template::parse(&source).map(|t| t.inner.references.clone()).unwrap_or_default();
        Template { inner: Arc::new(Compiled { source, parts, references }) }
    }
}
