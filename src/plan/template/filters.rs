//! The engine's environment: minijinja's own filters and ours.

use crate::plan::duration::{Span, parse_span};
use base64::Engine as _;
use chrono::{DateTime, Datelike, FixedOffset, Months, NaiveDate, NaiveDateTime, SecondsFormat, TimeDelta, Utc};
use minijinja::value::{Rest, ValueKind};
use minijinja::{Environment, Error, ErrorKind, UndefinedBehavior, Value};
use percent_encoding::utf8_percent_encode;
use sha2::{Digest, Sha256};
use std::fmt::Write as _;
use std::sync::OnceLock;

/// Filters of minijinja that can be used.
const BUILTIN: [&str; 31] = [
    "lower",
    "upper",
    "title",
    "capitalize",
    "replace",
    "length",
    "count",
    "items",
    "reverse",
    "trim",
    "join",
    "split",
    "lines",
    "default",
    "d",
    "round",
    "abs",
    "int",
    "float",
    "first",
    "last",
    "min",
    "max",
    "sort",
    "list",
    "string",
    "bool",
    "sum",
    "unique",
    "format",
    "tojson",
];

/// Filters of our own.
const OWN: [&str; 9] =
    ["iso8601", "date", "epoch_s", "epoch_ms", "strftime", "add", "b64encode", "urlencode", "sha256"];

/// Filters of minijinja that make a text or a number of one value. Of an absent value they would make an empty text or 0, which
/// `default` could not tell from a value any more.
const OF_ONE_VALUE: [&str; 18] = [
    "lower",
    "upper",
    "title",
    "capitalize",
    "replace",
    "trim",
    "join",
    "round",
    "abs",
    "int",
    "float",
    "first",
    "last",
    "min",
    "max",
    "string",
    "format",
    "tojson",
];

/// Tests that can follow `is`.
pub(super) const TESTS: [&str; 19] = [
    "defined",
    "undefined",
    "none",
    "boolean",
    "odd",
    "even",
    "divisibleby",
    "number",
    "integer",
    "float",
    "string",
    "sequence",
    "iterable",
    "mapping",
    "startingwith",
    "endingwith",
    "true",
    "false",
    "in",
];

/// Names of all filters.
pub(super) fn names() -> impl Iterator<Item = &'static str> {
    OWN.into_iter().chain(BUILTIN)
}

/// The environment that compiles and evaluates all expressions.
pub(super) fn environment() -> &'static Environment<'static> {
    static ENVIRONMENT: OnceLock<Environment<'static>> = OnceLock::new();
    ENVIRONMENT.get_or_init(|| {
        let mut env = Environment::new();
        env.set_undefined_behavior(UndefinedBehavior::Chainable);
        env.add_filter("iso8601", |v: Value| on_moment(&v, |m| Ok(Value::from(m.iso8601()))));
        env.add_filter("date", |v: Value| on_moment(&v, |m| Ok(Value::from(m.local.date().to_string()))));
        env.add_filter("epoch_s", |v: Value| on_moment(&v, |m| Ok(Value::from(m.utc().timestamp()))));
        env.add_filter("epoch_ms", |v: Value| on_moment(&v, |m| Ok(Value::from(m.utc().timestamp_millis()))));
        env.add_filter("strftime", |v: Value, pattern: String| on_moment(&v, |m| m.strftime(&pattern)));
        env.add_filter("add", |v: Value, step: String| on_moment(&v, |m| m.add(&step)));
        env.add_filter("b64encode", |v: Value| {
            on_text(&v, |text| base64::engine::general_purpose::STANDARD.encode(text))
        });
        env.add_filter("urlencode", |v: Value| {
            on_text(&v, |text| utf8_percent_encode(text, super::SEGMENT).to_string())
        });
        env.add_filter("sha256", |v: Value| {
            on_text(&v, |text| {
                Sha256::digest(text).iter().fold(String::new(), |mut hex, byte| {
                    // Writing into a String can't fail.
                    let _ = write!(hex, "{byte:02x}");
                    hex
                })
            })
        });
        for name in OF_ONE_VALUE {
            env.add_filter(name, move |args: Rest<Value>| match args.first() {
                Some(value) if is_absent(value) => Ok(Value::UNDEFINED),
                _ => original().empty_state().apply_filter(name, &args),
            });
        }
        env.add_test("none", |v: Value| v.is_none() || v.is_undefined());
        env
    })
}

