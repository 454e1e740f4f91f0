//! Promises about rate limits.

use std::time::Duration;

use super::transaction_races::overlap;
use super::{Adapter, assert_eq, assert_refused, at_once, in_time};
use crate::AuthResult;
use crate::adapters::{DatabaseAdapter, RateLimitStore};
use crate::types::RateLimit;

const HOUR: Duration = Duration::from_secs(3600);

fn store<A: DatabaseAdapter + ?Sized>(adapter: &A) -> &dyn RateLimitStore {
    adapter.rate_limits().expect("the adapter has the store")
}

/// Calls again while others are in the way.
async fn take(adapter: &Adapter, key: &str, max: u32, window: Duration) -> RateLimit {
    loop {
        match store(adapter).take(key, max, window).await {
            Err(error) if error.is_retryable() => {}
            answer => return answer.unwrap(),
        }
    }
}

pub(super) async fn a_window_has_room_for_so_many(adapter: Adapter) {
    for remaining in [2, 1, 0] {
        let allowed = RateLimit {
            allowed: true,
            remaining,
            retry_after: Duration::ZERO,
        };
        assert_eq!(take(&adapter, "key", 3, HOUR).await, allowed);
    }
    for _ in 0..3 {
        let refused = take(&adapter, "key", 3, HOUR).await;
        assert!(!refused.allowed && refused.remaining == 0);
        assert!(refused.retry_after > Duration::ZERO && refused.retry_after <= HOUR);
    }
    // Keys are compared as they are.
    for other in ["KEY", "key ", "%", "k_y"] {
        assert!(take(&adapter, other, 1, HOUR).await.allowed);
        assert!(!take(&adapter, other, 1, HOUR).await.allowed);
    }
    // There is room as soon as more are allowed, and none that was given away comes back.
    assert_eq!(take(&adapter, "key", 5, HOUR).await.remaining, 1);
    assert!(!take(&adapter, "key", 2, HOUR).await.allowed);
    assert!(take(&adapter, "key", u32::MAX, HOUR).await.allowed);
}

pub(super) async fn a_new_window_has_room_again(adapter: Adapter) {
    let window = Duration::from_millis(50);
    in_time(async {
        for _ in 0..3 {
            loop {
                let taken = take(&adapter, "key", 1, window).await;
                assert!(taken.retry_after <= window);
                if taken.allowed {
                    break;
                }
                tokio::time::sleep(taken.retry_after).await;
            }
        }
    })
    .await;
}

pub(super) async fn of_many_exactly_so_many_are_allowed(adapter: Adapter) {
    for (round, max) in [1, 50].into_iter().enumerate() {
        let answers = at_once(100, |_| {
            let adapter = adapter.clone();
            async move { take(&adapter, &format!("key {round}"), max, HOUR).await }
        });
        let answers = answers.await;
        let allowed = answers.iter().filter(|answer| answer.allowed);
        let mut remaining: Vec<u32> = allowed.map(|answer| answer.remaining).collect();
        remaining.sort_unstable();
        assert_eq!(remaining, (0..max).collect::<Vec<_>>());
    }
}

pub(super) async fn impossible_limits_are_refused(adapter: Adapter) {
    let store = store(&adapter);
    for key in ["", "a\0b", &"x".repeat(1025)] {
        assert_refused("key", store.take(key, 1, HOUR).await);
    }
    assert_refused("max", store.take("key", 0, HOUR).await);
    for window in [Duration::ZERO, Duration::from_nanos(999), Duration::MAX] {
        assert_refused("window", store.take("key", 1, window).await);
    }
    assert!(take(&adapter, &"x".repeat(1024), 1, HOUR).await.allowed);
    let century = Duration::from_secs(100 * 365 * 24 * 60 * 60);
    assert!(take(&adapter, "key", 1, century).await.allowed);
    assert!(!take(&adapter, "key", 1, century).await.allowed);
}

pub(super) async fn a_running_window_outlasts_a_clean_up(adapter: Adapter) {
    assert!(take(&adapter, "key", 1, HOUR).await.allowed);
    let window = Duration::from_micros(1);
    assert!(take(&adapter, "ended", 1, window).await.allowed);
    adapter.clean_up().await.unwrap();
    assert!(!take(&adapter, "key", 1, HOUR).await.allowed);
    assert!(take(&adapter, "ended", 1, HOUR).await.allowed);
}

pub(super) async fn a_call_is_undone_with_its_transaction(adapter: Adapter) {
    for commits in [false, true] {
        let transaction = adapter.begin().await.unwrap();
        let inside = store(&*transaction);
        assert!(inside.take("key", 1, HOUR).await.unwrap().allowed);
        assert!(!inside.take("key", 1, HOUR).await.unwrap().allowed);
        if commits {
            transaction.commit().await.unwrap();
        } else {
            transaction.rollback().await.unwrap();
        }
    }
    assert!(!take(&adapter, "key", 1, HOUR).await.allowed);
}

pub(super) async fn of_two_transactions_one_takes_the_last_place(adapter: Adapter) {
    for round in 0..4 {
        let key = format!("key {round}");
        if round % 2 == 0 {
            // The key is there already.
            assert!(take(&adapter, &key, 2, HOUR).await.allowed);
        }
        let max = if round % 2 == 0 { 2 } else { 1 };
        let transaction = adapter.begin().await.unwrap();
        let inside = store(&*transaction).take(&key, max, HOUR).await.unwrap();
        assert!(inside.allowed);
        let database = adapter.clone();
        let (first, second) = overlap(transaction.commit(), async move {
            if round < 2 {
                return store(&database).take(&key, max, HOUR).await;
            }
            let transaction = database.begin().await?;
            let taken = store(&*transaction).take(&key, max, HOUR).await?;
            transaction.commit().await?;
            AuthResult::Ok(taken)
        })
        .await;
        let second = match second {
            Ok(taken) => taken.allowed,
            Err(error) => {
                assert!(error.is_retryable(), "{error:?}");
                false
            }
        };
        assert!(first.is_ok() != second, "{first:?}, {second}");
    }
}
