//! Callers, each in a transaction or not, who meet at what works once or so many times.

use std::time::Duration;

use better_auth::adapters::DatabaseAdapter;
use better_auth::types::{
    ApiKeyUse, Attempt, CreateApiKey, CreateDeviceCode, CreatePasskey, CreateUser, DevicePoll,
    PasskeyUse, StepOutcome,
};
use better_auth::{AuthError, ConflictField};

use crate::meetings::linger;
use crate::one_winner::{Answers, CONTENDERS, Way, conflict_on, contend, one_winner};
use crate::{Run, in_an_hour};

const HOUR: Duration = Duration::from_secs(3600);
/// How many of the contenders a counter lets in.
const MAX: u8 = 2;

/// A user of this id, which the contenders know.
async fn create_user(run: &Run, id: &str) {
    let create = CreateUser::new().with_id(id);
    run.database.create_user(create).await.unwrap();
}

async fn create_factor(run: &Run, user: &str) {
    create_user(run, user).await;
    let factors = run.database.two_factor().unwrap();
    factors.enroll(user, "secret", Some("all")).await.unwrap();
    factors.confirm(user, 0).await.unwrap();
}

/// Fails unless as many have won as may, or fewer if some were dropped. Answers how many have.
fn winners(answers: Answers<bool>, expected: u8) -> u8 {
    let all_ended = answers.iter().all(Option::is_some);
    let won = answers.into_iter().flatten().filter(|answer| match answer {
        Ok(has_won) => *has_won,
        Err(error) => panic!("{error:?}"),
    });
    let won = u8::try_from(won.count()).unwrap();
    assert!(won <= expected, "{won} instead of {expected} have won");
    assert!(won == expected || !all_ended, "only {won} have won");
    won
}

async fn for_a_time_step(run: &mut Run, way: Way, user: &str) {
    create_factor(run, user).await;
    let answers = contend(run, way, user, |database, _, user| {
        Box::pin(async move {
            let outcome = database.two_factor()?.accept_step(user, 1).await?;
            linger().await;
            Ok(outcome == StepOutcome::Accepted)
        })
    });
    winners(answers.await, 1);
}

async fn for_the_backup_codes(run: &mut Run, way: Way, user: &str) {
    create_factor(run, user).await;
    let answers = contend(run, way, user, |database, contender, user| {
        Box::pin(async move {
            let (factors, left) = (database.two_factor()?, contender.to_string());
            let replaced = factors
                .replace_backup_codes(user, Some("all"), Some(&left))
                .await;
            linger().await;
            replaced
        })
    });
    if winners(answers.await, 1) == 1 {
        let factors = run.database.two_factor().unwrap();
        let again = factors.replace_backup_codes(user, Some("all"), None).await;
        assert!(!again.unwrap());
    }
}

async fn for_the_attempts(run: &mut Run, way: Way, user: &str) {
    create_factor(run, user).await;
    let answers = contend(run, way, user, |database, _, user| {
        Box::pin(async move {
            let factors = database.two_factor()?;
            let attempt = factors.begin_attempt(user, MAX.into(), HOUR).await?;
            linger().await;
            Ok(matches!(attempt, Attempt::Granted(_)))
        })
    });
    winners(answers.await, MAX);
}

async fn for_the_uses_of_a_key(run: &mut Run, way: Way, user: &str) {
    create_user(run, user).await;
    let keys = run.database.api_keys().unwrap();
    let create = CreateApiKey::for_user(user).with_quota(MAX.into());
    let issued = keys.create_api_key(create).await.unwrap();
    let answers = contend(run, way, &issued.key, |database, _, key| {
        Box::pin(async move {
            let answer = database.api_keys()?.use_key(key).await?;
            linger().await;
            Ok(matches!(answer, ApiKeyUse::Accepted(_)))
        })
    });
    let won = winners(answers.await, MAX);
    let keys = run.database.api_keys().unwrap();
    let row = keys.get_api_key(&issued.row.id).await.unwrap().unwrap();
    // What was dropped may have been counted, or may be yet.
    assert!((0..=i32::from(MAX - won)).contains(&row.remaining.unwrap()));
}

async fn for_a_place_in_a_window(run: &mut Run, way: Way, key: &str) {
    let answers = contend(run, way, key, |database, _, key| {
        Box::pin(async move {
            let limit = database.rate_limits()?.take(key, MAX.into(), HOUR).await?;
            linger().await;
            Ok(limit.allowed)
        })
    });
    winners(answers.await, MAX);
}

