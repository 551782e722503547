//! `type = "session"`: the login, where its answer has the token, and where that goes.

use super::Reader;
use crate::config::tree::{Node, Table};
use crate::plan::build::layers::Layers;
use crate::plan::build::{path, request};
use crate::plan::model::{Auth, Place, RequestSpec, Session, SessionToken};

impl Reader<'_, '_, '_> {
    pub(super) fn session(&mut self) -> Option<Auth> {
        let table = self.table.get("login").and_then(Node::as_table)?;
        let login = self.login(table);
        let basic = if table.get("username").is_some() {
            let place = self.place.clone();
            let (folder, client) = (self.folder, self.client);
            Reader { table, place, folder, client, scope: self.scope }.user_and_password()
        } else {
            None
        };
        let cookies: Vec<String> = self
            .table
            .get("cookie")
            .map(Node::one_or_many)
            .unwrap_or_default()
            .iter()
            .filter_map(Node::resolved)
            .collect();
        let source = self.session_token(&cookies)?;
        let place = self.session_place(&source, &cookies);
        let statuses = self.table.get("relogin_statuses").map(Node::one_or_many);
        let statuses = statuses.map(|nodes| {
            nodes.iter().filter_map(Node::as_count).filter_map(|status| u16::try_from(status).ok()).collect()
        });
        let expires_in_path = self.table.get("expires_in_path").and_then(|node| path::place(node, self.scope));
        Some(Auth::Session(Box::new(Session {
            login: login?,
            basic,
            source,
            place,
            expires_in_path,
            default_expiration: self.duration("default_token_expiration"),
            relogin_statuses: statuses.unwrap_or_else(|| vec![401]),
        })))
    }

    fn login(&mut self, table: &Table) -> Option<RequestSpec> {
        let place = self.place.clone();
        let (folder, client) = (self.folder, self.client);
        let mut reader = Reader { table, place, folder, client, scope: self.scope };
        let path = reader.address("path");
        let layers = Layers(vec![table]);
        Some(RequestSpec {
            method: reader.word("method").unwrap_or_else(|| "POST".to_owned()),
            params: request::params(&layers, reader.scope),
            headers: request::headers(&layers, reader.scope),
            body: request::body(&layers, reader.scope),
            path: path?,
        })
    }

    /// Where the answer to a login has the token.
    fn session_token(&mut self, cookies: &[String]) -> Option<SessionToken> {
        match (self.table.get("token_path"), self.word("token_header")) {
            (Some(_), Some(_)) => {
                let message = "`token_path` and `token_header` can't both say where the token is";
                self.error("token_header", message, "keep one of them");
                None
            }
            (Some(node), None) => path::place(node, self.scope).map(SessionToken::Body),
            (None, Some(name)) => {
                request::check_header_name(&name, self.place_of("token_header"), self.scope);
                Some(SessionToken::Header(name))
            }
            (None, None) if !cookies.is_empty() => Some(SessionToken::Cookies(cookies.to_vec())),
            (None, None) => {
                let help = "add `token_path`, `token_header` or `cookie`";
                self.scope.found.error(self.place.clone(), "`session` does not say where the token is").help(help);
                None
            }
        }
    }

    fn session_place(&mut self, source: &SessionToken, cookies: &[String]) -> Place {
        let says_where = self.table.get("header").is_some() || self.table.get("param").is_some();
        match (source, cookies) {
            (SessionToken::Cookies(names), _) if says_where && names.len() > 1 => {
                self.error("cookie", "several cookies can't go into one header or parameter", "name one cookie");
                Place::Cookies
            }
            (SessionToken::Cookies(_), _) if !says_where => Place::Cookies,
            (SessionToken::Body(_) | SessionToken::Header(_), [name]) if !says_where => Place::Cookie(name.clone()),
            (SessionToken::Body(_) | SessionToken::Header(_), [_, ..]) => {
                let help = "keep `cookie` with one name, or leave out `token_path` and `token_header`";
                self.error("cookie", "a token goes to one place", help);
                Place::Cookies
            }
            _ => self.token_place(),
        }
    }
}
