#![allow(
    clippy::unnecessary_wraps,
    reason = "the methods have the trait's signatures"
)]

use std::collections::{BTreeMap, BTreeSet};
use std::fmt;
use std::hash::Hash;
use std::sync::Arc;

use chrono::{DateTime, Utc};
use dashmap::DashMap;

use crate::adapters::forward::forward_database_adapter;
use crate::types::{Account, Session, User, Verification};

use self::sequence::Sequence;

mod account;
mod sequence;
mod session;
mod user;
mod verification;

/// How many rows `delete_expired_*` removes before others get their turn.
const PIECE: usize = 1000;

/// Keeps everything in memory, for development and tests. What it holds is lost when the process ends.
///
/// It keeps every promise that [`SqlxAdapter`](crate::adapters::SqlxAdapter) keeps: uniqueness, references, and no
/// operation half-visible. Clones share the data.
///
/// ```
/// use better_auth::adapters::MemoryDatabaseAdapter;
///
/// let database = MemoryDatabaseAdapter::new();
/// let same_data = database.clone();
/// # let _ = same_data;
/// ```
#[derive(Clone, Default)]
pub struct MemoryDatabaseAdapter {
    store: Arc<Store>,
}

impl MemoryDatabaseAdapter {
    /// An empty store.
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }
}

impl fmt::Debug for MemoryDatabaseAdapter {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("MemoryDatabaseAdapter")
            .field("users", &self.store.users.len())
            .field("sessions", &self.store.sessions.len())
            .field("accounts", &self.store.accounts.len())
            .field("verifications", &self.store.verifications.len())
            .finish()
    }
}

forward_database_adapter!(impl [] for MemoryDatabaseAdapter, |this| sync this.store);

/// Where a row stands in a list: by `created_at`, then by `id`.
type Position = (DateTime<Utc>, String);

/// The tables and their indexes.
///
/// # Locks
///
/// 1. All access goes through `sequence`: changes by `write`, looks by `read` (the search for expired rows apart, whose
///    finds are looked at again). No map's guard is held when it is entered, and nothing here waits for a future.
/// 2. Within, at most one guard per map is held at a time: first of an index, then of the table that it points into,
///    never the other way round. Writers hold one guard at a time.
#[derive(Default)]
struct Store {
    sequence: Sequence,

    /// By id.
    users: DashMap<String, User>,
    /// Email to user id.
    emails: DashMap<String, String>,
    /// Username to user id.
    usernames: DashMap<String, String>,

    /// By token.
    sessions: DashMap<String, Session>,
    /// User id to tokens.
    user_sessions: DashMap<String, BTreeMap<Position, String>>,

    /// By id.
    accounts: DashMap<String, Account>,
    /// Provider id and account id to id.
    account_keys: DashMap<(String, String), String>,
    /// User id to ids.
    user_accounts: DashMap<String, BTreeSet<Position>>,

    /// By id.
    verifications: DashMap<String, Verification>,
    /// Identifier to ids.
    identifiers: DashMap<String, BTreeSet<Position>>,
    /// Value to ids.
    values: DashMap<String, BTreeSet<Position>>,
    /// Identifier and value to ids.
    pairs: DashMap<(String, String), BTreeSet<Position>>,
}

/// Sets a column that an update names.
fn set<T>(column: &mut T, update: Option<T>) {
    if let Some(value) = update {
        *column = value;
    }
}

/// Enters a row into an index of ids.
fn index<K: Eq + Hash>(index: &DashMap<K, BTreeSet<Position>>, key: K, position: Position) {
    index.entry(key).or_default().insert(position);
}

/// Takes a row out of an index of ids, which holds no empty entries.
fn unindex<K: Eq + Hash>(index: &DashMap<K, BTreeSet<Position>>, key: &K, position: &Position) {
    index.remove_if_mut(key, |_, positions| {
        positions.remove(position);
        positions.is_empty()
    });
}
