//! The cached rows, and who is answered from them.

use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering};
use std::sync::{Arc, Weak};
use std::time::Duration;

use chrono::{DateTime, Utc};
use quick_cache::sync::Cache;
use sha2::{Digest as _, Sha256};
use tokio::sync::Notify;
use tokio::task::coop::consume_budget;
use tokio::time::timeout;

use super::config::{Mode, SessionCache, SessionCacheStats};
use super::last_question::{LastQuestion, Moment};
use super::listener::{Event, Listener};
use super::protocol::{Change, Invalidations, Ticket};
use super::question::Outcome;
use super::questions::{Questions, Term};
use super::row::Row;
use crate::adapters::telemetry::CacheState;
use crate::types::{Session, User};

/// Longest wait for the answer to a question.
const ANSWER_TIMEOUT: Duration = Duration::from_millis(250);
/// Longest wait for the listening connection to close.
const MAX_CLOSE: Duration = Duration::from_secs(5);

/// The digest of a token: memory holds no token on behalf of the cache.
type Key = [u8; 32];

/// The cached rows of one adapter. Dropped, it tells the task that listens to end.
pub(in super::super) struct Store {
    shared: Arc<Shared>,
}

/// What callers share with the task that listens.
pub(super) struct Shared {
    mode: Mode,
    capacity: usize,
    rows: Cache<Key, Arc<Row>>,
    invalidations: Invalidations,
    questions: Questions,
    last_question: LastQuestion,
    hits: AtomicU64,
    misses: AtomicU64,
    bypasses: AtomicU64,
    stored: AtomicU64,
    stored_bytes: AtomicU64,
    /// Tasks that listen. There may be one whose term has ended.
    listeners: AtomicUsize,
    listener_ended: Notify,
}

/// What a lookup is for.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(in super::super) enum Wanted {
    Session,
    SessionWithUser,
}

/// What the cache says of a token.
pub(in super::super) enum Cached {
    /// With the database's time, as far as the mode knows it.
    Row(Arc<Row>, DateTime<Utc>),
    /// To be looked up, and offered to [`Store::keep`].
    Missing(Loading),
    /// To be looked up. The cache does not listen.
    Bypassed,
}

/// A lookup that has missed the cache.
pub(in super::super) struct Loading {
    key: Key,
    ticket: Ticket,
}

impl Store {
    pub(super) fn new(config: &SessionCache) -> Self {
        let shared = Arc::new(Shared {
            mode: config.mode,
            capacity: config.capacity,
            rows: Cache::new(config.capacity),
            invalidations: Invalidations::new(config.capacity),
            questions: Questions::new(),
            last_question: LastQuestion::new(),
            hits: AtomicU64::new(0),
            misses: AtomicU64::new(0),
            bypasses: AtomicU64::new(0),
            stored: AtomicU64::new(0),
            stored_bytes: AtomicU64::new(0),
            listeners: AtomicUsize::new(0),
            listener_ended: Notify::new(),
        });
        Self { shared }
    }

    /// The next lookup may begin to listen.
    pub(in super::super) fn retry_now(&self) {
        self.shared.questions.retry_now();
    }

    /// Lookups go the ordinary way from now on. Waits for the listening connection to close.
    pub(in super::super) async fn close(&self) {
        let shared = &*self.shared;
        shared.questions.close();
        let ended = async {
            loop {
                let ended = shared.listener_ended.notified();
                if shared.listeners.load(Ordering::Acquire) == 0 {
                    return;
                }
                ended.await;
            }
        };
        // One that does not answer is left to its socket.
        let _ = timeout(MAX_CLOSE, ended).await;
    }

    pub(in super::super) async fn look_up(&self, token: &str, wanted: Wanted) -> Cached {
        let shared = &*self.shared;
        if !shared.questions.is_listening() {
            shared.bypasses.fetch_add(1, Ordering::Relaxed);
            return Cached::Bypassed;
        }
        let loading = Loading {
            key: Sha256::digest(token).into(),
            ticket: shared.invalidations.ticket(),
        };
        let row = shared.rows.get(&loading.key);
        let row = row.filter(|row| {
            shared.invalidations.is_current(&row.stamp)
                && (wanted == Wanted::Session || row.has_user())
        });
        let Some(row) = row else {
            shared.misses.fetch_add(1, Ordering::Relaxed);
            return Cached::Missing(loading);
        };
        let Some(now) = shared.ask().await else {
            shared.bypasses.fetch_add(1, Ordering::Relaxed);
            return Cached::Bypassed;
        };
        // The database decides what has expired.
        if shared.invalidations.is_current(&row.stamp) && row.expires_at > now {
            shared.hits.fetch_add(1, Ordering::Relaxed);
            return Cached::Row(row, now);
        }
        shared.misses.fetch_add(1, Ordering::Relaxed);
        Cached::Missing(Loading {
            ticket: shared.invalidations.ticket(),
            ..loading
        })
    }

