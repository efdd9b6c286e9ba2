//! Outbox to endpoints: claim what is due, sign it, send it, and try again until it arrives.
//!
//! | module | what it is |
//! |---|---|
//! | [`signature`] | Standard Webhooks signatures and secrets |
//! | [`schedule`] | when to try again, and when to give up |
//! | [`guard`] | which addresses may be reached at all |
//! | [`format`] | the body of each target: Standard Webhooks, Slack |
//! | [`dispatcher`] | the loop: claims, lanes, answers |
//!
//! It knows the catalog only as a port, never changes what is told, and delivers at least once under a stable id: a
//! crash between an answer and its record sends the same id again.
//!
//! ```
//! use liftgate_webhooks::signature::{Secret, sign, verify};
//!
//! let secrets = [Secret::parse("whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw")?];
//! let header = sign(&secrets, "msg_1", 1_614_265_330, b"{}");
//! verify(&secrets, "msg_1", 1_614_265_330, 1_614_265_340, &header, b"{}")?;
//! # Ok::<(), liftgate_webhooks::signature::SignatureError>(())
//! ```

mod answer;
mod disable;
pub mod dispatcher;
mod error;
pub mod format;
pub mod guard;
mod lane;
mod most_specific;
pub mod schedule;
mod sender;
pub mod signature;

pub use dispatcher::{Counters, Dispatcher, DispatcherConfig, TickReport};
pub use error::Error;
