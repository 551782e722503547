//! Pages that are fetched before it is known that they are needed (`prefetch`).
//!
//! They are guesses: each is used only if the walk, having counted the records of the page before it, asks for exactly that
//! request. So the rows are those of a walk without guesses.

use super::fetch::{Fetched, Tries, fetch};
use super::format::Place;
use super::paginate::{PageRequest, Paging};
use super::walk::WalkSpec;
use crate::error::Result;
use std::collections::VecDeque;
use tokio::task::JoinHandle;

/// The pages under way, in the order of the list. Dropping it ends them.
#[derive(Default)]
pub(super) struct Ahead {
    pages: VecDeque<Guess>,
}

/// A page under way.
struct Guess {
    request: PageRequest,
    task: JoinHandle<Result<Fetched>>,
}

impl Drop for Guess {
    fn drop(&mut self) {
        self.task.abort();
    }
}

impl Ahead {
    /// Takes the guess for a request. If the next guess is for another one, all of them were wrong, and end.
    pub(super) fn take(&mut self, request: &PageRequest) -> Option<impl Future<Output = Option<Fetched>> + use<>> {
        match self.pages.pop_front() {
            Some(guess) if guess.request == *request => Some(guess.answer(request.clone())),
            Some(_) => {
                self.pages.clear();
                None
            }
            None => None,
        }
    }

    /// Begins to fetch what will follow a request, as far as that can be told.
    pub(super) fn extend(&mut self, after: &PageRequest, paging: &Paging, place: Place<'_>, spec: &WalkSpec) {
        let depth = spec.resource.paginator.prefetch().saturating_sub(1);
        while self.pages.len() < depth {
            let last = self.pages.back().map_or(after, |guess| &guess.request);
            // The page after the one that is asked for now is the second behind the last one that was counted.
            let Some(request) = paging.predict(last, self.pages.len() as u64 + 2) else { return };
            let (spec, page) = (spec.clone(), request.clone());
            let (steps, is_seen) = (place.steps.to_vec(), place.is_seen);
            let task = tokio::spawn(async move {
                let place = Place { steps: &steps, is_seen };
                fetch(&spec, &page, place, Tries::One).await
            });
            self.pages.push_back(Guess { request, task });
        }
    }
}

impl Guess {
    /// The answer; `None` if it failed, so that it is to be asked for properly.
    async fn answer(mut self, request: PageRequest) -> Option<Fetched> {
        match (&mut self.task).await {
            Ok(Ok(fetched)) => Some(fetched),
            Ok(Err(error)) => {
                tracing::debug!(%error, ?request.offset, ?request.page_number, "a page asked for ahead failed");
                None
            }
            Err(_) => None,
        }
    }
}
