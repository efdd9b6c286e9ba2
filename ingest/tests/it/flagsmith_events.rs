//! Events of Flagsmith's SDKs: what each becomes, what makes two the same, and how bad ones are named.

use liftgate_ingest::{Limits, ParsedEvent, RawBody, RawEvent, RejectCode, flagsmith_events};
use serde_json::{Value, json};

fn parse(events: Value) -> Vec<ParsedEvent> {
    let body = json!({ "events": events }).to_string();
    flagsmith_events::parse(body.as_bytes(), &Limits::default()).unwrap()
}

fn good(event: Value) -> RawEvent {
    match parse(json!([event])).remove(0) {
        ParsedEvent::Ok(event) => event,
        ParsedEvent::Bad(rejection) => panic!("{rejection:?}"),
    }
}

#[test]
fn an_exposure_names_flag_variant_and_identity() {
    let event = good(json!({"event": "$flag_exposure", "feature_name": "banner", "identifier": "u1", "value": "blue",
        "traits": {"plan": "pro"}, "metadata": {"experiment_id": 7, "sdk_version": "1"}, "timestamp": 1_767_225_600_123_i64}));
    assert_eq!((event.unit_type.as_str(), event.unit_id.as_str()), ("user", "u1"));
    assert_eq!(event.timestamp.as_micros(), 1_767_225_600_123_000);
    let RawBody::Exposure { flag, variation, attributes } = event.body else { panic!("{:?}", event.body) };
    assert_eq!((flag.as_str(), variation.as_str()), ("banner", "blue"));
    assert_eq!(Value::Object(attributes.unwrap()), json!({"plan": "pro", "experiment_id": 7, "sdk_version": "1"}));
}

#[test]
fn values_are_numbers_written_as_text_or_kept_as_a_property() {
    for (value, number, property) in [
        (json!("9.5"), Some(9.5), Value::Null),
        (json!(3), Some(3.0), Value::Null),
        (json!("True"), None, json!("True")),
        (json!("1e999"), None, json!("1e999")),
        (Value::Null, None, Value::Null),
    ] {
        let event =
            good(json!({"event": "checkout", "identifier": "u1", "value": value, "timestamp": 1_767_225_600_000_i64}));
        let RawBody::Metric { value, properties, .. } = event.body else { panic!("{:?}", event.body) };
        assert_eq!(value, number);
        assert_eq!(properties.unwrap_or_default().get("value").cloned().unwrap_or_default(), property);
    }
}

#[test]
fn the_same_event_sent_again_has_the_same_id_however_it_is_written() {
    let first = r#"{"events":[{"event":"a","identifier":"u","timestamp":1767225600000,"value":null}]}"#;
    let again = r#"{"events":[{"timestamp": 1767225600000, "value":null, "identifier":"u", "event":"a"}]}"#;
    let other = r#"{"events":[{"event":"a","identifier":"u","timestamp":1767225600001,"value":null}]}"#;
    let id = |body: &str| match &flagsmith_events::parse(body.as_bytes(), &Limits::default()).unwrap()[0] {
        ParsedEvent::Ok(event) => event.id.clone(),
        ParsedEvent::Bad(rejection) => panic!("{rejection:?}"),
    };
    assert_eq!(id(first), id(again));
    assert_ne!(id(first), id(other));
}

#[test]
fn bad_events_are_named_and_their_neighbours_are_taken() {
    let base =
        json!({"event": "$flag_exposure", "feature_name": "f", "identifier": "u", "value": "on", "timestamp": 1});
    let with = |field: &str, value: Value| {
        let mut event = base.clone();
        event[field] = value;
        event
    };
    let rows = [
        (with("event", Value::Null), Some("event"), RejectCode::MissingField),
        (with("identifier", json!("")), Some("identifier"), RejectCode::InvalidValue),
        (with("identifier", json!({})), Some("identifier"), RejectCode::WrongType),
        (with("feature_name", Value::Null), Some("feature_name"), RejectCode::MissingField),
        (with("value", Value::Null), Some("value"), RejectCode::MissingField),
        (with("traits", json!([])), Some("traits"), RejectCode::WrongType),
        (with("timestamp", json!("yesterday")), Some("timestamp"), RejectCode::WrongType),
        (with("timestamp", json!(i64::MAX)), Some("timestamp"), RejectCode::InvalidValue),
        (with("identifier", json!("u".repeat(2_000))), Some("identifier"), RejectCode::TooLarge),
        (json!(5), None, RejectCode::InvalidValue),
    ];
    let events: Vec<Value> = rows.iter().map(|row| row.0.clone()).chain([base.clone()]).collect();
    let parsed = parse(json!(events));
    for (index, (event, field, code)) in rows.iter().enumerate() {
        let ParsedEvent::Bad(rejection) = &parsed[index] else { panic!("{event}") };
        assert_eq!((rejection.index, rejection.field.as_deref(), rejection.code), (index, *field, *code), "{event}");
    }
    assert!(matches!(parsed.last(), Some(ParsedEvent::Ok(_))));
    for body in ["", "[]", "{}", r#"{"events": 5}"#, r#"{"events": [}"#] {
        assert!(flagsmith_events::parse(body.as_bytes(), &Limits::default()).is_err(), "{body}");
    }
}
