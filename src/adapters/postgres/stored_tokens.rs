//! `hash_stored_session_tokens`: hashes the tokens that are stored as they are.

use std::collections::HashSet;
use std::mem;
use std::time::Duration;

use sqlx::PgConnection;

use super::error::Operation;
use super::estimates::Rows;
use super::progress::Observer;
use super::repository::Repository;
use super::row_batches::{Batch, BatchQuery, MAX_LOCKED_ROWS, Run, with_locks_gone};
use super::session_token::{digest, is_digest};
use crate::AuthResult;

const OPERATION: Operation = Operation::write("hash_stored_session_tokens");
/// How often rows that another transaction has locked are looked at again.
const MAX_LOOKS: u32 = 10;
const PAUSE: Duration = Duration::from_millis(200);

struct StoredToken {
    id: String,
    token: String,
}

impl Repository {
    /// Hashes the tokens that are stored as they are, walking the table by id, and says how many there were.
    pub(super) async fn hash_stored_session_tokens(
        &self,
        observer: &mut Observer<'_>,
    ) -> AuthResult<usize> {
        self.begin_step(observer, "hashing session tokens", Rows::Sessions)
            .await;
        let mut run = self.hash_tokens_after(None, observer).await?;
        for _ in 0..MAX_LOOKS {
            if run.locked_count == 0 {
                break;
            }
            tokio::time::sleep(PAUSE).await;
            let count = u64::try_from(run.locked_count).ok();
            observer
                .begin("hashing tokens of sessions that were locked", count)
                .await;
            let mut again = self.hash_tokens_of(run.locked.clone(), observer).await?;
            // The walk was in the order of the ids: all that were forgotten are behind the last one.
            if let (true, Some(last)) = (run.forgot_locked(), run.locked.last()) {
                let mut walked = self.hash_tokens_after(Some(last.clone()), observer).await?;
                // Those that are locked still come first.
                walked.locked.splice(..0, mem::take(&mut again.locked));
                walked.locked_count += again.locked_count;
                walked.locked.truncate(MAX_LOCKED_ROWS);
                again.then(walked);
            }
            run.then(again);
        }
        self.end_run(OPERATION, run, "sessions", "hashed")
    }

    /// Walks the table behind an id.
    async fn hash_tokens_after(
        &self,
        after_id: Option<String>,
        observer: &mut Observer<'_>,
    ) -> AuthResult<Run> {
        let start = BatchQuery {
            after_id,
            ..BatchQuery::default()
        };
        let mut run = Run::default();
        self.run_in_batches(
            OPERATION,
            start,
            observer,
            &mut run,
            |batch| batch.found,
            |connection, query| {
                let (after_id, limit) = (query.after_id.clone(), query.limit);
                let changes = query.changes;
                Box::pin(async move {
                    let sessions = sqlx::query_as!(
                        StoredToken,
                        "SELECT id, token FROM sessions \
                         WHERE id >= COALESCE($1, '') AND id IS DISTINCT FROM $1 ORDER BY id LIMIT $2",
                        after_id,
                        limit,
                    );
                    let sessions = sessions.fetch_all(&mut *connection).await?;
                    let batch = Batch {
                        found: sessions.len(),
                        last_id: sessions.last().map(|session| session.id.clone()),
                        ..Batch::default()
                    };
                    hash(connection, sessions, changes, batch).await
                })
            },
        )
        .await?;
        Ok(run)
    }

    /// Looks at these sessions again.
    async fn hash_tokens_of(
        &self,
        ids: Vec<String>,
        observer: &mut Observer<'_>,
    ) -> AuthResult<Run> {
        let mut run = Run::default();
        self.run_in_batches(
            OPERATION,
            BatchQuery::default(),
            observer,
            &mut run,
            |batch| batch.found,
            |connection, query| {
                let ids = after(&ids, query.after_id.as_deref(), query.limit);
                let changes = query.changes;
                Box::pin(async move {
                    let sessions = sqlx::query_as!(
                        StoredToken,
                        "SELECT id, token FROM sessions WHERE id = ANY ($1) ORDER BY id",
                        &ids,
                    );
                    let sessions = sessions.fetch_all(&mut *connection).await?;
                    let batch = Batch {
                        found: ids.len(),
                        last_id: ids.into_iter().next_back(),
                        ..Batch::default()
                    };
                    hash(connection, sessions, changes, batch).await
                })
            },
        )
        .await?;
        Ok(run)
    }
}

/// The next ids behind one, in the order in which they are.
fn after(ids: &[String], after: Option<&str>, limit: i64) -> Vec<String> {
    let place = after.and_then(|after| ids.iter().position(|id| id == after));
    let begin = place.map_or(0, |place| place + 1);
    let limit = usize::try_from(limit).unwrap_or(usize::MAX);
    ids.iter().skip(begin).take(limit).cloned().collect()
}

/// Hashes the tokens of sessions, unless another transaction has locked them or they have changed.
async fn hash(
    connection: &mut PgConnection,
    sessions: Vec<StoredToken>,
    changes: bool,
    batch: Batch,
) -> sqlx::Result<Batch> {
    let plain = sessions
        .into_iter()
        .filter(|session| !is_digest(&session.token));
    let (ids, tokens): (Vec<_>, Vec<_>) = plain.map(|session| (session.id, session.token)).unzip();
    if ids.is_empty() {
        return Ok(batch);
    }
    if !changes {
        return Ok(Batch { kept: ids, ..batch });
    }
    let digests: Vec<_> = tokens.iter().map(|token| digest(token)).collect();
    let answer = sqlx::query!(
        "WITH batch AS MATERIALIZED ( \
         SELECT id FROM sessions WHERE id = ANY ($1) AND token = ANY ($2) FOR UPDATE SKIP LOCKED), \
         hashed AS (UPDATE sessions SET token = plain.digest \
         FROM unnest($1::TEXT[], $2::TEXT[], $3::TEXT[]) AS plain (id, token, digest) \
         WHERE sessions.id = plain.id AND sessions.token = plain.token \
         AND sessions.id = ANY (ARRAY(SELECT id FROM batch)) RETURNING sessions.id) \
         SELECT ARRAY(SELECT id FROM batch) AS \"free!\", ARRAY(SELECT id FROM hashed) AS \"hashed!\"",
        &ids,
        &tokens,
        &digests,
    )
    .fetch_one(&mut *connection)
    .await;
    let answer = with_locks_gone(answer, connection).await?;
    let free: HashSet<&String> = answer.free.iter().collect();
    let hashed: HashSet<&String> = answer.hashed.iter().collect();
    let (free, locked): (Vec<_>, Vec<_>) = ids.into_iter().partition(|id| free.contains(id));
    Ok(Batch {
        changed: hashed.len(),
        kept: free.into_iter().filter(|id| !hashed.contains(id)).collect(),
        locked,
        ..batch
    })
}

#[cfg(test)]
mod tests {
    use super::after;

    #[test]
    fn batches_of_ids_follow_each_other() {
        let ids = ["a", "b", "c"].map(str::to_owned);
        assert_eq!(after(&ids, None, 2), ["a", "b"]);
        assert_eq!(after(&ids, Some("a"), 2), ["b", "c"]);
        assert_eq!(after(&ids, Some("b"), 2), ["c"]);
        assert_eq!(after(&ids, Some("c"), 2), [""; 0]);
    }
}
