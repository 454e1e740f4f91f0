//! Asks the server whether what a statement has violated is one of our constraints.

use super::error::{Failure, Operation};
use super::repository::Repository;
use super::violation::Violated;

impl Repository {
    /// What of ours a failed statement has violated.
    pub(super) async fn violated(
        &self,
        failure: &Failure,
        operation: Operation,
    ) -> Option<Violated> {
        let violation = failure.violation(operation)?;
        let is_ours = match violation.table {
            // The name in the message has decided.
            None => true,
            Some(table) => self.is_ours(table, violation.our_table).await,
        };
        is_ours.then_some(violation.violated)
    }

    /// Whether a table is the one that our statements find by its name, or a partition of it.
    async fn is_ours(&self, table: (String, String), our_table: &'static str) -> bool {
        let known = &self.connections.our_tables;
        if known.contains(&table) {
            return true;
        }
        let (schema, name) = &table;
        let is_ours = self.run_after_failure(Operation::read("constraint"), |connection| {
            Box::pin(
                sqlx::query_scalar!(
                    "SELECT EXISTS (SELECT FROM pg_class JOIN pg_namespace ON pg_namespace.oid = relnamespace \
                     WHERE nspname = $1 AND relname = $2 \
                     AND COALESCE(pg_partition_root(pg_class.oid), pg_class.oid) = to_regclass($3)) AS \"is_ours!\"",
                    schema,
                    name,
                    our_table,
                )
                .fetch_one(connection),
            )
        });
        match is_ours.await {
            Ok(true) => {
                known.add(table);
                true
            }
            Ok(false) => false,
            // Nobody can be asked. The names agree, though.
            Err(_) => name == our_table,
        }
    }
}
