//! An application with both, on the memory adapter.

use std::sync::Arc;

use axum::Router;
use axum::body::{Body, to_bytes};
use axum::extract::Query;
use axum::http::header::{COOKIE, SET_COOKIE};
use axum::http::{Request, StatusCode};
use axum::routing::get;
use axum_login::{AuthManagerLayerBuilder, AuthSession, AuthUser as _, login_required};
use better_auth::prelude::*;
use tower::ServiceExt as _;
use tower_sessions::session::{Id, Record};
use tower_sessions::{Session as BrowserSession, SessionManagerLayer, SessionStore as _};

use crate::{Backend, Credentials, VerificationStore};

type Auth = AuthSession<Backend>;

async fn sign_in(mut auth: Auth, Query(given): Query<Credentials>) -> StatusCode {
    match auth.authenticate(given).await {
        Ok(Some(signed_in)) => match auth.login(&signed_in).await {
            Ok(()) => StatusCode::OK,
            Err(_) => StatusCode::INTERNAL_SERVER_ERROR,
        },
        Ok(None) => StatusCode::UNAUTHORIZED,
        Err(_) => StatusCode::INTERNAL_SERVER_ERROR,
    }
}

async fn sign_out(mut auth: Auth) -> StatusCode {
    let Ok(Some(signed_in)) = auth.logout().await else {
        return StatusCode::UNAUTHORIZED;
    };
    match auth.backend.sign_out(&signed_in).await {
        Ok(()) => StatusCode::OK,
        Err(_) => StatusCode::INTERNAL_SERVER_ERROR,
    }
}

async fn account(auth: Auth) -> String {
    let name = auth.user.and_then(|signed_in| signed_in.user.name);
    name.unwrap_or_default()
}

async fn visits(session: BrowserSession) -> String {
    let visits: u32 = session.get("visits").await.unwrap().unwrap_or_default();
    session.insert("visits", visits + 1).await.unwrap();
    visits.to_string()
}

struct App {
    database: MemoryDatabaseAdapter,
    router: Router,
    user: User,
}

impl App {
    async fn new() -> Self {
        let database = MemoryDatabaseAdapter::new();
        let create = CreateUser::new()
            .with_name("Ada")
            .with_email("ada@example.com");
        let user = database.create_user(create).await.unwrap();
        let account_of =
            CreateAccount::new(&user.id, "credential", &user.id).with_password("right");
        database.create_account(account_of).await.unwrap();
        let shared: Arc<dyn DatabaseAdapter> = Arc::new(database.clone());
        let backend = Backend::new(shared.clone(), |password, hash| password == hash);
        let sessions = SessionManagerLayer::new(VerificationStore::new(shared));
        let router = Router::new()
            .route("/account", get(account))
            .route_layer(login_required!(Backend))
            .route("/sign-in", get(sign_in))
            .route("/sign-out", get(sign_out))
            .route("/visits", get(visits))
            .layer(AuthManagerLayerBuilder::new(backend, sessions).build());
        Self {
            database,
            router,
            user,
        }
    }

    /// The status, the body, and the cookie that the browser has afterwards.
    async fn get(&self, path: &str, cookie: &str) -> (u16, String, String) {
        let request = Request::get(path).header(COOKIE, cookie);
        let request = request.body(Body::empty()).unwrap();
        let response = self.router.clone().oneshot(request).await.unwrap();
        let set = response.headers().get(SET_COOKIE);
        let set = set.map_or(cookie, |set| {
            set.to_str().unwrap().split(';').next().unwrap()
        });
        let (status, set) = (response.status().as_u16(), set.to_owned());
        let body = to_bytes(response.into_body(), 1000).await.unwrap();
        (status, String::from_utf8(body.to_vec()).unwrap(), set)
    }

    async fn signed_in(&self) -> String {
        let path = "/sign-in?email=Ada@example.com&password=right";
        let (status, _, cookie) = self.get(path, "").await;
        assert_eq!(status, 200);
        cookie
    }
}

