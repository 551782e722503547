//! Refresh tokens that a server exchanged, kept for the next run in a file of the state directory that only its owner can
//! read. They are credentials, so they are in no warehouse and not in the readable copy of the state.

use crate::error::{Error, Kind, Result};
use crate::secret::Secret;
use serde_json::{Map, Value};
use sha2::{Digest, Sha256};
use std::fs::{self, File, OpenOptions};
use std::io::{ErrorKind, Write};
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};
use std::sync::{Mutex, PoisonError};
use url::Url;

/// Read and write for the owner, nothing for others.
const OWNER_ONLY: u32 = 0o600;

/// The kept tokens of a pipeline, by where they came from.
#[derive(Debug)]
pub struct KeptTokens {
    path: Option<PathBuf>,
    /// None before the file was read. That is done when the first one is needed: then this run holds the pipeline's lock,
    /// and no other exchanges them.
    tokens: Mutex<Option<Tokens>>,
}

type Tokens = Vec<(String, Secret)>;

/// Where a token came from: the endpoint, the client, and the refresh token of the pipeline file. When the file gets
/// another one, what was kept for the old one does not count any more.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct TokenKey(String);

impl TokenKey {
    pub(super) fn new(url: &Url, client_id: &str, configured: &Secret) -> Self {
        let mut hash = Sha256::new();
        for part in [url.as_str(), client_id, configured.expose()] {
            hash.update((part.len() as u64).to_le_bytes());
            hash.update(part);
        }
        TokenKey(hash.finalize().iter().map(|byte| format!("{byte:02x}")).collect())
    }
}

impl KeptTokens {
    /// Nothing is kept, and nothing will be.
    pub fn none() -> Self {
        KeptTokens { path: None, tokens: Mutex::new(Some(Tokens::new())) }
    }

    /// The kept tokens of a file, which need not be there.
    pub fn of_file(path: PathBuf) -> Self {
        KeptTokens { path: Some(path), tokens: Mutex::default() }
    }

    /// The kept token.
    ///
    /// # Errors
    /// [`Kind::State`]: the file can't be read, or is not what Pintail wrote.
    pub(super) fn get(&self, key: &TokenKey) -> Result<Option<Secret>> {
        self.with(|tokens| tokens.iter().find(|(known, _)| *known == key.0).map(|(_, token)| token.clone()))
    }

    /// Keeps a token, on disk when this returns.
    ///
    /// # Errors
    /// [`Kind::State`]: the file can't be written. The token is remembered for this run all the same.
    pub(super) fn put(&self, key: &TokenKey, token: &Secret) -> Result<()> {
        self.with(|tokens| {
            tokens.retain(|(known, _)| *known != key.0);
            tokens.push((key.0.clone(), token.clone()));
            self.write(tokens)
        })?
    }

    /// Forgets a token.
    ///
    /// # Errors
    /// [`Kind::State`]: the file can't be written.
    pub(super) fn remove(&self, key: &TokenKey) -> Result<()> {
        self.with(|tokens| {
            tokens.retain(|(known, _)| *known != key.0);
            self.write(tokens)
        })?
    }

    fn with<T>(&self, work: impl FnOnce(&mut Tokens) -> T) -> Result<T> {
        let mut tokens = self.tokens.lock().unwrap_or_else(PoisonError::into_inner);
        let tokens = match &mut *tokens {
            Some(tokens) => tokens,
            unread => unread.insert(self.path.as_deref().map(read).transpose()?.unwrap_or_default()),
        };
        Ok(work(tokens))
    }

    fn write(&self, tokens: &[(String, Secret)]) -> Result<()> {
        let Some(path) = &self.path else { return Ok(()) };
        let member = |(key, token): &(String, Secret)| (key.clone(), Value::from(token.expose()));
        let text = Value::Object(tokens.iter().map(member).collect()).to_string();
        replace(path, text.as_bytes()).map_err(|e| {
            Error::new(Kind::State, "the file of kept refresh tokens can't be written")
                .with("file", path.display())
                .source(e)
        })
    }
}

