//! What a run keeps beside the warehouse: the lock that makes it the only one, a readable copy of the state, copies of what a
//! person changed, and reports.

pub mod backup;
pub mod file;
pub mod lock;
pub mod reports;