/// Every second contender denies what the others approve.
async fn to_answer_a_device_code(run: &mut Run, way: Way, user: &str) {
    create_user(run, user).await;
    let codes = run.database.device_codes().unwrap();
    let create = CreateDeviceCode::new(in_an_hour());
    let issued = codes.create_device_code(create).await.unwrap();
    let about = format!("{} {user}", issued.row.user_code);
    let answers = contend(run, way, &about, |database, contender, about| {
        Box::pin(async move {
            let (typed, user) = about.split_once(' ').unwrap();
            let codes = database.device_codes()?;
            let is_answered = if contender.is_multiple_of(2) {
                codes.approve(typed, user).await
            } else {
                codes.deny(typed).await
            };
            linger().await;
            is_answered
        })
    });
    if winners(answers.await, 1) == 1 {
        let polled = run.database.device_codes().unwrap();
        let polled = polled.poll(&issued.device_code, None).await.unwrap();
        assert!(
            matches!(polled, DevicePoll::Approved { .. } | DevicePoll::Denied),
            "{polled:?}"
        );
    }
}

async fn for_an_approved_code(run: &mut Run, way: Way, user: &str) {
    create_user(run, user).await;
    let codes = run.database.device_codes().unwrap();
    let create = CreateDeviceCode::new(in_an_hour());
    let issued = codes.create_device_code(create).await.unwrap();
    let approved = codes.approve(&issued.row.user_code, user).await;
    assert!(approved.unwrap());
    let answers = contend(run, way, &issued.device_code, |database, _, code| {
        Box::pin(async move {
            let poll = database.device_codes()?.poll(code, None).await?;
            linger().await;
            Ok(matches!(poll, DevicePoll::Approved { .. }))
        })
    });
    if winners(answers.await, 1) == 1 {
        let codes = run.database.device_codes().unwrap();
        let again = codes.poll(&issued.device_code, None).await.unwrap();
        assert_eq!(again, DevicePoll::NotFound);
    }
}

async fn for_a_credential_and_its_counter(run: &mut Run, way: Way, user: &str) {
    create_user(run, user).await;
    let answers = contend(run, way, user, |database, _, user| {
        Box::pin(async move {
            let create = CreatePasskey::new(user, "key", user);
            let created = database.passkeys()?.create_passkey(create).await;
            linger().await;
            created
        })
    });
    let is_lost = |error: &AuthError| conflict_on(ConflictField::Passkey, error);
    if let Some(winner) = one_winner(answers.await, is_lost) {
        let passkeys = run.database.passkeys().unwrap();
        let listed = passkeys.list_passkeys(user).await.unwrap();
        assert_eq!(listed, [winner]);
        let answers = contend(run, way, user, |database, _, id| {
            Box::pin(async move {
                let outcome = database.passkeys()?.record_use(id, 7, true).await?;
                linger().await;
                Ok(outcome == PasskeyUse::Accepted)
            })
        });
        winners(answers.await, 1);
    }
}

/// The first contender disables what the others use.
async fn to_disable_a_second_factor(run: &mut Run, way: Way, user: &str) {
    create_factor(run, user).await;
    let answers = contend(run, way, user, |database, contender, user| {
        Box::pin(async move {
            let factors = database.two_factor()?;
            match contender {
                0 => factors.disable(user).await?,
                1 | 2 => drop(factors.accept_step(user, 1).await?),
                _ => drop(factors.enroll(user, "other", None).await?),
            }
            linger().await;
            Ok(())
        })
    });
    let answers = answers.await;
    let all_ended = answers.iter().all(Option::is_some);
    for error in answers.into_iter().flatten().filter_map(Result::err) {
        assert!(conflict_on(ConflictField::TwoFactor, &error), "{error:?}");
    }
    if !all_ended {
        // The server may be at work on what was dropped.
        return;
    }
    let user_row = run.database.get_user_by_id(user).await.unwrap().unwrap();
    let factors = run.database.two_factor().unwrap();
    let attempt = factors.begin_attempt(user, 5, HOUR).await.unwrap();
    let is_verified = matches!(&attempt, Attempt::Granted(factor) if factor.verified);
    assert_eq!(user_row.two_factor_enabled, is_verified, "{attempt:?}");
}

pub(crate) async fn credentials_that_meet_work_once(mut run: Run) {
    let watched = run.watch.task("meetings at credentials");
    let mut rounds = 0;
    while run.goes_on() || rounds < 4 {
        for way in [Way::InTransactions, Way::Plainly, Way::Mixed, Way::Dropping] {
            macro_rules! meet {
                ($($meeting:ident)*) => {
                    $(
                        watched.does(format!("{}, round {rounds}", stringify!($meeting)));
                        $meeting(&mut run, way, &format!("{}-{rounds}", stringify!($meeting))).await;
                    )*
                };
            }
            meet! {
                for_a_time_step for_the_backup_codes for_the_attempts for_the_uses_of_a_key for_a_place_in_a_window
                to_answer_a_device_code for_an_approved_code for_a_credential_and_its_counter to_disable_a_second_factor
            }
            rounds += 1;
        }
    }
    println!("{rounds} rounds of 9 meetings, {CONTENDERS} contenders each");
    run.settle().await;
}
