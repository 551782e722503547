//! The engine: what one run does, from the lock to the report.
//!
//! Async tasks fetch, one per resource and partition; a pool decodes; one thread owns the warehouse ([`warehouse`]). Bounded
//! channels between them carry pages, so that a slow stage slows the others and memory stays flat.

pub mod backfill;
mod budget;
pub mod connect;
mod credentials;
mod cursors_ahead;
mod decoding;
pub mod destination;
pub mod engine;
mod fanout;
mod feed;
mod filter;
mod first_request;
mod global;
mod merging;
mod newer;
pub mod outlook;
pub mod preview;
pub mod progress;
mod ranks;
pub mod rehearsal;
pub mod report;
mod resource;
mod root;
mod rows;
pub mod shutdown;
mod specs;
pub mod stages;
mod survey;
mod unit;
mod unit_end;
mod unit_walk;
mod values;
pub mod warehouse;
mod wire;
mod writer;
mod written;

pub use engine::{RunOptions, execute, validate};
pub use report::Report;
