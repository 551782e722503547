//! The type lattice: what was seen of a column's values, and the one type that holds all of it.
//!
//! [`Observed`] is a join-semilattice: joining is commutative, associative and idempotent, so that the order of pages and
//! rows never changes a column's type. [`Observed::column_type`] is a pure function of it:
//!
//! | seen | type |
//! |---|---|
//! | nothing but null | VARCHAR, until there is a value |
//! | true, false | BOOLEAN |
//! | whole numbers | BIGINT, HUGEINT up to 38 digits, then VARCHAR |
//! | numbers, some with a fraction or an exponent | DOUBLE where a double holds each of them, else DECIMAL(38,s), else VARCHAR |
//! | dates | DATE |
//! | times without a zone, dates | TIMESTAMP |
//! | times with a zone | TIMESTAMP WITH TIME ZONE |
//! | text, or any two lines of this table | VARCHAR |
//! | objects or lists that are kept as they are, with whatever else | JSON |

use super::number::{Decimal, Plain};
use super::temporal::{self, Form, Temporal, Zone};
use arrow::datatypes::{DataType, TimeUnit};
use std::fmt;
use std::str::FromStr;

/// The type of a warehouse column. Displays as DuckDB's name.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum ColumnType {
    /// `true`, `false`.
    Boolean,
    /// 64-bit integers.
    BigInt,
    /// Integers of up to 38 digits.
    HugeInt,
    /// IEEE 754 double precision.
    Double,
    /// Exact decimals: precision, scale.
    Decimal(u8, u8),
    /// A calendar date.
    Date,
    /// A time without a zone, microseconds.
    Timestamp,
    /// An instant, microseconds.
    TimestampTz,
    /// Text.
    Varchar,
    /// JSON text.
    Json,
}

/// Digits of the widest integer and decimal.
pub const DECIMAL_DIGITS_MAX: u8 = 38;

impl ColumnType {
    /// Whether its values are numbers.
    pub fn is_number(self) -> bool {
        match self {
            ColumnType::BigInt | ColumnType::HugeInt | ColumnType::Decimal(..) | ColumnType::Double => true,
            ColumnType::Boolean
            | ColumnType::Date
            | ColumnType::Timestamp
            | ColumnType::TimestampTz
            | ColumnType::Varchar
            | ColumnType::Json => false,
        }
    }

    /// The Arrow type in which values of this type travel. HUGEINT travels as `Decimal128(38, 0)`, JSON as text.
    pub fn arrow(self) -> DataType {
        match self {
            ColumnType::Boolean => DataType::Boolean,
            ColumnType::BigInt => DataType::Int64,
            ColumnType::HugeInt => DataType::Decimal128(DECIMAL_DIGITS_MAX, 0),
            ColumnType::Double => DataType::Float64,
            ColumnType::Decimal(p, s) => DataType::Decimal128(p, s as i8),
            ColumnType::Date => DataType::Date32,
            ColumnType::Timestamp => DataType::Timestamp(TimeUnit::Microsecond, None),
            ColumnType::TimestampTz => DataType::Timestamp(TimeUnit::Microsecond, Some("UTC".into())),
            ColumnType::Varchar | ColumnType::Json => DataType::Utf8,
        }
    }
}

impl fmt::Display for ColumnType {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            ColumnType::Boolean => f.write_str("BOOLEAN"),
            ColumnType::BigInt => f.write_str("BIGINT"),
            ColumnType::HugeInt => f.write_str("HUGEINT"),
            ColumnType::Double => f.write_str("DOUBLE"),
            ColumnType::Decimal(p, s) => write!(f, "DECIMAL({p},{s})"),
            ColumnType::Date => f.write_str("DATE"),
            ColumnType::Timestamp => f.write_str("TIMESTAMP"),
            ColumnType::TimestampTz => f.write_str("TIMESTAMP WITH TIME ZONE"),
            ColumnType::Varchar => f.write_str("VARCHAR"),
            ColumnType::Json => f.write_str("JSON"),
        }
    }
}

