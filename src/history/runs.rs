//! Runs, from what their resources came to and from reports.

use super::{Ending, KILLED, Run};
use crate::load::reading::{LastLoad, LoadEntry};
use crate::state::reports::Report;

/// The runs that loads belong to. `is_running`: somebody holds the pipeline's lock.
pub(super) fn from_loads(loads: Vec<LoadEntry>, is_running: bool) -> Vec<Run> {
    let newest = loads.iter().map(|entry| entry.load_id.clone()).max();
    let mut runs: Vec<Run> = Vec::new();
    for entry in loads {
        let run = match runs.iter_mut().find(|run| run.load_id.as_deref() == Some(entry.load_id.as_str())) {
            Some(run) => run,
            None => {
                runs.push(Run {
                    load_id: Some(entry.load_id.clone()),
                    ending: Ending::Completed,
                    started_at: entry.started_at,
                    ended_at: entry.committed_at,
                    resources: Vec::new(),
                    error: None,
                });
                let last = runs.len() - 1;
                &mut runs[last]
            }
        };
        run.ended_at = run.ended_at.max(entry.committed_at);
        run.resources.push(entry);
    }
    for run in &mut runs {
        let goes_on = is_running && run.load_id == newest;
        run.ending = ending_of(&run.resources, goes_on);
        if run.ending == Ending::Killed {
            run.error = Some(KILLED.to_owned());
            // Told once, of the whole.
            run.resources.iter_mut().filter(|r| r.error.as_deref() == Some(KILLED)).for_each(|r| r.error = None);
        }
    }
    runs
}

fn ending_of(resources: &[LoadEntry], goes_on: bool) -> Ending {
    let any = |status: &str| resources.iter().any(|entry| entry.status == status);
    let was_killed = resources.iter().any(|entry| entry.error.as_deref() == Some(KILLED));
    match () {
        () if any("running") && goes_on => Ending::Running,
        () if any("running") || was_killed => Ending::Killed,
        () if any("failed") => Ending::Failed,
        () if any("interrupted") => Ending::Interrupted,
        () => match resources.iter().find(|entry| entry.status != "completed") {
            Some(entry) => Ending::Other(entry.status.clone()),
            None => Ending::Completed,
        },
    }
}

/// Completes runs by their reports: when they ended and what stopped them as a whole, and runs that left no load.
pub(super) fn with_reports(mut runs: Vec<Run>, reports: Vec<Report>) -> Vec<Run> {
    for report in reports {
        let of_load = |run: &&mut Run| report.load_id.is_some() && run.load_id == report.load_id;
        match runs.iter_mut().find(of_load) {
            Some(run) => {
                run.ended_at = report.finished_at;
                run.ending = ending_of_word(&report.status);
                run.error = report.error;
            }
            None => runs.push(Run {
                load_id: report.load_id,
                ending: ending_of_word(&report.status),
                started_at: report.started_at,
                ended_at: report.finished_at,
                resources: report.resources,
                error: report.error,
            }),
        }
    }
    runs.sort_by_key(|run| std::cmp::Reverse((run.ended_at, run.started_at)));
    runs
}

fn ending_of_word(word: &str) -> Ending {
    match word {
        "completed" => Ending::Completed,
        "failed" => Ending::Failed,
        "interrupted" => Ending::Interrupted,
        other => Ending::Other(other.to_owned()),
    }
}

/// When resources were last loaded, as far as runs tell.
pub(super) fn last_loads(runs: &[Run]) -> Vec<LastLoad> {
    let mut last: Vec<LastLoad> = Vec::new();
    for entry in runs.iter().flat_map(|run| &run.resources) {
        let resource = match last.iter_mut().find(|known| known.resource == entry.resource) {
            Some(known) => known,
            None => {
                last.push(LastLoad { resource: entry.resource.clone(), completed_at: None, rows_at: None });
                let newest = last.len() - 1;
                &mut last[newest]
            }
        };
        if entry.status == "completed" {
            resource.completed_at = resource.completed_at.max(Some(entry.committed_at));
        }
        if entry.rows.iter().any(|(_, rows)| *rows > 0) {
            resource.rows_at = resource.rows_at.max(Some(entry.committed_at));
        }
    }
    last
}

