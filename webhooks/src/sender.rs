//! One attempt over HTTP: guard, format, sign, post, read a bounded answer. Decides nothing about retries.

use std::error::Error as StdError;
use std::sync::Arc;
use std::time::Duration;

use liftgate_domain::{Delivery, Endpoint, Target, Timestamp};
use reqwest::header::{CONTENT_TYPE, RETRY_AFTER};
use reqwest::{Client, Response, redirect, retry};

use crate::answer::{ANSWER_BYTES_MAX, Answer, retry_after_s, storable};
use crate::guard::{AllowList, GuardResolver, Lookup, check_url};
use crate::signature::{Secret, sign};
use crate::{Error, format};

/// The longest that a chat target is waited for.
const CHAT_TIMEOUT_MS: u64 = 5_000;

/// How long an idle connection is kept: short, so that a name is resolved and checked again soon.
const IDLE_MS: u64 = 10_000;

/// The HTTP side of the dispatcher. See [`GuardResolver`] for why there are two clients.
pub(crate) struct Sender {
    allow: AllowList,
    guarded: Client,
    named: Client,
    timeout_ms: u64,
}

impl Sender {
    /// Clients without redirects, proxies from the environment, or retries of their own.
    pub(crate) fn new(allow: AllowList, timeout_ms: u64, lookup: Arc<dyn Lookup>) -> Result<Self, Error> {
        let guarded = client(GuardResolver::guarded(lookup.clone(), allow.clone()))?;
        let named = client(GuardResolver::named(lookup))?;
        Ok(Self { allow, guarded, named, timeout_ms })
    }

    /// Sends a delivery to its endpoint once. Every failure is an [`Answer`] that says why.
    pub(crate) async fn send(&self, delivery: &Delivery, endpoint: &Endpoint, now: Timestamp) -> Answer {
        match self.exchange(delivery, endpoint, now).await {
            Ok(answer) => answer,
            Err(error) => Answer::none(&error),
        }
    }

    async fn exchange(&self, delivery: &Delivery, endpoint: &Endpoint, now: Timestamp) -> Result<Answer, String> {
        let url = check_url(&endpoint.url, &self.allow).map_err(|error| error.to_string())?;
        let secrets: Vec<Secret> = endpoint
            .secrets
            .iter()
            .map(|text| Secret::parse(text))
            .collect::<Result<_, _>>()
            .map_err(|error| error.to_string())?;
        let (body, timeout_ms) = match endpoint.target {
            Target::Standard if secrets.is_empty() => return Err("the endpoint has no signing secret".to_owned()),
            Target::Standard => (format::standard(&delivery.event), self.timeout_ms),
            Target::Slack => (format::slack(&delivery.event), self.timeout_ms.min(CHAT_TIMEOUT_MS)),
        };
        let timestamp_s = now.as_micros().div_euclid(1_000_000);
        let client = if self.allow.names(&url) { &self.named } else { &self.guarded };
        let mut request = client
            .post(url)
            .timeout(Duration::from_millis(timeout_ms))
            .header(CONTENT_TYPE, "application/json")
            .header("webhook-id", &delivery.id)
            .header("webhook-timestamp", timestamp_s);
        if !secrets.is_empty() {
            request = request.header("webhook-signature", sign(&secrets, &delivery.id, timestamp_s, &body));
        }
        let response = request.body(body).send().await.map_err(explain)?;
        Ok(read(response, now).await)
    }
}

fn client(resolver: GuardResolver) -> Result<Client, Error> {
    Client::builder()
        .user_agent(concat!("Liftgate/", env!("CARGO_PKG_VERSION")))
        .redirect(redirect::Policy::none())
        .retry(retry::never())
        .referer(false)
        .no_proxy()
        .pool_idle_timeout(Duration::from_millis(IDLE_MS))
        .dns_resolver(resolver)
        .build()
        .map_err(Error::Client)
}

/// Reads at most [`ANSWER_BYTES_MAX`] bytes and lets go of the connection. A body that breaks off is kept as far as it
/// came: the status has been given, and for Slack a body that is not whole is not `ok`.
async fn read(mut response: Response, now: Timestamp) -> Answer {
    let header = response.headers().get(RETRY_AFTER).and_then(|value| value.to_str().ok());
    let retry_after_s = header.and_then(|value| retry_after_s(value, now));
    let status = Some(response.status().as_u16());
    let mut body = Vec::new();
    while body.len() < ANSWER_BYTES_MAX {
        match response.chunk().await {
            Ok(Some(chunk)) => body.extend_from_slice(&chunk[..chunk.len().min(ANSWER_BYTES_MAX - body.len())]),
            Ok(None) | Err(_) => break,
        }
    }
    Answer { status, retry_after_s, text: storable(&body) }
}

/// The error and its causes in one line, without the URL: a chat target's URL is a secret.
fn explain(error: reqwest::Error) -> String {
    let error = error.without_url();
    let mut text = error.to_string();
    let mut cause = error.source();
    while let Some(error) = cause {
        text.push_str(": ");
        text.push_str(&error.to_string());
        cause = error.source();
    }
    text
}
