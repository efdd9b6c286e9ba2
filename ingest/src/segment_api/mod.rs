//! The HTTP tracking API that Segment's and RudderStack's clients speak: `/v1/{track,identify,page,screen,group,alias}`
//! with one message, `/v1/batch` with many. Reads and checks shape, as [`crate::native`] does for our own format; the
//! write key is only read here, not judged.
//!
//! | message | becomes |
//! |---|---|
//! | `track` | a metric event named by `event`, with `properties`; its value is `properties.value`, else `properties.revenue`, when that is a finite number or text that is one |
//! | `track` of [`EXPERIMENT_VIEWED`] | an exposure: the flag is the first of `experiment_id`, `experiment_name` and `experiment` among the properties, the variation the first of `variation_id`, `variation_name` and `variation` |
//! | `page`, `screen` | a metric event of that name; `name` and `category` are among its properties |
//! | `identify`, `group`, `alias` | a metric event of that name with the traits as properties, and `groupId` or `previousId` among them |
//!
//! | field | becomes |
//! |---|---|
//! | `userId`, `anonymousId`, `groupId` or `context.groupId` | units of the types `user`, [`UNIT_TYPE_ANONYMOUS`] and [`UNIT_TYPE_GROUP`]; one of the first two must be there |
//! | `messageId` | the event's id; without one it is made from what the message says, so that sending it again is a duplicate |
//! | `timestamp`, else `originalTimestamp`, else `sentAt`, else the instant of receipt | when it happened |
//! | the batch's `sentAt`, else the message's | when it was sent, which corrects the former |
//!
//! Ids may be numbers. Fields that are not named here are of no concern, and neither are empty ids.

mod diagnose;
mod identifier;
mod message;

use std::fmt;

use liftgate_domain::Timestamp;
use serde::Deserialize;
use serde::de::IgnoredAny;
use serde_json::value::RawValue;

use self::message::{Message, Surroundings};
use crate::fault::{Fault, text_fault};
use crate::json_cursor::JsonCursor;
use crate::native::{ParseError, sent_at};
use crate::object::Object;
use crate::wire_time::WireTime;
use crate::{Limits, ParsedEvent};

/// The type of the unit that `anonymousId` names.
pub const UNIT_TYPE_ANONYMOUS: &str = "anonymous";
/// The type of the unit that `groupId` names.
pub const UNIT_TYPE_GROUP: &str = "account";
/// The `event` of a `track` message that is an exposure.
pub const EXPERIMENT_VIEWED: &str = "Experiment Viewed";

/// What a request asks for, which is the last part of its path.
#[derive(Copy, Clone, Debug, Eq, PartialEq)]
pub enum Call {
    /// A unit did something.
    Track,
    /// Who a unit is.
    Identify,
    /// A page was seen.
    Page,
    /// A screen of an app was seen.
    Screen,
    /// A unit belongs to a group.
    Group,
    /// A unit has another id.
    Alias,
    /// Many messages, each of which names its own type.
    Batch,
}

/// What a request said.
#[derive(Clone, PartialEq)]
pub struct SegmentRequest {
    /// `writeKey` of the body, unless it is empty. It may be a secret.
    pub write_key: Option<String>,
    /// One for each message, in the order sent.
    pub events: Vec<ParsedEvent>,
}

impl Call {
    /// The call that the last part of a path names, such as `track`.
    pub fn from_path(name: &str) -> Option<Self> {
        match name {
            "batch" => Some(Self::Batch),
            name => Self::from_type(name),
        }
    }

    /// The call that a message's `type` names.
    fn from_type(name: &str) -> Option<Self> {
        Some(match name {
            "track" => Self::Track,
            "identify" => Self::Identify,
            "page" => Self::Page,
            "screen" => Self::Screen,
            "group" => Self::Group,
            "alias" => Self::Alias,
            _ => return None,
        })
    }

    /// The name in paths and in `type`.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Track => "track",
            Self::Identify => "identify",
            Self::Page => "page",
            Self::Screen => "screen",
            Self::Group => "group",
            Self::Alias => "alias",
            Self::Batch => "batch",
        }
    }
}

impl fmt::Debug for SegmentRequest {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let write_key = self.write_key.as_ref().map(|_| "...");
        f.debug_struct("SegmentRequest").field("write_key", &write_key).field("events", &self.events).finish()
    }
}

/// Reads a body: one [`ParsedEvent`] a message, in the order sent. `received_at` is when a message without any time of
/// its own happened.
///
/// # Errors
/// A body beyond `limits.batch_bytes_max`, one that is malformed or has another outline, a `writeKey` that is no text, a
/// batch's `sentAt` that is no instant. A bad message is only that message's rejection.
///
/// ```
/// use liftgate_domain::Timestamp;
/// use liftgate_ingest::segment_api::{self, Call};
/// use liftgate_ingest::{Limits, ParsedEvent, RawBody};
/// let body = br#"{"userId":"u1","event":"Order Completed","messageId":"m1","properties":{"revenue":9.5}}"#;
/// let request = segment_api::parse(Call::Track, body, &Limits::default(), Timestamp(0))?;
/// let [ParsedEvent::Ok(event)] = &request.events[..] else { panic!("the message is well-formed") };
/// assert!(matches!(&event.body, RawBody::Metric { value: Some(9.5), .. }));
/// # Ok::<(), liftgate_ingest::native::ParseError>(())
/// ```
pub fn parse(call: Call, body: &[u8], limits: &Limits, received_at: Timestamp) -> Result<SegmentRequest, ParseError> {
    ParseError::check_size(body, limits)?;
    let reader = Reader { call, limits, received_at };
    if call != Call::Batch {
        return reader.single(body);
    }
    match str::from_utf8(body).ok().and_then(|text| reader.in_one_pass(text)) {
        Some(request) => Ok(request),
        None => reader.batch(body),
    }
}

