//! `[client]`.

use super::layers::Layers;
use super::lint;
use super::pace;
use super::scope::Scope;
use crate::config::tree::{Node, Table, Value};
use crate::config::values;
use crate::plan::model::{AllowedHost, BaseUrl, Client};
use crate::plan::template::{self, Reference, Template};
use crate::secret::Secret;
use std::path::Path;
use std::time::Duration;
use url::Url;

/// Largest decompressed body by default, bytes.
const RESPONSE_BYTES_MAX: u64 = 256 << 20;

/// Builds what all requests share. None: a mistake was reported.
pub(super) fn client(table: &Table, file: &Path, scope: &mut Scope<'_>) -> Option<Client> {
    let folder = file.parent().unwrap_or(Path::new(""));
    let timeout = table.get("timeout").and_then(Node::as_table);
    let wait = |name: &str, default_s| {
        timeout.and_then(|t| t.get(name)).and_then(values::time).unwrap_or(Duration::from_secs(default_s))
    };
    for name in ["auth", "headers", "params"] {
        if let Some(node) = table.get(name) {
            lint::bare_variables(node, scope);
        }
    }
    let rate_limits = pace::rate_limits(table.get("rate_limit"), scope);
    let allowed_hosts = allowed_hosts(table.get("allowed_hosts"), scope);
    let proxy = table.get("proxy").and_then(|node| proxy(node, scope));
    let concurrency = table.get("concurrency").and_then(Node::as_count).and_then(|n| usize::try_from(n).ok());
    let user_agent = table.get("user_agent").and_then(Node::resolved);
    let flag = |name: &str| table.get(name).and_then(Node::as_boolean).unwrap_or(false);
    Some(Client {
        base_url: base_url(table.get("base_url")?, scope)?,
        connect_timeout: wait("connect", 10),
        read_timeout: wait("read", 60),
        rate_limits,
        concurrency: concurrency.unwrap_or(4),
        retry: pace::retry(&Layers(vec![table])),
        allowed_hosts,
        max_response_bytes: table.get("max_response_bytes").and_then(values::size).unwrap_or(RESPONSE_BYTES_MAX),
        proxy,
        ca_certificate: table.get("ca_certificate").and_then(Node::resolved).map(|path| folder.join(path)),
        user_agent: user_agent.unwrap_or_else(|| concat!("pintail/", env!("CARGO_PKG_VERSION")).to_owned()),
        accept_invalid_certificates: flag("accept_invalid_certificates"),
    })
}

/// Stands for an address that is not known while a file is checked without its variables.
const UNKNOWN_ADDRESS: &str = "http://unknown.invalid/";

fn base_url(node: &Node, scope: &mut Scope<'_>) -> Option<BaseUrl> {
    let text = node.as_text()?;
    let since = scope.uses.len();
    let template = scope.template(text)?;
    if !scope.refuse_names(since, "base_url", &["page", "cursor"]) {
        return None;
    }
    if text.is_missing() {
        return Url::parse(UNKNOWN_ADDRESS).ok().map(BaseUrl::Fixed);
    }
    let known = scope.known();
    if !refuse_parent_in_host(&template, &known, since, scope) {
        return None;
    }
    let is_known = |r: &Reference| r.path.first().is_some_and(|root| root == "vars") && known.has(&r.path);
    let checked = if template.references().iter().all(is_known) {
        template.render_url(&known).map(|url| BaseUrl::parse(&url).map(BaseUrl::Fixed))
    } else {
        // What can be said of it now: the part that is written out, before a value that comes later.
        let begins_well = ["http://", "https://"].iter().any(|scheme| template.source().starts_with(scheme));
        let is_open = template.source().starts_with("{{");
        let message = "`base_url` must begin with http:// or https://".to_owned();
        Ok(if begins_well || is_open { Ok(BaseUrl::Template(template)) } else { Err(message) })
    };
    let help = "write it as `https://api.example.com/v1/`";
    match checked {
        Ok(Ok(base)) => Some(base),
        Ok(Err(message)) => {
            scope.found.error(node.span.clone(), message).help(help);
            None
        }
        Err(error) => {
            scope.found.error(node.span.clone(), format!("`base_url` can't be evaluated: {}", error.message()));
            None
        }
    }
}

/// Refuses a parent's field where the host is named: what the API sent would decide where credentials go.
fn refuse_parent_in_host(template: &Template, known: &template::Scope, since: usize, scope: &mut Scope<'_>) -> bool {
    let in_host = template.references_in_host(known);
    let mut fine = true;
    for (reference, used) in in_host.iter().zip(&scope.uses[since..]) {
        if reference.path.first().is_some_and(|root| root == "parent") {
            let message = format!("`{}` can't name the host of `base_url`", reference.path.join("."));
            let help = "what an API sends would decide where credentials go; a `partition` may, as it is your own";
            scope.found.error(used.span.clone(), message).help(help);
            fine = false;
        }
    }
    fine
}

fn allowed_hosts(node: Option<&Node>, scope: &mut Scope<'_>) -> Vec<AllowedHost> {
    let mut hosts = Vec::new();
    for node in node.map(Node::one_or_many).unwrap_or_default() {
        let (host, send_auth) = match &node.value {
            Value::Table(table) => {
                (table.get("host"), table.get("send_auth").and_then(Node::as_boolean).unwrap_or(false))
            }
            _ => (Some(node), false),
        };
        let Some((node, text)) = host.and_then(|n| Some((n, n.resolved()?))) else { continue };
        match host_and_port(&text) {
            Some((host, port)) => hosts.push(AllowedHost { host, port, send_auth }),
            None => {
                let help = "write `host` or `host:port`, without a scheme or path";
                scope.found.error(node.span.clone(), format!("`{text}` is not a host")).help(help);
            }
        }
    }
    hosts
}

fn host_and_port(text: &str) -> Option<(String, Option<u16>)> {
    let text = text.trim().to_lowercase();
    let (host, port) = match text.rsplit_once(':') {
        Some((host, port)) if !port.ends_with(']') => (host.to_owned(), Some(port.parse().ok()?)),
        _ => (text, None),
    };
    let host = url::Host::parse(&host).ok()?.to_string();
    Some((host, port))
}

fn proxy(node: &Node, scope: &mut Scope<'_>) -> Option<Secret> {
    let text = node.resolved()?;
    let usable = Url::parse(&text).is_ok_and(|url| matches!(url.scheme(), "http" | "https" | "socks5" | "socks5h"));
    if !usable {
        let help = "write it as `http://proxy.example.com:3128`";
        scope.found.error(node.span.clone(), "`proxy` is not the URL of a proxy").help(help);
        return None;
    }
    Some(Secret::new(text))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn hosts_may_have_a_port() {
        let host = |name: &str, port| Some((name.to_owned(), port));
        assert_eq!(host_and_port("CDN.example.com"), host("cdn.example.com", None));
        assert_eq!(host_and_port("localhost:8080"), host("localhost", Some(8080)));
        assert_eq!(host_and_port("[::1]:80"), host("[::1]", Some(80)));
        for wrong in ["https://x", "x/y", "x:y", "", "a b"] {
            assert_eq!(host_and_port(wrong), None, "{wrong}");
        }
    }
}
