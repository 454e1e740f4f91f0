//! Statements that are sent again if that is safe.

use std::time::Duration;

use sqlx::PgConnection;

use super::super::error::{Class, Failure, Operation};
use super::connections::Connections;
use super::lease::{Lease, StatementFuture};
use crate::adapters::backoff::backoff;
use crate::adapters::telemetry;

impl Connections {
    /// Runs a statement, and runs it again if that is safe: after a conflict with others, and on another connection if
    /// the first one turns out to be dead or unfit before anything was done.
    pub(in super::super) async fn run<T>(
        &self,
        operation: Operation,
        statement: impl for<'c> Fn(&'c mut PgConnection) -> StatementFuture<'c, T>,
    ) -> Result<T, Failure> {
        let (answer, _) = self.run_on_lease(operation, statement).await?;
        Ok(answer)
    }

    /// As [`run`](Self::run), with the connection for what comes next.
    pub(in super::super) async fn run_on_lease<T>(
        &self,
        operation: Operation,
        statement: impl for<'c> Fn(&'c mut PgConnection) -> StatementFuture<'c, T>,
    ) -> Result<(T, Lease), Failure> {
        self.run_within(self.acquire_timeout(), operation, statement)
            .await
    }

    /// As [`run_on_lease`](Self::run_on_lease), with a limit for each wait for a connection.
    pub(in super::super) async fn run_within<T>(
        &self,
        limit: Duration,
        operation: Operation,
        statement: impl for<'c> Fn(&'c mut PgConnection) -> StatementFuture<'c, T>,
    ) -> Result<(T, Lease), Failure> {
        let mut conflicts = 0;
        // Each of them leaves the pool when it is found.
        let mut lost_connections = 0;
        loop {
            let mut lease = self
                .acquire_within(limit)
                .await
                .map_err(Failure::of_connection)?;
            if operation.in_transaction {
                lease.enter_transaction();
            }
            if !operation.is_durable_write() {
                lease.make_replaceable();
            }
            let failure = match lease.run(&statement).await {
                Ok(answer) => return Ok((answer, lease)),
                Err(error) => Failure::of_statement(error, operation),
            };
            self.note_failure(failure.class, &mut lease);
            drop(lease);
            match failure.class {
                Class::Contention if conflicts < self.settings.max_retries => {
                    tokio::time::sleep(backoff(conflicts)).await;
                    conflicts += 1;
                }
                Class::DeadConnection | Class::StalePlan | Class::ReadOnly
                    if lost_connections < self.max_connections() =>
                {
                    lost_connections += 1;
                }
                _ => return Err(failure),
            }
            telemetry::retried(
                operation.name,
                failure.class.name(),
                conflicts + lost_connections,
            );
        }
    }

    /// Keeps a connection that fits no longer from the next caller.
    pub(in super::super) fn note_failure(&self, class: Class, lease: &mut Lease) {
        if class.is_connection_unfit() {
            lease.spoil(class.name());
        }
        if class == Class::ReadOnly {
            self.suspect_all();
        }
    }
}
