//! `pintail backfill`: loads a past range.

use super::Output;
use super::budget::BudgetArgs;
use super::check::parse_var;
use super::run::{conclude, load_one, options, print_not_begun, progress_style, runtime};
use crate::config::Settings;
use crate::error::Result;
use crate::exit::Exit;
use crate::plan::duration::{FORMS, Span, parse_span};
use crate::plan::model::Distance;
use crate::run::backfill::{Edge, Request};
use crate::run::{RunOptions, execute};
use chrono::Utc;

/// Arguments of `backfill`.
#[derive(Debug, Clone, clap::Args)]
pub struct BackfillArgs {
    /// Pipeline: a name in `pipelines_dir`, or a path
    #[arg(value_name = "PIPELINE")]
    pipeline: String,
    /// Start of the range, inclusive: 2024-01-01, 2024-01-01T06:00:00Z, 5000, or -30d
    #[arg(long, value_name = "VALUE", allow_hyphen_values = true, value_parser = parse_edge)]
    from: Edge,
    /// End of the range, exclusive, in the same forms; `today` is its midnight in UTC
    #[arg(long, value_name = "VALUE", allow_hyphen_values = true, value_parser = parse_edge)]
    to: Edge,
    /// Length of the windows in which the range is loaded [default: `window` of the file, else all at once]
    #[arg(long, value_name = "LENGTH", value_parser = parse_window)]
    window: Option<Distance>,
    /// Load only this resource (may be repeated) [default: all whose past can be asked for]
    #[arg(long = "resource", value_name = "RESOURCE")]
    resources: Vec<String>,
    /// Load again what an earlier backfill of this range has loaded
    #[arg(long)]
    again: bool,
    /// Override a variable of `[vars]`
    #[arg(long = "var", value_name = "NAME=VALUE", value_parser = parse_var)]
    vars: Vec<(String, String)>,
    /// What to print: a summary, or a JSON report
    #[arg(long, value_enum, default_value = "text", value_name = "FORMAT")]
    output: Output,
    #[command(flatten)]
    budget: BudgetArgs,
}

/// Loads the range.
///
/// # Errors
/// Nothing was requested: the file is wrong, or signals can't be listened to.
pub fn run(args: &BackfillArgs, settings: &Settings) -> Result<Exit> {
    let loaded = load_one(&args.pipeline, &args.vars, settings)?;
    runtime()?.block_on(async {
        let stop = args.budget.begin(settings)?;
        let name = loaded.pipeline.name.clone();
        let request = Request { from: args.from.clone(), to: args.to.clone(), window: args.window, again: args.again };
        let options = RunOptions {
            resources: args.resources.clone(),
            backfill: Some(request),
            style: progress_style(settings),
            ..options(loaded, settings, stop.clone())
        };
        let started_at = Utc::now();
        match execute(options).await {
            Ok(report) => conclude(&report, args.output, settings, &stop).await,
            Err(error) => print_not_begun(&name, started_at, &error, args.output, settings).await,
        }
    })
}

/// A value, or how long ago.
fn parse_edge(text: &str) -> Result<Edge, String> {
    if text.trim().is_empty() {
        return Err("write a date, a time or a number".to_owned());
    }
    if text == "today" {
        return Ok(Edge::Ago(Span::default()));
    }
    let unit_follows = text.ends_with(|c: char| c.is_ascii_alphabetic());
    match text.strip_prefix('-').filter(|_| unit_follows) {
        // Anything else with a minus is a number below zero.
        Some(length) => parse_span(length).map(Edge::Ago).ok_or_else(|| FORMS.to_owned()),
        None => Ok(Edge::Value(text.to_owned())),
    }
}

fn parse_window(text: &str) -> Result<Distance, String> {
    let window = match text.trim().parse() {
        Ok(number) => Some(Distance::Number(number)),
        Err(_) => parse_span(text).map(Distance::Time),
    };
    match window {
        Some(Distance::Number(0)) => Err("a window of nothing".to_owned()),
        Some(Distance::Time(span)) if span == Span::default() => Err("a window of nothing".to_owned()),
        Some(window) => Ok(window),
        None => Err("write a number, or a number and a unit, such as `6h`, `7d` or `1mo`".to_owned()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::time::Duration;

    #[test]
    fn an_edge_is_a_value_or_so_long_ago() {
        let days = |days: u64| Edge::Ago(Span { months: 0, rest: Duration::from_secs(days * 86_400) });
        for (text, expected) in [
            ("2024-01-01", Edge::Value("2024-01-01".to_owned())),
            ("5000", Edge::Value("5000".to_owned())),
            ("-5", Edge::Value("-5".to_owned())),
            ("-30d", days(30)),
            ("-2w", days(14)),
            ("-6mo", Edge::Ago(Span { months: 6, rest: Duration::ZERO })),
            ("today", days(0)),
        ] {
            assert_eq!(parse_edge(text).unwrap(), expected, "{text}");
        }
        for wrong in ["", " ", "-soon", "-3x"] {
            assert!(parse_edge(wrong).is_err(), "{wrong}");
        }
    }

    #[test]
    fn a_window_is_a_number_or_a_length_of_time_and_not_nothing() {
        assert_eq!(parse_window("500"), Ok(Distance::Number(500)));
        assert_eq!(parse_window("7d").ok(), parse_span("7d").map(Distance::Time));
        for wrong in ["0", "0d", "", "week"] {
            assert!(parse_window(wrong).is_err(), "{wrong}");
        }
    }
}
