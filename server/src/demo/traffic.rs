//! The rate: lets shoppers in as evenly as the machine can, never more than a bounded number at once.

use std::{
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering::Relaxed},
    },
    time::Duration,
};

use liftgate_domain::Clock;
use reqwest::Client;
use tokio::{
    sync::{Semaphore, mpsc},
    task::{JoinHandle, JoinSet},
    time::{MissedTickBehavior, interval, timeout},
};
use tokio_util::sync::CancellationToken;

use super::{
    Error,
    courier::{self, Route},
    journal::Journal,
    shopper::Shop,
    state::{Folder, State},
};

const TICK: Duration = Duration::from_millis(10);
/// Shoppers who may wait at the door: what the server cannot take at once is not made up for later.
const BURST_MS: u64 = 100;
/// Shopper numbers are set aside in blocks of this size, each saved before its first use.
const BLOCK: u64 = 50_000;
const QUEUE: usize = 4_096;
/// How long events that are left may still be sent after the last shopper.
const DRAIN_MAX: Duration = Duration::from_secs(30);

/// What traffic is made of.
pub struct Plan {
    /// Client, shared with nobody who waits long.
    pub client: Client,
    /// The server, such as `http://127.0.0.1:8080`.
    pub base: String,
    /// The environment's client key.
    pub key: String,
    /// Seed of the shoppers.
    pub seed: u64,
    /// Shoppers a second to aim for.
    pub users_per_second: u32,
    /// The time.
    pub clock: Arc<dyn Clock>,
    /// Where everything is counted.
    pub journal: Arc<Journal>,
}

/// Running traffic.
pub struct Traffic {
    stop: CancellationToken,
    give_up: CancellationToken,
    pacer: JoinHandle<(State, Result<(), Error>)>,
    shoppers: JoinSet<()>,
    courier: JoinHandle<()>,
    next_user: Arc<AtomicU64>,
}

impl Traffic {
    /// Opens the shop. `state` comes back from [`Traffic::finish`].
    pub fn start(plan: Plan, folder: Folder, state: State) -> Self {
        let stop = CancellationToken::new();
        let give_up = CancellationToken::new();
        let next_user = Arc::new(AtomicU64::new(state.next_user));
        let permits = Arc::new(Semaphore::new(0));
        let (parcels, inbox) = mpsc::channel(QUEUE);
        let route = Route {
            client: plan.client.clone(),
            url: format!("{}/ingest/v1/events", plan.base),
            key: plan.key.clone(),
            journal: plan.journal.clone(),
            give_up: give_up.clone(),
        };
        let courier = tokio::spawn(courier::carry(route, plan.clock.clone(), inbox));
        let shop = Shop {
            client: plan.client,
            url: format!("{}/ofrep/v1/evaluate/flags", plan.base),
            key: plan.key,
            seed: plan.seed,
            clock: plan.clock.clone(),
            journal: plan.journal,
            parcels,
            stop: stop.clone(),
        };
        let mut shoppers = JoinSet::new();
        for _ in 0..doors(plan.users_per_second) {
            shoppers.spawn(door(shop.clone(), permits.clone(), next_user.clone()));
        }
        let pace = Pace { users_per_second: plan.users_per_second, permits, clock: plan.clock, stop: stop.clone() };
        let pacer = tokio::spawn(pace.run(folder, state));
        Self { stop, give_up, pacer, shoppers, courier, next_user }
    }

    /// Whether letting shoppers in has ended, which only a failure does before [`Traffic::finish`].
    pub fn has_failed(&self) -> bool {
        self.pacer.is_finished()
    }

    /// Closes the shop without waiting for anything that is not answered at once: the server is gone.
    pub async fn abandon(self) -> Result<State, Error> {
        self.give_up.cancel();
        self.finish().await
    }

    /// Closes the shop, waits until what has happened is delivered (at most 30 s), and gives the state back.
    pub async fn finish(mut self) -> Result<State, Error> {
        self.stop.cancel();
        let (mut state, paced) = self.pacer.await.expect("letting shoppers in never panics nor is aborted");
        let finished = async {
            while self.shoppers.join_next().await.is_some() {}
            // With the last shopper the last sender of parcels is gone, so the courier ends once it has delivered.
            (&mut self.courier).await
        };
        if timeout(DRAIN_MAX, finished).await.is_err() {
            self.give_up.cancel();
            while self.shoppers.join_next().await.is_some() {}
            // It ends by itself now that nothing is tried again.
            let _ = self.courier.await;
        }
        paced?;
        state.next_user = self.next_user.load(Relaxed);
        Ok(state)
    }
}

/// Shoppers that may be under way at once: each needs some milliseconds, so fifty a second are easy for one door.
fn doors(users_per_second: u32) -> u32 {
    (users_per_second / 50).clamp(8, 64)
}

async fn door(shop: Shop, permits: Arc<Semaphore>, next_user: Arc<AtomicU64>) {
    loop {
        tokio::select! {
            biased;
            () = shop.stop.cancelled() => return,
            permit = permits.acquire() => match permit {
                Ok(permit) => permit.forget(),
                Err(_) => return,
            },
        }
        shop.visit(next_user.fetch_add(1, Relaxed)).await;
    }
}

struct Pace {
    users_per_second: u32,
    permits: Arc<Semaphore>,
    clock: Arc<dyn Clock>,
    stop: CancellationToken,
}

