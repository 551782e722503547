//! Bars over time, as SVG without text: labels stand beside it, so that they keep their size on any screen.

use super::html::{text, time};
use crate::history::Run;
use crate::words::minute;
use std::fmt::Write;

/// Height of the drawing, in its own units.
const HEIGHT: f64 = 100.0;
/// Width of a bar with its gap, in the drawing's own units.
const STEP: f64 = 10.0;
const BAR: f64 = 8.0;
/// Fewest bars that the width is made for: a single run is no wall.
const BARS_MIN: usize = 20;

/// A chart of one number per run, oldest first. `shown`: the number as people read it.
pub(super) fn bars(title: &str, runs: &[Run], value: impl Fn(&Run) -> u64, shown: impl Fn(u64) -> String) -> String {
    let largest = runs.iter().map(&value).max().unwrap_or_default();
    let places = runs.len().max(BARS_MIN);
    let mut drawn = String::new();
    for (number, run) in runs.iter().rev().enumerate() {
        let x = (places - runs.len() + number) as f64 * STEP;
        let number = value(run);
        let height = if largest == 0 { 0.0 } else { (number as f64 / largest as f64 * HEIGHT).max(1.5) };
        let height = if number == 0 { 1.5 } else { height };
        let class = if run.ending.is_bad() { "bad" } else { "good" };
        let label = format!("{} UTC, {}: {}", minute(run.ended_at), run.ending.word(), shown(number));
        if run.ending.is_bad() {
            let _ = write!(drawn, "<rect class=\"fail\" x=\"{x}\" y=\"0\" width=\"{BAR}\" height=\"{HEIGHT}\"/>");
        }
        // Writing to a String can't fail.
        let _ = writeln!(
            drawn,
            "<rect class=\"{class}\" x=\"{x}\" y=\"{:.2}\" width=\"{BAR}\" height=\"{height:.2}\"><title>{}</title></rect>",
            HEIGHT - height,
            text(&label),
        );
    }
    let width = places as f64 * STEP;
    let (oldest, newest) = match (runs.last(), runs.first()) {
        (Some(oldest), Some(newest)) if runs.len() > 1 => (time(oldest.ended_at), time(newest.ended_at)),
        (_, Some(newest)) => (String::new(), time(newest.ended_at)),
        _ => (String::new(), String::new()),
    };
    format!(
        "<figure>\n<figcaption>{} <span>largest {}</span></figcaption>\n\
         <svg class=\"bars\" viewBox=\"0 0 {width} {HEIGHT}\" preserveAspectRatio=\"none\" role=\"img\" aria-label=\"{}\">\n{drawn}</svg>\n\
         <div class=\"axis\"><span>{oldest}</span><span>{newest}</span></div>\n</figure>\n",
        text(title),
        text(&shown(largest)),
        text(&format!("{title}, {} runs, largest {}", runs.len(), shown(largest))),
    )
}
