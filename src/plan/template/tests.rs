use super::*;
use chrono::DateTime;
use serde_json::json;

fn scope() -> Scope {
    Scope {
        parent: vec![
            (FieldPath(vec!["id".into()]), json!(7)),
            (FieldPath(vec!["name".into()]), json!("a/b ?#%é")),
            (FieldPath(vec!["author".into(), "id".into()]), json!("u1")),
            (FieldPath(vec!["gone".into()]), Value::Null),
            (FieldPath(vec!["tags".into()]), json!(["x", null])),
            (FieldPath(vec!["active".into()]), json!(true)),
            (FieldPath(vec!["dots".into()]), json!("..")),
        ],
        cursor_start: Some("2026-01-02T03:04:05.250Z".into()),
        page_offset: Some(100),
        page_limit: Some(50),
        vars: vec![("team".into(), "growth".into())],
        run_started_at: DateTime::from_timestamp(1_700_000_000, 0).unwrap(),
        ..Scope::default()
    }
}

fn render(source: &str) -> Option<String> {
    Template::parse(source).unwrap().render(&scope()).unwrap()
}

#[test]
fn expressions_give_text() {
    let cases = [
        ("plain { text }}", "plain { text }}"),
        ("{{ page.offset }}", "100"),
        ("{{page.offset}}-{{ vars.team }}", "100-growth"),
        ("{{ parent.author.id }}", "u1"),
        ("{{ parent[\"author\"]['id'] }}", "u1"),
        ("{{ parent.active }}", "true"),
        ("{{ parent.tags }}", "[\"x\",null]"),
        ("{{ page.offset // page.limit + 1 }}", "3"),
        ("{{ vars.team | upper }}", "GROWTH"),
        ("{{ (vars.team ~ ':' ~ parent.id) | b64encode }}", "Z3Jvd3RoOjc="),
        ("{{ page.cursor | default('first') }}", "first"),
        ("{{ parent.gone | default('y') }}", "y"),
        ("{{ parent.gone | upper | default('y') }}", "y"),
        ("{{ (parent.gone ~ '') | d('y') ~ parent.id }}", "7"),
        ("{{ parent.id | default(parent.gone) }}", "7"),
        ("{{ parent.gone | default(parent.id) }}", "7"),
        ("{{ parent['gone'] | default('y') }}", "y"),
        ("{{ parent.gone | default }}", ""),
        ("{{ 'a' if parent.gone is none else 'b' }}", "a"),
        ("{{ '}}' }}", "}}"),
        ("{{ run.started_at }}", "2023-11-14T22:13:20Z"),
        ("{{ parent.name | urlencode }}", "a%2Fb%20%3F%23%25%C3%A9"),
        ("{{ 'abc' | sha256 }}", "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad"),
    ];
    for (source, expected) in cases {
        assert_eq!(render(source).as_deref(), Some(expected), "{source}");
    }
}

#[test]
fn a_null_or_absent_value_gives_none_and_never_a_text() {
    for source in [
        "{{ page.cursor }}",
        "{{ parent.gone }}",
        "x-{{ parent.gone }}",
        "{{ parent.unknown.deeper }}",
        "{{ page.cursor | upper }}",
        "{{ 'a' ~ parent.gone }}",
        "{{ parent.gone | iso8601 }}",
        "{{ page.cursor or none }}",
        "{{ parent.gone ~ (page.cursor | default('x')) }}",
        "{{ parent.gone | default(page.cursor) }}",
        "{{ parent.default }}",
        "{{ cursor.end | add('1d') }}",
    ] {
        assert_eq!(render(source), None, "{source}");
    }
}

