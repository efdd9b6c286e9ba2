//! Anytime-valid bounds of the effect, for people: the boundary at which a bet just reaches its threshold.
//! They follow the verdicts: a harm is a bound beyond the margin.

use crate::margin::Boundary;
use crate::root::{Point, root};

use super::evidence::Side;

/// Doublings of the step in each search for a bracket.
const DOUBLINGS_MAX: u32 = 60;

/// Where a search starts, and on which scale it walks.
#[derive(Clone, Copy, Debug)]
pub(super) struct Start {
    /// The scale.
    pub(super) scale: Scale,
    /// The best guess of the effect: ln R0, R0 or the difference.
    pub(super) at: f64,
    /// A first step, about one standard error.
    pub(super) step: f64,
}

/// How a coordinate becomes a boundary.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Scale {
    /// ln of the ratio of means, for 0/1 data.
    LogRatio,
    /// The ratio of means.
    Ratio,
    /// The difference of means.
    Difference,
}

impl Scale {
    fn boundary(self, coordinate: f64) -> Boundary {
        match self {
            Self::LogRatio => Boundary::Ratio(libm::exp(coordinate)),
            Self::Ratio => Boundary::Ratio(coordinate),
            Self::Difference => Boundary::Difference(coordinate),
        }
    }

    /// The effect in the margin's terms.
    fn effect(self, coordinate: f64) -> f64 {
        match self {
            Self::LogRatio => libm::expm1(coordinate),
            Self::Ratio => coordinate - 1.0,
            Self::Difference => coordinate,
        }
    }
}

/// The effect beyond which `excess` (ln e minus the threshold) says no: a lower bound for a bet on effects above
/// the boundary, an upper bound for one below. `None` when no boundary within reach is rejected.
pub(super) fn bound(side: Side, start: Start, excess: impl Fn(Boundary) -> f64) -> Option<f64> {
    // A bet on higher effects rejects boundaries far below the data.
    let away = if side == Side::Above { -1.0 } else { 1.0 };
    let at = |x: f64| Point { x, y: excess(start.scale.boundary(x)) };
    let first = at(start.at);
    let is_rejected = first.y >= 0.0;
    let direction = if is_rejected { -away } else { away };
    let (mut near, mut step) = (first, start.step);
    for _ in 0..DOUBLINGS_MAX {
        let far = at(near.x + direction * step);
        if !far.y.is_finite() {
            return None;
        }
        if (far.y >= 0.0) != is_rejected {
            let coordinate = root(near, far, |x| excess(start.scale.boundary(x)));
            let effect = start.scale.effect(coordinate);
            return effect.is_finite().then_some(effect);
        }
        near = far;
        step *= 2.0;
    }
    None
}
