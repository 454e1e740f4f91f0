//! Servers that run and refuse: full, read-only, or with no connection left.

use better_auth::AuthError;
use better_auth::adapters::{DatabaseAdapter, SqlxAdapter};
use sqlx::{Connection as _, PgConnection};

use super::application::{Application, MAX_CONNECTIONS, adapter, until};
use super::load::{Fate, Load, count_rows, create_verification, new_key, sign_up};

/// A table that is larger than any other file, so that a limit on the size of files meets its growth alone.
const FILL: &str = "INSERT INTO verifications (id, identifier, value, expires_at, created_at, updated_at) \
                    SELECT n, 'filler', repeat('x', 1000), now(), now(), now() FROM generate_series(1, 1200) AS n";

/// The disk is full for one table: by the server's own limit on the size of files (RLIMIT_FSIZE), its `write` falls short
/// in the middle of a page.
#[tokio::test(flavor = "multi_thread")]
#[ignore = "needs PostgreSQL's own binaries: run `just faults`"]
async fn a_full_disk_refuses_writes_until_there_is_room() {
    let application = Application::start(&[]).await;
    let database = &application.database;
    application.execute(FILL).await;
    let size = application
        .count("SELECT pg_relation_size('verifications')")
        .await;
    let half_a_page = 4096;
    application
        .server
        .limit_file_size(Some(u64::try_from(size).unwrap() + half_a_page));

    let (mut stored, mut refused) = (Vec::new(), Vec::new());
    while refused.len() < 20 {
        let key = new_key("full");
        match create_verification(database, &key).await {
            Ok(()) => {
                assert!(refused.is_empty(), "stored on a full disk");
                stored.push(key);
            }
            Err(error) => {
                assert!(
                    error.is_retryable() && error.to_string().contains("53100"),
                    "{error:?}"
                );
                refused.push(key);
            }
        }
    }
    let found = database.get_verification_by_identifier(&stored[0]).await;
    assert!(found.unwrap().is_some());
    let transaction = database.begin().await.unwrap();
    let answer = sign_up(&*transaction, &refused[0]).await;
    assert_eq!(Fate::of(&answer), Fate::NotDone, "{answer:?}");
    assert!(matches!(
        transaction.commit().await,
        Err(AuthError::TransactionAborted)
    ));
    let rows = count_rows(&application.observer).await;
    assert!(stored.iter().all(|key| rows.get(key) == Some(&1)));
    assert!(!refused.iter().any(|key| rows.contains_key(key)));

    application.server.limit_file_size(None);
    application.execute("DELETE FROM verifications").await;
    application.check(Load::start(database)).await;
}

#[tokio::test(flavor = "multi_thread")]
#[ignore = "needs PostgreSQL's own binaries: run `just faults`"]
async fn a_read_only_server_refuses_writes_and_goes_on_reading() {
    let application = Application::start(&[]).await;
    let load = Load::start(&application.database);
    load.writes(50).await;
    application.set("default_transaction_read_only", "on").await;
    load.message("read-only").await;
    application
        .set("default_transaction_read_only", "off")
        .await;
    let written = application.check(load).await;
    assert_eq!(
        (written.counts().failed_reads, written.counts().unknown),
        (0, 0)
    );
}

#[tokio::test(flavor = "multi_thread")]
#[ignore = "needs PostgreSQL's own binaries: run `just faults`"]
async fn a_standby_refuses_writes_until_it_is_promoted() {
    let application = Application::start(&[]).await;
    let standby = application.server.standby();
    let database = adapter(&standby.url(), 1).await;
    create_verification(&application.database, "replicated")
        .await
        .unwrap();
    until("the row is replicated", async || {
        let found = database.get_verification_by_identifier("replicated").await;
        found.unwrap().is_some()
    })
    .await;
    let assert_read_only = |error: AuthError| {
        assert!(
            error.is_retryable() && error.to_string().contains("read-only"),
            "{error:?}"
        );
    };
    assert_read_only(create_verification(&database, "refused").await.unwrap_err());
    let transaction = database.begin().await.unwrap();
    assert_read_only(
        create_verification(&*transaction, "refused")
            .await
            .unwrap_err(),
    );
    assert!(matches!(
        transaction.commit().await,
        Err(AuthError::TransactionAborted)
    ));

    standby.promote();
    create_verification(&database, "promoted").await.unwrap();
    assert!(
        database
            .get_verification_by_identifier("promoted")
            .await
            .unwrap()
            .is_some()
    );
    assert_eq!(
        database
            .get_verification_by_identifier("refused")
            .await
            .unwrap(),
        None
    );
    assert_eq!(database.pool_stats().size, 1);
}

#[tokio::test(flavor = "multi_thread")]
#[ignore = "needs PostgreSQL's own binaries: run `just faults`"]
async fn a_server_without_a_connection_left_is_named() {
    let application = Application::start(&["max_connections=15"]).await;
    application.execute("CREATE ROLE greedy LOGIN").await;
    let url = application.server.url();
    // The server has given the adapter one.
    application.database.ping().await.unwrap();
    let mut others = Vec::new();
    while let Ok(other) = PgConnection::connect(&url.replace("app@", "greedy@")).await {
        others.push(other);
    }
    let error = SqlxAdapter::new(&url).await.unwrap_err();
    assert!(
        error.is_retryable() && error.to_string().contains("max_connections"),
        "{error:?}"
    );

    // It serves everyone.
    let load = Load::start(&application.database);
    load.writes(100).await;
    assert_eq!(load.counts().failed_reads, 0);
    for other in others {
        other.close().await.unwrap();
    }
    until("the pool has grown", async || {
        application.database.pool_stats().size == MAX_CONNECTIONS
    })
    .await;
    let written = application.check(load).await;
    assert_eq!(
        (written.counts().failed_reads, written.counts().unknown),
        (0, 0)
    );
}
