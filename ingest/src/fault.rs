//! What is wrong with an event: the checks that formats share, and what a field that does not read should have been.
//! The second half only runs for events that are refused, so it is written for clear answers, not for speed.

use std::collections::BTreeMap;

use serde::de::DeserializeOwned;
use serde_json::value::RawValue;
use serde_json::{Map, Value};

use crate::wire_time::{EXPECTED_TIME, WireTime};
use crate::{Limits, RejectCode, Rejection};

/// The fields of an object as they are written.
pub(crate) type Fields<'a> = BTreeMap<String, &'a RawValue>;

/// Why an event is refused.
pub(crate) struct Fault {
    pub(crate) code: RejectCode,
    pub(crate) field: Option<String>,
    pub(crate) detail: String,
}

impl Fault {
    /// A fault of one field.
    pub(crate) fn new(code: RejectCode, field: &str, detail: impl Into<String>) -> Self {
        Self { code, field: Some(field.to_owned()), detail: detail.into() }
    }

    /// The event at `index` is refused for this.
    pub(crate) fn rejects(self, index: usize, id: Option<String>) -> Rejection {
        Rejection { index, id, code: self.code, field: self.field, detail: self.detail }
    }

    /// An event of so many bytes is more than `limits` allow.
    pub(crate) fn too_large(bytes: usize, limits: &Limits) -> Self {
        let detail = format!("the event has {bytes} bytes; at most {} are allowed", limits.event_bytes_max);
        Self { code: RejectCode::TooLarge, field: None, detail }
    }

    /// No single field is to blame, or one that is given twice. `within` is the object, such as `unit.`.
    pub(crate) fn whole(within: &str, error: &serde_json::Error) -> Self {
        let detail = without_place(error);
        match detail.strip_prefix("duplicate field `").and_then(|rest| rest.strip_suffix('`')) {
            Some(name) => {
                let field = format!("{within}{name}");
                Self::new(RejectCode::InvalidValue, &field, format!("`{field}` is given twice"))
            }
            None => Self { code: RejectCode::InvalidValue, field: None, detail },
        }
    }
}

/// The value of a field that every such event has.
pub(crate) fn required<T>(value: Option<T>, field: &str, expected: &str) -> Result<T, Fault> {
    value.ok_or_else(|| missing(field, expected))
}

/// A field that every such event has is absent.
pub(crate) fn missing(field: &str, expected: &str) -> Fault {
    Fault::new(RejectCode::MissingField, field, format!("`{field}` is missing: expected {expected}"))
}

/// Text of 1 to `bytes_max` bytes without a null character, which would part a unit's type from its id elsewhere than
/// intended where the two are hashed.
pub(crate) fn bounded(text: String, field: &str, bytes_max: usize) -> Result<String, Fault> {
    check_text(&text, field, bytes_max)?;
    Ok(text)
}

/// Whether [`bounded`] takes `text`.
pub(crate) fn check_text(text: &str, field: &str, bytes_max: usize) -> Result<(), Fault> {
    match text.len() {
        0 => Err(Fault::new(RejectCode::InvalidValue, field, format!("`{field}` is empty"))),
        n if n > bytes_max => {
            let detail = format!("`{field}` has {n} bytes; at most {bytes_max} are allowed");
            Err(Fault::new(RejectCode::TooLarge, field, detail))
        }
        _ if text.as_bytes().contains(&0) => {
            Err(Fault::new(RejectCode::InvalidValue, field, format!("`{field}` contains a null character")))
        }
        _ => Ok(()),
    }
}

/// The start of a text that a sender wrote, short enough for an answer.
pub(crate) fn shown(text: &str) -> &str {
    &text[..text.floor_char_boundary(40)]
}

/// The error without its line and column, which a sender of many events cannot use.
pub(crate) fn without_place(error: &serde_json::Error) -> String {
    let text = error.to_string();
    match text.rfind(" at line ") {
        Some(end) => text[..end].to_owned(),
        None => text,
    }
}

/// What keeps `json` from being text.
pub(crate) fn text_fault(field: &str, json: &str) -> Option<Fault> {
    let error = error_of::<String>(json)?;
    if json.starts_with('"') {
        return Some(invalid_text(field, &error));
    }
    Some(wrong_type(field, "a string", json))
}

/// What keeps `json`, which begins like text, from being it.
pub(crate) fn invalid_text(field: &str, error: &serde_json::Error) -> Fault {
    let detail = format!("`{field}` is not valid text: {}", without_place(error));
    Fault::new(RejectCode::InvalidValue, field, detail)
}

/// What keeps `json` from being an instant.
pub(crate) fn time_fault(field: &str, json: &str) -> Option<Fault> {
    let error = error_of::<WireTime>(json)?;
    if json.starts_with('"') {
        let detail = format!("`{field}`: {}: expected {EXPECTED_TIME}", without_place(&error));
        return Some(Fault::new(RejectCode::InvalidValue, field, detail));
    }
    Some(wrong_type(field, EXPECTED_TIME, json))
}

/// What keeps `json` from being an object of properties.
pub(crate) fn map_fault(field: &str, json: &str) -> Option<Fault> {
    let error = error_of::<Map<String, Value>>(json)?;
    if !json.starts_with('{') {
        return Some(wrong_type(field, "an object", json));
    }
    let code =
        if error.to_string().contains("out of range") { RejectCode::ValueNotFinite } else { RejectCode::InvalidValue };
    Some(Fault::new(code, field, format!("`{field}`: {}", without_place(&error))))
}

/// What keeps `json` from being a finite number.
pub(crate) fn number_fault(field: &str, json: &str) -> Option<Fault> {
    error_of::<f64>(json)?;
    let word = json.trim_matches('"').trim_start_matches(['-', '+']).to_ascii_lowercase();
    if is_number(json) || ["nan", "inf", "infinity"].contains(&word.as_str()) {
        return Some(not_finite(field, json));
    }
    Some(wrong_type(field, "a number", json))
}

/// Whether `json` is a number, in or out of range.
pub(crate) fn is_number(json: &str) -> bool {
    json.starts_with('-') || json.starts_with(|c: char| c.is_ascii_digit())
}

/// The field is a number out of range, or a word for one.
pub(crate) fn not_finite(field: &str, json: &str) -> Fault {
    let detail = format!("`{field}` is {}: expected a finite number", shown(json));
    Fault::new(RejectCode::ValueNotFinite, field, detail)
}

/// The field has another JSON type.
pub(crate) fn wrong_type(field: &str, expected: &str, json: &str) -> Fault {
    Fault::new(RejectCode::WrongType, field, format!("`{field}` is {}: expected {expected}", kind_of(json)))
}

/// The event is not an object.
pub(crate) fn no_object(json: &str) -> Fault {
    let detail = format!("an event must be an object, not {}", kind_of(json));
    Fault { code: RejectCode::WrongType, field: None, detail }
}

/// The error of reading `json` as an optional `T`.
pub(crate) fn error_of<T: DeserializeOwned>(json: &str) -> Option<serde_json::Error> {
    serde_json::from_str::<Option<T>>(json).err()
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
