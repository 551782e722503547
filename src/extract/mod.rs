//! From a resource to its pages of records: requests built, pages found one after the other, records selected, cursors
//! compared.
//!
//! [`walk::Walk`] puts the parts together; each of them is a pure decision over what one answer says.

mod ahead;
mod before;
pub mod cursor;
pub mod envelope;
mod fetch;
pub mod format;
pub mod link;
mod page;
pub mod paginate;
mod poll;
pub mod raw;
mod recent;
mod record_columns;
mod repeats;
pub mod request;
pub mod select;
pub mod walk;

#[cfg(test)]
mod fixture;

pub use cursor::CursorValue;
pub use page::{Page, PageSource};
pub use paginate::{EndReason, Warning};
pub use walk::{Choices, FirstAnswer, Walk, WalkSpec};
