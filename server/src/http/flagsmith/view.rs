//! What Flagsmith's protocol says of a snapshot, written down once when the snapshot is compiled: for each flag a text
//! for every place that can serve and every variation. Answering an identity is then copying texts.

use std::{collections::HashMap, ops::Range};

use axum::http::HeaderValue;
use bytes::Bytes;
use liftgate_domain::Timestamp;
use liftgate_evaluator::{
    CONTROL, Context, Dialect, Evaluation, Flag, FlagKind, FlagState, Reason, Ruleset, RulesetSource, RunRef, Segment,
    Serve, Variation,
};
use serde_json::{Value, json};

use crate::rulesets::Numbers;

/// The name under which the override of one identity stands in reasons.
const IDENTITY_OVERRIDES: &str = "identity_overrides";

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
struct FlagView {
    texts: Vec<Text>,
    /// The runs that go on in it, by the order of what serves.
    runs: Vec<RunTexts>,
}

/// A flag as one place serves one variation; without the closing brace.
#[derive(Debug)]
struct Text {
    place: Place,
    variation: String,
    json: String,
}

#[derive(Clone, Debug, PartialEq)]
enum Place {
    /// Disabled, or kept off by a prerequisite.
    Off,
    Target,
    Rule(String),
    Fallthrough,
}

/// What follows the text while a run goes on.
#[derive(Debug)]
struct RunTexts {
    number: u64,
    inside: String,
    outside: String,
}

/// The name that a flag has as a feature: keys have few characters, features of other systems any.
pub fn feature_name(flag: &Flag) -> &str {
    match (flag.dialect, &flag.name) {
        (Dialect::Flagsmith, Some(name)) => name,
        _ => flag.key.as_str(),
    }
}

/// The value of a variation as this protocol has it: text, an integer, a truth value or null. A boolean flag has none:
/// it is on or off.
pub fn feature_value(kind: FlagKind, value: &Value) -> Value {
    match value {
        _ if kind == FlagKind::Boolean => Value::Null,
        Value::Number(number) if !number.is_i64() && !number.is_u64() => number.to_string().into(),
        Value::Array(_) | Value::Object(_) => value.to_string().into(),
        other => other.clone(),
    }
}

