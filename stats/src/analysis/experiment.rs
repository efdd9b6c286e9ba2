//! A whole experiment: the sample ratio, every metric by its role, slices, and the decision.
//!
//! Success metrics share alpha over their number and the number of treatments (Bonferroni); guardrails are tested at
//! their margins, each at alpha; secondary metrics are a family of their own, corrected as the request says, and each
//! interval is drawn at the level that agrees with its corrected p-value.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::FieldError;
use super::arm::{ArmInput, f64_or_u64};
use super::metric::{Arms, Kind, MetricData, compare_arm, increase};
use super::slices::{SliceInput, SlicesAnswer, analyze_slices};
use super::srm::{SrmAnswer, SrmMethod, test_shares};
use crate::decision::{Decision, MetricRole, MetricVerdict, QualityCheck, decide};
use crate::multiplicity::{Correction, adjust_p_values};
use crate::{Comparison, ComparisonVerdict, Direction, Margin, Plan, PlanMethod, Warning};

/// Metrics of one experiment.
const METRICS_MAX: usize = 1_000;

/// An experiment, as it is written.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct ExperimentRequest {
    /// A label, repeated in the answer.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub name: Option<String>,
    /// The arm that the others are compared with.
    pub control: String,
    /// The arms with their weights and the units they got.
    pub arms: Vec<ArmShare>,
    /// The metrics.
    pub metrics: Vec<ExperimentMetricInput>,
    /// How to compare; a metric's margin stands with the metric.
    #[serde(default)]
    pub plan: Plan,
    /// Correction of the secondary metrics; none when absent.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub correction: Option<Correction>,
    /// Further checks of the data that the decision needs.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub quality: Vec<QualityCheck>,
}

/// An arm's weight and units.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct ArmShare {
    /// The arm.
    pub arm: String,
    /// Its weight, on any scale.
    pub weight: f64,
    /// Units whose first exposure was there.
    #[serde(deserialize_with = "f64_or_u64")]
    pub n: u64,
}

/// A metric of an experiment, as it is written.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct ExperimentMetricInput {
    /// The metric's key.
    pub metric: String,
    /// What it is for.
    pub role: MetricRole,
    /// What it measures.
    #[serde(default)]
    pub kind: Kind,
    /// Which way is better.
    #[serde(default = "increase")]
    pub direction: Direction,
    /// Of a guardrail: how far it may move in the unwanted direction.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub margin: Option<Margin>,
    /// The arms.
    pub arms: Vec<ArmInput>,
    /// The arms by slice.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub slices: Vec<SliceInput>,
}

/// A metric, checked.
#[derive(Clone, Debug, PartialEq)]
pub struct ExperimentMetric {
    /// The metric's key.
    pub metric: String,
    /// What it is for.
    pub role: MetricRole,
    /// Of a guardrail.
    pub margin: Option<Margin>,
    /// Model, direction and arms.
    pub data: MetricData,
    /// The arms by slice.
    pub slices: Vec<(String, Arms)>,
}

/// An experiment, checked.
#[derive(Clone, Debug, PartialEq)]
pub struct ExperimentData {
    /// The arm that the others are compared with.
    pub control: String,
    /// The arms.
    pub arms: Vec<ArmShare>,
    /// The metrics.
    pub metrics: Vec<ExperimentMetric>,
    /// How to compare.
    pub plan: Plan,
    /// Correction of the secondary metrics.
    pub correction: Option<Correction>,
    /// Further checks of the data.
    pub quality: Vec<QualityCheck>,
}

/// What an experiment says.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct ExperimentAnswer {
    /// The arm that the others were compared with.
    pub control: String,
    /// The plan that was used.
    pub plan: Plan,
    /// Whether the arms got the shares they were promised.
    pub srm: SrmAnswer,
    /// Each metric.
    pub metrics: Vec<ExperimentMetricAnswer>,
    /// Checks of the data.
    pub quality: Vec<QualityCheck>,
    /// What to do with each treatment; none without a success metric, and none from a Bayesian plan.
    pub decisions: Vec<Decision>,
}

/// What a metric says.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct ExperimentMetricAnswer {
    /// The metric's key.
    pub metric: String,
    /// What it is for.
    pub role: MetricRole,
    /// Which way is better.
    pub direction: Direction,
    /// Each treatment.
    pub comparisons: Vec<ExperimentComparison>,
    /// The same by slice, when slices were given.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub slices: Option<SlicesAnswer>,
}

