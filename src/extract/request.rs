//! The request for one page: what the file says, the cursor's start and the paginator's parameters put together.
//!
//! Where two give a parameter the same name, the paginator wins over the incremental start, and that over `params`.

use super::paginate::PageRequest;
use crate::error::{Error, Kind, Result};
use crate::http::Request;
use crate::http::origin::Origins;
use crate::plan::model::{BodySpec, Client, JsonTemplate, RequestSpec, Resource, Text};
use crate::plan::template::Scope;
use crate::secret::Secret;
use bytes::Bytes;
use serde_json::{Map, Value};
use url::Url;
use url::form_urlencoded::{Serializer, byte_serialize, parse};

/// Names that say where in a list a page is. In `params` they are the first page's, so a `next` link does not inherit
/// them.
const POSITION_PARAMS: [&str; 9] =
    ["page", "offset", "cursor", "page_token", "pageToken", "next_token", "nextToken", "starting_after", "skip"];

/// Builds the request for a page. `scope` holds the parent, the variables and `cursor_start`; what it says of the page
/// is replaced.
///
/// # Errors
/// A template fails on its values, or the path leads to a host that is not allowed.
pub fn build(client: &Client, resource: &Resource, scope: &Scope, page: &PageRequest) -> Result<Request> {
    let spec = &resource.request;
    let scope = page_scope(scope, page);
    let (url, is_link) = match &page.link {
        Some(link) => (link.clone(), true),
        None => (endpoint(client, spec, &scope)?, false),
    };
    let mut params = params(spec, &scope)?;
    if let Some(incremental) = &resource.incremental
        && let (Some(name), Some(start)) = (&incremental.start_param, &scope.cursor_start)
    {
        params.set(name, start);
    }
    for (name, value) in &page.params {
        params.set(name, value);
    }
    let mut request = Request::get(with_params(url, &params.plain, is_link));
    request.method.clone_from(&spec.method);
    request.secret_params = params.secret;
    add_headers(&mut request, spec, &scope)?;
    if let Some(body) = &spec.body {
        add_body(&mut request, body, &scope)?;
    }
    Ok(request)
}

fn page_scope(scope: &Scope, page: &PageRequest) -> Scope {
    let mut scope = scope.clone();
    scope.page_offset = page.offset;
    scope.page_number = page.page_number;
    scope.page_limit = page.limit;
    scope.page_cursor.clone_from(&page.cursor);
    scope
}

/// The address of a resource: `base_url`, its path kept, and the path below it. An absolute path stands for itself.
fn endpoint(client: &Client, spec: &RequestSpec, scope: &Scope) -> Result<Url> {
    let path = spec.path.render_path(scope)?;
    let unusable = |cause: url::ParseError| {
        Error::new(Kind::Config, "`path` does not make a URL").with("path", spec.path.source()).source(cause)
    };
    if path.starts_with("https://") || path.starts_with("http://") {
        let url = Url::parse(&path).map_err(unusable)?;
        Origins::new(client).reach(&url).map_err(|cause| {
            Error::new(Kind::Config, "`path` leads to a host that is not allowed")
                .with("path", spec.path.source())
                .hint("add the host to `allowed_hosts` of [client]")
                .source(cause)
        })?;
        return Ok(url);
    }
    let mut base = client.base_url.clone();
    base.set_query(None);
    base.set_fragment(None);
    let base_text = base.as_str();
    let below = path.trim_start_matches('/');
    // The slash that ends `base_url` only separates it from a path.
    let joined = match below.chars().next() {
        None | Some('?') if base.path() != "/" => format!("{}{below}", base_text.trim_end_matches('/')),
        _ => format!("{base_text}{below}"),
    };
    let url = Url::parse(&joined).map_err(unusable)?;
    let inherited: Vec<_> = client.base_url.query_pairs().map(|(k, v)| (k.into_owned(), v.into_owned())).collect();
    Ok(with_params(url, &inherited, true))
}

/// Query parameters: those that may be seen, and those that hold a secret.
#[derive(Debug, Default)]
struct Params {
    plain: Vec<(String, String)>,
    secret: Vec<(String, Secret)>,
}

