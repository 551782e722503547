//! Column types, how they widen, what a warehouse table looks like, and how a batch is made to fit one.

pub mod catalog;
pub mod fit;
pub mod names;
pub mod number;
pub mod reading;
pub mod temporal;
pub mod types;
pub mod widen;

pub use types::ColumnType;
