//! What operators see: spans, events, metrics.

mod metrics;
mod recorder;
mod spans;
#[path = "../support/mod.rs"]
mod support;

use better_auth::adapters::{DatabaseAdapter, SqlxAdapter};

/// Makes twenty lookups while the only connection is in use, so that a batch answers some of them.
async fn look_up_at_once(database: &SqlxAdapter) {
    let held = database.acquire().await.unwrap();
    let lookups = (0..20).map(|number: u32| {
        let database = database.clone();
        tokio::spawn(async move { database.get_user_by_id(&number.to_string()).await })
    });
    let lookups: Vec<_> = lookups.collect();
    for _ in 0..100 {
        tokio::task::yield_now().await;
    }
    drop(held);
    for lookup in lookups {
        assert_eq!(lookup.await.unwrap().unwrap(), None);
    }
}
