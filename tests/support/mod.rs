//! What the tests on PostgreSQL share.
#![allow(
    dead_code,
    unreachable_pub,
    reason = "each test file takes what it needs"
)]

use std::error::Error as _;
use std::fmt::Write as _;
use std::sync::LazyLock;

use better_auth::adapters::{PoolConfig, SqlxAdapter};
use better_auth::{AuthError, MIGRATOR};
use sqlx::migrate::{Migration, MigrationType, Migrator};
use sqlx::postgres::PgPoolOptions;
use sqlx::{AssertSqlSafe, ConnectOptions as _, Executor as _, PgPool, SqlSafeStr as _};

pub mod hostile;
#[cfg(target_os = "linux")]
pub mod pgbouncer;
pub mod proxy;
pub mod seed;
pub mod server;
pub mod shared_database;

/// The schema as `migrate` leaves it, in one migration, as most tests want no more of it than that it is there.
pub static MIGRATED: LazyLock<Migrator> = LazyLock::new(|| {
    let mut sql = "CREATE TABLE _better_auth_migrations (version BIGINT PRIMARY KEY, description TEXT NOT NULL, \
                   installed_on TIMESTAMPTZ NOT NULL DEFAULT now(), success BOOLEAN NOT NULL, checksum BYTEA NOT NULL, \
                   execution_time BIGINT NOT NULL);"
        .to_owned();
    let ups = MIGRATOR.iter();
    for migration in ups.filter(|migration| migration.migration_type.is_up_migration()) {
        let (version, description) = (migration.version, &migration.description);
        let text = migration.sql.as_str().replace("CONCURRENTLY", "");
        let record = "INSERT INTO _better_auth_migrations VALUES";
        write!(
            sql,
            "{text};\n{record} ({version}, '{description}', now(), TRUE, '\\x"
        )
        .unwrap();
        for byte in &*migration.checksum {
            write!(sql, "{byte:02x}").unwrap();
        }
        sql.push_str("', 0);");
    }
    let whole = Migration::new(
        1,
        "the whole schema".into(),
        MigrationType::Simple,
        AssertSqlSafe(sql).into_sql_str(),
        false,
    );
    Migrator::with_migrations(vec![whole])
});

/// The tables that are migrated only if the application asks for their store.
pub const STORE_TABLES: [&str; 12] = [
    "invitation",
    "member",
    "organization",
    "organization_role",
    "team",
    "team_member",
    "rate_limit",
    "jwks",
    "two_factor",
    "passkeys",
    "device_code",
    "api_keys",
];

/// The URL of a test's own database.
pub fn url(pool: &PgPool) -> String {
    pool.connect_options().to_url_lossy().to_string()
}

/// An adapter on a test's own database, with a pool of its own and short waits.
pub async fn adapter(pool: &PgPool) -> SqlxAdapter {
    let config = PoolConfig {
        max_connections: 4,
        acquire_timeout: std::time::Duration::from_secs(4),
        ..PoolConfig::default()
    };
    SqlxAdapter::with_config(&url(pool), config).await.unwrap()
}

/// A pool on a test's own database whose transactions are serializable, as they are by default on some engines.
pub async fn serializable(pool: &PgPool, max_connections: u32) -> PgPool {
    isolated(pool, "serializable", max_connections).await
}

/// A pool on a test's own database whose transactions are so isolated by default.
pub async fn isolated(pool: &PgPool, isolation: &str, max_connections: u32) -> PgPool {
    let options = pool.connect_options().as_ref().clone();
    PgPoolOptions::new()
        .max_connections(max_connections)
        .connect_with(options.options([("default_transaction_isolation", isolation)]))
        .await
        .unwrap()
}

pub async fn execute(pool: &PgPool, sql: &str) {
    pool.execute(AssertSqlSafe(sql.to_owned())).await.unwrap();
}

/// All that an error shows, with whatever lies below it.
pub fn shown(error: &AuthError) -> String {
    let below = std::iter::successors(error.source(), |&error| error.source());
    let below: Vec<String> = below.map(|error| format!("{error} {error:?}")).collect();
    format!("{error} {error:?} {}", below.join(" "))
}

/// `#[sqlx::test]` fails without a database; this says what to do about it.
pub async fn require_database() {
    const ADVICE: &str = "these tests need a PostgreSQL server: run `just db-up`, then `just test`";
    let url = std::env::var("DATABASE_URL").expect(ADVICE);
    SqlxAdapter::new(&url).await.expect(ADVICE);
}
