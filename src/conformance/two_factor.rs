//! Promises about second factors.

use std::time::Duration;

use chrono::Utc;

use super::{Adapter, assert_eq, assert_error, assert_refused, at_once, in_time, new_user};
use crate::adapters::{DatabaseAdapter, TwoFactorStore};
use crate::types::{Attempt, StepOutcome, TwoFactor, User};
use crate::{AuthError, AuthResult, ConflictField};

pub(super) const HOUR: Duration = Duration::from_secs(3600);

pub(super) fn store<A: DatabaseAdapter + ?Sized>(adapter: &A) -> &dyn TwoFactorStore {
    adapter.two_factor().expect("the adapter has the store")
}

/// A user with a second factor whose time step 10 was used, and the backup codes `a`.
pub(super) async fn new_factor(adapter: &Adapter) -> (User, TwoFactor) {
    let user = new_user(adapter).await;
    let enrolled = store(adapter).enroll(&user.id, "secret", Some("a"));
    enrolled.await.unwrap();
    let factor = store(adapter).confirm(&user.id, 10).await.unwrap();
    (user, factor)
}

pub(super) async fn is_enabled(adapter: &Adapter, user: &User) -> bool {
    let found = adapter.get_user_by_id(&user.id).await.unwrap();
    found.unwrap().two_factor_enabled
}

/// Calls again while others are in the way.
async fn again<T, F: Future<Output = AuthResult<T>>>(call: impl Fn() -> F) -> T {
    loop {
        match call().await {
            Err(error) if error.is_retryable() => {}
            answer => return answer.unwrap_or_else(|error| panic!("{error:?}")),
        }
    }
}

pub(super) async fn a_second_factor_is_enrolled_and_confirmed(adapter: Adapter) {
    let user = new_user(&adapter).await;
    let store = store(&adapter);
    assert_error!(
        store.confirm(&user.id, 1).await,
        AuthError::TwoFactorNotFound
    );
    let enrolled = store.enroll(&user.id, "secret", Some("codes")).await;
    let enrolled = enrolled.unwrap();
    assert_eq!(
        (&*enrolled.user_id, &*enrolled.secret),
        (&*user.id, "secret")
    );
    assert_eq!(enrolled.backup_codes.as_deref(), Some("codes"));
    assert!(!enrolled.verified && enrolled.last_used_step.is_none());
    assert_eq!(enrolled.created_at, enrolled.updated_at);
    assert!(!is_enabled(&adapter, &user).await);
    // Until it is confirmed, no sign-in uses it.
    let outcome = store.accept_step(&user.id, 1).await.unwrap();
    assert_eq!(outcome, StepOutcome::NotEnrolled);
    let attempt = store.begin_attempt(&user.id, 5, HOUR).await.unwrap();
    let Attempt::Granted(counted) = attempt else {
        panic!("{attempt:?}");
    };
    assert_eq!(
        (&counted.id, counted.failed_verification_count),
        (&enrolled.id, 1)
    );
    assert!(counted.updated_at > enrolled.updated_at);

    let confirmed = store.confirm(&user.id, 10).await.unwrap();
    let expected = TwoFactor {
        verified: true,
        last_used_step: Some(10),
        updated_at: confirmed.updated_at,
        ..enrolled
    };
    assert_eq!(confirmed, expected);
    assert!(confirmed.updated_at > counted.updated_at);
    assert!(is_enabled(&adapter, &user).await);
    assert_error!(
        store.confirm(&user.id, 11).await,
        AuthError::TwoFactorNotFound
    );
    let outcome = store.accept_step(&user.id, 10).await.unwrap();
    assert_eq!(outcome, StepOutcome::Replayed);

    for _ in 0..2 {
        store.disable(&user.id).await.unwrap();
        assert!(!is_enabled(&adapter, &user).await);
        let attempt = store.begin_attempt(&user.id, 5, HOUR).await.unwrap();
        assert_eq!(attempt, Attempt::NotEnrolled);
    }
    store.enroll(&user.id, "other", None).await.unwrap();
}

