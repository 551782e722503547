//! The account behind the sample API: made-up records, the same ones every time.
//!
//! They have what real answers have: nulls in any field, nested objects, lists of objects and of scalars, whole and
//! fractional numbers, and rows that share an `updated_at`.

use chrono::{DateTime, Duration, SecondsFormat, TimeZone, Utc};
use serde_json::{Value, json};

const VIDEO_COUNT: usize = 6;
const VIEWER_COUNT: usize = 12;
const VIEW_COUNT: usize = 130;
const INTERACTION_COUNT: usize = 250;
const PLINK_COUNT: usize = 8;

const TITLES: [&str; VIDEO_COUNT] = [
    "Welcome aboard",
    "Forklift safety",
    "Spring collection",
    "How we brew",
    "Quarterly update",
    "Feeding ducks, properly",
];
const FIRST_NAMES: [&str; 8] = ["Ada", "Bruno", "Chiara", "Dmitri", "Esi", "Farid", "Greta", "Hana"];
const LAST_NAMES: [&str; 6] = ["Okafor", "Lindqvist", "Moreau", "Tanaka", "Novak", "Silva"];
const PLACES: [(&str, &str); 5] =
    [("PT", "Porto"), ("JP", "Kyōto"), ("GH", "Accra"), ("CZ", "Brno"), ("CA", "Montréal")];
const KINDS: [&str; 3] = ["question", "button", "hotspot"];
const DEVICES: [&str; 3] = ["desktop", "mobile", "tablet"];

/// Everything the sample API knows. Each list is in the order in which the API returns it: by creation.
pub(super) struct Account {
    dice: Dice,
    /// The account's own clock: the time of the newest change.
    pub(super) now: DateTime<Utc>,
    pub(super) user: Value,
    pub(super) videos: Vec<Value>,
    pub(super) viewers: Vec<Value>,
    pub(super) views: Vec<Value>,
    pub(super) interactions: Vec<Value>,
    pub(super) responses: Vec<Value>,
    pub(super) plinks: Vec<Value>,
}

/// What [`Account::live_on`] did, for people.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Changes {
    pub(super) videos_renamed: usize,
    pub(super) viewers_added: usize,
    pub(super) views_added: usize,
    pub(super) interactions_edited: usize,
    pub(super) interactions_added: usize,
    /// A field that interactions didn't have before.
    pub(super) new_field: &'static str,
}

impl Account {
    /// The account as the first load finds it.
    pub(super) fn new() -> Account {
        let mut account = Account {
            dice: Dice(0x0070_696E_7461_696D),
            now: Utc.timestamp_opt(1_767_600_000, 0).single().unwrap_or_default(),
            user: Value::Null,
            videos: Vec::new(),
            viewers: Vec::new(),
            views: Vec::new(),
            interactions: Vec::new(),
            responses: Vec::new(),
            plinks: Vec::new(),
        };
        account.user = account.make_user();
        account.videos = TITLES.iter().map(|title| account.make_video(title)).collect();
        account.viewers = (0..VIEWER_COUNT).map(|_| account.make_viewer()).collect();
        account.views = (0..VIEW_COUNT).map(|_| account.make_view()).collect();
        for _ in 0..INTERACTION_COUNT {
            account.add_interaction();
        }
        account.plinks = (0..PLINK_COUNT).map(|_| account.make_plink()).collect();
        account
    }

    /// A working day later: a few records are new, a few have changed, and interactions have a new field.
    pub(super) fn live_on(&mut self) -> Changes {
        self.now += Duration::days(1);
        let changes = Changes {
            videos_renamed: 2,
            viewers_added: 1,
            views_added: 3,
            interactions_edited: 2,
            interactions_added: 5,
            new_field: "language",
        };
        for (number, title) in TITLES.iter().enumerate().take(changes.videos_renamed) {
            let title = format!("{title} (2nd edition)");
            let updated_at = self.tick();
            edit(&mut self.videos[number], &[("title", json!(title)), ("updated_at", json!(updated_at))]);
        }
        for _ in 0..changes.viewers_added {
            let viewer = self.make_viewer();
            self.viewers.push(viewer);
        }
        for _ in 0..changes.views_added {
            let view = self.make_view();
            self.views.push(view);
        }
        for number in 0..changes.interactions_edited {
            let updated_at = self.tick();
            let fields = [(changes.new_field, json!("fr")), ("updated_at", json!(updated_at))];
            edit(&mut self.interactions[number * 40], &fields);
        }
        for _ in 0..changes.interactions_added {
            self.add_interaction();
            if let Some(newest) = self.interactions.last_mut() {
                edit(newest, &[(changes.new_field, json!("en"))]);
            }
        }
        changes
    }

