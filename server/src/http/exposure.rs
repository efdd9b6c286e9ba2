//! What evaluation itself saw: a unit of a run was served. Sending never waits.

use liftgate_domain::Timestamp;
use liftgate_evaluator::Evaluation;
use liftgate_ingest::ServedExposure;

use crate::{app::App, rulesets::Snapshot};

/// Emits the exposure of an analysed unit, and of every unit that a ramp serves its treatment: the last stage has
/// nobody to compare with, but its users are counted.
pub fn emit(app: &App, snapshot: &Snapshot, evaluation: &Evaluation<'_, '_>, at: Timestamp) {
    let Some(assignment) = &evaluation.assignment else { return };
    let counts = assignment.arm.is_some()
        || snapshot.treatment_of(&evaluation.flag, assignment.run.number) == Some(assignment.variation);
    if !counts {
        return;
    }
    app.exposures.try_send(ServedExposure {
        environment: snapshot.declared.number,
        flag: evaluation.flag.to_string(),
        variation: assignment.variation.to_owned(),
        unit_type: assignment.unit_type.to_owned(),
        unit_id: assignment.unit_id.to_owned(),
        run: assignment.run.number,
        stage: assignment.run.stage,
        arm: assignment.arm.map(str::to_owned),
        bucket: assignment.bucket,
        revision: snapshot.ruleset.revision(),
        at,
    });
}
