//! Promises about how transactions end.

use std::time::Duration;

use super::{
    Adapter, Caller, account_of, assert_eq, assert_error, assert_listed, code, in_an_hour, in_time,
    new_session, new_user, poll,
};
use crate::adapters::{DatabaseAdapter, Transaction};
use crate::types::{
    Account, CreateAccount, CreateSession, CreateUser, Session, UpdateUser, User, Verification,
};
use crate::{AuthError, AuthResult, ConflictField};

/// One row of each kind, all of the same name.
#[derive(Debug)]
pub(super) struct Rows {
    pub(super) user: User,
    pub(super) session: Session,
    pub(super) account: Account,
    pub(super) verification: Verification,
}

impl Rows {
    pub(super) async fn create(adapter: &dyn DatabaseAdapter, name: &str) -> AuthResult<Self> {
        let user = named(name).with_username(name);
        let user = adapter.create_user(user).await?;
        let session = CreateSession::new(&user.id, in_an_hour());
        Ok(Self {
            session: adapter.create_session(session).await?,
            account: adapter.create_account(account_of(&user, name)).await?,
            verification: adapter.create_verification(code(name, name)).await?,
            user,
        })
    }

    /// Fails unless every lookup finds the rows as they were created.
    #[track_caller]
    pub(super) fn assert_seen(&self, adapter: &dyn DatabaseAdapter) -> impl Future<Output = ()> {
        self.check_seen(adapter, Caller::here())
    }

    async fn check_seen(&self, adapter: &dyn DatabaseAdapter, _caller: Caller) {
        let (session, user) = (Some(&self.session), Some(&self.user));
        for found in self.users(adapter).await {
            assert_eq!(found.as_ref(), user);
        }
        let found = adapter.get_session(&self.session.token).await.unwrap();
        assert_eq!(found.as_ref(), session);
        let found = adapter.get_session_with_user(&self.session.token).await;
        assert_eq!(
            found.unwrap(),
            Some((self.session.clone(), self.user.clone()))
        );
        let listed = adapter.get_user_sessions(&self.user.id).await.unwrap();
        assert_listed(&listed, std::slice::from_ref(&self.session));
        let found = adapter.get_account("github", &self.account.account_id);
        assert_eq!(found.await.unwrap().as_ref(), Some(&self.account));
        let listed = adapter.get_user_accounts(&self.user.id).await.unwrap();
        assert_eq!(listed, std::slice::from_ref(&self.account));
        for found in self.verifications(adapter).await {
            assert_eq!(found.as_ref(), Some(&self.verification));
        }
    }

    /// Fails where any lookup finds one of the rows.
    #[track_caller]
    pub(super) fn assert_unseen(&self, adapter: &dyn DatabaseAdapter) -> impl Future<Output = ()> {
        self.check_unseen(adapter, Caller::here())
    }

    async fn check_unseen(&self, adapter: &dyn DatabaseAdapter, _caller: Caller) {
        assert_eq!(self.users(adapter).await, [None, None, None]);
        let token = &self.session.token;
        assert_eq!(adapter.get_session(token).await.unwrap(), None);
        assert_eq!(adapter.get_session_with_user(token).await.unwrap(), None);
        let listed = adapter.get_user_sessions(&self.user.id).await.unwrap();
        assert_eq!(listed, []);
        let found = adapter.get_account("github", &self.account.account_id);
        assert_eq!(found.await.unwrap(), None);
        let listed = adapter.get_user_accounts(&self.user.id).await.unwrap();
        assert_eq!(listed, []);
        assert_eq!(self.verifications(adapter).await, [None, None]);
    }

    async fn users(&self, adapter: &dyn DatabaseAdapter) -> [Option<User>; 3] {
        let email = self.user.email.as_deref().unwrap();
        let username = self.user.username.as_deref().unwrap();
        [
            adapter.get_user_by_id(&self.user.id).await.unwrap(),
            adapter.get_user_by_email(email).await.unwrap(),
            adapter.get_user_by_username(username).await.unwrap(),
        ]
    }

