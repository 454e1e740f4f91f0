//! Callers, each in a transaction or not, who meet in the methods that find and change their rows in one statement.

use std::collections::BTreeSet;
use std::time::Duration;

use better_auth::types::{
    CodeCheck, CreateAccount, CreateSession, CreateUser, CreateVerification, Linked,
};
use better_auth::{AuthError, ConflictField};

use crate::one_winner::{Answers, CONTENDERS, Way, contend, one_winner};
use crate::{Run, in_an_hour};

/// Leaves the others time, so that transactions meet before they commit.
pub(crate) async fn linger() {
    for _ in 0..20 {
        tokio::task::yield_now().await;
    }
}

async fn create_code(run: &Run, identifier: &str, value: &str) {
    let create = CreateVerification::new(identifier, value, in_an_hour());
    run.database.create_verification(create).await.unwrap();
}

async fn create_user(run: &Run, id: &str) {
    let create = CreateUser::new().with_id(id);
    run.database.create_user(create).await.unwrap();
}

/// The answers of those that were not dropped, none of which is an error.
fn answered<T>(answers: Answers<T>) -> Vec<T> {
    answers.into_iter().flatten().map(Result::unwrap).collect()
}

/// Fails unless exactly one has it, or at most one if some were dropped.
fn one_has_it<T: std::fmt::Debug>(mut answers: Answers<Option<T>>) -> Option<T> {
    // Who comes late finds nothing, which is no error.
    answers.retain(|answer| !matches!(answer, Some(Ok(None))));
    one_winner(answers, |_| false).flatten()
}

async fn for_a_right_code(run: &mut Run, way: Way, key: &str) {
    for value in ["older", key] {
        create_code(run, key, value).await;
    }
    let answers = contend(run, way, key, |database, _, key| {
        Box::pin(async move {
            let check = database.check_code(key, key, 3).await?;
            linger().await;
            Ok(match check {
                CodeCheck::Accepted(row) => Some(row),
                CodeCheck::NotFound => None,
                check => panic!("{check:?}"),
            })
        })
    });
    if let Some(row) = one_has_it(answers.await) {
        assert_eq!((row.identifier.as_str(), row.value.as_str()), (key, key));
        let check = run.database.check_code(key, key, 3).await.unwrap();
        assert_eq!(check, CodeCheck::NotFound);
    }
}

async fn for_the_attempts_of_a_code(run: &mut Run, way: Way, key: &str) {
    create_code(run, key, "right").await;
    let answers = contend(run, way, key, |database, contender, key| {
        Box::pin(async move {
            let check = database.check_code(key, &contender.to_string(), 3).await;
            linger().await;
            check
        })
    });
    let answers = answers.await;
    let all_ended = answers.iter().all(Option::is_some);
    let mut left = Vec::new();
    for check in answered(answers) {
        match check {
            CodeCheck::Wrong { attempts_left } => left.push(attempts_left),
            check => assert_eq!(check, CodeCheck::TooManyAttempts),
        }
    }
    left.sort_unstable();
    let different: BTreeSet<_> = left.iter().collect();
    assert_eq!(different.len(), left.len(), "{left:?}");
    assert!(left.iter().all(|left| (1..3).contains(left)), "{left:?}");
    if all_ended {
        assert_eq!(left, [1, 2]);
        let check = run.database.check_code(key, "right", 3).await.unwrap();
        assert_eq!(check, CodeCheck::TooManyAttempts);
    }
}

const LIFETIME: Duration = Duration::from_secs(7200);

/// A session that is due, by its token.
async fn create_due_session(run: &Run, user_id: &str) -> String {
    create_user(run, user_id).await;
    let session = CreateSession::new(user_id, in_an_hour());
    run.database.create_session(session).await.unwrap().token
}

async fn to_extend_a_session(run: &mut Run, way: Way, key: &str) {
    let token = &create_due_session(run, key).await;
    let before = run.database.get_session(token).await.unwrap().unwrap();
    let answers = contend(run, way, token, |database, _, token| {
        Box::pin(async move {
            let refreshed = database.refresh_session(token, LIFETIME, LIFETIME / 4);
            let refreshed = refreshed.await?;
            linger().await;
            Ok(refreshed.unwrap().0)
        })
    });
    let answers = answers.await;
    let all_ended = answers.iter().all(Option::is_some);
    let ends: Vec<_> = answered(answers).iter().map(|s| s.expires_at).collect();
    let after = run.database.get_session(token).await.unwrap().unwrap();
    assert!(ends.iter().all(|end| *end >= before.expires_at), "{ends:?}");
    if all_ended {
        assert!(after.expires_at > before.expires_at);
        assert!(ends.contains(&after.expires_at), "{after:?} of {ends:?}");
    }
}

