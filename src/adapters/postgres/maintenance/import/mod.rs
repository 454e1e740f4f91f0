//! `import`: copies users, accounts, sessions and verifications from a database of Better Auth (TypeScript).

mod accounts;
mod foreign_row;
mod hashes;
mod join;
mod mapping;
mod report;
mod run;
mod source;
mod target;
mod verdict;

use std::fmt;

use super::super::SqlxAdapter;
use super::super::progress::{Observer, Progress};
use crate::AuthResult;

pub use self::report::{ImportReport, ImportedRows, LeftRow};

const NAME: &str = "import";

/// What [`SqlxAdapter::import`] reads, and what it does with it. Copies, unless [`dry_run`](Self::dry_run) or
/// [`verify`](Self::verify) is called.
///
/// ```no_run
/// use better_auth::adapters::{Import, SqlxAdapter};
///
/// # async fn example(database: SqlxAdapter) -> better_auth::AuthResult<()> {
/// let source = Import::from_url("postgresql://user:password@old-server/app").schema("auth");
/// let report = database.import(source.clone().dry_run()).await?;
/// println!("{} users, {} of them cannot be stored", report.users.read, report.users.left);
/// database.import(source.clone()).await?;
/// assert_eq!(database.import(source.verify()).await?.left_count(), 0);
/// # Ok(())
/// # }
/// ```
#[derive(Clone)]
pub struct Import {
    url: Option<String>,
    schema: Option<String>,
    mode: Mode,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Mode {
    Copy,
    DryRun,
    Verify,
}

impl Import {
    /// From the database that the adapter works in.
    #[must_use]
    pub fn from_same_database() -> Self {
        Self {
            url: None,
            schema: None,
            mode: Mode::Copy,
        }
    }

    /// From another database. The URL takes what [`SqlxAdapter::new`] takes. It has to lead directly to the server or to a
    /// pooler in session mode.
    #[must_use]
    pub fn from_url(url: impl Into<String>) -> Self {
        Self {
            url: Some(url.into()),
            ..Self::from_same_database()
        }
    }

    /// The schema of the tables. Without it, `search_path` of the source decides.
    #[must_use]
    pub fn schema(mut self, schema: impl Into<String>) -> Self {
        self.schema = Some(schema.into());
        self
    }

    /// Changes nothing, and reports what a copy would do.
    #[must_use]
    pub fn dry_run(mut self) -> Self {
        self.mode = Mode::DryRun;
        self
    }

    /// Changes nothing, and compares each row of the source with the row that was stored for it.
    #[must_use]
    pub fn verify(mut self) -> Self {
        self.mode = Mode::Verify;
        self
    }
}

impl fmt::Debug for Import {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Import")
            .field("url", &self.url.as_ref().map(|_| "[redacted]"))
            .field("schema", &self.schema)
            .field("mode", &self.mode)
            .finish()
    }
}

impl SqlxAdapter {
    /// Copies users, accounts, sessions and verifications from a Better Auth (TypeScript) database on PostgreSQL: in
    /// another schema of the same database, in the same schema if its tables have other names than ours, or on another
    /// server. `docs/migrating.md` goes through the steps.
    ///
    /// It [migrates](Self::migrate) first. It reads `"user"`, `"session"`, `"account"` and `"verification"`, or the same in
    /// the plural, and stores batches of at most 1,000 rows and about 8 MiB by one statement each. Columns may be written
    /// `emailVerified` or `email_verified`, and ids may be of any type that PostgreSQL can order. If tables or columns have
    /// other names, create views with these names in a schema of their own, and name that schema.
    ///
    /// - All tables are read as they were when the run began, in one read-only transaction. Rows that are written
    ///   meanwhile are left to the next run. Until the run ends, the source's server cannot remove dead rows, and index
    ///   builds `CONCURRENTLY` in that database wait.
    /// - Sessions keep their tokens and go on opening, and are stored hashed if the adapter
    ///   [hashes](crate::adapters::SqlxAdapterBuilder::session_tokens) tokens. Expired sessions and verifications are not copied.
    /// - A user's columns that have none here become metadata. Those whose names say that they hold a secret, and
    ///   further columns of other tables, are not copied: [`ImportReport::dropped_columns`] names them.
    /// - A row that cannot be stored is left out and reported, with all sessions and accounts of that user: it is not valid
    ///   here, or its id, email, username, account or token is taken. So are rows whose id is NULL or that share an id, and
    ///   rows of more than 32 MiB.
    /// - A user who has accounts, none of which can be stored, is left out as a whole. If a constraint or a trigger of the
    ///   application refuses an account, that shows only when its user is stored already.
    /// - It may be interrupted at any point, also by `kill -9`. Call it again: rows that are there already are counted and
    ///   skipped.
    ///
    /// Rows that were deleted or changed in the source after they were copied stay here as they are: for the last run,
    /// stop all writers of the source.
    ///
    /// # Errors
    ///
    /// [`AuthError::Validation`] for a URL that is not valid; [`AuthError::Database`] if there are no such tables, or a
    /// privilege is missing; [`AuthError::Unavailable`] or [`AuthError::OutcomeUnknown`] if a connection was lost: call it
    /// again.
    ///
    /// [`AuthError::Validation`]: crate::AuthError::Validation
    /// [`AuthError::Database`]: crate::AuthError::Database
    /// [`AuthError::Unavailable`]: crate::AuthError::Unavailable
    /// [`AuthError::OutcomeUnknown`]: crate::AuthError::OutcomeUnknown
    pub async fn import(&self, import: Import) -> AuthResult<ImportReport> {
        self.observe_import(&import, &mut Observer::silent()).await
    }

    /// As [`import`](Self::import), with an observer that hears how many rows of each table were read, after each batch.
    ///
    /// # Errors
    ///
    /// As [`import`](Self::import).
    pub async fn import_with(
        &self,
        import: Import,
        mut observe: impl FnMut(&Progress) + Send,
    ) -> AuthResult<ImportReport> {
        self.observe_import(&import, &mut Observer::new(&mut observe))
            .await
    }

    async fn observe_import(
        &self,
        import: &Import,
        observer: &mut Observer<'_>,
    ) -> AuthResult<ImportReport> {
        let connections = &self.repository.connections;
        connections
            .observe(NAME, self.run_import(import, observer))
            .await
    }
}
