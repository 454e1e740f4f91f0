//! What becomes of a row: it is here already, it can be stored, or something that it wants is taken.

use std::collections::{HashMap, HashSet};

use super::super::super::error::{Failure, Operation};
use super::run::Run;
use super::target::{Imported, find_users};
use super::{Mode, NAME};
use crate::{AuthError, AuthResult};

/// What becomes of a row.
pub(super) enum Verdict {
    Free,
    Present,
    Changed,
    Left(AuthError),
}

impl Run<'_> {
    /// Why rows were not stored, or would not be.
    pub(super) async fn judge<R: Imported>(&self, rows: Vec<R>) -> AuthResult<Vec<(R, Verdict)>> {
        let verdicts = self.judge_values(&rows).await?;
        let users = self.users_of(&rows).await?;
        let has_user = |row: &R| {
            row.user_id()
                .is_none_or(|user| users.contains(user) || self.planned.has(&user_key(user)))
        };
        let verdicts = rows.into_iter().zip(verdicts);
        let verdicts = verdicts.map(|(row, verdict)| match verdict {
            Verdict::Free if !has_user(&row) => (row, Verdict::Left(AuthError::UserNotFound)),
            verdict => (row, verdict),
        });
        Ok(verdicts.collect())
    }

    /// Whether rows are here, or what they want to take is taken here.
    pub(super) async fn judge_values<R: Imported>(&self, rows: &[R]) -> AuthResult<Vec<Verdict>> {
        if rows.is_empty() {
            return Ok(Vec::new());
        }
        let found = self.find(rows).await?;
        let by_id: HashMap<&str, &R> = found.iter().map(|row| (row.id(), row)).collect();
        let taken: HashSet<_> = found.iter().flat_map(R::unique_values).collect();
        let judge = |row: &R| {
            if let Some(stored) = by_id.get(row.id()) {
                return if row.is_same_as(stored) {
                    Verdict::Present
                } else {
                    Verdict::Left(R::id_taken())
                };
            }
            let mut values = row.unique_values().into_iter();
            match values.find(|value| taken.contains(value) || self.planned.has(value)) {
                Some((field, _)) => Verdict::Left(AuthError::Conflict { field }),
                None => Verdict::Free,
            }
        };
        Ok(rows.iter().map(judge).collect())
    }

    /// Whether rows are here as the source has them.
    pub(super) async fn compare<R: Imported>(&self, rows: Vec<R>) -> AuthResult<Vec<(R, Verdict)>> {
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

pub(super) fn user_key(id: &str) -> (&'static str, &str) {
    ("user", id)
}
