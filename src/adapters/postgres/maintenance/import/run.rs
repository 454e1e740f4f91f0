//! The run of an import: batch after batch, table after table. The next batch is read while one is stored.

use std::collections::{BTreeSet, HashMap, HashSet};
use std::future::poll_fn;
use std::hash::{DefaultHasher, Hash, Hasher as _};
use std::pin::pin;
use std::task::Poll;

use serde_json::Value as JsonValue;

use super::super::super::SqlxAdapter;
use super::super::super::error::{Failure, Operation};
use super::super::super::progress::Observer;
use super::super::super::repository::Repository;
use super::super::foreign_tables::{Neighbours, refusal_by_search_path};
use super::foreign_row::ForeignRow;
use super::mapping::Mapping;
use super::report::{ImportReport, ImportedRows};
use super::source::{Model, Position, Source, SourceRow};
use super::target::{Imported, find_users};
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

struct Run<'a> {
    database: &'a Repository,
    mode: Mode,
    mapping: Mapping,
    report: ImportReport,
    /// What a dry run would have stored: ids of users, and values that only one row may have.
    planned: Hashes,
    /// The ids of the users that were left. Another user here may have such an id, who must not get their rows.
    left_users: Hashes,
}

/// Values, by their hashes, as there may be millions.
#[derive(Default)]
struct Hashes(HashSet<u64>);

impl Hashes {
    fn has(&self, value: &impl Hash) -> bool {
        self.0.contains(&Self::hash(value))
    }

    fn add(&mut self, value: &impl Hash) {
        self.0.insert(Self::hash(value));
    }

    fn hash(value: &impl Hash) -> u64 {
        let mut hasher = DefaultHasher::new();
        value.hash(&mut hasher);
        hasher.finish()
    }
}

/// What becomes of a row.
enum Verdict {
    Free,
    Present,
    Changed,
    Left(AuthError),
}

