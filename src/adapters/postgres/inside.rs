//! The connection of a transaction: savepoints, and whether a commit would commit.

use sqlx::{Executor as _, PgConnection};

use super::connection::{Lease, StatementFuture, depth};

/// What the calls have left.
#[derive(Clone, Copy, Default)]
pub(super) struct Status {
    /// Nothing can be committed. Set during each call, so that it stays if the call is dropped.
    pub(super) is_aborted: bool,
    /// The application has the connection.
    pub(super) is_lent: bool,
    /// A statement of the application's conflicted with another transaction.
    pub(super) has_conflicted: bool,
}

/// The connection of a transaction.
pub(super) struct Inside {
    pub(super) lease: Lease,
    savepoint: Savepoint,
    /// A statement of the application's may have aborted the transaction at the server, or ended it. The server would
    /// answer COMMIT all the same.
    pub(super) is_doubtful: bool,
    /// The application has had the connection, and may have set what holds until the transaction ends.
    pub(super) was_lent: bool,
    /// A statement of a call has failed, and is not undone.
    has_failed: bool,
}

/// What a failed call goes back to.
#[derive(Clone, Copy, PartialEq)]
enum Savepoint {
    /// Nothing: a failed call aborts the transaction.
    Off,
    None,
    /// The savepoint of an earlier call.
    Left,
    /// The savepoint of the call under way.
    Set,
}

impl Inside {
    pub(super) fn own(lease: Lease) -> Self {
        Self {
            lease,
            savepoint: Savepoint::Off,
            is_doubtful: false,
            was_lent: false,
            has_failed: false,
        }
    }

    /// In a transaction of the application's, which may have failed before.
    pub(super) fn joined(lease: Lease) -> Self {
        Self {
            is_doubtful: true,
            was_lent: true,
            ..Self::own(lease)
        }
    }

    /// From now on, a failed call leaves the transaction usable.
    pub(super) fn set_savepoints(&mut self) {
        if self.savepoint == Savepoint::Off {
            self.savepoint = Savepoint::None;
        }
    }

    /// Runs a statement of a call.
    pub(super) async fn run<T>(
        &mut self,
        statement: impl for<'c> FnOnce(&'c mut PgConnection) -> StatementFuture<'c, T>,
    ) -> sqlx::Result<T> {
        let set = match self.savepoint {
            Savepoint::Off | Savepoint::Set => None,
            Savepoint::None => Some("SAVEPOINT better_auth"),
            Savepoint::Left => Some("RELEASE SAVEPOINT better_auth; SAVEPOINT better_auth"),
        };
        if let Some(set) = set {
            self.lease.run(|connection| connection.execute(set)).await?;
            self.savepoint = Savepoint::Set;
        }
        let answer = self.lease.run(statement).await;
        self.is_doubtful &= answer.is_err();
        self.has_failed |= answer.is_err();
        answer
    }

    /// Makes the connection usable for what else has to be asked after a statement of a call failed.
    pub(super) async fn undo_failed_statement(&mut self) -> sqlx::Result<()> {
        if self.has_failed {
            self.undo_statement().await?;
        }
        Ok(())
    }

    /// Whether a failed statement leaves the connection without what the application has set for the transaction.
    pub(super) fn loses_settings(&self) -> bool {
        self.was_lent && self.savepoint == Savepoint::Off
    }

    /// Without a savepoint, the transaction begins anew, and nothing of it will be done.
    async fn undo_statement(&mut self) -> sqlx::Result<()> {
        let undo = match self.savepoint {
            Savepoint::Off => "ROLLBACK AND CHAIN",
            _ => "ROLLBACK TO SAVEPOINT better_auth",
        };
        let undone = self.lease.run(|connection| connection.execute(undo));
        undone.await?;
        self.has_failed = false;
        Ok(())
    }

    pub(super) fn end_call(&mut self) {
        if self.savepoint == Savepoint::Set {
            self.savepoint = Savepoint::Left;
        }
    }

    pub(super) fn has_failed(&self) -> bool {
        self.has_failed
    }

    /// Undoes a call that failed. Whether the transaction can go on.
    pub(super) async fn undo_call(&mut self) -> bool {
        let is_usable = match self.savepoint {
            Savepoint::Off => false,
            Savepoint::None | Savepoint::Left => true,
            Savepoint::Set => self.undo_statement().await.is_ok(),
        };
        self.end_call();
        is_usable
    }

    /// Removes the savepoint, so that the application's do not get in its way.
    pub(super) async fn release_savepoint(&mut self) -> sqlx::Result<()> {
        if self.savepoint == Savepoint::Left {
            self.lease
                .run(|connection| connection.execute("RELEASE SAVEPOINT better_auth"))
                .await?;
            self.savepoint = Savepoint::None;
        }
        Ok(())
    }

    /// Whether the server has the transaction open, and a COMMIT would commit it.
    pub(super) async fn can_commit(&mut self) -> bool {
        if depth(self.lease.peek()) != 1 {
            return false;
        }
        if self.is_doubtful {
            // An aborted transaction refuses it, and so does a connection outside a transaction.
            let checked = self.lease.run(|connection| {
                connection
                    .execute("SAVEPOINT better_auth_check; RELEASE SAVEPOINT better_auth_check")
            });
            self.is_doubtful = checked.await.is_err();
        }
        !self.is_doubtful
    }
}
