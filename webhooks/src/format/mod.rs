//! The body that each target understands. Pure: an event in, bytes out. Names inside an event are data: they may be
//! long, hostile or in any script, and never become markup or mentions.

mod facts;
mod plain_text;
mod sentence;
mod slack;
mod standard;

pub use slack::slack;
pub use standard::{BODY_BYTES_MAX, standard};
