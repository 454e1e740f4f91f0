//! How a statement gets a connection: from the adapter's own pool or from the application's.

mod backend;
mod config;
mod connections;
mod depth;
mod lease;
mod manager;
mod opening;
mod pool;
mod pooler;
mod pressure;
mod retry;

pub use self::config::{PoolConfig, PoolStats};
pub use self::lease::PooledConnection;
pub use self::pooler::PoolerHealth;

pub(super) use self::config::{Settings, parse_url};
pub(super) use self::connections::Connections;
pub(super) use self::depth::{begin, depth};
pub(super) use self::lease::{Lease, StatementFuture, is_idle};
pub(super) use self::pooler::Pooler;
pub(super) use self::pressure::{WINDOW as PRESSURE_WINDOW, Waits};
