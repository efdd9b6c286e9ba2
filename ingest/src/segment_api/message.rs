//! A message as it is on the wire, and what it becomes.

use liftgate_domain::Timestamp;
use serde::Deserialize;
use serde_json::value::RawValue;
use serde_json::{Map, Value};
use xxhash_rust::xxh3::xxh3_128;

use super::identifier::Identifier;
use super::{Call, EXPERIMENT_VIEWED, UNIT_TYPE_ANONYMOUS, UNIT_TYPE_GROUP};
use crate::fault::{Fault, bounded, check_text, map_fault, missing, required, shown};
use crate::json_cursor::Text;
use crate::native::{ID_BYTES_MAX, NAME_BYTES_MAX, UNIT_ID_BYTES_MAX};
use crate::object::Object;
use crate::units::{UNIT_TYPE_DEFAULT, Units};
use crate::wire_time::WireTime;
use crate::{RawBody, RawEvent, RawUnit, RejectCode};

const EXPECTED_TYPE: &str = "`track`, `identify`, `page`, `screen`, `group` or `alias`";
const EXPERIMENT: [&str; 3] = ["experiment_id", "experiment_name", "experiment"];
const VARIATION: [&str; 3] = ["variation_id", "variation_name", "variation"];
const VALUE: [&str; 2] = ["value", "revenue"];
/// What a retry of the same message may write otherwise, or what says nothing of it.
const NO_CONTENT: [&str; 3] = ["messageId", "sentAt", "writeKey"];

type Properties = Map<String, Value>;

/// Every field that any call gives a meaning to. Others are ignored: clients send many.
#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct Message<'a> {
    #[serde(borrow)]
    r#type: Option<Text<'a>>,
    message_id: Option<Identifier>,
    user_id: Option<Identifier>,
    anonymous_id: Option<Identifier>,
    group_id: Option<Identifier>,
    previous_id: Option<Identifier>,
    event: Option<String>,
    name: Option<String>,
    category: Option<String>,
    properties: Option<Properties>,
    traits: Option<Properties>,
    #[serde(borrow)]
    context: Option<Object<Context<'a>>>,
    timestamp: Option<WireTime>,
    original_timestamp: Option<WireTime>,
    sent_at: Option<WireTime>,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct Context<'a> {
    group_id: Option<Identifier>,
    /// Only read where it is needed: some clients copy the traits of every identified unit into every message.
    #[serde(borrow)]
    traits: Option<&'a RawValue>,
}

/// What a message is read with.
pub(super) struct Surroundings<'a> {
    pub(super) call: Call,
    pub(super) batch_sent_at: Option<Timestamp>,
    pub(super) received_at: Timestamp,
    /// The message itself.
    pub(super) json: &'a str,
}

