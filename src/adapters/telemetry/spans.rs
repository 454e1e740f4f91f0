//! The spans and events, by OpenTelemetry's conventions for database clients. `docs/operations/README.md` lists them.

use std::cell::LazyCell;
use std::fmt;
use std::time::Duration;

use tracing::field::Empty;
use tracing::{debug, info, info_span, warn};

use super::Subject;
use super::facts::Facts;

/// Of all spans and events, for filters.
const TARGET: &str = "better_auth";
const SYSTEM: &str = "postgresql";

/// The table of an operation, by the method's name. None if there are several.
fn collection(operation: &str) -> Option<&'static str> {
    let tables = [
        ("passkey", "passkeys"),
        ("record_use", "passkeys"),
        ("enroll", "two_factor"),
        ("confirm", "two_factor"),
        ("disable", "two_factor"),
        ("begin_attempt", "two_factor"),
        ("accept_step", "two_factor"),
        ("backup_codes", "two_factor"),
        ("device_code", "device_code"),
        ("approve", "device_code"),
        ("deny", "device_code"),
        ("poll", "device_code"),
        ("api_key", "api_keys"),
        ("use_key", "api_keys"),
        ("take", "rate_limit"),
        ("signing_key", "jwks"),
        ("current", "jwks"),
        ("rotate", "jwks"),
        ("session", "sessions"),
        ("account", "accounts"),
        ("verification", "verifications"),
        ("code", "verifications"),
        ("user", "users"),
        ("names", "users"),
    ];
    let found = tables.iter().find(|(word, _)| operation.contains(word));
    found.map(|&(_, table)| table)
}

/// Shown as `get_session_with_user sessions`.
struct Summary<'a, T>(&'a str, T);

impl<T: Fn() -> Option<&'static str>> fmt::Display for Summary<'_, T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.0)?;
        (self.1)().map_or(Ok(()), |table| write!(f, " {table}"))
    }
}

/// The span of an operation or of a batch.
pub(super) struct Span(tracing::Span);

impl Span {
    /// A child of the caller's span.
    pub(super) fn of_operation(subject: Subject<'_>) -> Self {
        // Only a span that is enabled asks for it.
        let table = LazyCell::new(|| collection(subject.operation));
        let summary = Summary(subject.operation, || *table);
        Self(info_span!(
            target: TARGET,
            "operation",
            otel.kind = "client",
            otel.name = %summary,
            db.system.name = SYSTEM,
            db.namespace = subject.database.namespace,
            db.operation.name = subject.operation,
            db.collection.name = *table,
            db.query.summary = %summary,
            server.address = subject.database.address,
            server.port = subject.database.port,
            db.response.status_code = Empty,
            error.type = Empty,
            otel.status_code = Empty,
            better_auth.retries = Empty,
            better_auth.connection_wait = Empty,
            better_auth.batched = Empty,
        ))
    }

    /// Of several callers, so no child of any of theirs.
    pub(super) fn of_batch(subject: Subject<'_>) -> Self {
        // Only a span that is enabled asks for it.
        let table = LazyCell::new(|| collection(subject.operation));
        let summary = Summary(subject.operation, || *table);
        Self(info_span!(
            target: TARGET,
            parent: None,
            "batch",
            otel.kind = "client",
            otel.name = %format_args!("BATCH {summary}"),
            db.system.name = SYSTEM,
            db.namespace = subject.database.namespace,
            db.operation.name = %format_args!("BATCH {}", subject.operation),
            db.operation.batch.size = Empty,
            db.collection.name = *table,
            db.query.summary = %format_args!("BATCH {summary}"),
            server.address = subject.database.address,
            server.port = subject.database.port,
            db.response.status_code = Empty,
            error.type = Empty,
            otel.status_code = Empty,
            better_auth.retries = Empty,
            better_auth.connection_wait = Empty,
        ))
    }

    pub(super) fn in_scope<T>(&self, work: impl FnOnce() -> T) -> T {
        self.0.in_scope(work)
    }

    /// Records how the operation or batch has ended. A field that the span has not is left out.
    pub(super) fn record(&self, facts: &Facts, error: Option<&'static str>) {
        if self.0.is_disabled() {
            return;
        }
        let wait = facts.connection_wait.as_secs_f64();
        self.0.record("better_auth.retries", facts.retries);
        self.0.record("better_auth.connection_wait", wait);
        self.0.record("better_auth.batched", facts.is_batched);
        self.0.record("db.operation.batch.size", facts.batch_size);
        if let Some(error) = error {
            self.0.record("error.type", error);
            self.0.record("otel.status_code", "ERROR");
            if let Some(code) = facts.sqlstate() {
                self.0.record("db.response.status_code", code);
            }
        }
    }
}

pub(super) fn retried(operation: &'static str, reason: &'static str, retry: u32) {
    debug!(
        target: TARGET,
        {db.operation.name = operation,
        better_auth.reason = reason,
        better_auth.retry = retry},
        "a statement is sent again"
    );
}

/// A transaction's closure runs again after a conflict.
pub(in crate::adapters) fn transaction_retried(retry: u32) {
    debug!(
        target: TARGET,
        {better_auth.retry = retry},
        "a transaction runs again after a conflict"
    );
}

/// A connection of the adapter's has left its pool.
pub(in crate::adapters) fn connection_closed(reason: &'static str) {
    debug!(
        target: TARGET,
        {better_auth.reason = reason},
        "a connection is closed"
    );
}

pub(super) fn outcome_unknown(operation: &'static str) {
    warn!(
        target: TARGET,
        {db.operation.name = operation},
        "a write may or may not have happened"
    );
}

pub(super) fn slow(operation: &'static str, duration: Duration, facts: &Facts) {
    warn!(
        target: TARGET,
        {db.operation.name = operation,
        better_auth.duration = duration.as_secs_f64(),
        better_auth.connection_wait = facts.connection_wait.as_secs_f64(),
        better_auth.retries = facts.retries,
        better_auth.batched = facts.is_batched},
        "an operation was slow"
    );
}

/// A migration begins.
pub(in crate::adapters) fn migrating(version: i64, description: &str) {
    info!(
        target: TARGET,
        {better_auth.migration = version,
        better_auth.description = description},
        "a migration begins"
    );
}

/// A migration is done.
pub(in crate::adapters) fn migrated(version: i64, duration: Duration) {
    info!(
        target: TARGET,
        {better_auth.migration = version,
        better_auth.duration = duration.as_secs_f64()},
        "a migration is done"
    );
}

/// The migrations of the store of organizations have left names that no lookup finds.
pub(in crate::adapters) fn names_left(organizations: u64, invitations: u64) {
    if organizations > 0 || invitations > 0 {
        warn!(
            target: TARGET,
            {better_auth.organizations = organizations,
            better_auth.invitations = invitations},
            "names are left that lookups do not find"
        );
    }
}

/// A cleanup has ended, or failed, and removed expired rows before.
pub(in crate::adapters) fn rows_removed(operation: &'static str, table: &'static str, rows: usize) {
    if rows > 0 {
        info!(
            target: TARGET,
            {db.operation.name = operation,
            db.collection.name = table,
            better_auth.rows = rows},
            "expired rows are removed"
        );
    }
}

/// Lookups are answered from memory from now on.
pub(in crate::adapters) fn session_cache_listens() {
    info!(target: TARGET, "the session cache listens");
}

/// Lookups go to the database from now on.
pub(in crate::adapters) fn session_cache_stopped() {
    info!(target: TARGET, "the session cache has stopped listening");
}
