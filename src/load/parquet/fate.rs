//! What becomes of each file of a table in the next version.

/// More small files than this are joined in the next commit.
const SMALL_FILES_MAX: usize = 16;
/// A file with less than this share of a full file's rows is small: one tenth.
const SMALL_FILE_DIVISOR: u64 = 10;

/// What matters of a file.
#[derive(Debug, Clone, Copy)]
pub(super) struct FileFacts {
    /// All its rows.
    pub(super) rows: u64,
    /// Those that don't go into the next version.
    pub(super) dead: u64,
    /// Whether it looks different from the table's files from now on.
    pub(super) outdated: bool,
}

/// What becomes of a file.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Fate {
    /// It is in the next version as it is.
    Keep,
    /// Its rows are, in a new file.
    Rewrite,
    /// Nothing of it is.
    Drop,
}

/// Decides for all files of a table. `file_rows`: rows of a full file.
pub(super) fn fates(files: &[FileFacts], file_rows: u64) -> Vec<Fate> {
    let mut fates: Vec<Fate> = files
        .iter()
        .map(|file| match file {
            f if f.dead >= f.rows => Fate::Drop,
            f if f.dead > 0 || f.outdated => Fate::Rewrite,
            _ => Fate::Keep,
        })
        .collect();
    let small: Vec<usize> = (0..files.len())
        .filter(|i| fates[*i] == Fate::Keep && files[*i].rows < file_rows / SMALL_FILE_DIVISOR)
        .collect();
    if small.len() > SMALL_FILES_MAX {
        small.into_iter().for_each(|i| fates[i] = Fate::Rewrite);
    }
    fates
}

#[cfg(test)]
mod tests {
    use super::*;

    fn facts(rows: u64, dead: u64, outdated: bool) -> FileFacts {
        FileFacts { rows, dead, outdated }
    }

    #[test]
    fn a_file_is_touched_only_for_a_reason() {
        let files = [
            facts(1000, 0, false),
            facts(1000, 1, false),
            facts(1000, 1000, false),
            facts(1000, 0, true),
            facts(0, 0, true),
            facts(0, 0, false),
        ];
        let expected = [Fate::Keep, Fate::Rewrite, Fate::Drop, Fate::Rewrite, Fate::Drop, Fate::Drop];
        assert_eq!(fates(&files, 1000), expected);
    }

    #[test]
    fn many_small_files_are_joined_and_large_ones_stay() {
        let mut files = vec![facts(99, 0, false); SMALL_FILES_MAX];
        files.push(facts(100, 0, false));
        assert!(fates(&files, 1000).iter().all(|f| *f == Fate::Keep));
        files.push(facts(1, 0, false));
        let joined = fates(&files, 1000);
        assert_eq!(joined.iter().filter(|f| **f == Fate::Rewrite).count(), SMALL_FILES_MAX + 1);
        assert_eq!(joined[SMALL_FILES_MAX], Fate::Keep);
    }
}
