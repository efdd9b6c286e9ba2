//! The units of a rollout by the stage of their first exposure, and their sums at a boundary. Each stage is
//! compared within itself, so that a baseline that drifts over the ramp cannot pass for an effect.
//!
//! w = n_T n_C/(n_T + n_C) (sizes only: weights made of estimated variances would bias the sum),
//! S = sum w contrast, V = sum w^2 Var(contrast), B = sum w |m_C| (0/1 data: w p0).

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::margin::{Boundary, ByArm};
use crate::{Moments, Outcome};

/// The units first exposed during one stage, matured outcomes only.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct Stratum {
    /// 0-based stage of the first exposure.
    pub stage: u32,
    /// The analysed treatment arm.
    pub treatment: Moments,
    /// The analysed control arm, of equal designed share.
    pub control: Moments,
}

/// One stage, both arms, checked; `events` only for 0/1 data.
#[derive(Clone, Copy, Debug)]
pub(super) struct Cell {
    pub(super) stage: u32,
    units: ByArm,
    events: ByArm,
    means: ByArm,
    /// Variances of the means; unused for 0/1 data.
    variances: ByArm,
    /// 0 when the stage cannot be compared within itself.
    weight: f64,
}

/// Sums over the strata of a start stage and all later ones, at one boundary.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Sums {
    pub(super) contrast: f64,
    pub(super) variance: f64,
    pub(super) weight: f64,
    pub(super) baseline: f64,
    pub(super) units_min: f64,
    pub(super) events_treatment: f64,
    pub(super) events_control: f64,
    units_treatment: f64,
    units_control: f64,
}

impl Sums {
    pub(super) fn add(&mut self, cell: &Cell, boundary: Boundary, outcome: Outcome) {
        self.events_treatment += cell.events.treatment;
        self.events_control += cell.events.control;
        if cell.weight == 0.0 {
            return;
        }
        let (of_means, baseline) = match outcome {
            Outcome::Mean => (cell.variances, cell.means.control.abs()),
            Outcome::Binary => {
                let p = boundary.probabilities(cell.events.treatment + cell.events.control, cell.units);
                let of = |p: f64, n: f64| p * (1.0 - p) / n;
                let variances = ByArm {
                    treatment: of(p.treatment, cell.units.treatment),
                    control: of(p.control, cell.units.control),
                };
                (variances, p.control)
            }
        };
        let w = cell.weight;
        self.contrast += w * boundary.contrast(cell.means);
        self.variance += w * w * boundary.variance(of_means);
        self.weight += w;
        self.baseline += w * baseline;
        self.units_treatment += cell.units.treatment;
        self.units_control += cell.units.control;
        self.units_min = self.units_treatment.min(self.units_control);
    }
}

/// Weighted means of the arms: the effect that `Sums::contrast` balances at 0.
pub(super) fn weighted_means(cells: &[Cell]) -> ByArm {
    let total: f64 = cells.iter().map(|cell| cell.weight).sum();
    let mean = |of: fn(&Cell) -> f64| cells.iter().map(|cell| cell.weight / total * of(cell)).sum();
    ByArm { treatment: mean(|cell| cell.means.treatment), control: mean(|cell| cell.means.control) }
}

/// The strata merged by stage, in the order of stages. `None` when a number is not finite or 0/1 data are not
/// whole counts.
pub(super) fn cells(outcome: Outcome, strata: &[Stratum]) -> Option<Vec<Cell>> {
    let mut sorted = Vec::with_capacity(strata.len());
    for stratum in strata {
        if !stratum.treatment.is_valid() || !stratum.control.is_valid() {
            return None;
        }
        sorted.push((*stratum, events(outcome, stratum)?));
    }
    sorted.sort_by_key(|(stratum, _)| stratum.stage);
    let mut merged: Vec<(Stratum, ByArm)> = Vec::with_capacity(sorted.len());
    for (stratum, events) in sorted {
        match merged.last_mut() {
            Some((last, total)) if last.stage == stratum.stage => {
                last.treatment.merge(&stratum.treatment);
                last.control.merge(&stratum.control);
                total.treatment += events.treatment;
                total.control += events.control;
            }
            _ => merged.push((stratum, events)),
        }
    }
    Some(merged.into_iter().map(|(stratum, events)| cell(outcome, &stratum, events)).collect())
}

fn events(outcome: Outcome, stratum: &Stratum) -> Option<ByArm> {
    match outcome {
        Outcome::Mean => Some(ByArm { treatment: 0.0, control: 0.0 }),
        Outcome::Binary => {
            Some(ByArm { treatment: stratum.treatment.events()? as f64, control: stratum.control.events()? as f64 })
        }
    }
}

fn cell(outcome: Outcome, stratum: &Stratum, events: ByArm) -> Cell {
    let Stratum { stage, treatment, control } = stratum;
    let units = ByArm { treatment: treatment.n as f64, control: control.n as f64 };
    let of_mean = |arm: &Moments| arm.variance().map(|variance| variance / arm.n as f64);
    let variances = of_mean(treatment).zip(of_mean(control));
    let is_comparable = match outcome {
        // A mean of one unit has no variance; leaving the stage out depends on sizes only, never on outcomes.
        Outcome::Mean => variances.is_some(),
        Outcome::Binary => treatment.n > 0 && control.n > 0,
    };
    let means = match outcome {
        Outcome::Mean => ByArm { treatment: treatment.mean, control: control.mean },
        Outcome::Binary => {
            ByArm { treatment: events.treatment / units.treatment, control: events.control / units.control }
        }
    };
    let (treatment, control) = variances.unwrap_or_default();
    Cell {
        stage: *stage,
        units,
        events,
        means: if is_comparable { means } else { ByArm { treatment: 0.0, control: 0.0 } },
        variances: ByArm { treatment, control },
        weight: if is_comparable { units.treatment * (units.control / (units.treatment + units.control)) } else { 0.0 },
    }
}
