//! Liftgate's own wire format: `{"events": [...]}`, a bare array, or NDJSON.
//! Reads and checks shape; plausibility of times, attribution and deduplication come later, in [`crate::Ingest::admit`].

mod diagnose;

use std::fmt;

use liftgate_domain::Timestamp;
use serde::de::{self, Deserializer, Visitor};
use serde::{Deserialize, Serialize};
use serde_json::value::RawValue;
use serde_json::{Map, Value};
use thiserror::Error;

use crate::{Limits, ParsedEvent, RawBody, RawEvent, RejectCode, Rejection};

/// The longest event id, in bytes.
pub const ID_BYTES_MAX: usize = 128;
/// The longest unit type, flag, variation or event name, in bytes.
pub const NAME_BYTES_MAX: usize = 256;
/// The longest unit id, in bytes.
pub const UNIT_ID_BYTES_MAX: usize = 1024;
/// The unit type when none is given.
pub const UNIT_TYPE_DEFAULT: &str = "user";

/// How a body is written.
#[derive(Copy, Clone, Debug, Eq, PartialEq)]
pub enum ContentType {
    /// One JSON document.
    Json,
    /// One event a line.
    Ndjson,
}

/// The body as a whole is not readable; nothing of it was looked at further.
#[derive(Clone, Debug, PartialEq, Eq, Error, Serialize)]
#[error("line {line}, column {column}: {message}")]
pub struct ParseError {
    /// From 1; 0 when the fault has no place.
    pub line: usize,
    /// From 1; 0 when the fault has no place.
    pub column: usize,
    /// What is wrong.
    pub message: String,
}

/// Reads a body: one [`ParsedEvent`] an event, in the order sent. Blank lines of NDJSON are no events.
///
/// # Errors
/// A body beyond `limits.batch_bytes_max`, a JSON document that is malformed or has another outline. In NDJSON a bad
/// line is only that line's rejection.
///
/// ```
/// use liftgate_ingest::{Limits, ParsedEvent, native};
/// let body = br#"[{"type":"metric","id":"e1","timestamp":1767225600000,"unit":{"id":"u1"},"event":"purchase","value":9.5},
///                 {"type":"metric","id":"e2","timestamp":1767225600000,"event":"purchase"}]"#;
/// let events = native::parse(native::ContentType::Json, body, &Limits::default())?;
/// assert!(matches!(&events[0], ParsedEvent::Ok(event) if event.unit_type == "user"));
/// assert!(matches!(&events[1], ParsedEvent::Bad(rejection) if rejection.field.as_deref() == Some("unit")));
/// # Ok::<(), native::ParseError>(())
/// ```
pub fn parse(content_type: ContentType, body: &[u8], limits: &Limits) -> Result<Vec<ParsedEvent>, ParseError> {
    if body.len() > limits.batch_bytes_max {
        let message = format!("the body has {} bytes; at most {} are allowed", body.len(), limits.batch_bytes_max);
        return Err(ParseError { line: 0, column: 0, message });
    }
    match content_type {
        ContentType::Json => parse_document(body, limits),
        ContentType::Ndjson => Ok(body
            .split(|byte| *byte == b'\n')
            .map(<[u8]>::trim_ascii)
            .filter(|line| !line.is_empty())
            .enumerate()
            .map(|(index, line)| parse_line(index, line, limits))
            .collect()),
    }
}

fn parse_document(body: &[u8], limits: &Limits) -> Result<Vec<ParsedEvent>, ParseError> {
    #[derive(Deserialize)]
    #[serde(deny_unknown_fields)]
    struct Envelope<'a> {
        #[serde(borrow)]
        events: Vec<&'a RawValue>,
    }
    let events = if body.trim_ascii_start().first() == Some(&b'[') {
        serde_json::from_slice(body)
    } else {
        serde_json::from_slice::<Envelope<'_>>(body).map(|envelope| envelope.events)
    };
    let events = events.map_err(|error| ParseError {
        line: error.line(),
        column: error.column(),
        message: without_place(&error),
    })?;
    Ok(events.iter().enumerate().map(|(index, raw)| parse_event(index, raw.get(), limits)).collect())
}

fn parse_line(index: usize, line: &[u8], limits: &Limits) -> ParsedEvent {
    if line.len() > limits.event_bytes_max {
        return ParsedEvent::Bad(too_large(index, line.len(), limits));
    }
    match serde_json::from_slice::<&RawValue>(line) {
        Ok(raw) => parse_event(index, raw.get(), limits),
        Err(error) => {
            let detail = format!("not JSON: {} at column {}", without_place(&error), error.column());
            ParsedEvent::Bad(Rejection { index, id: None, code: RejectCode::MalformedJson, field: None, detail })
        }
    }
}

fn parse_event(index: usize, json: &str, limits: &Limits) -> ParsedEvent {
    if json.len() > limits.event_bytes_max {
        return ParsedEvent::Bad(too_large(index, json.len(), limits));
    }
    let outcome = match serde_json::from_str::<Wire>(json) {
        Ok(wire) => {
            let id = wire.id.clone();
            wire.check().map_err(|fault| (id, fault))
        }
        Err(error) => Err(diagnose::explain(json, &error)),
    };
    match outcome {
        Ok(event) => ParsedEvent::Ok(event),
        Err((id, Fault { code, field, detail })) => ParsedEvent::Bad(Rejection { index, id, code, field, detail }),
    }
}

/// What is wrong with an event.
struct Fault {
    code: RejectCode,
    field: Option<String>,
    detail: String,
}

