//! What a readout says: where the run stands, the arms, every metric by its role, what to do, and what to know beside it.

use liftgate_domain::{
    Capping, Environment, Experiment, ExperimentPlan, Key, MomentsAnswer, ResourceKind, Run, Scope, Timestamp,
    Watermark,
};
use liftgate_stats::{
    Direction, Moments, PlanMethod,
    analysis::{ExperimentAnswer, ExperimentComparison, SlicesAnswer, SrmAnswer, SrmVerdict},
    decision::{Decision, MetricRole, QualityCheck},
};
use serde::Serialize;

use super::{
    data::{Cuts, experiment_data, model, name, units_of},
    parameters::{Parameters, Units},
    question::{self, Answered, Asked, When},
    series::{self, Look},
};
use crate::{app::App, problem::ApiError};

/// Below so many units an arm's intervals are approximate.
const UNITS_FEW: u64 = 100;

/// What is said of a fixed plan that is looked at while it runs.
const EARLY: &str = "a fixed plan is valid at one look, at the end: these intervals and p-values are not meant for watching; stop the \
                     experiment for its decision, or plan `method: sequential` next time";

/// The readout.
#[derive(Debug, Serialize)]
pub struct Readout {
    pub(super) experiment: Key,
    pub(super) flag: Key,
    pub(super) run: u64,
    pub(super) started_at: Option<Timestamp>,
    pub(super) stopped_at: Option<Timestamp>,
    /// How it is read; fixed before the start.
    pub(super) plan: ExperimentPlan,
    /// Which units count.
    pub(super) units: Units,
    /// Whether covariates are used.
    pub(super) cuped: bool,
    pub(super) control: String,
    pub(super) watermark: Watermark,
    pub(super) arms: Vec<ArmUnits>,
    pub(super) srm: SrmAnswer,
    pub(super) metrics: Vec<MetricReadout>,
    pub(super) quality: Vec<QualityCheck>,
    /// What to do with each treatment.
    pub(super) decisions: Vec<Decision>,
    /// Looks back in time, when asked for.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub(super) series: Vec<Look>,
    pub(super) warnings: Vec<String>,
}

#[derive(Debug, Serialize)]
pub(super) struct ArmUnits {
    pub(super) arm: String,
    pub(super) units: u64,
}

/// A metric of the readout.
#[derive(Debug, Serialize)]
pub(super) struct MetricReadout {
    pub(super) metric: Key,
    pub(super) role: MetricRole,
    pub(super) direction: Direction,
    pub(super) arms: Vec<ArmMean>,
    pub(super) comparisons: Vec<ExperimentComparison>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) slices: Option<SlicesAnswer>,
    /// The cap that large values were held to, and how many were.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) capping: Option<Capping>,
    /// Units that were exposed but whose window is still open: they are not in `arms` when only matured units count.
    pub(super) open_units: u64,
}

/// An arm's units and mean (ratio, quantile).
#[derive(Debug, Serialize)]
pub(super) struct ArmMean {
    pub(super) arm: String,
    pub(super) n: u64,
    pub(super) mean: Option<f64>,
}

impl Readout {
    /// Asks the warehouse and the statistics.
    pub async fn read(
        app: &App,
        scope: &Scope,
        key: Key,
        experiment: Experiment,
        run: Run,
        parameters: &Parameters,
    ) -> Result<Self, ApiError> {
        let asked = question::metrics(app, scope, &experiment, parameters).await?;
        let mut dimensions = parameters.slices.clone();
        dimensions.extend(parameters.stratify.clone().filter(|dimension| !parameters.slices.contains(dimension)));
        let when = When { units: parameters.units, lateness_ms: lateness_ms(app, scope).await?, as_of: None };
        let answered = question::ask(app, &run, &experiment, &asked, &dimensions, &when).await?;
        let cuts = Cuts { slices: &parameters.slices, stratify: parameters.stratify.as_ref() };
        let data = experiment_data(&experiment, &asked, &answered, cuts);
        let mut answer = data.analyze();
        answer.srm.groups = srm_groups(&experiment, &answered.first, &parameters.slices);
        let is_early = is_early(&experiment);
        if parameters.units == Units::All || is_early {
            // Values that may still grow decide nothing, and neither does an early look at a plan for one look.
            answer.decisions.clear();
        }
        let series = match parameters.series {
            0 => Vec::new(),
            looks => series::read(app, &run, &experiment, &asked, looks, &when, &answered.first).await?,
        };
        let mut warnings = warnings(&answer, &answered, &asked, parameters);
        if is_early {
            warnings.push(EARLY.to_owned());
        }
        let metrics = metrics(&experiment.control, &asked, &answered, answer.metrics, parameters);
        Ok(Self {
            experiment: key,
            flag: experiment.flag.clone(),
            run: run.number(),
            started_at: experiment.started_at,
            stopped_at: experiment.stopped_at,
            units: parameters.units,
            cuped: parameters.with_covariates && experiment.plan.lookback.is_some(),
            control: experiment.control.clone(),
            arms: experiment
                .arms
                .keys()
                .map(|arm| ArmUnits { arm: arm.clone(), units: units_of(&answered.first, arm) })
                .collect(),
            plan: experiment.plan,
            watermark: answered.first.watermark,
            srm: answer.srm,
            metrics,
            quality: answer.quality,
            decisions: answer.decisions,
            series,
            warnings,
        })
    }
}

/// Whether this is a look before the end at a plan that is valid at one look.
fn is_early(experiment: &Experiment) -> bool {
    experiment.plan.method == PlanMethod::Fixed && experiment.stopped_at.is_none()
}

