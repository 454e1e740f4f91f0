//! Databases that tests use one after the other, each time empty: to create one costs more than most tests.
//!
//! A process keeps a database for each of its threads, under a name that no other process uses, and leaves it to the next
//! process of that name.

use std::cell::RefCell;
use std::str::FromStr as _;
use std::sync::{Mutex, PoisonError};
use std::time::Duration;
use std::{env, fs};

use better_auth::adapters::SqlxAdapter;
use sqlx::postgres::{PgConnectOptions, PgPoolOptions};
use sqlx::{
    AssertSqlSafe, ConnectOptions as _, Connection as _, Executor as _, PgConnection, PgPool,
};

use super::{MIGRATED, execute};

/// As `#[sqlx::test]` gives a test.
const MAX_CONNECTIONS: u32 = 5;
/// The first key of the advisory locks that keep the names apart; the second one is the number in the name.
const NAMES: i32 = 0x6261_7464;

struct Database {
    purpose: &'static str,
    options: PgConnectOptions,
    /// Holds the lock of the name as long as the process runs.
    _owner: PgConnection,
}

static FREE: Mutex<Vec<Database>> = Mutex::new(Vec::new());

thread_local! {
    /// Until the thread takes another one, or ends with its test.
    static TAKEN: RefCell<Option<Taken>> = const { RefCell::new(None) };
}

struct Taken(Option<Database>);

impl Drop for Taken {
    fn drop(&mut self) {
        FREE.lock()
            .unwrap_or_else(PoisonError::into_inner)
            .extend(self.0.take());
    }
}

/// A pool on an empty, migrated database, which nobody else uses until this thread ends or takes another one. `purpose` says
/// with whom it is shared: what tests add to the schema stays for the next one of the same purpose.
pub async fn take(purpose: &'static str) -> PgPool {
    drop(TAKEN.take());
    let database = match free(purpose) {
        Some(database) => database,
        None => create(purpose).await,
    };
    let pool = PgPoolOptions::new()
        .max_connections(MAX_CONNECTIONS)
        .connect_with(database.options.clone())
        .await
        .unwrap();
    TAKEN.set(Some(Taken(Some(database))));
    let mut connection = pool.acquire().await.unwrap();
    disconnect_others(&mut connection).await;
    connection
        .execute("DELETE FROM organization; DELETE FROM users; DELETE FROM verifications; DELETE FROM rate_limit; \
             DELETE FROM jwks; DELETE FROM device_code")
        .await
        .unwrap();
    drop(connection);
    pool
}

fn free(purpose: &str) -> Option<Database> {
    let mut free = FREE.lock().unwrap_or_else(PoisonError::into_inner);
    let position = free
        .iter()
        .position(|database| database.purpose == purpose)?;
    Some(free.swap_remove(position))
}

async fn create(purpose: &'static str) -> Database {
    let url = env::var("DATABASE_URL").expect("DATABASE_URL names a server");
    let options = PgConnectOptions::from_str(&url).unwrap();
    let mut owner = PgConnection::connect_with(&options).await.unwrap();
    let mut number = 0;
    while !sqlx::query_scalar::<_, bool>("SELECT pg_try_advisory_lock($1, $2)")
        .bind(NAMES)
        .bind(number)
        .fetch_one(&mut owner)
        .await
        .unwrap()
    {
        number += 1;
    }
    let name = format!("better_auth_shared_{number}");
    for statement in [
        format!("DROP DATABASE IF EXISTS {name} WITH (FORCE)"),
        format!("CREATE DATABASE {name}"),
    ] {
        owner.execute(AssertSqlSafe(statement)).await.unwrap();
    }
    let options = options.database(&name);
    let pool = PgPool::connect_with(options.clone()).await.unwrap();
    MIGRATED.run(&pool).await.unwrap();
    prepare(&pool).await;
    pool.close().await;
    Database {
        purpose,
        options,
        _owner: owner,
    }
}

/// Runs the statements of the file that `just engine-check` may name.
async fn prepare(pool: &PgPool) {
    let file = env::var("ENGINE_PREPARE").unwrap_or_default();
    if file.is_empty() {
        return;
    }
    execute(pool, &fs::read_to_string(file).unwrap()).await;
    // New connections have the settings that the statements gave the database.
    let url = pool.connect_options().to_url_lossy();
    let database = SqlxAdapter::new(url.as_str()).await.unwrap();
    database.migrate().await.unwrap();
    database.close().await;
}

/// The last test's connections, which may still end a statement. A pool would be among them with its other connections.
async fn disconnect_others(connection: &mut PgConnection) {
    const OTHERS: &str = "SELECT count(pg_terminate_backend(pid)) FROM pg_stat_activity \
                          WHERE datname = current_database() AND pid <> pg_backend_pid() AND backend_type = 'client backend'";
    while sqlx::query_scalar::<_, i64>(OTHERS)
        .fetch_one(&mut *connection)
        .await
        .unwrap()
        > 0
    {
        tokio::time::sleep(Duration::from_millis(1)).await;
    }
}
