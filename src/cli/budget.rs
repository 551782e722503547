//! How much a command may take: time and requests.

use crate::config::Settings;
use crate::error::Result;
use crate::plan::duration::{self, parse_duration};
use crate::run::shutdown::{Stop, listen};
use std::time::Duration;

/// Options of the commands that load.
#[derive(Debug, Clone, clap::Args)]
pub struct BudgetArgs {
    /// Stop after so long, what was loaded committed [default: `max_duration` of config.toml]
    #[arg(long, value_name = "DURATION", value_parser = parse_length)]
    max_duration: Option<Duration>,
    /// Stop after so many requests, retries included
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u64).range(1..))]
    max_requests: Option<u64>,
}

impl BudgetArgs {
    /// What ends the command: a signal, or a budget that is spent. To be called on the runtime; time runs from now on.
    ///
    /// # Errors
    /// Signals can't be listened to.
    pub fn begin(&self, settings: &Settings) -> Result<Stop> {
        let stop = Stop::after_requests(self.max_requests);
        listen(stop.clone())?;
        if let Some(length) = self.max_duration.or(settings.run.max_duration) {
            stop.end_after(length);
        }
        Ok(stop)
    }
}

fn parse_length(text: &str) -> Result<Duration, String> {
    match parse_duration(text) {
        Some(Duration::ZERO) => Err("no run ends at once".to_owned()),
        Some(length) => Ok(length),
        None => Err(duration::FORMS.to_owned()),
    }
}
