//! Units of strata that differ in level, compared within them.

use liftgate_stats::{Moments, Outcome, Sample};
use rand::Rng;
use rand::rngs::SmallRng;

use super::chance::normal;
use super::ramp::Looks;
use super::readout::{sequential, shows_effect};

/// A part of the population.
#[derive(Clone, Copy, Debug)]
pub struct Part {
    /// Of all units.
    pub share: f64,
    /// The mean of control.
    pub level: f64,
    /// What treatment adds.
    pub effect: f64,
}

/// One large part, one in between and a small one, at levels far apart; treatment helps some and hurts others.
pub const PARTS: [Part; 3] = [
    Part { share: 0.60, level: 10.0, effect: 0.5 },
    Part { share: 0.37, level: 30.0, effect: -1.0 },
    Part { share: 0.03, level: 100.0, effect: 4.0 },
];
/// Within each part.
const SD: f64 = 5.0;

/// Over the whole population.
pub fn overall(of: fn(&Part) -> f64) -> f64 {
    PARTS.iter().map(|part| part.share * of(part)).sum()
}

/// Both arms, within each part.
#[derive(Clone, Debug, Default)]
pub struct Arms {
    treatment: [Moments; PARTS.len()],
    control: [Moments; PARTS.len()],
}

impl Arms {
    /// Adds a unit of some part to either arm; `factor` times the effect of its part is real.
    pub fn push(&mut self, rng: &mut SmallRng, factor: f64) {
        for (arm, factor) in [(&mut self.treatment, factor), (&mut self.control, 0.0)] {
            let index = pick(rng.random::<f64>());
            arm[index].push(PARTS[index].level + factor * PARTS[index].effect + SD * normal(rng));
        }
    }

    pub fn sample(&self) -> Sample {
        let of = |control: &Moments, treatment: &Moments| Sample::of_moments(Outcome::Mean, control, treatment);
        let strata: Vec<Sample> = self.control.iter().zip(&self.treatment).map(|(c, t)| of(c, t)).collect();
        let whole = |arm: &[Moments]| {
            let mut all = Moments::default();
            arm.iter().for_each(|part| all.merge(part));
            all
        };
        of(&whole(&self.control), &whole(&self.treatment)).stratified(&strata)
    }
}

fn pick(mut draw: f64) -> usize {
    for (index, part) in PARTS.iter().enumerate() {
        draw -= part.share;
        if draw < 0.0 {
            return index;
        }
    }
    PARTS.len() - 1
}

/// Whether the sequential readout ever shows an effect, though there is none in any part.
pub fn is_effect_shown(rng: &mut SmallRng, pairs: u64) -> bool {
    let plan = sequential();
    let mut arms = Arms::default();
    (1..=pairs).any(|pair| {
        arms.push(rng, 0.0);
        Looks::Thinned.are_due(pair) && shows_effect(&plan, &arms.sample())
    })
}
