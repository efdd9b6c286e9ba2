//! All flags of one environment, compiled: immutable, so that one answer always comes from one revision. A broken flag
//! is an error in its own slot and never keeps the others from being served.

use std::borrow::Cow;
use std::collections::HashMap;
use std::sync::Arc;

use serde::{Deserialize, Serialize};

use crate::compiled_flag::{CompiledFlag, Served};
use crate::context::{AttributeRef, Subject, TARGETING_KEY};
use crate::made_of::MadeOf;
use crate::parse::Refused;
use crate::prerequisites::{Memory, Standing};
use crate::problem::Problem;
use crate::segments::Segments;
use crate::serve::USER;
use crate::slot::{self, Entry, Slot};
use crate::text_hash::TextMap;
use crate::{Context, Evaluation, EvaluationError, Flag, FlagState, Reason, Segment, Timestamp, shared};

/// Everything that evaluation in one environment depends on.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct RulesetSource {
    /// Grows with every change.
    pub revision: u64,
    /// The flags, in any order. Sources that share them are told apart quickly: see [`Ruleset::recompile`].
    #[serde(default, with = "shared")]
    pub flags: Vec<Arc<FlagSource>>,
    /// The segments they refer to, in any order.
    #[serde(default, with = "shared")]
    pub segments: Vec<Arc<Segment>>,
    /// Where units are read from; `user` from `targetingKey`, and others from the attribute of their name, unless listed.
    #[serde(default)]
    pub unit_types: Vec<UnitType>,
    /// What imported segments may read and hash of the environment.
    #[serde(default, skip_serializing_if = "EnvironmentNames::is_empty")]
    pub environment: EnvironmentNames,
}

/// The environment as conditions of imported segments see it.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct EnvironmentNames {
    /// What the keys of identities begin with; never changed.
    #[serde(default)]
    pub hash_key: String,
    /// For people.
    #[serde(default)]
    pub name: String,
}

impl EnvironmentNames {
    fn is_empty(&self) -> bool {
        *self == Self::default()
    }
}

/// One flag with its state in the environment.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct FlagSource {
    /// The flag.
    pub flag: Flag,
    /// What it serves here.
    pub state: FlagState,
    /// Grows with every change of the flag.
    pub revision: u64,
}

/// What is randomized and analysed: user, account, device, session.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct UnitType {
    /// What splits and ramps call it.
    pub name: String,
    /// The attribute that has its id, as text; `targetingKey` is the unit's own key.
    pub attribute: String,
}

/// Where the units of each type are read from.
#[derive(Debug)]
pub(crate) struct UnitTypes<'s>(HashMap<&'s str, &'s str>);

impl<'s> UnitTypes<'s> {
    fn new(listed: &'s [UnitType]) -> Self {
        let listed = listed.iter().map(|unit| (unit.name.as_str(), unit.attribute.as_str()));
        Self([(USER, TARGETING_KEY)].into_iter().chain(listed).collect())
    }

    pub(crate) fn attribute(&self, unit_type: &str) -> AttributeRef {
        AttributeRef::new(self.0.get(unit_type).copied().unwrap_or(unit_type))
    }
}

/// A compiled [`RulesetSource`].
#[derive(Clone, Debug)]
pub struct Ruleset {
    revision: u64,
    /// In the order of their keys.
    slots: Vec<Slot>,
    /// Whether any flag has prerequisites.
    is_linked: bool,
    index: Arc<TextMap<usize>>,
    segments: Arc<Segments>,
    problems: Vec<Problem>,
    /// Unknown of one that was read from text or changed since.
    made_of: Option<MadeOf>,
}

impl Ruleset {
    /// Compiles a ruleset. It never fails: what is broken is an error in its own slot, listed by [`Ruleset::problems`].
    pub fn compile(source: RulesetSource) -> Self {
        Self::compile_with(source, &Refused::default(), None)
    }

    /// Compiles a ruleset that comes after this one, and so only the flags that are not the same [`Arc`] as before, unless
    /// segments or unit types changed: one flag of ten thousand takes a moment. The outcome is that of
    /// [`Ruleset::compile`].
    #[must_use]
    pub fn recompile(&self, source: RulesetSource) -> Self {
        Self::compile_with(source, &Refused::default(), Some(self))
    }

