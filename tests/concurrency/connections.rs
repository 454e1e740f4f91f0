//! What dropped futures leave on the server and in the pool: nothing.

use std::pin::Pin;
use std::time::{Duration, Instant};

use better_auth::adapters::{DatabaseAdapter, PoolConfig, SqlxAdapter};
use better_auth::types::{
    CreateAccount, CreateSession, CreateUser, CreateVerification, ListUsers, UpdateAccount,
    UpdateSession, UpdateUser, UserFilter,
};
use sqlx::{Connection as _, PgConnection, PgPool};

use crate::random::Random;
use crate::{in_an_hour, support};

const CONNECTIONS: u32 = 6;

/// An adapter whose connections can be told from those of the test itself.
pub(crate) struct UnderTest {
    pub(crate) database: SqlxAdapter,
    url: String,
}

impl UnderTest {
    /// Another instance on the same database, with one connection.
    pub(crate) async fn another(&self) -> SqlxAdapter {
        let config = PoolConfig {
            max_connections: 1,
            ..PoolConfig::default()
        };
        SqlxAdapter::with_config(&self.url, config).await.unwrap()
    }
}

pub(crate) async fn connect(url: &str) -> UnderTest {
    let config = PoolConfig {
        max_connections: CONNECTIONS,
        acquire_timeout: Duration::from_secs(120),
        ..PoolConfig::default()
    };
    let separator = if url.contains('?') { '&' } else { '?' };
    let adapters = format!("{url}{separator}application_name=under_test");
    UnderTest {
        database: SqlxAdapter::with_config(&adapters, config).await.unwrap(),
        url: url.to_owned(),
    }
}

/// How many connections of the adapter there are, how many of them are at work or inside a transaction, and how many
/// advisory locks are held.
async fn on_the_server(connection: &mut PgConnection) -> (i64, i64, i64) {
    let count = "SELECT \
        count(*), \
        count(*) FILTER (WHERE state <> 'idle' OR xact_start IS NOT NULL), \
        (SELECT count(*) FROM pg_locks WHERE locktype = 'advisory' AND database = \
            (SELECT oid FROM pg_database WHERE datname = current_database())) \
        FROM pg_stat_activity WHERE datname = current_database() AND application_name = 'under_test'";
    sqlx::query_as(count).fetch_one(connection).await.unwrap()
}

/// Waits until the server does nothing for the adapter, and fails where something is left: a transaction, a lock, a
/// connection that the pool has lost or does not know of.
pub(crate) async fn settle(UnderTest { database, url }: &UnderTest) {
    let mut observer = PgConnection::connect(url).await.unwrap();
    let begun = Instant::now();
    loop {
        let (connections, busy, locks) = on_the_server(&mut observer).await;
        let stats = database.pool_stats();
        let all_idle = usize::try_from(stats.size) == Ok(stats.idle);
        if busy == 0 && locks == 0 && all_idle && connections == i64::from(stats.size) {
            break;
        }
        assert!(
            begun.elapsed() < Duration::from_secs(15),
            "{connections} connections, {busy} of them busy, {locks} locks, in the pool {stats:?}"
        );
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
    // The adapter lends as many as the pool has.
    let mut all = Vec::new();
    for _ in 0..CONNECTIONS {
        let begun = tokio::time::timeout(Duration::from_secs(15), database.begin()).await;
        all.push(begun.expect("a connection is lost").unwrap());
    }
    assert_eq!(database.pool_stats().size, CONNECTIONS);
    assert_eq!(database.pool_stats().idle, 0);
    observer.close().await.unwrap();
}

/// Any call, mostly of what takes locks.
fn call<'a>(
    database: &'a SqlxAdapter,
    random: &mut Random,
) -> Pin<Box<dyn Future<Output = ()> + Send + 'a>> {
    let name = random.pick(&["a", "b", "c"]);
    let (user, session, account) = (
        CreateUser::new()
            .with_id(name)
            .with_email(name)
            .with_username(name),
        CreateSession::new(name, in_an_hour()),
        CreateAccount::new(name, "github", name),
    );
    let update = UpdateUser {
        role: Some(Some(name.to_owned())),
        ..UpdateUser::default()
    };
    let (kind, now_and_then) = (random.below(20), random.one_in(10));
    Box::pin(async move {
        // The answer is tested elsewhere.
        match kind {
            0 => drop(database.create_user(user).await),
            1 => drop(database.get_user_by_email(name).await),
            2 => drop(database.update_user(name, update).await),
            3 => drop(database.delete_user(name).await),
            4 => drop(database.list_users(ListUsers::new()).await),
            5 => drop(database.count_users(UserFilter::default()).await),
            6 => drop(database.create_session(session).await),
            7 => drop(database.get_session_with_user(name).await),
            8 => drop(
                database
                    .update_session(name, UpdateSession::default())
                    .await,
            ),
            9 => drop(database.delete_user_sessions(name).await),
            10 => drop(database.create_account(account).await),
            11 => drop(
                database
                    .update_account(name, UpdateAccount::default())
                    .await,
            ),
            12 => drop(database.get_user_accounts(name).await),
            13 => drop(
                database
                    .create_verification(CreateVerification::new(name, name, in_an_hour()))
                    .await,
            ),
            14 => drop(database.consume_verification(name, name).await),
            15 => drop(database.delete_expired_sessions().await),
            16 => drop(database.clean_up().await),
            17 if now_and_then => drop(database.migrate().await),
            17..=18 => {
                let Ok(transaction) = database.begin().await else {
                    return;
                };
                let updated = transaction.update_user(name, update).await;
                if updated.is_ok() {
                    drop(transaction.commit().await);
                }
            }
            _ => {
                let Ok(transaction) = database.begin().await else {
                    return;
                };
                drop(transaction.create_user(user).await);
                drop(transaction.rollback().await);
            }
        }
    })
}

#[sqlx::test(migrator = "crate::support::MIGRATED")]
async fn dropped_futures_leave_nothing_behind(pool: PgPool) {
    const CALLERS: usize = 12;
    const CALLS: usize = 400;
    let under_test = connect(&support::url(&pool)).await;
    let database = &under_test.database;
    let mut random = Random::seeded();
    let callers: Vec<_> = (0..CALLERS)
        .map(|_| {
            let (database, mut random) = (database.clone(), random.fork());
            tokio::spawn(async move {
                let mut dropped = 0;
                for _ in 0..CALLS {
                    let call = call(&database, &mut random);
                    // Some are let through, or all would end in a connection that is still being made.
                    if random.one_in(4) {
                        call.await;
                    } else {
                        dropped += usize::from(random.begin_and_drop(call).await.is_none());
                    }
                }
                dropped
            })
        })
        .collect();
    let mut dropped = 0;
    for caller in callers {
        dropped += caller.await.unwrap();
    }
    println!(
        "{dropped} of {} futures dropped on their way",
        CALLERS * CALLS
    );
    assert!(dropped > CALLERS * CALLS / 10);
    settle(&under_test).await;
}
