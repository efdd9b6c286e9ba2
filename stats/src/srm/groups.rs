//! Where a sample ratio mismatch comes from: the same test in each group (a stage, a country, an app version), with
//! Holm's correction over the groups, worst first. It finds the group, not the cause.
//!
//! Holm (1979) holds under any dependence. A group that cannot be tested stays in the family, so that leaving data
//! out never makes the others significant. Reference: Fabijan et al. (2019, KDD) on localising by segment.

use std::cmp::Ordering;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::{SrmError, srm_chi_square, srm_sequential};
use crate::multiplicity::{Correction, adjust_p_values};

/// Which test is asked.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum SrmMethod {
    /// Pearson's chi-square, for one look.
    Fixed,
    /// Dirichlet-multinomial, for every look.
    Sequential,
}

/// The units of one group.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct SrmGroup {
    /// Its name: the stage or the value of the dimension.
    pub name: String,
    /// Units of each arm.
    pub counts: Vec<u64>,
    /// Weight of each arm in this group, in the same order.
    pub weights: Vec<f64>,
}

/// What the test says about one group.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct SrmGroupFinding {
    /// Its name.
    pub name: String,
    /// The group's own p-value; absent when it could not be tested.
    pub p_value: Option<f64>,
    /// Adjusted by Holm over all groups given.
    pub p_adjusted: Option<f64>,
    /// Why it could not be tested. Units in an arm of weight 0 are a mismatch beyond doubt.
    pub error: Option<SrmError>,
}

impl SrmGroupFinding {
    fn is_certain(&self) -> bool {
        matches!(self.error, Some(SrmError::UnitsInZeroWeightArm { .. }))
    }
}

/// Tests every group and sorts them worst first: units where none may be, then by p-value, then what could not be
/// tested. Equally bad groups keep their order.
pub fn srm_by_group(groups: &[SrmGroup], method: SrmMethod) -> Vec<SrmGroupFinding> {
    let mut findings: Vec<SrmGroupFinding> = groups
        .iter()
        .map(|group| {
            let tested = match method {
                SrmMethod::Fixed => srm_chi_square(&group.counts, &group.weights).map(|srm| srm.p_value),
                SrmMethod::Sequential => srm_sequential(&group.counts, &group.weights).map(|srm| srm.p_value),
            };
            let name = group.name.clone();
            SrmGroupFinding { name, p_value: tested.ok(), p_adjusted: None, error: tested.err() }
        })
        .collect();
    let p_values: Vec<Option<f64>> = findings.iter().map(|finding| finding.p_value).collect();
    // The level only marks rejections, which are not used here.
    if let Ok(adjusted) = adjust_p_values(Correction::Holm, &p_values, super::SRM_ALARM_P) {
        for (finding, adjusted) in findings.iter_mut().zip(adjusted) {
            finding.p_adjusted = adjusted.p_adjusted;
        }
    }
    findings.sort_by(worst_first);
    findings
}

fn worst_first(a: &SrmGroupFinding, b: &SrmGroupFinding) -> Ordering {
    let rank = |finding: &SrmGroupFinding| if finding.is_certain() { -1.0 } else { finding.p_value.unwrap_or(2.0) };
    rank(a).total_cmp(&rank(b))
}