    fn make_user(&mut self) -> Value {
        json!({
            "id": self.dice.id(),
            "name": "Pia Intail",
            "email": "pia@ducks.example",
            "phone": null,
            "account": { "name": "Dabblers Ltd", "plan": "enterprise", "seats": 25 },
            "roles": ["owner", "editor"],
            "created_at": self.tick(),
        })
    }

    fn make_video(&mut self, title: &str) -> Value {
        let duration_seconds = 60 + self.dice.below(600);
        let chapters: Vec<Value> = (0..1 + self.dice.below(4))
            .map(|n| json!({ "title": format!("Part {}", n + 1), "start_seconds": n * 45 }))
            .collect();
        let created_at = self.tick();
        json!({
            "id": self.dice.id(),
            "title": title,
            "message": "Created on Mindstamp! This message is customizable",
            "description": self.dice.maybe(json!(format!("All about: {title}"))),
            "duration_seconds": duration_seconds,
            "published": self.dice.below(4) > 0,
            "tags": ["training", "2026"],
            "chapters": chapters,
            "archived_at": null,
            "created_at": created_at,
            "updated_at": created_at,
        })
    }

    fn make_viewer(&mut self) -> Value {
        let first_name = self.dice.pick(&FIRST_NAMES);
        let last_name = self.dice.pick(&LAST_NAMES);
        let (country, city) = self.dice.pick(&PLACES);
        let email = format!("{}.{}@viewers.example", first_name.to_lowercase(), last_name.to_lowercase());
        let created_at = self.tick();
        json!({
            "id": self.dice.id(),
            "name": format!("{first_name} {last_name}"),
            "email": self.dice.maybe(json!(email)),
            "location": self.dice.maybe(json!({ "country": country, "city": city })),
            "custom": { "team": self.dice.maybe(json!("growth")), "score": self.dice.below(100) },
            "created_at": created_at,
            "updated_at": created_at,
        })
    }

    fn make_view(&mut self) -> Value {
        let video = self.dice.popular(&self.videos);
        let viewer = self.dice.pick(&self.viewers);
        let viewer = if self.dice.below(6) == 0 { Value::Null } else { viewer };
        let length_seconds = video["duration_seconds"].as_u64().unwrap_or(60);
        let watched_seconds = self.dice.below(length_seconds + 1);
        let started_at = self.tick();
        json!({
            "id": self.dice.id(),
            "video_id": video["id"],
            "viewer_id": viewer["id"],
            "viewer": if viewer.is_null() { viewer } else {
                json!({ "name": viewer["name"], "location": viewer["location"] })
            },
            "device": self.dice.pick(&DEVICES),
            "watched_seconds": watched_seconds,
            "watched_percent": (watched_seconds * 1000 / length_seconds) as f64 / 10.0,
            "segments": [{ "from_seconds": 0, "to_seconds": watched_seconds }],
            "referrer": self.dice.maybe(json!("https://ducks.example/academy")),
            "created_at": started_at,
            "updated_at": started_at,
        })
    }

    /// An interaction, and the responses to it when it is a question.
    fn add_interaction(&mut self) {
        let view = self.dice.pick(&self.views);
        let kind = self.dice.pick(&KINDS);
        let id = self.dice.id();
        // Some share their time with the one before.
        let created_at = if self.dice.below(5) == 0 { stamp(self.now) } else { self.tick() };
        let question = kind == "question";
        // Nobody promises that a field is filled, not even this one.
        let updated_at = if self.interactions.len() % 97 == 96 { Value::Null } else { json!(created_at) };
        self.interactions.push(json!({
            "id": id,
            "video_id": view["video_id"],
            "view_id": view["id"],
            "viewer_id": view["viewer_id"],
            "kind": kind,
            "at_seconds": self.dice.below(6000) as f64 / 10.0,
            "content": { "label": format!("{kind} {}", self.interactions.len() + 1), "style": null },
            "choices": if question {
                json!([{ "text": "Yes", "correct": true }, { "text": "No", "correct": false }])
            } else {
                Value::Null
            },
            "created_at": created_at,
            "updated_at": updated_at,
        }));
        for _ in 0..if question { 1 + self.dice.below(2) } else { 0 } {
            let answer = self.dice.pick(&["Yes", "No"]);
            let response = json!({
                "id": self.dice.id(),
                "interaction_id": id,
                "viewer_id": view["viewer_id"],
                "answer": self.dice.maybe(json!(answer)),
                "correct": answer == "Yes",
                "answered_at": created_at,
            });
            self.responses.push(response);
        }
    }

