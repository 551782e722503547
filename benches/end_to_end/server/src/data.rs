//! The rows: the same ones whenever the sizes are the same. They are rendered once, into one text for each resource, so that a
//! page is two offsets and no copy.

use bytes::Bytes;
use std::collections::HashMap;
use std::fmt::Write;

/// How many rows there are.
pub struct Sizes {
    /// Views and interactions, each.
    pub rows: usize,
    /// Videos.
    pub videos: usize,
    /// Records of many fields, clean and dirty, each.
    pub wide: usize,
    /// Views and interactions, each, that were changed later.
    pub revised: usize,
}

/// SplitMix64.
struct Random(u64);

impl Random {
    fn new(stream: u64) -> Self {
        Random(1 ^ stream.wrapping_mul(0x9E37_79B9_7F4A_7C15))
    }

    fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9E37_79B9_7F4A_7C15);
        let mut z = self.0;
        z = (z ^ (z >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94D0_49BB_1331_11EB);
        z ^ (z >> 31)
    }

    fn below(&mut self, n: u64) -> u64 {
        self.next() % n
    }

    fn chance(&mut self, percent: u64) -> bool {
        self.below(100) < percent
    }

    fn pick<'a>(&mut self, of: &[&'a str]) -> &'a str {
        of[self.below(of.len() as u64) as usize]
    }

    /// An id of twelve letters, digits, `_` and `-`.
    fn id(&mut self) -> String {
        const ALPHABET: &[u8; 64] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789_-";
        let halves = [self.next(), self.next()];
        let letter = |i: usize| ALPHABET[(halves[i / 6] >> (6 * (i % 6)) & 63) as usize] as char;
        (0..12).map(letter).collect()
    }

    /// What `value` gives, or, in the other cases, null.
    fn maybe(&mut self, percent: u64, value: impl FnOnce(&mut Self) -> String) -> String {
        if self.chance(percent) { value(self) } else { "null".to_owned() }
    }

    fn maybe_text(&mut self, percent: u64, of: &[&str]) -> String {
        self.maybe(percent, |r| format!("\"{}\"", r.pick(of)))
    }

    /// A number with up to so many decimals, as APIs write it: 12.3, not 12.300.
    fn decimal(&mut self, below: u64, decimals: usize) -> String {
        let unit = 10u64.pow(decimals as u32);
        let value = self.below(below * unit);
        let text = format!("{}.{:0decimals$}", value / unit, value % unit);
        let short = text.trim_end_matches('0');
        if short.ends_with('.') { format!("{short}0") } else { short.to_owned() }
    }

    fn title(&mut self, row: usize) -> String {
        format!("{} {} {} #{row}", self.pick(WORDS), self.pick(WORDS), self.pick(WORDS))
    }
}

const FIRST: &[&str] = &[
    "Ava", "Liam", "Noah", "Emma", "Olivia", "Zoë", "José", "Mia", "Lucas", "Sofía", "Ingrid", "Wei", "Aisha",
    "Dmitri", "Chloé", "Kenji",
];
const LAST: &[&str] = &[
    "Smith", "O'Neil", "García", "Müller", "Chen", "Okafor", "Novák", "Rossi", "Silva", "Jensen", "Haddad", "Kim",
    "Brown", "Dubois", "Sato", "Larsen",
];
const WORDS: &[&str] = &[
    "onboarding",
    "demo",
    "training",
    "quarterly",
    "review",
    "product",
    "tour",
    "safety",
    "lesson",
    "intro",
    "customer",
    "story",
    "webinar",
    "release",
    "interview",
    "field",
    "guide",
    "sales",
    "pitch",
    "how-to",
];
const KINDS: &[&str] = &["question", "button", "comment", "hotspot", "voice", "image", "poll", "free_response"];
const DEVICES: &[&str] = &["desktop", "mobile", "tablet"];
const BROWSERS: &[&str] = &["Chrome 139.0", "Safari 18.4", "Firefox 141.0", "Edge 139.0"];
const CITIES: &[&str] = &["Zürich", "São Paulo", "Austin", "Kyoto", "Oslo", "Lyon", "Nairobi", "Toronto"];
const COUNTRIES: &[&str] = &["CH", "BR", "US", "JP", "NO", "FR", "KE", "CA"];
const NOTES: &[&str] = &[
    "follow up next week",
    "said \\\"great video\\\" twice",
    "line one\\nline two",
    "caf\\u00e9 \\u2014 d\\u00e9j\\u00e0 vu",
    "👍 will share with the team",
    "path C:\\\\media\\\\clip.mp4",
];
const ANSWERS: &[&str] = &[
    "Yes",
    "No",
    "Maybe later",
    "Option A",
    "Option B",
    "Option C",
    "I would like to see more detail on pricing, please.",
    "réponse libre",
    "42",
    "\\\"quoted\\\"",
];

