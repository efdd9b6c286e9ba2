//! Probability and expected losses of two beta distributions by quadrature over both at once. Every integrand is
//! positive, so small probabilities and small losses keep their digits:
//! P(T > C) = int f_T F_C, E max(C - T, 0) = int F_T (1 - F_C) dt, in logits dt = t (1-t) du.

use super::beta::Beta;
use super::density::Density;
use super::gauss::{NODES, Rule};
use super::table::Table;

/// Panels narrower than this share of their position are rounding.
const PANEL_MIN: f64 = 1e-14;

/// Panels in logits that follow t (1-t), and how many on either side of t = 1/2.
const BEND_STEP: f64 = 1.5;
const BEND_STEPS: i32 = 27;

/// What the two distributions say about each other.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Contest {
    /// P(T > C).
    pub(super) treatment_greater: f64,
    /// P(C > T).
    pub(super) control_greater: f64,
    /// E max(T - C, 0).
    pub(super) treatment_excess: f64,
    /// E max(C - T, 0).
    pub(super) control_excess: f64,
}

/// P(T > C) by quadrature, for any shapes that [`super::compare_betas`] takes; `None` for others.
pub fn probability_greater_by_quadrature(treatment: Beta, control: Beta) -> Option<f64> {
    let (treatment, control) = (treatment.density().ok()?, control.density().ok()?);
    let rule = Rule::new();
    let tables = (Table::of(&rule, treatment), Table::of(&rule, control));
    Some(
        contest(&rule, Arm { density: treatment, table: &tables.0 }, Arm { density: control, table: &tables.1 })
            .treatment_greater,
    )
}

/// A distribution with its tails.
#[derive(Clone, Copy)]
pub(super) struct Arm<'a> {
    pub(super) density: Density,
    pub(super) table: &'a Table,
}

pub(super) fn contest(rule: &Rule, treatment: Arm, control: Arm) -> Contest {
    let shift = control.density.shift_to(treatment.density);
    let center = control.density.center();
    let mut ends = control.density.mesh();
    ends.extend(treatment.density.mesh().into_iter().map(|end| end + shift));
    // Between arms that lie far apart dt = t (1-t) du has a bend that neither mesh knows.
    let (first, last) =
        (ends.iter().copied().fold(f64::INFINITY, f64::min), ends.iter().copied().fold(f64::MIN, f64::max));
    let bends = (-BEND_STEPS..=BEND_STEPS).map(|step| f64::from(step) * BEND_STEP - center);
    ends.extend(bends.filter(|end| first < *end && *end < last));
    ends.sort_by(f64::total_cmp);
    let mut sum = Contest::default();
    for panel in ends.windows(2) {
        let half_width = 0.5 * (panel[1] - panel[0]);
        if half_width <= PANEL_MIN * panel[0].abs() {
            continue;
        }
        for index in 0..NODES {
            let at = panel[0] + half_width * (1.0 + rule.nodes[index]);
            let weight = half_width * rule.weights[index];
            let (t, c) = (treatment.table.tails(at - shift), control.table.tails(at));
            let per_logit = share(center + at) * share(-center - at);
            sum.treatment_greater += weight * treatment.density.at(at - shift) / treatment.table.total * c.lower;
            sum.control_greater += weight * control.density.at(at) / control.table.total * t.lower;
            sum.treatment_excess += weight * c.lower * t.upper * per_logit;
            sum.control_excess += weight * t.lower * c.upper * per_logit;
        }
    }
    // The smaller probability is the exact one.
    if sum.treatment_greater > sum.control_greater {
        sum.treatment_greater = 1.0 - sum.control_greater;
    } else {
        sum.control_greater = 1.0 - sum.treatment_greater;
    }
    sum
}

/// The share with this logit.
pub(super) fn share(logit: f64) -> f64 {
    1.0 / (1.0 + libm::exp(-logit))
}
