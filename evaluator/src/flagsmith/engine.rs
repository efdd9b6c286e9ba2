//! One evaluation of one context. Segments are evaluated in order, each once; a condition that reads `$.flags` resolves
//! that flag when it is first read. A cycle is cut where it closes: its flags answer the environment's default with an
//! error as reason, and a segment that had to look at one of them does not match.

use std::borrow::Cow;
use std::cell::OnceCell;
use std::collections::BTreeMap;

use serde_json::{Value, json};

use super::context::{EvaluationContext, FeatureContext, FeatureValue, SegmentContext};
use super::property::{self, Step};
use super::reasons::{CIRCULAR_DEPENDENCY, DEPENDENCY_TOO_DEEP, Targeting};
use super::rule::{Operator, RuleType, SegmentCondition, SegmentRule};
use super::value::{ContextValue, number_order, number_text};
use super::{EvaluationResult, FlagResult, Reasons, SegmentResult, matching, percentage};

/// Flags that read flags that read flags: longer chains are cut like cycles, to bound the stack.
const DEPENDENCY_DEPTH_MAX: usize = 32;
/// Rules within rules: deeper ones do not match. JSON text cannot nest them as deeply.
const RULE_DEPTH_MAX: usize = 64;

/// How often a flag without an answer is followed again. Flags that all read each other have more paths than stars.
const REPEATS_MAX: usize = 256;

const CONTROL: &str = "control";

/// An override and the segment that it is from.
type Override<'a> = (&'a FeatureContext, &'a SegmentContext);

pub(super) struct Engine<'a> {
    context: &'a EvaluationContext,
    reasons: Reasons,
    identity_key: Option<Cow<'a, str>>,
    segments: Vec<&'a SegmentContext>,
    /// Positions of the segments that override a feature.
    overriding: BTreeMap<&'a str, Vec<usize>>,
    /// The whole context as JSON, when a property asks for an unusual part.
    tree: OnceCell<Value>,
    /// Whether a segment matches; those that had to look at a flag without an answer are not kept.
    verdicts: BTreeMap<usize, bool>,
    resolving: Vec<&'a str>,
    resolved: BTreeMap<&'a str, FlagResult>,
    /// Flags on a cycle or too long a chain, with the reason that they answer.
    failed: BTreeMap<&'a str, &'static str>,
    /// How often a flag without an answer was read.
    cuts: u64,
    repeats: usize,
}

impl<'a> Engine<'a> {
    pub(super) fn new(context: &'a EvaluationContext, reasons: Reasons) -> Self {
        let segments: Vec<&SegmentContext> = context.segments.values().collect();
        let mut overriding: BTreeMap<&str, Vec<usize>> = BTreeMap::new();
        for (position, segment) in segments.iter().enumerate() {
            for feature in &segment.overrides {
                let positions = overriding.entry(&feature.name).or_default();
                if positions.last() != Some(&position) {
                    positions.push(position);
                }
            }
        }
        Self {
            context,
            reasons,
            identity_key: identity_key(context),
            segments,
            overriding,
            tree: OnceCell::new(),
            verdicts: BTreeMap::new(),
            resolving: Vec::new(),
            resolved: BTreeMap::new(),
            failed: BTreeMap::new(),
            cuts: 0,
            repeats: 0,
        }
    }

    pub(super) fn run(mut self) -> EvaluationResult {
        let mut segments = Vec::new();
        let mut overrides: BTreeMap<&str, Override<'a>> = BTreeMap::new();
        for position in 0..self.segments.len() {
            if !self.is_in(position) {
                continue;
            }
            let segment = self.segments[position];
            segments.push(SegmentResult { name: segment.name.clone(), metadata: segment.metadata.clone() });
            for feature in &segment.overrides {
                if overrides.get(feature.name.as_str()).is_none_or(|held| wins_over(feature, held.0)) {
                    overrides.insert(&feature.name, (feature, segment));
                }
            }
        }
        let features = self.context.features.iter();
        let flags = features
            .map(|(name, feature)| {
                (feature.name.clone(), self.answer(name, feature, overrides.get(feature.name.as_str())))
            })
            .collect();
        EvaluationResult { flags, segments }
    }

