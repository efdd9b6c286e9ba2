//! Two proportions when counts are small: Fisher's conditional test with the mid-p, and the interval of the odds
//! ratio that inverts this very test.
//!
//! Given all events m, X = x_T is noncentral hypergeometric with odds ratio psi: P(x) ~ C(n_T, x) C(n_C, m-x) psi^x.
//! Tail = P(X beyond x) + P(X = x)/2, two-sided p = 2 min(tails). An odds ratio becomes a difference or a lift through
//! the probabilities that have it and give m expected events: exact about no effect, blind to the uncertainty
//! of m, hence `comparison` widens it. Assumes independent units. Reference: Lancaster (1961), Agresti (2002) 3.5.

use crate::margin::ByArm;
use crate::proportion::Table;
use crate::root::{Point, root};

/// Terms of a sum: 200 standard deviations at a million events.
const TERMS_MAX: u32 = 100_000;
/// Terms smaller than this beside their sum change nothing.
const TERM_MIN: f64 = 1e-18;
/// Steps of size one and doubling from the start in ln(odds) until the bracket is found.
const BRACKET_STEPS_MAX: u32 = 12;

/// The mid-p test and the interval of the odds ratio it leaves.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct MidP {
    /// Two-sided.
    pub p_value: f64,
    /// Lower bound of the odds ratio, 0 when the data allow any.
    pub odds_lower: f64,
    /// Upper bound of the odds ratio, infinite when the data allow any.
    pub odds_upper: f64,
}

/// Tests no effect and bounds the odds ratio at two-sided `alpha`.
pub fn mid_p(table: Table, alpha: f64) -> MidP {
    let law = Law::of(table);
    let half = 0.5 * alpha;
    let start = libm::log(law.odds_guess());
    let tails = law.tails(0.0);
    let bound = |direction: f64| {
        // The tail that shrinks as ln(odds) moves away from the data in `direction`.
        let excess = |log_odds: f64| {
            let tails = law.tails(log_odds);
            (if direction < 0.0 { tails.upper } else { tails.lower }) - libm::log(half)
        };
        let (mut near, mut step) = (Point { x: start, y: excess(start) }, direction);
        if near.y <= 0.0 {
            // A guess outside its own interval: start from the far side.
            near = Point { x: start - direction * 50.0, y: excess(start - direction * 50.0) };
        }
        for _ in 0..BRACKET_STEPS_MAX {
            let x = near.x + step;
            let far = Point { x, y: excess(x) };
            if far.y <= 0.0 {
                return root(near, far, excess);
            }
            near = far;
            step *= 2.0;
        }
        direction * f64::INFINITY
    };
    MidP {
        p_value: (2.0 * libm::exp(tails.lower.min(tails.upper))).min(1.0),
        odds_lower: if law.x == law.lowest { 0.0 } else { libm::exp(bound(-1.0)) },
        odds_upper: if law.x == law.highest { f64::INFINITY } else { libm::exp(bound(1.0)) },
    }
}

/// The probabilities with this odds ratio whose expected total of events is the observed one.
pub(crate) fn probabilities_at(table: Table, odds: f64) -> ByArm {
    let (n_t, n_c) = (table.treatment.units as f64, table.control.units as f64);
    let m = table.treatment.events as f64 + table.control.events as f64;
    if odds == f64::INFINITY {
        return ByArm { treatment: (m / n_t).min(1.0), control: ((m - n_t) / n_c).max(0.0) };
    }
    // n_C (psi-1) p^2 + b p - m = 0, divided by max(psi, 1) against overflow.
    let scale = odds.max(1.0);
    let excess = (odds - 1.0) / scale;
    let b = n_c / scale + n_t * (odds / scale) - m * excess;
    let c = m / scale;
    let root = libm::sqrt((b * b + 4.0 * n_c * excess * c).max(0.0));
    // Of the two forms of the root, the one that does not cancel.
    let control = if b >= 0.0 { 2.0 * c / (b + root) } else { (root - b) / (2.0 * n_c * excess) };
    let control = control.clamp(0.0, 1.0);
    ByArm { treatment: ((m - n_c * control) / n_t).clamp(0.0, 1.0), control }
}

/// ln of both mid-p tails.
struct LnTails {
    lower: f64,
    upper: f64,
}

