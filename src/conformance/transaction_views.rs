//! Promises about what is seen of a transaction, inside and outside.

use std::time::Duration;

use chrono::TimeDelta;

use super::transactions::{Rows, named, to_role};
use super::{
    Adapter, account_of, an_hour_ago, assert_eq, assert_error, assert_listed, code, expired_code,
    in_an_hour, new_session, new_user,
};
use crate::AuthError;
use crate::adapters::DatabaseAdapter;
use crate::types::{
    CreateSession, CreateVerification, ListUsers, Removed, Session, UpdateUser, User, UserFilter,
};

/// Fails unless the user and the session are these, and the account and the verification of `old` are gone.
async fn assert_changed(adapter: &dyn DatabaseAdapter, old: &Rows, user: &User, session: &Session) {
    let expected = Some(user);
    let by_id = adapter.get_user_by_id(&user.id).await.unwrap();
    assert_eq!(by_id.as_ref(), expected);
    let by_email = adapter.get_user_by_email("NEW@example.com").await.unwrap();
    assert_eq!(by_email.as_ref(), expected);
    let by_username = adapter.get_user_by_username("new").await.unwrap();
    assert_eq!(by_username.as_ref(), expected);
    let email = old.user.email.as_deref().unwrap();
    assert_eq!(adapter.get_user_by_email(email).await.unwrap(), None);
    let username = old.user.username.as_deref().unwrap();
    assert_eq!(adapter.get_user_by_username(username).await.unwrap(), None);
    let found = adapter.get_session_with_user(&session.token).await.unwrap();
    assert_eq!(found, Some((session.clone(), user.clone())));
    let listed = adapter.get_user_sessions(&user.id).await.unwrap();
    assert_listed(&listed, std::slice::from_ref(session));
    let account = adapter.get_account("github", &old.account.account_id).await;
    assert_eq!(account.unwrap(), None);
    assert_eq!(adapter.get_user_accounts(&user.id).await.unwrap(), []);
    let value = &old.verification.value;
    let found = adapter.get_verification(&old.verification.identifier, value);
    assert_eq!(found.await.unwrap(), None);
    let found = adapter.get_verification_by_value(value).await.unwrap();
    assert_eq!(found, None);
}

pub(super) async fn own_changes_are_seen_inside(adapter: Adapter) {
    let rows = Rows::create(&adapter, "a").await.unwrap();
    let transaction = adapter.begin().await.unwrap();
    let update = UpdateUser {
        email: Some(Some("New@example.com".to_owned())),
        username: Some(Some("New".to_owned())),
        ..to_role("admin")
    };
    let user = transaction.update_user(&rows.user.id, update).await;
    let user = user.unwrap();
    let token = &rows.session.token;
    let later = rows.session.expires_at + TimeDelta::days(1);
    transaction
        .update_session_expiry(token, later)
        .await
        .unwrap();
    let session = transaction.get_session(token).await.unwrap().unwrap();
    let expected = Session {
        expires_at: later,
        updated_at: session.updated_at,
        ..rows.session.clone()
    };
    assert_eq!(session, expected);
    transaction.delete_account(&rows.account.id).await.unwrap();
    let code = &rows.verification.id;
    transaction.delete_verification(code).await.unwrap();

    rows.assert_seen(&adapter).await;
    assert_changed(&transaction, &rows, &user, &session).await;
    transaction.commit().await.unwrap();
    assert_changed(&adapter, &rows, &user, &session).await;
}

