//! The run of an import: batch after batch, table after table. The next batch is read while one is stored.

use std::collections::{BTreeSet, HashSet};

use serde_json::Value as JsonValue;

use super::super::super::SqlxAdapter;
use super::super::super::error::{Failure, Operation};
use super::super::super::progress::Observer;
use super::super::super::repository::Repository;
use super::super::foreign_tables::{Neighbours, refusal_by_search_path};
use super::accounts::Accounts;
use super::foreign_row::ForeignRow;
use super::hashes::Hashes;
use super::join::join;
use super::mapping::Mapping;
use super::report::{ImportReport, ImportedRows, LeftRow};
use super::source::{Model, Source, SourceRow};
use super::target::Imported;
use super::verdict::{Verdict, user_key};
use super::{Import, Mode, NAME};
use crate::adapters::input;
use crate::types::{Account, Session, User, Verification};
use crate::{AuthError, AuthResult};

const OPERATION: Operation = Operation::write(NAME);
/// How much of an id that cannot be one here is shown.
const MAX_SHOWN_ID: usize = 64;

impl SqlxAdapter {
    pub(super) async fn run_import(
        &self,
        import: &Import,
        observer: &mut Observer<'_>,
    ) -> AuthResult<ImportReport> {
        let database = &self.repository;
        // First, so that nothing is changed if it cannot be read.
        let mut source = Source::open(import, &database.connections).await?;
        if import.mode == Mode::Copy {
            self.bring_up_to_date(observer, Neighbours::Imported)
                .await?;
        } else {
            self.check_import_place().await?;
        }
        // Not before, as index builds in the same database would wait for it.
        source.take_snapshot().await?;
        let mut run = Run {
            database,
            mode: import.mode,
            mapping: Mapping {
                now: input::now(),
                session_tokens: database.connections.settings.session_tokens,
                dropped_columns: BTreeSet::new(),
            },
            report: ImportReport::default(),
            planned: Hashes::default(),
            left_users: Hashes::default(),
            accounts_of: Accounts::default(),
        };
        let outcome = run.all_tables(&mut source, observer).await;
        source.close().await;
        outcome?;
        run.report.dropped_columns = run.mapping.dropped_columns;
        Ok(run.report)
    }

    async fn check_import_place(&self) -> AuthResult<()> {
        let database = &self.repository;
        let refusal = database.run(Operation::read(NAME), |connection| {
            Box::pin(refusal_by_search_path(connection, Neighbours::Imported))
        });
        match refusal.await? {
            None => Ok(()),
            Some(reason) => Err(AuthError::Database {
                message: format!("{NAME} into {}: {reason}", database.connections.server),
                source: None,
            }),
        }
    }
}

pub(super) struct Run<'a> {
    pub(super) database: &'a Repository,
    pub(super) mode: Mode,
    mapping: Mapping,
    report: ImportReport,
    /// What a dry run would have stored: ids of users, and values that only one row may have.
    pub(super) planned: Hashes,
    /// The ids of the users that were left. Another user here may have such an id, who must not get their rows.
    left_users: Hashes,
    pub(super) accounts_of: Accounts,
}

/// A row that was read: whose it is, and what it is here.
pub(super) struct MappedRow<R> {
    pub(super) user_id: Option<String>,
    pub(super) row: AuthResult<Option<R>>,
}

