//! A test of one attribute, as it is written: attribute, operator, comparand.

use serde::{Deserialize, Serialize};
use serde_json::Value;

/// A test of one attribute.
///
/// An attribute that is absent or null, or of another type than the comparand, meets no operator but `not_exists`,
/// the `not_` form of an operator, and `has_none`: those are exact complements (`not_in` is true whenever `in` is not).
/// Pair them with `exists` to leave out units that do not say.
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
    /// Text is compared without regard to upper and lower case; only for operators that compare text.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub ignore_case: bool,
    /// Decides who is in by `percentage`, which needs one; the other operators take none.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub salt: Option<String>,
}

/// How an attribute is compared. Nothing is converted: `"5"` is text and `5` is a number, while `5` and `5.0` are equal.
///
/// Times are RFC 3339 text, or a date alone (`2026-01-31`), which is its first moment in UTC.
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
    /// A list that has the comparand, or any of a list, as an element. Text is no list.
    HasAny,
    /// A list that has the comparand, or every one of a list (at most 64), as an element. Text is no list.
    HasAll,
    /// Complement of `has_any`.
    HasNone,
    /// Text that begins with the comparand, or with any of a list.
    StartsWith,
    /// Text that ends with the comparand, or with any of a list.
    EndsWith,
    /// Text in which the regular expression (syntax of the `regex` crate, not anchored) is found. Takes linear time.
    Matches,
    /// Greater; numbers, or times.
    Gt,
    /// Greater or equal; numbers, or times.
    Gte,
    /// Less; numbers, or times.
    Lt,
    /// Less or equal; numbers, or times.
    Lte,
    /// More days than this number have passed since the attribute, a time, or a number of milliseconds since the Unix
    /// epoch. Days have 24 hours and fractions; of a time yet to come, fewer than none have. The flag depends on time.
    DaysSinceGt,
    /// At least as many days have passed, as for `days_since_gt`.
    DaysSinceGte,
    /// Fewer days have passed, as for `days_since_gt`.
    DaysSinceLt,
    /// At most as many days have passed, as for `days_since_gt`.
    DaysSinceLte,
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
    /// Text that is an IP address in a network (`10.0.0.0/8`, `2001:db8::/32`, or one address), or in any of a list.
    /// `::ffff:10.0.0.1` is the IPv4 address `10.0.0.1`; an IPv6 network has no IPv4 addresses.
    InCidr,
    /// Complement of `in_cidr`.
    NotInCidr,
    /// Text, not empty, whose bucket is inside a share such as `25%`. The same texts at every time and on every node, more
    /// of them as the share grows; who is in depends on `salt` alone, and on no ramp or split of the same salt.
    Percentage,
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
            Self::HasAny => "has_any",
            Self::HasAll => "has_all",
            Self::HasNone => "has_none",
            Self::StartsWith => "starts_with",
            Self::EndsWith => "ends_with",
            Self::Matches => "matches",
            Self::Gt => "gt",
            Self::Gte => "gte",
            Self::Lt => "lt",
            Self::Lte => "lte",
            Self::DaysSinceGt => "days_since_gt",
            Self::DaysSinceGte => "days_since_gte",
            Self::DaysSinceLt => "days_since_lt",
            Self::DaysSinceLte => "days_since_lte",
            Self::Exists => "exists",
            Self::NotExists => "not_exists",
            Self::SemverEq => "semver_eq",
            Self::SemverGt => "semver_gt",
            Self::SemverGte => "semver_gte",
            Self::SemverLt => "semver_lt",
            Self::SemverLte => "semver_lte",
            Self::InCidr => "in_cidr",
            Self::NotInCidr => "not_in_cidr",
            Self::Percentage => "percentage",
        }
    }

    /// Whether it is the exact complement of another operator.
    pub const fn is_complement(self) -> bool {
        matches!(
            self,
            Self::NotEquals | Self::NotIn | Self::NotContains | Self::HasNone | Self::NotExists | Self::NotInCidr
        )
    }

    /// Whether it compares text as such, so that it can ignore case.
    pub const fn compares_text(self) -> bool {
        let is_equality = matches!(
            self,
            Self::Equals | Self::NotEquals | Self::In | Self::NotIn | Self::HasAny | Self::HasAll | Self::HasNone
        );
        is_equality
            || matches!(self, Self::Contains | Self::NotContains | Self::StartsWith | Self::EndsWith | Self::Matches)
    }
}

impl std::fmt::Display for Op {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.pad(self.as_str())
    }
}
