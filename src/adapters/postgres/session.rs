//! The statements about sessions, and the constraints of their table.

use std::sync::Arc;
use std::time::Duration;

use chrono::{DateTime, Utc};
use sqlx::PgConnection;
use sqlx::postgres::types::PgInterval;

use super::batch_loader::{BatchLoader, Keyed};
use super::columns::{JsonObject, NullableTime, Time, new_value};
use super::connection::{Settings, StatementFuture};
use super::error::Operation;
use super::live_session::LiveSession;
use super::repository::{Loaders, LookUp, MAX_SHARED_KEY, Repository};
use super::session_cache::{Cached, CachedSessions, Wanted};
use super::session_token::{SessionTokens, TokenLookup, digest, is_digest, is_presentable};
use super::user::with_user_columns;
use super::violation::{Constraints, Key, Reference};
use crate::adapters::input;
use crate::types::{CheckSession, CheckedSession, CreateSession, Session, UpdateSession, User};
use crate::{AuthError, AuthResult, ConflictField};

/// The columns of a session that stand for themselves, as `with_user_columns` has those of a user.
macro_rules! with_session_columns {
    ($name:ident { $($arguments:tt)* }) => {
        $name! {
            $($arguments)*
            "expires_at AS \"expires_at: Time\"" "token" "ip_address" "user_agent" "user_id" "impersonated_by"
            "active_organization_id"
        }
    };
}

/// A statement that answers with whole sessions: `query_session!("SELECT " COLUMNS " FROM sessions WHERE …", …)`.
macro_rules! query_session {
    (@columns [$before:literal COLUMNS $after:literal $(, $argument:expr)* $(,)?] $($column:literal)*) => {
        sqlx::query_as!(
            Session,
            $before
                + "id" $(+ ", " + $column)*
                + ", active, created_at AS \"created_at: Time\", updated_at AS \"updated_at: Time\""
                + $after
            $(, $argument)*
        )
    };
    ($($statement:tt)*) => {
        with_session_columns! { query_session { @columns [$($statement)*] } }
    };
}

/// A statement that answers with sessions `s` joined to their users `u`. The database's time takes the place of `active`,
/// which is true of every row that is found.
macro_rules! query_session_with_user {
    (
        @columns [$($session_column:literal)*]
        [$before:literal COLUMNS $after:literal $(, $argument:expr)* $(,)?] $($user_column:literal)*
    ) => {
        sqlx::query!(
            $before
                + "s.id" $(+ ", s." + $session_column)*
                + ", statement_timestamp() AS \"now!: Time\", s.created_at AS \"created_at: Time\", \
                   s.updated_at AS \"updated_at: Time\""
                $(+ ", u." + $user_column)*
                + ", u.metadata AS \"metadata: JsonObject\", u.created_at AS \"user_created_at: Time\", \
                   u.updated_at AS \"user_updated_at: Time\""
                + $after
            $(, $argument)*
        )
    };
    (@session_columns [$($statement:tt)*] $($session_column:literal)*) => {
        with_user_columns! { query_session_with_user { @columns [$($session_column)*] [$($statement)*] } }
    };
    ($($statement:tt)*) => {
        with_session_columns! { query_session_with_user { @session_columns [$($statement)*] } }
    };
}

/// What a row of `query_session_with_user!` says, whatever columns it has beside. The tokens are as clients present them.
macro_rules! live_session {
    ($row:ident, $presented:ident) => {{
        let mut session = Session {
            id: $row.id,
            expires_at: $row.expires_at.into(),
            token: $row.token,
            ip_address: $row.ip_address,
            user_agent: $row.user_agent,
            user_id: $row.user_id.clone(),
            impersonated_by: $row.impersonated_by,
            active_organization_id: $row.active_organization_id,
            active: true,
            created_at: $row.created_at.into(),
            updated_at: $row.updated_at.into(),
        };
        $presented.restore(&mut session.token);
        let user = User {
            id: $row.user_id,
            name: $row.name,
            email: $row.email,
            email_verified: $row.email_verified,
            image: $row.image,
            username: $row.username,
            display_username: $row.display_username,
            two_factor_enabled: $row.two_factor_enabled,
            role: $row.role,
            banned: $row.banned,
            ban_reason: $row.ban_reason,
            ban_expires: $row.ban_expires.into(),
            metadata: $row.metadata.into(),
            created_at: $row.user_created_at.into(),
            updated_at: $row.user_updated_at.into(),
        };
        LiveSession {
            session,
            user,
            now: $row.now.into(),
        }
    }};
}
pub(super) use {live_session, query_session, query_session_with_user, with_session_columns};

