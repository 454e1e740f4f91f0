//! What has to be there and what must be gone, as far as acknowledged operations tell.

use std::collections::{HashMap, HashSet};
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Mutex, MutexGuard};

use better_auth::types::{Account, Session, User, Verification};
use chrono::{DateTime, Utc};

use crate::random::Random;

/// A row. A user who is deleted and created again under the same id is another one.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub(crate) enum Thing {
    User(String, DateTime<Utc>),
    Session(String),
    Account(String),
    Verification(String),
}

impl From<&User> for Thing {
    fn from(user: &User) -> Self {
        Self::User(user.id.clone(), user.created_at)
    }
}

impl From<&Session> for Thing {
    fn from(session: &Session) -> Self {
        Self::Session(session.token.clone())
    }
}

impl From<&Account> for Thing {
    fn from(account: &Account) -> Self {
        Self::Account(account.id.clone())
    }
}

impl From<&Verification> for Thing {
    fn from(verification: &Verification) -> Self {
        Self::Verification(verification.id.clone())
    }
}

/// What a removal takes: all rows that were created within it.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub(crate) enum Scope {
    User(String),
    SessionsOf(String),
    Session(String),
    Account(String),
    Verification(String),
    /// Identifier and value.
    Pair(String, String),
}

struct Creation {
    invoked: u64,
    returned: u64,
    within: Vec<Scope>,
}

#[derive(Default)]
struct Removals {
    /// When those that are acknowledged were invoked and returned.
    done: Vec<(u64, u64)>,
    /// Under way, or dropped: these may take effect at any time.
    open: usize,
    last_returned: u64,
}

#[derive(Default)]
struct Book {
    created: HashMap<Thing, Creation>,
    order: Vec<Thing>,
    removals: HashMap<Scope, Removals>,
    consumed: HashSet<String>,
}

/// Keeps the intervals of all acknowledged creations and of all removals, on a logical clock.
#[derive(Default)]
pub(crate) struct Ledger {
    clock: AtomicU64,
    book: Mutex<Book>,
}

impl Ledger {
    pub(crate) fn now(&self) -> u64 {
        self.clock.fetch_add(1, Ordering::SeqCst)
    }

    fn book(&self) -> MutexGuard<'_, Book> {
        self.book.lock().unwrap()
    }

    pub(crate) fn things(&self) -> Vec<Thing> {
        self.book().order.clone()
    }

    /// One of the newest of a kind.
    pub(crate) fn some(&self, random: &mut Random, kind: fn(&Thing) -> bool) -> Option<Thing> {
        let book = self.book();
        let newest = book.order.iter().rev().filter(|thing| kind(thing)).take(16);
        let newest: Vec<_> = newest.collect();
        (!newest.is_empty()).then(|| random.pick(&newest).clone())
    }

    /// Whether a removal that came after its creation had ended before this time: it must not be seen any more.
    pub(crate) fn is_gone(&self, thing: &Thing, at: u64) -> bool {
        let book = self.book();
        let Some(creation) = book.created.get(thing) else {
            return false;
        };
        let removals = creation
            .within
            .iter()
            .filter_map(|scope| book.removals.get(scope));
        // The last ones do; looking at all takes too long.
        removals
            .flat_map(|removals| removals.done.iter().rev().take(64))
            .any(|&(invoked, returned)| invoked > creation.returned && returned < at)
    }

    /// Whether no removal can have taken it, up to now: it must be seen.
    pub(crate) fn is_there(&self, thing: &Thing) -> bool {
        let book = self.book();
        book.created.get(thing).is_some_and(|creation| {
            creation.within.iter().all(|scope| {
                book.removals.get(scope).is_none_or(|removals| {
                    removals.open == 0 && removals.last_returned < creation.invoked
                })
            })
        })
    }
}

/// What one operation or one transaction does, until it is known whether it was done.
pub(crate) struct Notes<'a> {
    ledger: &'a Ledger,
    created: Vec<(Thing, u64, Vec<Scope>)>,
    removed: Vec<(Scope, u64)>,
    consumed: Vec<String>,
}

impl<'a> Notes<'a> {
    pub(crate) fn new(ledger: &'a Ledger) -> Self {
        Self {
            ledger,
            created: Vec::new(),
            removed: Vec::new(),
            consumed: Vec::new(),
        }
    }

    pub(crate) fn now(&self) -> u64 {
        self.ledger.now()
    }

    /// Before a removal begins.
    pub(crate) fn removes(&mut self, scope: Scope) {
        let mut book = self.ledger.book();
        book.removals.entry(scope.clone()).or_default().open += 1;
        self.removed.push((scope, self.ledger.now()));
    }

    pub(crate) fn created(&mut self, thing: impl Into<Thing>, invoked: u64, within: Vec<Scope>) {
        self.created.push((thing.into(), invoked, within));
    }

    pub(crate) fn consumed(&mut self, verification: &Verification) {
        self.consumed.push(verification.id.clone());
    }

    /// All of it was acknowledged.
    pub(crate) fn done(self) {
        let mut book = self.ledger.book();
        let returned = self.ledger.now();
        for (thing, invoked, within) in self.created {
            let creation = Creation {
                invoked,
                returned,
                within,
            };
            book.created.insert(thing.clone(), creation);
            book.order.push(thing);
        }
        for (scope, invoked) in self.removed {
            let removals = book.removals.entry(scope).or_default();
            removals.open -= 1;
            removals.done.push((invoked, returned));
            removals.last_returned = returned;
        }
        for id in self.consumed {
            assert!(book.consumed.insert(id), "a one-time token was used twice");
        }
    }

    /// Nothing of it was done.
    pub(crate) fn undone(self) {
        let mut book = self.ledger.book();
        for (scope, _) in self.removed {
            book.removals.entry(scope).or_default().open -= 1;
        }
    }
}
