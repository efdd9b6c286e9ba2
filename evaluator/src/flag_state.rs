//! What a flag serves in one environment: prerequisites, individual targets, ordered rules, and the fallthrough.

use serde::{Deserialize, Serialize};

use crate::{Condition, Key, Prerequisite, Serve};

/// A flag in one environment. Order of evaluation: disabled, prerequisites, targets, rules in order, fallthrough.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct FlagState {
    /// A disabled flag serves its off variation to everybody.
    pub enabled: bool,
    /// Other flags that have to serve certain variations; otherwise the off variation is served.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub prerequisites: Vec<Prerequisite>,
    /// Units that get a variation whatever the rules say.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub targets: Vec<Target>,
    /// The first rule that matches serves.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub rules: Vec<Rule>,
    /// What is served when no rule is; the off variation when absent.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub fallthrough: Option<Serve>,
}

/// Units, by their ids of the unit type `user`, that always get one variation. They are never analysed.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Target {
    /// The key of the variation.
    pub variation: String,
    /// Unit ids.
    pub units: Vec<String>,
}

/// What is served to the units that match a condition.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Rule {
    /// Its name in explanations; unique in its flag and environment.
    pub id: Key,
    /// Why the rule exists.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub description: Option<String>,
    /// Whom it is for; everybody when absent.
    #[serde(default, skip_serializing_if = "Condition::is_always")]
    pub when: Condition,
    /// What they get.
    pub serve: Serve,
}
