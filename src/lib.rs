#![doc = include_str!("../README.md")]
#![cfg_attr(
    not(test),
    warn(
        clippy::unwrap_used,
        clippy::expect_used,
        clippy::panic,
        clippy::indexing_slicing
    )
)]
#![cfg_attr(docsrs, feature(doc_cfg))]

pub mod adapters;
#[cfg(feature = "conformance")]
pub mod conformance;
mod error;
pub mod prelude;
pub mod types;

pub use adapters::{
    DatabaseAdapter, MemoryDatabaseAdapter, Transaction, spawn_cleanup, transaction,
};
#[cfg(feature = "sqlx-postgres")]
pub use adapters::{MIGRATOR, SqlxAdapter, postgres::columns};
pub use async_trait::async_trait;
pub use error::{AuthError, AuthResult, ConflictField, SharedError};
pub use types::*;

// Their types are in the API: a caller that uses these needs no dependency of the same version.
pub use chrono;
pub use serde_json;
#[cfg(feature = "sqlx-postgres")]
pub use sqlx;
