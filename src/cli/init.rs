//! `pintail init`: a commented pipeline file to start from.

use crate::config::{self, Env, Secrets, Settings};
use crate::draft;
use crate::error::{Error, Kind, Result};
use crate::exit::Exit;
use crate::words::counted;
use std::fs::{self, OpenOptions};
use std::io::{ErrorKind, Write};
use std::path::{Path, PathBuf};

const TEMPLATE: &str = include_str!("init/template.toml");

/// Arguments of `init`.
#[derive(Debug, Clone, clap::Args)]
pub struct Args {
    /// Name of the pipeline; its file is NAME.toml in `pipelines_dir`
    pub name: String,

    /// Draft it from an OpenAPI 3 document (or Swagger 2.0), in JSON
    #[arg(long, value_name = "FILE")]
    pub from: Option<PathBuf>,
}

/// Writes the file and says what to do next.
///
/// # Errors
/// The name is none for a file, the file is there already, or it can't be written.
pub fn run(args: &Args, settings: &Settings, out: &mut impl Write) -> Result<Exit> {
    let name = name_of(&args.name)?;
    let path = settings.pipelines_dir.join(format!("{name}.toml"));
    let (text, first) = match &args.from {
        Some(document) => from_document(document, name, &path)?,
        None => {
            let text = TEMPLATE.replace("NAME", name).replace("TOKEN_VARIABLE", &variable(name));
            (text, "edit it: base_url, auth and the resources are marked".to_owned())
        }
    };
    write_new(&path, &text)?;
    writeln!(
        out,
        "{} is written. Next:\n\n  \
         1. {first}\n  \
         2. pintail check {name}\n  \
         3. pintail run {name}",
        path.display()
    )
    .map_err(|e| Error::new(Kind::State, "the output can't be written").source(e))?;
    Ok(Exit::Done)
}

/// A pipeline file that is drafted from an OpenAPI document, and what is to be done with it. A draft that would not pass the
/// checks is none.
fn from_document(document: &Path, name: &str, path: &Path) -> Result<(String, String)> {
    let failed = |message: &str| Error::new(Kind::Config, message.to_owned()).with("file", document.display());
    let bytes = fs::read(document).map_err(|e| failed("the OpenAPI document can't be read").source(e))?;
    let root = serde_json::from_slice(&bytes).map_err(|e| {
        failed("the OpenAPI document is no JSON")
            .source(e)
            .hint("a YAML document becomes JSON with `yq -o json openapi.yaml > openapi.json`")
    })?;
    let draft = draft::pipeline(&root, name).map_err(|e| e.with("file", document.display()))?;
    config::pipeline(path, &draft.text, &[], &Env::default(), Secrets::Optional)?;
    let edit = match draft.to_edit.as_slice() {
        [] => String::new(),
        names => format!("; fill in {}", names.join(", ")),
    };
    let told = format!(
        "look it through: {} ready, {} commented out with the reason, {} of the document's GET operations not drafted{edit}",
        counted(draft.ready as u64, "resource"),
        draft.unsure,
        draft.left_out
    );
    Ok((draft.text, told))
}

/// The name, if a file and a table can be called that.
fn name_of(written: &str) -> Result<&str> {
    let name = written.strip_suffix(".toml").unwrap_or(written);
    let is_plain = |c: char| c.is_ascii_alphanumeric() || matches!(c, '_' | '-');
    if name.starts_with(|c: char| c.is_ascii_alphabetic()) && name.chars().all(is_plain) {
        return Ok(name);
    }
    Err(Error::new(Kind::Config, format!("`{written}` is no name for a pipeline"))
        .hint("use letters, digits, `_` and `-`, a letter first; the file goes into `pipelines_dir`"))
}

/// The environment variable for the pipeline's token.
fn variable(name: &str) -> String {
    format!("{}_TOKEN", name.to_uppercase().replace('-', "_"))
}

fn write_new(path: &Path, text: &str) -> Result<()> {
    let failed = |what: &str, cause: std::io::Error| {
        Error::new(Kind::Config, format!("the pipeline file {what}")).with("file", path.display()).source(cause)
    };
    if let Some(folder) = path.parent() {
        fs::create_dir_all(folder).map_err(|e| failed("can't be made: its folder can't", e))?;
    }
    let mut file = OpenOptions::new().write(true).create_new(true).open(path).map_err(|e| match e.kind() {
        ErrorKind::AlreadyExists => {
            failed("is there already", e).hint("choose another name, or remove it first; nothing was changed")
        }
        _ => failed("can't be made", e),
    })?;
    file.write_all(text.as_bytes()).map_err(|e| failed("can't be written", e))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_name_is_one_for_a_file_and_a_table() {
        assert_eq!(name_of("shop").unwrap(), "shop");
        assert_eq!(name_of("my-shop_2.toml").unwrap(), "my-shop_2");
        for bad in ["", "../shop", "a/b", "2shop", "shop api", ".toml"] {
            assert!(name_of(bad).is_err(), "{bad}");
        }
    }
}