    async fn verifications(&self, adapter: &dyn DatabaseAdapter) -> [Option<Verification>; 2] {
        let Verification {
            identifier, value, ..
        } = &self.verification;
        [
            adapter.get_verification(identifier, value).await.unwrap(),
            adapter.get_verification_by_value(value).await.unwrap(),
        ]
    }

    /// Removes the rows, so that others may have the name.
    async fn delete(self, adapter: &dyn DatabaseAdapter) {
        adapter.delete_user(&self.user.id).await.unwrap();
        let id = &self.verification.id;
        adapter.delete_verification(id).await.unwrap();
    }
}

pub(super) fn named(name: &str) -> CreateUser {
    CreateUser::new().with_email(format!("{name}@example.com"))
}

pub(super) fn to_role(role: &str) -> UpdateUser {
    UpdateUser {
        role: Some(Some(role.to_owned())),
        ..UpdateUser::default()
    }
}

pub(super) async fn a_commit_makes_all_visible(adapter: Adapter) {
    let transaction = adapter.begin().await.unwrap();
    let rows = Rows::create(&transaction, "a").await.unwrap();
    rows.assert_seen(&transaction).await;
    rows.assert_unseen(&adapter).await;
    // What is made anew at commit would have another time.
    tokio::time::sleep(Duration::from_millis(5)).await;
    transaction.commit().await.unwrap();
    rows.assert_seen(&adapter).await;
}

pub(super) async fn a_rollback_leaves_nothing(adapter: Adapter) {
    let kept = Rows::create(&adapter, "kept").await.unwrap();
    let transaction = adapter.begin().await.unwrap();
    let rows = Rows::create(&transaction, "a").await.unwrap();
    transaction.delete_user(&kept.user.id).await.unwrap();
    transaction.rollback().await.unwrap();
    rows.assert_unseen(&adapter).await;
    kept.assert_seen(&adapter).await;
    let again = in_time(Rows::create(&adapter, "a")).await.unwrap();
    again.assert_seen(&adapter).await;
}

pub(super) async fn a_drop_leaves_nothing(adapter: Adapter) {
    let kept = Rows::create(&adapter, "kept").await.unwrap();
    let transaction = adapter.begin().await.unwrap();
    let rows = Rows::create(&transaction, "a").await.unwrap();
    transaction.delete_user(&kept.user.id).await.unwrap();
    drop(transaction);
    rows.assert_unseen(&adapter).await;
    kept.assert_seen(&adapter).await;
    let again = in_time(Rows::create(&adapter, "a")).await.unwrap();
    again.assert_seen(&adapter).await;
}

pub(super) async fn an_empty_transaction_ends_well(adapter: Adapter) {
    for _ in 0..10 {
        adapter.begin().await.unwrap().commit().await.unwrap();
        adapter.begin().await.unwrap().rollback().await.unwrap();
    }
    new_user(&adapter).await;
}

pub(super) async fn a_transaction_may_be_dropped_in_any_state(adapter: Adapter) {
    for state in 0..10 {
        let transaction = adapter.begin().await.unwrap();
        if state > 0 {
            Rows::create(&transaction, "a").await.unwrap();
        }
        if state == 2 {
            let taken = transaction.create_user(named("a")).await;
            assert_error!(taken, AuthError::Conflict { .. });
        }
        if state > 2 {
            let mut call = transaction.create_user(named("b"));
            poll(call.as_mut(), state - 2).await;
        }
        drop(transaction);
        let rows = in_time(Rows::create(&adapter, "a")).await.unwrap();
        let other = in_time(Rows::create(&adapter, "b")).await.unwrap();
        rows.assert_seen(&adapter).await;
        rows.delete(&adapter).await;
        other.delete(&adapter).await;
    }
}

pub(super) async fn dropped_transactions_use_nothing_up(adapter: Adapter) {
    for round in 0..50 {
        let mut begin = adapter.begin();
        poll(begin.as_mut(), round % 5).await;
        drop(begin);
        let transaction = in_time(adapter.begin()).await.unwrap();
        in_time(transaction.create_user(named("a"))).await.unwrap();
    }
    let rows = in_time(Rows::create(&adapter, "a")).await.unwrap();
    rows.assert_seen(&adapter).await;
}

