//! Which variation does this unit get, and why.
//!
//! A pure library: no clock, no chance, no files, no network. From the outside in:
//!
//! | module | what it is |
//! |---|---|
//! | [`ruleset`] | all flags of an environment, compiled; `evaluate` and `evaluate_all` |
//! | [`snapshot`] | the ruleset in use: read by many threads while another takes its place |
//! | [`evaluation`], [`context`] | the answer; what the caller tells |
//! | [`explanation`] | how it came to the answer, step by step |
//! | [`flag`], [`flag_state`], [`serve`] | what people write: variations; targets, rules; variation, split, ramp |
//! | [`prerequisite`] | what other flags have to serve first |
//! | [`condition`], [`predicate`], [`segment`] | for whom |
//! | [`mod@validate`], [`problem`] | everything that is wrong with it, with paths |
//! | [`mod@bucket`], [`line`], [`range`], [`share`] | where a unit stands, by which hash; who gets what; how many |
//! | [`run`] | which arm a unit was in, at any time in the past |
//! | [`flagsmith`] | the engine of Flagsmith, with its own contexts and results |
//! | [`dialect`] | where other flag services place a unit, to move over with every assignment unchanged |
//! | [`key`], [`timestamp`], [`error`] | names, times, what is refused |
//!
//! In an application:
//!
//! ```
//! use liftgate_evaluator::{Context, Reason, Ruleset, Snapshot};
//!
//! let flags = Snapshot::new(Ruleset::parse(
//!     r#"{
//!         "revision": 7,
//!         "flags": [{
//!             "flag": {"key": "new-checkout", "kind": "boolean"},
//!             "state": {
//!                 "enabled": true,
//!                 "rules": [{
//!                     "id": "dach",
//!                     "when": {"attribute": "country", "op": "in", "value": ["DE", "AT", "CH"]},
//!                     "serve": {"ramp": {
//!                         "salt": "s-1", "treatment": "on", "control": "off", "share": "25%",
//!                         "run": {"number": 12, "kind": "rollout", "key": "checkout-ramp", "stage": 2}
//!                     }}
//!                 }]
//!             },
//!             "revision": 3
//!         }]
//!     }"#,
//! )?);
//! let ruleset = flags.load();
//! assert!(ruleset.problems().is_empty());
//!
//! let context = Context::user("user-1").with("country", "DE");
//! let answer = ruleset.evaluate("new-checkout", &context);
//! assert_eq!(answer.reason, Reason::Split);
//! let assignment = answer.assignment.expect("a run goes on in that rule");
//! assert_eq!((assignment.run.number, assignment.unit_id), (12, "user-1"));
//!
//! let elsewhere = Context::user("user-1").with("country", "FR");
//! assert_eq!(ruleset.evaluate("new-checkout", &elsewhere).variation, Some("off"));
//!
//! // In the tests of the application: both sides of the flag, whatever its rules say.
//! for (variation, expected) in [("on", true), ("off", false)] {
//!     flags.force("new-checkout", variation)?;
//!     assert_eq!(flags.load().evaluate("new-checkout", &context).value, Some(&expected.into()));
//! }
//! flags.release("new-checkout");
//! # Ok::<(), liftgate_evaluator::Error>(())
//! ```

pub mod bucket;
pub mod condition;
pub mod context;
pub mod dialect;
pub mod error;
pub mod evaluation;
pub mod explanation;
pub mod flag;
pub mod flag_state;
pub mod flagsmith;
pub mod key;
pub mod line;
pub mod predicate;
pub mod prerequisite;
pub mod problem;
pub mod range;
pub mod ruleset;
pub mod run;
pub mod segment;
pub mod serve;
pub mod share;
pub mod snapshot;
pub mod timestamp;
pub mod validate;

mod attributes;
mod brief;
mod check;
mod compiled_flag;
mod explain;
mod force;
mod link;
mod made_of;
mod matcher;
mod name;
mod parse;
mod prerequisites;
mod scalar;
mod segments;
mod shared;
mod slot;
mod text_hash;
mod time_text;

pub use bucket::{BUCKETS, Bucket, bucket, share_bucket, split_bucket};
pub use condition::Condition;
pub use context::{Attributes, Context, TARGETING_KEY};
pub use error::Error;
pub use evaluation::{Assignment, CONTROL, Evaluation, EvaluationError, Reason, TREATMENT};
pub use explanation::Explanation;
pub use flag::{Flag, FlagKind, OFF, ON, Variation};
pub use flag_state::{FlagState, Rule, Target};
pub use key::{KEY_BYTES_MAX, Key};
pub use line::Dialect;
pub use predicate::{Op, Predicate};
pub use prerequisite::Prerequisite;
pub use problem::Problem;
pub use range::{Range, check_tiling, ranges_for_weights};
pub use ruleset::{Batch, EnvironmentNames, FlagSource, Ruleset, RulesetSource, UnitType};
pub use run::{Design, HistoricAssignment, RampArm, RunHistory, RunKind, RunRef, Side, StageEntry, ramp_arm};
pub use segment::Segment;
pub use serve::{Ramp, Serve, Split, USER};
pub use share::Share;
pub use snapshot::{Loaded, Snapshot};
pub use timestamp::Timestamp;
pub use validate::{validate, validate_segment};
