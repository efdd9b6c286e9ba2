//! P(T > C) of two beta distributions as a finite sum, when a shape is a small whole number.
//!
//! With b = b_T + b_C: P(T > C) = sum over i < a_T of B(a_C + i, b) / ((b_T + i) B(1 + i, b_T) B(a_C, b_C)), where each
//! term is the last one times (a_C + i)(b_T + i) / ((a_C + b + i)(i + 1)). Exchanging arms or ends of the scale lets
//! any of the four shapes count the terms. Reference: Miller (2015), "Formulas for Bayesian A/B testing".

use super::beta::Beta;
use crate::special::ln_beta;

/// More terms than this are left to quadrature.
const TERMS_MAX: f64 = 1_000.0;
/// Larger shapes lose digits in ln B, and are left to quadrature.
const SHAPE_MAX: f64 = 10_000.0;

/// Terms relative to the first are scaled down beyond this.
const RESCALE_ABOVE: f64 = 1e200;

/// P(T > C) by the sum over the smallest whole shape; `None` when there is none small enough, or when the answer would
/// be what is left of 1 and so lose its digits.
pub fn probability_greater_by_sum(treatment: Beta, control: Beta) -> Option<f64> {
    let mirrored = |arm: Beta| Beta { alpha: arm.beta, beta: arm.alpha };
    let shapes = [treatment.alpha, control.beta, control.alpha, treatment.beta];
    // NaN and negative shapes fail here as well.
    if !shapes.iter().all(|&shape| shape > 0.0 && shape <= SHAPE_MAX) {
        return None;
    }
    let is_countable = |shape: f64| libm::floor(shape) == shape && shape <= TERMS_MAX;
    let smallest = shapes.iter().copied().filter(|&shape| is_countable(shape)).fold(f64::INFINITY, f64::min);
    let index = shapes.iter().position(|&shape| shape == smallest)?;
    let (sum, is_rest) = match index {
        0 => (sum(treatment, control), false),
        1 => (sum(mirrored(control), mirrored(treatment)), false),
        2 => (sum(control, treatment), true),
        _ => (sum(mirrored(treatment), mirrored(control)), true),
    };
    match is_rest {
        false => Some(sum.min(1.0)),
        true if sum <= 0.5 => Some(1.0 - sum),
        true => None,
    }
}

/// P(X > Y), `x.alpha` being a whole number of terms.
fn sum(x: Beta, y: Beta) -> f64 {
    let b = x.beta + y.beta;
    // The first term may be too small for a double and the largest not: terms are kept relative to the first.
    let mut log_scale = ln_beta(y.alpha, b) - ln_beta(y.alpha, y.beta);
    let (mut term, mut sum) = (1.0, 0.0);
    for i in 0..x.alpha as u32 {
        let i = f64::from(i);
        sum += term;
        term *= (y.alpha + i) / (y.alpha + b + i) * ((x.beta + i) / (i + 1.0));
        if term > RESCALE_ABOVE {
            term /= RESCALE_ABOVE;
            sum /= RESCALE_ABOVE;
            log_scale += libm::log(RESCALE_ABOVE);
        }
    }
    libm::exp(log_scale + libm::log(sum))
}
