//! What a guardrail promises before the first unit is seen. Changing any of it starts a new attempt.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::{Direction, Margin, Outcome};

/// The frozen parameters of one guardrail.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct GuardrailPlan {
    /// What one unit's value is.
    pub outcome: Outcome,
    /// The direction that harms.
    pub harm: Direction,
    /// How far the metric may move that way; at least 0, and below 1 when relative and harm is a decrease.
    pub margin: Margin,
    /// The effect worth catching fast: of the margin's kind and beyond it.
    #[serde(default)]
    pub detect: Option<Margin>,
    /// Probability of a false "harm" over all looks, already this guardrail's part of the total.
    pub alpha: f64,
    /// Probability of a false "safe" over all looks.
    pub alpha_safe: f64,
    /// Planned stages with analysed arms, at least 1.
    pub stages: u32,
}

/// Why a plan cannot be used.
#[derive(Clone, Copy, Debug, PartialEq, thiserror::Error)]
pub enum PlanError {
    /// An error probability must lie between 0 and 1, both excluded.
    #[error("error probability `{0}` is not between 0 and 1")]
    Alpha(f64),
    /// A margin must be finite and not negative.
    #[error("margin `{0}` is not a finite number of 0 or more")]
    Margin(f64),
    /// A metric cannot fall by its whole size or more.
    #[error("a relative decrease of `{0}` leaves nothing of the metric")]
    WholeDecrease(f64),
    /// Margin and detect must be both relative or both absolute.
    #[error("`margin` and `detect` must be both relative or both absolute")]
    MixedKinds,
    /// The effect to detect must lie beyond the margin.
    #[error("detect `{detect}` does not lie beyond margin `{margin}`")]
    DetectWithinMargin {
        /// The effect to detect.
        detect: f64,
        /// The margin.
        margin: f64,
    },
    /// A rollout without a stage is never analysed.
    #[error("at least one stage is needed")]
    NoStages,
}

impl GuardrailPlan {
    /// Whether the plan can be used.
    ///
    /// # Errors
    /// The first thing that is wrong with it.
    pub fn check(&self) -> Result<(), PlanError> {
        for alpha in [self.alpha, self.alpha_safe] {
            // 1/alpha must be finite as well.
            if !(f64::MIN_POSITIVE..1.0).contains(&alpha) {
                return Err(PlanError::Alpha(alpha));
            }
        }
        for margin in [Some(self.margin), self.detect].into_iter().flatten() {
            let size = margin.size();
            if !size.is_finite() || size < 0.0 {
                return Err(PlanError::Margin(size));
            }
            if matches!(margin, Margin::Relative(_)) && self.harm == Direction::Decrease && size >= 1.0 {
                return Err(PlanError::WholeDecrease(size));
            }
        }
        let Some(detect) = self.detect else {
            return self.check_stages();
        };
        if std::mem::discriminant(&detect) != std::mem::discriminant(&self.margin) {
            return Err(PlanError::MixedKinds);
        }
        if detect.size() <= self.margin.size() {
            return Err(PlanError::DetectWithinMargin { detect: detect.size(), margin: self.margin.size() });
        }
        self.check_stages()
    }

    fn check_stages(&self) -> Result<(), PlanError> {
        if self.stages == 0 { Err(PlanError::NoStages) } else { Ok(()) }
    }
}