pub(super) async fn a_verified_second_factor_is_not_replaced(adapter: Adapter) {
    let user = new_user(&adapter).await;
    let store = store(&adapter);
    let first = store
        .enroll(&user.id, "first", Some("codes"))
        .await
        .unwrap();
    for _ in 0..3 {
        store.begin_attempt(&user.id, 2, HOUR).await.unwrap();
    }
    let second = store.enroll(&user.id, "second", None).await.unwrap();
    assert!(first.id != second.id && second.backup_codes.is_none());
    assert_eq!(second.failed_verification_count, 0);
    assert_eq!(second.locked_until, None);
    store.confirm(&user.id, 1).await.unwrap();
    let again = store.enroll(&user.id, "third", None).await;
    assert_error!(
        again,
        AuthError::Conflict {
            field: ConflictField::TwoFactor
        }
    );
    let attempt = store.begin_attempt(&user.id, 2, HOUR).await.unwrap();
    assert!(matches!(attempt, Attempt::Granted(factor) if factor.secret == "second"));
    for unknown in ["unknown", "a\0b", &"x".repeat(5000)] {
        let answer = store.enroll(unknown, "secret", None).await;
        assert_error!(answer, AuthError::UserNotFound);
    }
}

pub(super) async fn too_many_attempts_lock(adapter: Adapter) {
    let (user, _) = new_factor(&adapter).await;
    let store = store(&adapter);
    for round in 0..2 {
        for count in 1..=3 {
            let attempt = store.begin_attempt(&user.id, 3, HOUR).await.unwrap();
            let granted = |factor: &TwoFactor| factor.failed_verification_count == count;
            assert!(
                matches!(&attempt, Attempt::Granted(factor) if granted(factor)),
                "{attempt:?}"
            );
        }
        // The last one may be right.
        let outcome = store.accept_step(&user.id, 11 + round).await.unwrap();
        assert_eq!(outcome, StepOutcome::Accepted);
    }
    for _ in 0..3 {
        store.begin_attempt(&user.id, 3, HOUR).await.unwrap();
    }
    let Attempt::Locked { until } = store.begin_attempt(&user.id, 3, HOUR).await.unwrap() else {
        panic!("a fourth attempt is granted");
    };
    assert!(until > Utc::now() + HOUR / 2);
    // What comes later does not prolong it.
    let later = store.begin_attempt(&user.id, 3, 2 * HOUR).await.unwrap();
    assert_eq!(later, Attempt::Locked { until });
    let outcome = store.accept_step(&user.id, 100).await.unwrap();
    assert_eq!(outcome, StepOutcome::Locked { until });
    let replaced = store.replace_backup_codes(&user.id, Some("a"), None).await;
    assert!(!replaced.unwrap());

    let (other, _) = new_factor(&adapter).await;
    let instant = Duration::from_millis(1);
    assert!(matches!(
        store.begin_attempt(&other.id, 1, instant).await,
        Ok(Attempt::Granted(_))
    ));
    store.begin_attempt(&other.id, 1, instant).await.unwrap();
    in_time(async {
        // The lock ends, and attempts are counted anew.
        while let Attempt::Locked { .. } = store.begin_attempt(&other.id, 1, HOUR).await.unwrap() {
            tokio::time::sleep(instant).await;
        }
    })
    .await;
    let attempt = store.begin_attempt(&other.id, 1, HOUR).await.unwrap();
    assert!(matches!(attempt, Attempt::Locked { .. }));
}

pub(super) async fn of_many_attempts_so_many_are_granted(adapter: Adapter) {
    for max in [1, 5] {
        let (user, _) = new_factor(&adapter).await;
        let answers = at_once(50, |_| {
            let (adapter, id) = (adapter.clone(), user.id.clone());
            async move { again(|| store(&adapter).begin_attempt(&id, max, HOUR)).await }
        });
        let answers = answers.await;
        let granted = answers.iter().filter_map(|attempt| match attempt {
            Attempt::Granted(factor) => Some(factor.failed_verification_count.unsigned_abs()),
            Attempt::Locked { .. } => None,
            Attempt::NotEnrolled => panic!("{attempt:?}"),
        });
        let mut granted: Vec<u32> = granted.collect();
        granted.sort_unstable();
        assert_eq!(granted, (1..=max).collect::<Vec<_>>());
    }
}

