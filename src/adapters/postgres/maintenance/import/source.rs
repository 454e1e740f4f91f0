//! The database that is imported: which tables it has, and their rows in batches, as they were when the run began.

use std::future::poll_fn;
use std::mem;
use std::pin::Pin;
use std::time::Duration;

use futures_core::Stream;
use sqlx::{Connection as _, Executor as _, PgConnection};
use tokio::time::timeout;

use super::super::super::connection::{Connections, parse_url};
use super::super::super::error::{Operation, connection_error, statement_error};
use super::super::super::server::Server;
use super::super::foreign_tables::snake_case;
use super::super::migrations::MIGRATIONS_TABLE;
use super::super::time_limits::lift_time_limits;
use super::{Import, NAME};
use crate::{AuthError, AuthResult};

/// The most rows of a batch.
const MAX_ROWS: usize = 1000;
/// A batch ends with the row that makes it as large as this. Rows may be large: a picture can be part of one.
const MAX_BATCH_BYTES: usize = 8 * 1024 * 1024;
/// A larger row is left: the server does not send it.
const MAX_ROW_BYTES: i32 = 32 * 1024 * 1024;

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
    /// Empty if it is NULL.
    pub(super) id: String,
    /// Empty if it is too large.
    pub(super) json: String,
    /// Why it cannot be stored, whatever it holds.
    pub(super) refusal: Option<AuthError>,
}

/// The rows of a table, in the order of their ids.
pub(super) struct Rows<'a> {
    stream: Pin<Box<dyn Stream<Item = sqlx::Result<ReadRow>> + Send + 'a>>,
    server: &'a Server,
    /// The last row that was read. Only the next one shows whether another row has its id.
    held: Option<SourceRow>,
    is_at_end: bool,
}

struct ReadRow {
    id: Option<String>,
    json: Option<String>,
}

/// A connection that only reads.
pub(super) struct Source {
    connection: PgConnection,
    server: Server,
    is_plural: bool,
    tables: Vec<SourceTable>,
}

/// A table that exists.
struct SourceTable {
    model: Model,
    /// The planner's estimate.
    rows: Option<u64>,
    /// The columns whose values end in blanks that stand for nothing.
    padded: Vec<String>,
}

struct FoundTable {
    schema: String,
    name: String,
    is_migrated: bool,
    columns: Vec<String>,
    padded: Vec<String>,
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
            Some(SourceTable {
                model,
                rows: table.rows.and_then(|rows| u64::try_from(rows).ok()),
                padded: table.padded.clone(),
            })
        });
        Ok(Self {
            tables: tables.collect(),
            connection,
            server,
            is_plural,
        })
    }

    /// From now on, the tables are read as they are at this moment. Until it is closed, index builds in that database wait
    /// for it.
    pub(super) async fn take_snapshot(&mut self) -> AuthResult<()> {
        let begun = self
            .connection
            .execute("BEGIN ISOLATION LEVEL REPEATABLE READ READ ONLY")
            .await;
        begun
            .map(drop)
            .map_err(|error| read_error(error, &self.server))
    }

    fn table(&self, model: Model) -> Option<&SourceTable> {
        self.tables.iter().find(|table| table.model == model)
    }

    pub(super) fn has(&self, model: Model) -> bool {
        self.table(model).is_some()
    }

    pub(super) fn estimated_rows(&self, model: Model) -> Option<u64> {
        self.table(model).and_then(|table| table.rows)
    }

    /// The columns whose values end in blanks that stand for nothing.
    pub(super) fn padded_columns(&self, model: Model) -> Vec<String> {
        let table = self.table(model);
        table.map_or_else(Vec::new, |table| table.padded.clone())
    }

    pub(super) fn rows(&mut self, model: Model) -> Rows<'_> {
        Rows {
            stream: read(&mut self.connection, model, self.is_plural),
            server: &self.server,
            held: None,
            is_at_end: false,
        }
    }

    pub(super) async fn close(self) {
        // It only read.
        let _ = self.connection.close().await;
    }
}

impl Rows<'_> {
    /// The next batch, empty at the end. The server sends no more than the batch takes and the network holds.
    pub(super) async fn next(&mut self) -> AuthResult<Vec<SourceRow>> {
        let mut batch = Vec::new();
        let mut bytes = 0;
        while !self.is_at_end && batch.len() < MAX_ROWS && bytes < MAX_BATCH_BYTES {
            let read = poll_fn(|context| self.stream.as_mut().poll_next(context)).await;
            let read = read.transpose();
            let read = read.map_err(|error| read_error(error, self.server))?;
            self.is_at_end = read.is_none();
            let mut read = read.map(SourceRow::from);
            if let (Some(held), Some(read)) = (&mut self.held, &mut read)
                && held.id == read.id
                && !read.id.is_empty()
            {
                for row in [held, read] {
                    let message = "several rows of the source have this id";
                    row.refusal = Some(AuthError::validation("id", message));
                }
            }
            if let Some(row) = mem::replace(&mut self.held, read) {
                bytes += row.json.len();
                batch.push(row);
            }
        }
        Ok(batch)
    }
}

impl From<ReadRow> for SourceRow {
    fn from(row: ReadRow) -> Self {
        let refusal = row.json.is_none().then(|| {
            let message = format!("takes more than {MAX_ROW_BYTES} bytes as JSON");
            AuthError::validation("row", message)
        });
        Self {
            id: row.id.unwrap_or_default(),
            json: row.json.unwrap_or_default(),
            refusal,
        }
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
    lift_time_limits(connection).await?;
    // Row level security is to be an error, and not to hide rows.
    sqlx::query!(
        "SELECT set_config(name, value, false) FROM (VALUES ('default_transaction_read_only', 'on'), \
         ('TimeZone', 'UTC'), ('row_security', 'off'), \
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
         AS \"columns!\", \
         ARRAY(SELECT attname::TEXT FROM pg_attribute JOIN pg_type ON pg_type.oid = atttypid \
         WHERE attrelid = pg_class.oid AND attnum > 0 AND 'bpchar'::REGTYPE IN (atttypid, typbasetype)) AS \"padded!\", \
         CASE WHEN relkind IN ('r', 'p') AND reltuples >= 0 THEN reltuples::BIGINT END AS rows \
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

/// All rows of a table, in the order of their ids, whatever type these have. The rows are JSON, as columns differ from
/// database to database.
macro_rules! read_rows {
    ($connection:ident, $table:literal) => {
        sqlx::query_as!(
            ReadRow,
            "SELECT source.id::TEXT AS \"id?\", CASE WHEN octet_length(whole.json) <= $1 THEN whole.json END AS json FROM \"" + $table
                + "\" AS source CROSS JOIN LATERAL (SELECT row_to_json(source.*)::TEXT AS json OFFSET 0) AS whole \
                   ORDER BY source.id",
            MAX_ROW_BYTES,
        )
        .fetch($connection)
    };
}

fn read(
    connection: &mut PgConnection,
    model: Model,
    is_plural: bool,
) -> Pin<Box<dyn Stream<Item = sqlx::Result<ReadRow>> + Send + '_>> {
    match (model, is_plural) {
        (Model::User, false) => read_rows!(connection, "user"),
        (Model::Account, false) => read_rows!(connection, "account"),
        (Model::Session, false) => read_rows!(connection, "session"),
        (Model::Verification, false) => read_rows!(connection, "verification"),
        (Model::User, true) => read_rows!(connection, "users"),
        (Model::Account, true) => read_rows!(connection, "accounts"),
        (Model::Session, true) => read_rows!(connection, "sessions"),
        (Model::Verification, true) => read_rows!(connection, "verifications"),
    }
}
