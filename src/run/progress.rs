//! Counters of a running resource, and how people see them: bars on a terminal, a line now and then elsewhere.

use super::report::{NAME_WIDTH, cut, group_digits};
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

/// Time after which a rate says something.
const RATE_AFTER: Duration = Duration::from_secs(1);

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
    /// Records that there are by the server's account; 0: it does not tell.
    pub announced: AtomicU64,
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
            announced: AtomicU64::new(0),
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

    /// The counters at one moment.
    fn look(&self, elapsed: Duration) -> Counters {
        let load = |n: &AtomicU64| n.load(Ordering::Relaxed);
        let records = load(&self.records);
        Counters {
            pages: load(&self.pages),
            records,
            announced: load(&self.announced),
            parents: load(&self.parents),
            windows: load(&self.windows),
            windows_left: load(&self.windows_left),
            per_second: (elapsed >= RATE_AFTER).then(|| (records as f64 / elapsed.as_secs_f64()) as u64),
            bytes: load(&self.meter.bytes),
            retries: load(&self.meter.retries),
            is_waiting: load(&self.meter.waiting) > 0,
        }
    }
}

/// What is shown of a resource.
#[derive(Debug, Clone, Copy, Default)]
struct Counters {
    pages: u64,
    records: u64,
    announced: u64,
    parents: u64,
    windows: u64,
    windows_left: u64,
    /// None at the beginning, when it would say nothing.
    per_second: Option<u64>,
    bytes: u64,
    retries: u64,
    is_waiting: bool,
}

impl Counters {
    /// Part of the announced records that is there, percent.
    fn percent(&self) -> Option<u64> {
        // What was announced is of one window only.
        let is_whole = self.windows_left == 0 && self.windows <= 1;
        (self.announced > 0 && is_whole).then(|| (self.records.saturating_mul(100) / self.announced).min(100))
    }

    /// The records, and how many there are if that is known, as far as there is room.
    fn records_line(&self, width: usize) -> String {
        let Some(percent) = self.percent() else { return counted(self.records, "record") };
        let (records, announced) = (group_digits(self.records), group_digits(self.announced));
        let forms = [
            format!("{records} of {announced} records  {percent} %"),
            format!("{records} of {announced}  {percent} %"),
        ];
        let fits = |form: &String| form.chars().count() <= width;
        forms.into_iter().find(fits).unwrap_or_else(|| format!("{percent} % of {announced}"))
    }

    /// Windows that were walked, and those of a past that are left.
    fn windows_line(&self) -> Option<String> {
        let done = counted(self.windows, "window");
        match (self.windows, self.windows_left) {
            (_, left @ 1..) => Some(format!("{done} done, {} left", group_digits(left))),
            (2.., 0) => Some(done),
            (0 | 1, 0) => None,
        }
    }

