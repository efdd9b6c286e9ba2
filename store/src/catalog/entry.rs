//! What the change log says of each write. Secrets never get here: signing secrets are masked, lookups left out.

use liftgate_domain::{Credential, Decision, Endpoint, Entry, Key, ResourceKind, Rollout, Run, Scope, StoreError};
use serde::Serialize;
use serde_json::{Value, json};

/// The bodies around a write; absent where there is none.
pub(super) struct Bodies<'a> {
    pub before: Option<&'a Value>,
    pub after: Option<&'a Value>,
}

/// A resource after its write.
pub(super) fn resource(kind: ResourceKind, scope: &Scope, key: &Key, revision: u64, bodies: Bodies<'_>) -> Entry {
    let shown = |body: Option<&Value>| body.map(|body| without_secrets(kind, body));
    Entry {
        what: kind.as_str().to_owned(),
        scope: scope.clone(),
        key: key.to_string(),
        revision: Some(revision),
        before: shown(bodies.before),
        after: shown(bodies.after),
    }
}

/// A credential made or revoked.
pub(super) fn credential(before: Option<&Credential>, after: &Credential) -> Result<Entry, StoreError> {
    Ok(Entry {
        what: "credential".to_owned(),
        scope: after.scope.clone(),
        key: after.id.to_string(),
        revision: None,
        before: before.map(value).transpose()?,
        after: Some(value(after)?),
    })
}

/// A rollout's step.
pub(super) fn rollout(before: Option<&Rollout>, after: &Rollout) -> Result<Entry, StoreError> {
    Ok(Entry {
        what: "rollout".to_owned(),
        scope: after.scope.clone(),
        key: after.key.to_string(),
        revision: Some(after.version),
        before: before.map(value).transpose()?,
        after: Some(value(after)?),
    })
}

/// A decision record. Its body stays in the chain, under the hash that is shown here.
pub(super) fn decision(scope: &Scope, decision: &Decision) -> Entry {
    Entry {
        what: "decision".to_owned(),
        scope: scope.clone(),
        key: decision.rollout.to_string(),
        revision: Some(decision.seq),
        before: None,
        after: Some(json!({ "verdict": decision.verdict, "hash": decision.hash })),
    }
}

/// A run's history.
pub(super) fn run(before: Option<&Run>, after: &Run) -> Result<Entry, StoreError> {
    Ok(Entry {
        what: "run".to_owned(),
        scope: after.scope.clone(),
        key: after.number().to_string(),
        revision: None,
        before: before.map(value).transpose()?,
        after: Some(value(after)?),
    })
}

fn value(row: &impl Serialize) -> Result<Value, StoreError> {
    serde_json::to_value(row).map_err(|error| StoreError::Invalid(format!("this cannot be written as JSON: {error}")))
}

fn without_secrets(kind: ResourceKind, body: &Value) -> Value {
    if kind == ResourceKind::Endpoint { Endpoint::masked(body) } else { body.clone() }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn signing_secrets_are_masked() {
        let body = json!({ "url": "https://example.com", "secrets": ["whsec_one", "whsec_two"] });
        let shown = without_secrets(ResourceKind::Endpoint, &body);
        assert_eq!(shown, json!({ "url": "https://example.com", "secrets": ["whsec_***", "whsec_***"] }));
        assert_eq!(without_secrets(ResourceKind::Endpoint, &json!({ "secrets": "whsec_x" }))["secrets"], "whsec_***");
        assert_eq!(without_secrets(ResourceKind::Flag, &body), body);
    }
}
