//! The documents say what is true of the program: their configuration is valid, their commands exist, their links lead
//! somewhere, and the files that are generated from the code are not stale.

use crate::support::TestEnv;
use std::path::{Path, PathBuf};

/// What a pipeline needs at least. A block of a document shows only the part that it is about.
const CLIENT: &str = "[client]\nbase_url = \"https://api.example.com/\"\n";
const RESOURCE: &str = "[resources.items]\n";

/// First line of a block that is an operator file.
const OPERATOR_FILE: &str = "# config.toml";

fn root() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR"))
}

fn read(path: &Path) -> String {
    std::fs::read_to_string(path).unwrap_or_else(|e| panic!("{}: {e}", path.display()))
}

/// Files of a folder of the repository with an ending, by name.
fn files(folder: &str, ending: &str) -> Vec<PathBuf> {
    let entries = std::fs::read_dir(root().join(folder)).unwrap_or_else(|e| panic!("{folder}: {e}"));
    let paths = entries.map(|entry| entry.expect("a readable entry").path());
    let mut paths: Vec<PathBuf> = paths.filter(|path| path.extension().is_some_and(|e| e == ending)).collect();
    paths.sort();
    paths
}

/// Every document for people.
fn documents() -> Vec<PathBuf> {
    let mut paths = files("", "md");
    paths.extend(files("docs", "md"));
    assert!(paths.len() >= 4, "{paths:?}");
    paths
}

/// The blocks of a document: their language and text.
fn blocks(document: &str) -> Vec<(&str, &str)> {
    let fenced = document.split("```").skip(1).step_by(2);
    fenced.filter_map(|block| block.split_once('\n')).collect()
}

fn blocks_of<'d>(document: &'d str, languages: &'d [&str]) -> impl Iterator<Item = &'d str> {
    blocks(document).into_iter().filter(|(language, _)| languages.contains(language)).map(|(_, text)| text)
}

#[test]
fn every_toml_block_is_valid() {
    let mut count = 0;
    for document in documents() {
        for block in blocks_of(&read(&document), &["toml"]) {
            let env = TestEnv::new();
            let mut pipeline = String::new();
            if block.starts_with(OPERATOR_FILE) {
                env.write("config.toml", block);
            } else {
                pipeline.push_str(block);
            }
            for (start, part) in [("[client", CLIENT), ("[resources", RESOURCE)] {
                if !pipeline.lines().any(|line| line.starts_with(start)) {
                    pipeline = format!("{pipeline}\n{part}");
                }
            }
            env.pipeline(&pipeline);
            let outcome = env.run(&["check", "pipelines/api.toml"]);
            assert!(outcome.status.success(), "{}:\n{block}\n{}", document.display(), outcome.transcript());
            count += 1;
        }
    }
    assert!(count > 0, "no TOML in the documents");
}

/// The arguments of a line that calls the program, in whichever way.
fn arguments(line: &str) -> Option<Vec<&str>> {
    let command = line.split(" # ").next().unwrap_or_default();
    let words = command.split_whitespace().skip_while(|word| word.contains('=') && !word.starts_with('-'));
    let words: Vec<&str> = words.collect();
    match words.as_slice() {
        ["pintail", rest @ ..] | ["cargo", "run", "--release", "--", rest @ ..] => Some(rest.to_vec()),
        _ => None,
    }
}

#[test]
fn every_command_line_is_understood() {
    let env = TestEnv::new();
    let mut count = 0;
    for document in documents() {
        let text = read(&document);
        for line in blocks_of(&text, &["", "sh", "console"]).flat_map(str::lines) {
            let Some(mut args) = arguments(line) else { continue };
            // Everything before it is parsed; then nothing is done.
            args.push("--help");
            let outcome = env.run(&args);
            assert!(outcome.status.success(), "{}: {line}\n{}", document.display(), outcome.transcript());
            count += 1;
        }
    }
    assert!(count > 5, "only {count} commands in the documents");
}

#[test]
fn links_between_documents_lead_somewhere() {
    for document in documents() {
        let text = read(&document);
        let folder = document.parent().expect("a folder");
        for link in text.split("](").skip(1).filter_map(|rest| rest.split(')').next()) {
            let path = link.split('#').next().unwrap_or_default();
            let elsewhere = path.is_empty() || path.contains("://");
            assert!(elsewhere || folder.join(path).exists(), "{}: {link}", document.display());
        }
    }
}

#[test]
fn the_readme_has_every_exit_code() {
    let readme = read(&root().join("README.md"));
    for code in ["| 0 |", "| 1 |", "| 2 |", "| 4 |", "| 130, 143 |"] {
        assert!(readme.lines().any(|line| line.starts_with(code)), "no row `{code}`");
    }
}

#[test]
fn the_schemas_for_editors_are_not_stale() {
    for (document, file) in [("pipeline", "pipeline.schema.json"), ("config", "config.schema.json")] {
        let printed = TestEnv::new().run(&["schema", document]).expect_code(0).stdout;
        assert!(
            read(&root().join(file)) == printed,
            "{file} is stale: write it anew with `cargo run --release -- schema {document} > {file}`"
        );
    }
}

#[test]
fn the_references_are_not_stale() {
    for (document, file) in [("reference", "docs/reference.md"), ("options", "docs/options.md")] {
        let printed = TestEnv::new().run(&["schema", document]).expect_code(0).stdout;
        assert!(
            read(&root().join(file)) == printed,
            "{file} is stale: write it anew with `cargo run --release -- schema {document} > {file}`"
        );
    }
}

#[test]
fn files_for_editing_name_their_schema() {
    for pipeline in files("pipelines", "toml") {
        let text = read(&pipeline);
        assert!(text.starts_with("#:schema ../pipeline.schema.json\n"), "{}", pipeline.display());
    }
    assert!(read(&root().join("config.example.toml")).starts_with("#:schema config.schema.json\n"));
}

#[test]
fn every_bundled_pipeline_is_valid() {
    for pipeline in files("pipelines", "toml") {
        let outcome = TestEnv::new().run(&["check", &pipeline.display().to_string()]).expect_code(0);
        assert_eq!(outcome.stderr, "", "{}", outcome.transcript());
    }
}

/// The messages of the page on troubles: cells in quotes, with `…` for what differs.
fn quoted_messages(page: &str) -> Vec<&str> {
    page.lines().filter_map(|line| line.strip_prefix("| \"")?.split_once("\" |")).map(|(message, _)| message).collect()
}

/// Every source file, without the tests beside the code.
fn sources(folder: &Path, out: &mut Vec<String>) {
    for entry in std::fs::read_dir(folder).expect("a folder of sources") {
        let path = entry.expect("a readable entry").path();
        if path.is_dir() {
            sources(&path, out);
        } else if path.extension().is_some_and(|e| e == "rs") && !path.ends_with("tests.rs") {
            let text = read(&path);
            out.push(text.split("#[cfg(test)]").next().unwrap_or_default().to_owned());
        }
    }
}

#[test]
fn the_messages_that_are_explained_are_those_of_the_program() {
    let page = read(&root().join("docs/troubleshooting.md"));
    let mut code = Vec::new();
    sources(&root().join("src"), &mut code);
    let messages = quoted_messages(&page);
    assert!(messages.len() > 20, "{messages:?}");
    for message in messages {
        let parts: Vec<&str> = message.split('…').map(str::trim_end).filter(|part| part.len() > 2).collect();
        assert!(!parts.is_empty(), "{message}");
        let has_all = |line: &str| parts.iter().all(|part| line.contains(part));
        assert!(code.iter().flat_map(|text| text.lines()).any(has_all), "no message says: {message}");
    }
}
