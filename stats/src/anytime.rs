//! Closed forms of the anytime-valid test: an interval and a p-value that hold at every look, by mixing over the effect.
//!
//! x = N rho^2 (information, N units), z = estimate/SE. Normal mixture, two-sided: ln e = -ln(1+x)/2 + x z^2/(2(1+x)),
//! p = min(1, 1/e), interval est +- c SE with c = sqrt(2 (1+x)/x ln(sqrt(1+x)/a)). One-sided: c = sqrt(2 (1+x)/x
//! ln(1 + sqrt(1+x)/(2a))), or half-normal mixture ln e = ln 2 - ln(1+x)/2 + x z^2/(2(1+x)) + ln Phi(z sqrt(x/(1+x))).
//! Tuning: rho^2 = (-2 ln a + ln(1 - 2 ln a))/N*; one-sided from 2a. Assumes independent matured units, enough of them for
//! a near-normal mean and its variance. All in logarithms: nothing is clipped, nothing searched for.
//! Reference: Robbins (1970); Howard, Ramdas, McAuliffe, Sekhon (2021); Waudby-Smith, Arbour, Sinha, Kennedy, Ramdas (2024).

use std::f64::consts::LN_2;

use crate::special::{ln_normal_cdf, ln_scaled_normal_cdf};

/// Where a mixture is sharpest: the interval is about the narrowest possible at N* units, and loses little around.
/// Chosen before the first unit is seen.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Tuning {
    rho_squared: f64,
}

impl Tuning {
    /// For two-sided statements at level `alpha`, sharpest at `units` (both arms, effective). `None` unless
    /// 0 < `alpha` < 1 and `units` is positive and finite.
    pub fn two_sided(alpha: f64, units: f64) -> Option<Self> {
        let is_usable = alpha > 0.0 && alpha < 1.0 && units > 0.0 && units.is_finite();
        let rho_squared = information_at_tuning(alpha) / units;
        (is_usable && rho_squared > 0.0 && rho_squared.is_finite()).then_some(Self { rho_squared })
    }

    /// For one-sided statements at level `alpha` < 1/2.
    pub fn one_sided(alpha: f64, units: f64) -> Option<Self> {
        Self::two_sided(2.0 * alpha, units)
    }

    /// rho^2, the mixture's variance of the standardized effect.
    pub fn rho_squared(self) -> f64 {
        self.rho_squared
    }

    /// x = N rho^2 after `units`.
    pub fn information(self, units: f64) -> f64 {
        self.rho_squared * units
    }
}

/// x at N = N*: -2 ln a + ln(1 - 2 ln a), for a two-sided level.
pub(crate) fn information_at_tuning(alpha: f64) -> f64 {
    let minus_two_ln_alpha = -2.0 * libm::log(alpha);
    minus_two_ln_alpha + libm::log1p(minus_two_ln_alpha)
}

/// c(x, a): the interval estimate +- c SE covers at all looks together with probability 1 - `alpha`. Infinite
/// without information; NaN for `alpha` outside ]0, 1[ and x outside [0, inf[, here and below.
pub fn multiplier(information: f64, alpha: f64) -> f64 {
    if !is_in_domain(information, alpha) {
        return f64::NAN;
    }
    from_ln_threshold(information, 0.5 * libm::log1p(information) - libm::log(alpha))
}

/// The same for one bound: estimate - c SE stays below the effect at all looks with probability 1 - `alpha`.
pub fn multiplier_one_sided(information: f64, alpha: f64) -> f64 {
    if !is_in_domain(information, alpha) {
        return f64::NAN;
    }
    // ln(1 + exp(ratio)), without forming sqrt(1+x)/(2a).
    let ratio = 0.5 * libm::log1p(information) - LN_2 - libm::log(alpha);
    let threshold = ratio.max(0.0) + libm::log1p(libm::exp(-ratio.abs()));
    from_ln_threshold(information, threshold)
}

/// ln e of the normal mixture: evidence against "no effect" in either direction.
pub fn ln_e_value(z: f64, information: f64) -> f64 {
    -0.5 * libm::log1p(information) + 0.5 * (information / (1.0 + information)) * z * z
}

/// min(1, 1/e): reject at any look where it is at most alpha. A sequence of looks reports its running minimum.
pub fn p_value(z: f64, information: f64) -> f64 {
    libm::exp(-ln_e_value(z, information)).min(1.0)
}

/// ln e of the half-normal mixture: evidence for an effect above zero.
pub fn ln_e_value_one_sided(z: f64, information: f64) -> f64 {
    let weight = information / (1.0 + information);
    let u = z * libm::sqrt(weight);
    let scale = LN_2 - 0.5 * libm::log1p(information);
    if u < 0.0 {
        // u^2/2 + ln Phi(u) as one: apart they are two large numbers of opposite sign.
        return scale + ln_scaled_normal_cdf(u);
    }
    scale + 0.5 * weight * z * z + ln_normal_cdf(u)
}

/// min(1, 1/e) of the half-normal mixture.
pub fn p_value_one_sided(z: f64, information: f64) -> f64 {
    libm::exp(-ln_e_value_one_sided(z, information)).min(1.0)
}

fn is_in_domain(information: f64, alpha: f64) -> bool {
    (0.0..f64::INFINITY).contains(&information) && alpha > 0.0 && alpha < 1.0
}

fn from_ln_threshold(information: f64, ln_threshold: f64) -> f64 {
    // 1 + 1/x is infinite at x = 0, as the multiplier is.
    libm::sqrt(2.0 * (1.0 + 1.0 / information) * ln_threshold)
}
