//! Segment's HTTP API: what its clients and RudderStack's really send, and how each fault is named.

use liftgate_domain::Timestamp;
use liftgate_ingest::native::ParseError;
use liftgate_ingest::segment_api::{Call, SegmentRequest, parse};
use liftgate_ingest::{Limits, ParsedEvent, RawBody, RawEvent, RejectCode};
use serde_json::{Value, json};

const RECEIVED_AT: Timestamp = Timestamp(1_800_000_000_000_000);
const MARCH: &str = "2026-03-01T09:00:00.123Z";
const GOOD: &str =
    r#"{"type":"track","messageId":"m","userId":"u","event":"Order Completed","timestamp":1767225600000}"#;

fn read(call: Call, body: &str) -> Result<SegmentRequest, ParseError> {
    parse(call, body.as_bytes(), &Limits::default(), RECEIVED_AT)
}

fn good_batch(body: &str) -> Vec<RawEvent> {
    let good = |event| match event {
        ParsedEvent::Ok(event) => event,
        ParsedEvent::Bad(rejection) => panic!("{rejection:?}"),
    };
    read(Call::Batch, body).unwrap().events.into_iter().map(good).collect()
}

fn good(call: Call, body: &Value) -> RawEvent {
    match read(call, &body.to_string()).unwrap().events.remove(0) {
        ParsedEvent::Ok(event) => event,
        ParsedEvent::Bad(rejection) => panic!("{body}: {rejection:?}"),
    }
}

fn track(body: Value) -> RawEvent {
    let mut message = json!({"messageId": "m", "userId": "u", "event": "e", "timestamp": MARCH});
    message.as_object_mut().unwrap().extend(body.as_object().unwrap().clone());
    good(Call::Track, &message)
}

/// One line an event: units, what happened, value, properties.
fn line(event: &RawEvent) -> String {
    let units = event.other_units.iter().map(|unit| format!(" {}={}", unit.unit_type, unit.unit_id));
    let units = format!("{}={}{}", event.unit_type, event.unit_id, units.collect::<String>());
    let shown = |properties: &Option<_>| json!(properties).to_string();
    match &event.body {
        RawBody::Metric { event, value, properties } => format!("{units} | {event} {value:?} {}", shown(properties)),
        RawBody::Exposure { flag, variation, attributes } => {
            format!("{units} | {flag}:{variation} {}", shown(attributes))
        }
    }
}

#[test]
fn reads_what_the_segment_client_for_node_sends() {
    let body = include_str!("segment_bodies/analytics_node_3_1.json");
    let request = read(Call::Batch, body).unwrap();
    assert_eq!(request.write_key.as_deref(), Some("env_fixture"));
    let events = good_batch(body);
    assert_eq!(
        events.iter().map(line).collect::<Vec<_>>(),
        [
            r#"user=user-1 | Order Completed Some(39.95) {"currency":"EUR","products":[{"quantity":2,"sku":"a"}],"revenue":39.95}"#,
            r#"anonymous=anon-1 | checkout:treatment {"experiment_id":"checkout","experiment_name":"Checkout redesign","variation_id":"treatment","variation_name":"Treatment"}"#,
            "user=user-1 account=acme anonymous=anon-1 | Button Clicked None {}",
            r#"user=user-1 | identify None {"name":"Zoë 🦀","plan":"pro"}"#,
            r#"user=user-1 | page None {"category":"Docs","name":"Start","url":"https://example.com/start"}"#,
            r#"anonymous=anon-1 | screen None {"name":"Home"}"#,
            r#"user=user-1 account=acme | group None {"employees":40,"groupId":"acme"}"#,
            r#"user=user-1 | alias None {"previousId":"anon-1"}"#,
        ]
    );
    for (index, event) in events.iter().enumerate() {
        assert!(event.id.starts_with("node-next-"), "{event:?}");
        assert_eq!(event.sent_at, Some("2026-11-21T11:31:55.205Z".parse().unwrap()));
        let time = if index == 2 { "2026-11-21T11:31:55.199Z" } else { MARCH };
        assert_eq!(event.timestamp, time.parse().unwrap(), "{event:?}");
    }
}

