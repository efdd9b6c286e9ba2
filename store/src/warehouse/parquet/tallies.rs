//! What is added up over the events of each unit of a partition, variable by variable.

use super::exact_sum::ExactSums;
use super::question::{Fold, Question};

/// One partition's units, one tally a variable.
pub(super) struct Tallies {
    pub(super) of_variables: Vec<Tally>,
    /// Rows of admitted units whose value was not a finite number.
    pub(super) non_finite: u64,
}

/// One number a unit, or a few.
pub(super) enum Tally {
    Counts(Vec<u32>),
    Sums(ExactSums),
    Events {
        counts: Vec<u32>,
        /// Unit by unit, how many up to each cut.
        up_to: Vec<u32>,
        /// Unit and value, when values are asked for.
        values: Vec<(u32, f64)>,
    },
}

impl Tallies {
    pub(super) fn new(question: &Question<'_>, units: usize) -> Self {
        let tally = |fold: &Fold<'_>| match fold {
            Fold::Any | Fold::Count => Tally::Counts(vec![0; units]),
            Fold::Sum(_) => Tally::Sums(ExactSums::new(units)),
            Fold::Events { cuts, .. } => {
                Tally::Events { counts: vec![0; units], up_to: vec![0; units * cuts.len()], values: Vec::new() }
            }
        };
        Self { of_variables: question.variables.iter().map(|variable| tally(&variable.fold)).collect(), non_finite: 0 }
    }
}
