//! `/api/v1/identities/`: the flags of one identity, by the traits that the question carries. Identifier and traits are
//! answered as they were sent: browsers adopt what comes back.

use std::borrow::Cow;

use axum::{
    Json,
    extract::{Query, Request, State},
    http::StatusCode,
    response::{IntoResponse, Response},
};
use liftgate_evaluator::{Attributes, Context};
use serde::Deserialize;
use serde_json::{Value, json, value::RawValue};
use xxhash_rust::xxh3::xxh3_128;

use super::{Keyed, Refusal, answer};
use crate::{
    app::App,
    body::{self, CONTEXT_BYTES_MAX},
    rulesets::Snapshot,
};

/// The bytes that one flag of an answer takes, about.
const FLAG_BYTES: usize = 192;
/// An empty list of traits.
const NO_TRAITS: &str = "[]";

/// Who is asked for by `GET`.
#[derive(Debug, Deserialize)]
pub struct Question {
    identifier: Option<String>,
}

#[derive(Deserialize)]
struct Identity<'a> {
    #[serde(default, borrow)]
    identifier: Option<Cow<'a, str>>,
    #[serde(default, borrow)]
    traits: Option<&'a RawValue>,
}

#[derive(Deserialize)]
struct Trait<'a> {
    #[serde(borrow)]
    trait_key: Cow<'a, str>,
    #[serde(default)]
    trait_value: Value,
}

pub async fn show(
    State(app): State<App>,
    Keyed(caller): Keyed,
    Query(question): Query<Question>,
) -> Result<Response, Refusal> {
    match question.identifier.filter(|it| !it.is_empty()) {
        Some(identifier) => {
            let context = Context::user(identifier.as_str());
            Ok(flags(&app, &caller.snapshot, &identifier, NO_TRAITS, &context))
        }
        None => Ok(Json(json!({"detail": "Missing identifier"})).into_response()),
    }
}

pub async fn evaluate(State(app): State<App>, Keyed(caller): Keyed, request: Request) -> Result<Response, Refusal> {
    let bytes = body::read(request, CONTEXT_BYTES_MAX).await?;
    let identity: Identity<'_> = read(&bytes, "")?;
    let raw_traits = identity.traits.map_or(NO_TRAITS, RawValue::get);
    let traits: Option<Vec<Trait<'_>>> = read(raw_traits.as_bytes(), "traits")?;
    let identifier = match identity.identifier {
        Some(identifier) if !identifier.is_empty() => identifier.into_owned(),
        // Somebody without a name has the one that its traits make, and so the same flags every time.
        _ => format!("{:032x}", xxh3_128(raw_traits.as_bytes())),
    };
    let traits = traits.unwrap_or_default();
    let structured = |it: &Trait<'_>| matches!(it.trait_value, Value::Array(_) | Value::Object(_));
    if let Some(index) = traits.iter().position(structured) {
        let detail = format!("`traits[{index}].trait_value` must be text, a number, true, false or null");
        return Err(Refusal::new(StatusCode::BAD_REQUEST, detail));
    }
    let attributes: Attributes = traits.into_iter().map(|it| (it.trait_key, it.trait_value)).collect();
    let context = Context { targeting_key: Some(identifier), attributes };
    let identifier = context.targeting_key.as_deref().unwrap_or_default();
    let raw_traits = if raw_traits == "null" { NO_TRAITS } else { raw_traits };
    Ok(flags(&app, &caller.snapshot, identifier, raw_traits, &context))
}

/// Reads JSON in place; the error names the path of the field.
fn read<'b, T: Deserialize<'b>>(bytes: &'b [u8], within: &str) -> Result<T, Refusal> {
    let refused = |detail: String| Refusal::new(StatusCode::BAD_REQUEST, detail);
    let text = std::str::from_utf8(bytes).map_err(|_| refused("the body is not UTF-8".to_owned()))?;
    let mut deserializer = serde_json::Deserializer::from_str(text);
    // Only what is wrong is read again for its path: the good ones pay nothing for it.
    match T::deserialize(&mut deserializer).and_then(|value| deserializer.end().map(|()| value)) {
        Ok(value) => Ok(value),
        Err(error) => {
            let mut again = serde_json::Deserializer::from_str(text);
            let path = match serde_path_to_error::deserialize::<_, T>(&mut again) {
                // Text that breaks off is nobody's field.
                Err(error) => Some(error.path().to_string()).filter(|path| !path.contains('?')),
                Ok(_) => None,
            };
            let path = path.unwrap_or_else(|| ".".to_owned());
            let path = match (within, path.as_str()) {
                ("", ".") => return Err(refused(format!("the body cannot be read: {error}"))),
                (within, ".") => within.to_owned(),
                (within, path) if path.starts_with('[') || within.is_empty() => format!("{within}{path}"),
                (within, path) => format!("{within}.{path}"),
            };
            Err(refused(format!("`{path}`: {error}")))
        }
    }
}

fn flags(app: &App, snapshot: &Snapshot, identifier: &str, traits: &str, context: &Context) -> Response {
    let count = snapshot.ruleset.len();
    let mut list: Vec<u8> = Vec::with_capacity(count * FLAG_BYTES + traits.len() + identifier.len() + 64);
    list.extend_from_slice(b"{\"identifier\":");
    list.extend_from_slice(Value::from(identifier).to_string().as_bytes());
    list.extend_from_slice(b",\"traits\":");
    list.extend_from_slice(traits.as_bytes());
    list.extend_from_slice(b",\"flags\":[");
    for (index, evaluation) in snapshot.ruleset.evaluate_all_at(context, app.clock.now()).enumerate() {
        snapshot.flagsmith.write(index, &evaluation, &mut list);
    }
    list.extend_from_slice(b"]}");
    app.count_evaluations(count);
    answer(snapshot.flagsmith.updated_at_header(), list)
}
