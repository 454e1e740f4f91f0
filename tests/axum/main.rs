//! The feature `axum`: extractors, cookies and responses in a router, on the memory adapter and, for round trips, on
//! PostgreSQL.

mod cookies;
mod errors;
mod expiry;
mod members;
#[cfg(feature = "sqlx-postgres")]
mod round_trips;
mod sessions;
#[cfg(feature = "sqlx-postgres")]
#[path = "../support/mod.rs"]
mod support;

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use axum::Router;
use axum::body::{Body, to_bytes};
use axum::http::header::{AUTHORIZATION, COOKIE, SET_COOKIE};
use axum::http::{HeaderMap, HeaderName, HeaderValue, Request, StatusCode};
use axum::routing::get;
use better_auth::axum::{
    AuthState, ClientInfo, CurrentMember, CurrentSession, CurrentUser, SessionCookieLayer,
};
use better_auth::chrono::{TimeDelta, Utc};
use better_auth::types::{CreateSession, CreateUser, Session, User};
use better_auth::{DatabaseAdapter, MemoryDatabaseAdapter, forward_database_adapter};
use serde_json::Value;
use tower::ServiceExt as _;

/// Counts the calls.
pub(crate) struct Counted<A> {
    inner: A,
    calls: AtomicUsize,
}

forward_database_adapter! {
    impl [A: DatabaseAdapter] for Counted<A>, |this| this.inner, |call| {
        this.calls.fetch_add(1, Ordering::Relaxed);
        call().await
    }
}

/// An application on the memory adapter.
pub(crate) struct App {
    pub(crate) database: Arc<Counted<MemoryDatabaseAdapter>>,
    pub(crate) auth: AuthState,
    pub(crate) router: Router,
}

impl App {
    pub(crate) fn new() -> Self {
        let database = new_database();
        let auth = AuthState::new(database.clone());
        Self::with(database, auth)
    }

    pub(crate) fn with(database: Arc<Counted<MemoryDatabaseAdapter>>, auth: AuthState) -> Self {
        let router = router().with_state(auth.clone());
        Self {
            database,
            auth,
            router,
        }
    }

    pub(crate) async fn get(&self, path: &str, headers: &[(HeaderName, &str)]) -> Answer {
        ask(&self.router, path, headers).await
    }

    /// The answer to a request with this value of the `Cookie` header, and how many calls of the adapter it took.
    pub(crate) async fn get_with_cookie(&self, path: &str, cookie: &str) -> (Answer, usize) {
        let before = self.calls();
        let answer = self.get(path, &[(COOKIE, cookie)]).await;
        (answer, self.calls() - before)
    }

    pub(crate) fn calls(&self) -> usize {
        self.database.calls.load(Ordering::Relaxed)
    }

    pub(crate) async fn new_user(&self, name: &str) -> User {
        let create = CreateUser::new().with_name(name);
        self.database.create_user(create).await.unwrap()
    }

    /// A user and a session that is not due.
    pub(crate) async fn signed_in(&self, name: &str) -> (User, Session) {
        let user = self.new_user(name).await;
        let signed_in = self.auth.sign_in(&user, ClientInfo::default()).await;
        (user, signed_in.unwrap().0)
    }

    /// A session that ends in so many days.
    pub(crate) async fn session_of(&self, user: &User, days: i64) -> Session {
        let end = Utc::now() + TimeDelta::days(days);
        let create = CreateSession::new(&user.id, end);
        self.database.create_session(create).await.unwrap()
    }

    /// The cookie of a session, as a browser sends it.
    pub(crate) fn cookie(&self, session: &Session) -> String {
        format!("{}={}", self.auth.cookie_name(), session.token)
    }
}

pub(crate) fn new_database() -> Arc<Counted<MemoryDatabaseAdapter>> {
    Arc::new(Counted {
        inner: MemoryDatabaseAdapter::new(),
        calls: AtomicUsize::new(0),
    })
}

fn name(user: User) -> String {
    user.name.unwrap_or_default()
}

/// One route for each extractor.
pub(crate) fn router() -> Router<AuthState> {
    Router::new()
        .route("/user", get(|CurrentUser(user)| async move { name(user) }))
        .route(
            "/session",
            get(|current: CurrentSession| async move { current.session.id + &name(current.user) }),
        )
        .route(
            "/optional",
            get(|current: Option<CurrentUser>| async move {
                current.map_or("a stranger".to_owned(), |CurrentUser(user)| name(user))
            }),
        )
        .route(
            "/member",
            get(|current: CurrentMember| async move { name(current.user) + &current.member.role }),
        )
        .route(
            "/optional-member",
            get(|current: Option<CurrentMember>| async move {
                current.map_or("nobody".to_owned(), |current| current.member.role)
            }),
        )
        .route(
            "/all",
            get(
                async |CurrentUser(user),
                       session: CurrentSession,
                       member: Option<CurrentMember>| {
                    assert_eq!(session.user, user);
                    member.map_or(name(user), |member| member.member.role)
                },
            ),
        )
        .layer(SessionCookieLayer)
}

/// What a router answers.
pub(crate) struct Answer {
    pub(crate) status: StatusCode,
    pub(crate) headers: HeaderMap,
    pub(crate) body: String,
}

impl Answer {
    /// The status, and the code of the JSON.
    pub(crate) fn refusal(&self) -> (u16, String) {
        let json: Value = serde_json::from_str(&self.body).unwrap();
        (
            self.status.as_u16(),
            json["code"].as_str().unwrap().to_owned(),
        )
    }

    /// The `Set-Cookie` headers.
    pub(crate) fn cookies(&self) -> Vec<&str> {
        let cookies = self.headers.get_all(SET_COOKIE).iter();
        cookies.map(|value| value.to_str().unwrap()).collect()
    }
}

pub(crate) async fn ask(router: &Router, path: &str, headers: &[(HeaderName, &str)]) -> Answer {
    let mut request = Request::get(path);
    for (name, value) in headers {
        let value = HeaderValue::from_bytes(value.as_bytes()).unwrap();
        request = request.header(name, value);
    }
    let request = request.body(Body::empty()).unwrap();
    let response = router.clone().oneshot(request).await.unwrap();
    let (parts, body) = response.into_parts();
    let body = to_bytes(body, 1 << 20).await.unwrap();
    Answer {
        status: parts.status,
        headers: parts.headers,
        body: String::from_utf8(body.to_vec()).unwrap(),
    }
}

pub(crate) fn bearer(session: &Session) -> String {
    format!("Bearer {}", session.token)
}

pub(crate) const BEARER: HeaderName = AUTHORIZATION;
