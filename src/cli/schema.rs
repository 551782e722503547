//! `pintail schema`: the JSON Schema of the two files, and the pages of the documentation that are made from the code.

use crate::config::{json_schema, reference};
use crate::error::{Error, Kind, Result};
use crate::exit::Exit;
use std::fmt::Write as _;
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
    /// docs/reference.md
    #[value(hide = true)]
    Reference,
    /// docs/options.md
    #[value(hide = true)]
    Options,
}

/// Prints the schema, or the page. `command` is the command line, for its page.
///
/// # Errors
/// The output can't be written.
pub fn run(args: &Args, command: clap::Command, out: &mut impl Write) -> Result<Exit> {
    // The pretty form of the value's Display: two spaces, keys in our order.
    let text = match args.document {
        Document::Pipeline => format!("{:#}\n", json_schema::pipeline()),
        Document::Config => format!("{:#}\n", json_schema::config()),
        Document::All => format!("{:#}\n", json_schema::both()),
        Document::Reference => reference::markdown(),
        Document::Options => options(command),
    };
    match out.write_all(text.as_bytes()) {
        // Whoever reads has enough of it.
        Err(e) if e.kind() != ErrorKind::BrokenPipe => {
            Err(Error::new(Kind::State, "the output can't be written").source(e))
        }
        _ => Ok(Exit::Done),
    }
}

const OPTIONS_HEAD: &str = "\
# Reference of the command line

What `pintail COMMAND --help` says. This page is generated from the program. PIPELINE is a name in `pipelines_dir`, or a path; the
options of `pintail --help` hold for every command. Exit codes are in the [README](../README.md#exit-codes); [commands.md](commands.md) shows what commands print.
";

/// The help of all commands, as Markdown.
fn options(command: clap::Command) -> String {
    let mut root = command.term_width(100);
    root.build();
    let mut page = format!("{OPTIONS_HEAD}\n```text\n{}\n```\n", plain(&mut root.clone()));
    for sub in root.get_subcommands().filter(|c| !c.is_hide_set() && c.get_name() != "help") {
        // Options of every command are in the first block.
        let mut own = sub.clone().mut_args(|arg| if arg.is_global_set() { arg.hide(true) } else { arg });
        let _ = write!(page, "\n## `pintail {}`\n\n```text\n{}\n```\n", sub.get_name(), plain(&mut own));
    }
    page
}

/// A command's help without styles, and without spaces at the ends of lines.
fn plain(command: &mut clap::Command) -> String {
    let help = command.render_long_help().to_string();
    help.trim_end().lines().map(str::trim_end).collect::<Vec<_>>().join("\n")
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::Value;

    fn printed(document: Document) -> Vec<u8> {
        let mut out = Vec::new();
        assert_eq!(run(&Args { document }, crate::cli::described(), &mut out).unwrap(), Exit::Done);
        out
    }

    fn schema(document: Document) -> Value {
        serde_json::from_slice(&printed(document)).unwrap()
    }

    #[test]
    fn both_schemas_are_members_of_one_document() {
        let all = schema(Document::All);
        assert_eq!(all["config"]["properties"]["state_dir"]["default"], "state");
        for (name, document) in [("pipeline", Document::Pipeline), ("config", Document::Config)] {
            // References lead into the member.
            let member = all[name].to_string().replace(&format!("#/{name}/definitions/"), "#/definitions/");
            assert_eq!(member, schema(document).to_string());
        }
    }

    #[test]
    fn every_command_is_in_the_page_of_options() {
        let page = String::from_utf8(printed(Document::Options)).unwrap();
        for heading in ["run", "check", "init", "demo"] {
            assert!(page.contains(&format!("\n## `pintail {heading}`\n")), "{page}");
        }
        assert!(page.matches("--state-dir").count() == 1 && page.contains("--full-refresh"), "{page}");
    }
}
