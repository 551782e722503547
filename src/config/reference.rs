//! The description of all keys as a page for people, `docs/reference.md`.

use super::keys;
use super::spec::{Choice, Key, Kind, Table, Tagged};
use std::collections::{BTreeMap, VecDeque};
use std::fmt::Write;

const HEAD: &str = "\
# Reference of the two files

Every key, with what it may be, its default and what it does. This page is generated from the program: `pintail check` refuses
what is not here, and editors know the same from [`pipeline.schema.json`](../pipeline.schema.json) and
[`config.schema.json`](../config.schema.json). The guides beside it say how keys work together.

A text may hold `${NAME}`; a text that does may stand for any number, flag or word. *Template*: a text that may hold `{{ … }}`
([paging.md](paging.md)). *Or `false`*: switches off what would be inherited. Lengths of time are written `\"90s\"`, `\"15m\"`,
`\"2h\"`, `\"7d\"`, sizes `\"256 MiB\"` or a number of bytes.
";

/// The whole page, as Markdown.
pub fn markdown() -> String {
    let mut page = String::from(HEAD);
    for (title, name, root) in
        [("Pipeline file", "", &keys::PIPELINE), ("Operator file, `config.toml`", "config.toml", &keys::CONFIG)]
    {
        let _ = write!(page, "\n## {title}\n");
        let mut sections = Sections { prefix: name, known: BTreeMap::new(), waiting: VecDeque::new() };
        page.push_str(&sections.table(root, ""));
        while let Some((path, part)) = sections.waiting.pop_front() {
            let _ = write!(page, "\n### {}\n", heading(name, &path));
            page.push_str(&match part {
                Part::Table(table) => sections.all_but(table).unwrap_or_else(|| sections.table(table, &path)),
                Part::Tagged(tagged) => sections.tagged(tagged, &path),
            });
        }
    }
    page
}

