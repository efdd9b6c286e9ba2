//! The native format: what is read, and how each fault is named.

use liftgate_domain::Timestamp;
use liftgate_ingest::native::{ContentType, ParseError, parse};
use liftgate_ingest::{Limits, ParsedEvent, RawBody, RawEvent, RejectCode, Rejection};
use proptest::prelude::*;

const GOOD: &str =
    r#"{"type":"metric","id":"good","timestamp":1767225600000,"unit":{"id":"u"},"event":"purchase","value":1}"#;

fn json(body: &str) -> Result<Vec<ParsedEvent>, ParseError> {
    parse(ContentType::Json, body.as_bytes(), &Limits::default())
}

fn one(event: &str) -> ParsedEvent {
    let mut events = json(&format!("[{event}]")).unwrap();
    assert_eq!(events.len(), 1);
    events.remove(0)
}

fn good(event: &str) -> RawEvent {
    match one(event) {
        ParsedEvent::Ok(event) => event,
        ParsedEvent::Bad(rejection) => panic!("{event}: {rejection:?}"),
    }
}

#[test]
fn reads_both_kinds() {
    let read = good(
        r#"{"type":"exposure","id":"e","timestamp":"2026-01-01T02:00:00+02:00","unit":{"type":"account","id":"ä"},
            "flag":"checkout","variation":"on","attributes":{"country":"DE"}}"#,
    );
    assert_eq!((read.id.as_str(), read.unit_type.as_str(), read.unit_id.as_str()), ("e", "account", "ä"));
    assert_eq!(read.timestamp, Timestamp(1_767_225_600_000_000));
    let RawBody::Exposure { flag, variation, attributes } = read.body else {
        panic!("an exposure was read as another")
    };
    assert_eq!((flag.as_str(), variation.as_str(), attributes.unwrap().len()), ("checkout", "on", 1));

    let read = good(GOOD);
    assert_eq!((read.unit_type.as_str(), read.timestamp), ("user", Timestamp(1_767_225_600_000_000)));
    assert_eq!(read.body, RawBody::Metric { event: "purchase".to_owned(), value: Some(1.0), properties: None });
}