impl FromStr for ColumnType {
    type Err = ();

    /// Reads DuckDB's names and their usual aliases, whatever the case.
    fn from_str(text: &str) -> Result<Self, ()> {
        let name = text.trim().to_ascii_uppercase();
        Ok(match name.as_str() {
            "BOOLEAN" | "BOOL" => ColumnType::Boolean,
            "BIGINT" | "INT8" | "LONG" => ColumnType::BigInt,
            "HUGEINT" => ColumnType::HugeInt,
            "DOUBLE" | "FLOAT8" => ColumnType::Double,
            "DATE" => ColumnType::Date,
            "TIMESTAMP" | "DATETIME" => ColumnType::Timestamp,
            "TIMESTAMPTZ" | "TIMESTAMP WITH TIME ZONE" => ColumnType::TimestampTz,
            "VARCHAR" | "TEXT" | "STRING" => ColumnType::Varchar,
            "JSON" => ColumnType::Json,
            _ => {
                let inner = name.strip_prefix("DECIMAL(").or_else(|| name.strip_prefix("NUMERIC(")).ok_or(())?;
                let (precision, scale) = inner.strip_suffix(')').ok_or(())?.split_once(',').ok_or(())?;
                let (p, s): (u8, u8) =
                    (precision.trim().parse().map_err(|_| ())?, scale.trim().parse().map_err(|_| ())?);
                if p == 0 || p > DECIMAL_DIGITS_MAX || s > p {
                    return Err(());
                }
                ColumnType::Decimal(p, s)
            }
        })
    }
}

/// Whether all of something was the same: a flat lattice.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Hash)]
pub enum Uniform<T> {
    /// Nothing seen yet.
    #[default]
    None,
    /// Always this.
    All(T),
    /// Several.
    Mixed,
}

impl<T: Copy + PartialEq> Uniform<T> {
    fn join(self, other: Self) -> Self {
        match (self, other) {
            (Uniform::None, x) | (x, Uniform::None) => x,
            (Uniform::All(a), Uniform::All(b)) if a == b => self,
            _ => Uniform::Mixed,
        }
    }
}

/// What was seen of numbers.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct Numbers {
    /// Whether all whole numbers fit 64 bits.
    pub fits_i64: bool,
    /// Whether one had a fraction or an exponent.
    pub fraction: bool,
    /// Whether a double holds each of them exactly as it was written.
    pub double_exact: bool,
    /// Most digits before the point; 255 stands for more.
    pub int_digits: u8,
    /// Most digits after the point; 255 stands for more.
    pub scale: u8,
}

impl Numbers {
    fn join(self, other: Self) -> Self {
        Numbers {
            fits_i64: self.fits_i64 && other.fits_i64,
            fraction: self.fraction || other.fraction,
            double_exact: self.double_exact && other.double_exact,
            int_digits: self.int_digits.max(other.int_digits),
            scale: self.scale.max(other.scale),
        }
    }

    fn column_type(self) -> ColumnType {
        let digits = u16::from(self.int_digits) + u16::from(self.scale);
        match self {
            Numbers { fraction: false, fits_i64: true, .. } => ColumnType::BigInt,
            Numbers { fraction: false, .. } if self.int_digits <= DECIMAL_DIGITS_MAX => ColumnType::HugeInt,
            Numbers { fraction: true, double_exact: true, .. } => ColumnType::Double,
            Numbers { fraction: true, .. } if digits <= u16::from(DECIMAL_DIGITS_MAX) => {
                ColumnType::Decimal(DECIMAL_DIGITS_MAX, self.scale)
            }
            _ => ColumnType::Varchar,
        }
    }

