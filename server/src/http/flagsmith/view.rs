//! What Flagsmith's protocol says of a snapshot, written down once when the snapshot is compiled: for each flag a text
//! for every place that can serve and every variation. Answering an identity is then copying texts.

use std::{
    collections::HashMap,
    ops::Range,
    sync::{Arc, OnceLock},
};

use axum::http::HeaderValue;
use bytes::Bytes;
use liftgate_domain::Timestamp;
use liftgate_evaluator::{Context, Evaluation, Reason, Segment};

use super::writer::Writer;
use crate::rulesets::{Declared, DeclaredFlag, Snapshot};

/// A snapshot in this protocol's words.
#[derive(Debug, Default)]
pub struct View {
    /// In the order of the ruleset's keys.
    flags: Vec<Arc<FlagView>>,
    /// The place of the flag that a feature is, by its name.
    places: Arc<HashMap<String, usize>>,
    /// The answer without an identity, made when somebody asks.
    environment: OnceLock<Whole>,
    updated_at: String,
}

/// All flags without an identity, as one text.
#[derive(Debug)]
struct Whole {
    text: Bytes,
    /// Where each flag stands in it.
    ranges: Vec<Range<usize>>,
}

/// One flag in this protocol's words.
#[derive(Debug, Default)]
pub struct FlagView {
    /// The feature's name.
    pub(super) name: String,
    pub(super) texts: Vec<Text>,
    /// The runs that go on in it, by the order of what serves.
    pub(super) runs: Vec<RunTexts>,
}

/// A flag as one place serves one variation; without the closing brace.
#[derive(Debug)]
pub(super) struct Text {
    pub(super) place: Place,
    pub(super) variation: String,
    pub(super) json: String,
}

#[derive(Clone, Debug, PartialEq)]
pub(super) enum Place {
    /// Disabled, or kept off by a prerequisite.
    Off,
    Target,
    Rule(String),
    Fallthrough,
}

/// What follows the text while a run goes on.
#[derive(Debug)]
pub(super) struct RunTexts {
    pub(super) number: u64,
    pub(super) inside: String,
    pub(super) outside: String,
}

impl View {
    /// Writes everything down; `kept` has the flags that did not change since `before`.
    pub fn new(declared: &Declared, before: Option<&Self>, kept: impl Fn(usize) -> Option<Arc<FlagView>>) -> Self {
        let segments: HashMap<&str, &Segment> =
            declared.segments.iter().map(|segment| (segment.key.as_str(), &**segment)).collect();
        let view = |(place, flag): (usize, &DeclaredFlag)| {
            kept(place).unwrap_or_else(|| Arc::new(writer(flag, &segments).view()))
        };
        let flags: Vec<Arc<FlagView>> = declared.flags.iter().enumerate().map(view).collect();
        let same_names = |before: &&Self| {
            let pairs = || before.flags.iter().zip(&flags);
            before.flags.len() == flags.len() && pairs().all(|(left, right)| left.name == right.name)
        };
        let places = before.filter(same_names).map_or_else(
            || Arc::new(flags.iter().enumerate().map(|(place, flag)| (flag.name.clone(), place)).collect()),
            |before| before.places.clone(),
        );
        Self { flags, places, environment: OnceLock::new(), updated_at: seconds(declared.moved_at) }
    }

    /// The view of the flag at a place, for the snapshot that comes after.
    pub fn share(&self, place: usize) -> Arc<FlagView> {
        self.flags[place].clone()
    }

    /// Whether the answer without an identity is there already; with thousands of flags it takes a while.
    pub fn has_environment(&self) -> bool {
        self.environment.get().is_some()
    }

    /// The answer without an identity: every flag, or one.
    pub fn environment(&self, snapshot: &Snapshot, feature: Option<&str>) -> Option<Bytes> {
        let whole = self.environment.get_or_init(|| Whole::new(snapshot));
        match feature {
            None => Some(whole.text.clone()),
            // A broken flag has no text.
            Some(name) => Some(whole.ranges.get(*self.places.get(name)?)?.clone())
                .filter(|range| !range.is_empty())
                .map(|range| whole.text.slice(range)),
        }
    }

