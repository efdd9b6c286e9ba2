//! The Standard Webhooks body: `{type, timestamp, data}`, at most 20 kB.
//!
//! `data` is the type's own object, and beside it `event_id`, `sequence` (the change's place in the organization's
//! order, for receivers that must not apply an older one after a newer), `scope` and `subject`; these names are ours.

use liftgate_domain::{Event, Timestamp};
use serde::Serialize;
use serde_json::{Map, Value, json};

use super::plain_text::clean;
use super::sentence::sentence;

/// The most bytes of a body; data that would not fit is replaced by a summary.
pub const BODY_BYTES_MAX: usize = 20_000;

/// The most characters of a text that a summary repeats.
const SUMMARY_CHARS_MAX: usize = 256;

#[derive(Serialize)]
struct Payload<'a> {
    #[serde(rename = "type")]
    kind: &'a str,
    timestamp: Timestamp,
    data: Map<String, Value>,
}

/// The body for an event. The same event gives the same bytes on every attempt.
pub fn standard(event: &Event) -> Vec<u8> {
    let whole = encode(&event.kind, event, data(event));
    if whole.len() <= BODY_BYTES_MAX {
        return whole;
    }
    encode(&clean(&event.kind, SUMMARY_CHARS_MAX), event, summary(event, whole.len()))
}

fn encode(kind: &str, event: &Event, data: Map<String, Value>) -> Vec<u8> {
    serde_json::to_vec(&Payload { kind, timestamp: event.at, data })
        .expect("a map with text keys and values of JSON is JSON")
}

fn data(event: &Event) -> Map<String, Value> {
    let mut data = match &event.data {
        Value::Object(fields) => fields.clone(),
        Value::Null => Map::new(),
        other => Map::from_iter([("value".to_owned(), other.clone())]),
    };
    data.extend(identity(event, event.subject.clone()));
    data
}

/// What stands in for data that is too large: a sentence, and where the rest is.
fn summary(event: &Event, bytes: usize) -> Map<String, Value> {
    let mut data = identity(event, clean(&event.subject, SUMMARY_CHARS_MAX));
    data.insert("truncated".to_owned(), json!(true));
    data.insert("bytes".to_owned(), json!(bytes));
    data.insert("summary".to_owned(), json!(sentence(event).text));
    let hint = format!("the whole event is change {} in the change log of {}", event.change_seq, event.scope);
    data.insert("hint".to_owned(), json!(hint));
    data
}

fn identity(event: &Event, subject: String) -> Map<String, Value> {
    Map::from_iter([
        ("event_id".to_owned(), json!(event.id)),
        ("sequence".to_owned(), json!(event.change_seq)),
        ("scope".to_owned(), json!(event.scope)),
        ("subject".to_owned(), json!(subject)),
    ])
}
