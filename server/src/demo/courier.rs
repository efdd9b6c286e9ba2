//! Carries events to `/ingest/v1/events`: each not before it happened, in batches, again and again until answered.
//! Bounded throughout: when the server is slow, the courier stops listening and the shoppers wait.

use std::{cmp::Reverse, collections::BinaryHeap, sync::Arc, time::Duration};

use liftgate_domain::Clock;
use reqwest::{Client, StatusCode, header};
use serde::Deserialize;
use tokio::{
    sync::mpsc,
    task::JoinSet,
    time::{MissedTickBehavior, interval, sleep},
};
use tokio_util::sync::CancellationToken;

use super::{
    api,
    journal::{Answered, Journal},
};

/// Events a request carries at most: with some 150 bytes each, a body below 64 KiB.
const BATCH_EVENTS_MAX: usize = 400;
/// Events waiting for their time; at 1.5 s each this is far above any rate that the demo reaches.
const WAITING_MAX: usize = 100_000;
/// Requests under way at once.
const IN_FLIGHT_MAX: usize = 4;
const TICK: Duration = Duration::from_millis(100);
const REQUEST_TIMEOUT: Duration = Duration::from_secs(10);
const PAUSE_MIN: Duration = Duration::from_millis(100);
const PAUSE_MAX: Duration = Duration::from_secs(2);

/// An event on its way. Ordered by the time at which it may leave.
#[derive(Clone, Debug, Eq, PartialEq, Ord, PartialOrd)]
pub struct Parcel {
    /// Not before this, in milliseconds since the epoch.
    pub due_ms: i64,
    /// The event in the ingest format.
    pub json: String,
    /// Whether it is the first copy of its id.
    pub first: bool,
}

/// All that sending needs.
#[derive(Clone)]
pub struct Route {
    /// The client to send with.
    pub client: Client,
    /// The full URL of the ingest endpoint.
    pub url: String,
    /// The environment's client key.
    pub key: String,
    /// Where answers are counted.
    pub journal: Arc<Journal>,
    /// Cancelled when what is left is given up.
    pub give_up: CancellationToken,
}

#[derive(Deserialize)]
struct Receipt {
    accepted: u64,
    duplicates: u64,
    #[serde(default)]
    rejected: Vec<RejectedEvent>,
}

#[derive(Deserialize)]
struct RejectedEvent {
    index: usize,
    #[serde(default)]
    detail: String,
}

/// Runs until all senders of parcels are gone and everything has been delivered or given up.
pub async fn carry(route: Route, clock: Arc<dyn Clock>, mut inbox: mpsc::Receiver<Parcel>) {
    let mut waiting = BinaryHeap::new();
    let mut under_way = JoinSet::new();
    let mut tick = interval(TICK);
    tick.set_missed_tick_behavior(MissedTickBehavior::Delay);
    let mut open = true;
    while open || !waiting.is_empty() {
        tokio::select! {
            parcel = inbox.recv(), if open && waiting.len() < WAITING_MAX => match parcel {
                Some(parcel) => waiting.push(Reverse(parcel)),
                None => open = false,
            },
            _ = tick.tick() => {
                let now_ms = clock.now().as_micros() / 1_000;
                for batch in due(&mut waiting, now_ms) {
                    if under_way.len() >= IN_FLIGHT_MAX {
                        under_way.join_next().await;
                    }
                    under_way.spawn(deliver(route.clone(), batch));
                }
            }
        }
    }
    while under_way.join_next().await.is_some() {}
}

/// What may leave now, oldest first, in batches.
fn due(waiting: &mut BinaryHeap<Reverse<Parcel>>, now_ms: i64) -> Vec<Vec<Parcel>> {
    let mut batches: Vec<Vec<Parcel>> = Vec::new();
    while waiting.peek().is_some_and(|Reverse(parcel)| parcel.due_ms <= now_ms) {
        let Some(Reverse(parcel)) = waiting.pop() else { break };
        match batches.last_mut() {
            Some(batch) if batch.len() < BATCH_EVENTS_MAX => batch.push(parcel),
            _ => batches.push(vec![parcel]),
        }
    }
    batches
}

