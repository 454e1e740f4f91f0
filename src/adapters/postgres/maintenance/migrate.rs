//! `migrate`: brings the schema up to date.

use std::collections::BTreeMap;
use std::time::Duration;

use sqlx::migrate::Migrate as _;
use sqlx::{Connection as _, PgConnection};

use super::super::SqlxAdapter;
use super::super::connection::Connections;
use super::super::error::connection_error;
use super::super::progress::{Observer, Progress};
use super::advisory_lock::AdvisoryLock;
use super::foreign_tables::{Neighbours, refusal};
use super::index_builds::build_index;
use super::migration_state::{MigrationState, Step};
use super::migrations::{
    Failure, MIGRATIONS_TABLE, builds_index, index_name, set_lock_timeout, step_name,
};
use super::schema_place::{check_encoding, find_place};
use super::session_cache_triggers;
use crate::AuthResult;
use crate::adapters::telemetry;

const ADVISORY_LOCK_POLL: Duration = Duration::from_millis(50);
/// The pause before the next try, in which those writers go on.
const PAUSE: Duration = Duration::from_secs(1);
/// How often one index is built in a call before it counts as impossible to build.
const MAX_BUILDS: u32 = 3;

impl SqlxAdapter {
    /// Brings the schema up to date: creates the tables and indexes that are missing, and accepts tables that were
    /// created by hand from Better Auth's documented SQL.
    ///
    /// It may be called any number of times, from any number of processes at once, on a database with data and traffic.
    /// It may be interrupted at any point; the next call completes what is missing. It opens a separate
    /// connection, without the time limits of other connections.
    ///
    /// - If the schema is up to date, it only reads the table `_better_auth_migrations`, and takes no lock.
    /// - One process at a time migrates. The others wait, then find nothing left to do.
    /// - Indexes are built `CONCURRENTLY`. For a lock that would make writers wait, a statement waits 100 ms, pauses for
    ///   a second and tries again, for as long as another transaction holds the lock. Wrap the call in a timeout to give
    ///   up earlier.
    /// - If the adapter has a [session cache](crate::adapters::SessionCache), its triggers are installed as well.
    /// - An index of ours that is INVALID, as an interrupted build leaves it, is built again. If another session is
    ///   building it, `migrate` waits until that ends.
    ///
    /// # The schema
    ///
    /// It works in the first schema of `search_path` that has the table `_better_auth_migrations`; if there is none, in
    /// the first that has our tables, created by hand; if there is none, in the first schema of `search_path`. It never
    /// creates tables that hide others of ours: if our tables are spread over several schemas, it changes nothing and
    /// names them. For tenants with a schema each, let `search_path` name that schema alone.
    ///
    /// Before it changes anything, it refuses a schema with tables of another program: an application's own by the names of
    /// ours, tables of ours that lack columns, and those of Better Auth (TypeScript). The error says what to do.
    ///
    /// # Privileges
    ///
    /// An up-to-date database asks for what other calls need, `USAGE` on the schema and `SELECT`, `INSERT`, `UPDATE` and
    /// `DELETE` on our tables, and for `SELECT` on `_better_auth_migrations`. To change something, the role has to own our
    /// tables, or be a member of the role that does, and needs `CREATE` on the schema.
    ///
    /// # Errors
    ///
    /// [`AuthError::Unavailable`], or [`AuthError::Database`] with what to do: a privilege is missing, a newer version of
    /// this crate has migrated the database, its encoding is not UTF8, or the schema is ambiguous.
    ///
    /// [`AuthError::Unavailable`]: crate::AuthError::Unavailable
    /// [`AuthError::Database`]: crate::AuthError::Database
    pub async fn migrate(&self) -> AuthResult<()> {
        self.observe_migration(&mut Observer::silent()).await
    }

    /// As [`migrate`](Self::migrate), with an observer that hears of each migration, of what the server is doing while it
    /// builds an index, and of what `migrate` waits for.
    ///
    /// How far a build is, the server tells twice a second on another connection. If there is none to be had, the
    /// observer hears only when a build begins.
    ///
    /// # Errors
    ///
    /// As [`migrate`](Self::migrate).
    pub async fn migrate_with(&self, mut observe: impl FnMut(&Progress) + Send) -> AuthResult<()> {
        self.observe_migration(&mut Observer::new(&mut observe))
            .await
    }

    async fn observe_migration(&self, observer: &mut Observer<'_>) -> AuthResult<()> {
        let connections = &self.repository.connections;
        connections
            .observe(
                "migrate",
                self.bring_up_to_date(observer, Neighbours::Unrelated),
            )
            .await
    }

    pub(super) async fn bring_up_to_date(
        &self,
        observer: &mut Observer<'_>,
        neighbours: Neighbours,
    ) -> AuthResult<()> {
        let connections = &self.repository.connections;
        // Its advisory lock goes with it, also if this future is dropped.
        let mut connection = connections
            .dedicated()
            .await
            .map_err(|error| connection_error(error, "migrate", &connections.server))?;
        let cache = &self.repository.session_cache;
        let with_triggers = cache.is_some();
        let outcome = bring_up_to_date(
            connections,
            &mut connection,
            neighbours,
            with_triggers,
            observer,
        );
        let outcome = outcome.await;
        // The operation has its answer; an error here changes nothing.
        let _ = connection.close().await;
        if let (Ok(()), Some(cache)) = (&outcome, cache) {
            cache.store.retry_now();
        }
        outcome.map_err(|failure| failure.into_error(&connections.server))
    }
}

