//! Promises about updates of users, bans included.

use serde_json::json;

use super::user::{email, holding, to_email, to_username};
use super::{Adapter, assert_eq, assert_error, in_an_hour, new_user};
use crate::types::{CreateUser, UpdateUser, User};
use crate::{AuthError, ConflictField};

pub(super) async fn update_sets_every_column(adapter: Adapter) {
    let user = new_user(&adapter).await;
    let text = |text: &str| Some(Some(text.to_owned()));
    let update = UpdateUser {
        name: text("name"),
        email: text("Email"),
        email_verified: Some(true),
        image: text("image"),
        username: text("Username"),
        display_username: text("Display"),
        two_factor_enabled: Some(true),
        role: text("role"),
        banned: Some(true),
        ban_reason: text("reason"),
        ban_expires: Some(Some(user.created_at)),
        metadata: Some(holding(json!(1))),
    };
    let updated = adapter.update_user(&user.id, update).await.unwrap();
    let expected = User {
        id: user.id.clone(),
        name: Some("name".to_owned()),
        email: Some("email".to_owned()),
        email_verified: true,
        image: Some("image".to_owned()),
        username: Some("username".to_owned()),
        display_username: Some("Display".to_owned()),
        two_factor_enabled: true,
        role: Some("role".to_owned()),
        banned: true,
        ban_reason: Some("reason".to_owned()),
        ban_expires: Some(user.created_at),
        metadata: holding(json!(1)),
        created_at: user.created_at,
        updated_at: updated.updated_at,
    };
    assert_eq!(updated, expected);
    let found = adapter.get_user_by_email("email").await.unwrap();
    assert_eq!(found, Some(updated.clone()));
    let one = UpdateUser {
        two_factor_enabled: Some(false),
        ..UpdateUser::default()
    };
    let changed = adapter.update_user(&user.id, one).await.unwrap();
    let expected = User {
        two_factor_enabled: false,
        updated_at: changed.updated_at,
        ..updated
    };
    assert_eq!(changed, expected);
}

pub(super) async fn update_can_set_null(adapter: Adapter) {
    let create = email("a@example.com")
        .with_username("a")
        .with_name("a")
        .with_image("a")
        .with_role("a");
    let user = adapter.create_user(create).await.unwrap();
    let update = UpdateUser {
        name: Some(None),
        email: Some(None),
        image: Some(None),
        username: Some(None),
        display_username: Some(None),
        role: Some(None),
        ..UpdateUser::default()
    };
    let user = adapter.update_user(&user.id, update).await.unwrap();
    assert_eq!(
        (
            user.name,
            user.email,
            user.image,
            user.username,
            user.display_username,
            user.role
        ),
        (None, None, None, None, None, None)
    );
    assert_eq!(
        adapter.get_user_by_email("a@example.com").await.unwrap(),
        None
    );
}

pub(super) async fn an_empty_update_changes_nothing(adapter: Adapter) {
    let user = new_user(&adapter).await;
    let updated = adapter
        .update_user(&user.id, UpdateUser::default())
        .await
        .unwrap();
    assert_eq!(updated, user);
}

pub(super) async fn update_of_an_unknown_user_fails(adapter: Adapter) {
    for update in [UpdateUser::default(), to_email("a@example.com")] {
        assert_error!(
            adapter.update_user("nobody", update).await,
            AuthError::UserNotFound
        );
    }
    assert_error!(
        adapter.update_user("nobody", to_email("a\0b")).await,
        AuthError::Validation { field: "email", .. }
    );
}

pub(super) async fn a_refused_update_changes_nothing(adapter: Adapter) {
    adapter
        .create_user(CreateUser::new().with_username("taken"))
        .await
        .unwrap();
    let user = adapter.create_user(email("old@example.com")).await.unwrap();
    let update = UpdateUser {
        email: Some(Some("new@example.com".to_owned())),
        ..to_username("taken")
    };
    assert_error!(
        adapter.update_user(&user.id, update).await,
        AuthError::Conflict {
            field: ConflictField::Username
        }
    );
    assert_eq!(
        adapter.get_user_by_email("new@example.com").await.unwrap(),
        None
    );
    let found = adapter.get_user_by_email("old@example.com").await.unwrap();
    assert_eq!(found, Some(user));
    adapter.create_user(email("new@example.com")).await.unwrap();
}

pub(super) async fn unbanning_clears_the_ban(adapter: Adapter) {
    let user = new_user(&adapter).await;
    let ban = UpdateUser {
        banned: Some(true),
        ban_reason: Some(Some("spam".to_owned())),
        ban_expires: Some(Some(in_an_hour())),
        ..UpdateUser::default()
    };
    let banned = adapter.update_user(&user.id, ban.clone()).await.unwrap();
    assert!(banned.banned && banned.ban_reason.is_some() && banned.ban_expires.is_some());
    let unban = UpdateUser {
        banned: Some(false),
        ..ban
    };
    let free = adapter.update_user(&user.id, unban).await.unwrap();
    assert_eq!(
        (free.banned, free.ban_reason, free.ban_expires),
        (false, None, None)
    );
}

pub(super) async fn unban_ends_a_ban(adapter: Adapter) {
    let user = new_user(&adapter).await;
    let ban = UpdateUser::new()
        .with_banned(true)
        .with_ban_reason("spam")
        .with_ban_expires(in_an_hour());
    adapter.update_user(&user.id, ban).await.unwrap();
    let unbanned = adapter.unban_user(&user.id).await.unwrap();
    let expected = User {
        updated_at: unbanned.updated_at,
        ..user.clone()
    };
    assert_eq!(unbanned, expected);
    let found = adapter.get_user_by_id(&user.id).await.unwrap();
    assert_eq!(found, Some(unbanned));
    for id in ["unknown", "a\0b"] {
        assert_error!(adapter.unban_user(id).await, AuthError::UserNotFound);
    }
}
