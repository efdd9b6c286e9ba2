//! Nothing is lost: failures of every sort are retried on the schedule, under one id, freshly signed.

use std::collections::{BTreeMap, BTreeSet};

use liftgate_domain::entropy::SeededEntropy;
use liftgate_domain::{DeliveryStatus, Endpoint, Entropy as _, Target};
use liftgate_webhooks::TickReport;
use liftgate_webhooks::schedule::DELAYS_MS;
use liftgate_webhooks::signature::Secret;
use serde_json::{Value, json};
use tokio::net::{TcpListener, TcpStream};

use crate::receiver::{Receiver, Reply};
use crate::world::{SECRET, World, config, draft, endpoint, impatient};

#[tokio::test]
async fn delivers_signed_json_with_all_headers() {
    let (world, receiver) = (World::new().await, Receiver::start([]).await);
    world.endpoint("hook", endpoint(&receiver.url())).await;
    world.tell("flag.created", "checkout", json!({"name": "Checkout"})).await;

    let dispatcher = world.dispatcher(config(&[&receiver.authority]));
    let report = world.tick(&dispatcher).await;
    assert_eq!(report, TickReport { claimed: 1, delivered: 1, ..TickReport::default() });
    assert_eq!(dispatcher.counters().deliveries, report);

    let heard = receiver.heard().remove(0);
    let delivery = world.delivery().await;
    assert_eq!(heard.path, "/hook");
    assert_eq!(heard.id(), delivery.id);
    assert_eq!(heard.timestamp_s(), 1_772_366_400);
    assert!(heard.is_signed_by(SECRET));
    assert_eq!(heard.header("content-type"), "application/json");
    assert_eq!(heard.header("user-agent"), concat!("Liftgate/", env!("CARGO_PKG_VERSION")));
    let body: Value = serde_json::from_slice(&heard.body).unwrap();
    assert_eq!(body["type"], "flag.created");
    assert_eq!(body["data"]["name"], "Checkout");
    assert_eq!((delivery.status, delivery.last_status), (DeliveryStatus::Delivered, Some(200)));
    assert_eq!(world.tick(&dispatcher).await, TickReport::default(), "once is enough");
}

#[tokio::test]
async fn a_failing_endpoint_is_tried_on_the_schedule_and_then_given_up() {
    let world = World::new().await;
    let receiver = Receiver::start(vec![Reply::Status(500, "broken"); 50]).await;
    world.endpoint("hook", endpoint(&receiver.url())).await;
    world.tell("flag.created", "checkout", json!({})).await;
    let dispatcher = world.dispatcher(config(&[&receiver.authority]));

    let mut attempts_at = Vec::new();
    while world.advance_to_next_due().await {
        attempts_at.push(world.now());
        world.tick(&dispatcher).await;
    }
    assert_eq!(attempts_at.len(), DELAYS_MS.len() + 1);
    for (pair, delay_ms) in attempts_at.windows(2).zip(DELAYS_MS) {
        let waited_ms = pair[1].micros_since(pair[0]) / 1_000;
        assert!((delay_ms * 8 / 10 - 1..=delay_ms * 12 / 10).contains(&waited_ms), "{waited_ms} for {delay_ms}");
    }
    let heard = receiver.heard();
    assert_eq!(heard.iter().map(|heard| heard.id()).collect::<BTreeSet<_>>().len(), 1, "one id");
    assert_eq!(heard.iter().map(|heard| &heard.body).collect::<BTreeSet<_>>().len(), 1, "one body");
    let stamps: Vec<i64> = attempts_at.iter().map(|at| at.as_micros() / 1_000_000).collect();
    assert_eq!(heard.iter().map(|heard| heard.timestamp_s()).collect::<Vec<_>>(), stamps, "fresh timestamps");
    assert!(heard.iter().all(|heard| heard.is_signed_by(SECRET)));
    let delivery = world.delivery().await;
    assert_eq!((delivery.status, delivery.last_status), (DeliveryStatus::Dead, Some(500)));
    assert_eq!(delivery.last_response.as_deref(), Some("broken"));
}

