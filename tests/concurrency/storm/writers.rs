//! Who changes things, at random.

use std::sync::Arc;
use std::time::Instant;

use better_auth::adapters::DatabaseAdapter;
use better_auth::types::{
    CreateAccount, CreateSession, CreateUser, CreateVerification, ListUsers, UpdateAccount,
    UpdateSession, UpdateUser, UserFilter,
};
use better_auth::{AuthError, AuthResult};
use chrono::{DateTime, TimeDelta, Utc};

use super::{
    ACCOUNT_IDS, EMAILS, IDENTIFIERS, IDS, OPERATIONS, PROVIDERS, SIGNED_UP, Shared, TWINS,
    USERNAMES, VALUES, is_account, is_session, is_verification, user_id,
};
use crate::in_an_hour;
use crate::ledger::{Ledger, Notes, Scope, Thing};
use crate::random::Random;
use crate::watch::Watched;

/// Returns how many operations and transactions were done, refused and dropped.
pub(super) async fn write(shared: Arc<Shared>, mut random: Random, task: Watched) -> [usize; 3] {
    let mut counts = [0; 3];
    let mut left = OPERATIONS;
    while left > 0 && Instant::now() < shared.end {
        left -= 1;
        let mut notes = Notes::new(&shared.ledger);
        let outcome = if random.one_in(4) {
            transact(&shared, &mut random, &mut notes, &task).await
        } else {
            let operation = Operation::choose(&shared.ledger, &mut random);
            task.does(format!("{operation:?}"));
            let call = operation.run(&shared.database, &mut notes);
            random.finish_or_drop(call).await
        };
        match outcome {
            Some(Ok(())) => {
                notes.done();
                counts[0] += 1;
            }
            Some(Err(error)) => {
                check(&error);
                notes.undone();
                counts[1] += 1;
            }
            // What it would remove is perhaps gone now or later.
            None => counts[2] += 1,
        }
    }
    counts
}

/// Fails where an error is none that others cause.
fn check(error: &AuthError) {
    let expected = matches!(
        error,
        AuthError::UserNotFound
            | AuthError::SessionNotFound
            | AuthError::AccountNotFound
            | AuthError::Conflict { .. }
            | AuthError::TransactionAborted
            | AuthError::Unavailable {
                contention: true,
                ..
            }
    );
    assert!(expected, "{error:?}");
}

/// Several operations in a transaction, which is committed, rolled back or dropped. `Ok` only where it was committed.
async fn transact(
    shared: &Shared,
    random: &mut Random,
    notes: &mut Notes<'_>,
    task: &Watched,
) -> Option<AuthResult<()>> {
    task.does("begins a transaction");
    let begun = random.finish_or_drop(shared.database.begin()).await;
    // A transaction that nobody got does nothing.
    let transaction = match begun.unwrap_or(Err(AuthError::TransactionAborted)) {
        Ok(transaction) => transaction,
        Err(error) => return Some(Err(error)),
    };
    let mut aborted = false;
    for operation in Operation::several(&shared.ledger, random) {
        task.does(format!("{operation:?} in a transaction"));
        let call = operation.run(&transaction, notes);
        let answer = random.finish_or_drop(call).await;
        if let Some(Err(error)) = &answer {
            check(error);
            assert!(!aborted || matches!(error, AuthError::TransactionAborted));
        }
        let done = matches!(answer, Some(Ok(())));
        assert!(!(aborted && done), "done after an error");
        aborted |= !done;
    }
    match random.below(6) {
        0 => {
            task.does("drops a transaction");
            drop(transaction);
            Some(Err(AuthError::TransactionAborted))
        }
        1 => {
            task.does("rolls back");
            let undone = random.finish_or_drop(transaction.rollback()).await;
            undone.unwrap_or(Ok(())).unwrap();
            Some(Err(AuthError::TransactionAborted))
        }
        _ => {
            task.does("commits");
            let committed = random.finish_or_drop(transaction.commit()).await;
            assert!(
                !(aborted && matches!(committed, Some(Ok(())))),
                "committed after an error"
            );
            committed
        }
    }
}

