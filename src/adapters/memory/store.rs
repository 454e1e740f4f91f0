//! The store: the tables, and what makes reads and writes of several rows atomic.

use std::sync::Arc;

use super::clock::Clock;
use super::list::Emptied;
use super::overlay::{Overlay, Relied};
use super::rate_limit::StoredRateLimit;
use super::stored_verification::StoredVerification;
use super::stripes::{COUNT, Locked, ReadSet, StripeLocks, Stripes};
use super::table::{Row, Table};
use super::view::TableView;
use crate::adapters::VerificationKeys;
use crate::types::{
    Account, Invitation, IssuedApiKey, IssuedDeviceCode, Member, Organization, OrganizationRole,
    Passkey, Removed, Session, SigningKey, Team, TeamMember, TwoFactor, User,
};
use crate::{AuthError, AuthResult};

/// How often a lookup tries to do without locks.
const OPTIMISTIC_READS: usize = 3;
/// How many rows `delete_expired_*` removes before others get their turn.
const DELETE_BATCH: usize = 100;

/// The list of the tables: everything that names each of them.
macro_rules! tables {
    ($($table:ident: $row:ty,)*) => {
        pub(super) struct Tables {
            $(pub(super) $table: Table<$row>,)*
        }

        impl Tables {
            fn new(locks: &Arc<StripeLocks>) -> Self {
                Self { $($table: Table::new(locks),)* }
            }

            /// How many rows each table has.
            pub(super) fn sizes(&self) -> impl Iterator<Item = (&'static str, usize)> {
                [$((stringify!($table), self.$table.len()),)*].into_iter()
            }

            /// How many keys all indexes hold.
            #[cfg(test)]
            pub(super) fn index_keys(&self) -> usize {
                0 $(+ self.$table.index_keys())*
            }

            /// How many rows the tables have room for.
            #[cfg(test)]
            pub(super) fn capacity(&self) -> usize {
                0 $(+ self.$table.capacity())*
            }

            /// The table and the owner of each row.
            #[cfg(test)]
            pub(super) fn owners(&self) -> Vec<(&'static str, String)> {
                let mut owners = Vec::new();
                $(owners.extend(self.$table.owners().map(|owner| (stringify!($table), owner)));)*
                owners
            }

            fn shrink(&self) {
                $(self.$table.shrink();)*
            }
        }

        /// What a transaction has changed.
        #[derive(Default)]
        pub(super) struct Overlays {
            $($table: Overlay<$row>,)*
        }

        /// What a write relied on.
        #[derive(Default)]
        pub(super) struct TablesRelied {
            $($table: Relied,)*
        }

        impl Overlays {
            pub(super) fn take_relied(&mut self) -> TablesRelied {
                TablesRelied { $($table: self.$table.take_relied(),)* }
            }

            pub(super) fn expect(&mut self, relied: &TablesRelied) {
                $(self.$table.expect(&relied.$table);)*
            }

            pub(super) fn changed(&self, tables: &Tables) -> Stripes {
                Stripes::NONE $(| self.$table.changed(&tables.$table))*
            }

            pub(super) fn merge_into_base(self, tables: &Tables, emptied: &mut Emptied) {
                $(self.$table.merge_into_base(&tables.$table, emptied);)*
            }
        }

        impl View<'_> {
            $(
                pub(super) fn $table(&mut self) -> TableView<'_, $row> {
                    TableView {
                        base: &self.store.tables.$table,
                        overlay: self.overlays.as_deref_mut().map(|overlays| &mut overlays.$table),
                        locks: &self.store.locks,
                        reads: self.reads,
                        emptied: self.emptied,
                    }
                }
            )*
        }
    };
}

tables! {
    // Shared with the snapshots that lists of users are made from.
    users: Arc<User>,
    sessions: Session,
    accounts: Account,
    verifications: StoredVerification,
    organizations: Organization,
    members: Member,
    invitations: Invitation,
    teams: Team,
    team_members: TeamMember,
    organization_roles: OrganizationRole,
    rate_limits: StoredRateLimit,
    signing_keys: SigningKey,
    two_factors: TwoFactor,
    passkeys: Passkey,
    device_codes: IssuedDeviceCode,
    api_keys: IssuedApiKey,
}

