//! What a caller tells about the unit that it asks for: `{"context": {"targetingKey": ..., ...}}`.
//! A context without a targeting key, an empty one and none at all are fine: each flag that needs more says so itself.

use axum::{extract::Request, http::StatusCode};
use liftgate_evaluator::{Attributes, Context, TARGETING_KEY};
use serde::Deserialize;
use serde_json::Value;

use super::refusal::Refusal;
use crate::body::{self, CONTEXT_BYTES_MAX};

/// Reads the context of a request, of at most [`CONTEXT_BYTES_MAX`].
pub async fn read(request: Request) -> Result<Context, Refusal> {
    let bytes = body::read(request, CONTEXT_BYTES_MAX).await.map_err(|error| {
        // The protocol knows one status for a request that cannot be used, and its clients read no other.
        if error.status() == StatusCode::PAYLOAD_TOO_LARGE {
            Refusal::bad_request("INVALID_CONTEXT", format!("{}; send fewer or shorter attributes", error.detail()))
        } else {
            Refusal::from(error)
        }
    })?;
    parse(&bytes)
}

/// A body as it should be.
#[derive(Deserialize)]
struct Body {
    #[serde(default)]
    context: Option<Attributes>,
}

fn parse(bytes: &[u8]) -> Result<Context, Refusal> {
    // Derived code would take a list for an object.
    let is_object = bytes.trim_ascii_start().starts_with(b"{");
    match serde_json::from_slice::<Body>(bytes) {
        Ok(Body { context: Some(attributes) }) if is_object => with_targeting_key(attributes),
        Ok(Body { context: None }) if is_object => Ok(Context::default()),
        // Read again, to say what is wrong with it; whoever sends a field twice means the last one.
        _ => parse_slowly(bytes),
    }
}

fn parse_slowly(bytes: &[u8]) -> Result<Context, Refusal> {
    let request: Value = serde_json::from_slice(bytes).map_err(|error| {
        let hint = r#"send `{"context": {"targetingKey": "..."}}`"#;
        Refusal::bad_request("PARSE_ERROR", format!("the body is not valid JSON: {error}; {hint}"))
    })?;
    let Value::Object(mut request) = request else {
        return Err(invalid("the body must be an object with the field `context`"));
    };
    match request.remove("context") {
        Some(Value::Object(attributes)) => with_targeting_key(attributes.into()),
        Some(Value::Null) | None => Ok(Context::default()),
        Some(_) => Err(invalid("the field `context` must be an object")),
    }
}

fn invalid(details: &str) -> Refusal {
    Refusal::bad_request("INVALID_CONTEXT", details)
}

fn with_targeting_key(mut attributes: Attributes) -> Result<Context, Refusal> {
    let targeting_key = match attributes.remove(TARGETING_KEY) {
        Some(Value::String(text)) => Some(text).filter(|text| !text.is_empty()),
        Some(Value::Null) | None => None,
        Some(_) => return Err(invalid("the field `context.targetingKey` must be a string")),
    };
    Ok(Context { targeting_key, attributes })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_context_may_be_empty_and_its_targeting_key_too() {
        for body in [
            "{}",
            r#"{"context": null}"#,
            r#"{"context": {}}"#,
            r#"{"context": {"targetingKey": ""}}"#,
            r#"{"context": {"targetingKey": null}}"#,
            r#"{"context": 1, "context": {}}"#,
        ] {
            assert_eq!(parse(body.as_bytes()).unwrap(), Context::default(), "{body}");
        }
        let full = parse(br#"{"context": {"targetingKey": "u1", "country": "DE", "big": 1e300}, "more": 1}"#).unwrap();
        assert_eq!(full, Context::user("u1").with("country", "DE").with("big", 1e300));
    }

    #[test]
    fn what_is_wrong_is_named() {
        let deep = format!(r#"{{"context": {{"a": {}}}}}"#, "[".repeat(100_000));
        for (body, code, words) in [
            ("", "PARSE_ERROR", "send `{\"context\""),
            ("{", "PARSE_ERROR", "line 1"),
            (r#"{"context": {"a": 1e999}}"#, "PARSE_ERROR", "out of range"),
            (r#"{"context": {"a": "\ud800"}}"#, "PARSE_ERROR", "hex escape"),
            (&deep, "PARSE_ERROR", "recursion limit"),
            ("[]", "INVALID_CONTEXT", "`context`"),
            (r#"[{"a": 1}]"#, "INVALID_CONTEXT", "`context`"),
            (r#"{"context": []}"#, "INVALID_CONTEXT", "`context`"),
            (r#"{"context": {"targetingKey": 5}}"#, "INVALID_CONTEXT", "`context.targetingKey`"),
        ] {
            let refusal = parse(body.as_bytes()).unwrap_err();
            assert_eq!(refusal.code(), code, "{body}");
            assert!(refusal.details().contains(words), "{body}: {}", refusal.details());
        }
    }
}
