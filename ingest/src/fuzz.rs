//! Laws that every body must obey, however broken: what a fuzzer calls. Each function panics when one does not hold.

use liftgate_domain::Timestamp;
use serde::Deserialize;
use serde_json::value::RawValue;

use crate::native::{self, ContentType, ParseError};
use crate::segment_api::{self, Call};
use crate::{Limits, ParsedEvent};

const LIMITS: Limits = Limits { event_bytes_max: 2_048, batch_bytes_max: 1 << 20 };
const RECEIVED_AT: Timestamp = Timestamp(1_800_000_000_000_000);
const SINGLE: [Call; 6] = [Call::Track, Call::Identify, Call::Page, Call::Screen, Call::Group, Call::Alias];

/// Nothing panics; each event gives one answer; an event's answer is the same among others as alone; reading in one pass
/// answers as reading carefully does. For JSON and for NDJSON.
pub fn native(body: &[u8]) {
    let answer = native::parse(ContentType::Json, body, &LIMITS);
    if body.len() <= LIMITS.batch_bytes_max {
        assert_eq!(answer, native::parse_document(body, &LIMITS), "one pass and two differ");
    }
    if let Ok(events) = answer {
        let (sent_at, alone) = native_outline(body).expect("what was read has an outline");
        each_as_alone(&events, &alone, |json| {
            let body = format!(r#"{{"sent_at":{sent_at},"events":[{json}]}}"#);
            native::parse(ContentType::Json, body.as_bytes(), &LIMITS)
        });
    }
    if let Ok(events) = native::parse(ContentType::Ndjson, body, &LIMITS) {
        let lines: Vec<&[u8]> =
            body.split(|byte| *byte == b'\n').filter(|line| !line.trim_ascii().is_empty()).collect();
        each_as_alone(&events, &lines, |line| native::parse(ContentType::Ndjson, line, &LIMITS));
    }
}

/// As [`native`], for a batch; a single message gives one answer or none of the body is read.
pub fn segment(body: &[u8]) {
    let answer = segment_api::parse(Call::Batch, body, &LIMITS, RECEIVED_AT);
    if body.len() <= LIMITS.batch_bytes_max {
        assert_eq!(answer, segment_api::parse_batch(body, &LIMITS, RECEIVED_AT), "one pass and two differ");
    }
    if let Ok(request) = answer {
        let (sent_at, alone) = segment_outline(body).expect("what was read has an outline");
        each_as_alone(&request.events, &alone, |json| {
            let body = format!(r#"{{"sentAt":{sent_at},"batch":[{json}]}}"#);
            segment_api::parse(Call::Batch, body.as_bytes(), &LIMITS, RECEIVED_AT).map(|request| request.events)
        });
    }
    for call in SINGLE {
        if let Ok(request) = segment_api::parse(call, body, &LIMITS, RECEIVED_AT) {
            assert_eq!(request.events.len(), 1, "{call:?}");
        }
    }
}

fn each_as_alone<T: std::fmt::Debug>(
    events: &[ParsedEvent],
    parts: &[T],
    read: impl Fn(&T) -> Result<Vec<ParsedEvent>, ParseError>,
) {
    assert_eq!(events.len(), parts.len(), "each event gives one answer");
    for (index, (event, part)) in events.iter().zip(parts).enumerate() {
        let mut alone = read(part).expect("a part of what was read can be read");
        assert_eq!(alone.len(), 1, "{part:?}");
        if let ParsedEvent::Bad(rejection) = &mut alone[0] {
            rejection.index = index;
        }
        assert_eq!(*event, alone[0], "{part:?}");
        check(event);
    }
}

/// What later stages take for granted.
fn check(event: &ParsedEvent) {
    match event {
        ParsedEvent::Ok(event) => {
            assert!((1..=native::ID_BYTES_MAX).contains(&event.id.len()), "{event:?}");
            assert!(event.other_units.len() < native::UNITS_MAX, "{event:?}");
            let types = event.other_units.iter().map(|unit| unit.unit_type.as_str());
            let mut types: Vec<&str> = types.chain([event.unit_type.as_str()]).collect();
            types.sort_unstable();
            assert!(types.windows(2).all(|pair| pair[0] != pair[1]), "{event:?}");
        }
        ParsedEvent::Bad(rejection) => assert!(!rejection.detail.is_empty(), "{rejection:?}"),
    }
}

fn native_outline(body: &[u8]) -> Option<(&str, Vec<&str>)> {
    #[derive(Deserialize)]
    struct Outline<'a> {
        #[serde(borrow)]
        sent_at: Option<&'a RawValue>,
        #[serde(borrow)]
        events: Vec<&'a RawValue>,
    }
    let outline = match serde_json::from_slice(body) {
        Ok(events) => Outline { sent_at: None, events },
        Err(_) => serde_json::from_slice(body).ok()?,
    };
    Some((outline.sent_at.map_or("null", RawValue::get), outline.events.into_iter().map(RawValue::get).collect()))
}

fn segment_outline(body: &[u8]) -> Option<(&str, Vec<&str>)> {
    #[derive(Deserialize)]
    struct Outline<'a> {
        #[serde(borrow, rename = "sentAt")]
        sent_at: Option<&'a RawValue>,
        #[serde(borrow)]
        batch: Vec<&'a RawValue>,
    }
    let outline: Outline<'_> = serde_json::from_slice(body).ok()?;
    Some((outline.sent_at.map_or("null", RawValue::get), outline.batch.into_iter().map(RawValue::get).collect()))
}
