//! Promises about users: creating, finding and deleting them.

use serde_json::{Value, json};

use super::{Adapter, account_of, assert_eq, assert_error, assert_refused, new_session, new_user};
use crate::types::{CreateAccount, CreateUser, Metadata, UpdateUser, User};
use crate::{AuthError, ConflictField};

pub(super) fn email(address: &str) -> CreateUser {
    CreateUser::new().with_email(address)
}

pub(super) fn to_email(address: &str) -> UpdateUser {
    UpdateUser {
        email: Some(Some(address.to_owned())),
        ..UpdateUser::default()
    }
}

pub(super) fn to_username(username: &str) -> UpdateUser {
    UpdateUser {
        username: Some(Some(username.to_owned())),
        ..UpdateUser::default()
    }
}

pub(super) fn holding(value: Value) -> Metadata {
    Metadata::from_iter([("value".to_owned(), value)])
}

pub(super) async fn create_returns_what_every_get_returns(adapter: Adapter) {
    let create = email("ada@example.com").with_username("ada");
    let user = adapter.create_user(create).await.unwrap();
    assert_eq!(
        adapter.get_user_by_id(&user.id).await.unwrap(),
        Some(user.clone())
    );
    assert_eq!(
        adapter.get_user_by_email("ada@example.com").await.unwrap(),
        Some(user.clone())
    );
    assert_eq!(
        adapter.get_user_by_username("ada").await.unwrap(),
        Some(user)
    );
    assert_eq!(adapter.get_user_by_id("nobody").await.unwrap(), None);
    assert_eq!(adapter.get_user_by_email("nobody").await.unwrap(), None);
    assert_eq!(adapter.get_user_by_username("nobody").await.unwrap(), None);
}

pub(super) async fn create_keeps_every_field(adapter: Adapter) {
    let create = CreateUser {
        id: Some("id".to_owned()),
        name: Some("name".to_owned()),
        email: Some("email".to_owned()),
        image: Some("image".to_owned()),
        username: Some("username".to_owned()),
        display_username: Some("Display".to_owned()),
        role: Some("role".to_owned()),
        email_verified: true,
        metadata: holding(json!("value")),
    };
    let user = adapter.create_user(create.clone()).await.unwrap();
    let expected = User {
        id: "id".to_owned(),
        name: create.name,
        email: create.email,
        email_verified: true,
        image: create.image,
        username: create.username,
        display_username: create.display_username,
        two_factor_enabled: false,
        role: create.role,
        banned: false,
        ban_reason: None,
        ban_expires: None,
        metadata: create.metadata,
        created_at: user.created_at,
        updated_at: user.created_at,
    };
    assert_eq!(user, expected);
}

pub(super) async fn create_accepts_an_id(adapter: Adapter) {
    let user = adapter
        .create_user(CreateUser::new().with_id("Mine"))
        .await
        .unwrap();
    assert_eq!(user.id, "Mine");
    assert_eq!(adapter.get_user_by_id("Mine").await.unwrap(), Some(user));
    assert_eq!(adapter.get_user_by_id("mine").await.unwrap(), None);
}

pub(super) async fn create_names_the_conflict(adapter: Adapter) {
    let first = email("a@example.com").with_id("1").with_username("a");
    adapter.create_user(first).await.unwrap();
    assert_error!(
        adapter
            .create_user(email("b@example.com").with_id("1"))
            .await,
        AuthError::Conflict {
            field: ConflictField::UserId
        }
    );
    assert_error!(
        adapter
            .create_user(email("A@EXAMPLE.com").with_id("2").with_username("b"))
            .await,
        AuthError::Conflict {
            field: ConflictField::Email
        }
    );
    assert_error!(
        adapter
            .create_user(email("b@example.com").with_id("2").with_username("A"))
            .await,
        AuthError::Conflict {
            field: ConflictField::Username
        }
    );
    assert_eq!(adapter.get_user_by_id("2").await.unwrap(), None);
    assert_eq!(
        adapter.get_user_by_email("b@example.com").await.unwrap(),
        None
    );
    assert_eq!(adapter.get_user_by_username("b").await.unwrap(), None);
}

