//! `migrate`: brings the schema up to date.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use sqlx::migrate::{Migrate as _, Migration};
use sqlx::{Connection as _, Executor as _, PgConnection, SqlStr};

use super::super::SqlxAdapter;
use super::super::connection::Connections;
use super::super::error::connection_error;
use super::super::progress::{Observer, Progress};
use super::advisory_lock::AdvisoryLock;
use super::check_names::{UnreachableNames, unreachable_organization_names};
use super::foreign_tables::{Neighbours, refusal};
use super::index_builds::build_index;
use super::migration_set::MigrationSet;
use super::migration_state::{MigrationState, Step};
use super::migrations::{
    Failure, MIGRATIONS_TABLE, builds_index, index_name, prepares, set_lock_timeout, step_name,
};
use super::schema_place::{Place, check_encoding, find_place};
use super::session_cache_triggers;
use super::store_tables::stores_to_migrate;
use super::time_limits::lift_time_limits;
use crate::AuthResult;
use crate::adapters::{Store, telemetry};

const ADVISORY_LOCK_POLL: Duration = Duration::from_millis(50);
/// The pause before the next try, in which those writers go on.
const PAUSE: Duration = Duration::from_secs(1);
/// How often one index is built in a call before it counts as impossible to build.
const MAX_BUILDS: u32 = 3;

/// The result of [`SqlxAdapter::migrate_with`].
#[derive(Clone, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct MigrationReport {
    /// Organizations of another program whose slug no lookup finds, as it differs only by case from that of another
    /// organization, or has upper-case letters beyond ASCII. Give each another slug by its id. None if this call applied no
    /// migration of the store; [`SqlxAdapter::check_names`] finds them at any time.
    pub organizations: UnreachableNames,
    /// Pending invitations of another program to an address with upper-case letters beyond ASCII, which no user has. Cancel
    /// them and invite again. None, as above.
    pub invitations: UnreachableNames,
}

impl SqlxAdapter {
    /// Brings the schema up to date: creates the tables and indexes that are missing, and accepts tables that were
    /// created by hand from Better Auth's documented SQL.
    ///
    /// It may be called any number of times, from any number of processes at once, on a database with data and traffic.
    /// It may be interrupted at any point; the next call completes what is missing. It opens a separate
    /// connection, without the time limits of other connections.
    ///
    /// - If the schema is up to date, it only reads the tables in which migrations are recorded, and takes no lock:
    ///   `_better_auth_migrations`, and one such table for each store, as in `_better_auth_organizations_migrations`.
    /// - One process at a time migrates. The others wait, then find nothing left to do.
    /// - Indexes are built `CONCURRENTLY`. For a lock that would make writers wait, a statement waits 100 ms, pauses for
    ///   a second and tries again, for as long as another transaction holds the lock. Wrap the call in a timeout to give
    ///   up earlier.
    /// - The tables of a store are created if [`stores`](crate::adapters::SqlxAdapterBuilder::stores) names the store, or if
    ///   those of better-auth-rs 0.10 are there, recognised by their columns, which it accepts with their rows: slugs and
    ///   addresses become lower-case (slugs that differ by case alone are left), and of several pending invitations of an
    ///   address to an organization the newest stays. [`migrate_with`](Self::migrate_with) returns the names that lookups do
    ///   not find after that. A store's migrations are recorded in a table of their own. If a table
    ///   of another kind has the name of a store's, it changes nothing and names the table.
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
    /// `DELETE` on our tables, and for `SELECT` on `_better_auth_migrations` and, for each store that is asked for, on the table
    /// of its migrations, such as `_better_auth_organizations_migrations`. To change something, the role has to own our
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
        let mut observer = Observer::silent();
        self.observe_migration(&mut observer).await.map(drop)
    }

    /// As [`migrate`](Self::migrate), with an observer that hears of each migration, of what the server is doing while it
    /// builds an index, and of what `migrate` waits for. It returns what the migrations have left to a person.
    ///
    /// How far a build is, the server tells twice a second on another connection. If there is none to be had, the
    /// observer hears only when a build begins.
    ///
    /// # Errors
    ///
    /// As [`migrate`](Self::migrate).
    pub async fn migrate_with(
        &self,
        mut observe: impl FnMut(&Progress) + Send,
    ) -> AuthResult<MigrationReport> {
        self.observe_migration(&mut Observer::new(&mut observe))
            .await
    }

    async fn observe_migration(&self, observer: &mut Observer<'_>) -> AuthResult<MigrationReport> {
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
    ) -> AuthResult<MigrationReport> {
        let connections = &self.repository.connections;
        // Its advisory lock goes with it, also if this future is dropped.
        let mut connection = connections
            .dedicated()
            .await
            .map_err(|error| connection_error(error, "migrate", &connections.server))?;
        let cache = &self.repository.session_cache;
        let wanted = Wanted {
            neighbours,
            stores: &self.repository.stores,
            with_triggers: cache.is_some(),
        };
        let outcome = bring_up_to_date(connections, &mut connection, wanted, observer).await;
        // The operation has its answer; an error here changes nothing.
        let _ = connection.close().await;
        if let (Ok(_), Some(cache)) = (&outcome, cache) {
            cache.store.retry_now();
        }
        outcome.map_err(|failure| failure.into_error(&connections.server))
    }
}

