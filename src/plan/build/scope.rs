//! Texts with expressions: compiled, their names checked and noted.

use crate::config::diagnostic::Diagnostics;
use crate::config::text::Text as FileText;
use crate::config::tree::Node;
use crate::plan::model::Text;
use crate::plan::suggest;
use crate::plan::template::{self, Reference, Template, TemplateError};
use std::ops::Range;

/// A name that an expression uses, with its place in the file.
#[derive(Debug, Clone)]
pub(super) struct Use {
    pub(super) path: Vec<String>,
    pub(super) span: Range<usize>,
    /// Whether its expression says itself what an absent value means.
    pub(super) guarded: bool,
}

impl Use {
    fn new(name: &Reference, span: Range<usize>) -> Self {
        Use { path: name.path.clone(), span, guarded: name.guarded }
    }

    pub(super) fn is(&self, root: &str, member: &str) -> bool {
        matches!(self.path.as_slice(), [r, m] if r == root && m == member)
    }

    pub(super) fn root(&self) -> &str {
        self.path.first().map_or("", String::as_str)
    }
}

/// Where expressions are compiled: the file's diagnostics, its variables, and the names used so far.
pub(super) struct Scope<'a> {
    pub(super) found: &'a mut Diagnostics,
    vars: &'a [(String, Text)],
    pub(super) uses: Vec<Use>,
    /// Whether `record.FIELD` has a value where texts are compiled.
    pub(super) sees_record: bool,
}

impl<'a> Scope<'a> {
    pub(super) fn new(found: &'a mut Diagnostics, vars: &'a [(String, Text)]) -> Self {
        Scope { found, vars, uses: Vec::new(), sees_record: false }
    }

    /// The variables whose values are known now.
    pub(super) fn known_vars(&self) -> template::Scope {
        let literal = |(name, var): &(String, Text)| Some((name.clone(), var.template.as_literal()?.to_owned()));
        template::Scope { vars: self.vars.iter().filter_map(literal).collect(), ..template::Scope::default() }
    }

    /// A text, number or flag that goes into a request. What `${…}` brings is a secret there.
    pub(super) fn text(&mut self, node: &Node) -> Option<Text> {
        self.credential(&node.as_scalar()?)
    }

    pub(super) fn credential(&mut self, text: &FileText) -> Option<Text> {
        let mut uses = Vec::new();
        let compiled = text.credential(|name, span| uses.push(Use::new(name, span)));
        let compiled = self.accept(compiled, &uses)?;
        // A variable that is a secret makes a secret of what it is put into.
        let brings_secret = |u: &Use| {
            u.root() == "vars" && self.vars.iter().any(|(name, var)| u.path.get(1) == Some(name) && var.secret)
        };
        let secret = compiled.secret || uses.iter().any(brings_secret);
        self.uses.append(&mut uses);
        Some(Text { secret, ..compiled })
    }

    /// The text of a variable. It may say when the run began; anything else is not known yet.
    pub(super) fn variable(&mut self, text: &FileText) -> Option<Text> {
        let mut uses = Vec::new();
        let compiled = text.credential(|name, span| uses.push(Use::new(name, span)));
        for used in uses.iter().filter(|u| u.root() != "run") {
            let message = format!("`{}` can't be used in a variable", used.path.join("."));
            self.found.error(used.span.clone(), message).help("only `run.started_at` can");
        }
        self.report(compiled)
    }

    /// A text whose `${…}` are plain: a path.
    pub(super) fn template(&mut self, text: &FileText) -> Option<Template> {
        let mut uses = Vec::new();
        let compiled = text.template(|name, span| uses.push(Use::new(name, span)));
        let compiled = self.accept(compiled, &uses)?;
        self.uses.append(&mut uses);
        Some(compiled)
    }

    fn accept<T>(&mut self, compiled: Result<T, TemplateError>, uses: &[Use]) -> Option<T> {
        for used in uses {
            self.check(used);
        }
        self.report(compiled)
    }

    fn report<T>(&mut self, compiled: Result<T, TemplateError>) -> Option<T> {
        compiled.map_err(|e| self.found.error(e.range, e.message).help_maybe(e.hint)).ok()
    }

    /// What holds for every text: known variables, and records only where they are known.
    fn check(&mut self, used: &Use) {
        let name = used.path.join(".");
        match used.root() {
            "vars" => {
                let wanted = used.path.get(1).map_or("", String::as_str);
                if used.path.len() != 2 || !self.vars.iter().any(|(name, _)| name == wanted) {
                    let known = self.vars.iter().map(|(name, _)| format!("vars.{name}"));
                    let help = suggest::did_you_mean(&name, known).unwrap_or_else(|| "declare it under [vars]".into());
                    self.found.error(used.span.clone(), format!("unknown variable `{name}`")).help(help);
                }
            }
            "record" if !self.sees_record => {
                let message = format!("`{name}` has no value here: the request comes before its records");
                self.found.error(used.span.clone(), message).help("`record.FIELD` can be used in `filter`");
            }
            _ => {}
        }
    }

    /// Refuses names of these roots, which have no value where these uses stand. Says whether all is well.
    pub(super) fn refuse_names(&mut self, since: usize, place: &str, roots: &[&str]) -> bool {
        let mut fine = true;
        for used in &self.uses[since..] {
            if roots.contains(&used.root()) {
                let message = format!("`{}` has no value in `{place}`", used.path.join("."));
                self.found.error(used.span.clone(), message).help("`vars.NAME` and `run.started_at` can be used there");
                fine = false;
            }
        }
        fine
    }
}