#[test]
fn time_filters_take_iso_text_and_epoch_numbers() {
    let cases = [
        ("{{ cursor.start | iso8601 }}", "2026-01-02T03:04:05.250Z"),
        ("{{ cursor.start | date }}", "2026-01-02"),
        ("{{ cursor.start | epoch_s }}", "1767323045"),
        ("{{ cursor.start | epoch_ms }}", "1767323045250"),
        ("{{ cursor.start | strftime('%d/%m/%Y') }}", "02/01/2026"),
        ("{{ cursor.start | add('-1d') }}", "2026-01-01T03:04:05.250Z"),
        ("{{ '2026-03-31' | add('-1mo') }}", "2026-02-28"),
        ("{{ '2026-01-02 03:04:05' | add('1h30m') }}", "2026-01-02 04:34:05"),
        ("{{ '2026-01-02T03:04:05+02:00' | iso8601 }}", "2026-01-02T01:04:05Z"),
        ("{{ '2026-01-02T03:04:05+02:00' | add('+1s') }}", "2026-01-02T03:04:06+02:00"),
        ("{{ 1700000000 | iso8601 }}", "2023-11-14T22:13:20Z"),
        ("{{ 1700000000123 | iso8601 }}", "2023-11-14T22:13:20.123Z"),
        ("{{ 1700000000123 | add('1s') }}", "1700000001123"),
        ("{{ '1700000000' | add('1s') }}", "1700000001"),
    ];
    for (source, expected) in cases {
        assert_eq!(render(source).as_deref(), Some(expected), "{source}");
    }
}

#[test]
fn an_expression_that_fails_names_itself_but_not_its_values() {
    let template = Template::parse("{{ vars.team | iso8601 }}").unwrap();
    let error = template.render(&scope()).unwrap_err();
    assert_eq!(error.context("expression"), Some("{{ vars.team | iso8601 }}"));
    assert!(!error.report().contains("growth"), "{}", error.report());
}

#[test]
fn a_value_is_one_segment_of_a_path() {
    let path = |source: &str| Template::parse(source).unwrap().render_path(&scope());
    assert_eq!(path("a b/{{ parent.name }}/x").unwrap(), "a b/a%2Fb%20%3F%23%25%C3%A9/x");
    assert_eq!(path("v/{{ parent.id }}").unwrap(), "v/7");
    let error = path("v/{{ parent.gone }}").unwrap_err();
    assert_eq!(error.context("expression"), Some("{{ parent.gone }}"));
    assert!(path("v/{{ parent.dots }}/x").is_err());
}

#[test]
fn exactly_one_expression_keeps_its_json_type() {
    let json = |source: &str| Template::parse(source).unwrap().render_json(&scope()).unwrap();
    assert_eq!(json("{{ parent.id }}"), Some(json!(7)));
    assert_eq!(json("{{ page.offset + 1 }}"), Some(json!(101)));
    assert_eq!(json("{{ parent.tags }}"), Some(json!(["x", null])));
    assert_eq!(json("n={{ parent.id }}"), Some(json!("n=7")));
    assert_eq!(json("{{ page.cursor }}"), None);
    assert_eq!(json("7"), Some(json!("7")));
}

#[test]
fn a_list_that_stands_alone_gives_its_elements_and_nothing_else_does() {
    let each = |source: &str| Template::parse(source).unwrap().render_each(&scope()).unwrap();
    assert_eq!(each("{{ parent.tags }}"), ["x"]);
    assert_eq!(each("{{ ['b', 2, true, none, 1.5] }}"), ["b", "2", "true", "1.5"]);
    assert_eq!(each("{{ parent.tags }}!"), ["[\"x\",null]!"]);
    assert_eq!(each("{{ parent.active }}"), ["true"]);
    assert_eq!(each("plain"), ["plain"]);
    assert_eq!(each(""), [""]);
    assert!(each("{{ parent.gone }}").is_empty() && each("{{ [] }}").is_empty());
}

#[test]
fn numbers_are_written_as_they_are() {
    let with = |value: Value| Scope { parent: vec![(FieldPath(vec!["n".into()]), value)], ..Scope::default() };
    for (value, expected) in [
        (json!(9007199254740993u64), "9007199254740993"),
        (json!(u64::MAX), "18446744073709551615"),
        (json!(i64::MIN), "-9223372036854775808"),
        (json!("12345678901234567890123"), "12345678901234567890123"),
        (json!(0.1), "0.1"),
        (json!("007"), "007"),
    ] {
        for source in ["{{ parent.n }}", "{{ parent.n | default(0) }}", "{{ parent.n | string }}"] {
            let rendered = Template::parse(source).unwrap().render(&with(value.clone())).unwrap();
            assert_eq!(rendered.as_deref(), Some(expected), "{source}");
        }
    }
}

