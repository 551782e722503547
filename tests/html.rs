//! `pintail report`: a page that is right, and that reads well in a real browser.

use crate::support::{Reply, Server, TestEnv, pipeline};
use serde_json::{Value, json};
use std::io::Write;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

/// Names the browser; `required`: one has to be found.
const VARIABLE: &str = "PINTAIL_CHROMIUM";
const BROWSERS: [&str; 4] = ["chromium", "chromium-browser", "google-chrome", "google-chrome-stable"];
/// Time for one page.
const BROWSER_TIME_MAX: Duration = Duration::from_secs(90);

/// What somebody may have put into a description, and what a server may answer.
const HOSTILE: &str = "</style><script>document.title='taken'</script><img src=x>";

/// Two runs, of which the second one failed, of resources that run for each other.
fn loaded() -> (TestEnv, Server) {
    let fails = Arc::new(AtomicBool::new(false));
    let is_failing = fails.clone();
    let server = Server::start(move |request| match request.path.as_str() {
        "/videos" => Reply::json((1..=12).map(|id| json!({ "id": id, "tags": ["a", "b"] })).collect::<Vec<_>>()),
        "/viewers" if is_failing.load(Ordering::Relaxed) => Reply::new(404, "text/html", HOSTILE),
        "/viewers" => Reply::json((1..=1234).map(|id| json!({ "id": id })).collect::<Vec<_>>()),
        _ => Reply::json(json!([{ "n": 1, "at": "2026-01-02T03:04:05Z" }])),
    });
    let env = TestEnv::new();
    let resources = "[resource_defaults]\npaginator = \"single_page\"\n[resources.videos]\nprimary_key = \"id\"\n\
        [resources.viewers]\nprimary_key = \"id\"\n\
        [resources.a_resource_with_quite_a_long_name_that_has_no_place_to_break]\npath = \"videos/{{ parent.id }}/views\"\n\
        parent = \"videos\"\nincremental = { cursor_path = \"at\", start_param = \"since\" }\n";
    env.pipeline(&format!("description = \"{HOSTILE}\"\n{}", pipeline(&server, resources)));
    env.run(&["run", "api"]).expect_code(0);
    fails.store(true, Ordering::Relaxed);
    env.run(&["run", "api"]).expect_code(1);
    env.run(&["report", "api", "--html", "out/page.html"]).expect_code(0).expect_stdout(&["out/page.html: 1 pipeline"]);
    (env, server)
}

#[test]
fn a_page_has_the_numbers_of_the_warehouse_and_every_name_as_text() {
    let (env, _server) = loaded();
    let page = env.read("out/page.html");
    let mut reader = quick_xml::Reader::from_str(page.strip_prefix("<!DOCTYPE html>").expect("a document type"));
    while reader.read_event().unwrap_or_else(|e| panic!("not well-formed: {e}")) != quick_xml::events::Event::Eof {}
    assert!(!page.contains("<script") && !page.contains("<img"), "nothing that a name holds is an element");
    assert!(page.contains("&lt;script&gt;document.title="));

    let warehouse = env.warehouse();
    let tables = warehouse.tables("api");
    assert_eq!(tables.len(), 4);
    for table in &tables {
        let rows = warehouse.value(&format!("SELECT format('{{:,}}', count(*)) FROM api.{table}"));
        let cell = format!("<bdi>{table}</bdi></td><td data-head=\"Rows\">{rows}</td>");
        assert!(page.contains(&cell), "{cell}");
    }
    let changes = warehouse.value("SELECT count(*) FROM api._pintail_schema");
    assert!(page.contains(&format!("Schema changes ({changes})")), "{changes}");
    for status in ["completed", "failed"] {
        assert!(page.contains(&format!(">{status}</span>")), "{status}");
    }
    assert!(page.contains("12 partitions, each with its own"));
    let left: Vec<_> = std::fs::read_dir(env.path("out")).unwrap().map(|e| e.unwrap().file_name()).collect();
    assert_eq!(left, ["page.html"], "no draft stays");
}

#[test]
fn several_pipelines_have_one_page_and_one_that_never_ran_is_there_too() {
    let (env, server) = loaded();
    let other = pipeline(&server, "[resources.videos]\nprimary_key = \"id\"\n").replace("\"api\"", "\"other\"");
    env.write("pipelines/other.toml", &other);
    env.run(&["report", "--html", "all.html"]).expect_code(0).expect_stdout(&["2 pipelines"]);
    let page = env.read("all.html");
    for expected in ["href=\"#p0\"", "href=\"#p1\"", "id=\"p1\"", "Nothing is loaded yet."] {
        assert!(page.contains(expected), "{expected}");
    }
    env.run(&["report", "api", "--html", "taken/page.html"]).expect_code(0);
    env.run(&["report", "api", "--html", "pipelines"]).expect_code(1).expect_stderr(&["the page can't be written"]);
    env.run(&["report", "api"]).expect_code(2).expect_stderr(&["--html"]);
}

/// The browser, if there is one.
fn browser() -> Option<PathBuf> {
    let named = std::env::var(VARIABLE).ok().filter(|value| !value.is_empty());
    if let Some(path) = named.as_ref().filter(|value| *value != "required") {
        assert!(Path::new(path).is_file(), "{VARIABLE} names no file: {path}");
        return Some(path.into());
    }
    let folders: Vec<PathBuf> =
        std::env::var_os("PATH").map(|path| std::env::split_paths(&path).collect()).unwrap_or_default();
    let found = BROWSERS.iter().flat_map(|name| folders.iter().map(move |folder| folder.join(name)));
    let found = found.into_iter().find(|path| path.is_file());
    assert!(named.is_none() || found.is_some(), "{VARIABLE}=required, and there is no browser on the path");
    found
}

