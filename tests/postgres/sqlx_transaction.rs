//! `sqlx_transaction`: the application's statements in a transaction of the adapter's.

use std::error::Error;
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::Duration;

use better_auth::adapters::{
    DatabaseAdapter, OpenSqlxTransaction, PoolConfig, SqlxAdapter, SqlxAdapterBuilder,
};
use better_auth::{
    AuthError, AuthResult, CreateAccount, CreateSession, CreateUser, User, sqlx_transaction,
};
use chrono::{TimeDelta, Utc};
use sqlx::{Acquire as _, PgConnection, PgPool};

use crate::support::proxy::Proxy;
use crate::support::{adapter, execute, serializable, shown, url};

const PROFILES: &str = "CREATE TABLE profiles (user_id TEXT PRIMARY KEY REFERENCES users (id), \
                        handle TEXT CONSTRAINT one_handle UNIQUE)";

type AnyError = Box<dyn Error + Send + Sync>;

/// With connections of its own, and on the application's pool.
async fn both_adapters(pool: &PgPool) -> [SqlxAdapter; 2] {
    execute(pool, PROFILES).await;
    [adapter(pool).await, SqlxAdapter::from_pool(pool.clone())]
}

async fn add_profile(tx: &OpenSqlxTransaction, user: &User, handle: &str) -> Result<(), AnyError> {
    sqlx::query("INSERT INTO profiles VALUES ($1, $2)")
        .bind(&user.id)
        .bind(handle)
        .execute(&mut *tx.connection().await?)
        .await?;
    Ok(())
}

/// As applications write it that take the connection itself.
async fn insert_profile(
    connection: &mut PgConnection,
    user: &User,
    handle: &str,
) -> sqlx::Result<()> {
    sqlx::query("INSERT INTO profiles VALUES ($1, $2)")
        .bind(&user.id)
        .bind(handle)
        .execute(connection)
        .await
        .map(drop)
}

/// Of users and of profiles.
async fn counts(pool: &PgPool) -> (i64, i64) {
    sqlx::query_as("SELECT (SELECT count(*) FROM users), (SELECT count(*) FROM profiles)")
        .fetch_one(pool)
        .await
        .unwrap()
}

#[sqlx::test(migrator = "crate::support::MIGRATED")]
async fn it_runs_in_a_task_on_what_it_borrows(pool: PgPool) {
    for (index, database) in both_adapters(&pool).await.into_iter().enumerate() {
        let handle = format!("ada {index}");
        let task = tokio::spawn(async move {
            let (email, handle) = (format!("{index}@x.example"), &handle);
            let email = &email;
            sqlx_transaction(&database, |tx| async move {
                let user = tx.create_user(CreateUser::new().with_email(email)).await?;
                add_profile(&tx, &user, handle).await?;
                insert_profile(&mut *tx.connection().await?, &user, "second")
                    .await
                    .unwrap_err();
                Err::<(), AnyError>("undone".into())
            })
            .await
            .unwrap_err();
            sqlx_transaction(&database, |tx| async move {
                let user = tx.create_user(CreateUser::new().with_email(email)).await?;
                insert_profile(&mut *tx.connection().await?, &user, handle).await?;
                let mut lent = tx.connection().await?;
                let found: String =
                    sqlx::query_scalar("SELECT handle FROM profiles WHERE user_id = $1")
                        .bind(&user.id)
                        .fetch_one(&mut *lent)
                        .await?;
                assert_eq!(found, *handle);
                Ok::<_, AnyError>(user)
            })
            .await
        });
        let user = task.await.unwrap().unwrap();
        let database = SqlxAdapter::from_pool(pool.clone());
        assert_eq!(database.get_user_by_id(&user.id).await.unwrap(), Some(user));
    }
    assert_eq!(counts(&pool).await, (2, 2));
}

