//! The body of a webhook endpoint: where changes are told, in which form, and which ones.

use liftgate_evaluator::Key;
use serde::{Deserialize, Serialize};

use crate::Event;

/// The form in which an endpoint hears of a change.
#[derive(Copy, Clone, Debug, Default, Eq, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Target {
    /// Standard Webhooks: signed JSON.
    #[default]
    Standard,
    /// A Slack incoming webhook.
    Slack,
}

/// A webhook endpoint.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Endpoint {
    /// Where to post.
    pub url: String,
    /// In which form.
    #[serde(default)]
    pub target: Target,
    /// `whsec_` + base64 signing secrets, newest first; several during rotation. Made by the server when left out.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub secrets: Vec<String>,
    /// Event types to hear: exact, or a prefix such as `rollout.*`. Empty hears everything.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub events: Vec<String>,
    /// Environments to hear of. Empty hears all of the project.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub environments: Vec<Key>,
    /// Set by the server when the endpoint answered 410 or failed for too long.
    #[serde(default)]
    pub disabled: bool,
}

impl Endpoint {
    /// Whether this endpoint is to hear of `event`. The caller has matched the project.
    pub fn wants(&self, event: &Event) -> bool {
        let typed = self.events.is_empty()
            || self.events.iter().any(|pattern| match pattern.strip_suffix('*') {
                Some(prefix) => event.kind.starts_with(prefix),
                None => *pattern == event.kind,
            });
        let placed = self.environments.is_empty()
            || event.scope.environment.as_ref().is_none_or(|key| self.environments.contains(key));
        !self.disabled && typed && placed
    }
}
