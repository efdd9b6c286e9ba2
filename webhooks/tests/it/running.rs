//! The loop: woken at once, kept apart, stopped in order.

use std::sync::Arc;

use liftgate_domain::DeliveryStatus;
use liftgate_webhooks::{DispatcherConfig, TickReport};
use serde_json::json;
use tokio::sync::Notify;
use tokio_util::sync::CancellationToken;

use crate::receiver::{Receiver, Reply};
use crate::world::{World, config, endpoint, impatient};

#[tokio::test]
async fn a_wake_up_sends_at_once_and_the_poll_finds_what_is_due() {
    let (world, mut receiver) = (World::new().await, Receiver::start([Reply::Status(500, "")]).await);
    world.endpoint("hook", endpoint(&receiver.url())).await;
    // A poll so rare that only the wake-up can be what sends.
    let rare = DispatcherConfig { poll_ms: 3_600_000, ..config(&[&receiver.authority]) };
    let (wake, stop) = (Arc::new(Notify::new()), CancellationToken::new());
    let dispatcher = world.dispatcher(rare);
    let task = tokio::spawn({
        let (dispatcher, wake, stop) = (dispatcher.clone(), wake.clone(), stop.clone());
        async move { dispatcher.run(wake, stop).await }
    });
    world.tell("flag.created", "checkout", json!({})).await;
    wake.notify_one();
    let first = receiver.next().await;
    stop.cancel();
    task.await.unwrap();
    let expected = TickReport { claimed: 1, retried: 1, ..TickReport::default() };
    assert_eq!(dispatcher.counters().deliveries, expected, "what was being sent has its outcome");

    world.advance_to_next_due().await;
    let (dispatcher, stop) = (world.dispatcher(config(&[&receiver.authority])), CancellationToken::new());
    let task = tokio::spawn({
        let stop = stop.clone();
        async move { dispatcher.run(Arc::default(), stop).await }
    });
    assert_eq!(receiver.next().await.id(), first.id());
    stop.cancel();
    task.await.unwrap();
    assert_eq!(world.delivery().await.status, DeliveryStatus::Delivered);
}

#[tokio::test]
async fn one_dead_endpoint_slows_no_other() {
    let world = World::new().await;
    let dead = Receiver::start(vec![Reply::Hang; 1_000]).await;
    let mut alive = Receiver::start([]).await;
    world.endpoint("dead", endpoint(&dead.url())).await;
    world.endpoint("alive", endpoint(&alive.url())).await;
    for n in 0..100 {
        world.tell("flag.updated", &format!("flag-{n}"), json!({})).await;
    }
    // The dead one holds what is sent to it far longer than the receiver below is waited for.
    let patient =
        DispatcherConfig { request_timeout_ms: 60_000, lease_ms: 120_000, concurrency: 6, ..config(&["127.0.0.1"]) };
    let dispatcher = world.dispatcher(patient);
    let task = tokio::spawn(async move { dispatcher.run(Arc::default(), CancellationToken::new()).await });
    for _ in 0..100 {
        alive.next().await;
    }
    assert!(dead.heard().len() <= 4, "the dead one has no more than its lane");
    task.abort();
}

#[tokio::test]
async fn stopping_hands_back_what_was_not_sent() {
    let (world, mut receiver) = (World::new().await, Receiver::start(vec![Reply::Hang; 1_000]).await);
    world.endpoint("hook", endpoint(&receiver.url())).await;
    for n in 0..20 {
        world.tell("flag.updated", &format!("flag-{n}"), json!({})).await;
    }
    let (dispatcher, stop) = (world.dispatcher(impatient(3_000, &[&receiver.authority])), CancellationToken::new());
    let task = tokio::spawn({
        let (dispatcher, stop) = (dispatcher.clone(), stop.clone());
        async move { dispatcher.run(Arc::default(), stop).await }
    });
    for _ in 0..4 {
        receiver.next().await;
    }
    stop.cancel();
    task.await.unwrap();
    let expected = TickReport { claimed: 20, retried: 4, handed_back: 16, ..TickReport::default() };
    assert_eq!(dispatcher.counters().deliveries, expected);
    assert_eq!(receiver.heard().len(), 4);
}

#[tokio::test]
async fn settings_that_cannot_work_are_refused() {
    let world = World::new().await;
    let check = |config: DispatcherConfig, expected: &str| {
        let refused = liftgate_webhooks::Dispatcher::new(
            world.catalog.clone(),
            Arc::new(liftgate_domain::entropy::SeededEntropy::new(1)),
            config,
        );
        let message = refused.err().expect("refused").to_string();
        assert!(message.contains(expected), "{message}");
    };
    check(DispatcherConfig { lease_ms: 5_000, ..config(&[]) }, "`lease_ms`");
    check(DispatcherConfig { request_timeout_ms: 0, ..config(&[]) }, "`request_timeout_ms`");
    check(DispatcherConfig { concurrency: 0, ..config(&[]) }, "`concurrency`");
}