    /// Compiles a ruleset in which some flags and segments could not even be read.
    pub(crate) fn compile_with(source: RulesetSource, refused: &Refused, before: Option<&Self>) -> Self {
        let before = before.and_then(|before| Some((before, before.made_of.as_ref()?)));
        let before = before.filter(|(_, made_of)| made_of.is_ground_of(&source));
        let units = UnitTypes::new(&source.unit_types);
        let (segments, segment_problems) = match before {
            Some((before, made_of)) => (Arc::clone(&before.segments), made_of.segment_problems.clone()),
            None => {
                let user = units.attribute(USER);
                let environment = source.environment.clone();
                let (segments, problems) = Segments::compile(&source.segments, &refused.segments, user, environment);
                (Arc::new(segments), problems)
            }
        };

        let usable = source.flags.iter().map(Entry::from);
        let entries = usable.chain(refused.flags.iter().map(Entry::from)).collect();
        let mut problems = segment_problems.clone();
        let known = |key: &str, source: &Arc<FlagSource>| {
            let (before, made_of) = before?;
            let place = before.position(key).filter(|place| made_of.has(*place, source))?;
            Some(&before.slots[place])
        };
        let (slots, flags) = slot::compile(entries, &segments, &units, &known, &mut problems);
        let index = match before {
            Some((before, _)) if before.keys().eq(slots.iter().map(|slot| &*slot.key)) => Arc::clone(&before.index),
            _ => Arc::new(slots.iter().enumerate().map(|(place, slot)| (slot.key.as_ref().into(), place)).collect()),
        };
        let RulesetSource { revision, segments: sources, unit_types, environment, .. } = source;
        let made_of = Some(MadeOf { flags, segments: sources, segment_problems, unit_types, environment });
        let is_linked = slots.iter().any(|slot| slot.prerequisites.is_some());
        Self { revision, slots, is_linked, index, segments, problems, made_of }
    }

    /// Forgets what it was compiled from.
    pub(crate) fn forget_sources(&mut self) {
        self.made_of = None;
    }

    /// The revision of the source.
    pub fn revision(&self) -> u64 {
        self.revision
    }

    /// How many flags there are, broken ones too.
    pub fn len(&self) -> usize {
        self.slots.len()
    }

    /// Whether there are no flags.
    pub fn is_empty(&self) -> bool {
        self.slots.is_empty()
    }

    /// The keys of all flags, sorted.
    pub fn keys(&self) -> impl ExactSizeIterator<Item = &str> {
        self.slots.iter().map(|slot| &*slot.key)
    }

    /// Everything that is broken, with paths like `flags.checkout.rules[0].when` and `segments.beta.when`.
    pub fn problems(&self) -> &[Problem] {
        &self.problems
    }

    /// Whether any flag that can be used may serve the same context something else at another time. Those that do
    /// answer an error unless the time is told: [`Ruleset::evaluate_at`].
    pub fn depends_on_time(&self) -> bool {
        self.slots.iter().any(|slot| slot.needs_time)
    }

    /// What the unit gets from one flag that does not depend on time.
    pub fn evaluate<'r, 'c>(&'r self, flag: &str, context: &'c Context) -> Evaluation<'r, 'c> {
        self.evaluate_one(flag, context, None)
    }

    /// What the unit gets from one flag at the time `now`.
    pub fn evaluate_at<'r, 'c>(&'r self, flag: &str, context: &'c Context, now: Timestamp) -> Evaluation<'r, 'c> {
        self.evaluate_one(flag, context, Some(now))
    }

    /// What the unit gets from every flag, in the order of their keys, as long as they do not depend on time. A flag
    /// that others need is evaluated once for all of them.
    pub fn evaluate_all<'r, 'c>(&'r self, context: &'c Context) -> impl ExactSizeIterator<Item = Evaluation<'r, 'c>> {
        self.evaluate_each(context, None)
    }

    /// What the unit gets from every flag at the time `now`, in the order of their keys.
    pub fn evaluate_all_at<'r, 'c>(
        &'r self,
        context: &'c Context,
        now: Timestamp,
    ) -> impl ExactSizeIterator<Item = Evaluation<'r, 'c>> {
        self.evaluate_each(context, Some(now))
    }

    #[inline(always)]
    fn evaluate_one<'r, 'c>(&'r self, flag: &str, context: &'c Context, now: Option<Timestamp>) -> Evaluation<'r, 'c> {
        match self.slot(flag) {
            Some(slot) => self.answer(slot, context, now, &mut []),
            None => self.unknown(flag),
        }
    }

    pub(crate) fn unknown(&self, flag: &str) -> Evaluation<'static, 'static> {
        Evaluation { flag: Cow::Owned(flag.to_owned()), ..failed("", self.revision, EvaluationError::FlagNotFound) }
    }