/// A treatment's comparison, with its corrected p-value.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct ExperimentComparison {
    /// The treatment.
    pub arm: String,
    /// Corrected for the other secondary metrics and treatments; the comparison's alpha, intervals and verdict follow it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub p_adjusted: Option<f64>,
    /// What came out.
    pub comparison: Comparison,
}

impl ExperimentRequest {
    fn read(&self) -> Result<ExperimentData, FieldError> {
        if self.metrics.len() > METRICS_MAX {
            return Err(FieldError::new("metrics", format!("at most {METRICS_MAX} metrics can be analysed together")));
        }
        if !self.arms.iter().any(|arm| arm.arm == self.control) {
            return Err(FieldError::new("control", format!("`{}` is none of the arms", self.control)));
        }
        let mut metrics = Vec::with_capacity(self.metrics.len());
        for (index, input) in self.metrics.iter().enumerate() {
            metrics.push(input.read(&self.control).map_err(|error| error.inside(&format!("metrics[{index}]")))?);
        }
        if self.plan.margin.is_some() {
            return Err(FieldError::new("plan.margin", "stands with each guardrail: `metrics[].margin`"));
        }
        if self.correction == Some(Correction::EBh) {
            return Err(FieldError::new(
                "correction",
                "`e_bh` works on e-values; take `by`, or the analysis `multiplicity`",
            ));
        }
        Ok(ExperimentData {
            control: self.control.clone(),
            arms: self.arms.clone(),
            metrics,
            plan: self.plan,
            correction: self.correction,
            quality: self.quality.clone(),
        })
    }

    /// Analyses the experiment.
    ///
    /// # Errors
    /// The field that cannot be used.
    pub fn analyze(&self) -> Result<ExperimentAnswer, FieldError> {
        Ok(self.read()?.analyze())
    }
}

impl ExperimentMetricInput {
    fn read(&self, control: &str) -> Result<ExperimentMetric, FieldError> {
        let model = self.kind.model();
        if self.role == MetricRole::Guardrail && self.margin.is_none() {
            return Err(FieldError::new("margin", "a guardrail needs one, such as {\"relative\": 0.02}"));
        }
        if self.role != MetricRole::Guardrail && self.margin.is_some() {
            return Err(FieldError::new("margin", "is only read for a guardrail"));
        }
        let arms = Arms::read(&self.arms, model)?;
        if arms.get(control).is_none() {
            return Err(FieldError::new("arms", format!("the control `{control}` is not there")));
        }
        let mut slices = Vec::with_capacity(self.slices.len());
        for (index, slice) in self.slices.iter().enumerate() {
            let read = Arms::read(&slice.arms, model).map_err(|error| error.inside(&format!("slices[{index}]")))?;
            let variables = |arms: &Arms| arms.arms.first().map(|(_, arm)| arm.joint.variables());
            if variables(&read) != variables(&arms) {
                return Err(FieldError::new(format!("slices[{index}].arms"), "have other variables than the metric"));
            }
            slices.push((slice.slice.clone(), read));
        }
        let data = MetricData { model, direction: self.direction, arms, strata: Vec::new() };
        Ok(ExperimentMetric { metric: self.metric.clone(), role: self.role, margin: self.margin, data, slices })
    }
}

