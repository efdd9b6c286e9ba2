//! The places for streams on this node: how many there are, and which keys the open ones were opened with, so that a key
//! that is revoked takes its streams along.

use std::{
    collections::HashMap,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
};

use axum::http::StatusCode;
use tokio::sync::{OwnedSemaphorePermit, Semaphore};
use tokio_util::sync::CancellationToken;

use crate::{access::EnvironmentCaller, app::Parts, problem::ApiError};

/// The most streams of one node.
const STREAMS_MAX: usize = 20_000;
/// When a client that found no place should come back, in seconds.
const RETRY_AFTER_S: u64 = 5;

/// All places of this node.
pub struct Live {
    max: usize,
    room: Arc<Semaphore>,
    keys: Mutex<HashMap<String, Held>>,
}

/// What is open under one key.
struct Held {
    streams: usize,
    revoked: CancellationToken,
}

impl Live {
    /// Places for a process that may have so many files open. Streams take at most half of them, so that requests, logs and
    /// the catalog always find one.
    pub fn new(files_max: u64) -> Arc<Self> {
        let max = usize::try_from(files_max / 2).unwrap_or(STREAMS_MAX).min(STREAMS_MAX);
        Arc::new(Self { max, room: Arc::new(Semaphore::new(max)), keys: Mutex::default() })
    }

    /// How many streams are open.
    pub fn open(&self) -> usize {
        self.max.saturating_sub(self.room.available_permits())
    }

    /// Takes a place, for the stream that `key` opens, or for one that no key has to open. Take it before the key is checked:
    /// one that is revoked in between then ends the stream.
    pub fn enter(self: &Arc<Self>, key: Option<&str>) -> Result<Place, ApiError> {
        let permit = self.room.clone().try_acquire_owned().map_err(|_| {
            let detail = "too many streams are open on this node";
            ApiError::new(StatusCode::TOO_MANY_REQUESTS, "streams_full", detail)
                .next("come back later, or ask for the flags from time to time instead")
                .retry_after(RETRY_AFTER_S)
        })?;
        let revoked = key.map_or_else(CancellationToken::new, |key| {
            let mut keys = self.keys();
            let held =
                keys.entry(key.to_owned()).or_insert_with(|| Held { streams: 0, revoked: CancellationToken::new() });
            held.streams += 1;
            held.revoked.clone()
        });
        Ok(Place { live: self.clone(), key: key.map(str::to_owned), revoked, _permit: permit })
    }

    /// Ends the streams of keys that open nothing any more. A store that does not answer ends none.
    pub async fn end_revoked(&self, app: &Parts) {
        let keys: Vec<String> = self.keys().keys().cloned().collect();
        for key in keys {
            let answer = EnvironmentCaller::with_key(app, &key).await;
            if answer.is_err_and(|error| error.status() == StatusCode::UNAUTHORIZED)
                && let Some(held) = self.keys().remove(&key)
            {
                held.revoked.cancel();
            }
        }
    }

    fn keys(&self) -> MutexGuard<'_, HashMap<String, Held>> {
        // Every change of it is whole, so a panic elsewhere cannot have left it half written.
        self.keys.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// The place of one stream; given back when it is dropped.
pub struct Place {
    live: Arc<Live>,
    key: Option<String>,
    revoked: CancellationToken,
    _permit: OwnedSemaphorePermit,
}

impl Place {
    /// Ends when the key was revoked; never for a stream that needs none.
    pub async fn revoked(&self) {
        self.revoked.cancelled().await;
    }
}

impl Drop for Place {
    fn drop(&mut self) {
        let Some(key) = &self.key else { return };
        // Another stream of the same text may have begun anew after a revocation took this one's entry away.
        if self.revoked.is_cancelled() {
            return;
        }
        let mut keys = self.live.keys();
        if let Some(held) = keys.get_mut(key) {
            held.streams = held.streams.saturating_sub(1);
            if held.streams == 0 {
                keys.remove(key);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn places_are_counted_bounded_and_given_back() {
        let live = Live::new(6);
        let first = live.enter(Some("a")).unwrap();
        let second = live.enter(Some("a")).unwrap();
        let third = live.enter(None).unwrap();
        let full = live.enter(Some("b")).err().unwrap();
        assert_eq!((full.status(), full.retry_after_s()), (StatusCode::TOO_MANY_REQUESTS, Some(RETRY_AFTER_S)));
        assert_eq!((live.open(), live.keys().len()), (3, 1));
        drop((first, third));
        assert_eq!((live.open(), live.keys().len()), (1, 1));
        drop(second);
        assert_eq!((live.open(), live.keys().len()), (0, 0), "nothing is kept of keys without streams");
    }

    #[test]
    fn streams_leave_files_for_everything_else() {
        assert_eq!(Live::new(1_024).max, 512);
        assert_eq!(Live::new(u64::MAX).max, STREAMS_MAX);
    }
}
