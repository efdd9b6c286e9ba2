//! What a change must be before any engine looks at what is stored: rules that need no rows.

use liftgate_domain::{Change, Expected, Key, Mutation, ResourceKind, Scope, StoreError, resource::Level};

/// The largest number that a BIGINT column holds.
const NUMBER_MAX: u64 = i64::MAX as u64;

/// Refuses a change that could never be applied, whatever is stored.
pub(super) fn admit(change: &Change) -> Result<(), StoreError> {
    if change.events.len() > Change::EVENTS_MAX {
        return Err(StoreError::Invalid(format!(
            "a change may carry {} events, not {}; split it",
            Change::EVENTS_MAX,
            change.events.len()
        )));
    }
    within(&change.scope, &change.scope)?;
    change.events.iter().try_for_each(|event| within(&change.scope, &event.scope))?;
    change.mutations.iter().try_for_each(|mutation| admit_mutation(&change.scope, mutation))
}

fn admit_mutation(change: &Scope, mutation: &Mutation) -> Result<(), StoreError> {
    match mutation {
        Mutation::PutResource { kind, scope, key, .. } => {
            within(change, scope)?;
            owned_by(&describe(*kind, key), kind.level(), scope)
        }
        Mutation::ArchiveResource { kind, scope, key, expected } => {
            within(change, scope)?;
            if *expected == Expected::Absent {
                let what = describe(*kind, key);
                return Err(StoreError::Invalid(format!("{what} cannot be archived and expected to be absent")));
            }
            owned_by(&describe(*kind, key), kind.level(), scope)
        }
        Mutation::AddCredential(credential) => within(change, &credential.scope),
        Mutation::RevokeCredential { scope, .. } => within(change, scope),
        Mutation::PutRollout { rollout, expected_version } => {
            let what = format!("rollout `{}`", rollout.key);
            within(change, &rollout.scope)?;
            owned_by(&what, Level::Environment, &rollout.scope)?;
            let next = expected_version.map_or(Some(1), |version| version.checked_add(1));
            if next != Some(rollout.version) || rollout.version > NUMBER_MAX {
                return Err(StoreError::Invalid(format!(
                    "{what} has version {}, which does not follow the version expected",
                    rollout.version
                )));
            }
            Ok(())
        }
        Mutation::AppendDecision(decision) => storable("decision of rollout", decision.rollout.as_str(), decision.seq),
        Mutation::PutRun(run) => {
            let what = format!("run `{}`", run.number());
            within(change, &run.scope)?;
            storable("run of flag", run.flag.as_str(), run.number())?;
            owned_by(&what, Level::Environment, &run.scope)
        }
    }
}

/// A thing as errors speak of it, such as "flag state `new-checkout`".
pub(super) fn describe(kind: ResourceKind, key: &Key) -> String {
    format!("{} `{key}`", kind.as_str().replace('_', " "))
}

/// Numbers that callers bring begin at 1 and fit the column.
fn storable(what: &str, name: &str, number: u64) -> Result<(), StoreError> {
    if (1..=NUMBER_MAX).contains(&number) {
        return Ok(());
    }
    Err(StoreError::Invalid(format!("{what} `{name}` has number {number}; numbers begin at 1")))
}

/// The sequence belongs to one organization, so a change never writes in two; nor does one of a project in another.
fn within(change: &Scope, scope: &Scope) -> Result<(), StoreError> {
    if change.organization != scope.organization {
        return Err(StoreError::Invalid(format!(
            "a change of organization `{}` cannot write in `{scope}`",
            change.organization
        )));
    }
    // Nodes look for what changed in a project among its own changes and those of the organization.
    if change.project.is_some() && scope.project.is_some() && change.project != scope.project {
        return Err(StoreError::Invalid(format!(
            "a change of project `{}` cannot write in `{scope}`",
            change.project_column()
        )));
    }
    if scope.project.is_none() && scope.environment.is_some() {
        return Err(StoreError::Invalid(format!("scope `{scope}` names an environment without its project")));
    }
    Ok(())
}

fn owned_by(what: &str, level: Level, scope: &Scope) -> Result<(), StoreError> {
    let owner = match (&scope.project, &scope.environment) {
        (None, _) => Level::Organization,
        (Some(_), None) => Level::Project,
        (Some(_), Some(_)) => Level::Environment,
    };
    if owner == level {
        return Ok(());
    }
    let proper = match level {
        Level::Organization => "an organization",
        Level::Project => "a project",
        Level::Environment => "an environment",
    };
    Err(StoreError::Invalid(format!("{what} belongs to {proper}, and `{scope}` is not one")))
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn kinds_belong_to_their_level() {
        let key = |text: &str| Key::new(text).unwrap();
        let scopes =
            [Scope::organization(), Scope::project(key("shop")), Scope::environment(key("shop"), key("production"))];
        for kind in ResourceKind::ALL {
            let admitted = scopes.iter().filter(|scope| {
                let mutation = Mutation::PutResource {
                    kind,
                    scope: (*scope).clone(),
                    key: key("x"),
                    body: json!({}),
                    expected: Expected::Any,
                };
                admit_mutation(&Scope::organization(), &mutation).is_ok()
            });
            assert_eq!(admitted.count(), 1, "{}", kind.as_str());
        }
    }

    #[test]
    fn a_thing_is_described_in_words() {
        assert_eq!(describe(ResourceKind::FlagState, &Key::new("new-checkout").unwrap()), "flag state `new-checkout`");
    }
}
