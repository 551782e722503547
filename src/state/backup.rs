//! Copies of the state before a person changes it: `STATE_DIR/backups/PIPELINE-TIME.jsonl`, a line of JSON on the whole and one for
//! each cursor. They are never read by the program, and never removed.

use crate::error::{Error, Kind, Result};
use crate::load::reading::StateRow;
use chrono::{DateTime, SecondsFormat, Utc};
use serde_json::{Value, json};
use std::fs::{self, File, OpenOptions};
use std::io::{self, BufWriter, ErrorKind, Write};
use std::path::{Path, PathBuf};

/// Writes a copy. `next` gives the cursors behind one of them, and none at the end.
///
/// # Errors
/// [`Kind::State`] when the file can't be written, and what `next` says. There is then no such file.
pub fn write(
    state_dir: &Path,
    pipeline: &str,
    location: &str,
    at: DateTime<Utc>,
    mut next: impl FnMut(Option<&StateRow>) -> Result<Vec<StateRow>>,
) -> Result<PathBuf> {
    let folder = state_dir.join("backups");
    let failed = |e: io::Error| {
        Error::new(Kind::State, "the copy of the old state can't be written; nothing was changed")
            .with("folder", folder.display())
            .source(e)
    };
    fs::create_dir_all(&folder).map_err(failed)?;
    let (path, file) = create(&folder, pipeline, at).map_err(failed)?;
    let mut file = BufWriter::new(file);
    let time = at.to_rfc3339_opts(SecondsFormat::Secs, true);
    let mut write = || -> Result<()> {
        let head = json!({ "pipeline": pipeline, "warehouse": location, "copied_at": time });
        writeln!(file, "{head}").map_err(failed)?;
        let mut last: Option<StateRow> = None;
        loop {
            let page = next(last.as_ref())?;
            let Some(end) = page.last().cloned() else { break };
            page.iter().try_for_each(|row| writeln!(file, "{}", line(row))).map_err(failed)?;
            last = Some(end);
        }
        file.flush().and_then(|()| file.get_ref().sync_all()).map_err(failed)
    };
    match write() {
        Ok(()) => Ok(path),
        Err(error) => {
            // Half a copy is none. That it stays harms nobody.
            let _ = fs::remove_file(&path);
            Err(error)
        }
    }
}

/// A file that is not there yet: two changes may come in one second.
fn create(folder: &Path, pipeline: &str, at: DateTime<Utc>) -> io::Result<(PathBuf, File)> {
    let stem = format!("{pipeline}-{}", at.format("%Y%m%dT%H%M%SZ"));
    let mut number = 1;
    loop {
        let name = if number == 1 { format!("{stem}.jsonl") } else { format!("{stem}-{number}.jsonl") };
        let path = folder.join(name);
        match OpenOptions::new().write(true).create_new(true).open(&path) {
            Err(e) if e.kind() == ErrorKind::AlreadyExists => number += 1,
            opened => return opened.map(|file| (path, file)),
        }
    }
}

fn line(row: &StateRow) -> Value {
    json!({
        "resource": row.cursor.resource,
        "partition": row.cursor.partition,
        "cursor": cursor_json(&row.cursor.value),
        "load_id": row.load_id,
        "updated_at": row.updated_at.to_rfc3339_opts(SecondsFormat::Micros, true),
    })
}

/// A stored cursor as JSON; what is none stays a text.
pub fn cursor_json(stored: &str) -> Value {
    serde_json::from_str(stored).unwrap_or_else(|_| Value::from(stored))
}
