//! What `apply` takes: one declared thing, as JSON or as a YAML document.

use liftgate_domain::{Key, ResourceKind, Scope, resource::Level};
use serde::{Deserialize, Serialize};
use serde_json::Value;

use crate::problem::FieldError;

/// One declared thing.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Declaration {
    /// `project`, `environment`, `flag`, `flag_state`, `segment`, `metric`, `policy`, `experiment`, `endpoint`, or
    /// `rollout`, which is started when there is none of that key.
    pub kind: String,
    /// The project it belongs to.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub project: Option<Key>,
    /// The environment it belongs to.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub environment: Option<Key>,
    /// Its name.
    pub key: Key,
    /// Its body, in the form of its kind.
    #[serde(default)]
    pub spec: Value,
}

/// What a declaration is about.
#[derive(Copy, Clone, Debug, Eq, PartialEq)]
pub enum Subject {
    /// A resource of that kind.
    Resource(ResourceKind),
    /// A rollout to start.
    Rollout,
}

impl Declaration {
    /// Its kind and the scope that owns it, or which field is wrong.
    pub fn place(&self) -> Result<(Subject, Scope), FieldError> {
        let wrong = |field: &str, message: String| FieldError { field: field.to_owned(), message };
        let (subject, level) = match ResourceKind::parse(&self.kind) {
            Some(kind) => (Subject::Resource(kind), kind.level()),
            None if self.kind == "rollout" => (Subject::Rollout, Level::Environment),
            None => {
                let known: Vec<_> = ResourceKind::ALL.iter().map(|kind| kind.as_str()).collect();
                let message = format!("`{}` is no kind; it must be one of {}, rollout", self.kind, known.join(", "));
                return Err(wrong("kind", message));
            }
        };
        let needs = |field: &str| wrong(field, format!("is needed for kind `{}`", self.kind));
        let scope = match level {
            Level::Organization => Scope::organization(),
            Level::Project => Scope::project(self.project.clone().ok_or_else(|| needs("project"))?),
            Level::Environment => Scope::environment(
                self.project.clone().ok_or_else(|| needs("project"))?,
                self.environment.clone().ok_or_else(|| needs("environment"))?,
            ),
        };
        Ok((subject, scope))
    }
}
