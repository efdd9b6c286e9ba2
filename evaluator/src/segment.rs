//! A named group of units that rules can refer to: a condition, and lists of units that are in or out by name.

use serde::{Deserialize, Serialize};

use crate::{Condition, Key};

/// A reusable group of units.
///
/// Order: a unit (id of the unit type `user`) on the `excluded` list is out; one on the `included` list is in; the others are in when they
/// meet `when`. A segment without `when` has the members of its list and nobody else.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Segment {
    /// What conditions call it.
    pub key: Key,
    /// What people read.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub name: Option<String>,
    /// Whom it has beside its lists; nobody when absent.
    #[serde(default = "Condition::never", skip_serializing_if = "Condition::is_never")]
    pub when: Condition,
    /// Ids of units that are in whatever `when` says.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub included: Vec<String>,
    /// Ids of units that are out whatever `when` says.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub excluded: Vec<String>,
}
