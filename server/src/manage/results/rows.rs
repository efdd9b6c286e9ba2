//! The readout as rows: one for each look, metric, slice and treatment. The whole population has an empty slice, and now an
//! empty `as_of`.

use liftgate_stats::{Comparison, Estimate};
use serde::Serialize;

use super::readout::Readout;
use crate::table::{Column, Kind, Value};

/// The columns.
pub const COLUMNS: [Column; 28] = [
    Column { name: "experiment", kind: Kind::Text },
    Column { name: "run", kind: Kind::Whole },
    Column { name: "as_of", kind: Kind::Text },
    Column { name: "metric", kind: Kind::Text },
    Column { name: "role", kind: Kind::Text },
    Column { name: "slice", kind: Kind::Text },
    Column { name: "control", kind: Kind::Text },
    Column { name: "arm", kind: Kind::Text },
    Column { name: "n_control", kind: Kind::Whole },
    Column { name: "n_treatment", kind: Kind::Whole },
    Column { name: "mean_control", kind: Kind::Number },
    Column { name: "mean_treatment", kind: Kind::Number },
    Column { name: "difference", kind: Kind::Number },
    Column { name: "difference_lower", kind: Kind::Number },
    Column { name: "difference_upper", kind: Kind::Number },
    Column { name: "se", kind: Kind::Number },
    Column { name: "lift", kind: Kind::Number },
    Column { name: "lift_lower", kind: Kind::Number },
    Column { name: "lift_upper", kind: Kind::Number },
    Column { name: "p_value", kind: Kind::Number },
    Column { name: "p_adjusted", kind: Kind::Number },
    Column { name: "log_e", kind: Kind::Number },
    Column { name: "probability_better", kind: Kind::Number },
    Column { name: "method", kind: Kind::Text },
    Column { name: "alpha", kind: Kind::Number },
    Column { name: "verdict", kind: Kind::Text },
    Column { name: "margin_verdict", kind: Kind::Text },
    Column { name: "warnings", kind: Kind::Text },
];

/// All rows: now first, then the looks in order of time.
pub fn rows(readout: &Readout) -> Vec<Vec<Value>> {
    let mut rows = Vec::new();
    for metric in &readout.metrics {
        let role = word(&metric.role);
        for found in &metric.comparisons {
            let mut head = Head::of(readout, metric.metric.as_str(), &role, &found.arm);
            head.p_adjusted = found.p_adjusted;
            rows.push(row(&head, &found.comparison));
        }
        for slice in metric.slices.iter().flat_map(|slices| &slices.slices) {
            for found in &slice.comparisons {
                let mut head = Head::of(readout, metric.metric.as_str(), &role, &found.arm);
                head.slice = &slice.slice;
                rows.push(row(&head, &found.comparison));
            }
        }
    }
    for look in &readout.series {
        for found in &look.metrics {
            let metric = readout.metrics.iter().find(|metric| metric.metric.as_str() == found.metric);
            let role = metric.map(|metric| word(&metric.role)).unwrap_or_default();
            let mut cells = vec![Value::Missing; COLUMNS.len()];
            let mut set = |name: &str, value: Value| {
                if let Some(place) = COLUMNS.iter().position(|column| column.name == name) {
                    cells[place] = value;
                }
            };
            set("experiment", Value::text(readout.experiment.as_str()));
            set("run", Value::Whole(readout.run));
            set("as_of", Value::Text(look.as_of.to_string()));
            set("metric", Value::text(&found.metric));
            set("role", Value::Text(role));
            set("slice", Value::text(""));
            set("control", Value::text(&readout.control));
            set("arm", Value::text(&found.arm));
            set("n_control", Value::Whole(found.n_control));
            set("n_treatment", Value::Whole(found.n_treatment));
            for (prefix, estimate) in [("difference", found.absolute), ("lift", found.relative)] {
                if let Some(it) = estimate {
                    set(prefix, Value::Number(it.value));
                    set(&format!("{prefix}_lower"), Value::Number(it.lower));
                    set(&format!("{prefix}_upper"), Value::Number(it.upper));
                }
            }
            set("p_value", found.p_value.map_or(Value::Missing, Value::Number));
            set("verdict", Value::Text(word(&found.verdict)));
            rows.push(cells);
        }
    }
    rows
}

/// What a row is about.
struct Head<'a> {
    readout: &'a Readout,
    metric: &'a str,
    role: &'a str,
    slice: &'a str,
    arm: &'a str,
    p_adjusted: Option<f64>,
}

impl<'a> Head<'a> {
    fn of(readout: &'a Readout, metric: &'a str, role: &'a str, arm: &'a str) -> Self {
        Self { readout, metric, role, slice: "", arm, p_adjusted: None }
    }
}

fn row(head: &Head<'_>, it: &Comparison) -> Vec<Value> {
    let number = |number: Option<f64>| number.map_or(Value::Missing, Value::Number);
    let mean = |arm: &liftgate_stats::Moments| number((arm.n > 0).then_some(arm.mean));
    let part = |estimate: Option<Estimate>, of: fn(Estimate) -> f64| number(estimate.map(of));
    let warnings: Vec<String> = it.warnings.iter().map(word).collect();
    vec![
        Value::text(head.readout.experiment.as_str()),
        Value::Whole(head.readout.run),
        Value::Missing,
        Value::text(head.metric),
        Value::text(head.role),
        Value::text(head.slice),
        Value::text(&head.readout.control),
        Value::text(head.arm),
        Value::Whole(it.control.n),
        Value::Whole(it.treatment.n),
        mean(&it.control),
        mean(&it.treatment),
        number(it.difference),
        part(it.absolute, |it| it.lower),
        part(it.absolute, |it| it.upper),
        number(it.absolute.and_then(|it| it.se)),
        part(it.relative, |it| it.value),
        part(it.relative, |it| it.lower),
        part(it.relative, |it| it.upper),
        number(it.p_value),
        number(head.p_adjusted),
        number(it.log_e),
        number(it.bayesian.map(|found| found.posterior.probability_better)),
        Value::Text(word(&it.method)),
        Value::Number(it.alpha),
        Value::Text(word(&it.verdict)),
        it.margin.map_or(Value::Missing, |margin| Value::Text(word(&margin.verdict))),
        Value::Text(warnings.join(" ")),
    ]
}

/// The wire word of a value that is one.
fn word(value: &impl Serialize) -> String {
    serde_json::to_value(value).ok().and_then(|value| value.as_str().map(str::to_owned)).unwrap_or_default()
}
