//! Says which field of a refused event is at fault and what it should be.

use super::wire::WireUnit;
use crate::RejectCode;
use crate::fault::{Fault, Fields, map_fault, no_object, number_fault, shown, text_fault, time_fault, wrong_type};
use crate::object::Object;

/// The event's id when it can be read, and the first fault found. `error` is the reader's own and serves when no single
/// field is to blame.
pub(super) fn explain(json: &str, error: &serde_json::Error) -> (Option<String>, Fault) {
    let Ok(fields) = serde_json::from_str::<Fields<'_>>(json) else {
        return (None, no_object(json));
    };
    let id = fields.get("id").and_then(|raw| serde_json::from_str(raw.get()).ok());
    let fault = fields.iter().find_map(|(name, raw)| field_fault(name, raw.get()));
    (id, fault.unwrap_or_else(|| Fault::whole("", error)))
}

fn field_fault(name: &str, json: &str) -> Option<Fault> {
    match name {
        "type" | "id" | "flag" | "variation" | "event" => text_fault(name, json),
        "timestamp" | "sent_at" => time_fault(name, json),
        "unit" => unit_fault(json),
        "units" => units_fault(json),
        "attributes" | "properties" => map_fault(name, json),
        "value" => number_fault(name, json),
        other => {
            let detail = format!("`{}` is not a field of an event", shown(other));
            Some(Fault::new(RejectCode::UnknownField, shown(other), detail))
        }
    }
}

fn unit_fault(json: &str) -> Option<Fault> {
    let error = serde_json::from_str::<Option<Object<WireUnit>>>(json).err()?;
    let Ok(fields) = serde_json::from_str::<Fields<'_>>(json) else {
        return Some(wrong_type("unit", r#"an object such as {"type": "user", "id": "u1"}"#, json));
    };
    let fault = fields.iter().find_map(|(name, raw)| match name.as_str() {
        "type" => text_fault("unit.type", raw.get()),
        "id" => text_fault("unit.id", raw.get()),
        other => {
            let field = format!("unit.{}", shown(other));
            let detail = format!("`{field}` is not a field of a unit");
            Some(Fault::new(RejectCode::UnknownField, &field, detail))
        }
    });
    fault.or_else(|| Some(Fault::whole("unit.", &error)))
}

fn units_fault(json: &str) -> Option<Fault> {
    if json == "null" {
        return None;
    }
    let Ok(fields) = serde_json::from_str::<Fields<'_>>(json) else {
        return Some(wrong_type("units", r#"an object such as {"user": "u1", "account": "a9"}"#, json));
    };
    fields.iter().find_map(|(unit_type, raw)| {
        let field = format!("units.{}", shown(unit_type));
        match raw.get() {
            "null" => Some(wrong_type(&field, "a string", "null")),
            json => text_fault(&field, json),
        }
    })
}
