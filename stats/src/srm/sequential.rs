//! Sample ratio mismatch at every look.
//!
//! Dirichlet-multinomial Bayes factor against the designed shares theta, with alpha0 = k theta and B the multivariate
//! beta function: ln BF = ln B(alpha0 + n) - ln B(alpha0) - sum n_i ln theta_i. Under the design its expected value is 1 at
//! any time, so 1/BF, and its smallest value so far, is a p-value that may be looked at after every unit; keeping the
//! smallest is the caller's. What is monitored is the mean of the factors at two k: a mean of e-values is one.
//!
//! With z = alpha0 + n, Z = k + N and Stirling's remainders R the large terms cancel on paper instead of in doubles:
//! ln BF = sum z_i h(-(n_i - N theta_i)/z_i) - sum ln(z_i/(k theta_i))/2 + ln(Z/k)/2 + sum [R(z_i) - R(k theta_i)] - R(Z) + R(k),
//! h(x) = x - ln(1 + x). Assumes units assigned independently. Reference: Lindon and Malek (2022).

use std::f64::consts::{LN_2, PI};

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::shares::{Shares, SrmError};
use crate::special::{STIRLING_FROM, ln_gamma, minus_log1p, stirling_remainder};

/// Prior sizes in units: the first is quick on gross mismatches, the second sharp on small ones.
pub const SRM_CONCENTRATIONS: [f64; 2] = [100.0, 10_000.0];

/// The evidence at one look.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct SequentialSrm {
    /// min(1, 1/BF) at this look; the smallest over all looks is still a p-value.
    pub p_value: f64,
    /// ln of the mean of the factors.
    pub log_bayes_factor: f64,
    /// Each factor of [`SRM_CONCENTRATIONS`] by itself.
    pub factors: Vec<SrmFactor>,
    /// Share of units each arm got, in the order given.
    pub ratio_observed: Vec<f64>,
    /// Share of units each arm was promised.
    pub ratio_expected: Vec<f64>,
}

impl SequentialSrm {
    /// Whether the mismatch is an alarm.
    pub fn is_alarm(&self) -> bool {
        self.p_value < super::SRM_ALARM_P
    }
}

/// The Bayes factor at one prior size.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct SrmFactor {
    /// Prior size: how many units the prior is worth.
    pub k: f64,
    /// ln of the factor; positive speaks against the design.
    pub log_bayes_factor: f64,
    /// min(1, 1/BF).
    pub p_value: f64,
}

/// Tests the units counted so far in each arm against the arms' weights (any scale; 0 for an arm that must be empty).
///
/// # Errors
/// See [`SrmError`]; nothing is tested then.
pub fn srm_sequential(counts: &[u64], weights: &[f64]) -> Result<SequentialSrm, SrmError> {
    let Shares { units, observed, expected, .. } = Shares::of(counts, weights)?;
    let factors = SRM_CONCENTRATIONS.map(|k| {
        let log_bayes_factor = log_bayes_factor(k, units, counts, &expected);
        SrmFactor { k, log_bayes_factor, p_value: p_value(log_bayes_factor) }
    });
    let [first, second] = factors.map(|factor| factor.log_bayes_factor);
    let log_bayes_factor = first.max(second) + libm::log1p(libm::exp(-(first - second).abs())) - LN_2;
    Ok(SequentialSrm {
        p_value: p_value(log_bayes_factor),
        log_bayes_factor,
        factors: factors.to_vec(),
        ratio_observed: observed,
        ratio_expected: expected,
    })
}

fn p_value(log_bayes_factor: f64) -> f64 {
    libm::exp(-log_bayes_factor).min(1.0)
}

fn log_bayes_factor(k: f64, units: f64, counts: &[u64], shares: &[f64]) -> f64 {
    let arms: f64 = counts
        .iter()
        .zip(shares)
        .filter(|(_, share)| **share > 0.0)
        .map(|(&n, &share)| {
            let n = n as f64;
            let prior = k * share;
            let posterior = prior + n;
            let arm = Arm { posterior, promised: (k + units) * share, excess: libm::fma(-units, share, n) };
            arm.deviance() - 0.5 * ln_growth(n, prior) + (remainder(posterior) - remainder(prior))
        })
        .sum();
    arms + 0.5 * libm::log1p(units / k) - (remainder(k + units) - remainder(k))
}

/// Units of one arm, the prior's included.
struct Arm {
    posterior: f64,
    promised: f64,
    /// Units beyond the promised ones; the prior has no part in it.
    excess: f64,
}

impl Arm {
    /// z h(-excess/z) = z ln(z/m) + m - z for m promised units; never negative.
    fn deviance(&self) -> f64 {
        let ratio = -self.excess / self.posterior;
        if ratio.abs() < 0.5 {
            return self.posterior * minus_log1p(ratio);
        }
        self.posterior * (libm::log(self.posterior) - libm::log(self.promised)) - self.excess
    }
}

/// ln((prior + n)/prior), also where the quotient overflows.
fn ln_growth(n: f64, prior: f64) -> f64 {
    let growth = n / prior;
    if growth.is_finite() { libm::log1p(growth) } else { libm::log(n) - libm::log(prior) }
}

/// What Stirling's formula leaves of ln Gamma(x), for any x > 0.
fn remainder(x: f64) -> f64 {
    if x >= STIRLING_FROM {
        return stirling_remainder(x);
    }
    ln_gamma(x) - (x - 0.5) * libm::log(x) + x - 0.5 * libm::log(2.0 * PI)
}
