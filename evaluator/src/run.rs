//! A run is one start of a rollout or experiment. Which arm a unit was in, at any time, is a pure function of the
//! unit, the salt and the run's stage history: nothing about units is ever stored to know it.

use serde::{Deserialize, Serialize};

use crate::evaluation::{CONTROL, TREATMENT};
use crate::{Bucket, Dialect, Key, Range, Share, Timestamp};

/// What a run is a run of.
#[derive(Copy, Clone, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum RunKind {
    /// A rollout that ramps a treatment.
    Rollout,
    /// An experiment on a split.
    Experiment,
}

/// The run that is going on in a rule, as evaluation reports it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct RunRef {
    /// Never reused in its organization.
    pub number: u64,
    /// What it is a run of.
    pub kind: RunKind,
    /// The key of the rollout or experiment.
    pub key: Key,
    /// The stage it is in.
    pub stage: u32,
}

/// A run with all its stages: enough to attribute any past exposure.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct RunHistory {
    /// Never reused in its organization.
    pub number: u64,
    /// What it is a run of.
    pub kind: RunKind,
    /// The key of the rollout or experiment.
    pub key: Key,
    /// The unit type.
    pub unit: String,
    /// The salt of its ramp or split.
    pub salt: String,
    /// The flag's, as it was at the start.
    #[serde(default, skip_serializing_if = "Dialect::is_native")]
    pub dialect: Dialect,
    /// How units get their arm.
    pub design: Design,
    /// The shares it has had, in the order in which they came.
    pub stages: Vec<StageEntry>,
    /// The first moment at which it no longer ran.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub ended_at: Option<Timestamp>,
}

/// How units get their arm.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case", deny_unknown_fields)]
pub enum Design {
    /// A ramp: the arms are [`TREATMENT`] and [`CONTROL`].
    Ramp {
        /// The key of the variation that is ramped up.
        treatment: String,
        /// The key of the variation that the others keep.
        control: String,
    },
    /// A split: the arms are the keys of the variations.
    Split {
        /// Who gets what.
        ranges: Vec<Range>,
    },
}

/// One stage of a run.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct StageEntry {
    /// The number of the stage in the policy. A stage may come again, after a rollback or a hold.
    pub stage: u32,
    /// The share of the treatment (ramp), or the coverage (split).
    pub share: Share,
    /// The first moment at which it applied.
    pub since: Timestamp,
}

/// What a unit was assigned at a moment in the past.
#[derive(Copy, Clone, Debug, PartialEq, Eq, Serialize)]
pub struct HistoricAssignment<'h> {
    /// The number of the run.
    pub run: u64,
    /// The stage it was in.
    pub stage: u32,
    /// The arm; `None` when the unit was served but is not analysed.
    pub arm: Option<&'h str>,
    /// The key of the variation it was served.
    pub variation: &'h str,
    /// The bucket that decided: the share bucket of a ramp, the split bucket of a split.
    pub bucket: Bucket,
}

impl RunHistory {
    /// The stage at `at`: the latest that had begun, the last of those that began together. `None` before the start
    /// and from the end on.
    pub fn stage_at(&self, at: Timestamp) -> Option<&StageEntry> {
        if self.ended_at.is_some_and(|end| at >= end) {
            return None;
        }
        self.stages.iter().filter(|entry| entry.since <= at).max_by_key(|entry| entry.since)
    }

    /// What the unit was assigned at `at`, supposing that it matched the rule and had no individual target: the same
    /// answer as evaluation gave then. `None` before the start, from the end on, and outside a split's coverage.
    pub fn assignment_at(&self, unit_id: &str, at: Timestamp) -> Option<HistoricAssignment<'_>> {
        let entry = self.stage_at(at)?;
        let (variation, arm, bucket) = match &self.design {
            Design::Ramp { treatment, control } => {
                let bucket = self.dialect.share_bucket(&self.salt, unit_id);
                let place = ramp_arm(bucket, entry.share);
                let variation = match place.side {
                    Side::Treatment => treatment,
                    Side::Control => control,
                };
                (variation.as_str(), place.arm(), bucket)
            }
            Design::Split { ranges } => {
                if !entry.share.contains(self.dialect.share_bucket(&self.salt, unit_id)) {
                    return None;
                }
                let bucket = self.dialect.split_bucket(&self.salt, unit_id);
                let range = ranges.iter().find(|range| range.contains(bucket))?;
                (range.variation.as_str(), Some(range.variation.as_str()), bucket)
            }
        };
        Some(HistoricAssignment { run: self.number, stage: entry.stage, arm, variation, bucket })
    }
}

/// The two sides of a ramp.
#[derive(Copy, Clone, Debug, PartialEq, Eq, Hash)]
pub enum Side {
    /// Is served the treatment.
    Treatment,
    /// Is served the control.
    Control,
}

/// Where a bucket stands in a ramp.
#[derive(Copy, Clone, Debug, PartialEq, Eq, Hash)]
pub struct RampArm {
    /// What is served.
    pub side: Side,
    /// Whether the unit belongs to the population that is compared.
    pub analysed: bool,
}

impl RampArm {
    /// The name of the arm, when analysed.
    pub const fn arm(self) -> Option<&'static str> {
        match (self.analysed, self.side) {
            (true, Side::Treatment) => Some(TREATMENT),
            (true, Side::Control) => Some(CONTROL),
            (false, _) => None,
        }
    }
}

/// The rule of every ramp. With share p and a = min(p, 1 - p): buckets below p are served the treatment, the others
/// the control; analysed are treated buckets below a and control buckets from 1 - a on.
///
/// So the analysed arms are equal at every share. Below one half both only grow, above it they shrink from the inner
/// ends, and nobody ever changes from one arm to the other. At 0 % and 100 % nobody is analysed.
pub const fn ramp_arm(bucket: Bucket, share: Share) -> RampArm {
    let rest = share.complement();
    if share.contains(bucket) {
        RampArm { side: Side::Treatment, analysed: rest.contains(bucket) }
    } else {
        // 1 - a is 1 - p below one half and p above it; a control bucket is past p in any case.
        RampArm { side: Side::Control, analysed: !rest.contains(bucket) }
    }
}
