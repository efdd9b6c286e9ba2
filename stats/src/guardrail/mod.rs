//! The guardrail monitor: has this metric been harmed beyond its margin, or is it safe? Valid at every look, so
//! it may be asked after every batch, through all stages of a ramp. One algorithm for live runs, simulation,
//! backtest and replay. It remembers nothing: latching a harm is the caller's.
//!
//! The evidence is an e-value, a bet against "not harmed" whose expected value is at most 1 if that is true; by
//! Ville's inequality it ever reaches 1/alpha with probability at most alpha. Its terms are in `evidence`, the
//! mixture over start stages (so that harm which begins late is not masked by earlier calm) in `monitor`.
//! Assumes matured outcomes of independent units and arms of equal designed share. Reference: Howard, Ramdas,
//! McAuliffe, Sekhon (2021); Robbins (1970); Lindon and Malek (2022) for the counts.

mod assessment;
mod bounds;
mod evidence;
mod look;
mod monitor;
mod plan;
mod strata;

pub use assessment::{Assessment, Undetermined, Verdict, assess};
pub(crate) use evidence::ln_universal;
pub use look::{Evidence, log_evidence};
pub use plan::{GuardrailPlan, PlanError};
pub use strata::Stratum;
