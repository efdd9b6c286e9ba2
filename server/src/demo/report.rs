//! Everything the summary shows and the expectations judge, gathered over the public API once traffic has ended.

use std::{collections::BTreeSet, time::Duration};

use serde_json::{Value, json};
use tokio::time::sleep;

use super::{
    Error,
    api::Api,
    child::Standing,
    evidence::{self, DecisionLine},
    journal::Totals,
    reading::{Lane, text},
    readout::Readout,
    receiver::{Heard, Receiver},
    setup::{ENVIRONMENT, EXPERIMENT, PROJECT},
    shopper,
    world::Served,
};

/// What is under way when traffic ends (sealing, deliveries, flushing) gets this many looks, half a second apart.
const SETTLE_LOOKS: u32 = 60;
const SETTLE_PAUSE: Duration = Duration::from_millis(500);
const PAGES_MAX: u32 = 100;
/// Newest first; a run of the demo makes some seventy.
const DELIVERIES_MAX: u32 = 1_000;
/// Shoppers who look at the shop when all is over.
const LAST_SHOPPERS: usize = 40;

/// A rollout with its decisions and their replay.
#[derive(Clone, Debug)]
pub struct Story {
    /// Where it ended.
    pub lane: Lane,
    /// Its decisions in order.
    pub decisions: Vec<DecisionLine>,
    /// Records verified and decisions recomputed to the same bits, or why not.
    pub replay: Result<(u64, u64), String>,
}

/// Events as the server has them.
#[derive(Copy, Clone, Debug, Default, Eq, PartialEq)]
pub struct Stored {
    /// Distinct exposures.
    pub exposures: u64,
    /// Distinct metric events.
    pub metrics: u64,
    /// Rows beyond the distinct ones.
    pub surplus: u64,
}

/// Deliveries as the server has them.
#[derive(Clone, Debug, Default, Eq, PartialEq)]
pub struct Deliveries {
    /// Ids of delivered messages.
    pub delivered: BTreeSet<String>,
    /// Messages still to be sent.
    pub pending: usize,
    /// Messages given up on.
    pub dead: usize,
}

/// All of it.
#[derive(Clone, Debug)]
pub struct Report {
    /// The rollouts.
    pub stories: Vec<Story>,
    /// The experiment's readout, or why there is none.
    pub readout: Result<Readout, String>,
    /// What the journal says.
    pub totals: Totals,
    /// Metric events that were stored before the journal began.
    pub stored_before: u64,
    /// What the server says.
    pub stored: Stored,
    /// What the server sent.
    pub deliveries: Deliveries,
    /// Of these, what had been delivered before this run.
    pub delivered_before: BTreeSet<String>,
    /// What the receiver heard in this run.
    pub heard: Heard,
    /// What the last shoppers were served.
    pub served: Vec<Served>,
    /// The warehouse: `files`, `rows`, `bytes`, `glob`.
    pub warehouse: Value,
    /// The server's process.
    pub standing: Standing,
    /// Kills asked for, if there was traffic.
    pub kills_asked: u32,
}

/// What only the run itself knows.
pub struct Facts {
    /// The journal.
    pub totals: Totals,
    /// Metric events that were stored before the journal began.
    pub stored_before: u64,
    /// Deliveries made before this run.
    pub delivered_before: BTreeSet<String>,
    /// The server's process.
    pub standing: Standing,
    /// Kills asked for, if there was traffic.
    pub kills_asked: u32,
    /// The environment's client key.
    pub client_key: String,
}

/// Asks for everything, waiting some seconds for what is still under way.
pub async fn gather(api: &Api, client: &reqwest::Client, receiver: &Receiver, facts: Facts) -> Result<Report, Error> {
    let expected = facts.stored_before + facts.totals.acknowledged;
    let mut stories = Vec::new();
    for lane in lanes(api).await? {
        stories.push(story(api, lane).await?);
    }
    let stored = settled(async || stored(api).await, |stored| stored.metrics >= expected).await?;
    let readout = api.get_patiently(&format!("{ENVIRONMENT}/experiments/{EXPERIMENT}/results")).await;
    let readout = readout.map_err(|error| error.to_string()).and_then(|answer| Readout::read(&answer));
    let deliveries = settled(async || deliveries(api).await, |deliveries| deliveries.pending == 0).await?;
    let warehouse = settled(
        async || api.get_patiently("/manage/v1/warehouse").await,
        |warehouse| warehouse["files"].as_u64().is_some_and(|files| files > 0),
    )
    .await?;
    let served = last_shoppers(api, client, &facts.client_key).await?;
    Ok(Report {
        stories,
        readout,
        totals: facts.totals,
        stored_before: facts.stored_before,
        stored,
        deliveries,
        delivered_before: facts.delivered_before,
        heard: receiver.heard(),
        served,
        warehouse,
        standing: facts.standing,
        kills_asked: facts.kills_asked,
    })
}