/// The variation that units of a split or ramp have who get nothing new.
pub fn control_of<'f>(flag: &'f Flag, serve: &'f Serve) -> Option<&'f str> {
    match serve {
        Serve::Variation(_) => None,
        Serve::Ramp(ramp) => Some(&ramp.control),
        Serve::Split(split) => {
            let last = split.ranges.last().map(|range| range.variation.as_str());
            match flag.dialect {
                Dialect::Flagsmith => {
                    let named = || flag.variation(CONTROL).map(|it| it.key.as_str());
                    last.filter(|key| key.starts_with(CONTROL)).or_else(named).or(last)
                }
                Dialect::Native => None,
            }
        }
    }
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
    fn is_of(&self, evaluation: &Evaluation<'_, '_>) -> bool {
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

/// One flag with what its texts need.
struct Writer<'s> {
    flag: &'s Flag,
    state: &'s FlagState,
    segments: &'s HashMap<&'s str, &'s Segment>,
    number: u64,
}

impl Writer<'_> {
    fn view(&self) -> FlagView {
        let mut texts = Vec::new();
        let mut add = |place: Place, variation: &Variation, variant: Option<&str>, reason: &str| {
            let json = self.json(variation, place != Place::Off, variant, reason);
            texts.push(Text { place, variation: variation.key.clone(), json });
        };
        let plain = if self.state.rules.is_empty() { "STATIC" } else { "DEFAULT" };
        for variation in &self.flag.variations {
            add(Place::Off, variation, None, plain);
            add(Place::Target, variation, None, &format!("TARGETING_MATCH; segment={IDENTITY_OVERRIDES}"));
        }
        for rule in &self.state.rules {
            let reason = format!("TARGETING_MATCH; segment={}", self.name_of(rule));
            for (variation, variant, reason) in self.served(&rule.serve, &reason) {
                add(Place::Rule(rule.id.to_string()), variation, variant.as_deref(), &reason);
            }
        }
        let fallthrough = match &self.state.fallthrough {
            Some(serve) => self.served(serve, plain),
            None => Vec::new(),
        };
        for (variation, variant, reason) in &fallthrough {
            add(Place::Fallthrough, variation, variant.as_deref(), reason);
        }
        // Who is outside a share, or has no unit, is served the off variation by no bucket.
        if let Some(off) = self.flag.variation(&self.flag.off_variation)
            && fallthrough.iter().all(|(variation, ..)| variation.key != off.key)
        {
            add(Place::Fallthrough, off, None, plain);
        }
        FlagView { texts, runs: self.runs().map(run_texts).collect() }
    }

    /// What a place may serve, with variant and reason.
    fn served(&self, serve: &Serve, otherwise: &str) -> Vec<(&Variation, Option<String>, String)> {
        let control = control_of(self.flag, serve);
        let shares: Vec<(&str, u32)> = match serve {
            Serve::Variation(key) => {
                return self.flag.variation(key).map(|it| (it, None, otherwise.to_owned())).into_iter().collect();
            }
            Serve::Ramp(ramp) => vec![(&ramp.treatment, ramp.share.parts()), (&ramp.control, 0)],
            Serve::Split(split) => {
                let mut shares: Vec<(&str, u32)> = Vec::new();
                for range in &split.ranges {
                    match shares.iter_mut().find(|(key, _)| *key == range.variation) {
                        Some((_, parts)) => *parts += range.parts(),
                        None => shares.push((&range.variation, range.parts())),
                    }
                }
                shares
            }
        };
        let answer = |(key, parts): (&str, u32)| {
            let variation = self.flag.variation(key)?;
            if control == Some(key) {
                let variant = if self.flag.dialect == Dialect::Flagsmith { CONTROL } else { key };
                return Some((variation, Some(variant.to_owned()), otherwise.to_owned()));
            }
            // As a float, which is how documents carry it and how their engines print it.
            let weight = f64::from(parts) / 1_000.0;
            Some((variation, Some(key.to_owned()), format!("SPLIT; weight={weight:?}")))
        };
        shares.into_iter().filter_map(answer).collect()
    }

    fn name_of(&self, rule: &liftgate_evaluator::Rule) -> String {
        match &rule.when {
            liftgate_evaluator::Condition::Segment(key) => {
                let segment = self.segments.get(key.as_str());
                segment.and_then(|it| it.name.clone()).unwrap_or_else(|| key.to_string())
            }
            _ => rule.id.to_string(),
        }
    }

    fn runs(&self) -> impl Iterator<Item = &RunRef> {
        let serves = self.state.rules.iter().map(|rule| &rule.serve).chain(&self.state.fallthrough);
        serves.filter(|_| self.state.enabled).filter_map(run_of)
    }

    /// The flag for nobody in particular: where identities are divided, what those get who get nothing new.
    fn without_identity(&self, evaluation: &Evaluation<'_, '_>) -> String {
        let divided = evaluation.missing_unit.is_some() && evaluation.rule.is_none();
        let fallthrough = self.state.fallthrough.as_ref();
        let control = fallthrough.filter(|_| divided).and_then(|serve| control_of(self.flag, serve));
        let key = control.or(evaluation.variation).unwrap_or_default();
        let Some(variation) = self.flag.variation(key) else { return String::new() };
        let mut json = self.json(variation, !Place::Off.is_of(evaluation), None, "STATIC");
        json.push('}');
        json
    }

    fn json(&self, variation: &Variation, is_on: bool, variant: Option<&str>, reason: &str) -> String {
        let is_true = self.flag.kind != FlagKind::Boolean || variation.value == true;
        let mut text = json!({
            "feature": {"id": self.number, "name": feature_name(self.flag), "type": self.feature_type()},
            "enabled": is_on && variation.enabled && is_true,
            "feature_state_value": feature_value(self.flag.kind, &variation.value),
            "variant": variant,
            "reason": reason,
        })
        .to_string();
        text.pop();
        text
    }

    fn feature_type(&self) -> &'static str {
        let divides = |serve: &Serve| !matches!(serve, Serve::Variation(_));
        let any = self.state.rules.iter().map(|rule| &rule.serve).chain(&self.state.fallthrough).any(divides);
        if any { "MULTIVARIATE" } else { "STANDARD" }
    }
}

fn run_of(serve: &Serve) -> Option<&RunRef> {
    match serve {
        Serve::Ramp(ramp) => ramp.run.as_ref(),
        Serve::Split(split) => split.run.as_ref(),
        Serve::Variation(_) => None,
    }
}

fn run_texts(run: &RunRef) -> RunTexts {
    let text = |inside: bool| {
        let experiment = json!({"id": run.number, "name": run.key, "in_experiment": inside});
        format!(",\"metadata\":{}}}", json!({ "experiment": experiment }))
    };
    RunTexts { number: run.number, inside: text(true), outside: text(false) }
}
