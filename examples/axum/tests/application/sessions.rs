use crate::support::{PASSWORD, World, between};

pub async fn this_device_is_marked(world: World) {
    let (mut here, email) = world.user("Ada").await;
    let mut there = world.browser();
    there.sign_in(&email, PASSWORD).await;
    let page = here.get("/sessions").await;
    assert_eq!(page.text.matches("This device").count(), 1);
    assert_eq!(page.text.matches("name=\"id\"").count(), 1);
    for token in [here.session().unwrap(), there.session().unwrap()] {
        assert!(!page.text.contains(token));
    }
}

pub async fn one_is_ended(world: World) {
    let (mut here, email) = world.user("Ada").await;
    let mut there = world.browser();
    there.sign_in(&email, PASSWORD).await;
    let page = here.get("/sessions").await;
    let id = between(&page.text, "name=\"id\" value=\"", "\"").unwrap();
    let page = here.post("/sessions/revoke", &[("id", id)]).await;
    assert!(page.text.contains("The session has ended"));
    assert!(!there.is_signed_in().await);
    assert!(here.is_signed_in().await);
}

pub async fn all_others_are_ended(world: World) {
    let (mut here, email) = world.user("Ada").await;
    let mut others = Vec::new();
    for _ in 0..3 {
        let mut browser = world.browser();
        browser.sign_in(&email, PASSWORD).await;
        others.push(browser);
    }
    here.get("/sessions").await;
    here.post("/sessions/revoke-others", &[]).await;
    for browser in &mut others {
        assert!(!browser.is_signed_in().await);
    }
    assert!(here.is_signed_in().await);
}

pub async fn others_are_not_ended(world: World) {
    let (mut ada, _) = world.user("Ada").await;
    let (mut grace, _) = world.user("Grace").await;
    let token = grace.session().unwrap();
    let session = world
        .state
        .database
        .get_session(token)
        .await
        .unwrap()
        .unwrap();
    ada.get("/sessions").await;
    ada.post("/sessions/revoke", &[("id", &session.id)]).await;
    assert!(grace.is_signed_in().await);
}

pub async fn a_new_password_ends_others(world: World) {
    let (mut here, email) = world.user("Ada").await;
    let mut there = world.browser();
    there.sign_in(&email, PASSWORD).await;
    here.get("/account").await;
    let wrong = here
        .post(
            "/account/password",
            &[("current", "wrong"), ("password", "another password")],
        )
        .await;
    assert!(wrong.text.contains("Your password is another one"));
    assert!(there.is_signed_in().await);
    here.post(
        "/account/password",
        &[("current", PASSWORD), ("password", "another password")],
    )
    .await;
    assert!(here.is_signed_in().await);
    assert!(!there.is_signed_in().await);
    there.sign_in(&email, "another password").await;
    assert!(there.is_signed_in().await);
}
