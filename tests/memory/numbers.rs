//! Numbers of any precision, in memory.

use better_auth::adapters::MemoryDatabaseAdapter;

#[path = "../support/numbers.rs"]
mod promises;

#[tokio::test]
async fn numbers_come_back_as_jsonb_writes_them() {
    promises::numbers_come_back_as_jsonb_writes_them(&MemoryDatabaseAdapter::new()).await;
}

#[tokio::test]
async fn numbers_beyond_jsonb_are_refused() {
    promises::numbers_beyond_jsonb_are_refused(&MemoryDatabaseAdapter::new()).await;
}
