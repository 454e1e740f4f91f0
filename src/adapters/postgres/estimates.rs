//! How many rows there are, as the planner estimates it: no statement here reads a table.

use sqlx::types::JsonValue;

use super::cleanup::DeadRows;
use super::error::Operation;
use super::progress::Observer;
use super::repository::Repository;

/// The rows that an operation works through.
#[derive(Clone, Copy)]
pub(super) enum Rows {
    Users,
    Sessions,
    Dead(DeadRows),
}

macro_rules! explain {
    ($rows:ident, $connection:ident, $($kind:pat => $explain:literal,)+) => {
        match $rows {
            $($kind => Box::pin(
                sqlx::query_scalar!($explain).fetch_one($connection)
            ),)+
        }
    };
}

impl Repository {
    /// Begins a step whose rows the planner counts. Without an estimate the operation goes on all the same.
    pub(super) async fn begin_step(&self, observer: &mut Observer<'_>, step: &str, rows: Rows) {
        if observer.is_silent() {
            return;
        }
        let estimate = Box::pin(self.estimate(rows)).await;
        observer.begin(step, estimate).await;
    }

    async fn estimate(&self, rows: Rows) -> Option<u64> {
        let plan = self.run(Operation::read("estimate"), |connection| {
            explain!(rows, connection,
                Rows::Users => "EXPLAIN (FORMAT JSON) SELECT FROM users",
                Rows::Sessions => "EXPLAIN (FORMAT JSON) SELECT FROM sessions",
                Rows::Dead(DeadRows::ExpiredSessions) => "EXPLAIN (FORMAT JSON) SELECT FROM sessions WHERE expires_at <= statement_timestamp()",
                Rows::Dead(DeadRows::InactiveSessions) => "EXPLAIN (FORMAT JSON) SELECT FROM sessions WHERE NOT active",
                Rows::Dead(DeadRows::ExpiredVerifications) => "EXPLAIN (FORMAT JSON) SELECT FROM verifications WHERE expires_at <= statement_timestamp()",
                Rows::Dead(DeadRows::EndedRateLimits) => "EXPLAIN (FORMAT JSON) SELECT FROM rate_limit WHERE expires_at <= statement_timestamp()",
                Rows::Dead(DeadRows::ExpiredDeviceCodes) => "EXPLAIN (FORMAT JSON) SELECT FROM device_code WHERE expires_at <= statement_timestamp()",
                Rows::Dead(DeadRows::ExpiredApiKeys) => "EXPLAIN (FORMAT JSON) SELECT FROM api_keys WHERE expires_at <= statement_timestamp()",
            )
        });
        planned_rows(&plan.await.ok()??)
    }
}

fn planned_rows(plan: &JsonValue) -> Option<u64> {
    plan.pointer("/0/Plan/Plan Rows")?.as_u64()
}

#[cfg(test)]
mod tests {
    use super::planned_rows;

    #[test]
    fn a_plan_without_rows_is_no_estimate() {
        let plan = serde_json::json!([{ "Plan": { "Node Type": "Seq Scan", "Plan Rows": 7 } }]);
        assert_eq!(planned_rows(&plan), Some(7));
        assert_eq!(
            planned_rows(&serde_json::json!(["Utility Statement"])),
            None
        );
    }
}
