//! What a condition costs to evaluate, segments followed: a bound on what one declaration may make every request do.

use std::collections::HashMap;

use liftgate_evaluator::{
    Condition, Key, Op, Predicate, Problem, Segment,
    flagsmith::{Operator, SegmentRule},
};
use serde_json::Value;

use super::problem;

/// The most steps that evaluating one condition may take, segments followed and counted each time they are named.
const STEPS_MAX: u64 = 10_000;
/// The most regular expressions of one flag state or segment: each is compiled when it is declared.
const REGEXES_MAX: usize = 64;

/// Whether a condition, with the segments it names, stays within the bounds.
pub(super) fn check(path: &str, condition: &Condition, segments: &HashMap<Key, Segment>) -> Vec<Problem> {
    let mut problems = Vec::new();
    if steps(condition, segments, &mut HashMap::new()) > STEPS_MAX {
        problems.push(problem(path, format!("takes more than {STEPS_MAX} steps to evaluate, segments followed")));
    }
    if regexes(condition) > REGEXES_MAX {
        problems.push(problem(path, format!("has more than {REGEXES_MAX} conditions with `matches`")));
    }
    problems
}

fn steps(condition: &Condition, segments: &HashMap<Key, Segment>, known: &mut HashMap<Key, u64>) -> u64 {
    match condition {
        Condition::All(parts) | Condition::Any(parts) | Condition::None(parts) => parts.iter().fold(
            1,
            |sum: u64, part| if sum > STEPS_MAX { sum } else { sum.saturating_add(steps(part, segments, known)) },
        ),
        Condition::Attribute(predicate) => comparisons(predicate),
        Condition::Flagsmith(found) => rule_steps(&found.rules),
        Condition::Segment(key) => {
            if let Some(steps) = known.get(key) {
                return *steps;
            }
            // A circle is another problem, found elsewhere; here it only must end.
            known.insert(key.clone(), 1);
            let inside = segments.get(key).map_or(1, |segment| steps(&segment.when, segments, known).saturating_add(1));
            known.insert(key.clone(), inside);
            inside
        }
    }
}

/// Comparands of these are tried one after the other; those of the others are looked up.
fn comparisons(predicate: &Predicate) -> u64 {
    let tries_each =
        matches!(predicate.op, Op::Contains | Op::NotContains | Op::StartsWith | Op::EndsWith | Op::HasAll);
    match &predicate.value {
        Value::Array(list) if tries_each => list.len().max(1) as u64,
        _ => 1,
    }
}

fn regexes(condition: &Condition) -> usize {
    match condition {
        Condition::All(parts) | Condition::Any(parts) | Condition::None(parts) => parts.iter().map(regexes).sum(),
        Condition::Attribute(predicate) => usize::from(predicate.op == Op::Matches),
        Condition::Segment(_) => 0,
        Condition::Flagsmith(found) => rule_regexes(&found.rules),
    }
}

fn rule_steps(rules: &[SegmentRule]) -> u64 {
    let steps = |rule: &SegmentRule| 1 + rule.conditions.len() as u64 + rule_steps(&rule.rules);
    rules.iter().map(steps).sum()
}

fn rule_regexes(rules: &[SegmentRule]) -> usize {
    let own = |rule: &SegmentRule| rule.conditions.iter().filter(|it| it.operator == Operator::Regex).count();
    rules.iter().map(|rule| own(rule) + rule_regexes(&rule.rules)).sum()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn segment(key: &str, when: Condition) -> (Key, Segment) {
        let key: Key = key.parse().unwrap();
        (key.clone(), Segment { key, name: None, when, included: Vec::new(), excluded: Vec::new() })
    }

    #[test]
    fn a_long_list_counts_where_each_of_it_is_tried() {
        let list: Vec<String> = (0..=STEPS_MAX).map(|number| format!("part-{number}")).collect();
        for (op, problems) in [("contains", 1), ("not_contains", 1), ("starts_with", 1), ("ends_with", 1), ("in", 0)] {
            let condition = serde_json::from_value(serde_json::json!({"attribute": "a", "op": op, "value": list}));
            assert_eq!(check("when", &condition.unwrap(), &HashMap::new()).len(), problems, "{op}");
        }
    }

    #[test]
    fn a_tower_of_segments_is_refused_and_a_usual_one_is_not() {
        let mut segments: HashMap<Key, Segment> = HashMap::new();
        segments.extend([segment("s0", Condition::All(Vec::new()))]);
        for level in 1..=15 {
            let below = Condition::Segment(format!("s{}", level - 1).parse().unwrap());
            segments.extend([segment(&format!("s{level}"), Condition::All(vec![below; 100]))]);
        }
        let named = |name: &str| Condition::Segment(name.parse().unwrap());
        assert_eq!(check("when", &named("s15"), &segments).len(), 1);
        assert!(check("when", &named("s1"), &segments).is_empty());
        let circle = HashMap::from([segment("c", named("c"))]);
        assert!(check("when", &named("c"), &circle).is_empty());
    }
}
