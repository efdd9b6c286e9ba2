//! Two arms of one metric, reduced by the metric's model to an effect. The inferences read this and nothing else.

use crate::{
    Cuped, Effect, JointMoments, Moments, Outcome, QuantileReading, cuped, post_stratification, quantile, ratio,
};

use super::Warning;

/// What one unit's variables mean, and so which model reduces them.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Model {
    /// One number: value, then covariates.
    Mean,
    /// 0 or 1: value, then covariates.
    Proportion,
    /// Numerator, denominator, then the covariate's numerator and denominator.
    Ratio,
    /// Events up to the quantile, events.
    Quantile,
}

/// One arm's variables.
#[derive(Clone, Debug, PartialEq)]
pub struct ArmSample {
    /// The variables of the model, in its order.
    pub joint: JointMoments,
    /// The quantile, for that model.
    pub quantile: Option<QuantileReading>,
}

impl ArmSample {
    /// An arm of any model but a quantile.
    pub fn new(joint: JointMoments) -> Self {
        Self { joint, quantile: None }
    }
}

/// Two arms of one metric.
#[derive(Clone, Debug, PartialEq)]
pub struct Sample {
    /// Units and mean (ratio, quantile) of the control arm, with squares of one value a unit.
    pub control: Moments,
    /// The same of the treatment arm.
    pub treatment: Moments,
    /// 0/1 data or numbers.
    pub outcome: Outcome,
    /// Whether the effect is other than the plain difference of the two arms: by covariates or strata.
    pub is_adjusted: bool,
    /// The effect, or why there is none.
    pub effect: Result<Effect, Warning>,
    /// What the covariates did.
    pub cuped: Option<Cuped>,
    /// What to know beside the numbers.
    pub warnings: Vec<Warning>,
}

impl Sample {
    /// Two arms of one value a unit.
    pub fn of_moments(outcome: Outcome, control: &Moments, treatment: &Moments) -> Self {
        Self {
            control: *control,
            treatment: *treatment,
            outcome,
            is_adjusted: false,
            effect: plain_effect(control, treatment),
            cuped: None,
            warnings: Vec::new(),
        }
    }

    /// Two arms by a model; covariates are used when there are any and `with_covariates` says so.
    pub fn new(model: Model, control: &ArmSample, treatment: &ArmSample, with_covariates: Covariates) -> Self {
        let outcome = if model == Model::Proportion { Outcome::Binary } else { Outcome::Mean };
        let reduced = [control, treatment].map(|arm| reduce(model, arm));
        let [Some(of_control), Some(of_treatment)] = &reduced else {
            let unreduced = |arm: &ArmSample| Moments { n: arm.joint.n, mean: f64::NAN, m2: f64::NAN };
            let mut sample = Self::of_moments(outcome, &unreduced(control), &unreduced(treatment));
            let is_small = control.joint.n < 2 || treatment.joint.n < 2;
            let is_finite = control.joint.is_valid() && treatment.joint.is_valid();
            sample.effect = Err(match (is_small, is_finite) {
                (true, _) => Warning::TooFewUnits,
                (false, false) => Warning::NotFinite,
                (false, true) => Warning::NoRatio,
            });
            return sample;
        };
        let mut sample = Self::of_moments(outcome, &of_control.moments(0), &of_treatment.moments(0));
        if with_covariates == Covariates::Used && of_control.variables() > 1 {
            sample.adjust(of_control, of_treatment);
        }
        sample
    }

    fn adjust(&mut self, control: &JointMoments, treatment: &JointMoments) {
        let Some((effect, cuped)) = cuped::adjust(control, treatment) else {
            return;
        };
        if !cuped.is_used() {
            self.warnings.push(Warning::CovariateConstant);
            return;
        }
        if cuped.is_imbalanced() {
            self.warnings.push(Warning::CovariateImbalance);
        }
        (self.effect, self.is_adjusted, self.cuped) = (Ok(effect), true, Some(cuped));
    }

    /// The same comparison within each of `strata`, put together by size. `self` keeps the arms as a whole, and its own
    /// effect when a stratum cannot be compared.
    #[must_use]
    pub fn stratified(mut self, strata: &[Self]) -> Self {
        let effects: Result<Vec<Effect>, Warning> = strata.iter().map(|stratum| stratum.effect).collect();
        match effects.ok().and_then(|effects| post_stratification::combine(&effects)) {
            Some(effect) if strata.len() > 1 => (self.effect, self.is_adjusted) = (Ok(effect), true),
            _ => self.warnings.push(Warning::StratumTooSmall),
        }
        self
    }

    /// 0/1 data without adjustment, for which there are exact and score tests.
    pub(super) fn is_plain_counts(&self) -> bool {
        self.outcome == Outcome::Binary && !self.is_adjusted
    }
}

/// Whether covariates are used when there are any.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Covariates {
    /// They are.
    Used,
    /// They are left out.
    Ignored,
}

/// Value first, covariates behind it.
fn reduce(model: Model, arm: &ArmSample) -> Option<JointMoments> {
    match model {
        Model::Mean | Model::Proportion => (arm.joint.variables() > 0).then(|| arm.joint.clone()),
        Model::Ratio => ratio::influence(&arm.joint),
        Model::Quantile => {
            let moments = quantile::linearize(arm.quantile.as_ref()?, &arm.joint)?;
            Some(JointMoments { n: moments.n, mean: vec![moments.mean], co: vec![moments.m2] })
        }
    }
}

fn plain_effect(control: &Moments, treatment: &Moments) -> Result<Effect, Warning> {
    if control.n < 2 || treatment.n < 2 {
        return Err(Warning::TooFewUnits);
    }
    Effect::of_means(control, treatment).ok_or(Warning::NotFinite)
}
