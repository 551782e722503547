//! One real request for each resource without a parent: whether the API can be reached, lets us in, and answers as the file says.

use super::rehearsal::{Rehearsal, RehearsalOptions, Wanted};
use crate::error::{Error, Kind, Result};
use crate::extract::{Choices, FirstAnswer};
use crate::plan::model::Resource;
use std::sync::atomic::Ordering;
use std::time::{Duration, Instant};

/// What came of the request of a resource.
#[derive(Debug)]
pub struct Contact {
    /// Resource name.
    pub resource: String,
    /// Time from the request to the decoded answer, with the login before it if there was one.
    pub took: Duration,
    /// What came, or what went wrong.
    pub outcome: Result<Met>,
}

/// An answer that is as it should be.
#[derive(Debug)]
pub struct Met {
    /// The answer; none where an action of the file took it for an empty page.
    pub answer: Option<FirstAnswer>,
    /// Records on the page.
    pub records: u64,
    /// What was found out by itself.
    pub choices: Choices,
    /// Why there is no more; none: there is.
    pub end: Option<String>,
}

/// Asks for the first page of each resource without a parent, one after the other. `told` hears of each.
///
/// # Errors
/// Nothing was requested: the configuration does not hold together. What goes wrong with a resource is told.
pub async fn connect(options: RehearsalOptions<'_>, told: &mut dyn FnMut(Contact)) -> Result<()> {
    let stop = options.stop.clone();
    let rehearsal = Rehearsal::open(options, &[]).await?;
    let roots: Vec<Resource> =
        rehearsal.survey.running().into_iter().filter(|resource| resource.parent.is_none()).cloned().collect();
    for resource in &roots {
        if stop.requested().is_some() {
            break;
        }
        let begun = Instant::now();
        let outcome = meet(&rehearsal, resource).await;
        told(Contact { resource: resource.name.clone(), took: begun.elapsed(), outcome });
    }
    rehearsal.close().await
}

async fn meet(rehearsal: &Rehearsal, resource: &Resource) -> Result<Met> {
    let brought = rehearsal.rows_of(&resource.name, Wanted { rows: 1, pages: 1 }).await?;
    let records = brought.tracker.records.load(Ordering::Relaxed);
    let fewest = resource.expect.as_ref().and_then(|expect| expect.min_records);
    // A page is not the list: only where there is no other one it is known that there are too few.
    if let Some(fewest) = fewest.filter(|fewest| records < *fewest && brought.end.is_some()) {
        return Err(Error::new(Kind::Data, format!("there are {records} records, fewer than `expect` says"))
            .with("resource", &resource.name)
            .with("min_records", fewest)
            .hint("some servers answer a bad credential with what anybody may see: is it still valid?"));
    }
    Ok(Met { answer: brought.first, records, choices: brought.choices, end: brought.end })
}
