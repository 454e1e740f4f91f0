//! Callers who write and read all the time, and the record of what they were told.

use std::collections::{HashMap, HashSet};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use better_auth::adapters::{DatabaseAdapter, SqlxAdapter};
use better_auth::{
    AuthError, AuthResult, CreateAccount, CreateSession, CreateUser, CreateVerification, Session,
    transaction,
};
use chrono::{DateTime, TimeDelta, Utc};
use sqlx::PgPool;
use tokio::task::JoinSet;

const CALLERS: usize = 12;

/// Counts the rows that a key has left behind, in whatever tables.
const ROWS: &str = "SELECT key, count(*) FROM ( \
                    SELECT identifier AS key FROM verifications UNION ALL SELECT email FROM users UNION ALL \
                    SELECT account_id FROM accounts UNION ALL SELECT user_agent FROM sessions) AS rows GROUP BY key";
/// How many rows [`sign_up`] leaves behind.
pub(super) const SIGN_UP: i64 = 4;

/// What a caller knows of a write.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Fate {
    Done,
    NotDone,
    Unknown,
}

impl Fate {
    /// Panics where an error is none that a fault may give.
    pub(super) fn of<T>(answer: &AuthResult<T>) -> Self {
        match answer {
            Ok(_) => Self::Done,
            Err(AuthError::Unavailable { .. }) => Self::NotDone,
            Err(AuthError::OutcomeUnknown { .. }) => Self::Unknown,
            Err(error) => panic!("{error:?}"),
        }
    }
}

#[derive(Debug, Default)]
struct Record {
    /// How many rows each key may have.
    expected: HashMap<String, Vec<i64>>,
    /// Those whose verification was acknowledged and not consumed.
    verifications: Vec<String>,
    /// Those of acknowledged sign-ups.
    sessions: Vec<Session>,
    counts: Counts,
    /// What failed operations were told.
    messages: HashSet<String>,
}

/// How many operations ended in which way.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Counts {
    pub(super) reads: usize,
    pub(super) failed_reads: usize,
    pub(super) acknowledged: usize,
    pub(super) not_done: usize,
    pub(super) unknown: usize,
}

impl Record {
    /// Notes that a key has `before` rows and, if the write was done, `after`.
    fn note<T>(&mut self, key: String, answer: &AuthResult<T>, before: i64, after: i64) {
        self.messages
            .extend(answer.as_ref().err().map(AuthError::to_string));
        let (count, expected) = match Fate::of(answer) {
            Fate::Done => (&mut self.counts.acknowledged, vec![after]),
            Fate::NotDone => (&mut self.counts.not_done, vec![before]),
            Fate::Unknown => (&mut self.counts.unknown, vec![before, after]),
        };
        *count += 1;
        self.expected.insert(key, expected);
    }
}

/// Callers at work until they are told to stop.
pub(super) struct Load {
    record: Arc<Mutex<Record>>,
    stop: Arc<AtomicBool>,
    callers: JoinSet<()>,
}

impl Load {
    pub(super) fn start(database: &SqlxAdapter) -> Self {
        let mut load = Self {
            record: Arc::default(),
            stop: Arc::default(),
            callers: JoinSet::new(),
        };
        for _ in 0..CALLERS {
            let caller = Caller {
                database: database.clone(),
                record: Arc::clone(&load.record),
            };
            let stop = Arc::clone(&load.stop);
            load.callers.spawn(async move {
                while !stop.load(Ordering::SeqCst) {
                    caller.act().await;
                }
            });
        }
        load
    }

    pub(super) fn counts(&self) -> Counts {
        self.record.lock().unwrap().counts
    }

    /// Waits until so many more writes were acknowledged.
    pub(super) async fn writes(&self, count: usize) {
        let before = self.counts().acknowledged;
        super::application::until("writes are acknowledged again", async || {
            self.counts().acknowledged >= before + count
        })
        .await;
    }

    /// Waits until someone was told this.
    pub(super) async fn message(&self, part: &str) {
        super::application::until(part, async || {
            let record = self.record.lock().unwrap();
            record.messages.iter().any(|message| message.contains(part))
        })
        .await;
    }

    /// Waits for all callers, who must not hang.
    pub(super) async fn stop(mut self) -> Written {
        self.stop.store(true, Ordering::SeqCst);
        let callers = async {
            while let Some(caller) = self.callers.join_next().await {
                caller.unwrap();
            }
        };
        tokio::time::timeout(Duration::from_secs(60), callers)
            .await
            .expect("a caller hangs");
        let record = Arc::into_inner(self.record).unwrap();
        Written(record.into_inner().unwrap())
    }
}

/// What the callers were told in the end.
pub(super) struct Written(Record);

impl Written {
    pub(super) fn counts(&self) -> Counts {
        self.0.counts
    }

