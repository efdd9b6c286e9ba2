//! The quantile of all events of an arm whose units have several each, read anew at every look as the store does it: the
//! order statistic at ceil(p N), its neighbours, and each unit's events up to it.

use liftgate_stats::quantile::neighbours;
use liftgate_stats::{ArmSample, Covariates, JointMoments, Model, QuantileReading, Sample};
use rand::rngs::SmallRng;

use super::clustered::{latencies_ms, within};
use super::readout::{sequential, shows_effect};

/// All of an arm's events.
#[derive(Clone, Debug, Default)]
pub struct EventArm {
    events: Vec<f64>,
    /// Where each unit's events end.
    ends: Vec<usize>,
}

impl EventArm {
    /// Adds a unit.
    pub fn push(&mut self, events: impl IntoIterator<Item = f64>) {
        self.events.extend(events);
        self.ends.push(self.events.len());
    }

    /// The quantile with what its variance needs; no quantile while there are fewer than two events.
    pub fn sample(&self, probability: f64) -> ArmSample {
        let quantile = self.read(probability);
        let mut joint = JointMoments::new(2);
        let mut start = 0;
        for end in &self.ends {
            let part = within(&self.events[start..*end], quantile.map_or(0.0, |reading| reading.value));
            joint.push(&[part.numerator, part.denominator]);
            start = *end;
        }
        ArmSample { joint, quantile }
    }

    fn read(&self, probability: f64) -> Option<QuantileReading> {
        let (lower_probability, upper_probability) = neighbours(probability, self.events.len() as u64)?;
        let mut events = self.events.clone();
        let total = events.len();
        let index = |probability: f64| ((probability * total as f64).ceil() as usize).clamp(1, total) - 1;
        // From above, so that each search is among the events that are left.
        let mut at = |probability: f64, left: usize| {
            *events[..left].select_nth_unstable_by(index(probability), f64::total_cmp).1
        };
        let upper = at(upper_probability, total);
        let value = at(probability, index(upper_probability) + 1);
        let lower = at(lower_probability, index(probability) + 1);
        Some(QuantileReading { value, lower, upper, lower_probability, upper_probability })
    }
}

/// Both arms at a quantile.
pub fn compared(treatment: &EventArm, control: &EventArm, probability: f64) -> Sample {
    let [treatment, control] = [treatment, control].map(|arm| arm.sample(probability));
    Sample::new(Model::Quantile, &control, &treatment, Covariates::Used)
}

/// Whether the sequential readout ever shows an effect on the quantile of latencies, though both arms are alike, at
/// `looks` looks from `first` pairs to `last`, each by the same factor later.
pub fn is_effect_shown(rng: &mut SmallRng, probability: f64, [first, last]: [u64; 2], looks: u32) -> bool {
    let plan = sequential();
    let (mut treatment, mut control) = (EventArm::default(), EventArm::default());
    let growth = (last as f64 / first as f64).ln() / f64::from(looks - 1);
    let mut pairs = 0;
    (0..looks).any(|look| {
        let until = (first as f64 * (growth * f64::from(look)).exp()).round() as u64;
        for _ in pairs..until {
            treatment.push(latencies_ms(rng));
            control.push(latencies_ms(rng));
        }
        pairs = until;
        shows_effect(&plan, &compared(&treatment, &control, probability))
    })
}
