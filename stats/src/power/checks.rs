//! What makes no sense is refused by name. Checks that depend on the baseline's mean are in `planned`.

use super::error::PowerError;
use super::request::{Hypothesis, MetricKind, PowerMethod, PowerRequest, SoFar, Traffic};
use super::tuned_at::TunedAt;
use crate::margin::ByArm;
use crate::{Direction, Margin};

/// Most units in a treatment arm that are counted with.
pub(super) const UNITS_MAX: u64 = 1_000_000_000_000_000;
/// Fewest units in an arm.
pub(super) const UNITS_MIN: u64 = 2;
/// Smallest alpha.
const ALPHA_MIN: f64 = 1e-300;
/// Most arms.
const ARMS_MAX: u32 = 100;
/// Most success metrics, and most guardrails.
const METRICS_MAX: u32 = 1_000;
/// Smallest share of an arm.
const SHARE_MIN: f64 = 0.001;

pub(super) fn unusable(field: &'static str, found: f64, instead: &'static str) -> PowerError {
    PowerError::Unusable { field, found, instead }
}

fn ensure(is_usable: bool, field: &'static str, found: f64, instead: &'static str) -> Result<(), PowerError> {
    if is_usable { Ok(()) } else { Err(unusable(field, found, instead)) }
}

fn is_positive(number: f64) -> bool {
    number > 0.0 && number.is_finite()
}

pub(super) fn chances(request: &PowerRequest) -> Result<(), PowerError> {
    let PowerRequest { alpha, power, .. } = *request;
    ensure((ALPHA_MIN..0.5).contains(&alpha), "alpha", alpha, "write a probability above 0 and below 0.5, like 0.05")?;
    ensure((0.5..1.0).contains(&power), "power", power, "write a probability from 0.5 up and below 1, like 0.8")
}

pub(super) fn arms(request: &PowerRequest) -> Result<u32, PowerError> {
    let found = f64::from(request.arms);
    ensure((2..=ARMS_MAX).contains(&request.arms), "arms", found, "write 2 to 100, control included")?;
    Ok(request.arms)
}

pub(super) fn success_metrics(request: &PowerRequest) -> Result<u32, PowerError> {
    let found = request.success_metrics;
    ensure((1..=METRICS_MAX).contains(&found), "success_metrics", f64::from(found), "write 1 to 1000")?;
    Ok(found)
}

pub(super) fn guardrails(request: &PowerRequest) -> Result<u32, PowerError> {
    let found = request.guardrails;
    ensure(found <= METRICS_MAX, "guardrails", f64::from(found), "write 0 to 1000")?;
    Ok(found)
}

/// The share of each treatment arm.
pub(super) fn allocation(request: &PowerRequest, treatments: f64) -> Result<f64, PowerError> {
    let share = request.allocation.unwrap_or(1.0 / (treatments + 1.0));
    let instead = "write the share of all units that each treatment arm gets, leaving at least 0.001 for control";
    ensure((SHARE_MIN..=(1.0 - SHARE_MIN) / treatments).contains(&share), "allocation", share, instead)?;
    Ok(share)
}

/// Unit variances by arm; the mean and the units of the baseline are checked on the way.
pub(super) fn variances(request: &PowerRequest) -> Result<ByArm, PowerError> {
    let baseline = request.baseline;
    if let Some(units) = baseline.units {
        ensure(units >= UNITS_MIN, "baseline.units", units as f64, "write the units it was measured on, 2 or more")?;
    }
    if request.kind == MetricKind::Proportion {
        let (mean, instead) = (baseline.mean, "write a proportion between 0 and 1, both excluded");
        ensure(mean > 0.0 && mean < 1.0, "baseline.mean", mean, instead)?;
        let follows = "leave it out, a proportion's variance follows from its mean";
        if baseline.variance.is_some() {
            return Err(PowerError::Misplaced { field: "baseline.variance", instead: follows });
        }
        if baseline.treatment_variance.is_some() {
            return Err(PowerError::Misplaced { field: "baseline.treatment_variance", instead: follows });
        }
        return Ok(ByArm { treatment: 0.0, control: 0.0 });
    }
    ensure(baseline.mean.is_finite(), "baseline.mean", baseline.mean, "write a number")?;
    let instead = "write the variance of one unit, above 0";
    let control = baseline.variance.ok_or(PowerError::Missing { field: "baseline.variance", instead })?;
    ensure(is_positive(control), "baseline.variance", control, instead)?;
    let treatment = baseline.treatment_variance.unwrap_or(control);
    ensure(is_positive(treatment), "baseline.treatment_variance", treatment, instead)?;
    Ok(ByArm { treatment, control })
}

