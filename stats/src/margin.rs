//! What counts as harm: a direction and a margin, and the boundary they draw between harmed and safe.
//! The contrast at the boundary is linear in the two means (no ratio is formed), so it exists for any baseline.
//!
//! sigma = +1 (harm: increase) or -1 (decrease). Relative margin: m_T - R0 m_C with R0 = 1 + sigma margin (1 - sigma margin
//! when the control mean is negative: a margin is a fraction of its size);
//! absolute margin D: m_T - m_C - sigma D. Variance of 0/1 data under the boundary, from the total of events:
//! relative p0 = x / (n_T R0 + n_C), q0 = R0 p0; absolute p0 = (x - n_T sigma D) / n, q0 = p0 + sigma D; clamped to [0, 1].

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// A direction in which a metric moves.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum Direction {
    /// Upwards.
    Increase,
    /// Downwards.
    Decrease,
}

impl Direction {
    /// +1 for an increase, -1 for a decrease.
    pub fn sign(self) -> f64 {
        match self {
            Self::Increase => 1.0,
            Self::Decrease => -1.0,
        }
    }

    /// The other direction.
    #[must_use]
    pub fn opposite(self) -> Self {
        match self {
            Self::Increase => Self::Decrease,
            Self::Decrease => Self::Increase,
        }
    }
}

/// How far a metric may move, as a fraction: `Relative(0.1)` is 10 % of control, `Absolute(0.002)` is 0.002
/// in the metric's own unit (0.2 percentage points of a proportion).
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum Margin {
    /// A fraction of the control mean.
    Relative(f64),
    /// A difference of means.
    Absolute(f64),
}

impl Margin {
    /// The number alone.
    pub fn size(self) -> f64 {
        match self {
            Self::Relative(size) | Self::Absolute(size) => size,
        }
    }

    /// The boundary this far from no effect in `direction`, for a control mean of this sign (1 or -1).
    pub(crate) fn boundary(self, direction: Direction, baseline_sign: f64) -> Boundary {
        match self {
            Self::Relative(size) => Boundary::Ratio(1.0 + baseline_sign * direction.sign() * size),
            Self::Absolute(size) => Boundary::Difference(direction.sign() * size),
        }
    }
}

/// What one unit's value is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum Outcome {
    /// 0 or 1.
    Binary,
    /// Any number.
    Mean,
}

/// The hypothesized effect: treatment is `Ratio` times control, or control plus `Difference`.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) enum Boundary {
    Ratio(f64),
    Difference(f64),
}

/// An event probability in each arm, or any other pair of numbers by arm.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) struct ByArm {
    pub(crate) treatment: f64,
    pub(crate) control: f64,
}

impl Boundary {
    /// Treatment minus what the boundary expects of it.
    pub(crate) fn contrast(self, means: ByArm) -> f64 {
        match self {
            Self::Ratio(ratio) => means.treatment - ratio * means.control,
            Self::Difference(difference) => means.treatment - means.control - difference,
        }
    }

    /// Variance of the contrast from the variances of the two means.
    pub(crate) fn variance(self, of_means: ByArm) -> f64 {
        match self {
            Self::Ratio(ratio) => of_means.treatment + ratio * ratio * of_means.control,
            Self::Difference(_) => of_means.treatment + of_means.control,
        }
    }

    /// Event probabilities on the boundary that give the observed total of events.
    pub(crate) fn probabilities(self, events: f64, units: ByArm) -> ByArm {
        match self {
            Self::Ratio(ratio) => {
                let control = (events / (units.treatment * ratio + units.control)).min(1.0);
                ByArm { treatment: (ratio * control).min(1.0), control }
            }
            Self::Difference(difference) => {
                let total = units.treatment + units.control;
                let control = ((events - units.treatment * difference) / total).clamp(0.0, 1.0);
                ByArm { treatment: (control + difference).clamp(0.0, 1.0), control }
            }
        }
    }
}
