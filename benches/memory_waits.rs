//! How long a lookup or a small write waits at most while another caller of the memory adapter does something large.

mod support;

use std::sync::atomic::{AtomicBool, Ordering};
use std::thread;
use std::time::{Duration, Instant};

use better_auth::adapters::{DatabaseAdapter, MemoryDatabaseAdapter};
use better_auth::types::{
    CreateVerification, ListUsers, SearchField, SearchOperator, UserFilter, UserSearch,
};
use chrono::{TimeDelta, Utc};

use self::support::{answer, measuring, new_session, new_user};

const ROUNDS: usize = 5;
/// As many as there are stripes, so that some share theirs with the large work.
const OTHERS: usize = 64;

fn main() {
    let size = if measuring() { 100_000 } else { 100 };
    println!(
        "longest wait of another caller, in milliseconds: median of {ROUNDS} rounds, and the longest of all"
    );
    for (name, prepare) in LARGE {
        let mut longest: Vec<Duration> = (0..ROUNDS).map(|_| round(size, prepare)).collect();
        longest.sort_unstable();
        let (median, worst) = (longest[ROUNDS / 2], longest[ROUNDS - 1]);
        println!(
            "{name}: {:.2} ({:.2})",
            milliseconds(median),
            milliseconds(worst)
        );
    }
}

fn milliseconds(duration: Duration) -> f64 {
    duration.as_secs_f64() * 1000.0
}

type Prepare = fn(&MemoryDatabaseAdapter, usize) -> Work;
type Work = Box<dyn FnOnce() + Send>;

/// What there is of so many rows, and what is done with them.
const LARGE: [(&str, Prepare); 13] = [
    ("nothing", |_, _| {
        Box::new(|| thread::sleep(Duration::from_millis(100)))
    }),
    ("list_users that searches all users", |database, size| {
        add_users(database, size * 2);
        let database = database.clone();
        Box::new(move || {
            let search =
                UserSearch::new(SearchField::Name, SearchOperator::Contains, "no such name");
            let filter = UserFilter {
                search: Some(search),
                ..UserFilter::default()
            };
            answer(database.list_users(ListUsers::new().with_filter(filter))).unwrap();
        })
    }),
    ("count_users", |database, size| {
        add_users(database, size * 2);
        let database = database.clone();
        Box::new(move || {
            answer(database.count_users(UserFilter::default())).unwrap();
        })
    }),
    ("delete_user with all sessions", |database, size| {
        let user = add_sessions(database, size, TimeDelta::hours(1));
        let database = database.clone();
        Box::new(move || answer(database.delete_user(&user)).unwrap())
    }),
    ("delete_expired_sessions", |database, size| {
        add_sessions(database, size, TimeDelta::hours(-1));
        let database = database.clone();
        Box::new(move || {
            answer(database.delete_expired_sessions()).unwrap();
        })
    }),
    (
        "get_verification_by_identifier beyond expired ones",
        |database, size| {
            for value in 0..size {
                let expired = Utc::now() - TimeDelta::hours(1);
                let verification = CreateVerification::new("one", value.to_string(), expired);
                answer(database.create_verification(verification)).unwrap();
            }
            let database = database.clone();
            Box::new(move || {
                answer(database.get_verification_by_identifier("one")).unwrap();
            })
        },
    ),
    ("delete_other_sessions", |database, size| {
        let user = add_sessions(database, size, TimeDelta::hours(1));
        let database = database.clone();
        let kept = answer(database.create_session(new_session(&user))).unwrap();
        Box::new(move || {
            answer(database.delete_other_sessions(&user, &kept.token)).unwrap();
        })
    }),
    ("delete_session_by_id of the oldest", |database, size| {
        let user = answer(database.create_user(new_user(OTHERS))).unwrap().id;
        let oldest = answer(database.create_session(new_session(&user))).unwrap();
        for _ in 0..size {
            answer(database.create_session(new_session(&user))).unwrap();
        }
        let database = database.clone();
        Box::new(move || answer(database.delete_session_by_id(&user, &oldest.id)).unwrap())
    }),
    ("check_code, 1,000 wrong guesses", |database, size| {
        add_codes(database, size);
        let database = database.clone();
        Box::new(move || {
            for _ in 0..1000 {
                answer(database.check_code("one", "wrong", u32::MAX)).unwrap();
            }
        })
    }),
    ("check_code, accepted", |database, size| {
        add_codes(database, size);
        let database = database.clone();
        Box::new(move || {
            let right = (size - 1).to_string();
            answer(database.check_code("one", &right, 3)).unwrap();
        })
    }),
    ("consume_verification_by_identifier", |database, size| {
        add_codes(database, size);
        let database = database.clone();
        Box::new(move || {
            answer(database.consume_verification_by_identifier("one")).unwrap();
        })
    }),
    ("delete_verifications_by_identifier", |database, size| {
        add_codes(database, size);
        let database = database.clone();
        Box::new(move || answer(database.delete_verifications_by_identifier("one")).unwrap())
    }),
    (
        "a transaction that removes all sessions of a user",
        |database, size| {
            let user = add_sessions(database, size, TimeDelta::hours(1));
            let database = database.clone();
            Box::new(move || {
                let transaction = answer(database.begin()).unwrap();
                answer(transaction.delete_user_sessions(&user)).unwrap();
                answer(transaction.commit()).unwrap();
            })
        },
    ),
];

/// So many live codes of one identifier.
fn add_codes(database: &MemoryDatabaseAdapter, count: usize) {
    for value in 0..count {
        let end = Utc::now() + TimeDelta::hours(1);
        let verification = CreateVerification::new("one", value.to_string(), end);
        answer(database.create_verification(verification)).unwrap();
    }
}

fn add_users(database: &MemoryDatabaseAdapter, count: usize) {
    for number in 0..count {
        answer(database.create_user(new_user(OTHERS + number))).unwrap();
    }
}

/// A user with so many sessions.
fn add_sessions(database: &MemoryDatabaseAdapter, count: usize, lifetime: TimeDelta) -> String {
    let user = answer(database.create_user(new_user(OTHERS))).unwrap().id;
    for _ in 0..count {
        let mut session = new_session(&user);
        session.expires_at = Utc::now() + lifetime;
        answer(database.create_session(session)).unwrap();
    }
    user
}

fn round(size: usize, prepare: Prepare) -> Duration {
    let database = MemoryDatabaseAdapter::new();
    let tokens: Vec<String> = (0..OTHERS)
        .map(|number| {
            let user = answer(database.create_user(new_user(number))).unwrap();
            answer(database.create_session(new_session(&user.id)))
                .unwrap()
                .token
        })
        .collect();
    let work = prepare(&database, size);
    let ended = AtomicBool::new(false);
    thread::scope(|scope| {
        scope.spawn(|| {
            work();
            ended.store(true, Ordering::Release);
        });
        // In a thread of its own too, as threads that share an arena of the allocator wait for each other there.
        let longest = scope.spawn(|| {
            let mut longest = Duration::ZERO;
            while !ended.load(Ordering::Acquire) {
                for token in &tokens {
                    let begun = Instant::now();
                    answer(database.get_session(token)).unwrap();
                    let expires_at = Utc::now() + TimeDelta::hours(1);
                    answer(database.update_session_expiry(token, expires_at)).unwrap();
                    longest = longest.max(begun.elapsed());
                }
            }
            longest
        });
        longest.join().unwrap_or_default()
    })
}
