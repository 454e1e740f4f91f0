use axum::http::StatusCode;

use crate::support::{Browser, World, address, between};

/// The path of a new organization.
async fn create(browser: &mut Browser) -> String {
    let slug = address("engines").replace(['@', '.'], "-");
    browser.get("/organizations").await;
    let page = browser
        .post("/organizations", &[("name", "Engines"), ("slug", &slug)])
        .await;
    assert_eq!(page.status, StatusCode::OK, "{}", page.text);
    page.path.split('?').next().unwrap().to_owned()
}

/// The path of the invitation in the mail.
async fn invite(
    world: &World,
    browser: &mut Browser,
    path: &str,
    email: &str,
    role: &str,
) -> String {
    let page = browser
        .post(
            &format!("{path}/invite"),
            &[("email", email), ("role", role)],
        )
        .await;
    assert!(
        page.text.contains("The invitation is sent"),
        "{}",
        page.text
    );
    let mail = world.mail_to(email).await;
    let link = mail.split("You are invited: ").nth(1).unwrap().trim();
    link.strip_prefix(&world.state.config.base_url)
        .unwrap()
        .to_owned()
}

pub async fn an_invitation_makes_a_member(world: World) {
    let (mut ada, _) = world.user("Ada").await;
    let (mut grace, email) = world.user("Grace").await;
    let path = create(&mut ada).await;
    let link = invite(&world, &mut ada, &path, &email, "member").await;
    assert_eq!(grace.get(&path).await.status, StatusCode::NOT_FOUND);
    assert!(grace.get(&link).await.text.contains("Engines"));
    let page = grace.post(&format!("{link}/accept"), &[]).await;
    assert!(page.text.contains("Welcome to the organization"));
    // Once.
    assert_eq!(
        grace.post(&format!("{link}/accept"), &[]).await.status,
        StatusCode::NOT_FOUND
    );
    assert!(ada.get(&path).await.text.contains("Grace"));
}

pub async fn invitations_are_for_their_address(world: World) {
    let (mut ada, _) = world.user("Ada").await;
    let (mut eve, _) = world.user("Eve").await;
    let (mut grace, email) = world.user("Grace").await;
    let path = create(&mut ada).await;
    let link = invite(&world, &mut ada, &path, &email, "member").await;
    eve.get("/account").await;
    assert_eq!(eve.get(&link).await.status, StatusCode::NOT_FOUND);
    for action in ["accept", "reject"] {
        assert_eq!(
            eve.post(&format!("{link}/{action}"), &[]).await.status,
            StatusCode::NOT_FOUND
        );
    }
    // Who is not signed in comes back after the sign-in.
    assert!(
        world
            .browser()
            .get(&link)
            .await
            .path
            .starts_with("/sign-in?next=%2Finvitations")
    );
    assert_eq!(
        grace
            .get("/organizations")
            .await
            .text
            .matches("Look at it")
            .count(),
        1
    );
    grace.get(&link).await;
    grace.post(&format!("{link}/reject"), &[]).await;
    assert_eq!(grace.get(&link).await.status, StatusCode::NOT_FOUND);
    let canceled = invite(&world, &mut ada, &path, &email, "member").await;
    let page = ada.get(&path).await;
    let id = between(&page.text, "name=\"id\" value=\"", "\"").unwrap();
    ada.post(&format!("{path}/cancel"), &[("id", id)]).await;
    assert_eq!(grace.get(&canceled).await.status, StatusCode::NOT_FOUND);
}

pub async fn roles_decide(world: World) {
    let (mut ada, _) = world.user("Ada").await;
    let (mut grace, email) = world.user("Grace").await;
    let path = create(&mut ada).await;
    let link = invite(&world, &mut ada, &path, &email, "member").await;
    grace.get(&link).await;
    grace.post(&format!("{link}/accept"), &[]).await;
    let user_id = |email: String| async move { world.stored_user(&email).await.id };
    let grace_id = user_id(email).await;

    let other = address("other");
    let forbidden = StatusCode::FORBIDDEN;
    let invitation = [("email", &*other), ("role", "member")];
    assert_eq!(
        grace
            .post(&format!("{path}/invite"), &invitation)
            .await
            .status,
        forbidden
    );
    let promotion = [("user_id", &*grace_id), ("role", "owner")];
    assert_eq!(
        grace.post(&format!("{path}/role"), &promotion).await.status,
        forbidden
    );

    // An administrator invites members, but makes no owners.
    ada.get(&path).await;
    ada.post(
        &format!("{path}/role"),
        &[("user_id", &grace_id), ("role", "admin")],
    )
    .await;
    grace.get(&path).await;
    assert_eq!(
        grace
            .post(&format!("{path}/invite"), &invitation)
            .await
            .status,
        StatusCode::OK
    );
    let owner = [("email", &*other), ("role", "owner")];
    assert_eq!(
        grace.post(&format!("{path}/invite"), &owner).await.status,
        forbidden
    );
    assert_eq!(
        grace.post(&format!("{path}/role"), &promotion).await.status,
        forbidden
    );
    let made_up = [("email", &*other), ("role", "emperor")];
    assert_eq!(
        grace.post(&format!("{path}/invite"), &made_up).await.status,
        StatusCode::UNPROCESSABLE_ENTITY
    );

    // A member who was removed is out at once.
    ada.post(&format!("{path}/remove"), &[("user_id", &grace_id)])
        .await;
    assert_eq!(grace.get(&path).await.status, StatusCode::NOT_FOUND);
}

pub async fn the_last_owner_stays(world: World) {
    let (mut ada, email) = world.user("Ada").await;
    let path = create(&mut ada).await;
    let id = world.stored_user(&email).await.id;
    let leave = ada
        .post(&format!("{path}/remove"), &[("user_id", &id)])
        .await;
    assert_eq!(leave.status, StatusCode::CONFLICT);
    ada.get(&path).await;
    let demote = ada
        .post(
            &format!("{path}/role"),
            &[("user_id", &id), ("role", "member")],
        )
        .await;
    assert_eq!(demote.status, StatusCode::CONFLICT);
    assert!(demote.text.contains("at least one owner"));
}

pub async fn others_see_nothing(world: World) {
    let (mut ada, email) = world.user("Ada").await;
    let (mut eve, _) = world.user("Eve").await;
    let path = create(&mut ada).await;
    let id = world.stored_user(&email).await.id;
    eve.get("/account").await;
    assert_eq!(eve.get(&path).await.status, StatusCode::NOT_FOUND);
    for (action, form) in [
        ("activate", vec![]),
        (
            "invite",
            vec![("email", "eve@example.com"), ("role", "member")],
        ),
        ("cancel", vec![("id", "x")]),
        ("role", vec![("user_id", &*id), ("role", "member")]),
        ("remove", vec![("user_id", &*id)]),
    ] {
        let answer = eve.post(&format!("{path}/{action}"), &form).await;
        assert_eq!(answer.status, StatusCode::NOT_FOUND, "{action}");
    }
}
