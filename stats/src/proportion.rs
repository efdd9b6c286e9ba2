//! Two proportions by the score test, with the intervals that invert this very test: p < alpha exactly when no
//! effect is outside.
//!
//! z(delta) = (p_T - p_C - delta)/sqrt([q(1-q)/n_T + p(1-p)/n_C] N/(N-1)) with q, p the maximum-likelihood
//! probabilities under q - p = delta; for a ratio R: (p_T - R p_C) and q = R p. Assumes independent units and
//! expected counts of about 10 (see `exact` for less). Reference: Miettinen and Nurminen (1985).

use crate::margin::{Boundary, ByArm};
use crate::root::{Point, nearly_linear_root, root};
use crate::{Estimate, special};

/// How far beyond the simple (Wald) interval a bound is looked for first.
const NEAR_FACTOR: f64 = 1.02;
/// Newton steps of the constrained probability before it is searched for; two or three are used.
const NEWTON_STEPS_MAX: u32 = 12;
/// Times a bracket may double before the search for a ratio's upper bound gives up.
const DOUBLINGS_MAX: u32 = 200;

/// Events among units, in one arm: at least one unit, and no more events than units.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Count {
    pub(crate) events: u64,
    pub(crate) units: u64,
}

impl Count {
    /// `events` of `units` units had the event; `None` without units or with more events than units.
    pub fn new(events: u64, units: u64) -> Option<Self> {
        (units > 0 && events <= units).then_some(Self { events, units })
    }

    /// Share of units with the event.
    pub fn share(self) -> f64 {
        self.events as f64 / self.units as f64
    }

    fn non_events(self) -> f64 {
        (self.units - self.events) as f64
    }
}

/// A 2x2 table.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Table {
    /// The treatment arm.
    pub treatment: Count,
    /// The control arm.
    pub control: Count,
}

impl Table {
    /// The smallest of the four counts expected when both arms share one probability.
    pub fn expected_min(self) -> f64 {
        let (n_t, n_c) = (self.treatment.units as f64, self.control.units as f64);
        let events = self.treatment.events as f64 + self.control.events as f64;
        let rest = self.treatment.non_events() + self.control.non_events();
        n_t.min(n_c) * (events.min(rest) / (n_t + n_c))
    }

    /// Whether one of the four observed counts is zero.
    pub fn has_zero_cell(self) -> bool {
        let is_edge = |count: Count| count.events == 0 || count.events == count.units;
        is_edge(self.treatment) || is_edge(self.control)
    }

    fn correction(self) -> f64 {
        let n = self.treatment.units as f64 + self.control.units as f64;
        n / (n - 1.0)
    }
}

/// The score statistic of no difference.
pub(crate) fn score_statistic(table: Table) -> f64 {
    score_of_difference(table, 0.0)
}

/// The score statistic at any boundary.
pub(crate) fn score_at(table: Table, boundary: Boundary) -> f64 {
    match boundary {
        Boundary::Ratio(ratio) => score_of_ratio(table, ratio),
        Boundary::Difference(difference) => score_of_difference(table, difference),
    }
}

/// z of the pooled test, without correction; `None` when all units have the same value.
pub(crate) fn pooled_z(table: Table) -> Option<f64> {
    let (n_t, n_c) = (table.treatment.units as f64, table.control.units as f64);
    let p = (table.treatment.events as f64 + table.control.events as f64) / (n_t + n_c);
    let z = (table.treatment.share() - table.control.share()) / libm::sqrt(p * (1.0 - p) * (1.0 / n_t + 1.0 / n_c));
    z.is_finite().then_some(z)
}

/// Two-sided p-value of no difference (score test with the N/(N-1) of Miettinen and Nurminen).
pub fn score_p_value(table: Table) -> f64 {
    (2.0 * special::normal_sf(score_statistic(table).abs())).min(1.0)
}

