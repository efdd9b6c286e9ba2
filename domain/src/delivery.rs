//! An event on its way to one endpoint. UNIQUE(event, endpoint).

use liftgate_evaluator::{Key, Timestamp};
use serde::{Deserialize, Serialize};

use crate::{Endpoint, Event, Scope};

/// Where a delivery stands.
#[derive(Copy, Clone, Debug, Eq, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum DeliveryStatus {
    /// To be sent when due.
    Pending,
    /// Answered with success.
    Delivered,
    /// Given up on; kept for replay.
    Dead,
}

impl DeliveryStatus {
    /// The stored name.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Pending => "pending",
            Self::Delivered => "delivered",
            Self::Dead => "dead",
        }
    }
}

/// A delivery with all that sending it needs.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Delivery {
    /// `msg_` + the event's id + `_` + the endpoint's number: the `webhook-id`, the same on every attempt.
    pub id: String,
    /// What is told.
    pub event: Event,
    /// The project that owns the endpoint.
    pub scope: Scope,
    /// The endpoint's key.
    pub endpoint_key: Key,
    /// The endpoint as it is now; its secrets are not for display.
    #[serde(skip)]
    pub endpoint: Option<Endpoint>,
    /// Where it stands.
    pub status: DeliveryStatus,
    /// Attempts made so far.
    pub attempts: u32,
    /// When it was first due: the instant of the change.
    pub created_at: Timestamp,
    /// When it is due next.
    pub due_at: Timestamp,
    /// Fencing counter: only the claim that holds the newest may write an outcome.
    pub fence: u64,
    /// Status code of the last answer, if there was one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub last_status: Option<u16>,
    /// The last error or answer, cut to 20 kB.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub last_response: Option<String>,
}

/// What an attempt came to.
#[derive(Clone, Debug, PartialEq)]
pub struct DeliveryOutcome {
    /// The new status.
    pub status: DeliveryStatus,
    /// When to try again, for [`DeliveryStatus::Pending`].
    pub due_at: Timestamp,
    /// Status code of the answer, if there was one.
    pub response_status: Option<u16>,
    /// The answer or the error, at most 20 kB.
    pub response: Option<String>,
}