/// The environment with minijinja's filters as they come.
fn original() -> &'static Environment<'static> {
    static ORIGINAL: OnceLock<Environment<'static>> = OnceLock::new();
    ORIGINAL.get_or_init(Environment::new)
}

fn is_absent(value: &Value) -> bool {
    matches!(value.kind(), ValueKind::None | ValueKind::Undefined)
}

fn on_text(value: &Value, f: impl Fn(&str) -> String) -> Result<Value, Error> {
    if is_absent(value) {
        return Ok(Value::UNDEFINED);
    }
    let text = match value.kind() {
        ValueKind::String | ValueKind::Number => value.to_string(),
        _ => serde_json::to_string(value).map_err(|e| invalid("the value has no text form").with_source(e))?,
    };
    Ok(Value::from(f(&text)))
}

fn on_moment(value: &Value, f: impl Fn(&Moment) -> Result<Value, Error>) -> Result<Value, Error> {
    if is_absent(value) {
        return Ok(Value::UNDEFINED);
    }
    let moment = Moment::read(value)
        .ok_or_else(|| invalid("the value is not a time: ISO 8601 text or seconds or milliseconds since 1970"))?;
    f(&moment)
}

fn invalid(detail: impl Into<String>) -> Error {
    Error::new(ErrorKind::InvalidOperation, detail.into())
}

/// From this number on a count since 1970 is one of milliseconds: as seconds it would be after the year 5000.
const EPOCH_MILLIS_FROM: u64 = 100_000_000_000;

/// How a time was written, so that the result of `add` can be written likewise.
#[derive(Clone, Copy)]
enum Written {
    Date,
    /// `T` or a space, digits of the fraction, `Z` or an offset or nothing.
    Time {
        separator: char,
        fraction_digits: usize,
        zone: Zone,
    },
    /// Since 1970; as a number or as text.
    Epoch {
        millis: bool,
        number: bool,
    },
}

#[derive(Clone, Copy)]
enum Zone {
    Absent,
    Zulu,
    Offset,
}

/// A point in time as it was written.
struct Moment {
    local: NaiveDateTime,
    offset: FixedOffset,
    written: Written,
}

impl Moment {
    fn read(value: &Value) -> Option<Moment> {
        match value.kind() {
            ValueKind::Number => Moment::from_epoch(i64::try_from(value.clone()).ok()?, true),
            ValueKind::String => Moment::from_text(value.as_str()?.trim()),
            _ => None,
        }
    }

    fn from_epoch(count: i64, number: bool) -> Option<Moment> {
        let millis = count.unsigned_abs() >= EPOCH_MILLIS_FROM;
        let utc = if millis { DateTime::from_timestamp_millis(count)? } else { DateTime::from_timestamp(count, 0)? };
        Some(Moment { local: utc.naive_utc(), offset: utc_offset(), written: Written::Epoch { millis, number } })
    }

    fn from_text(text: &str) -> Option<Moment> {
        let digits = text.strip_prefix('-').unwrap_or(text);
        if !digits.is_empty() && digits.bytes().all(|b| b.is_ascii_digit()) {
            return Moment::from_epoch(text.parse().ok()?, false);
        }
        if let Ok(date) = NaiveDate::parse_from_str(text, "%Y-%m-%d") {
            return Some(Moment { local: date.and_hms_opt(0, 0, 0)?, offset: utc_offset(), written: Written::Date });
        }
        let separator = text.chars().nth(10).filter(|c| matches!(c, 'T' | 't' | ' '))?;
        let fraction_digits = text.split_once('.').map_or(0, |(_, f)| f.bytes().take_while(u8::is_ascii_digit).count());
        let written = |zone| Written::Time { separator, fraction_digits, zone };
        if let Ok(time) = DateTime::parse_from_rfc3339(text).or_else(|_| text.parse::<DateTime<FixedOffset>>()) {
            let zone = if text.ends_with(['Z', 'z']) { Zone::Zulu } else { Zone::Offset };
            return Some(Moment { local: time.naive_local(), offset: *time.offset(), written: written(zone) });
        }
        let pattern = if separator == ' ' { "%Y-%m-%d %H:%M:%S%.f" } else { "%Y-%m-%dT%H:%M:%S%.f" };
        let local = NaiveDateTime::parse_from_str(&text.to_ascii_uppercase(), pattern).ok()?;
        Some(Moment { local, offset: utc_offset(), written: written(Zone::Absent) })
    }

