//! The readout as it stood earlier: the same question as of instants from the start to now, matured units only. For a
//! sequential plan the smallest p-value so far is valid; for others it is for looking only.

use liftgate_domain::{Experiment, MetricKind, MomentsAnswer, Run, Timestamp};
use liftgate_stats::{ComparisonVerdict, Estimate, PlanMethod};
use serde::Serialize;

use super::{
    data::{Cuts, experiment_data},
    parameters::Units,
    question::{self, Asked, When},
};
use crate::{app::App, problem::ApiError};

/// One look.
#[derive(Debug, Serialize)]
pub struct Look {
    /// Everything received by then.
    pub as_of: Timestamp,
    /// Every metric but quantiles, which are read only now.
    pub metrics: Vec<MetricLook>,
}

/// A treatment's comparison at a look.
#[derive(Debug, Serialize)]
pub struct MetricLook {
    /// The metric.
    pub metric: String,
    /// The treatment.
    pub arm: String,
    /// Matured control units.
    pub n_control: u64,
    /// Matured treatment units.
    pub n_treatment: u64,
    /// The difference.
    pub absolute: Option<Estimate>,
    /// The lift.
    pub relative: Option<Estimate>,
    /// The p-value at this look.
    pub p_value: Option<f64>,
    /// Sequential: the smallest so far, which is valid at every look.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub p_value_running: Option<f64>,
    /// What it said.
    pub verdict: ComparisonVerdict,
}

/// Asks `looks` times, evenly from the start to the newest evidence.
pub async fn read(
    app: &App,
    run: &Run,
    experiment: &Experiment,
    asked: &[Asked],
    looks: u32,
    when: &When,
    newest: &MomentsAnswer,
) -> Result<Vec<Look>, ApiError> {
    let (Some(start), Some(end)) = (experiment.started_at, newest.watermark.time()) else {
        return Ok(Vec::new());
    };
    let asked: Vec<Asked> = asked.iter().filter(|it| it.query.metric.kind != MetricKind::Quantile).cloned().collect();
    let mut series: Vec<Look> = Vec::new();
    for look in 1..=i64::from(looks) {
        let as_of = Timestamp(start.0 + (end.0 - start.0).max(0) / i64::from(looks) * look);
        let when = When { units: Units::Matured, lateness_ms: when.lateness_ms, as_of: Some(as_of) };
        let answered = question::ask(app, run, experiment, &asked, &[], &when).await?;
        let answer = experiment_data(experiment, &asked, &answered, Cuts { slices: &[], stratify: None }).analyze();
        let mut metrics = Vec::new();
        for metric in answer.metrics {
            for found in metric.comparisons {
                let it = found.comparison;
                let before = series.last().and_then(|before: &Look| {
                    before.metrics.iter().find(|old| old.metric == metric.metric && old.arm == found.arm)
                });
                let smallest = before.and_then(|old| old.p_value_running);
                let running = [it.p_value, smallest].into_iter().flatten().reduce(f64::min);
                metrics.push(MetricLook {
                    metric: metric.metric.clone(),
                    arm: found.arm,
                    n_control: it.control.n,
                    n_treatment: it.treatment.n,
                    absolute: it.absolute,
                    relative: it.relative,
                    p_value: it.p_value,
                    p_value_running: running.filter(|_| experiment.plan.method == PlanMethod::Sequential),
                    verdict: it.verdict,
                });
            }
        }
        series.push(Look { as_of, metrics });
    }
    Ok(series)
}
