//! The document of a snapshot: flags, states and segments in Flagsmith's terms. It is exact or there is none: a flag that
//! its engine would answer otherwise than this server is named, with the reason.

use std::collections::BTreeMap;

use bytes::Bytes;
use liftgate_evaluator::{
    Condition, Dialect, Flag, FlagSource, FlagState, Range, Rule, Segment, Serve, Share, Split, USER,
    flagsmith::{ConditionValue, FlagsmithSegment, SegmentCondition, SegmentRule},
};
use serde_json::{Value, json};

use super::terms::{control_of, feature_name, feature_value};
use crate::rulesets::Snapshot;

/// Segments that stand for rules without one get numbers from here on.
const MADE_SEGMENTS_FROM: u64 = 1_000_000_000;
/// Rules that one flag may have before its made segments meet those of the next.
const RULES_MAX: u64 = 1_000;

/// Why a flag is not in the document.
type Reason = String;

/// The document as JSON, or why each flag that cannot be in it cannot.
pub fn of(snapshot: &Snapshot) -> Result<Bytes, Vec<Reason>> {
    // By number and by identifier: lists of 100 000 units are normal.
    let (mut segments, mut identities) = (BTreeMap::new(), BTreeMap::new());
    let (mut states, mut reasons): (Vec<Value>, Vec<Reason>) = (Vec::new(), Vec::new());
    for source in &snapshot.source.flags {
        let flag = Writing { snapshot, source, number: snapshot.number_of(source.flag.key.as_str()) };
        match flag.write(&mut segments, &mut identities) {
            Ok(state) => states.push(state),
            Err(reason) => reasons.push(format!("flag `{}` {reason}", source.flag.key)),
        }
    }
    if !reasons.is_empty() {
        return Err(reasons);
    }
    let environment = &snapshot.source.environment;
    let scope = &snapshot.scope;
    let project = scope.project_column();
    let document = json!({
        "id": snapshot.declared.number,
        "api_key": environment.hash_key,
        "name": environment.name,
        "updated_at": liftgate_evaluator::Timestamp(snapshot.declared.moved_at.as_micros()).to_string(),
        "feature_states": states,
        "identity_overrides": identities.into_iter().map(identity_json).collect::<Vec<_>>(),
        "project": {
            "id": 1, "name": project, "hide_disabled_flags": false,
            "organisation": {
                "id": 1, "name": scope.organization.as_str(), "feature_analytics": false,
                "stop_serving_flags": false, "persist_trait_data": false,
            },
            "segments": segments.into_iter().map(|(id, made)| made.json(id)).collect::<Vec<_>>(),
        },
    });
    Ok(document.to_string().into())
}

/// A segment with the states that it overrides.
struct Made {
    name: String,
    rules: Value,
    states: Vec<Value>,
}

impl Made {
    fn json(self, id: u64) -> Value {
        json!({"id": id, "name": self.name, "rules": self.rules, "feature_states": self.states})
    }
}

fn identity_json((identifier, states): (String, Vec<Value>)) -> Value {
    json!({"identifier": identifier, "identity_uuid": null, "identity_features": states, "identity_traits": []})
}

struct Writing<'s> {
    snapshot: &'s Snapshot,
    source: &'s FlagSource,
    number: u64,
}