#[sqlx::test(migrator = "crate::support::MIGRATED")]
async fn an_error_of_the_applications_statement_rolls_back(pool: PgPool) {
    for database in both_adapters(&pool).await {
        for is_swallowed in [false, true] {
            let runs = AtomicU32::new(0);
            let runs = &runs;
            let answer = sqlx_transaction(&database, |tx| async move {
                runs.fetch_add(1, Ordering::Relaxed);
                let user = tx.create_user(CreateUser::new()).await?;
                let mut lent = tx.connection().await?;
                insert_profile(&mut lent, &user, "taken")
                    .await
                    .map_err(AuthError::from_sqlx)?;
                let second = sqlx::query("INSERT INTO profiles VALUES ('nobody', 'taken')");
                let failed = second
                    .execute(&mut *lent)
                    .await
                    .map_err(AuthError::from_sqlx);
                if is_swallowed {
                    Ok(())
                } else {
                    failed.map(drop)
                }
            })
            .await;
            let error = answer.unwrap_err();
            if is_swallowed {
                assert!(matches!(error, AuthError::TransactionAborted), "{error:?}");
            } else {
                let shown = shown(&error);
                assert!(matches!(error, AuthError::Database { .. }), "{shown}");
                assert!(
                    shown.contains("public.profiles") && shown.contains("one_handle"),
                    "{shown}"
                );
                assert!(!shown.contains("taken"), "{shown}");
            }
            assert_eq!(runs.load(Ordering::Relaxed), 1);
            assert_eq!(counts(&pool).await, (0, 0));
        }
    }
}

/// Four callers read a number of the application's and write the next one.
#[sqlx::test(migrator = "crate::support::MIGRATED")]
async fn a_conflict_of_the_applications_statement_runs_it_again(pool: PgPool) {
    #[derive(Clone, Copy, Debug)]
    enum Reports {
        /// By an error that tells nothing.
        Own,
        Boxed,
        Auth,
    }
    #[derive(Debug)]
    struct OwnError;
    impl From<AuthError> for OwnError {
        fn from(_: AuthError) -> Self {
            Self
        }
    }
    /// Keeps four callers from writing in their first run until all of them have read.
    struct Meeting {
        runs: AtomicU32,
        all: tokio::sync::Barrier,
    }
    impl Meeting {
        async fn meet(&self) {
            if self.runs.fetch_add(1, Ordering::Relaxed) < 4 {
                self.all.wait().await;
            }
        }
    }
    async fn add_one(connection: &mut PgConnection, meeting: &Meeting) -> sqlx::Result<()> {
        let number: i32 = sqlx::query_scalar("SELECT number FROM counter")
            .fetch_one(&mut *connection)
            .await?;
        meeting.meet().await;
        sqlx::query("UPDATE counter SET number = $1")
            .bind(number + 1)
            .execute(connection)
            .await
            .map(drop)
    }
    async fn add_one_watched(tx: &OpenSqlxTransaction, meeting: &Meeting) -> Result<(), OwnError> {
        let mut lent = tx.connection().await?;
        let number: i32 = sqlx::query_scalar("SELECT number FROM counter")
            .fetch_one(&mut *lent)
            .await
            .map_err(|_| OwnError)?;
        meeting.meet().await;
        let update = sqlx::query("UPDATE counter SET number = $1").bind(number + 1);
        update.execute(&mut *lent).await.map_err(|_| OwnError)?;
        Ok(())
    }

    execute(&pool, "CREATE TABLE counter AS SELECT 0 AS number").await;
    let database = SqlxAdapter::from_pool(serializable(&pool, 4).await);
    for (round, reports) in [Reports::Own, Reports::Boxed, Reports::Auth]
        .into_iter()
        .enumerate()
    {
        let meeting = std::sync::Arc::new(Meeting {
            runs: AtomicU32::new(0),
            all: tokio::sync::Barrier::new(4),
        });
        let callers: Vec<_> = (0..4)
            .map(|_| {
                let (database, meeting) = (database.clone(), meeting.clone());
                tokio::spawn(async move {
                    let meeting = &*meeting;
                    match reports {
                        Reports::Own => sqlx_transaction(&database, |tx| async move {
                            add_one_watched(&tx, meeting).await
                        })
                        .await
                        .unwrap(),
                        Reports::Boxed => sqlx_transaction(&database, |tx| async move {
                            add_one(&mut *tx.connection().await?, meeting).await?;
                            Ok::<(), AnyError>(())
                        })
                        .await
                        .unwrap(),
                        Reports::Auth => sqlx_transaction(&database, |tx| async move {
                            let mut lent = tx.connection().await?;
                            let added = add_one(&mut lent, meeting).await;
                            added.map_err(AuthError::from_sqlx)
                        })
                        .await
                        .unwrap(),
                    }
                })
            })
            .collect();
        for caller in callers {
            caller.await.unwrap();
        }
        let number: i32 = sqlx::query_scalar("SELECT number FROM counter")
            .fetch_one(&pool)
            .await
            .unwrap();
        assert_eq!(
            number,
            4 * (i32::try_from(round).unwrap() + 1),
            "{reports:?}"
        );
        let runs = meeting.runs.load(Ordering::Relaxed);
        println!("{reports:?}: 4 changes took {runs} runs");
        assert!(runs >= 7, "three of four ran again: {reports:?}, {runs}");
    }
}

