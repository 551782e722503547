//! How an operation pages, guessed from its parameters and its answer.

use super::document::{Document, Operation, Parameter, Shape};
use super::list::List;
use super::words::{inline, normal, quoted};
use serde_json::Value;

const SIZE_NAMES: &[&str] = &[
    "perpage",
    "pagesize",
    "limit",
    "size",
    "maxresults",
    "count",
    "take",
    "top",
    "rows",
    "resultsperpage",
    "pagelimit",
    "itemsperpage",
    "maxitems",
    "maxpagesize",
    "pageperpage",
    "pagecount",
    "max",
];
const OFFSET_NAMES: &[&str] =
    &["offset", "skip", "start", "startat", "startindex", "pageoffset", "from", "firstresult"];
const PAGE_NAMES: &[&str] = &["page", "pagenumber", "pageno", "pagenum", "pageindex", "p", "currentpage"];
const TOKEN_PARAMS: &[&str] = &[
    "cursor",
    "pagecursor",
    "nextcursor",
    "startcursor",
    "aftercursor",
    "pagetoken",
    "nextpagetoken",
    "nexttoken",
    "continuationtoken",
    "continuation",
    "after",
    "pageafter",
    "startingafter",
    "startafter",
    "marker",
    "scrollid",
    "next",
    "bookmark",
];
const TOKEN_FIELDS: &[&str] = &[
    "nextcursor",
    "nextpagetoken",
    "nexttoken",
    "nextpagecursor",
    "endcursor",
    "continuationtoken",
    "nextcontinuationtoken",
    "nextmarker",
    "aftercursor",
    "nextpage",
    "scrollid",
    "cursor",
    "after",
    "pagetoken",
    "bookmark",
    "next",
];
const LINK_FIELDS: &[&str] =
    &["next", "nexturl", "nextlink", "odatanextlink", "nextpageurl", "nextpage", "nexthref", "nexturi"];

/// Page sizes are asked for up to this; some documents allow absurd ones.
const SIZE_MAX: u64 = 1000;
const SIZE_USUAL: u64 = 100;

/// What was guessed.
#[derive(Debug, Default, Clone, PartialEq)]
pub(super) struct Paging {
    /// The value of `paginator` as TOML; none: Pintail is to find out.
    pub(super) paginator: Option<String>,
    /// Parameters beside it: the size of pages.
    pub(super) params: Vec<(String, String)>,
    /// What a person should know.
    pub(super) note: Option<String>,
    /// Parameters that the paginator takes over.
    pub(super) taken: Vec<String>,
}

/// A text or number in the envelope, with its path.
struct Field<'d> {
    path: String,
    name: String,
    schema: &'d Value,
    is_required: bool,
}

/// Guesses.
pub(super) fn guess<'d>(
    document: &Document<'d>,
    operation: &Operation<'d>,
    list: &List<'d>,
    headers: &[&str],
) -> Paging {
    let query: Vec<&Parameter<'_>> = operation.parameters.iter().filter(|p| p.place == "query").collect();
    let is_number =
        |p: &Parameter<'_>| matches!(document.shape(p.schema), Shape::Integer | Shape::Number | Shape::Unknown);
    let named = |names: &[&str]| names.iter().find_map(|n| query.iter().find(|p| normal(p.name) == *n)).copied();
    let size = named(SIZE_NAMES).filter(|p| is_number(p));
    let offset = named(OFFSET_NAMES).filter(|p| is_number(p));
    let page = named(PAGE_NAMES).filter(|p| is_number(p));
    let token = named(TOKEN_PARAMS).filter(|p| offset.is_none_or(|o| o.name != p.name));
    let mut fields = Vec::new();
    if let Some(envelope) = list.envelope {
        gather(document, envelope, "", 3, true, &mut fields);
    }
    let mut found = Paging::default();
    found.taken.extend([size, offset, page, token].into_iter().flatten().map(|p| p.name.to_owned()));
    let sized = |found: &mut Paging| {
        found.params.extend(size.map(|p| (p.name.to_owned(), page_size(p).to_string())));
    };
    if let Some(link) = link_field(document, &fields, token.is_some()) {
        found.paginator = Some(table("json_link", vec![("next_url_path", quoted(&link.path))]));
        sized(&mut found);
    } else if let Some(token) = token.filter(|_| !has_link_header(headers)) {
        by_token(document, token, &fields, list, &mut found);
        sized(&mut found);
    } else if has_link_header(headers) {
        found.paginator = Some(quoted("header_link"));
        sized(&mut found);
    } else if let Some(offset) = offset {
        found.paginator = Some(by_offset(offset, size, &fields, &mut found.note));
    } else if let Some(page) = page {
        found.paginator = Some(by_page(page, size, &fields, &mut found.note));
    } else {
        sized(&mut found);
    }
    found
}

