//! Which flags may answer differently after a change: the flags themselves, those whose rules read a segment that changed,
//! and those that need one of these.

use std::{
    collections::{BTreeSet, HashMap, HashSet},
    sync::Arc,
};

use liftgate_evaluator::{FlagSource, Key, RulesetSource, Segment};

/// The keys of flags that changed, are new or are gone, in their order.
pub fn flags<'s>(before: &'s RulesetSource, after: &'s RulesetSource) -> BTreeSet<&'s Key> {
    if before.unit_types != after.unit_types || before.environment != after.environment {
        return before.flags.iter().chain(&after.flags).map(|source| &source.flag.key).collect();
    }
    let old: HashMap<&Key, &Arc<FlagSource>> = before.flags.iter().map(|source| (&source.flag.key, source)).collect();
    let new: HashSet<&Key> = after.flags.iter().map(|source| &source.flag.key).collect();
    let segments = segments(&before.segments, &after.segments);
    let mut changed: BTreeSet<&Key> = old.keys().filter(|key| !new.contains(*key)).copied().collect();
    for source in &after.flags {
        let reads = || source.state.rules.iter().flat_map(|rule| rule.when.segments());
        if old.get(&source.flag.key).is_none_or(|old| !is_same(old, source))
            || reads().any(|segment| segments.contains(segment))
        {
            changed.insert(&source.flag.key);
        }
    }
    // Each turn adds a flag or is the last.
    loop {
        let count = changed.len();
        for source in &after.flags {
            let FlagSource { flag, state, .. } = &**source;
            if state.prerequisites.iter().any(|needed| changed.contains(&needed.flag)) {
                changed.insert(&flag.key);
            }
        }
        if changed.len() == count {
            return changed;
        }
    }
}

/// Most parts are shared, and so the same without a look at them.
fn is_same<T: PartialEq>(left: &Arc<T>, right: &Arc<T>) -> bool {
    Arc::ptr_eq(left, right) || left == right
}

/// The keys of segments that changed, are new or are gone, and of those that refer to them.
fn segments<'s>(before: &'s [Arc<Segment>], after: &'s [Arc<Segment>]) -> HashSet<&'s Key> {
    let old: HashMap<&Key, &Arc<Segment>> = before.iter().map(|segment| (&segment.key, segment)).collect();
    let new: HashSet<&Key> = after.iter().map(|segment| &segment.key).collect();
    let mut changed: HashSet<&Key> = old.keys().filter(|key| !new.contains(*key)).copied().collect();
    changed.extend(
        after.iter().filter(|segment| old.get(&segment.key).is_none_or(|old| !is_same(old, segment))).map(|it| &it.key),
    );
    loop {
        let count = changed.len();
        for segment in after {
            if segment.when.segments().iter().any(|key| changed.contains(*key)) {
                changed.insert(&segment.key);
            }
        }
        if changed.len() == count {
            return changed;
        }
    }
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};

    use super::*;

    type Edit = fn(&mut Value);

    fn source(edit: impl FnOnce(&mut Value)) -> RulesetSource {
        let flag =
            |key: &str, state: Value| json!({"flag": {"key": key, "kind": "boolean"}, "state": state, "revision": 1});
        let rule = |segment: &str| json!([{"id": "r", "when": {"segment": segment}, "serve": {"variation": "on"}}]);
        let needs = |key: &str| json!([{"flag": key, "variation": "on"}]);
        let mut source = json!({
            "revision": 1,
            "flags": [
                flag("alone", json!({"enabled": true})),
                flag("beta", json!({"enabled": true, "rules": rule("outer")})),
                flag("needs-beta", json!({"enabled": true, "prerequisites": needs("beta")})),
                flag("needs-that", json!({"enabled": true, "prerequisites": needs("needs-beta")})),
            ],
            "segments": [
                {"key": "inner", "included": ["u1"]},
                {"key": "outer", "when": {"segment": "inner"}},
            ],
        });
        edit(&mut source);
        serde_json::from_value(source).unwrap()
    }

    #[test]
    fn a_change_concerns_the_flags_that_it_can_reach() {
        let beta = ["beta", "needs-beta", "needs-that"];
        let rows: [(&str, Edit, &[&str]); 6] = [
            ("nothing but the revision", |it| it["revision"] = json!(2), &[]),
            ("one flag", |it| it["flags"][0]["state"]["enabled"] = json!(false), &["alone"]),
            ("a flag that others need", |it| it["flags"][1]["revision"] = json!(2), &beta),
            ("a segment within another", |it| it["segments"][0]["included"] = json!(["u2"]), &beta),
            ("a flag is gone", |it| drop(it["flags"].as_array_mut().unwrap().remove(0)), &["alone"]),
            (
                "where units are read from",
                |it| it["unit_types"] = json!([{"name": "account", "attribute": "account_id"}]),
                &["alone", "beta", "needs-beta", "needs-that"],
            ),
        ];
        for (what, edit, expected) in rows {
            let (before, after) = (source(|_| {}), source(edit));
            let keys = |set: BTreeSet<&Key>| set.into_iter().map(Key::to_string).collect::<Vec<_>>();
            assert_eq!(keys(flags(&before, &after)), expected, "{what}");
            assert_eq!(keys(flags(&after, &before)), expected, "{what}, taken back");
        }
    }
}
