//! The warehouse's answer as the statistics read it: arms of joint moments, by metric and by slice.

use std::collections::BTreeMap;

use liftgate_domain::{Dimension, Experiment, MetricKind, MetricQuery, MomentsAnswer, Slice, SliceValue};
use liftgate_stats::{
    ArmSample, JointMoments, Model, Plan, QuantileReading,
    analysis::{ArmShare, Arms, ExperimentData, ExperimentMetric, MetricData},
    decision::QualityCheck,
    quantile::neighbours,
};

use super::{
    parameters::name_of,
    question::{Answered, Asked},
};

/// More units than this share in several arms make the comparison doubtful.
const CROSSOVER_SHARE_MAX: f64 = 0.01;

/// How the arms of a metric are cut.
#[derive(Clone, Copy)]
pub struct Cuts<'a> {
    /// Dimensions to show.
    pub slices: &'a [Dimension],
    /// The dimension to post-stratify by.
    pub stratify: Option<&'a Dimension>,
}

/// Everything the statistics need.
pub fn experiment_data(
    experiment: &Experiment,
    asked: &[Asked],
    answered: &Answered,
    cuts: Cuts<'_>,
) -> ExperimentData {
    let weights = experiment.arms.iter();
    let arms = weights.map(|(arm, weight)| ArmShare {
        arm: arm.clone(),
        weight: f64::from(*weight),
        n: units_of(&answered.first, arm),
    });
    let metrics = asked.iter().map(|it| metric_data(experiment, it, answered, cuts)).collect();
    ExperimentData {
        control: experiment.control.clone(),
        arms: arms.collect(),
        metrics,
        plan: plan(experiment),
        correction: experiment.plan.correction,
        quality: quality(&answered.first),
    }
}

/// The plan as the statistics read it.
pub fn plan(experiment: &Experiment) -> Plan {
    Plan {
        method: experiment.plan.method,
        alpha: experiment.plan.alpha,
        tuned_at: experiment.plan.tuned_at,
        prior: experiment.plan.prior,
        ..Plan::default()
    }
}

/// Units whose first exposure was in the arm, matured or not.
pub fn units_of(answer: &MomentsAnswer, arm: &str) -> u64 {
    let counts = answer.arms.iter().filter(|count| count.arm == arm && count.slice.is_none());
    counts.map(|count| count.units).fold(0, u64::saturating_add)
}

fn metric_data(experiment: &Experiment, asked: &Asked, answered: &Answered, cuts: Cuts<'_>) -> ExperimentMetric {
    let query = &asked.query;
    let model = model(query.metric.kind);
    let guardrail = experiment.guardrails.iter().find(|guardrail| guardrail.metric == query.key);
    let is_guardrail = asked.role == liftgate_stats::decision::MetricRole::Guardrail;
    let arms = match model {
        Model::Quantile => quantile_arms(experiment, query, answered),
        _ => arms(experiment, query, &answered.first, None),
    };
    let of = |dimension: &Dimension| by_value(experiment, query, &answered.first, dimension);
    // Quantiles of slices would need their own cuts; they are shown for the whole population only.
    let is_sliceable = model != Model::Quantile;
    let slices = cuts.slices.iter().filter(|_| is_sliceable).flat_map(of).collect();
    let strata = cuts.stratify.filter(|_| is_sliceable).map(of).unwrap_or_default();
    ExperimentMetric {
        metric: query.key.to_string(),
        role: asked.role,
        margin: guardrail.filter(|_| is_guardrail).map(|guardrail| guardrail.margin.margin()),
        data: MetricData {
            model,
            direction: query.metric.direction,
            arms,
            strata: strata.into_iter().map(|(_, arms)| arms).collect(),
        },
        slices,
    }
}

/// The model of a kind of metric.
pub fn model(kind: MetricKind) -> Model {
    match kind {
        MetricKind::Proportion | MetricKind::Retention => Model::Proportion,
        MetricKind::Mean | MetricKind::Count => Model::Mean,
        MetricKind::Ratio => Model::Ratio,
        MetricKind::Quantile => Model::Quantile,
    }
}

