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
pub mod types;

#[cfg(feature = "sqlx-postgres")]
pub use adapters::{MIGRATOR, postgres::columns};
pub use adapters::{spawn_cleanup, transaction};
pub use async_trait::async_trait;
pub use error::{AuthError, AuthResult, ConflictField, SharedError};
pub use types::*;
