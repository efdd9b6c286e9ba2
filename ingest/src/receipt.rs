//! The answer to a request: what became of each event that was sent.

use serde::{Deserialize, Serialize};

use crate::quarantine::QuarantineReason;

/// `accepted + duplicates + rejected.len()` is the number of events sent. Given only once all of it is on disk.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Receipt {
    /// Events that are new and now durable, those in quarantine included.
    pub accepted: u64,
    /// Events whose id is durable already, or appeared earlier in the request.
    pub duplicates: u64,
    /// Events that can never be accepted as they are.
    pub rejected: Vec<Rejection>,
    /// Accepted events that are not believed: they count nowhere until they are replayed.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub quarantined: Vec<Quarantined>,
}

/// An event that went into quarantine.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Quarantined {
    /// Its position in the request, from 0.
    pub index: usize,
    /// Its id.
    pub id: String,
    /// The stable reason.
    pub code: QuarantineReason,
    /// What is not believed, in words.
    pub detail: String,
}

/// One refused event.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Rejection {
    /// Its position in the request, from 0.
    pub index: usize,
    /// Its id, when it had a readable one.
    pub id: Option<String>,
    /// The stable reason.
    pub code: RejectCode,
    /// The field at fault, such as `unit.id`.
    pub field: Option<String>,
    /// What is wrong and what is expected, in words.
    pub detail: String,
}

/// Why an event was refused.
#[derive(Copy, Clone, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
#[non_exhaustive]
pub enum RejectCode {
    /// A line of NDJSON is not JSON.
    MalformedJson,
    /// A field that every such event has is absent.
    MissingField,
    /// A field has another JSON type.
    WrongType,
    /// A field that such an event does not have.
    UnknownField,
    /// The type is right and the content is not.
    InvalidValue,
    /// NaN, an infinity, or a number beyond the range of a double.
    ValueNotFinite,
    /// The event, or one of its fields, is too long.
    TooLarge,
    /// Too far in the future or older than retention, and there is no room for it in quarantine.
    TimestampOutOfRange,
    /// `type` is neither `exposure` nor `metric`.
    UnknownType,
}