impl Pace {
    /// Lets in what the clock allows. A number is used only after the block that holds it has been saved.
    async fn run(self, folder: Folder, mut state: State) -> (State, Result<(), Error>) {
        let mut tick = interval(TICK);
        tick.set_missed_tick_behavior(MissedTickBehavior::Skip);
        let mut granted_to = state.next_user;
        let mut last = self.clock.now();
        let mut credit = 0.0;
        state.settled = false;
        loop {
            tokio::select! {
                biased;
                () = self.stop.cancelled() => return (state, Ok(())),
                _ = tick.tick() => {}
            }
            let now = self.clock.now();
            let elapsed_s = (now.micros_since(last).max(0) as f64) / 1e6;
            last = now;
            let room = burst(self.users_per_second).saturating_sub(self.permits.available_permits() as u64);
            credit = (credit + elapsed_s * f64::from(self.users_per_second)).min(room as f64);
            let grant = credit as u64;
            if granted_to + grant > state.next_user {
                state.next_user = granted_to + grant + BLOCK;
                if let Err(error) = folder.save(&state).await {
                    return (state, Err(error));
                }
            }
            granted_to += grant;
            credit -= grant as f64;
            self.permits.add_permits(grant as usize);
        }
    }
}

fn burst(users_per_second: u32) -> u64 {
    (u64::from(users_per_second) * BURST_MS / 1_000).max(1)
}

#[cfg(test)]
mod tests {
    use std::{collections::HashSet, sync::Mutex};

    use axum::{Json, Router, extract::State, http::StatusCode, routing::post};
    use serde_json::{Value, json};
    use tokio::sync::Notify;

    use liftgate_domain::{SystemClock, entropy::SeededEntropy};

    use super::*;

    #[tokio::test]
    async fn a_run_cut_short_never_lets_a_number_in_twice() {
        let dir = tempfile::tempdir().unwrap();
        let folder = Folder::open(dir.path(), false).unwrap();
        let entropy = SeededEntropy::new(1);
        let permits = Arc::new(Semaphore::new(0));
        let stop = CancellationToken::new();
        let pace = Pace {
            users_per_second: 1_000,
            permits: permits.clone(),
            clock: Arc::new(SystemClock),
            stop: stop.clone(),
        };
        let running = tokio::spawn(pace.run(folder.clone(), folder.load(&entropy).unwrap()));
        // The first permits are out: whoever holds one may be anybody below what the file says.
        let taken = permits.acquire_many(30).await.unwrap();
        taken.forget();
        let saved = folder.load(&entropy).unwrap();
        assert!(saved.next_user >= 31 && !saved.settled, "{saved:?}");
        assert!(permits.available_permits() as u64 <= burst(1_000));
        stop.cancel();
        running.await.unwrap().1.unwrap();
    }

    /// A server that keeps distinct ids, loses every third answer after storing, and tells when enough shoppers came.
    struct Fake {
        stored: Mutex<HashSet<String>>,
        batches: AtomicU64,
        evaluations: AtomicU64,
        enough: Notify,
    }

    const ENOUGH: u64 = 300;

    async fn evaluate(State(fake): State<Arc<Fake>>) -> &'static str {
        if fake.evaluations.fetch_add(1, Relaxed) + 1 == ENOUGH {
            fake.enough.notify_one();
        }
        r#"{"flags":[{"key":"new-search","value":true},{"key":"new-checkout","value":false}]}"#
    }

    async fn ingest(State(fake): State<Arc<Fake>>, Json(body): Json<Value>) -> Result<Json<Value>, StatusCode> {
        let events = body["events"].as_array().unwrap();
        let mut stored = fake.stored.lock().unwrap();
        let accepted = events.iter().filter(|event| stored.insert(event["id"].as_str().unwrap().to_owned())).count();
        if fake.batches.fetch_add(1, Relaxed) % 3 == 0 {
            return Err(StatusCode::INTERNAL_SERVER_ERROR);
        }
        Ok(Json(json!({"accepted": accepted, "duplicates": events.len() - accepted, "rejected": []})))
    }

    #[tokio::test]
    async fn what_is_stored_agrees_with_the_journal_though_answers_get_lost() {
        let fake = Arc::new(Fake {
            stored: Mutex::default(),
            batches: AtomicU64::new(0),
            evaluations: AtomicU64::new(0),
            enough: Notify::new(),
        });
        let router = Router::new()
            .route("/ofrep/v1/evaluate/flags", post(evaluate))
            .route("/ingest/v1/events", post(ingest))
            .with_state(fake.clone());
        let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
        let base = format!("http://{}", listener.local_addr().unwrap());
        tokio::spawn(async move { axum::serve(listener, router).await });

        let dir = tempfile::tempdir().unwrap();
        let folder = Folder::open(dir.path(), false).unwrap();
        let state = folder.load(&SeededEntropy::new(1)).unwrap();
        let journal = Arc::new(Journal::default());
        let plan = Plan {
            client: crate::demo::api::client().unwrap(),
            base,
            key: "k".to_owned(),
            seed: 1,
            users_per_second: 1_000,
            clock: Arc::new(SystemClock),
            journal: journal.clone(),
        };
        let traffic = Traffic::start(plan, folder, state);
        fake.enough.notified().await;
        let state = traffic.finish().await.unwrap();

        let totals = journal.totals();
        assert_eq!(totals.breaches(), Vec::<String>::new());
        assert!(totals.unanswered > 0 && totals.duplicates > totals.repeats, "{totals:?}");
        assert_eq!(fake.stored.lock().unwrap().len() as u64, totals.acknowledged);
        assert!(journal.visits() >= ENOUGH && state.next_user > ENOUGH && totals.events > ENOUGH);
    }

    #[test]
    fn the_number_under_way_is_bounded() {
        for (rate, expected) in [(1, 8), (2_000, 40), (50_000, 64)] {
            assert_eq!(doors(rate), expected, "{rate}");
        }
        assert_eq!((burst(1), burst(2_000)), (1, 200));
    }
}
