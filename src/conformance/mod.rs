//! The conformance suite: tests that show whether an adapter keeps the promises of [`DatabaseAdapter`], one case per
//! promise.
//!
//! The author of an adapter enables the `conformance` feature in `[dev-dependencies]`, adds a file under `tests/` and
//! passes an expression that makes a fresh, empty adapter. Each case becomes a test of its own:
//!
//! ```
//! use better_auth::adapters::MemoryDatabaseAdapter;
//!
//! better_auth::conformance_tests!(MemoryDatabaseAdapter::new());
//! ```
//!
//! This runs the cases of the required methods and of the provided methods whose default works. The cases of the other
//! provided methods form groups. If an adapter implements the methods of a group, name the group. The adapter then has
//! to pass every case of the group. The cases of other groups do not run:
//!
//! ```
//! use better_auth::adapters::MemoryDatabaseAdapter;
//!
//! better_auth::conformance_tests!(
//!     MemoryDatabaseAdapter::new(),
//!     groups: [one_time_tokens, transactions],
//! );
//! ```
//!
//! [`GROUPS`] lists the groups and their methods. `groups: all` names every group, including those that a later
//! version of this crate adds. An unknown group does not compile:
//!
//! ```compile_fail
//! use better_auth::adapters::MemoryDatabaseAdapter;
//!
//! better_auth::conformance_tests!(MemoryDatabaseAdapter::new(), groups: [one_time_passwords]);
//! ```
//!
//! The expression may contain `.await`. If the tests need an attribute that passes arguments, write the attribute, the
//! arguments and the expression:
//!
//! ```
//! # #[cfg(feature = "sqlx-postgres")]
//! # mod tests {
//! use better_auth::adapters::SqlxAdapter;
//! use sqlx::PgPool;
//!
//! better_auth::conformance_tests!(
//!     #[sqlx::test(migrator = "better_auth::MIGRATOR")]
//!     (pool: PgPool) => SqlxAdapter::from_pool(pool),
//!     groups: all,
//! );
//! # }
//! ```
//!
//! An adapter that stores digests of session tokens may return `sha256:` and 64 hexadecimal digits instead of the token
//! from [`get_user_sessions`](DatabaseAdapter::get_user_sessions). A case needs at most five connections at once.
#![allow(
    clippy::missing_panics_doc,
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing
)]

use std::sync::Arc;

use crate::adapters::DatabaseAdapter;
pub use cases::GROUPS;
use difference::assert_same as assert_eq;
use support::{
    Caller, account_of, an_hour_ago, assert_error, assert_listed, assert_refused, at_once, code,
    digests, each_with, expired_code, in_an_hour, in_time, new_hashed, new_session, new_user, poll,
    value_digest,
};

mod account;
mod account_links;
mod account_updates;
mod api_key_races;
mod api_keys;
mod bans;
pub mod cases;
mod codes;
mod device_codes;
mod difference;
mod general;
mod identifier_tokens;
mod identifiers;
mod impossible_input;
mod invitations;
mod macros;
mod member_checks;
mod members;
mod one_time_tokens;
mod organization_races;
mod organization_replacements;
mod organizations;
mod passkeys;
mod randomness;
mod rate_limits;
mod reservations;
mod session;
mod session_checks;
mod session_ids;
mod session_refresh;
mod session_updates;
mod signing_keys;
mod support;
mod teams;
mod transaction_helper;
mod transaction_races;
mod transaction_replacements;
mod transaction_sessions;
mod transaction_views;
mod transactions;
mod two_factor;
mod two_factor_races;
mod user;
mod user_filters;
mod user_lists;
mod user_metadata;
mod user_names;
mod user_searches;
mod user_updates;
mod verification;

/// The adapter that a case tests, in an `Arc` so that the case can share it among tasks.
pub type Adapter = Arc<dyn DatabaseAdapter>;

/// Runs a case on a runtime of its own, with several threads.
#[doc(hidden)]
pub fn run(case: impl Future<Output = ()>) {
    tokio::runtime::Builder::new_multi_thread()
        .enable_all()
        .build()
        .expect("a tokio runtime starts")
        .block_on(case);
}

/// The promise of the case that runs. Prints it if the case panics.
struct Promise(&'static str);

impl Drop for Promise {
    fn drop(&mut self) {
        if std::thread::panicking() {
            eprintln!("the adapter does not keep this promise:{}", self.0);
        }
    }
}
