//! Cases: events, the endpoints that hear of them, and claims.

use std::collections::BTreeSet;

use liftgate_domain::{Delivery, DeliveryOutcome, DeliveryStatus, Expected, ResourceKind, Scope, Timestamp};
use serde_json::{Value, json};

use super::fixture::*;

/// How long the cases' claims hold, in milliseconds.
const LEASE_MS: i64 = 30_000;

fn outcome(status: DeliveryStatus, due_at: Timestamp) -> DeliveryOutcome {
    DeliveryOutcome { status, due_at, response_status: Some(503), response: Some("busy \u{0} 🚧".to_owned()) }
}

async fn hook(engine: &Engine, name: &str, body: Value) {
    engine.edit(vec![put_body(ResourceKind::Endpoint, &shop(), name, body, Expected::Any)]).await;
}

fn ids(deliveries: &[Delivery]) -> Vec<&str> {
    deliveries.iter().map(|delivery| delivery.id.as_str()).collect()
}

pub async fn events_reach_the_endpoints_that_want_them(engine: Engine) {
    engine.declare("shop", &["production", "staging"]).await;
    engine.declare("zoo", &[]).await;
    let url = "https://example.com";
    hook(&engine, "all", json!({ "url": url })).await;
    hook(&engine, "rollouts", json!({ "url": url, "events": ["rollout.*"] })).await;
    hook(&engine, "production", json!({ "url": url, "environments": ["production"] })).await;
    hook(&engine, "disabled", json!({ "url": url, "disabled": true })).await;
    hook(&engine, "archived", json!({ "url": url })).await;
    hook(&engine, "unreadable", json!({ "nonsense": true })).await;
    let zoo = Scope::project(key("zoo"));
    let last = engine
        .edit(vec![
            archive(ResourceKind::Endpoint, &shop(), "archived", Expected::Any),
            put_body(ResourceKind::Endpoint, &zoo, "elsewhere", json!({ "url": url }), Expected::Any),
        ])
        .await
        .seq;

    let told = change(
        production(),
        vec![],
        vec![
            event("rollout.advanced", &production(), "ramp"),
            event("flag.share_changed", &staging(), "checkout"),
            event("key.created", &Scope::organization(), "ci"),
        ],
    );
    let id = told.id.clone();
    let applied = engine.catalog.apply(told).await.unwrap();

    let events = engine.catalog.events(&Scope::organization(), last, 10).await.unwrap();
    assert_eq!(
        events.iter().map(|event| event.kind.as_str()).collect::<Vec<_>>(),
        ["rollout.advanced", "flag.share_changed", "key.created"]
    );
    assert_eq!(events[1].id, format!("evt_{id}_1"));
    assert_eq!((events[1].change_seq, events[1].at, &events[1].scope), (applied.seq, applied.at, &staging()));
    assert_eq!(events[1].data, event("", &staging(), "").data);

    let deliveries = engine.catalog.deliveries(&shop(), None, 10).await.unwrap();
    let expected = [(1, 1), (0, 3), (0, 2), (0, 1)].map(|(index, number)| format!("msg_evt_{id}_{index}_{number}"));
    assert_eq!(ids(&deliveries), expected, "newest first");
    let first = &deliveries[3];
    assert_eq!((&first.event, &first.scope, &first.endpoint_key), (&events[0], &shop(), &key("all")));
    assert_eq!((first.status, first.attempts, first.fence), (DeliveryStatus::Pending, 0, 0));
    assert_eq!((first.created_at, first.due_at), (applied.at, applied.at));
    assert_eq!((first.last_status, &first.last_response, &first.endpoint), (None, &None, &None));
    assert_eq!(engine.catalog.deliveries(&shop(), None, 2).await.unwrap(), deliveries[..2]);
    assert!(engine.catalog.deliveries(&shop(), Some(DeliveryStatus::Dead), 9).await.unwrap().is_empty());
}

pub async fn event_pages_never_tear_a_change(engine: Engine) {
    engine.declare("shop", &["production"]).await;
    for size in [2, 3, 1] {
        engine.tell(vec![event("flag.updated", &shop(), "a"); size]).await;
    }
    let mut after = 0;
    let mut sizes = Vec::new();
    loop {
        let page = engine.catalog.events(&shop(), after, 2).await.unwrap();
        let Some(last) = page.last() else { break };
        after = last.change_seq;
        sizes.push(page.len());
    }
    assert_eq!(sizes, [2, 3, 1]);
    assert_eq!(engine.catalog.events(&shop(), 0, 5).await.unwrap().len(), 5);
    assert!(engine.catalog.events(&shop(), 0, 0).await.unwrap().is_empty());
    assert!(engine.catalog.events(&production(), 0, 9).await.unwrap().is_empty());
}