pub(super) async fn create_prefers_the_id_then_the_email(adapter: Adapter) {
    let first = email("a@example.com").with_id("1").with_username("a");
    adapter.create_user(first.clone()).await.unwrap();
    assert_error!(
        adapter.create_user(first.clone()).await,
        AuthError::Conflict {
            field: ConflictField::UserId
        }
    );
    assert_error!(
        adapter.create_user(first.clone().with_id("2")).await,
        AuthError::Conflict {
            field: ConflictField::Email
        }
    );
    assert_error!(
        adapter.create_user(first.with_image("a\0b")).await,
        AuthError::Validation { field: "image", .. }
    );
}

pub(super) async fn many_users_may_have_no_names(adapter: Adapter) {
    for _ in 0..5 {
        let user = new_user(&adapter).await;
        assert_eq!(
            (user.email, user.username, user.display_username),
            (None, None, None)
        );
    }
}

pub(super) async fn delete_takes_sessions_and_accounts(adapter: Adapter) {
    let user = adapter
        .create_user(email("a@example.com").with_username("a"))
        .await
        .unwrap();
    let other = new_user(&adapter).await;
    let session = new_session(&adapter, &user).await;
    let kept = new_session(&adapter, &other).await;
    adapter
        .create_account(account_of(&user, "1"))
        .await
        .unwrap();
    let kept_account = adapter
        .create_account(account_of(&other, "2"))
        .await
        .unwrap();
    adapter.delete_user(&user.id).await.unwrap();
    assert_eq!(adapter.get_user_by_id(&user.id).await.unwrap(), None);
    assert_eq!(
        adapter.get_user_by_email("a@example.com").await.unwrap(),
        None
    );
    assert_eq!(adapter.get_user_by_username("a").await.unwrap(), None);
    assert_eq!(adapter.get_session(&session.token).await.unwrap(), None);
    assert_eq!(
        adapter.get_session_with_user(&session.token).await.unwrap(),
        None
    );
    assert_eq!(adapter.get_user_sessions(&user.id).await.unwrap(), []);
    assert_eq!(adapter.get_account("github", "1").await.unwrap(), None);
    assert_eq!(adapter.get_user_accounts(&user.id).await.unwrap(), []);
    assert_eq!(adapter.get_session(&kept.token).await.unwrap(), Some(kept));
    assert_eq!(
        adapter.get_account("github", "2").await.unwrap(),
        Some(kept_account)
    );
    adapter
        .create_account(CreateAccount::new(&other.id, "github", "1"))
        .await
        .unwrap();
}

pub(super) async fn delete_succeeds_twice(adapter: Adapter) {
    let user = new_user(&adapter).await;
    adapter.delete_user(&user.id).await.unwrap();
    adapter.delete_user(&user.id).await.unwrap();
    assert_error!(
        adapter.update_user(&user.id, UpdateUser::default()).await,
        AuthError::UserNotFound
    );
}

pub(super) async fn users_come_in_the_order_of_their_ids(adapter: Adapter) {
    let (a, b, c) = (
        new_user(&adapter).await,
        new_user(&adapter).await,
        new_user(&adapter).await,
    );
    let ids = [
        "unknown",
        &c.id,
        &a.id,
        "a\0b",
        &b.id,
        &a.id,
        &"x".repeat(5000),
    ];
    let found = adapter.get_users_by_ids(&ids.map(str::to_owned)).await;
    assert_eq!(found.unwrap(), [c, a.clone(), b, a]);
    assert_eq!(adapter.get_users_by_ids(&[]).await.unwrap(), []);
    let impossible = ["a\0b".to_owned()];
    assert_eq!(adapter.get_users_by_ids(&impossible).await.unwrap(), []);
}

pub(super) async fn a_thousand_ids_are_looked_up_at_most(adapter: Adapter) {
    let user = new_user(&adapter).await;
    let mut ids = vec!["unknown".to_owned(); 999];
    ids.push(user.id.clone());
    assert_eq!(adapter.get_users_by_ids(&ids).await.unwrap(), [user]);
    ids.push("unknown".to_owned());
    assert_refused("ids", adapter.get_users_by_ids(&ids).await);
}
