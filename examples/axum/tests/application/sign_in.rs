use axum::http::StatusCode;

use crate::support::{PASSWORD, World, address};

pub async fn each_has_a_new_token(world: World) {
    let (mut browser, email) = world.user("Ada").await;
    let first = browser.session().unwrap().to_owned();
    browser.post("/sign-out", &[]).await;
    browser.sign_in(&email, PASSWORD).await;
    let second = browser.session().unwrap().to_owned();
    assert_ne!(first, second);

    // Also without signing out before, and the token of before is worth nothing.
    browser.sign_in(&email, PASSWORD).await;
    let third = browser.session().unwrap().to_owned();
    assert_ne!(second, third);
    for old in [first, second] {
        assert_eq!(world.state.database.get_session(&old).await.unwrap(), None);
    }

    // A token that someone has planted in the browser stays what it is.
    let mut planted = world.browser();
    planted
        .cookies
        .insert("session".to_owned(), third.chars().rev().collect());
    planted.sign_in(&email, PASSWORD).await;
    assert_ne!(
        planted.session().unwrap(),
        third.chars().rev().collect::<String>()
    );
    assert!(planted.is_signed_in().await);
}

pub async fn unknown_and_wrong_look_alike(world: World) {
    let (_, known) = world.user("Ada").await;
    let unknown = address("nobody");
    let mut answers = Vec::new();
    for email in [&known, &unknown] {
        let mut browser = world.browser();
        let computed = world.state.passwords.computed();
        let answer = browser.sign_in(email, "another password").await;
        assert_eq!(browser.session(), None);
        let text = answer
            .text
            .replace(&browser.csrf, "")
            .replace(email.as_str(), "");
        let names: Vec<_> = answer.headers.keys().cloned().collect();
        answers.push((
            answer.status,
            names,
            text,
            world.state.passwords.computed() - computed,
        ));
    }
    assert_eq!(answers[0], answers[1]);
    assert_eq!((answers[0].0, answers[0].3), (StatusCode::UNAUTHORIZED, 1));
}

pub async fn tries_are_limited(world: World) {
    let (_, email) = world.user("Ada").await;
    for _ in 0..10 {
        let answer = world.browser().sign_in(&email, "another password").await;
        assert_eq!(answer.status, StatusCode::UNAUTHORIZED);
    }
    // From another address, in another spelling, with the right password.
    let answer = world
        .browser()
        .sign_in(&email.to_uppercase(), PASSWORD)
        .await;
    assert_eq!(answer.status, StatusCode::TOO_MANY_REQUESTS);
    assert!(
        answer.headers["retry-after"]
            .to_str()
            .unwrap()
            .parse::<u64>()
            .unwrap()
            > 0
    );

    // One client, many addresses.
    let mut browser = world.browser();
    browser.get("/forgot").await;
    let mut statuses = Vec::new();
    for _ in 0..21 {
        let answer = browser
            .post_only("/forgot", &[("email", &address("many"))])
            .await;
        statuses.push(answer.status);
    }
    assert_eq!(
        statuses[19..],
        [StatusCode::SEE_OTHER, StatusCode::TOO_MANY_REQUESTS]
    );
}

pub async fn it_goes_on_where_it_began(world: World) {
    let (_, email) = world.user("Ada").await;
    let mut browser = world.browser();
    let page = browser.get("/api-keys?a=b").await;
    assert_eq!(page.path, "/sign-in?next=%2Fapi-keys%3Fa%3Db");
    let form = [
        ("email", &*email),
        ("password", PASSWORD),
        ("next", "/api-keys?a=b"),
    ];
    assert_eq!(browser.post("/sign-in", &form).await.path, "/api-keys?a=b");
    // To no other site.
    for next in ["https://evil.example", "//evil.example", "/\\evil.example"] {
        let form = [("email", &*email), ("password", PASSWORD), ("next", next)];
        assert_eq!(browser.post("/sign-in", &form).await.path, "/account");
    }
}

pub async fn signing_out_ends_the_session(world: World) {
    let (mut browser, _) = world.user("Ada").await;
    let token = browser.session().unwrap().to_owned();
    let page = browser.post("/sign-out", &[]).await;
    assert!(page.text.contains("You are signed out"));
    assert_eq!(browser.session(), None);
    browser.cookies.insert("session".to_owned(), token);
    assert!(!browser.is_signed_in().await);
    assert!(browser.get("/account").await.path.starts_with("/sign-in?"));
}
