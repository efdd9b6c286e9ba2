//! Events as Flagsmith's SDKs send them: `{"events": [...]}`. Exposures and conversions are told apart by name.
//!
//! | field of an event | |
//! |---|---|
//! | `event` | [`FLAG_EXPOSURE`], or the name of a metric event |
//! | `feature_name` | of an exposure: the flag |
//! | `identifier` | the unit, of the type `user` |
//! | `value` | of an exposure: the variation; else the event's value, a number or text that is one |
//! | `traits`, `metadata` | attributes or properties; what both name is as `metadata` has it |
//! | `timestamp` | when it happened: integer milliseconds since the epoch |
//!
//! There is no id on the wire and clients send at least once, so an event's id is made of everything it says: the same
//! event sent again is a duplicate.

use liftgate_domain::Timestamp;
use serde::Deserialize;
use serde_json::value::RawValue;
use serde_json::{Map, Value};
use xxhash_rust::xxh3::xxh3_128;

use crate::fault::{Fault, bounded, missing, required, without_place};
use crate::native::{NAME_BYTES_MAX, ParseError, UNIT_ID_BYTES_MAX, UNIT_TYPE_DEFAULT};
use crate::object::Object;
use crate::{Limits, ParsedEvent, RawBody, RawEvent, RejectCode};

/// The `event` of an exposure.
pub const FLAG_EXPOSURE: &str = "$flag_exposure";
/// Text values that are no numbers are kept as this property.
const VALUE: &str = "value";

type Properties = Map<String, Value>;

#[derive(Deserialize)]
struct Envelope<'a> {
    #[serde(borrow)]
    events: Vec<&'a RawValue>,
}

/// Every field is read for its own type by hand, so that the fault names it.
#[derive(Deserialize)]
struct Wire {
    event: Option<Value>,
    feature_name: Option<Value>,
    identifier: Option<Value>,
    value: Option<Value>,
    traits: Option<Value>,
    metadata: Option<Value>,
    timestamp: Option<Value>,
}

/// Reads a body: one [`ParsedEvent`] an event, in the order sent.
///
/// # Errors
/// A body beyond `limits.batch_bytes_max`, one that is malformed or has no list `events`. A bad event is only that
/// event's rejection.
///
/// ```
/// use liftgate_ingest::{Limits, ParsedEvent, RawBody, flagsmith_events};
/// let body = br#"{"events":[{"event":"checkout","identifier":"u1","value":"9.5","timestamp":1767225600000}]}"#;
/// let events = flagsmith_events::parse(body, &Limits::default())?;
/// let [ParsedEvent::Ok(event)] = &events[..] else { panic!("the event is well-formed") };
/// assert!(matches!(&event.body, RawBody::Metric { value: Some(9.5), .. }));
/// # Ok::<(), liftgate_ingest::native::ParseError>(())
/// ```
pub fn parse(body: &[u8], limits: &Limits) -> Result<Vec<ParsedEvent>, ParseError> {
    ParseError::check_size(body, limits)?;
    let Object(envelope) =
        serde_json::from_slice::<Object<Envelope<'_>>>(body).map_err(|error| ParseError::at(&error))?;
    Ok(envelope.events.iter().enumerate().map(|(index, raw)| event(index, raw.get(), limits)).collect())
}

fn event(index: usize, json: &str, limits: &Limits) -> ParsedEvent {
    if json.len() > limits.event_bytes_max {
        return ParsedEvent::Bad(Fault::too_large(json.len(), limits).rejects(index, None));
    }
    let read = serde_json::from_str::<Object<Wire>>(json);
    let event = match read {
        Ok(Object(wire)) => wire.into_event(json),
        Err(error) => Err(Fault { code: RejectCode::InvalidValue, field: None, detail: without_place(&error) }),
    };
    match event {
        Ok(event) => ParsedEvent::Ok(event),
        Err(fault) => ParsedEvent::Bad(fault.rejects(index, None)),
    }
}