#[derive(Debug)]
enum Operation {
    CreateUser(CreateUser),
    UpdateUser(String, UpdateUser),
    DeleteUser(String),
    ListUsers(bool),
    CreateSession(CreateSession),
    UpdateSession(String, UpdateSession),
    UpdateSessionExpiry(String, DateTime<Utc>),
    DeleteSession(String),
    DeleteUserSessions(String),
    CreateAccount(CreateAccount),
    UpdateAccount(String, UpdateAccount),
    DeleteAccount(String),
    CreateVerification(CreateVerification),
    ConsumeVerification(String, String),
    DeleteVerification(String),
    Removed(bool),
    /// A user, with the account and a session that belong to it.
    SignUp(CreateUser),
    /// Changes one twin; in a transaction, the other one too.
    UpdateTwin(&'static str, String),
}

const OVER: DateTime<Utc> = DateTime::UNIX_EPOCH;

fn end(random: &mut Random) -> DateTime<Utc> {
    if random.one_in(6) { OVER } else { in_an_hour() }
}

/// As `end`, or so soon that it is seen to end by itself.
fn first_end(random: &mut Random) -> DateTime<Utc> {
    if random.one_in(6) {
        Utc::now() + TimeDelta::milliseconds(5)
    } else {
        end(random)
    }
}

fn create_user(random: &mut Random) -> CreateUser {
    let mut maybe = |from: &[&str]| {
        let picked = random.pick(from).to_owned();
        (!random.one_in(3)).then_some(picked)
    };
    CreateUser {
        id: maybe(&IDS),
        email: maybe(&EMAILS),
        username: maybe(&USERNAMES),
        ..CreateUser::default()
    }
}

fn update_user(random: &mut Random) -> UpdateUser {
    let mut change = |from: &[&str]| {
        let picked = random.pick(from).to_owned();
        (!random.one_in(3)).then(|| (!random.one_in(3)).then_some(picked))
    };
    UpdateUser {
        email: change(&EMAILS),
        username: change(&USERNAMES),
        name: change(&USERNAMES),
        ..UpdateUser::default()
    }
}

fn update_session(random: &mut Random) -> UpdateSession {
    UpdateSession {
        expires_at: random.one_in(2).then(|| end(random)),
        user_agent: Some(Some(random.below(100).to_string())),
        active: random.one_in(2).then(|| !random.one_in(3)),
        ..UpdateSession::default()
    }
}

impl Operation {
    fn choose(ledger: &Ledger, random: &mut Random) -> Self {
        let key = |random: &mut Random, kind: fn(&Thing) -> bool| match ledger.some(random, kind) {
            Some(Thing::Session(key) | Thing::Account(key) | Thing::Verification(key)) => key,
            _ => "none".to_owned(),
        };
        match random.below(40) {
            0..=6 => Self::CreateUser(create_user(random)),
            7..=11 => Self::UpdateUser(user_id(ledger, random), update_user(random)),
            12..=13 => Self::DeleteUser(user_id(ledger, random)),
            14 => Self::ListUsers(random.one_in(2)),
            15..=19 => {
                let session = CreateSession::new(user_id(ledger, random), first_end(random));
                Self::CreateSession(session)
            }
            20..=22 => Self::UpdateSession(key(random, is_session), update_session(random)),
            23 => Self::UpdateSessionExpiry(key(random, is_session), end(random)),
            24 => Self::DeleteSession(key(random, is_session)),
            25 => Self::DeleteUserSessions(user_id(ledger, random)),
            26..=28 => Self::CreateAccount(CreateAccount::new(
                user_id(ledger, random),
                random.pick(&PROVIDERS),
                random.pick(&ACCOUNT_IDS),
            )),
            29 => {
                let update = UpdateAccount {
                    scope: Some(Some("all".to_owned())),
                    ..UpdateAccount::default()
                };
                Self::UpdateAccount(key(random, is_account), update)
            }
            30 => Self::DeleteAccount(key(random, is_account)),
            31..=33 => Self::CreateVerification(CreateVerification::new(
                random.pick(&IDENTIFIERS),
                random.pick(&VALUES),
                first_end(random),
            )),
            34..=36 => Self::ConsumeVerification(
                random.pick(&IDENTIFIERS).to_owned(),
                random.pick(&VALUES).to_owned(),
            ),
            37 => Self::DeleteVerification(key(random, is_verification)),
            38 => Self::Removed(true),
            _ => Self::Removed(false),
        }
    }

    /// What a transaction does: one of the things that belong together, or a few of any kind.
    fn several(ledger: &Ledger, random: &mut Random) -> Vec<Self> {
        match random.below(4) {
            0 => {
                let user = CreateUser {
                    id: None,
                    role: Some(SIGNED_UP.to_owned()),
                    ..create_user(random)
                };
                vec![Self::SignUp(user)]
            }
            1 => {
                let image = random.below(1_000_000).to_string();
                let mut both = TWINS.map(|twin| Self::UpdateTwin(twin, image.clone()));
                if random.one_in(2) {
                    both.reverse();
                }
                Vec::from(both)
            }
            _ => (0..=random.below(4))
                .map(|_| Self::choose(ledger, random))
                .collect(),
        }
    }

