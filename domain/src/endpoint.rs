//! The body of a webhook endpoint: where changes are told, in which form, and which ones.

use liftgate_evaluator::Key;
use serde::{Deserialize, Serialize};
use serde_json::Value;

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

/// What stands for a signing secret wherever an endpoint is shown.
pub const SECRET_MASK: &str = "whsec_***";

impl Endpoint {
    /// A body as it may be shown: no signing secrets, and no path of a chat address, which is a secret itself.
    pub fn masked(body: &Value) -> Value {
        let mut body = body.clone();
        if let Some(secrets) = body.get_mut("secrets") {
            *secrets = match secrets.as_array() {
                Some(list) => Value::from(vec![SECRET_MASK; list.len()]),
                None => Value::from(SECRET_MASK),
            };
        }
        if body["target"] == "slack"
            && let Some(url) = body["url"].as_str()
        {
            body["url"] = Self::masked_url(url).into();
        }
        body
    }

    /// The scheme and host of an address.
    pub fn masked_url(url: &str) -> String {
        let after_scheme = url.find("://").map_or(0, |at| at + 3);
        let host_end = url[after_scheme..].find(['/', '?', '#']).map_or(url.len(), |at| after_scheme + at);
        let host_start = url[after_scheme..host_end].rfind('@').map_or(after_scheme, |at| after_scheme + at + 1);
        format!("{}{}/***", &url[..after_scheme], &url[host_start..host_end])
    }

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

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn secrets_and_chat_addresses_are_masked() {
        let body = json!({"url": "https://example.com/hook", "secrets": ["whsec_one", "whsec_two"]});
        let shown = json!({"url": "https://example.com/hook", "secrets": ["whsec_***", "whsec_***"]});
        assert_eq!(Endpoint::masked(&body), shown);
        let chat = json!({"target": "slack", "url": "https://u:p@hooks.slack.com/services/T/B/x"});
        assert_eq!(Endpoint::masked(&chat), json!({"target": "slack", "url": "https://hooks.slack.com/***"}));
    }
}
