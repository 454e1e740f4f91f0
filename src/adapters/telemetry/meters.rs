//! The metrics, by OpenTelemetry's conventions for database clients. `docs/operations/README.md` lists them.

use std::sync::{Arc, Mutex, Once, OnceLock, PoisonError};
use std::time::{Duration, Instant};

use dashmap::DashMap;
use metrics::{
    Counter, Gauge, Histogram, Unit, counter, describe_counter, describe_gauge, describe_histogram,
    gauge, histogram,
};

use super::{CacheState, Database, PoolState};

const OPERATION_DURATION: &str = "db.client.operation.duration";
const CONNECTION_COUNT: &str = "db.client.connection.count";
const CONNECTION_MAX: &str = "db.client.connection.max";
const PENDING_REQUESTS: &str = "db.client.connection.pending_requests";
const WAIT_TIME: &str = "db.client.connection.wait_time";
const TIMEOUTS: &str = "db.client.connection.timeouts";
const BATCH_SIZE: &str = "better_auth.batch.size";
const RETRIES: &str = "better_auth.retries";
const UNKNOWN_OUTCOMES: &str = "better_auth.unknown_outcomes";
const ROWS_REMOVED: &str = "better_auth.rows_removed";
const CACHE_LOOKUPS: &str = "better_auth.session_cache.lookups";
const CACHE_INVALIDATIONS: &str = "better_auth.session_cache.invalidations";
const CACHE_QUESTIONS: &str = "better_auth.session_cache.questions";
const CACHE_ENTRIES: &str = "better_auth.session_cache.entries";
const CACHE_LISTENING: &str = "better_auth.session_cache.listening";
const CACHE_AGE: &str = "better_auth.session_cache.question_age";
const CACHE_FALLBACK: &str = "better_auth.session_cache.fallback_time";

const SYSTEM: &str = "db.system.name";
const OPERATION: &str = "db.operation.name";
const COLLECTION: &str = "db.collection.name";
const OUTCOME: &str = "outcome";
const REASON: &str = "reason";
const POOL: &str = "db.client.connection.pool.name";
const STATE: &str = "db.client.connection.state";
const RESULT: &str = "result";

/// How often a session cache is looked at.
const CACHE_PAUSE: Duration = Duration::from_millis(500);

/// The handles of a database's metrics: a recorder looks for a series by all of its labels, which costs more than to count.
/// They belong to the recorder that was installed when they were first used.
pub(super) struct Meters {
    pool_name: Arc<str>,
    durations: DashMap<(Name, Name), Histogram>,
    batch_sizes: DashMap<Name, Histogram>,
    pool: OnceLock<PoolMeters>,
    caches: Mutex<Caches>,
}

/// A name that stands in the program's text, by its place there.
type Name = (usize, usize);

fn place_of(name: &'static str) -> Name {
    (name.as_ptr().addr(), name.len())
}

struct PoolMeters {
    wait_time: Histogram,
    timeouts: Counter,
    used: Gauge,
    idle: Gauge,
    max: Gauge,
    pending: Gauge,
}

impl Meters {
    pub(super) fn new(pool_name: Arc<str>) -> Self {
        Self {
            pool_name,
            durations: DashMap::new(),
            batch_sizes: DashMap::new(),
            pool: OnceLock::new(),
            caches: Mutex::default(),
        }
    }

    fn pool(&self) -> &PoolMeters {
        self.pool.get_or_init(|| {
            let pool = || Arc::clone(&self.pool_name);
            PoolMeters {
                wait_time: histogram!(WAIT_TIME, POOL => pool()),
                timeouts: counter!(TIMEOUTS, POOL => pool()),
                used: gauge!(CONNECTION_COUNT, POOL => pool(), STATE => "used"),
                idle: gauge!(CONNECTION_COUNT, POOL => pool(), STATE => "idle"),
                max: gauge!(CONNECTION_MAX, POOL => pool()),
                pending: gauge!(PENDING_REQUESTS, POOL => pool()),
            }
        })
    }
}

/// Tells the recorder what the metrics are.
pub(in crate::adapters) fn describe(database: &Database) {
    static DESCRIBED: Once = Once::new();
    // A counter that is there from the start has its first event seen by `increase`.
    database.meters.pool().timeouts.increment(0);
    DESCRIBED.call_once(describe_all);
}

fn describe_all() {
    describe_histogram!(
        OPERATION_DURATION,
        Unit::Seconds,
        "time from the call of a method to its answer"
    );
    describe_gauge!(CONNECTION_COUNT, Unit::Count, "open connections");
    describe_gauge!(CONNECTION_MAX, Unit::Count, "most connections of the pool");
    describe_gauge!(
        PENDING_REQUESTS,
        Unit::Count,
        "callers and batches that wait for a connection"
    );
    describe_histogram!(
        WAIT_TIME,
        Unit::Seconds,
        "time until a connection was there"
    );
    describe_counter!(
        TIMEOUTS,
        Unit::Count,
        "waits that ended without a connection"
    );
    describe_histogram!(BATCH_SIZE, Unit::Count, "keys of a batch");
    describe_counter!(RETRIES, Unit::Count, "statements that were sent again");
    describe_counter!(
        UNKNOWN_OUTCOMES,
        Unit::Count,
        "writes that may or may not have happened"
    );
    describe_counter!(ROWS_REMOVED, Unit::Count, "expired rows that were removed");
    describe_counter!(
        CACHE_LOOKUPS,
        Unit::Count,
        "lookups of the session cache, by what they found"
    );
    describe_counter!(
        CACHE_INVALIDATIONS,
        Unit::Count,
        "changes that a session cache has heard of"
    );
    describe_counter!(
        CACHE_QUESTIONS,
        Unit::Count,
        "questions of a session cache that were answered"
    );
    describe_gauge!(CACHE_ENTRIES, Unit::Count, "sessions in the cache");
    describe_gauge!(
        CACHE_LISTENING,
        Unit::Count,
        "1 if the cache listens, otherwise 0"
    );
    describe_gauge!(
        CACHE_AGE,
        Unit::Seconds,
        "time since the last question that was answered was sent"
    );
    describe_gauge!(
        CACHE_FALLBACK,
        Unit::Seconds,
        "time in which the cache has not listened"
    );
}