#[cfg(test)]
mod tests {
    use super::*;
    use chrono::{DateTime, Utc};

    fn at(second: i64) -> DateTime<Utc> {
        DateTime::from_timestamp(1_700_000_000 + second, 0).unwrap()
    }

    fn load(load_id: &str, resource: &str, status: &str, second: i64) -> LoadEntry {
        LoadEntry {
            load_id: load_id.into(),
            resource: resource.into(),
            status: status.into(),
            started_at: at(0),
            committed_at: at(second),
            requests: 1,
            records: 2,
            bytes: 3,
            rows: vec![(resource.to_owned(), 2)],
            discarded: Vec::new(),
            end: None,
            error: None,
        }
    }

    fn report(load_id: Option<&str>, status: &str, second: i64, error: Option<&str>) -> Report {
        Report {
            load_id: load_id.map(str::to_owned),
            status: status.to_owned(),
            started_at: at(0),
            finished_at: at(second),
            error: error.map(str::to_owned),
            resources: Vec::new(),
        }
    }

    #[test]
    fn a_run_ends_as_its_worst_resource_does() {
        for (statuses, is_running, ending) in [
            (&["completed", "completed"][..], false, Ending::Completed),
            (&["completed", "failed", "interrupted"], false, Ending::Failed),
            (&["completed", "interrupted"], false, Ending::Interrupted),
            (&["completed", "running"], true, Ending::Running),
            (&["failed", "running"], false, Ending::Killed),
            (&["completed", "stopped"], false, Ending::Other("stopped".into())),
        ] {
            let loads = statuses.iter().enumerate().map(|(n, status)| load("1", &format!("r{n}"), status, 5)).collect();
            let runs = from_loads(loads, is_running);
            assert_eq!((runs.len(), &runs[0].ending), (1, &ending), "{statuses:?}");
        }
    }

    #[test]
    fn only_the_newest_run_can_go_on() {
        let runs = from_loads(vec![load("2", "a", "running", 9), load("1", "a", "running", 5)], true);
        let endings: Vec<&Ending> = runs.iter().map(|run| &run.ending).collect();
        assert_eq!(endings, [&Ending::Running, &Ending::Killed]);
    }

    #[test]
    fn reports_tell_of_runs_that_left_no_load_and_of_the_end_of_the_others() {
        let runs = from_loads(vec![load("1", "a", "completed", 5)], false);
        let reports = vec![
            report(Some("1"), "failed", 8, Some("the copy could not be made")),
            report(None, "failed", 20, Some("another run holds the lock")),
        ];
        let runs = with_reports(runs, reports);
        let told: Vec<_> =
            runs.iter().map(|run| (run.load_id.as_deref(), run.ended_at, run.error.as_deref())).collect();
        assert_eq!(
            told,
            [
                (None, at(20), Some("another run holds the lock")),
                (Some("1"), at(8), Some("the copy could not be made"))
            ]
        );
        assert_eq!(runs[1].ending, Ending::Failed);
        assert_eq!(runs[1].rows(), 2);
    }

    #[test]
    fn freshness_is_that_of_loads_that_came_to_their_end_and_of_those_that_brought_rows() {
        let empty = LoadEntry { rows: Vec::new(), ..load("3", "a", "completed", 30) };
        let runs = from_loads(vec![empty, load("2", "a", "failed", 20), load("1", "a", "completed", 10)], false);
        let expected = LastLoad { resource: "a".into(), completed_at: Some(at(30)), rows_at: Some(at(20)) };
        assert_eq!(last_loads(&runs), [expected]);
    }
}
