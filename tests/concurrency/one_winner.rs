//! Many want the same thing at once: as many get it as there is of it.

use std::collections::HashMap;
use std::fmt::Debug;
use std::pin::Pin;
use std::sync::Arc;

use better_auth::adapters::DatabaseAdapter;
use better_auth::types::{
    CreateAccount, CreateSession, CreateUser, CreateVerification, UpdateSession, UpdateUser, User,
};
use better_auth::{AuthError, AuthResult, ConflictField, transaction};
use chrono::{DateTime, Utc};
use tokio::sync::Barrier;

use crate::{Run, in_an_hour};

pub(crate) const CONTENDERS: usize = 6;

pub(crate) type Call<T> = for<'a> fn(
    &'a dyn DatabaseAdapter,
    usize,
    &'a str,
) -> Pin<Box<dyn Future<Output = AuthResult<T>> + Send + 'a>>;

/// How contenders make their call.
#[derive(Clone, Copy, PartialEq)]
pub(crate) enum Way {
    Plainly,
    InTransactions,
    /// Every second one in a transaction.
    Mixed,
    /// As `Mixed`, but some futures are dropped on their way.
    Dropping,
}

/// Answers of all contenders, in their order; `None` of those that were dropped.
pub(crate) type Answers<T> = Vec<Option<AuthResult<T>>>;

/// Lets all contenders call at once, with their numbers and the key.
pub(crate) async fn contend<T: Send + 'static>(
    run: &mut Run,
    way: Way,
    key: &str,
    call: Call<T>,
) -> Answers<T> {
    let start = Arc::new(Barrier::new(CONTENDERS));
    let contenders: Vec<_> = (0..CONTENDERS)
        .map(|contender| {
            let (database, start) = (Arc::clone(&run.database), Arc::clone(&start));
            let (mut random, key) = (run.random.fork(), key.to_owned());
            let in_transaction = match way {
                Way::Plainly => false,
                Way::InTransactions => true,
                Way::Mixed | Way::Dropping => random.one_in(2),
            };
            tokio::spawn(async move {
                start.wait().await;
                let key = key.as_str();
                let call = async {
                    if in_transaction {
                        let work = |tx| async move { call(&tx, contender, key).await };
                        transaction(&database, work).await
                    } else {
                        call(&database, contender, key).await
                    }
                };
                if way == Way::Dropping {
                    random.finish_or_drop(call).await
                } else {
                    Some(call.await)
                }
            })
        })
        .collect();
    let mut answers = Vec::new();
    for contender in contenders {
        answers.push(contender.await.unwrap());
    }
    answers
}

/// Fails unless exactly one has won, or at most one where some were dropped, and all others have lost so.
pub(crate) fn one_winner<T: Debug>(answers: Answers<T>, lost: fn(&AuthError) -> bool) -> Option<T> {
    let all_ended = answers.iter().all(Option::is_some);
    let mut winner = None;
    for answer in answers.into_iter().flatten() {
        match answer {
            Ok(value) => {
                assert!(winner.is_none(), "{winner:?} and {value:?} have won");
                winner = Some(value);
            }
            Err(error) => assert!(lost(&error), "{error:?}"),
        }
    }
    assert!(winner.is_some() || !all_ended, "nobody has won");
    winner
}

/// A name as every second contender spells it.
fn spelled(contender: usize, name: &str) -> String {
    if contender.is_multiple_of(2) {
        name.to_uppercase()
    } else {
        name.to_owned()
    }
}

pub(crate) fn conflict_on(field: ConflictField, error: &AuthError) -> bool {
    matches!(error, AuthError::Conflict { field: on } if *on == field)
}

async fn for_an_id(run: &mut Run, way: Way, key: &str) {
    let answers = contend(run, way, key, |database, _, key| {
        database.create_user(CreateUser::new().with_id(key))
    });
    let winner = one_winner(answers.await, |e| conflict_on(ConflictField::UserId, e));
    if let Some(winner) = winner {
        let found = run.database.get_user_by_id(key).await.unwrap();
        assert_eq!(found, Some(winner));
    }
}

async fn for_an_email(run: &mut Run, way: Way, key: &str) {
    let answers = contend(run, way, key, |database, contender, key| {
        database.create_user(CreateUser::new().with_email(spelled(contender, key)))
    });
    let winner = one_winner(answers.await, |e| conflict_on(ConflictField::Email, e));
    if let Some(winner) = winner {
        let found = run.database.get_user_by_email(key).await.unwrap();
        assert_eq!(found, Some(winner));
    }
}

