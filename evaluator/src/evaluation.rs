//! The answer of an evaluation: value, variation, why, and which run it belongs to. Everything in it is borrowed from
//! the ruleset or the context; only errors allocate.

use std::borrow::Cow;
use std::fmt;

use serde::Serialize;
use serde_json::Value;

use crate::Bucket;
use crate::run::RunRef;

/// The arm of a ramp that is served the treatment.
pub const TREATMENT: &str = "treatment";
/// The arm of a ramp that is served the control.
pub const CONTROL: &str = "control";

/// What a unit gets from a flag, and why.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Evaluation<'r, 'c> {
    /// The key of the flag; owned only when there is no such flag.
    pub flag: Cow<'r, str>,
    /// The flag's revision; the ruleset's when there is no such flag.
    pub revision: u64,
    /// The value of the variation; `None` on error, when the caller's own default applies.
    pub value: Option<&'r Value>,
    /// The key of the variation; `None` on error.
    pub variation: Option<&'r str>,
    /// What protocols answer that tell a feature's state beside its value: the flag is enabled, its
    /// prerequisites are met, and the variation is enabled; that of a boolean flag is when it is true.
    pub enabled: bool,
    /// Why.
    pub reason: Reason,
    /// The id of the rule that served.
    pub rule: Option<&'r str>,
    /// The key of the first prerequisite that does not serve what it has to; the off variation is served then.
    pub prerequisite: Option<&'r str>,
    /// The unit's place in the run that goes on in that rule.
    pub assignment: Option<Assignment<'r, 'c>>,
    /// The unit type of the first split or ramp that was passed over because the context has no unit of that type.
    pub missing_unit: Option<&'r str>,
    /// What went wrong.
    pub error: Option<EvaluationError>,
}

/// Why a variation was served, in OpenFeature's words.
#[derive(Copy, Clone, Debug, PartialEq, Eq, Hash, Serialize)]
#[serde(rename_all = "SCREAMING_SNAKE_CASE")]
pub enum Reason {
    /// The flag serves everybody the same: it has no prerequisites, targets and rules.
    Static,
    /// No target and no rule applied, or a prerequisite does not serve what it has to.
    Default,
    /// An individual target, or a rule that serves one variation.
    TargetingMatch,
    /// A split or a ramp.
    Split,
    /// The flag is disabled.
    Disabled,
    /// There is nothing to serve; see the error.
    Error,
}

impl Reason {
    /// The word on the wire.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Static => "STATIC",
            Self::Default => "DEFAULT",
            Self::TargetingMatch => "TARGETING_MATCH",
            Self::Split => "SPLIT",
            Self::Disabled => "DISABLED",
            Self::Error => "ERROR",
        }
    }
}

impl fmt::Display for Reason {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(self.as_str())
    }
}

/// Why there is nothing to serve.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, thiserror::Error)]
#[serde(tag = "code", content = "detail", rename_all = "SCREAMING_SNAKE_CASE")]
#[non_exhaustive]
pub enum EvaluationError {
    /// The ruleset has no flag of that key.
    #[error("the flag is not known")]
    FlagNotFound,
    /// The flag cannot be used as it is written; the problems are named.
    #[error("the flag is broken: {0}")]
    BrokenFlag(String),
    /// The flag, or one it needs, has a condition on elapsed time, and the caller did not tell the time.
    #[error("the flag depends on time: tell when it is evaluated")]
    NeedsTime,
}

/// A unit's place in a run. Present when the rule that served has a run and the unit is inside it.
#[derive(Copy, Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Assignment<'r, 'c> {
    /// The run.
    pub run: &'r RunRef,
    /// [`TREATMENT`] or [`CONTROL`] of a ramp, the variation's key of a split; `None`: served, but not analysed.
    pub arm: Option<&'r str>,
    /// The key of the variation that was served.
    pub variation: &'r str,
    /// The bucket that decided: the share bucket of a ramp, the split bucket of a split.
    pub bucket: Bucket,
    /// The type of the unit.
    pub unit_type: &'r str,
    /// The id of the unit.
    pub unit_id: &'c str,
}
