//! A beta distribution in logits, u = ln(t/(1-t)): density t^a (1-t)^b, smooth and log-concave for any shapes, where the
//! density in t may be infinite at the ends. Positions are distances from the mode, t0 = a/(a+b), so that two arms with
//! a billion units keep their digits.
//!
//! ln f(d) - ln f(0) = a d - n ln(1 + t0 (e^d - 1)), n = a + b, near the mode as n h(t0 e) - a h(e) with e = e^d - 1,
//! h(x) = x - ln(1 + x), for t0 <= 1/2 and mirrored otherwise.

use crate::special::minus_log1p;

/// The mesh ends where the density has fallen by this exponent: probabilities and losses keep their digits down to 1e-50.
const DEPTH: f64 = 250.0;
/// Within a panel the density changes by this exponent at most, roughly.
const EXPONENT_PER_PANEL: f64 = 4.0;
/// Width of the panels at the mode, in units of its width and in logits: poles lie pi off the real line.
const PANEL_PER_WIDTH: f64 = 1.5;
const PANEL_LOGITS: f64 = 1.5;
/// How fast panels may grow where the density is a plain exponential, as a share of the distance.
const GROWTH: f64 = 0.3;
/// More panels than the smallest shapes need on one side.
const PANELS_MAX: u32 = 1_000;

/// Beta(a, b), not normalized: 1 at the mode.
#[derive(Clone, Copy, Debug)]
pub(super) struct Density {
    pub(super) a: f64,
    pub(super) b: f64,
}

impl Density {
    /// Logit of the mode.
    pub(super) fn center(self) -> f64 {
        ln_ratio(self.a, self.b)
    }

    /// How far the other's mode lies above this one's, without the error of either.
    pub(super) fn shift_to(self, other: Self) -> f64 {
        ln_ratio(other.a, self.a) + ln_ratio(self.b, other.b)
    }

    /// The density at a distance from the mode.
    pub(super) fn at(self, distance: f64) -> f64 {
        libm::exp(self.log_at(distance))
    }

    fn log_at(self, distance: f64) -> f64 {
        // Mirrored so that the mode's share is at most 1/2.
        let (a, b, d) = if self.a <= self.b { (self.a, self.b, distance) } else { (self.b, self.a, -distance) };
        let n = a + b;
        let share = a / n;
        let e = libm::expm1(d);
        if d.abs() < 0.5 {
            return n * minus_log1p(share * e) - a * minus_log1p(e);
        }
        if e.is_finite() { a * d - n * libm::log1p(share * e) } else { -b * d - n * libm::log(share) }
    }

    /// Derivative of the log density.
    fn slope(self, distance: f64) -> f64 {
        let share = self.a / (self.a + self.b);
        let e = libm::expm1(distance);
        // e/(1 + share e), also for infinite e.
        let ratio = if e > 1.0 { 1.0 / (1.0 / e + share) } else { e / (1.0 + share * e) };
        -self.a * (1.0 - share) * ratio
    }

    /// Ends of panels on which 16 nodes give the density to double precision, ascending.
    pub(super) fn mesh(self) -> Vec<f64> {
        let mut ends: Vec<f64> = self.side(-1.0);
        ends.reverse();
        ends.push(0.0);
        ends.extend(self.side(1.0));
        ends
    }

    fn side(self, direction: f64) -> Vec<f64> {
        let width = libm::sqrt(1.0 / self.a + 1.0 / self.b);
        let base = (PANEL_PER_WIDTH * width).min(PANEL_LOGITS);
        let center = direction * self.center();
        let (mut ends, mut distance) = (Vec::new(), 0.0_f64);
        for _ in 0..PANELS_MAX {
            // Plain exponentials lie beyond both the mode and t = 1/2.
            let beyond = distance.min(center + distance);
            let slope = self.slope(direction * distance).abs();
            distance += base.max(GROWTH * beyond).min(EXPONENT_PER_PANEL / slope);
            ends.push(direction * distance);
            if self.log_at(direction * distance) < -DEPTH {
                break;
            }
        }
        ends
    }
}

/// ln(x/y), with all digits where both are close.
fn ln_ratio(x: f64, y: f64) -> f64 {
    let excess = (x - y) / y;
    if excess.abs() < 0.5 { libm::log1p(excess) } else { libm::log(x) - libm::log(y) }
}
