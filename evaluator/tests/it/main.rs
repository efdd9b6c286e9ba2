//! Behaviour of the crate as its users see it, in one binary because linking is slow.
#![allow(clippy::unwrap_used, reason = "a failed unwrap is a failed test")]

mod allocations;
mod explain;
mod extremes;
mod flagsmith;
mod history;
mod laws;
mod operators;
mod parse;
mod prerequisites;
mod recompile;
mod segments;
mod serving;
mod snapshot;
mod time;
mod validation;
mod vectors;
mod weights;
mod wire;
mod worlds;

use std::sync::Arc;

use liftgate_evaluator::{Flag, FlagSource, FlagState, Key, Ruleset, RulesetSource, Serve};
use serde_json::Value;

/// A ruleset from its wire form.
fn ruleset(source: Value) -> Ruleset {
    Ruleset::compile(serde_json::from_value(source).unwrap())
}

/// A ruleset with one enabled boolean flag that serves this to everybody.
fn serving(flag: &str, serve: &Serve) -> Ruleset {
    let state = FlagState { enabled: true, fallthrough: Some(serve.clone()), ..FlagState::default() };
    let flag = Flag::boolean(Key::new(flag).unwrap());
    let flags = vec![Arc::new(FlagSource { flag, state, revision: 1 })];
    Ruleset::compile(RulesetSource { flags, ..RulesetSource::default() })
}

/// A ruleset with the boolean flag `f` in this state, and these segments.
fn with_state(state: Value, segments: Value) -> Ruleset {
    ruleset(serde_json::json!({
        "revision": 9,
        "flags": [{"flag": {"key": "f", "kind": "boolean"}, "state": state, "revision": 4}],
        "segments": segments,
        "unit_types": [{"name": "account", "attribute": "account_id"}],
    }))
}
