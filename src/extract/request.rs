//! The request for one page: what the file says, the cursor's start and the paginator's parameters put together.
//!
//! Where two give a parameter the same name, the paginator wins over the bounds of the cursor, and those over `params`.

use super::paginate::{PageRequest, Paging};
use crate::error::{Error, Kind, Result};
use crate::http::Request;
use crate::http::origin::Origins;
use crate::plan::model::{AllowedHost, BodySpec, Client, JsonTemplate, RequestSpec, Resource, Text};
use crate::plan::template::{Scope, Template, text_of};
use crate::secret::Secret;
use bytes::Bytes;
use serde_json::Value;
use url::Url;
use url::form_urlencoded::{Serializer, byte_serialize, parse};

/// Names that say where in a list a page is. In `params` they are the first page's, so a `next` link does not inherit
/// them.
const POSITION_PARAMS: [&str; 18] = [
    "page",
    "page[number]",
    "page[offset]",
    "page[cursor]",
    "page[after]",
    "pageNumber",
    "page_number",
    "offset",
    "skip",
    "$skip",
    "$skiptoken",
    "cursor",
    "page_token",
    "pageToken",
    "next_token",
    "nextToken",
    "page_info",
    "starting_after",
];

/// Names with which links are signed (AWS, Google Cloud, Azure, CloudFront): nothing can be added to such a link.
const SIGNATURE_PARAMS: [&str; 5] = ["x-amz-signature", "x-goog-signature", "signature", "sig", "hmac"];

/// Builds the request for a page. `scope` holds the parent, the variables and `cursor_start`; what it says of the page
/// is replaced.
///
/// # Errors
/// A template fails on its values, or the path leads to a host that is not allowed.
pub fn build(client: &Client, resource: &Resource, scope: &Scope, page: &PageRequest) -> Result<Request> {
    let spec = &resource.request;
    let scope = page_scope(scope, page);
    let base = client.base_url.render(&scope)?;
    let mut params = params(spec, &scope)?;
    if page.is_whole {
        params.plain.clear();
    } else if let Some(incremental) = &resource.incremental {
        let bounds = [(&incremental.start_param, &scope.cursor_start), (&incremental.end_param, &scope.cursor_end)];
        for (name, value) in bounds {
            if let (Some(name), Some(value)) = (name, value) {
                params.set(name, &text_of(value));
            }
        }
    }
    for (name, value) in &page.params {
        params.set(name, value);
    }
    let asks_anew = page.link.is_none() && !client.base_url.uses("parent");
    if asks_anew && resource.parent.is_some() && !spec.names_its_parent(&scope)? {
        return Err(Error::new(
            Kind::Data,
            "no expression of the request has a value for this parent: it would ask for everything",
        )
        .hint("`parent_filter` says which parents are asked for"));
    }
    let url = match &page.link {
        Some(link) if resource.paginator.keeps_params() && !is_signed(link) => with_dropped(link, &params.plain),
        Some(link) => link.clone(),
        None => {
            let url = endpoint(&base, &client.allowed_hosts, spec, &scope)?;
            if is_signed(&url) { url } else { with_params(url, &params.plain) }
        }
    };
    let request = Request { base_url: base.into_owned(), ..Request::get(url) };
    complete(request, spec, params.secret, &scope)
}

/// A request that comes before the first page of a walk.
///
/// # Errors
/// As [`build`].
pub fn preparation(client: &Client, spec: &RequestSpec, scope: &Scope) -> Result<Request> {
    let base = client.base_url.render(scope)?;
    let params = params(spec, scope)?;
    let url = with_params(endpoint(&base, &client.allowed_hosts, spec, scope)?, &params.plain);
    let request = Request { base_url: base.into_owned(), ..Request::get(url) };
    complete(request, spec, params.secret, scope)
}

/// The request for the first page; `link`: an address that an answer gave for it.
///
/// # Errors
/// As those of [`build`].
pub fn first(client: &Client, resource: &Resource, scope: &Scope, link: Option<Url>) -> Result<Request> {
    let page = match link {
        Some(link) => PageRequest::at(link),
        None => Paging::new(resource).first(),
    };
    build(client, resource, scope, &page)
}

