//! Special functions on `libm`, so that every platform gives the same bits. Each call takes a bounded
//! number of steps; an argument outside the domain gives NaN. Upper tails are computed as such, never as
//! one minus a lower tail, so that z = 17.7 has p = 4e-70 and not 0.

mod beta;
mod gamma;
mod normal;
mod student;

pub(crate) use beta::ln_power;
pub use beta::{beta_tails, ln_beta};
pub(crate) use gamma::{STIRLING_FROM, minus_log1p, stirling_remainder};
pub use gamma::{chi_square_sf, gamma_tails, ln_gamma};
pub use normal::{ln_normal_cdf, ln_scaled_normal_cdf, normal_cdf, normal_quantile, normal_sf};
pub use student::{t_cdf, t_quantile, t_sf};

/// Both tails of a distribution at a point; they sum to 1, and each is accurate where it is small.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Tails {
    /// Probability below the point.
    pub lower: f64,
    /// Probability above the point.
    pub upper: f64,
}

/// Steps that suffice for small shapes.
const STEPS_BASE: f64 = 200.0;
/// Further steps per square root of the shape: the width of the region where terms still matter.
const STEPS_PER_ROOT: f64 = 12.0;
/// No call takes more steps than this.
const STEPS_MAX: f64 = 20_000.0;

/// Upper bound of the steps for a shape parameter.
fn steps(shape: f64) -> u32 {
    (STEPS_BASE + STEPS_PER_ROOT * libm::sqrt(shape)).min(STEPS_MAX) as u32
}