    /// What one whole number of 64 bits shows.
    #[inline]
    pub fn of_i64(value: i64) -> Self {
        let magnitude = value.unsigned_abs();
        // Beyond 2^53 a double may hold the number and still print as its neighbour; then it would not come back from text.
        let double_exact =
            magnitude <= 1 << 53 || Decimal::from_f64(value as f64) == Decimal::parse(value.to_string().as_bytes());
        let int_digits = magnitude.checked_ilog10().map_or(0, |d| d as u8 + 1);
        Numbers { fits_i64: true, fraction: false, double_exact, int_digits, scale: 0 }
    }

    /// What a fraction with few digits shows.
    #[inline]
    pub fn of_plain(number: &Plain<'_>) -> Self {
        let (int_digits, scale) = (number.int_digits, number.scale);
        Numbers { fits_i64: true, fraction: true, double_exact: true, int_digits, scale }
    }

    /// Whether numbers of which `other` was seen show nothing new.
    #[inline]
    pub fn covers(&self, other: Numbers) -> bool {
        self.join(other) == *self
    }

    /// What one number token shows.
    pub fn of(number: &Decimal, has_point_or_exponent: bool) -> Self {
        let fits_i64 = !has_point_or_exponent && number.to_scaled_i128(0).is_some_and(|v| i64::try_from(v).is_ok());
        Numbers {
            fits_i64: fits_i64 || has_point_or_exponent,
            fraction: has_point_or_exponent,
            double_exact: number.is_exact_in_double(),
            int_digits: number.int_digits().min(255) as u8,
            scale: number.scale().min(255) as u8,
        }
    }
}

/// All that was seen of a column's values, as far as it matters for its type and for giving every value back.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Hash)]
pub struct Observed {
    /// Text that is no date or time.
    pub text: bool,
    /// Booleans.
    pub boolean: bool,
    /// Numbers.
    pub number: Option<Numbers>,
    /// Dates.
    pub date: bool,
    /// Times without a zone, and how they were written.
    pub local: Uniform<Form>,
    /// Times with a zone, and how they were written.
    pub zoned: Uniform<Form>,
    /// Objects that are kept as they are.
    pub objects: bool,
    /// Lists that are kept as they are.
    pub lists: bool,
}

/// How dates and times are written in a text column.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Hash)]
pub struct TextForm {
    /// Form of times without a zone; canonical if there is none.
    pub local: Option<Form>,
    /// Form of times with a zone; canonical if there is none.
    pub zoned: Option<Form>,
}

impl Observed {
    /// What a date or time shows.
    pub fn of_temporal(value: Temporal) -> Self {
        let none = Observed::default();
        match value {
            Temporal::Date(_) => Observed { date: true, ..none },
            Temporal::Local(_, form) => Observed { local: Uniform::All(form), ..none },
            Temporal::Zoned(_, form) => Observed { zoned: Uniform::All(form), ..none },
        }
    }

    /// What a string shows.
    pub fn of_text(text: &[u8]) -> Self {
        temporal::parse(text).map_or(Observed { text: true, ..Observed::default() }, Observed::of_temporal)
    }

    /// What numbers show.
    pub fn of_numbers(numbers: Numbers) -> Self {
        Observed { number: Some(numbers), ..Observed::default() }
    }

    /// What a boolean shows.
    pub fn of_boolean() -> Self {
        Observed { boolean: true, ..Observed::default() }
    }

    /// What an object or a list shows that is kept as it is.
    pub fn of_nested(is_list: bool) -> Self {
        Observed { objects: !is_list, lists: is_list, ..Observed::default() }
    }

    /// All that was seen on either side.
    #[must_use]
    pub fn join(self, other: Self) -> Self {
        Observed {
            text: self.text || other.text,
            boolean: self.boolean || other.boolean,
            number: match (self.number, other.number) {
                (Some(a), Some(b)) => Some(a.join(b)),
                (a, b) => a.or(b),
            },
            date: self.date || other.date,
            local: self.local.join(other.local),
            zoned: self.zoned.join(other.zoned),
            objects: self.objects || other.objects,
            lists: self.lists || other.lists,
        }
    }

