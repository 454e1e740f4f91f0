//! What transactions on PostgreSQL do with connections, round trips, failures and strict isolation.

use std::future::{Future, poll_fn};
use std::pin::Pin;
use std::task::Poll;
use std::time::{Duration, Instant};

use crate::support::proxy::Proxy;
use crate::support::{adapter, execute, url};
use better_auth::adapters::{DatabaseAdapter, PoolConfig, SqlxAdapter};
use better_auth::{
    AuthError, AuthResult, CheckSession, CreateAccount, CreateSession, CreateUser, Metadata,
    Session, UpdateUser, transaction,
};
use chrono::{TimeDelta, Utc};
use sqlx::PgPool;

fn in_an_hour() -> chrono::DateTime<Utc> {
    Utc::now() + TimeDelta::hours(1)
}

/// An adapter with one connection.
async fn narrow_adapter(url: &str) -> SqlxAdapter {
    let config = PoolConfig {
        max_connections: 1,
        acquire_timeout: Duration::from_secs(4),
        ..PoolConfig::default()
    };
    SqlxAdapter::with_config(url, config).await.unwrap()
}

/// How many sessions of the server are inside a transaction, of those of this test's database.
async fn open_transactions(pool: &PgPool) -> i64 {
    let count = "SELECT count(*) FROM pg_stat_activity \
                 WHERE datname = current_database() AND pid <> pg_backend_pid() AND xact_start IS NOT NULL";
    sqlx::query_scalar(count).fetch_one(pool).await.unwrap()
}

