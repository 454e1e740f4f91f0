//! Promises about `update_account`.

use super::{
    Adapter, account_of, assert_eq, assert_error, assert_refused, each_with, in_an_hour, new_user,
};
use crate::AuthError;
use crate::types::{Account, UpdateAccount};

pub(super) async fn update_sets_every_column(adapter: Adapter) {
    let user = new_user(&adapter).await;
    let account = adapter
        .create_account(account_of(&user, "1"))
        .await
        .unwrap();
    let text = |text: &str| Some(Some(text.to_owned()));
    let update = UpdateAccount {
        access_token: text("access"),
        refresh_token: text("refresh"),
        id_token: text("id"),
        access_token_expires_at: Some(Some(account.created_at)),
        refresh_token_expires_at: Some(Some(account.created_at)),
        scope: text("scope"),
        password: text("hash"),
    };
    let updated = adapter
        .update_account(&account.id, update.clone())
        .await
        .unwrap();
    let expected = Account {
        access_token: update.access_token.flatten(),
        refresh_token: update.refresh_token.flatten(),
        id_token: update.id_token.flatten(),
        access_token_expires_at: update.access_token_expires_at.flatten(),
        refresh_token_expires_at: update.refresh_token_expires_at.flatten(),
        scope: update.scope.flatten(),
        password: update.password.flatten(),
        updated_at: updated.updated_at,
        ..account.clone()
    };
    assert_eq!(updated, expected);
    assert!(updated.updated_at > account.updated_at);
    let found = adapter.get_account("github", "1").await.unwrap();
    assert_eq!(found, Some(updated.clone()));
    let same = adapter
        .update_account(&account.id, UpdateAccount::default())
        .await
        .unwrap();
    assert_eq!(same, updated);
    let to_null = UpdateAccount {
        refresh_token: Some(None),
        ..UpdateAccount::default()
    };
    let updated = adapter.update_account(&account.id, to_null).await.unwrap();
    assert_eq!(updated.refresh_token, None);
    assert_eq!(updated.access_token.as_deref(), Some("access"));
}

pub(super) async fn update_of_an_unknown_account_fails(adapter: Adapter) {
    let update = UpdateAccount {
        access_token_expires_at: Some(Some(in_an_hour())),
        ..UpdateAccount::default()
    };
    for id in ["nothing".to_owned(), "a\0b".to_owned(), "x".repeat(5000)] {
        for update in [UpdateAccount::default(), update.clone()] {
            assert_error!(
                adapter.update_account(&id, update).await,
                AuthError::AccountNotFound
            );
        }
    }
    let update = UpdateAccount {
        scope: Some(Some("a\0b".to_owned())),
        ..UpdateAccount::default()
    };
    assert_error!(
        adapter.update_account("nothing", update).await,
        AuthError::Validation { field: "scope", .. }
    );
}

pub(super) async fn impossible_input_is_refused(adapter: Adapter) {
    let user = new_user(&adapter).await;
    let account = adapter
        .create_account(account_of(&user, "1"))
        .await
        .unwrap();
    let text = || Some(Some("a".to_owned()));
    let updates = each_with!(
        UpdateAccount::default(), Some(Some("a\0b".to_owned())) => UpdateAccount {
            access_token, refresh_token, id_token, scope, password;
            access_token_expires_at, refresh_token_expires_at
        }
    );
    for (field, update) in updates {
        for id in [&account.id, "nothing"] {
            assert_refused(field, adapter.update_account(id, update.clone()).await);
        }
    }
    let expiry = UpdateAccount {
        access_token: text(),
        refresh_token_expires_at: Some(Some(chrono::DateTime::<chrono::Utc>::MIN_UTC)),
        ..UpdateAccount::default()
    };
    assert_error!(
        adapter.update_account(&account.id, expiry).await,
        AuthError::Validation {
            field: "refresh_token_expires_at",
            ..
        }
    );
    let found = adapter.get_account("github", "1").await.unwrap();
    assert_eq!(found, Some(account));
}

pub(super) async fn update_changes_one_account(adapter: Adapter) {
    let user = new_user(&adapter).await;
    let mut account = adapter
        .create_account(account_of(&user, "1"))
        .await
        .unwrap();
    let other = adapter
        .create_account(account_of(&user, "2"))
        .await
        .unwrap();
    for round in 0..10 {
        let update = UpdateAccount {
            access_token: Some(Some(round.to_string())),
            ..UpdateAccount::default()
        };
        let updated = adapter.update_account(&account.id, update).await.unwrap();
        assert!(updated.updated_at > account.updated_at);
        account = updated;
    }
    let mut expected = [account, other];
    expected.sort_by(|a, b| (b.created_at, &b.id).cmp(&(a.created_at, &a.id)));
    assert_eq!(adapter.get_user_accounts(&user.id).await.unwrap(), expected);
}
