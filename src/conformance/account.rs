//! Promises about accounts.

use super::{Adapter, account_of, assert_eq, assert_error, new_user};
use crate::types::{Account, CreateAccount, User};
use crate::{AuthError, ConflictField};

pub(super) async fn create_returns_what_every_get_returns(adapter: Adapter) {
    let user = new_user(&adapter).await;
    let account = adapter
        .create_account(account_of(&user, "Octocat"))
        .await
        .unwrap();
    let found = adapter.get_account("github", "Octocat").await.unwrap();
    assert_eq!(found, Some(account.clone()));
    assert_eq!(
        adapter.get_user_accounts(&user.id).await.unwrap(),
        [account]
    );
    assert_eq!(
        adapter.get_account("github", "octocat").await.unwrap(),
        None
    );
    assert_eq!(
        adapter.get_account("gitlab", "Octocat").await.unwrap(),
        None
    );
}

pub(super) async fn create_keeps_every_field(adapter: Adapter) {
    let user = new_user(&adapter).await;
    let create = CreateAccount::new(&user.id, "provider", "account")
        .with_access_token("access")
        .with_refresh_token("refresh")
        .with_id_token("id")
        .with_access_token_expires_at(user.created_at)
        .with_refresh_token_expires_at(user.created_at + chrono::TimeDelta::days(1))
        .with_scope("scope")
        .with_password("hash");
    let account = adapter.create_account(create.clone()).await.unwrap();
    let expected = Account {
        id: account.id.clone(),
        account_id: create.account_id,
        provider_id: create.provider_id,
        user_id: user.id,
        access_token: create.access_token,
        refresh_token: create.refresh_token,
        id_token: create.id_token,
        access_token_expires_at: create.access_token_expires_at,
        refresh_token_expires_at: create.refresh_token_expires_at,
        scope: create.scope,
        password: create.password,
        created_at: account.created_at,
        updated_at: account.created_at,
    };
    assert_eq!(account, expected);
    let found = adapter.get_account("provider", "account").await.unwrap();
    assert_eq!(found, Some(account));
}

pub(super) async fn create_needs_the_user(adapter: Adapter) {
    assert_error!(
        adapter
            .create_account(CreateAccount::new("nobody", "github", "1"))
            .await,
        AuthError::UserNotFound
    );
    assert_eq!(adapter.get_account("github", "1").await.unwrap(), None);
}

pub(super) async fn an_account_is_linked_once(adapter: Adapter) {
    let user = new_user(&adapter).await;
    let other = new_user(&adapter).await;
    let account = adapter
        .create_account(account_of(&user, "1"))
        .await
        .unwrap();
    for holder in [&user, &other] {
        assert_error!(
            adapter.create_account(account_of(holder, "1")).await,
            AuthError::Conflict {
                field: ConflictField::Account
            }
        );
    }
    let found = adapter.get_account("github", "1").await.unwrap();
    assert_eq!(found, Some(account));
    adapter
        .create_account(CreateAccount::new(&user.id, "gitlab", "1"))
        .await
        .unwrap();
}

pub(super) async fn the_conflict_wins_over_the_missing_user(adapter: Adapter) {
    let user = new_user(&adapter).await;
    adapter
        .create_account(account_of(&user, "1"))
        .await
        .unwrap();
    for nobody in ["nobody", "no\0body"] {
        assert_error!(
            adapter
                .create_account(CreateAccount::new(nobody, "github", "1"))
                .await,
            AuthError::Conflict {
                field: ConflictField::Account
            }
        );
    }
}

pub(super) async fn keys_have_a_longest_length(adapter: Adapter) {
    let user = new_user(&adapter).await;
    let (provider, id) = ("p".repeat(255), "ä".repeat(512));
    let account = CreateAccount::new(&user.id, &provider, &id);
    let account = adapter.create_account(account).await.unwrap();
    assert_eq!(
        adapter.get_account(&provider, &id).await.unwrap(),
        Some(account)
    );
    assert_error!(
        adapter
            .create_account(CreateAccount::new(&user.id, "p".repeat(256), "1"))
            .await,
        AuthError::Validation {
            field: "provider_id",
            ..
        }
    );
    assert_error!(
        adapter
            .create_account(account_of(&user, &"x".repeat(1025)))
            .await,
        AuthError::Validation {
            field: "account_id",
            ..
        }
    );
}

pub(super) async fn list_is_newest_first_and_complete(adapter: Adapter) {
    let user = new_user(&adapter).await;
    let mut accounts = Vec::new();
    for index in 0..110 {
        let account = account_of(&user, &index.to_string());
        accounts.push(adapter.create_account(account).await.unwrap());
    }
    accounts.sort_by(|a, b| (b.created_at, &b.id).cmp(&(a.created_at, &a.id)));
    assert_eq!(adapter.get_user_accounts(&user.id).await.unwrap(), accounts);
    assert_eq!(adapter.get_user_accounts("nobody").await.unwrap(), []);
}

pub(super) async fn delete_unlinks(adapter: Adapter) {
    let user = new_user(&adapter).await;
    let account = adapter
        .create_account(account_of(&user, "1"))
        .await
        .unwrap();
    let kept = adapter
        .create_account(account_of(&user, "2"))
        .await
        .unwrap();
    adapter.delete_account("1").await.unwrap();
    assert!(adapter.get_account("github", "1").await.unwrap().is_some());
    adapter.delete_account(&account.id).await.unwrap();
    adapter.delete_account(&account.id).await.unwrap();
    assert_eq!(adapter.get_account("github", "1").await.unwrap(), None);
    assert_eq!(adapter.get_user_accounts(&user.id).await.unwrap(), [kept]);
    adapter
        .create_account(account_of(&user, "1"))
        .await
        .unwrap();
}

pub(super) async fn the_credential_account_is_found(adapter: Adapter) {
    let (user, other) = (new_user(&adapter).await, new_user(&adapter).await);
    let create = |user: &User, provider: &str, id: &str| {
        let account = CreateAccount::new(&user.id, provider, id).with_password("hash");
        adapter.create_account(account)
    };
    create(&user, "github", "1").await.unwrap();
    create(&user, "Credential", "1").await.unwrap();
    create(&other, "credential", "1").await.unwrap();
    for user_id in [user.id.as_str(), "unknown", "a\0b"] {
        let found = adapter.get_credential_account(user_id).await.unwrap();
        assert_eq!(found, None);
    }
    for id in ["2", "3"] {
        let account = create(&user, "credential", id).await.unwrap();
        create(&user, "gitlab", id).await.unwrap();
        let found = adapter.get_credential_account(&user.id).await.unwrap();
        assert_eq!(found, Some(account));
    }
}