#[tokio::test]
async fn nothing_is_lost_on_a_receiver_that_fails_in_every_way() {
    let (world, entropy) = (World::new().await, SeededEntropy::new(99));
    let mut replies = Vec::new();
    for _ in 0..60 {
        let mut byte = [0_u8];
        entropy.fill(&mut byte);
        replies.push(match u32::from(byte[0]) * 100 / 256 {
            0..30 => Reply::Status(503, "busy"),
            30..36 => Reply::Hang,
            36..44 => Reply::Break,
            44..52 => Reply::RetryAfter(429, "90"),
            52..58 => Reply::Redirect(302),
            58..62 => Reply::Flood,
            62..66 => Reply::Drip(200),
            _ => Reply::Status(204, ""),
        });
    }
    let receiver = Receiver::start(replies).await;
    world.endpoint("hook", endpoint(&receiver.url())).await;
    for n in 0..30 {
        world.tell("flag.updated", &format!("flag-{n}"), json!({"n": n})).await;
    }
    let dispatcher = world.dispatcher(impatient(400, &[&receiver.authority]));
    while world.advance_to_next_due().await {
        world.tick(&dispatcher).await;
    }

    let deliveries = world.deliveries().await;
    assert_eq!(deliveries.len(), 30);
    assert!(deliveries.iter().all(|delivery| delivery.status == DeliveryStatus::Delivered));
    let mut bodies: BTreeMap<String, BTreeSet<Vec<u8>>> = BTreeMap::new();
    let mut arrived = BTreeSet::new();
    for heard in receiver.heard() {
        assert!(heard.is_signed_by(SECRET), "every attempt is signed");
        assert_eq!(heard.path, "/hook", "no redirect is followed");
        bodies.entry(heard.id().to_owned()).or_default().insert(heard.body.to_vec());
        if matches!(heard.reply, Reply::Status(200 | 204, _) | Reply::Flood | Reply::Drip(200)) {
            arrived.insert(heard.id().to_owned());
        }
    }
    assert_eq!(arrived, deliveries.iter().map(|delivery| delivery.id.clone()).collect());
    assert!(bodies.values().all(|bodies| bodies.len() == 1), "the same body on every attempt");
}

#[tokio::test]
async fn retry_after_is_waited_for_and_redirects_are_failures() {
    let world = World::new().await;
    let replies = [Reply::RetryAfter(429, "600"), Reply::RetryAfter(503, "999999999"), Reply::Redirect(308)];
    let receiver = Receiver::start(replies).await;
    world.endpoint("hook", endpoint(&receiver.url())).await;
    world.tell("flag.created", "checkout", json!({})).await;
    let dispatcher = world.dispatcher(config(&[&receiver.authority]));
    let mut waits_s = Vec::new();
    for _ in 0..3 {
        let before = world.now();
        assert_eq!(world.tick(&dispatcher).await.retried, 1);
        world.advance_to_next_due().await;
        waits_s.push(world.now().micros_since(before) / 1_000_000);
    }
    assert_eq!(waits_s[..2], [600, 24 * 60 * 60]);
    assert!((1_440..=2_160).contains(&waits_s[2]), "30 minutes and a fifth: {}", waits_s[2]);
    assert_eq!(world.tick(&dispatcher).await.delivered, 1);
    assert_eq!(receiver.heard().len(), 4, "the redirect was not followed");
}

#[tokio::test]
async fn a_reset_connection_is_tried_again() {
    let world = World::new().await;
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let authority = listener.local_addr().unwrap().to_string();
    world.endpoint("hook", endpoint(&format!("http://{authority}/hook"))).await;
    world.tell("flag.created", "checkout", json!({})).await;
    let dispatcher = world.dispatcher(config(&[&authority]));

    let reset = async {
        let (stream, _) = listener.accept().await.unwrap();
        read_some(&stream).await;
        stream.set_zero_linger().unwrap();
    };
    let (report, ()) = tokio::join!(world.tick(&dispatcher), reset);
    assert_eq!(report.retried, 1);
    let delivery = world.delivery().await;
    assert_eq!(delivery.last_status, None);
    assert!(!delivery.last_response.unwrap().contains(&authority), "the URL is not for display");

    let receiver = Receiver::on(listener, []);
    world.advance_to_next_due().await;
    assert_eq!(world.tick(&dispatcher).await.delivered, 1);
    assert_eq!(receiver.heard()[0].id(), delivery.id);
}

