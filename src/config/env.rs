//! The environment that `${NAME}` reads: the process's own, and a `.env` file behind it.

use crate::error::{Error, Kind, Result};
use std::collections::BTreeMap;
use std::path::Path;

/// Variables by name. The process's own win over those of a `.env`; nothing is written back into the process.
#[derive(Clone, Default, PartialEq, Eq)]
pub struct Env {
    variables: BTreeMap<String, String>,
    /// What stands for each secret, if this is the environment of a recorded run.
    masks: Option<BTreeMap<String, String>>,
}

impl Env {
    /// The process's environment, and `.env` in a folder if there is one. Variables that are not UTF-8 are left out.
    ///
    /// # Errors
    /// The `.env` file can't be read, or a line of it is not `NAME=value`.
    pub fn load(folder: &Path) -> Result<Env> {
        let mut env = Env::default();
        let file = folder.join(".env");
        if file.is_file() {
            env.read_dotenv(&file)?;
        }
        for (name, value) in std::env::vars_os() {
            if let (Ok(name), Ok(value)) = (name.into_string(), value.into_string()) {
                env.variables.insert(name, value);
            }
        }
        Ok(env)
    }

    fn read_dotenv(&mut self, file: &Path) -> Result<()> {
        let failed = |e: dotenvy::Error| match e {
            // The error's own text would show the line, which may hold a secret.
            dotenvy::Error::LineParse(_, column) => Error::new(Kind::Config, "a line of the `.env` file is not valid")
                .with("file", file.display())
                .with("column", column)
                .hint("write `NAME=value`, with quotes around a value that has spaces"),
            other => {
                Error::new(Kind::Config, "the `.env` file can't be read").with("file", file.display()).source(other)
            }
        };
        for item in dotenvy::from_path_iter(file).map_err(failed)? {
            let (name, value) = item.map_err(failed)?;
            self.variables.insert(name, value);
        }
        Ok(())
    }

    /// Exactly these variables.
    pub fn from_pairs<N: Into<String>, V: Into<String>>(pairs: impl IntoIterator<Item = (N, V)>) -> Env {
        Env { variables: pairs.into_iter().map(|(n, v)| (n.into(), v.into())).collect(), masks: None }
    }

    /// The environment of a recorded run: its variables (files as `file:PATH`), and a mask for each that was a secret.
    pub fn recorded(variables: BTreeMap<String, String>, masks: BTreeMap<String, String>) -> Env {
        Env { variables, masks: Some(masks) }
    }

    /// What stands for a variable that was a secret when the run was recorded.
    pub fn mask(&self, name: &str) -> Option<&str> {
        self.masks.as_ref()?.get(name).map(String::as_str)
    }

    /// The content of a `${file:PATH}` of a recorded run.
    pub fn recorded_file(&self, name: &str) -> Option<&str> {
        self.masks.as_ref()?;
        self.get(name)
    }

    /// Adds a variable.
    pub fn insert(&mut self, name: &str, value: &str) {
        self.variables.insert(name.to_owned(), value.to_owned());
    }

    /// Names and values of all variables.
    pub fn iter(&self) -> impl Iterator<Item = (&str, &str)> {
        self.variables.iter().map(|(name, value)| (name.as_str(), value.as_str()))
    }

    /// The value of a variable.
    pub fn get(&self, name: &str) -> Option<&str> {
        self.variables.get(name).map(String::as_str)
    }

    /// Names of all variables.
    pub fn names(&self) -> impl Iterator<Item = &str> {
        self.variables.keys().map(String::as_str)
    }
}

impl std::fmt::Debug for Env {
    /// Names only: values may be secrets.
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_set().entries(self.variables.keys()).finish()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_process_wins_over_the_file_and_stays_as_it_is() {
        let folder = tempfile::tempdir().unwrap();
        std::fs::write(folder.path().join(".env"), "PATH=from-file\nPINTAIL_TEST_ONLY_IN_FILE='a b'\n").unwrap();
        let env = Env::load(folder.path()).unwrap();
        assert_eq!(env.get("PATH").map(str::to_owned), std::env::var("PATH").ok());
        assert_eq!(env.get("PINTAIL_TEST_ONLY_IN_FILE"), Some("a b"));
        assert!(std::env::var("PINTAIL_TEST_ONLY_IN_FILE").is_err());
        assert!(!format!("{env:?}").contains("a b"));
    }

    #[test]
    fn a_bad_line_is_an_error_that_does_not_show_it() {
        let folder = tempfile::tempdir().unwrap();
        std::fs::write(folder.path().join(".env"), "TOKEN = 'hunter2 secret\n").unwrap();
        let error = Env::load(folder.path()).unwrap_err();
        assert_eq!(error.kind(), Kind::Config);
        assert!(!error.report().contains("hunter2"), "{}", error.report());
    }
}