/// The first contender signs out what the others extend.
async fn to_extend_what_is_signed_out(run: &mut Run, way: Way, key: &str) {
    let token = &create_due_session(run, key).await;
    let answers = contend(run, way, token, |database, contender, token| {
        Box::pin(async move {
            if contender == 0 {
                return database.delete_session(token).await;
            }
            let refreshed = database.refresh_session(token, LIFETIME, LIFETIME / 4);
            refreshed.await?;
            linger().await;
            Ok(())
        })
    })
    .await;
    let signed_out = answers[0].is_some();
    // In memory, nothing holds the session between a refresh in a transaction and its commit.
    let is_late = |answer: &Option<Result<(), AuthError>>| {
        matches!(answer, Some(Err(AuthError::SessionNotFound)))
    };
    answered(
        answers
            .into_iter()
            .filter(|answer| !is_late(answer))
            .collect(),
    );
    if signed_out {
        assert_eq!(run.database.get_session(token).await.unwrap(), None);
    }
}

/// Of different users, one has the account.
async fn to_link_an_account(run: &mut Run, way: Way, key: &str) {
    let id = |contender: usize, key: &str| format!("{contender} {key}");
    for contender in 0..CONTENDERS {
        create_user(run, &id(contender, key)).await;
    }
    let answers = contend(run, way, key, |database, contender, key| {
        Box::pin(async move {
            let account = CreateAccount::new(format!("{contender} {key}"), "github", key);
            let linked = database.link_account(account).await;
            linger().await;
            linked
        })
    });
    let lost = |error: &AuthError| {
        matches!(
            error,
            AuthError::Conflict {
                field: ConflictField::Account
            }
        )
    };
    if let Some((account, linked)) = one_winner(answers.await, lost) {
        assert_eq!(linked, Linked::Created);
        let found = run.database.get_account("github", key).await.unwrap();
        assert_eq!(found, Some(account));
    }
}

/// One user signs in several times at once.
async fn to_sign_in_with_one_account(run: &mut Run, way: Way, key: &str) {
    create_user(run, key).await;
    let answers = contend(run, way, key, |database, contender, key| {
        Box::pin(async move {
            let account = CreateAccount::new(key, "github", key);
            let account = account.with_access_token(contender.to_string());
            let (account, linked) = database.link_account(account).await?;
            linger().await;
            assert_eq!(account.access_token, Some(contender.to_string()));
            Ok((linked == Linked::Created).then_some(account.id))
        })
    });
    let answers = answers.await;
    let all_ended = answers.iter().all(Option::is_some);
    let created = one_has_it(answers);
    let accounts = run.database.get_user_accounts(key).await.unwrap();
    assert!(accounts.len() == 1 || !all_ended, "{accounts:?}");
    if let Some(id) = created {
        assert_eq!(accounts[0].id, id);
    }
}

async fn to_set_a_marker(run: &mut Run, way: Way, key: &str) {
    let answers = contend(run, way, key, |database, _, key| {
        Box::pin(async move {
            let reserved = database.reserve_verification(key, key, in_an_hour());
            let reserved = reserved.await?;
            linger().await;
            Ok(reserved.then_some(()))
        })
    });
    if one_has_it(answers.await).is_some() {
        let again = run.database.reserve_verification(key, key, in_an_hour());
        assert!(!again.await.unwrap());
    }
}

async fn for_the_token_of_an_identifier(run: &mut Run, way: Way, key: &str) {
    for value in ["older", "newest"] {
        create_code(run, key, value).await;
    }
    let answers = contend(run, way, key, |database, _, key| {
        Box::pin(async move {
            let consumed = database.consume_verification_by_identifier(key).await;
            linger().await;
            consumed
        })
    });
    if let Some(row) = one_has_it(answers.await) {
        assert_eq!(row.value, "newest");
        let found = run.database.get_verification_by_identifier(key).await;
        assert_eq!(found.unwrap(), None);
    }
}

pub(crate) async fn transactions_that_meet_have_one_winner(mut run: Run) {
    let watched = run.watch.task("meetings");
    let mut rounds = 0;
    while run.goes_on() || rounds < 4 {
        for way in [Way::InTransactions, Way::Plainly, Way::Mixed, Way::Dropping] {
            let key = &format!("meeting {rounds}");
            macro_rules! meet {
                ($($meeting:ident)*) => {
                    $(
                        watched.does(format!("{}, round {rounds}", stringify!($meeting)));
                        $meeting(&mut run, way, &format!("{} {key}", stringify!($meeting))).await;
                    )*
                };
            }
            meet! {
                for_a_right_code for_the_attempts_of_a_code to_extend_a_session to_extend_what_is_signed_out
                to_link_an_account to_sign_in_with_one_account to_set_a_marker for_the_token_of_an_identifier
            }
            rounds += 1;
        }
    }
    println!("{rounds} rounds of 8 meetings, {CONTENDERS} contenders each");
    run.settle().await;
}
