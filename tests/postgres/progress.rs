//! Long operations tell an observer how far they are.

use std::collections::BTreeMap;
use std::pin::pin;
use std::sync::atomic::{AtomicBool, Ordering};
use std::task::Poll;

use crate::support::{adapter, execute};
use better_auth::adapters::{Progress, SqlxAdapter};
use better_auth::types::Removed;
use sqlx::postgres::PgPoolOptions;
use sqlx::{Connection as _, PgConnection, PgPool};

/// The reports of an operation.
#[derive(Default)]
struct Reports(Vec<Progress>);

impl Reports {
    fn note(&mut self, progress: &Progress) {
        self.0.push(progress.clone());
    }

    /// What each step has come to. Each begins at 0 and never falls, and no estimate is less than what is done.
    fn steps(&self) -> BTreeMap<String, u64> {
        let mut steps = BTreeMap::new();
        let mut last = ("", 0);
        for Progress {
            step,
            done,
            estimated_total,
            ..
        } in &self.0
        {
            if step == last.0 {
                assert!(*done >= last.1, "{step}: {done} after {}", last.1);
            } else {
                assert_eq!(*done, 0, "{step}");
            }
            assert!(estimated_total.is_none_or(|total| total >= *done), "{step}");
            last = (step, *done);
            steps.insert(step.clone(), *done);
        }
        steps
    }

    fn first_estimate(&self, step: &str) -> Option<u64> {
        let mut reports = self.0.iter();
        reports.find(|report| report.step == step)?.estimated_total
    }
}

async fn fill(pool: &PgPool) {
    execute(
        pool,
        "INSERT INTO users (id, email, username) \
         SELECT 'u' || i, 'U' || i || '@example.com', 'u' || i FROM generate_series(1, 2500) AS i; \
         INSERT INTO sessions (id, token, user_id, expires_at, active) \
         SELECT 's' || i, 'token' || i, 'u' || i % 2500 + 1, now() + (i % 2 - 0.5) * INTERVAL '2 hours', i % 10 <> 1 \
         FROM generate_series(1, 6000) AS i; \
         INSERT INTO verifications (id, identifier, value, expires_at) \
         SELECT i, i, i, now() - INTERVAL '1 hour' FROM generate_series(1, 1500) AS i; ANALYZE",
    )
    .await;
}

#[sqlx::test(migrator = "crate::support::MIGRATED")]
async fn a_cleanup_tells_how_many_rows_it_has_removed(pool: PgPool) {
    fill(&pool).await;
    let database = adapter(&pool).await;
    let mut reports = Reports::default();
    let removed = database.clean_up_with(|progress| reports.note(progress));
    let expected = Removed {
        sessions: 3600,
        verifications: 1500,
    };
    assert_eq!(removed.await.unwrap(), expected);
    let steps = reports.steps();
    let expected = [
        ("removing ended rate limits".to_owned(), 0),
        ("removing expired API keys".to_owned(), 0),
        ("removing expired device codes".to_owned(), 0),
        ("removing expired sessions".to_owned(), 3000),
        ("removing expired verifications".to_owned(), 1500),
        ("removing inactive sessions".to_owned(), 600),
    ];
    assert_eq!(steps.into_iter().collect::<Vec<_>>(), expected);
    let estimate = reports.first_estimate("removing expired sessions").unwrap();
    assert!((2000..4000).contains(&estimate), "{estimate}");
    assert!(reports.0.len() >= 3 + 3 + 1 + 2, "a report per batch");
}

#[sqlx::test(migrator = "crate::support::MIGRATED")]
async fn hashing_tells_how_many_sessions_it_has_looked_at(pool: PgPool) {
    fill(&pool).await;
    let database = adapter(&pool).await;
    let mut reports = Reports::default();
    let hashed = database.hash_stored_session_tokens_with(|progress| reports.note(progress));
    assert_eq!(hashed.await.unwrap(), 6000);
    let expected = BTreeMap::from([("hashing session tokens".to_owned(), 6000)]);
    assert_eq!(reports.steps(), expected);
    let estimate = reports.first_estimate("hashing session tokens").unwrap();
    assert_eq!(estimate, 6000);
}

#[sqlx::test(migrator = "crate::support::MIGRATED")]
async fn names_are_counted_by_users(pool: PgPool) {
    fill(&pool).await;
    let database = adapter(&pool).await;
    let mut reports = Reports::default();
    let checked = database.check_names_with(|progress| reports.note(progress));
    let checked = checked.await.unwrap();
    assert_eq!((checked.users, checked.unreachable), (2500, 2500));
    assert_eq!(checked.first_ids[..2], ["u1", "u10"]);
    assert_eq!(checked.first_ids.len(), 10);
    let expected = BTreeMap::from([("checking emails and usernames".to_owned(), 2500)]);
    assert_eq!(reports.steps(), expected);

    let mut reports = Reports::default();
    let normalized = database.normalize_names_with(|progress| reports.note(progress));
    assert_eq!(normalized.await.unwrap().changed, 2500);
    let expected = BTreeMap::from([("normalizing emails and usernames".to_owned(), 2500)]);
    assert_eq!(reports.steps(), expected);
    assert_eq!(database.check_names().await.unwrap().unreachable, 0);
}

