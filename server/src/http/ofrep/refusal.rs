//! An error in the protocol's own shape: `errorCode` and `errorDetails`, and the `key` when one flag was asked for.

use axum::{
    Json,
    http::{HeaderValue, StatusCode, header},
    response::{IntoResponse, Response},
};
use serde::Serialize;

use crate::problem::ApiError;

/// What a provider throws for anything that the protocol has no code for.
pub const GENERAL: &str = "GENERAL";

/// The answer when nothing can be evaluated.
#[derive(Debug)]
pub struct Refusal {
    status: StatusCode,
    body: Body,
    retry_after_s: Option<u64>,
}

#[derive(Debug, Serialize)]
#[serde(rename_all = "camelCase")]
struct Body {
    #[serde(skip_serializing_if = "Option::is_none")]
    key: Option<String>,
    error_code: &'static str,
    error_details: String,
    /// The same stable word as other routes answer, for what is no matter of flags.
    #[serde(skip_serializing_if = "Option::is_none")]
    code: Option<&'static str>,
}

impl Refusal {
    /// A refusal with one of the protocol's codes.
    pub fn new(status: StatusCode, error_code: &'static str, details: impl Into<String>) -> Self {
        let body = Body { key: None, error_code, error_details: details.into(), code: None };
        Self { status, body, retry_after_s: None }
    }

    /// What the caller has to mend.
    pub fn bad_request(error_code: &'static str, details: impl Into<String>) -> Self {
        Self::new(StatusCode::BAD_REQUEST, error_code, details)
    }

    /// The same, about one flag.
    pub fn of_flag(mut self, key: &str) -> Self {
        self.body.key = Some(key.to_owned());
        self
    }

    /// The protocol's code.
    #[cfg(test)]
    pub fn code(&self) -> &str {
        self.body.error_code
    }

    /// The sentence.
    #[cfg(test)]
    pub fn details(&self) -> &str {
        &self.body.error_details
    }
}

impl From<ApiError> for Refusal {
    fn from(error: ApiError) -> Self {
        let details = match error.next_step() {
            Some(next) => format!("{}; {next}", error.detail()),
            None => error.detail().to_owned(),
        };
        let body = Body { key: None, error_code: GENERAL, error_details: details, code: Some(error.code()) };
        Self { status: error.status(), body, retry_after_s: error.retry_after_s() }
    }
}

impl IntoResponse for Refusal {
    fn into_response(self) -> Response {
        let mut response = (self.status, Json(self.body)).into_response();
        if let Some(seconds) = self.retry_after_s {
            response.headers_mut().insert(header::RETRY_AFTER, HeaderValue::from(seconds.max(1)));
        }
        if self.status == StatusCode::UNAUTHORIZED {
            response.headers_mut().insert(header::WWW_AUTHENTICATE, HeaderValue::from_static("Bearer"));
        }
        response
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_error_of_the_server_keeps_its_status_its_word_and_when_to_come_back() {
        let error = ApiError::new(StatusCode::SERVICE_UNAVAILABLE, "unavailable", "the catalog is away").retry_after(0);
        let response = Refusal::from(error).of_flag("checkout").into_response();
        assert_eq!(response.status(), StatusCode::SERVICE_UNAVAILABLE);
        assert_eq!(response.headers()[header::RETRY_AFTER], "1", "whole seconds, and never none");
    }
}
