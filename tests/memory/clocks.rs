//! What depends on the clock, in memory.

use std::pin::pin;
use std::sync::atomic::{AtomicI64, Ordering};
use std::sync::{Arc, Mutex};
use std::task::{Context, Poll, Waker};
use std::time::Duration;

use better_auth::adapters::{DatabaseAdapter as _, MemoryDatabaseAdapter};
use better_auth::async_trait;
use better_auth::types::{CreateSession, CreateUser};
use chrono::{DateTime, TimeDelta, Utc};

use promises::{Clock, start};

#[path = "../support/clocks.rs"]
mod promises;
#[path = "../support/store_clocks.rs"]
mod stores;

/// Microseconds since 1970.
struct MemoryClock(Arc<AtomicI64>);

#[async_trait]
impl Clock for MemoryClock {
    async fn set(&self, time: DateTime<Utc>) {
        self.0.store(time.timestamp_micros(), Ordering::Relaxed);
    }
}

/// An adapter whose clock reads `start()` until it is set.
fn memory() -> (MemoryDatabaseAdapter, MemoryClock) {
    let micros = Arc::new(AtomicI64::new(start().timestamp_micros()));
    let clock = MemoryClock(Arc::clone(&micros));
    let now = move || DateTime::from_timestamp_micros(micros.load(Ordering::Relaxed)).unwrap();
    (MemoryDatabaseAdapter::with_clock(now), clock)
}

#[tokio::test]
async fn updated_at_moves_forward() {
    let (adapter, clock) = memory();
    promises::updated_at_moves_forward(&adapter, &clock).await;
}

#[tokio::test]
async fn equal_is_expired() {
    let (adapter, clock) = memory();
    promises::equal_is_expired(&adapter, &clock).await;
}

#[tokio::test]
async fn ties_are_broken_by_id() {
    let (adapter, _clock) = memory();
    promises::ties_are_broken_by_id(&adapter).await;
}

#[tokio::test]
async fn bans_links_and_refreshes_move_forward() {
    let (adapter, clock) = memory();
    promises::bans_links_and_refreshes_move_forward(&adapter, &clock).await;
}

#[tokio::test]
async fn equal_is_expired_for_codes_and_markers() {
    let (adapter, clock) = memory();
    promises::equal_is_expired_for_codes_and_markers(&adapter, &clock).await;
}

#[tokio::test]
async fn ties_of_codes_are_broken_by_id() {
    let (adapter, _clock) = memory();
    promises::ties_of_codes_are_broken_by_id(&adapter).await;
}

#[tokio::test]
async fn equal_is_expired_for_device_codes() {
    let (adapter, clock) = memory();
    stores::equal_is_expired_for_device_codes(&adapter, &clock).await;
}

#[tokio::test]
async fn equal_is_expired_for_signing_keys() {
    let (adapter, clock) = memory();
    stores::equal_is_expired_for_signing_keys(&adapter, &clock).await;
}

#[tokio::test]
async fn equal_is_expired_for_locks() {
    let (adapter, clock) = memory();
    stores::equal_is_expired_for_locks(&adapter, &clock).await;
}

#[tokio::test]
async fn equal_is_expired_for_invitations() {
    let (adapter, clock) = memory();
    stores::equal_is_expired_for_invitations(&adapter, &clock).await;
}

#[tokio::test]
async fn equal_is_expired_for_api_keys() {
    let (adapter, clock) = memory();
    stores::equal_is_expired_for_api_keys(&adapter, &clock).await;
}

#[tokio::test]
async fn ties_in_stores_are_broken_by_id() {
    let (adapter, _clock) = memory();
    stores::ties_in_stores_are_broken_by_id(&adapter).await;
}

/// What is done while the clock is read for the last time of so many.
type Meanwhile = (usize, Box<dyn FnOnce() + Send>);

#[tokio::test]
async fn a_session_that_ends_between_the_lookup_and_its_refresh_stays_ended() {
    let meanwhile: Arc<Mutex<Option<Meanwhile>>> = Arc::default();
    let pending = Arc::clone(&meanwhile);
    let adapter = MemoryDatabaseAdapter::with_clock(move || {
        let due = {
            let mut pending = pending.lock().unwrap();
            if let Some((readings, _)) = &mut *pending {
                *readings -= 1;
            }
            pending.take_if(|(readings, _)| *readings == 0)
        };
        if let Some((_, end)) = due {
            end();
        }
        start()
    });
    let user = adapter.create_user(CreateUser::new()).await.unwrap();
    let hour = Duration::from_secs(3600);
    // The lookup reads the clock, then the refresh.
    for readings in [1, 2] {
        let create = CreateSession::new(&user.id, start() + TimeDelta::minutes(1));
        let session = adapter.create_session(create).await.unwrap();
        let (database, token) = (adapter.clone(), session.token.clone());
        let end = move || {
            let past = start() - TimeDelta::minutes(1);
            let ended = pin!(database.update_session_expiry(&token, past));
            let answer = ended.poll(&mut Context::from_waker(Waker::noop()));
            assert!(matches!(answer, Poll::Ready(Ok(()))), "{answer:?}");
        };
        *meanwhile.lock().unwrap() = Some((readings, Box::new(end)));
        let refreshed = adapter.refresh_session(&session.token, hour, Duration::ZERO);
        let is_extended = refreshed
            .await
            .unwrap()
            .is_some_and(|(found, _)| found.expires_at > session.expires_at);
        assert!(!is_extended && meanwhile.lock().unwrap().is_none());
        let found = adapter.get_session(&session.token).await.unwrap();
        assert_eq!(found, None, "ended at reading {readings}");
    }
}
