use axum::http::StatusCode;
use better_auth::types::CreateUser;

use crate::support::{PASSWORD, World, address};

pub async fn users_are_found_by_pages_and_search(world: World) {
    let mut browser = world.administrator().await;
    let (_, email) = world.user("Ada").await;
    let prefix = address("many");
    let (prefix, _) = prefix.split_once('@').unwrap();
    for number in 0..25 {
        let user = CreateUser::new()
            .with_email(format!("{prefix}{number}@example.com"))
            .with_name(format!("Number {number}."));
        world.state.database.create_user(user).await.unwrap();
    }
    let page = browser
        .get(&format!("/admin/users?search={}", &email[..10]))
        .await;
    assert!(page.text.contains(&email));
    let mut path = format!("/admin/users?search={prefix}");
    let mut found = Vec::new();
    for _ in 0..2 {
        let page = browser.get(&path).await;
        found.extend((0..25).filter(|number| page.text.contains(&format!("Number {number}."))));
        path = match page.text.split("/admin/users?search=").nth(1) {
            Some(rest) => format!(
                "/admin/users?search={}",
                rest.split('"').next().unwrap().replace("&amp;", "&")
            ),
            None => break,
        };
    }
    found.sort_unstable();
    assert_eq!(found, Vec::from_iter(0..25));
    // Text is text.
    assert!(
        browser
            .get("/admin/users?search=%25")
            .await
            .text
            .contains("Nobody.")
    );
    assert_eq!(
        browser.get("/admin/users?cursor=nonsense").await.status,
        StatusCode::UNPROCESSABLE_ENTITY
    );
}

pub async fn a_ban_is_seen_at_once(world: World) {
    let mut administrator = world.administrator().await;
    let (mut ada, email) = world.user("Ada").await;
    let user = world.stored_user(&email).await;
    administrator.get("/admin/users").await;
    administrator
        .post(
            &format!("/admin/users/{}/ban", user.id),
            &[("reason", "spam")],
        )
        .await;
    assert!(!ada.is_signed_in().await);
    assert!(ada.get("/account").await.path.starts_with("/sign-in"));
    // Only who knows the password learns of it.
    let wrong = world.browser().sign_in(&email, "another password").await;
    assert_eq!(wrong.status, StatusCode::UNAUTHORIZED);
    let ended = ada.session().map(str::to_owned);
    let right = ada.sign_in(&email, PASSWORD).await;
    assert_eq!(right.status, StatusCode::FORBIDDEN);
    assert!(right.text.contains("suspended") && !right.text.contains("spam"));
    assert_eq!(ada.session(), ended.as_deref());
    assert!(!ada.is_signed_in().await);

    administrator.get("/admin/users").await;
    administrator
        .post(&format!("/admin/users/{}/unban", user.id), &[])
        .await;
    ada.sign_in(&email, PASSWORD).await;
    assert!(ada.is_signed_in().await);
    // A session that was opened at the moment of the ban is refused as well.
    let update = better_auth::types::UpdateUser::new().with_banned(true);
    world
        .state
        .database
        .update_user(&user.id, update)
        .await
        .unwrap();
    assert_eq!(ada.get("/account").await.status, StatusCode::FORBIDDEN);
}

pub async fn others_see_nothing(world: World) {
    let (mut ada, email) = world.user("Ada").await;
    let user = world.stored_user(&email).await;
    assert!(!ada.get("/account").await.text.contains("/admin/users"));
    assert_eq!(ada.get("/admin/users").await.status, StatusCode::NOT_FOUND);
    ada.get("/account").await;
    let ban = ada
        .post(
            &format!("/admin/users/{}/ban", user.id),
            &[("reason", "spam")],
        )
        .await;
    assert_eq!(ban.status, StatusCode::NOT_FOUND);
    assert!(ada.is_signed_in().await);
}

pub async fn nobody_bans_themselves(world: World) {
    let mut browser = world.administrator().await;
    let email = world.state.config.administrator.clone().unwrap();
    let user = world.stored_user(&email).await;
    browser.get("/admin/users").await;
    let ban = browser
        .post(
            &format!("/admin/users/{}/ban", user.id),
            &[("reason", "spam")],
        )
        .await;
    assert_eq!(ban.status, StatusCode::FORBIDDEN);
    assert!(browser.is_signed_in().await);
}
