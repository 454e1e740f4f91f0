//! How much memory a row takes in the memory adapter, and in a bare map: by how much the process grows with them.

mod support;

use std::fs;

use better_auth::adapters::{DatabaseAdapter, MemoryDatabaseAdapter};
use better_auth::{CreateUser, Session, User};
use dashmap::DashMap;

use self::support::{SESSIONS_PER_USER, answer, measuring, new_session, new_user};

fn main() {
    let rows = if measuring() { 500_000 } else { 1000 };
    let adapter = MemoryDatabaseAdapter::new();
    let user = |number| new_user(number).with_id(user_id(number));
    let in_adapter = growth(rows, |number| {
        answer(adapter.create_user(user(number))).unwrap();
    });
    let users = DashMap::new();
    let model = answer(adapter.get_user_by_id(&user_id(0)))
        .unwrap()
        .unwrap();
    let bare = growth(rows, |number| {
        let CreateUser {
            id, email, name, ..
        } = user(number);
        let id = id.unwrap();
        users.insert(
            id.clone(),
            User {
                id,
                email,
                name,
                ..model.clone()
            },
        );
    });
    report("user", in_adapter, bare);

    let user_id = |number: usize| user_id(number / SESSIONS_PER_USER);
    let in_adapter = growth(rows, |number| {
        answer(adapter.create_session(new_session(&user_id(number)))).unwrap();
    });
    let sessions = DashMap::new();
    let model = answer(adapter.get_user_sessions(&user_id(0)))
        .unwrap()
        .remove(0);
    let bare = growth(rows, |number| {
        let (token, user_id) = (format!("{number:043}"), user_id(number));
        sessions.insert(
            token.clone(),
            Session {
                token,
                user_id,
                ..model.clone()
            },
        );
    });
    report("session", in_adapter, bare);
}

/// As long as those that the adapter makes.
fn user_id(number: usize) -> String {
    format!("{number:036}")
}

/// By how many bytes the process grows with a row.
fn growth(rows: usize, add: impl FnMut(usize)) -> f64 {
    let before = resident_kilobytes();
    (0..rows).for_each(add);
    (resident_kilobytes() - before) * 1024.0 / f64::from(u32::try_from(rows).unwrap())
}

/// Linux alone tells; elsewhere the figures are 0.
fn resident_kilobytes() -> f64 {
    let status = fs::read_to_string("/proc/self/status").unwrap_or_default();
    let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:"));
    line.and_then(|line| line.trim().strip_suffix(" kB")?.parse().ok())
        .unwrap_or_default()
}

fn report(row: &str, in_adapter: f64, bare: f64) {
    println!(
        "a {row}: {in_adapter:.0} bytes, {:.2} of the {bare:.0} in a bare map",
        in_adapter / bare
    );
}
