//! Rates of events over an exposure (errors an hour), each treatment against the control, exactly.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::FieldError;
use super::arm::f64_or_u64;
use super::metric::increase;
use crate::rate::{Rate, RateError, RateRatio, TwoSided, compare_rates};
use crate::{ComparisonVerdict, Direction, Estimate};

/// Arms of one request.
const ARMS_MAX: usize = 1_000;

/// Rates to compare, as they are written.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct RatesRequest {
    /// A label, repeated in the answer.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub name: Option<String>,
    /// Which way is better.
    #[serde(default = "increase")]
    pub direction: Direction,
    /// The arm that the others are compared with; the first one when absent.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub control: Option<String>,
    /// The arms, two or more.
    pub arms: Vec<RateArm>,
    /// Two-sided error.
    #[serde(default = "five_percent")]
    pub alpha: f64,
    /// What makes an outcome extreme on both sides.
    #[serde(default)]
    pub method: TwoSided,
}

fn five_percent() -> f64 {
    0.05
}

/// Events of an arm and what they are counted over.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct RateArm {
    /// The arm's name.
    pub arm: String,
    /// How many events.
    #[serde(deserialize_with = "f64_or_u64")]
    pub events: u64,
    /// Time, units or any other measure, the same for all arms; above 0.
    pub exposure: f64,
}

/// What the rates say.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct RatesAnswer {
    /// The arm that the others were compared with.
    pub control: String,
    /// Two-sided error.
    pub alpha: f64,
    /// Each other arm.
    pub comparisons: Vec<RateArmComparison>,
}

/// A treatment's rate against the control's.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct RateArmComparison {
    /// The treatment.
    pub arm: String,
    /// Which two-sided test.
    pub method: TwoSided,
    /// Two-sided; absent without any event.
    pub p_value: Option<f64>,
    /// Ratio of the rates, treatment to control.
    pub ratio: Option<RateRatio>,
    /// The same as a lift, when it has both ends.
    pub relative: Option<Estimate>,
    /// What it says.
    pub verdict: ComparisonVerdict,
    /// Why nothing can be said, when undetermined.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub reason: Option<String>,
}

impl RatesRequest {
    /// Compares every arm with the control.
    ///
    /// # Errors
    /// The field that cannot be used.
    pub fn analyze(&self) -> Result<RatesAnswer, FieldError> {
        if !(2..=ARMS_MAX).contains(&self.arms.len()) {
            return Err(FieldError::new("arms", format!("2 to {ARMS_MAX} arms are needed")));
        }
        for (index, arm) in self.arms.iter().enumerate() {
            if self.arms[..index].iter().any(|other| other.arm == arm.arm) {
                return Err(FieldError::new(format!("arms[{index}].arm"), format!("`{}` is there twice", arm.arm)));
            }
            if !(arm.exposure.is_finite() && arm.exposure > 0.0) {
                return Err(FieldError::new(format!("arms[{index}].exposure"), "must be a finite number above 0"));
            }
        }
        let control = match &self.control {
            None => 0,
            Some(name) => self
                .arms
                .iter()
                .position(|arm| arm.arm == *name)
                .ok_or_else(|| FieldError::new("control", format!("`{name}` is none of the arms")))?,
        };
        let mut comparisons = Vec::with_capacity(self.arms.len() - 1);
        for (index, arm) in self.arms.iter().enumerate().filter(|(index, _)| *index != control) {
            comparisons.push(self.compare(&self.arms[control], arm, index)?);
        }
        Ok(RatesAnswer { control: self.arms[control].arm.clone(), alpha: self.alpha, comparisons })
    }

    fn compare(&self, control: &RateArm, arm: &RateArm, index: usize) -> Result<RateArmComparison, FieldError> {
        let rate = |arm: &RateArm| Rate { events: arm.events, exposure: arm.exposure };
        let mut answer = RateArmComparison {
            arm: arm.arm.clone(),
            method: self.method,
            p_value: None,
            ratio: None,
            relative: None,
            verdict: ComparisonVerdict::Undetermined,
            reason: None,
        };
        let found = match compare_rates(rate(control), rate(arm), self.method, self.alpha) {
            Ok(found) => found,
            Err(error @ RateError::NoEvents) => {
                answer.reason = Some(error.to_string());
                return Ok(answer);
            }
            Err(error @ RateError::Alpha(_)) => return Err(FieldError::new("alpha", error.to_string())),
            Err(error) => return Err(FieldError::new(format!("arms[{index}]"), error.to_string())),
        };
        answer.p_value = Some(found.p_value);
        answer.ratio = Some(found.ratio);
        answer.relative = found.ratio.value.zip(found.ratio.upper).map(|(value, upper)| Estimate {
            value: value - 1.0,
            lower: found.ratio.lower - 1.0,
            upper: upper - 1.0,
            se: None,
        });
        // Without control events the treatment's rate can only be higher.
        let is_higher = found.ratio.value.is_none_or(|value| value > 1.0);
        answer.verdict = match (found.p_value < self.alpha, is_higher == (self.direction == Direction::Increase)) {
            (false, _) => ComparisonVerdict::Inconclusive,
            (true, true) => ComparisonVerdict::Better,
            (true, false) => ComparisonVerdict::Worse,
        };
        Ok(answer)
    }
}
