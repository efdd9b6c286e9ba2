//! What a rule serves: one variation, a split by ranges, or a ramp of a treatment against a control.
//!
//! The wire form is a map with one entry (`{variation: on}`), written by hand so that it reads the same in JSON and
//! in YAML, where serde's own enums would want a `!tag`.

use serde::ser::SerializeMap;
use serde::{Deserialize, Serialize, Serializer};

use crate::run::RunRef;
use crate::{Error, Range, Share};

/// The unit type that splits and ramps are over when they name none.
pub const USER: &str = "user";

fn user() -> String {
    USER.to_owned()
}

fn full() -> Share {
    Share::FULL
}

/// What a matched unit gets.
#[derive(Clone, Debug, PartialEq, Deserialize)]
#[serde(try_from = "ServeWire")]
pub enum Serve {
    /// `{variation: on}`: this variation, for everybody.
    Variation(String),
    /// `{split: {..}}`: a variation by bucket.
    Split(Split),
    /// `{ramp: {..}}`: treatment up to a share, control above it.
    Ramp(Ramp),
}

/// A variation by the unit's bucket, behind an optional coverage gate.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Split {
    /// The type of the units that are split; `user` when absent.
    #[serde(default = "user")]
    pub unit: String,
    /// What decides the buckets. Stored with the split: renaming or cloning a flag moves nobody.
    pub salt: String,
    /// Coverage: units outside go on to the next rule. Its salt is independent of the ranges'.
    #[serde(default = "full")]
    pub share: Share,
    /// Who gets what; must tile the bucket line.
    pub ranges: Vec<Range>,
    /// The experiment that is running on it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub run: Option<RunRef>,
}

/// A treatment that is ramped up against a control. It answers every matched unit.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Ramp {
    /// The type of the units that are ramped; `user` when absent.
    #[serde(default = "user")]
    pub unit: String,
    /// What decides the buckets. Stored with the ramp: renaming or cloning a flag moves nobody.
    pub salt: String,
    /// The key of the variation that is ramped up.
    pub treatment: String,
    /// The key of the variation that the others keep.
    pub control: String,
    /// How many get the treatment.
    pub share: Share,
    /// The rollout that is running on it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub run: Option<RunRef>,
}

impl Serialize for Serve {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let mut map = serializer.serialize_map(Some(1))?;
        match self {
            Self::Variation(variation) => map.serialize_entry("variation", variation)?,
            Self::Split(split) => map.serialize_entry("split", split)?,
            Self::Ramp(ramp) => map.serialize_entry("ramp", ramp)?,
        }
        map.end()
    }
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct ServeWire {
    #[serde(default)]
    variation: Option<String>,
    #[serde(default)]
    split: Option<Split>,
    #[serde(default)]
    ramp: Option<Ramp>,
}

impl TryFrom<ServeWire> for Serve {
    type Error = Error;

    fn try_from(wire: ServeWire) -> Result<Self, Error> {
        match (wire.variation, wire.split, wire.ramp) {
            (Some(variation), None, None) => Ok(Self::Variation(variation)),
            (None, Some(split), None) => Ok(Self::Split(split)),
            (None, None, Some(ramp)) => Ok(Self::Ramp(ramp)),
            _ => Err(Error::Serve("it needs exactly one of `variation`, `split` and `ramp`".to_owned())),
        }
    }
}
