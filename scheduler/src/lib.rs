//! Ramps with evidence: advances a rollout, holds it or takes it back, each step once, each with its record.
//!
//! Knows the ports of the domain and nothing of any engine. From the outside in:
//!
//! | module | what it is |
//! |---|---|
//! | [`policy`], [`mod@lint`] | what people write; what cannot work is refused before it starts |
//! | [`command`] | what people order: start, pause, resume, roll back, cancel |
//! | [`scheduler`] | the loop: due rollouts, one transaction a step; [`loss`] is a door it needs |
//! | [`mod@decide`], [`evidence`], [`outcome`], [`step`] | the decision: a pure function of policy, state, evidence and time; the state after it |
//! | [`record`], [`mod@replay`] | every decision written whole, and taken again bit for bit |
//! | [`mod@why`] | one sentence: what blocks, what would open it, when |
//!
//! ```
//! use liftgate_scheduler::{Policy, lint};
//!
//! let policy: Policy = serde_json::from_value(serde_json::json!({
//!     "stages": [
//!         {"share": "10%", "bake": "4h", "min_exposed": 6000},
//!         {"share": "5%", "bake": "24h", "min_exposed": 6000},
//!         {"share": "100%", "bake": "24h"},
//!     ],
//!     "guardrails": {"metrics": [{"metric": "errors", "harm": "increase", "margin": "10%"}]},
//! }))?;
//! let problems = lint(&policy, &|_| None);
//! let said: Vec<String> = problems.iter().map(ToString::to_string).collect();
//! assert_eq!(said, [
//!     "stages[1].share: 5% does not rise: it must be above 10%",
//!     "guardrails.metrics[0].metric: metric `errors` does not exist",
//! ]);
//! # Ok::<(), serde_json::Error>(())
//! ```

pub mod bits;
pub mod command;
pub mod decide;
pub mod error;
pub mod evidence;
pub mod lint;
pub mod loss;
pub mod outcome;
pub mod policy;
pub mod record;
pub mod replay;
pub mod scheduler;
pub mod step;
pub mod why;

mod canonical;
mod gates;
mod lasting;
mod latch;
mod look;
mod patch;
mod tidings;
mod transition;
mod wake;

pub use command::StartRollout;
pub use decide::decide;
pub use error::{CommandError, Error};
pub use evidence::{Evidence, GuardrailEvidence};
pub use liftgate_domain::MarginText;
pub use lint::lint;
pub use loss::{ExposureLoss, NoLoss};
pub use outcome::{Gate, GateAnswer, GateResult, GuardrailReading, Outcome, Verdict};
pub use policy::{Act, Guardrail, Guardrails, Health, OnRollback, Policy, Require, Stage, policy_hash};
pub use record::{DecisionRecord, seal};
pub use replay::{ReplayError, ReplayReport, replay};
pub use scheduler::{Scheduler, SchedulerConfig, TickReport};
pub use why::{WhyReport, why};
