//! Exact names under which APIs tell about paging. Never prefixes: `next_billing_date` is no cursor.

/// Objects beside the records in which paging is told; the root first.
pub(super) const CONTAINERS: &[&str] = &[
    "",
    "meta",
    "_meta",
    "metadata",
    "pagination",
    "paging",
    "page",
    "page_info",
    "pageInfo",
    "paginator",
    "links",
    "_links",
    "response_metadata",
    "result_info",
    "meta.pagination",
    "meta.paging",
    "meta.page",
    "meta.links",
    "pagination.links",
];

/// Links to the next page. A text that is no URL is not followed.
pub(super) const NEXT_LINKS: &[&str] = &[
    "next",
    "next.href",
    "next.url",
    "next.link",
    "next_url",
    "nextUrl",
    "next_page_url",
    "nextPageUrl",
    "next_link",
    "nextLink",
    "next_page",
    "nextPage",
    "@odata.nextLink",
    "odata.nextLink",
];

/// Lists of links, each with its relation.
pub(super) const LINK_LISTS: &[&str] = &["links", "_links", "link"];

/// Headers with a token or the number of the next page.
pub(super) const NEXT_HEADERS: &[&str] = &[
    "x-next-cursor",
    "x-next-page-token",
    "x-next-token",
    "x-next-page",
    "x-continuation-token",
    "x-ms-continuation",
    "x-ms-continuationtoken",
    "continuation-token",
];

/// Cursors and the one parameter that by convention takes them.
pub(super) const NEXT_CURSORS: &[(&str, &str)] = &[
    ("next_cursor", "cursor"),
    ("nextCursor", "cursor"),
    ("next_page_token", "page_token"),
    ("nextPageToken", "pageToken"),
    ("next_token", "next_token"),
    ("nextToken", "nextToken"),
    ("continuation_token", "continuation_token"),
    ("continuationToken", "continuationToken"),
    ("next.after", "after"),
];

/// A cursor of the Graph API, which has its place.
pub(super) const GRAPH_CURSOR: (&str, &str) = ("paging.cursors.after", "after");

/// Cursors whose parameter has no convention: that there is one says that there is more.
pub(super) const UNNAMED_CURSORS: &[&str] = &[
    "cursor.next",
    "cursors.next",
    "cursors.after",
    "after_cursor",
    "afterCursor",
    "next_page_cursor",
    "next_page_id",
    "next_marker",
    "nextMarker",
    "NextMarker",
    "NextToken",
    "scroll_id",
    "_scroll_id",
];

/// Numbers of the next page or offset: present and above 0, there is more.
pub(super) const NEXT_NUMBERS: &[&str] = &["next_page", "nextPage", "next", "next_offset", "nextOffset"];

/// True: there is more.
pub(super) const HAS_MORE: &[&str] = &[
    "has_more",
    "hasMore",
    "has_next",
    "hasNext",
    "has_next_page",
    "hasNextPage",
    "more",
    "more_items",
    "is_truncated",
    "isTruncated",
    "IsTruncated",
];

/// False: there is more.
pub(super) const IS_LAST: &[&str] = &["last", "is_last", "isLast", "last_page", "is_last_page", "isLastPage"];

/// Totals of records.
pub(super) const TOTALS: &[&str] = &[
    "total",
    "total_count",
    "totalCount",
    "total_results",
    "totalResults",
    "total_items",
    "totalItems",
    "total_records",
    "totalRecords",
    "total_elements",
    "totalElements",
    "total_entries",
    "count",
    "record_count",
    "recordCount",
    "numFound",
    "@odata.count",
];

/// Totals of pages.
pub(super) const TOTAL_PAGES: &[&str] = &[
    "total_pages",
    "totalPages",
    "page_count",
    "pageCount",
    "num_pages",
    "numPages",
    "last_page",
    "lastPage",
    "pages",
    "pagesCount",
];

/// Headers with a total of records.
pub(super) const TOTAL_HEADERS: &[&str] =
    &["x-total-count", "x-total", "x-wp-total", "total-count", "x-pagination-total-count"];

/// Headers with a total of pages.
pub(super) const TOTAL_PAGES_HEADERS: &[&str] = &["x-total-pages", "x-wp-totalpages", "x-pagination-page-count"];
