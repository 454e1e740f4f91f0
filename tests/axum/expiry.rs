//! Sessions that last as long as they are used, and their cookies.

use std::time::Duration;

use axum::Router;
use axum::extract::State;
use axum::http::header::{CACHE_CONTROL, COOKIE, SET_COOKIE};
use axum::response::IntoResponse;
use axum::routing::get;
use better_auth::axum::{
    AuthRejection, AuthState, CurrentSession, CurrentUser, SessionCookieLayer,
};
use better_auth::chrono::TimeDelta;
use better_auth::{AuthResult, DatabaseAdapter as _};

use crate::{App, BEARER, ask, bearer, new_database};

const DAY: Duration = Duration::from_secs(24 * 60 * 60);

fn max_age(cookie: &str) -> i64 {
    cookie.rsplit_once("Max-Age=").unwrap().1.parse().unwrap()
}

#[tokio::test]
async fn a_due_session_is_extended_and_its_cookie_sent_again() {
    let app = App::new();
    let user = app.new_user("Ada").await;
    let session = app.session_of(&user, 5).await;
    let (answer, calls) = app.get_with_cookie("/user", &app.cookie(&session)).await;
    assert_eq!((answer.body.as_str(), calls), ("Ada", 1));
    let [cookie] = answer.cookies()[..] else {
        panic!("{:?}", answer.headers);
    };
    assert!(cookie.starts_with(&app.cookie(&session)));
    assert!((7 * 86_400 - max_age(cookie)).abs() < 60, "{cookie}");
    assert_eq!(answer.headers[CACHE_CONTROL], "no-store");
    let stored = app.database.get_session(&session.token).await.unwrap();
    let longer = stored.unwrap().expires_at - session.expires_at;
    assert!((longer - TimeDelta::days(2)).abs() < TimeDelta::minutes(1));
    // It is not due now.
    for path in ["/user", "/all", "/optional"] {
        let (answer, _) = app.get_with_cookie(path, &app.cookie(&session)).await;
        assert_eq!((answer.body.as_str(), answer.cookies().len()), ("Ada", 0));
        assert!(!answer.headers.contains_key(CACHE_CONTROL));
    }
}

#[tokio::test]
async fn a_bearer_token_slides_without_a_cookie() {
    let app = App::new();
    let user = app.new_user("Ada").await;
    let session = app.session_of(&user, 5).await;
    let answer = app.get("/user", &[(BEARER, &bearer(&session))]).await;
    assert_eq!((answer.body.as_str(), answer.cookies().len()), ("Ada", 0));
    let stored = app.database.get_session(&session.token).await.unwrap();
    assert!(stored.unwrap().expires_at > session.expires_at);
}

/// The session of a refused request is extended like any other: whoever asks uses it.
#[tokio::test]
async fn the_cookie_is_sent_with_any_response() {
    let app = App::new();
    let user = app.new_user("Ada").await;
    let session = app.session_of(&user, 5).await;
    let (answer, _) = app.get_with_cookie("/member", &app.cookie(&session)).await;
    assert_eq!(answer.refusal(), (403, "NotMember".to_owned()));
    assert_eq!(answer.cookies().len(), 1);
}

#[tokio::test]
async fn a_fixed_session_ends_when_it_was_to() {
    let database = new_database();
    let builder = AuthState::builder(database.clone()).lifetime(DAY);
    let auth = builder.fixed_lifetime().build().unwrap();
    let app = App::with(database, auth.clone());
    let (user, session) = app.signed_in("Ada").await;
    let lifetime = session.expires_at - session.created_at;
    assert!((lifetime - TimeDelta::days(1)).abs() < TimeDelta::minutes(1));
    // It needs no layer.
    let router: Router = Router::new()
        .route("/", get(|CurrentUser(user)| async move { user.id }))
        .with_state(auth);
    let answer = ask(&router, "/", &[(COOKIE, &app.cookie(&session))]).await;
    assert_eq!(
        (answer.body, answer.headers.get(SET_COOKIE)),
        (user.id, None)
    );
    let stored = app.database.get_session(&session.token).await.unwrap();
    assert_eq!(stored, Some(session));
}

async fn sign_out(
    State(auth): State<AuthState>,
    current: CurrentSession,
) -> AuthResult<impl IntoResponse> {
    Ok((auth.sign_out(&current.session).await?, "bye"))
}

/// A sign-out of a session that is due takes the cookie away and does not send it again.
#[tokio::test]
async fn the_handlers_own_cookie_counts() {
    let app = App::new();
    let user = app.new_user("Ada").await;
    let session = app.session_of(&user, 5).await;
    let router = Router::new()
        .route("/out", get(sign_out))
        .route(
            "/other",
            get(async |_: CurrentUser| ([(SET_COOKIE, "theme=dark")], "")),
        )
        .layer(SessionCookieLayer)
        .with_state(app.auth.clone());
    let answer = ask(&router, "/out", &[(COOKIE, &app.cookie(&session))]).await;
    let [cookie] = answer.cookies()[..] else {
        panic!("{:?}", answer.headers);
    };
    assert!(cookie.starts_with("__Host-session=;") && max_age(cookie) == 0);
    let stored = app.database.get_session(&session.token).await.unwrap();
    assert_eq!(stored, None);
    // Another cookie is none of it.
    let session = app.session_of(&user, 5).await;
    let answer = ask(&router, "/other", &[(COOKIE, &app.cookie(&session))]).await;
    assert_eq!(answer.cookies().len(), 2);
}

/// A forgotten layer would only be noticed a week later.
#[tokio::test]
async fn a_missing_layer_is_said_at_once() {
    let app = App::new();
    let (_, session) = app.signed_in("Ada").await;
    let handler = async |current: Result<CurrentUser, AuthRejection>| match current {
        Ok(_) => Ok(()),
        Err(rejection) => {
            assert!(rejection.to_string().contains("SessionCookieLayer"));
            Err(rejection)
        }
    };
    let router = Router::new().route("/", get(handler));
    let router = router.with_state(app.auth.clone());
    let before = app.calls();
    let answer = ask(&router, "/", &[(COOKIE, &app.cookie(&session))]).await;
    assert_eq!(answer.refusal(), (500, "MissingLayer".to_owned()));
    assert_eq!(app.calls(), before);
    // Tokens of clients without cookies need none.
    let answer = ask(&router, "/", &[(BEARER, &bearer(&session))]).await;
    assert_eq!(answer.status.as_u16(), 200);
}
