//! `hash_stored_session_tokens`: hashes the tokens that are stored as they are.

use std::collections::HashSet;
use std::time::Duration;

use sqlx::PgConnection;

use super::error::Operation;
use super::estimates::Rows;
use super::progress::Observer;
use super::repository::Repository;
use super::row_batches::{Batch, BatchQuery, with_locks_gone};
use super::session_token::{digest, is_digest};
use crate::AuthResult;

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
        const OPERATION: Operation = Operation::write("hash_stored_session_tokens");
        let found = |batch: &Batch| batch.found;
        let start = BatchQuery::default;
        self.begin_step(observer, "hashing session tokens", Rows::Sessions)
            .await;
        let mut run = self
            .run_in_batches(OPERATION, start(), observer, found, |connection, query| {
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
            })
            .await?;
        for _ in 0..MAX_LOOKS {
            if run.locked.is_empty() {
                break;
            }
            tokio::time::sleep(PAUSE).await;
            let mut locked = run.locked.clone();
            locked.sort_unstable();
            let count = u64::try_from(locked.len()).ok();
            observer
                .begin("hashing tokens of sessions that were locked", count)
                .await;
            let again =
                self.run_in_batches(OPERATION, start(), observer, found, |connection, query| {
                    let ids = after(&locked, query.after_id.as_deref(), query.limit);
                    let changes = query.changes;
                    Box::pin(async move {
                        let sessions = sqlx::query_as!(
                            StoredToken,
                            "SELECT id, token FROM sessions WHERE id = ANY ($1)",
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
                });
            run.then(again.await?);
        }
        self.end_run(OPERATION, run, "sessions", "hashed")
    }
}

/// The next ids behind one.
fn after(ids: &[String], after: Option<&str>, limit: i64) -> Vec<String> {
    let begin = ids.partition_point(|id| Some(id.as_str()) <= after);
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
