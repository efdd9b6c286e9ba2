//! A small receiver of webhooks on loopback: checks every signature as a customer would, and remembers what it heard.

use std::{
    collections::{BTreeMap, BTreeSet},
    net::{Ipv4Addr, SocketAddr},
    sync::{Arc, Mutex, MutexGuard, PoisonError},
};

use axum::{
    Router,
    body::Bytes,
    extract::{DefaultBodyLimit, State},
    http::{HeaderMap, StatusCode},
    routing::post,
};
use liftgate_domain::Clock;
use liftgate_webhooks::signature::{Secret, SignatureError, verify};
use serde_json::Value;
use tokio_util::sync::CancellationToken;

use super::Error;

/// Standard Webhooks payloads are at most 20 kB.
const BODY_BYTES_MAX: usize = 64 * 1024;
/// The newest events that the view can show.
const LATEST_MAX: usize = 8;

/// What was heard so far.
#[derive(Clone, Debug, Default)]
pub struct Heard {
    /// Requests that came, good or bad.
    pub requests: u64,
    /// Requests whose signature was wrong, too old or missing.
    pub bad: u64,
    /// Ids of messages with a good signature; a repeated delivery has the same id.
    pub verified: BTreeSet<String>,
    /// Verified messages by event type, each id once.
    pub kinds: BTreeMap<String, u64>,
    /// The newest verified ones, newest last, as short sentences.
    pub latest: Vec<String>,
}

struct Ear {
    secrets: Vec<Secret>,
    clock: Arc<dyn Clock>,
    heard: Mutex<Heard>,
}

/// The receiver; it listens until `stop` is cancelled.
#[derive(Clone)]
pub struct Receiver {
    ear: Arc<Ear>,
    address: SocketAddr,
}

impl Receiver {
    /// Listens on a free loopback port.
    pub async fn start(secret: &str, clock: Arc<dyn Clock>, stop: CancellationToken) -> Result<Self, Error> {
        let wanted = SocketAddr::from((Ipv4Addr::LOCALHOST, 0));
        let failed = |source| Error::Listen { address: wanted, source };
        let listener = tokio::net::TcpListener::bind(wanted).await.map_err(failed)?;
        let address = listener.local_addr().map_err(failed)?;
        let secrets = vec![
            Secret::parse(secret)
                .map_err(|error| Error::Damaged { path: "demo.json".into(), reason: error.to_string() })?,
        ];
        let ear = Arc::new(Ear { secrets, clock, heard: Mutex::default() });
        let router = Router::new()
            .route("/hooks", post(hear))
            .layer(DefaultBodyLimit::max(BODY_BYTES_MAX))
            .with_state(ear.clone());
        tokio::spawn(async move {
            let served = axum::serve(listener, router).with_graceful_shutdown(stop.cancelled_owned());
            if let Err(error) = served.await {
                tracing::warn!(%error, "The receiver of webhooks ended; deliveries will wait.");
            }
        });
        Ok(Self { ear, address })
    }

    /// The URL to deliver to.
    pub fn url(&self) -> String {
        format!("http://{}/hooks", self.address)
    }

    /// The entry of an allow-list that lets exactly this receiver through.
    pub fn allow(&self) -> String {
        self.address.to_string()
    }

    /// What was heard so far.
    pub fn heard(&self) -> Heard {
        self.ear.lock().clone()
    }
}

impl Ear {
    fn lock(&self) -> MutexGuard<'_, Heard> {
        self.heard.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn check(&self, headers: &HeaderMap, body: &[u8]) -> Result<String, SignatureError> {
        let header = |name| headers.get(name).and_then(|value| value.to_str().ok()).unwrap_or_default();
        let id = header("webhook-id");
        // A missing or unreadable time is as bad as one long past.
        let timestamp_s: i64 = header("webhook-timestamp").parse().unwrap_or_default();
        let now_s = self.clock.now().as_micros() / 1_000_000;
        verify(&self.secrets, id, timestamp_s, now_s, header("webhook-signature"), body)?;
        Ok(id.to_owned())
    }
}

async fn hear(State(ear): State<Arc<Ear>>, headers: HeaderMap, body: Bytes) -> StatusCode {
    let checked = ear.check(&headers, &body);
    let mut heard = ear.lock();
    heard.requests += 1;
    let Ok(id) = checked else {
        heard.bad += 1;
        return StatusCode::UNAUTHORIZED;
    };
    if heard.verified.insert(id) {
        let message: Value = serde_json::from_slice(&body).unwrap_or_default();
        let kind = message["type"].as_str().unwrap_or("(no type)").to_owned();
        let sentence = sentence(&kind, &message["data"]);
        *heard.kinds.entry(kind).or_default() += 1;
        heard.latest.push(sentence);
        if heard.latest.len() > LATEST_MAX {
            heard.latest.remove(0);
        }
    }
    StatusCode::NO_CONTENT
}

/// The type and the most telling of the data's names.
fn sentence(kind: &str, data: &Value) -> String {
    let name =
        ["rollout", "experiment", "flag", "key", "endpoint", "subject"].iter().find_map(|name| data[*name].as_str());
    match (name, data["from"].as_str(), data["to"].as_str()) {
        (Some(name), Some(from), Some(to)) => format!("{kind} {name} {from} -> {to}"),
        (Some(name), ..) => format!("{kind} {name}"),
        _ => kind.to_owned(),
    }
}

#[cfg(test)]
mod tests {
    use liftgate_domain::{SystemClock, entropy::SeededEntropy};
    use liftgate_webhooks::signature::sign;

    use super::*;
    use crate::demo::api;

    #[tokio::test]
    async fn hears_each_signed_message_once_and_counts_forgeries() {
        let secret = Secret::generate(&SeededEntropy::new(1));
        let clock = Arc::new(SystemClock);
        let stop = CancellationToken::new();
        let receiver = Receiver::start(&secret, clock.clone(), stop.clone()).await.unwrap();
        let client = api::client().unwrap();
        let secrets = [Secret::parse(&secret).unwrap()];
        let now_s = clock.now().as_micros() / 1_000_000;
        let send = |id: &'static str, body: &'static str, signed: &'static str, timestamp_s: i64| {
            let signature = sign(&secrets, id, timestamp_s, signed.as_bytes());
            let request = client
                .post(receiver.url())
                .header("webhook-id", id)
                .header("webhook-timestamp", timestamp_s)
                .header("webhook-signature", signature)
                .body(body);
            async move { request.send().await.unwrap().status().as_u16() }
        };
        let body = r#"{"type":"rollout.advanced","data":{"rollout":"new-search","from":"1%","to":"5%"}}"#;
        assert_eq!(send("msg_1", body, body, now_s).await, 204);
        assert_eq!(send("msg_1", body, body, now_s).await, 204, "a repeated delivery is fine");
        assert_eq!(send("msg_2", body, "another body", now_s).await, 401);
        assert_eq!(send("msg_3", body, body, now_s - 3_600).await, 401);
        let heard = receiver.heard();
        assert_eq!((heard.requests, heard.bad), (4, 2));
        assert_eq!(heard.verified.iter().collect::<Vec<_>>(), ["msg_1"]);
        assert_eq!(heard.latest, ["rollout.advanced new-search 1% -> 5%"]);
        assert_eq!(heard.kinds["rollout.advanced"], 1);
        stop.cancel();
    }
}
