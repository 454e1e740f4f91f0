//! The trait behind which everything is stored, and the adapters that implement it.

mod back_off;
mod cleanup;
mod forward;
mod memory;
#[cfg(feature = "sqlx-postgres")]
pub(crate) mod postgres;
mod rules;
mod traits;
mod transaction;
mod user_list;

pub use cleanup::{CleanupReport, CleanupTask, spawn_cleanup};
pub use memory::MemoryDatabaseAdapter;
#[cfg(feature = "sqlx-postgres")]
pub use postgres::{
    MIGRATOR, NormalizedNames, PoolConfig, PoolStats, SkippedName, SqlxAdapter, SqlxAdapterBuilder,
};
pub use traits::{DatabaseAdapter, Transaction};
pub use transaction::{OpenTransaction, transaction};
