//! How far the server is with an index that it builds.

use std::future::{pending, poll_fn};
use std::pin::pin;
use std::task::Poll;
use std::time::Duration;

use sqlx::PgConnection;
use sqlx::migrate::{Migrate as _, Migration};

use super::super::connection::Connections;
use super::super::progress::Observer;
use super::migrations::Failure;

/// How often the server is asked.
const PAUSE: Duration = Duration::from_millis(500);

struct BuildProgress {
    phase: String,
    done: i64,
    total: Option<i64>,
}

/// Applies a migration that builds an index, and says how long it took.
pub(super) async fn build_index(
    connections: &Connections,
    connection: &mut PgConnection,
    migration: &'static Migration,
    records: &'static str,
    step: &str,
    observer: &mut Observer<'_>,
) -> Result<Duration, Failure> {
    if observer.is_silent() {
        return Ok(connection.apply(records, migration).await?);
    }
    let pid = sqlx::query_scalar!("SELECT pg_backend_pid() AS \"pid!\"")
        .fetch_one(&mut *connection)
        .await?;
    let mut build = pin!(connection.apply(records, migration));
    // Unboxed, its connection would be part of every caller's future.
    let mut watch = Box::pin(async {
        // Whatever goes wrong, the build goes on.
        let _ = watch(connections, pid, step, observer).await;
        pending::<()>().await;
    });
    poll_fn(|context| {
        if let Poll::Ready(built) = build.as_mut().poll(context) {
            return Poll::Ready(built.map_err(Failure::from));
        }
        let _ = watch.as_mut().poll(context);
        Poll::Pending
    })
    .await
}

async fn watch(
    connections: &Connections,
    pid: i32,
    step: &str,
    observer: &mut Observer<'_>,
) -> sqlx::Result<()> {
    // Most builds end before that.
    tokio::time::sleep(PAUSE).await;
    let mut connection = connections.dedicated().await?;
    loop {
        // The role sees what its own sessions do without any privilege.
        let progress = sqlx::query_as!(
            BuildProgress,
            "SELECT phase AS \"phase!\", \
             CASE WHEN phase LIKE 'waiting %' THEN lockers_done WHEN phase LIKE '%: scanning %' THEN blocks_done \
             WHEN phase LIKE '%: loading %' THEN tuples_done ELSE 0 END AS \"done!\", \
             CASE WHEN phase LIKE 'waiting %' THEN lockers_total WHEN phase LIKE '%: scanning %' THEN blocks_total \
             WHEN phase LIKE '%: loading %' THEN tuples_total END AS total \
             FROM pg_stat_progress_create_index WHERE datname = current_database() AND pid = $1 AND phase IS NOT NULL",
            pid,
        )
        .fetch_optional(&mut connection)
        .await?;
        if let Some(progress) = progress {
            let step = format!("{step}: {}", progress.phase);
            let count = |count: i64| u64::try_from(count).unwrap_or_default();
            let total = progress.total.map(count);
            observer.reach(&step, count(progress.done), total).await;
        }
        tokio::time::sleep(PAUSE).await;
    }
}