    fn answer(&self, name: &str, feature: &FeatureContext, winner: Option<&Override<'a>>) -> FlagResult {
        if let Some(&reason) = self.failed.get(name) {
            return FlagResult { reason: reason.to_owned(), ..self.flag(feature, None) };
        }
        match self.resolved.get(name) {
            Some(resolved) => resolved.clone(),
            None => self.flag(feature, winner),
        }
    }

    fn flag(&self, feature: &FeatureContext, winner: Option<&Override<'a>>) -> FlagResult {
        let served = winner.map_or(feature, |&(served, _)| served);
        let mut result = FlagResult {
            name: served.name.clone(),
            enabled: served.enabled,
            value: served.value.clone(),
            reason: match winner {
                Some((_, segment)) => format!("TARGETING_MATCH; segment={}", segment.name),
                None => self.reasons.fallback(self.targeting(&feature.name)).to_owned(),
            },
            variant: None,
            metadata: served.metadata.clone(),
        };
        let Some(identity_key) = self.identity_key.as_deref().filter(|_| !served.variants.is_empty()) else {
            return result;
        };
        match variant(served, percentage(&[&served.key, identity_key])) {
            Some(variant) => {
                result.value = variant.value.clone();
                result.reason = format!("SPLIT; weight={}", number_text(&variant.weight));
                result.variant.clone_from(&variant.key);
            }
            None => result.variant = Some(CONTROL.to_owned()),
        }
        result
    }

    fn targeting(&self, feature: &str) -> Targeting {
        if self.overriding.contains_key(feature) { Targeting::Some } else { Targeting::None }
    }

    fn is_in(&mut self, position: usize) -> bool {
        if let Some(&verdict) = self.verdicts.get(&position) {
            return verdict;
        }
        let cuts = self.cuts;
        let segment = self.segments[position];
        let matches =
            !segment.rules.is_empty() && segment.rules.iter().all(|rule| self.rule_matches(rule, &segment.key, 0));
        if self.cuts != cuts {
            return false; // whatever it says rests on a flag without an answer
        }
        self.verdicts.insert(position, matches);
        matches
    }

    fn rule_matches(&mut self, rule: &'a SegmentRule, segment_key: &str, depth: usize) -> bool {
        if depth >= RULE_DEPTH_MAX {
            return false;
        }
        let (conditions, rules) = (&rule.conditions, &rule.rules);
        // Only `ALL` begins with "true for none of them": an empty part is true whatever the quantifier.
        let conditions_match = conditions.is_empty()
            || match rule.rule_type {
                RuleType::All => conditions.iter().all(|it| self.condition_holds(it, segment_key)),
                RuleType::Any => conditions.iter().any(|it| self.condition_holds(it, segment_key)),
                RuleType::None => !conditions.iter().any(|it| self.condition_holds(it, segment_key)),
            };
        // Evaluated even when the conditions already failed, as the reads of flags may close a cycle.
        let rules_match = rules.is_empty()
            || match rule.rule_type {
                RuleType::All => rules.iter().all(|it| self.rule_matches(it, segment_key, depth + 1)),
                RuleType::Any => rules.iter().any(|it| self.rule_matches(it, segment_key, depth + 1)),
                RuleType::None => !rules.iter().any(|it| self.rule_matches(it, segment_key, depth + 1)),
            };
        conditions_match && rules_match
    }

    fn condition_holds(&mut self, condition: &SegmentCondition, segment_key: &str) -> bool {
        let value = if condition.operator == Operator::PercentageSplit && condition.property.is_empty() {
            self.identity_key.as_deref().map(|key| ContextValue::Text(key.to_owned()))
        } else {
            self.read(&condition.property)
        };
        matching::holds(condition.operator, value.as_ref(), &condition.value, segment_key)
    }

