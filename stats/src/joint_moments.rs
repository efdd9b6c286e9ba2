//! Several variables of the same units together: their means and all their co-moments. What ratios, variance
//! reduction and cut quantiles are computed from.
//!
//! Update and merge: Bennett, Grout, Pébay, Roe, Thompson (2009), the multivariate form of Welford and of Chan, Golub,
//! LeVeque.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::Moments;

/// Count, means and sums of products of deviations, a fixed number of variables per unit.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct JointMoments {
    /// Units.
    pub n: u64,
    /// The mean of each variable.
    pub mean: Vec<f64>,
    /// Sums of `(x_i - mean_i) * (x_j - mean_j)`, the lower triangle row by row: (0,0), (1,0), (1,1), (2,0) ...
    pub co: Vec<f64>,
}

impl JointMoments {
    /// No units yet, of so many variables.
    pub fn new(variables: usize) -> Self {
        Self { n: 0, mean: vec![0.0; variables], co: vec![0.0; variables * (variables + 1) / 2] }
    }

    /// How many variables there are.
    pub fn variables(&self) -> usize {
        self.mean.len()
    }

    /// Adds one unit. `values` has one value a variable.
    pub fn push(&mut self, values: &[f64]) {
        debug_assert_eq!(values.len(), self.mean.len(), "one value a variable");
        self.n = self.n.saturating_add(1);
        let units = self.n as f64;
        // (n - 1) / n times the product of both deviations from the old means.
        let weight = (units - 1.0) / units;
        let mut place = 0;
        for i in 0..self.mean.len() {
            let delta_i = values[i] - self.mean[i];
            for (value, mean) in values.iter().zip(&self.mean).take(i + 1) {
                self.co[place] += weight * delta_i * (value - mean);
                place += 1;
            }
        }
        for (mean, value) in self.mean.iter_mut().zip(values) {
            *mean += (value - *mean) / units;
        }
    }

    /// Adds the units of `other`, which has the same variables.
    pub fn merge(&mut self, other: &Self) {
        if other.n == 0 {
            return;
        }
        if self.n == 0 {
            self.clone_from(other);
            return;
        }
        debug_assert_eq!(self.variables(), other.variables(), "the same variables");
        let (a, b) = (self.n as f64, other.n as f64);
        let weight = a * (b / (a + b));
        let delta: Vec<f64> = other.mean.iter().zip(&self.mean).map(|(theirs, ours)| theirs - ours).collect();
        let mut place = 0;
        for i in 0..delta.len() {
            for delta_j in &delta[..=i] {
                self.co[place] += other.co[place] + delta[i] * delta_j * weight;
                place += 1;
            }
        }
        for ((mean, theirs), delta) in self.mean.iter_mut().zip(&other.mean).zip(&delta) {
            *mean = if a >= b { *mean + delta * (b / (a + b)) } else { theirs - delta * (a / (a + b)) };
        }
        self.n = self.n.saturating_add(other.n);
    }

    /// The sum of products of deviations of two variables.
    ///
    /// # Panics
    /// When there is no such variable.
    pub fn co(&self, i: usize, j: usize) -> f64 {
        let (row, column) = (i.max(j), i.min(j));
        self.co[row * (row + 1) / 2 + column]
    }

    /// One variable by itself.
    ///
    /// # Panics
    /// When there is no such variable.
    pub fn moments(&self, variable: usize) -> Moments {
        Moments { n: self.n, mean: self.mean[variable], m2: self.co(variable, variable) }
    }

    /// These variables only, in this order; `None` when there is no such variable.
    pub fn select(&self, variables: &[usize]) -> Option<Self> {
        let mean = variables.iter().map(|&i| self.mean.get(i).copied()).collect::<Option<Vec<f64>>>()?;
        let mut co = Vec::with_capacity(variables.len() * (variables.len() + 1) / 2);
        for (place, &i) in variables.iter().enumerate() {
            co.extend(variables[..=place].iter().map(|&j| self.co(i, j)));
        }
        Some(Self { n: self.n, mean, co })
    }

