//! A webhook endpoint: an address that may be reached, secrets that can sign, and a secret made when none is given.

use liftgate_domain::{Endpoint, Resource, Target, endpoint::SECRET_MASK};
use liftgate_webhooks::{guard, signature::Secret};
use serde_json::Value;

use super::{Checked, Verdict, decode, problem};
use crate::app::App;

pub(super) fn check(app: &App, spec: Value, current: Option<&Resource>) -> Verdict {
    let mut endpoint: Endpoint = decode(spec)?;
    let stored: Option<Endpoint> = current.and_then(|it| serde_json::from_value(it.body.clone()).ok());
    if let Some(stored) = &stored {
        // What was shown masked and comes back as it was shown means: keep it.
        if endpoint.target == Target::Slack && endpoint.url == Endpoint::masked_url(&stored.url) {
            endpoint.url = stored.url.clone();
        }
        if !endpoint.secrets.is_empty() && endpoint.secrets.iter().all(|secret| secret == SECRET_MASK) {
            endpoint.secrets = stored.secrets.clone();
        }
    }
    let mut problems = Vec::new();
    if let Err(error) = guard::check_url(&endpoint.url, &app.webhooks_allow) {
        problems.push(problem("url", error.to_string()));
    }
    for (index, secret) in endpoint.secrets.iter().enumerate() {
        if let Err(error) = Secret::parse(secret) {
            problems.push(problem(&format!("secrets[{index}]"), error.to_string()));
        }
    }
    for (index, pattern) in endpoint.events.iter().enumerate() {
        if pattern.is_empty() || pattern.trim_end_matches('*').contains('*') {
            let message = "must be an event type such as `rollout.rolled_back`, or a prefix such as `rollout.*`";
            problems.push(problem(&format!("events[{index}]"), message));
        }
    }
    if !problems.is_empty() {
        return Err(problems);
    }
    let mut secret = None;
    if endpoint.secrets.is_empty() && endpoint.target == Target::Standard {
        endpoint.secrets = match stored {
            Some(stored) if !stored.secrets.is_empty() => stored.secrets,
            _ => {
                let made = Secret::generate(&*app.entropy);
                secret = Some(made.clone());
                vec![made]
            }
        };
    }
    Ok(Checked { secret, ..Checked::plain(&endpoint) })
}
