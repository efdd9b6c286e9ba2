//! An event that a parser of some format has read: well-formed, not yet attributed, stamped or deduplicated.

use liftgate_domain::Timestamp;
use serde_json::{Map, Value};

use crate::Rejection;

/// What a parser made of one event of a request. A request is a list of these in the order sent.
#[derive(Clone, Debug, PartialEq)]
pub enum ParsedEvent {
    /// Well-formed.
    Ok(RawEvent),
    /// Refused; its neighbours are not.
    Bad(Rejection),
}

/// A well-formed event.
#[derive(Clone, Debug, PartialEq)]
pub struct RawEvent {
    /// The sender's id, 1 to 128 bytes; with the environment, the event's identity.
    pub id: String,
    /// When it happened, by the sender's clock.
    pub timestamp: Timestamp,
    /// The unit's type, such as `user`.
    pub unit_type: String,
    /// The unit's id.
    pub unit_id: String,
    /// Further units that the event concerns, each of another type.
    pub other_units: Vec<RawUnit>,
    /// When the sender sent it, by the sender's clock; what corrects `timestamp`.
    pub sent_at: Option<Timestamp>,
    /// What happened.
    pub body: RawBody,
}

/// A unit of an event.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RawUnit {
    /// Its type, such as `account`.
    pub unit_type: String,
    /// Its id.
    pub unit_id: String,
}

/// What happened to the unit.
#[derive(Clone, Debug, PartialEq)]
pub enum RawBody {
    /// It was served a variation.
    Exposure {
        /// The flag.
        flag: String,
        /// The variation that the sender says it served.
        variation: String,
        /// Further attributes.
        attributes: Option<Map<String, Value>>,
    },
    /// It did something.
    Metric {
        /// The event's name.
        event: String,
        /// Its value, finite.
        value: Option<f64>,
        /// Further properties.
        properties: Option<Map<String, Value>>,
    },
}