pub(super) async fn lists_mix_old_and_new_rows(adapter: Adapter) {
    let user = new_user(&adapter).await;
    let (mut sessions, mut accounts) = (vec![], vec![]);
    for index in 0..6 {
        sessions.push(new_session(&adapter, &user).await);
        let account = account_of(&user, &format!("old {index}"));
        accounts.push(adapter.create_account(account).await.unwrap());
    }
    let transaction = adapter.begin().await.unwrap();
    for index in 0..6 {
        sessions.push(new_session(&transaction, &user).await);
        let account = account_of(&user, &format!("new {index}"));
        accounts.push(transaction.create_account(account).await.unwrap());
    }
    for index in [1, 3] {
        let token = &sessions[index].token;
        let moved = transaction.update_session_expiry(token, in_an_hour());
        moved.await.unwrap();
        let changed = transaction.get_session(token).await.unwrap();
        sessions[index] = changed.unwrap();
    }
    for index in [9, 7, 4, 2] {
        let session = sessions.remove(index);
        transaction.delete_session(&session.token).await.unwrap();
        let account = accounts.remove(index);
        transaction.delete_account(&account.id).await.unwrap();
    }
    sessions.sort_by(|a, b| (b.created_at, &b.id).cmp(&(a.created_at, &a.id)));
    accounts.sort_by(|a, b| (b.created_at, &b.id).cmp(&(a.created_at, &a.id)));
    let listed = transaction.get_user_sessions(&user.id).await.unwrap();
    assert_listed(&listed, &sessions);
    let listed = transaction.get_user_accounts(&user.id).await.unwrap();
    assert_eq!(listed, accounts);
    assert_eq!(adapter.get_user_sessions(&user.id).await.unwrap().len(), 6);
    assert_eq!(adapter.get_user_accounts(&user.id).await.unwrap().len(), 6);
    transaction.commit().await.unwrap();
    let listed = adapter.get_user_sessions(&user.id).await.unwrap();
    assert_listed(&listed, &sessions);
    let listed = adapter.get_user_accounts(&user.id).await.unwrap();
    assert_eq!(listed, accounts);
}

pub(super) async fn users_are_listed_and_counted_as_changed_inside(adapter: Adapter) {
    let everybody = UserFilter::default;
    if let Err(AuthError::Unsupported { .. }) = adapter.count_users(everybody()).await {
        return;
    }
    let (mut before, mut after) = (Vec::new(), Vec::new());
    for _ in 0..4 {
        before.push(new_user(&adapter).await);
    }
    let transaction = adapter.begin().await.unwrap();
    transaction.delete_user(&before[0].id).await.unwrap();
    let changed = transaction.update_user(&before[1].id, to_role("admin"));
    after.push(changed.await.unwrap());
    after.extend_from_slice(&before[2..]);
    after.push(new_user(&transaction).await);
    before.reverse();
    after.reverse();
    assert_users(&transaction, &after, 1).await;
    assert_users(&adapter, &before, 0).await;
    transaction.commit().await.unwrap();
    assert_users(&adapter, &after, 1).await;
}

/// Fails unless there are these users, the newest first, so many of them with the role `admin`.
async fn assert_users(adapter: &dyn DatabaseAdapter, users: &[User], admins: u64) {
    let listed = adapter.list_users(ListUsers::new()).await.unwrap();
    assert_eq!(listed.users, users);
    let count = adapter.count_users(UserFilter::default()).await.unwrap();
    assert_eq!(count, u64::try_from(users.len()).unwrap());
    let filter = UserFilter {
        role: Some("admin".to_owned()),
        ..UserFilter::default()
    };
    assert_eq!(adapter.count_users(filter).await.unwrap(), admins);
}

pub(super) async fn one_session_is_kept_inside(adapter: Adapter) {
    let user = new_user(&adapter).await;
    for kept_is_new in [false, true] {
        let old = [
            new_session(&adapter, &user).await,
            new_session(&adapter, &user).await,
        ];
        let transaction = adapter.begin().await.unwrap();
        let new = [
            new_session(&transaction, &user).await,
            new_session(&transaction, &user).await,
        ];
        let kept = if kept_is_new { &new[0] } else { &old[0] };
        let live = transaction.get_user_sessions(&user.id).await.unwrap().len();
        let deleted = transaction.delete_other_sessions(&user.id, &kept.token);
        match deleted.await {
            Err(AuthError::Unsupported { .. }) => return,
            deleted => assert_eq!(deleted.unwrap(), live - 1),
        }
        let listed = transaction.get_user_sessions(&user.id).await.unwrap();
        assert_listed(&listed, std::slice::from_ref(kept));
        transaction.commit().await.unwrap();
        let listed = adapter.get_user_sessions(&user.id).await.unwrap();
        assert_listed(&listed, std::slice::from_ref(kept));
    }
}