    /// The counters in a line of so many columns: what matters least is left out first.
    fn line(&self, width: usize) -> String {
        let records = self.records_line(width);
        let some = |number: u64, noun: &str| (number > 0).then(|| counted(number, noun));
        // Each with its rank: the higher, the sooner it is left out.
        let retries = if self.retries == 1 { "retry" } else { "retries" };
        let parts: [(u8, Option<String>); 8] = [
            (0, Some(records)),
            (1, self.is_waiting.then(|| "waiting for the rate limit".to_owned())),
            (3, self.per_second.map(|rate| format!("{}/s", group_digits(rate)))),
            (4, some(self.parents, "parent")),
            (4, self.windows_line()),
            (5, Some(counted(self.pages, "page"))),
            (6, Some(indicatif::HumanBytes(self.bytes).to_string())),
            (2, (self.retries > 0).then(|| format!("{} {retries}", group_digits(self.retries)))),
        ];
        let mut shown: Vec<(u8, String)> = parts.into_iter().filter_map(|(rank, text)| Some((rank, text?))).collect();
        let length = |parts: &[(u8, String)]| parts.iter().map(|(_, text)| text.chars().count() + 2).sum::<usize>();
        while shown.len() > 1 && length(&shown) > width + 2 {
            let last = shown.iter().enumerate().max_by_key(|(at, (rank, _))| (*rank, *at)).map(|(at, _)| at);
            shown.remove(last.unwrap_or_default());
        }
        shown.into_iter().map(|(_, text)| text).collect::<Vec<_>>().join("  ")
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

/// Widest name of a resource in a line of a terminal of so many columns.
fn name_width(columns: usize) -> usize {
    (columns / 3).clamp(8, NAME_WIDTH)
}

async fn draw_bars(bars: MultiProgress, trackers: Vec<Arc<Tracker>>) {
    let columns = || usize::from(console::Term::stderr().size().1);
    let longest = trackers.iter().map(|t| t.name.chars().count()).max().unwrap_or(0);
    let width = longest.min(name_width(columns()));
    let style =
        |template: &str| ProgressStyle::with_template(template).unwrap_or_else(|_| ProgressStyle::default_spinner());
    let running = style(&format!("{{spinner}} {{prefix:{width}}}  {{wide_msg}}"));
    let ended = style(&format!("- {{prefix:{width}}}  {{wide_msg}}"));
    let mut lines: Vec<Option<(ProgressBar, Instant)>> = trackers.iter().map(|_| None).collect();
    loop {
        for (tracker, line) in trackers.iter().zip(&mut lines) {
            if !tracker.begun.load(Ordering::Relaxed) {
                continue;
            }
            let (bar, begun) = line.get_or_insert_with(|| {
                let bar = bars.add(ProgressBar::new_spinner().with_style(running.clone()));
                bar.set_prefix(cut(&tracker.name, width));
                (bar, Instant::now())
            });
            if bar.is_finished() {
                continue;
            }
            let has_ended = tracker.ended.load(Ordering::Relaxed);
            if has_ended {
                bar.set_style(ended.clone());
            }
            // Two for the spinner, two between the columns, and one that the cursor may stand in.
            bar.set_message(tracker.look(begun.elapsed()).line(columns().saturating_sub(width + 5)));
            bar.tick();
            if has_ended {
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
                log(&tracker.name, &tracker.look(started.elapsed()));
            }
        }
    }
}

/// Logs the counters of a resource: one field each, as `docs/commands.md` names them.
fn log(resource: &str, at: &Counters) {
    let Counters { pages, records, parents, windows, per_second, bytes, retries, is_waiting, .. } = *at;
    let windows_left = (at.windows_left > 0).then_some(at.windows_left);
    let announced = (at.announced > 0).then_some(at.announced);
    tracing::info!(%resource, records, announced, pages, parents, windows, windows_left, per_second, bytes, retries, waiting = is_waiting, "progress");
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_matters_least_is_left_out_first() {
        let counters = Counters {
            pages: 12,
            records: 1_200,
            announced: 4_800,
            per_second: Some(340),
            bytes: 2_400_000,
            retries: 2,
            is_waiting: true,
            ..Counters::default()
        };
        let widths = [200, 75, 60, 50, 25, 10];
        let lines = widths.map(|width| counters.line(width));
        assert_eq!(
            lines,
            [
                "1,200 of 4,800 records  25 %  waiting for the rate limit  340/s  12 pages  2.29 MiB  2 retries",
                "1,200 of 4,800 records  25 %  waiting for the rate limit  340/s  2 retries",
                "1,200 of 4,800 records  25 %  waiting for the rate limit",
                "1,200 of 4,800 records  25 %",
                "1,200 of 4,800  25 %",
                "25 % of 4,800",
            ]
        );
    }

    #[test]
    fn what_is_not_known_is_not_shown() {
        let line = Counters { pages: 1, records: 1, ..Counters::default() }.line(80);
        assert_eq!(line, "1 record  1 page  0 B");
        let past = Counters { records: 9, announced: 3, windows: 2, windows_left: 5, ..Counters::default() };
        assert_eq!(past.line(80), "9 records  2 windows done, 5 left  0 pages  0 B", "a total is one window's");
    }

    #[test]
    fn names_leave_room_for_counters_on_narrow_terminals() {
        assert_eq!([20, 40, 80, 200].map(name_width), [8, 13, 24, 24]);
        assert_eq!([cut("interactions", 8), cut("users", 8)], ["interac…", "users"]);
    }
}