/// What a browser makes of a page: some facts that a script of ours measures in it.
fn measured(browser: &Path, folder: &Path, page: &str, width: u32, further: &[&str]) -> Value {
    const SCRIPT: &str = "<script>\
        const style = getComputedStyle(document.body), all = s => [...document.querySelectorAll(s)];\
        const inside = e => { const box = e.getBoundingClientRect(); return box.left >= -1 && box.right <= innerWidth + 1; };\
        parent.document.body.dataset.measured = JSON.stringify({ width: innerWidth, content: document.documentElement.scrollWidth,\
        dark: matchMedia('(prefers-color-scheme: dark)').matches, paper: style.backgroundColor, ink: style.color,\
        bars: all('svg.bars rect.good, svg.bars rect.bad').filter(r => r.getBoundingClientRect().height > 0).length,\
        outside: all('td, dd, p, h2, figure').filter(e => !inside(e)).map(e => e.innerText), title: document.title,\
        heads: all('thead').map(e => e.getBoundingClientRect().height > 2) });</script></body>";
    // Its own policy forbids every script, also this one.
    let policy =
        "<meta http-equiv=\"Content-Security-Policy\" content=\"default-src 'none'; style-src 'unsafe-inline'\"/>";
    assert!(page.contains(policy));
    let page = page.replace(policy, "").replace("</body>", SCRIPT);
    // In a frame, because no window of a browser is as narrow as a phone.
    let page = page.replace('&', "&amp;").replace('"', "&quot;");
    let frame = format!(
        "<body><iframe style=\"border: 0; width: {width}px; height: 1200px\" srcdoc=\"{page}\"></iframe></body>"
    );
    let file = folder.join("measured.html");
    std::fs::write(&file, frame).expect("a written page");
    let profile = tempfile::tempdir().expect("a folder for the browser");
    let output = folder.join("dom.html");
    let mut child = Command::new(browser)
        .args(["--headless", "--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run", "--hide-scrollbars"])
        .args(["--disable-background-networking", "--disable-component-update", "--disable-sync", "--dump-dom"])
        .arg(format!("--user-data-dir={}", profile.path().display()))
        .arg("--window-size=1400,1200")
        .args(further)
        .arg(format!("file://{}", file.display()))
        .stdin(Stdio::null())
        .stdout(std::fs::File::create(&output).expect("a file for the page"))
        .stderr(Stdio::null())
        .spawn()
        .expect("the browser starts");
    let started = Instant::now();
    while child.try_wait().expect("a browser that can be waited for").is_none() {
        if started.elapsed() > BROWSER_TIME_MAX {
            let _ = child.kill();
            let _ = child.wait();
            panic!("the browser hangs");
        }
        std::thread::sleep(Duration::from_millis(10));
    }
    let dom = std::fs::read_to_string(&output).expect("what the browser printed");
    let found = dom.split("data-measured=\"").nth(1).and_then(|rest| rest.split('"').next());
    let found = found.unwrap_or_else(|| panic!("the browser did not open the page: {dom}"));
    serde_json::from_str(&found.replace("&quot;", "\"").replace("&amp;", "&")).expect("facts")
}

#[test]
fn a_real_browser_shows_the_page_on_a_phone_and_a_desk_by_day_and_night() {
    let Some(browser) = browser() else {
        // Past the capture of the tests' output: whoever reads it must see that this was not tested.
        let note =
            format!("\nNOT TESTED: no Chromium on the path, so the page was opened in no browser ({VARIABLE})\n");
        let _ = std::io::stderr().write_all(note.as_bytes());
        return;
    };
    let (env, _server) = loaded();
    let page = env.read("out/page.html");
    for (width, further) in [(390, &[][..]), (390, &["--force-dark-mode"]), (1280, &[]), (1280, &["--force-dark-mode"])]
    {
        let found = measured(&browser, &env.path("out"), &page, width, further);
        assert_eq!(found["width"], width, "{found}");
        assert_eq!(found["content"], width, "nothing makes the page wider than the screen: {found}");
        assert_eq!(found["outside"], json!([]), "{found}");
        // Two charts of two runs.
        assert_eq!((&found["bars"], &found["title"]), (&json!(4), &json!("Pintail: api")), "{found}");
        let is_dark = !further.is_empty();
        assert_eq!(found["dark"], is_dark, "{found}");
        let expected =
            if is_dark { ["rgb(18, 22, 28)", "rgb(228, 233, 240)"] } else { ["rgb(255, 255, 255)", "rgb(28, 36, 48)"] };
        assert_eq!([&found["paper"], &found["ink"]], expected.map(|colour| json!(colour)).each_ref(), "{found}");
        // On a phone each row of a table is a block, with the heads beside its cells.
        let heads: Vec<bool> =
            found["heads"].as_array().unwrap().iter().map(|shown| shown.as_bool().unwrap()).collect();
        assert!(heads.iter().filter(|shown| **shown).count() >= if width < 640 { 0 } else { 3 }, "{found}");
        assert!(width > 640 || heads.iter().all(|shown| !shown), "{found}");
    }
}