/// 2024-01-01T00:00:00Z in milliseconds since 1970.
const T0: i64 = 1_704_067_200_000;

const DAY_MS: i64 = 86_400_000;

/// Over so many days the rows were created.
const SPREAD_DAYS: i64 = 540;

/// Milliseconds since the epoch as `2024-01-01T00:00:00.000Z`.
fn iso(ms: i64) -> String {
    let days = ms.div_euclid(86_400_000);
    let t = ms.rem_euclid(86_400_000);
    // Civil date from days (Howard Hinnant's algorithm).
    let z = days + 719_468;
    let era = z.div_euclid(146_097);
    let doe = z.rem_euclid(146_097);
    let yoe = (doe - doe / 1460 + doe / 36_524 - doe / 146_096) / 365;
    let doy = doe - (365 * yoe + yoe / 4 - yoe / 100);
    let mp = (5 * doy + 2) / 153;
    let d = doy - (153 * mp + 2) / 5 + 1;
    let m = if mp < 10 { mp + 3 } else { mp - 9 };
    let y = yoe + era * 400 + i64::from(m <= 2);
    format!("{y:04}-{m:02}-{d:02}T{:02}:{:02}:{:02}.{:03}Z", t / 3_600_000, t / 60_000 % 60, t / 1000 % 60, t % 1000)
}

/// A timestamp as clients write it: a date, or a date and a time with any fraction, and Z or an offset.
pub fn milliseconds(s: &str) -> Option<i64> {
    let b = s.as_bytes();
    let n = |r: std::ops::Range<usize>| s.get(r).and_then(|x| x.parse::<i64>().ok());
    let (y, m, d) = (n(0..4)?, n(5..7)?, n(8..10)?);
    let yy = if m <= 2 { y - 1 } else { y };
    let era = yy.div_euclid(400);
    let yoe = yy.rem_euclid(400);
    let doy = (153 * (if m > 2 { m - 3 } else { m + 9 }) + 2) / 5 + d - 1;
    let days = era * 146_097 + yoe * 365 + yoe / 4 - yoe / 100 + doy - 719_468;
    let mut ms = days * 86_400_000;
    if b.len() <= 10 {
        return Some(ms);
    }
    ms += n(11..13)? * 3_600_000 + n(14..16)? * 60_000 + n(17..19)? * 1000;
    let mut i = 19;
    if b.get(i) == Some(&b'.') {
        i += 1;
        let mut unit = 100;
        while i < b.len() && b[i].is_ascii_digit() {
            ms += unit * i64::from(b[i] - b'0');
            unit /= 10;
            i += 1;
        }
    }
    match b.get(i) {
        None | Some(b'Z') => Some(ms),
        // A plus sign that was not escaped in the query has become a space.
        Some(c @ (b'+' | b'-' | b' ')) => {
            let off = n(i + 1..i + 3)? * 3_600_000 + n(i + 4..i + 6).unwrap_or(0) * 60_000;
            Some(if *c == b'-' { ms + off } else { ms - off })
        }
        _ => None,
    }
}

/// One resource: rows joined by commas in one text.
#[derive(Default)]
pub struct Table {
    text: Bytes,
    /// Where each row begins, and one more: where another one would.
    starts: Vec<usize>,
    /// `updated_at` of each row, milliseconds since 1970.
    pub updated_ms: Vec<i64>,
    ids: Vec<String>,
}

impl Table {
    /// How many rows it has.
    pub fn len(&self) -> usize {
        self.updated_ms.len()
    }

    /// Rows from one up to another, joined by commas.
    pub fn slice(&self, from: usize, to: usize) -> Bytes {
        if from >= to { Bytes::new() } else { self.text.slice(self.starts[from]..self.starts[to] - 1) }
    }

    /// One row.
    pub fn row(&self, row: usize) -> &[u8] {
        &self.text[self.starts[row]..self.starts[row + 1] - 1]
    }

    /// Some of the rows.
    pub fn select(&self, rows: &[usize]) -> Table {
        let mut made = Making::default();
        for &row in rows {
            made.push(self.row(row), self.updated_ms[row], self.ids[row].clone());
        }
        made.done()
    }
}

#[derive(Default)]
struct Making {
    text: Vec<u8>,
    table: Table,
}

impl Making {
    fn push(&mut self, row: &[u8], updated_ms: i64, id: String) {
        self.table.starts.push(self.text.len());
        self.text.extend_from_slice(row);
        self.text.push(b',');
        self.table.updated_ms.push(updated_ms);
        self.table.ids.push(id);
    }

    fn done(mut self) -> Table {
        self.table.starts.push(self.text.len());
        self.text.pop();
        Table { text: Bytes::from(self.text), ..self.table }
    }
}