#[test]
fn names_each_fault_and_lets_the_neighbours_through() {
    use RejectCode::*;
    let with = |from: &str, to: &str| {
        assert!(GOOD.contains(from), "{from}");
        GOOD.replacen(from, to, 1)
    };
    let exposure = r#"{"type":"exposure","id":"x","timestamp":0,"unit":{"id":"u"},"flag":"f","variation":"v"}"#;
    let cases = [
        ("5".to_owned(), WrongType, None),
        ("[1]".to_owned(), WrongType, None),
        (with(r#""type":"metric","#, ""), MissingField, Some("type")),
        (with("metric", "click"), UnknownType, Some("type")),
        (with(r#""metric""#, "1"), WrongType, Some("type")),
        (with(r#""id":"good","#, ""), MissingField, Some("id")),
        (with(r#""good""#, "null"), MissingField, Some("id")),
        (with(r#""good""#, "17"), WrongType, Some("id")),
        (with("good", ""), InvalidValue, Some("id")),
        (with("good", &"é".repeat(65)), TooLarge, Some("id")),
        (with("good", r"\ud800"), InvalidValue, Some("id")),
        (with(r#""timestamp":1767225600000,"#, ""), MissingField, Some("timestamp")),
        (with("1767225600000", "1767225600000.5"), WrongType, Some("timestamp")),
        (with("1767225600000", r#""2026-01-01""#), InvalidValue, Some("timestamp")),
        (with("1767225600000", r#""2026-01-01T00:00:00""#), InvalidValue, Some("timestamp")),
        (with("1767225600000", "true"), WrongType, Some("timestamp")),
        (with(r#""unit":{"id":"u"},"#, ""), MissingField, Some("unit")),
        (with(r#"{"id":"u"}"#, r#""u""#), WrongType, Some("unit")),
        (with(r#"{"id":"u"}"#, "{}"), MissingField, Some("unit.id")),
        (with(r#""u""#, "5"), WrongType, Some("unit.id")),
        (with(r#""u""#, r#""""#), InvalidValue, Some("unit.id")),
        (with(r#""u""#, &format!(r#""{}""#, "u".repeat(1025))), TooLarge, Some("unit.id")),
        (with(r#""id":"u""#, r#""id":"u","name":"n""#), UnknownField, Some("unit.name")),
        (with(r#""event":"purchase","#, ""), MissingField, Some("event")),
        (with("purchase", &"p".repeat(257)), TooLarge, Some("event")),
        (with(r#""value":1"#, r#""value":"1""#), WrongType, Some("value")),
        (with(r#""value":1"#, r#""value":"NaN""#), ValueNotFinite, Some("value")),
        (with(r#""value":1"#, r#""value":"-Infinity""#), ValueNotFinite, Some("value")),
        (with(r#""value":1"#, r#""value":1e999"#), ValueNotFinite, Some("value")),
        (with(r#""value":1"#, r#""value":-1e999"#), ValueNotFinite, Some("value")),
        (with(r#""value":1"#, r#""properties":{"x":1e999}"#), ValueNotFinite, Some("properties")),
        (with(r#""value":1"#, r#""properties":[]"#), WrongType, Some("properties")),
        (with(r#""value":1"#, r#""colour":"red""#), UnknownField, Some("colour")),
        (with(r#""value":1"#, r#""value":1,"value":2"#), InvalidValue, None),
        (with(r#""value":1"#, r#""flag":"f""#), UnknownField, Some("flag")),
        (exposure.replace(r#""flag":"f","#, ""), MissingField, Some("flag")),
        (exposure.replace(r#","variation":"v""#, ""), MissingField, Some("variation")),
        (exposure.replace(r#""v""#, "true"), WrongType, Some("variation")),
        (exposure.replace(r#""v""#, r#""v","value":1"#), UnknownField, Some("value")),
        (with("1}", &format!(r#"1,"properties":{{"x":"{}"}}}}"#, "y".repeat(33_000))), TooLarge, None),
    ];
    let check = |events: &[ParsedEvent], case: &(String, RejectCode, Option<&str>)| {
        let [ParsedEvent::Ok(before), ParsedEvent::Bad(bad), ParsedEvent::Ok(after)] = events else {
            panic!("{}: {events:?}", case.0);
        };
        assert_eq!((before.id.as_str(), after.id.as_str()), ("good", "good"));
        assert_eq!((bad.index, bad.code, bad.field.as_deref()), (1, case.1, case.2), "{}: {bad:?}", case.0);
        assert!(!bad.detail.is_empty() && !bad.detail.contains(" at line "), "{bad:?}");
        let is_named = case.2.is_none_or(|field| bad.detail.contains(&format!("`{field}`")));
        assert!(is_named, "{bad:?}");
    };
    for case in &cases {
        check(&json(&format!(r#"{{"events":[{GOOD},{},{GOOD}]}}"#, case.0)).unwrap(), case);
        let lines = format!("{GOOD}\r\n\n{}\n{GOOD}\n", case.0);
        check(&parse(ContentType::Ndjson, lines.as_bytes(), &Limits::default()).unwrap(), case);
    }
}

#[test]
fn an_unreadable_line_of_ndjson_is_only_that_line() {
    for line in ["{", "{\"id\":NaN}", "nonsense", "{} {}"] {
        let body = format!("{GOOD}\n{line}\n{GOOD}");
        let events = parse(ContentType::Ndjson, body.as_bytes(), &Limits::default()).unwrap();
        let [ParsedEvent::Ok(_), ParsedEvent::Bad(bad), ParsedEvent::Ok(_)] = &events[..] else { panic!("{events:?}") };
        assert_eq!((bad.index, bad.code), (1, RejectCode::MalformedJson), "{bad:?}");
        assert!(bad.detail.contains("column"), "{bad:?}");
    }
    let broken = [GOOD.as_bytes(), b"\n{\"id\":\"\xFF\"}\n", GOOD.as_bytes()].concat();
    let events = parse(ContentType::Ndjson, &broken, &Limits::default()).unwrap();
    assert!(matches!(&events[1], ParsedEvent::Bad(bad) if bad.code == RejectCode::MalformedJson), "{events:?}");
}

#[test]
fn a_document_that_is_no_json_says_where() {
    let error = json(&format!("{{\"events\":[{GOOD},\n{{]}}")).unwrap_err();
    assert_eq!((error.line, error.column), (2, 2), "{error}");
    assert!(!error.message.contains("line"), "{error}");
    for (body, part) in [
        ("", "EOF"),
        ("{}", "missing field `events`"),
        (r#"{"events":[],"sent":1}"#, "unknown field `sent`"),
        (r#"{"events":{}}"#, "invalid type"),
        ("7", "invalid type"),
    ] {
        let error = json(body).unwrap_err();
        assert!(error.message.contains(part), "{body}: {error}");
    }
    assert_eq!(json("[]").unwrap(), []);
    let limits = Limits { batch_bytes_max: 10, ..Limits::default() };
    let error = parse(ContentType::Json, b"[          ]", &limits).unwrap_err();
    assert!(error.message.contains("at most 10"), "{error}");
}

#[test]
fn a_rejection_has_the_wire_form_that_clients_rely_on() {
    let ParsedEvent::Bad(rejection) = one(r#"{"type":"metric","id":"e","timestamp":0,"event":"p"}"#) else {
        panic!("an event without a unit was read");
    };
    let wire = serde_json::to_value(&rejection).unwrap();
    assert_eq!(wire["code"], "missing_field");
    assert_eq!((&wire["index"], &wire["id"], &wire["field"]), (&0.into(), &"e".into(), &"unit".into()));
    assert_eq!(serde_json::from_value::<Rejection>(wire).unwrap(), rejection);
}

proptest! {
    #[test]
    fn arbitrary_bytes_never_panic(body in prop::collection::vec(any::<u8>(), 0..300)) {
        for content_type in [ContentType::Json, ContentType::Ndjson] {
            let _ = parse(content_type, &body, &Limits::default());
        }
    }

    #[test]
    fn a_good_event_with_a_changed_byte_never_panics(at in 0..GOOD.len(), byte in any::<u8>()) {
        let mut body = GOOD.as_bytes().to_vec();
        body[at] = byte;
        let events = parse(ContentType::Ndjson, &body, &Limits::default()).unwrap();
        prop_assert!(events.len() <= 2, "a line break may have split it");
        prop_assert!(!events.is_empty());
    }

    #[test]
    fn what_is_valid_is_read(id in ".{1,30}", millis in -10_000_000_000_000_i64..10_000_000_000_000, value in -1e300_f64..1e300) {
        let event = serde_json::json!({
            "type": "metric", "id": id, "timestamp": millis, "unit": {"id": id}, "event": "purchase", "value": value,
        });
        let read = good(&event.to_string());
        prop_assert_eq!(read.timestamp, Timestamp(millis * 1_000));
        prop_assert_eq!(&read.unit_id, &id);
        prop_assert_eq!(read.body, RawBody::Metric { event: "purchase".to_owned(), value: Some(value), properties: None });
    }
}
