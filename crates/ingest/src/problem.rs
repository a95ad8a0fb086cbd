//! Errors as clients see them: RFC 9457 problem details that name the field and never show SQL.

use std::time::Duration;

use axum::http::header::{CONNECTION, CONTENT_TYPE, RETRY_AFTER, WWW_AUTHENTICATE};
use axum::http::{HeaderValue, StatusCode};
use axum::response::{IntoResponse, Response};
use serde::Serialize;
use store::StoreError;
use utoipa::ToSchema;

/// Seconds after which a client may try again while PostgreSQL is away or something is locked.
const RETRY_AFTER_SECONDS: &str = "2";
/// SQLSTATE of a statement that waited for a lock as long as `lock_timeout` lets it.
const LOCK_NOT_AVAILABLE: &str = "55P03";

/// What went wrong with a request, as `application/problem+json`.
#[derive(Clone, Debug, Serialize, ToSchema)]
pub(crate) struct Problem {
    /// What kind of problem it is.
    #[schema(example = "/problems/invalid-field")]
    #[serde(rename = "type")]
    kind: String,
    /// The kind in words.
    #[schema(example = "A field is not valid")]
    title: &'static str,
    /// The HTTP status.
    #[schema(example = 422)]
    status: u16,
    /// What is wrong with this request, and what to do.
    #[schema(example = "amount must not be negative")]
    detail: String,
    /// JSON pointer to the field in the request's body.
    #[schema(example = "/0/amount")]
    #[serde(skip_serializing_if = "Option::is_none")]
    pointer: Option<String>,
    /// Why a change of history is refused, for programs.
    #[schema(example = "own_descendant")]
    #[serde(skip_serializing_if = "Option::is_none")]
    cause: Option<&'static str>,
    /// After how many seconds to try again; `Retry-After` says it.
    #[serde(skip)]
    retry_after: Option<u16>,
    /// Whether it may have been done all the same.
    #[serde(skip)]
    is_in_doubt: bool,
}

/// Marks an answer, beside it, to a request that may have been done all the same.
#[derive(Clone, Copy, Debug)]
struct InDoubt;

/// Whether an answer says that its request changed nothing, for certain.
pub(crate) fn changed_nothing(response: &Response) -> bool {
    !response.status().is_success() && response.extensions().get::<InDoubt>().is_none()
}

/// What a problem says, beside its answer: for the record of operators' actions.
#[derive(Clone, Debug)]
pub(crate) struct Said(pub(crate) String);

impl Problem {
    fn new(status: StatusCode, kind: &str, title: &'static str, detail: impl ToString) -> Self {
        let kind = format!("/problems/{kind}");
        Self {
            kind,
            title,
            status: status.as_u16(),
            detail: detail.to_string(),
            pointer: None,
            cause: None,
            retry_after: None,
            is_in_doubt: false,
        }
    }

    fn at(mut self, pointer: impl Into<String>) -> Self {
        self.pointer = Some(pointer.into());
        self
    }

    /// With the name of the cause.
    pub(crate) fn because(mut self, cause: &'static str) -> Self {
        self.cause = Some(cause);
        self
    }

    pub(crate) fn status(&self) -> StatusCode {
        StatusCode::from_u16(self.status).unwrap_or(StatusCode::INTERNAL_SERVER_ERROR)
    }

    /// The body is not JSON.
    pub(crate) fn malformed(detail: impl ToString) -> Self {
        Self::new(StatusCode::BAD_REQUEST, "malformed", "The body is not JSON", detail)
    }

    /// A field of the body, the path or the query is not valid.
    pub(crate) fn invalid(pointer: impl Into<String>, detail: impl ToString) -> Self {
        let title = "A field is not valid";
        Self::new(StatusCode::UNPROCESSABLE_ENTITY, "invalid-field", title, detail).at(pointer)
    }

    /// No key, or none that works.
    pub(crate) fn unauthorized() -> Self {
        let detail = "send a key that is not revoked as `Authorization: Bearer lk_…`";
        Self::new(StatusCode::UNAUTHORIZED, "unauthorized", "A valid key is needed", detail)
    }

