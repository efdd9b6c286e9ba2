//! Where a sequential test is sharpest, on the wire as a number of units or as `"auto"`.

use std::fmt;

use serde::de::{self, Visitor};
use serde::{Deserialize, Deserializer, Serialize, Serializer};

/// Units of both compared arms at which the test is sharpest.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum TunedAt {
    /// So many.
    Units(u64),
    /// The planned size itself.
    Auto,
}

const AUTO: &str = "auto";

impl Serialize for TunedAt {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        match self {
            Self::Units(units) => serializer.serialize_u64(*units),
            Self::Auto => serializer.serialize_str(AUTO),
        }
    }
}

impl<'de> Deserialize<'de> for TunedAt {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_any(TunedAtVisitor)
    }
}

struct TunedAtVisitor;

impl Visitor<'_> for TunedAtVisitor {
    type Value = TunedAt;

    fn expecting(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str("a whole number of units, or \"auto\"")
    }

    fn visit_u64<E: de::Error>(self, units: u64) -> Result<TunedAt, E> {
        Ok(TunedAt::Units(units))
    }

    fn visit_i64<E: de::Error>(self, units: i64) -> Result<TunedAt, E> {
        // YAML and TOML give every whole number as signed.
        u64::try_from(units).map(TunedAt::Units).map_err(|_| E::invalid_value(de::Unexpected::Signed(units), &self))
    }

    fn visit_str<E: de::Error>(self, text: &str) -> Result<TunedAt, E> {
        if text == AUTO { Ok(TunedAt::Auto) } else { Err(E::invalid_value(de::Unexpected::Str(text), &self)) }
    }
}

impl schemars::JsonSchema for TunedAt {
    fn schema_name() -> std::borrow::Cow<'static, str> {
        "TunedAt".into()
    }

    fn json_schema(_: &mut schemars::SchemaGenerator) -> schemars::Schema {
        schemars::json_schema!({
            "description": "Units of both arms at which the test is sharpest, or `auto` for the planned size.",
            "oneOf": [{"type": "integer", "minimum": 1}, {"const": AUTO}]
        })
    }
}
