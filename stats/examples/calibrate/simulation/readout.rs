//! The readout of an experiment as people use it: a two-sided sequential plan, looked at again and again, that shows
//! an effect from the first look with p < alpha.

use liftgate_stats::{ArmSample, Covariates, Direction, JointMoments, Model, Plan, PlanMethod, Sample, compare_by};
use rand::rngs::SmallRng;

use super::ramp::Looks;
use super::verdict::ALPHA;

/// The plan of every sequential readout here.
pub fn sequential() -> Plan {
    Plan { method: PlanMethod::Sequential, alpha: ALPHA, ..Plan::default() }
}

/// Whether the readout shows an effect, in either direction.
pub fn shows_effect(plan: &Plan, sample: &Sample) -> bool {
    compare_by(plan, Direction::Increase, sample).p_value.is_some_and(|p| p < plan.alpha)
}

/// Treatment and control by a model.
#[derive(Clone, Debug)]
pub struct Arms {
    pub model: Model,
    pub treatment: ArmSample,
    pub control: ArmSample,
}

impl Arms {
    /// No units yet, of so many variables.
    pub fn new(model: Model, variables: usize) -> Self {
        let empty = ArmSample::new(JointMoments::new(variables));
        Self { model, treatment: empty.clone(), control: empty }
    }

    /// What is compared; covariates are used when there are any.
    pub fn sample(&self) -> Sample {
        Sample::new(self.model, &self.control, &self.treatment, Covariates::Used)
    }
}

/// One arm of so many units; `unit` draws the variables of the model.
pub fn arm<const VARIABLES: usize>(units: u32, mut unit: impl FnMut() -> [f64; VARIABLES]) -> ArmSample {
    let mut joint = JointMoments::new(VARIABLES);
    (0..units).for_each(|_| joint.push(&unit()));
    ArmSample::new(joint)
}

/// Whether `says` it at any look: the arms get a unit each, pair by pair. `draw` makes the variables of a treated unit and
/// of one of control.
pub fn is_ever_said<const VARIABLES: usize>(
    rng: &mut SmallRng,
    model: Model,
    pairs: u64,
    draw: impl Fn(&mut SmallRng) -> [[f64; VARIABLES]; 2],
    mut says: impl FnMut(&Sample) -> bool,
) -> bool {
    let mut arms = Arms::new(model, VARIABLES);
    (1..=pairs).any(|pair| {
        let [treatment, control] = draw(rng);
        arms.treatment.joint.push(&treatment);
        arms.control.joint.push(&control);
        Looks::Thinned.are_due(pair) && says(&arms.sample())
    })
}

/// Whether an effect is ever shown, though both arms are alike.
pub fn is_effect_shown<const VARIABLES: usize>(
    rng: &mut SmallRng,
    model: Model,
    pairs: u64,
    unit: impl Fn(&mut SmallRng) -> [f64; VARIABLES],
) -> bool {
    let plan = sequential();
    is_ever_said(rng, model, pairs, |rng| [unit(rng), unit(rng)], |sample| shows_effect(&plan, sample))
}
