//! The PostgreSQL adapter: a file per entity, and the ground that they stand on.

mod account;
mod adapter;
mod api_key;
mod api_key_use;
mod application_error;
mod batch_loader;
mod builder;
mod cleanup;
pub mod columns;
mod connection;
mod device_code;
mod digest;
mod error;
mod estimates;
mod health;
mod inside;
mod invitation;
mod joined;
mod lent_connection;
mod live_session;
mod live_session_with_member;
mod maintenance;
mod member;
mod organization;
mod organization_role;
mod passkey;
mod progress;
mod rate_limit;
mod redaction;
mod repository;
mod row_batches;
mod server;
mod server_error;
mod session;
mod session_cache;
mod session_token;
mod signing_key;
mod sqlstate;
mod sqlx_transaction;
mod stored_tokens;
mod team;
mod tls;
mod transaction;
mod two_factor;
mod user;
mod user_list;
mod verification;
mod verification_value;
mod violated;
mod violation;

pub use self::adapter::SqlxAdapter;
pub use self::builder::SqlxAdapterBuilder;
pub use self::connection::{PoolConfig, PoolStats, PooledConnection, PoolerHealth};
pub use self::health::{ConnectionHealth, Health, MigrationHealth, PoolHealth, SessionCacheHealth};
pub use self::joined::Joined;
pub use self::lent_connection::{LentConnection, WatchedConnection};
pub use self::maintenance::{
    Import, ImportReport, ImportedRows, LeftRow, MIGRATOR, MigrationAction, MigrationReport,
    NameReport, NormalizedNames, PendingMigration, PendingMigrations, SchemaReport, SkippedName,
    UnreachableNames,
};
pub use self::progress::Progress;
pub use self::session_cache::{SessionCache, SessionCacheStats};
pub use self::session_token::SessionTokens;
pub use self::sqlx_transaction::{OpenSqlxTransaction, sqlx_transaction};