pub(super) async fn names_given_up_inside_are_free_inside(adapter: Adapter) {
    let first = named("a").with_id("a").with_username("a");
    let first = adapter.create_user(first).await.unwrap();
    let second = named("b").with_id("b").with_username("b");
    let second = adapter.create_user(second).await.unwrap();
    let account = account_of(&first, "1");
    let account = adapter.create_account(account).await.unwrap();
    let transaction = adapter.begin().await.unwrap();
    let names = |name: Option<&str>| UpdateUser {
        email: Some(name.map(|name| format!("{name}@example.com"))),
        username: Some(name.map(str::to_owned)),
        ..UpdateUser::default()
    };
    // They swap their names, and a third takes the id and the names of the second.
    for (id, name) in [("a", None), ("b", Some("a")), ("a", Some("b"))] {
        transaction.update_user(id, names(name)).await.unwrap();
    }
    transaction.delete_user(&second.id).await.unwrap();
    let third = named("a").with_id("b").with_username("a");
    let third = transaction.create_user(third).await.unwrap();
    transaction.delete_account(&account.id).await.unwrap();
    let account = account_of(&third, "1");
    let account = transaction.create_account(account).await.unwrap();
    transaction.commit().await.unwrap();
    let found = adapter.get_user_by_email("b@example.com").await.unwrap();
    assert_eq!(found.unwrap().id, first.id);
    let found = adapter.get_user_by_username("a").await.unwrap();
    assert_eq!(found, Some(third.clone()));
    assert_eq!(adapter.get_user_by_id("b").await.unwrap(), Some(third));
    let found = adapter.get_account("github", "1").await.unwrap();
    assert_eq!(found, Some(account.clone()));
    assert_eq!(adapter.get_user_accounts("a").await.unwrap(), []);
    assert_eq!(adapter.get_user_accounts("b").await.unwrap(), [account]);
}

pub(super) async fn a_user_deleted_inside_is_gone_inside(adapter: Adapter) {
    let rows = Rows::create(&adapter, "a").await.unwrap();
    let id = &rows.verification.id;
    let transaction = adapter.begin().await.unwrap();
    let inside = new_session(&transaction, &rows.user).await;
    transaction.delete_user(&rows.user.id).await.unwrap();
    transaction.delete_verification(id).await.unwrap();
    rows.assert_unseen(&transaction).await;
    let found = transaction.get_session(&inside.token).await.unwrap();
    assert_eq!(found, None);
    rows.assert_seen(&adapter).await;
    transaction.commit().await.unwrap();
    rows.assert_unseen(&adapter).await;
    assert_eq!(adapter.get_session(&inside.token).await.unwrap(), None);
}

pub(super) async fn readers_outside_do_not_wait(adapter: Adapter) {
    let changed = Rows::create(&adapter, "a").await.unwrap();
    let deleted = Rows::create(&adapter, "b").await.unwrap();
    let transaction = adapter.begin().await.unwrap();
    let update = UpdateUser {
        email: Some(Some("c@example.com".to_owned())),
        ..to_role("admin")
    };
    let Rows { user, session, .. } = &changed;
    transaction.update_user(&user.id, update).await.unwrap();
    let sooner = session.expires_at - TimeDelta::minutes(1);
    let moved = transaction.update_session_expiry(&session.token, sooner);
    moved.await.unwrap();
    transaction.consume_verification("a", "a").await.unwrap();
    transaction.delete_user(&deleted.user.id).await.unwrap();
    let id = &deleted.verification.id;
    transaction.delete_verification(id).await.unwrap();
    let patience = Duration::from_secs(10);
    for rows in [&changed, &deleted] {
        let read = tokio::time::timeout(patience, rows.assert_seen(&adapter));
        read.await.expect("readers do not wait");
    }
    transaction.commit().await.unwrap();
    deleted.assert_unseen(&adapter).await;
}

