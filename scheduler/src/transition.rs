//! A recorded step of one rollout as writes and events, ready for one transaction. People's commands and the
//! scheduler's decisions take the same way.

use liftgate_domain::{Actor, Catalog, Change, ChangeKind, EventDraft, Id, Mutation, ResourceKind, Rollout, Timestamp};

use crate::patch::{Move, advance_run, patch};
use crate::record::{DecisionRecord, ENGINE, OutcomeRecord, seal};
use crate::{Error, Evidence, Outcome, tidings};

/// A step, before it is sealed.
pub(crate) struct Transition<'a> {
    /// The state that was read; `None` when a rollout begins.
    pub before: Option<&'a Rollout>,
    /// The state to write, one version on, with the chain's end as it was.
    pub after: Rollout,
    pub verdict: &'a str,
    pub actor: Actor,
    pub reason: Option<String>,
    pub seen: Option<(&'a Evidence, &'a Outcome)>,
    pub mutations: Vec<Mutation>,
    pub events: Vec<EventDraft>,
    pub now: Timestamp,
}

impl Transition<'_> {
    /// Adds what a move does to flag and run, both as they are in the catalog now.
    ///
    /// A rule that is gone serves nobody any more: ending a run goes on without it, moving to a stage does not.
    pub async fn add_move(&mut self, catalog: &dyn Catalog, step: Move) -> Result<(), Error> {
        let rollout = &self.after;
        let state = catalog.resource(ResourceKind::FlagState, &rollout.scope, &rollout.flag).await?;
        let gone = || Error::RuleGone { flag: rollout.flag.to_string(), rule: rollout.rule.to_string() };
        let patched =
            state.filter(|state| !state.archived).ok_or_else(gone).and_then(|state| patch(&state, rollout, step));
        let patched = match (patched, step) {
            (Ok(patched), _) => Some(patched),
            (Err(Error::RuleGone { .. }), Move::End { .. }) => None,
            (Err(error), _) => return Err(error),
        };
        let run = catalog.run(&rollout.scope, rollout.run).await?;
        let run = run.ok_or_else(|| Error::Missing(format!("run `{}`", rollout.run)))?;
        self.mutations.push(Mutation::PutRun(Box::new(advance_run(run, step, self.now))));
        if let Some(patched) = patched {
            for event in &mut self.events {
                tidings::add_shares(event, patched.from, patched.to);
            }
            if patched.from != patched.to {
                self.events.push(tidings::of_share(rollout, patched.from, patched.to));
            }
            self.mutations.push(patched.mutation);
        }
        Ok(())
    }

    /// Seals the record and gives out the state, the writes and the events.
    pub fn seal(self, change: Option<&Id>) -> (Rollout, Vec<Mutation>, Vec<EventDraft>) {
        let mut after = self.after;
        let record = DecisionRecord {
            engine: ENGINE.to_owned(),
            rollout: after.id.clone(),
            scope: after.scope.clone(),
            key: after.key.clone(),
            seq: after.decision_seq.saturating_add(1),
            change: change.cloned(),
            verdict: self.verdict.to_owned(),
            evaluated_at: self.now,
            actor: self.actor,
            reason: self.reason,
            policy_hash: after.policy_hash.clone(),
            evidence: self.seen.map(|(evidence, _)| evidence.clone()),
            outcome: self.seen.map(|(_, outcome)| OutcomeRecord::from(outcome)),
            before: self.before.cloned(),
            after: after.clone(),
        };
        let decision = seal(&after.decision_hash, &record);
        after.decision_seq = decision.seq;
        after.decision_hash.clone_from(&decision.hash);
        let rollout = Mutation::PutRollout {
            rollout: Box::new(after.clone()),
            expected_version: self.before.map(|before| before.version),
        };
        let mut mutations = vec![rollout, Mutation::AppendDecision(decision)];
        mutations.extend(self.mutations);
        (after, mutations, self.events)
    }

    /// The whole step as one change.
    pub fn into_change(self, id: Id) -> (Rollout, Change) {
        let (actor, reason) = (self.actor.clone(), self.reason.clone());
        let why = self.seen.map(|(_, outcome)| outcome.why.clone());
        let (after, mutations, events) = self.seal(Some(&id));
        let change = Change {
            id,
            scope: after.scope.clone(),
            actor,
            reason: reason.or(why),
            kind: ChangeKind::RolloutStep,
            mutations,
            events,
        };
        (after, change)
    }
}