    /// Whether there was nothing but null.
    pub fn is_null(&self) -> bool {
        *self == Observed::default()
    }

    /// Whether there were objects or lists that are kept as they are.
    pub fn is_nested(&self) -> bool {
        self.objects || self.lists
    }

    /// Whether the scalars of a JSON column are texts in it. As numbers and booleans they stand there only if there is nothing
    /// else, so that a value has the same form whether it came before or after its column became JSON.
    pub fn quotes_scalars(&self) -> bool {
        self.text || self.date || self.local != Uniform::None || self.zoned != Uniform::None
    }

    /// The type that holds all of it.
    pub fn column_type(&self) -> ColumnType {
        if self.is_nested() {
            return ColumnType::Json;
        }
        let local = self.date || self.local != Uniform::None;
        let zoned = self.zoned != Uniform::None;
        let kinds = [self.text, self.boolean, self.number.is_some(), local, zoned];
        if kinds.iter().filter(|k| **k).count() != 1 {
            return ColumnType::Varchar;
        }
        match self.number {
            _ if self.boolean => ColumnType::Boolean,
            _ if zoned => ColumnType::TimestampTz,
            _ if self.local != Uniform::None => ColumnType::Timestamp,
            _ if self.date => ColumnType::Date,
            Some(numbers) => numbers.column_type(),
            None => ColumnType::Varchar,
        }
    }

    /// How this column's dates and times are written as text: as they came, or all canonical if they came in several forms.
    pub fn text_form(&self) -> TextForm {
        let form = |u: Uniform<Form>| match u {
            Uniform::All(form) if !self.has_several_forms() => Some(form),
            _ => None,
        };
        TextForm { local: form(self.local), zoned: form(self.zoned) }
    }

    /// Whether dates and times came in several forms. Dates beside local times are several too, because a TIMESTAMP cannot
    /// tell them apart.
    pub fn has_several_forms(&self) -> bool {
        self.local == Uniform::Mixed || self.zoned == Uniform::Mixed || (self.date && self.local != Uniform::None)
    }

    /// Whether text in this column has to have its dates and times made canonical.
    pub fn needs_canonical_text(&self) -> bool {
        self.has_several_forms() && matches!(self.column_type(), ColumnType::Varchar | ColumnType::Json)
    }
}

impl fmt::Display for Observed {
    /// Words that [`FromStr`] reads back: `number(i64,exact,12,0) date text`.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut words = Vec::new();
        if self.boolean {
            words.push("boolean".to_owned());
        }
        if let Some(n) = self.number {
            let width = if n.fits_i64 { "i64" } else { "big" };
            let kind = if n.fraction { "fraction" } else { "whole" };
            let exact = if n.double_exact { "exact" } else { "inexact" };
            words.push(format!("number({width},{kind},{exact},{},{})", n.int_digits, n.scale));
        }
        if self.date {
            words.push("date".to_owned());
        }
        for (name, forms) in [("local", self.local), ("zoned", self.zoned)] {
            match forms {
                Uniform::None => {}
                Uniform::All(form) => words.push(format!("{name}({})", form_word(form))),
                Uniform::Mixed => words.push(format!("{name}(mixed)")),
            }
        }
        for (name, is_seen) in [("text", self.text), ("objects", self.objects), ("lists", self.lists)] {
            if is_seen {
                words.push(name.to_owned());
            }
        }
        f.write_str(&if words.is_empty() { "null".to_owned() } else { words.join(" ") })
    }
}

impl FromStr for Observed {
    type Err = ();