#[sqlx::test(migrator = "crate::support::MIGRATED")]
async fn a_call_while_the_connection_is_lent_is_an_error_at_once(pool: PgPool) {
    for database in both_adapters(&pool).await {
        let answer = sqlx_transaction(&database, |tx| async move {
            tx.create_user(CreateUser::new()).await?;
            let lent = tx.connection().await?;
            let refused = tokio::time::timeout(Duration::from_secs(1), tx.get_user_by_id("1"));
            let error = refused.await.unwrap().unwrap_err();
            assert_eq!(error.kind(), "Validation");
            drop(lent);
            AuthResult::Ok(())
        });
        assert!(matches!(answer.await, Err(AuthError::TransactionAborted)));
        assert_eq!(counts(&pool).await, (0, 0));
    }
}

#[sqlx::test(migrator = "crate::support::MIGRATED")]
async fn a_dropped_statement_of_the_application_undoes_all(pool: PgPool) {
    for database in both_adapters(&pool).await {
        for is_watched in [true, false] {
            let answer = sqlx_transaction(&database, |tx| async move {
                tx.create_user(CreateUser::new()).await?;
                let mut lent = tx.connection().await?;
                let sleep = sqlx::query("SELECT pg_sleep(0.1)");
                let limit = Duration::from_millis(20);
                let dropped = if is_watched {
                    tokio::time::timeout(limit, sleep.execute(&mut *lent)).await
                } else {
                    tokio::time::timeout(limit, sleep.execute(&mut **lent)).await
                };
                assert!(dropped.is_err());
                AuthResult::Ok(())
            });
            assert!(matches!(answer.await, Err(AuthError::TransactionAborted)));
            assert_eq!(counts(&pool).await, (0, 0));
        }
        database.create_user(CreateUser::new()).await.unwrap();
        execute(&pool, "DELETE FROM users").await;
    }
}

/// The connections of the adapter serve others afterwards, outside any transaction.
#[sqlx::test(migrator = "crate::support::MIGRATED")]
async fn dropped_ones_leave_nothing_behind(pool: PgPool) {
    execute(&pool, PROFILES).await;
    let config = PoolConfig {
        max_connections: 1,
        acquire_timeout: Duration::from_secs(4),
        ..PoolConfig::default()
    };
    let database = SqlxAdapter::with_config(&url(&pool), config).await.unwrap();
    for round in 0..40_u64 {
        let work = sqlx_transaction(&database, |tx| async move {
            let user = tx.create_user(CreateUser::new()).await?;
            add_profile(&tx, &user, "lost").await?;
            let mut lent = tx.connection().await?;
            let mut nested = lent.begin().await?;
            sqlx::query("SELECT 1").execute(&mut *nested).await?;
            tokio::time::sleep(Duration::from_secs(5)).await;
            Ok::<(), AnyError>(())
        });
        let limit = Duration::from_micros(250 * round);
        tokio::time::timeout(limit, work).await.unwrap_err();
        database.get_user_by_id("1").await.unwrap();
        let user = database.create_user(CreateUser::new()).await.unwrap();
        let seen = SqlxAdapter::from_pool(pool.clone());
        assert_eq!(seen.get_user_by_id(&user.id).await.unwrap(), Some(user));
        execute(&pool, "DELETE FROM users").await;
        assert_eq!(counts(&pool).await, (0, 0));
    }
    // sqlx counts no transaction on the connection either, so that this is none inside another.
    let answer = sqlx_transaction(&database, |tx| async move {
        tx.create_user(CreateUser::new()).await?;
        let mut lent = tx.connection().await?;
        lent.begin().await?.commit().await?;
        Ok::<(), AnyError>(())
    });
    answer.await.unwrap();
    assert_eq!(counts(&pool).await, (1, 0));
}