/// The rollouts of the environment, without their guardrails.
pub async fn lanes(api: &Api) -> Result<Vec<Lane>, Error> {
    let path = format!("{ENVIRONMENT}/rollouts");
    let answer = api.get_patiently(&path).await?;
    let mut lanes: Vec<Lane> = items(&path, &answer)?.iter().filter_map(Lane::of_rollout).collect();
    lanes.sort_by(|a, b| a.key.cmp(&b.key));
    Ok(lanes)
}

/// How many events are stored now.
pub async fn stored(api: &Api) -> Result<Stored, Error> {
    let path = format!("{ENVIRONMENT}/events/counts");
    let answer = api.get_patiently(&path).await?;
    let number = |name: &str| {
        let reason = format!("it has no number `stored.{name}`");
        answer["stored"][name].as_u64().ok_or_else(|| Error::Answer { path: path.clone(), reason })
    };
    Ok(Stored { exposures: number("exposures")?, metrics: number("metrics")?, surplus: number("surplus")? })
}

/// How the webhooks stand.
pub async fn deliveries(api: &Api) -> Result<Deliveries, Error> {
    let path = format!("{PROJECT}/deliveries?limit={DELIVERIES_MAX}");
    let answer = api.get_patiently(&path).await?;
    let mut deliveries = Deliveries::default();
    for delivery in items(&path, &answer)? {
        match delivery["status"].as_str() {
            Some("delivered") => deliveries.delivered.extend(text(delivery, "id")),
            Some("dead") => deliveries.dead += 1,
            _ => deliveries.pending += 1,
        }
    }
    Ok(deliveries)
}

async fn story(api: &Api, lane: Lane) -> Result<Story, Error> {
    let base = format!("{ENVIRONMENT}/rollouts/{}", lane.key);
    let mut decisions: Vec<DecisionLine> = Vec::new();
    for _ in 0..PAGES_MAX {
        let after = decisions.last().map_or(0, |decision| decision.seq);
        let path = format!("{base}/decisions?after={after}");
        let answer = api.get_patiently(&path).await?;
        let page: Vec<DecisionLine> = items(&path, &answer)?.iter().filter_map(evidence::read).collect();
        if page.is_empty() {
            break;
        }
        decisions.extend(page);
    }
    let replay = match api.get_patiently(&format!("{base}/replay")).await {
        Ok(answer) => match (answer["records"].as_u64(), answer["identical"].as_u64()) {
            (Some(records), Some(identical)) => Ok((records, identical)),
            _ => Err(format!("the answer `{answer}` does not say how many are identical")),
        },
        Err(error) => Err(error.to_string()),
    };
    Ok(Story { lane, decisions, replay })
}

/// What new shoppers are served now that all is over.
async fn last_shoppers(api: &Api, client: &reqwest::Client, key: &str) -> Result<Vec<Served>, Error> {
    let path = "/ofrep/v1/evaluate/flags";
    let mut all = Vec::new();
    for number in 0..LAST_SHOPPERS {
        let body = json!({"context": {"targetingKey": format!("last-{number}")}});
        let request = client.post(format!("{}{path}", api.base())).header("x-api-key", key).json(&body);
        let lost = |error: reqwest::Error| Error::NoAnswer { path: path.to_owned(), reason: error.to_string() };
        let bytes = request.send().await.map_err(lost)?.bytes().await.map_err(lost)?;
        let served = shopper::read(&bytes)
            .map_err(|error| Error::Answer { path: path.to_owned(), reason: error.to_string() })?;
        all.push(served);
    }
    Ok(all)
}

/// Asks until the answer is as wished for, or the looks are used up; then it is what it is.
async fn settled<T>(mut ask: impl AsyncFnMut() -> Result<T, Error>, done: impl Fn(&T) -> bool) -> Result<T, Error> {
    for _ in 1..SETTLE_LOOKS {
        let answer = ask().await?;
        if done(&answer) {
            return Ok(answer);
        }
        sleep(SETTLE_PAUSE).await;
    }
    ask().await
}

fn items<'a>(path: &str, answer: &'a Value) -> Result<&'a [Value], Error> {
    answer["items"]
        .as_array()
        .map(Vec::as_slice)
        .ok_or_else(|| Error::Answer { path: path.to_owned(), reason: "it has no list `items`".to_owned() })
}
