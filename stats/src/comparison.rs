//! A fixed-horizon comparison of two arms: the method that fits the data, both scales, one verdict.
//! Not for peeking: a decision taken at every look belongs to `guardrail`.
//!
//! Means: `welch` and `fieller`. 0/1 data: `proportion`, or `exact` when the smallest expected count is below 10 or
//! a cell is zero. p < alpha exactly when 0 is outside both intervals.

use serde::{Deserialize, Serialize};

use crate::exact::{MidP, mid_p, probabilities_at};
use crate::fieller::{ArmMean, baseline_uncertainty, lift};
use crate::proportion::{self, Count, Table};
use crate::welch::welch;
use crate::{Direction, Estimate, Moments, Outcome, special};

/// Below this smallest expected count the exact test is taken.
const EXPECTED_MIN: f64 = 10.0;
/// Above so many events a zero cell is left to the score test: its approximation is good there, and the exact
/// sums are long.
const EXACT_EVENTS_MAX: u64 = 1_000_000;

/// The test behind a comparison.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Method {
    /// Welch's t test.
    Welch,
    /// Score test of two proportions.
    Score,
    /// Fisher's conditional test, mid-p.
    MidP,
}

/// What a comparison says about the treatment.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum ComparisonVerdict {
    /// It moved the metric in the wanted direction.
    Better,
    /// It moved the metric against the wanted direction.
    Worse,
    /// No difference could be shown.
    Inconclusive,
    /// The data do not allow the comparison; the warnings say why.
    Undetermined,
}

/// What a reader must know beside the numbers.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
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
        })
    }
}

/// Treatment against control.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Comparison {
    /// The test behind `p_value` and the intervals.
    pub method: Method,
    /// Treatment mean minus control mean, when both exist, even when nothing can be said about its uncertainty.
    pub difference: Option<f64>,
    /// The difference with its interval of level 1 - alpha.
    pub absolute: Option<Estimate>,
    /// The difference as a fraction of the control mean (0.1 = +10 %), with its interval.
    pub relative: Option<Estimate>,
    /// Two-sided.
    pub p_value: Option<f64>,
    /// What it says.
    pub verdict: ComparisonVerdict,
    /// What to know beside it.
    pub warnings: Vec<Warning>,
    /// The control arm as given.
    pub control: Moments,
    /// The treatment arm as given.
    pub treatment: Moments,
}

/// Compares the arms at two-sided `alpha`; `better` is the wanted direction. Never panics: what cannot be
/// compared is `Undetermined` with a warning that says why.
pub fn compare(outcome: Outcome, better: Direction, control: &Moments, treatment: &Moments, alpha: f64) -> Comparison {
    let mut comparison = Comparison {
        method: match outcome {
            Outcome::Mean => Method::Welch,
            Outcome::Binary => Method::Score,
        },
        difference: None,
        absolute: None,
        relative: None,
        p_value: None,
        verdict: ComparisonVerdict::Undetermined,
        warnings: Vec::new(),
        control: *control,
        treatment: *treatment,
    };
    let result = check(control, treatment, alpha).and_then(|()| {
        comparison.difference = Some(treatment.mean - control.mean);
        match outcome {
            Outcome::Mean => comparison.fill_means(alpha),
            Outcome::Binary => comparison.fill_proportions(alpha),
        }
    });
    if let Err(warning) = result {
        comparison.warnings.push(warning);
    }
    if let (Some(p), Some(difference)) = (comparison.p_value, comparison.difference) {
        comparison.verdict = match p < alpha {
            true if difference * better.sign() > 0.0 => ComparisonVerdict::Better,
            true => ComparisonVerdict::Worse,
            false => ComparisonVerdict::Inconclusive,
        };
    }
    comparison
}

fn check(control: &Moments, treatment: &Moments, alpha: f64) -> Result<(), Warning> {
    if !(alpha > 0.0 && alpha < 1.0) {
        return Err(Warning::BadAlpha);
    }
    if !control.is_valid() || !treatment.is_valid() || !(treatment.mean - control.mean).is_finite() {
        return Err(Warning::NotFinite);
    }
    if control.n == 0 || treatment.n == 0 {
        return Err(Warning::TooFewUnits);
    }
    Ok(())
}

