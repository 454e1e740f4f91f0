//! Who is signed in.

use axum::Router;
use axum::http::header::{COOKIE, USER_AGENT, WWW_AUTHENTICATE};
use axum::routing::get;
use better_auth::DatabaseAdapter as _;
use better_auth::axum::{
    AuthRejection, AuthState, ClientInfo, CurrentSession, CurrentUser, SessionCookieLayer,
};
use better_auth::types::CreateUser;

use crate::{App, BEARER, ask, bearer};

#[tokio::test]
async fn a_cookie_and_a_bearer_token_sign_in() {
    let app = App::new();
    let (_, session) = app.signed_in("Ada").await;
    let answer = app.get("/user", &[(BEARER, &bearer(&session))]).await;
    assert_eq!((answer.status.as_u16(), answer.body.as_str()), (200, "Ada"));
    let lower = bearer(&session).replace("Bearer", "bearer");
    assert_eq!(app.get("/user", &[(BEARER, &lower)]).await.body, "Ada");
    let (answer, calls) = app.get_with_cookie("/user", &app.cookie(&session)).await;
    assert_eq!((answer.body.as_str(), calls), ("Ada", 1));
    let among = format!("a=b; {}; theme=\"dark\"", app.cookie(&session));
    assert_eq!(app.get_with_cookie("/user", &among).await.0.body, "Ada");
    // HTTP/2 sends them apart.
    let cookie = app.cookie(&session);
    let answer = app
        .get("/session", &[(COOKIE, "a=b"), (COOKIE, &cookie)])
        .await;
    assert_eq!(answer.body, session.id + "Ada");
}

#[tokio::test]
async fn nobody_is_signed_in_without_a_token() {
    let app = App::new();
    for cookie in [
        "",
        "a=b",
        "__Host-session=",
        "session=abc",
        "__Host-sessions=abc",
    ] {
        let (answer, calls) = app.get_with_cookie("/user", cookie).await;
        assert_eq!(answer.refusal(), (401, "Unauthenticated".to_owned()));
        assert_eq!(answer.headers[WWW_AUTHENTICATE], "Bearer");
        assert!(answer.cookies().is_empty());
        assert_eq!(calls, 0);
        let (answer, calls) = app.get_with_cookie("/optional", cookie).await;
        assert_eq!((answer.body.as_str(), calls), ("a stranger", 0));
    }
    // Another scheme is another layer's.
    let answer = app.get("/optional", &[(BEARER, "Basic YTpi")]).await;
    assert_eq!(answer.body, "a stranger");
}

#[tokio::test]
async fn an_ended_session_signs_nobody_in() {
    let app = App::new();
    let (user, session) = app.signed_in("Ada").await;
    let expired = app.session_of(&user, -1).await;
    assert!(app.auth.sign_out(&session).await.is_ok());
    for session in [session, expired] {
        let (answer, calls) = app.get_with_cookie("/user", &app.cookie(&session)).await;
        assert_eq!(answer.refusal(), (401, "Unauthenticated".to_owned()));
        assert_eq!(calls, 1);
        let (answer, _) = app
            .get_with_cookie("/optional", &app.cookie(&session))
            .await;
        assert_eq!(answer.body, "a stranger");
    }
}

#[tokio::test]
async fn a_banned_user_is_refused() {
    let app = App::new();
    let (user, _) = app.signed_in("Ada").await;
    let user = app.database.ban_user(&user.id, None, None).await.unwrap();
    let refused = app.auth.sign_in(&user, ClientInfo::default()).await;
    assert!(matches!(refused, Err(AuthRejection::Banned)), "{refused:?}");
    assert_eq!(app.database.get_user_sessions(&user.id).await.unwrap(), []);
    // A sign-in that was under way during the ban.
    let late = app.session_of(&user, 7).await;
    let (answer, _) = app.get_with_cookie("/user", &app.cookie(&late)).await;
    assert_eq!(answer.refusal(), (403, "Banned".to_owned()));
    let (answer, _) = app.get_with_cookie("/optional", &app.cookie(&late)).await;
    assert_eq!(answer.body, "a stranger");
    app.database.unban_user(&user.id).await.unwrap();
    let (answer, _) = app.get_with_cookie("/user", &app.cookie(&late)).await;
    assert_eq!(answer.body, "Ada");
}

