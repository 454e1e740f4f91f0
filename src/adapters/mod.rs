//! The trait [`DatabaseAdapter`], what is built on it, and the two adapters that implement it.
//!
//! The two adapters mirror each other file by file; what both must do alike exists once, beside them.

mod adapter;
mod api_key_query;
mod backoff;
mod cleanup;
mod delegate;
pub mod input;
mod member_query;
mod memory;
#[cfg(feature = "sqlx-postgres")]
pub(crate) mod postgres;
mod stores;
#[cfg_attr(
    not(all(feature = "metrics", feature = "sqlx-postgres", feature = "tracing")),
    allow(
        dead_code,
        unused_imports,
        reason = "what only one feature needs is unused without it"
    )
)]
mod telemetry;
mod transaction;
mod user_query;
mod verification_keys;

pub use adapter::{DatabaseAdapter, Transaction};
pub use cleanup::{CleanupReport, CleanupTask, spawn_cleanup};
pub use memory::MemoryDatabaseAdapter;
#[cfg(feature = "sqlx-postgres")]
pub use postgres::{
    ConnectionHealth, Health, Import, ImportReport, ImportedRows, Joined, LeftRow, LentConnection,
    MIGRATOR, MigrationAction, MigrationHealth, MigrationReport, NameReport, NormalizedNames,
    OpenSqlxTransaction, PendingMigration, PendingMigrations, PoolConfig, PoolHealth, PoolStats,
    PooledConnection, PoolerHealth, Progress, SchemaReport, SessionCache, SessionCacheHealth,
    SessionCacheStats, SessionTokens, SkippedName, SqlxAdapter, SqlxAdapterBuilder,
    UnreachableNames, WatchedConnection, sqlx_transaction,
};
#[cfg(feature = "sqlx-postgres")]
pub use stores::Store;
pub use stores::{
    ApiKeyStore, DeviceCodeStore, OrganizationStore, PasskeyStore, RateLimitStore, SigningKeyStore,
    TwoFactorStore,
};
pub use transaction::{OpenTransaction, transaction};
pub use verification_keys::VerificationKeys;
