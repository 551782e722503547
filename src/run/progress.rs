//! Counters of a running resource, and how people see them: bars on a terminal, a line now and then elsewhere.

use super::report::{group_digits, short_name};
use super::stages::Stages;
use crate::batch::contract::Discarded;
use crate::http::Meter;
use crate::words::counted;
use indicatif::{MultiProgress, ProgressBar, ProgressDrawTarget, ProgressStyle};
use std::collections::BTreeMap;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Mutex, OnceLock, PoisonError};
use std::time::{Duration, Instant};

/// Time between two looks at the counters, on a terminal.
const BAR_INTERVAL: Duration = Duration::from_millis(100);

/// Time between two lines, elsewhere.
const LINE_INTERVAL: Duration = Duration::from_secs(10);

/// Counters of one resource.
#[derive(Debug)]
pub struct Tracker {
    /// Resource name.
    pub name: String,
    /// What HTTP counts.
    pub meter: Arc<Meter>,
    /// Pages received.
    pub pages: AtomicU64,
    /// Records received.
    pub records: AtomicU64,
    /// Parents that were asked for.
    pub parents: AtomicU64,
    /// Parents that were passed over, because a filter or a missing field says so.
    pub parents_skipped: AtomicU64,
    /// Slices of a range that were walked to their end.
    pub windows: AtomicU64,
    /// Windows of a past that are left; 0 if they are not counted.
    pub windows_left: AtomicU64,
    /// Records without a cursor value.
    pub cursor_missing: AtomicU64,
    /// It went on from a stored cursor, so that it asked for a part only.
    pub resumed: AtomicBool,
    /// Starts that were moved up to `earliest`.
    pub starts_moved: AtomicU64,
    /// The first of them: from where, to where.
    first_start_moved: OnceLock<(String, String)>,
    /// Rows that had moved in the list while it was read.
    pub moved: AtomicU64,
    /// Records whose key came before in the same walk.
    pub repeated: AtomicU64,
    /// Where its time goes.
    pub stages: Arc<Stages>,
    /// It has begun.
    pub begun: AtomicBool,
    /// It has ended.
    pub ended: AtomicBool,
    /// It has committed something in this run.
    pub committed: AtomicBool,
    discarded: Mutex<BTreeMap<&'static str, u64>>,
    kept_out: Mutex<BTreeMap<String, u64>>,
}

impl Tracker {
    /// Counters at zero.
    pub fn new(name: &str) -> Self {
        Tracker {
            name: name.to_owned(),
            meter: Arc::new(Meter::default()),
            pages: AtomicU64::new(0),
            records: AtomicU64::new(0),
            parents: AtomicU64::new(0),
            parents_skipped: AtomicU64::new(0),
            windows: AtomicU64::new(0),
            windows_left: AtomicU64::new(0),
            cursor_missing: AtomicU64::new(0),
            resumed: AtomicBool::new(false),
            starts_moved: AtomicU64::new(0),
            first_start_moved: OnceLock::new(),
            moved: AtomicU64::new(0),
            repeated: AtomicU64::new(0),
            stages: Arc::default(),
            begun: AtomicBool::new(false),
            ended: AtomicBool::new(false),
            committed: AtomicBool::new(false),
            discarded: Mutex::new(BTreeMap::new()),
            kept_out: Mutex::new(BTreeMap::new()),
        }
    }

    /// Counts records that the decoder left out.
    pub fn discard(&self, rules: &BTreeMap<&'static str, u64>) {
        let mut discarded = self.discarded.lock().unwrap_or_else(PoisonError::into_inner);
        for (rule, count) in rules {
            *discarded.entry(rule).or_default() += count;
        }
    }

    /// Counts a start that was moved up to `earliest`.
    pub fn note_moved_start(&self, from: &str, to: &str) {
        self.starts_moved.fetch_add(1, Ordering::Relaxed);
        self.first_start_moved.get_or_init(|| (from.to_owned(), to.to_owned()));
    }

    /// The first start that was moved up: from where, to where.
    pub fn first_start_moved(&self) -> Option<(&str, &str)> {
        self.first_start_moved.get().map(|(from, to)| (from.as_str(), to.as_str()))
    }

    /// Records that the decoder left out, by rule.
    pub fn discarded(&self) -> BTreeMap<String, u64> {
        let discarded = self.discarded.lock().unwrap_or_else(PoisonError::into_inner);
        discarded.iter().map(|(rule, count)| ((*rule).to_owned(), *count)).collect()
    }

    /// Counts what was left out of the rows of records that are kept.
    pub fn keep_out(&self, kept_out: &[Discarded]) {
        if kept_out.is_empty() {
            return;
        }
        let mut counts = self.kept_out.lock().unwrap_or_else(PoisonError::into_inner);
        for (place, count) in kept_out.iter().filter_map(Discarded::counted) {
            *counts.entry(place).or_default() += count;
        }
    }

