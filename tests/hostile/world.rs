//! A few rows of every kind, so that what changes beside the named row shows.

use std::collections::BTreeMap;

use better_auth::adapters::{DatabaseAdapter, MemoryDatabaseAdapter, SqlxAdapter};
use better_auth::types::{
    Account, CreateAccount, CreateSession, CreateUser, CreateVerification, ListUsers, Session,
};
use chrono::{DateTime, Utc};
use sqlx::PgPool;

use crate::support::execute;

/// What every row holds, by table and id.
pub(crate) type Snapshot = BTreeMap<(String, String), String>;

/// The rows that came, went, and became others.
#[derive(Debug, Default, PartialEq)]
pub(crate) struct Change {
    pub(crate) added: Vec<(String, String)>,
    pub(crate) removed: Vec<(String, String)>,
    pub(crate) changed: Vec<(String, String)>,
}

impl Change {
    pub(crate) fn between(before: &Snapshot, after: &Snapshot) -> Self {
        let missing_in = |of: &Snapshot, other: &Snapshot| {
            let missing = of.keys().filter(|row| !other.contains_key(*row));
            missing.cloned().collect()
        };
        let changed = before
            .iter()
            .filter(|(row, content)| after.get(*row).is_some_and(|now| now != *content));
        Self {
            added: missing_in(after, before),
            removed: missing_in(before, after),
            changed: changed.map(|(row, _)| row.clone()).collect(),
        }
    }
}

/// In whose rows the calls are made.
pub(crate) const TARGET: &str = "target";
const USERS: [&str; 3] = ["ada", TARGET, "bob"];

pub(crate) fn far_future() -> DateTime<Utc> {
    "2999-01-01T00:00:00Z".parse().unwrap()
}

fn verification_of(user: &str) -> (String, String) {
    (format!("{user}@example.com"), format!("code of {user}"))
}

enum Store {
    Memory(MemoryDatabaseAdapter),
    Postgres(SqlxAdapter, PgPool),
}

pub(crate) struct World {
    store: Store,
    resets: usize,
    pub(crate) session: Session,
    pub(crate) account: Account,
}

impl World {
    pub(crate) async fn in_memory() -> Self {
        let database = MemoryDatabaseAdapter::new();
        let (session, account) = populate(&database).await;
        Self {
            store: Store::Memory(database),
            resets: 0,
            session,
            account,
        }
    }

    /// In an empty database of the test's own.
    pub(crate) async fn in_postgres(database: SqlxAdapter, pool: PgPool) -> Self {
        let (session, account) = populate(&database).await;
        execute(
            &pool,
            "CREATE SCHEMA saved; CREATE TABLE saved.users AS TABLE users; \
             CREATE TABLE saved.sessions AS TABLE sessions; CREATE TABLE saved.accounts AS TABLE accounts; \
             CREATE TABLE saved.verifications AS TABLE verifications",
        )
        .await;
        Self {
            store: Store::Postgres(database, pool),
            resets: 0,
            session,
            account,
        }
    }

    pub(crate) fn database(&self) -> &dyn DatabaseAdapter {
        match &self.store {
            Store::Memory(database) => database,
            Store::Postgres(database, _) => database,
        }
    }

    /// Undoes all changes.
    pub(crate) async fn reset(&mut self) {
        match &self.store {
            Store::Memory(_) => *self = Self::in_memory().await,
            Store::Postgres(_, pool) => {
                execute(
                    pool,
                    "DELETE FROM users; DELETE FROM verifications; INSERT INTO users TABLE saved.users; \
                     INSERT INTO sessions TABLE saved.sessions; INSERT INTO accounts TABLE saved.accounts; \
                     INSERT INTO verifications TABLE saved.verifications",
                )
                .await;
                self.resets += 1;
                if self.resets.is_multiple_of(100) {
                    // What was deleted makes each snapshot slower.
                    let vacuum = "VACUUM users, sessions, accounts, verifications";
                    execute(pool, vacuum).await;
                }
            }
        }
    }

    /// All rows and, in PostgreSQL, the names of all tables and indexes. Memory lists no verifications, so there these
    /// pairs are looked up beside the world's own.
    pub(crate) async fn snapshot(&self, pairs: &[(String, String)]) -> Snapshot {
        match &self.store {
            Store::Memory(database) => snapshot_of_memory(database, pairs).await,
            Store::Postgres(_, pool) => {
                let rows: Vec<(String, String, String)> = sqlx::query_as(
                    "SELECT 'users', id, md5(users::text) FROM users \
                     UNION ALL SELECT 'sessions', id, md5(sessions::text) FROM sessions \
                     UNION ALL SELECT 'accounts', id, md5(accounts::text) FROM accounts \
                     UNION ALL SELECT 'verifications', id, md5(verifications::text) FROM verifications \
                     UNION ALL SELECT 'relations', 'all', string_agg(relname, ' ' ORDER BY relname) FROM pg_class \
                     WHERE relnamespace = 'public'::regnamespace",
                )
                .fetch_all(pool)
                .await
                .unwrap();
                let rows = rows.into_iter();
                rows.map(|(table, id, content)| ((table, id), content))
                    .collect()
            }
        }
    }
}

/// Answers the session and the account of the target.
async fn populate(database: &dyn DatabaseAdapter) -> (Session, Account) {
    let mut of_target = None;
    for user in USERS {
        let create = CreateUser::new()
            .with_id(user)
            .with_email(format!("{user}@example.com"))
            .with_username(format!("the {user}"))
            .with_name("%")
            .with_role("_");
        database.create_user(create).await.unwrap();
        let session = CreateSession::new(user, far_future());
        let session = database.create_session(session).await.unwrap();
        let account = CreateAccount::new(user, "github", user);
        let account = database.create_account(account).await.unwrap();
        let (identifier, value) = verification_of(user);
        let verification = CreateVerification::new(identifier, value, far_future());
        database.create_verification(verification).await.unwrap();
        if user == TARGET {
            of_target = Some((session, account));
        }
    }
    of_target.unwrap()
}

async fn snapshot_of_memory(
    database: &MemoryDatabaseAdapter,
    pairs: &[(String, String)],
) -> Snapshot {
    let mut snapshot = Snapshot::new();
    let mut note = |table: &str, id: &str, content: String| {
        snapshot.insert((table.to_owned(), id.to_owned()), content);
    };
    let page = database.list_users(ListUsers::new().with_limit(1000)).await;
    for user in page.unwrap().users {
        for session in database.get_user_sessions(&user.id).await.unwrap() {
            note("sessions", &session.id, format!("{session:?}"));
        }
        for account in database.get_user_accounts(&user.id).await.unwrap() {
            let content = format!("{account:?} {:?}", account.password);
            note("accounts", &account.id, content);
        }
        let content = format!("{user:?} {:?}", user.metadata.values());
        note("users", &user.id, content);
    }
    let known = USERS.map(verification_of);
    for (identifier, value) in known.iter().chain(pairs) {
        let found = database.get_verification(identifier, value).await.unwrap();
        if let Some(found) = found {
            note("verifications", &found.id, format!("{found:?}"));
        }
    }
    snapshot
}
