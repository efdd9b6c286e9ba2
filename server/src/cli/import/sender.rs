//! Sends batches to the event door, again and again until they are answered: ids make repeats harmless.

use std::time::Duration;

use reqwest::{StatusCode, Url, header};
use serde::Deserialize;
use serde_json::Value;

use super::{Sums, batch::Batch, refusals::Refusal};
use crate::cli::{Error, client};

/// How often a batch is sent before the import gives up: about ten minutes.
const ATTEMPTS_MAX: u32 = 24;
const PAUSE_MIN: Duration = Duration::from_millis(250);
const PAUSE_MAX: Duration = Duration::from_secs(30);
/// The longest wait that a server may ask for.
const RETRY_AFTER_MAX: Duration = Duration::from_secs(300);
const REQUEST_TIMEOUT: Duration = Duration::from_secs(120);
const ZSTD_LEVEL: i32 = 1;

/// A connection to the event door.
pub struct Sender {
    http: reqwest::Client,
    door: Url,
    key: String,
}

/// The server's answer to a batch.
#[derive(Debug, Default, Deserialize)]
pub struct Receipt {
    accepted: u64,
    duplicates: u64,
    #[serde(default)]
    rejected: Vec<Rejected>,
    /// A count or a list, one an event.
    #[serde(default)]
    quarantined: Value,
}

#[derive(Debug, Deserialize)]
struct Rejected {
    index: usize,
    code: String,
    field: Option<String>,
    detail: String,
}

/// Why a batch must be sent again.
struct Again {
    why: String,
    after: Option<Duration>,
}

impl Receipt {
    /// What became of the batch's events.
    pub fn sums(&self, batch: &Batch) -> Sums {
        let refused = batch.refused.len() as u64;
        Sums {
            sent: batch.len() as u64 + refused,
            accepted: self.accepted,
            duplicates: self.duplicates,
            rejected: self.rejected.len() as u64 + refused,
            quarantined: self
                .quarantined
                .as_array()
                .map_or(self.quarantined.as_u64().unwrap_or(0), |it| it.len() as u64),
        }
    }

    /// What was refused of the batch, in order of lines.
    pub fn refusals(&self, batch: &Batch) -> Vec<Refusal> {
        let here = batch.refused.iter().map(|(line, detail)| Refusal {
            line: *line,
            code: "too_large".to_owned(),
            field: None,
            detail: detail.clone(),
            event: Vec::new(),
        });
        let there = self.rejected.iter().map(|rejected| {
            let (line, event) = batch.event(rejected.index).unwrap_or((0, b""));
            Refusal {
                line,
                code: rejected.code.clone(),
                field: rejected.field.clone(),
                detail: rejected.detail.clone(),
                event: event.to_vec(),
            }
        });
        let mut refusals: Vec<Refusal> = here.chain(there).collect();
        refusals.sort_by_key(|refusal| refusal.line);
        refusals
    }
}

impl Sender {
    /// Prepares the connection.
    pub fn new(url: &Url, key: &str) -> Result<Self, Error> {
        let unreachable = |source| client::Error::Unreachable { url: url.clone(), source };
        let http = reqwest::Client::builder().no_proxy().timeout(REQUEST_TIMEOUT).build().map_err(unreachable)?;
        Ok(Self { http, door: super::door(url), key: key.to_owned() })
    }

    /// Sends a batch until the server has taken or refused it.
    pub async fn send(&self, batch: &Batch) -> Result<Receipt, Error> {
        if batch.is_empty() {
            return Ok(Receipt::default());
        }
        let packed: bytes::Bytes = zstd::bulk::compress(&batch.body, ZSTD_LEVEL)
            .map_err(|error| Error::Incomplete(format!("a batch cannot be packed: {error}")))?
            .into();
        let mut attempt = 0;
        loop {
            let again = match self.try_send(packed.clone()).await? {
                Ok(receipt) => return Ok(receipt),
                Err(again) => again,
            };
            attempt += 1;
            if attempt == ATTEMPTS_MAX {
                let place = batch.event(0).map_or(0, |(line, _)| line);
                return Err(Error::Incomplete(format!(
                    "gave up at line {place} after {ATTEMPTS_MAX} attempts: {}; run the same import again later, what \
                     was taken counts once",
                    again.why
                )));
            }
            tracing::debug!(attempt, why = again.why, "A batch is sent again.");
            tokio::time::sleep(again.after.unwrap_or_else(|| pause(attempt))).await;
        }
    }

    async fn try_send(&self, packed: bytes::Bytes) -> Result<Result<Receipt, Again>, Error> {
        let request = self
            .http
            .post(self.door.clone())
            .header("x-api-key", &self.key)
            .header(header::CONTENT_TYPE, "application/x-ndjson")
            .header(header::CONTENT_ENCODING, "zstd")
            .body(packed);
        let answer = match request.send().await {
            Ok(answer) => answer,
            Err(error) => return Ok(Err(Again { why: format!("the server cannot be reached: {error}"), after: None })),
        };
        let (status, after) = (answer.status(), retry_after(answer.headers()));
        let body = match answer.bytes().await {
            Ok(body) => body,
            Err(error) => return Ok(Err(Again { why: format!("the answer broke off: {error}"), after: None })),
        };
        if status.is_success() {
            return serde_json::from_slice(&body)
                .map(Ok)
                .map_err(|error| Error::Incomplete(format!("the server's receipt cannot be read: {error}")));
        }
        let problem: Value = serde_json::from_slice(&body).unwrap_or(Value::Null);
        let why = client::sentence(status, &problem);
        if status.is_server_error() || matches!(status, StatusCode::TOO_MANY_REQUESTS | StatusCode::REQUEST_TIMEOUT) {
            return Ok(Err(Again { why, after }));
        }
        Err(client::Error::Refused(why).into())
    }
}

/// Doubles from attempt to attempt.
fn pause(attempt: u32) -> Duration {
    PAUSE_MIN.saturating_mul(2_u32.saturating_pow(attempt - 1)).min(PAUSE_MAX)
}

fn retry_after(headers: &header::HeaderMap) -> Option<Duration> {
    let seconds = headers.get(header::RETRY_AFTER)?.to_str().ok()?.parse().ok()?;
    Some(Duration::from_secs(seconds).clamp(PAUSE_MIN, RETRY_AFTER_MAX))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn pauses_double_up_to_a_bound() {
        assert_eq!([1, 2, 3].map(pause), [250, 500, 1_000].map(Duration::from_millis));
        assert_eq!(pause(ATTEMPTS_MAX), PAUSE_MAX);
    }

    #[test]
    fn a_refusal_is_told_with_the_line_it_came_from() {
        let mut batch = Batch::default();
        batch.push(2, b"{\"id\":\"a\"}");
        batch.push(5, b"nonsense");
        batch.refused.push((3, "too long".to_owned()));
        let receipt: Receipt = serde_json::from_value(serde_json::json!({
            "accepted": 1, "duplicates": 0, "quarantined": [{"index": 0}],
            "rejected": [{"index": 1, "id": null, "code": "malformed_json", "field": null, "detail": "not JSON"}],
        }))
        .unwrap();
        let lines: Vec<(u64, String, Vec<u8>)> =
            receipt.refusals(&batch).into_iter().map(|it| (it.line, it.code, it.event)).collect();
        let expected = [(3, "too_large".to_owned(), vec![]), (5, "malformed_json".to_owned(), b"nonsense".to_vec())];
        assert_eq!(lines, expected);
        assert_eq!(receipt.sums(&batch), Sums { sent: 3, accepted: 1, duplicates: 0, rejected: 2, quarantined: 1 });
    }
}
