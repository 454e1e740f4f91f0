//! Errors as responses.

use axum_core::body::Body;
use axum_core::response::{IntoResponse, Response};
use http::header::{CONTENT_TYPE, HeaderValue, RETRY_AFTER};
use http::{HeaderMap, StatusCode};
use serde_json::json;

use crate::AuthError;

/// In seconds.
const RETRY_AFTER_CONTENTION: HeaderValue = HeaderValue::from_static("1");
const RETRY_AFTER_OUTAGE: HeaderValue = HeaderValue::from_static("5");

pub(super) fn status(error: &AuthError) -> StatusCode {
    StatusCode::from_u16(error.http_status()).unwrap_or(StatusCode::INTERNAL_SERVER_ERROR)
}

pub(super) fn json(status: StatusCode, code: &str, message: &str) -> Response {
    let body = json!({ "code": code, "message": message }).to_string();
    let mut response = Response::new(Body::from(body));
    *response.status_mut() = status;
    let json = HeaderValue::from_static("application/json");
    response.headers_mut().insert(CONTENT_TYPE, json);
    response
}

/// What a client may read: the text of the others names the server and the statement.
fn message(error: &AuthError) -> String {
    match error {
        AuthError::Unavailable { .. } => "not available at the moment: try again later".to_owned(),
        AuthError::OutcomeUnknown { .. } => "it is not known whether this was done".to_owned(),
        AuthError::TransactionAborted | AuthError::Database { .. } => "internal error".to_owned(),
        AuthError::Unsupported { .. } => "not supported".to_owned(),
        told => told.to_string(),
    }
}

fn add_retry_after(error: &AuthError, headers: &mut HeaderMap) {
    if let AuthError::Unavailable { contention, .. } = error {
        let seconds = if *contention {
            RETRY_AFTER_CONTENTION
        } else {
            RETRY_AFTER_OUTAGE
        };
        headers.insert(RETRY_AFTER, seconds);
    }
}

/// With the feature `axum`, an error is a response: its [`http_status`](AuthError::http_status), `Retry-After` if it is
/// [`Unavailable`](AuthError::Unavailable), and the JSON `{"code": …, "message": …}` with its [`kind`](AuthError::kind).
/// The message names neither server nor statement. The error itself is in the response's extensions, for a layer that
/// logs it.
impl IntoResponse for AuthError {
    fn into_response(self) -> Response {
        let mut response = json(status(&self), self.kind(), &message(&self));
        add_retry_after(&self, response.headers_mut());
        response.extensions_mut().insert(self);
        response
    }
}