impl Params {
    /// Gives a parameter one value, in the place of whatever it had.
    fn set(&mut self, name: &str, value: &str) {
        self.plain.retain(|(n, _)| n != name);
        self.secret.retain(|(n, _)| n != name);
        self.plain.push((name.to_owned(), value.to_owned()));
    }
}

fn params(spec: &RequestSpec, scope: &Scope) -> Result<Params> {
    let mut params = Params::default();
    for (name, texts) in &spec.params {
        for text in texts {
            let Some(value) = render(text, scope, "params", name)? else { continue };
            if text.secret {
                params.secret.push((name.clone(), Secret::new(value)));
            } else {
                params.plain.push((name.clone(), value));
            }
        }
    }
    Ok(params)
}

fn render(text: &Text, scope: &Scope, place: &'static str, name: &str) -> Result<Option<String>> {
    text.template.render(scope).map_err(|error| error.with(place, name))
}

/// Adds parameters to a URL. What its query already has is left as it is written, because links may be signed. In a
/// `next` link a parameter that the link repeats is the link's; one that it dropped (a filter) is added.
fn with_params(mut url: Url, params: &[(String, String)], is_link: bool) -> Url {
    let query = url.query().unwrap_or_default().to_owned();
    let names: Vec<String> = parse(query.as_bytes()).map(|(name, _)| name.into_owned()).collect();
    let is_added = |name: &str| match is_link {
        true => !POSITION_PARAMS.contains(&name) && !names.iter().any(|n| n == name),
        false => true,
    };
    let added: Vec<_> = params.iter().filter(|(name, _)| is_added(name)).collect();
    if added.is_empty() {
        return url;
    }
    let replaces = |part: &str| parse(part.as_bytes()).any(|(name, _)| added.iter().any(|(n, _)| *n == name));
    let kept = query.split('&').filter(|part| !part.is_empty() && !replaces(part)).map(str::to_owned);
    let parts: Vec<String> = kept.chain(added.iter().map(|(name, value)| query_part(name, value))).collect();
    url.set_query(Some(&parts.join("&")));
    url
}

fn query_part(name: &str, value: &str) -> String {
    byte_serialize(name.as_bytes()).chain(["="]).chain(byte_serialize(value.as_bytes())).collect()
}

fn add_headers(request: &mut Request, spec: &RequestSpec, scope: &Scope) -> Result<()> {
    if !spec.headers.iter().any(|(name, _)| name.eq_ignore_ascii_case("accept")) {
        request.headers.push(("Accept".to_owned(), "application/json".to_owned()));
    }
    for (name, text) in &spec.headers {
        let Some(value) = render(text, scope, "headers", name)? else { continue };
        if text.secret {
            request.secret_headers.push((name.clone(), Secret::new(value)));
        } else {
            request.headers.push((name.clone(), value));
        }
    }
    Ok(())
}

fn add_body(request: &mut Request, body: &BodySpec, scope: &Scope) -> Result<()> {
    let (content, content_type) = match body {
        BodySpec::Json(template) => (json(template, scope)?.map(|value| value.to_string()), "application/json"),
        BodySpec::Form(fields) => (Some(form(fields, scope)?), "application/x-www-form-urlencoded"),
        BodySpec::Raw(text) => (render(text, scope, "request", "body")?, "text/plain; charset=utf-8"),
    };
    request.secret_body = holds_secret(body);
    if let Some(content) = content {
        request.body = Some(Bytes::from(content));
        request.content_type = Some(content_type.to_owned());
    }
    Ok(())
}

fn form(fields: &[(String, Vec<Text>)], scope: &Scope) -> Result<String> {
    let mut form = Serializer::new(String::new());
    for (name, texts) in fields {
        for text in texts {
            if let Some(value) = render(text, scope, "form", name)? {
                form.append_pair(name, &value);
            }
        }
    }
    Ok(form.finish())
}

/// Columns of a request: a text that is exactly one expression keeps its value's type; one that gives none is null.
///
/// # Errors
/// An expression fails on its values.
pub fn columns(templates: &[(String, JsonTemplate)], scope: &Scope) -> Result<Vec<(String, Value)>> {
    let column = |(name, template): &(String, JsonTemplate)| match json(template, scope) {
        Ok(value) => Ok((name.clone(), value.unwrap_or_default())),
        Err(error) => Err(error.with("add_columns", name)),
    };
    templates.iter().map(column).collect()
}

