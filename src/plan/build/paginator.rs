//! How the next page is found.

use super::layers::Layers;
use super::path;
use super::scope::{Scope, Use};
use crate::config::tree::{Node, Table};
use crate::plan::model::{
    CursorPaging, EndSigns, FactPlace, FieldPath, HeaderLink, JsonLink, Keyset, MoreSpec, Offset, OnRepeat, PageNumber,
    Paginator, Resource, TokenPlace, TotalSpec,
};

/// Paging of a resource.
pub(super) struct Paging {
    pub(super) paginator: Paginator,
    pub(super) max_pages: Option<u64>,
    pub(super) on_repeat: OnRepeat,
}

/// Builds the paging. `uses` are the names that the request's expressions use: what they carry is not sent twice.
pub(super) fn paging(own: &Layers<'_>, all: &Layers<'_>, uses: &[Use], scope: &mut Scope<'_>) -> Option<Paging> {
    let empty = Table::default();
    let node = all.get("paginator");
    let table = node.and_then(Node::as_table).unwrap_or(&empty);
    let tag = match node {
        Some(node) => Some(table.get("type").unwrap_or(node).resolved()?),
        // `paginator = false` is no paging at all.
        None => all.entry("paginator").map(|_| "single_page".to_owned()),
    };
    let mut keys = Keys { table, layers: all, uses, scope };
    keys.refuse_prefetch_of_answers();
    let paginator = match tag.as_deref().unwrap_or("auto") {
        "auto" => Paginator::Auto,
        "single_page" => Paginator::SinglePage,
        "offset" => Paginator::Offset(keys.offset()),
        "page_number" => Paginator::PageNumber(keys.page_number()),
        "cursor" => Paginator::Cursor(keys.cursor()?),
        "header_cursor" => Paginator::Cursor(keys.header_cursor()?),
        "keyset" => Paginator::Keyset(keys.keyset()?),
        "json_link" => Paginator::JsonLink(JsonLink {
            next_url_paths: keys.fields("next_url_path").unwrap_or_else(|| vec![FieldPath(vec!["next".to_owned()])]),
            links_next_key: keys.text("links_next_key").unwrap_or_else(|| "next".to_owned()),
            keep_params: keys.flag("keep_params", true),
            signs: keys.signs(),
        }),
        "header_link" => Paginator::HeaderLink(HeaderLink {
            links_next_key: keys.text("links_next_key").unwrap_or_else(|| "next".to_owned()),
            next_url_header: keys.header("next_url_header"),
            keep_params: keys.flag("keep_params", true),
            signs: keys.signs(),
        }),
        _ => return None,
    };
    // A key of the resource itself is nearer than one of an inherited paginator.
    let nearest = |name: &str| own.entry(name).map(|(_, n)| n).or_else(|| table.get(name)).filter(|n| !n.is_off());
    let on_repeat = match nearest("on_repeat").and_then(Node::resolved).as_deref() {
        Some("stop") => OnRepeat::Stop,
        _ => OnRepeat::Error,
    };
    Some(Paging { paginator, max_pages: nearest("max_pages").and_then(Node::as_count), on_repeat })
}

/// The keys of a paginator's table.
struct Keys<'a, 's, 'f> {
    table: &'a Table,
    /// Where the request's `params` are.
    layers: &'a Layers<'a>,
    uses: &'a [Use],
    scope: &'s mut Scope<'f>,
}