    fn from_str(text: &str) -> Result<Self, ()> {
        let mut seen = Observed::default();
        for word in text.split_whitespace() {
            let (name, inner) = word.split_once('(').map_or((word, ""), |(n, i)| (n, i.trim_end_matches(')')));
            match name {
                "null" => {}
                "boolean" => seen.boolean = true,
                "date" => seen.date = true,
                "text" => seen.text = true,
                "objects" => seen.objects = true,
                "lists" => seen.lists = true,
                "number" => seen.number = Some(parse_numbers(inner).ok_or(())?),
                "local" => seen.local = parse_forms(inner).ok_or(())?,
                "zoned" => seen.zoned = parse_forms(inner).ok_or(())?,
                _ => return Err(()),
            }
        }
        Ok(seen)
    }
}

fn form_word(form: Form) -> String {
    let separator = if form.space { 's' } else { 't' };
    let zone = match form.zone {
        Zone::None => "none".to_owned(),
        Zone::Z => "z".to_owned(),
        Zone::Colon(m) => format!("colon:{m}"),
        Zone::Plain(m) => format!("plain:{m}"),
        Zone::Hours(m) => format!("hours:{m}"),
    };
    format!("{separator},{},{zone}", form.fraction_digits)
}

fn parse_forms(text: &str) -> Option<Uniform<Form>> {
    if text == "mixed" {
        return Some(Uniform::Mixed);
    }
    let mut parts = text.split(',');
    let space = match parts.next()? {
        "s" => true,
        "t" => false,
        _ => return None,
    };
    let fraction_digits = parts.next()?.parse().ok()?;
    let zone = parts.next()?;
    let minutes = |prefix: &str| zone.strip_prefix(prefix).and_then(|m| m.parse::<i16>().ok());
    let zone = match zone {
        "none" => Zone::None,
        "z" => Zone::Z,
        _ => minutes("colon:")
            .map(Zone::Colon)
            .or_else(|| minutes("plain:").map(Zone::Plain))
            .or_else(|| minutes("hours:").map(Zone::Hours))?,
    };
    Some(Uniform::All(Form { space, fraction_digits, zone }))
}

fn parse_numbers(text: &str) -> Option<Numbers> {
    let parts: Vec<&str> = text.split(',').collect();
    let [width, kind, exact, int_digits, scale] = parts[..] else { return None };
    Some(Numbers {
        fits_i64: width == "i64",
        fraction: kind == "fraction",
        double_exact: exact == "exact",
        int_digits: int_digits.parse().ok()?,
        scale: scale.parse().ok()?,
    })
}

#[cfg(test)]
pub(crate) mod tests {
    use super::*;
    use proptest::prelude::*;

    /// What one JSON scalar shows.
    pub(crate) fn observe(token: &str) -> Observed {
        match token.as_bytes()[0] {
            b'n' => Observed::default(),
            b't' | b'f' => Observed::of_boolean(),
            b @ (b'{' | b'[') => Observed::of_nested(b == b'['),
            b'"' => Observed::of_text(token.trim_matches('"').as_bytes()),
            _ => {
                let number = Decimal::parse(token.as_bytes()).unwrap();
                let fraction = token.contains(['.', 'e', 'E']);
                Observed::of_numbers(Numbers::of(&number, fraction))
            }
        }
    }

    fn type_of(tokens: &[&str]) -> String {
        tokens.iter().fold(Observed::default(), |o, t| o.join(observe(t))).column_type().to_string()
    }

