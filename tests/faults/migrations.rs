//! `migrate` while the server holds up the last commit of somebody's index build.

use std::time::Duration;

use sqlx::{Connection as _, PgConnection};

use super::application::{Application, adapter, until};

const INDEX_OID: &str = "SELECT 'users_name_created_at_id_idx'::regclass::oid::BIGINT";
/// A migration whose index is to be dropped loses its record first.
const RECORDS: &str = "SELECT count(*) FROM _better_auth_migrations WHERE version = 19";
const BUILDS_AT_THEIR_END: &str = "SELECT count(*) FROM pg_stat_progress_create_index \
     WHERE phase = 'waiting for old snapshots' AND lockers_total > 0";
const WAITING_FOR_STANDBY: &str =
    "SELECT count(*) FROM pg_stat_activity WHERE wait_event = 'SyncRep'";

async fn connect(url: &str) -> PgConnection {
    PgConnection::connect(url).await.unwrap()
}

/// The build has given its lock back by then, and its index still counts as INVALID.
#[tokio::test(flavor = "multi_thread")]
#[ignore = "needs PostgreSQL's own binaries: run `just faults`"]
async fn an_index_whose_build_waits_for_a_standby_is_not_dropped() {
    let application = Application::start(&[]).await;
    let url = application.server.url();
    application
        .execute("DROP INDEX users_name_created_at_id_idx")
        .await;
    let mut old_snapshot = connect(&url).await;
    sqlx::raw_sql("BEGIN ISOLATION LEVEL REPEATABLE READ; SELECT FROM users")
        .execute(&mut old_snapshot)
        .await
        .unwrap();
    let mut administrator = connect(&url).await;
    let build = tokio::spawn(async move {
        sqlx::raw_sql(
            "CREATE INDEX CONCURRENTLY users_name_created_at_id_idx \
             ON users (left(name, 64) COLLATE \"C\", created_at, id COLLATE \"C\")",
        )
        .execute(&mut administrator)
        .await
    });
    until("the build waits for a snapshot", async || {
        application.count(BUILDS_AT_THEIR_END).await == 1
    })
    .await;
    let index = application.count(INDEX_OID).await;
    application.set("synchronous_standby_names", "nobody").await;
    // The checkpointer hears of it later: from then on, commits wait.
    until("a commit waits for a standby", async || {
        let verification = super::load::new_key("verification");
        let database = application.database.clone();
        let write = tokio::spawn(async move {
            super::load::create_verification(&database, &verification).await
        });
        until("it ends or waits", async || {
            write.is_finished() || application.count(WAITING_FOR_STANDBY).await > 0
        })
        .await;
        !write.is_finished()
    })
    .await;
    old_snapshot.close().await.unwrap();
    until("the build waits for a standby", async || {
        application.count(WAITING_FOR_STANDBY).await == 2
    })
    .await;

    let patient = format!("{url}?options=-c%20synchronous_commit%3Dlocal");
    let database = adapter(&patient, 2).await;
    let migrating = tokio::spawn(async move {
        database.migrate().await.unwrap();
        database
    });
    tokio::time::sleep(Duration::from_secs(3)).await;
    assert!(!migrating.is_finished(), "the build was not waited for");
    assert_eq!(application.count(RECORDS).await, 1, "a drop was tried");
    application
        .set("synchronous_standby_names", "DEFAULT")
        .await;
    build.await.unwrap().expect("the build was disturbed");
    let database = migrating.await.unwrap();
    assert_eq!(application.count(INDEX_OID).await, index);
    database.check_schema().await.unwrap();
    database.ping().await.unwrap();
}
