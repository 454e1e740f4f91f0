//! The database layer of Better Auth: users, sessions, accounts and verifications behind one trait.
//!
//! - [`DatabaseAdapter`] is the trait. Its page lists all methods and says what each guarantees.
//! - [`MemoryDatabaseAdapter`] stores everything in memory, for development and tests.
//! - `SqlxAdapter`, with the feature `sqlx-postgres`, stores everything in PostgreSQL, for production. Every SQL statement
//!   is checked when the crate is compiled, without a database.
//!
//! ```
//! use better_auth::chrono::{TimeDelta, Utc};
//! use better_auth::prelude::*;
//!
//! #[tokio::main]
//! async fn main() -> AuthResult<()> {
//!     let database = MemoryDatabaseAdapter::new();
//!     let user = database.create_user(CreateUser::new().with_email("ada@example.com")).await?;
//!     let next_week = Utc::now() + TimeDelta::days(7);
//!     let session = database.create_session(CreateSession::new(&user.id, next_week)).await?;
//!     let found = database.get_session_with_user(&session.token).await?;
//!     assert_eq!(found, Some((session, user)));
//!     Ok(())
//! }
//! ```
//!
//! # Where to look
//!
//! | for | see |
//! |---|---|
//! | connecting to PostgreSQL, migrations, checks of the schema | `SqlxAdapter` and `SqlxAdapterBuilder` in [`adapters`] |
//! | several operations, all or none | [`transaction`](transaction()), [`Transaction`] |
//! | the application's own SQL in the same transaction | `sqlx_transaction`, `SqlxAdapter::join` |
//! | what an error means and what was done | [`AuthError`] |
//! | sessions in axum | `axum`, with the feature of this name |
//! | removing expired rows | [`spawn_cleanup`] |
//! | the rows and the inputs | [`types`] |
//! | implementing an adapter | [`DatabaseAdapter`], and the feature `conformance` for testing it |
//! | limits, normal forms, ids and tokens for an adapter of your own | [`adapters::input`] |
//! | wrapping an adapter | [`forward_database_adapter!`] |
//! | the names that most programs use | [`prelude`] |
//!
//! The `docs` folder of the package has more: use in an application, migrating from other databases, operations,
//! performance, scaling, reliability and the architecture.
#![cfg_attr(
    docsrs,
    doc = concat!(
        "[Read it here](https://docs.rs/crate/", env!("CARGO_PKG_NAME"), "/", env!("CARGO_PKG_VERSION"), "/source/docs/)."
    )
)]
//!
//! # Features
//!
//! None is on by default. `sqlx-postgres`: the PostgreSQL adapter. `axum`: extractors, cookies and responses. `tracing`: its spans and events. `metrics`: its
//! metrics. `cli`: the program `better-auth`. `conformance`: the public test suite for adapters.
//! `tls-rustls-ring-webpki`, `tls-rustls-ring-native-roots`, `tls-rustls-aws-lc-rs`, `tls-native-tls`: how sqlx encrypts
//! connections; without one of them, `sslmode=require` fails to connect.

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
#[cfg(feature = "axum")]
pub mod axum;
#[cfg(feature = "conformance")]
pub mod conformance;
mod error;
pub mod prelude;
pub mod types;

pub use adapters::{
    DatabaseAdapter, MemoryDatabaseAdapter, Transaction, spawn_cleanup, transaction,
};
#[cfg(feature = "sqlx-postgres")]
pub use adapters::{MIGRATOR, SqlxAdapter, postgres::columns, sqlx_transaction};
pub use async_trait::async_trait;
pub use error::{AuthError, AuthResult, ConflictField, SharedError};
pub use types::*;

// Their types are in the API: a caller that uses these needs no dependency of the same version.
pub use chrono;
pub use serde_json;
#[cfg(feature = "sqlx-postgres")]
pub use sqlx;

/// The examples of `docs/axum.md`, as tests.
#[cfg(all(doctest, feature = "axum"))]
#[doc = include_str!("../docs/axum.md")]
struct AxumGuide;

/// The examples of the README, as tests.
#[cfg(all(
    doctest,
    feature = "axum",
    feature = "conformance",
    feature = "sqlx-postgres"
))]
#[doc = include_str!("../README.md")]
struct Readme;

/// The snippets of the page on credentials, likewise.
#[cfg(all(doctest, feature = "conformance", feature = "sqlx-postgres"))]
#[doc = include_str!("../docs/credentials.md")]
struct Credentials;