const CONSTRAINTS: Constraints = Constraints {
    table: "sessions",
    keys: &[Key {
        constraint: "sessions_token_key",
        columns: &["token"],
        field: ConflictField::SessionToken,
    }],
    references: &[Reference::to_user("sessions_user_id_fkey")],
};

/// What is wrong, and what to do about it.
pub(super) const PLAIN_TOKEN: &str = "a token in sessions is stored as it is, which an adapter with SessionTokens::HashedOnly \
    would not find, so that its user would be signed out: give every instance SessionTokens::Hashing, then call \
    SqlxAdapter::hash_stored_session_tokens(), then use HashedOnly";

impl Keyed for Session {
    fn key(&self) -> &str {
        &self.token
    }
}

impl LookUp for Session {
    const OPERATION: Operation = Operation::read("get_session");

    fn loader(loaders: &Loaders) -> &Arc<BatchLoader<Self>> {
        &loaders.sessions
    }

    fn find<'c>(
        connection: &'c mut PgConnection,
        tokens: &[String],
        settings: &Settings,
    ) -> StatementFuture<'c, Vec<Self>> {
        let presented = TokenLookup::new(tokens, settings.session_tokens);
        Box::pin(async move {
            let sessions = query_session!(
                "SELECT " COLUMNS " FROM sessions \
                 WHERE token = ANY ((SELECT $1::TEXT[])::TEXT[]) AND active AND expires_at > statement_timestamp()",
                presented.stored(),
            );
            let mut sessions = sessions.fetch_all(connection).await?;
            for session in &mut sessions {
                presented.restore(&mut session.token);
            }
            Ok(sessions)
        })
    }
}

impl LookUp for LiveSession {
    const OPERATION: Operation = Operation::read("get_session_with_user");

    fn loader(loaders: &Loaders) -> &Arc<BatchLoader<Self>> {
        &loaders.sessions_with_users
    }

    fn find<'c>(
        connection: &'c mut PgConnection,
        tokens: &[String],
        settings: &Settings,
    ) -> StatementFuture<'c, Vec<Self>> {
        let presented = TokenLookup::new(tokens, settings.session_tokens);
        Box::pin(async move {
            let rows = query_session_with_user!(
                "SELECT " COLUMNS " FROM sessions s JOIN users u ON u.id = s.user_id \
                 WHERE s.token = ANY ((SELECT $1::TEXT[])::TEXT[]) AND s.active AND s.expires_at > statement_timestamp()",
                presented.stored(),
            );
            let rows = rows.fetch_all(connection).await?.into_iter();
            let live = rows.map(|row| live_session!(row, presented));
            Ok(live.collect())
        })
    }
}

impl Repository {
    pub(super) async fn create_session(&self, session: CreateSession) -> AuthResult<Session> {
        let session = input::new_session(session, input::now())?;
        if !input::is_possible_id(&session.user_id) {
            return Err(AuthError::UserNotFound);
        }
        let stored_token = self.session_tokens().new_stored(&session.token);
        let operation = Operation::write("create_session").may_violate(&CONSTRAINTS);
        let created = self.fetch_one(operation, || {
            query_session!(
                "INSERT INTO sessions (id, expires_at, token, ip_address, user_agent, user_id, impersonated_by, \
                 active_organization_id, created_at, updated_at) \
                 VALUES ($1, $2, $3, $4, $5, $6, $7, $8, statement_timestamp(), statement_timestamp()) \
                 RETURNING " COLUMNS "",
                session.id,
                session.expires_at,
                stored_token,
                session.ip_address,
                session.user_agent,
                session.user_id,
                session.impersonated_by,
                session.active_organization_id,
            )
        });
        Ok(with_token(created.await?, &session.token))
    }