    fn utc(&self) -> DateTime<Utc> {
        let offset = TimeDelta::seconds(i64::from(self.offset.local_minus_utc()));
        self.local.checked_sub_signed(offset).unwrap_or(self.local).and_utc()
    }

    fn iso8601(&self) -> String {
        self.utc().to_rfc3339_opts(SecondsFormat::AutoSi, true)
    }

    fn strftime(&self, pattern: &str) -> Result<Value, Error> {
        let items = strftime_items(pattern).ok_or_else(|| invalid(not_a_pattern(pattern)))?;
        let time = self.utc().with_timezone(&self.offset);
        Ok(Value::from(time.format_with_items(items.iter()).to_string()))
    }

    /// The time a step later (`2h`, `+1mo`) or earlier (`-1d`), written as it came.
    fn add(&self, step: &str) -> Result<Value, Error> {
        let (back, span) = parse_step(step).ok_or_else(|| invalid(not_a_step(step)))?;
        let local = shift(self.local, span, back).ok_or_else(|| invalid("the time is out of range"))?;
        if !(0..=9999).contains(&local.year()) {
            return Err(invalid("the time is out of range"));
        }
        Ok(Moment { local, offset: self.offset, written: self.written }.write())
    }

    fn write(&self) -> Value {
        match self.written {
            Written::Date => Value::from(self.local.date().to_string()),
            Written::Epoch { millis, number } => {
                let utc = self.local.and_utc();
                let count = if millis { utc.timestamp_millis() } else { utc.timestamp() };
                if number { Value::from(count) } else { Value::from(count.to_string()) }
            }
            Written::Time { separator, fraction_digits, zone } => {
                let mut out = self.local.format("%Y-%m-%d").to_string();
                out.push(separator);
                out.push_str(&self.local.format("%H:%M:%S").to_string());
                if fraction_digits > 0 {
                    let nanos = format!("{:09}", self.local.and_utc().timestamp_subsec_nanos());
                    out.push('.');
                    out.push_str(&nanos[..fraction_digits.min(9)]);
                }
                match zone {
                    Zone::Absent => {}
                    Zone::Zulu => out.push('Z'),
                    Zone::Offset => out.push_str(&self.offset.to_string()),
                }
                Value::from(out)
            }
        }
    }
}

/// What is wrong with the text that a filter is given, if it is.
pub(super) fn argument_mistake(filter: &str, text: &str) -> Option<String> {
    match filter {
        "strftime" => strftime_items(text).is_none().then(|| not_a_pattern(text)),
        "add" => parse_step(text).is_none().then(|| not_a_step(text)),
        _ => None,
    }
}

fn strftime_items(pattern: &str) -> Option<Vec<chrono::format::Item<'_>>> {
    chrono::format::StrftimeItems::new(pattern).parse().ok()
}

fn not_a_pattern(text: &str) -> String {
    format!("`{text}` is not a strftime pattern")
}

fn not_a_step(text: &str) -> String {
    format!("`{text}` is not a length of time such as `-1d` or `2h`")
}

/// A length of time, and whether it leads back.
fn parse_step(text: &str) -> Option<(bool, Span)> {
    let trimmed = text.trim();
    let (back, length) = match trimmed.strip_prefix('-') {
        Some(rest) => (true, rest),
        None => (false, trimmed.strip_prefix('+').unwrap_or(trimmed)),
    };
    Some((back, parse_span(length)?))
}

fn utc_offset() -> FixedOffset {
    chrono::Offset::fix(&Utc)
}

fn shift(time: NaiveDateTime, span: Span, back: bool) -> Option<NaiveDateTime> {
    let months = Months::new(span.months);
    let rest = TimeDelta::from_std(span.rest).ok()?;
    if back {
        time.checked_sub_months(months)?.checked_sub_signed(rest)
    } else {
        time.checked_add_months(months)?.checked_add_signed(rest)
    }
}
