//! Liftgate's own wire format: `{"sent_at": ..., "events": [...]}`, a bare array, or NDJSON.
//! Reads and checks shape; plausibility of times, attribution and deduplication come later, in [`crate::Ingest::admit`].
//!
//! | field of an event | |
//! |---|---|
//! | `type` | `exposure` or `metric` |
//! | `id` | 1 to 128 bytes; what makes a retry a duplicate |
//! | `timestamp` | when it happened: RFC 3339 with an offset, or integer milliseconds since the epoch |
//! | `sent_at` | when it was sent, by the same clock; also beside `events`, for all that have none of their own |
//! | `unit` | `{"type": "user", "id": "u1"}`; the type is `user` unless given |
//! | `units` | instead of `unit`, 1 to 8 of them: `{"user": "u1", "account": "a9"}` |
//! | `flag`, `variation`, `attributes` | of an exposure |
//! | `event`, `value`, `properties` | of a metric event |

mod diagnose;
mod wire;

use liftgate_domain::Timestamp;
use serde::{Deserialize, Serialize};
use serde_json::value::RawValue;
use thiserror::Error;

use self::wire::Wire;
use crate::fault::{Fault, time_fault, without_place};
use crate::json_cursor::JsonCursor;
use crate::object::Object;
pub use crate::units::{UNIT_TYPE_DEFAULT, UNITS_MAX};
use crate::wire_time::WireTime;
use crate::{Limits, ParsedEvent, RejectCode};

/// The longest event id, in bytes.
pub const ID_BYTES_MAX: usize = 128;
/// The longest unit type, flag, variation or event name, in bytes.
pub const NAME_BYTES_MAX: usize = 256;
/// The longest unit id, in bytes.
pub const UNIT_ID_BYTES_MAX: usize = 1024;

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

impl ParseError {
    /// A fault of the whole body rather than of a place in it.
    pub(crate) fn without_place(message: String) -> Self {
        Self { line: 0, column: 0, message }
    }

    /// A body that is no JSON, or has another outline.
    pub(crate) fn at(error: &serde_json::Error) -> Self {
        Self { line: error.line(), column: error.column(), message: without_place(error) }
    }

    /// A body of so many bytes, checked against `limits`.
    pub(crate) fn check_size(body: &[u8], limits: &Limits) -> Result<(), Self> {
        if body.len() > limits.batch_bytes_max {
            let message = format!("the body has {} bytes; at most {} are allowed", body.len(), limits.batch_bytes_max);
            return Err(Self::without_place(message));
        }
        Ok(())
    }
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
    ParseError::check_size(body, limits)?;
    match content_type {
        ContentType::Json => match str::from_utf8(body).ok().and_then(|text| parse_in_one_pass(text, limits)) {
            Some(events) => Ok(events),
            None => parse_document(body, limits),
        },
        ContentType::Ndjson => Ok(body
            .split(|byte| *byte == b'\n')
            .map(<[u8]>::trim_ascii)
            .filter(|line| !line.is_empty())
            .enumerate()
            .map(|(index, line)| parse_line(index, line, limits))
            .collect()),
    }
}

/// Reads each event where it stands, as long as the outline is good; `None` leaves the fault to [`parse_document`].
fn parse_in_one_pass(text: &str, limits: &Limits) -> Option<Vec<ParsedEvent>> {
    let mut cursor = JsonCursor::new(text);
    let mut events = None;
    let mut sent_at: Option<Option<Timestamp>> = None;
    if cursor.peek() == Some(b'[') {
        events = Some(elements(&mut cursor, limits)?);
    } else {
        cursor.fields(|name, cursor| match name {
            "events" if events.is_none() => {
                events = Some(elements(cursor, limits)?);
                Some(())
            }
            "sent_at" if sent_at.is_none() => {
                let (time, _) = cursor.value::<Option<WireTime>>().ok()?;
                sent_at = Some(time.map(|time| time.0));
                Some(())
            }
            _ => None,
        })?;
    }
    let mut events = events.filter(|_| cursor.is_at_end())?;
    stamp(&mut events, sent_at.flatten());
    Some(events)
}

