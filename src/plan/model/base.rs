//! Where relative paths begin.

use crate::error::{Error, Kind, Result};
use crate::plan::template::{Scope, Template};
use std::borrow::Cow;
use url::Url;

/// Where relative paths begin. Its origin is the only one that gets credentials.
#[derive(Debug, Clone, PartialEq)]
pub enum BaseUrl {
    /// The same for all requests; its path ends with a slash.
    Fixed(Url),
    /// One with expressions, rendered for each request.
    Template(Template),
}

impl BaseUrl {
    /// The base of a request.
    ///
    /// # Errors
    /// [`Kind::Config`]: its expressions give no URL for these values.
    pub fn render(&self, scope: &Scope) -> Result<Cow<'_, Url>> {
        let template = match self {
            BaseUrl::Fixed(url) => return Ok(Cow::Borrowed(url)),
            BaseUrl::Template(template) => template,
        };
        let fault = |message: String| Error::new(Kind::Config, message).with("base_url", template.source());
        let text =
            template.render_url(scope).map_err(|e| fault("`base_url` can't be evaluated".to_owned()).source(e))?;
        BaseUrl::parse(&text).map(Cow::Owned).map_err(|message| fault(message).with("rendered", text))
    }

    /// Whether its expressions use a name below a root.
    pub fn uses(&self, root: &str) -> bool {
        match self {
            BaseUrl::Fixed(_) => false,
            BaseUrl::Template(template) => template.references().iter().any(|r| r.path[0] == root),
        }
    }

    /// Whether nothing below it is encrypted.
    pub fn is_plain_http(&self) -> bool {
        match self {
            BaseUrl::Fixed(url) => url.scheme() == "http",
            BaseUrl::Template(template) => template.source().starts_with("http://"),
        }
    }

    /// A base as it is used: http or https, its path ending with a slash.
    ///
    /// # Errors
    /// What is wrong with it, as a sentence.
    pub fn parse(text: &str) -> Result<Url, String> {
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
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn a_base_keeps_its_path_and_ends_with_a_slash() {
        assert_eq!(BaseUrl::parse("https://h/api/v1").unwrap().as_str(), "https://h/api/v1/");
        for wrong in ["ftp://h/", "h/api", "https://h/?a=1", "https://u:p@h/", ""] {
            assert!(BaseUrl::parse(wrong).is_err(), "{wrong}");
        }
    }

    #[test]
    fn expressions_name_hosts_as_they_are_and_are_single_segments_of_paths() {
        let scope = Scope {
            partition: vec![("shop".into(), json!("eu.example.com:8443")), ("id".into(), json!("a/b"))],
            vars: vec![("version".into(), "api/v2".into()), ("evil".into(), "x@evil.example.net".into())],
            ..Scope::default()
        };
        let render = |source: &str| {
            let base = BaseUrl::Template(Template::parse(source).unwrap());
            base.render(&scope).map(|url| url.to_string()).map_err(|e| e.to_string())
        };
        let cases = [
            ("https://{{ partition.shop }}/{{ vars.version }}", "https://eu.example.com:8443/api/v2/"),
            ("https://{{ partition.shop }}/{{ partition.id }}", "https://eu.example.com:8443/a%2Fb/"),
        ];
        for (source, expected) in cases {
            assert_eq!(render(source).as_deref(), Ok(expected), "{source}");
        }
        for (source, part) in [
            ("https://{{ vars.evil }}/", "can't hold credentials"),
            ("https://{{ partition.missing }}/", "can't be evaluated"),
        ] {
            assert!(render(source).unwrap_err().contains(part), "{source}");
        }
    }

    #[test]
    fn what_stands_in_the_host_is_known_before_any_request() {
        let known = Scope { vars: vec![("base".into(), json!("https://h/v1"))], ..Scope::default() };
        let cases: [(&str, &[&str]); 6] = [
            ("https://{{ parent.host }}/x", &["parent.host"]),
            ("https://h/{{ parent.id }}", &[]),
            ("https://h{{ parent.id }}", &["parent.id"]),
            ("https://{{ partition.shop }}.h/{{ parent.id }}", &["partition.shop"]),
            ("{{ vars.base }}/{{ parent.id }}", &["vars.base"]),
            ("{{ vars.unknown }}/{{ parent.id }}", &["vars.unknown", "parent.id"]),
        ];
        for (source, expected) in cases {
            let found = Template::parse(source).unwrap().references_in_host(&known);
            let found: Vec<String> = found.iter().map(|r| r.path.join(".")).collect();
            assert_eq!(found, expected, "{source}");
        }
    }
}