    /// Keeps what was loaded, unless it has changed since.
    pub(in super::super) fn keep(&self, loading: &Loading, session: &Session, user: Option<&User>) {
        let shared = &*self.shared;
        let invalidations = &shared.invalidations;
        let stamp = invalidations.stamp(loading.ticket, &session.id, &session.user_id);
        if !invalidations.is_current(&stamp) {
            return;
        }
        let Some(row) = Row::new(stamp, session, user) else {
            return;
        };
        shared.stored.fetch_add(1, Ordering::Relaxed);
        let bytes = u64::try_from(row.size() + size_of::<Key>()).unwrap_or_default();
        shared.stored_bytes.fetch_add(bytes, Ordering::Relaxed);
        shared.rows.insert(loading.key, Arc::new(row));
    }

    pub(in super::super) fn stats(&self) -> SessionCacheStats {
        self.shared.stats()
    }

    /// What telemetry sees of the cache, as long as it is there.
    pub(super) fn observer(&self) -> impl Fn() -> Option<CacheState> + Send + Sync + use<> {
        let shared = Arc::downgrade(&self.shared);
        move || {
            let stats = shared.upgrade()?.stats();
            Some(CacheState {
                hits: stats.hits,
                misses: stats.misses,
                bypasses: stats.bypasses,
                invalidations: stats.invalidations,
                questions: stats.questions,
                entries: stats.entries,
                is_listening: stats.is_listening,
                last_question: stats.last_question,
                time_in_fallback: stats.time_in_fallback,
            })
        }
    }

    /// A term to listen in, if the cache is to listen and does not.
    pub(super) fn begin_term(&self) -> Option<OpenTerm> {
        let term = self.shared.questions.begin()?;
        self.shared.listeners.fetch_add(1, Ordering::AcqRel);
        Some(OpenTerm {
            shared: Arc::downgrade(&self.shared),
            term,
        })
    }
}

impl Drop for Store {
    fn drop(&mut self) {
        self.shared.questions.close();
    }
}

impl Shared {
    /// The database's time, for an answer that is as new as the mode asks for. `None` if the cache does not listen.
    async fn ask(&self) -> Option<DateTime<Utc>> {
        if let Mode::Bounded(bound) = self.mode
            && let Some((age, time)) = self.last_question.age_and_time()
            && age <= bound
        {
            if age > bound / 2 {
                self.questions.want();
            }
            // A task that only asks for cached sessions never waits: without this, it keeps all others from its thread, and
            // so the one that listens.
            consume_budget().await;
            return Some(time);
        }
        let (term, answer) = self.questions.wait()?;
        match answer.await {
            Outcome::Answered(time) => Some(time),
            Outcome::Ended => None,
            Outcome::Overdue => {
                self.end(term);
                None
            }
        }
    }

    fn stats(&self) -> SessionCacheStats {
        let stored = self.stored.load(Ordering::Relaxed);
        let bytes = self.stored_bytes.load(Ordering::Relaxed);
        let last_question = self.last_question.age_and_time();
        SessionCacheStats {
            is_listening: self.questions.is_listening(),
            entries: self.rows.len(),
            capacity: self.capacity,
            bytes_per_entry: bytes.checked_div(stored).unwrap_or_default(),
            hits: self.hits.load(Ordering::Relaxed),
            misses: self.misses.load(Ordering::Relaxed),
            bypasses: self.bypasses.load(Ordering::Relaxed),
            invalidations: self.invalidations.count(),
            questions: self.questions.count(),
            last_question: last_question.map(|(age, _)| age),
            time_in_fallback: self.questions.deaf_time(),
        }
    }

    fn note(&self, payload: &str) {
        self.invalidations.note(Change::parse(payload));
    }

    fn end(&self, term: u64) {
        self.questions.end(term);
        self.last_question.forget();
        self.invalidations.note(Change::All);
        self.rows.clear();
    }
}

/// A term, and the cache that it is for. Dropped, it ends: the cache is emptied.
pub(super) struct OpenTerm {
    shared: Weak<Shared>,
    term: Term,
}

impl OpenTerm {
    /// Answers are given from now on, unless the term has ended.
    pub(super) fn listen(&self) -> bool {
        self.shared.upgrade().is_some_and(|shared| {
            // Whatever was loaded before is not looked after.
            shared.invalidations.note(Change::All);
            shared.questions.listen(&self.term)
        })
    }

