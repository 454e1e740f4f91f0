//! The trait behind which everything is stored, and the adapters that implement it.

mod forward;
mod memory;
#[cfg(feature = "sqlx-postgres")]
mod postgres;
mod rules;
mod traits;

pub use memory::MemoryDatabaseAdapter;
#[cfg(feature = "sqlx-postgres")]
pub use postgres::{MIGRATOR, PoolConfig, PoolStats, SqlxAdapter};
pub use traits::DatabaseAdapter;