    /// Every acknowledged write is there exactly once, and none that was answered by a definite error.
    pub(super) async fn check(&self, observer: &PgPool) {
        let rows = count_rows(observer).await;
        for key in rows.keys() {
            assert!(self.0.expected.contains_key(key), "nobody wrote {key}");
        }
        for (key, expected) in &self.0.expected {
            let count = rows.get(key).copied().unwrap_or_default();
            assert!(
                expected.contains(&count),
                "{count} rows of {key} instead of one of {expected:?}"
            );
        }
    }
}

pub(super) async fn count_rows(observer: &PgPool) -> HashMap<String, i64> {
    let rows = sqlx::query_as(ROWS).fetch_all(observer).await;
    rows.unwrap().into_iter().collect()
}

struct Caller {
    database: SqlxAdapter,
    record: Arc<Mutex<Record>>,
}

impl Caller {
    async fn act(&self) {
        match random(6) {
            0 => self.create().await,
            1 => self.consume().await,
            2 => self.commit().await,
            3 => self.roll_back().await,
            _ => self.read().await,
        }
    }

    async fn create(&self) {
        let key = new_key("create");
        let created = create_verification(&self.database, &key).await;
        let mut record = self.record.lock().unwrap();
        if created.is_ok() {
            record.verifications.push(key.clone());
        }
        record.note(key, &created, 0, 1);
    }

    async fn consume(&self) {
        let Some(key) = self.record.lock().unwrap().verifications.pop() else {
            return;
        };
        let consumed = self.database.consume_verification(&key, "value").await;
        // A consume that was done and sent again would find nothing.
        assert!(!matches!(consumed, Ok(None)), "{key} was consumed before");
        let mut record = self.record.lock().unwrap();
        record.note(key, &consumed, 1, 0);
    }

    async fn commit(&self) {
        let key = &new_key("commit");
        let signed_up = transaction(&self.database, |tx| async move { sign_up(&tx, key).await });
        let signed_up = signed_up.await;
        let mut record = self.record.lock().unwrap();
        record.note(key.clone(), &signed_up, 0, SIGN_UP);
        record.sessions.extend(signed_up);
    }

    /// Whatever becomes of it, nothing of it is there.
    async fn roll_back(&self) {
        let key = new_key("roll back");
        let done = match self.database.begin().await {
            Ok(tx) => {
                let done = sign_up(&*tx, &key).await;
                if random(2) == 0 {
                    // Where the connection died, so did the transaction.
                    let _ = tx.rollback().await;
                }
                done.map(drop)
            }
            Err(error) => Err(error),
        };
        assert_ne!(Fate::of(&done), Fate::Unknown, "{done:?}");
        self.record.lock().unwrap().expected.insert(key, vec![0]);
    }

    async fn read(&self) {
        let session = {
            let record = self.record.lock().unwrap();
            match record.sessions.len() {
                0 => return,
                count => record.sessions[random(count)].clone(),
            }
        };
        let found = self.database.get_session_with_user(&session.token).await;
        assert_ne!(Fate::of(&found), Fate::Unknown, "{found:?}");
        let mut record = self.record.lock().unwrap();
        match found {
            Ok(found) => {
                assert_eq!(found.map(|(session, _)| session), Some(session));
                record.counts.reads += 1;
            }
            Err(error) => {
                record.counts.failed_reads += 1;
                record.messages.insert(error.to_string());
            }
        }
    }
}

/// Creates one row of each kind in a transaction, where no outcome is unknown before the commit.
pub(super) async fn sign_up(tx: &dyn DatabaseAdapter, key: &str) -> AuthResult<Session> {
    let work = async {
        let user = tx.create_user(CreateUser::new().with_email(key)).await?;
        tx.create_account(CreateAccount::new(&user.id, "github", key))
            .await?;
        create_verification(tx, key).await?;
        let session = CreateSession::new(&user.id, in_an_hour()).with_user_agent(key);
        tx.create_session(session).await
    };
    let session = work.await;
    assert_ne!(Fate::of(&session), Fate::Unknown, "{session:?}");
    session
}

pub(super) async fn create_verification(
    database: &dyn DatabaseAdapter,
    key: &str,
) -> AuthResult<()> {
    let verification = CreateVerification::new(key, "value", in_an_hour());
    database.create_verification(verification).await.map(drop)
}

fn in_an_hour() -> DateTime<Utc> {
    Utc::now() + TimeDelta::hours(1)
}

/// Lower case, as emails are stored.
pub(super) fn new_key(what: &str) -> String {
    format!("{what} {:08x}{:08x}", random_bits(), random_bits())
}

pub(super) fn random(below: usize) -> usize {
    random_bits() as usize % below
}

fn random_bits() -> u32 {
    getrandom::u32().unwrap()
}
