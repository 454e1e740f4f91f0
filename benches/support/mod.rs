//! What the benchmarks of the memory adapter share: rows as applications have them.
#![allow(
    dead_code,
    unreachable_pub,
    reason = "each benchmark takes what it needs"
)]

pub mod yardsticks;

use std::env;
use std::pin::pin;
use std::task::{Context, Poll, Waker};

use better_auth::adapters::{DatabaseAdapter, MemoryDatabaseAdapter};
use better_auth::{CreateSession, CreateUser, Session, User};
use chrono::{TimeDelta, Utc};
use dashmap::DashMap;

pub const SESSIONS_PER_USER: usize = 10;
const USER_AGENT: &str = "Mozilla/5.0 (X11; Linux x86_64) AppleWebKit/537.36 (KHTML, like Gecko) \
    Chrome/140.0.0.0 Safari/537.36";

/// The answer of the memory adapter, which never waits.
pub fn answer<T>(future: impl Future<Output = T>) -> T {
    match pin!(future).poll(&mut Context::from_waker(Waker::noop())) {
        Poll::Ready(answer) => answer,
        Poll::Pending => unreachable!("the memory adapter never waits"),
    }
}

/// Whether to measure, as `cargo bench` asks, or only to see that everything runs, as `cargo test` does.
pub fn measuring() -> bool {
    env::args().any(|argument| argument == "--bench")
}

pub fn new_user(number: usize) -> CreateUser {
    CreateUser::new()
        .with_email(format!("user-{number}@example.com"))
        .with_name(format!("User {number}"))
}

/// The adapter, and bare maps that were filled along with it: rows that are stored one by one lie less close together in
/// memory than those of a map that is copied in one go.
pub struct Filled {
    pub adapter: MemoryDatabaseAdapter,
    pub users: DashMap<String, User>,
    pub sessions: DashMap<String, Session>,
    /// In the order in which they were created.
    pub ids: Vec<String>,
    pub tokens: Vec<String>,
}

impl Filled {
    /// So many sessions, [`SESSIONS_PER_USER`] of each user.
    pub fn new(sessions: usize) -> Self {
        let mut filled = Self {
            adapter: MemoryDatabaseAdapter::new(),
            users: DashMap::new(),
            sessions: DashMap::new(),
            ids: Vec::new(),
            tokens: Vec::new(),
        };
        for number in 0..sessions / SESSIONS_PER_USER {
            let user = answer(filled.adapter.create_user(new_user(number))).unwrap();
            for _ in 0..SESSIONS_PER_USER {
                let session = filled.adapter.create_session(new_session(&user.id));
                let session = answer(session).unwrap();
                filled.tokens.push(session.token.clone());
                filled.sessions.insert(session.token.clone(), session);
            }
            filled.ids.push(user.id.clone());
            filled.users.insert(user.id.clone(), user);
        }
        filled
    }
}

pub fn new_session(user_id: &str) -> CreateSession {
    CreateSession::new(user_id, Utc::now() + TimeDelta::days(7))
        .with_ip_address("192.0.2.123")
        .with_user_agent(USER_AGENT)
}

/// The keys in an order that says nothing about where their rows are. They themselves lie in that order in memory: a
/// request brings its key along.
pub fn shuffled(keys: &[String]) -> Vec<String> {
    // Coprime to the number of rows, which is a product of twos and fives.
    const STEP: usize = 7_368_787;
    (0..keys.len())
        .map(|place| keys[place * STEP % keys.len()].clone())
        .collect()
}
