//! Promises about `link_account`.

use super::{
    Adapter, account_of, an_hour_ago, assert_eq, assert_error, assert_refused, at_once, each_with,
    in_an_hour, new_user,
};
use crate::types::{Account, CreateAccount, Linked};
use crate::{AuthError, ConflictField};

pub(super) async fn a_link_creates_or_refreshes(adapter: Adapter) {
    let user = new_user(&adapter).await;
    let first = account_of(&user, "1")
        .with_access_token("access 1")
        .with_refresh_token("refresh 1")
        .with_access_token_expires_at(an_hour_ago())
        .with_scope("scope 1")
        .with_password("hash");
    let (created, linked) = adapter.link_account(first).await.unwrap();
    assert_eq!(linked, Linked::Created);
    assert_eq!(created.password.as_deref(), Some("hash"));
    assert_eq!(created.updated_at, created.created_at);

    let second = account_of(&user, "1")
        .with_access_token("access 2")
        .with_id_token("id 2")
        .with_access_token_expires_at(in_an_hour())
        .with_password("another hash");
    let (refreshed, linked) = adapter.link_account(second).await.unwrap();
    assert_eq!(linked, Linked::Refreshed);
    assert!(refreshed.updated_at > created.updated_at);
    assert!(refreshed.access_token_expires_at > created.access_token_expires_at);
    let expected = Account {
        access_token: Some("access 2".to_owned()),
        id_token: Some("id 2".to_owned()),
        access_token_expires_at: refreshed.access_token_expires_at,
        updated_at: refreshed.updated_at,
        ..created
    };
    assert_eq!(refreshed, expected);
    let found = adapter.get_account("github", "1").await.unwrap();
    assert_eq!(found, Some(refreshed));
}

pub(super) async fn an_account_of_another_user_stays(adapter: Adapter) {
    let (user, other) = (new_user(&adapter).await, new_user(&adapter).await);
    let account = account_of(&user, "1").with_access_token("access");
    let (account, _) = adapter.link_account(account).await.unwrap();
    let stranger = |user_id: &str| {
        let account = CreateAccount::new(user_id, "github", "1");
        adapter.link_account(account.with_access_token("stolen"))
    };
    for user_id in [other.id.as_str(), "unknown", "a\0b"] {
        let linked = stranger(user_id).await;
        assert_error!(
            linked,
            AuthError::Conflict {
                field: ConflictField::Account
            }
        );
    }
    let found = adapter.get_account("github", "1").await.unwrap();
    assert_eq!(found, Some(account));
    assert_eq!(adapter.get_user_accounts(&other.id).await.unwrap(), []);
}

pub(super) async fn a_link_needs_the_user(adapter: Adapter) {
    for user_id in ["unknown", "a\0b"] {
        let linked = adapter.link_account(CreateAccount::new(user_id, "github", "1"));
        assert_error!(linked.await, AuthError::UserNotFound);
    }
    assert_eq!(adapter.get_account("github", "1").await.unwrap(), None);
}

pub(super) async fn impossible_input_is_refused(adapter: Adapter) {
    let user = new_user(&adapter).await;
    let account = account_of(&user, "1").with_access_token("access");
    let (account, _) = adapter.link_account(account).await.unwrap();
    let nul = || "a\0b".to_owned();
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
    for (field, refused) in keys.into_iter().chain(texts) {
        assert_refused(field, adapter.link_account(refused).await);
    }
    let refused = account_of(&user, &"x".repeat(1025));
    assert_refused("account_id", adapter.link_account(refused).await);
    let found = adapter.get_user_accounts(&user.id).await.unwrap();
    assert_eq!(found, [account]);
}

pub(super) async fn one_of_many_creates(adapter: Adapter) {
    for round in 0..5 {
        let (user, other) = (new_user(&adapter).await, new_user(&adapter).await);
        let answers = at_once(12, |index| {
            let adapter = adapter.clone();
            let user = if index % 3 == 0 { &other } else { &user };
            let account = account_of(user, &round.to_string()).with_scope(index.to_string());
            async move { adapter.link_account(account).await }
        })
        .await;
        let mut created = Vec::new();
        let mut ids = Vec::new();
        for answer in answers {
            match answer {
                Ok((account, linked)) => {
                    ids.push(account.id.clone());
                    created.extend((linked == Linked::Created).then_some(account));
                }
                error => assert_error!(
                    error,
                    AuthError::Conflict {
                        field: ConflictField::Account
                    }
                ),
            }
        }
        let [created] = created.as_slice() else {
            panic!("{} callers have created the account", created.len());
        };
        assert!(ids.iter().all(|id| *id == created.id));
        let found = adapter.get_account("github", &round.to_string()).await;
        assert_eq!(found.unwrap().unwrap().user_id, created.user_id);
    }
}
