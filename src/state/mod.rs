//! What a run keeps beside the warehouse: the lock that makes it the only one, and a readable copy of the state.

pub mod file;
pub mod lock;