impl Run<'_> {
    async fn all_tables(
        &mut self,
        source: &mut Source,
        observer: &mut Observer<'_>,
    ) -> AuthResult<()> {
        if self.mode != Mode::Verify {
            self.look_at_accounts(source, observer).await?;
        }
        // References come after what they refer to.
        self.report.users = self.table::<User>(source, observer).await?;
        self.report.accounts = self.table::<Account>(source, observer).await?;
        self.report.sessions = self.table::<Session>(source, observer).await?;
        self.report.verifications = self.table::<Verification>(source, observer).await?;
        Ok(())
    }

    async fn table<R: Imported>(
        &mut self,
        source: &mut Source,
        observer: &mut Observer<'_>,
    ) -> AuthResult<ImportedRows> {
        let mut counts = ImportedRows::default();
        if !source.has(R::MODEL) {
            return Ok(counts);
        }
        let doing = match self.mode {
            Mode::Copy => "importing",
            Mode::DryRun => "checking",
            Mode::Verify => "verifying",
        };
        let step = format!("{doing} {}", R::TABLE);
        observer.begin(&step, source.estimated_rows(R::MODEL)).await;
        let padded_columns = source.padded_columns(R::MODEL);
        let mut source = source.rows(R::MODEL);
        let mut rows = source.next().await?;
        while !rows.is_empty() {
            let read = rows.len();
            counts.read += count(read);
            let mut mapped = Vec::with_capacity(read);
            for source in rows {
                let MappedRow { user_id, row } = self.map::<R>(&source, &padded_columns);
                match row {
                    Ok(Some(row)) => mapped.push(row),
                    Ok(None) => counts.expired += 1,
                    Err(reason) => {
                        self.leave::<R>(&source.id, user_id.as_deref(), reason, &mut counts);
                    }
                }
            }
            let store = self.store(mapped, &mut counts);
            let (next, stored) = join(source.next(), store).await;
            stored?;
            rows = next?;
            observer.advance(read).await;
        }
        Ok(counts)
    }

    pub(super) fn map<R: Imported>(
        &mut self,
        source: &SourceRow,
        padded_columns: &[String],
    ) -> MappedRow<R> {
        let row = ForeignRow::parse(&source.json, padded_columns);
        let user_id = row.as_ref().ok().and_then(ForeignRow::user_id);
        let row = match &source.refusal {
            Some(reason) => Err(reason.clone()),
            None => row.and_then(|row| R::map(&mut self.mapping, row)),
        };
        MappedRow { user_id, row }
    }

    fn leave<R: Imported>(
        &mut self,
        id: &str,
        user_id: Option<&str>,
        reason: AuthError,
        counts: &mut ImportedRows,
    ) {
        counts.left += 1;
        // A verification reads what an import has stored.
        if R::MODEL == Model::User && self.mode != Mode::Verify {
            self.left_users.add(&id);
        }
        self.report.leave(LeftRow {
            table: R::TABLE,
            id: shown_id(id),
            user_id: user_id.map(shown_id),
            reason,
        });
    }

    /// Why a row is left although nothing is wrong with itself.
    fn refusal<R: Imported>(&self, row: &R) -> Option<AuthError> {
        match row.user_id() {
            Some(user) => self
                .left_users
                .has(&user)
                .then_some(AuthError::UserNotFound),
            None if R::MODEL == Model::User && self.accounts_of.all_are_unusable(row.id()) => {
                let message = "none of the user's accounts can be stored";
                Some(AuthError::validation("accounts", message))
            }
            None => None,
        }
    }

    async fn store<R: Imported>(
        &mut self,
        rows: Vec<R>,
        counts: &mut ImportedRows,
    ) -> AuthResult<()> {
        let is_refused = |row: &R| self.refusal(row).is_some();
        let (refused, rows): (Vec<R>, Vec<R>) = rows.into_iter().partition(is_refused);
        let verdicts = match self.mode {
            Mode::Copy => {
                let not_stored = self.insert(rows, counts).await?;
                self.judge(not_stored).await?
            }
            Mode::DryRun => self.judge(rows).await?,
            Mode::Verify => self.compare(rows).await?,
        };
        for (row, verdict) in verdicts {
            match (verdict, self.mode) {
                (Verdict::Present, _) => counts.present += 1,
                (Verdict::Changed, _) => counts.changed += 1,
                (Verdict::Left(reason), _) => self.leave_row(&row, reason, counts),
                (Verdict::Free, Mode::DryRun) => self.plan(&row, counts),
                (Verdict::Free, _) => {
                    let server = &self.database.connections.server;
                    let message = format!(
                        "{NAME} into {server}: the row was not stored, as a trigger, a rule or a policy of the \
                         application keeps it out, or it was deleted meanwhile"
                    );
                    let reason = AuthError::Database {
                        message,
                        source: None,
                    };
                    self.leave_row(&row, reason, counts);
                }
            }
        }
        let verdicts = self.judge_values(&refused).await?;
        for (row, verdict) in refused.iter().zip(verdicts) {
            match (verdict, self.refusal(row)) {
                // It was imported before its accounts came to be so.
                (Verdict::Present, _) if R::MODEL == Model::User => counts.present += 1,
                (Verdict::Left(reason), _) | (_, Some(reason)) => {
                    self.leave_row(row, reason, counts);
                }
                (_, None) => counts.present += 1,
            }
        }
        Ok(())
    }

    fn leave_row<R: Imported>(&mut self, row: &R, reason: AuthError, counts: &mut ImportedRows) {
        self.leave::<R>(row.id(), row.user_id(), reason, counts);
    }

    /// Stores rows, around those that the server refuses, and answers with those of which something is taken.
    async fn insert<R: Imported>(
        &mut self,
        rows: Vec<R>,
        counts: &mut ImportedRows,
    ) -> AuthResult<Vec<R>> {
        let mut not_stored = Vec::new();
        let mut batches = vec![rows];
        while let Some(mut rows) = batches.pop() {
            if rows.is_empty() {
                continue;
            }
            let failure = match self.insert_batch(&rows).await {
                Ok(stored) => {
                    counts.imported += count(stored.len());
                    let mut stored: HashSet<String> = stored.into_iter().collect();
                    // Of several rows with one id, one was stored.
                    rows.retain(|row| !stored.remove(row.id()));
                    not_stored.append(&mut rows);
                    continue;
                }
                Err(failure) => failure,
            };
            let is_too_much = failure.took_too_long() || failure.exceeds_limit();
            if !failure.refuses_row() && !is_too_much {
                return Err(self.database.error(failure, OPERATION));
            }
            if let ([row], false) = (&*rows, failure.took_too_long()) {
                let reason = self.database.error(failure, OPERATION);
                self.leave_row(row, reason, counts);
            } else if rows.len() == 1 {
                return Err(self.database.error(failure, OPERATION));
            } else {
                // In their order: of two with the same email, the first is stored.
                batches.push(rows.split_off(rows.len() / 2));
                batches.push(rows);
            }
        }
        Ok(not_stored)
    }

    async fn insert_batch<R: Imported>(&self, rows: &[R]) -> Result<Vec<String>, Failure> {
        let columns: serde_json::Result<Vec<JsonValue>> = rows.iter().map(R::columns).collect();
        // No column of ours fails to become JSON.
        let columns = JsonValue::Array(columns.unwrap_or_default());
        self.database
            .try_run(OPERATION, |connection| R::insert(connection, &columns))
            .await
    }

    /// In a dry run, what a row would take is taken for the rows behind it.
    fn plan<R: Imported>(&mut self, row: &R, counts: &mut ImportedRows) {
        let values = row.unique_values();
        let taken = values.iter().find(|value| self.planned.has(value));
        if let Some(&(field, _)) = taken {
            self.leave_row(row, AuthError::Conflict { field }, counts);
            return;
        }
        for value in &values {
            self.planned.add(value);
        }
        if row.user_id().is_none() {
            self.planned.add(&user_key(row.id()));
        }
        counts.imported += 1;
    }
}

/// What of an id in the source is shown.
fn shown_id(id: &str) -> String {
    if input::is_possible_id(id) || id.is_empty() {
        id.to_owned()
    } else {
        id.chars().take(MAX_SHOWN_ID).collect::<String>() + "…"
    }
}

fn count(rows: usize) -> u64 {
    u64::try_from(rows).unwrap_or(u64::MAX)
}