impl Run<'_> {
    async fn all_tables(
        &mut self,
        source: &mut Source,
        observer: &mut Observer<'_>,
    ) -> AuthResult<()> {
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
        let mut position = Position::start(R::MODEL);
        let mut rows = source.next(&mut position).await?;
        while !rows.is_empty() {
            let read = rows.len();
            counts.read += count(read);
            let mapped = self.map::<R>(rows, &mut counts);
            let store = self.store(mapped, &mut counts);
            let (next, stored) = join(source.next(&mut position), store).await;
            stored?;
            rows = next?;
            observer.advance(read).await;
        }
        Ok(counts)
    }

    fn map<R: Imported>(&mut self, rows: Vec<SourceRow>, counts: &mut ImportedRows) -> Vec<R> {
        let mut mapped = Vec::with_capacity(rows.len());
        for SourceRow { id, row } in rows {
            let row = ForeignRow::parse(&row);
            match row.and_then(|row| R::map(&mut self.mapping, row)) {
                Ok(Some(row)) => match row.user_id() {
                    Some(user) if self.left_users.has(&user) => {
                        self.leave::<R>(&id, AuthError::UserNotFound, counts);
                    }
                    _ => mapped.push(row),
                },
                Ok(None) => counts.expired += 1,
                Err(reason) => self.leave::<R>(&id, reason, counts),
            }
        }
        mapped
    }

    fn leave<R: Imported>(&mut self, id: &str, reason: AuthError, counts: &mut ImportedRows) {
        counts.left += 1;
        // A verification reads what an import has stored.
        if R::MODEL == Model::User && self.mode != Mode::Verify {
            self.left_users.add(&id);
        }
        let id = if input::is_possible_id(id) {
            id.to_owned()
        } else {
            id.chars().take(MAX_SHOWN_ID).collect::<String>() + "…"
        };
        self.report.leave(R::TABLE, id, reason);
    }

    async fn store<R: Imported>(
        &mut self,
        rows: Vec<R>,
        counts: &mut ImportedRows,
    ) -> AuthResult<()> {
        let verdicts = match self.mode {
            Mode::Copy => {
                let not_stored = self.insert(rows, counts).await?;
                if not_stored.is_empty() {
                    return Ok(());
                }
                self.judge(not_stored).await?
            }
            Mode::DryRun => self.judge(rows).await?,
            Mode::Verify => self.compare(rows).await?,
        };
        for (row, verdict) in verdicts {
            match (verdict, self.mode) {
                (Verdict::Present, _) => counts.present += 1,
                (Verdict::Changed, _) => counts.changed += 1,
                (Verdict::Left(reason), _) => self.leave::<R>(row.id(), reason, counts),
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
                    self.leave::<R>(row.id(), reason, counts);
                }
            }
        }
        Ok(())
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
                    let stored: HashSet<String> = stored.into_iter().collect();
                    rows.retain(|row| !stored.contains(row.id()));
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
                let id = row.id().to_owned();
                let reason = self.database.error(failure, OPERATION);
                self.leave::<R>(&id, reason, counts);
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

    /// Why rows were not stored, or would not be.
    async fn judge<R: Imported>(&self, rows: Vec<R>) -> AuthResult<Vec<(R, Verdict)>> {
        let found = self.find(&rows).await?;
        let by_id: HashMap<&str, &R> = found.iter().map(|row| (row.id(), row)).collect();
        let taken: HashSet<_> = found.iter().flat_map(R::unique_values).collect();
        let users = self.users_of(&rows).await?;
        let judge = |row: &R| {
            if let Some(stored) = by_id.get(row.id()) {
                return if row.is_same_as(stored) {
                    Verdict::Present
                } else {
                    Verdict::Left(R::id_taken())
                };
            }
            let mut values = row.unique_values().into_iter();
            if let Some((field, _)) = values.find(|value| taken.contains(value)) {
                return Verdict::Left(AuthError::Conflict { field });
            }
            let has_user = row
                .user_id()
                .is_none_or(|user| users.contains(user) || self.planned.has(&user_key(user)));
            if has_user {
                Verdict::Free
            } else {
                Verdict::Left(AuthError::UserNotFound)
            }
        };
        let verdicts: Vec<Verdict> = rows.iter().map(judge).collect();
        Ok(rows.into_iter().zip(verdicts).collect())
    }

    /// In a dry run, what a row would take is taken for the rows behind it.
    fn plan<R: Imported>(&mut self, row: &R, counts: &mut ImportedRows) {
        let values = row.unique_values();
        let taken = values.iter().find(|value| self.planned.has(value));
        if let Some(&(field, _)) = taken {
            self.leave::<R>(row.id(), AuthError::Conflict { field }, counts);
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

    /// Whether rows are here as the source has them.
    async fn compare<R: Imported>(&self, rows: Vec<R>) -> AuthResult<Vec<(R, Verdict)>> {
        let found = self.find(&rows).await?;
        let by_id: HashMap<&str, &R> = found.iter().map(|row| (row.id(), row)).collect();
        let compare = |row: &R| {
            let Some(stored) = by_id.get(row.id()) else {
                return Verdict::Left(R::missing());
            };
            match row.difference(stored) {
                None => Verdict::Present,
                Some(_) if row.was_changed_after(stored) => Verdict::Changed,
                Some(field) => {
                    let message = format!("differs from the source in {field}");
                    Verdict::Left(AuthError::validation("row", message))
                }
            }
        };
        let verdicts: Vec<Verdict> = rows.iter().map(compare).collect();
        Ok(rows.into_iter().zip(verdicts).collect())
    }

    async fn find<R: Imported>(&self, rows: &[R]) -> AuthResult<Vec<R>> {
        let found = self.database.try_run(Operation::read(NAME), |connection| {
            R::find(connection, rows)
        });
        self.none_before_migrating(found.await)
    }

    /// The users here that rows refer to.
    async fn users_of<R: Imported>(&self, rows: &[R]) -> AuthResult<HashSet<String>> {
        let ids: HashSet<String> = rows
            .iter()
            .filter_map(|row| row.user_id().map(str::to_owned))
            .collect();
        if ids.is_empty() {
            return Ok(ids);
        }
        let found = self.database.try_run(Operation::read(NAME), |connection| {
            find_users(connection, &ids)
        });
        let found = self.none_before_migrating(found.await)?;
        Ok(found.into_iter().collect())
    }

    /// A dry run may come before the first migration.
    fn none_before_migrating<T>(&self, found: Result<Vec<T>, Failure>) -> AuthResult<Vec<T>> {
        match found {
            Err(failure) if self.mode == Mode::DryRun && failure.is_missing_table() => {
                Ok(Vec::new())
            }
            found => found.map_err(|failure| self.database.error(failure, Operation::read(NAME))),
        }
    }
}

fn user_key(id: &str) -> (&'static str, &str) {
    ("user", id)
}

fn count(rows: usize) -> u64 {
    u64::try_from(rows).unwrap_or(u64::MAX)
}

/// Runs both.
async fn join<A, B>(a: impl Future<Output = A>, b: impl Future<Output = B>) -> (A, B) {
    let (mut a, mut b) = (pin!(a), pin!(b));
    let (mut of_a, mut of_b) = (None, None);
    poll_fn(|context| {
        if of_a.is_none()
            && let Poll::Ready(answer) = a.as_mut().poll(context)
        {
            of_a = Some(answer);
        }
        if of_b.is_none()
            && let Poll::Ready(answer) = b.as_mut().poll(context)
        {
            of_b = Some(answer);
        }
        match (of_a.take(), of_b.take()) {
            (Some(a), Some(b)) => Poll::Ready((a, b)),
            (a, b) => {
                (of_a, of_b) = (a, b);
                Poll::Pending
            }
        }
    })
    .await
}
