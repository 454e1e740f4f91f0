use axum::body::Body;
use axum::http::header::{CONTENT_TYPE, COOKIE};
use axum::http::{Method, Request, StatusCode};
use better_auth::chrono::{TimeDelta, Utc};

use crate::support::{Browser, PASSWORD, World, address};

const TEXTS: [&str; 4] = [
    "<script>alert(1)</script>",
    "\"><img src=x onerror=alert(1)>",
    "'; DROP TABLE users; --",
    "{{7*7}}${7*7}",
];

async fn status_with(browser: &mut Browser, cookie: &[u8]) -> StatusCode {
    let mut request = Request::get("/account").body(Body::empty()).unwrap();
    request
        .headers_mut()
        .insert(COOKIE, cookie.try_into().unwrap());
    browser.send(request).await.status
}

pub async fn forged_cookies_sign_nobody_in(world: World) {
    let (mut ada, _) = world.user("Ada").await;
    let token = ada.session().unwrap().to_owned();
    let mut browser = world.browser();
    let long = "x".repeat(5_000);
    for forged in [
        "",
        "x",
        "' OR 1=1 --",
        &token[1..],
        &token.to_uppercase(),
        &format!("{token}x"),
        &long,
        "%00",
        "a=b",
    ] {
        let cookie = format!("session={forged}");
        assert_eq!(
            status_with(&mut browser, cookie.as_bytes()).await,
            StatusCode::SEE_OTHER,
            "{forged}"
        );
    }
    assert_eq!(
        status_with(&mut browser, b"session=\xff\xfe").await,
        StatusCode::SEE_OTHER
    );
    // Two answers to one question.
    let twice = format!("session={token}; session={}", token.to_lowercase());
    assert_eq!(
        status_with(&mut browser, twice.as_bytes()).await,
        StatusCode::BAD_REQUEST
    );
    assert!(ada.is_signed_in().await);
}

pub async fn expired_and_foreign_cookies_sign_nobody_in(world: World) {
    let (mut ada, email) = world.user("Ada").await;
    let token = ada.session().unwrap().to_owned();
    world
        .state
        .database
        .update_session_expiry(&token, Utc::now() - TimeDelta::seconds(1))
        .await
        .unwrap();
    assert!(!ada.is_signed_in().await);
    assert!(ada.get("/account").await.path.starts_with("/sign-in"));
    // A cookie of another application, or of a flow, is no session.
    let mut browser = world.browser();
    browser.get("/forgot").await;
    browser.post("/forgot", &[("email", &email)]).await;
    let flow = browser.cookies["reset"].clone();
    for cookie in [
        format!("session={flow}"),
        format!("sid={token}"),
        format!("__Host-session={token}"),
    ] {
        assert_eq!(
            status_with(&mut browser, cookie.as_bytes()).await,
            StatusCode::SEE_OTHER
        );
    }
    // Nor does the token of one flow finish another.
    browser.get("/sign-up/code").await;
    let code = world.code_for(&email).await;
    browser.cookies.insert("sign-up".to_owned(), flow);
    let answer = browser.post("/sign-up/code", &[("code", &code)]).await;
    assert_eq!(
        (answer.status, browser.session()),
        (StatusCode::UNPROCESSABLE_ENTITY, None)
    );
}

pub async fn large_bodies_are_refused(world: World) {
    let (mut ada, email) = world.user("Ada").await;
    ada.get("/account").await;
    for size in [100_000, 10_000_000] {
        let form = ada.form(
            "/account/name",
            &[("csrf", &ada.csrf.clone()), ("name", &"x".repeat(size))],
        );
        assert_eq!(ada.send(form).await.status, StatusCode::PAYLOAD_TOO_LARGE);
        let bearer = format!("Bearer {}", ada.session().unwrap());
        let body = format!("\"{}\"", "x".repeat(size));
        let json = world
            .browser()
            .json(
                Method::POST,
                "/api/organizations",
                &[("authorization", &bearer)],
                &body,
            )
            .await;
        assert_eq!(json.status, StatusCode::PAYLOAD_TOO_LARGE);
    }
    let user = world.stored_user(&email).await;
    assert_eq!(user.name.as_deref(), Some("Ada"));
}

