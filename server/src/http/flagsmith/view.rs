//! What Flagsmith's protocol says of a snapshot, written down once when the snapshot is compiled: for each flag a text
//! for every place that can serve and every variation. Answering an identity is then copying texts.

use std::{collections::HashMap, ops::Range};

use axum::http::HeaderValue;
use bytes::Bytes;
use liftgate_domain::Timestamp;
use liftgate_evaluator::{Context, Evaluation, Reason, Ruleset, RulesetSource, Segment};

use super::{terms::feature_name, writer::Writer};
use crate::rulesets::Numbers;

/// A snapshot in this protocol's words.
#[derive(Debug, Default)]
pub struct View {
    /// In the order of the ruleset's keys.
    flags: Vec<FlagView>,
    /// The answer without an identity.
    environment: Bytes,
    /// Where each feature stands in it.
    places: HashMap<String, Range<usize>>,
    /// The key of the flag of each feature.
    keys: HashMap<String, String>,
    updated_at: String,
}

#[derive(Debug, Default)]
pub(super) struct FlagView {
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
    /// Writes everything down.
    pub fn new(source: &RulesetSource, numbers: &Numbers, ruleset: &Ruleset, moved_at: Timestamp) -> Self {
        let mut view = Self { updated_at: seconds(moved_at), ..Self::default() };
        let flags: HashMap<&str, _> = source.flags.iter().map(|it| (it.flag.key.as_str(), it)).collect();
        let segments: HashMap<&str, &Segment> = source.segments.iter().map(|it| (it.key.as_str(), it)).collect();
        let nobody = Context::default();
        let mut all = vec![b'['];
        for evaluation in ruleset.evaluate_all_at(&nobody, moved_at) {
            let Some(found) = flags.get(&*evaluation.flag).filter(|_| evaluation.error.is_none()) else {
                // A broken flag is left out, so that callers fall back to their own default.
                view.flags.push(FlagView::default());
                continue;
            };
            let number = numbers.flag(found.flag.key.as_str());
            let writer = Writer { flag: &found.flag, state: &found.state, segments: &segments, number };
            view.keys.insert(feature_name(&found.flag).to_owned(), found.flag.key.to_string());
            view.flags.push(writer.view());
            if all.len() > 1 {
                all.push(b',');
            }
            let start = all.len();
            all.extend_from_slice(writer.without_identity(&evaluation).as_bytes());
            view.places.insert(feature_name(&found.flag).to_owned(), start..all.len());
        }
        all.push(b']');
        view.environment = all.into();
        view
    }

    /// The answer without an identity: every flag, or one.
    pub fn environment(&self, feature: Option<&str>) -> Option<Bytes> {
        match feature {
            None => Some(self.environment.clone()),
            Some(name) => Some(self.environment.slice(self.places.get(name)?.clone())),
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

    /// The key of the flag that a feature is.
    pub fn key_of(&self, feature: &str) -> Option<&str> {
        self.keys.get(feature).map(String::as_str)
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