/// The request that begins a session. An address that the file spells out is its own origin: the login's credentials go
/// there, and nowhere else. `base` is none where it differs from request to request.
///
/// # Errors
/// A template fails on its values, or the path makes no URL.
pub fn login(base: Option<&Url>, spec: &RequestSpec, scope: &Scope) -> Result<Request> {
    let fault = |message: &str| Error::new(Kind::Config, message).with("path", spec.path.source());
    let path = spec.path.render_url(scope)?;
    let url = match (path.contains("://"), base) {
        (true, _) => Url::parse(&path).map_err(|e| fault("the `path` of `auth.login` is not a URL").source(e))?,
        (false, Some(base)) => {
            below(base, &path).map_err(|e| fault("the `path` of `auth.login` makes no URL").source(e))?
        }
        (false, None) => {
            return Err(fault(
                "the `path` of `auth.login` has to be a whole URL, because `base_url` differs from request to request",
            ));
        }
    };
    if !matches!(url.scheme(), "http" | "https") || !url.username().is_empty() || url.password().is_some() {
        return Err(fault("the `path` of `auth.login` is not a URL that a request can go to"));
    }
    let params = params(spec, scope)?;
    complete(Request::get(with_params(url, &params.plain)), spec, params.secret, scope)
}

/// A request with what the file says of it beside its address.
fn complete(
    mut request: Request,
    spec: &RequestSpec,
    secret_params: Vec<(String, Secret)>,
    scope: &Scope,
) -> Result<Request> {
    request.method.clone_from(&spec.method);
    request.secret_params = secret_params;
    add_headers(&mut request, spec, scope)?;
    if let Some(body) = &spec.body {
        add_body(&mut request, body, scope)?;
    }
    Ok(request)
}

fn page_scope(scope: &Scope, page: &PageRequest) -> Scope {
    let mut scope = scope.clone();
    scope.page_offset = page.offset;
    scope.page_number = page.page_number;
    scope.page_limit = page.limit;
    scope.page_cursor.clone_from(&page.cursor);
    scope.page_first = Some(page.is_first);
    scope.page_body.clone_from(&page.body);
    scope
}

/// The address of a resource: `base_url`, its path kept, and the path below it. An absolute path stands for itself, and so does
/// an address that an API gave, if the path is nothing else.
fn endpoint(base: &Url, allowed_hosts: &[AllowedHost], spec: &RequestSpec, scope: &Scope) -> Result<Url> {
    let path = match given_address(&spec.path, base, scope)? {
        Some(address) => address,
        None => spec.path.render_path(scope)?,
    };
    let unusable = |cause: url::ParseError| {
        Error::new(Kind::Config, "`path` does not make a URL").with("path", spec.path.source()).source(cause)
    };
    if path.starts_with("https://") || path.starts_with("http://") {
        let url = Url::parse(&path).map_err(unusable)?;
        Origins::new(base, allowed_hosts).reach(&url).map_err(|cause| {
            Error::new(Kind::Config, "`path` leads to a host that is not allowed")
                .with("path", spec.path.source())
                .hint("add the host to `allowed_hosts` of [client]")
                .source(cause)
        })?;
        return Ok(url);
    }
    below(base, &path).map_err(unusable)
}

/// The whole address that a path of one expression gives: with a scheme, or from the root of the server on.
fn given_address(path: &Template, base: &Url, scope: &Scope) -> Result<Option<String>> {
    if !path.is_one_expression() {
        return Ok(None);
    }
    let Some(Value::String(given)) = path.render_json(scope)? else { return Ok(None) };
    if given.starts_with("https://") || given.starts_with("http://") {
        return Ok(Some(given));
    }
    let joined = if given.starts_with('/') { base.join(&given).ok() } else { None };
    Ok(joined.map(String::from))
}

/// The URL of a path below a base.
fn below(base: &Url, path: &str) -> Result<Url, url::ParseError> {
    let below = path.trim_start_matches('/');
    // The slash that ends `base_url` only separates it from a path.
    match below.chars().next() {
        None | Some('?') if base.path() != "/" => {
            Url::parse(&format!("{}{below}", base.as_str().trim_end_matches('/')))
        }
        _ => Url::parse(&format!("{base}{below}")),
    }
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
            for value in text.template.render_each(scope).map_err(|error| error.with("params", name))? {
                if text.secret {
                    params.secret.push((name.clone(), Secret::new(value)));
                } else {
                    params.plain.push((name.clone(), value));
                }
            }
        }
    }
    Ok(params)
}

fn render(text: &Text, scope: &Scope, place: &'static str, name: &str) -> Result<Option<String>> {
    text.template.render(scope).map_err(|error| error.with(place, name))
}

/// The names of a URL's query.
fn query_names(url: &Url) -> Vec<String> {
    parse(url.query().unwrap_or_default().as_bytes()).map(|(name, _)| name.into_owned()).collect()
}