    /// What was left out of the rows of records that are kept: rows by table, values by `table.column`.
    pub fn kept_out(&self) -> BTreeMap<String, u64> {
        self.kept_out.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    fn message(&self, elapsed: Duration) -> String {
        let load = |n: &AtomicU64| n.load(Ordering::Relaxed);
        let records = load(&self.records);
        let rate = records as f64 / elapsed.as_secs_f64().max(0.001);
        let mut text = format!(
            "{}  {}  {}/s  {}",
            counted(load(&self.pages), "page"),
            counted(records, "record"),
            group_digits(rate as u64),
            indicatif::HumanBytes(load(&self.meter.bytes)),
        );
        let left = load(&self.windows_left);
        if left > 0 {
            text.push_str(&format!("  {} done, {} left", counted(load(&self.windows), "window"), group_digits(left)));
        }
        let retries = load(&self.meter.retries);
        if retries > 0 {
            text.push_str(&format!("  {retries} retries"));
        }
        if load(&self.meter.waiting) > 0 {
            text.push_str("  waiting for the rate limit");
        }
        text
    }
}

/// Shows the counters until it is dropped.
pub struct Display {
    task: tokio::task::JoinHandle<()>,
    bars: Option<MultiProgress>,
}

/// The bars on the terminal, while there are any.
static SHOWN: Mutex<Option<MultiProgress>> = Mutex::new(None);

/// Writes to stderr without breaking the bars that are drawn there.
pub fn beside_bars<T>(write: impl FnOnce() -> T) -> T {
    let bars = SHOWN.lock().unwrap_or_else(PoisonError::into_inner).clone();
    match bars {
        Some(bars) => bars.suspend(write),
        None => write(),
    }
}

/// How progress is shown.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Style {
    /// Bars on stderr.
    Bars,
    /// Log lines.
    Lines,
    /// Nothing.
    Silent,
}

impl Display {
    /// Begins to show. To be called on the runtime.
    pub fn start(trackers: Vec<Arc<Tracker>>, style: Style) -> Display {
        match style {
            Style::Bars => {
                let bars = MultiProgress::with_draw_target(ProgressDrawTarget::stderr());
                *SHOWN.lock().unwrap_or_else(PoisonError::into_inner) = Some(bars.clone());
                Display { task: tokio::spawn(draw_bars(bars.clone(), trackers)), bars: Some(bars) }
            }
            Style::Lines => Display { task: tokio::spawn(write_lines(trackers)), bars: None },
            Style::Silent => Display { task: tokio::spawn(async {}), bars: None },
        }
    }
}

impl Drop for Display {
    fn drop(&mut self) {
        self.task.abort();
        if let Some(bars) = &self.bars {
            *SHOWN.lock().unwrap_or_else(PoisonError::into_inner) = None;
            // A terminal that can't be cleared is the terminal's own trouble.
            let _ = bars.clear();
        }
    }
}

async fn draw_bars(bars: MultiProgress, trackers: Vec<Arc<Tracker>>) {
    let width = trackers.iter().map(|t| short_name(&t.name).chars().count()).max().unwrap_or(0);
    let template = format!("{{spinner}} {{prefix:{width}}}  {{wide_msg}}");
    let style = ProgressStyle::with_template(&template).unwrap_or_else(|_| ProgressStyle::default_spinner());
    let started = Instant::now();
    let mut lines: Vec<Option<ProgressBar>> = trackers.iter().map(|_| None).collect();
    loop {
        for (tracker, line) in trackers.iter().zip(&mut lines) {
            if !tracker.begun.load(Ordering::Relaxed) {
                continue;
            }
            let bar = line.get_or_insert_with(|| {
                let bar = bars.add(ProgressBar::new_spinner().with_style(style.clone()));
                bar.set_prefix(short_name(&tracker.name));
                bar
            });
            if bar.is_finished() {
                continue;
            }
            bar.set_message(tracker.message(started.elapsed()));
            bar.tick();
            if tracker.ended.load(Ordering::Relaxed) {
                bar.finish();
            }
        }
        tokio::time::sleep(BAR_INTERVAL).await;
    }
}

async fn write_lines(trackers: Vec<Arc<Tracker>>) {
    let started = Instant::now();
    loop {
        tokio::time::sleep(LINE_INTERVAL).await;
        for tracker in &trackers {
            if tracker.begun.load(Ordering::Relaxed) && !tracker.ended.load(Ordering::Relaxed) {
                tracing::info!(resource = %tracker.name, "{}", tracker.message(started.elapsed()));
            }
        }
    }
}
