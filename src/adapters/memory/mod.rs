//! The adapter that keeps everything in memory.
//!
//! | | |
//! |---|---|
//! | `adapter` | `MemoryDatabaseAdapter` |
//! | `store` | the tables, and how operations reach them |
//! | `stripes` | the locks, and what makes lookups see writes whole |
//! | `table`, `list`, `ordered`, `key` | rows and indexes |
//! | `view`, `overlay`, `transaction` | what a transaction sees, and its commit |
//! | `user`, `session`, `account`, `verification` | the operations |
//! | `organization`, `member`, `invitation`, `team`, `organization_role` | those of `OrganizationStore` |
//! | `rate_limit`, `signing_key`, `two_factor`, `passkey`, `device_code`, `api_key` | those of the stores of these names |
#![allow(
    clippy::unnecessary_wraps,
    reason = "the methods have the trait's signatures"
)]

use std::sync;

mod account;
mod adapter;
mod api_key;
mod clock;
mod device_code;
mod invitation;
mod key;
mod list;
mod member;
mod ordered;
mod organization;
mod organization_role;
mod overlay;
mod passkey;
mod rate_limit;
mod session;
mod signing_key;
mod store;
mod stored_verification;
mod stripes;
#[cfg(test)]
mod stripes_tests;
mod table;
mod team;
mod transaction;
mod two_factor;
mod user;
mod verification;
mod view;

pub use adapter::MemoryDatabaseAdapter;
