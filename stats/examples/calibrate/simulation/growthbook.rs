//! GrowthBook's one-sided confidence sequence, as its engine computes it for two proportions: the yardstick of
//! detection.
//!
//! N units in both arms, x = N rho^2, rho^2 = (-2 ln 2a + ln(1 - 2 ln 2a))/N*; harm when the unpooled Wald z reaches
//! sqrt(2 (x+1)/x ln(1 + sqrt(x+1)/(2a))). An arm without variance gives no answer. Reference: Waudby-Smith, Arbour,
//! Sinha, Kennedy, Ramdas (2023).

use liftgate_stats::Moments;

/// GrowthBook's default tuning, units in both arms.
const UNITS_TUNED: f64 = 5_000.0;

/// Whether the sequence at `alpha` shows that treatment is above control.
pub fn is_above(treatment: &Moments, control: &Moments, alpha: f64) -> bool {
    if treatment.m2 <= 0.0 || control.m2 <= 0.0 {
        return false;
    }
    let wald = |arm: &Moments| arm.mean * (1.0 - arm.mean) / arm.n as f64;
    let z = (treatment.mean - control.mean) / (wald(treatment) + wald(control)).sqrt();
    let ln = 2.0 * (2.0 * alpha).ln();
    let x = (treatment.n + control.n) as f64 * ((1.0 - ln).ln() - ln) / UNITS_TUNED;
    z >= (2.0 * (x + 1.0) / x * ((x + 1.0).sqrt() / (2.0 * alpha)).ln_1p()).sqrt()
}