/// How late a row may arrive and still count in a decision.
async fn lateness_ms(app: &App, scope: &Scope) -> Result<u64, ApiError> {
    let Some(key) = &scope.environment else {
        return Ok(0);
    };
    let resource = app.catalog.resource(ResourceKind::Environment, &scope.to_project(), key).await?;
    let environment: Environment =
        resource.ok_or_else(|| ApiError::not_found(format!("environment `{scope}`")))?.decode()?;
    Ok(environment.lateness.as_ms())
}

fn metrics(
    control: &str,
    asked: &[Asked],
    answered: &Answered,
    found: Vec<liftgate_stats::analysis::ExperimentMetricAnswer>,
    parameters: &Parameters,
) -> Vec<MetricReadout> {
    let exposed: u64 = answered.first.arms.iter().filter(|count| count.slice.is_none()).map(|count| count.units).sum();
    asked
        .iter()
        .zip(found)
        .map(|(asked, found)| {
            let arms = arm_means(control, &found.comparisons);
            let entered: u64 = units_entered(&answered.first, &asked.query.key);
            MetricReadout {
                metric: asked.query.key.clone(),
                role: asked.role,
                direction: asked.query.metric.direction,
                arms,
                comparisons: found.comparisons,
                slices: found.slices,
                capping: answered.first.capping.iter().find(|capping| capping.metric == asked.query.key).cloned(),
                open_units: match parameters.units {
                    Units::Matured => exposed.saturating_sub(entered),
                    Units::All => 0,
                },
            }
        })
        .collect()
}

fn units_entered(answer: &MomentsAnswer, metric: &Key) -> u64 {
    let cells = answer.cells.iter().filter(|cell| cell.metric == *metric && cell.slice.is_none());
    cells.map(|cell| cell.moments.n).sum()
}

/// The arms as the comparisons saw them: the control once, then each treatment.
fn arm_means(control: &str, comparisons: &[ExperimentComparison]) -> Vec<ArmMean> {
    let of = |arm: &str, moments: &Moments| ArmMean {
        arm: arm.to_owned(),
        n: moments.n,
        mean: (moments.n > 0).then_some(moments.mean),
    };
    let first = comparisons.first().map(|found| of(control, &found.comparison.control));
    first.into_iter().chain(comparisons.iter().map(|found| of(&found.arm, &found.comparison.treatment))).collect()
}

/// The shares of units by slice, to find where a mismatch comes from.
fn srm_groups(
    experiment: &Experiment,
    answer: &MomentsAnswer,
    slices: &[liftgate_domain::Dimension],
) -> Vec<liftgate_stats::analysis::SrmGroupAnswer> {
    let mut groups: Vec<liftgate_stats::SrmGroup> = Vec::new();
    let weights: Vec<f64> = experiment.arms.values().map(|weight| f64::from(*weight)).collect();
    for count in &answer.arms {
        let Some(slice) = count.slice.as_ref().filter(|slice| slices.contains(&slice.dimension)) else {
            continue;
        };
        let Some(place) = experiment.arms.keys().position(|arm| *arm == count.arm) else {
            continue;
        };
        let name = name(slice);
        let known = groups.iter().position(|group| group.name == name);
        let index = known.unwrap_or_else(|| {
            groups.push(liftgate_stats::SrmGroup { name, counts: vec![0; weights.len()], weights: weights.clone() });
            groups.len() - 1
        });
        groups[index].counts[place] += count.units;
    }
    let method = match experiment.plan.method {
        liftgate_stats::PlanMethod::Sequential => liftgate_stats::SrmMethod::Sequential,
        _ => liftgate_stats::SrmMethod::Fixed,
    };
    let found = liftgate_stats::srm_by_group(&groups, method).into_iter();
    found.map(liftgate_stats::analysis::SrmGroupAnswer::from).collect()
}

fn warnings(answer: &ExperimentAnswer, answered: &Answered, asked: &[Asked], parameters: &Parameters) -> Vec<String> {
    let first = &answered.first;
    let mut warnings = Vec::new();
    if answer.srm.verdict == SrmVerdict::Mismatch {
        let found = answer
            .srm
            .p_value
            .map_or_else(|| answer.srm.reason.clone().unwrap_or_default(), |p| format!("p = {p:.2e}"));
        warnings.push(format!(
            "the arms' sizes do not fit their weights ({found}): do not trust the effects before the cause is found"
        ));
    }
    if first.crossover_units > 0 {
        warnings.push(format!("{} units were seen in several arms and are left out", first.crossover_units));
    }
    if first.non_finite > 0 {
        warnings.push(format!("{} values were not finite numbers and count as 0", first.non_finite));
    }
    let counts = first.arms.iter().filter(|count| count.slice.is_none());
    if counts.clone().any(|count| count.units < UNITS_FEW) {
        warnings.push(format!("an arm has fewer than {UNITS_FEW} units: intervals are wide and approximate"));
    }
    match parameters.units {
        Units::All => {
            warnings.push("units whose window is still open are included: their values may still grow".to_owned());
        }
        Units::Matured => {
            let exposed: u64 = counts.map(|count| count.units).sum();
            let open = asked.iter().map(|it| exposed.saturating_sub(units_entered(first, &it.query.key))).max();
            if let Some(open) = open.filter(|open| *open > 0) {
                warnings.push(format!(
                    "up to {open} of {exposed} units are left out of a metric because their window is still open; \
                     `units=all` shows them, and decides nothing"
                ));
            }
        }
    }
    let is_sliced = !parameters.slices.is_empty() || parameters.stratify.is_some();
    if is_sliced && asked.iter().any(|it| model(it.query.metric.kind) == liftgate_stats::Model::Quantile) {
        warnings.push("quantiles are shown for the whole population only".to_owned());
    }
    warnings
}
