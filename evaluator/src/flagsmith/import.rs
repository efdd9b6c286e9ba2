//! From an environment document to flags, states and segments of this crate that serve every identity what it was
//! served. Features keep their hashes by the dialect `flagsmith`, segments their rules as they are, identities their
//! overrides as individual targets. What cannot be kept is a problem with its path, never a silent change.

use std::collections::{BTreeMap, HashSet};

use serde_json::Value;

use super::document::{DocumentIdentity, DocumentSegment, EnvironmentDocument, FeatureState};
use super::percentage;
use super::segment_check::{FlagsmithSegment, SegmentCheck};
use super::value::number_order;
use crate::line::{BUCKETS_LAST_STEP, bucket_of_step};
use crate::problem::{Problem, Problems};
use crate::{
    BUCKETS, CONTROL, Condition, Dialect, EnvironmentNames, Flag, FlagKind, FlagState, KEY_BYTES_MAX, Key, OFF, ON,
    Range, Rule, Segment, Serve, Share, Split, Target, USER, Variation,
};

/// An environment document in the terms of this crate.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Imported {
    /// What identity keys begin with, and the environment's name.
    pub environment: EnvironmentNames,
    /// The segments.
    pub segments: Vec<Segment>,
    /// Each feature with its state.
    pub flags: Vec<(Flag, FlagState)>,
}

/// Translates a document.
///
/// # Errors
/// Every field that cannot be kept, by its path in the document.
pub fn import(document: &EnvironmentDocument) -> Result<Imported, Vec<Problem>> {
    let environment = EnvironmentNames { hash_key: document.api_key.clone(), name: document.name.clone() };
    let mut problems = Problems::default();
    if document.api_key.is_empty() {
        problems.add("api_key", "is empty; it is part of what is hashed");
    }
    let mut names = Names::default();
    let mut segments: Vec<Segment> = Vec::new();
    for (index, segment) in document.project.segments.iter().enumerate() {
        if let Err((path, message)) = SegmentCheck::compile("", &segment.rules, &environment) {
            problems.add(format!("project.segments[{index}].{path}"), message);
        }
        segments.push(segment.translated(names.key_of(&segment.name, "segment")));
    }
    let mut names = Names::default();
    let mut flags = Vec::new();
    for (index, state) in document.feature_states.iter().enumerate() {
        let path = format!("feature_states[{index}]");
        if document.feature_states.iter().take(index).any(|earlier| earlier.feature.name == state.feature.name) {
            problems.add(format!("{path}.feature.name"), format!("`{}` comes twice", state.feature.name));
            continue;
        }
        let key = names.key_of(&state.feature.name, "feature");
        flags.push(Translation { document, segments: &segments, path }.flag(state, key, &mut problems));
    }
    let problems = problems.into_vec();
    if problems.is_empty() { Ok(Imported { environment, segments, flags }) } else { Err(problems) }
}

/// Keys for names, each once.
#[derive(Default)]
struct Names(HashSet<String>);

impl Names {
    fn key_of(&mut self, name: &str, otherwise: &str) -> Key {
        const ROOM_BYTES: usize = 8;
        let allowed = |c: char| if c.is_ascii_lowercase() || c.is_ascii_digit() || "_.-".contains(c) { c } else { '-' };
        let slug: String = name.to_lowercase().chars().map(allowed).take(KEY_BYTES_MAX - ROOM_BYTES).collect();
        let slug = slug.trim_matches(['-', '.', '_']);
        let slug = if slug.is_empty() { otherwise } else { slug };
        let numbered = (2..).map(|number| format!("{slug}-{number}"));
        let free = std::iter::once(slug.to_owned()).chain(numbered).find(|key| !self.0.contains(key));
        let key = free.unwrap_or_else(|| otherwise.to_owned());
        self.0.insert(key.clone());
        Key::new(&key).expect("letters, digits and marks, beginning with one of the first two, of at most 128 bytes")
    }
}

impl DocumentSegment {
    fn translated(&self, key: Key) -> Segment {
        let rules = FlagsmithSegment { segment: self.id.to_string(), rules: self.rules.clone() };
        Segment {
            key,
            name: Some(self.name.clone()),
            when: Condition::Flagsmith(rules),
            included: Vec::new(),
            excluded: Vec::new(),
        }
    }
}

/// The variations of one feature as they are met.
#[derive(Default)]
struct Variations(Vec<Variation>);

