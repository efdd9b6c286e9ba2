//! All prerequisites of one flag, direct and indirect, in an order in which each comes after those it needs itself:
//! evaluation walks them once, without recursion, so its work is bounded however the flags are entangled.

use crate::compiled_flag::CompiledFlag;
use crate::context::Subject;
use crate::segments::Segments;
use crate::slot::Slot;

/// How many other flags one flag may need, directly and through others: what one evaluation does at most.
pub(crate) const STEPS_MAX: usize = 64;

/// What a flag needs.
#[derive(Clone, Debug)]
pub(crate) struct Prerequisites {
    pub(crate) steps: Box<[Step]>,
    /// What the flag itself needs; the steps have what those need.
    pub(crate) needs: Box<[Need]>,
}

/// One other flag to evaluate.
#[derive(Clone, Debug)]
pub(crate) struct Step {
    /// The place of the flag in the ruleset.
    pub(crate) slot: usize,
    pub(crate) needs: Box<[Need]>,
}

/// That an earlier step serves one of these variations.
#[derive(Clone, Debug)]
pub(crate) struct Need {
    pub(crate) step: usize,
    pub(crate) variations: Box<[usize]>,
}

/// What a flag serves to the context, as those that need it see it.
#[derive(Copy, Clone, Debug, PartialEq, Eq)]
pub(crate) enum Standing {
    Disabled,
    Serves(usize),
}

/// What is known of the flags of a ruleset for one context, by their slots. Empty: nothing is kept between flags.
pub(crate) type Memory = [Option<Standing>];

/// What the steps so far have come to; only earlier ones are read.
pub(crate) type Standings = [Standing; STEPS_MAX];

impl Need {
    pub(crate) fn is_met(&self, standings: &Standings) -> bool {
        match standings[self.step] {
            Standing::Disabled => false,
            Standing::Serves(variation) => self.variations.contains(&variation),
        }
    }
}

impl Prerequisites {
    /// The slot of the first prerequisite that does not serve what it has to.
    #[inline(never)]
    pub(crate) fn first_unmet(
        &self,
        slots: &[Slot],
        segments: &Segments,
        subject: Subject<'_>,
        memory: &mut Memory,
    ) -> Option<usize> {
        let standings = self.walk(slots, segments, subject, memory);
        let unmet = self.needs.iter().find(|need| !need.is_met(&standings))?;
        Some(self.steps[unmet.step].slot)
    }

    /// What each step comes to.
    pub(crate) fn walk(
        &self,
        slots: &[Slot],
        segments: &Segments,
        subject: Subject<'_>,
        memory: &mut Memory,
    ) -> Standings {
        let mut standings = [Standing::Disabled; STEPS_MAX];
        for (index, step) in self.steps.iter().enumerate() {
            let remembered = memory.get(step.slot).copied().flatten();
            standings[index] = remembered.unwrap_or_else(|| {
                // A flag with a broken prerequisite is broken itself and never comes here.
                let Ok(flag) = &slots[step.slot].flag else { return Standing::Disabled };
                let is_free = step.needs.iter().all(|need| need.is_met(&standings));
                stand(flag, is_free, segments, subject)
            });
            if let Some(place) = memory.get_mut(step.slot) {
                *place = Some(standings[index]);
            }
        }
        standings
    }
}

#[inline(never)]
fn stand(flag: &CompiledFlag, is_free: bool, segments: &Segments, subject: Subject<'_>) -> Standing {
    if !flag.is_enabled() {
        return Standing::Disabled;
    }
    Standing::Serves(if is_free { flag.evaluate(subject, segments).variation } else { flag.off() })
}
