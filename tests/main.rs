//! Black-box tests: the real executable, real HTTP on loopback, real files.
//!
//! They are one test binary, because each one links DuckDB. `support` knows nothing of the program's own code.

mod support;

mod answers;
mod archives;
mod auth;
mod backfill;
mod before;
mod budgets;
mod children;
mod cli;
mod client;
mod config_errors;
mod contracts;
mod crash;
mod cursor_ranges;
mod cursor_sources;
mod demo;
mod destinations;
mod dispositions;
mod documents;
mod families;
mod faults;
mod filters;
mod formats;
mod hostile_paging;
mod incremental;
mod lock;
mod mind;
mod mindstamp;
mod mistakes;
mod nesting;
mod page_language;
mod paging;
mod parents;
mod partitions;
mod plan;
mod pocketbase;
mod preview;
mod publish;
mod rates;
mod restarts;
mod row_order;
mod schema;
mod secrets;
mod selectors;
mod service_accounts;
mod shapes;
mod shared_tables;
mod stintmint;
mod tapes;
mod templates;
mod warehouse;
mod windows;