impl Comparison {
    fn fill_means(&mut self, alpha: f64) -> Result<(), Warning> {
        let (Some(variance_control), Some(variance_treatment)) = (self.control.variance(), self.treatment.variance())
        else {
            return Err(Warning::TooFewUnits);
        };
        if variance_control == 0.0 || variance_treatment == 0.0 {
            self.warnings.push(Warning::Degenerate);
        }
        if variance_control == 0.0 && variance_treatment == 0.0 {
            // Equal constants: no effect to see, and none excluded. Different ones: chance cannot be judged.
            if self.difference == Some(0.0) {
                self.verdict = ComparisonVerdict::Inconclusive;
            }
            return Ok(());
        }
        let welch = welch(&self.control, &self.treatment, alpha).ok_or(Warning::NotFinite)?;
        self.p_value = Some(welch.p_value);
        self.absolute = Some(welch.difference);
        let arm =
            |moments: &Moments, variance: f64| ArmMean { mean: moments.mean, variance: variance / moments.n as f64 };
        self.relative =
            lift(arm(&self.control, variance_control), arm(&self.treatment, variance_treatment), welch.critical);
        if self.relative.is_none() {
            self.warnings.push(Warning::BaselineNearZero);
        }
        Ok(())
    }

    fn fill_proportions(&mut self, alpha: f64) -> Result<(), Warning> {
        let count = |moments: &Moments| moments.events().and_then(|events| Count::new(events, moments.n));
        let (Some(treatment), Some(control)) = (count(&self.treatment), count(&self.control)) else {
            return Err(Warning::NotCounts);
        };
        let table = Table { treatment, control };
        let critical = -special::normal_quantile(0.5 * alpha);
        let share = control.share();
        let baseline = ArmMean { mean: share, variance: share * (1.0 - share) / control.units as f64 };
        let has_baseline = control.events > 0 && baseline_uncertainty(baseline, critical) < 1.0;
        let mut absolute = proportion::difference(table, alpha);
        let mut relative = if has_baseline { proportion::lift(table, alpha) } else { None };
        let is_summable = treatment.events.saturating_add(control.events) <= EXACT_EVENTS_MAX;
        if table.expected_min() < EXPECTED_MIN || (table.has_zero_cell() && is_summable) {
            let exact = mid_p(table, alpha);
            self.method = Method::MidP;
            self.p_value = Some(exact.p_value);
            absolute = reconcile(absolute, Scale::Difference, table, exact);
            relative = relative.map(|relative| reconcile(relative, Scale::Ratio, table, exact));
        } else {
            self.p_value = Some(proportion::score_p_value(table));
        }
        self.absolute = Some(absolute);
        self.relative = relative;
        if self.relative.is_none() {
            self.warnings.push(Warning::BaselineNearZero);
        }
        Ok(())
    }
}

#[derive(Clone, Copy)]
enum Scale {
    Difference,
    Ratio,
}

/// The wider of the score interval and the exact one; where they disagree about no effect, the exact test's own
/// bound stands, so that the interval and the p-value always say the same.
fn reconcile(score: Estimate, scale: Scale, table: Table, exact: MidP) -> Estimate {
    let at = |odds: f64| {
        let p = probabilities_at(table, odds);
        match scale {
            Scale::Difference => p.treatment - p.control,
            Scale::Ratio => p.treatment / p.control - 1.0,
        }
    };
    let (lower, upper) = (at(exact.odds_lower), at(exact.odds_upper));
    let excludes_below = exact.odds_lower > 1.0;
    let excludes_above = exact.odds_upper < 1.0;
    Estimate {
        lower: if (score.lower > 0.0) == excludes_below { score.lower.min(lower) } else { lower },
        upper: if (score.upper < 0.0) == excludes_above { score.upper.max(upper) } else { upper },
        ..score
    }
}
