//! What is known when flags are evaluated, in the form of Flagsmith's evaluation context. Fields that this engine does
//! not know are ignored: theirs adds some from time to time.

use serde::{Deserialize, Serialize};
use serde_json::{Map, Number, Value};

use super::{Entries, SegmentRule, wire};

/// An environment with its features and segments, and whom to evaluate them for.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct EvaluationContext {
    /// Where.
    pub environment: EnvironmentContext,
    /// For whom; without an identity nobody is split.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub identity: Option<IdentityContext>,
    /// Segments by any key; earlier ones win ties of priority.
    #[serde(default, deserialize_with = "wire::or_default")]
    pub segments: Entries<SegmentContext>,
    /// Features by name.
    #[serde(default, deserialize_with = "wire::or_default")]
    pub features: Entries<FeatureContext>,
}

/// An environment.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct EnvironmentContext {
    /// Unique; part of the identity's key when that is not given.
    pub key: String,
    /// For people, and `$.environment.name`.
    pub name: String,
}

/// Whom flags are evaluated for.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct IdentityContext {
    /// What the caller calls it.
    pub identifier: String,
    /// What is hashed; `{environment key}_{identifier}` when absent or empty.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub key: Option<String>,
    /// What is known about it.
    #[serde(default, deserialize_with = "wire::or_default")]
    pub traits: Entries<TraitValue>,
}

/// The value of a trait: text, a number, a truth value or null.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(transparent)]
pub struct TraitValue(#[serde(deserialize_with = "wire::scalar")] pub Value);

/// A feature, or what a segment makes of it.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct FeatureContext {
    /// What is hashed when a variant is chosen.
    pub key: String,
    /// Names the flag; an override applies to the feature of its name.
    pub name: String,
    /// Whether it is on.
    pub enabled: bool,
    /// The value, or that of the control group when there are variants.
    #[serde(deserialize_with = "wire::scalar")]
    pub value: Value,
    /// Other values, each for a part of the identities.
    #[serde(default, deserialize_with = "wire::or_default", skip_serializing_if = "Vec::is_empty")]
    pub variants: Vec<FeatureValue>,
    /// Of overrides: the lowest wins, and any number wins over none.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub priority: Option<Number>,
    /// Handed on to the result.
    #[serde(default, deserialize_with = "wire::or_default", skip_serializing_if = "Map::is_empty")]
    pub metadata: Map<String, Value>,
}

/// One of several values of a feature.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct FeatureValue {
    /// Named in the result.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub key: Option<String>,
    /// What is served.
    #[serde(deserialize_with = "wire::scalar")]
    pub value: Value,
    /// Percent of the identities.
    pub weight: Number,
    /// Its place on the line from 0 to 100: lower numbers come first.
    pub priority: Number,
}

/// A named group of contexts, and what it changes.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct SegmentContext {
    /// What percentage splits hash.
    pub key: String,
    /// Named in results and reasons.
    pub name: String,
    /// All of them must match; without rules nobody is in.
    #[serde(deserialize_with = "wire::or_default")]
    pub rules: Vec<SegmentRule>,
    /// Features as they are for its members.
    #[serde(default, deserialize_with = "wire::or_default", skip_serializing_if = "Vec::is_empty")]
    pub overrides: Vec<FeatureContext>,
    /// Handed on to the result.
    #[serde(default, deserialize_with = "wire::or_default", skip_serializing_if = "Map::is_empty")]
    pub metadata: Map<String, Value>,
}
