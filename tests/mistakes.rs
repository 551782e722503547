//! What people read when a pipeline file is wrong: typical mistakes of somebody who writes a first one, each with its whole
//! message in `mistakes.txt`. Each has to say what to write instead.
//!
//! After a change of a message: `PINTAIL_WRITE_SNAPSHOTS=1 cargo test --release mistakes::`, and read the difference.

use crate::support::TestEnv;
use std::path::PathBuf;

/// Between two mistakes, and between a file and its message.
const NEXT: &str = "=== ";
const MESSAGE: &str = "--- message\n";

/// What of a file is the same in most of them.
const CLIENT: &str = "[client]\nbase_url = \"https://api.example.com/v1/\"\n";

/// Mistakes below `CLIENT`.
const MISTAKES: &[(&str, &str)] = &[
    ("a key misspelt", "[resources.videos]\nprimry_key = \"id\"\n"),
    ("a type misspelt", "[resources.videos]\npaginator = { type = \"ofset\" }\n"),
    (
        "a parent misspelt",
        "[resources.videos]\n[resources.c]\nparent = \"vidoes\"\npath = \"videos/{{ parent.id }}/c\"\n",
    ),
    ("a number in quotes", "[resources.videos]\npaginator = { type = \"offset\", limit = \"100\" }\n"),
    ("a flag in quotes", "[resources.videos]\nselected = \"false\"\n"),
    ("a flag of Python", "[resources.videos]\nselected = True\n"),
    ("null", "[resources.videos]\nprimary_key = null\n"),
    ("a text for a table", "timeout = \"30s\"\n[resources.videos]\n"),
    ("headers as a list", "headers = [\"Accept: application/json\"]\n[resources.videos]\n"),
    ("a type of auth without its token", "auth = \"bearer\"\n[resources.videos]\n"),
    ("a token in the place of auth", "auth = \"${SHOP_TOKEN}\"\n[resources.videos]\n"),
    ("a variable without braces", "auth = { type = \"bearer\", token = \"$SHOP_TOKEN\" }\n[resources.videos]\n"),
    ("a paginator without its key", "[resources.videos]\npaginator = \"cursor\"\n"),
    (
        "a length of time without a unit",
        "[resources.videos]\nincremental = { cursor_path = \"t\", start_param = \"s\", lag = \"2 hours\" }\n",
    ),
    ("a rate limit in words", "rate_limit = \"100 per minute\"\n[resources.videos]\n"),
    ("a broken JSONPath", "[resources.videos]\ndata_selector = \"$.data[?(@.x]\"\n"),
    ("an expression without its end", "[resources.videos]\npath = \"videos/{{ vars.team }\"\n"),
    ("an unknown filter", "[resources.videos]\nparams = { since = \"{{ run.started_at | isoformat }}\" }\n"),
    (
        "an expression in the form of a variable",
        "[resources.videos]\n[resources.c]\nparent = \"videos\"\npath = \"videos/${parent.id}\"\n",
    ),
    (
        "an expression with one brace",
        "[resources.videos]\n[resources.c]\nparent = \"videos\"\npath = \"videos/{parent.id}\"\n",
    ),
    ("a key of resources under client", "primary_key = \"id\"\n[resources.videos]\n"),
    (
        "a key of resources in incremental",
        "[resources.videos]\nincremental = { cursor_path = \"t\", start_param = \"since\", primary_key = \"id\" }\n",
    ),
    ("a key twice", "[resources.videos]\npath = \"a\"\npath = \"b\"\n"),
    ("text without quotes", "[resources.videos]\npath = videos\n"),
    ("curly quotes", "[resources.videos]\npath = “videos”\n"),
    (
        "a path of Windows",
        "[resources.videos]\npath = \"videos/{{ partition.id }}\"\npartitions = { file = \"C:\\new\\ids.csv\" }\n",
    ),
    ("YAML", "[resources.videos]\npath: videos\n"),
    ("a path with the host", "[resources.videos]\npath = \"api.example.com/videos\"\n"),
    ("another host", "[resources.videos]\npath = \"https://other.example.com/videos\"\n"),
    ("cursor_path misspelt", "[resources.videos]\nincremental = { cursor_pth = \"t\", start_param = \"since\" }\n"),
    ("a cursor that no request uses", "[resources.videos]\nincremental = { cursor_path = \"updated_at\" }\n"),
    ("resource for resources", "[resource.videos]\npath = \"videos\"\n"),
    ("resources as a list", "[[resources]]\nname = \"videos\"\npath = \"videos\"\n"),
    ("an endpoint of dlt", "[resources.videos]\nendpoint = { path = \"videos\" }\n"),
    ("upsert as a disposition", "[resources.videos]\nwrite_disposition = \"upsert\"\n"),
    ("merge without a key", "[resources.videos]\nwrite_disposition = \"merge\"\n"),
    ("a type of column of another database", "[resources.videos]\ncolumns.price = { type = \"NUMBER\" }\n"),
];

/// Mistakes that are about `[client]` itself.
const WHOLE_FILES: &[(&str, &str)] = &[
    ("a base_url without https", "[client]\nbase_url = \"api.example.com/v1\"\n[resources.videos]\n"),
    ("base_url above client", "base_url = \"https://api.example.com/v1/\"\n[resources.videos]\n"),
    ("a query in base_url", "[client]\nbase_url = \"https://api.example.com/v1?key=1\"\n[resources.videos]\n"),
    ("no resources", "[client]\nbase_url = \"https://api.example.com/v1/\"\n"),
];

fn snapshot() -> PathBuf {
    PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("tests/mistakes.txt")
}

#[test]
fn every_typical_mistake_has_a_message_that_says_what_to_write() {
    let env = TestEnv::new();
    let with_client = MISTAKES.iter().map(|(name, text)| (*name, format!("{CLIENT}{text}")));
    let mut found = String::new();
    for (name, text) in with_client.chain(WHOLE_FILES.iter().map(|(name, text)| (*name, (*text).to_owned()))) {
        env.pipeline(&text);
        let outcome = env.run(&["check", "pipelines/api.toml"]);
        assert!(outcome.stderr.contains("help:"), "{name}: no advice\n{}", outcome.transcript());
        let message = outcome.stderr.lines().map(str::trim_end).collect::<Vec<_>>().join("\n");
        found.push_str(&format!("{NEXT}{name}\n{text}{MESSAGE}{}\n\n", message.trim_end()));
    }
    if std::env::var_os("PINTAIL_WRITE_SNAPSHOTS").is_some() {
        std::fs::write(snapshot(), &found).expect("a written snapshot");
    }
    let expected = std::fs::read_to_string(snapshot()).expect("tests/mistakes.txt");
    for (found, expected) in found.split(NEXT).zip(expected.split(NEXT)) {
        assert_eq!(found, expected);
    }
    assert_eq!(found, expected);
}

#[test]
fn a_secret_in_the_wrong_place_is_not_shown() {
    let mut env = TestEnv::new();
    env.set("SHOP_TOKEN", "swordfish");
    env.pipeline(&format!("{CLIENT}auth = \"${{SHOP_TOKEN}}\"\n[resources.videos]\n"));
    let outcome = env.run(&["check", "api"]).expect_code(2).expect_stderr(&["is no type of `auth`"]);
    assert!(!outcome.stderr.contains("swordfish"), "{}", outcome.transcript());
}
