//! One metric of several arms: each treatment compared with the control.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::FieldError;
use super::arm::ArmInput;
use crate::{ArmSample, Comparison, Covariates, Direction, JointMoments, Model, Plan, Sample, Warning, compare_by};

/// Arms of one analysis.
const ARMS_MAX: usize = 1_000;
/// Strata or slices of one metric.
pub(super) const SLICES_MAX: usize = 10_000;

/// What a metric measures.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum Kind {
    /// A number a unit; counts are means too.
    #[default]
    Mean,
    /// The share of units with an event; retention is one too.
    Proportion,
    /// A ratio of two totals, the unit being the cluster.
    Ratio,
    /// A quantile of events, the unit being the cluster.
    Quantile,
}

impl Kind {
    /// The model that reduces it.
    pub fn model(self) -> Model {
        match self {
            Self::Mean => Model::Mean,
            Self::Proportion => Model::Proportion,
            Self::Ratio => Model::Ratio,
            Self::Quantile => Model::Quantile,
        }
    }
}

/// One metric to analyse, as it is written.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct MetricRequest {
    /// A label, repeated in the answer.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub name: Option<String>,
    /// What the metric measures.
    #[serde(default)]
    pub kind: Kind,
    /// Which way is better.
    #[serde(default = "increase")]
    pub direction: Direction,
    /// The arm that the others are compared with; the first one when absent.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub control: Option<String>,
    /// The arms, two or more.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub arms: Vec<ArmInput>,
    /// The same arms stratum by stratum, instead of `arms`: the comparison is post-stratified.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub strata: Vec<StratumInput>,
    /// How to compare.
    #[serde(default)]
    pub plan: Plan,
}

/// The arms within a stratum.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct StratumInput {
    /// The stratum's name.
    pub stratum: String,
    /// The arms.
    pub arms: Vec<ArmInput>,
}

pub(super) fn increase() -> Direction {
    Direction::Increase
}

/// One metric's arms, by name, ready for the models.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Arms {
    /// Name and moments, in order.
    pub arms: Vec<(String, ArmSample)>,
    /// Doubts about the numbers themselves.
    pub warnings: Vec<Warning>,
}

impl Arms {
    /// Arms as they are written.
    pub(super) fn read(inputs: &[ArmInput], model: Model) -> Result<Self, FieldError> {
        if inputs.len() < 2 {
            return Err(FieldError::new("arms", "at least two arms are needed"));
        }
        if inputs.len() > ARMS_MAX {
            return Err(FieldError::new("arms", format!("at most {ARMS_MAX} arms can be compared")));
        }
        let mut read = Self::default();
        for (index, input) in inputs.iter().enumerate() {
            let at = format!("arms[{index}]");
            let arm = input.read(model).map_err(|error| error.inside(&at))?;
            if read.arms.iter().any(|(name, _)| *name == arm.name) {
                return Err(FieldError::new(format!("{at}.arm"), format!("`{}` is there twice", arm.name)));
            }
            let variables = arm.sample.joint.variables();
            if read.arms.first().is_some_and(|(_, first)| first.joint.variables() != variables) {
                return Err(FieldError::new(at, "has other variables than the first arm (a covariate or denominator)"));
            }
            read.warnings.extend(arm.warning);
            read.arms.push((arm.name, arm.sample));
        }
        Ok(read)
    }

    /// The arm of this name.
    pub fn get(&self, name: &str) -> Option<&ArmSample> {
        self.arms.iter().find(|(known, _)| known == name).map(|(_, arm)| arm)
    }

    /// The same arms with the units of `others` added. Quantiles cannot be added, and have none afterwards.
    pub(super) fn merged<'a>(others: impl IntoIterator<Item = &'a Self>) -> Self {
        let mut sum = Self::default();
        for arms in others {
            for (name, arm) in &arms.arms {
                match sum.arms.iter_mut().find(|(known, _)| known == name) {
                    Some((_, total)) => total.joint.merge(&arm.joint),
                    None => sum.arms.push((name.clone(), ArmSample::new(arm.joint.clone()))),
                }
            }
            for warning in &arms.warnings {
                if !sum.warnings.contains(warning) {
                    sum.warnings.push(*warning);
                }
            }
        }
        sum
    }
}

/// One metric, checked.
#[derive(Clone, Debug, PartialEq)]
pub struct MetricData {
    /// What reduces it.
    pub model: Model,
    /// Which way is better.
    pub direction: Direction,
    /// The arms as a whole.
    pub arms: Arms,
    /// The arms by stratum, when the comparison is post-stratified.
    pub strata: Vec<Arms>,
}