    fn make_plink(&mut self) -> Value {
        let video = self.dice.popular(&self.videos);
        let viewer = self.dice.pick(&self.viewers);
        let slug = self.dice.id();
        let created_at = self.tick();
        json!({
            "id": slug,
            "url": format!("https://mindstamp.example/p/{slug}"),
            "video_id": video["id"],
            "viewer_id": self.dice.maybe(viewer["id"].clone()),
            "status": self.dice.pick(&["active", "disabled"]),
            "created_at": created_at,
            "updated_at": created_at,
        })
    }

    /// Moves the clock by some minutes and tells the time.
    fn tick(&mut self) -> String {
        self.now += Duration::seconds(30 + self.dice.below(1_800) as i64);
        stamp(self.now)
    }
}

/// A time as the API writes it.
pub(super) fn stamp(time: DateTime<Utc>) -> String {
    time.to_rfc3339_opts(SecondsFormat::Millis, true)
}

fn edit(record: &mut Value, fields: &[(&str, Value)]) {
    for (name, value) in fields {
        record[*name] = value.clone();
    }
}

/// A small generator of numbers (SplitMix64), so that every demo tells the same story.
struct Dice(u64);

impl Dice {
    fn roll(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9E37_79B9_7F4A_7C15);
        let mut mixed = self.0;
        mixed = (mixed ^ (mixed >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
        mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94D0_49BB_1331_11EB);
        mixed ^ (mixed >> 31)
    }

    /// A number from 0 to `bound`, without it. The bound is at least 1.
    fn below(&mut self, bound: u64) -> u64 {
        self.roll() % bound
    }

    /// One of the items. There is at least one.
    fn pick<T: Clone>(&mut self, items: &[T]) -> T {
        items[self.below(items.len() as u64) as usize].clone()
    }

    /// One of the items, the first ones more often.
    fn popular<T: Clone>(&mut self, items: &[T]) -> T {
        let bound = 1 + self.below(items.len() as u64);
        items[self.below(bound) as usize].clone()
    }

    /// The value, or null one time in five.
    fn maybe(&mut self, value: Value) -> Value {
        if self.below(5) == 0 { Value::Null } else { value }
    }

    /// An id as Mindstamp's look: twelve letters and digits.
    fn id(&mut self) -> String {
        const LETTERS: &[u8; 62] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789";
        (0..12).map(|_| char::from(self.pick(LETTERS))).collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::collections::HashSet;

    #[test]
    fn the_account_is_the_same_every_time_and_ids_are_unique() {
        let (a, b) = (Account::new(), Account::new());
        assert_eq!(a.interactions, b.interactions);
        assert_eq!(a.interactions.len(), INTERACTION_COUNT);
        let ids: HashSet<&str> =
            a.interactions.iter().chain(&a.views).chain(&a.responses).filter_map(|r| r["id"].as_str()).collect();
        assert_eq!(ids.len(), INTERACTION_COUNT + VIEW_COUNT + a.responses.len());
    }

    #[test]
    fn a_day_later_the_changed_records_and_no_others_are_newer() {
        let mut account = Account::new();
        let before = stamp(account.now);
        let changes = account.live_on();
        let newer = |records: &[Value]| {
            records.iter().filter(|r| r["updated_at"].as_str().is_some_and(|t| t > before.as_str())).count()
        };
        assert_eq!(newer(&account.videos), changes.videos_renamed);
        assert_eq!(newer(&account.viewers), changes.viewers_added);
        assert_eq!(newer(&account.views), changes.views_added);
        assert_eq!(newer(&account.interactions), changes.interactions_edited + changes.interactions_added);
    }

    #[test]
    fn any_field_may_be_null() {
        let account = Account::new();
        for (records, field) in [
            (&account.views, "viewer"),
            (&account.views, "viewer_id"),
            (&account.viewers, "email"),
            (&account.interactions, "choices"),
            (&account.interactions, "updated_at"),
            (&account.videos, "archived_at"),
        ] {
            assert!(records.iter().any(|r| r[field].is_null()), "no null `{field}`");
        }
    }
}