#[tokio::test]
async fn a_flood_is_read_to_twenty_kilobytes_and_a_body_that_hangs_does_not_undo_a_success() {
    let (world, receiver) = (World::new().await, Receiver::start([Reply::Flood, Reply::Drip(202)]).await);
    world.endpoint("hook", endpoint(&receiver.url())).await;
    let dispatcher = world.dispatcher(impatient(1_500, &[&receiver.authority]));
    world.tell("flag.created", "checkout", json!({})).await;
    assert_eq!(world.tick(&dispatcher).await.delivered, 1);
    assert_eq!(world.delivery().await.last_response.unwrap().len(), 20_000);
    world.tell("flag.updated", "checkout", json!({})).await;
    assert_eq!(world.tick(&dispatcher).await.delivered, 1);
}

#[tokio::test]
async fn gone_disables_the_endpoint_and_tells_the_others() {
    let (world, gone) = (World::new().await, Receiver::start([Reply::Status(410, "bye")]).await);
    let other = Receiver::start([]).await;
    world.endpoint("gone", endpoint(&gone.url())).await;
    world.endpoint("other", Endpoint { events: vec!["endpoint.*".to_owned()], ..endpoint(&other.url()) }).await;
    world.tell("flag.created", "checkout", json!({})).await;

    let dispatcher = world.dispatcher(config(&["127.0.0.1"]));
    assert_eq!(world.tick(&dispatcher).await.dead, 1);
    let stored = world.stored_endpoint("gone").await;
    assert!(stored.disabled);
    assert_eq!(stored.secrets, [SECRET], "nothing else of it changed");
    assert_eq!(dispatcher.counters().endpoints_disabled, 1);

    assert_eq!(world.tick(&dispatcher).await.delivered, 1);
    let body: Value = serde_json::from_slice(&other.heard()[0].body).unwrap();
    assert_eq!((&body["type"], &body["data"]["endpoint"]), (&json!("endpoint.disabled"), &json!("gone")));
    world.tell("flag.updated", "checkout", json!({})).await;
    assert_eq!(world.tick(&dispatcher).await, TickReport::default(), "a disabled endpoint hears nothing more");
    assert_eq!(gone.heard().len(), 1);
}

#[tokio::test]
async fn gone_from_where_an_endpoint_no_longer_points_does_not_disable_it() {
    let world = World::new().await;
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let authority = listener.local_addr().unwrap().to_string();
    world.endpoint("hook", endpoint(&format!("http://{authority}/old"))).await;
    world.tell("flag.created", "checkout", json!({})).await;
    let dispatcher = world.dispatcher(config(&[&authority]));
    let moved_meanwhile = async {
        let (stream, _) = listener.accept().await.unwrap();
        read_some(&stream).await;
        world.endpoint("hook", endpoint(&format!("http://{authority}/new"))).await;
        stream.writable().await.unwrap();
        stream.try_write(b"HTTP/1.1 410 Gone\r\ncontent-length: 0\r\n\r\n").unwrap();
        stream
    };
    let (report, _stream) = tokio::join!(world.tick(&dispatcher), moved_meanwhile);
    assert_eq!(report.dead, 1);
    assert!(!world.stored_endpoint("hook").await.disabled);
}

#[tokio::test]
async fn what_waits_for_an_endpoint_that_was_disabled_meanwhile_is_dead() {
    let (world, receiver) = (World::new().await, Receiver::start([]).await);
    world.endpoint("hook", endpoint(&receiver.url())).await;
    world.tell("flag.created", "checkout", json!({})).await;
    world.endpoint("hook", Endpoint { disabled: true, ..endpoint(&receiver.url()) }).await;
    let dispatcher = world.dispatcher(config(&[&receiver.authority]));
    assert_eq!(world.tick(&dispatcher).await.dead, 1);
    assert!(receiver.heard().is_empty());
}

