//! The adapter that keeps everything in memory.

#![allow(
    clippy::unnecessary_wraps,
    reason = "the methods have the trait's signatures"
)]

use std::fmt;
use std::sync::{self, Arc};

use crate::AuthResult;
use crate::adapters::Transaction;
use crate::adapters::delegate::forward_database_adapter;
use crate::types::{Account, Removed, Session, User, Verification};

use self::sequence::Sequence;
use self::table::{Seen, Table};
use self::transaction::{Layer, MemoryTransaction};

mod account;
mod sequence;
#[cfg(test)]
mod sequence_tests;
mod session;
mod table;
mod transaction;
mod user;
mod verification;

/// How many rows `delete_expired_*` removes before others get their turn.
const PIECE: usize = 1000;

/// Keeps everything in memory, for development and tests. What it holds is lost when the process ends.
///
/// It keeps every promise that `SqlxAdapter` keeps: uniqueness, references, transactions,
/// and no operation half-visible. Clones share the data.
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
    database: Database<Arc<Store>>,
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
        let tables = self.database.0.tables();
        f.debug_struct("MemoryDatabaseAdapter")
            .field("users", &tables.users.len())
            .field("sessions", &tables.sessions.len())
            .field("accounts", &tables.accounts.len())
            .field("verifications", &tables.verifications.len())
            .finish()
    }
}

forward_database_adapter!(impl [] for MemoryDatabaseAdapter, |this| this.database, |call| call());

/// The tables and what makes changes to them atomic.
///
/// # Locks
///
/// 1. All access goes through `sequence`: changes by `write`, looks by `read` (the search for expired rows apart, whose
///    finds are looked at again); what transactions do before they commit, by `exclusive`. No map's guard is held when
///    it is entered, and nothing here waits for a future.
/// 2. Within, at most one guard per map is held at a time: first of an index, then of the table that it points into,
///    never the other way round. Writers hold one guard at a time.
#[derive(Default)]
struct Store {
    sequence: Sequence,
    tables: Tables,
}

#[derive(Default)]
struct Tables {
    users: Arc<Table<User>>,
    sessions: Arc<Table<Session>>,
    accounts: Arc<Table<Account>>,
    verifications: Arc<Table<Verification>>,
}

impl Tables {
    /// Empty tables over these.
    fn layer(&self) -> Self {
        Self {
            users: Arc::new(Table::over(&self.users)),
            sessions: Arc::new(Table::over(&self.sessions)),
            accounts: Arc::new(Table::over(&self.accounts)),
            verifications: Arc::new(Table::over(&self.verifications)),
        }
    }

    /// Takes what the last write saw of the tables below.
    fn take_seen(&self) -> TablesSeen {
        TablesSeen {
            users: self.users.take_seen(),
            sessions: self.sessions.take_seen(),
            accounts: self.accounts.take_seen(),
            verifications: self.verifications.take_seen(),
        }
    }

    /// Lets the next write see of the tables below only what one saw before.
    fn expect(&self, seen: &TablesSeen) {
        let TablesSeen {
            users,
            sessions,
            accounts,
            verifications,
        } = seen.clone();
        self.users.expect(users);
        self.sessions.expect(sessions);
        self.accounts.expect(accounts);
        self.verifications.expect(verifications);
    }

    /// Makes the tables below what these show.
    fn settle(&self) {
        self.users.settle();
        self.sessions.settle();
        self.accounts.settle();
        self.verifications.settle();
    }
}

/// What a write relied on, table by table.
#[derive(Clone, Default)]
struct TablesSeen {
    users: Seen,
    sessions: Seen,
    accounts: Seen,
    verifications: Seen,
}

/// A change to be made again when the transaction commits, on what the tables then hold. Fails where it would not pass
/// any more, and then has changed nothing.
type Change = Box<dyn Fn(&Tables) -> AuthResult<()> + Send>;

/// How operations get at the tables: at the store's own, or through a transaction.
trait Access {
    fn tables(&self) -> &Tables;

    /// Looks at the tables while nothing changes. May look twice.
    fn read<T>(&self, read: impl Fn(&Tables) -> T) -> T;

    /// Changes the tables alone. What fails must have changed nothing. A commit does the same again, so it must name
    /// what it changes, not look for it.
    fn write<T>(&self, write: impl Fn(&Tables) -> AuthResult<T> + Send + 'static) -> AuthResult<T>;

    /// As `write`, for what looks for its rows: `again` makes what a commit does, from what was answered.
    fn write_once<T>(
        &self,
        write: impl FnOnce(&Tables) -> AuthResult<T>,
        again: impl FnOnce(&T) -> Change,
    ) -> AuthResult<T>;

    fn begin(&self) -> AuthResult<Box<dyn Transaction>>;
}

impl Access for Arc<Store> {
    fn tables(&self) -> &Tables {
        &self.tables
    }

    fn read<T>(&self, read: impl Fn(&Tables) -> T) -> T {
        self.sequence.read(|| read(&self.tables))
    }

    fn write<T>(&self, write: impl Fn(&Tables) -> AuthResult<T> + Send + 'static) -> AuthResult<T> {
        self.sequence.write(|| write(&self.tables))
    }

    fn write_once<T>(
        &self,
        write: impl FnOnce(&Tables) -> AuthResult<T>,
        _again: impl FnOnce(&T) -> Change,
    ) -> AuthResult<T> {
        self.sequence.write(|| write(&self.tables))
    }

    fn begin(&self) -> AuthResult<Box<dyn Transaction>> {
        Ok(Box::new(MemoryTransaction::new(Layer::over(self))))
    }
}

/// The operations, entity by entity in the files beside this one.
#[derive(Clone, Default)]
struct Database<A>(A);

impl<A: Access> Database<A> {
    fn clean_up(&self) -> AuthResult<Removed> {
        Ok(Removed {
            sessions: self.delete_expired_sessions()?,
            verifications: self.delete_expired_verifications()?,
        })
    }

    fn begin(&self) -> AuthResult<Box<dyn Transaction>> {
        self.0.begin()
    }

    /// Removes the rows with these keys from a table, in pieces, and says how many were there.
    fn remove_in_pieces(
        &self,
        keys: &[String],
        remove: impl Fn(&Tables, &str) -> bool + Copy + Send + 'static,
    ) -> AuthResult<usize> {
        let mut removed = 0;
        for piece in keys.chunks(PIECE) {
            let piece = piece.to_vec();
            removed += self
                .0
                .write(move |tables| Ok(piece.iter().filter(|key| remove(tables, key)).count()))?;
        }
        Ok(removed)
    }
}

/// Sets a column that an update names.
fn set<T>(column: &mut T, update: Option<T>) {
    if let Some(value) = update {
        *column = value;
    }
}
