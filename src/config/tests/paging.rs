//! Paginators, and what requests show of pages.

use super::*;

fn body(keys: &str) -> String {
    let plan = plan(&resource(keys));
    let scope = crate::plan::template::Scope::default();
    match &plan.resources[0].request.body {
        Some(BodySpec::Json(json)) => json.render(&scope).unwrap().unwrap_or_default().to_string(),
        other => panic!("no JSON body: {other:?}"),
    }
}

#[test]
fn links_and_cursors_have_several_places_and_signs_of_the_end() {
    let plan = plan(&format!(
        "{CLIENT}[resources.a]\npaginator={{type='json_link',next_url_path=['next','meta.links[0]'],last_page_path='end',total_path='n',stop_on='empty_page'}}\n\
         [resources.b]\npaginator={{type='cursor',cursor_path=['a[1].c','d'],cursor_param='c',last_page_path='end'}}\n\
         [resources.c]\npaginator={{type='header_link',total_header='X-Total',has_more_header='X-More'}}\n"
    ));
    let field = |steps: &[&str]| FieldPath(steps.iter().map(|s| (*s).to_owned()).collect());
    let last = Some(MoreSpec { place: FactPlace::Body(field(&["end"])), is_last: true });
    let total = |place| Some(TotalSpec { place, pages: false });
    let paginator = |name: &str| plan.resource(name).unwrap().paginator.clone();
    assert_eq!(
        paginator("a"),
        Paginator::JsonLink(JsonLink {
            next_url_paths: vec![field(&["next"]), field(&["meta", "links", "[0]"])],
            links_next_key: "next".into(),
            keep_params: true,
            signs: EndSigns {
                total: total(FactPlace::Body(field(&["n"]))),
                has_more: last.clone(),
                stop_on_empty_page: true
            },
        })
    );
    assert_eq!(
        paginator("b"),
        Paginator::Cursor(CursorPaging {
            cursor: TokenPlace::Body(vec![field(&["a", "[1]", "c"]), field(&["d"])]),
            cursor_param: Some("c".into()),
            signs: EndSigns { has_more: last, ..EndSigns::default() },
        })
    );
    assert!(matches!(paginator("c"), Paginator::HeaderLink(link) if link.signs.total.is_some()));
}

#[test]
fn mistakes_about_pages_have_their_place_and_advice() {
    for (keys, mistake) in [
        (
            "paginator = { type = 'offset', has_more_path = 'a', last_page_path = 'b' }",
            "`has_more_path` tells whether there is more already | keep one of them",
        ),
        (
            "paginator = { type = 'cursor', cursor_path = [], cursor_param = 'c' }",
            "`cursor_path` names no place | write one path, or several of which the first counts",
        ),
        (
            "paginator = { type = 'json_link', next_url_path = 'links[*]' }",
            "`links[*]` is not the path of one value | write `next`, `meta.next` or `data.items[0].next`",
        ),
        (
            "paginator = { type = 'json_link', total_pages_path = 'n' }",
            "unknown key `total_pages_path` | it is a key of `offset`, not of `json_link`",
        ),
        ("params = { a = '{{ page.body }}' }", "`page.body` is not a value of its own | write `page.body.FIELD`"),
        (
            "path = 'a/{{ page.body.id }}'",
            "`page.body.id` has no value on the first request, and `path` needs one | say what to send then: `{{ page.body.id | default('') }}`",
        ),
        ("params = { a = '{{ page.frist }}' }", "unknown name `page.frist` | did you mean `page.first`?"),
        (
            "json = '{\"a\": {{ page.limit }}}'",
            "`json` is not JSON: key must be a string at line 1 column 8 | expressions stand in quotes, where one that stands alone keeps its type: \"{{ page.limit }}\"",
        ),
        (
            "json = '{\"a\": 123456789012345678901}'",
            "`json` has a number with more digits than can be sent | send it as a text, in quotes",
        ),
        ("json = '{\"${N}\": 1}'", "`${…}` can't be used in a name"),
        ("json = '[\"{{ page.curser }}\"]'", "unknown name `page.curser` | did you mean `page.cursor`?"),
        (
            "params = { a = '{{ partition.value[0] }}' }\npartitions = { values = ['x'] }",
            "`partition.value[0]` never has a value: `partition.value` is a single value | use `partition.value`, or take the rows from a file or query",
        ),
    ] {
        let found = mistakes(&resource(keys));
        assert!(found.len() == 1 && found[0].starts_with("4:") && found[0].ends_with(mistake), "{keys}: {found:?}");
    }
    let keys = "params = { s = '{{ page.body.session }}' }\npaginator = { type = 'offset', prefetch = 2 }";
    let found = mistakes(&resource(keys));
    let mistake = "`page.body` and `prefetch` exclude each other | a request with `page.body` is made once the page before it is known";
    assert!(found.len() == 1 && found[0].ends_with(mistake), "{found:?}");
}

#[test]
fn a_list_of_the_parent_must_be_kept_as_one() {
    let file = |columns: &str, name: &str| {
        format!(
            "{CLIENT}[resources.boards]\n{columns}\n[resources.items]\nparent = 'boards'\npath = 'items/{{{{ parent.{name} }}}}'\n"
        )
    };
    let found = mistakes(&file("", "items[0].id"));
    assert_eq!(found.len(), 1, "{found:?}");
    assert!(
        found[0].ends_with(
            "the rows of `boards` don't keep `items` as a list: it has a table of its own | keep it in one column: \
             `columns.items = { type = \"JSON\" }` in `boards`"
        ),
        "{found:?}"
    );
    let field = |name: &str| {
        let plan = plan(&file("columns.items = { type = 'json' }\ncolumns.meta__x = { type = 'JSON' }", name));
        let parent = plan.resource("items").unwrap().parent.clone().unwrap();
        (parent.fields[0].places[0].field.to_string(), parent.fields[0].places[0].within.join(" "))
    };
    assert_eq!(field("items[0].id"), ("items".to_owned(), "[0] id".to_owned()));
    assert_eq!(field("meta.x.y"), ("meta.x".to_owned(), "y".to_owned()));
    assert_eq!(field("meta.z"), ("meta.z".to_owned(), String::new()));
}

#[test]
fn a_body_of_text_is_json_if_it_begins_like_an_object_or_a_list() {
    for (keys, expected) in [
        (
            "json = ' {\"a\": null, \"b\": [1.5, \"x{{ 1 + 1 }}\", \"{{ 1 + 1 }}\", null], \"c\": \"{{ page.cursor }}\"}'",
            r#"{"a":null,"b":[1.5,"x2",2,null]}"#,
        ),
        ("json = '[null]'", "[null]"),
        ("json = '{{ [1, 2] }}'", "[1,2]"),
        ("json = 'text'", "\"text\""),
        ("json = '''{\"a\": \"${N}/{{ 'b' }}\"}'''", r#"{"a":"7/b"}"#),
    ] {
        assert_eq!(body(keys), expected, "{keys}");
    }
}

#[test]
fn names_of_pages_that_are_never_set_are_warned_about() {
    let warned = |paginator: &str, name: &str| {
        let keys = format!("paginator = {paginator}\nparams = {{ a = '{{{{ {name} }}}}' }}");
        warnings(&resource(&keys)).iter().any(|warning| warning.contains(&format!("`{name}` has no value in")))
    };
    assert!(!warned("'single_page'", "page.first") && !warned("'json_link'", "page.first"));
    assert!(warned("'single_page'", "page.body.id") && !warned("'json_link'", "page.body.id"));
}