    #[test]
    fn values_get_the_type_that_holds_them_all() {
        let cases: &[(&[&str], &str)] = &[
            (&["null"], "VARCHAR"),
            (&["null", "1"], "BIGINT"),
            (&["true", "null"], "BOOLEAN"),
            (&["9223372036854775807"], "BIGINT"),
            (&["-9223372036854775808"], "BIGINT"),
            (&["9223372036854775808"], "HUGEINT"),
            (&["18446744073709551615", "1"], "HUGEINT"),
            (&["99999999999999999999999999999999999999"], "HUGEINT"),
            (&["100000000000000000000000000000000000000"], "VARCHAR"),
            (&["1", "3.7"], "DOUBLE"),
            (&["1.0"], "DOUBLE"),
            (&["1e3"], "DOUBLE"),
            (&["9007199254740993", "0.5"], "DECIMAL(38,1)"),
            (&["12345678901234567.89"], "DECIMAL(38,2)"),
            (&["12345678901234567.89", "0.0001"], "DECIMAL(38,4)"),
            (&["12345678901234567.89", "1e300"], "VARCHAR"),
            (&["1e400"], "VARCHAR"),
            (&["true", "1"], "VARCHAR"),
            (&["\"00123\""], "VARCHAR"),
            (&["\"x\"", "1"], "VARCHAR"),
            (&["\"2024-01-01\""], "DATE"),
            (&["\"2024-01-01\"", "\"2024-01-01T10:00:00\""], "TIMESTAMP"),
            (&["\"2024-01-01T10:00:00Z\"", "\"2024-01-01T10:00:00+02:00\""], "TIMESTAMP WITH TIME ZONE"),
            (&["\"2024-01-01T10:00:00Z\"", "\"2024-01-01\""], "VARCHAR"),
            (&["\"2024-01-01T10:00:00Z\"", "\"\""], "VARCHAR"),
            (&["{}", "null"], "JSON"),
            (&["[1]", "5", "\"x\""], "JSON"),
        ];
        for (tokens, expected) in cases {
            assert_eq!(type_of(tokens), *expected, "{tokens:?}");
        }
    }

    #[test]
    fn type_names_are_read_with_their_aliases() {
        for (text, t) in [
            ("bigint", ColumnType::BigInt),
            ("Text", ColumnType::Varchar),
            ("timestamptz", ColumnType::TimestampTz),
            ("decimal(18, 4)", ColumnType::Decimal(18, 4)),
        ] {
            assert_eq!(text.parse(), Ok(t));
            assert_eq!(t.to_string().parse(), Ok(t));
        }
        for bad in ["", "int4x", "decimal(39,1)", "decimal(4,5)", "decimal(0,0)", "decimal"] {
            assert_eq!(bad.parse::<ColumnType>(), Err(()), "{bad}");
        }
    }

    fn scalar() -> impl Strategy<Value = String> {
        prop_oneof![
            Just("null".to_owned()),
            Just("true".to_owned()),
            "-?[1-9][0-9]{0,45}",
            "-?(0|[1-9][0-9]{0,25})\\.[0-9]{1,20}",
            "[1-9]e-?[0-9]{1,3}",
            "\"20[0-9]{2}-0[1-9]-1[0-9]\"",
            "\"20[0-9]{2}-0[1-9]-1[0-9][T ]1[0-9]:00:00(\\.[0-9]{1,6})?(Z|\\+02:00)?\"",
            "\"[a-z]{0,3}\"",
            Just("{}".to_owned()),
            Just("[]".to_owned()),
        ]
    }

    proptest! {
        #[test]
        fn joining_is_a_semilattice(a in scalar(), b in scalar(), c in scalar()) {
            let (a, b, c) = (observe(&a), observe(&b), observe(&c));
            prop_assert_eq!(a.join(b), b.join(a));
            prop_assert_eq!(a.join(b).join(c), a.join(b.join(c)));
            prop_assert_eq!(a.join(a), a);
            prop_assert_eq!(a.join(Observed::default()), a);
        }

        #[test]
        fn the_text_form_reads_back(tokens in proptest::collection::vec(scalar(), 0..6)) {
            let seen = tokens.iter().fold(Observed::default(), |o, t| o.join(observe(t)));
            prop_assert_eq!(seen.to_string().parse(), Ok(seen));
        }

        #[test]
        fn whole_numbers_show_the_same_by_either_way(value in any::<i64>()) {
            let number = Decimal::parse(value.to_string().as_bytes()).unwrap();
            prop_assert_eq!(Numbers::of_i64(value), Numbers::of(&number, false));
        }
    }
}