#[tokio::test]
async fn while_secrets_rotate_both_sign_and_either_verifies() {
    let (world, receiver) = (World::new().await, Receiver::start([]).await);
    let newer = Secret::generate(&SeededEntropy::new(3));
    let secrets = vec![newer.clone(), SECRET.to_owned()];
    world.endpoint("hook", Endpoint { secrets, ..endpoint(&receiver.url()) }).await;
    world.tell("flag.created", "checkout", json!({})).await;
    world.tick(&world.dispatcher(config(&[&receiver.authority]))).await;
    let heard = receiver.heard().remove(0);
    assert_eq!(heard.header("webhook-signature").split(' ').count(), 2);
    assert!(heard.is_signed_by(SECRET) && heard.is_signed_by(&newer));
    assert!(!heard.is_signed_by(&Secret::generate(&SeededEntropy::new(4))));
}

#[tokio::test]
async fn an_endpoint_without_a_usable_secret_is_never_sent_to_unsigned() {
    let (world, receiver) = (World::new().await, Receiver::start([]).await);
    let dispatcher = world.dispatcher(config(&[&receiver.authority]));
    for (key, secrets) in [("none", vec![]), ("bad", vec!["whsec_short".to_owned()])] {
        world.endpoint(key, Endpoint { secrets, ..endpoint(&receiver.url()) }).await;
    }
    world.tell("flag.created", "checkout", json!({})).await;
    assert_eq!(world.tick(&dispatcher).await.retried, 2);
    assert!(world.deliveries().await.iter().all(|it| it.last_response.as_ref().unwrap().contains("secret")));
    assert!(receiver.heard().is_empty());
}

#[tokio::test]
async fn slack_is_satisfied_only_by_ok() {
    let world = World::new().await;
    let receiver = Receiver::start([Reply::Status(200, "invalid_blocks"), Reply::Status(200, "ok")]).await;
    world.endpoint("chat", slack(&receiver.url())).await;
    world.tell("flag.created", "checkout", json!({})).await;
    let dispatcher = world.dispatcher(config(&[&receiver.authority]));
    assert_eq!(world.tick(&dispatcher).await.retried, 1);
    world.advance_to_next_due().await;
    assert_eq!(world.tick(&dispatcher).await.delivered, 1);
    let body: Value = serde_json::from_slice(&receiver.heard()[0].body).unwrap();
    assert!(body["blocks"].is_array() && body["text"].is_string());
}

#[tokio::test]
async fn a_chat_hears_of_a_rollout_step_once_and_a_program_hears_all_of_it() {
    let (world, chat) = (World::new().await, Receiver::start([]).await);
    let program = Receiver::start([]).await;
    world.endpoint("chat", slack(&chat.url())).await;
    world.endpoint("program", endpoint(&program.url())).await;
    let step = vec![
        draft("rollout.rolled_back", "checkout", json!({})),
        draft("guardrail.harmed", "checkout", json!({})),
        draft("flag.share_changed", "checkout", json!({"from": "25%", "to": "0%"})),
    ];
    world.apply(Vec::new(), step).await;
    world.tell("flag.share_changed", "checkout", json!({"from": "0%", "to": "5%"})).await;
    assert_eq!(world.tick(&world.dispatcher(config(&["127.0.0.1"]))).await.delivered, 8);
    let texts: BTreeSet<String> = chat
        .heard()
        .iter()
        .map(|heard| serde_json::from_slice::<Value>(&heard.body).unwrap()["blocks"][0]["text"]["text"].to_string())
        .collect();
    assert_eq!(texts.into_iter().collect::<Vec<_>>(), ["\"Rollout rolled back\"", "\"Share changed\""]);
    assert_eq!((chat.heard().len(), program.heard().len()), (2, 4));
}

/// Waits for the beginning of a request; readiness alone may be false.
async fn read_some(stream: &TcpStream) {
    let mut bytes = [0_u8; 1_024];
    loop {
        stream.readable().await.unwrap();
        match stream.try_read(&mut bytes) {
            Ok(read) => return assert!(read > 0, "the client hung up"),
            Err(error) => assert_eq!(error.kind(), std::io::ErrorKind::WouldBlock),
        }
    }
}

fn slack(url: &str) -> Endpoint {
    Endpoint { target: Target::Slack, secrets: Vec::new(), ..endpoint(url) }
}