/// The conditional distribution of the treatment arm's events.
struct Law {
    x: u64,
    lowest: u64,
    highest: u64,
    n_t: f64,
    n_c: f64,
    m: f64,
}

impl Law {
    fn of(table: Table) -> Self {
        let m = table.treatment.events.saturating_add(table.control.events);
        Self {
            x: table.treatment.events,
            lowest: m.saturating_sub(table.control.units),
            highest: m.min(table.treatment.units),
            n_t: table.treatment.units as f64,
            n_c: table.control.units as f64,
            m: m as f64,
        }
    }

    /// The sample odds ratio with 1/2 added to each cell.
    fn odds_guess(&self) -> f64 {
        let x = self.x as f64;
        (x + 0.5) * (self.n_c - self.m + x + 0.5) / ((self.n_t - x + 0.5) * (self.m - x + 0.5))
    }

    /// P(k + 1) / P(k) without psi.
    fn ratio(&self, k: u64) -> f64 {
        let k = k as f64;
        (self.n_t - k) * (self.m - k) / ((k + 1.0) * (self.n_c - self.m + k + 1.0))
    }

    /// A most likely value, to rounding.
    fn mode(&self, odds: f64) -> u64 {
        let a = odds - 1.0;
        let b = (self.m + self.n_t + 2.0) * odds + self.n_c - self.m;
        let c = odds * (self.m + 1.0) * (self.n_t + 1.0);
        let mode = 2.0 * c / (b + libm::sqrt((b * b - 4.0 * a * c).max(0.0)));
        // The cast saturates, and turns NaN into 0.
        (mode as u64).clamp(self.lowest, self.highest)
    }

    /// Sum of P(k)/P(from) over the values beyond `from`, upwards or downwards.
    fn beyond(&self, from: u64, odds: f64, side: Side) -> f64 {
        let (mut sum, mut term, mut k) = (0.0, 1.0, from);
        for _ in 0..TERMS_MAX {
            match side {
                Side::Up if k < self.highest => {
                    term *= self.ratio(k) * odds;
                    k += 1;
                }
                Side::Down if k > self.lowest => {
                    k -= 1;
                    term /= self.ratio(k) * odds;
                }
                _ => break,
            }
            sum += term;
            if term < TERM_MIN * (1.0 + sum) {
                break;
            }
        }
        sum
    }

    /// ln[P(x)/P(mode)], by single steps so that nothing cancels; far away by log-gamma.
    fn ln_relative(&self, mode: u64, log_odds: f64) -> f64 {
        let (low, high) = (self.x.min(mode), self.x.max(mode));
        let steps = high - low;
        let rise = if steps <= STEPS_EXACT_MAX {
            (low..high).map(|k| libm::log(self.ratio(k))).sum::<f64>()
        } else {
            self.ln_weight(high) - self.ln_weight(low)
        } + steps as f64 * log_odds;
        if self.x >= mode { rise } else { -rise }
    }

    fn ln_weight(&self, k: u64) -> f64 {
        let ln_choose = |n: f64, k: f64| -libm::log(n + 1.0) - crate::special::ln_beta(k + 1.0, n - k + 1.0);
        ln_choose(self.n_t, k as f64) + ln_choose(self.n_c, self.m - k as f64)
    }

    /// Both tails at this odds ratio. The one that points away from the mode is summed, the other is the rest.
    fn tails(&self, log_odds: f64) -> LnTails {
        let odds = libm::exp(log_odds);
        let mode = self.mode(odds);
        let total = 1.0 + self.beyond(mode, odds, Side::Up) + self.beyond(mode, odds, Side::Down);
        let ln_at = self.ln_relative(mode, log_odds) - libm::log(total);
        let side = if self.x >= mode { Side::Up } else { Side::Down };
        let ln_tail = (ln_at + libm::log(0.5 + self.beyond(self.x, odds, side))).min(0.0);
        let ln_rest = libm::log1p(-libm::exp(ln_tail));
        match side {
            Side::Up => LnTails { lower: ln_rest, upper: ln_tail },
            Side::Down => LnTails { lower: ln_tail, upper: ln_rest },
        }
    }
}

/// Up to this many factors the ratio of two probabilities is multiplied out.
const STEPS_EXACT_MAX: u64 = 10_000;

#[derive(Clone, Copy)]
enum Side {
    Up,
    Down,
}