#[test]
fn names_are_guarded_by_what_is_said_of_them_alone() {
    let guarded = |source: &str| {
        let template = Template::parse(source).unwrap();
        template.references().iter().map(|r| (r.path[1].clone(), r.guarded)).collect::<Vec<_>>()
    };
    let is = |name: &str, guarded| (name.to_owned(), guarded);
    assert_eq!(guarded("{{ parent.a ~ parent.b | default('x') }}"), [is("a", false), is("b", true)]);
    assert_eq!(guarded("{{ (parent.a ~ parent.b) | default('x') }}"), [is("a", true), is("b", true)]);
    assert_eq!(guarded("{{ parent.a | replace('x', parent.b) | d(1) }}"), [is("a", true), is("b", true)]);
    assert_eq!(guarded("{{ parent.a if parent.b }}{{ parent.c }}"), [is("a", true), is("b", true), is("c", false)]);
    assert_eq!(guarded("{{ parent.a | default }}{{ parent.d }}"), [is("a", true), is("d", false)]);
}

#[test]
fn mistakes_are_found_when_a_text_is_parsed() {
    let cases = [
        ("a{{ page.ofset }}", 4..14, "unknown name `page.ofset`", Some("did you mean `page.offset`?")),
        ("{{ parnt.id }}", 3..8, "unknown name `parnt`", Some("did you mean `parent`?")),
        ("{{ cursor.first }}", 3..15, "unknown name `cursor.first`", Some("did you mean `cursor.start`?")),
        ("{{ page.cursor.x }}", 3..16, "unknown name `page.cursor.x`", Some("did you mean `page.cursor`?")),
        ("{{ parent }}", 3..9, "`parent` is not a value of its own", Some("write `parent.NAME`")),
        ("{{ vars.x | iso8061 }}", 12..19, "unknown filter `iso8061`", Some("did you mean `iso8601`?")),
        ("{{ vars.x is nne }}", 13..16, "unknown test `nne`", Some("did you mean `none`?")),
        (
            "{{ range(3) }}",
            3..8,
            "unknown function `range`",
            Some("filters follow a `|`, as in `{{ parent.name | lower }}`"),
        ),
        ("x {{ page.offset", 2..16, "the expression has no end", Some("close it with `}}`")),
        ("{{ }}", 2..3, "the expression is empty", None),
        (
            "a {% if x %}",
            2..4,
            "statements can't be used here, only `{{ … }}` expressions",
            Some("an expression can choose too: `{{ a if b else c }}`"),
        ),
        ("{{ cursor.start | strftime('%Q') }}", 27..31, "`%Q` is not a strftime pattern", None),
        (
            "{{ cursor.start | add('1 fortnight') }}",
            22..35,
            "`1 fortnight` is not a length of time such as `-1d` or `2h`",
            None,
        ),
        ("{{- page.offset }}", 2..3, "whitespace control can't be used here", Some("write `{{` without `-`")),
    ];
    for (source, range, message, hint) in cases {
        let error = Template::parse(source).unwrap_err();
        assert_eq!((error.range, error.message.as_str(), error.hint.as_deref()), (range, message, hint), "{source}");
    }
    let error = Template::parse("{{ page.offset + }}").unwrap_err();
    assert_eq!(error.range, 3..16);
    assert!(error.message.starts_with("the expression is not valid: "), "{}", error.message);
}

#[test]
fn names_and_parent_fields_are_known() {
    let template =
        Template::parse("{{ parent.id }}{{ parent.author.id | upper }}{{ page.offset + parent.id }}").unwrap();
    assert!(template.uses("page.offset") && !template.uses("page.limit"));
    let fields: Vec<_> = template.parent_fields().iter().map(ToString::to_string).collect();
    assert_eq!(fields, ["id", "author.id"]);
    assert_eq!(
        template.references()[1],
        Reference { path: vec!["parent".into(), "author".into(), "id".into()], range: 18..34, guarded: false }
    );
}

