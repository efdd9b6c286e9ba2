//! A test of one attribute, as it is written: attribute, operator, comparand.

use serde::{Deserialize, Serialize};
use serde_json::Value;

/// A test of one attribute.
///
/// An attribute that is absent or null, or of another type than the comparand, meets no operator but `not_exists`
/// and the `not_` form of an operator: those are exact complements (`not_in` is true whenever `in` is not). Pair them
/// with `exists` to leave out units that do not say.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Predicate {
    /// The name of the attribute; `targetingKey` is the unit's own key.
    pub attribute: String,
    /// How it is compared.
    pub op: Op,
    /// What it is compared with; absent for `exists` and `not_exists`.
    #[serde(default, skip_serializing_if = "Value::is_null")]
    pub value: Value,
}

/// How an attribute is compared. Nothing is converted: `"5"` is text and `5` is a number, while `5` and `5.0` are equal.
#[derive(Copy, Clone, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Op {
    /// Same text, number or truth value.
    Equals,
    /// Complement of `equals`.
    NotEquals,
    /// Equal to one of a list.
    In,
    /// Complement of `in`.
    NotIn,
    /// Text that contains the comparand, or a list that has it as an element. A list of comparands: any of them.
    Contains,
    /// Complement of `contains`.
    NotContains,
    /// Text that begins with the comparand, or with any of a list.
    StartsWith,
    /// Text that ends with the comparand, or with any of a list.
    EndsWith,
    /// Text in which the regular expression (syntax of the `regex` crate, not anchored) is found.
    Matches,
    /// Greater; numbers, or RFC 3339 times.
    Gt,
    /// Greater or equal; numbers, or RFC 3339 times.
    Gte,
    /// Less; numbers, or RFC 3339 times.
    Lt,
    /// Less or equal; numbers, or RFC 3339 times.
    Lte,
    /// Present and not null.
    Exists,
    /// Absent or null.
    NotExists,
    /// Same precedence by Semantic Versioning 2.0 (build metadata ignored). `v1.2.3`, `1.2` and `1` are read too.
    SemverEq,
    /// Higher version.
    SemverGt,
    /// Higher or same version.
    SemverGte,
    /// Lower version.
    SemverLt,
    /// Lower or same version.
    SemverLte,
}

impl Op {
    /// The word on the wire.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Equals => "equals",
            Self::NotEquals => "not_equals",
            Self::In => "in",
            Self::NotIn => "not_in",
            Self::Contains => "contains",
            Self::NotContains => "not_contains",
            Self::StartsWith => "starts_with",
            Self::EndsWith => "ends_with",
            Self::Matches => "matches",
            Self::Gt => "gt",
            Self::Gte => "gte",
            Self::Lt => "lt",
            Self::Lte => "lte",
            Self::Exists => "exists",
            Self::NotExists => "not_exists",
            Self::SemverEq => "semver_eq",
            Self::SemverGt => "semver_gt",
            Self::SemverGte => "semver_gte",
            Self::SemverLt => "semver_lt",
            Self::SemverLte => "semver_lte",
        }
    }
}

impl std::fmt::Display for Op {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.pad(self.as_str())
    }
}
