use axum::http::StatusCode;
use better_auth::types::CreateUser;

use crate::second_factor::enroll;
use crate::support::{Answer, Browser, PASSWORD, World, address, between};

/// To the provider, where the user is who they want to be, and back.
async fn journey(browser: &mut Browser, email: &str, verified: bool) -> Answer {
    let fields = begin(browser, email, verified).await;
    let fields: Vec<_> = fields
        .iter()
        .map(|(name, value)| (*name, &**value))
        .collect();
    browser.post("/pretend/authorize", &fields).await
}

async fn begin(browser: &mut Browser, email: &str, verified: bool) -> Vec<(&'static str, String)> {
    browser.get("/").await;
    let page = browser.post("/oauth/start", &[("next", "/sessions")]).await;
    assert!(page.path.starts_with("/pretend/authorize"), "{page:?}");
    let mut fields = vec![("name", "Ada".to_owned()), ("email", email.to_owned())];
    for name in ["redirect_uri", "state", "code_challenge"] {
        let value = between(&page.text, &format!("name=\"{name}\" value=\""), "\"").expect(name);
        fields.push((name, value.to_owned()));
    }
    if verified {
        fields.push(("email_verified", "true".to_owned()));
    }
    fields
}

async fn user_of(world: &World, browser: &Browser) -> better_auth::types::User {
    let token = browser.session().expect("a session");
    world
        .state
        .database
        .get_session_with_user(token)
        .await
        .unwrap()
        .unwrap()
        .1
}

pub async fn a_new_user_comes_by_the_provider(world: World) {
    let email = address("ada");
    let mut browser = world.browser();
    let page = journey(&mut browser, &email, true).await;
    assert_eq!(page.path, "/sessions");
    let user = user_of(&world, &browser).await;
    assert_eq!(
        (user.email.as_deref(), user.email_verified),
        (Some(&*email), true)
    );
    // The next time it is the same one.
    let mut other = world.browser();
    journey(&mut other, &email, true).await;
    assert_eq!(user_of(&world, &other).await.id, user.id);
    assert_ne!(browser.session(), other.session());
}

pub async fn accounts_are_linked_if_both_sides_have_verified_the_address(world: World) {
    let (browser, email) = world.user("Ada").await;
    let mut other = world.browser();
    journey(&mut other, &email, true).await;
    let user = user_of(&world, &browser).await;
    assert_eq!(user_of(&world, &other).await.id, user.id);
    assert_eq!(
        world
            .state
            .database
            .get_user_accounts(&user.id)
            .await
            .unwrap()
            .len(),
        2
    );
}

pub async fn an_address_that_the_provider_has_not_verified_links_nothing(world: World) {
    let (browser, email) = world.user("Ada").await;
    let mut other = world.browser();
    let known = journey(&mut other, &email, false).await;
    let stranger = user_of(&world, &other).await;
    assert_ne!(stranger.id, user_of(&world, &browser).await.id);
    assert_eq!((stranger.email, stranger.email_verified), (None, false));
    // Nor is it told whether the address is known.
    let mut third = world.browser();
    let unknown = journey(&mut third, &address("nobody"), false).await;
    assert_eq!((known.status, known.path), (unknown.status, unknown.path));
}

pub async fn an_address_that_we_have_not_verified_links_nothing(world: World) {
    let email = address("imported");
    let imported = world
        .state
        .database
        .create_user(CreateUser::new().with_email(&email))
        .await
        .unwrap();
    let mut browser = world.browser();
    let page = journey(&mut browser, &email, true).await;
    assert_eq!(page.status, StatusCode::CONFLICT);
    assert_eq!(browser.session(), None);
    assert!(
        world
            .state
            .database
            .get_user_accounts(&imported.id)
            .await
            .unwrap()
            .is_empty()
    );
}

pub async fn another_browser_cannot_finish(world: World) {
    let (mut thief, mut victim) = (world.browser(), world.browser());
    let fields = begin(&mut thief, &address("thief"), true).await;
    let fields: Vec<_> = fields
        .iter()
        .map(|(name, value)| (*name, &**value))
        .collect();
    let back = thief.post_only("/pretend/authorize", &fields).await;
    let callback = back.headers["location"]
        .to_str()
        .unwrap()
        .replace(&world.state.config.base_url, "");
    // The victim follows the thief's link, and would be signed in as the thief.
    let page = victim.get(&callback).await;
    assert_eq!(
        (page.status, victim.session()),
        (StatusCode::BAD_REQUEST, None)
    );
    // The thief's own browser finishes, once.
    assert_eq!(thief.get(&callback).await.path, "/sessions");
    assert_eq!(thief.get(&callback).await.status, StatusCode::BAD_REQUEST);
    // The provider's codes are for who has the verifier, and go to no other site.
    assert!(
        world
            .state
            .provider
            .exchange("no code", "no verifier")
            .is_none()
    );
    let elsewhere: Vec<_> = fields
        .iter()
        .map(|(name, value)| match *name {
            "redirect_uri" => (*name, "https://evil.example"),
            _ => (*name, *value),
        })
        .collect();
    assert_eq!(
        thief
            .post_only("/pretend/authorize", &elsewhere)
            .await
            .status,
        StatusCode::FORBIDDEN
    );
}

pub async fn a_user_links_and_unlinks(world: World) {
    let (mut browser, email) = world.user("Ada").await;
    browser.get("/account").await;
    // With another address than the user's own, since the user is there and says so.
    let page = journey(&mut browser, &address("elsewhere"), false).await;
    assert!(page.text.contains("The account is linked"), "{}", page.text);
    assert_eq!(
        browser.post("/account/unlink", &[]).await.path,
        "/account?notice=unlinked"
    );
    let user = world.stored_user(&email).await;
    assert_eq!(
        world
            .state
            .database
            .get_user_accounts(&user.id)
            .await
            .unwrap()
            .len(),
        1
    );
    // What is linked to one user is not taken by another.
    let taken = address("taken");
    journey(&mut world.browser(), &taken, true).await;
    assert_eq!(
        journey(&mut browser, &taken, true).await.status,
        StatusCode::CONFLICT
    );
}

pub async fn the_second_factor_is_asked_for(world: World) {
    let (mut browser, email) = world.user("Ada").await;
    enroll(&mut browser).await;
    let mut other = world.browser();
    let page = journey(&mut other, &email, true).await;
    assert_eq!(
        (&*page.path, other.session()),
        ("/sign-in/second-factor", None)
    );
    assert_eq!(
        other.sign_in(&email, PASSWORD).await.path,
        "/sign-in/second-factor"
    );
}
