//! Planning: how many units and days an experiment needs, which power it has at a size, and which effect it can find.
//! For tests at one look and anytime-valid ones, of superiority and non-inferiority; no group-sequential plans.
//!
//! Everything rests on one expression, power(n) = Phi(distance sqrt(n/V) - c(n)): what is to be shown in standard
//! errors, less the critical value. `design` has distance and V, `critical` c, `size` and `detectable` solve it for n
//! and for the effect. Assumes independent units (or a design effect) and enough of them for near-normal means. All
//! input is plain data; what makes no sense is refused by its field's name.
//!
//! ```
//! use liftgate_stats::power::{PowerRequest, power};
//!
//! let request: PowerRequest = serde_json::from_str(
//!     r#"{"kind": "proportion", "baseline": {"mean": 0.05}, "effect": {"relative": 0.2}, "sides": "one"}"#,
//! )?;
//! let needed = power(&request)?.needed.expect("an effect was given");
//! assert_eq!(needed.treatment.expected, 6_424);
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! ```

mod answer;
mod checks;
mod critical;
mod design;
mod detectable;
mod error;
mod planned;
mod range;
mod request;
mod size;
mod still_needed;
mod tuned_at;
mod warnings;

pub use answer::{AtSize, DaysRange, Detectable, Needed, PowerAnswer, PowerWarning, StillNeeded, UnitsRange};
pub use error::PowerError;
pub use request::{Baseline, Cluster, Hypothesis, MetricKind, PowerMethod, PowerRequest, Sides, SoFar, Traffic};
pub use tuned_at::TunedAt;

use design::Design;

/// The JSON Schema of requests.
pub fn request_schema() -> serde_json::Value {
    schemars::schema_for!(PowerRequest).to_value()
}

/// The JSON Schema of answers.
pub fn answer_schema() -> serde_json::Value {
    schemars::schema_for!(PowerAnswer).to_value()
}

/// Answers a question about the size of an experiment.
///
/// # Errors
/// The first field that makes no sense, with what to write instead.
pub fn power(request: &PowerRequest) -> Result<PowerAnswer, PowerError> {
    let design = Design::new(request)?;
    if let Some(traffic) = request.traffic {
        checks::traffic(traffic)?;
    }
    let mean = request.baseline.mean;
    let needed = if design.is_sized() {
        design.planned(mean)?;
        // Out of reach is no obstacle to telling what a given size can do.
        match (design.needed(mean, request.baseline.units, design.critical), request.units_per_arm) {
            (Err(PowerError::OutOfReach { .. }), Some(_)) => None,
            (found, _) => Some(with_days(found?, request)),
        }
    } else {
        None
    };
    let planned_units = needed.map(|needed| needed.treatment.expected);
    let units = match (request.units_per_arm, planned_units) {
        (Some(units), _) => checks::units_per_arm(units, "units_per_arm")?,
        (None, Some(units)) => units,
        (None, None) => return Err(nothing_to_answer(request.hypothesis)),
    };
    let at_size = at_size(&design, mean, units);
    let still_needed = match request.so_far {
        None => None,
        Some(so_far) => {
            checks::so_far(request.kind, so_far)?;
            if !design.is_sized() {
                return Err(nothing_to_answer(request.hypothesis));
            }
            // The rule of the plan, which what has been seen must not change.
            let tuned_units = design.compared_units(planned_units.unwrap_or(units) as f64);
            let critical = design.critical.settled(tuned_units);
            let mut still_needed = design.still_needed(so_far, request.baseline, critical)?;
            still_needed.needed = with_days(still_needed.needed, request);
            still_needed.days = request.traffic.map(|traffic| range::days(still_needed.total, traffic));
            Some(still_needed)
        }
    };
    let mut answer = PowerAnswer {
        name: request.name.clone(),
        needed,
        at_size,
        still_needed,
        alpha_per_test: design.alpha,
        power_per_test: 1.0 - design.beta,
        warnings: Vec::new(),
    };
    answer.warnings = warnings::warnings(request, &design, &answer);
    Ok(answer)
}

fn nothing_to_answer(hypothesis: Hypothesis) -> PowerError {
    match hypothesis {
        Hypothesis::Superiority => PowerError::Missing {
            field: "effect",
            instead: "write the improvement to detect, or `units_per_arm` alone to learn which one can be",
        },
        Hypothesis::NonInferiority => PowerError::Missing {
            field: "margin",
            instead: "write how far the metric may get worse, or `units_per_arm` alone to learn which margin can be shown",
        },
    }
}

fn with_days(needed: Needed, request: &PowerRequest) -> Needed {
    Needed { days: request.traffic.map(|traffic| range::days(needed.total, traffic)), ..needed }
}

fn at_size(design: &Design, mean: f64, units: u64) -> AtSize {
    let compared_units = design.compared_units(units as f64);
    let planned = if design.is_sized() { design.planned(mean).ok() } else { None };
    AtSize {
        treatment_units: units,
        control_units: design.control_units(units),
        power: planned.map(|contrast| design.power_at(units, contrast, design.critical)),
        detectable: design.detectable_at(units, mean, design.critical),
        critical: design.critical.at(compared_units),
        tuned_at: design.critical.tuned_at(compared_units),
    }
}
