//! From a resource to its pages of records: requests built, pages found one after the other, records selected, cursors
//! compared.
//!
//! [`walk::Walk`] puts the parts together; each of them is a pure decision over what one answer says.

pub mod cursor;
pub mod envelope;
pub mod format;
pub mod link;
pub mod paginate;
pub mod raw;
mod record_columns;
pub mod request;
pub mod select;
pub mod walk;

#[cfg(test)]
mod fixture;

pub use cursor::CursorValue;
pub use paginate::{EndReason, Warning};
pub use walk::{Page, PageSource, Walk, WalkSpec};