#[test]
fn a_literal_is_taken_as_it_is() {
    let text = "a{{ x }}{% b {";
    assert_eq!(Template::literal(text).render(&Scope::default()).unwrap().as_deref(), Some(text));
    assert_eq!(
        Template::parse(&escape_literal(text)).unwrap().render(&Scope::default()).unwrap().as_deref(),
        Some(text)
    );
    assert_eq!(Template::literal(text), Template::parse(&escape_literal(text)).unwrap());
    assert_eq!(Template::parse("abc").unwrap().as_literal(), Some("abc"));
}

#[test]
fn every_listed_filter_and_test_exists_in_the_engine() {
    for name in filters::names() {
        assert!(filters::environment().compile_expression(&format!("1 | {name}")).is_ok());
        let error = filters::environment().compile_expression_owned(format!("[] | {name}")).unwrap().eval(()).err();
        assert_ne!(error.map(|e| e.kind()), Some(minijinja::ErrorKind::UnknownFilter), "{name}");
    }
    for name in filters::TESTS {
        let error = filters::environment().compile_expression_owned(format!("1 is {name}")).map(|e| e.eval(()).err());
        assert_ne!(error.ok().flatten().map(|e| e.kind()), Some(minijinja::ErrorKind::UnknownTest), "{name}");
    }
}

#[test]
fn the_values_of_a_batch_are_joined_in_texts_and_stay_a_list_in_json() {
    let scope = Scope {
        parent: vec![(FieldPath(vec!["id".into()]), json!([1, "a/b"]))],
        batch_separator: Some(",".into()),
        ..Scope::default()
    };
    let template = |text: &str| Template::parse(text).unwrap();
    assert_eq!(template("of {{ parent.id }}").render(&scope).unwrap().as_deref(), Some("of 1,a/b"));
    assert_eq!(template("x/{{ parent.id }}").render_path(&scope).unwrap(), "x/1,a%2Fb");
    assert_eq!(template("{{ parent.id }}").render_json(&scope).unwrap(), Some(json!([1, "a/b"])));
    assert_eq!(template("{{ parent.id | join(';') }}").render(&scope).unwrap().as_deref(), Some("1;a/b"));
}

#[test]
fn indexes_lead_into_lists_and_fields_of_the_answer_before_are_known() {
    let scope = Scope {
        partition: vec![("x".into(), json!([[7, 8], { "a": [{ "b": "c" }] }]))],
        page_first: Some(false),
        page_body: vec![(FieldPath(vec!["meta".into(), "ids".into()]), json!([3, null]))],
        ..Scope::default()
    };
    for (text, expected) in [
        ("{{ partition.x[0][1] }}", Some(json!(8))),
        ("{{ partition.x[1].a[0].b }}", Some(json!("c"))),
        ("{{ partition.x[1].a[00]['b'] | upper }}", Some(json!("C"))),
        ("{{ partition.x[0][0] + partition.x[0][1] }}", Some(json!(15))),
        ("{{ partition.x[9] }}", None),
        ("{{ partition.x[9] | default('none') }}", Some(json!("none"))),
        ("{{ page.body.meta.ids }}", Some(json!([3, null]))),
        ("{{ page.body.meta.ids[0] }}", Some(json!(3))),
        ("{{ page.body.meta.ids[1] }}", None),
        ("{{ page.body.other }}", None),
        ("{{ 'once' if page.first }}", None),
        ("{{ 'again' if not page.first }}", Some(json!("again"))),
    ] {
        assert_eq!(Template::parse(text).unwrap().render_json(&scope).unwrap(), expected, "{text}");
    }
    let mistake = Template::parse("{{ page.body }}").unwrap_err();
    assert_eq!(mistake.hint.as_deref(), Some("write `page.body.FIELD`"));
}
