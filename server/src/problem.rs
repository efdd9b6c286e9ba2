//! Errors over HTTP: `application/problem+json` (RFC 9457) with a stable code, the field at fault and the next step.

use axum::{
    Json,
    http::{HeaderValue, StatusCode, header},
    response::{IntoResponse, Response},
};
use liftgate_domain::StoreError;
use liftgate_evaluator::Problem as FieldProblem;
use serde::Serialize;

/// One field at fault.
#[derive(Clone, Debug, Serialize)]
pub struct FieldError {
    /// The path of the field, such as `stages[2].share`.
    pub field: String,
    /// What is wrong with it.
    pub message: String,
}

/// An error answer. Boxed, so that the good answers beside it stay small.
#[derive(Clone, Debug)]
pub struct ApiError(Box<Answer>);

#[derive(Clone, Debug, Serialize)]
struct Answer {
    #[serde(rename = "type")]
    kind: &'static str,
    title: String,
    status: u16,
    /// Stable; programs may match on it.
    code: &'static str,
    detail: String,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    errors: Vec<FieldError>,
    #[serde(skip_serializing_if = "Option::is_none")]
    next: Option<String>,
    /// `detail` once more, under the name that some clients of other protocols look for it.
    #[serde(skip_serializing_if = "Option::is_none")]
    message: Option<String>,
    #[serde(skip)]
    retry_after_s: Option<u64>,
}

impl ApiError {
    /// An error with a stable code and a sentence.
    pub fn new(status: StatusCode, code: &'static str, detail: impl Into<String>) -> Self {
        Self(Box::new(Answer {
            kind: "about:blank",
            title: status.canonical_reason().unwrap_or("Error").to_owned(),
            status: status.as_u16(),
            code,
            detail: detail.into(),
            errors: Vec::new(),
            next: None,
            message: None,
            retry_after_s: None,
        }))
    }

    /// A thing that is not there.
    pub fn not_found(what: impl std::fmt::Display) -> Self {
        Self::new(StatusCode::NOT_FOUND, "not_found", format!("{what} not found"))
    }

    /// A body whose fields are at fault.
    pub fn invalid(what: impl std::fmt::Display, errors: Vec<FieldError>) -> Self {
        let first = errors.first().map(|error| format!(": `{}` {}", error.field, error.message)).unwrap_or_default();
        let mut error = Self::new(StatusCode::UNPROCESSABLE_ENTITY, "invalid", format!("{what} is not valid{first}"));
        error.0.errors = errors;
        error
    }

    /// One field at fault.
    pub fn invalid_field(what: impl std::fmt::Display, field: &str, message: impl Into<String>) -> Self {
        Self::invalid(what, vec![FieldError { field: field.to_owned(), message: message.into() }])
    }

    /// Adds the next step.
    pub fn next(mut self, step: impl Into<String>) -> Self {
        self.0.next = Some(step.into());
        self
    }

    /// One event that can never be taken as it is.
    pub fn rejected_event(field: &str, detail: &str) -> Self {
        let mut error = Self::new(StatusCode::BAD_REQUEST, "event_rejected", detail);
        error.0.errors = vec![FieldError { field: field.to_owned(), message: detail.to_owned() }];
        error.next("mend the field and send it again; nothing was taken")
    }

    /// Says the sentence under the name `message` as well, which the clients of Segment read.
    pub fn with_message(mut self) -> Self {
        self.0.message = Some(self.0.detail.clone());
        self
    }

    /// The sentence.
    pub fn detail(&self) -> &str {
        &self.0.detail
    }

    /// The stable code.
    pub fn code(&self) -> &'static str {
        self.0.code
    }

    /// The status.
    pub fn status(&self) -> StatusCode {
        StatusCode::from_u16(self.0.status).unwrap_or(StatusCode::INTERNAL_SERVER_ERROR)
    }

    /// The next step.
    pub fn next_step(&self) -> Option<&str> {
        self.0.next.as_deref()
    }

    /// When the caller should come back, in seconds.
    pub fn retry_after_s(&self) -> Option<u64> {
        self.0.retry_after_s
    }

    /// Asks the caller to come back.
    pub fn retry_after(mut self, seconds: u64) -> Self {
        self.0.retry_after_s = Some(seconds);
        self
    }
}

impl From<FieldProblem> for FieldError {
    fn from(problem: FieldProblem) -> Self {
        Self { field: problem.path, message: problem.message }
    }
}

impl From<StoreError> for ApiError {
    fn from(error: StoreError) -> Self {
        let detail = error.to_string();
        match error {
            StoreError::Conflict { .. } => Self::new(StatusCode::CONFLICT, "conflict", detail),
            StoreError::Exists { .. } => Self::new(StatusCode::CONFLICT, "exists", detail),
            StoreError::NotFound { .. } => Self::new(StatusCode::NOT_FOUND, "not_found", detail),
            StoreError::Invalid(_) => Self::new(StatusCode::UNPROCESSABLE_ENTITY, "invalid", detail),
            StoreError::Unavailable(_) => {
                tracing::warn!(error = %detail, "A request could not be answered because a store is unavailable.");
                Self::new(StatusCode::SERVICE_UNAVAILABLE, "unavailable", detail).retry_after(1)
            }
            _ => {
                tracing::error!(error = %detail, "A request met damaged data.");
                Self::new(StatusCode::INTERNAL_SERVER_ERROR, "internal", "the server met an error; its log says more")
            }
        }
    }
}

impl From<crate::table::Error> for ApiError {
    fn from(error: crate::table::Error) -> Self {
        tracing::error!(error = %error, "A table could not be encoded.");
        Self::new(StatusCode::INTERNAL_SERVER_ERROR, "internal", "the server met an error; its log says more")
    }
}

impl IntoResponse for ApiError {
    fn into_response(self) -> Response {
        let status = self.status();
        let retry_after_s = self.0.retry_after_s;
        let mut response = (status, Json(self.0)).into_response();
        let headers = response.headers_mut();
        headers.insert(header::CONTENT_TYPE, HeaderValue::from_static("application/problem+json"));
        if let Some(seconds) = retry_after_s {
            headers.insert(header::RETRY_AFTER, HeaderValue::from(seconds));
        }
        if status == StatusCode::UNAUTHORIZED {
            headers.insert(header::WWW_AUTHENTICATE, HeaderValue::from_static("Bearer"));
        }
        response
    }
}
