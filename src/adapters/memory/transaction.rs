//! Transactions of the memory adapter.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use async_trait::async_trait;

use super::clock::Clock;
use super::list::Emptied;
use super::store::{Access, Overlays, Redo, Repository, Store, Tables, TablesRelied, View};
use super::stripes::{ReadSet, Stripes};
use crate::adapters::Transaction;
use crate::adapters::delegate::forward_database_adapter;
use crate::{AuthError, AuthResult};

/// A transaction changes its overlays, not the store, and keeps a redo log. Its commit makes the same changes in the store
/// as that is by then, and fails if one of them is no longer possible, or if a row that it relied on was replaced.
pub(super) struct MemoryTransaction {
    repository: Repository<OpenTables>,
    /// Held during each call.
    aborted: Mutex<bool>,
}

impl MemoryTransaction {
    pub(super) fn new(repository: Repository<OpenTables>) -> Self {
        Self {
            repository,
            aborted: Mutex::new(false),
        }
    }

    fn call<T>(&self, call: impl FnOnce() -> AuthResult<T>) -> AuthResult<T> {
        let mut aborted = self.aborted.lock().unwrap_or_else(PoisonError::into_inner);
        if *aborted {
            return Err(AuthError::TransactionAborted);
        }
        // Stays so if the call panics.
        *aborted = true;
        let answer = call();
        *aborted = !matches!(answer, Ok(_) | Err(AuthError::Unsupported { .. }));
        answer
    }
}

forward_database_adapter!(impl [] for MemoryTransaction, |this| this.repository, |call| this.call(call));

#[async_trait]
impl Transaction for MemoryTransaction {
    async fn commit(self: Box<Self>) -> AuthResult<()> {
        self.call(|| self.repository.0.commit())
    }

    async fn rollback(self: Box<Self>) -> AuthResult<()> {
        Ok(())
    }
}

/// The tables of a transaction.
pub(super) struct OpenTables {
    store: Arc<Store>,
    changes: Mutex<Changes>,
}

#[derive(Default)]
struct Changes {
    overlays: Overlays,
    log: Vec<(TablesRelied, Redo)>,
    /// What the writes have locked, as a guess at what the commit has to lock.
    stripes: Stripes,
}

impl OpenTables {
    pub(super) fn new(store: &Arc<Store>) -> Self {
        Self {
            store: Arc::clone(store),
            changes: Mutex::default(),
        }
    }

    fn commit(&self) -> AuthResult<()> {
        let Changes { log, stripes, .. } = &*self.changes();
        let (store, mut stripes) = (&*self.store, *stripes);
        let mut emptied = Emptied::new();
        loop {
            let committed = store.locks.lock(stripes, |locked| {
                let mut result = Overlays::default();
                let (outcome, mut needed) = redo(store, &mut result, log);
                needed |= result.changed(&store.tables);
                if !stripes.contains(needed) {
                    // It looked at what others may have been changing. In the end it has all stripes.
                    stripes |= needed;
                    return None;
                }
                if outcome.is_ok() {
                    locked.write(|| result.merge_into_base(&store.tables, &mut emptied));
                }
                Some(outcome)
            });
            if let Some(outcome) = committed {
                return outcome;
            }
        }
    }

    /// Runs a write with its stripes locked, and adds it to the log.
    fn run<T>(
        &self,
        name: impl Fn(&mut View<'_>) -> Stripes,
        write: impl FnOnce(&mut View<'_>) -> AuthResult<T>,
        redo: impl FnOnce(&T) -> Redo,
    ) -> AuthResult<T> {
        let mut changes = self.changes();
        let Changes {
            overlays,
            log,
            stripes,
        } = &mut *changes;
        let answer = self.store.lock(Some(overlays), name, |view, _| {
            let answer = write(view);
            *stripes |= view.reads.stripes;
            answer
        })?;
        log.push((overlays.take_relied(), redo(&answer)));
        Ok(answer)
    }

    fn changes(&self) -> MutexGuard<'_, Changes> {
        self.changes.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Makes all changes again, and says which stripes guard what they looked at.
fn redo(
    store: &Store,
    result: &mut Overlays,
    log: &[(TablesRelied, Redo)],
) -> (AuthResult<()>, Stripes) {
    let mut reads = ReadSet::default();
    let outcome = log.iter().try_for_each(|(relied, redo)| {
        result.expect(relied);
        redo(&mut View::new(
            store,
            Some(result),
            &mut reads,
            &mut Vec::new(),
        ))
    });
    (outcome, reads.stripes)
}

impl Access for OpenTables {
    fn clock(&self) -> &Clock {
        self.store.clock()
    }

    fn tables(&self) -> &Tables {
        &self.store.tables
    }

    fn read<T>(&self, read: impl Fn(&mut View<'_>) -> T) -> T {
        let overlays = &mut self.changes().overlays;
        self.store.read_at_once(Some(overlays), read)
    }

    fn write<I: Clone + Send + 'static, T: 'static>(
        &self,
        stripes: impl Fn(&mut View<'_>) -> Stripes,
        input: I,
        write: fn(&mut View<'_>, I) -> AuthResult<T>,
    ) -> AuthResult<T> {
        let again = input.clone();
        self.run(
            stripes,
            |view| write(view, input),
            |_| Box::new(move |view| write(view, again.clone()).map(drop)),
        )
    }

    fn write_with_redo<T>(
        &self,
        stripes: impl Fn(&mut View<'_>) -> Stripes,
        write: impl FnOnce(&mut View<'_>) -> AuthResult<T>,
        redo: impl FnOnce(&T) -> Redo,
    ) -> AuthResult<T> {
        self.run(stripes, write, redo)
    }

    fn give_way(&self) {}

    fn shrink(&self) {}
}

impl Repository<Arc<Store>> {
    pub(super) fn begin(&self) -> AuthResult<Box<dyn Transaction>> {
        let repository = Repository(OpenTables::new(&self.0), self.1.clone());
        Ok(Box::new(MemoryTransaction::new(repository)))
    }
}

impl Repository<OpenTables> {
    #[allow(clippy::unused_self, reason = "the method of all repositories")]
    fn begin(&self) -> AuthResult<Box<dyn Transaction>> {
        Err(AuthError::Unsupported { operation: "begin" })
    }
}
