//! An instant as clients write it: RFC 3339, or integer milliseconds since the epoch (not the microseconds of storage).

use std::fmt;

use liftgate_domain::Timestamp;
use serde::de::{self, Deserialize, Deserializer, Visitor};

/// What a reader expects, in words.
pub(crate) const EXPECTED_TIME: &str = "RFC 3339 text with an offset, or integer milliseconds since the epoch";

/// An instant on the wire.
#[derive(Copy, Clone)]
pub(crate) struct WireTime(pub(crate) Timestamp);

impl<'de> Deserialize<'de> for WireTime {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_any(WireTimeVisitor)
    }
}

struct WireTimeVisitor;

impl Visitor<'_> for WireTimeVisitor {
    type Value = WireTime;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(EXPECTED_TIME)
    }

    fn visit_str<E: de::Error>(self, text: &str) -> Result<WireTime, E> {
        text.parse().map(WireTime).map_err(E::custom)
    }

    // Times beyond the type stop at its ends, where they are out of range like any other implausible time.
    fn visit_i64<E: de::Error>(self, millis: i64) -> Result<WireTime, E> {
        Ok(WireTime(Timestamp(millis.saturating_mul(1_000))))
    }

    fn visit_u64<E: de::Error>(self, millis: u64) -> Result<WireTime, E> {
        self.visit_i64(i64::try_from(millis).unwrap_or(i64::MAX))
    }
}
