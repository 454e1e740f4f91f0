//! Operations of all kinds at random, on few keys, plainly and in transactions, while others look for what may never be
//! seen; and in the end, everything has to fit together.

mod at_rest;
mod readers;
mod writers;

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::time::Instant;

use better_auth::adapters::DatabaseAdapter;
use better_auth::types::CreateUser;

use crate::Run;
use crate::ledger::{Ledger, Thing};
use crate::random::Random;

const WRITERS: usize = 6;
const READERS: usize = 3;
/// Of a writer at most, until all is looked at.
const OPERATIONS: usize = 500;

/// Each in several spellings.
const EMAILS: [&str; 6] = [
    "ada@example.com",
    "Ada@Example.COM",
    "stra\u{df}e@example.com",
    "STRA\u{df}E@example.com",
    "\u{e9}va@example.com",
    "\u{c9}VA@example.com",
];
const USERNAMES: [&str; 4] = ["ada", "ADA", "bob", "Bob"];
const IDS: [&str; 2] = ["1", "2"];
const PROVIDERS: [&str; 2] = ["github", "google"];
const ACCOUNT_IDS: [&str; 2] = ["1", "2"];
const IDENTIFIERS: [&str; 2] = ["ada", "bob"];
const VALUES: [&str; 2] = ["1", "2"];

/// Two users who are only changed together, and never deleted.
const TWINS: [&str; 2] = ["twin one", "twin two"];

/// The role of users who are created with an account of the same name, whose id is theirs.
const SIGNED_UP: &str = "signed up";

/// What writers and readers share.
struct Shared {
    database: Arc<dyn DatabaseAdapter>,
    ledger: Ledger,
    end: Instant,
    over: AtomicBool,
    /// Things that were looked at and had to be there, or had to be gone.
    looks: [AtomicUsize; 2],
}

impl Shared {
    fn goes_on(&self) -> bool {
        !self.over.load(Ordering::Relaxed)
    }

    /// Fails where what was looked for from `begun` on was seen and must not be, or was not seen and has to be.
    fn check(&self, thing: &Thing, begun: u64, is_seen: bool) {
        let (must_be_there, must_be_gone) = (
            self.ledger.is_there(thing),
            self.ledger.is_gone(thing, begun),
        );
        assert!(!(is_seen && must_be_gone), "seen after its end: {thing:?}");
        assert!(is_seen || !must_be_there, "not seen: {thing:?}");
        self.looks[0].fetch_add(usize::from(must_be_there), Ordering::Relaxed);
        self.looks[1].fetch_add(usize::from(must_be_gone), Ordering::Relaxed);
    }
}

fn is_user(thing: &Thing) -> bool {
    matches!(thing, Thing::User(..))
}

fn is_session(thing: &Thing) -> bool {
    matches!(thing, Thing::Session(_))
}

fn is_account(thing: &Thing) -> bool {
    matches!(thing, Thing::Account(_))
}

fn is_verification(thing: &Thing) -> bool {
    matches!(thing, Thing::Verification(_))
}

/// The id of some user, who perhaps does not exist.
fn user_id(ledger: &Ledger, random: &mut Random) -> String {
    match ledger.some(random, is_user) {
        Some(Thing::User(id, _)) if !random.one_in(4) => id,
        _ => random.pick(&IDS).to_owned(),
    }
}

pub(crate) async fn nobody_sees_what_may_not_be(mut run: Run) {
    let (mut counts, mut looks) = ([0; 3], [0; 2]);
    let main = run.watch.task("main");
    while run.goes_on() {
        let database = Arc::clone(&run.database);
        for twin in TWINS {
            let twin = CreateUser::new().with_id(twin);
            database.create_user(twin).await.unwrap();
        }
        let shared = Arc::new(Shared {
            database,
            ledger: Ledger::default(),
            end: run.end,
            over: AtomicBool::new(false),
            looks: Default::default(),
        });
        let writers = (0..WRITERS).map(|number| {
            let task = run.watch.task(format!("writer {number}"));
            tokio::spawn(writers::write(Arc::clone(&shared), run.random.fork(), task))
        });
        let writers: Vec<_> = writers.collect();
        let readers = (0..READERS).map(|number| {
            let task = run.watch.task(format!("reader {number}"));
            tokio::spawn(readers::read(Arc::clone(&shared), run.random.fork(), task))
        });
        let readers: Vec<_> = readers.collect();
        for writer in writers {
            main.does("waits for a writer");
            let done = writer.await.unwrap();
            for (count, done) in counts.iter_mut().zip(done) {
                *count += done;
            }
        }
        shared.over.store(true, Ordering::Relaxed);
        for reader in readers {
            main.does("waits for a reader");
            reader.await.unwrap();
        }
        main.does("looks at all");
        run.settle().await;
        at_rest::check(&shared).await;
        for (look, shared) in looks.iter_mut().zip(&shared.looks) {
            *look += shared.load(Ordering::Relaxed);
        }
    }
    let [done, refused, dropped] = counts;
    let [there, gone] = looks;
    println!("{done} operations and transactions done, {refused} refused, {dropped} dropped");
    println!("{there} looks at what had to be there, {gone} at what had to be gone");
    assert!(counts.iter().all(|count| *count > 0) || dropped == 0);
    assert!(there > 0 && gone > 0);
}
