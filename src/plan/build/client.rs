//! `[client]`.

use super::scope::{Scope, Use};
use crate::config::tree::{Node, Table, Value};
use crate::config::values;
use crate::plan::model::{AllowedHost, Auth, Client, RateLimit, Retry, Text};
use crate::plan::suggest;
use crate::plan::template::{self, Template};
use crate::secret::Secret;
use std::path::Path;
use std::time::Duration;
use url::Url;

/// Statuses that are tried again by default.
const RETRIED_STATUSES: [u16; 7] = [408, 425, 429, 500, 502, 503, 504];

/// Largest decompressed body by default, bytes.
const RESPONSE_BYTES_MAX: u64 = 256 << 20;

/// What all requests share, and the part of `base_url` that depends on the request.
pub(super) struct Shared {
    pub(super) client: Client,
    pub(super) base_path: Option<BasePath>,
}

/// The end of a `base_url` from the first value of a parent or partition on.
pub(super) struct BasePath {
    pub(super) template: Template,
    /// The names in it.
    pub(super) uses: Vec<Use>,
}

/// Builds what all requests share. None: a mistake was reported.
pub(super) fn client(table: &Table, file: &Path, scope: &mut Scope<'_>) -> Option<Shared> {
    let folder = file.parent().unwrap_or(Path::new(""));
    let timeout = table.get("timeout").and_then(Node::as_table);
    let wait = |name: &str, default_s| {
        timeout.and_then(|t| t.get(name)).and_then(values::time).unwrap_or(Duration::from_secs(default_s))
    };
    let rate_limits = rate_limits(table.get("rate_limit"), scope);
    let allowed_hosts = allowed_hosts(table.get("allowed_hosts"), scope);
    let proxy = table.get("proxy").and_then(|node| proxy(node, scope));
    let concurrency = table.get("concurrency").and_then(Node::as_count).and_then(|n| usize::try_from(n).ok());
    let user_agent = table.get("user_agent").and_then(Node::resolved);
    let flag = |name: &str| table.get(name).and_then(Node::as_boolean).unwrap_or(false);
    let (base_url, base_path) = base_url(table.get("base_url")?, scope)?;
    let client = Client {
        base_url,
        connect_timeout: wait("connect", 10),
        read_timeout: wait("read", 60),
        rate_limits,
        concurrency: concurrency.unwrap_or(4),
        retry: retry(table.get("retry").and_then(Node::as_table)),
        allowed_hosts,
        max_response_bytes: table.get("max_response_bytes").and_then(values::size).unwrap_or(RESPONSE_BYTES_MAX),
        proxy,
        ca_certificate: table.get("ca_certificate").and_then(Node::resolved).map(|path| folder.join(path)),
        user_agent: user_agent.unwrap_or_else(|| concat!("pintail/", env!("CARGO_PKG_VERSION")).to_owned()),
        accept_invalid_certificates: flag("accept_invalid_certificates"),
    };
    Some(Shared { client, base_path })
}

/// Stands for an address that is not known while a file is checked without its variables.
const UNKNOWN_ADDRESS: &str = "http://unknown.invalid/";

fn base_url(node: &Node, scope: &mut Scope<'_>) -> Option<(Url, Option<BasePath>)> {
    let text = node.as_text()?;
    let since = scope.uses.len();
    let template = scope.template(text)?;
    let (template, base_path) = split_base(template, since, scope);
    if !scope.refuse_request_names(since, "base_url") {
        return None;
    }
    let url = if text.is_missing() {
        UNKNOWN_ADDRESS.to_owned()
    } else {
        let literals = |(name, var): &(String, Text)| Some((name.clone(), var.template.as_literal()?.to_owned()));
        let vars = scope.vars().iter().filter_map(literals).collect();
        let rendered = template.render(&template::Scope { vars, ..template::Scope::default() });
        match rendered {
            Ok(Some(url)) => url,
            Ok(None) | Err(_) => {
                let help = "only variables without expressions of their own can be used there";
                scope.found.error(node.span.clone(), "`base_url` can't be evaluated").help(help);
                return None;
            }
        }
    };
    match usable_base(&url) {
        Ok(url) => Some((url, base_path)),
        Err(_) if base_path.as_ref().is_some_and(|_| url.ends_with("://")) => {
            let help = "write an absolute `path`, and list its hosts in `allowed_hosts`";
            scope.found.error(node.span.clone(), "the host of `base_url` can't depend on a request").help(help);
            None
        }
        Err(message) => {
            let help = "write it as `https://api.example.com/v1/`";
            scope.found.error(node.span.clone(), message).help(help);
            None
        }
    }
}

/// What of a base is the same for all requests, and the rest from the last slash before a value of a parent or partition on. That
/// keeps the origin, which gets the credentials, the same for all.
fn split_base(template: Template, since: usize, scope: &mut Scope<'_>) -> (Template, Option<BasePath>) {
    const ROOTS: [&str; 2] = ["parent", "partition"];
    let Some((same, template)) = template.split_before(&ROOTS) else { return (template, None) };
    let (uses, kept) = scope.uses.drain(since..).partition(|u: &Use| ROOTS.contains(&u.root()));
    let kept: Vec<Use> = kept;
    scope.uses.extend(kept);
    (same, Some(BasePath { template, uses }))
}