pub(super) async fn a_time_step_is_accepted_once(adapter: Adapter) {
    let (user, _) = new_factor(&adapter).await;
    let store = store(&adapter);
    for (step, expected) in [
        (9, StepOutcome::Replayed),
        (10, StepOutcome::Replayed),
        (11, StepOutcome::Accepted),
        (11, StepOutcome::Replayed),
        (13, StepOutcome::Accepted),
        (12, StepOutcome::Replayed),
        (i64::MAX, StepOutcome::Accepted),
        (0, StepOutcome::Replayed),
    ] {
        let outcome = store.accept_step(&user.id, step).await.unwrap();
        assert_eq!(outcome, expected);
    }
}

pub(super) async fn of_many_one_uses_the_time_step(adapter: Adapter) {
    for step in [11, 12] {
        let (user, _) = new_factor(&adapter).await;
        let answers = at_once(50, |_| {
            let (adapter, id) = (adapter.clone(), user.id.clone());
            async move { again(|| store(&adapter).accept_step(&id, step)).await }
        });
        let answers = answers.await;
        let accepted = answers
            .iter()
            .filter(|outcome| **outcome == StepOutcome::Accepted);
        assert_eq!(accepted.count(), 1);
    }
}

pub(super) async fn of_many_one_replaces_the_backup_codes(adapter: Adapter) {
    let (user, _) = new_factor(&adapter).await;
    let attempt = store(&adapter).begin_attempt(&user.id, 5, HOUR).await;
    assert!(matches!(attempt, Ok(Attempt::Granted(_))));
    let answers = at_once(50, |caller| {
        let (adapter, id, new) = (adapter.clone(), user.id.clone(), format!("b{caller}"));
        async move { again(|| store(&adapter).replace_backup_codes(&id, Some("a"), Some(&new))).await }
    });
    let answers = answers.await;
    let winner = answers.iter().position(|replaced| *replaced).unwrap();
    assert_eq!(answers.iter().filter(|replaced| **replaced).count(), 1);
    let Ok(Attempt::Granted(factor)) = store(&adapter).begin_attempt(&user.id, 5, HOUR).await
    else {
        panic!("no attempt is granted");
    };
    let codes = format!("b{winner}");
    assert_eq!(factor.backup_codes.as_ref(), Some(&codes));
    assert_eq!(factor.failed_verification_count, 1);
    for (expected, new, replaced) in [
        (Some("a"), None, false),
        (None, None, false),
        (Some("a\0b"), None, false),
        (Some(&*codes), None, true),
        (None, Some(""), true),
        (Some(""), Some("c"), true),
    ] {
        let answer = store(&adapter).replace_backup_codes(&user.id, expected, new);
        assert_eq!(answer.await.unwrap(), replaced);
    }
}

pub(super) async fn a_deleted_user_has_no_second_factor(adapter: Adapter) {
    let (user, _) = new_factor(&adapter).await;
    adapter.delete_user(&user.id).await.unwrap();
    let attempt = store(&adapter).begin_attempt(&user.id, 5, HOUR).await;
    assert_eq!(attempt.unwrap(), Attempt::NotEnrolled);
    store(&adapter).disable(&user.id).await.unwrap();
}