/// Difference of the proportions, with the interval of level 1 - `alpha`.
pub fn difference(table: Table, alpha: f64) -> Estimate {
    let critical = -special::normal_quantile(0.5 * alpha);
    let value = table.treatment.share() - table.control.share();
    // Around the simple interval, where the bound is; all the way to the end when it is not.
    let (share_t, share_c) = (table.treatment.share(), table.control.share());
    let simple = binomial_variance(table, ByArm { treatment: share_t, control: share_c }, 1.0);
    let near = NEAR_FACTOR * critical * libm::sqrt(simple);
    let bound = |end: f64, shift: f64| {
        let at = |delta: f64| Point { x: delta, y: score_of_difference(table, delta) + shift };
        let start = Point { x: value, y: shift };
        let guess = at((value + end * near).clamp(-1.0, 1.0));
        if let Some(found) = nearly_linear_root(start, guess, (-1.0, 1.0), |delta| at(delta).y) {
            return found;
        }
        let far = if (guess.y > 0.0) == (shift > 0.0) { at(end) } else { guess };
        root(start, far, |delta| score_of_difference(table, delta) + shift)
    };
    Estimate { value, lower: bound(-1.0, -critical), upper: bound(1.0, critical), se: None }
}

/// Relative change p_T/p_C - 1, with the interval of level 1 - `alpha`; `None` without control events or when
/// no upper bound is found.
pub fn lift(table: Table, alpha: f64) -> Option<Estimate> {
    if table.control.events == 0 {
        return None;
    }
    let critical = -special::normal_quantile(0.5 * alpha);
    let ratio = table.treatment.share() / table.control.share();
    // Around the simple interval of the logarithm, where the bounds are.
    let part = |count: Count| 1.0 / count.events as f64 - 1.0 / count.units as f64;
    let near = libm::exp(NEAR_FACTOR * critical * libm::sqrt(part(table.treatment) + part(table.control)));
    let lower = if table.treatment.events == 0 {
        0.0
    } else {
        let f = |r: f64| score_of_ratio(table, r) - critical;
        let start = Point { x: ratio, y: -critical };
        let guess = Point { x: ratio / near, y: f(ratio / near) };
        nearly_linear_root(start, guess, (0.0, ratio), f).unwrap_or_else(|| {
            let far = if guess.y > 0.0 { guess } else { Point { x: 0.0, y: f64::INFINITY } };
            root(start, far, f)
        })
    };
    let f = |r: f64| score_of_ratio(table, r) + critical;
    let mut end = if ratio > 0.0 { ratio * near } else { 1.0 / table.treatment.units as f64 };
    if !end.is_finite() {
        end = 2.0 * ratio;
    }
    let start = Point { x: ratio, y: critical };
    if ratio > 0.0
        && let Some(upper) = nearly_linear_root(start, Point { x: end, y: f(end) }, (ratio, f64::INFINITY), f)
    {
        return Some(Estimate { value: ratio - 1.0, lower: lower - 1.0, upper: upper - 1.0, se: None });
    }
    let mut doublings = 0;
    while f(end) > 0.0 {
        doublings += 1;
        if doublings > DOUBLINGS_MAX {
            return None;
        }
        end *= 2.0;
    }
    let upper = root(start, Point { x: end, y: f(end) }, f);
    Some(Estimate { value: ratio - 1.0, lower: lower - 1.0, upper: upper - 1.0, se: None })
}

fn score_of_difference(table: Table, delta: f64) -> f64 {
    let contrast = table.treatment.share() - table.control.share() - delta;
    let p = constrained_by_difference(table, delta);
    let variance = binomial_variance(table, ByArm { treatment: p + delta, control: p }, 1.0);
    standardize(contrast, variance * table.correction())
}

fn score_of_ratio(table: Table, ratio: f64) -> f64 {
    let contrast = table.treatment.share() - ratio * table.control.share();
    let p = constrained_by_ratio(table, ratio);
    let variance = binomial_variance(table, ByArm { treatment: ratio * p, control: p }, ratio);
    standardize(contrast, variance * table.correction())
}

