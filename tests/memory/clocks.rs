//! What depends on the clock, in memory.

use std::sync::Arc;
use std::sync::atomic::{AtomicI64, Ordering};

use better_auth::adapters::MemoryDatabaseAdapter;
use better_auth::async_trait;
use chrono::{DateTime, Utc};

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
