//! Log-beta without cancellation and the regularized incomplete beta function, both tails.
//!
//! Continued fraction of Didonato and Morris (1992, ACM TOMS 708, eq. 9): its terms hold a y - b x, not
//! 1 - x, so it keeps its digits when one shape is 1e12. Log-beta after Loader's Stirling remainders.

use std::f64::consts::PI;

use super::gamma::{STIRLING_FROM, minus_log1p, stirling_remainder};
use super::{Tails, steps};

/// ln B(a, b) for a, b > 0; NaN otherwise.
pub fn ln_beta(a: f64, b: f64) -> f64 {
    let (p, q) = if a <= b { (a, b) } else { (b, a) };
    if p.is_nan() || q.is_nan() || p <= 0.0 {
        return f64::NAN;
    }
    if q < STIRLING_FROM {
        return libm::lgamma(p) + libm::lgamma(q) - libm::lgamma(p + q);
    }
    let tail = stirling_remainder(q) - stirling_remainder(p + q);
    let log_rest = (q - 0.5) * libm::log1p(-p / (p + q));
    if p < STIRLING_FROM {
        return libm::lgamma(p) + tail + p - p * libm::log(p + q) + log_rest;
    }
    -0.5 * libm::log(q)
        + 0.5 * libm::log(2.0 * PI)
        + stirling_remainder(p)
        + tail
        + (p - 0.5) * libm::log(p / (p + q))
        + (log_rest + 0.5 * libm::log1p(-p / (p + q)))
}

/// The regularized incomplete beta function: I_x(a, b) (lower) and 1 - I_x(a, b) (upper), a, b > 0, x in [0, 1].
pub fn beta_tails(a: f64, b: f64, x: f64) -> Tails {
    if !(a > 0.0 && b > 0.0 && a.is_finite() && b.is_finite() && (0.0..=1.0).contains(&x)) {
        return Tails { lower: f64::NAN, upper: f64::NAN };
    }
    if x == 0.0 {
        return Tails { lower: 0.0, upper: 1.0 };
    }
    if x == 1.0 {
        return Tails { lower: 1.0, upper: 0.0 };
    }
    let y = 1.0 - x;
    if a * y >= b * x {
        let lower = libm::exp(ln_power(a, b, x)) * fraction(Shape { a, b, x, y });
        Tails { lower, upper: 1.0 - lower }
    } else {
        let upper = libm::exp(ln_power(a, b, x)) * fraction(Shape { a: b, b: a, x: y, y: x });
        Tails { lower: 1.0 - upper, upper }
    }
}

/// ln[x^a y^b / B(a, b)]; around the maximum when both shapes are large.
pub(crate) fn ln_power(a: f64, b: f64, x: f64) -> f64 {
    let (log_x, log_y) = (libm::log(x), libm::log1p(-x));
    if a.min(b) < STIRLING_FROM {
        return a * log_x + b * log_y - ln_beta(a, b);
    }
    let n = a + b;
    // x n - a, with the rounding of the product put back.
    let distance = libm::fma(x, n, -a);
    -a * minus_log1p(distance / a) - b * minus_log1p(-distance / b)
        + 0.5 * (libm::log(a) + libm::log(b / n) - libm::log(2.0 * PI))
        - (stirling_remainder(a) + stirling_remainder(b) - stirling_remainder(n))
}

/// Arguments of the continued fraction, y = 1 - x, with a y >= b x.
pub(super) struct Shape {
    pub(super) a: f64,
    pub(super) b: f64,
    pub(super) x: f64,
    pub(super) y: f64,
}

/// I_x(a, b) * B(a, b) / (x^a y^b).
pub(super) fn fraction(shape: Shape) -> f64 {
    let Shape { a, b, x, y } = shape;
    let lambda = a * y - b * x;
    let c = 1.0 + lambda;
    let c0 = b / a;
    let c1 = 1.0 + 1.0 / a;
    let (mut p, mut s) = (1.0, a + 1.0);
    let (mut numerator, mut denominator) = (0.0, 1.0);
    let (mut next_numerator, mut next_denominator) = (1.0, c / c1);
    let mut value = c1 / c;
    for n in 1..=steps(a.min(b)) {
        let n = f64::from(n);
        let t = n / a;
        let w = n * (b - n) * x;
        let e = a / s;
        let alpha = (p * (p + c0) * e * e) * (w * x);
        let e = (1.0 + t) / (c1 + t + t);
        let beta = n + w / s + e * (c + n * (1.0 + y));
        p = 1.0 + t;
        s += 2.0;
        (numerator, next_numerator) = (next_numerator, alpha * numerator + beta * next_numerator);
        (denominator, next_denominator) = (next_denominator, alpha * denominator + beta * next_denominator);
        let previous = value;
        value = next_numerator / next_denominator;
        if (value - previous).abs() <= 0.5 * f64::EPSILON * value.abs() {
            break;
        }
        numerator /= next_denominator;
        denominator /= next_denominator;
        next_numerator = value;
        next_denominator = 1.0;
    }
    value
}