    /// Adds what an identity gets to a list.
    pub fn write(&self, index: usize, evaluation: &Evaluation<'_, '_>, list: &mut Vec<u8>) {
        let place =
            |text: &&Text| text.place.is_of(evaluation) && evaluation.variation == Some(text.variation.as_str());
        let Some(flag) = self.flags.get(index) else { return };
        let Some(text) = flag.texts.iter().find(place) else { return };
        if list.last() != Some(&b'[') {
            list.push(b',');
        }
        list.extend_from_slice(text.json.as_bytes());
        list.extend_from_slice(flag.end(text, evaluation).as_bytes());
    }

    /// The place of the flag that a feature is.
    pub fn place_of(&self, feature: &str) -> Option<usize> {
        self.places.get(feature).copied()
    }

    /// When the snapshot's revision was committed, in seconds: streams, documents and answers carry the same number.
    pub fn updated_at(&self) -> &str {
        &self.updated_at
    }

    /// The same as a header.
    pub fn updated_at_header(&self) -> HeaderValue {
        HeaderValue::from_str(&self.updated_at).unwrap_or(HeaderValue::from_static("0.0"))
    }
}

impl Whole {
    fn new(snapshot: &Snapshot) -> Self {
        let declared = &snapshot.declared;
        let segments = HashMap::new();
        let nobody = Context::default();
        let (mut text, mut ranges) = (vec![b'['], Vec::with_capacity(declared.flags.len()));
        let evaluations = snapshot.ruleset.evaluate_all_at(&nobody, declared.moved_at);
        for (flag, evaluation) in declared.flags.iter().zip(evaluations) {
            // A broken flag is left out, so that callers fall back to their own default.
            if evaluation.error.is_some() {
                ranges.push(0..0);
                continue;
            }
            if text.len() > 1 {
                text.push(b',');
            }
            let start = text.len();
            text.extend_from_slice(writer(flag, &segments).without_identity(&evaluation).as_bytes());
            ranges.push(start..text.len());
        }
        text.push(b']');
        Self { text: text.into(), ranges }
    }
}

fn writer<'s>(flag: &'s DeclaredFlag, segments: &'s HashMap<&'s str, &'s Segment>) -> Writer<'s> {
    Writer { flag: &flag.source.flag, state: &flag.source.state, segments, number: flag.number }
}

/// Seconds since the epoch with all six places: clients compare them, and two revisions may share a second.
pub fn seconds(at: Timestamp) -> String {
    let micros = at.as_micros().max(0);
    format!("{}.{:06}", micros / 1_000_000, micros % 1_000_000)
}

impl FlagView {
    /// What follows a text: the run that serves, else the first that goes on, of which the unit has no part then.
    fn end(&self, text: &Text, evaluation: &Evaluation<'_, '_>) -> &str {
        let own = evaluation.assignment.and_then(|it| self.runs.iter().find(|run| run.number == it.run.number));
        let is_inside = evaluation.assignment.is_some_and(|it| it.arm.is_some());
        match own.or(self.runs.first()) {
            // The override of an identity has no part in a run.
            Some(run) if text.place != Place::Target => {
                if is_inside {
                    &run.inside
                } else {
                    &run.outside
                }
            }
            _ => "}",
        }
    }
}

impl Place {
    pub(super) fn is_of(&self, evaluation: &Evaluation<'_, '_>) -> bool {
        match self {
            Self::Off => evaluation.reason == Reason::Disabled || evaluation.prerequisite.is_some(),
            Self::Target => evaluation.rule.is_none() && evaluation.reason == Reason::TargetingMatch,
            Self::Rule(id) => evaluation.rule == Some(id),
            Self::Fallthrough => {
                let is_plain = !matches!(evaluation.reason, Reason::Disabled | Reason::TargetingMatch);
                evaluation.rule.is_none() && evaluation.prerequisite.is_none() && is_plain
            }
        }
    }
}
