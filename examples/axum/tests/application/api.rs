use axum::http::{Method, StatusCode};

use crate::support::{Browser, PASSWORD, World, address, between};

/// A new key, by the page.
async fn key(browser: &mut Browser) -> String {
    browser.get("/api-keys").await;
    let page = browser.post("/api-keys", &[("name", "script")]).await;
    between(&page.text, "<p><code>", "</code>")
        .expect("a key")
        .to_owned()
}

async fn list(browser: &mut Browser, key: &str) -> StatusCode {
    browser
        .json(Method::GET, "/api/organizations", &[("x-api-key", key)], "")
        .await
        .status
}

pub async fn sessions_and_keys_are_taken(world: World) {
    let (mut ada, email) = world.user("Ada").await;
    let session = ada.json(Method::GET, "/api/session", &[], "").await;
    let json: serde_json::Value = serde_json::from_str(&session.text).unwrap();
    assert_eq!(json["user"]["email"], *email);
    assert!(!session.text.contains(ada.session().unwrap()));
    let bearer = format!("Bearer {}", ada.session().unwrap());
    let mut program = world.browser();
    let answer = program
        .json(
            Method::GET,
            "/api/session",
            &[("authorization", &bearer)],
            "",
        )
        .await;
    assert_eq!(answer.status, StatusCode::OK);

    let key = key(&mut ada).await;
    assert!(
        !ada.get("/api-keys").await.text.contains(&key),
        "shown once"
    );
    let slug = address("engines").replace(['@', '.'], "-");
    let body = format!(r#"{{ "name": "Engines", "slug": "{slug}" }}"#);
    let created = program
        .json(
            Method::POST,
            "/api/organizations",
            &[("x-api-key", &key)],
            &body,
        )
        .await;
    assert_eq!(created.status, StatusCode::CREATED, "{}", created.text);
    let listed = program
        .json(
            Method::GET,
            "/api/organizations",
            &[("x-api-key", &key)],
            "",
        )
        .await;
    let json: serde_json::Value = serde_json::from_str(&listed.text).unwrap();
    assert_eq!(
        (&json[0]["organization"]["slug"], &json[0]["role"]),
        (&slug.into(), &"owner".into())
    );
    // Errors are JSON too.
    let taken = program
        .json(
            Method::POST,
            "/api/organizations",
            &[("x-api-key", &key)],
            &body,
        )
        .await;
    assert_eq!(
        (taken.status, &*taken.text),
        (
            StatusCode::CONFLICT,
            r#"{"message":"This short name is taken."}"#
        )
    );
    let nobody = program
        .json(Method::GET, "/api/organizations", &[], "")
        .await;
    assert_eq!(
        (nobody.status, &*nobody.text),
        (StatusCode::UNAUTHORIZED, r#"{"message":"Sign in first."}"#)
    );
}

pub async fn keys_are_their_owners(world: World) {
    let (mut ada, _) = world.user("Ada").await;
    let (mut eve, _) = world.user("Eve").await;
    let key = key(&mut ada).await;
    let page = ada.get("/api-keys").await;
    let id = between(&page.text, "name=\"id\" value=\"", "\"").unwrap();
    eve.get("/api-keys").await;
    assert_eq!(
        eve.post("/api-keys/delete", &[("id", id)]).await.status,
        StatusCode::NOT_FOUND
    );
    assert_eq!(list(&mut world.browser(), &key).await, StatusCode::OK);
    ada.post("/api-keys/delete", &[("id", id)]).await;
    assert_eq!(
        list(&mut world.browser(), &key).await,
        StatusCode::UNAUTHORIZED
    );
    assert_eq!(
        list(&mut world.browser(), "example_nonsense").await,
        StatusCode::UNAUTHORIZED
    );
}

pub async fn a_key_is_limited(world: World) {
    let (mut ada, _) = world.user("Ada").await;
    let key = key(&mut ada).await;
    let mut program = world.browser();
    let mut statuses = Vec::new();
    for _ in 0..101 {
        statuses.push(list(&mut program, &key).await);
    }
    assert_eq!(
        statuses[99..],
        [StatusCode::OK, StatusCode::TOO_MANY_REQUESTS]
    );
}

pub async fn a_banned_user_has_no_keys(world: World) {
    let (mut ada, email) = world.user("Ada").await;
    let key = key(&mut ada).await;
    let user = world.stored_user(&email).await;
    world
        .state
        .database
        .ban_user(&user.id, None, None)
        .await
        .unwrap();
    assert_eq!(
        list(&mut world.browser(), &key).await,
        StatusCode::UNAUTHORIZED
    );
    assert_eq!(
        world.browser().sign_in(&email, PASSWORD).await.status,
        StatusCode::FORBIDDEN
    );
}