fn has_link_header(headers: &[&str]) -> bool {
    headers.iter().any(|header| header.eq_ignore_ascii_case("link"))
}

fn gather<'d>(
    document: &Document<'d>,
    schema: &'d Value,
    prefix: &str,
    depth: usize,
    is_certain: bool,
    fields: &mut Vec<Field<'d>>,
) {
    let members = document.members(schema);
    for &(name, member) in &members.all {
        let path = if prefix.is_empty() { name.to_owned() } else { format!("{prefix}.{name}") };
        let is_required = is_certain && members.is_required(name) && !document.is_nullable(member);
        match document.shape(member) {
            Shape::List(_) => {}
            Shape::Object if depth > 1 => gather(document, member, &path, depth - 1, is_required, fields),
            Shape::Object => {}
            _ => fields.push(Field { path, name: normal(name), schema: document.resolve(member), is_required }),
        }
    }
}

/// A URL of the next page. Without a format that says so, `next` is a URL only where no token could be meant.
fn link_field<'f, 'd>(document: &Document<'d>, fields: &'f [Field<'d>], has_token: bool) -> Option<&'f Field<'d>> {
    let says_url = |field: &Field<'_>| {
        let words = field.schema["description"].as_str().unwrap_or_default().to_lowercase();
        let example = field.schema["example"].as_str().unwrap_or_default();
        let format = field.schema["format"].as_str().unwrap_or_default();
        format.starts_with("uri")
            || format == "url"
            || example.contains("://")
            || words.contains("url")
            || words.contains("link")
    };
    let is_named_url =
        |name: &str| name.contains("url") || name.contains("link") || name.contains("href") || name.contains("uri");
    fields.iter().find(|field| {
        if document.shape(field.schema) != Shape::Text {
            return false;
        }
        let is_named = LINK_FIELDS.contains(&field.name.as_str());
        let is_below = field.name == "href" && field.path.to_lowercase().ends_with("next.href");
        let in_links = field.path.to_lowercase().contains("links.next");
        let counts = says_url(field) || is_named_url(&field.name) || in_links || (field.name == "next" && !has_token);
        is_below || (is_named && counts)
    })
}

