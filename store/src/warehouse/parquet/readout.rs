//! Answers a question from one snapshot: exposures, first exposures where they decide, events, moments. Synchronous: the
//! caller chooses the threads.

use liftgate_domain::{MomentsAnswer, MomentsQuery, StoreError};

use super::cells::Counted;
use super::events;
use super::exposures;
use super::first_exposures::FirstExposures;
use super::firsts;
use super::identity::Repeats;
use super::population::Population;
use super::question::Question;
use super::snapshot::Snapshot;

pub(super) fn answer(
    snapshot: &Snapshot,
    query: &MomentsQuery,
    repeats: &Repeats,
    first_exposures: &FirstExposures,
    threads: usize,
) -> Result<MomentsAnswer, StoreError> {
    let mut answer = MomentsAnswer { watermark: snapshot.watermark.clone(), ..MomentsAnswer::default() };
    let Some(question) = Question::of(query, &snapshot.watermark) else {
        return Ok(answer);
    };
    let mut exposed = exposures::exposed(snapshot, &question, repeats, first_exposures, threads)?;
    let attributes = firsts::complete(&mut exposed, snapshot, &question, repeats, threads)?;
    let population = Population::of(exposed, attributes, &question, threads, &mut answer)?;
    if population.units() > 0 && !question.metrics.is_empty() {
        let tallies = events::tallies(snapshot, &question, &population, repeats, threads)?;
        Counted { question: &question, population: &population, tallies, threads }.write(&mut answer)?;
    }
    Ok(answer)
}