    pub(super) async fn get_session(&self, token: &str) -> AuthResult<Option<Session>> {
        if !is_presentable(token) {
            return Ok(None);
        }
        let Some(cache) = self.session_cache_for(token) else {
            return self.look_up(token).await;
        };
        match cache.store.look_up(token, Wanted::Session).await {
            Cached::Row(row, _) => Ok(Some(row.session(token))),
            Cached::Missing(loading) => {
                let found: Option<Session> = self.look_up(token).await?;
                if let Some(session) = &found {
                    cache.store.keep(&loading, session, None);
                }
                Ok(found)
            }
            Cached::Bypassed => {
                cache.revive(&self.connections);
                self.look_up(token).await
            }
        }
    }

    fn session_tokens(&self) -> SessionTokens {
        self.connections.settings.session_tokens
    }

    /// Fails if sessions are stored that an adapter with [`SessionTokens::HashedOnly`] does not find.
    pub(super) async fn check_session_tokens(&self) -> AuthResult<()> {
        const NAME: &str = "connect";
        if self.session_tokens() != SessionTokens::HashedOnly
            || !self.has_plain_session_tokens(NAME).await?
        {
            return Ok(());
        }
        let server = &self.connections.server;
        Err(AuthError::database(format!(
            "{NAME} on {server}: {PLAIN_TOKEN}"
        )))
    }

    /// Whether a token is stored as it is. No table yet, no token.
    ///
    /// Digests have a beginning of their own and so lie side by side in the index: any other token comes before the first
    /// or after the last of them. (Only a collation that skips signs or case puts a token such as `SHA256-…` between.)
    pub(super) async fn has_plain_session_tokens(&self, name: &'static str) -> AuthResult<bool> {
        let ends = self.try_run(Operation::read(name), |connection| {
            let query =
                sqlx::query!("SELECT min(token) AS first, max(token) AS last FROM sessions");
            Box::pin(query.fetch_one(connection))
        });
        match ends.await {
            Ok(ends) => Ok([ends.first, ends.last]
                .into_iter()
                .flatten()
                .any(|token| !is_digest(&token))),
            Err(failure) if failure.is_missing_table() => Ok(false),
            Err(failure) => Err(self.error(failure, Operation::read(name))),
        }
    }

    /// The cache, if there is one. `None` for a very long token: no session has such a token, and its digest costs time.
    pub(super) fn session_cache_for(&self, token: &str) -> Option<&CachedSessions> {
        let cache = self.session_cache.as_ref();
        cache.filter(|_| token.len() <= MAX_SHARED_KEY)
    }

    /// Begins to listen, if there is a session cache.
    pub(super) async fn start_session_cache(&self) -> AuthResult<()> {
        match &self.session_cache {
            Some(cache) => cache.start(&self.connections).await,
            None => Ok(()),
        }
    }

    pub(super) async fn get_user_sessions(&self, user_id: &str) -> AuthResult<Vec<Session>> {
        if !input::is_possible_id(user_id) {
            return Ok(Vec::new());
        }
        self.fetch_all(Operation::read("get_user_sessions"), || {
            query_session!(
                "SELECT " COLUMNS " FROM sessions \
                 WHERE user_id = $1 AND active AND expires_at > statement_timestamp() \
                 ORDER BY sessions.created_at DESC, sessions.id COLLATE \"C\" DESC",
                user_id,
            )
        })
        .await
    }

    pub(super) async fn get_session_with_user(
        &self,
        token: &str,
    ) -> AuthResult<Option<(Session, User)>> {
        let found = self.live_session(token).await?;
        Ok(found.map(|LiveSession { session, user, .. }| (session, user)))
    }