#[sqlx::test(migrations = false)]
async fn a_migration_tells_of_each_step(pool: PgPool) {
    let database = adapter(&pool).await;
    let mut reports = Reports::default();
    let migrate = database.migrate_with(|progress| reports.note(progress));
    migrate.await.unwrap();
    let steps = reports.steps();
    assert_eq!(
        steps.keys().filter(|step| !step.contains(": ")).count(),
        23,
        "{steps:?}"
    );
    assert!(steps.contains_key("applying migration 1 of 23, create_tables"));
    assert!(steps.contains_key("recording migration 3 of 23, sessions_expires_at_idx"));
    let mut reports = Reports::default();
    let migrate = database.migrate_with(|progress| reports.note(progress));
    migrate.await.unwrap();
    assert!(reports.0.is_empty(), "nothing is left to do");
}

/// A build waits for a transaction that writes to its table: on the adapter's own connections, on a pool that has
/// another connection, and on one that has none.
#[sqlx::test(migrations = false)]
async fn an_index_build_tells_what_it_waits_for(pool: PgPool) {
    let own = adapter(&pool).await;
    own.migrate().await.unwrap();
    let options = pool.connect_options().as_ref().clone();
    let shared = PgPoolOptions::new().max_connections(2);
    let shared = shared.connect_with(options.clone()).await.unwrap();
    for database in [own, SqlxAdapter::from_pool(shared)] {
        execute(
            &pool,
            "DROP INDEX users_created_at_id_idx; DELETE FROM _better_auth_migrations WHERE version = 13",
        )
        .await;
        let mut other = PgConnection::connect_with(&options).await.unwrap();
        sqlx::raw_sql("BEGIN; INSERT INTO users (id) VALUES (gen_random_uuid())")
            .execute(&mut other)
            .await
            .unwrap();
        let has_waited = AtomicBool::new(false);
        let mut reports = Reports::default();
        let migrate = async {
            let observe = |progress: &Progress| {
                if progress.step.contains(": waiting for writers") {
                    has_waited.store(true, Ordering::Relaxed);
                }
                reports.note(progress);
            };
            database.migrate_with(observe).await.unwrap();
        };
        let end_other = async {
            while !has_waited.load(Ordering::Relaxed) {
                tokio::time::sleep(std::time::Duration::from_millis(10)).await;
            }
            sqlx::raw_sql("COMMIT").execute(&mut other).await.unwrap();
        };
        tokio::join!(migrate, end_other);
        let begin = "applying migration 13 of 23, users_created_at_id_idx";
        let steps = reports.steps();
        assert!(steps.contains_key(begin), "{steps:?}");
        assert!(
            steps.keys().all(|step| step.starts_with(begin)),
            "{steps:?}"
        );
    }
}

/// Without a connection for it, progress is silent, and the build goes on.
#[sqlx::test(migrations = false)]
async fn a_build_needs_no_second_connection(pool: PgPool) {
    let role = format!("alone_{}", std::process::id());
    execute(
        &pool,
        &format!(
            "CREATE ROLE {role} LOGIN PASSWORD 'password' CONNECTION LIMIT 1; \
             GRANT ALL ON SCHEMA public TO {role}"
        ),
    )
    .await;
    let options = pool.connect_options().as_ref().clone();
    let options = options.username(&role).password("password");
    let alone = PgPoolOptions::new().max_connections(2);
    let database = SqlxAdapter::from_pool(alone.connect_lazy_with(options));
    let mut reports = Reports::default();
    let migrate = database.migrate_with(|progress| reports.note(progress));
    migrate.await.unwrap();
    assert_eq!(reports.steps().len(), 23);
    execute(&pool, &format!("DROP OWNED BY {role}; DROP ROLE {role}")).await;
}

/// A caller that stops waiting after a report stops the operation between two batches.
#[sqlx::test(migrator = "crate::support::MIGRATED")]
async fn a_future_dropped_after_a_report_leaves_nothing_under_way(pool: PgPool) {
    fill(&pool).await;
    let database = adapter(&pool).await;
    let removed = AtomicBool::new(false);
    {
        let clean_up = database.clean_up_with(|progress| {
            removed.store(progress.done == 1000, Ordering::Relaxed);
        });
        let mut clean_up = pin!(clean_up);
        std::future::poll_fn(|context| {
            assert!(clean_up.as_mut().poll(context).is_pending());
            if removed.load(Ordering::Relaxed) {
                return Poll::Ready(());
            }
            Poll::Pending
        })
        .await;
    }
    let left: i64 = sqlx::query_scalar("SELECT count(*) FROM sessions")
        .fetch_one(&pool)
        .await
        .unwrap();
    assert_eq!(left, 5000);
    let active: i64 = sqlx::query_scalar(
        "SELECT count(*) FROM pg_stat_activity WHERE datname = current_database() \
         AND pid <> pg_backend_pid() AND state <> 'idle'",
    )
    .fetch_one(&pool)
    .await
    .unwrap();
    assert_eq!(active, 0);
}

/// An observer that panics ends the operation, and the next one goes on.
#[sqlx::test(migrator = "crate::support::MIGRATED")]
async fn an_observer_may_panic(pool: PgPool) {
    fill(&pool).await;
    let database = adapter(&pool).await;
    let run = tokio::spawn({
        let database = database.clone();
        async move {
            let observe = |progress: &Progress| assert!(progress.done < 2000, "enough");
            database.hash_stored_session_tokens_with(observe).await
        }
    });
    assert!(run.await.unwrap_err().is_panic());
    assert_eq!(database.hash_stored_session_tokens().await.unwrap(), 4000);
}
