//! One shopper's visit over HTTP: evaluate all flags at once, then act on what was served.

use std::{borrow::Cow, sync::Arc, time::Duration};

use liftgate_domain::Clock;
use reqwest::{Client, header};
use serde::Deserialize;
use tokio::{sync::mpsc, time::sleep};
use tokio_util::sync::CancellationToken;

use super::{
    api,
    courier::Parcel,
    journal::Journal,
    world::{self, Act, Served},
};

const REQUEST_TIMEOUT: Duration = Duration::from_secs(5);
const PAUSE_MIN: Duration = Duration::from_millis(100);
const PAUSE_MAX: Duration = Duration::from_secs(1);

/// The door of the shop, shared by the tasks that let shoppers in.
#[derive(Clone)]
pub struct Shop {
    /// The client to evaluate with.
    pub client: Client,
    /// The full URL of the bulk evaluation.
    pub url: String,
    /// The environment's client key.
    pub key: String,
    /// The seed of the shoppers.
    pub seed: u64,
    /// The time.
    pub clock: Arc<dyn Clock>,
    /// Where visits and events are counted.
    pub journal: Arc<Journal>,
    /// To the courier.
    pub parcels: mpsc::Sender<Parcel>,
    /// Cancelled when no more shoppers are to come.
    pub stop: CancellationToken,
}

impl Shop {
    /// Lets one shopper in. Events are handed to the courier; when it is full, the shopper waits.
    pub async fn visit(&self, number: u64) {
        let id = world::shopper_id(self.seed, number);
        let Some(served) = self.serve(&id).await else { return };
        self.journal.visited();
        let now_ms = self.clock.now().as_micros() / 1_000;
        for act in world::visit(self.seed, number, served) {
            let happens_ms = now_ms + act.after_ms;
            let json = event(&id, &act, happens_ms);
            self.journal.sent_first();
            self.hand_over(Parcel { due_ms: happens_ms, json: json.clone(), first: true }).await;
            if act.repeated {
                self.journal.sent_repeat();
                self.hand_over(Parcel { due_ms: happens_ms + world::REPEAT_AFTER_MS, json, first: false }).await;
            }
        }
    }

    async fn hand_over(&self, parcel: Parcel) {
        if self.parcels.send(parcel).await.is_err() {
            // The courier outlives the shoppers; were it gone, the journal must say what it never got.
            self.journal.abandoned(1);
        }
    }

    /// What the shopper is served; asked again until answered or until the shop closes.
    async fn serve(&self, id: &str) -> Option<Served> {
        let body = bytes::Bytes::from(format!(r#"{{"context":{{"targetingKey":"{id}"}}}}"#));
        let mut pause = PAUSE_MIN;
        loop {
            match self.ask(body.clone()).await {
                Ok(served) => return Some(served),
                Err(trouble) => self.journal.trouble(Some(trouble)),
            }
            tokio::select! {
                () = sleep(pause) => pause = (pause * 2).min(PAUSE_MAX),
                () = self.stop.cancelled() => return None,
            }
        }
    }

    async fn ask(&self, body: bytes::Bytes) -> Result<Served, String> {
        let lost = |error: reqwest::Error| format!("an evaluation got no answer: {}", api::reason(&error));
        let response = self
            .client
            .post(&self.url)
            .header("x-api-key", &self.key)
            .header(header::CONTENT_TYPE, "application/json")
            .timeout(REQUEST_TIMEOUT)
            .body(body)
            .send()
            .await
            .map_err(lost)?;
        let status = response.status();
        let bytes = response.bytes().await.map_err(lost)?;
        if !status.is_success() {
            return Err(format!("an evaluation was answered with {status}: {}", api::problem(&bytes)));
        }
        read(&bytes).map_err(|error| format!("the answer of an evaluation does not read: {error}"))
    }
}

#[derive(Deserialize)]
struct Bulk<'a> {
    #[serde(borrow)]
    flags: Vec<Flag<'a>>,
}

#[derive(Deserialize)]
struct Flag<'a> {
    #[serde(borrow)]
    key: Cow<'a, str>,
    // Absent when the flag could not be evaluated: then the shopper sees nothing new.
    #[serde(default)]
    value: bool,
}

/// What a bulk answer serves.
pub fn read(bytes: &[u8]) -> Result<Served, serde_json::Error> {
    let bulk: Bulk<'_> = serde_json::from_slice(bytes)?;
    let mut served = Served::default();
    for flag in bulk.flags {
        match flag.key.as_ref() {
            "new-checkout" => served.new_checkout = flag.value,
            "new-search" => served.new_search = flag.value,
            "new-footer" => served.new_footer = flag.value,
            "free-shipping-banner" => served.banner = flag.value,
            _ => {}
        }
    }
    Ok(served)
}

/// An act in the ingest format. The id is the shopper's and the event's name: derived, so never the same twice.
fn event(shopper: &str, act: &Act, happens_ms: i64) -> String {
    let value = act.value.map(|value| format!(r#","value":{value}"#)).unwrap_or_default();
    format!(
        r#"{{"type":"metric","id":"{shopper}.{name}","timestamp":{happens_ms},"unit":{{"type":"user","id":"{shopper}"}},"event":"{name}"{value}}}"#,
        name = act.event,
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn reads_what_was_served() {
        let answer = br#"{"flags":[
            {"key":"new-checkout","value":true,"variant":"on","reason":"SPLIT","metadata":{"run":1}},
            {"key":"new-search","value":false,"variant":"off","reason":"SPLIT"},
            {"key":"new-footer","errorCode":"GENERAL","errorDetails":"broken"},
            {"key":"another","value":true}]}"#;
        assert_eq!(read(answer).unwrap(), Served { new_checkout: true, ..Served::default() });
        assert!(read(b"[]").is_err());
    }

    #[test]
    fn events_are_what_ingest_reads() {
        let act = Act { event: "purchase", after_ms: 5, value: Some(12.5), repeated: false };
        let json: serde_json::Value = serde_json::from_str(&event("s1-u2", &act, 1_700_000_000_123)).unwrap();
        assert_eq!(
            json,
            serde_json::json!({
                "type": "metric", "id": "s1-u2.purchase", "timestamp": 1_700_000_000_123_i64,
                "unit": {"type": "user", "id": "s1-u2"}, "event": "purchase", "value": 12.5
            })
        );
        let act = Act { event: "error", value: None, ..act };
        assert!(!event("s1-u2", &act, 1).contains("value"));
    }
}
