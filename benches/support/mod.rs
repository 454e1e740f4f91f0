//! What the benchmarks of the memory adapter share: rows as applications have them.
#![allow(
    dead_code,
    unreachable_pub,
    reason = "each benchmark takes what it needs"
)]

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

pub fn create_users(adapter: &MemoryDatabaseAdapter, count: usize) -> Vec<User> {
    (0..count)
        .map(|number| answer(adapter.create_user(new_user(number))).unwrap())
        .collect()
}

/// Opens [`SESSIONS_PER_USER`] sessions for each.
pub fn create_sessions(adapter: &MemoryDatabaseAdapter, users: &[User]) -> Vec<Session> {
    users
        .iter()
        .flat_map(|user| [&user.id; SESSIONS_PER_USER])
        .map(|id| answer(adapter.create_session(new_session(id))).unwrap())
        .collect()
}

pub fn new_session(user_id: &str) -> CreateSession {
    CreateSession::new(user_id, Utc::now() + TimeDelta::days(7))
        .with_ip_address("192.0.2.123")
        .with_user_agent(USER_AGENT)
}

/// The rows in a map without anything around it.
pub fn bare_map<R: Clone>(rows: &[R], key: impl Fn(&R) -> String) -> DashMap<String, R> {
    rows.iter().map(|row| (key(row), row.clone())).collect()
}

/// The keys in an order that says nothing about where their rows are. They themselves lie in that order in memory: a
/// request brings its key along.
pub fn shuffled<R>(rows: &[R], key: impl Fn(&R) -> String) -> Vec<String> {
    // Coprime to the number of rows, which is a product of twos and fives.
    const STEP: usize = 7_368_787;
    (0..rows.len())
        .map(|place| key(&rows[place * STEP % rows.len()]))
        .collect()
}
