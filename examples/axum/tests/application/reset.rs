use axum::http::StatusCode;

use crate::second_factor::enroll;
use crate::support::{PASSWORD, World, address};

const NEW: &str = "another password";

pub async fn all_sessions_end(world: World) {
    let (mut here, email) = world.user("Ada").await;
    let mut thief = world.browser();
    thief.sign_in(&email, PASSWORD).await;

    here.get("/forgot").await;
    here.post("/forgot", &[("email", &email)]).await;
    let code = world.code_for(&email).await;
    let page = here
        .post("/forgot/code", &[("code", &code), ("password", NEW)])
        .await;
    assert!(page.text.contains("all sessions have ended"));
    assert!(!thief.is_signed_in().await && !here.is_signed_in().await);
    assert_eq!(
        thief.sign_in(&email, PASSWORD).await.status,
        StatusCode::UNAUTHORIZED
    );
    assert_eq!(here.sign_in(&email, NEW).await.path, "/account");
    // The code is used up.
    here.get("/forgot/code").await;
    let again = here
        .post("/forgot/code", &[("code", &code), ("password", PASSWORD)])
        .await;
    assert_eq!(again.status, StatusCode::UNPROCESSABLE_ENTITY);
}

pub async fn known_and_unknown_addresses_look_alike(world: World) {
    let (_, known) = world.user("Ada").await;
    let unknown = address("nobody");
    let mut answers = Vec::new();
    for email in [&known, &unknown] {
        let mut browser = world.browser();
        browser.get("/forgot").await;
        let computed = world.state.passwords.computed();
        let first = browser.post_only("/forgot", &[("email", email)]).await;
        let page = browser.get("/forgot/code").await;
        world.settle().await;
        let mut later = Vec::new();
        for _ in 0..4 {
            let answer = browser
                .post("/forgot/code", &[("code", "no code"), ("password", NEW)])
                .await;
            later.push((answer.status, answer.text.replace(&browser.csrf, "")));
        }
        let cost = world.state.passwords.computed() - computed;
        let text = page.text.replace(&browser.csrf, "");
        answers.push((
            first.status,
            first.headers["location"].clone(),
            first.text,
            text,
            later,
            cost,
        ));
    }
    assert_eq!(answers[0], answers[1]);
    // The same rows are stored, so that the same statements answer.
    assert!(world.mails(&unknown).is_empty());
    assert_eq!(world.mails(&known).len(), 1);
}

pub async fn codes_end_after_three_guesses(world: World) {
    let (mut browser, email) = world.user("Ada").await;
    browser.get("/forgot").await;
    browser.post("/forgot", &[("email", &email)]).await;
    let code = world.code_for(&email).await;
    for _ in 0..3 {
        browser
            .post("/forgot/code", &[("code", "wrong"), ("password", NEW)])
            .await;
    }
    let late = browser
        .post("/forgot/code", &[("code", &code), ("password", NEW)])
        .await;
    assert_eq!(late.status, StatusCode::UNPROCESSABLE_ENTITY);
    // A stranger's guesses are not the owner's, since each browser has codes of its own.
    let (mut owner, mut stranger) = (world.browser(), world.browser());
    for browser in [&mut owner, &mut stranger] {
        browser.get("/forgot").await;
    }
    owner.post("/forgot", &[("email", &email)]).await;
    let code = world.code_for(&email).await;
    stranger.post("/forgot", &[("email", &email)]).await;
    for _ in 0..4 {
        stranger
            .post("/forgot/code", &[("code", "wrong"), ("password", NEW)])
            .await;
    }
    let page = owner
        .post("/forgot/code", &[("code", &code), ("password", NEW)])
        .await;
    assert_eq!(page.path, "/sign-in?notice=reset");
}

pub async fn a_pending_sign_in_is_void(world: World) {
    let (mut browser, email) = world.user("Ada").await;
    let (_, codes) = enroll(&mut browser).await;
    let mut thief = world.browser();
    thief.sign_in(&email, PASSWORD).await;
    browser.post("/forgot", &[("email", &email)]).await;
    let code = world.code_for(&email).await;
    browser
        .post("/forgot/code", &[("code", &code), ("password", NEW)])
        .await;
    // The thief has the second factor too, but the password is the old one.
    thief
        .post("/sign-in/second-factor", &[("code", &codes[0])])
        .await;
    assert!(!thief.is_signed_in().await);
    let user = world.stored_user(&email).await;
    assert!(
        world
            .state
            .database
            .get_user_sessions(&user.id)
            .await
            .unwrap()
            .is_empty()
    );
}
