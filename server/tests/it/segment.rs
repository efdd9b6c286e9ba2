//! Segment's protocol as clients and people use it: keys in three places, one call each, and statuses that clients act on.

use std::io::Write;

use reqwest::{RequestBuilder, StatusCode};
use serde_json::{Value, json};

use crate::{
    crash::until_stored,
    harness::{Server, TOKEN, read, shop},
};

async fn sent(request: RequestBuilder) -> (StatusCode, Value) {
    read(request.send().await.unwrap()).await
}

#[tokio::test(flavor = "multi_thread")]
async fn every_call_takes_its_message_and_answers_as_segment_does() {
    let server = Server::start().await;
    let key = shop(&server).await;
    let calls = [
        ("track", json!({"userId": "u1", "event": "Order Completed", "properties": {"revenue": 9.5}})),
        (
            "track",
            json!({"userId": "u1", "event": "Experiment Viewed", "properties": {"experiment_id": "checkout", "variation_id": "on"}}),
        ),
        ("identify", json!({"userId": "u1", "traits": {"plan": "pro"}})),
        ("page", json!({"anonymousId": "a1", "name": "Home"})),
        ("screen", json!({"anonymousId": "a1", "name": "Home"})),
        ("group", json!({"userId": "u1", "groupId": "g1"})),
        ("alias", json!({"userId": "u1", "previousId": "a1"})),
    ];
    for (index, (call, mut message)) in calls.into_iter().enumerate() {
        message["messageId"] = json!(format!("m{index}"));
        for _ in 0..2 {
            let request = server.http().post(server.url(&format!("/v1/{call}"))).basic_auth(&key, Some(""));
            let (status, answer) = sent(request.json(&message)).await;
            assert_eq!((status, answer), (StatusCode::OK, json!({"success": true})), "{call}");
        }
    }
    assert_eq!(until_stored(&server, 6).await, json!({"exposures": 1, "metrics": 6, "surplus": 0}));
}

#[tokio::test(flavor = "multi_thread")]
async fn the_write_key_is_taken_from_where_clients_put_it_and_a_wrong_one_is_not_tried_again() {
    let server = Server::start().await;
    let key = shop(&server).await;
    let (_, made) = server
        .manage(
            reqwest::Method::POST,
            "/projects/shop/environments/production/keys",
            Some(json!({"name": "backend", "kind": "server"})),
        )
        .await;
    let secret = made["key"].as_str().unwrap();
    let post = || server.http().post(server.url("/v1/batch"));
    let batch = |id: &str| json!({"batch": [{"type": "track", "messageId": id, "userId": "u", "event": "e"}]});
    let with_key = |id: &str, key: &str| {
        let mut body = batch(id);
        body["writeKey"] = json!(key);
        body
    };
    let taken = [
        post().basic_auth(&key, Some("")).json(&batch("a")),
        post().basic_auth(&key, None::<&str>).json(&batch("b")),
        post().basic_auth(secret, Some("")).json(&batch("c")),
        post().json(&with_key("d", &key)),
        post().bearer_auth(&key).json(&batch("e")),
        post().header("x-api-key", &key).json(&batch("f")),
    ];
    for (index, request) in taken.into_iter().enumerate() {
        assert_eq!(sent(request).await, (StatusCode::OK, json!({"success": true})), "request {index}");
    }
    let refused = [
        (post().json(&batch("x")), "key_missing"),
        (post().basic_auth("", Some("")).json(&batch("x")), "key_missing"),
        (post().basic_auth("env_wrong", Some("")).json(&batch("x")), "key_unknown"),
        (post().json(&with_key("x", "env_wrong")), "key_unknown"),
        (post().basic_auth(TOKEN, Some("")).json(&batch("x")), "key_unknown"),
    ];
    for (request, code) in refused {
        let (status, answer) = sent(request).await;
        assert_eq!((status, &answer["code"]), (StatusCode::UNAUTHORIZED, &json!(code)), "{answer:#}");
        assert_eq!(answer["message"], answer["detail"], "Segment's clients read `message`: {answer:#}");
    }
    assert_eq!(until_stored(&server, 6).await, json!({"exposures": 0, "metrics": 6, "surplus": 0}));
    assert!(!server.log().contains(secret), "a write key was logged");
}

#[tokio::test(flavor = "multi_thread")]
async fn what_can_never_be_taken_is_a_400_that_names_the_field() {
    let server = Server::start().await;
    let key = shop(&server).await;
    let post = |call: &str, body: &str| {
        sent(server.http().post(server.url(&format!("/v1/{call}"))).basic_auth(&key, Some("")).body(body.to_owned()))
    };
    for (call, body, code, words) in [
        ("track", r#"{"userId": "u"}"#, "event_rejected", "`event`"),
        ("group", r#"{"userId": "u"}"#, "event_rejected", "`groupId`"),
        ("batch", "{}", "malformed_json", "batch"),
        ("batch", "nonsense", "malformed_json", "line 1"),
        ("track", "", "malformed_json", "EOF"),
    ] {
        let (status, answer) = post(call, body).await;
        assert_eq!((status, &answer["code"]), (StatusCode::BAD_REQUEST, &json!(code)), "{body}: {answer:#}");
        assert!(answer["message"].as_str().unwrap().contains(words), "{body}: {answer:#}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn packed_bodies_and_browsers_are_welcome() {
    let server = Server::start().await;
    let key = shop(&server).await;
    let body = |id: &str| {
        json!({"batch": [{"type": "track", "messageId": id, "userId": "u", "event": "e"}]}).to_string().into_bytes()
    };
    let mut packer = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::default());
    packer.write_all(&body("g")).unwrap();
    let packed = [("gzip", packer.finish().unwrap()), ("zstd", zstd::encode_all(&body("z")[..], 1).unwrap())];
    for (encoding, body) in packed {
        let request = server.http().post(server.url("/v1/batch")).basic_auth(&key, Some(""));
        let (status, answer) = sent(request.header("content-encoding", encoding).body(body)).await;
        assert_eq!((status, answer), (StatusCode::OK, json!({"success": true})), "{encoding}");
    }
    for path in ["/v1/batch", "/v1/track", "/ingest/v1/events", "/ofrep/v1/evaluate/flags"] {
        let preflight = server
            .http()
            .request(reqwest::Method::OPTIONS, server.url(path))
            .header("origin", "https://shop.example")
            .header("access-control-request-method", "POST")
            .header("access-control-request-headers", "authorization,content-type")
            .send()
            .await
            .unwrap();
        let allowed = |name: &str| preflight.headers().get(name).map(|it| it.to_str().unwrap().to_owned());
        assert_eq!(allowed("access-control-allow-origin").as_deref(), Some("*"), "{path}");
        let headers = allowed("access-control-allow-headers").unwrap();
        assert!(headers.contains("authorization") && headers.contains("content-type"), "{path}: {headers}");
    }
    assert_eq!(until_stored(&server, 2).await, json!({"exposures": 0, "metrics": 2, "surplus": 0}));
}