/// The tables as one operation sees them.
pub(super) struct View<'a> {
    store: &'a Store,
    overlays: Option<&'a mut Overlays>,
    pub(super) reads: &'a mut ReadSet,
    emptied: &'a mut Emptied,
}

impl<'a> View<'a> {
    pub(super) fn new(
        store: &'a Store,
        overlays: Option<&'a mut Overlays>,
        reads: &'a mut ReadSet,
        emptied: &'a mut Emptied,
    ) -> Self {
        Self {
            store,
            overlays,
            reads,
            emptied,
        }
    }
}

/// The tables and the locks of their stripes.
///
/// # Locks
///
/// 1. A writer names its stripes before it locks them, and names them again afterwards: if they are others by then, it
///    begins again. It locks them in ascending order, and raises their versions around what it changes. What it looks at
///    or changes is guarded by these stripes.
/// 2. A lookup takes no lock of a stripe. It notes the versions of the stripes that guard what it reads, and is done if
///    they are the same at the end. Otherwise it runs again, after a few times with these stripes locked.
/// 3. Within, one guard of a map is held at a time, and nothing waits for a future.
pub(super) struct Store {
    pub(super) locks: Arc<StripeLocks>,
    pub(super) tables: Tables,
    clock: Clock,
}

impl Store {
    pub(super) fn new(clock: Clock) -> Self {
        let locks = Arc::new(StripeLocks::new(COUNT));
        Self {
            tables: Tables::new(&locks),
            locks,
            clock,
        }
    }

