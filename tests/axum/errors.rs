//! Errors as responses.

use std::sync::Arc;

use axum::http::header::{CONTENT_TYPE, COOKIE, RETRY_AFTER};
use axum::response::IntoResponse as _;
use better_auth::axum::{AuthRejection, AuthState};
use better_auth::{AuthError, ConflictField, MemoryDatabaseAdapter, forward_database_adapter};

use crate::{App, ask, router};

/// A database that is down.
struct Failing(MemoryDatabaseAdapter, AuthError);

forward_database_adapter! {
    impl [] for Failing, |this| this.0, |call| {
        drop(call());
        Err(this.1.clone())
    }
}

const SECRET: &str = "check_session on db.internal:5432: no route to host";

fn errors() -> [(AuthError, u16, Option<&'static str>, &'static str); 9] {
    let cause = || std::io::Error::other(SECRET);
    [
        (AuthError::UserNotFound, 404, None, "there is no such user"),
        (
            AuthError::Conflict {
                field: ConflictField::Email,
            },
            409,
            None,
            "this email is taken",
        ),
        (
            AuthError::validation("email", "must not be empty"),
            422,
            None,
            "email: must not be empty",
        ),
        (
            AuthError::unavailable(SECRET).with_source(cause()),
            503,
            Some("5"),
            "not available at the moment: try again later",
        ),
        (
            AuthError::contention(SECRET),
            503,
            Some("1"),
            "not available at the moment: try again later",
        ),
        (
            AuthError::outcome_unknown(SECRET),
            500,
            None,
            "it is not known whether this was done",
        ),
        (
            AuthError::database(SECRET).with_source(cause()),
            500,
            None,
            "internal error",
        ),
        (AuthError::TransactionAborted, 500, None, "internal error"),
        (
            AuthError::Unsupported { operation: SECRET },
            501,
            None,
            "not supported",
        ),
    ]
}

#[tokio::test]
async fn an_error_is_a_response_that_names_no_server() {
    for (error, status, retry_after, message) in errors() {
        let kind = error.kind();
        for response in [
            error.clone().into_response(),
            AuthRejection::from(error.clone()).into_response(),
        ] {
            let headers = response.headers();
            assert_eq!(response.status().as_u16(), status);
            assert_eq!(headers[CONTENT_TYPE], "application/json");
            let retry = headers
                .get(RETRY_AFTER)
                .map(|value| value.to_str().unwrap());
            assert_eq!(retry, retry_after);
            // A layer can log it.
            let logged = response.extensions().get::<AuthError>().unwrap();
            assert_eq!(logged.to_string(), error.to_string());
            let body = axum::body::to_bytes(response.into_body(), 1000)
                .await
                .unwrap();
            let json: serde_json::Value = serde_json::from_slice(&body).unwrap();
            assert_eq!(
                json,
                serde_json::json!({ "code": kind, "message": message })
            );
        }
    }
}

/// A database that is down signs nobody out.
#[tokio::test]
async fn a_failed_lookup_is_no_missing_session() {
    let app = App::new();
    let (_, session) = app.signed_in("Ada").await;
    let cookie = app.cookie(&session);
    for (error, status, retry_after) in [
        (AuthError::unavailable(SECRET), 503, Some("5")),
        // The check may be repeated, whatever became of the extension.
        (AuthError::outcome_unknown(SECRET), 503, Some("5")),
        (AuthError::database(SECRET), 500, None),
    ] {
        let failing = Failing(MemoryDatabaseAdapter::new(), error);
        let auth = AuthState::new(Arc::new(failing));
        let router = router().with_state(auth);
        for path in ["/user", "/optional", "/member", "/optional-member"] {
            let answer = ask(&router, path, &[(COOKIE, &cookie)]).await;
            assert_eq!(answer.status.as_u16(), status, "{path}");
            let retry = answer
                .headers
                .get(RETRY_AFTER)
                .map(|value| value.to_str().unwrap());
            assert_eq!(retry, retry_after);
            assert!(answer.cookies().is_empty());
            assert!(!answer.body.contains("internal:"), "{}", answer.body);
        }
        // Nobody asks the database without a token.
        let answer = ask(&router, "/optional", &[]).await;
        assert_eq!(answer.body, "a stranger");
    }
}

#[test]
fn a_refusal_is_in_the_extensions() {
    let response = AuthRejection::Unauthenticated.into_response();
    let refusal = response.extensions().get::<AuthRejection>();
    assert!(matches!(refusal, Some(AuthRejection::Unauthenticated)));
}