pub(super) async fn the_adapter_reads_meanwhile(adapter: Adapter) {
    let rows = Rows::create(&adapter, "a").await.unwrap();
    let transaction = adapter.begin().await.unwrap();
    for round in 0..20 {
        let role = to_role(&round.to_string());
        let inside = transaction.update_user(&rows.user.id, role).await.unwrap();
        rows.assert_seen(&adapter).await;
        let found = transaction.get_user_by_id(&rows.user.id).await.unwrap();
        assert_eq!(found, Some(inside));
    }
    transaction.commit().await.unwrap();
    let user = adapter.get_user_by_id(&rows.user.id).await.unwrap();
    assert_eq!(user.unwrap().role.as_deref(), Some("19"));
}

pub(super) async fn time_goes_on_inside(adapter: Adapter) {
    let user = new_user(&adapter).await;
    let transaction = adapter.begin().await.unwrap();
    // By the clock of the store, which need not be this machine's.
    let now = transaction.create_verification(code("now", "1")).await;
    let soon = now.unwrap().created_at + TimeDelta::milliseconds(800);
    let ending = CreateSession::new(&user.id, soon);
    let ending = transaction.create_session(ending).await.unwrap();
    let verification = CreateVerification::new("a", "2", soon);
    transaction.create_verification(verification).await.unwrap();
    let found = transaction.get_session(&ending.token).await.unwrap();
    assert_eq!(found.as_ref(), Some(&ending));
    let found = transaction.get_verification("a", "2").await.unwrap();
    assert!(found.is_some());
    tokio::time::sleep(Duration::from_millis(1000)).await;
    let found = transaction.get_session(&ending.token).await.unwrap();
    assert_eq!(found, None);
    let listed = transaction.get_user_sessions(&user.id).await.unwrap();
    assert_eq!(listed, []);
    let found = transaction.get_verification("a", "2").await.unwrap();
    assert_eq!(found, None);
    let found = transaction.consume_verification("a", "2").await.unwrap();
    assert_eq!(found, None);
    assert_eq!(transaction.delete_expired_sessions().await.unwrap(), 1);
    transaction.commit().await.unwrap();
}

pub(super) async fn dead_sessions_stay_dead_inside(adapter: Adapter) {
    let user = new_user(&adapter).await;
    let session = new_session(&adapter, &user).await;
    let dead = CreateSession::new(&user.id, an_hour_ago());
    let dead = adapter.create_session(dead).await.unwrap();
    for token in [&dead.token, &session.token] {
        let transaction = adapter.begin().await.unwrap();
        let end = transaction.update_session_expiry(&session.token, an_hour_ago());
        end.await.unwrap();
        assert_eq!(transaction.get_session(token).await.unwrap(), None);
        let listed = transaction.get_user_sessions(&user.id).await.unwrap();
        assert_eq!(listed, []);
        assert_error!(
            transaction.update_session_expiry(token, in_an_hour()).await,
            AuthError::SessionNotFound
        );
        assert_error!(transaction.commit().await, AuthError::TransactionAborted);
        let found = adapter.get_session(&session.token).await.unwrap();
        assert_eq!(found.as_ref(), Some(&session));
    }
    let transaction = adapter.begin().await.unwrap();
    let end = transaction.update_session_expiry(&session.token, an_hour_ago());
    end.await.unwrap();
    transaction.commit().await.unwrap();
    assert_eq!(adapter.get_session(&session.token).await.unwrap(), None);
}