impl Wire {
    fn into_event(self, json: &str) -> Result<RawEvent, Fault> {
        let event = required(text(self.event, "event")?, "event", "`$flag_exposure` or the event's name")?;
        let identifier = required(text(self.identifier, "identifier")?, "identifier", "the identity's identifier")?;
        let timestamp = instant(self.timestamp)?;
        let mut properties = object(self.traits, "traits")?.unwrap_or_default();
        properties.extend(object(self.metadata, "metadata")?.unwrap_or_default());
        let feature = text(self.feature_name, "feature_name")?;
        let body = if event == FLAG_EXPOSURE {
            let flag = required(feature, "feature_name", "the name of the flag")?;
            let variation = required(text(self.value, VALUE)?, VALUE, "the variant that was seen")?;
            RawBody::Exposure {
                flag: bounded(flag, "feature_name", NAME_BYTES_MAX)?,
                variation: bounded(variation, VALUE, NAME_BYTES_MAX)?,
                attributes: some(properties),
            }
        } else {
            if let Some(feature) = feature {
                properties.entry("feature_name").or_insert(feature.into());
            }
            let value = number(self.value, &mut properties)?;
            RawBody::Metric { event: bounded(event, "event", NAME_BYTES_MAX)?, value, properties: some(properties) }
        };
        Ok(RawEvent {
            id: id_of_content(json),
            timestamp,
            unit_type: UNIT_TYPE_DEFAULT.to_owned(),
            unit_id: bounded(identifier, "identifier", UNIT_ID_BYTES_MAX)?,
            other_units: Vec::new(),
            sent_at: None,
            body,
        })
    }
}

fn some(properties: Properties) -> Option<Properties> {
    if properties.is_empty() { None } else { Some(properties) }
}

fn wrong(field: &str, expected: &str) -> Fault {
    Fault::new(RejectCode::WrongType, field, format!("`{field}` is not {expected}"))
}

/// Null is as good as absent.
fn text(value: Option<Value>, field: &str) -> Result<Option<String>, Fault> {
    match value {
        None | Some(Value::Null) => Ok(None),
        Some(Value::String(text)) => Ok(Some(text)),
        Some(Value::Number(number)) => Ok(Some(number.to_string())),
        Some(_) => Err(wrong(field, "text")),
    }
}

fn object(value: Option<Value>, field: &str) -> Result<Option<Properties>, Fault> {
    match value {
        None | Some(Value::Null) => Ok(None),
        Some(Value::Object(properties)) => Ok(Some(properties)),
        Some(_) => Err(wrong(field, "an object")),
    }
}

/// Clients write every value as text, numbers too.
fn number(value: Option<Value>, properties: &mut Properties) -> Result<Option<f64>, Fault> {
    let Some(text) = text(value, VALUE)? else { return Ok(None) };
    let number = text.trim().parse().ok().filter(|number: &f64| number.is_finite());
    if number.is_none() {
        properties.entry(VALUE).or_insert(text.into());
    }
    Ok(number)
}

fn instant(value: Option<Value>) -> Result<Timestamp, Fault> {
    const EXPECTED: &str = "integer milliseconds since the epoch";
    let value = value.filter(|value| !value.is_null()).ok_or_else(|| missing("timestamp", EXPECTED))?;
    let whole = value.as_i64().or_else(|| {
        // Some languages have no integers: a float that is whole is one.
        let float = value.as_f64().filter(|float| float.fract() == 0.0 && float.abs() < 9e15)?;
        Some(float as i64)
    });
    let millis = whole.ok_or_else(|| wrong("timestamp", EXPECTED))?;
    let micros = millis.checked_mul(1_000).ok_or_else(|| {
        Fault::new(RejectCode::InvalidValue, "timestamp", format!("`timestamp` is beyond what {EXPECTED} can mean"))
    })?;
    Ok(Timestamp(micros))
}

/// Of the fields in a fixed order, however they were written.
fn id_of_content(json: &str) -> String {
    let content: Value = serde_json::from_str(json).unwrap_or_default();
    format!("content-{:032x}", xxh3_128(content.to_string().as_bytes()))
}
