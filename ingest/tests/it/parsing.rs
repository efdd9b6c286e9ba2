//! The native format: what is read, and how each fault is named.

use liftgate_domain::Timestamp;
use liftgate_ingest::native::{ContentType, ParseError, parse};
use liftgate_ingest::{Limits, ParsedEvent, RawBody, RawEvent, RejectCode, Rejection};
use proptest::prelude::*;

const GOOD: &str =
    r#"{"type":"metric","id":"good","timestamp":1767225600000,"unit":{"id":"u"},"event":"purchase","value":1}"#;
const UNIT: &str = r#""unit":{"id":"u"}"#;

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
fn several_units_have_one_order_whatever_the_sender_wrote() {
    let units = |units: &str| {
        let read = good(&GOOD.replace(UNIT, &format!(r#""units":{units}"#)));
        let others: Vec<String> = read.other_units.iter().map(|u| format!("{}={}", u.unit_type, u.unit_id)).collect();
        (format!("{}={}", read.unit_type, read.unit_id), others.join(" "))
    };
    let pair = |first: &str, others: &str| (first.to_owned(), others.to_owned());
    assert_eq!(units(r#"{"user":"u1"}"#), pair("user=u1", ""));
    assert_eq!(units(r#"{"workspace":"w","user":"u1","account":"a9"}"#), pair("user=u1", "account=a9 workspace=w"));
    assert_eq!(units(r#"{"account":"a9","user":"u1","workspace":"w"}"#), pair("user=u1", "account=a9 workspace=w"));
    assert_eq!(units(r#"{"workspace":"w","account":"a9"}"#), pair("account=a9", "workspace=w"));
}

#[test]
fn sent_at_is_the_events_own_or_that_of_all() {
    let own = GOOD.replace(UNIT, &format!(r#"{UNIT},"sent_at":"1970-01-01T00:00:09Z""#));
    let read = |body: &str| -> Vec<Option<i64>> {
        let sent = |event: ParsedEvent| match event {
            ParsedEvent::Ok(event) => event.sent_at.map(|time| time.as_micros()),
            ParsedEvent::Bad(rejection) => panic!("{rejection:?}"),
        };
        json(body).unwrap().into_iter().map(sent).collect()
    };
    assert_eq!(read(&format!("[{GOOD},{own}]")), [None, Some(9_000_000)]);
    for envelope in [
        format!(r#"{{"sent_at":5000,"events":[{GOOD},{own}]}}"#),
        format!(r#" {{ "events" : [ {GOOD} , {own} ] , "sent_at" : "1970-01-01T01:00:05+01:00" }} "#),
    ] {
        assert_eq!(read(&envelope), [Some(5_000_000), Some(9_000_000)], "{envelope}");
    }
    assert_eq!(read(&format!(r#"{{"sent_at":null,"events":[{GOOD}]}}"#)), [None]);
    let lines = parse(ContentType::Ndjson, format!("{own}\n{GOOD}").as_bytes(), &Limits::default()).unwrap();
    let [ParsedEvent::Ok(first), ParsedEvent::Ok(second)] = &lines[..] else { panic!("{lines:?}") };
    assert_eq!((first.sent_at, second.sent_at), (Some(Timestamp(9_000_000)), None));
}

#[test]
fn times_that_no_clock_shows_are_read_and_left_to_admission() {
    for (time, micros) in [
        ("1451606400000", 1_451_606_400_000_000),
        (r#""2036-01-01T00:00:00Z""#, 2_082_758_400_000_000),
        ("-1", -1_000),
        ("18446744073709551615", i64::MAX),
        ("-9223372036854775808", i64::MIN),
    ] {
        assert_eq!(good(&GOOD.replace("1767225600000", time)).timestamp, Timestamp(micros), "{time}");
    }
}

#[test]
fn names_each_fault_and_lets_the_neighbours_through() {
    use RejectCode::*;
    let with = |from: &str, to: &str| {
        assert!(GOOD.contains(from), "{from}");
        GOOD.replacen(from, to, 1)
    };
    let exposure = r#"{"type":"exposure","id":"x","timestamp":0,"unit":{"id":"u"},"flag":"f","variation":"v"}"#;
    let nine_units =
        format!(r#""units":{{{}}}"#, (0..9).map(|n| format!(r#""t{n}":"u""#)).collect::<Vec<_>>().join(","));
    let deep = format!(r#""properties":{{"x":{}1{}}}"#, "[".repeat(1_000), "]".repeat(1_000));
    let as_array = r#"["metric","good",0,null,{"id":"u"},null,null,null,null,"purchase",1,null]"#;
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
        (with(r#""value":1"#, r#""value":1,"value":2"#), InvalidValue, Some("value")),
        (with(r#""value":1"#, r#""flag":"f""#), UnknownField, Some("flag")),
        (with(r#""value":1"#, r#""value":true"#), WrongType, Some("value")),
        (with(r#""value":1"#, r#""value":1,"sent_at":"soon""#), InvalidValue, Some("sent_at")),
        (with(r#""value":1"#, r#""value":1,"sent_at":{}"#), WrongType, Some("sent_at")),
        (with(r#""u""#, r#""u","id":"v""#), InvalidValue, Some("unit.id")),
        (with(r#"{"id":"u"}"#, r#"["user","u"]"#), WrongType, Some("unit")),
        (with(r#"{"id":"u"}"#, r#"{"id":"u"},"units":{"account":"a"}"#), InvalidValue, Some("units")),
        (with(UNIT, r#""units":{}"#), InvalidValue, Some("units")),
        (with(UNIT, r#""units":null"#), MissingField, Some("unit")),
        (with(UNIT, r#""units":["u"]"#), WrongType, Some("units")),
        (with(UNIT, r#""units":{"user":7}"#), WrongType, Some("units.user")),
        (with(UNIT, r#""units":{"user":null}"#), WrongType, Some("units.user")),
        (with(UNIT, r#""units":{"user":"a","user":"b"}"#), InvalidValue, Some("units.user")),
        (with(UNIT, r#""units":{"user":"a","account":""}"#), InvalidValue, Some("units.account")),
        (with(UNIT, r#""units":{"":"a"}"#), InvalidValue, Some("units")),
        (with(UNIT, &nine_units), TooLarge, Some("units")),
        (with("good", r"a\u0000b"), InvalidValue, Some("id")),
        (with(r#""u""#, r#""a\u0000b""#), InvalidValue, Some("unit.id")),
        (with("purchase", r"\ud83d"), InvalidValue, Some("event")),
        (with(r#""value":1"#, r#""properties":{"x":"\udc00"}"#), InvalidValue, Some("properties")),
        (with(r#""value":1"#, &deep), InvalidValue, Some("properties")),
        (as_array.to_owned(), WrongType, None),
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
fn what_just_fits_is_read() {
    for (content_type, body) in [(ContentType::Json, format!("[ {GOOD} ]")), (ContentType::Ndjson, GOOD.to_owned())] {
        for (room, fits) in [(GOOD.len(), true), (GOOD.len() - 1, false)] {
            let limits = Limits { event_bytes_max: room, ..Limits::default() };
            let events = parse(content_type, body.as_bytes(), &limits).unwrap();
            match &events[..] {
                [ParsedEvent::Ok(_)] => assert!(fits, "{room}"),
                [ParsedEvent::Bad(bad)] => assert!(!fits && bad.code == RejectCode::TooLarge, "{room}: {bad:?}"),
                other => panic!("{other:?}"),
            }
        }
        let limits = Limits { batch_bytes_max: body.len(), ..Limits::default() };
        assert_eq!(parse(content_type, body.as_bytes(), &limits).unwrap().len(), 1);
    }
    let units: Vec<String> = (0..8).map(|n| format!(r#""t{n}":"{}""#, "u".repeat(1024))).collect();
    let event = GOOD.replace("good", &"i".repeat(128)).replace(UNIT, &format!(r#""units":{{{}}}"#, units.join(",")));
    let read = good(&event.replace("purchase", &"p".repeat(256)));
    assert_eq!((read.id.len(), read.unit_id.len(), read.other_units.len()), (128, 1024, 7));
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
        (r#"{"sent_at":"soon","events":[]}"#, "`sent_at`"),
        (r#"{"events":[],"sent_at":[1]}"#, "`sent_at`"),
        (r#"{"events":[],"events":[]}"#, "duplicate field `events`"),
        (r#"{"events":[],"sent_at":1,"sent_at":2}"#, "duplicate field `sent_at`"),
        (r#"{"events":[]} {}"#, "trailing"),
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
    fn what_is_valid_is_read(id in "[^\0]{1,30}", millis in -10_000_000_000_000_i64..10_000_000_000_000, value in -1e300_f64..1e300) {
        let event = serde_json::json!({
            "type": "metric", "id": id, "timestamp": millis, "unit": {"id": id}, "event": "purchase", "value": value,
        });
        let read = good(&event.to_string());
        prop_assert_eq!(read.timestamp, Timestamp(millis * 1_000));
        prop_assert_eq!(&read.unit_id, &id);
        prop_assert_eq!(read.body, RawBody::Metric { event: "purchase".to_owned(), value: Some(value), properties: None });
    }
}