/// All resources.
pub struct Data {
    videos: Table,
    views: Table,
    /// Those of a video can be asked for too.
    pub interactions: Table,
    wide: Table,
    dirty: Table,
    by_video: HashMap<String, Vec<usize>>,
}

impl Data {
    /// Makes the rows.
    pub fn new(sizes: &Sizes) -> Self {
        let mut random = Random::new(1);
        let people: Vec<Person> = (0..(sizes.rows / 10).max(10)).map(|_| Person::new(&mut random)).collect();
        let videos = videos(sizes, &people);
        let views = views(sizes, &people, &videos.ids);
        let (interactions, by_video) = interactions(sizes, &people, &videos.ids);
        let (wide, dirty) = (wide(sizes.wide, false), wide(sizes.wide, true));
        Data { videos, views, interactions, wide, dirty, by_video }
    }

    /// A resource by its name.
    pub fn table(&self, name: &str) -> Option<&Table> {
        match name {
            "videos" => Some(&self.videos),
            "views" => Some(&self.views),
            "interactions" => Some(&self.interactions),
            "wide" => Some(&self.wide),
            "dirty" => Some(&self.dirty),
            _ => None,
        }
    }

    /// The interactions of a video; none if there is no such video.
    pub fn rows_of_video(&self, id: &str) -> Option<&[usize]> {
        self.by_video.get(id).map(Vec::as_slice)
    }
}

struct Person {
    id: String,
    name: String,
    email: String,
}

impl Person {
    fn new(r: &mut Random) -> Self {
        let (id, name) = (r.id(), format!("{} {}", r.pick(FIRST), r.pick(LAST)));
        Person { id, name, email: format!("user{}@example.com", r.below(10_000_000)) }
    }