#[test]
fn reads_what_the_segment_client_for_python_sends() {
    let body = include_str!("segment_bodies/analytics_python_2_4.json");
    let events = good_batch(body);
    assert_eq!(
        events.iter().map(line).collect::<Vec<_>>(),
        [
            r#"user=user-1 | Order Completed Some(39.95) {"currency":"EUR","revenue":39.95,"total":39.95}"#,
            r#"anonymous=anon-1 | checkout:treatment {"experiment_id":"checkout","variation_id":"treatment"}"#,
            "user=17 account=acme | Button Clicked None {}",
            r#"user=user-1 | identify None {"name":"Zoë 🦀","plan":"pro"}"#,
            r#"user=user-1 | page None {"category":"Docs","name":"Start","url":"https://example.com/start"}"#,
            r#"user=user-1 | screen None {"name":"Home"}"#,
            r#"user=user-1 account=acme | group None {"employees":40,"groupId":"acme"}"#,
            r#"user=user-1 | alias None {"previousId":"anon-1"}"#,
        ]
    );
    assert_eq!(events[0].timestamp, MARCH.parse().unwrap());
    assert_eq!(events[0].sent_at, Some("2026-11-21T11:31:59.231450Z".parse().unwrap()));
    assert_eq!(events[7].id, "my-own-id");
    assert_eq!(read(Call::Batch, body).unwrap().write_key.as_deref(), Some("env_fixture"));
}

#[test]
fn reads_what_the_rudderstack_client_for_node_sends() {
    let body = include_str!("segment_bodies/rudder_node_3_0.json");
    let events = good_batch(body);
    assert_eq!(
        events.iter().map(line).collect::<Vec<_>>(),
        [
            r#"user=user-1 | Order Completed Some(39.95) {"currency":"EUR","revenue":39.95}"#,
            r#"anonymous=anon-1 | checkout:treatment {"experiment_name":"checkout","variation_name":"treatment"}"#,
            r#"user=17 | identify None {"name":"Zoë 🦀","plan":"pro"}"#,
            r#"user=user-1 | page None {"category":"Docs","name":"Start","url":"https://example.com/start"}"#,
            r#"anonymous=anon-1 | screen None {"name":"Home"}"#,
            r#"user=user-1 account=acme | group None {"employees":40,"groupId":"acme"}"#,
            r#"user=user-1 | alias None {"previousId":"anon-1"}"#,
            "user=user-1 | Button Clicked None null",
        ]
    );
    let times: Vec<String> = events.iter().take(3).map(|event| event.timestamp.to_string()).collect();
    assert_eq!(times, ["2026-11-21T11:31:56.929Z", MARCH, MARCH]);
    assert_eq!(events[0].sent_at, Some("2026-11-21T11:31:56.931Z".parse().unwrap()));
    assert_eq!(read(Call::Batch, body).unwrap().write_key, None, "it is in the header only");
}

