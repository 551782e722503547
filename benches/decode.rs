//! The hot path, page by page: bytes to Arrow, and Arrow made to fit the tables. Every page has 1,000 records.
//!
//! The name is the whole story: `cargo bench decode` and look at the records per second. Nothing is asserted about time.

use arrow::array::Array;
use criterion::{BatchSize, Criterion, Throughput, criterion_group, criterion_main};
use pintail::batch::decode::{DecodeSpec, Decoder};
use pintail::batch::shape::{KeyPart, ShapeSpec};
use pintail::batch::{Chunk, Decoded};
use pintail::plan::model::{FieldPath, OnCursorMissing};
use pintail::schema::catalog::Catalog;
use std::collections::HashSet;
use std::fmt::Write;
use std::hint::black_box;

/// Records of a page.
const RECORD_COUNT: usize = 1000;

/// Columns of a wide record.
const WIDE_COLUMN_COUNT: usize = 200;

/// Pages that come together in one write.
const WRITE_PAGE_COUNT: usize = 50;

/// What sets one page apart from the others.
#[derive(Clone, Copy)]
enum Twist {
    /// Nothing: the steady state.
    None,
    /// One number is a text, and one record has a field that was never seen.
    Conflict,
}

fn field(name: &str) -> FieldPath {
    FieldPath(vec![name.to_owned()])
}

/// How records like an interaction are read; `id_from_content` as `append` does.
fn spec(id_from_content: bool) -> DecodeSpec {
    DecodeSpec {
        shape: ShapeSpec {
            key: vec![KeyPart::Field(field("id"))],
            cursor: vec![field("updated_at")],
            ..ShapeSpec::default()
        },
        id_from_content,
        on_cursor_missing: OnCursorMissing::Include,
        wants_contents: false,
    }
}

/// One record with a nested object, and a list of up to four objects.
fn push_interaction(page: &mut String, id: usize, twist: Twist) {
    let seconds = match twist {
        Twist::Conflict if id % RECORD_COUNT == 500 => "\"late\"".to_owned(),
        Twist::None | Twist::Conflict => format!("{}.25", id % 900),
    };
    let news = match twist {
        Twist::Conflict if id % RECORD_COUNT == 700 => ",\"field_of_page\":true",
        Twist::None | Twist::Conflict => "",
    };
    let choices: Vec<String> = (0..id % 5)
        .map(|n| format!("{{\"text\":\"choice {n}\",\"correct\":{},\"votes\":{}}}", n == 1, id * n % 97))
        .collect();
    let _ = write!(
        page,
        "{{\"id\":\"in{id:08}\",\"video_id\":\"vi{:04}\",\"type\":\"question\",\"at_seconds\":{seconds},\
          \"attempts\":{},\"passed\":{},\"comment\":{},\"created_at\":\"2026-01-02T03:04:{:02}Z\",\
          \"updated_at\":\"2026-02-0{}T05:{:02}:06.{:03}Z\",\"viewer\":{{\"id\":{},\"name\":\"Ann \\u00e9 {}\",\
          \"place\":{{\"city\":\"Porto\",\"country\":\"PT\"}}}},\"choices\":[{}]{news}}}",
        id % 40,
        id % 4,
        id.is_multiple_of(3),
        if id.is_multiple_of(7) { "null" } else { "\"no trouble at all, thank you\"" },
        id % 60,
        id % 9 + 1,
        id % 60,
        id % 1000,
        id % 211,
        id % 211,
        choices.join(","),
    );
}

fn page_of(mut push: impl FnMut(&mut String, usize)) -> Vec<u8> {
    let mut page = String::from("[");
    for id in 0..RECORD_COUNT {
        if id > 0 {
            page.push(',');
        }
        push(&mut page, id);
    }
    page.push(']');
    page.into_bytes()
}

fn interactions(first_id: usize, twist: Twist) -> Vec<u8> {
    page_of(|page, id| push_interaction(page, first_id + id, twist))
}

