use application::totp;
use axum::http::StatusCode;

use crate::support::{Answer, Browser, PASSWORD, World, between};

/// The secret, and the backup codes.
pub async fn enroll(browser: &mut Browser) -> (String, Vec<String>) {
    browser.get("/account").await;
    let page = browser
        .post("/account/second-factor", &[("on-password", PASSWORD)])
        .await;
    let secret = between(&page.text, "type the secret: <code>", "</code>")
        .expect("a secret")
        .to_owned();
    let list = between(&page.text, "class=\"codes\"", "</ul>").expect("codes");
    let codes = list
        .split("<li>")
        .skip(1)
        .map(|item| item.split('<').next().unwrap().to_owned())
        .collect();
    let code = totp::code(&secret, totp::current_step()).unwrap();
    let page = browser
        .post("/account/second-factor/confirm", &[("code", &code)])
        .await;
    assert!(
        page.text.contains("Your second factor is on"),
        "{}",
        page.text
    );
    (secret, codes)
}

async fn second(browser: &mut Browser, code: &str) -> Answer {
    browser
        .post("/sign-in/second-factor", &[("code", code)])
        .await
}

/// Of the next step, since the present one was used to confirm.
fn next_code(secret: &str) -> String {
    totp::code(secret, totp::current_step() + 1).unwrap()
}

pub async fn there_is_no_session_before_it(world: World) {
    let (mut browser, email) = world.user("Ada").await;
    let (secret, _) = enroll(&mut browser).await;
    let mut other = world.browser();
    let page = other.sign_in(&email, PASSWORD).await;
    assert_eq!(page.path, "/sign-in/second-factor");
    assert_eq!(other.session(), None);
    let sessions = world.stored_user(&email).await.id;
    assert_eq!(
        world
            .state
            .database
            .get_user_sessions(&sessions)
            .await
            .unwrap()
            .len(),
        1
    );
    // The token of the pending sign-in is no session's.
    let pending = other.cookies["sign-in"].clone();
    let mut thief = world.browser();
    thief.cookies.insert("session".to_owned(), pending);
    assert!(!thief.is_signed_in().await);
    assert!(other.get("/account").await.path.starts_with("/sign-in?"));

    other.get("/sign-in/second-factor").await;
    assert_eq!(
        second(&mut other, "000000x").await.status,
        StatusCode::UNPROCESSABLE_ENTITY
    );
    assert_eq!(other.session(), None);
    assert_eq!(
        second(&mut other, &next_code(&secret)).await.path,
        "/account"
    );
    assert!(other.is_signed_in().await);
}

pub async fn codes_work_once(world: World) {
    let (mut browser, email) = world.user("Ada").await;
    let (secret, _) = enroll(&mut browser).await;
    let code = next_code(&secret);
    let (mut first, mut again) = (world.browser(), world.browser());
    first.sign_in(&email, PASSWORD).await;
    again.sign_in(&email, PASSWORD).await;
    second(&mut first, &code).await;
    assert!(first.is_signed_in().await);
    // Looked at over a shoulder.
    assert_eq!(
        second(&mut again, &code).await.status,
        StatusCode::UNPROCESSABLE_ENTITY
    );
    assert_eq!(again.session(), None);
}

pub async fn backup_codes_work_once(world: World) {
    let (mut browser, email) = world.user("Ada").await;
    let (_, codes) = enroll(&mut browser).await;
    assert_eq!(codes.len(), 10);
    let (mut first, mut again) = (world.browser(), world.browser());
    first.sign_in(&email, PASSWORD).await;
    // However it is spelled.
    second(
        &mut first,
        &format!(" {} ", codes[3].to_lowercase().replace('-', "")),
    )
    .await;
    assert!(first.is_signed_in().await);
    again.sign_in(&email, PASSWORD).await;
    assert_eq!(
        second(&mut again, &codes[3]).await.status,
        StatusCode::UNPROCESSABLE_ENTITY
    );
    second(&mut again, &codes[4]).await;
    assert!(again.is_signed_in().await);
    // The store has neither the codes nor the secret.
    let user = world.stored_user(&email).await;
    let factors = world.state.database.two_factor().unwrap();
    let attempt = factors
        .begin_attempt(&user.id, 5, std::time::Duration::from_secs(1))
        .await
        .unwrap();
    let better_auth::types::Attempt::Granted(factor) = attempt else {
        panic!("{attempt:?}")
    };
    assert!(!factor.backup_codes.unwrap().contains(&codes[5]));
}

pub async fn guesses_are_limited(world: World) {
    let (mut browser, email) = world.user("Ada").await;
    let (secret, codes) = enroll(&mut browser).await;
    let mut other = world.browser();
    other.sign_in(&email, PASSWORD).await;
    for _ in 0..5 {
        assert_eq!(
            second(&mut other, "wrong").await.status,
            StatusCode::UNPROCESSABLE_ENTITY
        );
    }
    for right in [next_code(&secret), codes[0].clone()] {
        let answer = second(&mut other, &right).await;
        assert_eq!(answer.status, StatusCode::UNPROCESSABLE_ENTITY);
        assert!(answer.text.contains("too many wrong codes"));
    }
    assert_eq!(other.session(), None);
}

pub async fn the_password_switches_it(world: World) {
    let (mut browser, email) = world.user("Ada").await;
    browser.get("/account").await;
    let page = browser
        .post(
            "/account/second-factor",
            &[("on-password", "wrong password")],
        )
        .await;
    assert_eq!(page.status, StatusCode::UNPROCESSABLE_ENTITY);
    assert!(!page.text.contains("Scan it"));
    enroll(&mut browser).await;
    browser
        .post(
            "/account/second-factor/disable",
            &[("off-password", "wrong password")],
        )
        .await;
    assert_eq!(
        world.browser().sign_in(&email, PASSWORD).await.path,
        "/sign-in/second-factor"
    );
    browser
        .post(
            "/account/second-factor/disable",
            &[("off-password", PASSWORD)],
        )
        .await;
    assert_eq!(
        world.browser().sign_in(&email, PASSWORD).await.path,
        "/account"
    );
}