impl Variations {
    /// The key of the variation of that value and state; the preferred one where it is free or the same. Options keep
    /// keys of their own, however alike their values are: clients are told the key, and runs compare by it.
    fn key_of(&mut self, preferred: &str, value: &Value, enabled: bool) -> String {
        let is_same = |it: &Variation| it.value == *value && it.enabled == enabled;
        let is_preferred = |key: &str| {
            let number = key.strip_prefix(preferred).and_then(|rest| rest.strip_prefix('-'));
            key == preferred || number.is_some_and(|number| number.bytes().all(|byte| byte.is_ascii_digit()))
        };
        if let Some(known) = self.0.iter().find(|it| is_same(it) && is_preferred(&it.key)) {
            return known.key.clone();
        }
        let numbered = (2..).map(|number| format!("{preferred}-{number}"));
        let mut names = std::iter::once(preferred.to_owned()).chain(numbered);
        let key = names.find(|key| self.0.iter().all(|it| it.key != *key)).unwrap_or_default();
        self.0.push(Variation { key: key.clone(), value: value.clone(), enabled });
        key
    }
}

/// One feature of a document.
struct Translation<'d> {
    document: &'d EnvironmentDocument,
    segments: &'d [Segment],
    path: String,
}

impl Translation<'_> {
    fn flag(&self, state: &FeatureState, key: Key, problems: &mut Problems) -> (Flag, FlagState) {
        let overrides = self.overrides(&state.feature.name);
        let identities = self.identities(&state.feature.name);
        let all = std::iter::once(state).chain(overrides.iter().map(|it| it.2)).chain(identities.iter().map(|it| it.1));
        let (kind, plain) = kind_of(&all.collect::<Vec<_>>());
        let mut variations = Variations::default();

        let fallthrough = self.serve(state, "default", plain, &self.path, &mut variations, problems);
        let rule = |(index, segment, state): &(usize, &Segment, &FeatureState),
                    variations: &mut Variations,
                    problems: &mut Problems| {
            let path = format!("project.segments[{index}].feature_states");
            let id = format!("segment-{}", self.document.project.segments[*index].id);
            Rule {
                id: Key::new(&id).expect("digits behind letters"),
                description: segment.name.as_ref().map(|name| format!("override of segment `{name}`")),
                when: Condition::Segment(segment.key.clone()),
                serve: self.serve(state, segment.key.as_str(), plain, &path, variations, problems),
            }
        };
        let rules = overrides.iter().map(|it| rule(it, &mut variations, problems)).collect();
        let mut targets: BTreeMap<String, Vec<String>> = BTreeMap::new();
        for (identity, state) in &identities {
            let variation = self.target(identity, state, plain, &mut variations);
            targets.entry(variation).or_default().push(identity.identifier.clone());
        }
        let off_value = if plain { Value::Bool(false) } else { state.feature_state_value.clone() };
        let off_variation = variations.key_of(OFF, &off_value, false);
        let mut variations = variations.0;
        if kind == FlagKind::Boolean {
            // A native flag of this kind tells its state by its value.
            variations.iter_mut().for_each(|variation| variation.enabled = true);
        }
        let flag = Flag {
            name: (state.feature.name != key.as_str()).then(|| state.feature.name.clone()),
            dialect: Dialect::Flagsmith,
            kind,
            variations,
            off_variation,
            ..Flag::boolean(key)
        };
        let targets = targets.into_iter().map(|(variation, units)| Target { variation, units }).collect();
        let state = FlagState { enabled: true, targets, rules, fallthrough: Some(fallthrough), ..FlagState::default() };
        (flag, state)
    }

    /// The overrides of segments, those that win first.
    fn overrides(&self, feature: &str) -> Vec<(usize, &Segment, &FeatureState)> {
        let mut found: Vec<_> = self
            .document
            .project
            .segments
            .iter()
            .zip(self.segments)
            .enumerate()
            .flat_map(|(index, (theirs, ours))| theirs.feature_states.iter().map(move |state| (index, ours, state)))
            .filter(|(_, _, state)| state.feature.name == feature)
            .collect();
        let priority = |state: &FeatureState| state.feature_segment.as_ref().and_then(|it| it.priority.clone());
        // Stable: the first of equals wins, and any number wins over none.
        found.sort_by(|left, right| match (priority(left.2), priority(right.2)) {
            (Some(left), Some(right)) => number_order(&left, &right),
            (left, right) => left.is_none().cmp(&right.is_none()),
        });
        let mut seen = HashSet::new();
        found.retain(|(index, ..)| seen.insert(*index));
        found
    }

    fn identities(&self, feature: &str) -> Vec<(&DocumentIdentity, &FeatureState)> {
        let mut seen = HashSet::new();
        let all = self.document.identity_overrides.iter();
        all.flat_map(|identity| identity.identity_features.iter().map(move |state| (identity, state)))
            .filter(|(identity, state)| state.feature.name == feature && seen.insert(&identity.identifier))
            .collect()
    }

    /// What one identity gets by its own override: a matter of its hash, where the override is a split.
    fn target(&self, identity: &DocumentIdentity, state: &FeatureState, plain: bool, known: &mut Variations) -> String {
        let identity_key =
            identity.key().unwrap_or_else(|| format!("{}_{}", self.document.api_key, identity.identifier));
        let place = percentage(&[&state.key(), &identity_key]);
        let mut start = 0.0;
        for value in state.ordered_values() {
            let limit = start + value.percentage_allocation.as_f64().unwrap_or_default();
            if start <= place && place < limit {
                let option = &value.multivariate_feature_option;
                return known.key_of(option.key.as_deref().unwrap_or("option"), &option.value, state.enabled);
            }
            start = limit;
        }
        base(state, "identity", plain, known)
    }

    fn serve(
        &self,
        state: &FeatureState,
        name: &str,
        plain: bool,
        path: &str,
        known: &mut Variations,
        problems: &mut Problems,
    ) -> Serve {
        let values = state.ordered_values();
        if values.is_empty() {
            return Serve::Variation(base(state, name, plain, known));
        }
        let control = base(state, CONTROL, plain, known);
        let (mut ranges, mut start, mut limit) = (Vec::new(), 0, 0.0);
        for (index, value) in values.iter().enumerate() {
            let weight = value.percentage_allocation.as_f64().unwrap_or(f64::NAN);
            if !(0.0..=100.0).contains(&weight) {
                let path = format!("{path}.multivariate_feature_state_values[{index}].percentage_allocation");
                problems.add(path, format!("`{}` is not a percentage from 0 to 100", value.percentage_allocation));
                continue;
            }
            limit += weight;
            let end = parts_below(limit).max(start);
            let option = &value.multivariate_feature_option;
            let preferred = option.key.clone().unwrap_or_else(|| format!("option-{}", index + 1));
            let variation = known.key_of(&preferred, &option.value, state.enabled);
            if end > start {
                ranges.push(Range { variation, start, end });
            }
            start = end;
        }
        if start < BUCKETS {
            ranges.push(Range { variation: control, start, end: BUCKETS });
        }
        Serve::Split(Split {
            unit: USER.to_owned(),
            salt: format!("{},{}_", state.key(), self.document.api_key),
            share: Share::FULL,
            ranges,
            run: None,
        })
    }
}

