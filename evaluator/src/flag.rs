//! A flag as people write it: its kind and its variations. What it serves where is [`crate::FlagState`].

use serde::{Deserialize, Serialize};
use serde_json::Value;

use crate::{Dialect, Key};

/// The variation of a boolean flag that is true, when the flag does not name its own.
pub const ON: &str = "on";
/// The variation of a boolean flag that is false, when the flag does not name its own.
pub const OFF: &str = "off";

/// What the values of a flag are.
#[derive(Copy, Clone, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum FlagKind {
    /// `true` or `false`.
    Boolean,
    /// Text.
    String,
    /// A JSON number.
    Number,
    /// Any JSON value.
    Json,
}

impl FlagKind {
    /// The word on the wire.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Boolean => "boolean",
            Self::String => "string",
            Self::Number => "number",
            Self::Json => "json",
        }
    }

    /// Whether a variation of a flag of this kind may have `value`.
    pub fn accepts(self, value: &Value) -> bool {
        match self {
            Self::Boolean => value.is_boolean(),
            Self::String => value.is_string(),
            Self::Number => value.is_number(),
            Self::Json => true,
        }
    }
}

impl std::fmt::Display for FlagKind {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.pad(self.as_str())
    }
}

/// One of the things a flag can answer.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Variation {
    /// What rules, ranges and results call it; unique in its flag.
    pub key: String,
    /// What the caller gets; of the flag's kind.
    pub value: Value,
    /// Protocols that tell a feature's state beside its value (Flagsmith's) answer this; `true` when absent.
    #[serde(default = "enabled", skip_serializing_if = "is_enabled")]
    pub enabled: bool,
}

fn enabled() -> bool {
    true
}

fn is_enabled(enabled: &bool) -> bool {
    *enabled
}

/// A flag, the same in every environment.
///
/// On the wire a boolean flag may leave out `variations` (then `on: true, off: false`) and `off_variation`
/// (then `off`). [`crate::validate`] finds what is wrong with the rest.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(from = "FlagWire")]
pub struct Flag {
    /// What code asks for.
    pub key: Key,
    /// What people read.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub name: Option<String>,
    /// Why the flag exists.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub description: Option<String>,
    /// What its values are.
    pub kind: FlagKind,
    /// How its units find their buckets; never changed once they have.
    #[serde(skip_serializing_if = "Dialect::is_native")]
    pub dialect: Dialect,
    /// What it can answer.
    pub variations: Vec<Variation>,
    /// The key of the variation served while the flag is disabled, and when nothing else is.
    pub off_variation: String,
    /// Free words to find it by.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub tags: Vec<String>,
    /// Who answers for it.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub owner: Option<String>,
}

impl Flag {
    /// A boolean flag with the variations `on` and `off`, served `off` while disabled.
    pub fn boolean(key: Key) -> Self {
        Self {
            key,
            name: None,
            description: None,
            kind: FlagKind::Boolean,
            dialect: Dialect::Native,
            variations: boolean_variations(),
            off_variation: OFF.to_owned(),
            tags: Vec::new(),
            owner: None,
        }
    }

    /// The variation with this key.
    pub fn variation(&self, key: &str) -> Option<&Variation> {
        self.variations.iter().find(|variation| variation.key == key)
    }
}

fn boolean_variations() -> Vec<Variation> {
    [(ON, true), (OFF, false)]
        .map(|(key, value)| Variation { key: key.to_owned(), value: Value::Bool(value), enabled: true })
        .to_vec()
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct FlagWire {
    key: Key,
    #[serde(default)]
    name: Option<String>,
    #[serde(default)]
    description: Option<String>,
    kind: FlagKind,
    #[serde(default)]
    dialect: Dialect,
    #[serde(default)]
    variations: Option<Vec<Variation>>,
    #[serde(default)]
    off_variation: Option<String>,
    #[serde(default)]
    tags: Vec<String>,
    #[serde(default)]
    owner: Option<String>,
}

impl From<FlagWire> for Flag {
    fn from(wire: FlagWire) -> Self {
        // Another kind has no default: it stays empty and validation asks for it, beside every other problem.
        let is_boolean = wire.kind == FlagKind::Boolean;
        let (variations, off_variation) =
            if is_boolean { (boolean_variations(), OFF.to_owned()) } else { Default::default() };
        Self {
            key: wire.key,
            name: wire.name,
            description: wire.description,
            kind: wire.kind,
            dialect: wire.dialect,
            variations: wire.variations.unwrap_or(variations),
            off_variation: wire.off_variation.unwrap_or(off_variation),
            tags: wire.tags,
            owner: wire.owner,
        }
    }
}
