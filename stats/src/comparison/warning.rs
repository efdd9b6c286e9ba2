//! What a reader of a comparison must know beside the numbers.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// A warning; some of them are the reason why there is no number.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum Warning {
    /// A number in the input is not finite, or squares are negative.
    NotFinite,
    /// The values are said to be 0/1 and cannot be.
    NotCounts,
    /// An arm has no units, or a mean fewer than two.
    TooFewUnits,
    /// An arm is constant.
    Degenerate,
    /// The control mean cannot be told from zero, so no relative change is given.
    BaselineNearZero,
    /// `alpha` is not between 0 and 1.
    BadAlpha,
    /// The plan names a number that cannot be used (`tuned_at`, `margin` or `prior`).
    BadPlan,
    /// Counts are so low that the exact test was taken, or that an adjusted proportion is only approximate.
    LowCounts,
    /// Too little data yet for a statement that holds at every look.
    BurnIn,
    /// A ratio's denominator is zero, or a quantile's readings are not in order.
    NoRatio,
    /// The covariates do not vary, so nothing was adjusted.
    CovariateConstant,
    /// The arms differed before the experiment by more than chance: the covariate was moved, or assignment is broken.
    CovariateImbalance,
    /// A stratum has fewer than two units in an arm: nothing was stratified.
    StratumTooSmall,
    /// The input's sum of squares lost most of its digits: give mean and variance instead.
    CancelledSquares,
}

impl std::fmt::Display for Warning {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(match self {
            Self::NotFinite => "A number in the input is not finite.",
            Self::NotCounts => "The values are said to be 0 or 1, but these totals cannot come from such values.",
            Self::TooFewUnits => "An arm has too few units to be compared.",
            Self::Degenerate => "All units of an arm have the same value.",
            Self::BaselineNearZero => "The baseline is not distinguishable from zero; see the absolute difference.",
            Self::BadAlpha => "Alpha must lie between 0 and 1.",
            Self::BadPlan => "The plan's tuned_at, margin or prior cannot be used.",
            Self::LowCounts => "Counts are low: intervals are wide, and approximate where they are adjusted.",
            Self::BurnIn => "There is too little data yet for a statement that holds at every look.",
            Self::NoRatio => "The denominator is zero, or the quantile's readings are not in order.",
            Self::CovariateConstant => "The covariate does not vary, so nothing was adjusted.",
            Self::CovariateImbalance => {
                "The arms differed before the experiment by more than chance; do not trust the adjusted effect."
            }
            Self::StratumTooSmall => "A stratum has fewer than two units in an arm, so nothing was stratified.",
            Self::CancelledSquares => "The sum of squares lost most of its digits; give mean and variance instead.",
        })
    }
}
