//! The PostgreSQL adapter: a file per entity, and the ground that they stand on.

mod account;
mod adapter;
mod application_error;
mod batch_loader;
mod builder;
pub mod columns;
mod connection;
mod delete_batches;
mod error;
mod inside;
mod joined;
mod lent_connection;
mod live_session;
mod maintenance;
mod redaction;
mod repository;
mod server;
mod server_error;
mod session;
mod session_token;
mod sqlstate;
mod sqlx_transaction;
mod tls;
mod transaction;
mod user;
mod user_list;
mod verification;
mod violated;
mod violation;

pub use self::adapter::SqlxAdapter;
pub use self::builder::SqlxAdapterBuilder;
pub use self::connection::{PoolConfig, PoolStats, PooledConnection};
pub use self::joined::Joined;
pub use self::lent_connection::{LentConnection, WatchedConnection};
pub use self::maintenance::{MIGRATOR, NormalizedNames, SchemaReport, SkippedName};
pub use self::sqlx_transaction::{OpenSqlxTransaction, sqlx_transaction};