#[test]
fn a_single_message_has_the_type_of_its_path() {
    let body = json!({"messageId": "m", "userId": "u", "anonymousId": "a", "groupId": "g", "previousId": "p", "event": "e",
        "name": "n", "type": "track", "writeKey": "k", "timestamp": MARCH, "traits": {"t": 1}, "properties": {"x": 2}});
    for (path, expected) in [
        ("track", r#"e None {"x":2}"#),
        ("identify", r#"identify None {"t":1}"#),
        ("page", r#"page None {"name":"n","x":2}"#),
        ("screen", r#"screen None {"name":"n","x":2}"#),
        ("group", r#"group None {"groupId":"g","t":1}"#),
        ("alias", r#"alias None {"previousId":"p","t":1}"#),
    ] {
        let call = Call::from_path(path).unwrap();
        assert_eq!(call.as_str(), path);
        assert_eq!(line(&good(call, &body)), format!("user=u account=g anonymous=a | {expected}"));
        assert_eq!(read(call, &body.to_string()).unwrap().write_key.as_deref(), Some("k"));
    }
    assert_eq!(Call::from_path("batch"), Some(Call::Batch));
    assert_eq!(Call::from_path("import"), None);
}

#[test]
fn a_value_is_the_first_number_that_a_track_message_names() {
    for (properties, expected) in [
        (json!({"value": 2, "revenue": 3}), Some(2.0)),
        (json!({"revenue": 3.5}), Some(3.5)),
        (json!({"value": "high", "revenue": " 19.99 "}), Some(19.99)),
        (json!({"value": null, "revenue": -1}), Some(-1.0)),
        (json!({"value": "NaN"}), None),
        (json!({"value": "1e999"}), None),
        (json!({"value": {"amount": 1}}), None),
        (json!({"total": 4}), None),
        (json!(null), None),
    ] {
        let event = track(json!({"properties": properties}));
        assert!(matches!(event.body, RawBody::Metric { value, .. } if value == expected), "{event:?}");
    }
}

#[test]
fn an_experiment_viewed_is_an_exposure_by_id_before_name() {
    for (properties, expected) in [
        (json!({"experiment_id": "f", "experiment_name": "F", "variation_id": "v", "variation_name": "V"}), ("f", "v")),
        (json!({"experiment_id": "", "experiment_name": "F", "variation_id": null, "variation_name": "V"}), ("F", "V")),
        (json!({"experiment": "f", "variation": 2}), ("f", "2")),
        (json!({"experiment_id": 12, "variation_id": "v"}), ("12", "v")),
    ] {
        let event = track(json!({"event": "Experiment Viewed", "properties": properties}));
        let RawBody::Exposure { flag, variation, attributes } = event.body else { panic!("{event:?}") };
        assert_eq!((flag.as_str(), variation.as_str()), expected);
        assert_eq!(json!(attributes), properties);
    }
    let event = track(json!({"event": "experiment viewed", "properties": {"experiment_id": "f", "variation_id": "v"}}));
    assert!(matches!(event.body, RawBody::Metric { .. }), "another event of a similar name: {event:?}");
}

#[test]
fn the_time_is_the_first_that_is_given() {
    let times = |body: Value| {
        let mut message = json!({"messageId": "m", "userId": "u", "event": "e"});
        message.as_object_mut().unwrap().extend(body.as_object().unwrap().clone());
        let event = good(Call::Track, &message);
        (event.timestamp.as_micros() / 1_000, event.sent_at.map(|time| time.as_micros() / 1_000))
    };
    assert_eq!(times(json!({"timestamp": 1, "originalTimestamp": 2, "sentAt": 3})), (1, Some(3)));
    assert_eq!(times(json!({"originalTimestamp": "1970-01-01T00:00:00.002Z", "sentAt": 3})), (2, Some(3)));
    assert_eq!(times(json!({"sentAt": 3})), (3, Some(3)));
    assert_eq!(times(json!({"timestamp": null})), (RECEIVED_AT.as_micros() / 1_000, None));
    let batch = r#"{"batch":[{"type":"track","userId":"u","event":"e","timestamp":1,"sentAt":3}],"sentAt":9}"#;
    let event = good_batch(batch).remove(0);
    assert_eq!(event.sent_at, Some(Timestamp(9_000)), "the batch was stamped when it was last sent");
}

#[test]
fn a_message_without_an_id_gets_one_that_a_retry_repeats() {
    let id = |body: &str, received_at: Timestamp| {
        let request = parse(Call::Batch, body.as_bytes(), &Limits::default(), received_at).unwrap();
        let [ParsedEvent::Ok(event)] = &request.events[..] else { panic!("{request:?}") };
        assert!(event.id.starts_with("content-") && event.id.len() <= 128, "{event:?}");
        event.id.clone()
    };
    let later = RECEIVED_AT.plus_millis(5_000);
    let timed = r#"{"batch":[{"type":"track","userId":"u","event":"e","timestamp":5}],"sentAt":1}"#;
    assert_eq!(id(timed, RECEIVED_AT), id(&timed.replace(r#""sentAt":1"#, r#""sentAt":2"#), later));
    assert_ne!(id(timed, RECEIVED_AT), id(&timed.replace("timestamp\":5", "timestamp\":6"), RECEIVED_AT));
    assert_ne!(id(timed, RECEIVED_AT), id(&timed.replace(r#""u""#, r#""v""#), RECEIVED_AT));
    let sent = r#"{"batch":[{"type":"track","userId":"u","event":"e"}],"sentAt":1}"#;
    assert_eq!(id(sent, RECEIVED_AT), id(sent, later), "the same bytes again are the same event");
    let timeless = r#"{"batch":[{"type":"track","userId":"u","event":"e"}]}"#;
    assert_ne!(id(timeless, RECEIVED_AT), id(timeless, later), "nothing tells a retry from a second event");
    let spaced = timed.replace(',', " , ").replace("messageId", "m");
    assert_eq!(id(timed, RECEIVED_AT), id(&spaced, RECEIVED_AT));
    let single = read(Call::Track, r#"{"userId":"u","event":"e","timestamp":5}"#).unwrap();
    assert!(matches!(&single.events[..], [ParsedEvent::Ok(event)] if event.id == id(timed, later)), "{single:?}");
}

#[test]
fn names_each_fault_and_lets_the_neighbours_through() {
    use RejectCode::*;
    let with = |from: &str, to: &str| {
        assert!(GOOD.contains(from), "{from}");
        GOOD.replacen(from, to, 1)
    };
    let properties = |text: &str| with(r#""type""#, &format!(r#""properties":{text},"type""#));
    let viewed = |text: &str| properties(text).replace("Order Completed", "Experiment Viewed");
    let deep = format!(r#"{{"x":{}1{}}}"#, "[".repeat(1_000), "]".repeat(1_000));
    let cases = [
        ("5".to_owned(), WrongType, None),
        (r#"["track","m","u"]"#.to_owned(), WrongType, None),
        (with(r#""type":"track","#, ""), MissingField, Some("type")),
        (with("track", "import"), UnknownType, Some("type")),
        (with(r#""track""#, "1"), WrongType, Some("type")),
        (with(r#""m""#, "true"), WrongType, Some("messageId")),
        (with(r#""m""#, &format!(r#""{}""#, "m".repeat(129))), TooLarge, Some("messageId")),
        (with(r#""m""#, r#""a\u0000b""#), InvalidValue, Some("messageId")),
        (with(r#""m""#, r#""\ud800""#), InvalidValue, Some("messageId")),
        (with(r#""userId":"u","#, ""), MissingField, Some("userId")),
        (with(r#""userId":"u""#, r#""userId":"","anonymousId":null"#), MissingField, Some("userId")),
        (with(r#""u""#, r#"{"id":"u"}"#), WrongType, Some("userId")),
        (with(r#""u""#, "1e999"), ValueNotFinite, Some("userId")),
        (with(r#""u""#, &format!(r#""{}""#, "u".repeat(1_025))), TooLarge, Some("userId")),
        (with(r#""u""#, r#""a\u0000b""#), InvalidValue, Some("userId")),
        (with(r#""u""#, r#""u","userId":"v""#), InvalidValue, Some("userId")),
        (with("userId\":\"u", &format!("anonymousId\":\"{}", "u".repeat(1_025))), TooLarge, Some("anonymousId")),
        (with(r#""type""#, r#""context":{"groupId":[]},"type""#), WrongType, Some("context.groupId")),
        (with(r#""type""#, r#""context":["acme",null],"type""#), WrongType, Some("context")),
        (with(r#""type""#, r#""context":{"groupId":1,"groupId":2},"type""#), InvalidValue, Some("context.groupId")),
        (with("track", "group"), MissingField, Some("groupId")),
        (with("track", "alias"), MissingField, Some("previousId")),
        (with("track\"", r#"identify","context":{"traits":[]}"#), WrongType, Some("context.traits")),
        (with(r#""event":"Order Completed","#, ""), MissingField, Some("event")),
        (with("Order Completed", ""), InvalidValue, Some("event")),
        (with("Order Completed", &"e".repeat(257)), TooLarge, Some("event")),
        (with(r#""Order Completed""#, "7"), WrongType, Some("event")),
        (with("1767225600000", r#""yesterday""#), InvalidValue, Some("timestamp")),
        (with("1767225600000", "[]"), WrongType, Some("timestamp")),
        (with("1767225600000", r#"1,"sentAt":"2026-01-01""#), InvalidValue, Some("sentAt")),
        (with("1767225600000", r#"1,"originalTimestamp":true"#), WrongType, Some("originalTimestamp")),
        (properties("[]"), WrongType, Some("properties")),
        (properties(r#"{"value":1e999}"#), ValueNotFinite, Some("properties")),
        (properties(r#"{"name":"\ud83d"}"#), InvalidValue, Some("properties")),
        (properties(&deep), InvalidValue, Some("properties")),
        (properties(&format!(r#"{{"x":"{}"}}"#, "y".repeat(33_000))), TooLarge, None),
        (viewed("{}"), MissingField, Some("properties.experiment_id")),
        (viewed(r#"{"experiment":"f"}"#), MissingField, Some("properties.variation_id")),
        (viewed(r#"{"experiment_id":["f"]}"#), WrongType, Some("properties.experiment_id")),
        (viewed(&format!(r#"{{"experiment":"{}"}}"#, "f".repeat(257))), TooLarge, Some("properties.experiment")),
    ];
    for (message, code, field) in &cases {
        let request = read(Call::Batch, &format!(r#"{{"batch":[{GOOD},{message},{GOOD}]}}"#)).unwrap();
        let [ParsedEvent::Ok(before), ParsedEvent::Bad(bad), ParsedEvent::Ok(after)] = &request.events[..] else {
            panic!("{message}: {request:?}");
        };
        assert_eq!((before.id.as_str(), after.id.as_str()), ("m", "m"));
        assert_eq!((bad.index, bad.code, bad.field.as_deref()), (1, *code, *field), "{message}: {bad:?}");
        assert!(!bad.detail.is_empty() && !bad.detail.contains(" at line "), "{bad:?}");
        assert!(field.is_none_or(|field| bad.detail.contains(&format!("`{field}`"))), "{bad:?}");
    }
}

#[test]
fn what_just_fits_is_read() {
    let batch = format!(r#"{{"batch":[ {GOOD} ]}}"#);
    for (call, body) in [(Call::Batch, batch.as_str()), (Call::Track, GOOD)] {
        for (room, fits) in [(GOOD.len(), true), (GOOD.len() - 1, false)] {
            let limits = Limits { event_bytes_max: room, ..Limits::default() };
            let request = parse(call, body.as_bytes(), &limits, RECEIVED_AT).unwrap();
            match &request.events[..] {
                [ParsedEvent::Ok(_)] => assert!(fits, "{room}"),
                [ParsedEvent::Bad(bad)] => assert!(!fits && bad.code == RejectCode::TooLarge, "{room}: {bad:?}"),
                other => panic!("{other:?}"),
            }
        }
    }
    let read = track(json!({"messageId": "m".repeat(128), "userId": "u".repeat(1_024), "event": "e".repeat(256)}));
    assert_eq!((read.id.len(), read.unit_id.len()), (128, 1_024));
}

#[test]
fn times_that_no_clock_shows_are_read_and_left_to_admission() {
    for time in ["2016-01-01T00:00:00Z", "2036-01-01T00:00:00Z"] {
        assert_eq!(track(json!({"timestamp": time})).timestamp.to_string(), time);
    }
}

#[test]
fn what_has_no_meaning_here_is_ignored() {
    let message = r#"{"type":"track","messageId":"m","userId":"u","event":"e","timestamp":1,"integrations":{"All":false},
        "context":{"ip":"::1","userAgent":"\ud800","traits":7},"extra":1e999,"extra":[]}"#;
    let body = format!(r#"{{"batch":[{message}],"context":null,"integrations":{{}},"timestamp":"?"}}"#);
    assert_eq!(good_batch(&body).len(), 1);
}

#[test]
fn a_body_of_another_outline_says_what_is_wrong() {
    for (call, body, part) in [
        (Call::Batch, "", "EOF"),
        (Call::Batch, "{}", "missing field `batch`"),
        (Call::Batch, "[]", "an object"),
        (Call::Batch, r#"["k",null,[]]"#, "an object"),
        (Call::Batch, r#"{"batch":{}}"#, "invalid type"),
        (Call::Batch, r#"{"batch":[],"batch":[]}"#, "duplicate field `batch`"),
        (Call::Batch, r#"{"batch":[],"sentAt":"soon"}"#, "`sentAt`"),
        (Call::Batch, r#"{"batch":[],"writeKey":7}"#, "`writeKey`"),
        (Call::Batch, r#"{"batch":[{]}"#, "key must be a string"),
        (Call::Track, "7", "an object"),
        (Call::Track, r#"{"writeKey":["k"]}"#, "`writeKey`"),
        (Call::Track, r#"{"event":NaN}"#, "expected value"),
    ] {
        let error = read(call, body).unwrap_err();
        assert!(error.message.contains(part), "{body}: {error}");
    }
    let limits = Limits { batch_bytes_max: 10, ..Limits::default() };
    let error = parse(Call::Batch, br#"{"batch":[]}"#, &limits, RECEIVED_AT).unwrap_err();
    assert!(error.message.contains("at most 10"), "{error}");
}

#[test]
fn a_write_key_is_not_shown_in_logs() {
    let request = read(Call::Batch, r#"{"batch":[],"writeKey":"ser.secret"}"#).unwrap();
    assert_eq!(request.write_key.as_deref(), Some("ser.secret"));
    assert!(!format!("{request:?}").contains("secret"));
    assert_eq!(read(Call::Batch, r#"{"batch":[],"writeKey":""}"#).unwrap().write_key, None);
}