impl Writing<'_> {
    fn write(
        &self,
        segments: &mut BTreeMap<u64, Made>,
        identities: &mut BTreeMap<String, Vec<Value>>,
    ) -> Result<Value, Reason> {
        let FlagSource { flag, state, .. } = self.source;
        if let Some(error) = self
            .snapshot
            .ruleset
            .evaluate_at(flag.key.as_str(), &Default::default(), self.snapshot.declared.moved_at)
            .error
        {
            return Err(error.to_string());
        }
        if !state.enabled {
            return self.state(&Serve::Variation(flag.off_variation.clone()), Some(false), None);
        }
        self.refuse_foreign(state)?;
        for target in &state.targets {
            for unit in &target.units {
                let served = self.state(&Serve::Variation(target.variation.clone()), None, None)?;
                identities.entry(unit.clone()).or_default().push(served);
            }
        }
        for (priority, rule) in (0..RULES_MAX).zip(&state.rules) {
            let served = self.state(&rule.serve, None, Some(priority))?;
            self.segment(rule, priority, served, segments)?;
        }
        let off = Serve::Variation(flag.off_variation.clone());
        self.state(state.fallthrough.as_ref().unwrap_or(&off), None, None)
    }

    fn refuse_foreign(&self, state: &FlagState) -> Result<(), Reason> {
        if state.rules.len() as u64 >= RULES_MAX {
            return Err(format!("has {RULES_MAX} rules or more"));
        }
        if !state.prerequisites.is_empty() {
            return Err("has prerequisites".to_owned());
        }
        Ok(())
    }

    /// Adds an override to its rule's segment, which is made when the rule has none of its own.
    fn segment(
        &self,
        rule: &Rule,
        priority: u64,
        served: Value,
        segments: &mut BTreeMap<u64, Made>,
    ) -> Result<(), Reason> {
        let made = MADE_SEGMENTS_FROM + self.number * RULES_MAX + priority;
        let everybody = json!([{"type": "ALL", "conditions": [], "rules": []}]);
        let (id, name, rules) = match &rule.when {
            when if when.is_always() => (made, rule.id.to_string(), everybody),
            Condition::Flagsmith(found) => (number_of(found)?, rule.id.to_string(), rules_json(&found.rules)),
            Condition::Segment(key) => {
                let segment = self.snapshot.source.segments.iter().find(|it| it.key == *key);
                let segment = segment.ok_or_else(|| format!("needs segment `{key}`"))?;
                let (id, rules) = rules_of(segment)?;
                (id, segment.name.clone().unwrap_or_else(|| key.to_string()), rules)
            }
            _ => return Err(format!("has conditions of its own in rule `{}`; name a segment", rule.id)),
        };
        segments.entry(id).or_insert_with(|| Made { name, rules, states: Vec::new() }).states.push(served);
        Ok(())
    }

    /// A state that serves this, with the priority of an override.
    fn state(&self, serve: &Serve, is_on: Option<bool>, priority: Option<u64>) -> Result<Value, Reason> {
        let flag = &self.source.flag;
        let place = priority.map_or(0, |priority| priority + 1);
        let uuid =
            |part: u64| format!("00000000-0000-4000-8000-{:012x}", (self.number * RULES_MAX + place) * 100 + part);
        let (base, salt, options) = match serve {
            Serve::Variation(key) => (key.as_str(), None, Vec::new()),
            Serve::Split(split) => self.options(split, serve)?,
            Serve::Ramp(ramp) => {
                check_division(flag, &ramp.unit)?;
                (ramp.control.as_str(), Some(ramp.salt.as_str()), vec![(ramp.treatment.as_str(), ramp.share.parts())])
            }
        };
        let variation = flag.variation(base).ok_or("serves an unknown variation")?;
        let is_true = flag.kind != liftgate_evaluator::FlagKind::Boolean || variation.value == true;
        let enabled = is_on.unwrap_or(variation.enabled && is_true);
        let (django_id, state_uuid) = match salt {
            None => (Some(self.number * RULES_MAX + place), uuid(0)),
            Some(salt) => self.hashed(salt)?,
        };
        let option = |(index, (key, parts)): (u64, (&str, u32))| {
            let option = flag.variation(key).ok_or("serves an unknown variation")?;
            let is_true = flag.kind != liftgate_evaluator::FlagKind::Boolean || option.value == true;
            if (option.enabled && is_true) != enabled {
                return Err("divides units between on and off, which are no values in this protocol".to_owned());
            }
            Ok(json!({
                "id": index,
                "mv_fs_value_uuid": uuid(index),
                "percentage_allocation": f64::from(parts) / 1_000.0,
                "multivariate_feature_option": {"id": index, "value": feature_value(flag.kind, &option.value), "key": key},
            }))
        };
        let kind = if options.is_empty() { "STANDARD" } else { "MULTIVARIATE" };
        let options = (1..).zip(options).map(option).collect::<Result<Vec<Value>, Reason>>()?;
        Ok(json!({
            "feature": {"id": self.number, "name": feature_name(flag), "type": kind},
            "enabled": enabled,
            "feature_state_value": feature_value(flag.kind, &variation.value),
            "django_id": django_id,
            "featurestate_uuid": state_uuid,
            "feature_segment": priority.map(|priority| json!({"priority": priority})),
            "multivariate_feature_state_values": options,
        }))
    }

    /// Base, salt, and the options in the order of the line.
    #[allow(clippy::type_complexity, reason = "three parts of one answer, taken apart at once")]
    fn options<'s>(
        &self,
        split: &'s Split,
        serve: &'s Serve,
    ) -> Result<(&'s str, Option<&'s str>, Vec<(&'s str, u32)>), Reason>
    where
        Self: 's,
    {
        let flag = &self.source.flag;
        check_division(flag, &split.unit)?;
        if split.share != Share::FULL {
            return Err("has a split with a share".to_owned());
        }
        let (last, others): (&Range, &[Range]) = split.ranges.split_last().ok_or("has an empty split")?;
        let base = control_of(flag, serve).unwrap_or(&last.variation);
        // Who falls behind the last option has the base value, which is the last range, or has no part.
        let options = if last.variation == base { others } else { &split.ranges[..] };
        let options: Vec<(&str, u32)> = options.iter().map(|range| (range.variation.as_str(), range.parts())).collect();
        Ok((base, Some(&split.salt), options))
    }

    /// The number or UUID that a salt hashes.
    fn hashed(&self, salt: &str) -> Result<(Option<u64>, String), Reason> {
        let end = format!(",{}_", self.snapshot.source.environment.hash_key);
        let id = salt.strip_suffix(&end).ok_or("has a salt that was not made for this environment")?;
        Ok(match id.parse::<u64>() {
            Ok(number) if number > 0 => (Some(number), format!("00000000-0000-4000-9000-{number:012x}")),
            _ => (None, id.to_owned()),
        })
    }
}

fn check_division(flag: &Flag, unit: &str) -> Result<(), Reason> {
    if flag.dialect != Dialect::Flagsmith {
        return Err(
            "divides units by the native dialect; only flags of the dialect `flagsmith` can be local".to_owned()
        );
    }
    if unit != USER { Err(format!("divides units of the type `{unit}`")) } else { Ok(()) }
}

/// Rules as documents have them: there a condition's property has an underscore.
fn rules_json(rules: &[SegmentRule]) -> Value {
    let condition = |it: &SegmentCondition| {
        // Clients want text, also where nothing is compared.
        let value = if it.value == ConditionValue::Null { json!("") } else { json!(it.value) };
        json!({"operator": it.operator, "property_": it.property, "value": value})
    };
    let rule = |it: &SegmentRule| {
        let conditions: Vec<Value> = it.conditions.iter().map(condition).collect();
        json!({"type": it.rule_type, "conditions": conditions, "rules": rules_json(&it.rules)})
    };
    rules.iter().map(rule).collect()
}

fn number_of(found: &FlagsmithSegment) -> Result<u64, Reason> {
    let number = found.segment.parse().ok().filter(|number| *number > 0);
    number.ok_or_else(|| format!("needs segment `{}`, whose number is none", found.segment))
}

fn rules_of(segment: &Segment) -> Result<(u64, Value), Reason> {
    let Condition::Flagsmith(found) = &segment.when else {
        return Err(format!("needs segment `{}`, which has native conditions", segment.key));
    };
    if !segment.included.is_empty() || !segment.excluded.is_empty() {
        return Err(format!("needs segment `{}`, which lists units", segment.key));
    }
    Ok((number_of(found)?, rules_json(&found.rules)))
}
