//! Promises about input that cannot be stored.

use chrono::{DateTime, TimeDelta, Utc};
use serde_json::{Value, json};

use super::{
    Adapter, account_of, assert_eq, assert_error, assert_refused, code, each_with, in_an_hour,
    new_user,
};
use crate::AuthError;
use crate::types::{
    CreateAccount, CreateSession, CreateUser, CreateVerification, Metadata, UpdateUser,
};

const NUL: &str = "a\0b";

fn nul() -> String {
    NUL.to_owned()
}

pub(super) async fn nul_in_a_user_is_refused(adapter: Adapter) {
    let holding = |value: Value| Metadata::from_iter([("key".to_owned(), value)]);
    let metadata = [
        holding(NUL.into()),
        holding(json!([{ NUL: 1 }])),
        Metadata::from_iter([(NUL.to_owned(), 1.into())]),
    ];
    let user = new_user(&adapter).await;
    let creates = each_with!(
        CreateUser::new(), Some(nul()) => CreateUser {
            id, name, email, image, username, display_username, role;
            email_verified, metadata
        }
    );
    for (field, create) in creates {
        assert_refused(field, adapter.create_user(create).await);
    }
    for metadata in &metadata {
        let create = CreateUser::new().with_metadata(metadata.clone());
        assert_refused("metadata", adapter.create_user(create).await);
    }
    let updates = each_with!(
        UpdateUser::default(), Some(Some(nul())) => UpdateUser {
            name, email, image, username, display_username, role, ban_reason;
            email_verified, two_factor_enabled, banned, ban_expires, metadata
        }
    );
    for (field, update) in updates {
        for id in [&user.id, "nobody"] {
            assert_refused(field, adapter.update_user(id, update.clone()).await);
        }
    }
    for metadata in metadata {
        let update = UpdateUser {
            metadata: Some(metadata),
            ..UpdateUser::default()
        };
        assert_refused("metadata", adapter.update_user(&user.id, update).await);
    }
    let found = adapter.get_user_by_id(&user.id).await.unwrap();
    assert_eq!(found, Some(user));
}

pub(super) async fn nul_in_a_session_is_refused(adapter: Adapter) {
    let user = new_user(&adapter).await;
    let creates = each_with!(
        CreateSession::new(&user.id, in_an_hour()), Some(nul()) => CreateSession {
            ip_address, user_agent, impersonated_by, active_organization_id;
            user_id, expires_at
        }
    );
    for (field, create) in creates {
        assert_refused(field, adapter.create_session(create).await);
    }
    let of_nobody = CreateSession::new(NUL, in_an_hour());
    assert_error!(
        adapter.create_session(of_nobody).await,
        AuthError::UserNotFound
    );
    assert_eq!(adapter.get_user_sessions(&user.id).await.unwrap(), []);
}

pub(super) async fn nul_in_an_account_is_refused(adapter: Adapter) {
    let user = new_user(&adapter).await;
    let keys = each_with!(
        account_of(&user, "1"), nul() => CreateAccount {
            provider_id, account_id;
            user_id, access_token, refresh_token, id_token, access_token_expires_at,
            refresh_token_expires_at, scope, password
        }
    );
    let texts = each_with!(
        account_of(&user, "1"), Some(nul()) => CreateAccount {
            access_token, refresh_token, id_token, scope, password;
            user_id, provider_id, account_id, access_token_expires_at, refresh_token_expires_at
        }
    );
    for (field, create) in keys.into_iter().chain(texts) {
        assert_refused(field, adapter.create_account(create).await);
    }
    let of_nobody = CreateAccount::new(NUL, "github", "1");
    assert_error!(
        adapter.create_account(of_nobody).await,
        AuthError::UserNotFound
    );
    assert_eq!(adapter.get_user_accounts(&user.id).await.unwrap(), []);
    assert_eq!(adapter.get_account("github", "1").await.unwrap(), None);
}

pub(super) async fn nul_in_a_verification_is_refused(adapter: Adapter) {
    let creates = each_with!(
        code("a", "b"), nul() => CreateVerification { identifier, value; expires_at, hashed }
    );
    for (field, create) in creates {
        assert_refused(field, adapter.create_verification(create).await);
    }
    let found = adapter.get_verification_by_value("b").await.unwrap();
    assert_eq!(found, None);
}

