//! Streams of updates: who listens to an environment hears of each new snapshot, the newest only, however slow it reads.
//! A snapshot is told after this node serves it, so that a client that asks at once gets what it was told of.

use std::{convert::Infallible, sync::Arc, time::Duration};

use axum::response::{
    IntoResponse, Response,
    sse::{Event, KeepAlive, Sse},
};
use liftgate_domain::Scope;
use tokio::sync::{OwnedSemaphorePermit, watch};

use crate::{app::App, rulesets::Snapshot};

/// The most streams of one node.
pub const STREAMS_MAX: usize = 20_000;
/// How often a stream says something, so that both ends notice when the other is gone.
const KEEP_ALIVE: Duration = Duration::from_secs(15);

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

    fn event(self) -> Event {
        let event = Event::default().data(self.data);
        match self.name {
            Some(name) => event.event(name),
            None => event,
        }
    }
}

/// What a stream says beside news.
#[derive(Copy, Clone, Debug, PartialEq, Eq)]
pub enum Start {
    /// The current state at once, and again as keep-alive: for clients that compare it with theirs.
    WithCurrent,
    /// Nothing; comments keep it alive.
    WithNews,
}

struct Listener<F> {
    app: App,
    snapshots: watch::Receiver<Arc<Snapshot>>,
    start: Start,
    told: bool,
    message: F,
    _permit: OwnedSemaphorePermit,
}

/// A stream of an environment's snapshots; `None` when the node has too many streams or the environment is gone.
pub fn stream<F>(app: &App, scope: &Scope, start: Start, message: F) -> Option<Response>
where
    F: Fn(&Snapshot) -> Message + Send + 'static,
{
    let permit = app.streams.clone().try_acquire_owned().ok()?;
    let snapshots = app.rulesets.watch(scope)?;
    let told = start == Start::WithNews;
    let listener = Listener { app: app.clone(), snapshots, start, told, message, _permit: permit };
    let events = futures::stream::unfold(listener, |mut listener| async move {
        listener.next().await.map(|event| (Ok::<_, Infallible>(event), listener))
    });
    let mut response = Sse::new(events).keep_alive(KeepAlive::new().interval(KEEP_ALIVE)).into_response();
    // Proxies that collect answers would keep the news to themselves.
    response.headers_mut().insert("x-accel-buffering", axum::http::HeaderValue::from_static("no"));
    Some(response)
}

impl<F: Fn(&Snapshot) -> Message> Listener<F> {
    async fn next(&mut self) -> Option<Event> {
        if self.told {
            let repeats = self.start == Start::WithCurrent;
            tokio::select! {
                () = self.app.stop.cancelled() => return None,
                // The sender is gone when the environment is.
                changed = self.snapshots.changed() => changed.ok()?,
                () = tokio::time::sleep(KEEP_ALIVE), if repeats => {}
            }
        }
        self.told = true;
        let snapshot = self.snapshots.borrow_and_update().clone();
        Some((self.message)(&snapshot).event())
    }
}
