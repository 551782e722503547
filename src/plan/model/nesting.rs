//! Where objects and lists within records go.

/// Where objects and lists within records go.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Nested {
    /// Fields of objects are columns, elements of lists are rows of child tables.
    #[default]
    Tables,
    /// Each is one JSON column.
    Json,
}

/// What the file says of objects and lists within records.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Nesting {
    /// Where they go.
    pub nested: Nested,
    /// How deep child tables may be: lists below that are JSON columns. None: any depth.
    pub max_table_nesting: Option<u64>,
}
