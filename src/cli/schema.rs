//! `pintail schema`: the JSON Schema of the two files.

use crate::config::json_schema;
use crate::error::{Error, Kind, Result};
use crate::exit::Exit;
use serde_json::{Value, json};
use std::io::{ErrorKind, Write};

/// Arguments of `schema`.
#[derive(Debug, Clone, clap::Args)]
pub struct Args {
    /// Which file's schema
    #[arg(value_enum, default_value_t = Document::All)]
    pub document: Document,
}

/// A file, or both.
#[derive(Debug, Clone, Copy, PartialEq, Eq, clap::ValueEnum)]
pub enum Document {
    /// A pipeline file
    Pipeline,
    /// The operator file, config.toml
    Config,
    /// Both, as the members `pipeline` and `config` of one document
    All,
}

/// Prints the schema.
///
/// # Errors
/// The output can't be written.
pub fn run(args: &Args, out: &mut impl Write) -> Result<Exit> {
    let schema: Value = match args.document {
        Document::Pipeline => json_schema::pipeline(),
        Document::Config => json_schema::config(),
        Document::All => {
            json!({ "$schema": json_schema::DIALECT, "pipeline": json_schema::pipeline(), "config": json_schema::config() })
        }
    };
    // The pretty form of the value's Display: two spaces, keys in our order.
    match writeln!(out, "{schema:#}") {
        // Whoever reads has enough of it.
        Err(e) if e.kind() != ErrorKind::BrokenPipe => {
            Err(Error::new(Kind::State, "the output can't be written").source(e))
        }
        _ => Ok(Exit::Done),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn printed(document: Document) -> Value {
        let mut out = Vec::new();
        assert_eq!(run(&Args { document }, &mut out).unwrap(), Exit::Done);
        serde_json::from_slice(&out).unwrap()
    }

    #[test]
    fn both_schemas_are_members_of_one_document() {
        let all = printed(Document::All);
        assert_eq!(all["pipeline"], printed(Document::Pipeline));
        assert_eq!(all["config"], printed(Document::Config));
        assert_eq!(all["config"]["properties"]["state_dir"]["default"], "state");
    }
}