/// What can fail in a transaction.
const FAILURES: usize = 7;

async fn fail(transaction: &dyn Transaction, taken: &Rows, failure: usize) -> AuthError {
    let Rows { user, account, .. } = taken;
    let account_of_user = CreateAccount::new(&user.id, "github", &account.account_id);
    let of_nobody = CreateSession::new("nobody", in_an_hour());
    let failed = match failure {
        0 => transaction
            .create_user(CreateUser::new().with_name("a\0b"))
            .await
            .map(drop),
        1 => transaction.create_user(named("taken")).await.map(drop),
        2 => transaction.create_account(account_of_user).await.map(drop),
        3 => transaction
            .update_user("nobody", to_role("a"))
            .await
            .map(drop),
        4 => transaction
            .update_user("a\0b", UpdateUser::default())
            .await
            .map(drop),
        5 => transaction.create_session(of_nobody).await.map(drop),
        _ => {
            transaction
                .update_session_expiry("nothing", in_an_hour())
                .await
        }
    };
    failed.unwrap_err()
}

pub(super) async fn an_error_aborts(adapter: Adapter) {
    let taken = Rows::create(&adapter, "taken").await.unwrap();
    for failure in 0..FAILURES {
        let transaction = adapter.begin().await.unwrap();
        let rows = Rows::create(&transaction, "a").await.unwrap();
        let error = fail(&*transaction, &taken, failure).await;
        match failure {
            0 => assert!(matches!(error, AuthError::Validation { field: "name", .. })),
            1 | 2 => assert!(matches!(error, AuthError::Conflict { .. })),
            3..=5 => assert!(matches!(error, AuthError::UserNotFound)),
            _ => assert!(matches!(error, AuthError::SessionNotFound)),
        }
        let id = &taken.user.id;
        for answer in [
            transaction.get_user_by_id(id).await.map(drop),
            transaction.get_user_by_email("a\0b").await.map(drop),
            transaction.get_user_sessions(id).await.map(drop),
            transaction.create_user(CreateUser::new()).await.map(drop),
            transaction.update_user(id, to_role("a")).await.map(drop),
            transaction.delete_user(id).await,
            transaction
                .create_verification(code("a", "1"))
                .await
                .map(drop),
            transaction.consume_verification("a", "a").await.map(drop),
            transaction.delete_expired_sessions().await.map(drop),
            transaction.clean_up().await.map(drop),
            transaction.commit().await,
        ] {
            assert_error!(answer, AuthError::TransactionAborted);
        }
        rows.assert_unseen(&adapter).await;
        taken.assert_seen(&adapter).await;
    }
}

pub(super) async fn an_aborted_transaction_can_be_rolled_back(adapter: Adapter) {
    let taken = Rows::create(&adapter, "taken").await.unwrap();
    for failure in 0..FAILURES {
        let transaction = adapter.begin().await.unwrap();
        let rows = Rows::create(&transaction, "a").await.unwrap();
        fail(&*transaction, &taken, failure).await;
        transaction.rollback().await.unwrap();
        rows.assert_unseen(&adapter).await;
    }
}

pub(super) async fn begin_inside_is_unsupported(adapter: Adapter) {
    let transaction = adapter.begin().await.unwrap();
    let first = Rows::create(&transaction, "a").await.unwrap();
    match transaction.begin().await.map(drop) {
        Err(AuthError::Unsupported { operation: "begin" }) => {}
        answer => panic!("{answer:?}"),
    }
    let second = Rows::create(&transaction, "b").await.unwrap();
    first.assert_seen(&transaction).await;
    transaction.commit().await.unwrap();
    first.assert_seen(&adapter).await;
    second.assert_seen(&adapter).await;
}

