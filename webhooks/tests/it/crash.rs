//! Leases and fences: a worker that dies, or is too late, neither loses nor doubles a record.

use std::collections::BTreeSet;

use liftgate_domain::{Catalog as _, DeliveryOutcome, DeliveryStatus};
use serde_json::json;

use crate::receiver::{Receiver, Reply};
use crate::world::{World, config, endpoint, impatient};

#[tokio::test]
async fn a_worker_that_dies_between_send_and_record_is_made_up_for_under_the_same_id() {
    let (world, mut receiver) = (World::new().await, Receiver::start([Reply::Hang]).await);
    world.endpoint("hook", endpoint(&receiver.url())).await;
    world.tell("flag.created", "checkout", json!({})).await;
    let settings = config(&[&receiver.authority]);

    let (dying, now) = (world.dispatcher(settings.clone()), world.now());
    let task = tokio::spawn(async move { dying.tick(now).await });
    let first = receiver.next().await;
    task.abort();
    assert!(task.await.unwrap_err().is_cancelled());
    let fence = world.delivery().await.fence;

    let other = world.dispatcher(settings.clone());
    assert_eq!(world.tick(&other).await.claimed, 0, "the lease still holds");
    world.clock.advance_ms(settings.lease_ms);
    assert_eq!(world.tick(&other).await.delivered, 1);
    let second = receiver.next().await;
    assert_eq!(first.id(), second.id());
    assert!(first.timestamp_s() < second.timestamp_s());

    let late =
        DeliveryOutcome { status: DeliveryStatus::Dead, due_at: world.now(), response_status: None, response: None };
    let id = world.delivery().await.id;
    assert!(!world.catalog.finish_delivery(&id, fence, late).await.unwrap(), "the fence refuses the late finish");
    assert_eq!(world.delivery().await.status, DeliveryStatus::Delivered);
}

#[tokio::test]
async fn a_worker_whose_lease_ran_out_while_it_waited_does_not_overwrite_the_outcome() {
    let (world, mut receiver) = (World::new().await, Receiver::start([Reply::Hang]).await);
    world.endpoint("hook", endpoint(&receiver.url())).await;
    world.tell("flag.created", "checkout", json!({})).await;
    let settings = impatient(1_500, &[&receiver.authority]);
    let (slow, quick) = (world.dispatcher(settings.clone()), world.dispatcher(settings.clone()));

    let overtake = async {
        receiver.next().await;
        world.clock.advance_ms(settings.lease_ms);
        world.tick(&quick).await
    };
    let (slow, quick) = tokio::join!(slow.tick(world.now()), overtake);
    assert_eq!((slow.unwrap().overtaken, quick.delivered), (1, 1));
    assert_eq!(world.delivery().await.status, DeliveryStatus::Delivered);
}

#[tokio::test]
async fn nothing_is_sent_on_a_lease_that_may_end_before_the_answer() {
    let (world, mut receiver) = (World::new().await, Receiver::start(vec![Reply::Hang; 4]).await);
    world.endpoint("hook", endpoint(&receiver.url())).await;
    for n in 0..5 {
        world.tell("flag.updated", &format!("flag-{n}"), json!({})).await;
    }
    let settings = impatient(1_500, &[&receiver.authority]);
    let dispatcher = world.dispatcher(settings.clone());
    let time_passes = async {
        for _ in 0..4 {
            receiver.next().await;
        }
        world.clock.advance_ms(settings.lease_ms - 1_000);
    };
    let (report, ()) = tokio::join!(dispatcher.tick(world.now()), time_passes);
    let report = report.unwrap();
    assert_eq!((report.retried, report.handed_back), (4, 1));
    assert_eq!(receiver.heard().len(), 4, "the fifth found too little left of its lease");
}

#[tokio::test]
async fn three_nodes_send_each_delivery_once() {
    let (world, receiver) = (World::new().await, Receiver::start([]).await);
    world.endpoint("hook", endpoint(&receiver.url())).await;
    for n in 0..60 {
        world.tell("flag.updated", &format!("flag-{n}"), json!({})).await;
    }
    let nodes = [(); 3].map(|()| world.dispatcher(config(&[&receiver.authority])));
    let reports = tokio::join!(world.tick(&nodes[0]), world.tick(&nodes[1]), world.tick(&nodes[2]));
    assert_eq!(reports.0.delivered + reports.1.delivered + reports.2.delivered, 60);
    let heard = receiver.heard();
    assert_eq!(heard.iter().map(|heard| heard.id()).collect::<BTreeSet<_>>().len(), 60);
    assert_eq!(heard.len(), 60, "none twice");
}

#[tokio::test]
async fn what_finds_its_lane_full_goes_back_unsent_and_loses_no_chance() {
    let world = World::new().await;
    let receiver = Receiver::start([]).await;
    world.endpoint("hook", endpoint(&receiver.url())).await;
    for n in 0..200 {
        world.tell("flag.updated", &format!("flag-{n}"), json!({})).await;
    }
    let dispatcher = world.dispatcher(config(&[&receiver.authority]));
    let report = world.tick(&dispatcher).await;
    assert_eq!((report.claimed, report.delivered, report.handed_back), (200, 128, 72));
    world.advance_to_next_due().await;
    assert_eq!(world.tick(&dispatcher).await.delivered, 72);
    assert_eq!(receiver.heard().len(), 200);
}
