//! Where the normal approximation, the baseline or the duration of a plan asks for care.

use super::answer::{Needed, PowerAnswer, PowerWarning};
use super::design::Design;
use super::request::{MetricKind, PowerRequest};
use crate::Margin;

/// Expected events (or non-events) in an arm below which the normal approximation is rough.
const EVENTS_FEW: f64 = 10.0;
/// Units in an arm below which it is rough for means.
const UNITS_FEW: f64 = 50.0;
/// Clusters in an arm below which it is rough.
const CLUSTERS_FEW: f64 = 30.0;
/// Relative effect above which a percentage may have been meant.
const EFFECT_LARGE: f64 = 1.0;
/// A week.
const DAYS_WHOLE: u64 = 7;

/// The warnings of an answer, each at most once.
pub(super) fn warnings(request: &PowerRequest, design: &Design, answer: &PowerAnswer) -> Vec<PowerWarning> {
    let needed = answer.needed;
    let planned_units = needed.map_or(answer.at_size.treatment_units, |needed| needed.treatment.expected);
    let treatment_units = planned_units.min(answer.at_size.treatment_units);
    let smallest_arm = treatment_units.min(design.control_units(treatment_units)) as f64;
    let is_proportion = request.kind == MetricKind::Proportion;
    let mean = request.baseline.mean;
    let treatment_mean = mean + design.direction.sign() * design.gain(mean);
    let rarest = [mean, 1.0 - mean, treatment_mean, 1.0 - treatment_mean].into_iter().fold(1.0, f64::min);
    let clusters = request.cluster.map(|cluster| smallest_arm / cluster.size);
    let again = answer.still_needed.map(|still_needed| still_needed.needed);
    let is_open = |needed: Option<Needed>| needed.is_some_and(|needed| needed.treatment.high.is_none());
    let days_most = needed.and_then(|needed| needed.days).and_then(|days| days.high);
    let is_large = matches!(request.effect, Some(Margin::Relative(size)) if size > EFFECT_LARGE);
    [
        (is_proportion && rarest * smallest_arm < EVENTS_FEW, PowerWarning::FewEvents),
        (!is_proportion && smallest_arm < UNITS_FEW, PowerWarning::FewUnits),
        (clusters.is_some_and(|clusters| clusters < CLUSTERS_FEW), PowerWarning::FewClusters),
        (is_large, PowerWarning::LargeEffect),
        (is_open(needed) || is_open(again), PowerWarning::BaselineTooUncertain),
        (answer.at_size.detectable.is_none(), PowerWarning::NothingDetectable),
        (days_most.is_some_and(|days| days < DAYS_WHOLE), PowerWarning::LessThanAWeek),
    ]
    .into_iter()
    .filter_map(|(is_so, warning)| is_so.then_some(warning))
    .collect()
}
