//! Keys of `incremental`.

use super::{BOOLEAN, POSITIVE, SCALAR, TEXT, TEXTS};
use crate::config::spec::{Choice, Key, Kind, Table};

/// A distance between two values: a number, or a length of time with months, which is read where the plan is built.
const STEP: Kind = Kind::Either(&[POSITIVE, TEXT]);

const fn one_of(words: &'static [(&'static str, &'static str)]) -> Choice {
    Choice { words, later: &[] }
}

const SOURCES: Choice = one_of(&[
    ("record", "a field of each record"),
    ("response", "the answer: a path in its body, or a header"),
    ("clock", "the server's clock when the walk began, for records that don't show the time they are filtered by"),
    ("window", "the end of the slice that was asked for"),
]);

const MISSING: Choice = one_of(&[
    ("raise", "an error"),
    ("include", "it is loaded, and does not move the cursor"),
    ("exclude", "it is left out, and counted"),
]);

const START_BOUNDS: Choice = one_of(&[
    ("inclusive", "yes"),
    ("exclusive", "no, its filter is `>`: starts are written one unit of `format` earlier"),
]);

const END_BOUNDS: Choice = one_of(&[
    ("exclusive", "no, or nobody knows: slices share their bounds"),
    ("inclusive", "yes: a slice ends one unit of `format` before the next begins"),
]);

/// `[resources.NAME.incremental]`.
pub(super) const INCREMENTAL: Table = Table {
    keys: &[
        Key::new("cursor_path", TEXTS, "Where a record shows the value; of a list, the first that is not null"),
        Key::new("cursor_from", Kind::Choice(&SOURCES), "What tells the value").default("\"record\""),
        Key::new("cursor_header", TEXT, "With `cursor_from = \"response\"`: the header that tells the value"),
        Key::new("start_param", TEXT, "Query parameter for the start; or use `{{ cursor.start }}`"),
        Key::new("end_param", TEXT, "Query parameter for the end; or use `{{ cursor.end }}`"),
        Key::new(
            "initial_value",
            SCALAR,
            "Start of the first run; `{{ run.started_at | add('-30d') }}` and `{{ vars.NAME }}` can be used",
        ),
        Key::new(
            "end_value",
            SCALAR,
            "Where to stop, exclusive; not later than the start of the run. Expressions as in `initial_value`",
        ),
        Key::new(
            "earliest",
            TEXT,
            "How far back a run may ask, such as \"913d\": a start before that is moved up to it, and warned about",
        ),
        Key::new("lag", STEP, "Ask again that far back: a duration for times, a number for numbers"),
        Key::new(
            "window",
            STEP,
            "Length of slices, such as \"7d\" or \"1mo\", in which the range is walked, each committed when done",
        ),
        Key::new(
            "align",
            BOOLEAN,
            "With `window`: slices begin where units of the calendar do: months on the first, weeks on Mondays, days at midnight",
        )
        .default("false"),
        Key::new("start_bound", Kind::Choice(&START_BOUNDS), "Whether the API takes the start for a part of the range")
            .default("\"inclusive\""),
        Key::new("end_bound", Kind::Choice(&END_BOUNDS), "Whether the API takes the end for a part of the range")
            .default("\"exclusive\""),
        Key::new(
            "format",
            TEXT,
            "How the value is written in requests: iso8601, date, epoch_s, epoch_ms or a strftime pattern; as seen if not given",
        ),
        Key::new(
            "cursor_format",
            TEXTS,
            "How records write the value: as `format`; of a list, the first that fits; recognised if not given",
        ),
        Key::new(
            "timezone",
            TEXT,
            "Zone of times without one, and in which times are written: \"Europe/Berlin\", \"+02:00\"; UTC if not given",
        ),
        Key::new(
            "row_order",
            Kind::Choice(&one_of(&[("asc", "oldest first"), ("desc", "newest first")])),
            "The order in which the API sends records; verified as pages arrive",
        ),
        Key::new(
            "client_side",
            BOOLEAN,
            "The API can't filter: records before the start are left out here, and `row_order = \"desc\"` stops there",
        )
        .default("false"),
        Key::new("on_cursor_value_missing", Kind::Choice(&MISSING), "What a record without the value means")
            .default("\"include\""),
        Key::new(
            "scope",
            Kind::Choice(&one_of(&[
                ("partition", "each parent and partition has a cursor of its own"),
                ("global", "one cursor for all, which moves when all of them succeeded"),
            ])),
            "What has a cursor of its own",
        )
        .default("\"partition\""),
        Key::new(
            "walk",
            Kind::Choice(&one_of(&[
                ("pages", "page after page"),
                (
                    "cursor",
                    "each request starts at the last value seen, on the first page; needs `row_order = \"asc\"`",
                ),
            ])),
            "How the list is walked while rows may move in it",
        )
        .default("\"pages\""),
    ],
    later: &[],
};
