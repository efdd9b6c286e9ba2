//! Adjusted p-values and e-values of a sorted family.
//!
//! With p_1 <= ... <= p_t of the tests made and m tests in the family: Bonferroni m p; Holm max over i <= j of
//! (m-i+1) p_i; Hochberg min over i >= j of the same; BH min over i >= j of (m/i) p_i; BY c(m) times that, c(m) = 1 + 1/2 +
//! ... + 1/m; e-BH max over i >= j of (i/m) e_i. A test that was not made counts as p = 1 and e = 0, which is why every
//! minimum starts at 1. Reference: Wright (1992) on adjusted p-values; Wang and Ramdas (2022) on e-BH.

use super::Correction;

/// Adjusted p-values of the sorted `p_values` in a family of `tests`.
pub(super) fn adjusted_p(correction: Correction, p_values: &[f64], tests: usize) -> Vec<f64> {
    let m = tests as f64;
    let scaled = |factor: &dyn Fn(f64) -> f64| -> Vec<f64> {
        p_values.iter().enumerate().map(|(rank, p)| (factor(rank as f64) * p).min(1.0)).collect()
    };
    match correction {
        Correction::Bonferroni => scaled(&|_| m),
        Correction::Holm => running_max(scaled(&|rank| m - rank)),
        Correction::Hochberg => running_min_from_end(scaled(&|rank| m - rank)),
        Correction::Bh | Correction::EBh => running_min_from_end(scaled(&|rank| m / (rank + 1.0))),
        Correction::By => {
            let c = harmonic(tests);
            running_min_from_end(scaled(&|rank| m / (rank + 1.0) * c))
        }
    }
}

/// ln of the adjusted e-values of `log_e_values`, largest first, in a family of `tests`.
pub(super) fn adjusted_log_e(log_e_values: &[f64], tests: usize) -> Vec<f64> {
    let m = tests as f64;
    let mut largest = f64::MIN;
    let mut adjusted: Vec<f64> = log_e_values
        .iter()
        .enumerate()
        .rev()
        .map(|(rank, log_e)| {
            largest = largest.max(log_e + libm::log((rank as f64 + 1.0) / m));
            largest
        })
        .collect();
    adjusted.reverse();
    adjusted
}

/// 1 + 1/2 + ... + 1/m, smallest first.
pub(super) fn harmonic(tests: usize) -> f64 {
    (1..=tests).rev().map(|i| 1.0 / i as f64).sum()
}

fn running_max(mut values: Vec<f64>) -> Vec<f64> {
    let mut largest = 0.0_f64;
    for value in &mut values {
        largest = largest.max(*value);
        *value = largest;
    }
    values
}

fn running_min_from_end(mut values: Vec<f64>) -> Vec<f64> {
    let mut smallest = 1.0_f64;
    for value in values.iter_mut().rev() {
        smallest = smallest.min(*value);
        *value = smallest;
    }
    values
}
