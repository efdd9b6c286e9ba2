//! Student's t for 1 <= df <= 1e12: both tails and the quantile.
//!
//! P(T > t) = I_x(df/2, 1/2)/2 with x = df/(df + t^2), everything expressed in t^2/df so that nothing cancels at
//! large df (where `statrs` 0.19 is 7 % off or never returns). The middle is a series of positive terms, DLMF
//! 8.17.8. Quantile: Newton on the log tail against ln t, where the function is concave and the steps are monotone.

use std::f64::consts::{FRAC_2_SQRT_PI, LN_2};

use super::beta::{Shape, fraction, ln_beta};
use super::normal::normal_quantile;

/// Newton steps of the quantile; about ten are used.
const NEWTON_STEPS_MAX: u32 = 100;
/// Terms of the middle series; at most about eighty are used.
const SERIES_TERMS_MAX: u32 = 200;
/// A Newton step this small was the last one needed.
const STEP_LAST: f64 = 1e-10;
/// From here on, and up to this quantile of the normal distribution, five terms of the Cornish-Fisher expansion are exact to
/// double precision.
const CORNISH_FISHER_FROM_DF: f64 = 2_000.0;
const CORNISH_FISHER_Z_MAX: f64 = 5.0;
/// From here on, while t^2 is below this share of df, the expansion of [`expanded_tail`] is exact to 1e-13.
const EXPANDED_FROM_DF: f64 = 200.0;
const EXPANDED_T2_SHARE_MAX: f64 = 0.6;
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
    let beyond = if is_expandable(t, df) {
        expanded_tail(t.abs(), df)
    } else if t * t < MIDDLE_T2_MAX {
        0.5 - middle(t.abs(), df)
    } else {
        tail(t.abs(), df)
    };
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
    let z = -normal_quantile(p);
    if df >= CORNISH_FISHER_FROM_DF && z <= CORNISH_FISHER_Z_MAX {
        return cornish_fisher(z, df);
    }
    let is_central = 0.5 - p < middle(libm::sqrt(MIDDLE_T2_MAX) * 0.99, df);
    // The first term of the Cornish-Fisher expansion; poor at small df, where the steps make up for it.
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
        // The error is squared by each step, so what is left after this one is nothing.
        if step.abs() <= STEP_LAST || !step.is_finite() {
            break;
        }
    }
    libm::exp(log_t)
}

/// t = z + g1/df + ... + g5/df^5, Abramowitz and Stegun (1964), 26.7.5, with the fifth term of Hill (1970).
fn cornish_fisher(z: f64, df: f64) -> f64 {
    let s = z * z;
    let g1 = (s + 1.0) / 4.0;
    let g2 = ((5.0 * s + 16.0) * s + 3.0) / 96.0;
    let g3 = (((3.0 * s + 19.0) * s + 17.0) * s - 15.0) / 384.0;
    let g4 = ((((79.0 * s + 776.0) * s + 1_482.0) * s - 1_920.0) * s - 945.0) / 92_160.0;
    let g5 = (((((27.0 * s + 339.0) * s + 930.0) * s - 1_782.0) * s - 765.0) * s + 17_955.0) / 368_640.0;
    let u = 1.0 / df;
    z + z * u * (g1 + u * (g2 + u * (g3 + u * (g4 + u * g5))))
}

fn is_expandable(t: f64, df: f64) -> bool {
    df >= EXPANDED_FROM_DF && t * t <= EXPANDED_T2_SHARE_MAX * df
}

/// P(T > t) for large df, in a few operations instead of a continued fraction: with a = df/2, xi = ln(1 + t^2/df),
/// z = a xi, the beta integral over e^-u is expanded around u = 0, ((1 - e^-u)/u)^(-1/2) = sum d_k u^k, and its terms are incomplete
/// gamma functions, G_0 = erfc(sqrt z), G_(k+1) = ((k + 1/2) G_k + xi^k sqrt(z/pi) e^-z)/a: sums of positive numbers. Reference: DLMF
/// 8.18 (ii), Temme's expansion for one large shape; the terms here are taken around 0, which serves while u is small.
fn expanded_tail(t: f64, df: f64) -> f64 {
    /// d_1 to d_9.
    const D: [f64; 9] = [
        1.0 / 4.0,
        1.0 / 96.0,
        -1.0 / 384.0,
        -1.0 / 10_240.0,
        19.0 / 368_640.0,
        79.0 / 61_931_520.0,
        -55.0 / 49_545_216.0,
        -2_339.0 / 118_908_518_400.0,
        11_813.0 / 475_634_073_600.0,
    ];
    /// Gamma(a + 1/2)/(Gamma(a) sqrt a) in powers of 1/a.
    const RATIO: [f64; 7] =
        [1.0, -1.0 / 8.0, 1.0 / 128.0, 5.0 / 1_024.0, -21.0 / 32_768.0, -399.0 / 262_144.0, 869.0 / 4_194_304.0];
    let inverse = 2.0 / df;
    let xi = libm::log1p(t * t / df);
    let z = 0.5 * df * xi;
    let root = libm::sqrt(z);
    let mut rest = root * libm::exp(-z) * FRAC_2_SQRT_PI * 0.5 * inverse;
    let mut term = libm::erfc(root);
    let mut sum = term;
    for (k, d) in D.iter().enumerate() {
        term = (k as f64 + 0.5) * inverse * term + rest;
        rest *= xi;
        sum += d * term;
    }
    0.5 * sum * RATIO.iter().rev().fold(0.0, |sum, c| sum * inverse + c)
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_expansion_agrees_with_the_continued_fraction_where_it_takes_over() {
        for df in [200.0, 317.0, 1_000.0, 2_345.6, 1e5, 1e7] {
            for step in 1..60 {
                let t = 0.25 * f64::from(step);
                if t * t < MIDDLE_T2_MAX || !is_expandable(t, df) {
                    continue;
                }
                let (quick, slow) = (expanded_tail(t, df), tail(t, df));
                assert!((quick / slow - 1.0).abs() < 1e-11, "t {t}, df {df}: {quick:e} {slow:e}");
            }
        }
    }

    #[test]
    fn the_series_quantile_has_the_tail_that_was_asked_for() {
        for df in [2_000.0, 5_555.5, 1e5, 1e9] {
            for p in [0.4, 0.2, 0.05, 0.025, 1e-3, 1e-5, 3e-7] {
                let t = t_quantile(1.0 - p, df);
                assert!((t_sf(t, df) / (1.0 - (1.0 - p)) - 1.0).abs() < 2e-12, "p {p}, df {df}: {:e}", t_sf(t, df));
            }
        }
    }
}
