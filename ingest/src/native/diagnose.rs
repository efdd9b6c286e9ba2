//! Says which field of a refused event is at fault and what it should be. Only runs for events that did not read, so it
//! is written for clear answers, not for speed.

use std::collections::BTreeMap;

use serde::de::DeserializeOwned;
use serde_json::value::RawValue;
use serde_json::{Map, Value};

use super::{EXPECTED_TIME, Fault, WireTime, shown, without_place};
use crate::RejectCode;

type Fields<'a> = BTreeMap<String, &'a RawValue>;

/// The event's id when it can be read, and the first fault found. `error` is the reader's own and serves when no single
/// field is to blame, such as for a field given twice.
pub(super) fn explain(json: &str, error: &serde_json::Error) -> (Option<String>, Fault) {
    let Ok(fields) = serde_json::from_str::<Fields<'_>>(json) else {
        let detail = format!("an event must be an object, not {}", kind_of(json));
        return (None, Fault { code: RejectCode::WrongType, field: None, detail });
    };
    let id = fields.get("id").and_then(|raw| serde_json::from_str(raw.get()).ok());
    let fault = fields.iter().find_map(|(name, raw)| field_fault(name, raw.get()));
    let whole = || Fault { code: RejectCode::InvalidValue, field: None, detail: without_place(error) };
    (id, fault.unwrap_or_else(whole))
}

fn field_fault(name: &str, json: &str) -> Option<Fault> {
    match name {
        "type" => text_fault("type", json),
        "id" => text_fault("id", json),
        "flag" => text_fault("flag", json),
        "variation" => text_fault("variation", json),
        "event" => text_fault("event", json),
        "timestamp" => time_fault(json),
        "unit" => unit_fault(json),
        "attributes" => map_fault("attributes", json),
        "properties" => map_fault("properties", json),
        "value" => number_fault(json),
        other => {
            let detail = format!("`{}` is not a field of an event", shown(other));
            Some(Fault::new(RejectCode::UnknownField, shown(other), detail))
        }
    }
}

fn text_fault(field: &'static str, json: &str) -> Option<Fault> {
    let error = error_of::<String>(json)?;
    if json.starts_with('"') {
        let detail = format!("`{field}` is not valid text: {}", without_place(&error));
        return Some(Fault::new(RejectCode::InvalidValue, field, detail));
    }
    Some(wrong_type(field, "a string", json))
}

fn time_fault(json: &str) -> Option<Fault> {
    let error = error_of::<WireTime>(json)?;
    if json.starts_with('"') {
        let detail = format!("`timestamp`: {}: expected {EXPECTED_TIME}", without_place(&error));
        return Some(Fault::new(RejectCode::InvalidValue, "timestamp", detail));
    }
    Some(wrong_type("timestamp", EXPECTED_TIME, json))
}

fn unit_fault(json: &str) -> Option<Fault> {
    if json == "null" {
        return None;
    }
    let Ok(fields) = serde_json::from_str::<Fields<'_>>(json) else {
        return Some(wrong_type("unit", r#"an object such as {"type": "user", "id": "u1"}"#, json));
    };
    fields.iter().find_map(|(name, raw)| match name.as_str() {
        "type" => text_fault("unit.type", raw.get()),
        "id" => text_fault("unit.id", raw.get()),
        other => {
            let field = format!("unit.{}", shown(other));
            let detail = format!("`{field}` is not a field of a unit");
            Some(Fault::new(RejectCode::UnknownField, &field, detail))
        }
    })
}

fn map_fault(field: &'static str, json: &str) -> Option<Fault> {
    let error = error_of::<Map<String, Value>>(json)?;
    if !json.starts_with('{') {
        return Some(wrong_type(field, "an object", json));
    }
    let code =
        if error.to_string().contains("out of range") { RejectCode::ValueNotFinite } else { RejectCode::InvalidValue };
    Some(Fault::new(code, field, format!("`{field}`: {}", without_place(&error))))
}

fn number_fault(json: &str) -> Option<Fault> {
    error_of::<f64>(json)?;
    let word = json.trim_matches('"').trim_start_matches(['-', '+']).to_ascii_lowercase();
    let number = json.starts_with('-') || json.starts_with(|c: char| c.is_ascii_digit());
    if number || ["nan", "inf", "infinity"].contains(&word.as_str()) {
        let detail = format!("`value` is {}: expected a finite number", shown(json));
        return Some(Fault::new(RejectCode::ValueNotFinite, "value", detail));
    }
    Some(wrong_type("value", "a number", json))
}

/// The error of reading `json` as an optional `T`.
fn error_of<T: DeserializeOwned>(json: &str) -> Option<serde_json::Error> {
    serde_json::from_str::<Option<T>>(json).err()
}

fn wrong_type(field: &'static str, expected: &str, json: &str) -> Fault {
    Fault::new(RejectCode::WrongType, field, format!("`{field}` is {}: expected {expected}", kind_of(json)))
}

fn kind_of(json: &str) -> &'static str {
    match json.as_bytes().first() {
        Some(b'"') => "a string",
        Some(b'{') => "an object",
        Some(b'[') => "an array",
        Some(b't' | b'f') => "a boolean",
        Some(b'n') => "null",
        _ => "a number",
    }
}
