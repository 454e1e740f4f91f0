use axum::http::StatusCode;

use crate::support::{PASSWORD, World, address};

pub async fn the_code_makes_the_user(world: World) {
    let (mut browser, email) = world.user("Ada").await;
    let user = world.stored_user(&email).await;
    assert!(user.email_verified);
    assert_eq!((user.name.as_deref(), user.role), (Some("Ada"), None));
    assert!(browser.get("/account").await.text.contains(&email));
    // The code is used up.
    browser.get("/sign-up/code").await;
    assert_eq!(
        browser
            .post("/sign-up/code", &[("code", "000000")])
            .await
            .status,
        StatusCode::UNPROCESSABLE_ENTITY
    );
}

pub async fn wrong_codes_make_nobody(world: World) {
    let (mut browser, email) = (world.browser(), address("ada"));
    browser.get("/sign-up").await;
    browser
        .post(
            "/sign-up",
            &[("name", "Ada"), ("email", &email), ("password", PASSWORD)],
        )
        .await;
    let code = world.code_for(&email).await;
    let wrong = if code == "000000" { "111111" } else { "000000" };
    for _ in 0..3 {
        let answer = browser.post("/sign-up/code", &[("code", wrong)]).await;
        assert_eq!(answer.status, StatusCode::UNPROCESSABLE_ENTITY);
    }
    // The right one comes too late.
    assert_eq!(
        browser
            .post("/sign-up/code", &[("code", &code)])
            .await
            .status,
        StatusCode::UNPROCESSABLE_ENTITY
    );
    assert_eq!(
        world
            .state
            .database
            .get_user_by_email(&email)
            .await
            .unwrap(),
        None
    );
    assert!(!browser.is_signed_in().await);
}

pub async fn known_and_unknown_addresses_look_alike(world: World) {
    let (_, known) = world.user("Ada").await;
    let unknown = address("grace");
    let mut answers = Vec::new();
    for email in [&known, &unknown] {
        let mut browser = world.browser();
        browser.get("/sign-up").await;
        let computed = world.state.passwords.computed();
        let first = browser
            .post_only(
                "/sign-up",
                &[("name", "Eve"), ("email", email), ("password", PASSWORD)],
            )
            .await;
        let page = browser.get("/sign-up/code").await;
        world.settle().await;
        let code = browser.post("/sign-up/code", &[("code", "no code")]).await;
        let cost = world.state.passwords.computed() - computed;
        let location = first.headers["location"].clone();
        let text = (
            page.text.replace(&browser.csrf, ""),
            code.text.replace(&browser.csrf, ""),
        );
        answers.push((first.status, location, first.text, text, code.status, cost));
    }
    assert_eq!(answers[0], answers[1]);
    assert_eq!(answers[0].5, 1, "one hash");
    // The owner is told, without a code.
    assert!(
        world
            .mail_to(&known)
            .await
            .contains("You have an account already")
    );
    let user = world.stored_user(&known).await;
    assert_eq!(user.name.as_deref(), Some("Ada"));
}

pub async fn fields_are_checked(world: World) {
    let mut browser = world.browser();
    browser.get("/sign-up").await;
    let email = address("ada");
    for (name, email, password) in [
        ("", &*email, PASSWORD),
        ("Ada", "no address", PASSWORD),
        ("Ada", "a@b\nBcc: c@example.com", PASSWORD),
        ("Ada", &*email, "short"),
        ("Ada\0", &*email, PASSWORD),
        (&*"x".repeat(300), &*email, PASSWORD),
    ] {
        let answer = browser
            .post(
                "/sign-up",
                &[("name", name), ("email", email), ("password", password)],
            )
            .await;
        assert_eq!(answer.status, StatusCode::UNPROCESSABLE_ENTITY);
        assert!(answer.text.contains("role=\"alert\""));
        assert!(!answer.text.contains(PASSWORD));
    }
    world.settle().await;
    assert!(world.mails(&email).is_empty());
}

pub async fn an_address_is_changed_by_a_code(world: World) {
    let (mut browser, old) = world.user("Ada").await;
    let (_, taken) = world.user("Grace").await;
    let new = address("lovelace");
    browser.post("/account/email", &[("email", &new)]).await;
    let code = world.code_for(&new).await;
    assert!(
        world
            .state
            .database
            .get_user_by_email(&old)
            .await
            .unwrap()
            .is_some()
    );
    let page = browser
        .post("/account/email/code", &[("code", &code)])
        .await;
    assert!(page.text.contains(&new) && page.text.contains("Your address is changed"));
    assert_eq!(
        world.state.database.get_user_by_email(&old).await.unwrap(),
        None
    );

    // An address of someone else's looks the same, and its owner is told.
    let page = browser.post("/account/email", &[("email", &taken)]).await;
    assert!(page.text.contains("We have sent a mail"));
    assert!(
        world
            .mail_to(&taken)
            .await
            .contains("has an account already")
    );
}
