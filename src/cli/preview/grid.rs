//! Tables for a terminal: cells cut, columns that don't fit left out and named.

use crate::words::{counted, wrapped};

/// Widest cell, characters.
const CELL_WIDTH_MAX: usize = 32;

/// Between two columns.
const GAP: usize = 2;

/// A table of texts.
pub(super) struct Grid {
    pub(super) heads: Vec<String>,
    /// A cell for each head.
    pub(super) rows: Vec<Vec<String>>,
    /// Columns that are aligned at their right.
    pub(super) right: Vec<bool>,
}

/// A value as one line: line feeds and other control characters escaped.
pub(super) fn shown(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    for c in text.chars().take(CELL_WIDTH_MAX * 4) {
        if c.is_control() { out.extend(c.escape_default()) } else { out.push(c) }
    }
    out
}

impl Grid {
    /// The first columns that fit; the others are named below.
    pub(super) fn fitted(&self, width: usize) -> String {
        let widths = self.widths(CELL_WIDTH_MAX);
        let (mut used, mut count) = (0, 0);
        for column in &widths {
            let gap = if count == 0 { 0 } else { GAP };
            if count > 0 && used + gap + column > width {
                break;
            }
            used += gap + column;
            count += 1;
        }
        let mut out = self.lines(&widths[..count], width);
        if count < widths.len() {
            let names = self.heads[count..].join(", ");
            let rest = format!("{}: {names}", counted((widths.len() - count) as u64, "more column"));
            for line in wrapped(&rest, width) {
                out.push_str(&line);
                out.push('\n');
            }
        }
        out
    }

    /// All columns; the last one takes what is left.
    pub(super) fn cut(&self, width: usize) -> String {
        self.lines(&self.widths(CELL_WIDTH_MAX), width)
    }

    fn widths(&self, max: usize) -> Vec<usize> {
        let widest = |column: usize| {
            let cells = self.rows.iter().filter_map(|row| row.get(column)).chain(self.heads.get(column));
            cells.map(|cell| console::measure_text_width(cell)).max().unwrap_or(0).min(max)
        };
        (0..self.heads.len()).map(widest).collect()
    }

    fn lines(&self, widths: &[usize], width: usize) -> String {
        let mut out = String::new();
        for row in std::iter::once(&self.heads).chain(&self.rows) {
            let mut line = String::new();
            for (at, (cell, column)) in row.iter().zip(widths).enumerate() {
                let gap = if at == 0 { 0 } else { GAP };
                let align = match self.right.get(at) {
                    Some(true) => console::Alignment::Right,
                    Some(false) | None => console::Alignment::Left,
                };
                line.push_str(&" ".repeat(gap));
                line.push_str(&console::pad_str(cell, *column, align, Some("…")));
            }
            out.push_str(&console::truncate_str(line.trim_end(), width, "…"));
            out.push('\n');
        }
        out
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn grid() -> Grid {
        Grid {
            heads: ["id", "title", "note"].map(str::to_owned).to_vec(),
            rows: vec![
                ["7", "Onboarding", "NULL"].map(str::to_owned).to_vec(),
                vec!["12".to_owned(), "x".repeat(40), "日本".to_owned()],
            ],
            right: vec![true, false, false],
        }
    }

    #[test]
    fn columns_that_do_not_fit_are_named() {
        assert_eq!(
            grid().fitted(40),
            format!("id  title\n 7  Onboarding\n12  {}…\n1 more column: note\n", "x".repeat(31))
        );
        let wide = grid().fitted(80);
        assert!(wide.lines().next().is_some_and(|line| line.ends_with("note")), "{wide}");
        assert!(!wide.contains("more column"), "{wide}");
    }

    #[test]
    fn no_line_is_wider_than_the_terminal() {
        for width in [10, 20, 40, 80] {
            let (fitted, cut) = (grid().fitted(width), grid().cut(width));
            let is_within = |line: &str| console::measure_text_width(line) <= width;
            assert!(fitted.lines().chain(cut.lines()).all(is_within), "{width}\n{fitted}\n{cut}");
        }
    }

    #[test]
    fn a_value_is_one_line() {
        assert_eq!(shown("a\nb\u{1b}[31m"), "a\\nb\\u{1b}[31m");
    }
}
