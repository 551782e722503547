//! How the keys of a file are described. One description serves the checks, the JSON Schema and the reference.

/// What a value may be. A `${…}` may stand in any text, and a text with a `${…}` for any number, flag or duration.
#[derive(Debug, Clone, Copy)]
pub enum Kind {
    /// Text.
    Text,
    /// Text with `{{ … }}` expressions.
    Template,
    /// A whole number from `min` to `max`.
    Integer {
        /// Smallest.
        min: u64,
        /// Largest.
        max: u64,
    },
    /// `true` or `false`.
    Boolean,
    /// A length of time, `"90s"`.
    Duration,
    /// Bytes: a whole number, or text such as `"256 MiB"`.
    Size,
    /// One of some words.
    Choice(&'static Choice),
    /// A text, a number, a flag or a date, taken as text (which may have expressions).
    Scalar,
    /// Any value; texts in it may have expressions.
    Json,
    /// One, or a list of them.
    OneOrMany(&'static Kind),
    /// A list.
    List(&'static Kind),
    /// A table with names of the user's own.
    Map(&'static Kind),
    /// A table with these keys.
    Table(&'static Table),
    /// A table whose other keys depend on its `type`. A text stands for a table that has only a `type`.
    Tagged(&'static Tagged),
    /// Any of these, told apart by their shape.
    Either(&'static [Kind]),
}

/// One of some words.
#[derive(Debug)]
pub struct Choice {
    /// Word and meaning.
    pub words: &'static [(&'static str, &'static str)],
    /// Words that this version refuses by name.
    pub later: &'static [&'static str],
}

/// A table with known keys.
#[derive(Debug)]
pub struct Table {
    /// Its keys.
    pub keys: &'static [Key],
    /// Keys that this version refuses by name.
    pub later: &'static [&'static str],
}

/// A table whose keys depend on its `type`.
#[derive(Debug)]
pub struct Tagged {
    /// What it is, for messages.
    pub what: &'static str,
    /// Keys that every type has.
    pub common: &'static [Key],
    /// The types.
    pub variants: &'static [Variant],
    /// Types that this version refuses by name.
    pub later: &'static [&'static str],
}

/// A value of `type`, with the keys that come with it.
#[derive(Debug)]
pub struct Variant {
    /// The value of `type`.
    pub name: &'static str,
    /// What it means.
    pub doc: &'static str,
    /// Keys beside the common ones.
    pub table: Table,
}

/// One key.
#[derive(Debug, Clone, Copy)]
pub struct Key {
    /// Its name.
    pub name: &'static str,
    /// What its value may be.
    pub kind: Kind,
    /// Its default as TOML text; none: absent.
    pub default: Option<&'static str>,
    /// What it does, in one line.
    pub doc: &'static str,
    /// Whether it must be there.
    pub required: bool,
    /// Whether `false` switches an inherited value off.
    pub off: bool,
}

impl Key {
    /// An optional key without a default.
    pub(super) const fn new(name: &'static str, kind: Kind, doc: &'static str) -> Key {
        Key { name, kind, default: None, doc, required: false, off: false }
    }

    pub(super) const fn default(mut self, toml: &'static str) -> Key {
        self.default = Some(toml);
        self
    }

    pub(super) const fn required(mut self) -> Key {
        self.required = true;
        self
    }

    pub(super) const fn off(mut self) -> Key {
        self.off = true;
        self
    }
}

impl Table {
    /// The description of a key.
    pub fn key(&self, name: &str) -> Option<&'static Key> {
        self.keys.iter().find(|k| k.name == name)
    }

    /// The table that a key holds, or that each name below it does.
    pub fn table(&self, name: &str) -> Option<&'static Table> {
        match &self.key(name)?.kind {
            Kind::Table(table) | Kind::Map(Kind::Table(table)) => Some(table),
            _ => None,
        }
    }

    /// Whether it describes the same keys as another one.
    pub fn has_keys_of(&self, other: &Table) -> bool {
        let names = |table: &Table| table.keys.iter().map(|key| key.name).collect::<Vec<_>>();
        names(self) == names(other)
    }
}

impl Kind {
    /// What is expected, as the end of a sentence.
    pub fn describe(&self) -> String {
        match self {
            Kind::Text | Kind::Template => "text".into(),
            Kind::Integer { min, max } if *max == u64::MAX => format!("a whole number from {min}"),
            Kind::Integer { min, max } => format!("a whole number from {min} to {max}"),
            Kind::Boolean => "`true` or `false`".into(),
            Kind::Duration => "a duration such as \"30s\"".into(),
            Kind::Size => "a number of bytes or a size such as \"256 MiB\"".into(),
            Kind::Choice(_) => "a word in quotes".into(),
            Kind::Scalar => "text, a number or a flag".into(),
            Kind::Json => "a value".into(),
            Kind::OneOrMany(kind) => format!("{} or a list", kind.describe()),
            Kind::List(_) => "a list".into(),
            Kind::Map(_) | Kind::Table(_) => "a table".into(),
            Kind::Tagged(_) => "a table with a `type`, or the type as text".into(),
            Kind::Either(kinds) => kinds.iter().map(Kind::describe).collect::<Vec<_>>().join(" or "),
        }
    }
}