/// The factor of covariate and clusters on the variance.
pub(super) fn inflation(request: &PowerRequest) -> Result<f64, PowerError> {
    let correlation = request.correlation.unwrap_or(0.0);
    let instead = "write a correlation between -1 and 1, both excluded";
    ensure(correlation > -1.0 && correlation < 1.0, "correlation", correlation, instead)?;
    let clustering = match (request.design_effect, request.cluster) {
        (Some(_), Some(_)) => {
            let instead = "leave it out, it follows from `cluster`";
            return Err(PowerError::Misplaced { field: "design_effect", instead });
        }
        (Some(factor), None) => {
            ensure(is_positive(factor), "design_effect", factor, "write a factor on the variance, usually 1 or more")?;
            factor
        }
        (None, Some(cluster)) => {
            let (size, within) = (cluster.size, cluster.intraclass_correlation);
            ensure(size >= 1.0 && size.is_finite(), "cluster.size", size, "write the units in a cluster, 1 or more")?;
            let field = "cluster.intraclass_correlation";
            ensure((0.0..=1.0).contains(&within), field, within, "write a share of the variance, from 0 to 1")?;
            1.0 + (size - 1.0) * within
        }
        (None, None) => 1.0,
    };
    Ok((1.0 - correlation) * (1.0 + correlation) * clustering)
}

pub(super) fn tuned_at(request: &PowerRequest) -> Result<TunedAt, PowerError> {
    match (request.method, request.tuned_at) {
        (_, None) => Ok(TunedAt::Auto),
        (PowerMethod::Fixed, Some(_)) => {
            Err(PowerError::Misplaced { field: "tuned_at", instead: "leave it out, or write method `sequential`" })
        }
        (PowerMethod::Sequential, Some(TunedAt::Units(0))) => {
            Err(unusable("tuned_at", 0.0, "write the units of both arms to be sharpest at, or `auto`"))
        }
        (PowerMethod::Sequential, Some(tuned_at)) => Ok(tuned_at),
    }
}

/// Effect and margin, as far as they can be judged without each other.
pub(super) fn hypothesis(request: &PowerRequest) -> Result<(), PowerError> {
    let (mean, sign) = (request.baseline.mean, request.direction.sign());
    if let Some(effect) = request.effect {
        let size = effect.size();
        let instead = match request.hypothesis {
            Hypothesis::Superiority => "write the size of the improvement, above 0; `direction` says which way it goes",
            Hypothesis::NonInferiority => "write the true improvement assumed, negative for a harm, or leave it out",
        };
        let is_usable = size.is_finite() && (size > 0.0 || request.hypothesis == Hypothesis::NonInferiority);
        ensure(is_usable, "effect", size, instead)?;
        if matches!(effect, Margin::Relative(_)) {
            ensure(
                mean != 0.0,
                "effect",
                size,
                "write an `absolute` effect, nothing is a fraction of a baseline of 0",
            )?;
            let instead = "write a fraction of the baseline, like 0.2; nothing falls by its whole size or more";
            ensure(sign * size > -1.0, "effect", size, instead)?;
        }
    }
    if request.hypothesis == Hypothesis::Superiority {
        let instead = "leave it out, or write hypothesis `non_inferiority`";
        return request.margin.map_or(Ok(()), |_| Err(PowerError::Misplaced { field: "margin", instead }));
    }
    let Some(margin) = request.margin else {
        return Ok(());
    };
    let size = margin.size();
    ensure(is_positive(size), "margin", size, "write how far the metric may get worse, above 0")?;
    if matches!(margin, Margin::Relative(_)) {
        ensure(mean > 0.0, "margin", size, "write an `absolute` margin, a relative one needs a baseline above 0")?;
        let is_possible = request.direction == Direction::Decrease || size < 1.0;
        ensure(is_possible, "margin", size, "write a fraction of the baseline below 1, like 0.02")?;
    }
    Ok(())
}

pub(super) fn units_per_arm(units: u64, field: &'static str) -> Result<u64, PowerError> {
    ensure((UNITS_MIN..=UNITS_MAX).contains(&units), field, units as f64, "write 2 to 10^15 units")?;
    Ok(units)
}

pub(super) fn traffic(traffic: Traffic) -> Result<(), PowerError> {
    let Traffic { units_per_day_low: low, units_per_day_high: high } = traffic;
    ensure(is_positive(low), "traffic.units_per_day_low", low, "write the units of a slow day, above 0")?;
    let is_above = is_positive(high) && high >= low;
    ensure(is_above, "traffic.units_per_day_high", high, "write the units of a busy day, not below those of a slow one")
}

pub(super) fn so_far(kind: MetricKind, so_far: SoFar) -> Result<(), PowerError> {
    units_per_arm(so_far.units_per_arm, "so_far.units_per_arm")?;
    if let Some(mean) = so_far.mean {
        let (is_usable, instead) = match kind {
            MetricKind::Proportion => (mean > 0.0 && mean < 1.0, "write a proportion between 0 and 1, both excluded"),
            MetricKind::Mean | MetricKind::Ratio => (mean.is_finite(), "write a number"),
        };
        ensure(is_usable, "so_far.mean", mean, instead)?;
    }
    match (kind, so_far.variance) {
        (_, None) => Ok(()),
        (MetricKind::Proportion, Some(_)) => {
            let instead = "leave it out, a proportion's variance follows from its mean";
            Err(PowerError::Misplaced { field: "so_far.variance", instead })
        }
        (_, Some(variance)) => {
            ensure(is_positive(variance), "so_far.variance", variance, "write the variance of one unit, above 0")
        }
    }
}