fn elements(cursor: &mut JsonCursor<'_>, limits: &Limits) -> Option<Vec<ParsedEvent>> {
    let mut events = Vec::new();
    cursor.elements(|cursor| {
        let index = events.len();
        let event = match cursor.value::<Object<Wire<'_>>>() {
            Ok((Object(wire), json)) => checked(index, wire, json, limits),
            Err(_) => parse_event(index, cursor.value::<&RawValue>().ok()?.0.get(), limits),
        };
        events.push(event);
        Some(())
    })?;
    Some(events)
}

/// What [`parse`] answers for a document, by reading its outline first and then each event.
pub(crate) fn parse_document(body: &[u8], limits: &Limits) -> Result<Vec<ParsedEvent>, ParseError> {
    #[derive(Deserialize)]
    #[serde(deny_unknown_fields)]
    struct Envelope<'a> {
        #[serde(borrow)]
        sent_at: Option<&'a RawValue>,
        #[serde(borrow)]
        events: Vec<&'a RawValue>,
    }
    let envelope = if body.trim_ascii_start().first() == Some(&b'[') {
        serde_json::from_slice(body).map(|events| Envelope { sent_at: None, events })
    } else {
        serde_json::from_slice::<Object<_>>(body).map(|envelope| envelope.0)
    };
    let envelope = envelope.map_err(|error| ParseError::at(&error))?;
    let mut events: Vec<_> =
        envelope.events.iter().enumerate().map(|(index, raw)| parse_event(index, raw.get(), limits)).collect();
    stamp(&mut events, sent_at(envelope.sent_at, "sent_at")?);
    Ok(events)
}

/// The instant that stands beside the events of a body, as `field`.
pub(crate) fn sent_at(raw: Option<&RawValue>, field: &str) -> Result<Option<Timestamp>, ParseError> {
    let Some(json) = raw.map(RawValue::get) else {
        return Ok(None);
    };
    match serde_json::from_str::<Option<WireTime>>(json) {
        Ok(time) => Ok(time.map(|time| time.0)),
        Err(error) => {
            let fault = time_fault(field, json).unwrap_or_else(|| Fault::whole("", &error));
            Err(ParseError::without_place(fault.detail))
        }
    }
}

/// Gives what was sent together one instant of sending, save for events that name their own.
fn stamp(events: &mut [ParsedEvent], sent_at: Option<Timestamp>) {
    if sent_at.is_none() {
        return;
    }
    for event in events {
        if let ParsedEvent::Ok(event) = event {
            event.sent_at = event.sent_at.or(sent_at);
        }
    }
}

fn parse_line(index: usize, line: &[u8], limits: &Limits) -> ParsedEvent {
    if line.len() > limits.event_bytes_max {
        return ParsedEvent::Bad(Fault::too_large(line.len(), limits).rejects(index, None));
    }
    if let Ok(json) = str::from_utf8(line)
        && let Ok(Object(wire)) = serde_json::from_str::<Object<Wire<'_>>>(json)
    {
        return checked(index, wire, json, limits);
    }
    match serde_json::from_slice::<&RawValue>(line) {
        Ok(raw) => parse_event(index, raw.get(), limits),
        Err(error) => {
            let detail = format!("not JSON: {} at column {}", without_place(&error), error.column());
            let fault = Fault { code: RejectCode::MalformedJson, field: None, detail };
            ParsedEvent::Bad(fault.rejects(index, None))
        }
    }
}

fn parse_event(index: usize, json: &str, limits: &Limits) -> ParsedEvent {
    if json.len() > limits.event_bytes_max {
        return ParsedEvent::Bad(Fault::too_large(json.len(), limits).rejects(index, None));
    }
    match serde_json::from_str::<Object<Wire<'_>>>(json) {
        Ok(Object(wire)) => checked(index, wire, json, limits),
        Err(error) => {
            let (id, fault) = diagnose::explain(json, &error);
            ParsedEvent::Bad(fault.rejects(index, id))
        }
    }
}

fn checked(index: usize, wire: Wire<'_>, json: &str, limits: &Limits) -> ParsedEvent {
    if json.len() > limits.event_bytes_max {
        return ParsedEvent::Bad(Fault::too_large(json.len(), limits).rejects(index, None));
    }
    match wire.check() {
        Ok(event) => ParsedEvent::Ok(event),
        Err((id, fault)) => ParsedEvent::Bad(fault.rejects(index, id)),
    }
}
