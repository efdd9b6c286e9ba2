//! Streams as server-sent events. Each names the revision that it brings a client to (`id`), so that one that comes again
//! with `Last-Event-ID` is told at once of what it missed.

use std::{convert::Infallible, sync::Arc};

use axum::response::{
    IntoResponse, Response,
    sse::{Event, KeepAlive, Sse},
};
use tokio::sync::watch;

use super::{KEEP_ALIVE, Place};
use crate::{access, app::App, problem::ApiError, rulesets::Snapshot};

/// One event of a stream.
pub struct Message {
    name: Option<&'static str>,
    data: String,
}

impl Message {
    /// An event with a name.
    pub fn named(name: &'static str, data: String) -> Self {
        Self { name: Some(name), data }
    }

    /// An event without one.
    pub fn plain(data: String) -> Self {
        Self { name: None, data }
    }
}

/// What a stream says beside news.
#[derive(Copy, Clone, Debug, PartialEq, Eq)]
pub enum Start {
    /// The current state at once, and again as keep-alive: for clients that compare it with theirs.
    WithCurrent,
    /// The current state at once if it is newer than the revision that the client has; comments keep it alive.
    WithNewsSince(u64),
    /// Nothing but news; comments keep it alive.
    WithNews,
}

struct Listener<F> {
    app: App,
    snapshots: watch::Receiver<Arc<Snapshot>>,
    start: Start,
    is_begun: bool,
    message: F,
    place: Place,
}

/// A stream of an environment's snapshots.
pub fn stream<F>(app: &App, snapshot: &Snapshot, place: Place, start: Start, message: F) -> Result<Response, ApiError>
where
    F: Fn(&Snapshot) -> Message + Send + 'static,
{
    let snapshots = app.rulesets.watch(&snapshot.scope).ok_or_else(access::environment_gone)?;
    let listener = Listener { app: app.clone(), snapshots, start, is_begun: false, message, place };
    let events = futures::stream::unfold(listener, |mut listener| async move {
        listener.next().await.map(|event| (Ok::<_, Infallible>(event), listener))
    });
    let mut response = Sse::new(events).keep_alive(KeepAlive::new().interval(KEEP_ALIVE)).into_response();
    // Proxies that collect answers would keep the news to themselves.
    response.headers_mut().insert("x-accel-buffering", axum::http::HeaderValue::from_static("no"));
    Ok(response)
}

impl<F: Fn(&Snapshot) -> Message> Listener<F> {
    async fn next(&mut self) -> Option<Event> {
        if !self.is_begun {
            self.is_begun = true;
            return Some(self.first());
        }
        let repeats = self.start == Start::WithCurrent;
        tokio::select! {
            () = self.app.stop.cancelled() => return None,
            () = self.place.revoked() => return None,
            // The sender is gone when the environment is.
            changed = self.snapshots.changed() => changed.ok()?,
            () = tokio::time::sleep(KEEP_ALIVE), if repeats => {}
        }
        let snapshot = self.snapshots.borrow_and_update().clone();
        Some(self.event(&snapshot))
    }

    /// An event without data tells a client where it stands and does nothing else.
    fn first(&mut self) -> Event {
        let snapshot = self.snapshots.borrow_and_update().clone();
        let is_news = match self.start {
            Start::WithCurrent => true,
            Start::WithNewsSince(seen) => seen != snapshot.ruleset.revision(),
            Start::WithNews => false,
        };
        if is_news { self.event(&snapshot) } else { Event::default().id(snapshot.ruleset.revision().to_string()) }
    }

    fn event(&self, snapshot: &Snapshot) -> Event {
        let Message { name, data } = (self.message)(snapshot);
        let event = Event::default().id(snapshot.ruleset.revision().to_string()).data(data);
        match name {
            Some(name) => event.event(name),
            None => event,
        }
    }
}
