//! A ramp of unit pairs, one unit in each arm, looked at on the way.

use liftgate_stats::{Moments, Stratum};
use rand::rngs::SmallRng;

/// Pairs of a stage up to which a thinned schedule still looks after each.
const DENSE_PAIRS: u64 = 1_000;
/// Pairs between looks after that.
const THINNED_PAIRS: u64 = 10;

/// When to look.
#[derive(Clone, Copy, Debug)]
pub enum Looks {
    EveryPair,
    /// After every pair to the 1000th of each stage, and after every tenth from there.
    Thinned,
}

impl Looks {
    /// Whether to look after this pair of a stage, counted from 1.
    pub fn are_due(self, pair: u64) -> bool {
        match self {
            Self::EveryPair => true,
            Self::Thinned => pair <= DENSE_PAIRS || pair.is_multiple_of(THINNED_PAIRS),
        }
    }
}

/// Pairs of each stage, and when to look.
#[derive(Clone, Copy, Debug)]
pub struct Ramp<'a> {
    pub pairs: &'a [u64],
    pub looks: Looks,
}

/// Where in the ramp a unit arrives.
#[derive(Clone, Copy, Debug)]
pub struct Instant {
    pub stage: usize,
    /// From 0 to 1, over all stages.
    pub progress: f64,
}

impl Instant {
    /// A factor that rises by half over the ramp.
    pub fn drift(self) -> f64 {
        1.0 + 0.5 * self.progress
    }
}

/// One value in each arm.
#[derive(Clone, Copy, Debug)]
pub struct Pair {
    pub treatment: f64,
    pub control: f64,
}

impl Pair {
    /// Both arms from the same distribution.
    pub fn alike(mut draw: impl FnMut() -> f64) -> Self {
        Self { treatment: draw(), control: draw() }
    }
}

impl Ramp<'_> {
    /// Pairs until the alarm, looking on the way; `None` when it never sounds.
    pub fn pairs_to_alarm(
        self,
        rng: &mut SmallRng,
        draw: impl Fn(&mut SmallRng, Instant) -> Pair,
        mut alarm: impl FnMut(&[Stratum]) -> bool,
    ) -> Option<u64> {
        let total = self.pairs.iter().sum::<u64>() as f64;
        let mut strata: Vec<Stratum> = Vec::with_capacity(self.pairs.len());
        let mut pairs = 0;
        for (stage, pairs_of_stage) in self.pairs.iter().enumerate() {
            strata.push(empty_stratum(stage));
            for pair in 1..=*pairs_of_stage {
                let values = draw(rng, Instant { stage, progress: pairs as f64 / total });
                pairs += 1;
                strata[stage].treatment.push(values.treatment);
                strata[stage].control.push(values.control);
                if self.looks.are_due(pair) && alarm(&strata) {
                    return Some(pairs);
                }
            }
        }
        None
    }
}

/// A stage without units yet.
pub fn empty_stratum(stage: usize) -> Stratum {
    let stage = u32::try_from(stage).expect("a ramp has few stages");
    Stratum { stage, treatment: Moments::default(), control: Moments::default() }
}
