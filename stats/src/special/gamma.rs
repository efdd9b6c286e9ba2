//! Log-gamma and the regularized incomplete gamma function, from which the chi-square tail comes.
//!
//! Series below a + 1, continued fraction (modified Lentz) above: DLMF 8.11.4 and 8.9.2. The common factor
//! x^a e^-x / Gamma(a+1) is taken around its maximum for large a, so that it keeps its digits.

use std::f64::consts::PI;

use super::{Tails, steps};

/// From here the Stirling series of [`stirling_remainder`] is exact to double precision.
pub(crate) const STIRLING_FROM: f64 = 10.0;

/// ln Gamma(x) for x > 0; NaN otherwise.
pub fn ln_gamma(x: f64) -> f64 {
    if x > 0.0 { libm::lgamma(x) } else { f64::NAN }
}

/// P(X > x) for X chi-square with `df` degrees of freedom (df > 0).
pub fn chi_square_sf(x: f64, df: f64) -> f64 {
    gamma_tails(0.5 * df, 0.5 * x).upper
}

/// The regularized incomplete gamma functions P(a, x) (lower) and Q(a, x) (upper), a > 0, x >= 0.
pub fn gamma_tails(a: f64, x: f64) -> Tails {
    if !a.is_finite() || a <= 0.0 || x.is_nan() || x < 0.0 {
        return Tails { lower: f64::NAN, upper: f64::NAN };
    }
    if x == 0.0 {
        return Tails { lower: 0.0, upper: 1.0 };
    }
    if x == f64::INFINITY {
        return Tails { lower: 1.0, upper: 0.0 };
    }
    let factor = libm::exp(ln_factor(a, x));
    if x < a + 1.0 {
        let lower = factor * series(a, x);
        Tails { lower, upper: 1.0 - lower }
    } else {
        let upper = factor * a * fraction(a, x);
        Tails { lower: 1.0 - upper, upper }
    }
}

/// ln(x^a e^-x / Gamma(a + 1)).
fn ln_factor(a: f64, x: f64) -> f64 {
    if a < STIRLING_FROM {
        return a * libm::log(x) - x - libm::lgamma(a + 1.0);
    }
    -a * minus_log1p((x - a) / a) - 0.5 * libm::log(2.0 * PI * a) - stirling_remainder(a)
}

fn series(a: f64, x: f64) -> f64 {
    let (mut sum, mut term) = (1.0, 1.0);
    for n in 1..=steps(a) {
        term *= x / (a + f64::from(n));
        sum += term;
        if term < sum * 0.25 * f64::EPSILON {
            break;
        }
    }
    sum
}

fn fraction(a: f64, x: f64) -> f64 {
    let mut b = x + 1.0 - a;
    let mut c = f64::INFINITY;
    let mut d = 1.0 / b;
    let mut h = d;
    for n in 1..=steps(a) {
        let n = f64::from(n);
        let numerator = -n * (n - a);
        b += 2.0;
        d = 1.0 / nonzero(numerator * d + b);
        c = nonzero(b + numerator / c);
        let factor = c * d;
        h *= factor;
        if (factor - 1.0).abs() < f64::EPSILON {
            break;
        }
    }
    h
}

/// Lentz's guard: a vanishing partial denominator becomes a tiny one.
fn nonzero(x: f64) -> f64 {
    if x.abs() < 1e-300 { 1e-300 } else { x }
}

/// x - ln(1 + x) without cancellation near 0.
pub(crate) fn minus_log1p(x: f64) -> f64 {
    if !(-0.4..=0.6).contains(&x) {
        return x - libm::log1p(x);
    }
    // ln(1+x) = 2 atanh(r), r = x/(2+x), and x - 2r = r x.
    let r = x / (2.0 + x);
    let square = r * r;
    let (mut sum, mut power) = (0.0, 1.0);
    for n in 1..=30_u32 {
        let term = power / f64::from(2 * n + 1);
        sum += term;
        power *= square;
        if power < 1e-17 {
            break;
        }
    }
    r * x - 2.0 * r * square * sum
}

/// ln Gamma(x) - [(x - 1/2) ln x - x + ln(2 pi)/2] for x >= [`STIRLING_FROM`].
pub(crate) fn stirling_remainder(x: f64) -> f64 {
    const COEFFICIENTS: [f64; 8] = [
        1.0 / 12.0,
        -1.0 / 360.0,
        1.0 / 1260.0,
        -1.0 / 1680.0,
        1.0 / 1188.0,
        -691.0 / 360_360.0,
        1.0 / 156.0,
        -3617.0 / 122_400.0,
    ];
    let u = 1.0 / (x * x);
    COEFFICIENTS.iter().rev().fold(0.0, |sum, c| sum * u + c) / x
}