    fn json(&self) -> String {
        format!(r#"{{"id":"{}","name":"{}","email":"{}"}}"#, self.id, self.name, self.email)
    }
}

/// When row i of n was created and updated: the first rises with the row, and one row in four was updated later.
fn times(r: &mut Random, row: usize, rows: usize) -> (i64, i64) {
    let step = SPREAD_DAYS * DAY_MS / rows.max(1) as i64;
    let created = T0 + row as i64 * step + r.below(step.max(1) as u64) as i64;
    let updated = if r.chance(25) { created + r.below(30 * DAY_MS as u64) as i64 } else { created };
    (created, updated)
}

/// Title and time of update of a row, as it is after the change if it is one of those that change.
fn revise(sizes: &Sizes, row: usize, title: String, updated_ms: i64) -> (String, i64) {
    let every = sizes.rows.checked_div(sizes.revised).unwrap_or(0).max(1);
    if sizes.revised == 0 || !row.is_multiple_of(every) || row / every >= sizes.revised {
        return (title, updated_ms);
    }
    (format!("{title}, revised"), T0 + 2 * SPREAD_DAYS * DAY_MS + row as i64)
}

fn videos(sizes: &Sizes, people: &[Person]) -> Table {
    let (mut r, mut made) = (Random::new(2), Making::default());
    for row in 0..sizes.videos {
        let (id, title) = (r.id(), r.title(row));
        let (created, updated) = times(&mut r, row, sizes.videos);
        let text = format!(
            r#"{{"id":"{id}","title":"{title}","created_at":"{}","updated_at":"{}","duration":{},"is_public":{},"owner":{}}}"#,
            iso(created),
            iso(updated),
            r.decimal(3600, 3),
            r.chance(70),
            people[r.below(people.len() as u64) as usize].json(),
        );
        made.push(text.as_bytes(), updated, id);
    }
    made.done()
}

fn views(sizes: &Sizes, people: &[Person], videos: &[String]) -> Table {
    let (mut r, mut made) = (Random::new(4), Making::default());
    for row in 0..sizes.rows {
        let (id, title) = (r.id(), r.title(row));
        let (created, updated) = times(&mut r, row, sizes.rows);
        let (title, updated) = revise(sizes, row, title, updated);
        let place = r.below(8) as usize;
        let text = format!(
            r#"{{"id":"{id}","video_id":"{}","title":"{title}","created_at":"{}","updated_at":"{}","seconds_watched":{},"percent_complete":{},"play_count":{},"score":{},"completed":{},"embedded":{},"device":"{}","browser":"{}","country":"{}","city":{},"referrer":{},"viewer":{}}}"#,
            videos[r.below(videos.len() as u64) as usize],
            iso(created),
            iso(updated),
            r.decimal(3600, 3),
            r.decimal(100, 2),
            1 + r.below(20),
            r.maybe(70, |r| r.below(101).to_string()),
            r.chance(55),
            r.chance(35),
            r.pick(DEVICES),
            r.pick(BROWSERS),
            COUNTRIES[place],
            r.maybe(80, |_| format!("\"{}\"", CITIES[place])),
            r.maybe(45, |r| format!("\"https://www.example.com/{}/{}\"", r.pick(WORDS), r.below(1000))),
            people[r.below(people.len() as u64) as usize].json(),
        );
        made.push(text.as_bytes(), updated, id);
    }
    made.done()
}

fn interactions(sizes: &Sizes, people: &[Person], videos: &[String]) -> (Table, HashMap<String, Vec<usize>>) {
    let (mut r, mut made) = (Random::new(5), Making::default());
    let mut by_video: HashMap<String, Vec<usize>> = videos.iter().map(|id| (id.clone(), Vec::new())).collect();
    for row in 0..sizes.rows {
        let (id, title) = (r.id(), r.title(row));
        let (created, updated) = times(&mut r, row, sizes.rows);
        let (title, updated) = revise(sizes, row, title, updated);
        let video = &videos[r.below(videos.len() as u64) as usize];
        if let Some(rows) = by_video.get_mut(video) {
            rows.push(row);
        }
        let at = r.below(3600);
        let responses: Vec<String> = (0..r.below(5)).map(|_| response(&mut r, created)).collect();
        let text = format!(
            r#"{{"id":"{id}","video_id":"{video}","title":"{title}","type":"{}","created_at":"{}","updated_at":"{}","start_time":{at}.{},"end_time":{},"position":{},"points":{},"required":{},"visible":{},"notes":{},"viewer":{},"responses":[{}]}}"#,
            r.pick(KINDS),
            iso(created),
            iso(updated),
            r.below(10),
            r.maybe(85, |r| format!("{}.5", at + 1 + r.below(30))),
            r.below(40),
            r.maybe(65, |r| r.below(51).to_string()),
            r.chance(50),
            r.chance(90),
            r.maybe_text(30, NOTES),
            people[r.below(people.len() as u64) as usize].json(),
            responses.join(","),
        );
        made.push(text.as_bytes(), updated, id);
    }
    (made.done(), by_video)
}

fn response(r: &mut Random, created: i64) -> String {
    format!(
        r#"{{"id":"{}","question":"{} {}?","answer":{},"correct":{},"score":{},"answered_at":"{}"}}"#,
        r.id(),
        r.pick(WORDS),
        r.pick(WORDS),
        r.maybe_text(90, ANSWERS),
        r.chance(60),
        r.maybe(75, |r| r.decimal(10, 2)),
        iso(created + r.below(DAY_MS as u64) as i64),
    )
}

/// Records of 200 fields. If they are dirty, every 50th page of 100 brings a field that was never there, and every 100th a
/// text in one that had only numbers.
fn wide(rows: usize, dirty: bool) -> Table {
    let (mut r, mut made) = (Random::new(6), Making::default());
    for row in 0..rows {
        let (id, page) = (r.id(), row / 100);
        let (created, updated) = times(&mut r, row, rows);
        let mut text = format!(r#"{{"id":"{id}","created_at":"{}","updated_at":"{}""#, iso(created), iso(updated));
        for field in 3..200 {
            let is_odd =
                dirty && page > 0 && page.is_multiple_of(100) && row.is_multiple_of(100) && field == 3 + page / 100 * 4;
            let value = match field % 4 {
                _ if is_odd => "\"none\"".to_owned(),
                3 => r.below(100_000).to_string(),
                0 => r.decimal(1000, 2),
                1 => format!("\"{}\"", r.pick(WORDS)),
                _ => r.maybe(80, |r| r.chance(50).to_string()),
            };
            let _ = write!(text, r#","field_{field}":{value}"#);
        }
        for news in 1..=(if dirty { page / 50 } else { 0 }) {
            let _ = write!(text, r#","field_of_page_{}":{}"#, news * 50, r.below(10));
        }
        text.push('}');
        made.push(text.as_bytes(), updated, id);
    }
    made.done()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn times_are_read_as_they_are_written() {
        for ms in [0, T0, T0 + 123, 951_782_400_000, 1_709_164_800_000, 1_735_689_599_999] {
            assert_eq!(milliseconds(&iso(ms)), Some(ms), "{}", iso(ms));
        }
        assert_eq!(iso(T0), "2024-01-01T00:00:00.000Z");
    }

    #[test]
    fn rows_are_the_same_every_time_and_sliced_whole() {
        let sizes = Sizes { rows: 100, videos: 10, wide: 10, revised: 5 };
        let (data, again) = (Data::new(&sizes), Data::new(&sizes));
        assert_eq!(data.interactions.text, again.interactions.text);
        let rows: Vec<&[u8]> = (0..100).map(|row| data.views.row(row)).collect();
        assert_eq!(rows.join(&b","[..]), data.views.slice(0, 100));
        assert!(data.views.slice(5, 5).is_empty());
        assert_eq!(data.views.updated_ms.iter().filter(|ms| **ms > T0 + 2 * SPREAD_DAYS * DAY_MS - 1).count(), 5);
    }
}