/// A request that names a session and carries the cookie of another is the former's.
#[tokio::test]
async fn a_bearer_token_comes_before_the_cookie() {
    let app = App::new();
    let (_, ada) = app.signed_in("Ada").await;
    let (_, bob) = app.signed_in("Bob").await;
    let (token, cookie) = (bearer(&ada), app.cookie(&bob));
    let both = [(BEARER, token.as_str()), (COOKIE, cookie.as_str())];
    assert_eq!(app.get("/user", &both).await.body, "Ada");
    assert!(app.auth.sign_out(&ada).await.is_ok());
    assert_eq!(app.get("/user", &both).await.status.as_u16(), 401);

    let database = app.database.clone();
    let auth = AuthState::builder(database.clone()).bearer(false).build();
    let app = App::with(database, auth.unwrap());
    assert_eq!(app.get("/user", &both).await.body, "Bob");
}

#[tokio::test]
async fn several_extractors_share_one_lookup() {
    let app = App::new();
    let (_, session) = app.signed_in("Ada").await;
    let (answer, calls) = app.get_with_cookie("/all", &app.cookie(&session)).await;
    assert_eq!((answer.body.as_str(), calls), ("Ada", 1));
    // Also one in a middleware.
    let guarded = crate::router()
        .route_layer(
            axum::middleware::from_extractor_with_state::<CurrentUser, _>(app.auth.clone()),
        )
        .layer(SessionCookieLayer)
        .with_state(app.auth.clone());
    let before = app.calls();
    let answer = ask(&guarded, "/all", &[(COOKIE, &app.cookie(&session))]).await;
    assert_eq!((answer.body.as_str(), app.calls() - before), ("Ada", 1));
}

/// Customers and staff with an adapter each: what one has found says nothing about the other.
#[tokio::test]
async fn two_states_do_not_share_a_session() {
    let (customers, staff) = (App::new(), App::new());
    let (_, session) = customers.signed_in("Ada").await;
    let guarded = Router::new()
        .route("/", get(|CurrentUser(user)| async move { user.id }))
        .route_layer(
            axum::middleware::from_extractor_with_state::<CurrentUser, _>(customers.auth.clone()),
        )
        .layer(SessionCookieLayer)
        .with_state(staff.auth.clone());
    let answer = ask(&guarded, "/", &[(COOKIE, &customers.cookie(&session))]).await;
    assert_eq!(answer.status.as_u16(), 401);
}

#[tokio::test]
async fn a_session_has_what_the_client_says() {
    let app = App::new();
    let user = app.database.create_user(CreateUser::new()).await.unwrap();
    let auth = app.auth.clone();
    let sign_in = get(async move |client: ClientInfo| {
        let client = client.with_ip_address("192.0.2.1");
        let (session, cookie) = auth.sign_in(&user, client).await?;
        Ok::<_, AuthRejection>((cookie, session.id))
    });
    let router = Router::new().route("/", sign_in);
    let long = "Mozilla/5.0 ".repeat(1000);
    for (agent, kept) in [("curl/8", "curl/8"), (&long, &long[..512])] {
        let answer = ask(&router, "/", &[(USER_AGENT, agent)]).await;
        let [cookie] = answer.cookies()[..] else {
            panic!("{:?}", answer.headers);
        };
        let (pair, _) = cookie.split_once(';').unwrap();
        let token = pair.split_once('=').unwrap().1;
        let session = app.database.get_session(token).await.unwrap().unwrap();
        assert_eq!(session.id, answer.body);
        assert_eq!(session.user_agent.as_deref(), Some(kept));
        assert_eq!(session.ip_address.as_deref(), Some("192.0.2.1"));
        let (answer, _) = app.get_with_cookie("/session", pair).await;
        assert_eq!(answer.body, session.id);
    }
    let answer = ask(&router, "/", &[]).await;
    assert_eq!(answer.status.as_u16(), 200);
}

#[tokio::test]
async fn a_handler_may_answer_a_refusal_itself() {
    let app = App::new();
    let handler = async |current: Result<CurrentSession, AuthRejection>| match current {
        Ok(_) => "welcome",
        Err(AuthRejection::Unauthenticated) => "sign in first",
        Err(_) => "no",
    };
    let router = Router::new().route("/", get(handler)).with_state(app.auth);
    assert_eq!(ask(&router, "/", &[]).await.body, "sign in first");
}
