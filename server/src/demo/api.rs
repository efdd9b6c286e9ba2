//! The management API as the demo calls it: JSON in, JSON out, problems as sentences. Knows paths and tokens, no meaning.

use std::time::Duration;

use reqwest::{Client, RequestBuilder};
use serde_json::Value;
use tokio::time::sleep;

use super::Error;

const REQUEST_TIMEOUT: Duration = Duration::from_secs(15);
/// How long a patient question is repeated while the server is being started again.
const PATIENCE_TRIES: u32 = 60;
const PATIENCE_PAUSE: Duration = Duration::from_millis(250);

/// A client for one server. The connections are its own; a clone shares them.
#[derive(Clone, Debug)]
pub struct Api {
    client: Client,
    base: String,
    token: String,
}

impl Api {
    /// For the server at `base`, such as `http://127.0.0.1:8080`.
    pub fn new(client: Client, base: String, token: String) -> Self {
        Self { client, base, token }
    }

    /// Where the server is.
    pub fn base(&self) -> &str {
        &self.base
    }

    /// One question, one answer.
    pub async fn get(&self, path: &str) -> Result<Value, Error> {
        self.send(path, self.client.get(self.url(path))).await
    }

    /// A question that waits for a server that is being started again.
    pub async fn get_patiently(&self, path: &str) -> Result<Value, Error> {
        for _ in 1..PATIENCE_TRIES {
            match self.get(path).await {
                Err(error) if error.is_passing() => sleep(PATIENCE_PAUSE).await,
                result => return result,
            }
        }
        self.get(path).await
    }

    /// Posts a JSON body.
    pub async fn post(&self, path: &str, body: &Value) -> Result<Value, Error> {
        self.send(path, self.client.post(self.url(path)).json(body)).await
    }

    /// Whether the server says that it is ready.
    pub async fn is_ready(&self) -> bool {
        let answer = self.client.get(self.url("/readyz")).timeout(REQUEST_TIMEOUT).send().await;
        answer.is_ok_and(|response| response.status().is_success())
    }

    fn url(&self, path: &str) -> String {
        format!("{}{path}", self.base)
    }

    async fn send(&self, path: &str, request: RequestBuilder) -> Result<Value, Error> {
        let lost = |error: reqwest::Error| Error::NoAnswer { path: path.to_owned(), reason: reason(&error) };
        let response = request.bearer_auth(&self.token).timeout(REQUEST_TIMEOUT).send().await.map_err(lost)?;
        let status = response.status();
        let bytes = response.bytes().await.map_err(lost)?;
        if !status.is_success() {
            return Err(Error::Refused { path: path.to_owned(), status: status.as_u16(), detail: problem(&bytes) });
        }
        serde_json::from_slice(&bytes)
            .map_err(|error| Error::Answer { path: path.to_owned(), reason: error.to_string() })
    }
}

/// A client with no proxies and only as many idle connections as the demo has tasks.
pub fn client() -> Result<Client, Error> {
    // The provider is process-wide; whoever comes second finds it installed, which is as good.
    let _ = rustls::crypto::ring::default_provider().install_default();
    Client::builder().no_proxy().tcp_nodelay(true).pool_max_idle_per_host(128).build().map_err(|error| {
        Error::NoAnswer { path: "/".to_owned(), reason: format!("no client can be made: {}", reason(&error)) }
    })
}

/// What went wrong with a request, down to the first cause.
pub fn reason(error: &reqwest::Error) -> String {
    let mut cause: &dyn std::error::Error = error;
    while let Some(next) = cause.source() {
        cause = next;
    }
    cause.to_string()
}

/// The sentence and the next step of a problem answer; the start of anything else.
pub fn problem(bytes: &[u8]) -> String {
    const SHOWN_CHARS: usize = 300;
    let parsed: Option<Value> = serde_json::from_slice(bytes).ok();
    let part = |name| parsed.as_ref().and_then(|value| value.get(name)).and_then(Value::as_str);
    match (part("detail"), part("next")) {
        (Some(detail), Some(next)) => format!("{detail}; {next}"),
        (Some(detail), None) => detail.to_owned(),
        _ => String::from_utf8_lossy(bytes).chars().take(SHOWN_CHARS).collect(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn problems_read_as_sentences() {
        for (body, expected) in [
            (
                r#"{"code":"x","detail":"flag `a` not found","next":"declare it first"}"#,
                "flag `a` not found; declare it first",
            ),
            (r#"{"detail":"no"}"#, "no"),
            ("plain text", "plain text"),
            ("", ""),
        ] {
            assert_eq!(problem(body.as_bytes()), expected);
        }
    }
}