    async fn run(self, database: &dyn DatabaseAdapter, notes: &mut Notes<'_>) -> AuthResult<()> {
        match self {
            Self::CreateUser(user) => create(database, user, notes).await.map(drop),
            Self::UpdateUser(id, update) => database.update_user(&id, update).await.map(drop),
            Self::DeleteUser(id) => {
                notes.removes(Scope::User(id.clone()));
                database.delete_user(&id).await
            }
            Self::ListUsers(true) => database.list_users(ListUsers::new()).await.map(drop),
            Self::ListUsers(false) => database.count_users(UserFilter::default()).await.map(drop),
            Self::CreateSession(session) => open(database, session, notes).await,
            Self::UpdateSession(token, update) => {
                if update.active == Some(false) || update.expires_at == Some(OVER) {
                    notes.removes(Scope::Session(token.clone()));
                }
                database.update_session(&token, update).await.map(drop)
            }
            Self::UpdateSessionExpiry(token, end) => {
                if end == OVER {
                    notes.removes(Scope::Session(token.clone()));
                }
                database.update_session_expiry(&token, end).await
            }
            Self::DeleteSession(token) => {
                notes.removes(Scope::Session(token.clone()));
                database.delete_session(&token).await
            }
            Self::DeleteUserSessions(id) => {
                notes.removes(Scope::SessionsOf(id.clone()));
                database.delete_user_sessions(&id).await
            }
            Self::CreateAccount(account) => link(database, account, notes).await,
            Self::UpdateAccount(id, update) => database.update_account(&id, update).await.map(drop),
            Self::DeleteAccount(id) => {
                notes.removes(Scope::Account(id.clone()));
                database.delete_account(&id).await
            }
            Self::CreateVerification(code) => issue(database, code, notes).await,
            Self::ConsumeVerification(identifier, value) => {
                notes.removes(Scope::Pair(identifier.clone(), value.clone()));
                let consumed = database.consume_verification(&identifier, &value).await?;
                if let Some(verification) = consumed {
                    assert_eq!(verification.identifier, identifier);
                    assert_eq!(verification.value, value);
                    notes.consumed(&verification);
                }
                Ok(())
            }
            Self::DeleteVerification(id) => {
                notes.removes(Scope::Verification(id.clone()));
                database.delete_verification(&id).await
            }
            Self::Removed(true) => database.clean_up().await.map(drop),
            Self::Removed(false) => database.delete_expired_sessions().await.map(drop),
            Self::SignUp(user) => {
                let id = create(database, user, notes).await?;
                link(database, CreateAccount::new(&id, SIGNED_UP, &id), notes).await?;
                open(database, CreateSession::new(&id, in_an_hour()), notes).await
            }
            Self::UpdateTwin(id, image) => {
                let update = UpdateUser {
                    image: Some(Some(image)),
                    ..UpdateUser::default()
                };
                database.update_user(id, update).await.map(drop)
            }
        }
    }
}

async fn create(
    database: &dyn DatabaseAdapter,
    user: CreateUser,
    notes: &mut Notes<'_>,
) -> AuthResult<String> {
    let begun = notes.now();
    let user = database.create_user(user).await?;
    notes.created(&user, begun, vec![Scope::User(user.id.clone())]);
    Ok(user.id)
}

async fn open(
    database: &dyn DatabaseAdapter,
    session: CreateSession,
    notes: &mut Notes<'_>,
) -> AuthResult<()> {
    let begun = notes.now();
    let session = database.create_session(session).await?;
    // What ends by itself is no part of the ledger.
    if session.expires_at > Utc::now() + TimeDelta::minutes(30) {
        let within = vec![
            Scope::User(session.user_id.clone()),
            Scope::SessionsOf(session.user_id.clone()),
            Scope::Session(session.token.clone()),
        ];
        notes.created(&session, begun, within);
    }
    Ok(())
}

async fn link(
    database: &dyn DatabaseAdapter,
    account: CreateAccount,
    notes: &mut Notes<'_>,
) -> AuthResult<()> {
    let begun = notes.now();
    let account = database.create_account(account).await?;
    // Whoever has signed up keeps that account.
    if account.provider_id != SIGNED_UP {
        let within = vec![
            Scope::User(account.user_id.clone()),
            Scope::Account(account.id.clone()),
        ];
        notes.created(&account, begun, within);
    }
    Ok(())
}

async fn issue(
    database: &dyn DatabaseAdapter,
    code: CreateVerification,
    notes: &mut Notes<'_>,
) -> AuthResult<()> {
    let begun = notes.now();
    let code = database.create_verification(code).await?;
    if code.expires_at > Utc::now() + TimeDelta::minutes(30) {
        let within = vec![
            Scope::Verification(code.id.clone()),
            Scope::Pair(code.identifier.clone(), code.value.clone()),
        ];
        notes.created(&code, begun, within);
    }
    Ok(())
}