pub(super) async fn times_before_postgresql_are_refused(adapter: Adapter) {
    let first: DateTime<Utc> = "-4713-11-24T00:00:00Z".parse().unwrap();
    let user = new_user(&adapter).await;
    let ban_until = |time| UpdateUser {
        ban_expires: Some(Some(time)),
        ..UpdateUser::default()
    };
    let updated = adapter
        .update_user(&user.id, ban_until(first))
        .await
        .unwrap();
    assert_eq!(updated.ban_expires, Some(first));
    for too_early in [first - TimeDelta::microseconds(1), DateTime::<Utc>::MIN_UTC] {
        assert_error!(
            adapter.update_user(&user.id, ban_until(too_early)).await,
            AuthError::Validation {
                field: "ban_expires",
                ..
            }
        );
        assert_error!(
            adapter
                .create_session(CreateSession::new(&user.id, too_early))
                .await,
            AuthError::Validation {
                field: "expires_at",
                ..
            }
        );
        assert_error!(
            adapter
                .create_verification(CreateVerification::new("a", "b", too_early))
                .await,
            AuthError::Validation {
                field: "expires_at",
                ..
            }
        );
    }
    assert_eq!(
        adapter.get_user_by_id(&user.id).await.unwrap(),
        Some(updated)
    );
}

pub(super) async fn impossible_lookups_answer_none(adapter: Adapter) {
    for key in ["a\0b".to_owned(), "x".repeat(5000)] {
        let key = key.as_str();
        assert_eq!(adapter.get_user_by_id(key).await.unwrap(), None);
        assert_eq!(adapter.get_user_by_email(key).await.unwrap(), None);
        assert_eq!(adapter.get_user_by_username(key).await.unwrap(), None);
        assert_eq!(adapter.get_session(key).await.unwrap(), None);
        assert_eq!(adapter.get_session_with_user(key).await.unwrap(), None);
        assert_eq!(adapter.get_user_sessions(key).await.unwrap(), []);
        assert_eq!(adapter.get_user_accounts(key).await.unwrap(), []);
        assert_eq!(adapter.get_account(key, "1").await.unwrap(), None);
        assert_eq!(adapter.get_account("github", key).await.unwrap(), None);
        assert_eq!(adapter.get_verification(key, "1").await.unwrap(), None);
        assert_eq!(adapter.get_verification("1", key).await.unwrap(), None);
        assert_eq!(adapter.get_verification_by_value(key).await.unwrap(), None);
    }
}

pub(super) async fn impossible_deletes_do_nothing(adapter: Adapter) {
    let user = new_user(&adapter).await;
    for key in ["a\0b".to_owned(), "x".repeat(5000)] {
        adapter.delete_user(&key).await.unwrap();
        adapter.delete_session(&key).await.unwrap();
        adapter.delete_user_sessions(&key).await.unwrap();
        adapter.delete_account(&key).await.unwrap();
        adapter.delete_verification(&key).await.unwrap();
    }
    assert_eq!(adapter.get_user_by_id(&user.id).await.unwrap(), Some(user));
}

pub(super) async fn impossible_updates_find_nothing(adapter: Adapter) {
    for key in ["a\0b".to_owned(), "x".repeat(5000)] {
        let update = UpdateUser {
            banned: Some(true),
            ..UpdateUser::default()
        };
        assert_error!(
            adapter.update_user(&key, update).await,
            AuthError::UserNotFound
        );
        assert_error!(
            adapter.update_user(&key, UpdateUser::default()).await,
            AuthError::UserNotFound
        );
        assert_error!(
            adapter.update_session_expiry(&key, in_an_hour()).await,
            AuthError::SessionNotFound
        );
        assert_error!(
            adapter
                .create_session(CreateSession::new(&key, in_an_hour()))
                .await,
            AuthError::UserNotFound
        );
        assert_error!(
            adapter
                .create_account(CreateAccount::new(&key, "github", "1"))
                .await,
            AuthError::UserNotFound
        );
    }
}
