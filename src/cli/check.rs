//! `pintail check`: validates pipeline files, offline and without secrets; with `--connect` also against the API.

mod connect;

use crate::config::{self, Env, Loaded, Secrets, Settings, find_pipeline};
use crate::error::{Error, Kind, Result};
use crate::exit::Exit;
use crate::plan::model::{CursorSource, FactPlace, Pipeline, Resource};
use std::io::Write;

/// Arguments of `check`.
#[derive(Debug, Clone, clap::Args)]
pub struct Args {
    /// Pipelines: names in `pipelines_dir`, or paths
    #[arg(required = true, value_name = "PIPELINE")]
    pub pipelines: Vec<String>,

    /// Override a variable of `[vars]`
    #[arg(long = "var", value_name = "NAME=VALUE", value_parser = parse_var)]
    pub vars: Vec<(String, String)>,

    /// Also make one real request per resource without a parent: secrets have to be there
    #[arg(long)]
    pub connect: bool,
}

/// Reads `NAME=VALUE`.
///
/// # Errors
/// There is no `=`, or no name before it.
pub fn parse_var(text: &str) -> Result<(String, String), String> {
    match text.split_once('=') {
        Some((name, value)) if !name.trim().is_empty() => Ok((name.trim().to_owned(), value.to_owned())),
        _ => Err("write NAME=VALUE".to_owned()),
    }
}

/// Checks each pipeline. What is right goes to `out`, mistakes and warnings to `problems`.
///
/// # Errors
/// The output can't be written. A mistake in a pipeline, or an API that does not answer as the file says, is no error of the
/// command: it is told, and the exit code says it.
pub fn run(args: &Args, settings: &Settings, out: &mut impl Write, problems: &mut impl Write) -> Result<Exit> {
    let mut exit = Exit::Done;
    for (i, name) in args.pipelines.iter().enumerate() {
        let loaded = find_pipeline(settings, name).and_then(|path| load(&path, args, &settings.env));
        let written = match loaded {
            Ok(loaded) => {
                let gap = if i == 0 { "" } else { "\n" };
                let warnings = loaded.warnings.iter().try_for_each(|warning| writeln!(problems, "{warning}\n"));
                let written = warnings.and_then(|()| write!(out, "{gap}{}", describe(&loaded)));
                if written.is_ok() && args.connect {
                    exit = worse(exit, connect::connect(loaded, settings, out, problems)?);
                }
                written
            }
            Err(error) => {
                exit = Exit::Config;
                tell(problems, &error)
            }
        };
        written.map_err(unwritten)?;
    }
    Ok(exit)
}

/// Of two pipelines: a mistake in a file counts most.
fn worse(one: Exit, other: Exit) -> Exit {
    if one == Exit::Done || other == Exit::Config { other } else { one }
}

fn tell(problems: &mut impl Write, error: &Error) -> std::io::Result<()> {
    let report = error.report();
    let prefix = if report.starts_with("error: ") { "" } else { "error: " };
    writeln!(problems, "{prefix}{report}\n")
}

fn unwritten(cause: std::io::Error) -> Error {
    Error::new(Kind::Internal, "the output can't be written").source(cause)
}

fn load(path: &std::path::Path, args: &Args, env: &Env) -> Result<Loaded> {
    let secrets = if args.connect { Secrets::Required } else { Secrets::Optional };
    config::load_pipeline(path, &args.vars, env, secrets)
}

/// What a sound pipeline does, one line per resource.
fn describe(loaded: &Loaded) -> String {
    let pipeline = &loaded.pipeline;
    let count = match pipeline.resources.len() {
        1 => "1 resource".to_owned(),
        n => format!("{n} resources"),
    };
    let mut out = format!("{}: ok, {count}\n", pipeline.file.display());
    for line in table(pipeline) {
        out.push_str(&format!("  {line}\n"));
    }
    if !loaded.missing_variables.is_empty() {
        out.push_str(&format!("  note: not set, and needed to run: {}\n", loaded.missing_variables.join(", ")));
    }
    out
}

/// Widest line, without its indent.
const WIDTH: usize = 78;

/// Aligned columns. Those that don't fit are cut at the end of the line.
fn table(pipeline: &Pipeline) -> Vec<String> {
    let heads = ["resource", "table", "write", "paginator", "cursor", "parent"].map(str::to_owned);
    let rows: Vec<[String; 6]> = std::iter::once(heads).chain(pipeline.resources.iter().map(row)).collect();
    let shown = [0, 1, 2, 3, 4, 5].map(|column| rows[1..].iter().any(|row| row[column] != "-"));
    let widths = [0, 1, 2, 3, 4, 5].map(|column| rows.iter().map(|r| r[column].chars().count()).max().unwrap_or(0));
    rows.iter()
        .map(|row| {
            let cells = (0..row.len()).filter(|c| shown[*c]).map(|c| format!("{:<width$}", row[c], width = widths[c]));
            let line = cells.collect::<Vec<_>>().join("  ");
            shorten(line.trim_end())
        })
        .collect()
}

