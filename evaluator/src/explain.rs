//! Explains what a ruleset answers: the steps between flags are here, those within one in [`crate::compiled_flag`].

use crate::compiled_flag::Steps;
use crate::context::Subject;
use crate::explanation::{ExplainedPrerequisite, Explanation};
use crate::prerequisites::{Need, Standing};
use crate::ruleset::{answered, failed};
use crate::slot::Slot;
use crate::{Context, Evaluation, EvaluationError, Reason, Ruleset, Timestamp};

impl Ruleset {
    /// How a flag comes to what the unit gets from it at the time `now`. Slower than evaluation, and the same answer.
    pub fn explain<'r, 'c>(&'r self, flag: &str, context: &'c Context, now: Timestamp) -> Explanation<'r, 'c> {
        let Some(slot) = self.slot(flag) else {
            return without_steps(self.unknown(flag), now);
        };
        let flag = match &slot.flag {
            Ok(flag) => flag,
            Err(why) => {
                let error = EvaluationError::BrokenFlag(why.clone());
                return without_steps(failed(&slot.key, slot.revision, error), now);
            }
        };
        let subject = Subject { context, now };
        let prerequisites = if flag.is_enabled() { self.explain_prerequisites(slot, subject) } else { Vec::new() };
        let unmet = prerequisites.iter().find(|prerequisite| !prerequisite.met).map(|unmet| unmet.flag);
        let Steps { served, target, rules, fallthrough } = match unmet {
            _ if !flag.is_enabled() => flag.explain_off(Reason::Disabled),
            Some(_) => flag.explain_off(Reason::Default),
            None => flag.explain(subject, self.segments()),
        };
        Explanation {
            evaluation: answered(slot, flag, served, unmet),
            now,
            flag_enabled: Some(flag.is_enabled()),
            prerequisites,
            target,
            rules,
            fallthrough,
        }
    }

    fn explain_prerequisites<'r>(&'r self, slot: &'r Slot, subject: Subject<'_>) -> Vec<ExplainedPrerequisite<'r>> {
        let Some(prerequisites) = &slot.prerequisites else { return Vec::new() };
        let standings = prerequisites.walk(self.slots(), self.segments(), subject, &mut []);
        let explain = |need: &'r Need| {
            let slot = &self.slots()[prerequisites.steps[need.step].slot];
            // A flag with a broken prerequisite is broken itself and never comes here.
            let key = |place: usize| slot.flag.as_ref().map_or("", |flag| flag.variation(place).key.as_str());
            let serves = match standings[need.step] {
                Standing::Disabled => None,
                Standing::Serves(place) => Some(key(place)),
            };
            ExplainedPrerequisite {
                flag: &slot.key,
                needed: need.variations.iter().map(|place| key(*place)).collect(),
                serves,
                met: need.is_met(&standings),
            }
        };
        prerequisites.needs.iter().map(explain).collect()
    }
}

fn without_steps<'r>(evaluation: Evaluation<'r, 'static>, now: Timestamp) -> Explanation<'r, 'static> {
    Explanation {
        evaluation,
        now,
        flag_enabled: None,
        prerequisites: Vec::new(),
        target: None,
        rules: Vec::new(),
        fallthrough: None,
    }
}