/// A table with a section of its own.
#[derive(Clone, Copy)]
enum Part {
    Table(&'static Table),
    Tagged(&'static Tagged),
}

/// The sections of one file: those that are written, and those that are to come.
struct Sections {
    /// What stands before the keys in headings, so that those of the two files differ.
    prefix: &'static str,
    /// What has a section, and where. Tables that keys have in common are described once.
    known: BTreeMap<String, String>,
    waiting: VecDeque<(String, Part)>,
}

fn heading(prefix: &str, path: &str) -> String {
    match prefix {
        "" => format!("`{path}`"),
        prefix => format!("`{path}` in `{prefix}`"),
    }
}

/// The fragment that leads to a heading, as GitHub and most others make it.
fn anchor(heading: &str) -> String {
    let kept = heading.chars().filter(|c| c.is_alphanumeric() || matches!(c, ' ' | '-' | '_'));
    kept.collect::<String>().to_lowercase().replace(' ', "-")
}

impl Sections {
    /// The heading of a part's section, which is written later if it is new.
    fn section_of(&mut self, path: &str, part: Part) -> String {
        let identity = match part {
            Part::Table(table) => format!("{table:?}"),
            Part::Tagged(tagged) => format!("{tagged:?}"),
        };
        if let Some(known) = self.known.get(&identity) {
            return known.clone();
        }
        let heading = heading(self.prefix, path);
        self.known.insert(identity, heading.clone());
        self.waiting.push_back((path.to_owned(), part));
        heading
    }

    /// A table all of whose keys are among those of another one that is to come: only what it lacks.
    fn all_but(&self, table: &'static Table) -> Option<String> {
        let has =
            |other: &Table, key: &Key| other.key(key.name).is_some_and(|k| format!("{k:?}") == format!("{key:?}"));
        self.waiting.iter().find_map(|(path, part)| match part {
            Part::Table(larger)
                if larger.keys.len() > table.keys.len() && table.keys.iter().all(|k| has(larger, k)) =>
            {
                let lacking = larger.keys.iter().filter(|key| !has(table, key)).map(|key| format!("`{}`", key.name));
                let lacking = lacking.collect::<Vec<_>>().join(", ");
                let heading = heading(self.prefix, path);
                Some(format!("\nAll keys of [{heading}](#{}) but {lacking}.\n", anchor(&heading)))
            }
            _ => None,
        })
    }

    fn table(&mut self, table: &'static Table, path: &str) -> String {
        let mut out = String::from("\n| key | value | default | meaning |\n|---|---|---|---|\n");
        for key in table.keys {
            out.push_str(&self.row(key, path));
        }
        out
    }

    fn tagged(&mut self, tagged: &'static Tagged, path: &str) -> String {
        let mut out = String::from(
            "\nA table with a `type`. The type alone, as text, stands for a table that has nothing else.\n",
        );
        for variant in tagged.variants {
            let _ = write!(out, "\n**`{}`**: {}\n", variant.name, cell(variant.doc));
            if !variant.table.keys.is_empty() {
                out.push_str(&self.table(&variant.table, path));
            }
        }
        if !tagged.common.is_empty() {
            out.push_str("\nAll types have these too:\n\n| key | value | default | meaning |\n|---|---|---|---|\n");
            for key in tagged.common {
                out.push_str(&self.row(key, path));
            }
        }
        out
    }

    fn row(&mut self, key: &'static Key, path: &str) -> String {
        let below = if path.is_empty() { key.name.to_owned() } else { format!("{path}.{}", key.name) };
        let mut kind = self.kind(&key.kind, &below);
        if key.off {
            kind.push_str(", or `false`");
        }
        let default = match (key.required, key.default) {
            (true, _) => "*required*".to_owned(),
            (false, Some(default)) => format!("`{default}`"),
            (false, None) => String::new(),
        };
        let words = words(&key.kind).map(meanings).unwrap_or_default();
        format!("| `{}` | {} | {} | {}{} |\n", key.name, cell(&kind), cell(&default), cell(key.doc), cell(&words))
    }

    /// What a value may be.
    fn kind(&mut self, kind: &'static Kind, path: &str) -> String {
        match kind {
            Kind::Text => "text".to_owned(),
            Kind::Template => "template".to_owned(),
            Kind::Integer { min, max } if *max == u64::MAX => format!("integer from {min}"),
            Kind::Integer { min, max } => format!("integer {min} to {max}"),
            Kind::Boolean => "`true`, `false`".to_owned(),
            Kind::Duration => "duration".to_owned(),
            Kind::Size => "size".to_owned(),
            Kind::Choice(choice) => {
                let words = choice.words.iter().map(|(word, _)| format!("`\"{word}\"`"));
                words.collect::<Vec<_>>().join(", ")
            }
            Kind::Scalar => "template, number, flag or date".to_owned(),
            Kind::Json => "any value; templates in it".to_owned(),
            Kind::OneOrMany(inner) => format!("{}, or a list", self.kind(inner, path)),
            Kind::List(inner) => format!("list of {}", self.kind(inner, path)),
            Kind::Map(inner) => format!("table, NAME = {}", self.kind(inner, &format!("{path}.NAME"))),
            Kind::Table(table) => self.link(path, Part::Table(table), "table"),
            Kind::Tagged(tagged) => self.link(path, Part::Tagged(tagged), "table or type"),
            Kind::Either(kinds) => kinds.iter().map(|k| self.kind(k, path)).collect::<Vec<_>>().join(", or "),
        }
    }

    fn link(&mut self, path: &str, part: Part, what: &str) -> String {
        format!("[{what}](#{})", anchor(&self.section_of(path, part)))
    }
}

/// The words of a choice, wherever it is in a kind.
fn words(kind: &'static Kind) -> Option<&'static Choice> {
    match kind {
        Kind::Choice(choice) => Some(choice),
        Kind::OneOrMany(inner) | Kind::List(inner) | Kind::Map(inner) => words(inner),
        Kind::Either(kinds) => kinds.iter().find_map(words),
        _ => None,
    }
}

/// What the words of a choice mean, where they need saying.
fn meanings(choice: &Choice) -> String {
    let said = choice.words.iter().filter(|(_, doc)| !doc.is_empty());
    said.map(|(word, doc)| format!(". `{word}`: {doc}")).collect()
}

/// A text as a cell of a table.
fn cell(text: &str) -> String {
    text.replace('|', "\\|")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_link_leads_to_a_heading_and_no_two_headings_are_alike() {
        let page = markdown();
        let headings = page.lines().filter(|l| l.starts_with('#')).map(|l| anchor(l.trim_start_matches('#').trim()));
        let mut anchors: Vec<String> = headings.collect();
        let count = anchors.len();
        for link in page.split("](#").skip(1).filter_map(|rest| rest.split(')').next()) {
            assert!(anchors.iter().any(|a| a == link), "#{link}");
        }
        anchors.sort();
        anchors.dedup();
        assert_eq!(anchors.len(), count);
    }

    #[test]
    fn a_key_has_its_value_default_and_meaning() {
        let page = markdown();
        for row in [
            "| `base_url` | template | *required* | Where relative paths begin; its path is kept |",
            "| `concurrency` | integer 1 to 1024 | `4` | Requests in flight |",
            "| `limit` | integer from 1 | `100` | Records to ask for in a page |",
        ] {
            assert!(page.lines().any(|line| line == row), "{row}");
        }
        assert!(page.contains("**`cursor`**: A token of the body goes into the next request"));
        assert!(page.contains("\n### `client.retry`\n"), "a table of its own");
        assert!(!page.contains("### `resources.NAME.retry`"), "which other keys refer to");
    }
}
