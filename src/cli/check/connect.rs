//! `pintail check --connect`: a line for each resource without a parent, and the reason where it fails.

use super::{Error, Exit, Loaded, Result, Settings, Write, tell, unwritten};
use crate::http::tape::TapeUse;
use crate::run::connect::{Contact, Met, connect as ask};
use crate::run::rehearsal::RehearsalOptions;
use crate::run::shutdown::{Stop, listen};
use crate::words::{counted, wrapped};

/// Widest line.
const WIDTH: usize = 80;

/// Asks the API of a pipeline, and tells what came of it.
pub(super) fn connect(
    loaded: Loaded,
    settings: &Settings,
    out: &mut impl Write,
    problems: &mut impl Write,
) -> Result<Exit> {
    let (mut failed, mut written) = (false, Ok(()));
    writeln!(out, "  first pages, asked for now:").map_err(unwritten)?;
    let width = loaded.pipeline.resources.iter().map(|r| r.name.chars().count()).max().unwrap_or(0);
    let asked = crate::cli::run::runtime()?.block_on(async {
        let stop = Stop::default();
        listen(stop.clone())?;
        let options = RehearsalOptions {
            pipeline: loaded.pipeline,
            settings,
            tape: TapeUse::None,
            command: crate::cli::command(),
            stop,
        };
        let mut told = |contact: Contact| {
            failed |= contact.outcome.is_err();
            if written.is_ok() {
                written = line(&contact, width, out, problems);
            }
        };
        ask(options, &mut told).await
    });
    written.map_err(unwritten)?;
    match asked {
        Ok(()) => Ok(if failed { Exit::Failed } else { Exit::Done }),
        Err(error) => {
            tell(problems, &error).map_err(unwritten)?;
            Ok(Exit::from(error.kind()))
        }
    }
}

fn line(contact: &Contact, width: usize, out: &mut impl Write, problems: &mut impl Write) -> std::io::Result<()> {
    let seconds = contact.took.as_secs_f64();
    let name = format!("  {:<width$}", contact.resource);
    match &contact.outcome {
        Ok(met) => {
            let text = format!("ok: {}, {seconds:.1} s", sum_up(met));
            let text = crate::secret::redact(&text).into_owned();
            for (at, line) in wrapped(&text, WIDTH.saturating_sub(width + 4).max(20)).iter().enumerate() {
                let indent = if at == 0 { name.clone() } else { " ".repeat(width + 2) };
                writeln!(out, "{indent}  {line}")?;
            }
            Ok(())
        }
        Err(error) => {
            writeln!(out, "{name}  failed: {error}, {seconds:.1} s")?;
            out.flush()?;
            tell(problems, &named(error, &contact.resource))
        }
    }
}

/// What came, in a few words.
fn sum_up(met: &Met) -> String {
    let status = met.answer.as_ref().map_or("no page".to_owned(), |answer| answer.status.to_string());
    let mut parts = vec![status, counted(met.records, "record")];
    parts.extend(met.choices.selector.as_ref().map(|selector| format!("at {selector}")));
    parts.extend(met.choices.paginator.as_ref().map(|paginator| format!("pages by {paginator}")));
    match &met.end {
        Some(end) => parts.push(format!("no more ({end})")),
        None => parts.push("perhaps more".to_owned()),
    }
    parts.join(", ")
}

/// The report of an error, with the resource in front.
fn named(error: &Error, resource: &str) -> Error {
    Error::new(error.kind(), format!("{resource}: {}", error.report()))
}