async fn for_a_username(run: &mut Run, way: Way, key: &str) {
    let answers = contend(run, way, key, |database, contender, key| {
        database.create_user(CreateUser::new().with_username(spelled(contender, key)))
    });
    let winner = one_winner(answers.await, |e| conflict_on(ConflictField::Username, e));
    if let Some(winner) = winner {
        let found = run.database.get_user_by_username(key).await.unwrap();
        assert_eq!(found, Some(winner));
    }
}

fn id(contender: usize, key: &str) -> String {
    format!("{contender} {key}")
}

/// A user for each contender.
async fn create_users(run: &Run, key: &str) {
    for contender in 0..CONTENDERS {
        let create = CreateUser::new().with_id(id(contender, key));
        run.database.create_user(create).await.unwrap();
    }
}

async fn to_rename(run: &mut Run, way: Way, key: &str) {
    create_users(run, key).await;
    let answers = contend(run, way, key, |database, contender, key| {
        Box::pin(async move {
            let update = UpdateUser {
                username: Some(Some(spelled(contender, key))),
                ..UpdateUser::default()
            };
            database.update_user(&id(contender, key), update).await
        })
    });
    let winner = one_winner(answers.await, |e| conflict_on(ConflictField::Username, e));
    if let Some(winner) = winner {
        let found = run.database.get_user_by_username(key).await.unwrap();
        assert_eq!(found, Some(winner));
    }
}

async fn for_an_account(run: &mut Run, way: Way, key: &str) {
    create_users(run, key).await;
    let answers = contend(run, way, key, |database, contender, key| {
        database.create_account(CreateAccount::new(id(contender, key), "github", key))
    });
    let winner = one_winner(answers.await, |e| conflict_on(ConflictField::Account, e));
    if let Some(winner) = winner {
        let found = run.database.get_account("github", key).await.unwrap();
        assert_eq!(found.as_ref(), Some(&winner));
        for contender in 0..CONTENDERS {
            let accounts = run.database.get_user_accounts(&id(contender, key)).await;
            let is_winner = id(contender, key) == winner.user_id;
            assert_eq!(accounts.unwrap().len(), usize::from(is_winner));
        }
    }
}

/// A user with a session; answers its token.
async fn create_session(run: &Run, user_id: &str, expires_at: DateTime<Utc>) -> String {
    let session = CreateSession::new(user_id, expires_at);
    run.database.create_session(session).await.unwrap().token
}

async fn new_user(run: &Run) -> User {
    run.database.create_user(CreateUser::new()).await.unwrap()
}

async fn for_a_token(run: &mut Run, way: Way, key: &str) {
    for _ in 0..2 {
        let create = CreateVerification::new(key, key, in_an_hour());
        run.database.create_verification(create).await.unwrap();
    }
    let mut answers = contend(run, way, key, |database, _, key| {
        database.consume_verification(key, key)
    })
    .await;
    // Who comes late finds nothing, which is no error.
    answers.retain(|answer| !matches!(answer, Some(Ok(None))));
    if one_winner(answers, |_| false).is_some() {
        let found = run.database.get_verification(key, key).await.unwrap();
        assert_eq!(found, None);
    }
}

async fn to_end_a_session(run: &mut Run, way: Way, _: &str) {
    let token = &create_session(run, &new_user(run).await.id, in_an_hour()).await;
    let answers = contend(run, way, token, |database, _, token| {
        let end = UpdateSession {
            active: Some(false),
            ..UpdateSession::default()
        };
        database.update_session(token, end)
    });
    let lost = |error: &AuthError| matches!(error, AuthError::SessionNotFound);
    if one_winner(answers.await, lost).is_some() {
        assert_eq!(run.database.get_session(token).await.unwrap(), None);
    }
}

/// The first contender deletes the user whom the others give sessions and accounts.
async fn to_outlive_a_user(run: &mut Run, way: Way, key: &str) {
    let user = new_user(run).await;
    let answers = contend(run, way, &user.id, |database, contender, user_id| {
        Box::pin(async move {
            if contender == 0 {
                database.delete_user(user_id).await?;
                return Ok(None);
            }
            let account = CreateAccount::new(user_id, id(contender, ""), user_id);
            database.create_account(account).await?;
            let session = CreateSession::new(user_id, in_an_hour());
            Ok(Some(database.create_session(session).await?.token))
        })
    })
    .await;
    let deleted = answers[0].as_ref().is_some_and(Result::is_ok);
    assert!(deleted || answers[0].is_none(), "{key}: {:?}", answers[0]);
    for answer in answers.iter().flatten() {
        match answer {
            Ok(Some(token)) if deleted => {
                assert_eq!(run.database.get_session(token).await.unwrap(), None);
            }
            Ok(_) | Err(AuthError::UserNotFound) => {}
            Err(error) => panic!("{error:?}"),
        }
    }
    if deleted {
        let found = run.database.get_user_by_id(&user.id).await.unwrap();
        assert_eq!(found, None);
        let sessions = run.database.get_user_sessions(&user.id).await.unwrap();
        assert_eq!(sessions, []);
        for contender in 0..CONTENDERS {
            let account = run.database.get_account(&id(contender, ""), &user.id).await;
            assert_eq!(account.unwrap(), None);
        }
    }
}

