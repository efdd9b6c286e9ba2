//! All segments of a ruleset, compiled in an order in which each refers only to those before it. Segments that refer
//! to each other in a circle, to unknown ones or to broken ones are broken themselves, with the reason by name.

use std::collections::HashMap;
use std::sync::Arc;

use crate::context::{AttributeRef, Subject};
use crate::matcher::{Known, Matcher};
use crate::parse::Unreadable;
use crate::problem::{Problem, Problems, below, one_line};
use crate::text_hash::TextSet;
use crate::validate::check_segment;
use crate::{Context, EnvironmentNames, Key, Segment};

/// How long a chain of segments that refer to segments may be: evaluation recurses this far at most.
const CHAIN_MAX: usize = 16;

#[derive(Clone, Debug)]
pub(crate) struct Segments {
    user: AttributeRef,
    environment: EnvironmentNames,
    compiled: Vec<CompiledSegment>,
    by_key: HashMap<Key, Result<usize, String>>,
}

/// What decides whether a unit is in a segment.
pub(crate) enum Membership<'s> {
    Included,
    Excluded,
    ByCondition(&'s Matcher),
}

#[derive(Clone, Debug)]
struct CompiledSegment {
    key: Box<str>,
    included: TextSet,
    excluded: TextSet,
    when: Matcher,
    needs_time: bool,
    chain: usize,
}

impl Segments {
    /// Compiles `sources`; `user` is where the ids on the unit lists are read from. Never fails as a whole.
    pub(crate) fn compile(
        sources: &[Arc<Segment>],
        unreadable: &[Unreadable],
        user: AttributeRef,
        environment: EnvironmentNames,
    ) -> (Self, Vec<Problem>) {
        let mut segments = Self { user, environment, compiled: Vec::new(), by_key: HashMap::new() };
        let mut all = Problems::default();
        let mut waiting = segments.refuse_repeated(sources, unreadable, &mut all);
        while !waiting.is_empty() {
            let before = waiting.len();
            waiting.retain(|segment| {
                let ready = segments.first_unresolved(segment).is_none();
                if ready {
                    segments.add(segment, &mut all);
                }
                !ready
            });
            if waiting.len() == before {
                segments.break_a_circle(&mut waiting, &mut all);
            }
        }
        (segments, all.into_vec())
    }

    /// The index of a usable segment, or why there is none.
    pub(crate) fn find(&self, key: &Key) -> Result<usize, String> {
        match self.by_key.get(key) {
            Some(Ok(index)) => Ok(*index),
            Some(Err(why)) => Err(format!("segment `{key}` is broken: {why}")),
            None => Err(format!("segment `{key}` is not known")),
        }
    }

    /// Whether the unit is in the segment.
    pub(crate) fn has(&self, index: usize, subject: Subject<'_>) -> bool {
        match self.membership(index, subject.context) {
            Membership::Included => true,
            Membership::Excluded => false,
            Membership::ByCondition(when) => when.is_met(subject, self),
        }
    }

