//! Transactions of the memory adapter.

use std::sync::{Arc, Mutex, PoisonError};

use async_trait::async_trait;

use super::{Access, Change, Database, Store, Tables, TablesSeen};
use crate::adapters::Transaction;
use crate::adapters::delegate::forward_database_adapter;
use crate::{AuthError, AuthResult};

/// A transaction changes tables of its own, which lie over the store's, and remembers how. Its commit makes the same
/// changes again, on what the store then holds, and so finds whatever does not go together any more. What a change relied
/// on must be the same row then.
pub(super) struct MemoryTransaction {
    database: Database<Layer>,
    /// Held during each call.
    aborted: Mutex<bool>,
}

impl MemoryTransaction {
    pub(super) fn new(layer: Layer) -> Self {
        Self {
            database: Database(layer),
            aborted: Mutex::new(false),
        }
    }

    fn call<T>(&self, call: impl FnOnce() -> AuthResult<T>) -> AuthResult<T> {
        let mut aborted = self.aborted.lock().unwrap_or_else(PoisonError::into_inner);
        if *aborted {
            return Err(AuthError::TransactionAborted);
        }
        // Stays so where the call panics.
        *aborted = true;
        let answer = call();
        *aborted = !matches!(answer, Ok(_) | Err(AuthError::Unsupported { .. }));
        answer
    }
}

forward_database_adapter!(impl [] for MemoryTransaction, |this| this.database, |call| this.call(call));

#[async_trait]
impl Transaction for MemoryTransaction {
    async fn commit(self: Box<Self>) -> AuthResult<()> {
        self.call(|| self.database.0.commit())
    }

    async fn rollback(self: Box<Self>) -> AuthResult<()> {
        Ok(())
    }
}

/// The tables of a transaction.
pub(super) struct Layer {
    store: Arc<Store>,
    tables: Tables,
    changes: Mutex<Vec<(TablesSeen, Change)>>,
}

impl Layer {
    pub(super) fn over(store: &Arc<Store>) -> Self {
        Self {
            store: Arc::clone(store),
            tables: store.tables.layer(),
            changes: Mutex::default(),
        }
    }

    fn commit(&self) -> AuthResult<()> {
        let alone = self.store.sequence.exclusive();
        let result = self.store.tables.layer();
        for (seen, change) in self.changes().iter() {
            result.expect(seen);
            change(&result)?;
        }
        alone.write(|| result.settle());
        Ok(())
    }

    fn changes(&self) -> std::sync::MutexGuard<'_, Vec<(TablesSeen, Change)>> {
        self.changes.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Access for Layer {
    fn tables(&self) -> &Tables {
        &self.tables
    }

    fn read<T>(&self, read: impl Fn(&Tables) -> T) -> T {
        let _alone = self.store.sequence.exclusive();
        read(&self.tables)
    }

    fn write<T>(&self, write: impl Fn(&Tables) -> AuthResult<T> + Send + 'static) -> AuthResult<T> {
        let alone = self.store.sequence.exclusive();
        let answer = write(&self.tables)?;
        drop(alone);
        let again = move |tables: &Tables| write(tables).map(drop);
        self.changes()
            .push((self.tables.take_seen(), Box::new(again)));
        Ok(answer)
    }

    fn write_once<T>(
        &self,
        write: impl FnOnce(&Tables) -> AuthResult<T>,
        again: impl FnOnce(&T) -> Change,
    ) -> AuthResult<T> {
        let alone = self.store.sequence.exclusive();
        let answer = write(&self.tables)?;
        drop(alone);
        self.changes()
            .push((self.tables.take_seen(), again(&answer)));
        Ok(answer)
    }

    fn begin(&self) -> AuthResult<Box<dyn Transaction>> {
        Err(AuthError::Unsupported { operation: "begin" })
    }
}