    /// The key's requests must be signed, and this one is not, or not rightly.
    pub(crate) fn unsigned(detail: impl ToString) -> Self {
        Self::new(StatusCode::UNAUTHORIZED, "signature", "A valid signature is needed", detail)
    }

    /// A change whose `webhook-id` signed another one before.
    pub(crate) fn repeated() -> Self {
        let detail = "the webhook-id signed a change before, within the time for which signatures \
                      count; nothing was changed. See what came of it; for another change, sign \
                      another id";
        Self::new(StatusCode::CONFLICT, "repeated", "The request is a repetition", detail)
            .because("repeated_webhook_id")
    }

    /// More requests than are let pass.
    pub(crate) fn too_many(detail: impl ToString, wait: Duration) -> Self {
        let title = "Too many requests";
        let seconds = wait.as_secs() + u64::from(wait.subsec_nanos() > 0);
        let problem = Self::new(StatusCode::TOO_MANY_REQUESTS, "too-many", title, detail);
        Self { retry_after: Some(u16::try_from(seconds.max(1)).unwrap_or(u16::MAX)), ..problem }
    }

    /// The key lacks a scope.
    pub(crate) fn forbidden(scope: &str) -> Self {
        let detail = format!("this request needs a key with the scope {scope}");
        Self::new(StatusCode::FORBIDDEN, "forbidden", "The key lacks a scope", detail)
    }

    /// Nothing there.
    pub(crate) fn not_found(detail: impl ToString) -> Self {
        Self::new(StatusCode::NOT_FOUND, "not-found", "Not found", detail)
    }

    /// The path is there, the method is not.
    pub(crate) fn method_not_allowed() -> Self {
        let detail = "see /openapi.json for the methods of this path";
        Self::new(StatusCode::METHOD_NOT_ALLOWED, "method", "Method not allowed", detail)
    }

    /// What is asked for contradicts what is stored.
    pub(crate) fn conflict(pointer: impl Into<String>, detail: impl ToString) -> Self {
        let title = "It contradicts what is recorded";
        Self::new(StatusCode::CONFLICT, "conflict", title, detail).at(pointer)
    }

    /// The body is longer than is read.
    pub(crate) fn too_large(limit: usize) -> Self {
        let detail = format!("send at most {limit} bytes");
        Self::new(StatusCode::PAYLOAD_TOO_LARGE, "too-large", "The body is too large", detail)
    }

    /// The client was too slow.
    pub(crate) fn too_slow() -> Self {
        let detail = "the body did not arrive in time";
        Self::new(StatusCode::REQUEST_TIMEOUT, "too-slow", "The request took too long", detail)
    }

    /// PostgreSQL is away, or somebody else holds what is needed. Nothing was accepted.
    pub(crate) fn unavailable(detail: impl ToString) -> Self {
        let title = "Temporarily unavailable";
        Self::new(StatusCode::SERVICE_UNAVAILABLE, "unavailable", title, detail)
    }

    /// It failed in a way that leaves open whether it was done. The detail says so.
    pub(crate) fn in_doubt(detail: impl ToString) -> Self {
        Self { is_in_doubt: true, ..Self::unavailable(detail) }
    }

    /// What it says, for the record of operators' actions.
    pub(crate) fn said(&self) -> String {
        let cause = self.cause.map(|cause| format!("{cause}: ")).unwrap_or_default();
        let pointer = self.pointer.as_deref().filter(|pointer| !pointer.is_empty());
        let pointer = pointer.map(|pointer| format!("{pointer}: ")).unwrap_or_default();
        format!("{cause}{pointer}{}", self.detail)
    }

    /// More is asked for than can be done in time. Nothing was accepted.
    pub(crate) fn overloaded(detail: impl ToString) -> Self {
        let title = "More than can be served";
        Self::new(StatusCode::SERVICE_UNAVAILABLE, "overloaded", title, detail)
    }