pub(super) async fn conflicts_inside_name_the_field(adapter: Adapter) {
    let first = named("old").with_id("old").with_username("old");
    let old = adapter.create_user(first).await.unwrap();
    adapter
        .create_account(account_of(&old, "old"))
        .await
        .unwrap();
    for name in ["old", "new"] {
        let upper = name.to_uppercase();
        for (field, create) in [
            (ConflictField::UserId, CreateUser::new().with_id(name)),
            (ConflictField::Email, named(&upper)),
            (
                ConflictField::Username,
                CreateUser::new().with_username(upper),
            ),
        ] {
            let transaction = adapter.begin().await.unwrap();
            let own = named("new").with_id("new").with_username("new");
            transaction.create_user(own).await.unwrap();
            match transaction.create_user(create).await {
                Err(AuthError::Conflict { field: named }) => assert_eq!(named, field),
                answer => panic!("{answer:?} for {field}"),
            }
        }
        let transaction = adapter.begin().await.unwrap();
        let own = account_of(&old, "new");
        transaction.create_account(own).await.unwrap();
        assert_error!(
            transaction.create_account(account_of(&old, name)).await,
            AuthError::Conflict {
                field: ConflictField::Account
            }
        );
    }
}

pub(super) async fn a_dropped_call_aborts(adapter: Adapter) {
    for round in 0..24 {
        let (first, second) = (format!("a{round}"), format!("b{round}"));
        let transaction = adapter.begin().await.unwrap();
        transaction.create_user(named(&first)).await.unwrap();
        let mut call = transaction.create_user(named(&second));
        let answer = if round % 2 == 0 {
            poll(call.as_mut(), round / 2).await
        } else {
            let patience = Duration::from_micros(u64::try_from(round).unwrap() * 100);
            tokio::time::timeout(patience, call.as_mut()).await.ok()
        };
        drop(call);
        let answered = answer.map(Result::unwrap);
        let committed = transaction.commit().await;
        match &committed {
            Ok(()) => {}
            Err(AuthError::TransactionAborted) => {
                assert!(answered.is_none() && round > 0, "aborted without a reason");
            }
            Err(error) => panic!("{error}"),
        }
        let (first, second) = (named(&first).email, named(&second).email);
        let found = adapter.get_user_by_email(&first.unwrap()).await.unwrap();
        assert_eq!(found.is_some(), committed.is_ok());
        let found = adapter.get_user_by_email(&second.unwrap()).await;
        let expected = answered.filter(|_| committed.is_ok());
        assert_eq!(found.unwrap(), expected);
    }
}

pub(super) async fn hundreds_of_rows_are_committed_together(adapter: Adapter) {
    const COUNT: usize = 500;
    let transaction = adapter.begin().await.unwrap();
    let owner = new_user(&transaction).await;
    let (mut users, mut sessions, mut accounts, mut verifications) =
        (vec![], vec![], vec![], vec![]);
    for index in 0..COUNT {
        let name = index.to_string();
        users.push(transaction.create_user(named(&name)).await.unwrap());
        sessions.push(new_session(&transaction, &owner).await);
        let account = account_of(&owner, &name);
        accounts.push(transaction.create_account(account).await.unwrap());
        let code = code(&name, "1");
        verifications.push(transaction.create_verification(code).await.unwrap());
    }
    assert_eq!(adapter.get_user_by_id(&owner.id).await.unwrap(), None);
    transaction.commit().await.unwrap();
    for user in users {
        let email = user.email.clone().unwrap();
        let found = adapter.get_user_by_email(&email).await.unwrap();
        assert_eq!(found, Some(user));
    }
    sessions.sort_by(|a, b| (b.created_at, &b.id).cmp(&(a.created_at, &a.id)));
    let listed = adapter.get_user_sessions(&owner.id).await.unwrap();
    assert_listed(&listed, &sessions);
    accounts.sort_by(|a, b| (b.created_at, &b.id).cmp(&(a.created_at, &a.id)));
    let listed = adapter.get_user_accounts(&owner.id).await.unwrap();
    assert_eq!(listed, accounts);
    for row in verifications {
        let found = adapter.get_verification(&row.identifier, "1").await;
        assert_eq!(found.unwrap(), Some(row));
    }
}
