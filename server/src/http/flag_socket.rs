//! `GET /ws/flags`: a WebSocket that names each flag that may answer differently now, as
//! `{"type":"flag_update","flag_name":...,"data":{"enabled","kind","version"}}`; `data` is null once the flag is gone. Client
//! keys are public, so nothing is told of rules, segments or units. What the other end says is read and left at that.

use std::{
    collections::HashSet,
    sync::{Arc, OnceLock},
    time::Duration,
};

use axum::{
    extract::{
        Query, State, WebSocketUpgrade,
        rejection::QueryRejection,
        ws::{CloseFrame, Message, Utf8Bytes, WebSocket, close_code, rejection::WebSocketUpgradeRejection},
    },
    http::{HeaderMap, StatusCode},
    response::Response,
};
use liftgate_evaluator::{FlagSource, Key, RulesetSource};
use serde::Deserialize;
use serde_json::json;
use tokio::sync::watch;

use crate::{
    access::{self, EnvironmentCaller},
    app::App,
    live::{self, KEEP_ALIVE, Place, difference},
    problem::ApiError,
    rulesets::Snapshot,
};

/// The most bytes of one message from the other end.
const HEARD_BYTES_MAX: usize = 4_096;
/// How long a message, and all that tell of one change, may take to be written; who reads slower is let go.
const WRITE_TIMEOUT: Duration = Duration::from_secs(10);

/// The key, where no header can be sent.
#[derive(Deserialize)]
pub struct Parameters {
    key: Option<String>,
}

/// Opens the socket of an environment.
pub async fn updates(
    State(app): State<App>,
    parameters: Result<Query<Parameters>, QueryRejection>,
    headers: HeaderMap,
    upgrade: Result<WebSocketUpgrade, WebSocketUpgradeRejection>,
) -> Result<Response, ApiError> {
    let in_url = parameters.ok().and_then(|Query(parameters)| parameters.key);
    let (snapshot, place) = match (access::environment_key(&headers), in_url) {
        (Some(key), _) => {
            let place = app.live.enter(Some(key))?;
            (EnvironmentCaller::with_key(&app, key).await?.snapshot, place)
        }
        (None, Some(key)) => live::admit_key(&app, &key).await?,
        (None, None) => {
            return Err(ApiError::new(
                StatusCode::UNAUTHORIZED,
                "key_missing",
                "this call needs the key of an environment",
            )
            .next("send it as `X-API-Key: KEY`, or a client key as `/ws/flags?key=KEY`"));
        }
    };
    let upgrade = upgrade.map_err(|error| {
        ApiError::new(StatusCode::UPGRADE_REQUIRED, "websocket_needed", error.body_text())
            .next("open it with a WebSocket client, or call `/flags/evaluate?userId=USER` for the flags themselves")
    })?;
    let snapshots = app.rulesets.watch(&snapshot.scope).ok_or_else(access::environment_gone)?;
    let told = snapshots.borrow().clone();
    let upgrade = upgrade.max_message_size(HEARD_BYTES_MAX).max_frame_size(HEARD_BYTES_MAX);
    Ok(upgrade.on_upgrade(move |socket| async move {
        let mut talk = Talk { app, socket, place, snapshots, told };
        if let Some(close) = talk.follow().await {
            // The other end may be gone already.
            let _ = talk.send(Message::Close(Some(close))).await;
        }
    }))
}

struct Talk {
    app: App,
    socket: WebSocket,
    place: Place,
    snapshots: watch::Receiver<Arc<Snapshot>>,
    told: Arc<Snapshot>,
}

impl Talk {
    /// Tells of changes until there is a reason to close, or nobody to tell it to.
    async fn follow(&mut self) -> Option<CloseFrame> {
        let mut is_there = true;
        loop {
            tokio::select! {
                () = self.app.stop.cancelled() => return Some(closing(close_code::AWAY, "the server is shutting down")),
                () = self.place.revoked() => return Some(closing(close_code::POLICY, "the key was revoked")),
                changed = self.snapshots.changed() => {
                    if changed.is_err() {
                        return Some(closing(close_code::POLICY, "the environment is archived"));
                    }
                    // Also so long at most after the key was revoked, or the server is to stop.
                    tokio::time::timeout(WRITE_TIMEOUT, self.tell()).await.ok()??;
                }
                heard = self.socket.recv() => match heard {
                    Some(Ok(Message::Close(_)) | Err(_)) | None => return None,
                    Some(Ok(_)) => is_there = true,
                },
                () = tokio::time::sleep(KEEP_ALIVE) => {
                    if !is_there {
                        return None;
                    }
                    is_there = false;
                    self.send(Message::Ping(bytes::Bytes::new())).await?;
                }
            }
        }
    }

    async fn tell(&mut self) -> Option<()> {
        let after = self.snapshots.borrow_and_update().clone();
        let before = std::mem::replace(&mut self.told, after.clone());
        let messages = after.updates.from(&before.source, &after.source);
        for message in &*messages {
            self.send(Message::Text(message.clone())).await?;
        }
        Some(())
    }

    /// `None` when the other end is gone or does not read.
    async fn send(&mut self, message: Message) -> Option<()> {
        tokio::time::timeout(WRITE_TIMEOUT, self.socket.send(message)).await.ok()?.ok()
    }
}

fn closing(code: u16, reason: &'static str) -> CloseFrame {
    CloseFrame { code, reason: Utf8Bytes::from_static(reason) }
}

/// What a change tells: found when the first asks, and then there for all who listen.
#[derive(Debug)]
pub struct Updates {
    /// The ruleset before the change; none for the first, before which nobody listened.
    before: Option<RulesetSource>,
    messages: OnceLock<Arc<[Utf8Bytes]>>,
}

impl Updates {
    /// What changed since a ruleset.
    pub fn since(before: Option<&RulesetSource>) -> Self {
        Self { before: before.cloned(), messages: OnceLock::new() }
    }

    /// What a listener that knows `told` hears of `current`, which these updates lead to.
    fn from(&self, told: &RulesetSource, current: &RulesetSource) -> Arc<[Utf8Bytes]> {
        match &self.before {
            Some(before) if before.revision == told.revision => {
                self.messages.get_or_init(|| messages(before, current)).clone()
            }
            // It was busy for longer than one change.
            _ => messages(told, current),
        }
    }
}

fn messages(before: &RulesetSource, after: &RulesetSource) -> Arc<[Utf8Bytes]> {
    let changed = difference::flags(before, after);
    let mut messages = Vec::with_capacity(changed.len());
    let present: HashSet<&Key> = after.flags.iter().map(|source| &source.flag.key).collect();
    messages.extend(changed.iter().filter(|key| !present.contains(*key)).map(|key| message(key.as_str(), None)));
    let rest = after.flags.iter().filter(|source| changed.contains(&source.flag.key));
    messages.extend(rest.map(|source| message(source.flag.key.as_str(), Some(source))));
    messages.into()
}

fn message(key: &str, source: Option<&FlagSource>) -> Utf8Bytes {
    let data = source.map(|FlagSource { flag, state, revision }| {
        json!({"enabled": state.enabled, "kind": flag.kind, "version": revision.to_string()})
    });
    json!({"type": "flag_update", "flag_name": key, "data": data}).to_string().into()
}