/// A base as it is used: http or https, its path ending with a slash.
fn usable_base(text: &str) -> Result<Url, String> {
    let mut url = Url::parse(text.trim()).map_err(|e| format!("`base_url` is not a URL: {e}"))?;
    if !matches!(url.scheme(), "http" | "https") {
        return Err(format!("`base_url` must begin with http:// or https://, not {}:", url.scheme()));
    }
    if !url.username().is_empty() || url.password().is_some() {
        return Err("`base_url` can't hold credentials; put them into `auth`".into());
    }
    if url.query().is_some() || url.fragment().is_some() {
        return Err("`base_url` can't have a query or fragment; put parameters into `params`".into());
    }
    if !url.path().ends_with('/') {
        url.set_path(&format!("{}/", url.path()));
    }
    Ok(url)
}

fn rate_limits(node: Option<&Node>, scope: &mut Scope<'_>) -> Vec<RateLimit> {
    let mut limits = Vec::new();
    for node in node.filter(|n| !n.is_off()).map(Node::one_or_many).unwrap_or_default() {
        let Some(text) = node.resolved() else { continue };
        match rate_limit(&text) {
            Ok(limit) => limits.push(limit),
            Err(help) => {
                scope.found.error(node.span.clone(), format!("`{text}` is not a rate limit")).help(help);
            }
        }
    }
    limits
}

/// Windows that a rate limit can be per, seconds.
const WINDOWS: [(&str, u64); 4] = [("second", 1), ("minute", 60), ("hour", 3_600), ("day", 86_400)];

/// Reads `100/minute`; the error is the advice.
fn rate_limit(text: &str) -> Result<RateLimit, String> {
    const FORM: &str = "write a number of requests and a window, such as \"100/minute\"";
    let (count, window) = text.split_once('/').ok_or(FORM)?;
    let window = window.trim();
    let Some((_, seconds)) = WINDOWS.iter().find(|(name, _)| *name == window) else {
        let known = WINDOWS.iter().map(|(name, _)| *name);
        return Err(suggest::did_you_mean(window, known.clone())
            .unwrap_or_else(|| format!("windows are {}", suggest::list(known))));
    };
    match count.trim().parse() {
        Ok(count) if count > 0 => Ok(RateLimit { count, per: Duration::from_secs(*seconds) }),
        Ok(_) => Err("at least 1 request must be allowed".into()),
        Err(_) => Err(FORM.into()),
    }
}

fn retry(table: Option<&Table>) -> Retry {
    let node = |name: &str| table.and_then(|t| t.get(name));
    let time = |name: &str, default| node(name).and_then(values::time).unwrap_or(default);
    let statuses = node("statuses")
        .map(|n| n.one_or_many().iter().filter_map(Node::as_count).filter_map(|s| u16::try_from(s).ok()).collect());
    Retry {
        max_attempts: node("max_attempts").and_then(Node::as_count).and_then(|n| u32::try_from(n).ok()).unwrap_or(6),
        base_delay: time("base_delay", Duration::from_millis(500)),
        max_delay: time("max_delay", Duration::from_secs(60)),
        max_elapsed: time("max_elapsed", Duration::from_secs(15 * 60)),
        max_wait: time("max_wait", Duration::from_secs(3_600)),
        statuses: statuses.unwrap_or_else(|| RETRIED_STATUSES.to_vec()),
    }
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

/// Credentials: `false` is none.
pub(super) fn auth(node: Option<&Node>, scope: &mut Scope<'_>) -> Option<Auth> {
    let Some(node) = node.filter(|n| !n.is_off()) else { return Some(Auth::None) };
    let token = node.as_table()?.get("token")?;
    let since = scope.uses.len();
    let text = scope.text(token)?;
    scope.refuse_request_names(since, "auth");
    if text.template.as_literal().is_some_and(|t| t.trim().is_empty()) {
        scope.found.error(token.span.clone(), "the token is empty").help("is the variable set to an empty text?");
    }
    Some(Auth::Bearer { token: text })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn rate_limits_are_a_count_and_a_window() {
        let limit = |count, seconds| Ok(RateLimit { count, per: Duration::from_secs(seconds) });
        assert_eq!(rate_limit("100/minute"), limit(100, 60));
        assert_eq!(rate_limit(" 2 / second "), limit(2, 1));
        assert_eq!(rate_limit("1000/day"), limit(1000, 86_400));
        assert_eq!(rate_limit("5/minutes"), Err("did you mean `minute`?".into()));
        assert_eq!(rate_limit("0/hour"), Err("at least 1 request must be allowed".into()));
        for wrong in ["5", "x/minute", "-1/minute", "5/fortnight", ""] {
            assert!(rate_limit(wrong).is_err(), "{wrong}");
        }
    }

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

    #[test]
    fn a_base_keeps_its_path_and_ends_with_a_slash() {
        assert_eq!(usable_base("https://h/api/v1").unwrap().as_str(), "https://h/api/v1/");
        for wrong in ["ftp://h/", "h/api", "https://h/?a=1", "https://u:p@h/", ""] {
            assert!(usable_base(wrong).is_err(), "{wrong}");
        }
    }
}