impl Fault {
    fn new(code: RejectCode, field: &str, detail: impl Into<String>) -> Self {
        Self { code, field: Some(field.to_owned()), detail: detail.into() }
    }
}

/// An event as it is on the wire. One flat struct, because an untagged enum would cost 40 % of the speed; which fields go
/// with which type is checked after.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Wire {
    r#type: Option<String>,
    id: Option<String>,
    timestamp: Option<WireTime>,
    unit: Option<WireUnit>,
    flag: Option<String>,
    variation: Option<String>,
    attributes: Option<Map<String, Value>>,
    event: Option<String>,
    value: Option<f64>,
    properties: Option<Map<String, Value>>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct WireUnit {
    r#type: Option<String>,
    id: Option<String>,
}

/// RFC 3339, or integer milliseconds since the epoch (not the microseconds of storage).
struct WireTime(Timestamp);

impl Wire {
    fn check(self) -> Result<RawEvent, Fault> {
        let kind = required(self.r#type, "type", "`exposure` or `metric`")?;
        let id = bounded(required(self.id, "id", "a string of 1 to 128 bytes")?, "id", ID_BYTES_MAX)?;
        let timestamp = required(self.timestamp, "timestamp", EXPECTED_TIME)?.0;
        let unit = required(self.unit, "unit", r#"an object such as {"type": "user", "id": "u1"}"#)?;
        let unit_type =
            bounded(unit.r#type.unwrap_or_else(|| UNIT_TYPE_DEFAULT.to_owned()), "unit.type", NAME_BYTES_MAX)?;
        let unit_id = bounded(required(unit.id, "unit.id", "a string")?, "unit.id", UNIT_ID_BYTES_MAX)?;
        let body = match kind.as_str() {
            "exposure" => {
                foreign(self.event.is_some(), "event", "an exposure")?;
                foreign(self.value.is_some(), "value", "an exposure")?;
                foreign(self.properties.is_some(), "properties", "an exposure")?;
                RawBody::Exposure {
                    flag: bounded(required(self.flag, "flag", "the flag's key")?, "flag", NAME_BYTES_MAX)?,
                    variation: bounded(
                        required(self.variation, "variation", "the variation served")?,
                        "variation",
                        NAME_BYTES_MAX,
                    )?,
                    attributes: self.attributes,
                }
            }
            "metric" => {
                foreign(self.flag.is_some(), "flag", "a metric event")?;
                foreign(self.variation.is_some(), "variation", "a metric event")?;
                foreign(self.attributes.is_some(), "attributes", "a metric event")?;
                RawBody::Metric {
                    event: bounded(required(self.event, "event", "the event's name")?, "event", NAME_BYTES_MAX)?,
                    value: self.value,
                    properties: self.properties,
                }
            }
            other => {
                let detail = format!("`type` is `{}`: expected `exposure` or `metric`", shown(other));
                return Err(Fault::new(RejectCode::UnknownType, "type", detail));
            }
        };
        Ok(RawEvent { id, timestamp, unit_type, unit_id, other_units: Vec::new(), sent_at: None, body })
    }
}

const EXPECTED_TIME: &str = "RFC 3339 text with an offset, or integer milliseconds since the epoch";

fn required<T>(value: Option<T>, field: &'static str, expected: &str) -> Result<T, Fault> {
    value.ok_or_else(|| {
        Fault::new(RejectCode::MissingField, field, format!("`{field}` is missing: expected {expected}"))
    })
}

fn bounded(text: String, field: &'static str, bytes_max: usize) -> Result<String, Fault> {
    match text.len() {
        0 => Err(Fault::new(RejectCode::InvalidValue, field, format!("`{field}` is empty"))),
        n if n > bytes_max => {
            let detail = format!("`{field}` has {n} bytes; at most {bytes_max} are allowed");
            Err(Fault::new(RejectCode::TooLarge, field, detail))
        }
        _ => Ok(text),
    }
}

fn foreign(present: bool, field: &'static str, of: &str) -> Result<(), Fault> {
    if present {
        return Err(Fault::new(RejectCode::UnknownField, field, format!("`{field}` is not a field of {of}")));
    }
    Ok(())
}

fn too_large(index: usize, bytes: usize, limits: &Limits) -> Rejection {
    let detail = format!("the event has {bytes} bytes; at most {} are allowed", limits.event_bytes_max);
    Rejection { index, id: None, code: RejectCode::TooLarge, field: None, detail }
}

/// The start of a text that a sender wrote, short enough for an answer.
fn shown(text: &str) -> &str {
    &text[..text.floor_char_boundary(40)]
}

fn without_place(error: &serde_json::Error) -> String {
    let text = error.to_string();
    match text.rfind(" at line ") {
        Some(end) => text[..end].to_owned(),
        None => text,
    }
}

impl<'de> Deserialize<'de> for WireTime {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_any(WireTimeVisitor)
    }
}

struct WireTimeVisitor;

impl Visitor<'_> for WireTimeVisitor {
    type Value = WireTime;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(EXPECTED_TIME)
    }

    fn visit_str<E: de::Error>(self, text: &str) -> Result<WireTime, E> {
        text.parse().map(WireTime).map_err(E::custom)
    }

    // Times beyond the type stop at its ends, where they are out of range like any other implausible time.
    fn visit_i64<E: de::Error>(self, millis: i64) -> Result<WireTime, E> {
        Ok(WireTime(Timestamp(millis.saturating_mul(1_000))))
    }

    fn visit_u64<E: de::Error>(self, millis: u64) -> Result<WireTime, E> {
        self.visit_i64(i64::try_from(millis).unwrap_or(i64::MAX))
    }
}