/// A JSON value; `None` where its text gives none. That drops the innermost member or element around it.
fn json(template: &JsonTemplate, scope: &Scope) -> Result<Option<Value>> {
    Ok(Some(match template {
        JsonTemplate::Literal(value) => value.clone(),
        JsonTemplate::Text(text) => {
            return text.template.render_json(scope).map_err(|error| error.with("request", "json"));
        }
        JsonTemplate::Array(elements) => {
            let mut values = Vec::with_capacity(elements.len());
            for element in elements {
                values.extend(json(element, scope)?);
            }
            Value::Array(values)
        }
        JsonTemplate::Object(members) => {
            let mut object = Map::new();
            for (name, member) in members {
                if let Some(value) = json(member, scope)? {
                    object.insert(name.clone(), value);
                }
            }
            Value::Object(object)
        }
    }))
}

fn holds_secret(body: &BodySpec) -> bool {
    fn json_holds(template: &JsonTemplate) -> bool {
        match template {
            JsonTemplate::Literal(_) => false,
            JsonTemplate::Text(text) => text.secret,
            JsonTemplate::Array(elements) => elements.iter().any(json_holds),
            JsonTemplate::Object(members) => members.iter().any(|(_, member)| json_holds(member)),
        }
    }
    match body {
        BodySpec::Json(template) => json_holds(template),
        BodySpec::Form(fields) => fields.iter().any(|(_, texts)| texts.iter().any(|text| text.secret)),
        BodySpec::Raw(text) => text.secret,
    }
}

#[cfg(test)]
mod tests {
    use super::super::fixture::{client, plain, resource, secret};
    use super::*;
    use crate::plan::model::{FieldPath, Paginator};
    use crate::plan::template::Template;
    use serde_json::json as value;

    fn scope() -> Scope {
        Scope {
            parent: vec![(FieldPath(vec!["id".into()]), value!("a/b?c#d"))],
            cursor_start: Some("2026-01-01T00:00:00Z".into()),
            ..Scope::default()
        }
    }

    fn url_of(resource: &Resource, scope: &Scope, page: &PageRequest) -> String {
        build(&client(), resource, scope, page).unwrap().url.to_string()
    }

    fn with_path(path: &str) -> Resource {
        let mut resource = resource(Paginator::SinglePage);
        resource.request.path = Template::parse(path).unwrap();
        resource
    }

    #[test]
    fn a_path_is_joined_below_the_base_path() {
        for (path, expected) in [
            ("videos", "https://api.test/v1/videos"),
            ("/videos", "https://api.test/v1/videos"),
            ("videos/", "https://api.test/v1/videos/"),
            ("", "https://api.test/v1"),
            ("?kind=a", "https://api.test/v1?kind=a"),
            ("videos/{{ parent.id }}/views", "https://api.test/v1/videos/a%2Fb%3Fc%23d/views"),
            ("https://api.test/v2/videos", "https://api.test/v2/videos"),
            ("https://files.test/x", "https://files.test/x"),
        ] {
            assert_eq!(url_of(&with_path(path), &scope(), &PageRequest::default()), expected, "{path}");
        }
    }

    #[test]
    fn an_absolute_path_to_a_foreign_host_is_refused() {
        let error = build(&client(), &with_path("https://evil.test/x"), &scope(), &PageRequest::default()).unwrap_err();
        assert_eq!(error.message(), "`path` leads to a host that is not allowed");
    }

