//! The memory adapter keeps every promise.

use std::sync::Arc;

use better_auth::adapters::MemoryDatabaseAdapter;

better_auth::conformance_tests!(MemoryDatabaseAdapter::new());

#[tokio::test]
async fn no_provided_method_is_missing() {
    let adapter = Arc::new(MemoryDatabaseAdapter::new());
    better_auth::conformance::supports_every_provided_method(adapter).await;
}