fn base(state: &FeatureState, name: &str, plain: bool, known: &mut Variations) -> String {
    match plain {
        true => known.key_of(if state.enabled { ON } else { OFF }, &Value::Bool(state.enabled), state.enabled),
        false => known.key_of(name, &state.feature_state_value, state.enabled),
    }
}

/// The kind that takes all values, and whether there are none: such a feature is just on or off.
fn kind_of(states: &[&FeatureState]) -> (FlagKind, bool) {
    let options = states.iter().flat_map(|state| &state.multivariate_feature_state_values);
    let values: Vec<&Value> = states
        .iter()
        .map(|state| &state.feature_state_value)
        .chain(options.map(|it| &it.multivariate_feature_option.value))
        .collect();
    let has_options = states.iter().any(|state| !state.multivariate_feature_state_values.is_empty());
    if !has_options && values.iter().all(|value| value.is_null()) {
        return (FlagKind::Boolean, true);
    }
    let of = |kind: FlagKind| values.iter().all(|value| kind.accepts(value));
    let kind = [FlagKind::String, FlagKind::Number].into_iter().find(|kind| of(*kind)).unwrap_or(FlagKind::Json);
    (kind, false)
}

/// The parts of the bucket line that hold exactly the units whose percentage is below `limit`. There always are some:
/// the line of percentages has steps of 0.01 %, that of buckets parts of 0.001 %.
fn parts_below(limit: f64) -> u32 {
    let is_below = |step: u32| f64::from(step) / f64::from(BUCKETS_LAST_STEP) * 100.0 < limit;
    // The number of steps below: the first that is not.
    let (mut low, mut high) = (0, BUCKETS_LAST_STEP);
    while low < high {
        let middle = low.midpoint(high);
        if is_below(middle) { low = middle + 1 } else { high = middle }
    }
    match low {
        0 => 0,
        BUCKETS_LAST_STEP => BUCKETS,
        // The round number that people wrote, when it stands between the two steps.
        first => {
            let rounded = (limit * f64::from(BUCKETS / 100)).round() as u32;
            rounded.clamp(bucket_of_step(first - 1) + 1, bucket_of_step(first))
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn parts_hold_exactly_the_units_below_a_limit() {
        let sums = [0.1 + 0.2, 33.3333 * 2.0, 20.1 + 29.9, 0.07, 1e-9, 99.989, 99.99, 99.995];
        for limit in (0..=1_000).map(|tenth| f64::from(tenth) / 10.0).chain(sums) {
            let parts = parts_below(limit);
            for step in 0..BUCKETS_LAST_STEP {
                let percentage = f64::from(step) / f64::from(BUCKETS_LAST_STEP) * 100.0;
                assert_eq!(bucket_of_step(step) < parts, percentage < limit, "{limit} {step}");
            }
        }
        assert_eq!([parts_below(25.0), parts_below(33.3), parts_below(100.0)], [25_000, 33_300, BUCKETS]);
    }
}
