//! Names that APIs use, compared without case, `_` and `-`: `nextPage` and `next_page` are one name.

/// Names under which APIs put the list of records.
const WELL_KNOWN_LISTS: [&str; 5] = ["data", "results", "items", "records", "value"];

/// Names of what stands beside a list of records: paging, counts, status, the request repeated.
#[rustfmt::skip]
const META: &[&str] = &[
    // Paging.
    "after", "before", "currentpage", "cursor", "cursors", "endcursor", "first", "firstpage", "hasmore", "hasnext",
    "hasnextpage", "hasprev", "hasprevious", "haspreviouspage", "hasprevpage", "islast", "istruncated", "last",
    "lastpage", "lastpageurl", "limit", "more", "next", "nextcursor", "nextlink", "nextoffset", "nextpage",
    "nextpagetoken", "nextpageurl", "nextsynctoken", "nexttoken", "nexturl", "offset", "page", "pageinfo", "pagenumber",
    "pages", "pagesize", "pagination", "paging", "perpage", "prev", "previous", "previouscursor", "previouspage",
    "prevpage", "prevpageurl", "self", "size", "skip", "start", "startat", "synctoken", "take", "top", "truncated",
    // Counts.
    "count", "maxresults", "numberofelements", "numpages", "pagecount", "pagetotal", "total", "totalcount",
    "totalelements", "totalitems", "totalpages", "totalrecords", "totalresults",
    // The answer itself.
    "apiversion", "code", "copyright", "duration", "elapsed", "error", "errorcode", "errormessage", "errors", "etag",
    "generated", "generatedat", "href", "included", "incompleteresults", "info", "jsonapi", "kind", "link", "links",
    "message", "messages", "meta", "metadata", "msg", "object", "ok", "path", "requestid", "responsemetadata",
    "resultinfo", "schema", "status", "statuscode", "success", "time", "timestamp", "took", "traceid", "type", "uri",
    "url", "version", "warnings",
    // The request repeated, and what is computed over all records.
    "aggregations", "bbox", "crs", "expand", "facets", "filter", "filters", "from", "order", "query", "request", "sort",
    "to",
];

/// Names of error messages.
const ERRORS: [&str; 4] = ["error", "errors", "errorcode", "errormessage"];

/// A name without case, `_` and `-`.
pub(super) fn plain(name: &str) -> String {
    name.chars().filter(|c| !matches!(c, '_' | '-')).flat_map(char::to_lowercase).collect()
}

/// Whether a field beside the records is about the answer, not about a record: `meta`, `total`, `@odata.context`.
pub(super) fn is_meta(name: &str) -> bool {
    name.starts_with(['@', '$']) || META.contains(&plain(name).as_str())
}

/// Whether a list of this name is the records: a well-known name, or the resource's own.
pub(super) fn is_list_name(name: &str, resource: &str) -> bool {
    WELL_KNOWN_LISTS.contains(&plain(name).as_str()) || plain(name) == plain(resource)
}

/// Whether a field of this name holds an error message.
pub(super) fn is_error_name(name: &str) -> bool {
    ERRORS.contains(&plain(name).as_str())
}
