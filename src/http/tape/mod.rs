//! Tapes: the HTTP exchanges of a run, kept in a folder, so that the run can be repeated without a network or secrets.
//!
//! [`Recorder`] stands around another transport and writes what it brings; [`Player`] answers from what was written.
//! [`mod@format`] says what a tape looks like, [`mask`] what is left out of it.

mod copy;
pub mod format;
mod mask;
mod nearest;
mod play;
mod record;
mod request;

pub use format::Header;
pub use play::{Player, Tape};
pub use record::Recorder;

use crate::config::Env;
use crate::error::{Error, Kind};
use chrono::{DateTime, Utc};
use std::path::{Path, PathBuf};
use std::sync::Arc;

/// The file of a tape that holds its exchanges.
const EXCHANGES_FILE: &str = "tape.jsonl";

/// The folder of a tape that holds bodies which are too large for a line of text.
const BODIES_FOLDER: &str = "bodies";

/// What a run does with a tape.
#[derive(Debug, Clone, Default)]
pub enum TapeUse {
    /// Nothing: the network alone.
    #[default]
    None,
    /// The network, and every exchange is written down.
    Record {
        /// The folder of the tape.
        folder: PathBuf,
        /// Variables that the pipeline file used.
        variables: Env,
    },
    /// The tape in the place of the network.
    Replay(Arc<Tape>),
}

impl TapeUse {
    /// When the run began that a tape repeats.
    pub fn started_at(&self) -> Option<DateTime<Utc>> {
        match self {
            TapeUse::None | TapeUse::Record { .. } => None,
            TapeUse::Replay(tape) => Some(tape.header.started_at),
        }
    }
}

fn fault(message: &str, path: &Path) -> Error {
    Error::new(Kind::State, message).with("file", path.display())
}

#[cfg(test)]
mod tests;
