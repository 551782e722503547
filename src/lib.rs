//! Pintail pulls REST APIs into a local warehouse, DuckDB or Parquet: one TOML file describes an API, one engine reads it,
//! streams pages into Arrow batches, and commits rows and cursors as one unit.
//!
//! The library exists so that the program, its tests and its benches share one crate; it is not a public interface.
//! Modules in reading order; ARCHITECTURE.md is the map.

#![warn(missing_docs, unreachable_pub, clippy::explicit_iter_loop)]
#![deny(rustdoc::broken_intra_doc_links)]
// The documentation is for readers of the code, and built with private items.
#![allow(rustdoc::private_intra_doc_links)]

pub mod batch;
pub mod cli;
pub mod config;
pub mod draft;
pub mod error;
pub mod exit;
pub mod extract;
pub mod failpoint;
pub mod history;
pub mod http;
pub mod load;
pub mod log;
pub mod plan;
pub mod run;
pub mod schema;
pub mod secret;
pub mod state;
pub mod words;