/// A treatment's comparison.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct ArmComparison {
    /// The treatment.
    pub arm: String,
    /// What came out.
    #[serde(flatten)]
    pub comparison: Comparison,
}

/// What a metric's analysis says.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct MetricAnswer {
    /// The arm that the others were compared with.
    pub control: String,
    /// The plan that was used.
    pub plan: Plan,
    /// Each other arm, in the order given.
    pub comparisons: Vec<ArmComparison>,
}

impl MetricRequest {
    /// The request, checked.
    fn read(&self) -> Result<MetricData, FieldError> {
        let model = self.kind.model();
        let read = |inputs: &[ArmInput]| Arms::read(inputs, model);
        if self.strata.is_empty() {
            return Ok(MetricData { model, direction: self.direction, arms: read(&self.arms)?, strata: Vec::new() });
        }
        if !self.arms.is_empty() {
            return Err(FieldError::new("strata", "`arms` is given too; leave one out"));
        }
        if model == Model::Quantile {
            return Err(FieldError::new("strata", "quantiles cannot be post-stratified"));
        }
        if self.strata.len() > SLICES_MAX {
            return Err(FieldError::new("strata", format!("at most {SLICES_MAX} strata can be combined")));
        }
        let mut strata: Vec<Arms> = Vec::with_capacity(self.strata.len());
        for (index, stratum) in self.strata.iter().enumerate() {
            let at = format!("strata[{index}]");
            let arms = read(&stratum.arms).map_err(|error| error.inside(&at))?;
            let names = |arms: &Arms| {
                let mut names: Vec<String> = arms.arms.iter().map(|(name, _)| name.clone()).collect();
                names.sort();
                names
            };
            if strata.first().is_some_and(|first| names(first) != names(&arms)) {
                return Err(FieldError::new(format!("{at}.arms"), "are not the arms of the first stratum"));
            }
            let variables = |arms: &Arms| arms.arms.first().map(|(_, arm)| arm.joint.variables());
            if strata.first().is_some_and(|first| variables(first) != variables(&arms)) {
                return Err(FieldError::new(format!("{at}.arms"), "have other variables than the first stratum"));
            }
            strata.push(arms);
        }
        Ok(MetricData { model, direction: self.direction, arms: Arms::merged(&strata), strata })
    }

    /// Compares every arm with the control.
    ///
    /// # Errors
    /// The field that cannot be used.
    pub fn analyze(&self) -> Result<MetricAnswer, FieldError> {
        let metric = self.read()?;
        let control = control_of(self.control.as_deref(), &metric.arms)?;
        let comparisons = compare_arms(&self.plan, &metric, &control);
        Ok(MetricAnswer { control, plan: self.plan, comparisons })
    }
}

/// The named control, or the first arm.
pub(super) fn control_of(named: Option<&str>, arms: &Arms) -> Result<String, FieldError> {
    match named {
        Some(name) if arms.get(name).is_none() => {
            Err(FieldError::new("control", format!("`{name}` is none of the arms")))
        }
        Some(name) => Ok(name.to_owned()),
        None => Ok(arms.arms.first().map(|(name, _)| name.clone()).unwrap_or_default()),
    }
}

/// Every arm but the control, compared with it.
pub fn compare_arms(plan: &Plan, metric: &MetricData, control: &str) -> Vec<ArmComparison> {
    let arms = metric.arms.arms.iter().filter(|(name, _)| name != control);
    arms.map(|(name, _)| ArmComparison { arm: name.clone(), comparison: compare_arm(plan, metric, control, name) })
        .collect()
}

/// One arm compared with the control.
pub fn compare_arm(plan: &Plan, metric: &MetricData, control: &str, treatment: &str) -> Comparison {
    let covariates = if plan.cuped { Covariates::Used } else { Covariates::Ignored };
    let sample_of = |arms: &Arms| {
        // An arm that is not there has no units.
        let variables = arms.arms.first().map_or(1, |(_, arm)| arm.joint.variables());
        let none = ArmSample::new(JointMoments::new(variables));
        let of = |name: &str| arms.get(name).unwrap_or(&none);
        Sample::new(metric.model, of(control), of(treatment), covariates)
    };
    let mut sample = sample_of(&metric.arms);
    if !metric.strata.is_empty() {
        let strata: Vec<Sample> = metric.strata.iter().map(sample_of).collect();
        sample = sample.stratified(&strata);
    }
    sample.warnings.splice(0..0, metric.arms.warnings.iter().copied());
    compare_by(plan, metric.direction, &sample)
}
