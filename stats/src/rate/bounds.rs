//! The odds that a two-sided test at alpha leaves open.
//!
//! Central and mid-p: both tails are monotone, and each bound is where its tail is alpha/2. Minimum likelihood: the
//! outermost odds with p >= alpha, so that holes of the set are filled and the coverage is kept. One case is arranged:
//! when equal rates lie in such a hole (p < alpha, and yet p >= alpha farther out) the interval ends inside of the hole,
//! so that it says the same as the test; what it leaves out then are the few odds beyond the hole.

use super::TwoSided;
use super::law::Law;
use super::two_sided::{envelope, p_value, tail};
use crate::root::{Point, root};

/// Doublings of the step away from the data until the bound is passed.
const BRACKET_STEPS_MAX: u32 = 64;

/// Bounds of the log-odds; absent where nothing bounds them.
pub(super) struct LogOdds {
    pub(super) lower: Option<f64>,
    pub(super) upper: Option<f64>,
}

/// The interval at `alpha` that agrees with the p-value at `equal`, the log-odds of equal rates.
pub(super) fn log_odds(law: Law, equal: f64, two_sided: TwoSided, alpha: f64) -> LogOdds {
    LogOdds {
        lower: lower(law, equal, two_sided, alpha),
        upper: lower(law.mirrored(), -equal, two_sided, alpha).map(|bound| -bound),
    }
}

fn lower(law: Law, equal: f64, two_sided: TwoSided, alpha: f64) -> Option<f64> {
    if law.x == 0 {
        return None;
    }
    let excess = |log_odds: f64| match two_sided {
        TwoSided::MinLikelihood => libm::log(envelope(law, log_odds)) - libm::log(alpha),
        TwoSided::Central | TwoSided::MidP => libm::log(tail(law, log_odds, two_sided)) - libm::log(0.5 * alpha),
    };
    let at = |x: f64| Point { x, y: excess(x) };
    let (x, rest) = (law.x as f64, (law.n - law.x) as f64);
    let unit = libm::sqrt(1.0 / x + 1.0 / (rest + 0.5));
    // Inside: usually the data themselves; with all events in one arm and a large alpha, farther up.
    let inside = search(at(law.log_odds_seen()), unit, at, |y| y >= 0.0)?;
    let outside = search(inside, -unit, at, |y| y < 0.0)?;
    let bound = root(inside, outside, excess);
    let is_in_hole = two_sided == TwoSided::MinLikelihood
        && bound <= equal
        && equal < law.log_odds_seen()
        && p_value(law, equal, two_sided) < alpha;
    if !is_in_hole {
        return Some(bound);
    }
    let excess = |log_odds: f64| libm::log(p_value(law, log_odds, two_sided)) - libm::log(alpha);
    let seen = law.log_odds_seen().max(inside.x);
    let end = root(Point { x: equal, y: excess(equal) }, Point { x: seen, y: excess(seen) }, excess);
    // Beyond equal rates also after rounding.
    Some(end.max(equal + 4.0 * f64::EPSILON * equal.abs().max(1.0)))
}

/// The first point from `start` on, by doubling steps, whose value is as wanted.
fn search(start: Point, step: f64, at: impl Fn(f64) -> Point, is_found: impl Fn(f64) -> bool) -> Option<Point> {
    let (mut point, mut step) = (start, step);
    for _ in 0..BRACKET_STEPS_MAX {
        if is_found(point.y) {
            return Some(point);
        }
        point = at(point.x + step);
        step *= 2.0;
    }
    None
}