impl Keys<'_, '_, '_> {
    fn count(&self, name: &str) -> Option<u64> {
        self.table.get(name).and_then(Node::as_count)
    }

    fn text(&self, name: &str) -> Option<String> {
        self.table.get(name).and_then(Node::resolved)
    }

    fn flag(&self, name: &str, default: bool) -> bool {
        self.table.get(name).and_then(Node::as_boolean).unwrap_or(default)
    }

    /// The name of a header, as it is looked up.
    fn header(&self, name: &str) -> Option<String> {
        self.text(name).map(|header| header.to_lowercase())
    }

    fn field(&mut self, name: &str) -> Option<FieldPath> {
        self.table.get(name).and_then(|node| path::place(node, self.scope))
    }

    /// One path or several; none where the key is not there.
    fn fields(&mut self, name: &str) -> Option<Vec<FieldPath>> {
        let node = self.table.get(name)?;
        if node.one_or_many().is_empty() {
            self.refuse(
                name,
                &format!("`{name}` names no place"),
                "write one path, or several of which the first counts",
            );
        }
        Some(node.one_or_many().iter().filter_map(|node| path::place(node, self.scope)).collect())
    }

    fn prefetch(&self) -> usize {
        self.count("prefetch").and_then(|n| usize::try_from(n).ok()).unwrap_or(1).max(1)
    }

    /// What the next request shows of the last answer is not known before that.
    fn refuse_prefetch_of_answers(&mut self) {
        if self.prefetch() > 1 && self.uses.iter().any(Use::is_of_body) {
            let help = "a request with `page.body` is made once the page before it is known";
            self.refuse("prefetch", "`page.body` and `prefetch` exclude each other", help);
        }
    }

    fn stops_on_empty_page(&self) -> bool {
        self.table.get("stop_on").is_some()
    }

    fn refuse(&mut self, key: &str, message: &str, help: &str) {
        if let Some((key, _)) = self.table.entry(key) {
            self.scope.found.error(key.span.clone(), message).help(help);
        }
    }

    fn is_carried(&self, member: &str) -> bool {
        self.uses.iter().any(|u| u.is("page", member))
    }

    /// A parameter's name; none if it is switched off, or if the expression `page.MEMBER` carries it.
    fn param(&mut self, name: &str, default: Option<&str>, member: &str) -> Option<String> {
        let node = self.table.get(name);
        if node.is_some_and(Node::is_off) {
            return None;
        }
        if let Some(used) = self.uses.iter().find(|u| u.is("page", member)) {
            if node.is_some() {
                let message = format!("`page.{member}` is sent twice: by this expression and by `{name}`");
                self.scope.found.error(used.span.clone(), message).help(format!("leave `{name}` out"));
            }
            return None;
        }
        node.and_then(Node::resolved).or(default.map(str::to_owned))
    }

    /// The parameter of the position, without which each request would get the first page. It is `None` where the
    /// expression `page.MEMBER` carries the position.
    fn position_param(&mut self, name: &str, default: &str, member: &str) -> Option<String> {
        if self.table.get(name).is_some_and(Node::is_off) && !self.is_carried(member) {
            let what = if member == "number" { "page's number" } else { member };
            let help = format!("name the parameter, or use `{{{{ page.{member} }}}}` in the request");
            self.refuse(name, &format!("nothing sends the {what}"), &help);
        }
        self.param(name, Some(default), member)
    }

    /// The parameter of a token or key, which has no name by default.
    fn token_param(&mut self, name: &str, source: &str, what: &str) -> Option<String> {
        let param = self.param(name, None, "cursor");
        // A parameter of a wrong type was reported as such.
        let is_named = self.table.get(name).is_some_and(|n| !n.is_off());
        if param.is_none() && !is_named && !self.is_carried("cursor") {
            let help = format!("add `{name}`, or use `{{{{ page.cursor }}}}` in the request");
            self.refuse(source, &format!("nothing sends the {what}"), &help);
        }
        param
    }

    /// What the first page is asked with: the key, or the value that `params` give the parameter before the paginator takes
    /// it over.
    fn first(&mut self, key: &str, param: Option<&str>, min: u64) -> Option<u64> {
        let own = self.count(key);
        let given = param.and_then(|param| {
            self.layers.merged("params", |a, b| a == b).into_iter().find(|(name, _)| name.name == param)
        });
        let Some((name, node)) = given else { return own };
        let text = node.as_scalar().filter(|text| text.expression_span().is_none());
        if text.as_ref().is_some_and(|text| text.is_missing()) {
            return own;
        }
        let written = text.and_then(|text| text.resolved()).and_then(|text| text.trim().parse::<u64>().ok());
        match (written.filter(|n| *n >= min), own) {
            (Some(written), Some(own)) if written != own => {
                let message = format!("`params` send `{} = {written}`, the paginator `{key} = {own}`", name.name);
                self.scope.found.error(node.span.clone(), message).help("keep one of them");
                Some(own)
            }
            (Some(written), _) => Some(written),
            (None, _) => {
                let message = format!("the paginator counts with `{}`, which must be a whole number here", name.name);
                let help = format!("leave it out of `params`, and write `{key}` in the paginator");
                self.scope.found.error(node.span.clone(), message).help(help);
                own
            }
        }
    }

    /// Reports that two keys say the same.
    fn refuse_second(&mut self, given: &[&str], what: &str) {
        if let [first, second, ..] = given {
            self.refuse(second, &format!("`{first}` tells {what} already"), "keep one of them");
        }
    }

    fn total(&mut self) -> Option<TotalSpec> {
        const PLACES: [(&str, bool, bool); 4] = [
            ("total_path", true, false),
            ("total_pages_path", true, true),
            ("total_header", false, false),
            ("total_pages_header", false, true),
        ];
        let given: Vec<_> = PLACES.iter().filter(|(name, ..)| self.table.get(name).is_some()).collect();
        self.refuse_second(&given.iter().map(|(name, ..)| *name).collect::<Vec<_>>(), "the total");
        let (name, in_body, pages) = given.first()?;
        Some(TotalSpec { place: self.place(name, *in_body)?, pages: *pages })
    }

    fn has_more(&mut self) -> Option<MoreSpec> {
        const PLACES: [(&str, bool, bool); 3] =
            [("has_more_path", true, false), ("last_page_path", true, true), ("has_more_header", false, false)];
        let given: Vec<_> = PLACES.iter().filter(|(name, ..)| self.table.get(name).is_some()).collect();
        self.refuse_second(&given.iter().map(|(name, ..)| *name).collect::<Vec<_>>(), "whether there is more");
        let (name, in_body, is_last) = given.first()?;
        Some(MoreSpec { place: self.place(name, *in_body)?, is_last: *is_last })
    }

    fn signs(&mut self) -> EndSigns {
        EndSigns { total: self.total(), has_more: self.has_more(), stop_on_empty_page: self.stops_on_empty_page() }
    }

    fn place(&mut self, name: &str, in_body: bool) -> Option<FactPlace> {
        if in_body { self.field(name).map(FactPlace::Body) } else { self.header(name).map(FactPlace::Header) }
    }

    fn offset(&mut self) -> Offset {
        let offset_param = self.position_param("offset_param", "offset", "offset");
        let limit_param = self.param("limit_param", Some("limit"), "limit");
        let limit = self.first("limit", limit_param.as_deref(), 1).unwrap_or(100);
        let advance_by_limit = self.text("advance").as_deref() == Some("limit");
        let overlap = self.count("overlap") == Some(1);
        if overlap && advance_by_limit {
            let help = "with `advance = \"limit\"` pages have gaps, so that no record need come twice";
            self.refuse("overlap", "`overlap` and `advance = \"limit\"` exclude each other", help);
        }
        if overlap && limit < 2 {
            self.refuse("overlap", "pages of one record can't overlap", "raise `limit`");
        }
        if overlap && self.prefetch() > 1 {
            let help = "with `overlap` a page is asked for once the page before it is known";
            self.refuse("prefetch", "`overlap` and `prefetch` exclude each other", help);
        }
        Offset {
            limit,
            initial_offset: self.first("initial_offset", offset_param.as_deref(), 0).unwrap_or(0),
            offset_param,
            limit_param,
            total: self.total(),
            has_more: self.has_more(),
            maximum_offset: self.count("maximum_offset"),
            advance_by_limit,
            overlap,
            prefetch: self.prefetch(),
        }
    }

    fn page_number(&mut self) -> PageNumber {
        let page_param = self.position_param("page_param", "page", "number");
        let base_page = self.first("base_page", page_param.as_deref(), 0).unwrap_or(1);
        let page_size_param = self.param("page_size_param", None, "limit");
        let page_size = self.first("page_size", page_size_param.as_deref(), 1);
        if page_size.is_some() && page_size_param.is_none() && !self.is_carried("limit") {
            let help = "add `page_size_param`, or use `{{ page.limit }}` in the request";
            self.refuse("page_size", "nothing sends `page_size`", help);
        }
        if page_size.is_none() && page_size_param.is_some() {
            self.refuse("page_size_param", "`page_size_param` has no `page_size` to send", "add `page_size`");
        }
        PageNumber {
            base_page,
            page_param,
            page_size,
            page_size_param,
            total: self.total(),
            has_more: self.has_more(),
            maximum_page: self.count("maximum_page"),
            prefetch: self.prefetch(),
        }
    }

    fn cursor(&mut self) -> Option<CursorPaging> {
        let cursor_param = self.token_param("cursor_param", "cursor_path", "cursor");
        let cursor = self.fields("cursor_path").map(TokenPlace::Body);
        Some(CursorPaging { cursor: cursor?, cursor_param, signs: self.signs() })
    }

    fn header_cursor(&mut self) -> Option<CursorPaging> {
        let cursor_param = self.token_param("cursor_param", "cursor_key", "cursor");
        let cursor = self.header("cursor_key").map(TokenPlace::Header);
        Some(CursorPaging { cursor: cursor?, cursor_param, signs: self.signs() })
    }

    fn keyset(&mut self) -> Option<Keyset> {
        let param = self.token_param("param", "field", "field's value");
        Some(Keyset {
            field: self.field("field")?,
            param,
            has_more: self.has_more(),
            inclusive: self.flag("inclusive", false),
            stop_on_empty_page: self.stops_on_empty_page(),
        })
    }
}

/// Warns of `page.…` names that this paginator never sets.
pub(super) fn warn_of_unset(resource: &Resource, uses: &[Use], scope: &mut Scope<'_>) {
    let kind = resource.paginator.kind();
    for used in uses.iter().filter(|u| u.root() == "page") {
        let member = used.path.get(1).map_or("", String::as_str);
        let is_paged = !matches!(resource.paginator, Paginator::SinglePage);
        let is_set = match &resource.paginator {
            _ if member == "first" => true,
            _ if member == "body" => is_paged,
            Paginator::Offset(_) => matches!(member, "offset" | "limit"),
            Paginator::PageNumber(paging) => member == "number" || (member == "limit" && paging.page_size.is_some()),
            Paginator::Cursor(_) | Paginator::Keyset(_) => member == "cursor",
            Paginator::Auto | Paginator::SinglePage | Paginator::JsonLink(_) | Paginator::HeaderLink(_) => false,
        };
        if !is_set {
            let name = used.name();
            let message = format!("`{name}` has no value in `{}`, whose paginator is `{kind}`", resource.name);
            scope.found.warning(used.span.clone(), message);
        }
    }
}
