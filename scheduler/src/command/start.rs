//! Starts a rollout.

use liftgate_domain::{Actor, Applied, Catalog, Entropy, Key, Rollout, Scope};
use liftgate_evaluator::Condition;
use serde::{Deserialize, Serialize};

use super::attempt::{Beginning, By, begin};
use crate::CommandError;

/// What to roll out, to whom, by which policy.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct StartRollout {
    /// The environment.
    pub scope: Scope,
    /// The rollout's name in it.
    pub key: Key,
    /// The flag.
    pub flag: Key,
    /// The policy.
    pub policy: Key,
    /// The variation that is rolled out.
    pub treatment: String,
    /// The variation that the others keep.
    pub control: String,
    /// Whom it is for; everybody when absent.
    #[serde(default = "Condition::always", skip_serializing_if = "Condition::is_always")]
    pub when: Condition,
    /// The rule to use: replaced when the flag has one of this id, else put in front; `rollout-<key>` when absent.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub rule: Option<Key>,
}

/// Starts a rollout at stage 0 of its policy: one change with the rule, the run, the state, the first record and the
/// events. Freezes policy, metrics and lateness, and enables the flag.
///
/// # Errors
/// `NotFound` for an unknown flag, policy or environment; `Conflict` when the key is taken, or another rollout or an
/// experiment has the flag or rule; `Invalid` with the field for everything that lint or validation finds; `Store`.
pub async fn start(
    catalog: &dyn Catalog,
    entropy: &dyn Entropy,
    request: StartRollout,
    actor: Actor,
    reason: Option<String>,
) -> Result<(Rollout, Applied), CommandError> {
    let StartRollout { scope, key, flag, policy, treatment, control, when, rule } = request;
    if let Some(taken) = catalog.rollout(&scope, &key).await? {
        let status = taken.status.as_str();
        return Err(CommandError::Conflict {
            what: format!("rollout `{key}` exists already and is {status}; resume it or choose another key"),
        });
    }
    let rule = match rule {
        Some(rule) => rule,
        None => Key::new(&format!("rollout-{key}")).map_err(|_| CommandError::Invalid {
            field: "rule".to_owned(),
            message: "the rollout's key is too long to name a rule after; give the rule an id".to_owned(),
        })?,
    };
    let beginning = Beginning {
        before: None,
        scope: &scope,
        key: &key,
        flag: &flag,
        policy: &policy,
        treatment: &treatment,
        control: &control,
        rule: &rule,
        when: Some(&when),
    };
    begin(catalog, entropy, &beginning, &By { actor, reason }).await
}