/// What is migrated besides the tables that every database has, and beside what.
#[derive(Clone, Copy)]
struct Wanted<'a> {
    /// Tables of other programs that may stand beside ours.
    neighbours: Neighbours,
    stores: &'a [Store],
    with_triggers: bool,
}

async fn bring_up_to_date(
    connections: &Connections,
    connection: &mut PgConnection,
    wanted: Wanted<'_>,
    observer: &mut Observer<'_>,
) -> Result<MigrationReport, Failure> {
    let mut report = MigrationReport::default();
    check_encoding(connection).await?;
    let place = find_place(connection).await?;
    let sets = sets_to_migrate(connection, &place, wanted.stores).await?;
    if is_up_to_date(connection, &place, &sets, wanted).await? {
        return Ok(report);
    }
    lift_time_limits(connection).await?;
    lock(connection, observer).await?;
    // Another process may have migrated meanwhile.
    let place = find_place(connection).await?;
    if let Some(reason) = refusal(connection, &place, wanted.neighbours).await? {
        return Err(Failure::Refused(reason));
    }
    let sets = sets_to_migrate(connection, &place, wanted.stores).await?;
    sqlx::query_scalar!(
        "SELECT set_config('search_path', format('%I, pg_temp', $1::TEXT), false)",
        place.schema,
    )
    .fetch_one(&mut *connection)
    .await?;
    if !place.is_recorded {
        connection.ensure_migrations_table(MIGRATIONS_TABLE).await?;
    }
    let place = Place {
        is_recorded: true,
        ..place
    };
    for set in sets {
        if set != MigrationSet::Tables {
            connection.ensure_migrations_table(set.records()).await?;
        }
        let mut builds = BTreeMap::new();
        loop {
            let step = take_step(connections, connection, &place, set, &mut builds, observer);
            if settle(step.await, observer).await? {
                break;
            }
        }
        if set == MigrationSet::Of(Store::Organizations) && !builds.is_empty() {
            report = names_left(connection).await?;
        }
    }
    if wanted.with_triggers {
        while !settle(install_trigger(connection).await, observer).await? {}
    }
    Ok(report)
}

/// What the migrations of the store of organizations have left of another program's names.
async fn names_left(connection: &mut PgConnection) -> Result<MigrationReport, Failure> {
    // Nobody waits behind a read, so it may wait longer than a migration.
    lift_time_limits(connection).await?;
    let [organizations, invitations] = unreachable_organization_names(connection).await?;
    telemetry::names_left(organizations.count, invitations.count);
    Ok(MigrationReport {
        organizations,
        invitations,
    })
}