    /// What decides whether the unit is in the segment.
    #[inline]
    pub(crate) fn membership(&self, index: usize, context: &Context) -> Membership<'_> {
        let segment = &self.compiled[index];
        if !(segment.included.is_empty() && segment.excluded.is_empty())
            && let Some(unit_id) = self.user.unit_id(context)
        {
            if segment.excluded.contains(unit_id) {
                return Membership::Excluded;
            }
            if segment.included.contains(unit_id) {
                return Membership::Included;
            }
        }
        Membership::ByCondition(&segment.when)
    }

    /// The key of a usable segment.
    pub(crate) fn key(&self, index: usize) -> &str {
        &self.compiled[index].key
    }

    /// Whether the segment has other units at another time.
    pub(crate) fn needs_time(&self, index: usize) -> bool {
        self.compiled[index].needs_time
    }

    /// What conditions of imported segments are surrounded by.
    pub(crate) fn environment(&self) -> &EnvironmentNames {
        &self.environment
    }

    /// The id of the context's unit of the type `user`.
    pub(crate) fn user_id<'c>(&self, context: &'c Context) -> Option<&'c str> {
        self.user.unit_id(context)
    }

    /// Refuses keys that are declared more than once and segments that could not be read; the rest comes back.
    fn refuse_repeated<'s>(
        &mut self,
        sources: &'s [Arc<Segment>],
        unreadable: &'s [Unreadable],
        all: &mut Problems,
    ) -> Vec<&'s Segment> {
        let keys = || sources.iter().map(|it| &it.key).chain(unreadable.iter().map(|it| &it.key));
        let mut times: HashMap<&Key, usize> = HashMap::new();
        for key in keys() {
            *times.entry(key).or_default() += 1;
        }
        for key in keys().filter(|key| times[key] > 1) {
            if !self.by_key.contains_key(key) {
                self.refuse(key, "key", "the key is declared more than once", all);
            }
        }
        for Unreadable { key, problem, .. } in unreadable.iter().filter(|it| times[&it.key] == 1) {
            all.add(below(&format!("segments.{key}"), &problem.path), problem.message.as_str());
            self.by_key.insert(key.clone(), Err(problem.to_string()));
        }
        sources.iter().filter(|segment| times[&segment.key] == 1).map(Arc::as_ref).collect()
    }

    fn first_unresolved<'s>(&self, segment: &'s Segment) -> Option<&'s Key> {
        segment.when.segments().into_iter().find(|key| !self.by_key.contains_key(*key))
    }

    fn refuse(&mut self, key: &Key, field: &str, why: &str, all: &mut Problems) {
        all.add(format!("segments.{key}.{field}"), why);
        self.by_key.insert(key.clone(), Err(why.to_owned()));
    }

    fn add(&mut self, segment: &Segment, all: &mut Problems) {
        let mut problems = Problems::default();
        check_segment(segment, &mut problems);
        let known = Known { find: &|key| self.find(key), environment: &self.environment };
        let when = Matcher::compile(&segment.when, "when", known, &mut problems);
        let referred = segment.when.segments();
        let longest = referred.iter().filter_map(|key| self.find(key).ok());
        let chain = 1 + longest.map(|index| self.compiled[index].chain).max().unwrap_or(0);
        if chain > CHAIN_MAX {
            problems.add("when", format!("more than {CHAIN_MAX} segments refer to each other"));
        }

        let problems = problems.into_vec();
        if problems.is_empty() {
            self.by_key.insert(segment.key.clone(), Ok(self.compiled.len()));
            self.compiled.push(CompiledSegment {
                key: segment.key.as_str().into(),
                included: set(&segment.included),
                excluded: set(&segment.excluded),
                needs_time: when.needs_time(self),
                when,
                chain,
            });
            return;
        }
        self.by_key.insert(segment.key.clone(), Err(one_line(&problems)));
        for Problem { path, message } in problems {
            all.add(format!("segments.{}.{path}", segment.key), message);
        }
    }

    /// Every waiting segment waits for another: follow the first reference of each until one comes again.
    fn break_a_circle(&mut self, waiting: &mut Vec<&Segment>, all: &mut Problems) {
        let by_key: HashMap<&Key, &Segment> = waiting.iter().map(|segment| (&segment.key, *segment)).collect();
        let mut walked: Vec<&Key> = Vec::new();
        let mut next = &waiting[0].key;
        while !walked.contains(&next) {
            walked.push(next);
            let Some(unresolved) = by_key.get(next).and_then(|segment| self.first_unresolved(segment)) else {
                // Nobody declares it: settled as unknown, which frees whoever waits for it.
                self.by_key.insert(next.clone(), Err("it is not declared".to_owned()));
                return;
            };
            next = unresolved;
        }
        let circle: Vec<&Key> = walked.iter().copied().skip_while(|key| *key != next).chain([next]).collect();
        let names: Vec<&str> = circle.iter().map(|key| key.as_str()).collect();
        let why = format!("segments refer to each other in a circle: {}", names.join(" -> "));
        for key in &circle[1..] {
            self.refuse(key, "when", &why, all);
        }
        waiting.retain(|segment| !circle.contains(&&segment.key));
    }
}

fn set(units: &[String]) -> TextSet {
    units.iter().map(|unit| unit.as_str().into()).collect()
}