async fn until_none_is_open(pool: &PgPool) {
    let begun = Instant::now();
    while open_transactions(pool).await > 0 {
        assert!(
            begun.elapsed() < Duration::from_secs(10),
            "a transaction stays open"
        );
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
}

/// Polls a future so often, or until it is done, and lets others work in between.
async fn poll<T>(mut future: Pin<&mut (impl Future<Output = T> + ?Sized)>, times: u32) {
    for _ in 0..times {
        let polled = poll_fn(|context| Poll::Ready(future.as_mut().poll(context))).await;
        if polled.is_ready() {
            return;
        }
        tokio::task::yield_now().await;
    }
}

/// sqlx alone would give the connection back inside the transaction, and lose what the next caller writes.
#[sqlx::test(migrator = "crate::support::MIGRATED")]
async fn a_begin_that_is_dropped_leaves_no_transaction_open(pool: PgPool) {
    let database = narrow_adapter(&url(&pool)).await;
    for polls in 0..60 {
        let mut begin = Box::pin(database.begin());
        poll(begin.as_mut(), polls % 12).await;
        drop(begin);
        let user = database.create_user(CreateUser::new()).await.unwrap();
        let found: Option<String> = sqlx::query_scalar("SELECT id FROM users WHERE id = $1")
            .bind(&user.id)
            .fetch_optional(&pool)
            .await
            .unwrap();
        assert_eq!(
            found,
            Some(user.id),
            "written inside a transaction that nobody commits"
        );
    }
    until_none_is_open(&pool).await;
    assert_eq!(database.pool_stats().size, 1);
}

#[sqlx::test(migrator = "crate::support::MIGRATED")]
async fn a_dropped_transaction_gives_its_connection_back_clean(pool: PgPool) {
    let database = narrow_adapter(&url(&pool)).await;
    let user = database.create_user(CreateUser::new()).await.unwrap();
    for round in 0..40 {
        let transaction = database.begin().await.unwrap();
        let update = UpdateUser {
            role: Some(Some("lost".to_owned())),
            ..UpdateUser::default()
        };
        let mut update = transaction.update_user(&user.id, update);
        poll(update.as_mut(), round % 12).await;
        drop(update);
        drop(transaction);
        assert_eq!(
            database.get_user_by_id(&user.id).await.unwrap().as_ref(),
            Some(&user)
        );
        assert_eq!(database.pool_stats().size, 1);
    }
    until_none_is_open(&pool).await;
}

/// The server answers a dropped call all the same, and the connection reads that answer before the next one.
#[sqlx::test(migrator = "crate::support::MIGRATED")]
async fn a_rollback_is_not_told_what_became_of_a_dropped_call(pool: PgPool) {
    let database = narrow_adapter(&url(&pool)).await;
    let create = CreateUser::new().with_email("taken@example.com");
    database.create_user(create.clone()).await.unwrap();
    for round in 0..40 {
        let transaction = database.begin().await.unwrap();
        let mut refused = transaction.create_user(create.clone());
        poll(refused.as_mut(), round % 8).await;
        drop(refused);
        transaction.rollback().await.unwrap();
        database.create_user(CreateUser::new()).await.unwrap();
    }
    until_none_is_open(&pool).await;
    assert_eq!(database.pool_stats().size, 1);
}

#[sqlx::test(migrator = "crate::support::MIGRATED")]
async fn a_transaction_may_be_dropped_outside_the_runtime(pool: PgPool) {
    let database = narrow_adapter(&url(&pool)).await;
    let transaction = database.begin().await.unwrap();
    transaction.create_user(CreateUser::new()).await.unwrap();
    std::thread::spawn(move || drop(transaction))
        .join()
        .unwrap();
    until_none_is_open(&pool).await;
    database.create_user(CreateUser::new()).await.unwrap();
}

#[sqlx::test(migrator = "crate::support::MIGRATED")]
async fn without_a_free_connection_the_wait_ends(pool: PgPool) {
    let database = narrow_adapter(&url(&pool)).await;
    let transaction = database.begin().await.unwrap();
    for error in [
        database.get_user_by_id("1").await.err(),
        database.begin().await.err(),
    ] {
        let error = error.unwrap();
        assert!(
            error.is_retryable() && error.to_string().contains("acquire_timeout"),
            "{error:?}"
        );
    }
    transaction.create_user(CreateUser::new()).await.unwrap();
    transaction.commit().await.unwrap();
    database.get_user_by_id("1").await.unwrap();
}

#[sqlx::test(migrator = "crate::support::MIGRATED")]
async fn a_connection_that_dies_takes_its_transaction_along(pool: PgPool) {
    const KILL: &str = "SELECT pg_terminate_backend(pid) FROM pg_stat_activity \
                        WHERE datname = current_database() AND pid <> pg_backend_pid() AND xact_start IS NOT NULL";
    let database = adapter(&pool).await;
    let begun = database.begin().await.unwrap();
    let user = begun.create_user(CreateUser::new()).await.unwrap();
    execute(&pool, KILL).await;
    let error = begun.create_user(CreateUser::new()).await.unwrap_err();
    assert!(matches!(error, AuthError::Unavailable { .. }), "{error:?}");
    assert!(matches!(
        begun.commit().await,
        Err(AuthError::TransactionAborted)
    ));
    assert_eq!(database.get_user_by_id(&user.id).await.unwrap(), None);

    let begun = database.begin().await.unwrap();
    let user = begun.create_user(CreateUser::new()).await.unwrap();
    execute(&pool, KILL).await;
    let error = begun.commit().await.unwrap_err();
    assert!(
        matches!(error, AuthError::OutcomeUnknown { .. }),
        "{error:?}"
    );
    assert_eq!(database.get_user_by_id(&user.id).await.unwrap(), None);
}

/// A wait in a transaction is bounded as any other, and ends it.
#[sqlx::test(migrator = "crate::support::MIGRATED")]
async fn a_lock_of_another_transaction_ends_the_wait(pool: PgPool) {
    let database = adapter(&pool).await;
    let user = database.create_user(CreateUser::new()).await.unwrap();
    let update = UpdateUser {
        banned: Some(true),
        ..UpdateUser::default()
    };
    let first = database.begin().await.unwrap();
    first.update_user(&user.id, update.clone()).await.unwrap();
    let second = database.begin().await.unwrap();
    let error = second.update_user(&user.id, update).await.unwrap_err();
    assert!(
        error.is_retryable() && error.to_string().contains("held a lock"),
        "{error:?}"
    );
    assert!(matches!(
        second.commit().await,
        Err(AuthError::TransactionAborted)
    ));
    first.commit().await.unwrap();
    assert!(
        database
            .get_user_by_id(&user.id)
            .await
            .unwrap()
            .unwrap()
            .banned
    );
}

/// Two transactions that wait for each other: the server ends one, and the helper runs it again.
#[sqlx::test(migrator = "crate::support::MIGRATED")]
async fn a_deadlock_is_run_again(pool: PgPool) {
    // The server looks for deadlocks after a second, and the pool's lock_timeout is as long.
    execute(
        &pool,
        &format!(
            "ALTER DATABASE \"{}\" SET deadlock_timeout = '50ms'",
            pool.connect_options().get_database().unwrap()
        ),
    )
    .await;
    let database = adapter(&pool).await;
    let mut users = Vec::new();
    for _ in 0..2 {
        users.push(database.create_user(CreateUser::new()).await.unwrap());
    }
    let both = std::sync::Arc::new(tokio::sync::Barrier::new(2));
    let swap = |first: usize, second: usize| {
        let (database, both) = (database.clone(), both.clone());
        let ids = [users[first].id.clone(), users[second].id.clone()];
        tokio::spawn(async move {
            let runs = std::sync::atomic::AtomicU32::new(0);
            let (ids, both, counted) = (&ids, &both, &runs);
            let done: AuthResult<()> = transaction(&database, |tx| async move {
                let update = || UpdateUser {
                    role: Some(Some(ids[0].clone())),
                    ..UpdateUser::default()
                };
                tx.update_user(&ids[0], update()).await?;
                if counted.fetch_add(1, std::sync::atomic::Ordering::Relaxed) == 0 {
                    both.wait().await;
                }
                tx.update_user(&ids[1], update()).await?;
                Ok(())
            })
            .await;
            done.unwrap();
            runs.into_inner()
        })
    };
    let (one, other) = (swap(0, 1), swap(1, 0));
    let runs = one.await.unwrap() + other.await.unwrap();
    // The second run may lock its first row before the other transaction wakes up, and meet it in a deadlock again.
    assert!(runs >= 3, "one of the two was run again: {runs}");
}

async fn sign_up(database: &dyn DatabaseAdapter, name: &str) -> AuthResult<Session> {
    let user = database
        .create_user(CreateUser::new().with_email(name))
        .await?;
    database
        .create_account(CreateAccount::new(&user.id, "github", name))
        .await?;
    database
        .create_session(CreateSession::new(&user.id, in_an_hour()))
        .await
}

/// How many round trips a call takes, once its statements are prepared, the pool's pings in the background apart.
pub(crate) async fn round_trips<T>(proxy: &Proxy, mut call: impl AsyncFnMut(usize) -> T) -> usize {
    for warm_up in 0..3 {
        call(warm_up).await;
    }
    let before = proxy.round_trips();
    call(3).await;
    proxy.round_trips() - before
}

#[sqlx::test(migrator = "crate::support::MIGRATED")]
async fn a_sign_up_takes_three_round_trips_and_five_in_a_transaction(pool: PgPool) {
    let (proxy, database) = behind_proxy(&pool).await;
    let alone = round_trips(&proxy, async |round| {
        sign_up(&database, &format!("{round}@a.example"))
            .await
            .unwrap();
    });
    let alone = alone.await;
    let together = round_trips(&proxy, async |round| {
        let name = &format!("{round}@b.example");
        let session: AuthResult<Session> =
            transaction(&database, |tx| async move { sign_up(&tx, name).await }).await;
        session.unwrap();
    });
    let together = together.await;
    let token = sign_up(&database, "last@a.example").await.unwrap().token;
    let lookup = round_trips(&proxy, async |_| {
        database
            .get_session_with_user(&token)
            .await
            .unwrap()
            .unwrap();
    });
    let lookup = lookup.await;
    println!(
        "round trips: sign-up {alone}, in a transaction {together}; session with user {lookup}"
    );
    assert_eq!((alone, together, lookup), (3, 5, 1));
}

/// Whose constraint was violated is asked once.
#[sqlx::test(migrator = "crate::support::MIGRATED")]
async fn a_conflict_takes_one_round_trip(pool: PgPool) {
    let (proxy, database) = behind_proxy(&pool).await;
    sign_up(&database, "ada@a.example").await.unwrap();
    let other = database.create_user(CreateUser::new()).await.unwrap().id;
    let account = CreateAccount::new(&other, "gitlab", "1");
    database.create_account(account.clone()).await.unwrap();
    let accounts = round_trips(&proxy, async |_| {
        let taken = database.create_account(account.clone()).await;
        assert!(
            matches!(taken, Err(AuthError::Conflict { .. })),
            "{taken:?}"
        );
    });
    let users = round_trips(&proxy, async |_| {
        let update = UpdateUser::new().with_email("ada@a.example");
        let taken = database.update_user(&other, update).await;
        assert!(
            matches!(taken, Err(AuthError::Conflict { .. })),
            "{taken:?}"
        );
    });
    assert_eq!((accounts.await, users.await), (1, 1));
}

/// The methods that do several things at once take one round trip each; an extension of a session takes a second one.
#[sqlx::test(migrator = "crate::support::MIGRATED")]
async fn each_method_takes_one_round_trip(pool: PgPool) {
    const DAY: Duration = Duration::from_secs(24 * 60 * 60);
    let (proxy, database) = behind_proxy(&pool).await;
    let mut counts = Vec::new();
    macro_rules! count {
        ($round:ident: $method:ident($($argument:expr),*)) => {
            let trips = round_trips(&proxy, async |$round: usize| {
                database.$method($($argument),*).await.unwrap();
            });
            counts.push((stringify!($method), trips.await));
        };
    }
    let session = sign_up(&database, "ada@a.example").await.unwrap();
    let user = database.get_user_by_id(&session.user_id).await.unwrap();
    let user = user.unwrap().id;
    count!(_round: refresh_session(&session.token, DAY, DAY));
    // An age of zero makes it due at any time.
    let extending = round_trips(&proxy, async |_| {
        let refreshed = database.refresh_session(&session.token, DAY, Duration::ZERO);
        refreshed.await.unwrap().unwrap();
    });
    let extending = extending.await;
    let check = CheckSession::new().with_member();
    count!(_round: check_session(&session.token, check));
    count!(_round: delete_other_sessions(&user, &session.token));
    count!(round: delete_session_by_id(&user, &round.to_string()));
    count!(_round: get_users_by_ids(&vec![user.clone(); 1000]));
    count!(_round: ban_user(&user, None, None));
    count!(_round: unban_user(&user));
    count!(round: link_account(CreateAccount::new(&user, "gitlab", (round / 2).to_string())));
    count!(_round: get_credential_account(&user));
    count!(round: reserve_verification("a", &round.to_string(), in_an_hour()));
    count!(_round: check_code("a", "wrong", 3));
    count!(_round: consume_verification_by_identifier("a"));
    count!(_round: delete_verifications_by_identifier("a"));
    println!("round trips: {counts:?}; a session that is extended {extending}");
    assert!(counts.iter().all(|(_, trips)| *trips == 1), "{counts:?}");
    assert_eq!(extending, 2);
}

/// An adapter with one connection, and the proxy that this goes through.
pub(crate) async fn behind_proxy(pool: &PgPool) -> (Proxy, SqlxAdapter) {
    let options = pool.connect_options();
    let proxy = Proxy::start((options.get_host(), options.get_port())).await;
    let (url, place) = (
        url(pool),
        format!("{}:{}", options.get_host(), options.get_port()),
    );
    let through = format!("127.0.0.1:{}", proxy.port());
    assert!(url.contains(&place), "{place}");
    let config = PoolConfig {
        max_connections: 1,
        ..PoolConfig::default()
    };
    let url = format!(
        "{}?sslmode=disable",
        url.replace(&place, &through).split('?').next().unwrap()
    );
    let database = SqlxAdapter::with_config(&url, config).await.unwrap();
    (proxy, database)
}

/// Lets 16 callers work at once on a serializable database. Answers how many succeeded and failed, and how often the
/// server has rolled back.
async fn retried<F: Future<Output = AuthResult<()>> + Send + 'static>(
    pool: &PgPool,
    work: impl Fn(SqlxAdapter, usize) -> F,
) -> ((usize, usize), i64) {
    let before = rollbacks(pool).await;
    let database = SqlxAdapter::from_pool(crate::support::serializable(pool, 16).await);
    let callers: Vec<_> = (0..16)
        .map(|caller| tokio::spawn(work(database.clone(), caller)))
        .collect();
    let (mut done, mut failed) = (0, 0);
    for caller in callers {
        match caller.await.unwrap() {
            Ok(()) => done += 1,
            Err(error) => {
                println!("{error}");
                failed += 1;
            }
        }
    }
    // The server counts a connection's when it ends.
    database.close().await;
    ((done, failed), rollbacks(pool).await - before)
}

