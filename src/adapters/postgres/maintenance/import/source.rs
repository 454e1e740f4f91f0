//! The database that is imported: which tables it has, and its rows in batches by id.

use std::time::Duration;

use sqlx::{Connection as _, PgConnection};
use tokio::time::timeout;

use super::super::super::connection::{Connections, parse_url};
use super::super::super::error::{Operation, connection_error, statement_error};
use super::super::super::server::Server;
use super::super::foreign_tables::snake_case;
use super::super::migrations::MIGRATIONS_TABLE;
use super::{Import, NAME};
use crate::{AuthError, AuthResult};

/// The most rows of a batch.
const MAX_ROWS: i64 = 1000;
/// Rows may be large: a picture can be part of one. Batches that take more than this get smaller.
const MAX_BATCH_BYTES: usize = 8 * 1024 * 1024;

/// A table of the source.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Model {
    User,
    Account,
    Session,
    Verification,
}

impl Model {
    const ALL: [Self; 4] = [Self::User, Self::Account, Self::Session, Self::Verification];

    fn name(self) -> &'static str {
        match self {
            Self::User => "user",
            Self::Account => "account",
            Self::Session => "session",
            Self::Verification => "verification",
        }
    }

    fn table(self, is_plural: bool) -> String {
        let plural = if is_plural { "s" } else { "" };
        format!("{}{plural}", self.name())
    }
}

/// A row as the source has it.
pub(super) struct SourceRow {
    pub(super) id: String,
    pub(super) row: String,
}

/// The next batch of a table.
pub(super) struct Position {
    model: Model,
    after: Option<String>,
    limit: i64,
    is_at_end: bool,
}

/// A connection that only reads.
pub(super) struct Source {
    connection: PgConnection,
    server: Server,
    is_plural: bool,
    /// The tables that exist, with the planner's estimate of their rows.
    tables: Vec<(Model, Option<u64>)>,
}

struct FoundTable {
    schema: String,
    name: String,
    is_migrated: bool,
    columns: Vec<String>,
    rows: Option<i64>,
}

impl Source {
    pub(super) async fn open(import: &Import, connections: &Connections) -> AuthResult<Self> {
        let (connection, server) = match &import.url {
            None => {
                let connection = connections.dedicated().await;
                (connection, connections.server.clone())
            }
            Some(url) => {
                let options = parse_url(url)?;
                let server = Server::new(&options);
                let connection = connect(&options, connections.acquire_timeout()).await;
                (connection, server)
            }
        };
        let mut connection =
            connection.map_err(|error| connection_error(error, "import from", &server))?;
        let found = look_for_tables(&mut connection, import.schema.as_deref()).await;
        let found = found.map_err(|error| read_error(error, &server))?;
        let refusal = |what: String| AuthError::Database {
            message: format!(
                "{NAME} from {server}: {what}: name the schema of Better Auth (TypeScript), or create views of these names"
            ),
            source: None,
        };
        let Some((is_plural, users)) = find_users_table(&found) else {
            let place = match &import.schema {
                Some(schema) => format!("schema {schema}"),
                None => "the schemas of search_path".to_owned(),
            };
            return Err(refusal(format!(
                "no table user or users with the columns email and emailVerified in {place}"
            )));
        };
        let schema = &users.schema;
        if is_plural && users.is_migrated {
            return Err(refusal(format!(
                "the table users of schema {schema} is one of this crate's own"
            )));
        }
        let looked_into = look_into(&mut connection, schema).await;
        looked_into.map_err(|error| read_error(error, &server))?;
        let tables = Model::ALL.into_iter().filter_map(|model| {
            let name = model.table(is_plural);
            let mut found = found.iter();
            let table = found.find(|table| table.name == name && table.schema == *schema)?;
            Some((model, table.rows.and_then(|rows| u64::try_from(rows).ok())))
        });
        Ok(Self {
            tables: tables.collect(),
            connection,
            server,
            is_plural,
        })
    }

    pub(super) fn has(&self, model: Model) -> bool {
        self.tables.iter().any(|(table, _)| *table == model)
    }

    pub(super) fn estimated_rows(&self, model: Model) -> Option<u64> {
        let table = self.tables.iter().find(|(table, _)| *table == model);
        table.and_then(|(_, rows)| *rows)
    }

    /// The next rows of a table, none at its end.
    pub(super) async fn next(&mut self, position: &mut Position) -> AuthResult<Vec<SourceRow>> {
        if position.is_at_end {
            return Ok(Vec::new());
        }
        let rows = read(
            &mut self.connection,
            position.model,
            self.is_plural,
            position.after.as_deref(),
            position.limit,
        );
        let rows = rows
            .await
            .map_err(|error| read_error(error, &self.server))?;
        position.move_behind(&rows);
        Ok(rows)
    }

    pub(super) async fn close(self) {
        // It only read.
        let _ = self.connection.close().await;
    }
}

impl Position {
    pub(super) fn start(model: Model) -> Self {
        Self {
            model,
            after: None,
            limit: MAX_ROWS / 10,
            is_at_end: false,
        }
    }