    pub(super) async fn live_session(&self, token: &str) -> AuthResult<Option<LiveSession>> {
        if !is_presentable(token) {
            return Ok(None);
        }
        let Some(cache) = self.session_cache_for(token) else {
            return self.look_up(token).await;
        };
        match cache.store.look_up(token, Wanted::SessionWithUser).await {
            Cached::Row(row, now) => {
                Ok(row
                    .with_user(token)
                    .map(|(session, user)| LiveSession { session, user, now }))
            }
            Cached::Missing(loading) => {
                let found: Option<LiveSession> = self.look_up(token).await?;
                if let Some(found) = &found {
                    cache
                        .store
                        .keep(&loading, &found.session, Some(&found.user));
                }
                Ok(found)
            }
            Cached::Bypassed => {
                cache.revive(&self.connections);
                self.look_up(token).await
            }
        }
    }

    pub(super) async fn refresh_session(
        &self,
        token: &str,
        lifetime: Duration,
        update_age: Duration,
    ) -> AuthResult<Option<(Session, User)>> {
        let check = CheckSession::new().with_refresh(lifetime, update_age);
        let found = self.check_session(token, check).await?;
        Ok(found.map(|found| (found.session, found.user)))
    }

    /// Leaves a session alone that someone else has locked: they extend it, or end it.
    pub(super) async fn check_session(
        &self,
        token: &str,
        check: CheckSession,
    ) -> AuthResult<Option<CheckedSession>> {
        let refresh = input::Refresh::of_check(&check)?;
        let found = if check.member {
            // Few calls do, so it is no part of every call's future.
            Box::pin(self.live_session_with_member(token)).await?
        } else {
            let found = self.live_session(token).await?;
            found.map(|found| (found, None))
        };
        let Some((LiveSession { session, user, now }, member)) = found else {
            return Ok(None);
        };
        let extended = match refresh {
            Some(refresh) if refresh.is_due(&session, now) => {
                Box::pin(self.extend_session(token, &refresh)).await?
            }
            _ => None,
        };
        Ok(Some(CheckedSession {
            extended: extended.is_some(),
            session: extended.unwrap_or(session),
            user,
            member,
        }))
    }

    /// `None` if someone else has just extended it, ended it, or does so at this moment.
    async fn extend_session(
        &self,
        token: &str,
        refresh: &input::Refresh,
    ) -> AuthResult<Option<Session>> {
        let stored = self.session_tokens().stored(token);
        let extended = self.fetch_optional(Operation::write("refresh_session"), || {
            query_session!(
                "UPDATE sessions SET \
                 expires_at = statement_timestamp() + $2, \
                 updated_at = GREATEST(statement_timestamp(), \
                 (updated_at AT TIME ZONE 'UTC' + INTERVAL '1 microsecond') AT TIME ZONE 'UTC') \
                 WHERE id = (SELECT id FROM sessions WHERE token = ANY ((SELECT $1::TEXT[])::TEXT[]) \
                 FOR NO KEY UPDATE SKIP LOCKED) \
                 AND active AND expires_at > statement_timestamp() AND expires_at <= statement_timestamp() + $3 \
                 RETURNING " COLUMNS "",
                &stored,
                microseconds(refresh.lifetime),
                microseconds(refresh.due_within()),
            )
        });
        Ok(extended.await?.map(|session| with_token(session, token)))
    }

    pub(super) async fn update_session_expiry(
        &self,
        token: &str,
        expires_at: DateTime<Utc>,
    ) -> AuthResult<()> {
        let update = UpdateSession {
            expires_at: Some(expires_at),
            ..UpdateSession::default()
        };
        self.update_session(token, update).await.map(drop)
    }

