//! Dead rows go by themselves, by one instance at a time.

#[path = "../support/dead_rows.rs"]
mod dead_rows;

use std::time::Duration;

use better_auth::adapters::{DatabaseAdapter, MemoryDatabaseAdapter};
use better_auth::types::Removed;
use better_auth::{AuthError, spawn_cleanup};
use dead_rows::add_dead_rows;

const HOUR: Duration = Duration::from_secs(3600);

#[tokio::test(start_paused = true)]
async fn it_runs_at_its_interval_until_it_is_dropped() {
    let database = MemoryDatabaseAdapter::new();
    add_dead_rows(&database, 3, 2).await;
    let cleanup = spawn_cleanup(database.clone(), HOUR).unwrap();
    tokio::time::sleep(HOUR / 3).await;
    assert_eq!(
        cleanup.report().runs,
        0,
        "never before half of the interval"
    );
    tokio::time::sleep(HOUR * 3 / 2).await;
    let report = cleanup.report();
    assert!((1..=3).contains(&report.runs), "{report:?}");
    let expected = Removed {
        sessions: 3,
        verifications: 2,
    };
    assert_eq!(report.removed, expected);
    tokio::time::sleep(HOUR * 100).await;
    let runs = cleanup.report().runs;
    assert!((75..=150).contains(&runs), "{runs}");
    drop(cleanup);
    add_dead_rows(&database, 1, 0).await;
    tokio::time::sleep(HOUR * 100).await;
    assert_eq!(database.delete_expired_sessions().await.unwrap(), 1);
}

#[tokio::test]
async fn an_interval_of_nothing_is_refused() {
    let answer = spawn_cleanup(MemoryDatabaseAdapter::new(), Duration::ZERO);
    assert!(
        matches!(answer, Err(AuthError::Validation { field: "every", .. })),
        "{answer:?}"
    );
    let cleanup = spawn_cleanup(MemoryDatabaseAdapter::new(), Duration::MAX).unwrap();
    assert!(!cleanup.is_finished());
}

#[test]
fn it_needs_a_runtime() {
    let answer = spawn_cleanup(MemoryDatabaseAdapter::new(), HOUR);
    assert!(
        matches!(answer, Err(AuthError::Unavailable { .. })),
        "{answer:?}"
    );
}
