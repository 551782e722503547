//! Where the time of a resource goes, so that a person sees who is slow: the API, the decoder or the warehouse.

use serde_json::{Map, Value, json};
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};

/// What the time was spent on.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Stage {
    /// Requests, from before their wait for a rate window to the end of the body.
    Waiting,
    /// Bodies made Arrow arrays.
    Decoding,
    /// Arrays made to fit the tables.
    Normalising,
    /// Rows written into the open load.
    Loading,
    /// Rows settled and made visible.
    Committing,
}

impl Stage {
    /// All of them, in the order in which a page goes through them.
    pub const ALL: [Stage; 5] =
        [Stage::Waiting, Stage::Decoding, Stage::Normalising, Stage::Loading, Stage::Committing];

    /// The word in reports.
    pub fn word(self) -> &'static str {
        match self {
            Stage::Waiting => "waiting",
            Stage::Decoding => "decoding",
            Stage::Normalising => "normalising",
            Stage::Loading => "loading",
            Stage::Committing => "committing",
        }
    }
}

/// Time by stage. Stages overlap, and requests of several parents run side by side, so the sum may exceed the run's time.
#[derive(Debug, Default)]
pub struct Stages {
    microseconds: [AtomicU64; Stage::ALL.len()],
}

impl Stages {
    /// Adds time to a stage.
    pub fn add(&self, stage: Stage, time: Duration) {
        self.microseconds[stage as usize].fetch_add(time.as_micros() as u64, Ordering::Relaxed);
    }

    /// Does a piece of work on the clock of a stage.
    pub fn time<T>(&self, stage: Stage, work: impl FnOnce() -> T) -> T {
        let begun = Instant::now();
        let done = work();
        self.add(stage, begun.elapsed());
        done
    }

    /// The times so far.
    pub fn spent(&self) -> Spent {
        Spent(Stage::ALL.map(|stage| Duration::from_micros(self.microseconds[stage as usize].load(Ordering::Relaxed))))
    }
}

/// Time by stage, as it is reported.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Spent([Duration; Stage::ALL.len()]);

impl Spent {
    /// Seconds by stage, to the millisecond.
    pub fn to_json(self) -> Value {
        let seconds = |stage: Stage| json!((self.0[stage as usize].as_secs_f64() * 1000.0).round() / 1000.0);
        Value::Object(
            Stage::ALL.map(|stage| (stage.word().to_owned(), seconds(stage))).into_iter().collect::<Map<_, _>>(),
        )
    }

    /// The times of several resources.
    pub fn sum(parts: impl Iterator<Item = Spent>) -> Spent {
        parts.fold(Spent::default(), |sum, part| Spent(Stage::ALL.map(|s| sum.0[s as usize] + part.0[s as usize])))
    }

    /// The times in one line, the longest stages first; none if nothing took a tenth of a second.
    pub fn to_line(self) -> Option<String> {
        let mut stages: Vec<(Duration, &str)> = Stage::ALL
            .map(|s| (self.0[s as usize], if s == Stage::Waiting { "waiting for the API" } else { s.word() }))
            .to_vec();
        stages.retain(|(time, _)| *time >= Duration::from_millis(100));
        stages.sort_by_key(|(time, _)| std::cmp::Reverse(*time));
        let shown: Vec<String> =
            stages.iter().map(|(time, word)| format!("{word} {:.1} s", time.as_secs_f64())).collect();
        (!shown.is_empty()).then(|| shown.join(", "))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn times_add_up_by_stage_and_the_longest_is_named_first() {
        let stages = Stages::default();
        assert_eq!(stages.spent().to_line(), None);
        stages.add(Stage::Decoding, Duration::from_millis(150));
        stages.add(Stage::Loading, Duration::from_millis(900));
        stages.add(Stage::Decoding, Duration::from_millis(150));
        stages.add(Stage::Committing, Duration::from_millis(99));
        let spent = Spent::sum([stages.spent(), stages.spent()].into_iter());
        assert_eq!(spent.to_line().unwrap(), "loading 1.8 s, decoding 0.6 s, committing 0.2 s");
        assert_eq!(
            stages.spent().to_json().to_string(),
            r#"{"waiting":0.0,"decoding":0.3,"normalising":0.0,"loading":0.9,"committing":0.099}"#
        );
    }
}