    /// Reads what was there at one moment.
    pub(super) fn read_at_once<T>(
        &self,
        mut overlays: Option<&mut Overlays>,
        read: impl Fn(&mut View<'_>) -> T,
    ) -> T {
        self.locks.read(OPTIMISTIC_READS, |reads| {
            let overlays = overlays.as_deref_mut();
            read(&mut View::new(self, overlays, reads, &mut Vec::new()))
        })
    }

    /// Runs `write` with the stripes locked that `name` names, for what is there by then.
    pub(super) fn lock<T>(
        &self,
        mut overlays: Option<&mut Overlays>,
        name: impl Fn(&mut View<'_>) -> Stripes,
        write: impl FnOnce(&mut View<'_>, &Locked<'_>) -> T,
    ) -> T {
        let mut write = Some(write);
        // Dropped when the locks are gone.
        let emptied = &mut Emptied::new();
        let reads = &mut ReadSet::default();
        let mut stripes = name(&mut View::new(
            self,
            overlays.as_deref_mut(),
            reads,
            emptied,
        ));
        loop {
            let answer = self.locks.lock(stripes, |locked| {
                let reads = &mut ReadSet::default();
                let mut view = View::new(self, overlays.as_deref_mut(), reads, emptied);
                let named = name(&mut view);
                if stripes.contains(named) {
                    return write.take().map(|write| write(&mut view, &locked));
                }
                stripes |= named;
                None
            });
            if let Some(answer) = answer {
                return answer;
            }
        }
    }
}

/// What a commit does again for a write, on what the tables then hold. It fails if that would not pass any more.
pub(super) type Redo = Box<dyn Fn(&mut View<'_>) -> AuthResult<()> + Send>;

/// How operations reach the tables: the store's own, or a transaction's.
pub(super) trait Access {
    fn clock(&self) -> &Clock;

    /// The store's own tables.
    fn tables(&self) -> &Tables;

    /// Reads what was there at one moment. May read several times.
    fn read<T>(&self, read: impl Fn(&mut View<'_>) -> T) -> T;

    /// Changes the tables, with these stripes locked. What fails must have changed nothing. A commit does the same again
    /// with the same input, so the write must name what it changes, not look for it.
    fn write<I: Clone + Send + 'static, T: 'static>(
        &self,
        stripes: impl Fn(&mut View<'_>) -> Stripes,
        input: I,
        write: fn(&mut View<'_>, I) -> AuthResult<T>,
    ) -> AuthResult<T>;

    /// As [`write`](Self::write), for what looks for its rows: `redo` makes what a commit does from the answer.
    fn write_with_redo<T>(
        &self,
        stripes: impl Fn(&mut View<'_>) -> Stripes,
        write: impl FnOnce(&mut View<'_>) -> AuthResult<T>,
        redo: impl FnOnce(&T) -> Redo,
    ) -> AuthResult<T>;

    /// Between two parts of a long work.
    fn give_way(&self);

    /// Gives memory back, after many rows were removed.
    fn shrink(&self);
}

impl Access for Arc<Store> {
    fn clock(&self) -> &Clock {
        &self.clock
    }

    fn tables(&self) -> &Tables {
        &self.tables
    }

    fn read<T>(&self, read: impl Fn(&mut View<'_>) -> T) -> T {
        self.read_at_once(None, read)
    }

    fn write<I: Clone + Send + 'static, T: 'static>(
        &self,
        stripes: impl Fn(&mut View<'_>) -> Stripes,
        input: I,
        write: fn(&mut View<'_>, I) -> AuthResult<T>,
    ) -> AuthResult<T> {
        self.lock(None, stripes, |view, locked| {
            locked.write(|| write(view, input))
        })
    }

    fn write_with_redo<T>(
        &self,
        stripes: impl Fn(&mut View<'_>) -> Stripes,
        write: impl FnOnce(&mut View<'_>) -> AuthResult<T>,
        _redo: impl FnOnce(&T) -> Redo,
    ) -> AuthResult<T> {
        self.lock(None, stripes, |view, locked| locked.write(|| write(view)))
    }

    fn give_way(&self) {
        self.locks.give_way();
    }

    fn shrink(&self) {
        self.tables.shrink();
    }
}

/// The operations, entity by entity in the files beside this one: on these tables, and with these keys.
#[derive(Clone)]
pub(super) struct Repository<A>(pub(super) A, pub(super) Option<Arc<VerificationKeys>>);

impl<A: Access> Repository<A> {
    pub(super) fn clean_up(&self) -> AuthResult<Removed> {
        let removed = Removed {
            sessions: self.delete_expired_sessions()?,
            verifications: self.delete_expired_verifications()?,
        };
        self.delete_ended_rate_limits()?;
        self.delete_expired_device_codes()?;
        self.delete_expired_api_keys()?;
        Ok(removed)
    }

    /// Removes the rows of a table that are dead by now, in batches, and says how many were there.
    pub(super) fn delete_dead<R: Row>(
        &self,
        table: for<'v> fn(&'v mut View<'_>) -> TableView<'v, R>,
        is_dead: fn(&R, i64) -> bool,
    ) -> AuthResult<usize> {
        let now_micros = self.0.clock().now_micros();
        let dead = |row: &R| is_dead(row, now_micros);
        let keys = self.0.read(|view| table(view).keys(dead));
        let mut removed = 0;
        for batch in keys.chunks(DELETE_BATCH) {
            let stripes = |view: &mut View<'_>| {
                let each = batch.iter().map(|key| table(view).stripes_of(key.as_str()));
                each.fold(Stripes::NONE, |all, one| all | one)
            };
            // What is large is allocated and dropped without the locks, for the allocator's sake.
            let rows = Vec::with_capacity(batch.len());
            let input = (batch.to_vec(), rows, table, is_dead, now_micros);
            let (batch, rows) = self.0.write(
                stripes,
                input,
                |view, (batch, mut rows, table, is_dead, now_micros)| {
                    // Another row may have the key by now.
                    let dead = |row: &R| is_dead(row, now_micros);
                    let keys = batch.iter();
                    rows.extend(keys.filter_map(|key| table(view).remove_if(key.as_str(), dead)));
                    Ok((batch, rows))
                },
            )?;
            removed += rows.len();
            drop((batch, rows));
            self.0.give_way();
        }
        self.0.shrink();
        Ok(removed)
    }
}

/// The error of a commit that comes too late for what it wanted.
pub(super) fn lost_to_another(wanted: &str) -> AuthError {
    AuthError::Unavailable {
        message: format!(
            "commit in memory: someone else used the same {wanted} first; run the transaction again"
        ),
        contention: true,
        source: None,
    }
}

/// Sets a column that an update names.
pub(super) fn set<T>(column: &mut T, update: Option<T>) {
    if let Some(value) = update {
        *column = value;
    }
}