    #[test]
    fn the_paginator_wins_over_the_start_and_the_start_over_params() {
        let mut resource = resource(Paginator::SinglePage);
        resource.request.path = Template::parse("videos?limit=7&sort=id").unwrap();
        resource.request.params = vec![
            ("since".into(), vec![plain("never")]),
            ("limit".into(), vec![plain("5")]),
            ("tag".into(), vec![plain("a"), plain("b c")]),
            ("absent".into(), vec![plain("{{ page.cursor }}")]),
            ("empty".into(), vec![plain("")]),
            ("key".into(), vec![secret("tuG4rqqTS")]),
        ];
        resource.incremental = Some(super::super::fixture::incremental("since"));
        let page = PageRequest { params: vec![("limit".into(), "100".into())], ..PageRequest::default() };
        let request = build(&client(), &resource, &scope(), &page).unwrap();
        assert_eq!(
            request.url.as_str(),
            "https://api.test/v1/videos?sort=id&tag=a&tag=b+c&empty=&since=2026-01-01T00%3A00%3A00Z&limit=100"
        );
        assert_eq!(request.secret_params, [("key".to_owned(), Secret::new("tuG4rqqTS"))]);
        assert_eq!(request.headers, [("Accept".to_owned(), "application/json".to_owned())]);
    }

    #[test]
    fn without_a_start_its_parameter_is_left_to_params() {
        let mut resource = resource(Paginator::SinglePage);
        resource.incremental = Some(super::super::fixture::incremental("since"));
        let url = url_of(&resource, &Scope::default(), &PageRequest::default());
        assert_eq!(url, "https://api.test/v1/videos");
    }

    #[test]
    fn a_next_link_keeps_its_own_query_and_gets_back_the_filters_it_dropped() {
        let mut resource = resource(Paginator::SinglePage);
        resource.request.params = vec![
            ("kind".into(), vec![plain("a")]),
            ("tag".into(), vec![plain("x"), plain("y")]),
            ("page".into(), vec![plain("1")]),
        ];
        resource.incremental = Some(super::super::fixture::incremental("since"));
        let link = |url: &str| PageRequest { link: Some(Url::parse(url).unwrap()), ..PageRequest::default() };
        for (target, expected) in [
            (
                "https://api.test/v1/videos?cursor=a%2Bb",
                "https://api.test/v1/videos?cursor=a%2Bb&kind=a&tag=x&tag=y&since=2026-01-01T00%3A00%3A00Z",
            ),
            (
                "https://api.test/x?kind=b&tag=z&since=2026-01-01T00:00:00Z",
                "https://api.test/x?kind=b&tag=z&since=2026-01-01T00:00:00Z",
            ),
        ] {
            assert_eq!(url_of(&resource, &scope(), &link(target)), expected);
        }
    }

    #[test]
    fn secrets_go_where_credentials_go() {
        let mut resource = resource(Paginator::SinglePage);
        resource.request.headers = vec![("X-Key".into(), secret("tuG4rqqTS")), ("accept".into(), plain("text/csv"))];
        resource.request.body = Some(BodySpec::Form(vec![("q".into(), vec![plain("a b"), secret("tuG4rqqTS")])]));
        let request = build(&client(), &resource, &scope(), &PageRequest::default()).unwrap();
        assert_eq!(request.headers, [("accept".to_owned(), "text/csv".to_owned())]);
        assert_eq!(request.secret_headers, [("X-Key".to_owned(), Secret::new("tuG4rqqTS"))]);
        assert_eq!(request.body.as_deref(), Some(b"q=a+b&q=tuG4rqqTS".as_slice()));
        assert!(request.secret_body);
        assert_eq!(request.content_type.as_deref(), Some("application/x-www-form-urlencoded"));
    }

    #[test]
    fn a_json_body_keeps_types_and_drops_what_has_no_value() {
        let text = |source: &str| JsonTemplate::Text(plain(source));
        let mut resource = resource(Paginator::SinglePage);
        resource.request.body = Some(BodySpec::Json(JsonTemplate::Object(vec![
            ("limit".into(), text("{{ page.limit }}")),
            ("after".into(), text("{{ page.cursor }}")),
            ("ids".into(), JsonTemplate::Array(vec![text("{{ parent.id }}"), text("{{ page.cursor }}")])),
            ("all".into(), JsonTemplate::Literal(value!(true))),
        ])));
        let page = PageRequest { limit: Some(50), ..PageRequest::default() };
        let request = build(&client(), &resource, &scope(), &page).unwrap();
        assert_eq!(request.body.as_deref(), Some(br#"{"limit":50,"ids":["a/b?c#d"],"all":true}"#.as_slice()));
        assert_eq!(request.content_type.as_deref(), Some("application/json"));
        assert!(!request.secret_body);
    }
}
