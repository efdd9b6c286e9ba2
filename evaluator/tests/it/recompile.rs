//! A ruleset that takes over what did not change is the one that is compiled from nothing.

use std::sync::Arc;

use liftgate_evaluator::{Context, Ruleset, RulesetSource, Timestamp};
use proptest::prelude::*;
use serde_json::{Value, json};

use crate::worlds;

/// What happens to one flag of a ruleset.
#[derive(Copy, Clone, Debug)]
enum Edit {
    Kept,
    Changed,
    /// Equal, but written anew.
    Rewritten,
    Removed,
    Repeated,
}

fn edit() -> impl Strategy<Value = Edit> {
    prop_oneof![
        6 => Just(Edit::Kept),
        3 => Just(Edit::Changed),
        1 => Just(Edit::Rewritten),
        1 => Just(Edit::Removed),
        1 => Just(Edit::Repeated),
    ]
}

/// The source after these edits; what changes, changes to what it is in another.
fn edited(before: &RulesetSource, other: &RulesetSource, edits: &[Edit], segments_too: bool) -> RulesetSource {
    let mut after = RulesetSource { revision: before.revision + 1, flags: Vec::new(), ..before.clone() };
    if segments_too {
        after.segments.clone_from(&other.segments);
    }
    for (place, edit) in edits.iter().enumerate() {
        let (own, foreign) = (before.flags.get(place), other.flags.get(place));
        match edit {
            Edit::Kept => after.flags.extend(own.cloned()),
            Edit::Changed => after.flags.extend(foreign.cloned()),
            Edit::Rewritten => after.flags.extend(own.map(|flag| Arc::new(flag.as_ref().clone()))),
            Edit::Removed => {}
            Edit::Repeated => after.flags.extend(own.into_iter().chain(foreign).cloned()),
        }
    }
    after
}

fn is_same(left: &Ruleset, right: &Ruleset, contexts: &[Context]) -> Result<(), TestCaseError> {
    prop_assert_eq!(left.revision(), right.revision());
    prop_assert_eq!(left.problems(), right.problems());
    prop_assert_eq!(left.depends_on_time(), right.depends_on_time());
    prop_assert!(left.keys().eq(right.keys()));
    let now = Timestamp::from_micros(1_772_366_400_000_000);
    for context in contexts {
        let answers = |ruleset: &Ruleset| -> Vec<String> {
            let each = ruleset.keys().map(|key| format!("{:?}", ruleset.explain(key, context, now)));
            ruleset.evaluate_all_at(context, now).map(|answer| format!("{answer:?}")).chain(each).collect()
        };
        prop_assert_eq!(answers(left), answers(right));
    }
    Ok(())
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(400))]
    #[test]
    fn recompiling_is_compiling(
        worlds in prop::collection::vec(worlds::source(), 2..4),
        edits in prop::collection::vec((prop::collection::vec(edit(), 6), prop::bool::weighted(0.2)), 1..6),
        contexts in prop::collection::vec(worlds::context(), 1..4),
    ) {
        let sources: Vec<RulesetSource> = worlds.into_iter().map(|it| serde_json::from_value(it).unwrap()).collect();
        let mut source = sources[0].clone();
        let mut ruleset = Ruleset::compile(source.clone());
        for (step, (edits, segments_too)) in edits.iter().enumerate() {
            source = edited(&source, &sources[(step + 1) % sources.len()], edits, *segments_too);
            ruleset = ruleset.recompile(source.clone());
            is_same(&ruleset, &Ruleset::compile(source.clone()), &contexts)?;
        }
    }
}

fn source(flag: Value, unit_types: Value) -> RulesetSource {
    let split = json!({"unit": "account", "salt": "s", "ranges": [
        {"variation": "on", "start": 0, "end": 50_000}, {"variation": "off", "start": 50_000, "end": 100_000}]});
    serde_json::from_value(json!({
        "revision": 1,
        "flags": [
            {"flag": {"key": "f", "kind": "boolean"}, "state": {"enabled": true, "fallthrough": {"split": split}}, "revision": 1},
            flag,
        ],
        "unit_types": unit_types,
    }))
    .unwrap()
}

#[test]
fn unit_types_and_forced_flags_are_not_taken_over() {
    let plain = json!({"flag": {"key": "g", "kind": "boolean"}, "state": {"enabled": true}, "revision": 1});
    let before = source(plain, json!([{"name": "account", "attribute": "a"}]));
    let mut ruleset = Ruleset::compile(before.clone());
    let context = Context::default().with("b", "account-1");
    assert_eq!(ruleset.evaluate("f", &context).missing_unit, Some("account"));
    // The same flags, another place to read the unit from.
    let unit_types = serde_json::from_value(json!([{"name": "account", "attribute": "b"}])).unwrap();
    let after = ruleset.recompile(RulesetSource { unit_types, ..before.clone() });
    assert_eq!(after.evaluate("f", &context).missing_unit, None);

    ruleset.force("g", "on").unwrap();
    let released = ruleset.recompile(before);
    assert_eq!(released.evaluate("g", &context).variation, Some("off"));
}
