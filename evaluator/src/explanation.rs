//! How a flag came to its answer: every step, for people and for programs. Values longer than 256 bytes are cut; a
//! segment is opened up where it comes first. Attributes of the unit are in it: the caller sent them.

mod display;

use serde::Serialize;
use serde_json::Value;

use crate::{Bucket, Evaluation, Op, Range, Share, Timestamp};

/// The steps of one evaluation, in their order, and its answer.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Explanation<'r, 'c> {
    /// The same answer as [`crate::Ruleset::evaluate_at`] gives.
    #[serde(flatten)]
    pub evaluation: Evaluation<'r, 'c>,
    /// When it was evaluated.
    pub now: Timestamp,
    /// Whether the flag is enabled in its environment; `None` when it is broken or not known.
    pub flag_enabled: Option<bool>,
    /// What other flags serve; all of them, while the flag is enabled.
    pub prerequisites: Vec<ExplainedPrerequisite<'r>>,
    /// The individual target that applied.
    pub target: Option<ExplainedTarget<'r, 'c>>,
    /// All rules, in order.
    pub rules: Vec<ExplainedRule<'r, 'c>>,
    /// What is served when no rule is; `None` when it was not reached.
    pub fallthrough: Option<ExplainedServe<'r, 'c>>,
}

/// What a flag that is needed serves.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct ExplainedPrerequisite<'r> {
    /// Its key.
    pub flag: &'r str,
    /// The variations that will do.
    pub needed: Vec<&'r str>,
    /// The variation it serves; `None` while it is disabled, which never will do.
    pub serves: Option<&'r str>,
    /// Whether that will do.
    pub met: bool,
}

/// A unit that gets a variation by its id.
#[derive(Copy, Clone, Debug, PartialEq, Eq, Serialize)]
pub struct ExplainedTarget<'r, 'c> {
    /// The id.
    pub unit_id: &'c str,
    /// The variation.
    pub variation: &'r str,
}

/// One rule.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct ExplainedRule<'r, 'c> {
    /// Its id.
    pub id: &'r str,
    /// Whether it was looked at: nothing before it answered.
    pub reached: bool,
    /// Whether the unit meets its condition.
    pub met: bool,
    /// Its condition; `None` when not reached.
    pub when: Option<ExplainedCondition<'r>>,
    /// What it serves to the unit; `None` when its condition is not met.
    pub serve: Option<ExplainedServe<'r, 'c>>,
}

/// A condition, all of whose parts are shown whether or not they decided.
#[derive(Clone, Debug, PartialEq, Serialize)]
#[serde(tag = "kind", rename_all = "snake_case")]
pub enum ExplainedCondition<'r> {
    /// Every part is needed.
    All(ExplainedParts<'r>),
    /// One part is enough.
    Any(ExplainedParts<'r>),
    /// No part may be met.
    None(ExplainedParts<'r>),
    /// The units of a segment.
    Segment(ExplainedSegment<'r>),
    /// A test of one attribute.
    Attribute(ExplainedPredicate<'r>),
    /// The rules of an imported segment, which are not opened up.
    Flagsmith {
        /// Whether the unit meets them.
        met: bool,
    },
}

impl ExplainedCondition<'_> {
    /// Whether the unit meets it.
    pub fn met(&self) -> bool {
        match self {
            Self::All(group) | Self::Any(group) | Self::None(group) => group.met,
            Self::Segment(segment) => segment.met,
            Self::Attribute(predicate) => predicate.met,
            Self::Flagsmith { met } => *met,
        }
    }
}

/// Conditions that belong together.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct ExplainedParts<'r> {
    /// Whether the whole is met.
    pub met: bool,
    /// Each of them.
    pub parts: Vec<ExplainedCondition<'r>>,
}

/// Whether a unit is in a segment, and why.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct ExplainedSegment<'r> {
    /// Whether it is in.
    pub met: bool,
    /// The key of the segment.
    pub segment: &'r str,
    /// What decided.
    pub by: SegmentBy,
    /// The segment's condition, when that decided and the segment was not opened up before.
    pub when: Option<Box<ExplainedCondition<'r>>>,
}

/// What decides whether a unit is in a segment.
#[derive(Copy, Clone, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum SegmentBy {
    /// It is on the list of those that are in.
    Included,
    /// It is on the list of those that are out.
    Excluded,
    /// It is on no list: the condition decides.
    Condition,
}

/// A test of one attribute.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct ExplainedPredicate<'r> {
    /// Whether it is met.
    pub met: bool,
    /// The attribute.
    pub attribute: &'r str,
    /// How it is compared.
    pub op: Op,
    /// With what.
    pub value: &'r Value,
    /// Whether upper and lower case are the same.
    pub ignore_case: bool,
    /// What the context has; `None` when it is absent or null.
    pub had: Option<Value>,
    /// Where a `percentage` found the attribute.
    pub bucket: Option<Bucket>,
}

/// What a rule serves to the unit.
#[derive(Clone, Debug, PartialEq, Serialize)]
#[serde(tag = "kind", rename_all = "snake_case")]
pub enum ExplainedServe<'r, 'c> {
    /// The same variation for everybody.
    Variation {
        /// Its key.
        variation: &'r str,
    },
    /// A variation by bucket.
    Split(ExplainedSplit<'r, 'c>),
    /// Treatment up to a share, control above it.
    Ramp(ExplainedRamp<'r, 'c>),
}

impl<'r> ExplainedServe<'r, '_> {
    /// The variation; `None` when there is no unit, or it is outside the split's share, and the next rule is asked.
    pub fn variation(&self) -> Option<&'r str> {
        match self {
            Self::Variation { variation } => Some(variation),
            Self::Split(split) => split.variation,
            Self::Ramp(ramp) => ramp.variation,
        }
    }
}

/// A unit's place in a split.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct ExplainedSplit<'r, 'c> {
    /// The type of the unit.
    pub unit_type: &'r str,
    /// Its id; `None` when the context has none, and the rule is passed over.
    pub unit_id: Option<&'c str>,
    /// How many are inside.
    pub share: Share,
    /// Where the unit stands among them; inside when below the share.
    pub share_bucket: Option<Bucket>,
    /// Where the unit stands on the ranges, when inside.
    pub split_bucket: Option<Bucket>,
    /// The range it met.
    pub range: Option<Range>,
    /// The variation of that range.
    pub variation: Option<&'r str>,
}

/// A unit's place in a ramp.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct ExplainedRamp<'r, 'c> {
    /// The type of the unit.
    pub unit_type: &'r str,
    /// Its id; `None` when the context has none, and the rule is passed over.
    pub unit_id: Option<&'c str>,
    /// How many get the treatment.
    pub share: Share,
    /// Where the unit stands: treated when below the share.
    pub bucket: Option<Bucket>,
    /// The arm that is analysed; `None`: served, but not analysed.
    pub arm: Option<&'static str>,
    /// What it is served.
    pub variation: Option<&'r str>,
}
