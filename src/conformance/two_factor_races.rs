//! Promises about second factors that transactions and other callers use at once.

use super::transaction_races::overlap;
use super::two_factor::{HOUR, is_enabled, new_factor, store};
use super::{Adapter, assert_eq, new_user};
use crate::types::{Attempt, StepOutcome};
use crate::{AuthError, AuthResult, ConflictField};

/// Fails unless exactly one has succeeded. `second` is what the other caller was told.
#[track_caller]
fn assert_one_wins(first: &AuthResult<()>, second: &AuthResult<bool>) {
    let second = match second {
        Ok(won) => *won,
        Err(error) => {
            assert!(error.is_retryable(), "{error:?}");
            false
        }
    };
    assert!(first.is_ok() != second, "{first:?}, {second}");
}

pub(super) async fn of_two_transactions_one_uses_the_time_step(adapter: Adapter) {
    for round in 0..4 {
        let (user, _) = new_factor(&adapter).await;
        let transaction = adapter.begin().await.unwrap();
        let inside = store(&*transaction);
        if round % 2 == 0 {
            let outcome = inside.accept_step(&user.id, 11).await.unwrap();
            assert_eq!(outcome, StepOutcome::Accepted);
        } else {
            let replaced = inside.replace_backup_codes(&user.id, Some("a"), Some("b"));
            assert!(replaced.await.unwrap());
        }
        let database = adapter.clone();
        let (first, second) = overlap(transaction.commit(), async move {
            let transaction = match round {
                0 | 1 => None,
                _ => Some(database.begin().await?),
            };
            let store = match &transaction {
                Some(transaction) => store(&**transaction),
                None => store(&database),
            };
            let won = if round % 2 == 0 {
                store.accept_step(&user.id, 11).await? == StepOutcome::Accepted
            } else {
                let replaced = store.replace_backup_codes(&user.id, Some("a"), Some("c"));
                replaced.await?
            };
            if let Some(transaction) = transaction {
                transaction.commit().await?;
            }
            Ok(won)
        })
        .await;
        assert_one_wins(&first, &second);
    }
}

pub(super) async fn of_two_transactions_one_takes_the_last_attempt(adapter: Adapter) {
    for round in 0..2 {
        let (user, _) = new_factor(&adapter).await;
        let transaction = adapter.begin().await.unwrap();
        let attempt = store(&*transaction).begin_attempt(&user.id, 1, HOUR).await;
        assert!(matches!(attempt, Ok(Attempt::Granted(_))));
        let database = adapter.clone();
        let (first, second) = overlap(transaction.commit(), async move {
            let attempt = if round == 0 {
                store(&database).begin_attempt(&user.id, 1, HOUR).await?
            } else {
                let transaction = database.begin().await?;
                let attempt = store(&*transaction)
                    .begin_attempt(&user.id, 1, HOUR)
                    .await?;
                transaction.commit().await?;
                attempt
            };
            Ok(matches!(attempt, Attempt::Granted(_)))
        })
        .await;
        assert_one_wins(&first, &second);
    }
}

pub(super) async fn the_flag_goes_with_the_second_factor(adapter: Adapter) {
    for is_enrolled in [false, true] {
        let user = if is_enrolled {
            new_factor(&adapter).await.0
        } else {
            new_user(&adapter).await
        };
        let transaction = adapter.begin().await.unwrap();
        store(&*transaction).disable(&user.id).await.unwrap();
        let (database, id) = (adapter.clone(), user.id.clone());
        let (first, second) = overlap(transaction.commit(), async move {
            store(&database).enroll(&id, "another", None).await?;
            store(&database).confirm(&id, 1).await
        })
        .await;
        // In memory, the first second factor is there until the commit.
        let conflicts = matches!(
            second,
            Err(AuthError::Conflict {
                field: ConflictField::TwoFactor
            })
        );
        assert!(first.is_ok() && (second.is_ok() || is_enrolled && conflicts));
        let attempt = store(&adapter).begin_attempt(&user.id, 5, HOUR).await;
        let is_there = matches!(attempt, Ok(Attempt::Granted(_)));
        assert_eq!(
            (is_there, is_enabled(&adapter, &user).await),
            (!conflicts, !conflicts)
        );
    }
}
