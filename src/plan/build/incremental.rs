//! What is asked for since when.

use super::bound::{self, bound};
use super::layers::Layers;
use super::path;
use super::scope::{Scope, Use};
use crate::config::tree::{Node, Table, Value};
use crate::extract::cursor::is_readable;
use crate::plan::duration::{self, Span};
use crate::plan::model::{
    Bound, CursorFormat, CursorScope, CursorSource, Distance, EndBound, FactPlace, Incremental, Notation,
    OnCursorMissing, RowOrder, StartBound,
};
use crate::plan::suggest;
use crate::plan::timezone::TimeZone;

/// Builds the cursor of a resource. `uses` are the names that the request's expressions use.
pub(super) fn incremental(node: &Node, own: &Layers<'_>, uses: &[Use], scope: &mut Scope<'_>) -> Option<Incremental> {
    let table = node.as_table()?;
    let mut keys = Keys { table, scope };
    let (start_param, sends_start) = keys.bound("start_param", "start", uses);
    let (end_param, sends_end) = keys.bound("end_param", "end", uses);
    let notation = Notation {
        format: keys.formats("format").pop(),
        record_formats: keys.record_formats(),
        timezone: keys.timezone(),
    };
    let incremental = Incremental {
        source: keys.source(node)?,
        start_param,
        end_param,
        sends_start,
        sends_end,
        initial_value: keys.value("initial_value"),
        end_value: keys.value("end_value"),
        earliest: keys.earliest(),
        lag: keys.step("lag"),
        window: keys.step("window"),
        align: table.get("align").and_then(Node::as_boolean).unwrap_or(false),
        start_bound: if keys.is("start_bound", "exclusive") { StartBound::Exclusive } else { StartBound::Inclusive },
        end_bound: if keys.is("end_bound", "inclusive") { EndBound::Inclusive } else { EndBound::Exclusive },
        notation,
        row_order: keys.row_order(),
        client_side: table.get("client_side").and_then(Node::as_boolean).unwrap_or(false),
        on_missing: keys.on_missing(),
        scope: if keys.is("scope", "global") { CursorScope::Global } else { CursorScope::Partition },
        walks_by_cursor: keys.is("walk", "cursor"),
    };
    keys.check_values(&incremental);
    keys.check_window(node, &incremental);
    keys.check_walk(&incremental);
    keys.check_source(&incremental);
    keys.check_scope(own, &incremental);
    Some(incremental)
}

/// The keys of the table.
struct Keys<'a, 's, 'f> {
    table: &'a Table,
    scope: &'s mut Scope<'f>,
}