fn read(path: &Path) -> Result<Tokens> {
    let fault = |message: &str| Error::new(Kind::State, message).with("file", path.display());
    let text = match fs::read_to_string(path) {
        Ok(text) => text,
        Err(e) if e.kind() == ErrorKind::NotFound => return Ok(Tokens::new()),
        Err(e) => return Err(fault("the file of kept refresh tokens can't be read").source(e)),
    };
    // The cause is left out: it may show a piece of a token.
    let map: Map<String, Value> = serde_json::from_str(&text).map_err(|_| {
        fault("the file of kept refresh tokens is not what Pintail wrote")
            .hint("without it, the refresh token of the pipeline file is used")
    })?;
    Ok(map.into_iter().filter_map(|(key, value)| Some((key, Secret::new(value.as_str()?)))).collect())
}

/// Puts a file in the place of another, whole or not at all. Nobody else can read it at any moment.
fn replace(path: &Path, content: &[u8]) -> std::io::Result<()> {
    let folder = path.parent().unwrap_or(Path::new("."));
    fs::create_dir_all(folder)?;
    let draft = path.with_extension("tokens.tmp");
    // One that a killed run left may have other permissions.
    match fs::remove_file(&draft) {
        Err(e) if e.kind() != ErrorKind::NotFound => return Err(e),
        Ok(()) | Err(_) => {}
    }
    let mut file = OpenOptions::new().write(true).create_new(true).mode(OWNER_ONLY).open(&draft)?;
    file.write_all(content)?;
    file.sync_all()?;
    fs::rename(&draft, path)?;
    File::open(folder)?.sync_all()
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::os::unix::fs::PermissionsExt;

    fn key(refresh_token: &str) -> TokenKey {
        TokenKey::new(&Url::parse("https://auth.example.com/token").unwrap(), "client", &Secret::new(refresh_token))
    }

    #[test]
    fn what_is_kept_is_there_in_the_next_run_and_for_the_owner_alone() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("state").join("p.tokens");
        let kept = KeptTokens::of_file(path.clone());
        kept.put(&key("first-configured-token"), &Secret::new("second-refresh-token")).unwrap();
        kept.put(&key("first-configured-token"), &Secret::new("third-refresh-token")).unwrap();
        kept.put(&key("other-configured-token"), &Secret::new("other-refresh-token")).unwrap();
        assert_eq!(fs::metadata(&path).unwrap().permissions().mode() & 0o777, OWNER_ONLY);

        let next = KeptTokens::of_file(path.clone());
        assert_eq!(next.get(&key("first-configured-token")).unwrap(), Some(Secret::new("third-refresh-token")));
        // Another token in the pipeline file: what was kept for the old one does not count.
        assert_eq!(next.get(&key("replaced-configured-token")).unwrap(), None);
        next.remove(&key("first-configured-token")).unwrap();
        let last = KeptTokens::of_file(path);
        assert_eq!(
            (
                last.get(&key("first-configured-token")).unwrap(),
                last.get(&key("other-configured-token")).unwrap().is_some()
            ),
            (None, true)
        );
    }

    #[test]
    fn a_draft_of_a_killed_run_is_no_obstacle_and_its_permissions_do_not_last() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("p.tokens");
        fs::write(path.with_extension("tokens.tmp"), "half").unwrap();
        let kept = KeptTokens::of_file(path.clone());
        kept.put(&key("first-configured-token"), &Secret::new("second-refresh-token")).unwrap();
        assert_eq!(fs::metadata(&path).unwrap().permissions().mode() & 0o777, OWNER_ONLY);
    }

    #[test]
    fn a_file_of_another_kind_is_named_and_not_shown() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("p.tokens");
        fs::write(&path, "{\"half-a-token").unwrap();
        let report = KeptTokens::of_file(path).get(&key("first-configured-token")).unwrap_err().report();
        assert!(report.contains("p.tokens") && !report.contains("half-a"), "{report}");
    }
}