    /// Serves the cache until something fails or the cache is gone.
    pub(super) async fn serve(&self, listener: &mut Listener, is_current: impl Fn() -> bool) {
        loop {
            let event = listener.next_event(&self.term.wake).await;
            let Some(shared) = self.shared.upgrade() else {
                return;
            };
            match event {
                Ok(Event::Notification(notification)) => shared.note(notification.payload()),
                Ok(Event::Woken) => {
                    // Those who have just got an answer may want the next one.
                    tokio::task::yield_now().await;
                    let Some(question) = shared.questions.take(&self.term) else {
                        return;
                    };
                    let Some(question) = question else {
                        continue;
                    };
                    let sent = Moment::now();
                    let answer =
                        timeout(ANSWER_TIMEOUT, listener.ask(|payload| shared.note(payload)));
                    match answer.await {
                        Ok(Ok(time)) if is_current() => {
                            shared.last_question.note(sent, time);
                            shared.questions.answer(&question, time);
                        }
                        _ => return,
                    }
                }
                Err(_) => return,
            }
        }
    }
}

impl OpenTerm {
    /// Ends it. The caller drops it when the connection is closed.
    pub(super) fn end(&self) {
        if let Some(shared) = self.shared.upgrade() {
            shared.end(self.term.number);
        }
    }
}

impl Drop for OpenTerm {
    fn drop(&mut self) {
        self.end();
        if let Some(shared) = self.shared.upgrade() {
            shared.listeners.fetch_sub(1, Ordering::AcqRel);
            shared.listener_ended.notify_one();
        }
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use chrono::{DateTime, Utc};

    use super::{Cached, Change, Key, Moment, OpenTerm, SessionCache, Store, Wanted};
    use crate::types::Session;

    const BOUND: Duration = Duration::from_secs(600);

    fn listening() -> (Store, OpenTerm) {
        let store = Store::new(&SessionCache::bounded(BOUND));
        let term = store.begin_term().unwrap();
        assert!(term.listen());
        (store, term)
    }

    fn session() -> Session {
        Session::new("s", "token", "u", DateTime::<Utc>::MAX_UTC, Utc::now())
    }

    async fn keep(store: &Store, session: &Session) {
        match store.look_up(&session.token, Wanted::Session).await {
            Cached::Missing(loading) => store.keep(&loading, session, None),
            Cached::Row(..) | Cached::Bypassed => panic!("it is not cached yet"),
        }
    }

    #[tokio::test]
    async fn a_question_is_wanted_when_the_last_answer_is_half_as_old_as_may_be() {
        for (age, is_wanted) in [(BOUND / 4, false), (BOUND / 4 * 3, true)] {
            let (store, term) = listening();
            let shared = &store.shared;
            shared.last_question.note(Moment::before(age), Utc::now());
            assert!(shared.ask().await.is_some());
            let question = shared.questions.take(&term.term).unwrap();
            assert_eq!(question.is_some(), is_wanted, "{age:?}");
        }
    }

    #[tokio::test]
    async fn a_term_that_ends_leaves_nothing() {
        let (store, term) = listening();
        keep(&store, &session()).await;
        assert_eq!(store.stats().entries, 1);
        drop(term);
        let stats = store.stats();
        assert!(stats.entries == 0 && !stats.is_listening, "{stats:?}");
    }

    #[tokio::test]
    async fn what_has_changed_during_a_question_is_kept_as_it_is_then() {
        let store = Store::new(&SessionCache::exact());
        let term = store.begin_term().unwrap();
        assert!(term.listen());
        let session = session();
        keep(&store, &session).await;
        let shared = &store.shared;
        let looking = store.look_up(&session.token, Wanted::Session);
        let answering = async {
            shared.invalidations.note(Change::All);
            let question = shared.questions.take(&term.term).unwrap().unwrap();
            shared.questions.answer(&question, Utc::now());
        };
        let (Cached::Missing(loading), ()) = tokio::join!(looking, answering) else {
            panic!("it has changed");
        };
        store.keep(&loading, &session, None);
        let row = shared.rows.get(&loading.key).unwrap();
        assert!(shared.invalidations.is_current(&row.stamp));
    }

    #[tokio::test]
    async fn an_entry_takes_its_row_and_its_key() {
        let (store, _term) = listening();
        let session = session();
        keep(&store, &session).await;
        let row = store.shared.rows.iter().next().map(|(_, row)| row.size());
        let bytes = row.unwrap() + size_of::<Key>();
        assert_eq!(store.stats().bytes_per_entry, bytes as u64);
    }

    #[test]
    fn a_pause_between_terms_ends_when_it_is_said() {
        let store = Store::new(&SessionCache::exact());
        for _ in 0..2 {
            drop(store.begin_term().unwrap());
        }
        assert!(store.begin_term().is_none(), "two have failed");
        store.retry_now();
        assert!(store.begin_term().is_some());
    }
}
