//! What Pintail is measured against. The columns are compiled in, so nothing is inferred, nothing is checked, and no state is
//! kept: each page is fetched, parsed and handed to a thread that loads it.
//!
//!     floor load duckdb|parquet URL RESOURCE FOLDER    rows of an API into FOLDER
//!     floor ask URL CONCURRENCY                        one request for each video, as a plain load generator
//!
//! Errors end the program: it has no other use than to be fast.

mod load;
mod reader;

use futures_util::stream::{StreamExt, iter};
use reader::StructCol;
use std::sync::mpsc;

#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

/// Rows that go to the loading thread together.
const BATCH_ROWS: usize = 20_000;

/// Rows of a page.
const PAGE_ROWS: usize = 1000;

/// The token that the server asks for.
const TOKEN: &str = "bench-token";

fn main() {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let words: Vec<&str> = arguments.iter().map(String::as_str).collect();
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    match words.as_slice() {
        ["load", kind, url, resource, folder] => runtime.block_on(load_all(kind, url, resource, folder)),
        ["ask", url, concurrency] => runtime.block_on(ask(url, concurrency.parse().unwrap())),
        _ => panic!("usage: floor load duckdb|parquet URL RESOURCE FOLDER | floor ask URL CONCURRENCY"),
    }
}

fn client() -> reqwest::Client {
    reqwest::Client::builder().tcp_nodelay(true).no_proxy().build().unwrap()
}

async fn body(client: &reqwest::Client, url: &str) -> bytes::Bytes {
    let answer = client.get(url).bearer_auth(TOKEN).send().await.unwrap();
    answer.error_for_status().unwrap().bytes().await.unwrap()
}

async fn load_all(kind: &str, url: &str, resource: &str, folder: &str) {
    let schema = std::sync::Arc::new(reader::schema(resource));
    let (pages, batches) = mpsc::sync_channel(4);
    let (kind, folder) = (kind.to_owned(), folder.to_owned());
    let (name, loaded) = (resource.to_owned(), schema.clone());
    let loader = std::thread::spawn(move || load::load(&kind, &folder, &name, &loaded, batches));
    let client = client();
    let mut columns = StructCol::new(&schema.fields);
    let mut offset = 0;
    loop {
        let page = body(&client, &format!("{url}/{resource}?limit={PAGE_ROWS}&offset={offset}")).await;
        let rows = columns.read(&mut sonic_rs::Deserializer::from_slice(&page)).unwrap();
        if rows == 0 {
            break;
        }
        offset += rows;
        if columns.rows() >= BATCH_ROWS {
            pages.send(columns.batch()).unwrap();
        }
    }
    if columns.rows() > 0 {
        pages.send(columns.batch()).unwrap();
    }
    drop(pages);
    loader.join().unwrap();
}

async fn ask(url: &str, concurrency: usize) {
    let client = client();
    let videos = body(&client, &format!("{url}/videos")).await;
    let videos: Vec<serde_json::Value> = serde_json::from_slice(&videos).unwrap();
    let ids = videos.iter().map(|video| video["id"].as_str().unwrap());
    let requests = iter(ids).map(|id| {
        let (client, target) = (client.clone(), format!("{url}/videos/{id}/interactions"));
        async move { body(&client, &target).await.len() }
    });
    let bytes: usize = requests.buffer_unordered(concurrency).fold(0, |sum, n| async move { sum + n }).await;
    println!("{bytes}");
}
