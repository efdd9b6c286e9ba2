//! A ramp policy: the stages, what must not be harmed, and what health is asked for. Only what is really evaluated has
//! a field; anything else is refused by name. Whether a policy can work is [`crate::lint()`]'s question.

use liftgate_domain::{Key, Share, Span};
use liftgate_stats::Direction;
use serde::{Deserialize, Deserializer, Serialize, de};

use crate::{MarginText, canonical};

/// A policy. The body of a `policy` resource.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Policy {
    /// A name for people.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub name: Option<String>,
    /// The type of the units that are ramped.
    #[serde(default = "user")]
    pub unit: String,
    /// The steps, in order.
    pub stages: Vec<Stage>,
    /// What must not be harmed.
    pub guardrails: Guardrails,
    /// What the data itself must look like.
    #[serde(default)]
    pub health: Health,
    /// What a rollback does.
    #[serde(default)]
    pub on_rollback: OnRollback,
}

/// One step of a ramp.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Stage {
    /// The share of units that get the treatment.
    pub share: Share,
    /// Data time that it must last.
    pub bake: Span,
    /// Matured units, both arms together, that each guardrail needs before the next stage.
    #[serde(default, skip_serializing_if = "Option::is_none", deserialize_with = "units")]
    pub min_exposed: Option<u64>,
    /// How long to wait for them before a person is asked.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub max_wait: Option<Span>,
    /// What the next stage needs beyond "not harmed".
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub require: Option<Require>,
}

impl Stage {
    /// Whether units are compared in this stage: at 0 % and 100 % nobody is.
    pub fn is_analysed(&self) -> bool {
        self.share > Share::ZERO && self.share < Share::FULL
    }
}

/// What a stage may demand of every guardrail.
#[derive(Copy, Clone, Debug, Eq, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Require {
    /// Declared safe; enough units alone is not enough.
    Safe,
}

/// The metrics that must not be harmed, and the errors allowed in saying so.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Guardrails {
    /// Probability that a harmless rollout is ever rolled back, all metrics, looks and stages together.
    #[serde(default = "five_percent")]
    pub alpha: f64,
    /// Probability that a harmful metric is ever declared safe, each.
    #[serde(default = "five_percent")]
    pub alpha_safe: f64,
    /// The metrics.
    #[serde(default)]
    pub metrics: Vec<Guardrail>,
}

/// One metric that must not be harmed.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Guardrail {
    /// The metric's key.
    pub metric: Key,
    /// Which way is harm.
    pub harm: Direction,
    /// Harm up to here is accepted.
    pub margin: MarginText,
    /// The effect worth catching fast; beyond the margin.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub detect: Option<MarginText>,
    /// What harm leads to.
    #[serde(default)]
    pub act: Act,
    /// Its part of alpha among the guardrails with the same `act`.
    #[serde(default = "one")]
    pub weight: f64,
    /// When its outcome is known; must say the metric's own window.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub maturity: Option<Span>,
}

/// What a harmed guardrail leads to.
#[derive(Copy, Clone, Debug, Default, Eq, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Act {
    /// The treatment is taken back at once.
    #[default]
    Rollback,
    /// The ramp stays where it is.
    Hold,
}

/// What the data itself must look like.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Health {
    /// Sample ratio mismatch of the two arms.
    pub srm: Srm,
    /// Units seen in both arms.
    pub crossover: Ceiling,
    /// Exposures lost before they were logged.
    pub exposure_loss: Ceiling,
    /// Data older than this is stale; also the most data time that one look may add to a bake.
    pub stale_after: Span,
    /// How long a rollout may be without any exposure.
    pub no_traffic: NoTraffic,
}

/// Sample ratio mismatch.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Srm {
    /// A p-value below this holds.
    pub alpha: f64,
    /// What it leads to.
    #[serde(default)]
    pub act: HealthAct,
}

/// The largest part of units that may be affected.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Ceiling {
    /// More than this holds.
    pub max: Share,
    /// What it leads to.
    #[serde(default)]
    pub act: HealthAct,
}

/// A rollout without traffic.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct NoTraffic {
    /// How long a stage may wait for its first exposure without a hold.
    pub grace: Span,
    /// What it leads to.
    #[serde(default)]
    pub act: HealthAct,
}

/// What bad health leads to: a hold, nothing else.
#[derive(Copy, Clone, Debug, Default, Eq, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum HealthAct {
    /// The ramp stays where it is.
    #[default]
    Hold,
}

impl Default for Health {
    fn default() -> Self {
        let ceiling = |parts| Ceiling {
            max: Share::from_ppc(parts).expect("the default ceilings are at most 100 %"),
            act: HealthAct::Hold,
        };
        Self {
            srm: Srm { alpha: 0.001, act: HealthAct::Hold },
            crossover: ceiling(1_000),
            exposure_loss: ceiling(100),
            stale_after: Span::from_ms(15 * 60 * 1_000),
            no_traffic: NoTraffic { grace: Span::from_ms(6 * 60 * 60 * 1_000), act: HealthAct::Hold },
        }
    }
}

/// What a rollback does.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct OnRollback {
    /// Where the share goes.
    pub to: RollbackTo,
}

/// Where a rollback takes the share.
#[derive(Copy, Clone, Debug, Default, Eq, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum RollbackTo {
    /// Everybody gets the control.
    #[default]
    Zero,
}

impl Policy {
    /// How many stages compare units: K of the guardrail monitor, at least 1.
    pub fn analysed_stages(&self) -> u32 {
        let count = self.stages.iter().filter(|stage| stage.is_analysed()).count();
        u32::try_from(count).unwrap_or(u32::MAX).max(1)
    }

    /// The stage at an index; past the end, the last one. `None` for a policy without stages.
    pub fn stage(&self, index: u32) -> Option<&Stage> {
        self.stages.get(index as usize).or_else(|| self.stages.last())
    }

    /// A guardrail's own alpha: its weight's part of the whole, among the guardrails with the same `act`.
    pub fn alpha_of(&self, guardrail: &Guardrail) -> f64 {
        let family = self.guardrails.metrics.iter().filter(|other| other.act == guardrail.act);
        let weights: f64 = family.map(|other| other.weight).sum();
        self.guardrails.alpha * guardrail.weight / weights
    }
}

/// SHA-256, in hex, of the policy's canonical JSON.
pub fn policy_hash(policy: &Policy) -> String {
    canonical::sha256_hex(&[canonical::text(policy).as_bytes()])
}

fn user() -> String {
    "user".to_owned()
}

fn five_percent() -> f64 {
    0.05
}

fn one() -> f64 {
    1.0
}

/// A whole number of units; `auto` gets an answer that says what to write.
fn units<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Option<u64>, D::Error> {
    #[derive(Deserialize)]
    #[serde(untagged)]
    enum Written {
        Units(u64),
        Text(String),
    }
    match Option::<Written>::deserialize(deserializer)? {
        None => Ok(None),
        Some(Written::Units(units)) => Ok(Some(units)),
        Some(Written::Text(text)) => {
            Err(de::Error::custom(format!("`min_exposed: {text}` is not available; write a whole number of units")))
        }
    }
}
