//! Numbers as bars of block characters.

/// A bar for a number out of the largest one, `width` characters at most; anything above nothing shows.
pub(super) fn bar(value: u64, largest: u64, width: usize) -> String {
    const EIGHTHS: [&str; 8] = ["", "▏", "▎", "▍", "▌", "▋", "▊", "▉"];
    if value == 0 || largest == 0 {
        return String::new();
    }
    let eighths = (value as f64 / largest as f64 * width as f64 * 8.0).round().max(1.0) as usize;
    format!("{}{}", "█".repeat(eighths / 8), EIGHTHS[eighths % 8])
}

/// What one place of a row of bars shows.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Mark {
    /// Rows.
    Rows(u64),
    /// It failed.
    Failed,
    /// It had no part in the run.
    Absent,
}

/// A row of bars, one character for each.
pub(super) fn sparkline(marks: &[Mark]) -> String {
    const HEIGHTS: [char; 8] = ['▁', '▂', '▃', '▄', '▅', '▆', '▇', '█'];
    let largest =
        marks.iter().map(|mark| if let Mark::Rows(rows) = mark { *rows } else { 0 }).max().unwrap_or_default();
    let shown = |mark: &Mark| match mark {
        Mark::Rows(0) => '.',
        Mark::Rows(rows) => HEIGHTS[((*rows as f64 / largest as f64 * 8.0).ceil() as usize).clamp(1, 8) - 1],
        Mark::Failed => '×',
        Mark::Absent => ' ',
    };
    marks.iter().map(shown).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn bars_are_as_long_as_their_share() {
        for (value, largest, expected) in
            [(0, 10, ""), (10, 10, "████"), (5, 10, "██"), (1, 1000, "▏"), (1, 10, "▍"), (0, 0, "")]
        {
            assert_eq!(bar(value, largest, 4), expected, "{value} of {largest}");
        }
    }

    #[test]
    fn rows_failures_and_absences_look_different() {
        let marks = [Mark::Absent, Mark::Rows(0), Mark::Rows(1), Mark::Rows(8), Mark::Failed, Mark::Rows(4)];
        assert_eq!(sparkline(&marks), " .▁█×▄");
        assert_eq!(sparkline(&[Mark::Rows(0)]), ".");
    }
}
