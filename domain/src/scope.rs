//! The narrowest owner of a row: organization, project or environment. Every query takes one, so tenants never cross.

use std::fmt;

use liftgate_evaluator::Key;
use serde::{Deserialize, Serialize};

/// An owner of rows, from the widest to the narrowest part. Ordered, so that maps keyed by it are deterministic.
#[derive(Clone, Debug, Eq, PartialEq, Ord, PartialOrd, Hash, Serialize, Deserialize)]
pub struct Scope {
    /// The organization; `default` on a single-tenant installation.
    pub organization: Key,
    /// The project, when the row belongs to one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub project: Option<Key>,
    /// The environment, when the row belongs to one; implies a project.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub environment: Option<Key>,
}

impl Scope {
    /// The name of the organization that an installation starts with.
    pub const DEFAULT_ORGANIZATION: &'static str = "default";

    /// The default organization itself.
    pub fn organization() -> Self {
        let organization = Key::new(Self::DEFAULT_ORGANIZATION).expect("the default organization is a valid key");
        Self { organization, project: None, environment: None }
    }

    /// A project of the default organization.
    pub fn project(project: Key) -> Self {
        Self { project: Some(project), ..Self::organization() }
    }

    /// An environment of a project of the default organization.
    pub fn environment(project: Key, environment: Key) -> Self {
        Self { environment: Some(environment), ..Self::project(project) }
    }

    /// The project's scope that contains this one, or itself when it is wider.
    pub fn to_project(&self) -> Self {
        Self { environment: None, ..self.clone() }
    }

    /// An environment inside this project scope.
    pub fn with_environment(&self, environment: Key) -> Self {
        Self { environment: Some(environment), ..self.clone() }
    }

    /// Whether `other` is this scope or lies inside it.
    pub fn contains(&self, other: &Scope) -> bool {
        self.organization == other.organization
            && (self.project.is_none() || self.project == other.project)
            && (self.environment.is_none() || self.environment == other.environment)
    }

    /// The project part as stored in a column: empty when absent.
    pub fn project_column(&self) -> &str {
        self.project.as_ref().map_or("", |key| key.as_ref())
    }

    /// The environment part as stored in a column: empty when absent.
    pub fn environment_column(&self) -> &str {
        self.environment.as_ref().map_or("", |key| key.as_ref())
    }
}

impl fmt::Display for Scope {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}", self.organization)?;
        for part in [&self.project, &self.environment].into_iter().flatten() {
            write!(f, "/{part}")?;
        }
        Ok(())
    }
}
