//! Texts with expressions: compiled, their names checked and noted.

use crate::config::diagnostic::Diagnostics;
use crate::config::text::Text as FileText;
use crate::config::tree::Node;
use crate::plan::model::{FieldPath, JsonTemplate, Text};
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

    /// Whether it is a field of the answer before.
    pub(super) fn is_of_body(&self) -> bool {
        matches!(self.path.as_slice(), [root, member, ..] if root == "page" && member == "body")
    }

    /// The name as an expression spells it.
    pub(super) fn name(&self) -> String {
        FieldPath(self.path.clone()).to_string()
    }

    pub(super) fn root(&self) -> &str {
        self.path.first().map_or("", String::as_str)
    }
}

/// Where expressions are compiled: the file's diagnostics, its variables, and the names used so far.
pub(super) struct Scope<'a> {
    pub(super) found: &'a mut Diagnostics,
    vars: &'a [(String, JsonTemplate)],
    pub(super) uses: Vec<Use>,
    /// Whether `record.FIELD` has a value where texts are compiled.
    pub(super) sees_record: bool,
    /// The requests whose answers `before.NAME` stands for where texts are compiled.
    pub(super) preparations: Vec<String>,
}

impl<'a> Scope<'a> {
    pub(super) fn new(found: &'a mut Diagnostics, vars: &'a [(String, JsonTemplate)]) -> Self {
        Scope { found, vars, uses: Vec::new(), sees_record: false, preparations: Vec::new() }
    }

    /// What expressions see before a run: the variables that don't need one.
    pub(super) fn known(&self) -> template::Scope {
        let known = |(name, value): &(String, JsonTemplate)| Some((name.clone(), value.known()?));
        template::Scope { vars: self.vars.iter().filter_map(known).collect(), ..Default::default() }
    }

    /// The variables of the file.
    pub(super) fn vars(&self) -> &'a [(String, JsonTemplate)] {
        self.vars
    }

    /// Whether a variable that is a secret, or holds one, is behind a name.
    pub(super) fn brings_secret(&self, used: &Use) -> bool {
        let is_used = |name: &String| used.root() == "vars" && used.path.get(1) == Some(name);
        self.vars.iter().any(|(name, value)| is_used(name) && value.is_secret())
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
        let secret = compiled.secret || uses.iter().any(|used| self.brings_secret(used));
        self.uses.append(&mut uses);
        Some(Text { secret, ..compiled })
    }

    /// The text of a variable. It may say when the run began; anything else is not known yet.
    pub(super) fn variable(&mut self, text: &FileText) -> Option<Text> {
        let mut uses = Vec::new();
        let compiled = text.credential(|name, span| uses.push(Use::new(name, span)));
        for used in uses.iter().filter(|u| u.root() != "run") {
            let message = format!("`{}` can't be used in a variable", used.name());
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
        let name = used.name();
        match used.root() {
            "vars" if !self.is_variable(&used.path[1..]) => {
                let known = self.variable_names();
                let help = suggest::did_you_mean(&name, known).unwrap_or_else(|| "declare it under [vars]".into());
                self.found.error(used.span.clone(), format!("unknown variable `{name}`")).help(help);
            }
            "record" if !self.sees_record => {
                let message = format!("`{name}` has no value here: the request comes before its records");
                self.found.error(used.span.clone(), message).help("`record.FIELD` can be used in `filter`");
            }
            "before" => self.check_before(used),
            _ => {}
        }
    }

    /// Answers that were not there yet, or of which nothing is kept.
    fn check_before(&mut self, used: &Use) {
        let (name, known) = (used.name(), &self.preparations);
        let found = used.path.get(1).is_some_and(|asked| known.contains(asked));
        let (message, help) = match used.path.get(2).map(String::as_str) {
            _ if known.is_empty() => (
                format!("`{name}` has no value here"),
                "answers of `before` are seen by the requests of the same resource that come after them".to_owned(),
            ),
            _ if !found => {
                let known = known.iter().map(|known| format!("before.{known}"));
                (format!("no request before this one gives `{name}`"), format!("known are {}", suggest::list(known)))
            }
            Some("body" | "headers") => return,
            _ => {
                let asked = used.path.get(1).map_or("NAME", String::as_str);
                let help = format!("write `before.{asked}.body.FIELD` or `before.{asked}.headers.NAME`");
                (format!("`{name}` is neither in the body of an answer nor in its headers"), help)
            }
        };
        self.found.error(used.span.clone(), message).help(help);
    }

    /// Whether a variable, or a member of one that is a table, has this path.
    fn is_variable(&self, path: &[String]) -> bool {
        let Some((name, members)) = path.split_first() else { return false };
        let variable = self.vars.iter().find(|(known, _)| known == name).map(|(_, value)| value);
        variable.is_some_and(|value| members.iter().try_fold(value, |value, name| value.member(name)).is_some())
    }

    /// The variables, and the members of those that are tables.
    fn variable_names(&self) -> Vec<String> {
        let mut names = Vec::new();
        for (name, value) in self.vars {
            names.push(format!("vars.{name}"));
            if let JsonTemplate::Object(members) = value {
                names.extend(members.iter().map(|(member, _)| format!("vars.{name}.{member}")));
            }
        }
        names
    }

    /// Refuses names of these roots, which have no value where these uses stand. Says whether all is well.
    pub(super) fn refuse_names(&mut self, since: usize, place: &str, roots: &[&str]) -> bool {
        let mut fine = true;
        for used in &self.uses[since..] {
            if roots.contains(&used.root()) {
                let message = format!("`{}` has no value in `{place}`", used.name());
                self.found.error(used.span.clone(), message).help("`vars.NAME` and `run.started_at` can be used there");
                fine = false;
            }
        }
        fine
    }
}
