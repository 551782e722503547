//! `pintail completions`: what a shell needs to complete commands and options.

use crate::error::{Error, Kind, Result};
use crate::exit::Exit;
use clap_complete::Shell;
use std::io::{ErrorKind, Write};

/// Arguments of `completions`.
#[derive(Debug, Clone, clap::Args)]
pub struct Args {
    /// The shell
    #[arg(value_enum)]
    pub shell: Shell,
}

/// Prints the shell's script for a command line.
///
/// # Errors
/// The output can't be written.
pub fn run(args: &Args, mut command: clap::Command, out: &mut impl Write) -> Result<Exit> {
    // The generator panics when its writer fails, so it writes to memory.
    let mut script = Vec::new();
    clap_complete::generate(args.shell, &mut command, "pintail", &mut script);
    match out.write_all(&script) {
        // Whoever reads has enough of it.
        Err(e) if e.kind() != ErrorKind::BrokenPipe => {
            Err(Error::new(Kind::State, "the output can't be written").source(e))
        }
        _ => Ok(Exit::Done),
    }
}
