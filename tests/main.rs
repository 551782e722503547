//! Black-box tests: the real executable, real HTTP on loopback, real files.
//!
//! They are one test binary, because each one links DuckDB. `support` knows nothing of the program's own code.

mod support;

mod children;
mod cli;
mod config_errors;
mod crash;
mod demo;
mod destinations;
mod documents;
mod faults;
mod incremental;
mod lock;
mod mindstamp;
mod paging;
mod partitions;
mod schema;
mod secrets;
mod tapes;