#[tokio::test]
async fn a_user_signs_in_and_out() {
    let app = App::new().await;
    assert_eq!(app.get("/account", "").await.0, 401);
    let wrong = "/sign-in?email=ada@example.com&password=wrong";
    assert_eq!(app.get(wrong, "").await.0, 401);
    let cookie = app.signed_in().await;
    let (status, name, _) = app.get("/account", &cookie).await;
    assert_eq!((status, name.as_str()), (200, "Ada"));
    assert_eq!(app.get("/sign-out", &cookie).await.0, 200);
    assert_eq!(app.get("/account", &cookie).await.0, 401);
    assert_eq!(
        app.database.get_user_sessions(&app.user.id).await.unwrap(),
        []
    );
}

#[tokio::test]
async fn what_ends_a_session_signs_out() {
    let app = App::new().await;
    let cookies = [app.signed_in().await, app.signed_in().await];
    let sessions = app.database.get_user_sessions(&app.user.id).await.unwrap();
    assert_eq!(sessions.len(), 2);
    app.database
        .delete_other_sessions(&app.user.id, &sessions[0].token)
        .await
        .unwrap();
    let mut open = 0;
    for cookie in &cookies {
        open += u32::from(app.get("/account", cookie).await.0 == 200);
    }
    assert_eq!(open, 1);
    app.database
        .ban_user(&app.user.id, None, None)
        .await
        .unwrap();
    for cookie in &cookies {
        assert_eq!(app.get("/account", cookie).await.0, 401);
    }
    let path = "/sign-in?email=ada@example.com&password=right";
    assert_eq!(app.get(path, "").await.0, 401);
}

#[tokio::test]
async fn no_span_shows_the_token() {
    let app = App::new().await;
    let backend = Backend::new(Arc::new(app.database.clone()), |password, hash| {
        password == hash
    });
    let given = Credentials {
        email: "ada@example.com".to_owned(),
        password: "right".to_owned(),
    };
    let signed_in = axum_login::AuthnBackend::authenticate(&backend, given).await;
    let signed_in = signed_in.unwrap().unwrap();
    let shown = format!("{} {signed_in:?}", signed_in.id());
    assert!(!shown.contains(&signed_in.session.token), "{shown}");
}

#[tokio::test]
async fn a_browser_keeps_data_before_anyone_signs_in() {
    let app = App::new().await;
    let (_, visits, cookie) = app.get("/visits", "").await;
    assert_eq!(visits, "0");
    for expected in ["1", "2"] {
        assert_eq!(app.get("/visits", &cookie).await.1, expected);
    }
    assert_eq!(app.get("/visits", "id=forged").await.1, "0");
}

#[tokio::test]
async fn records_are_saved_and_expire() {
    let database = MemoryDatabaseAdapter::new();
    let store = VerificationStore::new(Arc::new(database.clone()));
    let now = time::OffsetDateTime::now_utc();
    let mut record = Record {
        id: Id::default(),
        data: Default::default(),
        expiry_date: now + time::Duration::hours(1),
    };
    store.create(&mut record).await.unwrap();
    record.data.insert("cart".to_owned(), "a\0b ' \" %".into());
    store.save(&record).await.unwrap();
    assert_eq!(store.load(&record.id).await.unwrap(), Some(record.clone()));
    // A taken id is replaced.
    let mut second = record.clone();
    store.create(&mut second).await.unwrap();
    assert_ne!(second.id, record.id);
    store.delete(&record.id).await.unwrap();
    assert_eq!(store.load(&record.id).await.unwrap(), None);
    store.save(&record).await.unwrap();
    assert_eq!(store.load(&record.id).await.unwrap(), None);

    second.expiry_date = now - time::Duration::seconds(1);
    store.save(&second).await.unwrap();
    assert_eq!(store.load(&second.id).await.unwrap(), None);
    assert_eq!(database.clean_up().await.unwrap().verifications, 1);
}