    /// A trait of that very name first, then a path.
    fn read(&mut self, property: &str) -> Option<ContextValue> {
        let identity = self.context.identity.as_ref();
        let own = identity.and_then(|identity| ContextValue::new(&identity.traits.get(property)?.0));
        if own.is_some() || !property.starts_with("$.") {
            return own;
        }
        let steps = property::parse(property)?;
        match steps.split_first()? {
            (Step::Member(root), [Step::Member(name), rest @ ..]) if root == "flags" => self.read_flag(name, rest),
            _ => ContextValue::new(steps.iter().try_fold(self.tree(), |value, step| step.follow(value))?),
        }
    }

    fn tree(&self) -> &Value {
        self.tree.get_or_init(|| {
            let mut tree = serde_json::to_value(self.context).unwrap_or_default();
            if let (Some(identity), Some(key)) = (tree.get_mut("identity"), &self.identity_key) {
                identity["key"] = json!(key);
            }
            tree
        })
    }

    fn read_flag(&mut self, name: &str, rest: &[Step]) -> Option<ContextValue> {
        let (name, feature) = self.context.features.get_entry(name)?;
        if !self.resolved.contains_key(name) {
            self.resolve(name, feature);
        }
        let flag = serde_json::to_value(self.resolved.get(name)?).ok()?;
        ContextValue::new(rest.iter().try_fold(&flag, |value, step| step.follow(value))?)
    }

    fn resolve(&mut self, name: &'a str, feature: &'a FeatureContext) {
        if let Some(start) = self.resolving.iter().position(|&other| other == name) {
            return self.cut(start, CIRCULAR_DEPENDENCY);
        }
        if self.resolving.len() >= DEPENDENCY_DEPTH_MAX {
            return self.cut(0, DEPENDENCY_TOO_DEEP);
        }
        if self.failed.contains_key(name) {
            // Followed again, as the way here may close another cycle through it.
            self.cuts += 1;
            if self.repeats >= REPEATS_MAX {
                return;
            }
            self.repeats += 1;
        }
        self.resolving.push(name);
        let winner = self.winner(name);
        self.resolving.pop();
        if !self.failed.contains_key(name) {
            let flag = self.flag(feature, winner.as_ref());
            self.resolved.insert(name, flag);
        }
    }

    /// The flags being resolved, from one on, have no answer.
    fn cut(&mut self, start: usize, reason: &'static str) {
        self.cuts += 1;
        for name in self.resolving.iter().skip(start) {
            self.failed.entry(name).or_insert(reason);
        }
    }

    fn winner(&mut self, name: &str) -> Option<Override<'a>> {
        let positions = self.overriding.get(name).cloned().unwrap_or_default();
        let mut winner: Option<Override<'a>> = None;
        for position in positions {
            if !self.is_in(position) {
                continue;
            }
            let segment = self.segments[position];
            for feature in segment.overrides.iter().filter(|feature| feature.name == name) {
                if winner.is_none_or(|held| wins_over(feature, held.0)) {
                    winner = Some((feature, segment));
                }
            }
        }
        winner
    }
}

fn identity_key(context: &EvaluationContext) -> Option<Cow<'_, str>> {
    let identity = context.identity.as_ref()?;
    Some(match identity.key.as_deref().filter(|key| !key.is_empty()) {
        Some(key) => Cow::Borrowed(key),
        None => Cow::Owned(format!("{}_{}", context.environment.key, identity.identifier)),
    })
}

/// The lower number does, strictly: the first of equals stays.
fn wins_over(candidate: &FeatureContext, held: &FeatureContext) -> bool {
    match (&candidate.priority, &held.priority) {
        (Some(candidate), Some(held)) => number_order(candidate, held).is_lt(),
        (candidate, held) => candidate.is_some() && held.is_none(),
    }
}

/// The variant whose part of the line the percentage is in.
fn variant(feature: &FeatureContext, percentage: f64) -> Option<&FeatureValue> {
    let mut variants: Vec<&FeatureValue> = feature.variants.iter().collect();
    variants.sort_by(|left, right| number_order(&left.priority, &right.priority));
    let mut start = 0.0;
    for variant in variants {
        let limit = start + variant.weight.as_f64()?;
        if start <= percentage && percentage < limit {
            return Some(variant);
        }
        start = limit;
    }
    None
}
