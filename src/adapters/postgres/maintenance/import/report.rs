//! What an import has done.

use std::collections::BTreeSet;

use crate::AuthError;

/// So many rows that were left are listed. All are counted.
const MAX_LISTED: usize = 10_000;

/// The result of [`SqlxAdapter::import`](crate::adapters::SqlxAdapter::import).
#[derive(Clone, Debug, Default)]
#[non_exhaustive]
pub struct ImportReport {
    /// What became of the users.
    pub users: ImportedRows,
    /// What became of the accounts.
    pub accounts: ImportedRows,
    /// What became of the sessions.
    pub sessions: ImportedRows,
    /// What became of the verifications.
    pub verifications: ImportedRows,
    /// The rows that were left, with the reason: the first 10,000.
    pub left: Vec<LeftRow>,
    /// Columns with values that were not copied, as `user.twoFactorSecret`.
    pub dropped_columns: BTreeSet<String>,
}

/// What became of the rows of a table. The numbers other than `read` add up to `read`.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct ImportedRows {
    /// Rows that were read.
    pub read: u64,
    /// Rows that were stored, or would be stored if this is a dry run.
    pub imported: u64,
    /// Rows that are there already.
    pub present: u64,
    /// Rows that are there already, and were changed here since. Only a verification tells them from the others.
    pub changed: u64,
    /// Sessions and verifications that are no longer live.
    pub expired: u64,
    /// Rows that cannot be stored, or, in a verification, are missing or differ.
    pub left: u64,
}

/// A row of the source that is not stored. It shows no value.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub struct LeftRow {
    /// The table here: `users`, `accounts`, `sessions` or `verifications`.
    pub table: &'static str,
    /// The row's id in the source. Empty if it is NULL.
    pub id: String,
    /// Whose row it is in the source, if it is an account or a session and names a user.
    pub user_id: Option<String>,
    /// [`AuthError::Validation`] if a field is not valid here, [`AuthError::Conflict`] if another row here has the value,
    /// [`AuthError::UserNotFound`] if the user of the row was not stored, [`AuthError::Validation`] of the field `accounts`
    /// if none of the user's accounts can be stored, [`AuthError::Database`] if a constraint or a
    /// trigger of the application refuses it.
    pub reason: AuthError,
}

impl ImportReport {
    /// How many rows were left, in all tables.
    #[must_use]
    pub fn left_count(&self) -> u64 {
        let all = [self.users, self.accounts, self.sessions, self.verifications];
        all.iter().map(|rows| rows.left).sum()
    }

    pub(super) fn leave(&mut self, row: LeftRow) {
        if self.left.len() < MAX_LISTED {
            self.left.push(row);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::{ImportReport, LeftRow, MAX_LISTED};
    use crate::AuthError;

    #[test]
    fn so_many_rows_are_listed() {
        let mut report = ImportReport::default();
        for _ in 0..MAX_LISTED + 2 {
            report.leave(LeftRow {
                table: "users",
                id: "1".to_owned(),
                user_id: None,
                reason: AuthError::UserNotFound,
            });
        }
        assert_eq!(report.left.len(), MAX_LISTED);
    }
}
