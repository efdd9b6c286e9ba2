//! Whether the arms got the units they were promised, once or at every look, and in which group they did not.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::FieldError;
use super::experiment::ArmShare;
use crate::decision::QualityCheck;
use crate::srm::{
    self, SRM_ALARM_P, SrmError, SrmFactor, SrmGroup, SrmGroupFinding, srm_by_group, srm_chi_square, srm_sequential,
};

pub use crate::srm::SrmMethod;

/// Groups of one request.
const GROUPS_MAX: usize = 100_000;

/// Units to test, as they are written.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct SrmRequest {
    /// A label, repeated in the answer.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub name: Option<String>,
    /// The arms with their weights and units.
    pub arms: Vec<ArmShare>,
    /// For one look, or for every look.
    #[serde(default = "fixed")]
    pub method: SrmMethod,
    /// The same by group (a stage, a country ...), to find where a mismatch comes from.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub groups: Vec<SrmGroupInput>,
}

/// The arms within a group.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct SrmGroupInput {
    /// The group's name.
    pub group: String,
    /// The arms with their weights and units.
    pub arms: Vec<ArmShare>,
}

fn fixed() -> SrmMethod {
    SrmMethod::Fixed
}

/// What the shares say.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct SrmAnswer {
    /// Which test.
    pub method: SrmMethod,
    /// `match` when nothing speaks against the weights, `mismatch` (p < 0.001), or `undetermined`.
    pub verdict: SrmVerdict,
    /// Of `fixed`: Pearson's chi-square.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub statistic: Option<f64>,
    /// Its degrees of freedom.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub df: Option<u32>,
    /// Probability of shares at least this far off when assignment works; of `sequential` valid at every look.
    pub p_value: Option<f64>,
    /// Of `sequential`: the Bayes factor at each prior size.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub factors: Vec<SrmFactor>,
    /// Share of units each arm got.
    pub ratio_observed: Vec<f64>,
    /// Share of units each arm was promised.
    pub ratio_expected: Vec<f64>,
    /// Why nothing could be tested, or why it is a mismatch beyond doubt.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub reason: Option<String>,
    /// The groups, worst first.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub groups: Vec<SrmGroupAnswer>,
}

/// A group's test.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct SrmGroupAnswer {
    /// The group.
    pub group: String,
    /// Its own p-value.
    pub p_value: Option<f64>,
    /// Corrected for the number of groups (Holm).
    pub p_adjusted: Option<f64>,
    /// Why it could not be tested.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub reason: Option<String>,
}

impl From<SrmGroupFinding> for SrmGroupAnswer {
    fn from(found: SrmGroupFinding) -> Self {
        let SrmGroupFinding { name, p_value, p_adjusted, error } = found;
        Self { group: name, p_value, p_adjusted, reason: error.map(|error| error.to_string()) }
    }
}

/// What a test of shares says.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum SrmVerdict {
    /// Nothing speaks against the weights.
    Match,
    /// The shares are not those promised.
    Mismatch,
    /// There is nothing to test.
    Undetermined,
}

impl SrmRequest {
    /// Tests the shares.
    ///
    /// # Errors
    /// The field that cannot be used.
    pub fn analyze(&self) -> Result<SrmAnswer, FieldError> {
        if self.groups.len() > GROUPS_MAX {
            return Err(FieldError::new("groups", format!("at most {GROUPS_MAX} groups can be tested together")));
        }
        check(&self.arms, "arms")?;
        let mut answer = test_shares(&self.arms, self.method);
        let mut groups = Vec::with_capacity(self.groups.len());
        for (index, group) in self.groups.iter().enumerate() {
            check(&group.arms, &format!("groups[{index}].arms"))?;
            let (counts, weights) = split(&group.arms);
            groups.push(SrmGroup { name: group.group.clone(), counts, weights });
        }
        answer.groups = srm_by_group(&groups, self.method).into_iter().map(SrmGroupAnswer::from).collect();
        Ok(answer)
    }
}

fn check(arms: &[ArmShare], field: &str) -> Result<(), FieldError> {
    for (index, arm) in arms.iter().enumerate() {
        if !arm.weight.is_finite() || arm.weight < 0.0 {
            return Err(FieldError::new(format!("{field}[{index}].weight"), "must be a finite number of 0 or more"));
        }
    }
    if arms.len() < 2 { Err(FieldError::new(field, "at least two arms are needed")) } else { Ok(()) }
}

fn split(arms: &[ArmShare]) -> (Vec<u64>, Vec<f64>) {
    arms.iter().map(|arm| (arm.n, arm.weight)).unzip()
}

/// Tests the arms' units against their weights.
pub fn test_shares(arms: &[ArmShare], method: SrmMethod) -> SrmAnswer {
    let (counts, weights) = split(arms);
    let mut answer = SrmAnswer {
        method,
        verdict: SrmVerdict::Undetermined,
        statistic: None,
        df: None,
        p_value: None,
        factors: Vec::new(),
        ratio_observed: Vec::new(),
        ratio_expected: Vec::new(),
        reason: None,
        groups: Vec::new(),
    };
    let tested: Result<(), SrmError> = match method {
        SrmMethod::Fixed => srm_chi_square(&counts, &weights).map(|found| {
            (answer.statistic, answer.df, answer.p_value) =
                (Some(found.statistic), Some(found.df), Some(found.p_value));
            (answer.ratio_observed, answer.ratio_expected) = (found.ratio_observed, found.ratio_expected);
        }),
        SrmMethod::Sequential => srm_sequential(&counts, &weights).map(|found| {
            (answer.p_value, answer.factors) = (Some(found.p_value), found.factors);
            (answer.ratio_observed, answer.ratio_expected) = (found.ratio_observed, found.ratio_expected);
        }),
    };
    answer.verdict = match (tested, answer.p_value) {
        (Ok(()), Some(p)) if p < SRM_ALARM_P => SrmVerdict::Mismatch,
        (Ok(()), Some(_)) => SrmVerdict::Match,
        (Ok(()), None) => SrmVerdict::Undetermined,
        (Err(error), _) => {
            answer.reason = Some(error.to_string());
            // Units where none may be: broken beyond doubt.
            match error {
                srm::SrmError::UnitsInZeroWeightArm { .. } => SrmVerdict::Mismatch,
                _ => SrmVerdict::Undetermined,
            }
        }
    };
    answer
}

impl SrmAnswer {
    /// As a check that a decision needs. Arms without any unit decide nothing, so they do not fail it.
    pub fn check(&self) -> QualityCheck {
        let detail = match (self.verdict, self.p_value) {
            (SrmVerdict::Match, Some(p)) => format!("The arms' sizes fit their weights (p = {p:.3})."),
            (SrmVerdict::Mismatch, Some(p)) => {
                format!("The arms' sizes do not fit their weights (p = {p:.2e}): find out what loses or adds units.")
            }
            _ => self.reason.clone().unwrap_or_else(|| "There are no units to compare.".to_owned()),
        };
        QualityCheck { check: "srm".to_owned(), passed: self.verdict != SrmVerdict::Mismatch, detail }
    }
}