    /// A defect of ours. The log has the details.
    fn internal() -> Self {
        let detail = "the request failed for a reason that is not yours; it was logged";
        Self::new(StatusCode::INTERNAL_SERVER_ERROR, "internal", "Internal error", detail)
    }
}

impl From<StoreError> for Problem {
    /// Logs the error here, at the boundary that handles it.
    fn from(error: StoreError) -> Self {
        if matches!(error, StoreError::Damaged(_)) || error.is_about_data() {
            tracing::error!(%error, "a request failed");
            return Self::internal();
        }
        if let StoreError::Locked(what) = &error {
            tracing::warn!(%error, "a request waited for a lock in vain");
            return Self::unavailable(format!(
                "the {what} is being changed by somebody else and stayed locked for too long; \
                 nothing was changed, try again"
            ));
        }
        if error.is_transient_conflict() || error.sqlstate().as_deref() == Some(LOCK_NOT_AVAILABLE)
        {
            tracing::warn!(%error, "a request met another one");
            return Self::unavailable(
                "somebody else is changing the same at this moment; nothing was changed, try again",
            );
        }
        if error.leaves_in_doubt() {
            tracing::warn!(%error, "the connection to PostgreSQL broke");
            return Self::in_doubt(
                "the connection to the database broke; it is not known whether this was recorded: \
                 ask, or send it again with the same ids",
            );
        }
        tracing::warn!(%error, "PostgreSQL is not available");
        Self::unavailable("the database is not available; nothing was accepted, try again")
    }
}

impl IntoResponse for Problem {
    fn into_response(self) -> Response {
        let status = self.status();
        let body = serde_json::to_vec(&self).unwrap_or_default();
        let mut response = (status, body).into_response();
        response.extensions_mut().insert(Said(self.said()));
        if self.is_in_doubt {
            response.extensions_mut().insert(InDoubt);
        }
        let headers = response.headers_mut();
        headers.insert(CONTENT_TYPE, HeaderValue::from_static("application/problem+json"));
        if let Some(seconds) = self.retry_after {
            headers.insert(RETRY_AFTER, HeaderValue::from(seconds));
        } else if status == StatusCode::SERVICE_UNAVAILABLE {
            headers.insert(RETRY_AFTER, HeaderValue::from_static(RETRY_AFTER_SECONDS));
        }
        if matches!(status, StatusCode::PAYLOAD_TOO_LARGE | StatusCode::REQUEST_TIMEOUT) {
            // What is left of the body is not read: the client must not send another request after it.
            headers.insert(CONNECTION, HeaderValue::from_static("close"));
        }
        if status == StatusCode::UNAUTHORIZED {
            headers.insert(WWW_AUTHENTICATE, HeaderValue::from_static("Bearer"));
        }
        response
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A connection that breaks may have taken a COMMIT with it; one that was never had has not.
    #[test]
    fn nobody_is_told_that_nothing_was_accepted_where_that_is_not_known() {
        let detail = |error: sqlx::Error| Problem::from(StoreError::from(error)).detail;
        let broken = std::io::Error::from(std::io::ErrorKind::ConnectionReset);
        assert!(detail(sqlx::Error::Io(broken)).contains("it is not known whether"));
        assert!(detail(sqlx::Error::PoolTimedOut).contains("nothing was accepted"));
    }

    /// By this, the id of a signed change is free again, or not.
    #[test]
    fn only_answers_that_are_certain_say_that_nothing_was_changed() {
        let answer = |error: sqlx::Error| Problem::from(StoreError::from(error)).into_response();
        let broken = std::io::Error::from(std::io::ErrorKind::ConnectionReset);
        assert!(!changed_nothing(&answer(sqlx::Error::Io(broken))));
        assert!(!changed_nothing(&Problem::in_doubt("no answer in time").into_response()));
        assert!(!changed_nothing(&StatusCode::OK.into_response()));
        assert!(changed_nothing(&answer(sqlx::Error::PoolTimedOut)));
        assert!(changed_nothing(&Problem::invalid("/rank", "unknown").into_response()));
    }
}