fn row(resource: &Resource) -> [String; 6] {
    let dash = || "-".to_owned();
    let same_table = resource.table == resource.name;
    let cursor = cursor_of(resource);
    let parents = resource.parent.as_ref().map(|p| p.resources.join(" or "));
    let partitions = resource.partitions.as_ref().map(|_| "partitions".to_owned());
    let runs_for: Vec<String> = parents.into_iter().chain(partitions).collect();
    let write = if resource.selected { resource.write.name() } else { "not selected" };
    [
        resource.name.clone(),
        // Only a table of another name is worth a column.
        if same_table { dash() } else { resource.table.clone() },
        write.to_owned(),
        resource.paginator.kind().to_owned(),
        cursor.unwrap_or_else(dash),
        if runs_for.is_empty() { dash() } else { runs_for.join(" × ") },
    ]
}

/// Where the cursor of a resource comes from, if it has one.
pub(super) fn cursor_of(resource: &Resource) -> Option<String> {
    let incremental = resource.incremental.as_ref()?;
    let names: Vec<String> = match &incremental.source {
        CursorSource::Record(paths) => paths.iter().map(ToString::to_string).collect(),
        CursorSource::Response(places) => places
            .iter()
            .map(|place| match place {
                FactPlace::Body(path) => path.to_string(),
                FactPlace::Header(name) => name.clone(),
            })
            .collect(),
        CursorSource::Clock => vec!["clock".to_owned()],
        CursorSource::Window => vec!["window".to_owned()],
    };
    Some(names.join(" or "))
}

fn shorten(line: &str) -> String {
    if line.chars().count() <= WIDTH {
        return line.to_owned();
    }
    line.chars().take(WIDTH - 1).chain(['…']).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(files: &[(&str, &str)], names: &[&str]) -> (Exit, String, String) {
        let folder = tempfile::tempdir().unwrap();
        for (name, source) in files {
            std::fs::write(folder.path().join(format!("{name}.toml")), source).unwrap();
        }
        let settings = Settings { pipelines_dir: folder.path().to_owned(), ..Settings::default() };
        let pipelines = names.iter().map(|n| (*n).to_owned()).collect();
        let args = Args { pipelines, vars: Vec::new(), connect: false };
        let (mut out, mut problems) = (Vec::new(), Vec::new());
        let exit = run(&args, &settings, &mut out, &mut problems).unwrap();
        let text =
            |bytes: Vec<u8>| String::from_utf8(bytes).unwrap().replace(&format!("{}/", folder.path().display()), "");
        (exit, text(out), text(problems))
    }

    const SHOP: &str = "[client]\nbase_url='http://h'\nauth={type='bearer',token='${PINTAIL_TEST_UNSET}'}\n\
        [resources.videos]\nprimary_key='id'\npaginator='offset'\nincremental={cursor_path='updated_at',start_param='since'}\n\
        [resources.comments]\nparent='videos'\npath='videos/{{ parent.id }}/comments'\n";

    #[test]
    fn a_sound_pipeline_is_summed_up_in_aligned_lines() {
        let (exit, out, problems) = check(&[("shop", SHOP)], &["shop"]);
        let expected = "\
shop.toml: ok, 2 resources
  resource  write   paginator  cursor      parent
  videos    merge   offset     updated_at  -
  comments  append  auto       -           videos
  note: not set, and needed to run: PINTAIL_TEST_UNSET
";
        assert_eq!((exit, out.as_str(), problems.as_str()), (Exit::Done, expected, ""));
    }

    #[test]
    fn every_pipeline_is_checked_and_any_mistake_decides_the_exit_code() {
        let bad = SHOP.replace("primary_key", "primry_key");
        let (exit, out, problems) = check(&[("bad", &bad), ("shop", SHOP)], &["bad", "nowhere", "shop"]);
        assert_eq!(exit, Exit::Config);
        assert!(out.contains("shop.toml: ok, 2 resources"), "{out}");
        assert!(problems.starts_with("error: unknown key `primry_key`\n --> bad.toml:5:1\n"), "{problems}");
        assert!(problems.contains("error: there is no pipeline `nowhere`"), "{problems}");
    }

    #[test]
    fn a_warning_does_not_change_the_exit_code() {
        let (exit, _, problems) = check(&[("shop", &SHOP.replace(",start_param='since'", ""))], &["shop"]);
        assert_eq!(exit, Exit::Done);
        assert!(problems.starts_with("warning: no request of `videos` uses its cursor"), "{problems}");
    }

    #[test]
    fn no_line_is_wider_than_a_terminal() {
        let long = "x".repeat(120);
        let (_, out, _) = check(&[("shop", &format!("{SHOP}[resources.{long}]\n"))], &["shop"]);
        assert!(out.lines().skip(1).all(|line| line.chars().count() <= 80), "{out}");
    }

    #[test]
    fn variables_are_name_and_value() {
        assert_eq!(parse_var("a=b=c"), Ok(("a".into(), "b=c".into())));
        assert_eq!(parse_var("a="), Ok(("a".into(), String::new())));
        assert!(parse_var("a").is_err() && parse_var("=b").is_err());
    }
}
