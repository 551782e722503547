//! Text in HTML, so that nothing that a name or an error holds can be anything but text.

use chrono::{DateTime, SecondsFormat, Utc};
use std::fmt::Write;

/// A text as the content of an element or of an attribute in quotes.
pub(super) fn text(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    for c in text.chars() {
        match c {
            '&' => out.push_str("&amp;"),
            '<' => out.push_str("&lt;"),
            '>' => out.push_str("&gt;"),
            '"' => out.push_str("&quot;"),
            '\'' => out.push_str("&#39;"),
            '\n' | '\t' => out.push(c),
            // Neither HTML nor XML has a way to write these.
            c if c.is_control() || matches!(c, '\u{FFFE}' | '\u{FFFF}') => out.push('\u{FFFD}'),
            c => out.push(c),
        }
    }
    out
}

/// A name that somebody else chose: letters that run from right to left don't turn what stands beside it.
pub(super) fn name(given: &str) -> String {
    format!("<bdi>{}</bdi>", text(given))
}

/// A time, for people and machines.
pub(super) fn time(at: DateTime<Utc>) -> String {
    let machine = at.to_rfc3339_opts(SecondsFormat::Secs, true);
    format!("<time datetime=\"{machine}\">{}</time>", at.format("%Y-%m-%d %H:%M"))
}

/// What a cell without a value shows.
pub(super) const NOTHING: &str = "–";

/// A table of cells that are HTML already. On a narrow screen each row becomes a block, with the head beside each cell that has a
/// value.
pub(super) struct Table {
    heads: &'static [&'static str],
    rows: String,
}

impl Table {
    pub(super) fn new(heads: &'static [&'static str]) -> Table {
        Table { heads, rows: String::new() }
    }

    pub(super) fn row(&mut self, cells: &[String]) {
        self.rows.push_str("<tr>");
        for (head, cell) in self.heads.iter().zip(cells) {
            let class = if cell == NOTHING { " class=\"empty\"" } else { "" };
            // Writing to a String can't fail.
            let _ = write!(self.rows, "<td{class} data-head=\"{}\">{cell}</td>", text(head));
        }
        self.rows.push_str("</tr>\n");
    }

    pub(super) fn html(&self) -> String {
        let heads: String = self.heads.iter().map(|head| format!("<th scope=\"col\">{}</th>", text(head))).collect();
        format!("<table>\n<thead><tr>{heads}</tr></thead>\n<tbody>\n{}</tbody>\n</table>\n", self.rows)
    }
}
