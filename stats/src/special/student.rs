//! Student's t for 1 <= df <= 1e12: both tails and the quantile.
//!
//! P(T > t) = I_x(df/2, 1/2)/2 with x = df/(df + t^2), everything expressed in t^2/df so that nothing cancels at
//! large df (where `statrs` 0.19 is 7 % off or never returns). The middle is a series of positive terms, DLMF
//! 8.17.8. Quantile: Newton on the log tail against ln t, where the function is concave and the steps are monotone.

use std::f64::consts::LN_2;

use super::beta::{Shape, fraction, ln_beta};
use super::normal::normal_quantile;

/// Newton steps of the quantile; about ten are used.
const NEWTON_STEPS_MAX: u32 = 100;
/// Terms of the middle series; at most about eighty are used.
const SERIES_TERMS_MAX: u32 = 200;
/// Where the middle series hands over to the tail fraction, in t^2.
const MIDDLE_T2_MAX: f64 = 1.5;

/// P(T <= t) with `df` degrees of freedom.
pub fn t_cdf(t: f64, df: f64) -> f64 {
    t_sf(-t, df)
}

/// P(T > t) with `df` degrees of freedom; NaN for df below 1 or not finite.
pub fn t_sf(t: f64, df: f64) -> f64 {
    if t.is_nan() || !df.is_finite() || df < 1.0 {
        return f64::NAN;
    }
    let beyond = if t * t < MIDDLE_T2_MAX { 0.5 - middle(t.abs(), df) } else { tail(t.abs(), df) };
    if t >= 0.0 { beyond } else { 1.0 - beyond }
}

/// t with P(T <= t) = p; infinite at 0 and 1, NaN outside.
pub fn t_quantile(p: f64, df: f64) -> f64 {
    if p.is_nan() || !(0.0..=1.0).contains(&p) || !df.is_finite() || df < 1.0 {
        return f64::NAN;
    }
    if p > 0.5 { upper_quantile(1.0 - p, df) } else { -upper_quantile(p, df) }
}

/// t >= 0 with P(T > t) = p, p <= 1/2.
fn upper_quantile(p: f64, df: f64) -> f64 {
    if p == 0.0 {
        return f64::INFINITY;
    }
    if p == 0.5 {
        return 0.0;
    }
    let is_central = 0.5 - p < middle(libm::sqrt(MIDDLE_T2_MAX) * 0.99, df);
    // The first term of the Cornish-Fisher expansion; poor at small df, where the steps make up for it.
    let z = -normal_quantile(p);
    let mut log_t = libm::log(z + z * (z * z + 1.0) / (4.0 * df));
    for _ in 0..NEWTON_STEPS_MAX {
        let t = libm::exp(log_t);
        // d ln P / d ln t = +- t density(t) / P.
        let step = if is_central {
            let inside = middle(t, df);
            libm::log(inside / (0.5 - p)) * inside / libm::exp(log_t + ln_density(t, df))
        } else {
            let ln_beyond = ln_tail(t, df);
            (libm::log(p) - ln_beyond) * libm::exp(ln_beyond - log_t - ln_density(t, df))
        };
        log_t -= step;
        if step.abs() <= 4.0 * f64::EPSILON || !step.is_finite() {
            break;
        }
    }
    libm::exp(log_t)
}

/// t^2/df split so that neither overflows: (x, y, ln x, ln y) of the beta form.
struct BetaPoint {
    x: f64,
    y: f64,
    ln_x: f64,
    ln_y: f64,
}

fn beta_point(t: f64, df: f64) -> BetaPoint {
    // Beyond 1e150 the square overflows, and y is 1 to double precision for any df.
    if t > 1e150 {
        let ln_x = libm::log(df) - 2.0 * libm::log(t);
        return BetaPoint { x: libm::exp(ln_x), y: 1.0, ln_x, ln_y: 0.0 };
    }
    let u = t * t / df;
    BetaPoint { x: 1.0 / (1.0 + u), y: u / (1.0 + u), ln_x: -libm::log1p(u), ln_y: -libm::log1p(1.0 / u) }
}

fn ln_density(t: f64, df: f64) -> f64 {
    0.5 * (df + 1.0) * beta_point(t, df).ln_x - 0.5 * libm::log(df) - ln_beta(0.5 * df, 0.5)
}

fn tail(t: f64, df: f64) -> f64 {
    libm::exp(ln_tail(t, df))
}

/// ln P(T > t), t^2 > 1 or so.
fn ln_tail(t: f64, df: f64) -> f64 {
    if t == f64::INFINITY {
        return f64::NEG_INFINITY;
    }
    let (a, b) = (0.5 * df, 0.5);
    let BetaPoint { x, y, ln_x, ln_y } = beta_point(t, df);
    let ln_power = a * ln_x + b * ln_y - ln_beta(a, b);
    ln_power + libm::log(fraction(Shape { a, b, x, y })) - LN_2
}

/// P(0 < T < t) for small t.
fn middle(t: f64, df: f64) -> f64 {
    if t == 0.0 {
        return 0.0;
    }
    let (a, b) = (0.5, 0.5 * df);
    let BetaPoint { y, ln_x, .. } = beta_point(t, df);
    let (mut sum, mut term) = (1.0, 1.0);
    for n in 0..SERIES_TERMS_MAX {
        let n = f64::from(n);
        term *= (a + b + n) / (a + 1.0 + n) * y;
        sum += term;
        if term < 0.1 * f64::EPSILON * sum {
            break;
        }
    }
    // y^(1/2) x^b / (a B) / 2 with y = t^2 x / df.
    let ln_power = libm::log(t / libm::sqrt(df)) + (b + 0.5) * ln_x - ln_beta(a, b);
    libm::exp(ln_power) * sum
}
