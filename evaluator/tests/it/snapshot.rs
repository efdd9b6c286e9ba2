//! The ruleset in use: swapped under readers, and forced by tests of applications.

use std::sync::atomic::{AtomicBool, Ordering};
use std::thread;

use liftgate_evaluator::{Context, Reason, Ruleset, Snapshot, Timestamp};
use serde_json::{Value, json};

/// Two flags that always agree within one revision: `on` in odd ones.
fn twins(revision: u64) -> Ruleset {
    let variation = if revision % 2 == 1 { "on" } else { "off" };
    let flag = |key: &str| {
        json!({"flag": {"key": key, "kind": "boolean"}, "revision": revision,
            "state": {"enabled": true, "fallthrough": {"variation": variation}}})
    };
    crate::ruleset(json!({"revision": revision, "flags": [flag("a"), flag("b")]}))
}

#[test]
fn readers_see_one_revision_at_a_time_and_never_an_older_one_again() {
    let flags = Snapshot::new(twins(0));
    let done = AtomicBool::new(false);
    thread::scope(|threads| {
        for _ in 0..2 {
            threads.spawn(|| {
                let context = Context::user("u");
                let mut newest = 0;
                while !done.load(Ordering::Acquire) {
                    let ruleset = flags.load();
                    let (a, b) = (ruleset.evaluate("a", &context), ruleset.evaluate("b", &context));
                    assert_eq!((a.value, a.revision), (b.value, ruleset.revision()));
                    assert!(a.revision >= newest);
                    newest = a.revision;
                }
            });
        }
        for revision in 1..=2_000 {
            assert_eq!(flags.swap(twins(revision)).revision(), revision - 1);
        }
        done.store(true, Ordering::Release);
    });
    assert_eq!(flags.load().revision(), 2_000);
}

fn shop() -> Value {
    let flag =
        |key: &str, state: Value| json!({"flag": {"key": key, "kind": "boolean"}, "state": state, "revision": 1});
    json!({"revision": 1, "flags": [
        flag("checkout", json!({"enabled": false, "targets": [{"variation": "off", "units": ["u"]}], "prerequisites": [{"flag": "shop", "variations": ["on"]}],
            "rules": [{"id": "old", "when": {"attribute": "since", "op": "days_since_gt", "value": 1}, "serve": {"variation": "on"}}]})),
        flag("voucher", json!({"enabled": true, "prerequisites": [{"flag": "checkout", "variations": ["on"]}], "fallthrough": {"variation": "on"}})),
        flag("shop", json!({"enabled": true})),
        flag("broken", json!({"enabled": true, "fallthrough": {"variation": "x"}})),
    ]})
}

#[test]
fn a_forced_flag_serves_its_variation_to_everybody_and_those_that_need_it_see_that() {
    let flags = Snapshot::new(crate::ruleset(shop()));
    let before = flags.load();
    let context = Context::user("u");
    let served = |flag: &str| {
        let ruleset = flags.load();
        let answer = ruleset.evaluate_at(flag, &context, Timestamp::default());
        (answer.variation.unwrap_or_default().to_owned(), answer.reason)
    };
    assert_eq!(served("voucher"), ("off".to_owned(), Reason::Default));

    flags.force("checkout", "on").unwrap();
    assert_eq!(served("checkout"), ("on".to_owned(), Reason::Static));
    assert_eq!(served("voucher").0, "on");
    assert_eq!(flags.load().evaluate("checkout", &context).variation, Some("on"), "it needs no time any more");
    assert_eq!(before.evaluate_at("checkout", &context, Timestamp::default()).reason, Reason::Disabled, "held");

    flags.swap(crate::ruleset(shop()));
    assert_eq!(served("checkout").0, "on", "a new ruleset does not end it");
    flags.force("checkout", "off").unwrap();
    assert_eq!((served("checkout").0, served("voucher").0), ("off".to_owned(), "off".to_owned()));

    flags.swap(twins(1));
    flags.swap(crate::ruleset(shop()));
    assert_eq!(served("checkout").1, Reason::Static, "it waits while the ruleset lacks the flag");
    flags.release("checkout");
    assert_eq!(served("checkout").1, Reason::Disabled);
    flags.force("shop", "on").unwrap();
    flags.release_all();
    assert_eq!(served("shop").0, "off");
}

#[test]
fn what_cannot_be_forced_is_refused_by_name() {
    let flags = Snapshot::new(crate::ruleset(shop()));
    let refusal = |flag: &str, variation: &str| flags.force(flag, variation).unwrap_err().to_string();
    assert_eq!(refusal("nowhere", "on"), "flag `nowhere` cannot be forced: the flag is not known");
    assert_eq!(
        refusal("shop", "maybe"),
        "flag `shop` cannot be forced: `maybe` is not a variation (there are: `on`, `off`)"
    );
    assert!(refusal("broken", "on").starts_with("flag `broken` cannot be forced: the flag is broken: fallthrough"));
}