pub(super) fn operation_ended(
    database: &Database,
    operation: &'static str,
    outcome: &'static str,
    took: Duration,
) {
    let durations = &database.meters.durations;
    let key = (place_of(operation), place_of(outcome));
    if let Some(duration) = durations.get(&key) {
        duration.record(took);
        return;
    }
    let duration = histogram!(
        OPERATION_DURATION,
        SYSTEM => "postgresql",
        OPERATION => operation,
        OUTCOME => outcome
    );
    duration.record(took);
    durations.insert(key, duration);
}

pub(super) fn outcome_unknown(operation: &'static str) {
    counter!(UNKNOWN_OUTCOMES, OPERATION => operation).increment(1);
}

pub(super) fn retried(operation: &'static str, reason: &'static str) {
    counter!(RETRIES, OPERATION => operation, REASON => reason).increment(1);
}

pub(super) fn batch_of(database: &Database, operation: &'static str, keys: usize) {
    let keys = u32::try_from(keys).unwrap_or(u32::MAX);
    let sizes = &database.meters.batch_sizes;
    if let Some(size) = sizes.get(&place_of(operation)) {
        size.record(keys);
        return;
    }
    let size = histogram!(BATCH_SIZE, OPERATION => operation);
    size.record(keys);
    sizes.insert(place_of(operation), size);
}

/// A cleanup has removed a batch of rows.
pub(in crate::adapters) fn batch_removed(table: &'static str, rows: usize) {
    if rows > 0 {
        counter!(ROWS_REMOVED, COLLECTION => table).increment(rows as u64);
    }
}

pub(super) fn waited_for_connection(database: &Database, wait: Duration) {
    database.meters.pool().wait_time.record(wait);
}

pub(super) fn connection_timed_out(database: &Database) {
    database.meters.pool().timeouts.increment(1);
}

/// What a pool holds at the moment.
pub(in crate::adapters) fn pool(database: &Database, state: impl FnOnce() -> PoolState) {
    let (state, pool) = (state(), database.meters.pool());
    pool.used.set(state.open.saturating_sub(state.idle));
    pool.idle.set(state.idle);
    pool.max.set(state.max);
    pool.pending.set(state.waiting);
    session_cache(database);
}

/// The session caches of a database, which are looked at now and then, so that lookups do not pay for it.
#[derive(Default)]
struct Caches {
    watched: Vec<WatchedCache>,
    seen: Option<Instant>,
}

struct WatchedCache {
    /// `None` when it is gone.
    state: Box<dyn Fn() -> Option<CacheState> + Send + Sync>,
    last: CacheState,
}

/// From now on, what a session cache does is measured. `state` answers `None` when it is gone.
pub(in crate::adapters) fn watch_session_cache(
    database: &Database,
    state: impl Fn() -> Option<CacheState> + Send + Sync + 'static,
) {
    let caches = database.meters.caches.lock();
    let mut caches = caches.unwrap_or_else(PoisonError::into_inner);
    caches.watched.push(WatchedCache {
        state: Box::new(state),
        last: CacheState::default(),
    });
}

/// Measures the session caches, if that was not done a moment ago.
pub(in crate::adapters) fn session_cache(database: &Database) {
    // If it is locked, another thread measures them at this moment.
    let Ok(mut caches) = database.meters.caches.try_lock() else {
        return;
    };
    let is_due = caches.seen.is_none_or(|seen| seen.elapsed() >= CACHE_PAUSE);
    if caches.watched.is_empty() || !is_due {
        return;
    }
    caches.seen = Some(Instant::now());
    let pool = &database.meters.pool_name;
    caches.watched.retain_mut(|cache| {
        let state = (cache.state)();
        if let Some(state) = state {
            measure_cache(pool, &state, &cache.last);
            cache.last = state;
        }
        state.is_some()
    });
}

fn measure_cache(pool: &Arc<str>, state: &CacheState, last: &CacheState) {
    let pool = || Arc::clone(pool);
    for (result, now, before) in [
        ("hit", state.hits, last.hits),
        ("miss", state.misses, last.misses),
        ("bypass", state.bypasses, last.bypasses),
    ] {
        counter!(CACHE_LOOKUPS, POOL => pool(), RESULT => result)
            .increment(now.saturating_sub(before));
    }
    let invalidations = state.invalidations.saturating_sub(last.invalidations);
    counter!(CACHE_INVALIDATIONS, POOL => pool()).increment(invalidations);
    let questions = state.questions.saturating_sub(last.questions);
    counter!(CACHE_QUESTIONS, POOL => pool()).increment(questions);
    let entries = u32::try_from(state.entries).unwrap_or(u32::MAX);
    gauge!(CACHE_ENTRIES, POOL => pool()).set(entries);
    gauge!(CACHE_LISTENING, POOL => pool()).set(u32::from(state.is_listening));
    let age = state.last_question.unwrap_or_default();
    gauge!(CACHE_AGE, POOL => pool()).set(age.as_secs_f64());
    gauge!(CACHE_FALLBACK, POOL => pool()).set(state.time_in_fallback.as_secs_f64());
}