    fn move_behind(&mut self, rows: &[SourceRow]) {
        let count = i64::try_from(rows.len()).unwrap_or(i64::MAX);
        self.is_at_end = count < self.limit;
        if let Some(last) = rows.last() {
            self.after = Some(last.id.clone());
        }
        let bytes: usize = rows.iter().map(|row| row.row.len()).sum();
        self.limit = if bytes > MAX_BATCH_BYTES {
            (self.limit / 2).max(1)
        } else if bytes < MAX_BATCH_BYTES / 4 {
            (self.limit * 2).min(MAX_ROWS)
        } else {
            self.limit
        };
    }
}

async fn connect(
    options: &sqlx::postgres::PgConnectOptions,
    limit: Duration,
) -> sqlx::Result<PgConnection> {
    // As that of the adapter's first connection.
    let connection = Box::pin(PgConnection::connect_with(options));
    let connected = timeout(limit, connection).await;
    connected.unwrap_or(Err(sqlx::Error::PoolTimedOut))
}

fn read_error(error: sqlx::Error, server: &Server) -> AuthError {
    statement_error(error, Operation::read("import from"), server)
}

/// Finds the tables, on a connection that from now on reads only, in `schema` if there is one.
async fn look_for_tables(
    connection: &mut PgConnection,
    schema: Option<&str>,
) -> sqlx::Result<Vec<FoundTable>> {
    sqlx::query!(
        "SELECT set_config(name, value, false) FROM (VALUES ('default_transaction_read_only', 'on'), \
         ('TimeZone', 'UTC'), ('statement_timeout', '0'), ('lock_timeout', '0'), \
         ('search_path', COALESCE(quote_ident($1), current_setting('search_path')))) AS setting (name, value)",
        schema,
    )
    .fetch_all(&mut *connection)
    .await?;
    let names: Vec<String> = Model::ALL
        .into_iter()
        .flat_map(|model| [false, true].map(|is_plural| model.table(is_plural)))
        .collect();
    sqlx::query_as!(
        FoundTable,
        "SELECT nspname::TEXT AS \"schema!\", name AS \"name!\", \
         EXISTS (SELECT FROM pg_class AS records WHERE records.relnamespace = pg_class.relnamespace \
         AND records.relname = $2) AS \"is_migrated!\", \
         ARRAY(SELECT attname::TEXT FROM pg_attribute WHERE attrelid = pg_class.oid AND attnum > 0 AND NOT attisdropped) \
         AS \"columns!\", CASE WHEN relkind IN ('r', 'p') AND reltuples >= 0 THEN reltuples::BIGINT END AS rows \
         FROM unnest($1::TEXT[]) AS name JOIN pg_class ON pg_class.oid = to_regclass(quote_ident(name)) \
         JOIN pg_namespace ON pg_namespace.oid = relnamespace",
        &names,
        MIGRATIONS_TABLE,
    )
    .fetch_all(connection)
    .await
}

/// From now on, names stand for the tables of this schema.
async fn look_into(connection: &mut PgConnection, schema: &str) -> sqlx::Result<()> {
    sqlx::query_scalar!(
        "SELECT set_config('search_path', quote_ident($1::TEXT), false)",
        schema
    )
    .fetch_one(connection)
    .await
    .map(drop)
}

/// The table of the users, and whether the tables have names in the plural.
fn find_users_table(found: &[FoundTable]) -> Option<(bool, &FoundTable)> {
    let has_users = |is_plural: bool| {
        let name = Model::User.table(is_plural);
        let users = found.iter().find(|table| {
            let has = |column: &str| table.columns.iter().any(|of_table| of_table == column);
            let is_verified = has("emailVerified") || has(&snake_case("emailVerified"));
            table.name == name && has("id") && has("email") && is_verified
        });
        users.map(|users| (is_plural, users))
    };
    has_users(false).or_else(|| has_users(true))
}

/// The rows behind an id, in the order of the ids, whatever their type is: the id in the condition goes through the type of
/// the column, so that an index on it answers. The rows are JSON, as columns differ from database to database.
macro_rules! read_rows {
    ($connection:ident, $after:ident, $limit:ident, $table:literal) => {
        sqlx::query_as!(
            SourceRow,
            "SELECT source.id::TEXT AS \"id!\", row_to_json(source.*)::TEXT AS \"row!\" FROM \"" + $table
                + "\" AS source WHERE source.id >= COALESCE((jsonb_populate_record(NULL::\"" + $table
                + "\", jsonb_build_object('id', $1::TEXT))).id, (SELECT id FROM \"" + $table
                + "\" ORDER BY id LIMIT 1)) AND source.id::TEXT IS DISTINCT FROM $1 ORDER BY source.id LIMIT $2",
            $after,
            $limit,
        )
        .fetch_all($connection)
        .await
    };
}

async fn read(
    connection: &mut PgConnection,
    model: Model,
    is_plural: bool,
    after: Option<&str>,
    limit: i64,
) -> sqlx::Result<Vec<SourceRow>> {
    match (model, is_plural) {
        (Model::User, false) => read_rows!(connection, after, limit, "user"),
        (Model::Account, false) => read_rows!(connection, after, limit, "account"),
        (Model::Session, false) => read_rows!(connection, after, limit, "session"),
        (Model::Verification, false) => read_rows!(connection, after, limit, "verification"),
        (Model::User, true) => read_rows!(connection, after, limit, "users"),
        (Model::Account, true) => read_rows!(connection, after, limit, "accounts"),
        (Model::Session, true) => read_rows!(connection, after, limit, "sessions"),
        (Model::Verification, true) => read_rows!(connection, after, limit, "verifications"),
    }
}
