//! Where a unit begins: its slice of the range, the values of the cursor in its requests, and the first of those.

use super::unit::Unit;
use crate::error::{Error, Kind, Result};
use crate::extract::cursor::{self, Bounds, Slice, Slices};
use crate::extract::request;
use crate::http::Request;
use crate::http::origin::Origins;
use crate::plan::model::{Client, CursorSource, Incremental, Resource};
use crate::plan::template::Scope;
use url::Url;

/// The first request of a unit; `None` when its range is complete or lies in the future.
///
/// # Errors
/// The values of the file and the stored cursor don't go together, or an expression fails on its values.
pub(super) fn first_request(
    client: &Client,
    resource: &Resource,
    bounds: Option<&Bounds>,
    unit: &Unit,
) -> Result<Option<Request>> {
    let mut scope = unit.scope.clone();
    if let Some((incremental, bounds)) = resource.incremental.as_ref().zip(bounds) {
        let Some(first) = slice_of(resource, unit, &Slices::new(incremental, bounds))? else { return Ok(None) };
        show_slice(&mut scope, &first, incremental)?;
    }
    let link = entry_link(client, resource, unit)?;
    request::first(client, resource, &scope, link).map(Some)
}

/// The slice that a unit walks; `None` when its range is complete or lies in the future.
pub(super) fn slice_of(resource: &Resource, unit: &Unit, slices: &Slices<'_>) -> Result<Option<Slice>> {
    if let Some(slice) = &unit.slice {
        return Ok(Some(slice.clone()));
    }
    // A past has nothing to do with how far the cursor has come.
    let stored = unit.stored.as_ref().filter(|_| unit.covered.is_none()).and_then(|stored| stored.value.as_ref());
    slices.first(stored).map_err(|error| error.with("resource", &resource.name))
}

/// Has expressions and parameters see the bounds of a slice.
pub(super) fn show_slice(scope: &mut Scope, slice: &Slice, incremental: &Incremental) -> Result<()> {
    scope.cursor_start = slice.start_in_request(incremental)?;
    scope.cursor_end = slice.end_in_request(incremental)?;
    Ok(())
}

/// The address that the last run was given for this one's first request.
pub(super) fn entry_link(client: &Client, resource: &Resource, unit: &Unit) -> Result<Option<Url>> {
    let Some(incremental) = &resource.incremental else { return Ok(None) };
    let is_address = matches!(incremental.source, CursorSource::Response(_)) && !incremental.sends_start;
    let stored = unit.stored.as_ref().and_then(|stored| stored.value.as_ref()).filter(|_| is_address);
    let Some(stored) = stored.filter(|value| cursor::is_address(value.text())) else { return Ok(None) };
    let place = |error: Error| error.with("resource", &resource.name).with("cursor", stored.text());
    let base = client.base_url.render(&unit.scope)?;
    let link = base
        .join(stored.text())
        .map_err(|cause| place(Error::new(Kind::State, "the stored cursor is not an address").source(cause)))?;
    Origins::new(&base, &client.allowed_hosts).reach(&link).map_err(|cause| {
        place(Error::new(Kind::Config, "the stored cursor leads to a host that is not allowed"))
            .hint("add the host to `allowed_hosts` of [client]")
            .source(cause)
    })?;
    Ok(Some(link))
}
