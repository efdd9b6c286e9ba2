//! What an experiment's metrics say together: ship, do not ship, or wait.
//!
//! Ship iff a success metric is superior, all guardrails are shown to be within their margins, nothing deteriorated, and
//! the quality checks pass. Only the success metrics share alpha (any one of them suffices, so each has alpha over their
//! number); guardrails must all hold, so each keeps alpha whole, and what grows with their number is the sample
//! (beta/(G + 1)). Tests of deterioration can only stop a launch, never cause one. Assumes a plan fixed before the
//! start. Reference: Schultzberg, Ankargren, Franberg (2024), "Risk-aware product decisions in A/B tests with multiple metrics".

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::{ComparisonVerdict, Verdict};

/// What a metric is for.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum MetricRole {
    /// Moving it is the aim.
    Success,
    /// It is looked at.
    Secondary,
    /// It must not be harmed beyond its margin.
    Guardrail,
}

/// What is known of one metric of one treatment.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct MetricVerdict<'a> {
    /// The metric.
    pub metric: &'a str,
    /// What it is for.
    pub role: MetricRole,
    /// The comparison's verdict.
    pub verdict: ComparisonVerdict,
    /// The margin's verdict; a guardrail without one counts as undetermined.
    pub margin: Option<Verdict>,
}

/// A check of the data themselves.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct QualityCheck {
    /// Which: `srm`, `crossover`, `covariate_imbalance` ...
    pub check: String,
    /// Whether it passed.
    pub passed: bool,
    /// What was found, in a sentence.
    pub detail: String,
}

/// What to do.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum DecisionVerdict {
    /// All conditions of a launch hold.
    Ship,
    /// A guardrail is harmed, or a metric deteriorated.
    DoNotShip,
    /// Nothing speaks against it, but not everything is shown.
    Undecided,
    /// The data cannot be trusted, or a metric that must be judged cannot be.
    Undetermined,
}

/// What to do with a treatment, and why.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct Decision {
    /// The treatment.
    pub arm: String,
    /// What to do.
    pub verdict: DecisionVerdict,
    /// One sentence for each condition that does not hold, or for each that made it a launch.
    pub reasons: Vec<String>,
}

/// Decides about one treatment.
pub fn decide(arm: &str, metrics: &[MetricVerdict<'_>], quality: &[QualityCheck]) -> Decision {
    let mut stops = Vec::new();
    let mut unknown = Vec::new();
    let mut missing = Vec::new();
    let mut wins = Vec::new();
    for check in quality.iter().filter(|check| !check.passed) {
        unknown.push(format!("Quality check `{}` failed: {}", check.check, check.detail));
    }
    for it in metrics {
        let name = it.metric;
        if it.role == MetricRole::Guardrail {
            match it.margin.unwrap_or(Verdict::Undetermined) {
                Verdict::Harm => stops.push(format!("Guardrail `{name}` is harmed beyond its margin.")),
                Verdict::Safe => {}
                Verdict::Undecided => {
                    missing.push(format!("Guardrail `{name}` is not yet shown to be within its margin."))
                }
                Verdict::Undetermined => unknown.push(format!("Guardrail `{name}` cannot be judged.")),
            }
        }
        match it.verdict {
            // Worse, but within the margin that was agreed to, is what a margin is for.
            ComparisonVerdict::Worse if it.role != MetricRole::Guardrail || it.margin != Some(Verdict::Safe) => {
                stops.push(format!("Metric `{name}` deteriorated."));
            }
            ComparisonVerdict::Better if it.role == MetricRole::Success => {
                wins.push(format!("Success metric `{name}` improved."));
            }
            _ => {}
        }
    }
    let successes: Vec<_> = metrics.iter().filter(|it| it.role == MetricRole::Success).collect();
    if wins.is_empty() {
        if !successes.is_empty() && successes.iter().all(|it| it.verdict == ComparisonVerdict::Undetermined) {
            unknown.push("No success metric can be judged.".to_owned());
        } else {
            missing.push("No success metric is shown to have improved.".to_owned());
        }
    }
    let (verdict, reasons) = if !unknown.is_empty() && !quality.iter().all(|check| check.passed) {
        // Numbers that cannot be trusted decide nothing, not even against the treatment.
        (DecisionVerdict::Undetermined, unknown)
    } else if !stops.is_empty() {
        (DecisionVerdict::DoNotShip, stops)
    } else if !unknown.is_empty() {
        (DecisionVerdict::Undetermined, unknown)
    } else if !missing.is_empty() {
        (DecisionVerdict::Undecided, missing)
    } else {
        wins.push("No guardrail is harmed, nothing deteriorated, and the quality checks pass.".to_owned());
        (DecisionVerdict::Ship, wins)
    };
    Decision { arm: arm.to_owned(), verdict, reasons }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn metric(role: MetricRole, verdict: ComparisonVerdict, margin: Option<Verdict>) -> MetricVerdict<'static> {
        MetricVerdict { metric: "m", role, verdict, margin }
    }

    #[test]
    fn each_condition_of_a_launch_is_needed() {
        use ComparisonVerdict::{Better, Inconclusive, Undetermined as Unjudged, Worse};
        use MetricRole::{Guardrail, Secondary, Success};
        let win = metric(Success, Better, None);
        let safe = metric(Guardrail, Inconclusive, Some(Verdict::Safe));
        let check = |metrics: &[MetricVerdict<'_>], passed: bool, expected: DecisionVerdict| {
            let quality = [QualityCheck { check: "srm".into(), passed, detail: "p".into() }];
            let found = decide("b", metrics, &quality);
            assert_eq!(found.verdict, expected, "{found:?}");
            assert!(!found.reasons.is_empty());
        };
        check(&[win.clone(), safe.clone()], true, DecisionVerdict::Ship);
        check(&[win.clone(), safe.clone()], false, DecisionVerdict::Undetermined);
        check(&[metric(Success, Inconclusive, None), win.clone(), safe.clone()], true, DecisionVerdict::Ship);
        check(&[metric(Success, Worse, None), win.clone(), safe.clone()], true, DecisionVerdict::DoNotShip);
        check(&[metric(Success, Inconclusive, None), safe.clone()], true, DecisionVerdict::Undecided);
        check(&[metric(Success, Unjudged, None), safe.clone()], true, DecisionVerdict::Undetermined);
        check(&[win.clone(), metric(Guardrail, Worse, Some(Verdict::Harm))], true, DecisionVerdict::DoNotShip);
        check(&[win.clone(), metric(Guardrail, Worse, Some(Verdict::Harm))], false, DecisionVerdict::Undetermined);
        check(&[win.clone(), metric(Guardrail, Worse, Some(Verdict::Safe))], true, DecisionVerdict::Ship);
        check(
            &[win.clone(), metric(Guardrail, Inconclusive, Some(Verdict::Undecided))],
            true,
            DecisionVerdict::Undecided,
        );
        check(&[win.clone(), metric(Guardrail, Better, None)], true, DecisionVerdict::Undetermined);
        check(&[win, metric(Secondary, Worse, None), safe], true, DecisionVerdict::DoNotShip);
    }
}
