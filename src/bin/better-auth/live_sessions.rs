//! The live sessions of a user, a page at a time, as there may be any number. No token is read.

use better_auth::adapters::SqlxAdapter;
use better_auth::chrono::{DateTime, Utc};
use better_auth::{Session, sqlx};

use crate::database::statement_error;
use crate::output::Problem;

const PAGE: i64 = 1000;
/// A page begins behind the time of creation, as the server writes it, and the id of a row. This one comes before all.
const START: (&str, &str) = ("infinity", "\u{10ffff}");

/// Pages of the sessions, the newest first.
pub(crate) struct LiveSessions<'a> {
    database: &'a SqlxAdapter,
    user_id: &'a str,
    after: Option<(String, String)>,
}

impl<'a> LiveSessions<'a> {
    pub(crate) fn of(database: &'a SqlxAdapter, user_id: &'a str) -> Self {
        let (created_at, id) = START;
        Self {
            database,
            user_id,
            after: Some((created_at.to_owned(), id.to_owned())),
        }
    }

    /// The next page. `None` at the end.
    pub(crate) async fn next(&mut self) -> Result<Option<Vec<Session>>, Problem> {
        let Some((created_at, id)) = self.after.take() else {
            return Ok(None);
        };
        let mut connection = self.database.acquire().await?;
        // The end of time has no place in this program's.
        let rows = sqlx::query!(
            "SELECT id, CASE WHEN isfinite(expires_at) THEN expires_at END AS expires_at, ip_address, user_agent, \
             impersonated_by, active_organization_id, CASE WHEN isfinite(created_at) THEN created_at END AS created_at, \
             CASE WHEN isfinite(updated_at) THEN updated_at END AS updated_at, created_at::TEXT AS \"position!\" \
             FROM sessions WHERE user_id = $1 AND active AND expires_at > statement_timestamp() \
             AND (created_at, id COLLATE \"C\") < ($2::TEXT::TIMESTAMPTZ, $3) \
             ORDER BY sessions.created_at DESC, id COLLATE \"C\" DESC LIMIT $4",
            self.user_id,
            created_at,
            id,
            PAGE,
        )
        .fetch_all(&mut *connection)
        .await
        .map_err(|error| statement_error("the sessions of the user cannot be read", error))?;
        let is_full = i64::try_from(rows.len()).is_ok_and(|rows| rows >= PAGE);
        let last = rows.last().filter(|_| is_full);
        self.after = last.map(|row| (row.position.clone(), row.id.clone()));
        let finite = |time: Option<DateTime<Utc>>| time.unwrap_or(DateTime::<Utc>::MAX_UTC);
        let sessions = rows.into_iter().map(|row| Session {
            id: row.id,
            expires_at: finite(row.expires_at),
            token: String::new(),
            ip_address: row.ip_address,
            user_agent: row.user_agent,
            user_id: self.user_id.to_owned(),
            impersonated_by: row.impersonated_by,
            active_organization_id: row.active_organization_id,
            active: true,
            created_at: finite(row.created_at),
            updated_at: finite(row.updated_at),
        });
        Ok(Some(sessions.collect()))
    }
}

/// How many there are.
pub(crate) async fn count(database: &SqlxAdapter, user_id: &str) -> Result<usize, Problem> {
    let mut connection = database.acquire().await?;
    let count = sqlx::query_scalar!(
        "SELECT count(*) AS \"count!\" FROM sessions \
         WHERE user_id = $1 AND active AND expires_at > statement_timestamp()",
        user_id,
    )
    .fetch_one(&mut *connection)
    .await
    .map_err(|error| statement_error("the sessions of the user cannot be counted", error))?;
    Ok(usize::try_from(count).unwrap_or_default())
}

/// Which of these ids are those of live sessions of the user.
pub(crate) async fn those_of(
    database: &SqlxAdapter,
    user_id: &str,
    ids: &[String],
) -> Result<Vec<String>, Problem> {
    let mut connection = database.acquire().await?;
    sqlx::query_scalar!(
        "SELECT id FROM sessions \
         WHERE user_id = $1 AND id = ANY ($2) AND active AND expires_at > statement_timestamp()",
        user_id,
        ids,
    )
    .fetch_all(&mut *connection)
    .await
    .map_err(|error| statement_error("the sessions of the user cannot be read", error))
}
