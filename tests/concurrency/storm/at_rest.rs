//! What has to fit together when nobody changes anything.

use std::time::Duration;

use better_auth::adapters::DatabaseAdapter;
use better_auth::types::{ListUsers, User};
use chrono::{TimeDelta, Utc};

use super::readers::assert_each_unique;
use super::{ACCOUNT_IDS, EMAILS, IDENTIFIERS, PROVIDERS, Shared, USERNAMES, VALUES};
use crate::ledger::{Ledger, Thing};

/// Checks everything, and then deletes it.
pub(super) async fn check(shared: &Shared) {
    let database = &*shared.database;
    let users = users(database).await;
    users_are_found_by_what_they_have(database, &users).await;
    all_is_there_or_gone(shared).await;
    accounts_have_their_users(database, &users).await;
    sessions_have_their_users(database, &users).await;
    for user in &users {
        database.delete_user(&user.id).await.unwrap();
    }
    nothing_outlives_the_users(database, &shared.ledger).await;
    for identifier in IDENTIFIERS {
        for value in VALUES {
            database
                .consume_verification(identifier, value)
                .await
                .unwrap();
        }
        let found = database.get_verification_by_identifier(identifier).await;
        assert_eq!(found.unwrap(), None);
    }
    // The last ones to end by themselves do so now.
    tokio::time::sleep(Duration::from_millis(10)).await;
    database.clean_up().await.unwrap();
    assert_eq!(database.delete_expired_sessions().await.unwrap(), 0);
    assert_eq!(database.delete_expired_verifications().await.unwrap(), 0);
}

async fn users(database: &dyn DatabaseAdapter) -> Vec<User> {
    let query = ListUsers::new().with_limit(1000);
    let page = database.list_users(query).await.unwrap();
    assert_eq!(page.next_cursor, None);
    page.users
}

/// Each index leads to whom it names, and each user is in each index.
async fn users_are_found_by_what_they_have(database: &dyn DatabaseAdapter, users: &[User]) {
    assert_each_unique(users);
    for user in users {
        let found = database.get_user_by_id(&user.id).await.unwrap();
        assert_eq!(found.as_ref(), Some(user));
        if let Some(email) = &user.email {
            let found = database.get_user_by_email(email).await.unwrap();
            assert_eq!(found.as_ref(), Some(user));
        }
        if let Some(username) = &user.username {
            let found = database.get_user_by_username(username).await.unwrap();
            assert_eq!(found.as_ref(), Some(user));
        }
    }
    let is_listed = |found: &User| users.contains(found);
    for email in EMAILS {
        let found = database.get_user_by_email(email).await.unwrap();
        assert!(found.as_ref().is_none_or(is_listed), "{found:?}");
    }
    for username in USERNAMES {
        let found = database.get_user_by_username(username).await.unwrap();
        assert!(found.as_ref().is_none_or(is_listed), "{found:?}");
    }
}

/// What was acknowledged lasts.
async fn all_is_there_or_gone(shared: &Shared) {
    let database = &shared.database;
    let begun = shared.ledger.now();
    for thing in shared.ledger.things() {
        let is_seen = match &thing {
            Thing::User(id, _) => {
                let found = database.get_user_by_id(id).await.unwrap();
                found.as_ref().map(Thing::from).as_ref() == Some(&thing)
            }
            Thing::Session(token) => database.get_session(token).await.unwrap().is_some(),
            Thing::Account(id) => is_linked(&**database, id).await,
            Thing::Verification(_) => continue,
        };
        shared.check(&thing, begun, is_seen);
    }
    for identifier in IDENTIFIERS {
        for value in VALUES {
            let found = database.get_verification(identifier, value).await;
            if let Some(found) = found.unwrap() {
                shared.check(&Thing::from(&found), begun, true);
            }
        }
    }
}

async fn is_linked(database: &dyn DatabaseAdapter, id: &str) -> bool {
    for provider in PROVIDERS {
        for account_id in ACCOUNT_IDS {
            let found = database.get_account(provider, account_id).await.unwrap();
            if found.is_some_and(|account| account.id == id) {
                return true;
            }
        }
    }
    false
}

async fn accounts_have_their_users(database: &dyn DatabaseAdapter, users: &[User]) {
    for provider in PROVIDERS {
        for id in ACCOUNT_IDS {
            let found = database.get_account(provider, id).await.unwrap();
            if let Some(account) = found {
                assert!(users.iter().any(|user| user.id == account.user_id));
                let listed = database.get_user_accounts(&account.user_id).await;
                assert!(listed.unwrap().contains(&account));
            }
        }
    }
    for user in users {
        for account in database.get_user_accounts(&user.id).await.unwrap() {
            let found = database.get_account(&account.provider_id, &account.account_id);
            assert_eq!(found.await.unwrap(), Some(account));
        }
    }
}

async fn sessions_have_their_users(database: &dyn DatabaseAdapter, users: &[User]) {
    for user in users {
        let mut sessions = database.get_user_sessions(&user.id).await.unwrap();
        // The others may end meanwhile.
        sessions.retain(|session| session.expires_at > Utc::now() + TimeDelta::minutes(30));
        for session in sessions {
            let found = database.get_session_with_user(&session.token).await;
            assert_eq!(found.unwrap(), Some((session, user.clone())));
        }
    }
}

async fn nothing_outlives_the_users(database: &dyn DatabaseAdapter, ledger: &Ledger) {
    for thing in ledger.things() {
        match &thing {
            Thing::Session(token) => {
                assert_eq!(database.get_session(token).await.unwrap(), None);
            }
            Thing::User(id, _) => {
                assert_eq!(database.get_user_sessions(id).await.unwrap(), []);
                assert_eq!(database.get_user_accounts(id).await.unwrap(), []);
            }
            Thing::Account(id) => assert!(!is_linked(database, id).await),
            Thing::Verification(_) => {}
        }
    }
}