    pub(super) async fn update_session(
        &self,
        token: &str,
        update: UpdateSession,
    ) -> AuthResult<Session> {
        let update = input::session_update(update)?;
        if update == UpdateSession::default() {
            return self
                .get_session(token)
                .await?
                .ok_or(AuthError::SessionNotFound);
        }
        if !is_presentable(token) {
            return Err(AuthError::SessionNotFound);
        }
        let stored = self.session_tokens().stored(token);
        let updated = self.fetch_optional(Operation::write("update_session"), || {
            query_session!(
                "UPDATE sessions SET \
                 expires_at = COALESCE($2, expires_at), \
                 ip_address = CASE WHEN $3 THEN $4 ELSE ip_address END, \
                 user_agent = CASE WHEN $5 THEN $6 ELSE user_agent END, \
                 impersonated_by = CASE WHEN $7 THEN $8 ELSE impersonated_by END, \
                 active_organization_id = CASE WHEN $9 THEN $10 ELSE active_organization_id END, \
                 active = COALESCE($11, active), \
                 updated_at = GREATEST(statement_timestamp(), \
                 (updated_at AT TIME ZONE 'UTC' + INTERVAL '1 microsecond') AT TIME ZONE 'UTC') \
                 WHERE token = ANY ((SELECT $1::TEXT[])::TEXT[]) AND active AND expires_at > statement_timestamp() \
                 RETURNING " COLUMNS "",
                &stored,
                update.expires_at,
                update.ip_address.is_some(),
                new_value(&update.ip_address),
                update.user_agent.is_some(),
                new_value(&update.user_agent),
                update.impersonated_by.is_some(),
                new_value(&update.impersonated_by),
                update.active_organization_id.is_some(),
                new_value(&update.active_organization_id),
                update.active,
            )
        });
        let session = updated.await?.ok_or(AuthError::SessionNotFound)?;
        Ok(with_token(session, token))
    }

    /// Takes what the table holds as well as what a client presents, as lists show the former.
    pub(super) async fn delete_session(&self, token: &str) -> AuthResult<()> {
        if !input::is_possible_text(token) {
            return Ok(());
        }
        self.execute(Operation::write("delete_session"), || {
            sqlx::query!(
                "DELETE FROM sessions WHERE token IN ($1, $2)",
                token,
                digest(token),
            )
        })
        .await
        .map(drop)
    }

    pub(super) async fn delete_user_sessions(&self, user_id: &str) -> AuthResult<()> {
        if !input::is_possible_id(user_id) {
            return Ok(());
        }
        self.execute(Operation::write("delete_user_sessions"), || {
            sqlx::query!("DELETE FROM sessions WHERE user_id = $1", user_id)
        })
        .await
        .map(drop)
    }

    /// As `delete_session`, takes what the table holds as well.
    pub(super) async fn delete_other_sessions(
        &self,
        user_id: &str,
        keep_token: &str,
    ) -> AuthResult<usize> {
        if !input::is_possible_id(user_id) {
            return Ok(0);
        }
        let kept = if input::is_possible_text(keep_token) {
            vec![keep_token.to_owned(), digest(keep_token)]
        } else {
            Vec::new()
        };
        let live = self.run(Operation::write("delete_other_sessions"), |connection| {
            let query = sqlx::query_scalar!(
                "WITH deleted AS ( \
                 DELETE FROM sessions WHERE user_id = $1 AND token <> ALL ($2) RETURNING active, expires_at) \
                 SELECT count(*) FILTER (WHERE active AND expires_at > statement_timestamp()) AS \"live!\" FROM deleted",
                user_id,
                &kept,
            );
            Box::pin(query.fetch_one(connection))
        });
        Ok(usize::try_from(live.await?).unwrap_or_default())
    }

    pub(super) async fn delete_session_by_id(&self, user_id: &str, id: &str) -> AuthResult<()> {
        if !input::is_possible_id(user_id) || !input::is_possible_id(id) {
            return Ok(());
        }
        self.execute(Operation::write("delete_session_by_id"), || {
            sqlx::query!(
                "DELETE FROM sessions WHERE id = $1 AND user_id = $2",
                id,
                user_id,
            )
        })
        .await
        .map(drop)
    }
}

pub(super) fn microseconds(microseconds: i64) -> PgInterval {
    PgInterval {
        months: 0,
        days: 0,
        microseconds,
    }
}

fn with_token(session: Session, token: &str) -> Session {
    Session {
        token: token.to_owned(),
        ..session
    }
}
