//! A share of runs with its exact interval. Reference: Clopper and Pearson (1934).

use statrs::distribution::{Beta, ContinuousCDF};

/// How many runs did it.
#[derive(Clone, Copy, Debug)]
pub struct Rate {
    pub hits: u64,
    pub runs: u64,
}

impl Rate {
    /// Counts the runs that did it.
    pub fn of(outcomes: &[bool]) -> Self {
        Self { hits: outcomes.iter().filter(|hit| **hit).count() as u64, runs: outcomes.len() as u64 }
    }

    pub fn share(self) -> f64 {
        self.hits as f64 / self.runs as f64
    }

    /// Lower end of the two-sided 95 % interval.
    pub fn lower(self) -> f64 {
        if self.hits == 0 { 0.0 } else { beta_quantile(self.hits, self.runs - self.hits + 1, 0.025) }
    }

    /// Upper end of the two-sided 95 % interval.
    pub fn upper(self) -> f64 {
        if self.hits == self.runs { 1.0 } else { beta_quantile(self.hits + 1, self.runs - self.hits, 0.975) }
    }
}

fn beta_quantile(a: u64, b: u64, p: f64) -> f64 {
    Beta::new(a as f64, b as f64).expect("both shapes are at least 1").inverse_cdf(p)
}
