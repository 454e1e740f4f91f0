//! A transaction of the application's that the adapter joins.

use std::future::poll_fn;
use std::pin::Pin;
use std::task::Poll;
use std::time::{Duration, Instant};

use better_auth::adapters::{DatabaseAdapter, Joined, SqlxAdapter, SqlxAdapterBuilder};
use better_auth::{AuthError, AuthResult, ConflictField, CreateUser, Transaction};
use sqlx::postgres::PgPoolOptions;
use sqlx::{Acquire as _, PgPool};

use crate::support::{adapter, execute};

const PROFILES: &str = "CREATE TABLE profiles (user_id TEXT PRIMARY KEY REFERENCES users (id), \
                        handle TEXT CONSTRAINT one_handle UNIQUE)";

async fn with_profiles(pool: &PgPool) -> SqlxAdapter {
    execute(pool, PROFILES).await;
    SqlxAdapter::from_pool(pool.clone())
}

async fn join(database: &SqlxAdapter, pool: &PgPool) -> Joined {
    database.join(pool.begin().await.unwrap())
}

async fn add_profile(joined: &Joined, user_id: &str, handle: &str) -> sqlx::Result<()> {
    let mut lent = joined.connection().await.unwrap();
    sqlx::query("INSERT INTO profiles VALUES ($1, $2)")
        .bind(user_id)
        .bind(handle)
        .execute(&mut *lent)
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

fn named(email: &str) -> CreateUser {
    CreateUser::new().with_email(email)
}

#[track_caller]
fn assert_aborted<T: std::fmt::Debug>(answer: AuthResult<T>) {
    let error = answer.unwrap_err();
    assert!(matches!(error, AuthError::TransactionAborted), "{error:?}");
}

/// Waits until the pool has all its connections back, and none is in a transaction.
async fn until_idle(pool: &PgPool) {
    let begun = Instant::now();
    loop {
        let open: i64 = sqlx::query_scalar(
            "SELECT count(*) FROM pg_stat_activity \
             WHERE datname = current_database() AND pid <> pg_backend_pid() AND xact_start IS NOT NULL",
        )
        .fetch_one(pool)
        .await
        .unwrap();
        if open == 0 {
            return;
        }
        assert!(
            begun.elapsed() < Duration::from_secs(10),
            "a transaction stays open"
        );
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
}

async fn poll<T>(mut future: Pin<&mut (impl Future<Output = T> + ?Sized)>, times: u32) -> bool {
    for _ in 0..times {
        if poll_fn(|context| Poll::Ready(future.as_mut().poll(context).is_ready())).await {
            return true;
        }
        tokio::task::yield_now().await;
    }
    false
}

#[sqlx::test(migrator = "crate::support::MIGRATED")]
async fn both_rows_are_committed_together(pool: PgPool) {
    let database = with_profiles(&pool).await;
    // An adapter with connections of its own joins the pool's transactions just as well.
    for (database, email) in [
        (database, "a@x.example"),
        (adapter(&pool).await, "b@x.example"),
    ] {
        let before = counts(&pool).await;
        let joined = join(&database, &pool).await;
        let user = joined.create_user(named(email)).await.unwrap();
        add_profile(&joined, &user.id, email).await.unwrap();
        assert_eq!(joined.get_user_by_id(&user.id).await.unwrap(), Some(user));
        assert_eq!(counts(&pool).await, before);
        joined.commit().await.unwrap();
        assert_eq!(counts(&pool).await, (before.0 + 1, before.1 + 1));
    }
}

#[sqlx::test(migrator = "crate::support::MIGRATED")]
async fn nothing_stays_after_a_rollback_or_a_drop(pool: PgPool) {
    let database = with_profiles(&pool).await;
    for ends_by_drop in [false, true] {
        let joined = join(&database, &pool).await;
        let user = joined.create_user(named("a@x.example")).await.unwrap();
        add_profile(&joined, &user.id, "a").await.unwrap();
        if ends_by_drop {
            drop(joined);
            until_idle(&pool).await;
        } else {
            joined.rollback().await.unwrap();
        }
        assert_eq!(counts(&pool).await, (0, 0));
    }
}

#[sqlx::test(migrator = "crate::support::MIGRATED")]
async fn the_transaction_comes_back(pool: PgPool) {
    let database = with_profiles(&pool).await;
    for with_savepoints in [false, true] {
        let before = counts(&pool).await;
        let mut transaction = pool.begin().await.unwrap();
        sqlx::query("INSERT INTO users (id) VALUES ($1)")
            .bind(format!("own {with_savepoints}"))
            .execute(&mut *transaction)
            .await
            .unwrap();
        let mut joined = database.join(transaction);
        if with_savepoints {
            joined = joined.with_savepoints();
        }
        let user = joined.create_user(CreateUser::new()).await.unwrap();
        let mut transaction = joined.into_inner().await.unwrap();
        sqlx::query("INSERT INTO profiles VALUES ($1, $1)")
            .bind(&user.id)
            .execute(&mut *transaction)
            .await
            .unwrap();
        transaction.commit().await.unwrap();
        assert_eq!(counts(&pool).await, (before.0 + 2, before.1 + 1));
    }
}

#[sqlx::test(migrator = "crate::support::MIGRATED")]
async fn a_failed_operation_aborts(pool: PgPool) {
    let database = with_profiles(&pool).await;
    database
        .create_user(named("taken@x.example"))
        .await
        .unwrap();
    for end in 0..3 {
        let joined = join(&database, &pool).await;
        joined.create_user(named("new@x.example")).await.unwrap();
        let taken = joined.create_user(named("taken@x.example")).await;
        assert!(matches!(
            taken,
            Err(AuthError::Conflict {
                field: ConflictField::Email
            })
        ));
        assert_aborted(joined.get_user_by_id("1").await);
        match end {
            0 => assert_aborted(joined.commit().await),
            1 => assert_aborted(joined.into_inner().await),
            _ => {
                assert_aborted(joined.connection().await);
                assert_aborted(joined.commit().await);
            }
        }
        assert_eq!(counts(&pool).await, (1, 0));
    }
}

#[sqlx::test(migrator = "crate::support::MIGRATED")]
async fn savepoints_leave_it_usable_after_a_conflict(pool: PgPool) {
    let database = with_profiles(&pool).await;
    database
        .create_user(named("taken@x.example"))
        .await
        .unwrap();
    let joined = join(&database, &pool).await.with_savepoints();
    let user = joined.create_user(named("new@x.example")).await.unwrap();
    add_profile(&joined, &user.id, "new").await.unwrap();
    for email in ["taken@x.example", "new@x.example"] {
        for _ in 0..2 {
            let error = joined.create_user(named(email)).await.unwrap_err();
            assert!(
                matches!(
                    error,
                    AuthError::Conflict {
                        field: ConflictField::Email
                    }
                ),
                "{error:?}"
            );
            let padded = joined.create_user(named(" padded@x.example ")).await;
            assert!(matches!(padded, Err(AuthError::Validation { .. })));
        }
        let missing = joined
            .update_user("nobody", better_auth::UpdateUser::default())
            .await;
        assert!(matches!(missing, Err(AuthError::UserNotFound)));
        assert_eq!(
            joined.get_user_by_id(&user.id).await.unwrap().as_ref(),
            Some(&user)
        );
    }
    let other = joined.create_user(named("other@x.example")).await.unwrap();
    add_profile(&joined, &other.id, "other").await.unwrap();
    joined.commit().await.unwrap();
    assert_eq!(counts(&pool).await, (3, 2));
}

/// The application's savepoints end around those of the adapter.
#[sqlx::test(migrator = "crate::support::MIGRATED")]
async fn savepoints_of_the_application_hold_whole_operations(pool: PgPool) {
    let database = with_profiles(&pool).await;
    let joined = join(&database, &pool).await.with_savepoints();
    joined.create_user(CreateUser::new()).await.unwrap();
    let own = async |sql: &'static str| {
        let mut lent = joined.connection().await.unwrap();
        sqlx::query(sql).execute(&mut *lent).await.unwrap();
    };
    own("SAVEPOINT own").await;
    joined.create_user(CreateUser::new()).await.unwrap();
    own("ROLLBACK TO own").await;
    joined.create_user(CreateUser::new()).await.unwrap();
    joined.commit().await.unwrap();
    assert_eq!(counts(&pool).await, (2, 0));
}

/// At whatever point it is dropped, and whether or not the server has done it.
#[sqlx::test(migrator = "crate::support::MIGRATED")]
async fn a_dropped_operation_aborts(pool: PgPool) {
    let database = with_profiles(&pool).await;
    let mut dropped = 0;
    for round in 0..60 {
        let mut joined = join(&database, &pool).await;
        if round % 2 == 1 {
            joined = joined.with_savepoints();
        }
        let taken = if round / 2 % 3 == 0 {
            let mut other = pool.begin().await.unwrap();
            sqlx::query("INSERT INTO users (id, email) VALUES ('other', 'a@x.example')")
                .execute(&mut *other)
                .await
                .unwrap();
            Some(other)
        } else {
            None
        };
        let mut create = joined.create_user(named("a@x.example"));
        let is_done = poll(create.as_mut(), 1 + round / 4 % 5).await;
        drop(create);
        if let Some(other) = taken {
            assert!(!is_done, "the email is taken");
            other.rollback().await.unwrap();
        }
        if is_done {
            joined.rollback().await.unwrap();
        } else {
            dropped += 1;
            match round % 4 {
                0 | 1 => assert_aborted(joined.commit().await),
                2 => {
                    assert_aborted(joined.connection().await);
                    assert_aborted(joined.into_inner().await);
                }
                _ => drop(joined),
            }
        }
        until_idle(&pool).await;
        assert_eq!(counts(&pool).await, (0, 0));
    }
    assert!(dropped >= 20, "{dropped} were dropped");
}

/// PostgreSQL answers COMMIT without an error where it rolls back.
#[sqlx::test(migrator = "crate::support::MIGRATED")]
async fn a_failed_statement_of_the_application_is_never_committed(pool: PgPool) {
    let database = with_profiles(&pool).await;
    for watched in [false, true] {
        for before_joining in [false, true] {
            let mut transaction = pool.begin().await.unwrap();
            if before_joining {
                sqlx::query("SELECT 1 / 0")
                    .execute(&mut *transaction)
                    .await
                    .unwrap_err();
                assert_aborted(database.join(transaction).commit().await);
                continue;
            }
            let joined = database.join(transaction);
            let user = joined.create_user(CreateUser::new()).await.unwrap();
            let mut lent = joined.connection().await.unwrap();
            let insert = sqlx::query("INSERT INTO profiles VALUES ('nobody', NULL)");
            let failed = if watched {
                insert.execute(&mut *lent).await
            } else {
                insert.execute(&mut **lent).await
            };
            failed.unwrap_err();
            drop(lent);
            assert_aborted(joined.commit().await);
            assert_eq!(database.get_user_by_id(&user.id).await.unwrap(), None);
        }
    }
    assert_eq!(counts(&pool).await, (0, 0));
}

/// A nested transaction of sqlx's is a savepoint. One that is not ended ends the joined one.
#[sqlx::test(migrator = "crate::support::MIGRATED")]
async fn nested_transactions_commit_nothing(pool: PgPool) {
    let database = with_profiles(&pool).await;
    let joined = join(&database, &pool).await;
    let user = joined.create_user(CreateUser::new()).await.unwrap();
    let mut lent = joined.connection().await.unwrap();
    let nested = lent.begin().await.unwrap();
    nested.commit().await.unwrap();
    drop(lent);
    assert_eq!(counts(&pool).await, (0, 0));
    add_profile(&joined, &user.id, "a").await.unwrap();
    joined.commit().await.unwrap();
    assert_eq!(counts(&pool).await, (1, 1));

    for polls in 1..8 {
        let joined = join(&database, &pool).await;
        joined.create_user(CreateUser::new()).await.unwrap();
        let mut lent = joined.connection().await.unwrap();
        let mut nested = Box::pin(lent.begin());
        let is_done = poll(nested.as_mut(), polls).await;
        drop(nested);
        drop(lent);
        if is_done {
            drop(joined);
        } else {
            assert_aborted(joined.commit().await);
        }
        until_idle(&pool).await;
        assert_eq!(counts(&pool).await, (1, 1), "after {polls} polls");
    }

    let joined = join(&database, &pool).await;
    joined.create_user(CreateUser::new()).await.unwrap();
    let mut lent = joined.connection().await.unwrap();
    std::mem::forget(lent.begin().await.unwrap());
    drop(lent);
    assert_aborted(joined.commit().await);
    assert_eq!(counts(&pool).await, (1, 1));
}

/// sqlx rolls back what is around a nested `begin()` that is dropped while it is under way.
#[sqlx::test(migrator = "crate::support::MIGRATED")]
async fn nothing_is_stored_by_joining_a_transaction_that_has_ended(pool: PgPool) {
    let database = with_profiles(&pool).await;
    let mut ended = 0;
    for polls in 1..12 {
        let mut transaction = pool.begin().await.unwrap();
        {
            let mut nested = Box::pin(sqlx::Connection::begin(&mut *transaction));
            poll(nested.as_mut(), polls).await;
        }
        let joined = database.join(transaction);
        match joined.create_user(CreateUser::new()).await {
            Ok(_) => joined.rollback().await.unwrap(),
            Err(AuthError::TransactionAborted) => {
                ended += 1;
                assert_aborted(joined.commit().await);
            }
            Err(error) => panic!("{error:?}"),
        }
        assert_eq!(counts(&pool).await, (0, 0), "after {polls} polls");
    }
    assert!(ended > 0);
}

#[sqlx::test(migrator = "crate::support::MIGRATED")]
async fn a_lent_connection_is_not_waited_for(pool: PgPool) {
    let database = with_profiles(&pool).await;
    let joined = join(&database, &pool).await;
    let lent = joined.connection().await.unwrap();
    let refused = tokio::time::timeout(Duration::from_secs(1), joined.get_user_by_id("1"));
    let error = refused.await.unwrap().unwrap_err();
    assert!(
        matches!(
            error,
            AuthError::Validation {
                field: "connection",
                ..
            }
        ),
        "{error:?}"
    );
    drop(lent);
    assert_aborted(joined.commit().await);

    let joined = join(&database, &pool).await;
    std::mem::forget(joined.connection().await.unwrap());
    assert_aborted(joined.commit().await);
    until_idle(&pool).await;
}

/// At whatever point it is dropped, by a lookup whose statement is new to the connection and by one that is known.
#[sqlx::test(migrator = "crate::support::MIGRATED")]
async fn a_dropped_statement_of_the_application_aborts(pool: PgPool) {
    let database = with_profiles(&pool).await;
    let mut dropped = 0;
    for round in 0..40 {
        let joined = join(&database, &pool).await;
        joined.create_user(CreateUser::new()).await.unwrap();
        let mut lent = joined.connection().await.unwrap();
        let mut statement = if round % 2 == 0 {
            let sleep = sqlx::query("SELECT pg_sleep(0.01)");
            Box::pin(sleep.execute(&mut *lent)) as Pin<Box<dyn Future<Output = _> + Send>>
        } else {
            let sleep = |seconds: f64| sqlx::query("SELECT pg_sleep($1)").bind(seconds);
            // One that is dropped between its preparation and its execution has not begun.
            sleep(0.0).execute(&mut **lent).await.unwrap();
            // Longer than any machine takes to drop it: an answer that has come by then counts.
            Box::pin(sleep(2.0).execute(&mut **lent))
        };
        let is_done = poll(statement.as_mut(), 1 + round % 6).await;
        drop(statement);
        drop(lent);
        if is_done {
            joined.rollback().await.unwrap();
        } else {
            dropped += 1;
            assert_aborted(joined.commit().await);
        }
        assert_eq!(counts(&pool).await, (0, 0), "in round {round}");
    }
    assert!(dropped >= 20, "{dropped} were dropped");
}

#[sqlx::test(migrator = "crate::support::MIGRATED")]
async fn a_silent_server_ends_the_operation(pool: PgPool) {
    execute(&pool, PROFILES).await;
    let builder = SqlxAdapterBuilder::from_pool(pool.clone());
    let builder = builder.answer_timeout(Duration::from_millis(300));
    let database = builder.connect().await.unwrap();
    let locked = database.create_user(named("a@x.example")).await.unwrap();
    let mut other = pool.begin().await.unwrap();
    sqlx::query("SELECT FROM users WHERE id = $1 FOR UPDATE")
        .bind(&locked.id)
        .execute(&mut *other)
        .await
        .unwrap();
    let joined = join(&database, &pool).await.with_savepoints();
    joined.create_user(CreateUser::new()).await.unwrap();
    let error = joined.delete_user(&locked.id).await.unwrap_err();
    assert!(matches!(error, AuthError::Unavailable { .. }), "{error:?}");
    assert_aborted(joined.commit().await);
    other.rollback().await.unwrap();
    until_idle(&pool).await;
    assert_eq!(counts(&pool).await, (1, 0));
}

#[sqlx::test(migrator = "crate::support::MIGRATED")]
async fn what_needs_a_transaction_of_its_own_is_unsupported(pool: PgPool) {
    let database = with_profiles(&pool).await;
    let joined = join(&database, &pool).await;
    let begun = joined.begin().await.map(drop);
    assert!(matches!(
        begun,
        Err(AuthError::Unsupported { operation: "begin" })
    ));
    joined.create_user(CreateUser::new()).await.unwrap();
    joined.commit().await.unwrap();
    assert_eq!(counts(&pool).await, (1, 0));
}

#[sqlx::test(migrator = "crate::support::MIGRATED")]
async fn it_can_be_made_and_dropped_outside_the_runtime(pool: PgPool) {
    let database = with_profiles(&pool).await;
    let transaction = pool.begin().await.unwrap();
    let thread = std::thread::spawn(move || database.join(transaction));
    let joined = thread.join().unwrap();
    joined.create_user(CreateUser::new()).await.unwrap();
    joined.rollback().await.unwrap();
    let database = SqlxAdapter::from_pool(pool.clone());
    let joined = join(&database, &pool).await;
    joined.create_user(CreateUser::new()).await.unwrap();
    std::thread::spawn(move || drop(joined)).join().unwrap();
    until_idle(&pool).await;
    assert_eq!(counts(&pool).await, (0, 0));
}

/// An adapter whose transactions are joined ones, for the conformance suite.
struct Joining {
    database: SqlxAdapter,
    pool: PgPool,
}

impl Joining {
    async fn new(pool: PgPool) -> Self {
        let options = pool.connect_options().as_ref().clone();
        let pool = PgPoolOptions::new()
            .max_connections(5)
            .connect_with(options);
        let pool = pool.await.unwrap();
        Self {
            database: SqlxAdapter::from_pool(pool.clone()),
            pool,
        }
    }

    async fn begin(&self) -> AuthResult<Box<dyn Transaction>> {
        let transaction = self.pool.begin().await.map_err(AuthError::from_sqlx)?;
        Ok(Box::new(self.database.join(transaction)))
    }
}

macro_rules! implement {
    (required { $($required:tt)* } provided { $($provided:tt)* } stores { $($store:ident -> $trait:path;)* }) => {
        implement!(@methods [$($store -> $trait;)*] $($required)* $($provided)*);
    };
    (
        @methods [$($store:ident -> $trait:path;)*]
        $($method:ident($($argument:ident: $type:ty),*) -> $answer:ty;)*
    ) => {
        #[better_auth::async_trait]
        impl DatabaseAdapter for Joining {
            $(
                async fn $method(&self $(, $argument: $type)*) -> AuthResult<$answer> {
                    implement!(@call $method self $($argument)*)
                }
            )*
            $(
                fn $store(&self) -> AuthResult<&dyn $trait> {
                    self.database.$store()
                }
            )*
        }
    };
    (@call begin $this:ident) => { Joining::begin($this).await };
    (@call $method:ident $this:ident $($argument:ident)*) => {
        (&$this.database as &dyn DatabaseAdapter).$method($($argument),*).await
    };
}
better_auth::with_database_adapter_methods!(implement {});

mod conformance {
    use super::Joining;
    use crate::support::shared_database;

    better_auth::conformance_tests!(
        Joining::new(shared_database::take("conformance").await).await,
        groups: [transactions, organizations],
    );
}

/// The statement that no longer fits leaves the connection before the application uses that again.
#[sqlx::test(migrator = "crate::support::MIGRATED")]
async fn a_stale_plan_does_not_stay_on_the_applications_connection(pool: PgPool) {
    let one = PgPoolOptions::new().max_connections(1);
    let one = one.connect_lazy_with(pool.connect_options().as_ref().clone());
    let database = SqlxAdapter::from_pool(one.clone());
    let look = async || {
        let joined = database.join(one.begin().await.unwrap());
        let found = joined.get_user_by_id("nobody").await;
        joined.rollback().await.unwrap();
        found
    };
    assert_eq!(look().await.unwrap(), None);
    execute(
        &pool,
        "ALTER TABLE users ALTER COLUMN name TYPE VARCHAR(300)",
    )
    .await;
    let stale = look().await.unwrap_err();
    assert!(stale.is_retryable(), "{stale}");
    assert_eq!(look().await.unwrap(), None);
}