/// Sends one batch until it is answered, refused for good, or given up.
async fn deliver(route: Route, batch: Vec<Parcel>) {
    let copies = batch.len() as u64;
    let events: Vec<&str> = batch.iter().map(|parcel| parcel.json.as_str()).collect();
    let body = bytes::Bytes::from(format!(r#"{{"events":[{}]}}"#, events.join(",")));
    let mut pause = PAUSE_MIN;
    let mut troubled = false;
    loop {
        let wait = match attempt(&route, &batch, body.clone()).await {
            Attempt::Done => {
                if troubled {
                    route.journal.trouble(None);
                }
                return;
            }
            Attempt::Again { reached, trouble, wait } => {
                if reached {
                    route.journal.unanswered(copies);
                }
                route.journal.trouble(Some(trouble));
                troubled = true;
                wait.unwrap_or(pause).min(PAUSE_MAX)
            }
        };
        pause = (pause * 2).min(PAUSE_MAX);
        tokio::select! {
            () = sleep(wait) => {}
            () = route.give_up.cancelled() => return route.journal.abandoned(copies),
        }
    }
}

enum Attempt {
    /// Answered or refused: nothing more to do.
    Done,
    /// To be sent again.
    Again {
        /// Whether the server may have taken it.
        reached: bool,
        /// What happened.
        trouble: String,
        /// How long the server asked to wait.
        wait: Option<Duration>,
    },
}

async fn attempt(route: &Route, batch: &[Parcel], body: bytes::Bytes) -> Attempt {
    let request = route
        .client
        .post(&route.url)
        .header("x-api-key", &route.key)
        .header(header::CONTENT_TYPE, "application/json")
        .timeout(REQUEST_TIMEOUT)
        .body(body);
    let again = |error: reqwest::Error| Attempt::Again {
        reached: !error.is_connect(),
        trouble: format!("events got no answer: {}", api::reason(&error)),
        wait: None,
    };
    let response = match request.send().await {
        Ok(response) => response,
        Err(error) => return again(error),
    };
    let status = response.status();
    let wait = response.headers().get(header::RETRY_AFTER).and_then(|value| value.to_str().ok()?.parse().ok());
    let bytes = match response.bytes().await {
        Ok(bytes) => bytes,
        Err(error) => return again(error),
    };
    if status == StatusCode::OK {
        return match serde_json::from_slice::<Receipt>(&bytes) {
            Ok(receipt) => {
                count(&route.journal, batch, &receipt);
                Attempt::Done
            }
            // A 200 that cannot be read tells nothing about what was taken.
            Err(error) => {
                let trouble = format!("the answer for a batch of events does not read: {error}");
                Attempt::Again { reached: true, trouble, wait: None }
            }
        };
    }
    let trouble = format!("events were answered with {status}: {}", api::problem(&bytes));
    if status.is_client_error() && status != StatusCode::TOO_MANY_REQUESTS && status != StatusCode::REQUEST_TIMEOUT {
        route.journal.refused(batch.len() as u64);
        route.journal.trouble(Some(trouble));
        return Attempt::Done;
    }
    Attempt::Again { reached: true, trouble, wait: wait.map(Duration::from_secs) }
}

fn count(journal: &Journal, batch: &[Parcel], receipt: &Receipt) {
    let rejected = |first: bool| {
        let of_this_sort = |event: &&RejectedEvent| batch.get(event.index).is_some_and(|parcel| parcel.first == first);
        receipt.rejected.iter().filter(of_this_sort).count() as u64
    };
    let firsts = batch.iter().filter(|parcel| parcel.first).count() as u64;
    journal.answered(Answered {
        firsts: firsts - rejected(true),
        repeats: batch.len() as u64 - firsts - rejected(false),
        accepted: receipt.accepted,
        duplicates: receipt.duplicates,
        rejected: receipt.rejected.len() as u64,
    });
    if let Some(event) = receipt.rejected.first() {
        journal.trouble(Some(format!("an event was rejected: {}", event.detail)));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parcel(due_ms: i64, first: bool) -> Parcel {
        Parcel { due_ms, json: format!("{due_ms}"), first }
    }

    #[test]
    fn nothing_leaves_before_its_time_and_batches_are_bounded() {
        let mut waiting: BinaryHeap<_> = (0..1_000).rev().map(|ms| Reverse(parcel(ms, true))).collect();
        assert!(due(&mut waiting, -1).is_empty());
        let batches = due(&mut waiting, 899);
        assert_eq!(batches.iter().map(Vec::len).collect::<Vec<_>>(), [400, 400, 100]);
        assert_eq!((batches[0][0].due_ms, batches[2][99].due_ms, waiting.len()), (0, 899, 100));
    }

    #[test]
    fn answers_are_counted_by_copy() {
        let journal = Journal::default();
        let batch = [parcel(1, true), parcel(2, false), parcel(3, true)];
        let receipt: Receipt = serde_json::from_str(
            r#"{"accepted":1,"duplicates":1,"rejected":[{"index":2,"id":"c","code":"wrong_type","detail":"no"}]}"#,
        )
        .unwrap();
        count(&journal, &batch, &receipt);
        let totals = journal.totals();
        assert_eq!((totals.acknowledged, totals.repeats_acknowledged, totals.rejected), (1, 1, 1));
        assert_eq!((totals.accepted, totals.duplicates), (1, 1));
        assert!(journal.last_trouble().unwrap().contains("no"));
    }

    #[tokio::test]
    async fn sends_again_what_was_not_answered_until_it_is() {
        use std::sync::atomic::{AtomicU32, Ordering};

        use axum::{Router, http::StatusCode as Code, response::IntoResponse, routing::post};

        // The first two attempts fail after the server has them; the third finds them stored already.
        let attempts = Arc::new(AtomicU32::new(0));
        let seen = attempts.clone();
        let answer = move |_: bytes::Bytes| async move {
            match seen.fetch_add(1, Ordering::SeqCst) {
                0 => (Code::SERVICE_UNAVAILABLE, [("retry-after", "0")], "{}").into_response(),
                1 => Code::INTERNAL_SERVER_ERROR.into_response(),
                _ => r#"{"accepted":0,"duplicates":2,"rejected":[]}"#.into_response(),
            }
        };
        let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
        let url = format!("http://{}/", listener.local_addr().unwrap());
        tokio::spawn(async move { axum::serve(listener, Router::new().route("/", post(answer))).await });

        let journal = Arc::new(Journal::default());
        let route = Route {
            client: api::client().unwrap(),
            url,
            key: "k".to_owned(),
            journal: journal.clone(),
            give_up: CancellationToken::new(),
        };
        journal.sent_first();
        journal.sent_first();
        let (send, inbox) = mpsc::channel(8);
        let clock = Arc::new(liftgate_domain::SystemClock);
        let carrying = tokio::spawn(carry(route, clock, inbox));
        for ms in [1, 2] {
            send.send(parcel(ms, true)).await.unwrap();
        }
        drop(send);
        carrying.await.unwrap();
        let totals = journal.totals();
        assert_eq!((totals.acknowledged, totals.unanswered, totals.duplicates), (2, 4, 2));
        assert_eq!(totals.breaches(), Vec::<String>::new());
    }
}