/// The sets of migrations in their order.
pub(super) async fn sets_to_migrate(
    connection: &mut PgConnection,
    place: &Place,
    stores: &[Store],
) -> Result<Vec<MigrationSet>, Failure> {
    let mut sets = vec![MigrationSet::Tables];
    sets.extend(stores_to_migrate(connection, &place.schema, stores).await?);
    Ok(sets)
}

async fn is_up_to_date(
    connection: &mut PgConnection,
    place: &Place,
    sets: &[MigrationSet],
    wanted: Wanted<'_>,
) -> Result<bool, Failure> {
    if !place.is_recorded {
        return Ok(false);
    }
    for &set in sets {
        let state = MigrationState::read(connection, place, set).await?;
        if state.next_step()?.is_some() {
            return Ok(false);
        }
    }
    Ok(!wanted.with_triggers || session_cache_triggers::are_installed(connection).await?)
}

/// Whether nothing is left to do. Pauses if another session is in the way.
async fn settle(
    outcome: Result<Outcome, Failure>,
    observer: &mut Observer<'_>,
) -> Result<bool, Failure> {
    let step = match outcome {
        Ok(Outcome::Finished) => return Ok(true),
        Ok(Outcome::Advanced) => return Ok(false),
        Ok(Outcome::Waiting) => "waiting for another session that builds an index",
        Err(failure) if failure.is_contention() => {
            "waiting for transactions that hold a lock on the table"
        }
        Err(failure) => return Err(failure),
    };
    observer.reach(step, 0, None).await;
    tokio::time::sleep(PAUSE).await;
    Ok(false)
}

async fn install_trigger(connection: &mut PgConnection) -> Result<Outcome, Failure> {
    let has_installed = session_cache_triggers::install_next(connection).await?;
    Ok(if has_installed {
        Outcome::Advanced
    } else {
        Outcome::Finished
    })
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
    place: &Place,
    set: MigrationSet,
    builds: &mut BTreeMap<i64, u32>,
    observer: &mut Observer<'_>,
) -> Result<Outcome, Failure> {
    let records = set.records();
    let state = MigrationState::read(connection, place, set).await?;
    match state.next_step()? {
        None => return Ok(Outcome::Finished),
        Some(Step::Wait) => return Ok(Outcome::Waiting),
        Some(Step::Record(migration)) => {
            observer
                .begin(&step_name(migration, "recording"), None)
                .await;
            connection.skip(records, migration).await?;
        }
        Some(Step::Apply(migration)) => {
            set_lock_timeout(connection, migration).await?;
            telemetry::migrating(migration.version, &migration.description);
            let step = step_name(migration, "applying");
            observer.begin(&step, None).await;
            let applied = if builds_index(migration) {
                build_index(connections, connection, migration, records, &step, observer).await
            } else {
                let applied = connection.apply(records, migration).await;
                applied.map_err(Failure::from)
            };
            *builds.entry(migration.version).or_default() += 1;
            match (applied, prepares(migration)) {
                (Ok(took), _) => telemetry::migrated(migration.version, took),
                // Its index stays behind INVALID, and is built again, as often as MAX_BUILDS allows.
                (Err(failure), Some(preparation)) if failure.violates_unique_index() => {
                    connection.execute(preparation.sql.clone()).await?;
                }
                (Err(failure), _) => return Err(failure),
            }
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
            for records in BTreeSet::from([MIGRATIONS_TABLE, records]) {
                connection.revert(records, &without_statement(undo)).await?;
            }
            set_lock_timeout(connection, undo).await?;
            connection.revert(records, undo).await?;
        }
    }
    Ok(Outcome::Advanced)
}

/// A migration whose reverting only removes the record.
fn without_statement(undo: &Migration) -> Migration {
    Migration {
        sql: SqlStr::from_static(""),
        ..undo.clone()
    }
}