pub async fn a_claim_is_a_lease_with_a_fence(engine: Engine) {
    engine.declare("shop", &["production"]).await;
    hook(&engine, "hook", endpoint("https://example.com")).await;
    engine.tell(vec![event("a", &shop(), "x"), event("b", &shop(), "x")]).await;
    let catalog = &engine.catalog;
    let now = engine.later().await;

    assert!(catalog.claim_deliveries(START.plus_millis(-1), LEASE_MS, 10).await.unwrap().is_empty(), "not due yet");
    let one = catalog.claim_deliveries(now, LEASE_MS, 1).await.unwrap();
    assert_eq!(one[0].event.kind, "a", "the longest due first");
    assert_eq!((one[0].fence, one[0].attempts), (1, 1));
    assert_eq!(one[0].endpoint.as_ref().unwrap().secrets, ["whsec_c2VjcmV0"]);
    let two = catalog.claim_deliveries(now, LEASE_MS, 10).await.unwrap();
    assert_eq!(two.len(), 1, "the first is leased");
    assert!(catalog.claim_deliveries(now, LEASE_MS, 10).await.unwrap().is_empty());

    // A lease that ran out lets the next worker in, and keeps the slow one from writing.
    let after = now.plus_millis(LEASE_MS);
    let again = catalog.claim_deliveries(after, LEASE_MS, 1).await.unwrap();
    assert_eq!((again[0].id.as_str(), again[0].fence, again[0].attempts), (one[0].id.as_str(), 2, 2));
    let id = &one[0].id;
    let late = outcome(DeliveryStatus::Delivered, after);
    assert!(!catalog.finish_delivery(id, 1, late.clone()).await.unwrap());
    let retry_at = after.plus_millis(5_000);
    assert!(catalog.finish_delivery(id, 2, outcome(DeliveryStatus::Pending, retry_at)).await.unwrap());
    assert!(!catalog.finish_delivery(id, 2, late.clone()).await.unwrap(), "a claim ends with its outcome");
    assert!(!catalog.finish_delivery("nobody", 1, late).await.unwrap());

    let find = async |wanted: &str| {
        let all = catalog.deliveries(&shop(), None, 10).await.unwrap();
        all.into_iter().find(|delivery| delivery.id == wanted).unwrap()
    };
    let stored = find(id).await;
    assert_eq!((stored.status, stored.due_at, stored.last_status), (DeliveryStatus::Pending, retry_at, Some(503)));
    assert_eq!(stored.last_response.as_deref(), Some("busy \u{0} 🚧"));
    let second = &two[0].id;
    assert!(catalog.finish_delivery(second, 1, outcome(DeliveryStatus::Delivered, after)).await.unwrap());
    assert!(catalog.claim_deliveries(retry_at.plus_millis(-1), LEASE_MS, 10).await.unwrap().is_empty());
    assert_eq!(ids(&catalog.claim_deliveries(retry_at, LEASE_MS, 10).await.unwrap()), [id]);
    assert!(catalog.finish_delivery(id, 3, outcome(DeliveryStatus::Dead, retry_at)).await.unwrap());
    let dead = catalog.deliveries(&shop(), Some(DeliveryStatus::Dead), 10).await.unwrap();
    assert_eq!(ids(&dead), [id]);

    // Replay: from attempt 0, even while somebody holds a claim.
    assert!(catalog.redeliver(&shop(), id, retry_at).await.unwrap());
    assert!(!catalog.redeliver(&shop(), "nobody", retry_at).await.unwrap());
    let replayed = find(id).await;
    assert_eq!((replayed.status, replayed.attempts, replayed.due_at), (DeliveryStatus::Pending, 0, retry_at));
    let held = catalog.claim_deliveries(retry_at, LEASE_MS, 10).await.unwrap().remove(0);
    assert_eq!(held.attempts, 1);
    assert!(catalog.redeliver(&shop(), id, retry_at).await.unwrap());
    assert!(!catalog.finish_delivery(id, held.fence, outcome(DeliveryStatus::Dead, retry_at)).await.unwrap());

    // Where the endpoint went away meanwhile, nothing is to be posted to.
    hook(&engine, "hook", json!({ "url": "https://example.com", "disabled": true })).await;
    let disabled = catalog.claim_deliveries(retry_at, LEASE_MS, 10).await.unwrap().remove(0);
    assert_eq!(disabled.endpoint, None);
    hook(&engine, "hook", endpoint("https://new.example")).await;
    let freed = retry_at.plus_millis(LEASE_MS);
    let enabled = catalog.claim_deliveries(freed, LEASE_MS, 10).await.unwrap().remove(0);
    assert_eq!(enabled.endpoint.unwrap().url, "https://new.example");
    engine.edit(vec![archive(ResourceKind::Endpoint, &shop(), "hook", Expected::Any)]).await;
    let gone = catalog.claim_deliveries(freed.plus_millis(LEASE_MS), LEASE_MS, 10).await.unwrap().remove(0);
    assert_eq!(gone.endpoint, None);
}

pub async fn two_claimers_never_get_the_same_delivery(engine: Engine) {
    const EVENTS: usize = 60;
    engine.declare("shop", &[]).await;
    hook(&engine, "hook", endpoint("https://example.com")).await;
    engine.tell((0..EVENTS).map(|number| event("flag.updated", &shop(), &format!("f{number}"))).collect()).await;
    let now = engine.later().await;
    let claimers: Vec<_> = (0..6)
        .map(|_| {
            let catalog = engine.catalog.clone();
            tokio::spawn(async move {
                let mut mine = Vec::new();
                // An overtaken claimer may come away empty while there is work left; it asks again.
                for _ in 0..EVENTS {
                    mine.extend(catalog.claim_deliveries(now, LEASE_MS, 5).await.unwrap());
                    tokio::task::yield_now().await;
                }
                mine
            })
        })
        .collect();
    let mut claimed = Vec::new();
    for claimer in claimers {
        claimed.extend(claimer.await.unwrap());
    }
    assert!(claimed.iter().all(|delivery| delivery.fence == 1));
    let distinct: BTreeSet<&str> = ids(&claimed).into_iter().collect();
    assert_eq!((claimed.len(), distinct.len()), (EVENTS, EVENTS));
}