    pub(crate) fn slot(&self, flag: &str) -> Option<&Slot> {
        self.index.get(flag).map(|slot| &self.slots[*slot])
    }

    pub(crate) fn slots_mut(&mut self) -> &mut [Slot] {
        &mut self.slots
    }

    pub(crate) fn position(&self, flag: &str) -> Option<usize> {
        self.index.get(flag).copied()
    }

    pub(crate) fn slots(&self) -> &[Slot] {
        &self.slots
    }

    pub(crate) fn segments(&self) -> &Segments {
        &self.segments
    }

    /// Any of the flags, by their places in the order of their keys, for one context at the time `now`.
    pub fn batch_at<'r, 'c>(&'r self, context: &'c Context, now: Timestamp) -> Batch<'r, 'c> {
        Batch::new(self, context, Some(now))
    }

    fn evaluate_each<'r, 'c>(
        &'r self,
        context: &'c Context,
        now: Option<Timestamp>,
    ) -> impl ExactSizeIterator<Item = Evaluation<'r, 'c>> {
        let mut batch = Batch::new(self, context, now);
        self.slots.iter().map(move |slot| self.answer(slot, context, now, &mut batch.memory))
    }

    // Inlined into each of its callers: a flag without rules spent a quarter of its time on moving the answer around.
    #[inline(always)]
    fn answer<'r, 'c>(
        &'r self,
        slot: &'r Slot,
        context: &'c Context,
        now: Option<Timestamp>,
        memory: &mut Memory,
    ) -> Evaluation<'r, 'c> {
        let flag = match &slot.flag {
            Ok(flag) => flag,
            Err(why) => {
                let error = EvaluationError::BrokenFlag(why.clone());
                return failed(&slot.key, slot.revision, error);
            }
        };
        if slot.needs_time && now.is_none() {
            return failed(&slot.key, slot.revision, EvaluationError::NeedsTime);
        }
        let subject = Subject { context, now: now.unwrap_or_default() };
        let unmet = match &slot.prerequisites {
            Some(needed) if flag.is_enabled() => needed.first_unmet(&self.slots, &self.segments, subject, memory),
            _ => None,
        };
        let prerequisite = unmet.map(|slot| &*self.slots[slot].key);
        let served = match prerequisite {
            Some(_) => flag.without_prerequisite(),
            None => flag.evaluate(subject, &self.segments),
        };
        answered(slot, flag, served, prerequisite)
    }
}

/// Evaluations of one ruleset for one context at one time. A flag that others need is evaluated once for all of them.
#[derive(Debug)]
pub struct Batch<'r, 'c> {
    ruleset: &'r Ruleset,
    context: &'c Context,
    now: Option<Timestamp>,
    memory: Vec<Option<Standing>>,
}

impl<'r, 'c> Batch<'r, 'c> {
    fn new(ruleset: &'r Ruleset, context: &'c Context, now: Option<Timestamp>) -> Self {
        let remembered = if ruleset.is_linked { ruleset.slots.len() } else { 0 };
        Self { ruleset, context, now, memory: vec![None; remembered] }
    }

    /// What the unit gets from the flag at this place; `None` when there are fewer flags.
    #[inline]
    pub fn evaluate(&mut self, place: usize) -> Option<Evaluation<'r, 'c>> {
        let slot = self.ruleset.slots.get(place)?;
        Some(self.ruleset.answer(slot, self.context, self.now, &mut self.memory))
    }
}

#[inline(always)]
pub(crate) fn answered<'r, 'c>(
    slot: &'r Slot,
    flag: &'r CompiledFlag,
    served: Served<'r, 'c>,
    prerequisite: Option<&'r str>,
) -> Evaluation<'r, 'c> {
    let Served { variation, reason, rule, assignment, missing_unit } = served;
    let variation = flag.variation(variation);
    Evaluation {
        flag: Cow::Borrowed(&slot.key),
        revision: slot.revision,
        value: Some(&variation.value),
        variation: Some(&variation.key),
        enabled: variation.enabled && reason != Reason::Disabled && prerequisite.is_none(),
        reason,
        rule,
        prerequisite,
        assignment,
        missing_unit,
        error: None,
    }
}

pub(crate) fn failed<'r, 'c>(flag: &'r str, revision: u64, error: EvaluationError) -> Evaluation<'r, 'c> {
    Evaluation {
        flag: Cow::Borrowed(flag),
        revision,
        value: None,
        variation: None,
        enabled: false,
        reason: Reason::Error,
        rule: None,
        prerequisite: None,
        assignment: None,
        missing_unit: None,
        error: Some(error),
    }
}