pub(super) async fn updated_at_moves_forward_inside(adapter: Adapter) {
    let old = Rows::create(&adapter, "old").await.unwrap();
    let transaction = adapter.begin().await.unwrap();
    let new = Rows::create(&transaction, "new").await.unwrap();
    for Rows { user, session, .. } in [old, new] {
        let (mut user, mut session) = (user, session);
        for round in 0..10 {
            let role = to_role(&round.to_string());
            let updated = transaction.update_user(&user.id, role).await.unwrap();
            assert!(updated.updated_at > user.updated_at);
            assert_eq!(updated.created_at, user.created_at);
            user = updated;
            let token = &session.token;
            let later = session.expires_at + TimeDelta::minutes(1);
            transaction
                .update_session_expiry(token, later)
                .await
                .unwrap();
            let updated = transaction.get_session(token).await.unwrap().unwrap();
            assert!(updated.updated_at > session.updated_at);
            session = updated;
        }
        let found = transaction.get_session_with_user(&session.token).await;
        assert_eq!(found.unwrap(), Some((session, user)));
    }
    let before = transaction.get_user_by_email("old@example.com").await;
    transaction.commit().await.unwrap();
    let after = adapter.get_user_by_email("old@example.com").await;
    assert_eq!(after.unwrap(), before.unwrap());
}

pub(super) async fn dead_rows_are_removed_at_commit(adapter: Adapter) {
    let user = new_user(&adapter).await;
    let live = new_session(&adapter, &user).await;
    for _ in 0..3 {
        let dead = CreateSession::new(&user.id, an_hour_ago());
        adapter.create_session(dead).await.unwrap();
        let dead = expired_code("a", "1");
        adapter.create_verification(dead).await.unwrap();
    }
    let transaction = adapter.begin().await.unwrap();
    let dead = CreateSession::new(&user.id, an_hour_ago());
    transaction.create_session(dead).await.unwrap();
    for expected in [4, 0] {
        let removed = transaction.delete_expired_sessions().await.unwrap();
        assert_eq!(removed, expected);
    }
    for expected in [3, 0] {
        let removed = transaction.delete_expired_verifications().await.unwrap();
        assert_eq!(removed, expected);
    }
    transaction.rollback().await.unwrap();
    let transaction = adapter.begin().await.unwrap();
    let removed = Removed {
        sessions: 3,
        verifications: 3,
    };
    for expected in [removed, Removed::default()] {
        assert_eq!(transaction.clean_up().await.unwrap(), expected);
    }
    transaction.commit().await.unwrap();
    assert_eq!(adapter.clean_up().await.unwrap(), Removed::default());
    assert_eq!(adapter.get_session(&live.token).await.unwrap(), Some(live));
}

pub(super) async fn one_time_tokens_are_used_up_at_commit(adapter: Adapter) {
    adapter.create_verification(code("a", "1")).await.unwrap();
    let newest = adapter.create_verification(code("a", "1")).await.unwrap();
    for commit in [false, true] {
        let transaction = adapter.begin().await.unwrap();
        let consumed = transaction.consume_verification("a", "1").await.unwrap();
        assert_eq!(consumed.as_ref(), Some(&newest));
        let found = transaction.get_verification("a", "1").await.unwrap();
        assert_eq!(found, None);
        let again = transaction.consume_verification("a", "1").await.unwrap();
        assert_eq!(again, None);
        let outside = adapter.get_verification("a", "1").await.unwrap();
        assert_eq!(outside.as_ref(), Some(&newest));
        if commit {
            transaction.commit().await.unwrap();
        } else {
            transaction.rollback().await.unwrap();
            let found = adapter.get_verification_by_value("1").await.unwrap();
            assert_eq!(found.as_ref(), Some(&newest));
        }
    }
    assert_eq!(adapter.get_verification("a", "1").await.unwrap(), None);
    assert_eq!(adapter.consume_verification("a", "1").await.unwrap(), None);
    // A token that is issued inside is used up inside too.
    let transaction = adapter.begin().await.unwrap();
    let issued = transaction.create_verification(code("a", "1")).await;
    let consumed = transaction.consume_verification("a", "1").await.unwrap();
    assert_eq!(consumed, Some(issued.unwrap()));
    transaction.commit().await.unwrap();
    assert_eq!(adapter.get_verification("a", "1").await.unwrap(), None);
}