impl ExperimentData {
    /// Analyses the experiment.
    pub fn analyze(&self) -> ExperimentAnswer {
        let method = if self.plan.method == PlanMethod::Sequential { SrmMethod::Sequential } else { SrmMethod::Fixed };
        let srm = test_shares(&self.arms, method);
        // An arm of weight 0 gets no units and is not compared.
        let is_treatment = |arm: &&ArmShare| arm.arm != self.control && arm.weight > 0.0;
        let treatments: Vec<&str> = self.arms.iter().filter(is_treatment).map(|arm| arm.arm.as_str()).collect();
        let successes = self.metrics.iter().filter(|it| it.role == MetricRole::Success).count();
        let tests = (successes * treatments.len()).max(1) as f64;
        let mut metrics: Vec<ExperimentMetricAnswer> = Vec::with_capacity(self.metrics.len());
        for metric in &self.metrics {
            let alpha = if metric.role == MetricRole::Success { self.plan.alpha / tests } else { self.plan.alpha };
            let plan = Plan { alpha, margin: metric.margin, ..self.plan };
            let comparisons = treatments
                .iter()
                .map(|arm| ExperimentComparison {
                    arm: (*arm).to_owned(),
                    p_adjusted: None,
                    comparison: compare_arm(&plan, &metric.data, &self.control, arm),
                })
                .collect();
            metrics.push(ExperimentMetricAnswer {
                metric: metric.metric.clone(),
                role: metric.role,
                direction: metric.data.direction,
                comparisons,
                slices: self.slices_of(metric),
            });
        }
        self.correct(&mut metrics);
        let mut quality = vec![srm.check()];
        quality.extend(self.quality.iter().cloned());
        quality.extend(imbalance(&metrics));
        let can_decide = successes > 0 && self.plan.method != PlanMethod::Bayesian;
        let decisions = treatments
            .iter()
            .filter(|_| can_decide)
            .map(|arm| decide(arm, &verdicts(&metrics, arm), &quality))
            .collect();
        ExperimentAnswer { control: self.control.clone(), plan: self.plan, srm, metrics, quality, decisions }
    }

    fn slices_of(&self, metric: &ExperimentMetric) -> Option<SlicesAnswer> {
        let has_slices = !metric.slices.is_empty();
        has_slices.then(|| {
            analyze_slices(&self.plan, metric.data.model, metric.data.direction, &self.control, &metric.slices)
        })
    }

    /// Corrects the secondary metrics as one family.
    fn correct(&self, metrics: &mut [ExperimentMetricAnswer]) {
        let Some(correction) = self.correction else {
            return;
        };
        let family: Vec<(usize, usize)> = metrics
            .iter()
            .enumerate()
            .filter(|(_, metric)| metric.role == MetricRole::Secondary)
            .flat_map(|(index, metric)| (0..metric.comparisons.len()).map(move |arm| (index, arm)))
            .collect();
        let p_values: Vec<Option<f64>> =
            family.iter().map(|(metric, arm)| metrics[*metric].comparisons[*arm].comparison.p_value).collect();
        let Ok(adjusted) = adjust_p_values(correction, &p_values, self.plan.alpha) else {
            return;
        };
        for ((metric, arm), adjusted) in family.into_iter().zip(adjusted) {
            let found = &mut metrics[metric].comparisons[arm];
            let plan = Plan { alpha: adjusted.interval_alpha, ..self.plan };
            found.p_adjusted = adjusted.p_adjusted;
            found.comparison = compare_arm(&plan, &self.metrics[metric].data, &self.control, &found.arm);
            // On the edge of rounding the family's decision stands.
            if !adjusted.rejected
                && matches!(found.comparison.verdict, ComparisonVerdict::Better | ComparisonVerdict::Worse)
            {
                found.comparison.verdict = ComparisonVerdict::Inconclusive;
            }
        }
    }
}

fn verdicts<'a>(metrics: &'a [ExperimentMetricAnswer], arm: &str) -> Vec<MetricVerdict<'a>> {
    let of = |metric: &'a ExperimentMetricAnswer| {
        let found = metric.comparisons.iter().find(|found| found.arm == arm)?;
        Some(MetricVerdict {
            metric: &metric.metric,
            role: metric.role,
            verdict: found.comparison.verdict,
            margin: found.comparison.margin.map(|margin| margin.verdict),
        })
    };
    metrics.iter().filter_map(of).collect()
}

/// Covariates that differed before the start make every adjusted number doubtful.
fn imbalance(metrics: &[ExperimentMetricAnswer]) -> Option<QualityCheck> {
    let comparisons = metrics.iter().flat_map(|metric| metric.comparisons.iter().map(move |found| (metric, found)));
    let mut adjusted = comparisons.filter(|(_, found)| found.comparison.cuped.is_some()).peekable();
    adjusted.peek()?;
    let bad: Vec<String> = adjusted
        .filter(|(_, found)| found.comparison.warnings.contains(&Warning::CovariateImbalance))
        .map(|(metric, found)| format!("`{}` in `{}`", metric.metric, found.arm))
        .collect();
    let passed = bad.is_empty();
    let detail = if passed {
        "The arms did not differ before their first exposures.".to_owned()
    } else {
        format!("Before their first exposures the arms already differed in {}.", bad.join(", "))
    };
    Some(QualityCheck { check: "covariate_imbalance".to_owned(), passed, detail })
}
