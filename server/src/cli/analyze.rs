//! `liftgate analyze`: one analysis or many, from moments to verdicts. Needs no server.

use std::process::ExitCode;

use liftgate_stats::{
    Assessment, Comparison, Estimate,
    analysis::{Answer, FieldError, Named, Request},
};
use serde::Serialize;
use serde_json::Value;

use super::{
    Error,
    documents::{self, Answerer, DocumentArgs, SchemaOf},
};

const HEADER: [&str; 12] =
    ["NAME", "WHAT", "ARM", "METHOD", "DIFFERENCE", "FROM", "TO", "LIFT", "FROM", "TO", "P-VALUE", "VERDICT"];

struct Analyze;

/// Answers the requests of a file.
pub fn run(args: &DocumentArgs) -> Result<ExitCode, Error> {
    documents::run(args, &Analyze)
}

impl Answerer for Analyze {
    type Answer = Named;

    fn answer(&self, request: Value) -> Result<Named, FieldError> {
        Request::from_value(request)?.analyze()
    }

    fn schema(&self, of: SchemaOf) -> Value {
        match of {
            SchemaOf::Request => liftgate_stats::analysis::request_schema(),
            SchemaOf::Answer => liftgate_stats::analysis::answer_schema(),
        }
    }

    fn header(&self) -> &'static [&'static str] {
        &HEADER
    }

    fn rows(&self, answer: &Named) -> Vec<Vec<String>> {
        let rows = rows(&answer.answer);
        let name = answer.name.clone().unwrap_or_default();
        rows.into_iter().map(|row| row.into_cells(name.clone())).collect()
    }
}

/// One row of the table; what it does not say is left blank.
#[derive(Default)]
struct Row {
    what: String,
    arm: String,
    method: String,
    difference: Option<Estimate>,
    lift: Option<Estimate>,
    p_value: Option<f64>,
    verdict: String,
}

impl Row {
    fn into_cells(self, name: String) -> Vec<String> {
        let mut cells = vec![name, self.what, self.arm, self.method];
        cells.extend(estimate(self.difference, |value| format!("{value:.6}")));
        cells.extend(estimate(self.lift, |value| format!("{:+.2} %", value * 100.0)));
        cells.push(self.p_value.map_or_else(|| "-".to_owned(), p_value));
        cells.push(self.verdict);
        cells
    }

    fn of_comparison(what: &str, arm: &str, it: &Comparison) -> Self {
        let probability = it.bayesian.map(|it| format!("P(better) {:.4}", it.posterior.probability_better));
        let mut verdict = probability.unwrap_or_else(|| word(&it.verdict));
        if let Some(margin) = it.margin {
            verdict.push_str(&format!(", margin: {}", word(&margin.verdict)));
        }
        Self {
            what: what.to_owned(),
            arm: arm.to_owned(),
            method: word(&it.method),
            difference: it.absolute,
            lift: it.relative,
            p_value: it.p_value,
            verdict,
        }
    }
}

/// A p-value that is never shown as 0.
pub fn p_value(p: f64) -> String {
    match p {
        // Smaller than any double.
        0.0 => "<1e-300".to_owned(),
        p if p < 1e-4 => format!("{p:.2e}"),
        p => format!("{p:.4}"),
    }
}

fn estimate(estimate: Option<Estimate>, show: impl Fn(f64) -> String) -> [String; 3] {
    match estimate {
        Some(it) => [show(it.value), show(it.lower), show(it.upper)],
        None => ["-", "-", "-"].map(str::to_owned),
    }
}

/// The wire word of a value that is one.
fn word(value: &impl Serialize) -> String {
    serde_json::to_value(value).ok().and_then(|value| value.as_str().map(str::to_owned)).unwrap_or_default()
}

fn rows(answer: &Answer) -> Vec<Row> {
    match answer {
        Answer::Metric(it) => {
            it.comparisons.iter().map(|found| Row::of_comparison("metric", &found.arm, &found.comparison)).collect()
        }
        Answer::Experiment(it) => {
            let metrics = it.metrics.iter().flat_map(|metric| {
                let of = |found: &liftgate_stats::analysis::ExperimentComparison| {
                    Row::of_comparison(&metric.metric, &found.arm, &found.comparison)
                };
                metric.comparisons.iter().map(of).collect::<Vec<_>>()
            });
            let decisions = it.decisions.iter().map(|decision| Row {
                what: "decision".to_owned(),
                arm: decision.arm.clone(),
                verdict: format!("{}: {}", word(&decision.verdict), decision.reasons.join(" ")),
                ..Row::default()
            });
            metrics.chain(decisions).collect()
        }
        Answer::Slices(it) => {
            let slices = it.slices.iter().flat_map(|slice| {
                slice.comparisons.iter().map(|found| Row::of_comparison(&slice.slice, &found.arm, &found.comparison))
            });
            let differ = it.heterogeneity.iter().map(|found| Row {
                what: "heterogeneity".to_owned(),
                arm: found.arm.clone(),
                method: "cochran_q".to_owned(),
                p_value: found.p_value,
                ..Row::default()
            });
            slices.chain(differ).collect()
        }
        Answer::Guardrail(it) => vec![of_guardrail(it)],
        Answer::Srm(it) => {
            let mut rows = vec![Row {
                what: "srm".to_owned(),
                method: word(&it.method),
                p_value: it.p_value,
                verdict: word(&it.verdict),
                ..Row::default()
            }];
            rows.extend(it.groups.iter().map(|group| Row {
                what: group.group.clone(),
                method: "holm".to_owned(),
                p_value: group.p_adjusted,
                ..Row::default()
            }));
            rows
        }
        Answer::Rates(it) => it
            .comparisons
            .iter()
            .map(|found| Row {
                what: "rates".to_owned(),
                arm: found.arm.clone(),
                method: word(&found.method),
                lift: found.relative,
                p_value: found.p_value,
                verdict: word(&found.verdict),
                ..Row::default()
            })
            .collect(),
        Answer::Multiplicity(it) => it
            .tests
            .iter()
            .map(|test| Row {
                what: test.name.clone(),
                method: word(&it.method),
                difference: test.interval,
                p_value: test.adjusted.p_adjusted,
                verdict: if test.adjusted.rejected { "rejected" } else { "not rejected" }.to_owned(),
                ..Row::default()
            })
            .collect(),
    }
}

fn of_guardrail(it: &Assessment) -> Row {
    let reason = it.reason.map_or_else(String::new, |reason| format!(": {reason}"));
    let effect = it.effect.map(|value| Estimate {
        value,
        lower: it.lower.unwrap_or(f64::NEG_INFINITY),
        upper: it.upper.unwrap_or(f64::INFINITY),
        se: None,
    });
    Row {
        what: "guardrail".to_owned(),
        method: "monitor".to_owned(),
        difference: effect,
        p_value: it.reason.is_none().then(|| (-it.log_e_harm).exp().min(1.0)),
        verdict: format!("{}{reason}", word(&it.verdict)),
        ..Row::default()
    }
}
