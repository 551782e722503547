//! When requests reached the server, as far as that is known here, and when the next one may be sent.

use crate::plan::model::RateLimit;
use std::collections::VecDeque;
use std::time::Duration;

/// Longest margin.
const MARGIN_MAX: Duration = Duration::from_secs(1);

/// How late requests of a window are reckoned with at once, on average: a whole window, and no more than this. It is for the
/// first requests, which make connections before any answer has said how long one takes.
const LATENESS_MAX: Duration = Duration::from_secs(5);

/// A window as it is kept: at most `count` requests within `span_us`, margin included.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Window {
    pub(super) count: usize,
    pub(super) span_us: u64,
}

impl From<&RateLimit> for Window {
    /// The margin is for answers that are faster than any before, and for clocks. It costs 2 % of the rate.
    fn from(limit: &RateLimit) -> Self {
        let margin = (limit.per / 50).min(MARGIN_MAX);
        Window { count: limit.count.max(1) as usize, span_us: super::micros(limit.per + margin) }
    }
}

/// A request without an answer as yet.
#[derive(Debug)]
struct Open {
    id: u64,
    sent_us: u64,
    fastest_us: u64,
}

impl Open {
    /// When the server took it in, at the latest: had it done so later, its answer couldn't be here at `now_us`, as no
    /// answer was ever faster than `fastest_us`.
    fn arrived_us(&self, now_us: u64, doubt_us: u64) -> u64 {
        let late_us = now_us.saturating_sub(self.sent_us).saturating_sub(self.fastest_us);
        self.sent_us + late_us.min(doubt_us)
    }
}

/// Requests, as many as the largest window needs. All times are microseconds since 1970.
///
/// A server counts a request when it arrives, and that may be long after it was sent: a connection has to be made, or a
/// busy server takes it from a queue. So a request counts as late as it can have arrived, seen from its answer. Where
/// answers take differently long by themselves, that would cost more of the rate than it is worth, so all doubts
/// together are bounded: `doubt_us` is what may still be spent, and grows a little with each request.
#[derive(Debug)]
pub(super) struct Ledger {
    windows: Vec<Window>,
    /// Ascending.
    arrived_us: VecDeque<u64>,
    open: Vec<Open>,
    kept: usize,
    next_id: u64,
    doubt_us: u64,
    doubt_max_us: u64,
    /// What each request adds to `doubt_us`: a twentieth of the shortest window.
    doubt_gain_us: u64,
}

impl Ledger {
    pub(super) fn new(windows: Vec<Window>) -> Self {
        let shortest_us = windows.iter().map(|w| w.span_us).min().unwrap_or(0);
        // Of each window's requests so many come at once that its own share of the doubt must do for them.
        let doubt_of = |w: &Window| (w.count as u64).saturating_mul(w.span_us.min(super::micros(LATENESS_MAX)));
        let doubt_max_us = windows.iter().map(doubt_of).min().unwrap_or(0);
        Ledger {
            kept: windows.iter().map(|w| w.count).max().unwrap_or(0),
            windows,
            arrived_us: VecDeque::new(),
            open: Vec::new(),
            next_id: 0,
            doubt_us: doubt_max_us,
            doubt_max_us,
            doubt_gain_us: shortest_us / 20,
        }
    }

    /// The longest window, margin included.
    pub(super) fn span_us(&self) -> u64 {
        self.windows.iter().map(|w| w.span_us).max().unwrap_or(0)
    }

    pub(super) fn arrived(&self) -> &VecDeque<u64> {
        &self.arrived_us
    }

    /// Counts a request that arrived at a time.
    pub(super) fn push(&mut self, arrived_us: u64) {
        let at = self.arrived_us.partition_point(|t| *t <= arrived_us);
        self.arrived_us.insert(at, arrived_us);
        if self.arrived_us.len() > self.kept {
            self.arrived_us.pop_front();
        }
    }

    /// Counts a request that is sent now, of a kind of which the fastest answer took so long.
    pub(super) fn begin(&mut self, now_us: u64, fastest_us: u64) -> u64 {
        let id = self.next_id;
        self.next_id += 1;
        if !self.windows.is_empty() {
            self.open.push(Open { id, sent_us: now_us, fastest_us });
        }
        id
    }

    /// Its answer is there, or it was given up.
    pub(super) fn end(&mut self, id: u64, now_us: u64, fastest_us: u64) {
        let Some(at) = self.open.iter().position(|open| open.id == id) else { return };
        let open = Open { fastest_us, ..self.open.swap_remove(at) };
        let arrived_us = open.arrived_us(now_us, self.doubt_us);
        let spent_us = arrived_us - open.sent_us;
        self.doubt_us = (self.doubt_us - spent_us + self.doubt_gain_us).min(self.doubt_max_us);
        self.push(arrived_us);
    }

    /// How long to wait until one more request fits into every window. Requests under way may make it longer: after the
    /// wait it is asked again.
    pub(super) fn wait_us(&self, now_us: u64) -> u64 {
        let mut open: Vec<u64> = self.open.iter().map(|open| open.arrived_us(now_us, self.doubt_us)).collect();
        open.sort_unstable_by(|a, b| b.cmp(a));
        let wait_of = |window: &Window| {
            let leaves_us = nth_latest(&self.arrived_us, &open, window.count);
            leaves_us.map_or(0, |arrived_us| (arrived_us + window.span_us).saturating_sub(now_us))
        };
        self.windows.iter().map(wait_of).max().unwrap_or(0)
    }
}

/// The `n`-th latest (from 1) of times of which some are ascending and a few are descending.
fn nth_latest(ascending: &VecDeque<u64>, descending: &[u64], n: usize) -> Option<u64> {
    // With `taken` of the few among the latest `n`, the others are the latest of the many. Of all such choices the true
    // one has the latest last time.
    let with = |taken: usize| {
        let few = taken.checked_sub(1).map_or(Some(u64::MAX), |i| descending.get(i).copied());
        let many = match n.checked_sub(taken)? {
            0 => Some(u64::MAX),
            rest => ascending.len().checked_sub(rest).and_then(|i| ascending.get(i).copied()),
        };
        Some(few?.min(many?))
    };
    (0..=descending.len().min(n)).filter_map(with).max()
}

#[cfg(test)]
mod tests;