/// How many round trips a call takes once its statements are prepared.
async fn round_trips<T>(proxy: &Proxy, mut call: impl AsyncFnMut(usize) -> T) -> usize {
    for warm_up in 0..3 {
        call(warm_up).await;
    }
    let before = proxy.round_trips();
    call(3).await;
    proxy.round_trips() - before
}

async fn rows(
    adapter: &dyn DatabaseAdapter,
    name: &str,
    own: impl AsyncFnOnce(&User) -> Result<(), AnyError>,
) -> Result<(), AnyError> {
    let user = adapter
        .create_user(CreateUser::new().with_email(name))
        .await?;
    let account = CreateAccount::new(&user.id, "github", name);
    adapter.create_account(account).await?;
    own(&user).await?;
    let in_an_hour = Utc::now() + TimeDelta::hours(1);
    adapter
        .create_session(CreateSession::new(&user.id, in_an_hour))
        .await?;
    Ok(())
}
async fn own_rows(
    lent: AuthResult<better_auth::adapters::LentConnection<'_>>,
    user: &User,
) -> Result<(), AnyError> {
    let mut lent = lent?;
    sqlx::query("INSERT INTO profiles VALUES ($1, $1)")
        .bind(&user.id)
        .execute(&mut *lent)
        .await?;
    sqlx::query("INSERT INTO outbox (user_id) VALUES ($1)")
        .bind(&user.id)
        .execute(&mut *lent)
        .await?;
    Ok(())
}

/// A sign-up: user, account, the application's row, its outbox row, session.
#[sqlx::test(migrator = "crate::support::MIGRATED")]
async fn a_sign_up_takes_a_round_trip_for_each_row_and_two_more(pool: PgPool) {
    execute(&pool, PROFILES).await;
    execute(
        &pool,
        "CREATE TABLE outbox (id BIGINT GENERATED ALWAYS AS IDENTITY, user_id TEXT)",
    )
    .await;
    let options = pool.connect_options();
    let proxy = Proxy::start((options.get_host(), options.get_port())).await;
    let through = options
        .as_ref()
        .clone()
        .host("127.0.0.1")
        .port(proxy.port());
    let through = through.ssl_mode(sqlx::postgres::PgSslMode::Disable);
    let through = sqlx::postgres::PgPoolOptions::new()
        .max_connections(1)
        .connect_with(through);
    let through = through.await.unwrap();
    let url = sqlx::ConnectOptions::to_url_lossy(through.connect_options().as_ref()).to_string();
    let config = PoolConfig {
        max_connections: 1,
        ..PoolConfig::default()
    };
    let own = SqlxAdapter::with_config(&url, config).await.unwrap();
    let shared = SqlxAdapter::from_pool(through.clone());
    let reset = SqlxAdapterBuilder::from_pool(through.clone()).pool_resets_connections(true);
    let reset = reset.connect().await.unwrap();

    let mut counted = Vec::new();
    for (kind, database) in [("own", &own), ("shared", &shared), ("reset", &reset)] {
        let trips = round_trips(&proxy, async |round| {
            let name = &format!("{kind}{round}@x.example");
            let done = sqlx_transaction(database, |tx| async move {
                rows(&tx, name, async |user| {
                    own_rows(tx.connection().await, user).await
                })
                .await
            });
            done.await.unwrap();
        });
        counted.push(trips.await);
    }
    for with_savepoints in [false, true] {
        let trips = round_trips(&proxy, async |round| {
            let name = format!("joined{with_savepoints}{round}@x.example");
            let mut joined = shared.join(through.begin().await.unwrap());
            if with_savepoints {
                joined = joined.with_savepoints();
            }
            let done = rows(&joined, &name, async |user| {
                own_rows(joined.connection().await, user).await
            });
            done.await.unwrap();
            joined.commit().await.unwrap();
        });
        counted.push(trips.await);
    }
    println!("round trips of a sign-up with two rows of the application's: {counted:?}");
    // BEGIN, five rows, COMMIT. A connection of the adapter's own is reset in the background afterwards, that of a shared
    // pool before; savepoints take one each, and one is released.
    assert_eq!(counted, [7 + 3, 1 + 7, 7, 7, 7 + 4]);
}