fn wide() -> Vec<u8> {
    page_of(|page, id| {
        let _ = write!(page, "{{\"id\":\"w{id}\",\"updated_at\":\"2026-01-02T03:04:05Z\"");
        for column in 2..WIDE_COLUMN_COUNT {
            let _ = match column % 4 {
                0 => write!(page, ",\"column_{column}\":{}", id * column),
                1 => write!(page, ",\"column_{column}\":{}.5", id + column),
                2 => write!(page, ",\"column_{column}\":\"text {id}\""),
                _ => write!(page, ",\"column_{column}\":{}", if id.is_multiple_of(2) { "true" } else { "null" }),
            };
        }
        page.push('}');
    })
}

fn decode(decoder: &mut Decoder, page: &[u8]) -> Decoded {
    decoder.decode(&[page], &[]).unwrap_or_else(|e| panic!("the page does not decode: {}", e.report()))
}

/// A decoder that has seen a page, as in the middle of a run.
fn warm(spec: DecodeSpec, page: &[u8]) -> Decoder {
    let mut decoder = Decoder::new(spec, &Catalog::default());
    decode(&mut decoder, page);
    decoder
}

fn decoding(criterion: &mut Criterion) {
    let mut group = criterion.benchmark_group("decode");
    let pages = [("clean", interactions(0, Twist::None)), ("wide", wide())];
    for (name, page) in &pages {
        group.throughput(Throughput::Bytes(page.len() as u64));
        let mut decoder = warm(spec(false), page);
        group.bench_function(*name, |b| b.iter(|| decode(&mut decoder, black_box(page))));
    }
    let (clean, conflict) = (interactions(0, Twist::None), interactions(0, Twist::Conflict));
    group.throughput(Throughput::Bytes(conflict.len() as u64));
    // What was learnt stays learnt, so each page meets a decoder that has seen none like it.
    group.bench_function("conflict and new field", |b| {
        b.iter_batched_ref(
            || warm(spec(false), &clean),
            |decoder| decode(decoder, black_box(&conflict)),
            BatchSize::LargeInput,
        );
    });
    group.finish();
}

fn ids(criterion: &mut Criterion) {
    let mut group = criterion.benchmark_group("ids");
    group.throughput(Throughput::Elements(RECORD_COUNT as u64));
    let page = interactions(0, Twist::None);
    for (name, id_from_content) in [("from the key", false), ("from the content", true)] {
        let mut decoder = warm(spec(id_from_content), &page);
        group.bench_function(name, |b| b.iter(|| decode(&mut decoder, black_box(&page))));
    }
    group.finish();
}

fn fitting(criterion: &mut Criterion) {
    let mut group = criterion.benchmark_group("fit");
    for page_count in [1, WRITE_PAGE_COUNT] {
        let mut decoder = Decoder::new(spec(false), &Catalog::default());
        let pages = (0..page_count).map(|n| interactions(n * RECORD_COUNT, Twist::None));
        let chunks: Vec<Chunk> = pages.flat_map(|page| decode(&mut decoder, &page).chunks).collect();
        let rows: usize = chunks.iter().map(|chunk| chunk.ids.len()).sum();
        let mut known = Catalog::default();
        fit(&mut known, &chunks);
        group.throughput(Throughput::Elements(rows as u64));
        group.bench_function(format!("{page_count} pages"), |b| {
            b.iter_batched_ref(|| known.clone(), |catalog| fit(catalog, black_box(&chunks)), BatchSize::SmallInput);
        });
    }
    group.finish();
}

fn fit(catalog: &mut Catalog, chunks: &[Chunk]) -> usize {
    let fitted = catalog.fit("interactions", chunks, &HashSet::new());
    fitted.unwrap_or_else(|e| panic!("the pages do not fit: {}", e.report())).len()
}

criterion_group!(benches, decoding, ids, fitting);
criterion_main!(benches);
