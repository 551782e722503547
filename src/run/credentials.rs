//! The credentials of a run: made before anything is opened or requested, and shared by all resources whose auth is equal,
//! so that they share one token.

use crate::error::Result;
use crate::extract::request;
use crate::http::tape::TapeUse;
use crate::http::{self, Credentials, KeptTokens, Setting};
use crate::plan::model::{Auth, Pipeline};
use crate::plan::template::Scope;
use std::collections::HashMap;
use std::path::Path;
use std::sync::Arc;

/// The credentials of a run's resources.
pub(super) struct CredentialsByResource {
    distinct: Vec<Arc<Credentials>>,
    by_resource: HashMap<String, Arc<Credentials>>,
}

/// The credentials of every resource. What is wrong with them is a mistake of the configuration.
pub(super) fn resolve_all(
    pipeline: &Pipeline,
    scope: &Scope,
    tape: &TapeUse,
    state_dir: &Path,
) -> Result<CredentialsByResource> {
    let is_replay = matches!(tape, TapeUse::Replay(_));
    // A tape has masks in the place of tokens: they are not to be kept, and those that are kept are not on it.
    let kept = Arc::new(match is_replay {
        true => KeptTokens::none(),
        false => KeptTokens::of_file(state_dir.join(format!("{}.tokens", pipeline.name))),
    });
    let mut distinct: Vec<(&Auth, Arc<Credentials>)> = Vec::new();
    let mut by_resource = HashMap::new();
    for resource in &pipeline.resources {
        let known = distinct.iter().find(|(auth, _)| **auth == resource.auth).map(|(_, known)| Arc::clone(known));
        let credentials = match known {
            Some(known) => known,
            None => {
                let fresh = Arc::new(resolve(pipeline, &resource.auth, scope, &kept, is_replay)?);
                distinct.push((&resource.auth, Arc::clone(&fresh)));
                fresh
            }
        };
        by_resource.insert(resource.name.clone(), credentials);
    }
    Ok(CredentialsByResource {
        distinct: distinct.into_iter().map(|(_, credentials)| credentials).collect(),
        by_resource,
    })
}

fn resolve(
    pipeline: &Pipeline,
    auth: &Auth,
    scope: &Scope,
    kept: &Arc<KeptTokens>,
    is_replay: bool,
) -> Result<Credentials> {
    // Where the base differs from request to request, only whole URLs can be meant; those that can't are refused by name.
    let base_url = pipeline.client.base_url.render(scope).ok();
    let login = match auth {
        Auth::Session(session) => Some(request::login(base_url.as_deref(), &session.login, scope)?),
        _ => None,
    };
    http::resolve(auth, &Setting { scope, base_url: base_url.as_deref(), login, kept: Arc::clone(kept), is_replay })
}

impl CredentialsByResource {
    pub(super) fn of(&self, resource: &str) -> Option<Arc<Credentials>> {
        self.by_resource.get(resource).cloned()
    }

    /// Waits for token requests in flight, so that what a server hands out last is kept.
    pub(super) async fn settle(&self) {
        for credentials in &self.distinct {
            credentials.settle().await;
        }
    }
}
