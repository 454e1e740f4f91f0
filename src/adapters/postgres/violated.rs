//! Asks the server whether what a statement has violated is one of our constraints.

use super::error::{Failure, Operation};
use super::repository::Repository;
use super::violation::Violated;

const CONSTRAINT: Operation = Operation::read("constraint");

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
        // The application may have set another `search_path` for its transaction.
        let (was_lent, loses_settings) = match &self.transaction {
            Some(transaction) => {
                let inside = transaction.lock().await;
                (inside.was_lent, inside.loses_settings())
            }
            None => (false, false),
        };
        if !was_lent && known.contains(&table) {
            return true;
        }
        let (schema, name) = &table;
        // What only the rule of another table writes to was not found by a statement of ours.
        let found = self.run_after_failure(CONSTRAINT, |connection| {
            Box::pin(
                sqlx::query!(
                    "SELECT whole.oid = to_regclass($3) AS is_found, \
                     whole.relname = $3 AND NOT EXISTS (SELECT FROM pg_depend JOIN pg_rewrite ON pg_rewrite.oid = objid \
                     WHERE classid = 'pg_rewrite'::REGCLASS AND refclassid = 'pg_class'::REGCLASS \
                     AND refobjid IN (part.oid, whole.oid) AND ev_class <> refobjid AND ev_type <> '1') AS \"may_be_found!\", \
                     quote_ident(whole_schema.nspname) AS \"schema!\" \
                     FROM pg_class AS part JOIN pg_namespace ON pg_namespace.oid = part.relnamespace \
                     JOIN pg_class AS whole ON whole.oid = COALESCE(pg_partition_root(part.oid), part.oid) \
                     JOIN pg_namespace AS whole_schema ON whole_schema.oid = whole.relnamespace \
                     WHERE pg_namespace.nspname = $1 AND part.relname = $2",
                    schema,
                    name,
                    our_table,
                )
                .fetch_optional(connection),
            )
        });
        match found.await {
            Ok(Some(found)) if found.is_found == Some(true) => {
                if !was_lent {
                    known.add(table);
                }
                true
            }
            Ok(Some(found)) if found.may_be_found && loses_settings => {
                self.look_in(&found.schema).await;
                true
            }
            Ok(_) => false,
            // Nobody can be asked. The names agree, though.
            Err(_) => name == our_table,
        }
    }

    /// What else is asked about the failure is asked of this schema, in whose tables the statement that failed was: the path
    /// went with it. Without that, what the server has named decides.
    async fn look_in(&self, schema: &str) {
        let set = self.run_after_failure(CONSTRAINT, |connection| {
            Box::pin(
                sqlx::query!("SELECT set_config('search_path', $1, TRUE) AS path", schema)
                    .fetch_one(connection),
            )
        });
        let _ = set.await;
    }
}
