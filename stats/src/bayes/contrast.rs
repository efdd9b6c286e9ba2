//! The distribution of difference and ratio of two independent beta distributions, and its quantiles.
//!
//! P(T - C <= d) = int f_C(c) F_T(c + d) dc, or with the arms' parts exchanged; the narrower arm is integrated over, so
//! that the other's tails are smooth on its mesh. Where c + d passes 0 or 1 those tails have a kink, or a root if a shape
//! is below 1: panels shrink towards it by halves.

use super::gauss::{NODES, Rule};
use super::grid::{Arm, share};
use crate::root::{Point, root};
use crate::special::Tails;

/// Nodes that weigh less than this change no tail that is asked for.
const MASS_MIN: f64 = 1e-18;
/// Beyond this density, 1 at the mode, there is nothing of such weight.
const DENSITY_MIN: f64 = 1e-24;
/// Halvings of the panels towards a kink.
const HALVINGS: u32 = 40;
/// Doublings of the step until a quantile is passed.
const BRACKET_STEPS_MAX: u32 = 80;
/// Largest ln ratio: its exponential and what is multiplied with it stay doubles.
const LOG_RATIO_MAX: f64 = 600.0;

/// What is asked about.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) enum Scale {
    /// T - C, between -1 and 1.
    Difference,
    /// ln(T/C).
    LogRatio,
}

impl Scale {
    fn limit(self) -> f64 {
        match self {
            Self::Difference => 1.0,
            Self::LogRatio => LOG_RATIO_MAX,
        }
    }
}

/// Both quantiles of an interval with equal tails.
pub(super) struct Interval {
    pub(super) lower: f64,
    pub(super) upper: f64,
}

impl Interval {
    pub(super) fn width(&self) -> f64 {
        self.upper - self.lower
    }
}

/// A point of the narrower arm.
struct Node {
    share: f64,
    rest: f64,
    weight: f64,
}

/// Both arms, ready to be asked.
pub(super) struct Contrast<'a> {
    rule: &'a Rule,
    narrow: Arm<'a>,
    wide: Arm<'a>,
    is_treatment_narrow: bool,
    mesh: Vec<f64>,
    nodes: Vec<Node>,
}

impl<'a> Contrast<'a> {
    pub(super) fn new(rule: &'a Rule, control: Arm<'a>, treatment: Arm<'a>, is_treatment_narrow: bool) -> Self {
        let (narrow, wide) = if is_treatment_narrow { (treatment, control) } else { (control, treatment) };
        let mesh = narrow.density.mesh().into_iter().filter(|&end| narrow.density.at(end) > DENSITY_MIN).collect();
        let mut contrast = Self { rule, narrow, wide, is_treatment_narrow, mesh, nodes: Vec::new() };
        contrast.nodes = contrast.nodes_on(&contrast.mesh);
        contrast
    }

    /// The interval that leaves alpha/2 on either side; `center` and `width` say where to look.
    pub(super) fn interval(&self, scale: Scale, center: f64, width: f64, alpha: f64) -> Interval {
        let lower = self.quantile(scale, center, width, 0.5 * alpha);
        // The upper quantile from its own tail.
        let excess = |x: f64| libm::log(0.5 * alpha) - libm::log(self.tails(scale, x).upper);
        Interval { lower, upper: solve(scale, center, width, excess) }
    }

    /// Where the lower tail is `probability`.
    pub(super) fn quantile(&self, scale: Scale, center: f64, width: f64, probability: f64) -> f64 {
        solve(scale, center, width, |x| libm::log(self.tails(scale, x).lower) - libm::log(probability))
    }

    /// P(T - C <= x) and P(T - C > x), or of ln(T/C).
    fn tails(&self, scale: Scale, x: f64) -> Tails {
        // What takes the narrow arm's value to the wide arm's when the contrast is x.
        let x = if self.is_treatment_narrow { -x } else { x };
        let kink = match scale {
            Scale::Difference if x < 0.0 => libm::log(-x) - libm::log1p(x),
            Scale::Difference => libm::log1p(-x) - libm::log(x),
            Scale::LogRatio => -libm::log(libm::expm1(x)),
        };
        let is_inside = |kink: f64| {
            self.mesh.first().is_some_and(|first| *first < kink) && self.mesh.last().is_some_and(|last| kink < *last)
        };
        // NaN, where there is no kink, is not inside.
        let kink = kink - self.narrow.density.center();
        if !is_inside(kink) {
            return self.sum(scale, x, &self.nodes);
        }
        let mut mesh = self.mesh.clone();
        mesh.push(kink);
        let mut step = 1.0;
        for _ in 0..HALVINGS {
            mesh.extend([kink - step, kink + step].into_iter().filter(|&end| is_inside(end)));
            step *= 0.5;
        }
        mesh.sort_by(f64::total_cmp);
        self.sum(scale, x, &self.nodes_on(&mesh))
    }

    fn nodes_on(&self, mesh: &[f64]) -> Vec<Node> {
        let center = self.narrow.density.center();
        let panels = mesh.windows(2).map(|ends| (ends[0], 0.5 * (ends[1] - ends[0])));
        let points = panels.flat_map(|(low, half_width)| {
            (0..NODES).map(move |index| (low + half_width * (1.0 + self.rule.nodes[index]), half_width, index))
        });
        points
            .map(|(at, half_width, index)| Node {
                share: share(center + at),
                rest: share(-center - at),
                weight: half_width * self.rule.weights[index] * self.narrow.density.at(at) / self.narrow.table.total,
            })
            .filter(|node| node.weight > MASS_MIN)
            .collect()
    }

    fn sum(&self, scale: Scale, x: f64, nodes: &[Node]) -> Tails {
        let center = self.wide.density.center();
        let (factor, growth) = (libm::exp(x), libm::expm1(x));
        let mut sum = Tails { lower: 0.0, upper: 0.0 };
        for node in nodes {
            let (share, rest) = match scale {
                Scale::Difference => (node.share + x, node.rest - x),
                Scale::LogRatio => (node.share * factor, node.rest - node.share * growth),
            };
            let tails = if share <= 0.0 {
                Tails { lower: 0.0, upper: 1.0 }
            } else if rest <= 0.0 {
                Tails { lower: 1.0, upper: 0.0 }
            } else {
                self.wide.table.tails(libm::log(share) - libm::log(rest) - center)
            };
            sum.lower += node.weight * tails.lower;
            sum.upper += node.weight * tails.upper;
        }
        // Treatment below what control asks for, or control above what treatment asks for.
        if self.is_treatment_narrow { Tails { lower: sum.upper, upper: sum.lower } } else { sum }
    }
}

/// The root of an increasing function; the scale's own limit where it has none inside.
fn solve(scale: Scale, center: f64, width: f64, excess: impl Fn(f64) -> f64) -> f64 {
    let limit = scale.limit();
    let at = |x: f64| Point { x, y: excess(x) };
    let mut near = at(center.clamp(-limit, limit));
    let direction = if near.y > 0.0 { -1.0 } else { 1.0 };
    let mut step = width;
    for _ in 0..BRACKET_STEPS_MAX {
        if near.x.abs() >= limit && near.x * direction > 0.0 {
            return match scale {
                Scale::Difference => near.x,
                Scale::LogRatio => direction * f64::INFINITY,
            };
        }
        let far = at((near.x + direction * step).clamp(-limit, limit));
        if (far.y > 0.0) != (near.y > 0.0) {
            return root(near, far, excess);
        }
        near = far;
        step *= 2.0;
    }
    near.x
}