/// 0 when there is nothing to explain; infinite when the boundary leaves no room for what is seen.
fn standardize(contrast: f64, variance: f64) -> f64 {
    if contrast == 0.0 {
        return 0.0;
    }
    contrast / libm::sqrt(variance.max(0.0))
}

fn binomial_variance(table: Table, p: ByArm, control_weight: f64) -> f64 {
    let of = |p: f64| {
        let p = p.clamp(0.0, 1.0);
        p * (1.0 - p)
    };
    of(p.treatment) / table.treatment.units as f64
        + control_weight * control_weight * of(p.control) / table.control.units as f64
}

/// Control probability p that maximizes the likelihood under q = p + delta: the one root of the score, which
/// falls from one end of the allowed range to the other.
fn constrained_by_difference(table: Table, delta: f64) -> f64 {
    let (low, high) = ((-delta).max(0.0), (1.0 - delta).min(1.0));
    if low >= high {
        return low.clamp(0.0, 1.0);
    }
    let part = |count: f64, p: f64| if count == 0.0 { 0.0 } else { count / p.max(0.0) };
    let (x_t, x_c) = (table.treatment.events as f64, table.control.events as f64);
    let (y_t, y_c) = (table.treatment.non_events(), table.control.non_events());
    let slope = |p: f64| part(x_c, p) - part(y_c, 1.0 - p) + part(x_t, p + delta) - part(y_t, 1.0 - p - delta);
    if let Some(p) = polished(table, delta, ByArm { treatment: high, control: low }) {
        return p;
    }
    let (at_low, at_high) = (slope(low), slope(high));
    if at_low <= 0.0 {
        return low;
    }
    if at_high >= 0.0 {
        return high;
    }
    root(Point { x: low, y: at_low }, Point { x: high, y: at_high }, slope)
}

/// The same root by Newton's steps on the score, from the free estimates: they are the answer at the observed difference, and
/// away from it the arms give way by their information n/(p(1-p)). (The cubic has a closed form, but it cancels for small
/// probabilities.) `None` when a count is zero or the steps do not settle inside of the range (`control` to `treatment`).
fn polished(table: Table, delta: f64, range: ByArm) -> Option<f64> {
    let (x_t, x_c) = (table.treatment.events as f64, table.control.events as f64);
    let (y_t, y_c) = (table.treatment.non_events(), table.control.non_events());
    if x_t.min(x_c).min(y_t).min(y_c) == 0.0 {
        return None;
    }
    let (share_t, share_c) = (table.treatment.share(), table.control.share());
    let (v_t, v_c) = (share_t * (y_t / (x_t + y_t)) / (x_t + y_t), share_c * (y_c / (x_c + y_c)) / (x_c + y_c));
    let mut p = share_c - (delta - (share_t - share_c)) * (v_c / (v_t + v_c));
    for _ in 0..NEWTON_STEPS_MAX {
        if !(range.control < p && p < range.treatment) {
            return None;
        }
        let (a, b, c, d) = (x_c / p, y_c / (1.0 - p), x_t / (p + delta), y_t / (1.0 - p - delta));
        let curvature = a / p + b / (1.0 - p) + c / (p + delta) + d / (1.0 - p - delta);
        let step = (a - b + c - d) / curvature;
        p += step;
        // The error is squared by each step.
        if step.abs() <= 1e-7 * p.min(1.0 - p) {
            return (range.control < p && p < range.treatment).then_some(p);
        }
    }
    None
}

/// Control probability p that maximizes the likelihood under q = R p (a quadratic).
fn constrained_by_ratio(table: Table, ratio: f64) -> f64 {
    let (n_t, n_c) = (table.treatment.units as f64, table.control.units as f64);
    let (x_t, x_c) = (table.treatment.events as f64, table.control.events as f64);
    let a = (n_t + n_c) * ratio;
    let b = n_t * ratio + x_t + n_c + x_c * ratio;
    let c = x_t + x_c;
    // The smaller root in the form that does not cancel.
    2.0 * c / (b + libm::sqrt((b * b - 4.0 * a * c).max(0.0)))
}