/// The arms of one slice, or of the whole population. An experiment has one stage; several pool, which a fixed split
/// allows.
fn arms(experiment: &Experiment, query: &MetricQuery, answer: &MomentsAnswer, slice: Option<&Slice>) -> Arms {
    let variables = variables(query);
    let mut by_arm: BTreeMap<&str, JointMoments> =
        experiment.arms.keys().map(|arm| (arm.as_str(), JointMoments::new(variables))).collect();
    for cell in answer.cells.iter().filter(|cell| cell.metric == query.key && cell.slice.as_ref() == slice) {
        if let Some(sum) = by_arm.get_mut(cell.arm.as_str()) {
            match &cell.joint {
                Some(joint) => sum.merge(joint),
                None => sum.merge(&JointMoments::from(cell.moments)),
            }
        }
    }
    let arms = by_arm.into_iter().map(|(arm, joint)| (arm.to_owned(), ArmSample::new(joint)));
    Arms { arms: arms.collect(), warnings: Vec::new() }
}

/// How many variables the warehouse answers for a metric.
fn variables(query: &MetricQuery) -> usize {
    let own = if query.metric.kind == MetricKind::Ratio { 2 } else { 1 };
    if query.lookback.is_some() { 2 * own } else { own }
}

/// The arms by value of a dimension, in the order of the answer.
fn by_value(
    experiment: &Experiment,
    query: &MetricQuery,
    answer: &MomentsAnswer,
    dimension: &Dimension,
) -> Vec<(String, Arms)> {
    let mut seen: Vec<&Slice> = Vec::new();
    for cell in answer.cells.iter().filter(|cell| cell.metric == query.key) {
        if let Some(slice) = cell.slice.as_ref().filter(|slice| slice.dimension == *dimension)
            && !seen.contains(&slice)
        {
            seen.push(slice);
        }
    }
    seen.into_iter().map(|slice| (name(slice), arms(experiment, query, answer, Some(slice)))).collect()
}

/// A slice's name, such as `country=DE`.
pub fn name(slice: &Slice) -> String {
    let value = match &slice.value {
        SliceValue::Is(value) => value.as_str(),
        SliceValue::Absent => "(none)",
        SliceValue::Other => "(other)",
    };
    format!("{}={value}", name_of(&slice.dimension))
}

/// A quantile's arms: events up to the arm's own value, and all events.
fn quantile_arms(experiment: &Experiment, query: &MetricQuery, answered: &Answered) -> Arms {
    let around = answered.quantiles.iter().find(|around| around.key == query.key);
    let arms = experiment.arms.keys().map(|arm| {
        let sample = around.zip(answered.second.as_ref()).and_then(|(around, second)| {
            let probability = query.metric.quantile?;
            let at = |answer: &MomentsAnswer, probability: f64| {
                answer
                    .quantiles
                    .iter()
                    .find(|cell| {
                        cell.metric == query.key
                            && cell.slice.is_none()
                            && cell.arm == *arm
                            && cell.probability == probability
                    })
                    .map(|cell| (cell.value, cell.events))
            };
            let (value, events) = at(&answered.first, probability)?;
            let (lower_probability, upper_probability) = neighbours(probability, events)?;
            let (lower, _) = at(second, lower_probability)?;
            let (upper, _) = at(second, upper_probability)?;
            let cut = around.cuts.iter().position(|cut| *cut == value)?;
            let mut sum: Option<JointMoments> = None;
            for cell in
                second.cells.iter().filter(|cell| cell.metric == query.key && cell.slice.is_none() && cell.arm == *arm)
            {
                // The number of events first, then the number up to each cut.
                let pair = cell.joint.as_ref()?.select(&[cut + 1, 0])?;
                match &mut sum {
                    Some(sum) => sum.merge(&pair),
                    None => sum = Some(pair),
                }
            }
            let quantile = QuantileReading { value, lower, upper, lower_probability, upper_probability };
            Some(ArmSample { joint: sum?, quantile: Some(quantile) })
        });
        (arm.clone(), sample.unwrap_or_else(|| ArmSample::new(JointMoments::new(2))))
    });
    Arms { arms: arms.collect(), warnings: Vec::new() }
}

fn quality(answer: &MomentsAnswer) -> Vec<QualityCheck> {
    let units = answer.arms.iter().filter(|count| count.slice.is_none()).map(|count| count.units);
    let crossed = answer.crossover_units;
    let all = units.fold(crossed, u64::saturating_add);
    let passed = crossed as f64 <= CROSSOVER_SHARE_MAX * all as f64;
    let detail = format!("{crossed} of {all} units were seen in several arms and are left out.");
    vec![QualityCheck { check: "crossover".to_owned(), passed, detail }]
}
