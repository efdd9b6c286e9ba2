//! Answers a question from one snapshot, in two passes: exposures, then events. Synchronous: the caller chooses the
//! threads.

use liftgate_domain::{MomentsAnswer, MomentsQuery, StoreError};

use super::exposures::{self, Population};
use super::identity::Repeats;
use super::metrics;
use super::question::Question;
use super::snapshot::Snapshot;

pub(super) fn answer(
    snapshot: &Snapshot,
    query: &MomentsQuery,
    repeats: &Repeats,
    threads: usize,
) -> Result<MomentsAnswer, StoreError> {
    let watermark = snapshot.watermark.clone();
    let Some(question) = Question::of(query, &watermark) else {
        return Ok(MomentsAnswer { watermark, ..MomentsAnswer::default() });
    };
    let population = exposures::population(snapshot, &question, repeats, threads)?;
    let (cells, non_finite) = match population.units.is_empty() || question.metrics.is_empty() {
        true => (Vec::new(), 0),
        false => metrics::cells(snapshot, &question, &population, repeats, threads)?,
    };
    let Population { strata, treated_units, crossover_units, last_treatment_at, last_control_at, .. } = population;
    Ok(MomentsAnswer {
        watermark,
        cells,
        arms: strata,
        treated_units,
        crossover_units,
        non_finite,
        last_treatment_at,
        last_control_at,
        ..MomentsAnswer::default()
    })
}