async fn bring_up_to_date(
    connections: &Connections,
    connection: &mut PgConnection,
    neighbours: Neighbours,
    with_triggers: bool,
    observer: &mut Observer<'_>,
) -> Result<(), Failure> {
    check_encoding(connection).await?;
    let place = find_place(connection).await?;
    if place.is_recorded
        && MigrationState::read(connection, &place.schema)
            .await?
            .next_step()?
            .is_none()
        && (!with_triggers || session_cache_triggers::are_installed(connection).await?)
    {
        return Ok(());
    }
    lift_time_limits(connection).await?;
    lock(connection, observer).await?;
    // Another process may have migrated meanwhile.
    let place = find_place(connection).await?;
    if let Some(reason) = refusal(connection, &place, neighbours).await? {
        return Err(Failure::Refused(reason));
    }
    sqlx::query_scalar!(
        "SELECT set_config('search_path', format('%I, pg_temp', $1::TEXT), false)",
        place.schema,
    )
    .fetch_one(&mut *connection)
    .await?;
    if !place.is_recorded {
        connection.ensure_migrations_table(MIGRATIONS_TABLE).await?;
    }
    let mut builds = BTreeMap::new();
    loop {
        let step = take_step(
            connections,
            connection,
            &place.schema,
            &mut builds,
            observer,
        );
        let mut outcome = step.await;
        if with_triggers && matches!(outcome, Ok(Outcome::Finished)) {
            outcome = match session_cache_triggers::install_next(connection).await {
                Ok(true) => Ok(Outcome::Advanced),
                Ok(false) => Ok(Outcome::Finished),
                Err(failure) => Err(failure),
            };
        }
        match outcome {
            Ok(Outcome::Finished) => return Ok(()),
            Ok(Outcome::Advanced) => {}
            Ok(Outcome::Waiting) => {
                let step = "waiting for another session that builds an index";
                observer.reach(step, 0, None).await;
                tokio::time::sleep(PAUSE).await;
            }
            Err(failure) if failure.is_contention() => {
                let step = "waiting for transactions that hold a lock on the table";
                observer.reach(step, 0, None).await;
                tokio::time::sleep(PAUSE).await;
            }
            Err(failure) => return Err(failure),
        }
    }
}

/// Sets those that this release of PostgreSQL has.
async fn lift_time_limits(connection: &mut PgConnection) -> Result<(), Failure> {
    sqlx::query!(
        "SELECT set_config(name, '0', false) FROM pg_settings WHERE name IN ('statement_timeout', 'lock_timeout', \
         'transaction_timeout', 'idle_in_transaction_session_timeout', 'idle_session_timeout')"
    )
    .fetch_all(connection)
    .await?;
    Ok(())
}

/// Waits for the lock that only one migrating process has. A wait inside the server, as sqlx's own lock has it, would
/// hold a snapshot, and a concurrent index build waits until that ends: a deadlock.
async fn lock(connection: &mut PgConnection, observer: &mut Observer<'_>) -> Result<(), Failure> {
    while !sqlx::query_scalar!(
        r#"SELECT pg_try_advisory_lock($1) AS "locked!""#,
        AdvisoryLock::Migration.key()
    )
    .fetch_one(&mut *connection)
    .await?
    {
        observer
            .reach("waiting for another process that migrates", 0, None)
            .await;
        tokio::time::sleep(ADVISORY_LOCK_POLL).await;
    }
    Ok(())
}

enum Outcome {
    Advanced,
    Waiting,
    Finished,
}

async fn take_step(
    connections: &Connections,
    connection: &mut PgConnection,
    schema: &str,
    builds: &mut BTreeMap<i64, u32>,
    observer: &mut Observer<'_>,
) -> Result<Outcome, Failure> {
    let state = MigrationState::read(connection, schema).await?;
    match state.next_step()? {
        None => return Ok(Outcome::Finished),
        Some(Step::Wait) => return Ok(Outcome::Waiting),
        Some(Step::Record(migration)) => {
            observer
                .begin(&step_name(migration, "recording"), None)
                .await;
            connection.skip(MIGRATIONS_TABLE, migration).await?;
        }
        Some(Step::Apply(migration)) => {
            set_lock_timeout(connection, migration).await?;
            telemetry::migrating(migration.version, &migration.description);
            let step = step_name(migration, "applying");
            observer.begin(&step, None).await;
            let took = if builds_index(migration) {
                build_index(connections, connection, migration, &step, observer).await?
            } else {
                connection.apply(MIGRATIONS_TABLE, migration).await?
            };
            telemetry::migrated(migration.version, took);
            *builds.entry(migration.version).or_default() += 1;
        }
        Some(Step::Drop(undo)) => {
            if builds.get(&undo.version) >= Some(&MAX_BUILDS) {
                let index = index_name(undo);
                return Err(Failure::Refused(format!(
                    "index {index} is INVALID after {MAX_BUILDS} builds: drop it and build it by hand"
                )));
            }
            observer
                .begin(&step_name(undo, "dropping the invalid index of"), None)
                .await;
            // First, so that a cut between the two leaves an index that is built again.
            sqlx::query!(
                "DELETE FROM _better_auth_migrations WHERE version = $1",
                undo.version
            )
            .execute(&mut *connection)
            .await?;
            set_lock_timeout(connection, undo).await?;
            connection.revert(MIGRATIONS_TABLE, undo).await?;
        }
    }
    Ok(Outcome::Advanced)
}
