//! Which environments' rulesets a change moves: each gets one new revision, however many writes touched it.

use std::collections::BTreeSet;

use liftgate_domain::{Key, ResourceKind, Scope, resource::Level};

use super::compare::Write;

/// The scopes whose rulesets a change has moved so far.
#[derive(Debug, Default)]
pub(super) struct Touched {
    /// Projects: all of their environments.
    pub projects: BTreeSet<Scope>,
    /// Single environments.
    pub environments: BTreeSet<Scope>,
}

impl Touched {
    /// Notes a write of a resource.
    pub fn note(&mut self, kind: ResourceKind, scope: &Scope, key: &Key, write: Write) {
        match kind {
            // An environment's settings reach nobody but its own evaluations.
            ResourceKind::Environment => {
                self.environments.insert(scope.with_environment(key.clone()));
            }
            // A project's name moves nothing, but an archived one serves nothing any more.
            ResourceKind::Project if matches!(write, Write::Archived | Write::Revived) => {
                self.projects.insert(Scope { project: Some(key.clone()), ..scope.clone() });
            }
            _ if !kind.moves_ruleset() => {}
            _ if kind.level() == Level::Environment => {
                self.environments.insert(scope.clone());
            }
            _ => {
                self.projects.insert(scope.clone());
            }
        }
    }

    /// Whether this environment's ruleset has moved.
    pub fn covers(&self, environment: &Scope) -> bool {
        self.environments.contains(environment) || self.projects.contains(&environment.to_project())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_project_covers_its_environments() {
        let key = |text: &str| Key::new(text).unwrap();
        let production = Scope::environment(key("shop"), key("production"));
        let mut touched = Touched::default();
        touched.note(ResourceKind::Metric, &Scope::project(key("shop")), &key("sales"), Write::Created);
        touched.note(ResourceKind::Project, &Scope::organization(), &key("shop"), Write::Edited);
        assert!(!touched.covers(&production));

        touched.note(ResourceKind::FlagState, &production, &key("f"), Write::Edited);
        let staging = Scope::environment(key("shop"), key("staging"));
        assert!(touched.covers(&production) && !touched.covers(&staging));

        touched.note(ResourceKind::Flag, &Scope::project(key("shop")), &key("f"), Write::Created);
        assert!(touched.covers(&staging));
    }
}