/// The first contender deletes the session that the others extend.
async fn to_revive_a_session(run: &mut Run, way: Way, _: &str) {
    let token = &create_session(run, &new_user(run).await.id, in_an_hour()).await;
    let answers = contend(run, way, token, |database, contender, token| {
        Box::pin(async move {
            if contender == 0 {
                return database.delete_session(token).await;
            }
            database.update_session_expiry(token, in_an_hour()).await
        })
    })
    .await;
    for error in answers
        .iter()
        .flatten()
        .filter_map(|answer| answer.as_ref().err())
    {
        assert!(matches!(error, AuthError::SessionNotFound), "{error:?}");
    }
    if answers[0].is_some() {
        assert_eq!(run.database.get_session(token).await.unwrap(), None);
    }
}

/// Each dead session is removed, and counted, by one.
async fn to_remove_the_dead(run: &mut Run, _: Way, key: &str) {
    const DEAD: usize = 7;
    let user = new_user(run).await;
    run.database.clean_up().await.unwrap();
    for _ in 0..DEAD {
        create_session(run, &user.id, DateTime::<Utc>::UNIX_EPOCH).await;
    }
    let answers = contend(run, Way::Plainly, key, |database, contender, _| {
        Box::pin(async move {
            if contender.is_multiple_of(2) {
                return database.delete_expired_sessions().await;
            }
            Ok(database.clean_up().await?.sessions)
        })
    })
    .await;
    let removed = answers.into_iter().flatten().map(Result::unwrap);
    assert_eq!(removed.sum::<usize>(), DEAD);
}

pub(crate) async fn each_race_has_one_winner(mut run: Run) {
    let watched = run.watch.task("races");
    let mut rounds = 0;
    while run.goes_on() {
        for way in [Way::Plainly, Way::Mixed, Way::Dropping] {
            let key = &format!("key {rounds}");
            macro_rules! race {
                ($($race:ident)*) => {
                    $(
                        watched.does(format!("{}, round {rounds}", stringify!($race)));
                        $race(&mut run, way, &format!("{} {key}", stringify!($race))).await;
                    )*
                };
            }
            race! {
                for_an_id for_an_email for_a_username to_rename for_an_account for_a_token to_end_a_session
                to_outlive_a_user to_revive_a_session to_remove_the_dead
            }
            rounds += 1;
        }
    }
    println!("{rounds} rounds of 10 races, {CONTENDERS} contenders each");
    run.settle().await;
}

const TOKENS: usize = 100;
const ATTEMPTS: usize = 10_000;

async fn issue_tokens(database: &dyn DatabaseAdapter) {
    for token in 0..TOKENS {
        let token = CreateVerification::new("reset", token.to_string(), in_an_hour());
        database.create_verification(token).await.unwrap();
    }
}

/// How often each token was consumed, every second attempt being made in a transaction.
async fn consume_all_at_once(database: Arc<dyn DatabaseAdapter>) -> HashMap<String, usize> {
    let attempts: Vec<_> = (0..ATTEMPTS)
        .map(|attempt| {
            let database = Arc::clone(&database);
            tokio::spawn(async move {
                let token = &(attempt % TOKENS).to_string();
                if (attempt / TOKENS).is_multiple_of(2) {
                    return database.consume_verification("reset", token).await;
                }
                transaction(&database, |tx| async move {
                    tx.consume_verification("reset", token).await
                })
                .await
            })
        })
        .collect();
    let mut winners = HashMap::new();
    for attempt in attempts {
        let answer: AuthResult<_> = attempt.await.unwrap();
        if let Some(verification) = answer.unwrap() {
            *winners.entry(verification.value).or_default() += 1;
        }
    }
    winners
}

pub(crate) async fn each_token_is_consumed_once(run: Run) {
    issue_tokens(&run.database).await;
    let winners = consume_all_at_once(Arc::clone(&run.database)).await;
    let total: usize = winners.values().sum();
    println!("{ATTEMPTS} attempts on {TOKENS} tokens, {total} winners");
    assert_eq!((winners.len(), total), (TOKENS, TOKENS));
    run.settle().await;
}
