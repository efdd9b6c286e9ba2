//! A guardrail of a ramp, stage by stage: the monitor that decides live, on numbers from anywhere.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::FieldError;
use super::arm::ArmInput;
use super::metric::{Kind, SLICES_MAX};
use crate::{
    Assessment, Direction, GuardrailPlan, Margin, Model, Moments, Outcome, PlanError, Stratum, assess, quantile, ratio,
};

/// A guardrail, as it is written.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct GuardrailRequest {
    /// A label, repeated in the answer.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub name: Option<String>,
    /// What the metric measures. `quantile`: arms of events up to a cut that was frozen on earlier control data, the
    /// treatment's cut one margin higher; `margin` is then left out.
    #[serde(default)]
    pub kind: Kind,
    /// What was promised before the first unit.
    pub plan: GuardrailPlanInput,
    /// Matured units by the stage of their first exposure.
    pub strata: Vec<GuardrailStratum>,
}

/// The promise.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct GuardrailPlanInput {
    /// The direction that harms; of a quantile it is an increase.
    #[serde(default = "super::metric::increase")]
    pub harm: Direction,
    /// How far the metric may move that way.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub margin: Option<Margin>,
    /// The effect worth catching fast.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub detect: Option<Margin>,
    /// Probability of a false "harm" over all looks.
    #[serde(default = "five_percent")]
    pub alpha: f64,
    /// Probability of a false "safe" over all looks.
    #[serde(default = "five_percent")]
    pub alpha_safe: f64,
    /// Planned stages with analysed arms.
    #[serde(default = "one")]
    pub stages: u32,
}

/// The units of a stage.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct GuardrailStratum {
    /// 0-based stage of the first exposure.
    #[serde(default)]
    pub stage: u32,
    /// The analysed treatment arm.
    pub treatment: ArmInput,
    /// The analysed control arm, of equal designed share.
    pub control: ArmInput,
}

fn five_percent() -> f64 {
    0.05
}

fn one() -> u32 {
    1
}

impl GuardrailRequest {
    /// Assesses the guardrail.
    ///
    /// # Errors
    /// The field that cannot be used.
    pub fn analyze(&self) -> Result<Assessment, FieldError> {
        if self.strata.len() > SLICES_MAX {
            return Err(FieldError::new("strata", format!("at most {SLICES_MAX} strata can be assessed")));
        }
        let plan = self.plan()?;
        plan.check().map_err(|error| {
            let field = match error {
                PlanError::Alpha(_) => "plan.alpha",
                PlanError::Margin(_) | PlanError::WholeDecrease(_) => "plan.margin",
                PlanError::MixedKinds | PlanError::DetectWithinMargin { .. } => "plan.detect",
                PlanError::NoStages => "plan.stages",
            };
            FieldError::new(field, error.to_string())
        })?;
        let mut strata = Vec::with_capacity(self.strata.len());
        for (index, stratum) in self.strata.iter().enumerate() {
            let read = |arm: &ArmInput, name: &str| {
                self.read_arm(arm, name).map_err(|error| error.inside(&format!("strata[{index}].{name}")))
            };
            strata.push(Stratum {
                stage: stratum.stage,
                treatment: read(&stratum.treatment, "treatment")?,
                control: read(&stratum.control, "control")?,
            });
        }
        Ok(assess(&plan, &strata))
    }

    fn plan(&self) -> Result<GuardrailPlan, FieldError> {
        let GuardrailPlanInput { harm, margin, detect, alpha, alpha_safe, stages } = self.plan;
        let (harm, margin) = match (self.kind, margin) {
            // Shares of events up to the cuts: fewer of them in the treatment is harm, and the margin is in the cut.
            (Kind::Quantile, None) => (harm.opposite(), Margin::Absolute(0.0)),
            (Kind::Quantile, Some(_)) => {
                return Err(FieldError::new("plan.margin", "of a quantile lies in the treatment's cut; leave it out"));
            }
            (_, Some(margin)) => (harm, margin),
            (_, None) => return Err(FieldError::new("plan.margin", "is missing, such as {\"relative\": 0.1}")),
        };
        let outcome = if self.kind == Kind::Proportion { Outcome::Binary } else { Outcome::Mean };
        Ok(GuardrailPlan { outcome, harm, margin, detect, alpha, alpha_safe, stages })
    }

    fn read_arm(&self, arm: &ArmInput, name: &str) -> Result<Moments, FieldError> {
        let mut arm = arm.clone();
        if arm.arm.is_empty() {
            name.clone_into(&mut arm.arm);
        }
        // A quantile's guardrail reads shares of events, not the quantile itself.
        let model = if self.kind == Kind::Quantile { Model::Ratio } else { self.kind.model() };
        let joint = arm.read(model)?.sample.joint;
        let moments = match self.kind {
            Kind::Mean | Kind::Proportion => Some(joint.moments(0)),
            Kind::Ratio => ratio::linearize(&joint),
            Kind::Quantile => quantile::indicator(&joint),
        };
        // What has no ratio yet is an empty arm: its stage cannot be compared.
        Ok(moments.unwrap_or_default())
    }
}
