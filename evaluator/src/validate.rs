//! Finds everything that is wrong with a flag, its state or a segment, with the path of each field. What needs the
//! rest of the ruleset (does this segment exist?) is found when the ruleset is compiled.

use std::collections::{HashMap, HashSet};

use crate::matcher::{Known, Matcher};
use crate::prerequisite::check_prerequisites;
use crate::problem::{Problem, Problems};
use crate::range::check_tiling;
use crate::{EnvironmentNames, Flag, FlagState, Ramp, Segment, Serve, Split};

/// Every problem of a flag and, when given, of its state in one environment; empty when it can be used.
pub fn validate(flag: &Flag, state: Option<&FlagState>) -> Vec<Problem> {
    let mut problems = Problems::default();
    let anything = Known { find: &|_| Ok(0), environment: &EnvironmentNames::default() };
    check_flag(flag, &mut problems);
    if let Some(state) = state {
        check_state(flag, state, &mut problems);
        for (index, rule) in state.rules.iter().enumerate() {
            let path = format!("rules[{index}].when");
            Matcher::compile(&rule.when, &path, anything, &mut problems);
        }
    }
    problems.into_vec()
}

/// Every problem of a segment; empty when it can be used.
pub fn validate_segment(segment: &Segment) -> Vec<Problem> {
    let mut problems = Problems::default();
    let anything = Known { find: &|_| Ok(0), environment: &EnvironmentNames::default() };
    check_segment(segment, &mut problems);
    Matcher::compile(&segment.when, "when", anything, &mut problems);
    problems.into_vec()
}

/// A segment without its condition, which the compiler checks as it goes.
pub(crate) fn check_segment(segment: &Segment, problems: &mut Problems) {
    let included: HashSet<&str> = segment.included.iter().map(String::as_str).collect();
    for (index, unit) in segment.excluded.iter().enumerate() {
        if included.contains(unit.as_str()) {
            problems.add(format!("excluded[{index}]"), format!("`{unit}` is included as well"));
        }
    }
}

/// A flag without any environment.
pub(crate) fn check_flag(flag: &Flag, problems: &mut Problems) {
    if flag.variations.is_empty() {
        problems.add("variations", format!("a {} flag needs at least one", flag.kind));
    }
    let mut seen = HashSet::new();
    for (index, variation) in flag.variations.iter().enumerate() {
        let path = format!("variations[{index}]");
        if variation.key.is_empty() {
            problems.add(format!("{path}.key"), "a variation needs a key");
        } else if !seen.insert(&variation.key) {
            let message = format!("`{}` is the key of an earlier variation", variation.key);
            problems.add(format!("{path}.key"), message);
        }
        if !flag.kind.accepts(&variation.value) {
            let message = format!("`{}` is not a {} value", variation.value, flag.kind);
            problems.add(format!("{path}.value"), message);
        }
    }
    if flag.off_variation.is_empty() {
        problems.add("off_variation", "name the variation that is served while disabled");
    } else {
        check_variation(flag, &flag.off_variation, "off_variation", problems);
    }
}

/// A state without the conditions of its rules, which the compiler checks as it goes.
pub(crate) fn check_state(flag: &Flag, state: &FlagState, problems: &mut Problems) {
    check_prerequisites(flag, &state.prerequisites, problems);
    check_targets(flag, state, problems);
    let mut ids = HashSet::new();
    for (index, rule) in state.rules.iter().enumerate() {
        if !ids.insert(&rule.id) {
            let message = format!("`{}` is the id of an earlier rule", rule.id);
            problems.add(format!("rules[{index}].id"), message);
        }
        check_serve(flag, &rule.serve, &format!("rules[{index}].serve"), problems);
    }
    if let Some(serve) = &state.fallthrough {
        check_serve(flag, serve, "fallthrough", problems);
    }
}

fn check_targets(flag: &Flag, state: &FlagState, problems: &mut Problems) {
    let mut variation_of: HashMap<&str, &str> = HashMap::new();
    for (index, target) in state.targets.iter().enumerate() {
        let path = format!("targets[{index}].variation");
        check_variation(flag, &target.variation, &path, problems);
        for (place, unit) in target.units.iter().enumerate() {
            let path = || format!("targets[{index}].units[{place}]");
            if unit.is_empty() {
                problems.add(path(), "a unit id is not empty");
            }
            let earlier = *variation_of.entry(unit).or_insert(&target.variation);
            if earlier != target.variation {
                problems.add(path(), format!("`{unit}` already gets `{earlier}`"));
            }
        }
    }
}

fn check_variation(flag: &Flag, key: &str, path: &str, problems: &mut Problems) {
    if flag.variation(key).is_none() {
        let known: Vec<String> = flag.variations.iter().map(|variation| format!("`{}`", variation.key)).collect();
        let message = format!("`{key}` is not a variation (there are: {})", known.join(", "));
        problems.add(path, message);
    }
}

fn check_serve(flag: &Flag, serve: &Serve, path: &str, problems: &mut Problems) {
    match serve {
        Serve::Variation(variation) => {
            check_variation(flag, variation, &format!("{path}.variation"), problems);
        }
        Serve::Split(split) => check_split(flag, split, &format!("{path}.split"), problems),
        Serve::Ramp(ramp) => check_ramp(flag, ramp, &format!("{path}.ramp"), problems),
    }
}

fn check_split(flag: &Flag, split: &Split, path: &str, problems: &mut Problems) {
    check_unit_and_salt(&split.unit, &split.salt, path, problems);
    let ranges_path = format!("{path}.ranges");
    if let Err(error) = check_tiling(&split.ranges) {
        problems.add(&ranges_path, error.to_string());
    }
    for (index, range) in split.ranges.iter().enumerate() {
        let path = format!("{ranges_path}[{index}].variation");
        check_variation(flag, &range.variation, &path, problems);
    }
}

fn check_ramp(flag: &Flag, ramp: &Ramp, path: &str, problems: &mut Problems) {
    check_unit_and_salt(&ramp.unit, &ramp.salt, path, problems);
    check_variation(flag, &ramp.treatment, &format!("{path}.treatment"), problems);
    check_variation(flag, &ramp.control, &format!("{path}.control"), problems);
    if ramp.treatment == ramp.control {
        problems.add(format!("{path}.control"), "treatment and control are the same variation");
    }
}

fn check_unit_and_salt(unit: &str, salt: &str, path: &str, problems: &mut Problems) {
    if unit.is_empty() {
        problems.add(format!("{path}.unit"), "a unit type needs a name");
    }
    if salt.is_empty() {
        problems.add(format!("{path}.salt"), "a salt is not empty");
    }
    // NUL separates the parts of what is hashed: without it inside a salt, no two salts can mean the same line.
    if salt.contains('\0') {
        problems.add(format!("{path}.salt"), "a salt has no NUL character");
    }
}
