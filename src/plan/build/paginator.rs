//! How the next page is found.

use super::layers::Layers;
use super::path;
use super::scope::{Scope, Use};
use crate::config::tree::{Node, Table};
use crate::plan::model::{
    CursorPaging, FactPlace, FieldPath, Offset, OnRepeat, PageNumber, Paginator, Resource, TotalSpec,
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
    let mut keys = Keys { table, uses, scope };
    let paginator = match tag.as_deref().unwrap_or("auto") {
        "auto" => Paginator::Auto,
        "single_page" => Paginator::SinglePage,
        "offset" => Paginator::Offset(keys.offset()),
        "page_number" => Paginator::PageNumber(keys.page_number()),
        "cursor" => Paginator::Cursor(keys.cursor()?),
        "json_link" => Paginator::JsonLink { next_url_path: keys.field("next_url_path").unwrap_or_else(next) },
        "header_link" => Paginator::HeaderLink {
            links_next_key: table.get("links_next_key").and_then(Node::resolved).unwrap_or_else(|| "next".into()),
            next_url_header: table.get("next_url_header").and_then(Node::resolved).map(|h| h.to_lowercase()),
        },
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

fn next() -> FieldPath {
    FieldPath(vec!["next".to_owned()])
}

/// The keys of a paginator's table.
struct Keys<'a, 's, 'f> {
    table: &'a Table,
    uses: &'a [Use],
    scope: &'s mut Scope<'f>,
}

impl Keys<'_, '_, '_> {
    fn count(&self, name: &str) -> Option<u64> {
        self.table.get(name).and_then(Node::as_count)
    }

    fn field(&mut self, name: &str) -> Option<FieldPath> {
        self.table.get(name).and_then(|node| path::field(node, self.scope))
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
        let is_sent = self.uses.iter().any(|u| u.is("page", member));
        if let (Some((key, node)), false) = (self.table.entry(name), is_sent)
            && node.is_off()
        {
            let what = if member == "number" { "page's number" } else { member };
            let help = format!("name the parameter, or use `{{{{ page.{member} }}}}` in the request");
            self.scope.found.error(key.span.clone(), format!("nothing sends the {what}")).help(help);
        }
        self.param(name, Some(default), member)
    }

    fn total(&mut self) -> Option<TotalSpec> {
        const PLACES: [(&str, bool, bool); 4] = [
            ("total_path", true, false),
            ("total_pages_path", true, true),
            ("total_header", false, false),
            ("total_pages_header", false, true),
        ];
        let given: Vec<_> = PLACES.iter().filter(|(name, ..)| self.table.get(name).is_some()).collect();
        if let [(first, ..), (second, ..), ..] = given.as_slice()
            && let Some((key, _)) = self.table.entry(second)
        {
            self.scope
                .found
                .error(key.span.clone(), format!("`{first}` tells the total already"))
                .help("keep one of them");
        }
        let (name, in_body, pages) = given.first()?;
        let place = if *in_body {
            FactPlace::Body(self.field(name)?)
        } else {
            FactPlace::Header(self.table.get(name)?.resolved()?.to_lowercase())
        };
        Some(TotalSpec { place, pages: *pages })
    }

    fn offset(&mut self) -> Offset {
        Offset {
            limit: self.count("limit").unwrap_or(100),
            offset_param: self.position_param("offset_param", "offset", "offset"),
            limit_param: self.param("limit_param", Some("limit"), "limit"),
            initial_offset: self.count("initial_offset").unwrap_or(0),
            total: self.total(),
            has_more_path: self.field("has_more_path"),
            maximum_offset: self.count("maximum_offset"),
            advance_by_limit: self.table.get("advance").and_then(Node::resolved).as_deref() == Some("limit"),
        }
    }

    fn page_number(&mut self) -> PageNumber {
        let page_size = self.count("page_size");
        let page_size_param = self.param("page_size_param", None, "limit");
        let is_sent = page_size_param.is_some() || self.uses.iter().any(|u| u.is("page", "limit"));
        match (self.table.entry("page_size"), self.table.entry("page_size_param")) {
            (Some((key, node)), _) if !is_sent && !node.is_off() => {
                let help = "add `page_size_param`, or use `{{ page.limit }}` in the request";
                self.scope.found.error(key.span.clone(), "nothing sends `page_size`").help(help);
            }
            (None, Some((key, node))) if !node.is_off() => {
                self.scope.found.error(key.span.clone(), "`page_size_param` has no `page_size` to send");
            }
            _ => {}
        }
        PageNumber {
            base_page: self.count("base_page").unwrap_or(1),
            page_param: self.position_param("page_param", "page", "number"),
            page_size,
            page_size_param,
            total: self.total(),
            has_more_path: self.field("has_more_path"),
            maximum_page: self.count("maximum_page"),
        }
    }

    fn cursor(&mut self) -> Option<CursorPaging> {
        let cursor_param = self.param("cursor_param", None, "cursor");
        let is_sent = cursor_param.is_some() || self.uses.iter().any(|u| u.is("page", "cursor"));
        let path_entry = self.table.entry("cursor_path")?;
        // A parameter of a wrong type was reported as such.
        let is_named = self.table.get("cursor_param").is_some_and(|n| !n.is_off());
        if !is_sent && !is_named {
            let help = "add `cursor_param`, or use `{{ page.cursor }}` in the request";
            self.scope.found.error(path_entry.0.span.clone(), "nothing sends the cursor").help(help);
        }
        Some(CursorPaging {
            cursor_path: self.field("cursor_path")?,
            cursor_param,
            has_more_path: self.field("has_more_path"),
            stop_on_empty_page: self.table.get("stop_on").is_some(),
        })
    }
}

/// Warns of `page.…` names that this paginator never sets.
pub(super) fn warn_of_unset(resource: &Resource, uses: &[Use], scope: &mut Scope<'_>) {
    let kind = resource.paginator.kind();
    for used in uses.iter().filter(|u| u.root() == "page") {
        let member = used.path.get(1).map_or("", String::as_str);
        let is_set = match &resource.paginator {
            Paginator::Offset(_) => matches!(member, "offset" | "limit"),
            Paginator::PageNumber(paging) => member == "number" || (member == "limit" && paging.page_size.is_some()),
            Paginator::Cursor(_) => member == "cursor",
            Paginator::Auto | Paginator::SinglePage | Paginator::JsonLink { .. } | Paginator::HeaderLink { .. } => {
                false
            }
        };
        if !is_set {
            let message = format!("`page.{member}` has no value in `{}`, whose paginator is `{kind}`", resource.name);
            scope.found.warning(used.span.clone(), message);
        }
    }
}
