//! Keys of verifications' values, in memory: clones share the data, each with keys of its own.

use std::sync::Arc;

use better_auth::AuthError;
use better_auth::adapters::{MemoryDatabaseAdapter, VerificationKeys};

use promises::{Adapter, keys};

#[path = "../support/keys.rs"]
mod promises;

/// An adapter on the same data with these keys.
fn on(database: &MemoryDatabaseAdapter, numbers: &[u8]) -> Adapter {
    let database = database.clone();
    Arc::new(match keys(numbers) {
        Some(keys) => database.verification_keys(keys).unwrap(),
        None => database,
    })
}

macro_rules! kept_in_memory {
    ($($promise:ident)*) => {
        $(
            #[tokio::test(flavor = "multi_thread")]
            async fn $promise() {
                let database = MemoryDatabaseAdapter::new();
                promises::$promise(async |numbers: &[u8]| on(&database, numbers)).await;
            }
        )*
    };
}
kept_in_memory! {
    keys_change_while_traffic_runs
    a_forgotten_key_finds_nothing
    rows_of_all_keys_are_one_pair
    without_keys_nothing_is_hashed
    no_digest_is_a_value
    transactions_have_the_keys
}

#[test]
fn short_keys_are_refused() {
    let keys = VerificationKeys::new([1; 32]).with_previous([2; 31]);
    let refused = MemoryDatabaseAdapter::new().verification_keys(keys);
    assert!(
        matches!(
            refused,
            Err(AuthError::Validation {
                field: "verification_keys",
                ..
            })
        ),
        "{refused:?}"
    );
}