impl Message<'_> {
    /// The event, or the message's id as far as there is one and what is wrong.
    pub(super) fn into_event(mut self, surroundings: &Surroundings<'_>) -> Result<RawEvent, (Option<String>, Fault)> {
        let id = text(self.message_id.take());
        match self.with_id(id.as_deref(), surroundings) {
            // The checks have seen the id; it is moved in only here so that a fault can still name it.
            Ok(event) => Ok(RawEvent { id: id.unwrap_or(event.id), ..event }),
            Err(fault) => Err((id, fault)),
        }
    }

    fn with_id(self, id: Option<&str>, surroundings: &Surroundings<'_>) -> Result<RawEvent, Fault> {
        let kind = match surroundings.call {
            Call::Batch => named(&required(self.r#type, "type", EXPECTED_TYPE)?.0)?,
            call => call,
        };
        if let Some(id) = id {
            check_text(id, "messageId", ID_BYTES_MAX)?;
        }
        let own_time = self.timestamp.or(self.original_timestamp).map(|time| time.0);
        // The batch is stamped anew when a client sends it again, its messages may not be.
        let sent_at = surroundings.batch_sent_at.or(self.sent_at.map(|time| time.0));
        let made_id = match id {
            Some(_) => String::new(),
            None => id_of_content(kind, surroundings, own_time, sent_at),
        };
        let context = self.context;
        let (context_group, context_traits) = context.map_or((None, None), |Object(it)| (it.group_id, it.traits));
        let group_id = text(self.group_id);
        if kind == Call::Group {
            required(group_id.as_deref(), "groupId", "the group's id")?;
        }
        let body = match kind {
            Call::Track => track(required(self.event, "event", "the event's name")?, self.properties)?,
            Call::Page | Call::Screen => {
                let mut properties = self.properties;
                add(&mut properties, "name", self.name);
                add(&mut properties, "category", self.category);
                metric(kind, properties)
            }
            Call::Identify if self.traits.is_none() => metric(kind, traits_of(context_traits)?),
            Call::Group => {
                let mut properties = self.traits;
                add(&mut properties, "groupId", group_id.clone());
                metric(kind, properties)
            }
            Call::Alias => {
                let previous = text(self.previous_id);
                let mut properties = self.traits;
                add(&mut properties, "previousId", Some(required(previous, "previousId", "the id until now")?));
                metric(kind, properties)
            }
            Call::Identify | Call::Batch => metric(kind, self.traits),
        };
        let Units { first, others } = units(text(self.user_id), text(self.anonymous_id), group_id, context_group)?;
        Ok(RawEvent {
            id: made_id,
            timestamp: own_time.or(sent_at).unwrap_or(surroundings.received_at),
            unit_type: first.unit_type,
            unit_id: first.unit_id,
            other_units: others,
            sent_at,
            body,
        })
    }
}

fn named(name: &str) -> Result<Call, Fault> {
    Call::from_type(name).ok_or_else(|| {
        let detail = format!("`type` is `{}`: expected {EXPECTED_TYPE}", shown(name));
        Fault::new(RejectCode::UnknownType, "type", detail)
    })
}

/// Empty ids are how some clients write none.
fn text(id: Option<Identifier>) -> Option<String> {
    id.map(|id| id.0).filter(|id| !id.is_empty())
}

fn units(
    user: Option<String>,
    anonymous: Option<String>,
    group: Option<String>,
    context_group: Option<Identifier>,
) -> Result<Units, Fault> {
    if user.is_none() && anonymous.is_none() {
        return Err(missing("userId", "the user's id, or `anonymousId`"));
    }
    let group_field = if group.is_some() { "groupId" } else { "context.groupId" };
    let given = [
        (user, "userId", UNIT_TYPE_DEFAULT),
        (anonymous, "anonymousId", UNIT_TYPE_ANONYMOUS),
        (group.or(text(context_group)), group_field, UNIT_TYPE_GROUP),
    ];
    let mut units = Vec::with_capacity(1);
    for (id, field, unit_type) in given {
        if let Some(id) = id {
            let unit_id = bounded(id, field, UNIT_ID_BYTES_MAX)?;
            units.push(RawUnit { unit_type: unit_type.to_owned(), unit_id });
        }
    }
    Units::sorted(units).ok_or_else(|| missing("userId", "the user's id, or `anonymousId`"))
}

fn track(event: String, properties: Option<Properties>) -> Result<RawBody, Fault> {
    if event != EXPERIMENT_VIEWED {
        let event = bounded(event, "event", NAME_BYTES_MAX)?;
        let value = properties.as_ref().and_then(|properties| VALUE.iter().find_map(|name| number(properties, name)));
        return Ok(RawBody::Metric { event, value, properties });
    }
    let properties = properties.unwrap_or_default();
    let flag = first_name(&properties, &EXPERIMENT, "the experiment's flag, by id or by name")?;
    let variation = first_name(&properties, &VARIATION, "the variation seen, by id or by name")?;
    Ok(RawBody::Exposure { flag, variation, attributes: Some(properties) })
}

/// The first of `names` that is a number, or text that is one: shops send prices both ways.
fn number(properties: &Properties, name: &str) -> Option<f64> {
    let number = match properties.get(name)? {
        Value::Number(number) => number.as_f64(),
        Value::String(text) => text.trim().parse().ok(),
        _ => None,
    };
    number.filter(|number| number.is_finite())
}

/// The first of `names` that is given. Another than text or a number is a fault, not a reason to look further: the
/// sender meant this one.
fn first_name(properties: &Properties, names: &[&str], expected: &str) -> Result<String, Fault> {
    for name in names {
        let name_of = || format!("properties.{name}");
        match properties.get(*name) {
            None | Some(Value::Null) => {}
            Some(Value::String(text)) if text.is_empty() => {}
            Some(Value::String(text)) => return bounded(text.clone(), &name_of(), NAME_BYTES_MAX),
            Some(Value::Number(number)) => return Ok(number.to_string()),
            Some(_) => {
                let detail = format!("`{}` is neither a string nor a number: expected {expected}", name_of());
                return Err(Fault::new(RejectCode::WrongType, &name_of(), detail));
            }
        }
    }
    Err(missing(&format!("properties.{}", names[0]), expected))
}

fn metric(call: Call, properties: Option<Properties>) -> RawBody {
    RawBody::Metric { event: call.as_str().to_owned(), value: None, properties }
}

fn traits_of(raw: Option<&RawValue>) -> Result<Option<Properties>, Fault> {
    let Some(json) = raw.map(RawValue::get) else {
        return Ok(None);
    };
    serde_json::from_str(json)
        .map_err(|error| map_fault("context.traits", json).unwrap_or_else(|| Fault::whole("context.traits.", &error)))
}

/// Puts a field of the message among its properties, unless they have one of that name.
fn add(properties: &mut Option<Properties>, name: &str, value: Option<String>) {
    if let Some(value) = value {
        properties.get_or_insert_default().entry(name).or_insert(Value::String(value));
    }
}

/// An id made from what a message says and when, so that the same message sent again is known. One without a time of its
/// own counts as of when it was sent; where nothing tells that either, as of its receipt, since two messages that differ
/// in nothing else would otherwise pass for one.
fn id_of_content(
    kind: Call,
    surroundings: &Surroundings<'_>,
    own_time: Option<Timestamp>,
    sent_at: Option<Timestamp>,
) -> String {
    let mut content = serde_json::from_str::<Properties>(surroundings.json).unwrap_or_default();
    content.retain(|name, _| !NO_CONTENT.contains(&name.as_str()));
    content.insert("type".to_owned(), Value::from(kind.as_str()));
    let time = own_time.or(sent_at).unwrap_or(surroundings.received_at);
    let text = format!("{}{}", time.as_micros(), Value::Object(content));
    format!("content-{:032x}", xxh3_128(text.as_bytes()))
}
