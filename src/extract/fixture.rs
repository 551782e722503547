//! Plans that the tests of this module build on.

use crate::plan::model::*;
use crate::plan::template::Template;
use std::time::Duration;
use url::Url;

pub(super) fn text(source: &str, secret: bool) -> Text {
    Text { template: Template::parse(source).unwrap(), secret }
}

pub(super) fn plain(source: &str) -> Text {
    text(source, false)
}

pub(super) fn secret(source: &str) -> Text {
    text(source, true)
}

/// A client of `https://api.test/v1/` that may also ask `files.test`, without retries.
pub(super) fn client() -> Client {
    Client {
        base_url: BaseUrl::Fixed(Url::parse("https://api.test/v1/").unwrap()),
        connect_timeout: Duration::from_secs(1),
        read_timeout: Duration::from_secs(1),
        rate_limits: Vec::new(),
        concurrency: 1,
        retry: Retry {
            max_attempts: 1,
            base_delay: Duration::ZERO,
            max_delay: Duration::ZERO,
            max_elapsed: Duration::from_secs(1),
            max_wait: Duration::from_secs(1),
            statuses: Vec::new(),
        },
        allowed_hosts: vec![AllowedHost { host: "files.test".into(), port: None, send_auth: false }],
        max_response_bytes: 1 << 20,
        proxy: None,
        ca_certificate: None,
        user_agent: "test".into(),
        accept_invalid_certificates: false,
    }
}

/// The resource `videos` with a paginator and defaults.
pub(super) fn resource(paginator: Paginator) -> Resource {
    Resource {
        name: "videos".into(),
        table: "videos".into(),
        selected: true,
        request: RequestSpec {
            method: "GET".into(),
            path: Template::parse("videos").unwrap(),
            params: Vec::new(),
            headers: Vec::new(),
            body: None,
        },
        before: Vec::new(),
        auth: Auth::None,
        paginator,
        max_pages: None,
        on_repeat: OnRepeat::Error,
        format: BodyFormat::default(),
        on_repeated_key: OnRepeatedKey::Warn,
        poll: None,
        selector: Selector::Auto,
        allow_missing: false,
        retry: client().retry,
        rate_limits: Vec::new(),
        response_actions: Vec::new(),
        expect: None,
        incremental: None,
        parent: None,
        partitions: None,
        add_columns: Vec::new(),
        primary_key: Vec::new(),
        write: WriteDisposition::Append,
        merge: Merge::default(),
        schema_contract: Default::default(),
        nesting: crate::plan::model::Nesting::default(),
        filter: None,
        exclude: Vec::new(),
        columns: Vec::new(),
    }
}

pub(super) fn incremental(start_param: &str) -> Incremental {
    Incremental {
        source: CursorSource::Record(vec![FieldPath(vec!["updated_at".into()])]),
        start_param: Some(start_param.into()),
        end_param: None,
        sends_start: true,
        sends_end: false,
        initial_value: None,
        end_value: None,
        earliest: None,
        lag: None,
        window: None,
        align: false,
        start_bound: StartBound::Inclusive,
        end_bound: EndBound::Exclusive,
        notation: Notation::default(),
        row_order: None,
        client_side: false,
        on_missing: OnCursorMissing::Raise,
        scope: CursorScope::Partition,
        walks_by_cursor: false,
    }
}

/// A bound of the file.
pub(super) fn bound(text: &str) -> Bound {
    let text = Template::parse(text).unwrap();
    Bound { is_of_run: text.uses("run.started_at"), text, place: "api.toml:7:1".into() }
}

/// The bounds of a run that started at 2026-03-15T12:30:45Z.
pub(super) fn bounds(incremental: &Incremental) -> super::cursor::Bounds {
    let run_started_at = chrono::DateTime::from_timestamp(1_773_577_845, 0).unwrap();
    let scope = crate::plan::template::Scope { run_started_at, ..Default::default() };
    super::cursor::Bounds::of(incremental, &scope).unwrap()
}

pub(super) fn offset(limit: u64) -> Offset {
    Offset {
        limit,
        offset_param: Some("offset".into()),
        limit_param: Some("limit".into()),
        initial_offset: 0,
        total: None,
        has_more: None,
        maximum_offset: None,
        advance_by_limit: false,
        overlap: false,
        prefetch: 1,
    }
}

pub(super) fn page_number() -> PageNumber {
    PageNumber {
        base_page: 1,
        page_param: Some("page".into()),
        page_size: None,
        page_size_param: None,
        total: None,
        has_more: None,
        maximum_page: None,
        prefetch: 1,
    }
}

pub(super) fn cursor(cursor_path: &str) -> CursorPaging {
    CursorPaging {
        cursor: TokenPlace::Body(vec![super::envelope::tests::path(cursor_path)]),
        cursor_param: Some("cursor".into()),
        signs: EndSigns::default(),
    }
}

/// A flag of the body that says whether there is more.
pub(super) fn more(path: &str) -> MoreSpec {
    MoreSpec { place: FactPlace::Body(super::envelope::tests::path(path)), is_last: false }
}

/// A total of records in the body.
pub(super) fn total(path: &str) -> TotalSpec {
    TotalSpec { place: FactPlace::Body(super::envelope::tests::path(path)), pages: false }
}

pub(super) fn keyset(field: &str) -> Keyset {
    Keyset {
        field: super::envelope::tests::path(field),
        param: Some("after".into()),
        has_more: None,
        inclusive: false,
        stop_on_empty_page: false,
    }
}

/// The link at a path of the body.
pub(super) fn json_link(path: &str) -> Paginator {
    Paginator::JsonLink(JsonLink {
        next_url_paths: vec![super::envelope::tests::path(path)],
        links_next_key: "next".into(),
        keep_params: true,
        signs: EndSigns::default(),
    })
}

/// The `next` link of the headers, or a bare URL in one of them.
pub(super) fn header_link(header: Option<&str>) -> Paginator {
    Paginator::HeaderLink(HeaderLink {
        links_next_key: "next".into(),
        next_url_header: header.map(str::to_owned),
        keep_params: true,
        signs: EndSigns::default(),
    })
}