impl Keys<'_, '_, '_> {
    fn word(&self, name: &str) -> Option<String> {
        self.table.get(name).and_then(Node::resolved)
    }

    fn is(&self, name: &str, word: &str) -> bool {
        self.word(name).as_deref() == Some(word)
    }

    /// An error at a key's value.
    fn refuse(&mut self, name: &str, message: impl Into<String>, help: &str) {
        if let Some(node) = self.table.get(name) {
            self.scope.found.error(node.span.clone(), message).help(help);
        }
    }

    /// The parameter of a bound, and whether a request shows the bound at all.
    fn bound(&mut self, param_key: &str, member: &str, uses: &[Use]) -> (Option<String>, bool) {
        let param = self.word(param_key);
        let used = uses.iter().find(|u| u.is("cursor", member));
        if let (Some(used), Some(param)) = (used, &param) {
            let message = format!("`cursor.{member}` is sent twice: by this expression and as `{param}`");
            self.scope.found.error(used.span.clone(), message).help(format!("leave `{param_key}` out"));
        }
        let is_sent = used.is_some() || param.is_some();
        (param, is_sent)
    }

    /// Where the value comes from, with the keys that say where.
    fn source(&mut self, owner: &Node) -> Option<CursorSource> {
        let paths = path::fields(self.table.get("cursor_path"), self.scope);
        if let Some(list) = self.table.get("cursor_path").filter(|n| n.one_or_many().is_empty()) {
            self.scope.found.error(list.span.clone(), "`cursor_path` is an empty list");
            return None;
        }
        let header = self.word("cursor_header").map(|name| FactPlace::Header(name.to_lowercase()));
        let word = self.word("cursor_from").unwrap_or_else(|| "record".to_owned());
        if header.is_some() && word != "response" {
            self.refuse("cursor_header", "`cursor_header` has no effect", "add `cursor_from = \"response\"`");
        }
        let missing = |keys: &mut Self, name: &str, help: &str| {
            if keys.table.get(name).is_none() {
                keys.scope.found.error(owner.span.clone(), format!("`{name}` is missing")).help(help.to_owned());
            }
        };
        match word.as_str() {
            "record" => {
                missing(self, "cursor_path", "where a record shows the value; of a list, the first that is not null");
                (!paths.is_empty()).then_some(CursorSource::Record(paths))
            }
            "response" => {
                let places: Vec<_> = paths.into_iter().map(FactPlace::Body).chain(header).collect();
                if places.is_empty() {
                    missing(self, "cursor_path", "where the answer tells the value; or name a header: `cursor_header`");
                }
                (!places.is_empty()).then_some(CursorSource::Response(places))
            }
            other => {
                let help = format!("leave it out: with `cursor_from = \"{other}\"` records don't show the value");
                self.refuse("cursor_path", "`cursor_path` has no effect", &help);
                Some(if other == "clock" { CursorSource::Clock } else { CursorSource::Window })
            }
        }
    }

    fn value(&mut self, name: &str) -> Option<Bound> {
        bound(name, self.table.get(name)?, self.scope)
    }

    fn earliest(&mut self) -> Option<Span> {
        let text = self.word("earliest")?;
        let span = duration::parse_span(&text).filter(|span| *span != Span::default());
        if span.is_none() {
            let help = "write how far back a run may ask, such as `913d` or `6mo`";
            self.refuse("earliest", "`earliest` is not a length of time", help);
        }
        span
    }

    fn step(&mut self, name: &str) -> Option<Distance> {
        let node = self.table.get(name)?;
        if let Value::Integer(number) = &node.value {
            return u64::try_from(*number).ok().filter(|n| *n > 0).map(Distance::Number);
        }
        let text = node.resolved()?;
        let step = match text.trim().parse::<u64>() {
            Ok(number) => Some(Distance::Number(number)),
            Err(_) => duration::parse_span(&text).map(Distance::Time),
        };
        let is_nothing = matches!(step, Some(Distance::Number(0))) || step == Some(Distance::Time(Span::default()));
        if step.is_none() || is_nothing {
            let what = if is_nothing { "is nothing" } else { "is not a length of time" };
            self.refuse(
                name,
                format!("`{name}` {what}"),
                "write a number, or a number and a unit, such as `2h`, `7d` or `1mo`",
            );
        }
        step.filter(|_| !is_nothing)
    }

    /// The formats that a key names.
    fn formats(&mut self, name: &str) -> Vec<CursorFormat> {
        const FORMATS: [(&str, CursorFormat); 4] = [
            ("iso8601", CursorFormat::Iso8601),
            ("date", CursorFormat::Date),
            ("epoch_s", CursorFormat::EpochSeconds),
            ("epoch_ms", CursorFormat::EpochMillis),
        ];
        let nodes = self.table.get(name).map(Node::one_or_many).unwrap_or_default();
        let mut formats = Vec::new();
        for node in nodes {
            let Some(text) = node.resolved() else { continue };
            if let Some((_, format)) = FORMATS.iter().find(|(name, _)| *name == text) {
                formats.push(format.clone());
            } else if text.contains('%') && chrono::format::StrftimeItems::new(&text).parse().is_ok() {
                formats.push(CursorFormat::Strftime(with_microseconds(&text)));
            } else {
                let names = FORMATS.iter().map(|(name, _)| *name);
                let known =
                    || format!("known are {}, and strftime patterns such as `%Y-%m-%d`", suggest::list(names.clone()));
                let help = suggest::did_you_mean(&text, names.clone()).unwrap_or_else(known);
                self.scope.found.error(node.span.clone(), format!("`{text}` is not a format of times")).help(help);
            }
        }
        formats
    }

    fn record_formats(&mut self) -> Vec<CursorFormat> {
        let formats = self.formats("cursor_format");
        if self.table.get("cursor_format").is_some_and(|node| node.one_or_many().is_empty()) {
            self.refuse(
                "cursor_format",
                "`cursor_format` is an empty list",
                "leave it out: values are recognised then",
            );
        }
        for format in &formats {
            if let CursorFormat::Strftime(pattern) = format
                && !is_readable(pattern)
            {
                let message = format!("no date can be read by `{pattern}`");
                self.refuse(
                    "cursor_format",
                    message,
                    "a pattern needs a year at least, as `%Y`, or seconds since 1970, as `%s`",
                );
            }
        }
        formats
    }

    fn timezone(&mut self) -> Option<TimeZone> {
        let text = self.word("timezone")?;
        let zone = text.parse().ok();
        if zone.is_none() {
            let help = "write a name such as `Europe/Berlin`, or an offset such as `+02:00`";
            self.refuse("timezone", format!("there is no time zone `{text}`"), help);
        }
        zone
    }

    fn row_order(&self) -> Option<RowOrder> {
        Some(if self.word("row_order")? == "desc" { RowOrder::Descending } else { RowOrder::Ascending })
    }

    fn on_missing(&self) -> OnCursorMissing {
        match self.word("on_cursor_value_missing").as_deref() {
            Some("raise") => OnCursorMissing::Raise,
            Some("exclude") => OnCursorMissing::Exclude,
            _ => OnCursorMissing::Include,
        }
    }

    /// The values of the file are of a kind that the other keys can work with.
    fn check_values(&mut self, incremental: &Incremental) {
        for (key, message, help) in bound::mistakes(incremental, self.scope) {
            self.refuse(&key, message, &help);
        }
    }

    /// Slices need a start, and an end that requests show.
    fn check_window(&mut self, owner: &Node, incremental: &Incremental) {
        if incremental.align && incremental.window.is_none() {
            self.refuse("align", "`align` has no effect without a `window`", "add `window = \"1mo\"`, say");
        }
        let is_sliced = incremental.window.is_some() || incremental.source == CursorSource::Window;
        if !is_sliced {
            return;
        }
        let why = if incremental.window.is_some() { "`window`" } else { "`cursor_from = \"window\"`" };
        if incremental.source == CursorSource::Window && incremental.window.is_none() && !incremental.sends_end {
            let help = "add `end_param`, or use `{{ cursor.end }}`; perhaps `cursor_from = \"clock\"` is meant";
            self.refuse("cursor_from", "no request shows the end of the range", help);
        }
        if self.table.get("initial_value").is_none() {
            let message = format!("{why} needs an `initial_value`: slices begin there");
            self.scope.found.error(owner.span.clone(), message).help("add `initial_value = \"2020-01-01\"`, say");
        }
    }

    /// A walk along the cursor needs records that show it, in order, and requests that begin at it.
    fn check_walk(&mut self, incremental: &Incremental) {
        if !incremental.walks_by_cursor {
            return;
        }
        if incremental.row_order != Some(RowOrder::Ascending) {
            let help = "add `row_order = \"asc\"`, and have the API sort by the field of `cursor_path`";
            self.refuse("walk", "`walk = \"cursor\"` needs records that come oldest first", help);
        }
        if !incremental.sends_start {
            let help = "add `start_param`, or use `{{ cursor.start }}`";
            self.refuse("walk", "`walk = \"cursor\"` needs requests that begin at the cursor", help);
        }
    }

    /// Keys that go by the values of records need records that show them.
    fn check_source(&mut self, incremental: &Incremental) {
        if matches!(incremental.source, CursorSource::Record(_)) {
            return;
        }
        for name in ["row_order", "client_side", "walk", "on_cursor_value_missing", "cursor_format"] {
            self.refuse(name, format!("`{name}` goes by the values of records"), "it needs `cursor_from = \"record\"`");
        }
        if matches!(incremental.source, CursorSource::Response(_)) {
            for name in ["lag", "window", "earliest", "start_bound"] {
                let message = format!("`{name}` can't be counted from a value that only the API understands");
                self.refuse(name, message, "leave it out, or take the cursor from records");
            }
        }
    }

    fn check_scope(&mut self, own: &Layers<'_>, incremental: &Incremental) {
        if incremental.scope != CursorScope::Global {
            return;
        }
        if own.get("parent").is_none() && own.get("partitions").is_none() {
            let help = "it is about resources with a `parent` or `partitions`";
            self.refuse("scope", "`scope` has no effect", help);
        }
        if matches!(incremental.source, CursorSource::Response(_)) {
            let help = "leave `scope` out: each parent or partition gets a value of its own";
            self.refuse("scope", "values of several answers can't be one cursor", help);
        }
    }
}

