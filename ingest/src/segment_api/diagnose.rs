//! Says which field of a refused message is at fault and what it should be.

use super::identifier::Identifier;
use super::message::Context;
use crate::fault::{
    Fault, Fields, error_of, invalid_text, is_number, map_fault, no_object, not_finite, text_fault, time_fault,
    wrong_type,
};
use crate::object::Object;

/// The message's id when it can be read, and the first fault found. `error` is the reader's own and serves when no
/// single field is to blame.
pub(super) fn explain(json: &str, error: &serde_json::Error) -> (Option<String>, Fault) {
    let Ok(fields) = serde_json::from_str::<Fields<'_>>(json) else {
        return (None, no_object(json));
    };
    let id = fields.get("messageId").and_then(|raw| serde_json::from_str::<Identifier>(raw.get()).ok());
    let fault = fields.iter().find_map(|(name, raw)| field_fault(name, raw.get()));
    (id.map(|id| id.0), fault.unwrap_or_else(|| Fault::whole("", error)))
}

fn field_fault(name: &str, json: &str) -> Option<Fault> {
    match name {
        "type" | "event" | "name" | "category" => text_fault(name, json),
        "messageId" | "userId" | "anonymousId" | "groupId" | "previousId" => identifier_fault(name, json),
        "timestamp" | "originalTimestamp" | "sentAt" => time_fault(name, json),
        "properties" | "traits" => map_fault(name, json),
        "context" => context_fault(json),
        _ => None,
    }
}

fn identifier_fault(field: &str, json: &str) -> Option<Fault> {
    let error = error_of::<Identifier>(json)?;
    Some(if json.starts_with('"') {
        invalid_text(field, &error)
    } else if is_number(json) {
        not_finite(field, json)
    } else {
        wrong_type(field, "a string", json)
    })
}

fn context_fault(json: &str) -> Option<Fault> {
    let error = serde_json::from_str::<Option<Object<Context<'_>>>>(json).err()?;
    if !json.starts_with('{') {
        return Some(wrong_type("context", "an object", json));
    }
    let fields = serde_json::from_str::<Fields<'_>>(json).unwrap_or_default();
    let fault = fields.get("groupId").and_then(|raw| identifier_fault("context.groupId", raw.get()));
    Some(fault.unwrap_or_else(|| Fault::whole("context.", &error)))
}
