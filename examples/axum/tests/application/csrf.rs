use axum::http::header::ORIGIN;
use axum::http::{Method, StatusCode};

use crate::support::{PASSWORD, World};

pub async fn tokens_are_those_of_the_session(world: World) {
    let (mut ada, email) = world.user("Ada").await;
    let (mut eve, _) = world.user("Eve").await;
    ada.get("/account").await;
    eve.get("/account").await;
    let (own, foreign) = (ada.csrf.clone(), eve.csrf.clone());
    let mut anonymous = world.browser();
    anonymous.get("/sign-in").await;
    for wrong in [
        &*foreign,
        &anonymous.csrf,
        "",
        "nonsense",
        &own[1..],
        &format!("{own}x"),
    ] {
        let form = ada.form("/account/name", &[("name", "Eve"), ("csrf", wrong)]);
        assert_eq!(
            ada.send(form).await.status,
            StatusCode::FORBIDDEN,
            "{wrong}"
        );
    }
    let without = ada.form("/account/name", &[("name", "Eve")]);
    assert_eq!(ada.send(without).await.status, StatusCode::FORBIDDEN);
    let twice = ada.form(
        "/account/name",
        &[("name", "Eve"), ("csrf", &foreign), ("csrf", &own)],
    );
    assert_eq!(ada.send(twice).await.status, StatusCode::FORBIDDEN);
    let user = world.stored_user(&email).await;
    assert_eq!(user.name.as_deref(), Some("Ada"));
    // A token of the session before is void.
    ada.csrf = own.clone();
    ada.post("/sign-out", &[]).await;
    ada.sign_in(&email, PASSWORD).await;
    let stale = ada.form("/account/name", &[("name", "Eve"), ("csrf", &own)]);
    assert_eq!(ada.send(stale).await.status, StatusCode::FORBIDDEN);
    // Sign-in forms are protected too, or a victim is signed in as the attacker.
    let form = anonymous.form(
        "/sign-in",
        &[("email", &email), ("password", PASSWORD), ("csrf", &own)],
    );
    assert_eq!(anonymous.send(form).await.status, StatusCode::FORBIDDEN);
}

pub async fn other_origins_are_refused(world: World) {
    let (mut ada, _) = world.user("Ada").await;
    ada.get("/account").await;
    let form = [("name", "Eve"), ("csrf", &*ada.csrf.clone())];
    for origin in ["https://evil.example", "null", "http://127.0.0.1"] {
        let mut request = ada.form("/account/name", &form);
        request
            .headers_mut()
            .insert(ORIGIN, origin.parse().unwrap());
        assert_eq!(
            ada.send(request).await.status,
            StatusCode::FORBIDDEN,
            "{origin}"
        );
    }
    for (site, expected) in [
        ("cross-site", StatusCode::FORBIDDEN),
        ("same-site", StatusCode::FORBIDDEN),
        ("same-origin", StatusCode::SEE_OTHER),
    ] {
        let mut request = ada.form("/account/name", &form);
        request.headers_mut().remove(ORIGIN);
        request
            .headers_mut()
            .insert("sec-fetch-site", site.parse().unwrap());
        assert_eq!(ada.send(request).await.status, expected, "{site}");
    }
}

pub async fn keys_need_no_token(world: World) {
    let (mut ada, _) = world.user("Ada").await;
    let bearer = format!("Bearer {}", ada.session().unwrap());
    let body = r#"{ "name": "", "slug": "" }"#;
    let path = "/api/organizations";
    // What a browser adds by itself does not do.
    let cookie = ada.json(Method::POST, path, &[], body).await;
    assert_eq!(cookie.status, StatusCode::FORBIDDEN);
    let both = ada
        .json(Method::POST, path, &[("authorization", &bearer)], body)
        .await;
    assert_eq!(both.status, StatusCode::FORBIDDEN);
    let csrf = ada.csrf.clone();
    let script = ada
        .json(Method::POST, path, &[("x-csrf-token", &csrf)], body)
        .await;
    assert_eq!(script.status, StatusCode::UNPROCESSABLE_ENTITY);
    let program = world
        .browser()
        .json(Method::POST, path, &[("authorization", &bearer)], body)
        .await;
    assert_eq!(program.status, StatusCode::UNPROCESSABLE_ENTITY);
}
