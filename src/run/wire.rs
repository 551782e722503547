//! What the requests of a run go through: the network, a recorder around it, or a tape in its place.

use crate::error::{Error, Kind, Result};
use crate::http::tape::{Header, Player, Recorder, TapeUse};
use crate::http::{Http, Limiter, Pace, ReqwestTransport, Transport};
use crate::plan::model::{Client, Pipeline, RateLimit, Resource};
use chrono::{DateTime, Utc};
use std::collections::HashMap;
use std::path::{Path, PathBuf};
use std::sync::Arc;

/// What requests go through, and at which pace.
pub(super) struct Wire {
    pub(super) transport: Arc<dyn Transport>,
    pub(super) pace: Pace,
    /// The transport, if it is a tape.
    player: Option<Arc<Player>>,
}

/// What sends the requests of each resource, by its name.
pub(super) struct Senders(HashMap<String, Http>);

impl Senders {
    pub(super) fn of(&self, resource: &str) -> Option<Http> {
        self.0.get(resource).cloned()
    }
}

/// The network, unless a tape stands in for it.
///
/// # Errors
/// [`Kind::Config`]: the certificates or the proxy can't be used.
pub(super) fn network(tape: &TapeUse, client: &Client) -> Result<Option<ReqwestTransport>> {
    match tape {
        TapeUse::Replay(_) => Ok(None),
        TapeUse::None | TapeUse::Record { .. } => ReqwestTransport::new(client).map(Some),
    }
}

impl Wire {
    /// The wire of a run. A tape to record begins here.
    ///
    /// # Errors
    /// As those of [`Recorder::create`].
    pub(super) fn new(
        tape: &TapeUse,
        network: Option<ReqwestTransport>,
        pipeline: &str,
        started_at: DateTime<Utc>,
    ) -> Result<Wire> {
        if let TapeUse::Replay(tape) = tape {
            let player = Arc::new(Player::new(tape.clone()));
            return Ok(Wire { transport: player.clone(), pace: Pace::Instant, player: Some(player) });
        }
        let network = network.ok_or_else(|| Error::new(Kind::Internal, "a run has neither a network nor a tape"))?;
        let network: Arc<dyn Transport> = Arc::new(network);
        let transport = match tape {
            TapeUse::Record { folder, variables } => {
                let header = Header::new(pipeline, started_at, variables);
                Arc::new(Recorder::create(folder, &header, network)?)
            }
            TapeUse::None | TapeUse::Replay(_) => network,
        };
        Ok(Wire { transport, pace: Pace::RealTime, player: None })
    }

    /// The rate windows of all requests. A tape has none, and leaves those of the API alone. Without a state directory the
    /// windows are those of this process.
    ///
    /// # Errors
    /// As those of [`Limiter::open`].
    pub(super) fn limiter(&self, state_dir: Option<&Path>, pipeline: &Pipeline) -> Result<Limiter> {
        let path = state_dir.map(|dir| dir.join(format!("{}.limits", pipeline.name)));
        self.windows(path, &pipeline.client.rate_limits)
    }

    /// The senders of the resources: what a resource says of tries and rates holds for its own requests.
    ///
    /// # Errors
    /// As those of [`Limiter::open`].
    pub(super) fn senders(&self, http: &Http, state_dir: Option<&Path>, pipeline: &Pipeline) -> Result<Senders> {
        let sender = |resource: &Resource| {
            // No pipeline has an `@` in its name, so that this is no other pipeline's file.
            let path = state_dir.map(|dir| dir.join(format!("{}@{}.limits", pipeline.name, resource.table)));
            let limiter = match resource.rate_limits.as_slice() {
                [] => None,
                limits => Some(self.windows(path, limits)?),
            };
            Ok((resource.name.clone(), http.of_resource(&resource.retry, limiter)))
        };
        Ok(Senders(pipeline.resources.iter().map(sender).collect::<Result<_>>()?))
    }

    fn windows(&self, path: Option<PathBuf>, limits: &[RateLimit]) -> Result<Limiter> {
        match self.pace {
            Pace::RealTime => Limiter::open(path, limits),
            Pace::Instant => Limiter::open(None, &[]),
        }
    }

    /// Tells of recorded exchanges that the run did not ask for: the pipeline may have changed since.
    pub(super) fn report_unused(&self) {
        if let Some(unused @ 1..) = self.player.as_ref().map(|player| player.unused_count()) {
            tracing::info!(unused, "the tape has exchanges that this run did not ask for");
        }
    }
}