/// What [`parse`] answers for a batch, by reading its outline first and then each message.
pub(crate) fn parse_batch(body: &[u8], limits: &Limits, received_at: Timestamp) -> Result<SegmentRequest, ParseError> {
    Reader { call: Call::Batch, limits, received_at }.batch(body)
}

struct Reader<'a> {
    call: Call,
    limits: &'a Limits,
    received_at: Timestamp,
}

impl Reader<'_> {
    fn single(&self, body: &[u8]) -> Result<SegmentRequest, ParseError> {
        #[derive(Deserialize)]
        #[serde(rename_all = "camelCase")]
        struct Envelope<'a> {
            #[serde(borrow)]
            write_key: Option<&'a RawValue>,
        }
        let raw: &RawValue = serde_json::from_slice(body).map_err(|error| ParseError::at(&error))?;
        let Object(envelope) =
            serde_json::from_str::<Object<Envelope<'_>>>(raw.get()).map_err(|error| ParseError::at(&error))?;
        Ok(SegmentRequest { write_key: write_key(envelope.write_key)?, events: vec![self.message(0, raw.get(), None)] })
    }

    fn batch(&self, body: &[u8]) -> Result<SegmentRequest, ParseError> {
        #[derive(Deserialize)]
        #[serde(rename_all = "camelCase")]
        struct Envelope<'a> {
            #[serde(borrow)]
            write_key: Option<&'a RawValue>,
            #[serde(borrow)]
            sent_at: Option<&'a RawValue>,
            #[serde(borrow)]
            batch: Vec<&'a RawValue>,
        }
        let Object(envelope) =
            serde_json::from_slice::<Object<Envelope<'_>>>(body).map_err(|error| ParseError::at(&error))?;
        let sent_at = sent_at(envelope.sent_at, "sentAt")?;
        let events = envelope.batch.iter().enumerate();
        Ok(SegmentRequest {
            write_key: write_key(envelope.write_key)?,
            events: events.map(|(index, raw)| self.message(index, raw.get(), sent_at)).collect(),
        })
    }

    /// Reads each message where it stands, as long as the outline is good; `None` leaves the fault to [`Self::batch`].
    /// The batch's `sentAt` may follow its messages, so those are made events last.
    fn in_one_pass(&self, text: &str) -> Option<SegmentRequest> {
        let mut cursor = JsonCursor::new(text);
        let mut key: Option<Option<String>> = None;
        let mut sent_at: Option<Option<WireTime>> = None;
        let mut messages: Option<Vec<(Option<Message<'_>>, &str)>> = None;
        cursor.fields(|name, cursor| {
            match name {
                "writeKey" if key.is_none() => key = Some(cursor.value().ok()?.0),
                "sentAt" if sent_at.is_none() => sent_at = Some(cursor.value().ok()?.0),
                "batch" if messages.is_none() => {
                    let mut list = Vec::new();
                    cursor.elements(|cursor| {
                        list.push(match cursor.value() {
                            Ok((Object(message), json)) => (Some(message), json),
                            Err(_) => (None, cursor.value::<&RawValue>().ok()?.1),
                        });
                        Some(())
                    })?;
                    messages = Some(list);
                }
                "writeKey" | "sentAt" | "batch" => return None,
                _ => drop(cursor.value::<IgnoredAny>().ok()?),
            }
            Some(())
        })?;
        let messages = messages.filter(|_| cursor.is_at_end())?;
        let sent_at = sent_at.flatten().map(|time| time.0);
        let events = messages.into_iter().enumerate().map(|(index, (message, json))| match message {
            Some(message) => self.checked(index, message, json, sent_at),
            None => self.message(index, json, sent_at),
        });
        Some(SegmentRequest { write_key: key.flatten().filter(|key| !key.is_empty()), events: events.collect() })
    }

    fn message(&self, index: usize, json: &str, batch_sent_at: Option<Timestamp>) -> ParsedEvent {
        if json.len() > self.limits.event_bytes_max {
            return ParsedEvent::Bad(Fault::too_large(json.len(), self.limits).rejects(index, None));
        }
        match serde_json::from_str(json) {
            Ok(Object(message)) => self.checked(index, message, json, batch_sent_at),
            Err(error) => {
                let (id, fault) = diagnose::explain(json, &error);
                ParsedEvent::Bad(fault.rejects(index, id))
            }
        }
    }

    fn checked(&self, index: usize, message: Message<'_>, json: &str, batch_sent_at: Option<Timestamp>) -> ParsedEvent {
        if json.len() > self.limits.event_bytes_max {
            return ParsedEvent::Bad(Fault::too_large(json.len(), self.limits).rejects(index, None));
        }
        let surroundings = Surroundings { call: self.call, batch_sent_at, received_at: self.received_at, json };
        match message.into_event(&surroundings) {
            Ok(event) => ParsedEvent::Ok(event),
            Err((id, fault)) => ParsedEvent::Bad(fault.rejects(index, id)),
        }
    }
}

fn write_key(raw: Option<&RawValue>) -> Result<Option<String>, ParseError> {
    let Some(json) = raw.map(RawValue::get) else {
        return Ok(None);
    };
    match serde_json::from_str::<Option<String>>(json) {
        Ok(key) => Ok(key.filter(|key| !key.is_empty())),
        Err(error) => {
            let fault = text_fault("writeKey", json).unwrap_or_else(|| Fault::whole("", &error));
            Err(ParseError::without_place(fault.detail))
        }
    }
}