/// A pattern in which `%f` is a fraction of six digits, as in Python; chrono's is a count of nanoseconds.
fn with_microseconds(pattern: &str) -> String {
    let mut out = String::with_capacity(pattern.len());
    let mut rest = pattern;
    while let Some(at) = rest.find('%') {
        let (before, from) = rest.split_at(at);
        out.push_str(before);
        rest = if let Some(after) = from.strip_prefix("%f") {
            let has_point = out.ends_with('.');
            if has_point {
                out.pop();
            }
            out.push_str(if has_point { "%.6f" } else { "%6f" });
            after
        } else {
            // A letter or sign belongs to its percent sign: `%%f` is none of ours.
            let len = from.chars().take(2).map(char::len_utf8).sum();
            let (kept, after) = from.split_at(len);
            out.push_str(kept);
            after
        };
    }
    out.push_str(rest);
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_fraction_is_one_of_microseconds_as_in_python() {
        for (pattern, expected) in [
            ("%Y-%m-%d %H:%M:%S.%f", "%Y-%m-%d %H:%M:%S%.6f"),
            ("%H%M%S%f", "%H%M%S%6f"),
            ("%Y-%m-%d", "%Y-%m-%d"),
            ("%S%.3f %%f é", "%S%.3f %%f é"),
            ("%", "%"),
        ] {
            assert_eq!(with_microseconds(pattern), expected);
        }
    }
}
