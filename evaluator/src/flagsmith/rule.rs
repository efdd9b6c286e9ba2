//! The rules of a segment: conditions under ALL, ANY or NONE, nested.

use serde::de::Error as _;
use serde::{Deserialize, Deserializer, Serialize};
use serde_json::Value;

use super::{value, wire};

/// Matches when its conditions do *and* its sub-rules do, each by the quantifier; an empty part does.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct SegmentRule {
    /// The quantifier.
    #[serde(rename = "type")]
    pub rule_type: RuleType,
    /// Tests of one value each.
    #[serde(default, deserialize_with = "wire::or_default")]
    pub conditions: Vec<SegmentCondition>,
    /// Rules within.
    #[serde(default, deserialize_with = "wire::or_default")]
    pub rules: Vec<SegmentRule>,
}

/// How many must match.
#[derive(Copy, Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "UPPERCASE")]
pub enum RuleType {
    /// Every one.
    All,
    /// At least one.
    Any,
    /// Not one.
    None,
}

/// A test of one value of the context.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct SegmentCondition {
    /// A trait, or a path beginning with `$.` into the context.
    #[serde(alias = "property_", default, deserialize_with = "wire::or_default")]
    pub property: String,
    /// How it is compared.
    pub operator: Operator,
    /// What it is compared with.
    #[serde(default)]
    pub value: ConditionValue,
}

/// How a value is compared. The comparand is read as the type that the value has.
#[derive(Copy, Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "SCREAMING_SNAKE_CASE")]
pub enum Operator {
    /// Same.
    Equal,
    /// Not the same, and comparable.
    NotEqual,
    /// Greater.
    GreaterThan,
    /// Greater or the same.
    GreaterThanInclusive,
    /// Less.
    LessThan,
    /// Less or the same.
    LessThanInclusive,
    /// Text that contains the comparand.
    Contains,
    /// Text that does not.
    NotContains,
    /// Text whose beginning matches the regular expression. Linear in time, so without look-around and back-references:
    /// an expression that has them matches nothing.
    Regex,
    /// Stands at or below the percentage on the segment's own line.
    PercentageSplit,
    /// `divisor|remainder`, with the sign of the divisor.
    Modulo,
    /// There is one.
    IsSet,
    /// There is none.
    IsNotSet,
    /// One of a list: a JSON array, or text separated by commas.
    In,
}

/// What a condition compares with.
#[derive(Clone, Debug, Default, PartialEq, Serialize)]
#[serde(untagged)]
pub enum ConditionValue {
    /// Nothing: older documents have it beside `IS_SET`.
    #[default]
    Null,
    /// The usual form.
    Text(String),
    /// Only for `IN`; numbers and truth values of a list are kept as the text that Python has for them.
    List(Vec<String>),
}

impl ConditionValue {
    pub(crate) fn as_text(&self) -> Option<&str> {
        match self {
            Self::Text(text) => Some(text),
            Self::Null | Self::List(_) => None,
        }
    }
}

impl<'de> Deserialize<'de> for ConditionValue {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        match Value::deserialize(deserializer)? {
            Value::Null => Ok(Self::Null),
            Value::String(text) => Ok(Self::Text(text)),
            Value::Array(items) => Ok(Self::List(items.iter().map(value::python_text).collect())),
            _ => Err(D::Error::custom("expected text or a list of texts")),
        }
    }
}