/// Whether a link holds a signature of its whole query.
fn is_signed(link: &Url) -> bool {
    query_names(link).iter().any(|name| SIGNATURE_PARAMS.contains(&name.to_ascii_lowercase().as_str()))
}

/// Gives a link back the parameters that it dropped: filters that the rest of the list is to keep. Those that it repeats are the
/// link's, and positions are no filters.
fn with_dropped(link: &Url, params: &[(String, String)]) -> Url {
    let names = query_names(link);
    let is_dropped = |name: &str| !POSITION_PARAMS.contains(&name) && !names.iter().any(|n| n == name);
    let dropped: Vec<_> = params.iter().filter(|(name, _)| is_dropped(name)).cloned().collect();
    with_params(link.clone(), &dropped)
}

/// Adds parameters to a URL, in the place of those of their names. The rest of its query is left as it is written.
fn with_params(mut url: Url, params: &[(String, String)]) -> Url {
    if params.is_empty() {
        return url;
    }
    let replaces = |part: &str| parse(part.as_bytes()).any(|(name, _)| params.iter().any(|(n, _)| *n == name));
    let query = url.query().unwrap_or_default().to_owned();
    let kept = query.split('&').filter(|part| !part.is_empty() && !replaces(part)).map(str::to_owned);
    let parts: Vec<String> = kept.chain(params.iter().map(|(name, value)| query_part(name, value))).collect();
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
        BodySpec::Json(template) => {
            let value = template.render(scope).map_err(|error| error.with("request", "json"))?;
            (value.map(|value| value.to_string()), "application/json")
        }
        BodySpec::Form(fields) => (Some(form(fields, scope)?), "application/x-www-form-urlencoded"),
        BodySpec::Raw(text) => {
            let content = render(text, scope, "request", "body")?.ok_or_else(|| {
                Error::new(Kind::Data, "an expression in `body` has no value")
                    .hint("say what to send then, as in `{{ page.cursor | default('') }}`, or use `json`")
            })?;
            (Some(content), "text/plain; charset=utf-8")
        }
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
            for value in text.template.render_each(scope).map_err(|error| error.with("form", name))? {
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
    let column = |(name, template): &(String, JsonTemplate)| match template.render(scope) {
        Ok(value) => Ok((name.clone(), value.unwrap_or_default())),
        Err(error) => Err(error.with("add_columns", name)),
    };
    templates.iter().map(column).collect()
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
    fn a_link_that_is_signed_or_is_to_be_followed_as_it_is_gets_nothing() {
        let link = |url: &str| PageRequest { link: Some(Url::parse(url).unwrap()), ..PageRequest::default() };
        let mut kept = resource(super::super::fixture::json_link("next"));
        kept.request.params = vec![("kind".into(), vec![plain("a")])];
        for signed in ["https://files.test/x?X-Amz-Signature=abc", "https://api.test/x?sig=a%2Bb&se=1"] {
            assert_eq!(url_of(&kept, &scope(), &link(signed)), signed);
        }
        let opaque = "https://api.test/x?page_info=abc";
        assert_eq!(url_of(&kept, &scope(), &link(opaque)), "https://api.test/x?page_info=abc&kind=a");
        if let Paginator::JsonLink(keys) = &mut kept.paginator {
            keys.keep_params = false;
        }
        assert_eq!(url_of(&kept, &scope(), &link(opaque)), opaque);
    }

    #[test]
    fn a_list_repeats_its_parameter_and_an_absent_value_leaves_it_out() {
        let mut resource = with_path("videos");
        let tags = "{{ parent.tags }}";
        resource.request.params = vec![("tag".into(), vec![plain(tags)]), ("x".into(), vec![plain("{{ parent.x }}")])];
        resource.request.body = Some(BodySpec::Form(vec![("t".into(), vec![plain(tags)])]));
        let scope = Scope { parent: vec![(FieldPath(vec!["tags".into()]), value!(["a b", null, 7]))], ..scope() };
        let request = build(&client(), &resource, &scope, &PageRequest::default()).unwrap();
        assert_eq!(request.url.as_str(), "https://api.test/v1/videos?tag=a+b&tag=7");
        assert_eq!(request.body.as_deref(), Some(b"t=a+b&t=7".as_slice()));
    }

    #[test]
    fn a_body_of_text_can_not_leave_a_value_out() {
        let mut resource = with_path("videos");
        resource.request.body = Some(BodySpec::Raw(plain("after={{ page.cursor }}")));
        let error = build(&client(), &resource, &scope(), &PageRequest::default()).unwrap_err();
        assert_eq!(error.message(), "an expression in `body` has no value");
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