/// The token's parameter is known: where the next one comes from.
fn by_token(document: &Document<'_>, token: &Parameter<'_>, fields: &[Field<'_>], list: &List<'_>, found: &mut Paging) {
    let is_value = |f: &Field<'_>| !matches!(document.shape(f.schema), Shape::Boolean);
    let field = TOKEN_FIELDS.iter().find_map(|name| fields.iter().find(|f| f.name == *name && is_value(f)));
    let has_more = fields.iter().find(|f| matches!(f.name.as_str(), "hasmore" | "hasnextpage" | "hasnext" | "more"));
    let is_keyset = ["startingafter", "startafter"].contains(&normal(token.name).as_str());
    let declared = has_more.filter(|f| f.is_required).map(|f| ("has_more_path", quoted(&f.path)));
    match field {
        Some(field) => {
            let mut keys = vec![("cursor_path", quoted(&field.path)), ("cursor_param", quoted(token.name))];
            keys.extend(declared);
            found.paginator = Some(table("cursor", keys));
        }
        None if is_keyset && document.members(list.item).get("id").is_some() => {
            let mut keys = vec![("field", quoted("id")), ("param", quoted(token.name))];
            keys.extend(declared);
            found.paginator = Some(table("keyset", keys));
        }
        None => {
            let keys = vec![("cursor_path", quoted("EDIT")), ("cursor_param", quoted(token.name))];
            found.note = Some(format!(
                "`{}` asks for the next page, but the document doesn't say where its value comes from:\n# paginator = {}",
                token.name,
                table("cursor", keys)
            ));
        }
    }
}

fn by_offset(
    offset: &Parameter<'_>,
    size: Option<&Parameter<'_>>,
    fields: &[Field<'_>],
    note: &mut Option<String>,
) -> String {
    let mut keys = Vec::new();
    keys.push(("limit", size.map_or(SIZE_USUAL, page_size).to_string()));
    if offset.name != "offset" {
        keys.push(("offset_param", quoted(offset.name)));
    }
    match size {
        Some(size) if size.name != "limit" => keys.push(("limit_param", quoted(size.name))),
        Some(_) => {}
        None => keys.push(("limit_param", "false".to_owned())),
    }
    let first = offset.schema["default"].as_u64().or(offset.schema["minimum"].as_u64()).unwrap_or(0);
    if first == 1 {
        keys.push(("initial_offset", "1".to_owned()));
    }
    keys.extend(total(fields, note));
    table("offset", keys)
}

fn by_page(
    page: &Parameter<'_>,
    size: Option<&Parameter<'_>>,
    fields: &[Field<'_>],
    note: &mut Option<String>,
) -> String {
    let mut keys = Vec::new();
    if page.name != "page" {
        keys.push(("page_param", quoted(page.name)));
    }
    if page.schema["default"].as_u64() == Some(0)
        || (page.schema["minimum"].as_u64() == Some(0) && page.schema["default"].is_null())
    {
        keys.push(("base_page", "0".to_owned()));
    }
    if let Some(size) = size {
        keys.push(("page_size", page_size(size).to_string()));
        keys.push(("page_size_param", quoted(size.name)));
    }
    keys.extend(total(fields, note));
    table("page_number", keys)
}

/// The total, if every answer has it: one that is declared and missing is an error.
fn total(fields: &[Field<'_>], note: &mut Option<String>) -> Option<(&'static str, String)> {
    let pages = |f: &&Field<'_>| matches!(f.name.as_str(), "totalpages" | "pagecount" | "pages" | "lastpage");
    let records = |f: &&Field<'_>| {
        matches!(f.name.as_str(), "total" | "totalcount" | "totalitems" | "totalrecords" | "totalresults")
    };
    let found = fields.iter().find(records).map(|f| ("total_path", f));
    let (key, field) = found.or_else(|| fields.iter().find(pages).map(|f| ("total_pages_path", f)))?;
    if field.is_required {
        return Some((key, quoted(&field.path)));
    }
    *note = Some(format!("if every answer has it, add to the paginator: {key} = {}", quoted(&field.path)));
    None
}

/// So many records are asked for in a page.
fn page_size(parameter: &Parameter<'_>) -> u64 {
    let written =
        parameter.schema["maximum"].as_u64().filter(|n| *n > 0).or_else(|| stated_maximum(parameter.description));
    let default = parameter.schema["default"].as_u64().filter(|n| *n > 0);
    written.or(default).unwrap_or(SIZE_USUAL).min(SIZE_MAX)
}

/// The number that follows "max" in a description.
fn stated_maximum(description: &str) -> Option<u64> {
    let lower = description.to_lowercase();
    let near: String = lower[lower.find("max")?..].chars().take(40).collect();
    let digits = near.chars().skip_while(|c| !c.is_ascii_digit()).take_while(|c| c.is_ascii_digit());
    digits.collect::<String>().parse().ok().filter(|n| (1..=100_000).contains(n))
}

fn table(kind: &str, keys: Vec<(&str, String)>) -> String {
    if keys.is_empty() {
        return quoted(kind);
    }
    let all = std::iter::once(("type", quoted(kind))).chain(keys);
    inline(&all.map(|(name, value)| (name.to_owned(), value)).collect::<Vec<_>>())
}
