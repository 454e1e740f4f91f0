//! The metrics, by OpenTelemetry's conventions for database clients. `docs/operations/README.md` lists them.

use std::sync::{Arc, Once};
use std::time::Duration;

use metrics::{
    Counter, Unit, counter, describe_counter, describe_gauge, describe_histogram, gauge, histogram,
};

use super::{Database, PoolState};

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

const SYSTEM: &str = "db.system.name";
const OPERATION: &str = "db.operation.name";
const COLLECTION: &str = "db.collection.name";
const OUTCOME: &str = "outcome";
const REASON: &str = "reason";
const POOL: &str = "db.client.connection.pool.name";
const STATE: &str = "db.client.connection.state";

/// Tells the recorder what the metrics are.
pub(in crate::adapters) fn describe(database: &Database) {
    static DESCRIBED: Once = Once::new();
    // A counter that is there from the start has its first event seen by `increase`.
    timeouts(database).increment(0);
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
}

pub(super) fn operation_ended(operation: &'static str, outcome: &'static str, took: Duration) {
    histogram!(
        OPERATION_DURATION,
        SYSTEM => "postgresql",
        OPERATION => operation,
        OUTCOME => outcome
    )
    .record(took);
}

pub(super) fn outcome_unknown(operation: &'static str) {
    counter!(UNKNOWN_OUTCOMES, OPERATION => operation).increment(1);
}

pub(super) fn retried(operation: &'static str, reason: &'static str) {
    counter!(RETRIES, OPERATION => operation, REASON => reason).increment(1);
}

pub(super) fn batch_of(operation: &'static str, keys: usize) {
    let keys = u32::try_from(keys).unwrap_or(u32::MAX);
    histogram!(BATCH_SIZE, OPERATION => operation).record(keys);
}

pub(super) fn rows_removed(table: &'static str, rows: usize) {
    counter!(ROWS_REMOVED, COLLECTION => table).increment(rows as u64);
}

pub(super) fn waited_for_connection(database: &Database, wait: Duration) {
    histogram!(WAIT_TIME, POOL => Arc::clone(&database.pool_name)).record(wait);
}

pub(super) fn connection_timed_out(database: &Database) {
    timeouts(database).increment(1);
}

fn timeouts(database: &Database) -> Counter {
    counter!(TIMEOUTS, POOL => Arc::clone(&database.pool_name))
}

/// What a pool holds at the moment.
pub(in crate::adapters) fn pool(database: &Database, state: impl FnOnce() -> PoolState) {
    let state = state();
    let pool = || Arc::clone(&database.pool_name);
    let used = state.open.saturating_sub(state.idle);
    gauge!(CONNECTION_COUNT, POOL => pool(), STATE => "used").set(used);
    gauge!(CONNECTION_COUNT, POOL => pool(), STATE => "idle").set(state.idle);
    gauge!(CONNECTION_MAX, POOL => pool()).set(state.max);
    gauge!(PENDING_REQUESTS, POOL => pool()).set(state.waiting);
}