    /// New variables that are linear in these: a row of coefficients each, with the means given (a ratio is only
    /// linear around its mean). The result has the same units.
    pub(crate) fn mapped(&self, rows: &[Vec<f64>], means: Vec<f64>) -> Self {
        let variables = self.variables();
        let mut co = Vec::with_capacity(rows.len() * (rows.len() + 1) / 2);
        for (i, row) in rows.iter().enumerate() {
            for other in &rows[..=i] {
                let mut sum = 0.0;
                for (a, left) in row.iter().enumerate().take(variables).filter(|(_, left)| **left != 0.0) {
                    for (b, right) in other.iter().enumerate().take(variables).filter(|(_, right)| **right != 0.0) {
                        sum += left * right * self.co(a, b);
                    }
                }
                co.push(sum);
            }
        }
        // A sum of squares is never below zero; rounding may say otherwise.
        let mut mapped = Self { n: self.n, mean: means, co };
        for i in 0..rows.len() {
            let place = i * (i + 1) / 2 + i;
            mapped.co[place] = mapped.co[place].max(0.0);
        }
        mapped
    }

    /// Whether the numbers can be joint moments at all: finite, complete, and squares not negative.
    pub fn is_valid(&self) -> bool {
        let variables = self.variables();
        self.co.len() == variables * (variables + 1) / 2
            && (self.n == 0
                || (self.mean.iter().chain(&self.co).all(|number| number.is_finite())
                    && (0..variables).all(|i| self.co(i, i) >= 0.0)))
    }

    /// Sample covariance of two variables; `None` below two units.
    pub fn covariance(&self, i: usize, j: usize) -> Option<f64> {
        (self.n >= 2).then(|| self.co(i, j) / (self.n - 1) as f64)
    }
}

impl From<Moments> for JointMoments {
    /// One variable.
    fn from(moments: Moments) -> Self {
        Self { n: moments.n, mean: vec![moments.mean], co: vec![moments.m2] }
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn of(rows: &[[f64; 3]]) -> JointMoments {
        let mut joint = JointMoments::new(3);
        rows.iter().for_each(|row| joint.push(row));
        joint
    }

    /// Two passes, as the formula is written.
    fn naive(rows: &[[f64; 3]], i: usize, j: usize) -> f64 {
        let n = rows.len() as f64;
        let mean = |k: usize| rows.iter().map(|row| row[k]).sum::<f64>() / n;
        let (mean_i, mean_j) = (mean(i), mean(j));
        rows.iter().map(|row| (row[i] - mean_i) * (row[j] - mean_j)).sum()
    }

    #[test]
    fn a_large_offset_keeps_the_covariance() {
        let rows = [[1e12 + 1.0, 2.0, 5.0], [1e12 + 2.0, 4.0, 5.0], [1e12 + 3.0, 9.0, 5.0]];
        let joint = of(&rows);
        assert!((joint.co(0, 1) - 7.0).abs() < 1e-3, "{joint:?}");
        assert_eq!(joint.co(0, 1), joint.co(1, 0));
        assert_eq!(joint.moments(2), Moments { n: 3, mean: 5.0, m2: 0.0 });
        assert_eq!(joint.covariance(2, 2), Some(0.0));
        assert_eq!(JointMoments::new(1).covariance(0, 0), None);
    }

    proptest! {
        #[test]
        fn pushing_and_merging_agree_with_two_passes(
            rows in prop::collection::vec(prop::array::uniform3(-1e3_f64..1e3), 2..60),
            cut in 0_usize..60,
        ) {
            let cut = cut.min(rows.len());
            let whole = of(&rows);
            let mut merged = of(&rows[..cut]);
            merged.merge(&of(&rows[cut..]));
            prop_assert_eq!(merged.n, whole.n);
            for i in 0..3 {
                for j in 0..3 {
                    let expected = naive(&rows, i, j);
                    let scale = 1e-12 * rows.len() as f64 * 1e6;
                    prop_assert!((whole.co(i, j) - expected).abs() <= scale, "{} {expected}", whole.co(i, j));
                    prop_assert!((merged.co(i, j) - expected).abs() <= scale, "{} {expected}", merged.co(i, j));
                }
                prop_assert!((whole.mean[i] - merged.mean[i]).abs() <= 1e-9);
            }
        }
    }
}