async fn rollbacks(pool: &PgPool) -> i64 {
    tokio::time::sleep(Duration::from_millis(200)).await;
    let rollbacks = "SELECT xact_rollback FROM pg_stat_database WHERE datname = current_database()";
    sqlx::query_scalar(rollbacks).fetch_one(pool).await.unwrap()
}

fn count(metadata: &Metadata) -> u64 {
    metadata
        .get("count")
        .and_then(serde_json::Value::as_u64)
        .unwrap_or_default()
}

#[sqlx::test(migrator = "crate::support::MIGRATED")]
async fn serializable_writers_on_one_user_all_get_through(pool: PgPool) {
    const ROUNDS: u64 = 10;
    let id = adapter(&pool)
        .await
        .create_user(CreateUser::new())
        .await
        .unwrap()
        .id;
    let (alone, statement_retries) = retried(&pool, |database, caller| {
        let id = id.clone();
        async move {
            for round in 0..ROUNDS {
                let update = UpdateUser {
                    role: Some(Some(format!("{caller}.{round}"))),
                    ..UpdateUser::default()
                };
                database.update_user(&id, update).await?;
            }
            Ok(())
        }
    })
    .await;
    let (together, transaction_retries) = retried(&pool, |database, _| {
        let id = id.clone();
        async move {
            let id = &id;
            for _ in 0..ROUNDS {
                transaction(&database, |tx| async move {
                    let mut user = tx
                        .get_user_by_id(id)
                        .await?
                        .ok_or(AuthError::UserNotFound)?;
                    let next = count(&user.metadata) + 1;
                    user.metadata.insert("count".to_owned(), next.into());
                    let update = UpdateUser {
                        metadata: Some(user.metadata),
                        ..UpdateUser::default()
                    };
                    tx.update_user(id, update).await
                })
                .await?;
            }
            AuthResult::Ok(())
        }
    })
    .await;
    println!(
        "16 serializable writers on one user, {ROUNDS} changes each: retries {statement_retries} as statements, \
         {transaction_retries} as transactions; failures {} and {}",
        alone.1, together.1,
    );
    assert_eq!((alone, together), ((16, 0), (16, 0)));
    let user = adapter(&pool)
        .await
        .get_user_by_id(&id)
        .await
        .unwrap()
        .unwrap();
    assert_eq!(count(&user.metadata), 16 * ROUNDS, "no change got lost");
}