pub(super) async fn impossible_second_factors_are_refused(adapter: Adapter) {
    let (user, _) = new_factor(&adapter).await;
    let (store, id) = (store(&adapter), &*user.id);
    for secret in ["", "a\0b"] {
        assert_refused("secret", store.enroll(id, secret, None).await);
    }
    let codes = store.enroll(id, "secret", Some("a\0b")).await;
    assert_refused("backup_codes", codes);
    let codes = store.replace_backup_codes(id, None, Some("a\0b")).await;
    assert_refused("new", codes);
    assert_refused("step", store.confirm(id, -1).await);
    assert_refused("step", store.accept_step(id, -1).await);
    assert_refused("max_failures", store.begin_attempt(id, 0, HOUR).await);
    for lock_for in [Duration::ZERO, Duration::MAX] {
        assert_refused("lock_for", store.begin_attempt(id, 1, lock_for).await);
    }
    let attempt = store
        .begin_attempt(id, u32::MAX, Duration::from_secs(1 << 40))
        .await;
    assert!(matches!(attempt, Ok(Attempt::Granted(_))));
    for unknown in ["unknown", "a\0b", &"x".repeat(5000)] {
        let attempt = store.begin_attempt(unknown, 1, HOUR).await.unwrap();
        assert_eq!(attempt, Attempt::NotEnrolled);
        let outcome = store.accept_step(unknown, 1).await.unwrap();
        assert_eq!(outcome, StepOutcome::NotEnrolled);
        assert!(
            !store
                .replace_backup_codes(unknown, None, None)
                .await
                .unwrap()
        );
        assert_error!(
            store.confirm(unknown, 1).await,
            AuthError::TwoFactorNotFound
        );
        store.disable(unknown).await.unwrap();
    }
}

pub(super) async fn secrets_of_second_factors_do_not_show(adapter: Adapter) {
    let user = new_user(&adapter).await;
    let enrolled = store(&adapter).enroll(&user.id, "hunter2", Some("hunter2"));
    let factor = enrolled.await.unwrap();
    let attempt = Attempt::Granted(factor.clone());
    let json = serde_json::to_string(&factor).unwrap();
    let shown = format!("{factor:?} {factor:#?} {attempt:?} {json}");
    assert!(!shown.contains("hunter2"));
    let whole = serde_json::to_string(&factor.with_secrets()).unwrap();
    assert_eq!(serde_json::from_str::<TwoFactor>(&whole).unwrap(), factor);
}

pub(super) async fn second_factors_work_in_transactions(adapter: Adapter) {
    for commits in [false, true] {
        let user = new_user(&adapter).await;
        let transaction = adapter.begin().await.unwrap();
        let inside = store(&*transaction);
        inside.enroll(&user.id, "first", None).await.unwrap();
        inside.enroll(&user.id, "secret", Some("a")).await.unwrap();
        inside.confirm(&user.id, 1).await.unwrap();
        let attempt = inside.begin_attempt(&user.id, 5, HOUR).await.unwrap();
        assert!(matches!(attempt, Attempt::Granted(_)));
        for outcome in [StepOutcome::Accepted, StepOutcome::Replayed] {
            assert_eq!(inside.accept_step(&user.id, 2).await.unwrap(), outcome);
        }
        for replaced in [true, false] {
            let answer = inside.replace_backup_codes(&user.id, Some("a"), Some("b"));
            assert_eq!(answer.await.unwrap(), replaced);
        }
        assert!(!is_enabled(&adapter, &user).await);
        if commits {
            transaction.commit().await.unwrap();
        } else {
            transaction.rollback().await.unwrap();
        }
        assert_eq!(is_enabled(&adapter, &user).await, commits);
        match store(&adapter)
            .begin_attempt(&user.id, 5, HOUR)
            .await
            .unwrap()
        {
            Attempt::Granted(factor) => {
                assert!(commits && factor.verified);
                assert_eq!(factor.backup_codes.as_deref(), Some("b"));
                assert_eq!(factor.last_used_step, Some(2));
            }
            attempt => assert!(!commits, "{attempt:?}"),
        }
        let transaction = adapter.begin().await.unwrap();
        store(&*transaction).disable(&user.id).await.unwrap();
        transaction.commit().await.unwrap();
        assert!(!is_enabled(&adapter, &user).await);
    }
}