/// Every form with every text in every field: a page or a 4xx, and never markup that was sent.
pub async fn markup_and_statements_are_text(world: World) {
    let (mut ada, _) = world.user("Ada").await;
    let mut anonymous = world.browser();
    anonymous.get("/sign-in").await;
    ada.get("/account").await;
    for text in TEXTS {
        let email = format!("{text}@{text}");
        for (path, fields) in [
            (
                "/sign-up",
                vec![("name", text), ("email", &*email), ("password", text)],
            ),
            ("/sign-up/code", vec![("code", text)]),
            (
                "/sign-in",
                vec![("email", text), ("password", text), ("next", text)],
            ),
            ("/sign-in/second-factor", vec![("code", text)]),
            ("/forgot", vec![("email", text)]),
            ("/forgot/code", vec![("code", text), ("password", text)]),
            ("/oauth/start", vec![("next", text)]),
            (
                "/pretend/authorize",
                vec![
                    ("redirect_uri", text),
                    ("state", text),
                    ("code_challenge", text),
                    ("name", text),
                    ("email", text),
                ],
            ),
        ] {
            check(&anonymous.post(path, &fields).await.text, text, path);
        }
        for (path, fields) in [
            ("/account/name", vec![("name", text)]),
            ("/account/email", vec![("email", text)]),
            ("/account/email/code", vec![("code", text)]),
            (
                "/account/password",
                vec![("current", text), ("password", text)],
            ),
            ("/sessions/revoke", vec![("id", text)]),
            ("/organizations", vec![("name", text), ("slug", text)]),
            (
                "/organizations",
                vec![
                    ("name", text),
                    ("slug", &*address("slug").replace(['@', '.'], "-")),
                ],
            ),
            (
                "/organizations/x/invite",
                vec![("email", text), ("role", text)],
            ),
            ("/invitations/x/accept", vec![]),
            ("/api-keys", vec![("name", text)]),
            ("/api-keys/delete", vec![("id", text)]),
        ] {
            check(&ada.post(path, &fields).await.text, text, path);
        }
        let query = serde_urlencoded::to_string([("q", text)]).unwrap();
        let query = query.strip_prefix("q=").unwrap();
        for path in [
            "/sign-in?next=",
            "/sign-in?notice=",
            "/oauth/callback?code=x&state=",
            "/organizations/",
            "/invitations/",
            "/no/",
        ] {
            check(&ada.get(&format!("{path}{query}")).await.text, text, path);
        }
    }
    // What was stored is shown as it was typed.
    ada.get("/account").await;
    let page = ada.post("/account/name", &[("name", TEXTS[0])]).await;
    assert!(page.text.contains("&lt;script&gt;alert(1)&lt;/script&gt;"));
}

fn check(page: &str, text: &str, path: &str) {
    assert!(
        !text.contains('<') || !page.contains(text),
        "{path} shows {text}"
    );
    assert!(
        !page.contains("<script") && !page.contains("<img"),
        "{path}"
    );
    assert!(
        page.is_empty() || page.contains("</html>"),
        "{path}: {page}"
    );
}

pub async fn bodies_that_cannot_be_read_are_refused(world: World) {
    let (mut ada, _) = world.user("Ada").await;
    ada.get("/account").await;
    let csrf = ada.csrf.clone();
    for (kind, body) in [
        ("application/x-www-form-urlencoded", &b"\xff\xfe%%%"[..]),
        ("application/x-www-form-urlencoded", b""),
        ("application/json", b"{\"name\": \"Eve\"}"),
        ("multipart/form-data; boundary=x", b"--x--"),
        ("text/plain", b"name=Eve"),
    ] {
        let request = Request::post("/account/name")
            .header(CONTENT_TYPE, kind)
            .header("x-csrf-token", &csrf);
        let answer = ada.send(request.body(Body::from(body)).unwrap()).await;
        assert!(answer.status.is_client_error(), "{kind}: {answer:?}");
        assert!(!answer.text.contains("Eve"));
    }
    for body in [
        "",
        "{",
        "[]",
        "{\"name\": 1, \"slug\": 2}",
        &"[".repeat(10_000),
    ] {
        let answer = ada
            .json(
                Method::POST,
                "/api/organizations",
                &[("x-csrf-token", &csrf)],
                body,
            )
            .await;
        assert!(answer.status.is_client_error(), "{body}: {answer:?}");
    }
    // Nothing of it was stored, and a password with strange letters is a password.
    let answer = world.browser().sign_in("' OR '1'='1", PASSWORD).await;
    assert_eq!(answer.status, StatusCode::UNAUTHORIZED);
    assert_eq!(
        world
            .browser()
            .sign_in("nul\0@example.com", PASSWORD)
            .await
            .status,
        StatusCode::UNAUTHORIZED
    );
}
