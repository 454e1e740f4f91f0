//! What a check of a session finds that also asks for the membership of the active organization.

use std::sync::Arc;

use sqlx::PgConnection;

use super::batch_loader::{BatchLoader, Keyed};
use super::columns::{JsonObject, NullableTime, Time};
use super::connection::{Settings, StatementFuture};
use super::error::Operation;
use super::live_session::LiveSession;
use super::organization::read;
use super::repository::{Loaders, LookUp, Repository};
use super::session::{live_session, query_session_with_user, with_session_columns};
use super::session_cache::{Cached, Wanted};
use super::session_token::{TokenLookup, is_presentable};
use super::user::with_user_columns;
use crate::AuthResult;
use crate::adapters::Store;
use crate::types::{Member, Session, User};

/// A live session with its user and the user's membership of the active organization.
#[derive(Clone)]
pub(super) struct LiveSessionWithMember {
    live: LiveSession,
    member: Option<Member>,
}

impl Keyed for LiveSessionWithMember {
    fn key(&self) -> &str {
        self.live.key()
    }
}

impl LookUp for LiveSessionWithMember {
    const OPERATION: Operation = read("check_session");

    fn loader(loaders: &Loaders) -> &Arc<BatchLoader<Self>> {
        &loaders.sessions_with_members
    }

    fn find<'c>(
        connection: &'c mut PgConnection,
        tokens: &[String],
        settings: &Settings,
    ) -> StatementFuture<'c, Vec<Self>> {
        let presented = TokenLookup::new(tokens, settings.session_tokens);
        Box::pin(async move {
            let rows = query_session_with_user!(
                "SELECT " COLUMNS ", m.id AS \"member_id?\", m.organization_id AS \"member_organization_id?\", \
                 m.role AS \"member_role?\", m.created_at AS \"member_created_at!: NullableTime\" \
                 FROM sessions s JOIN users u ON u.id = s.user_id \
                 LEFT JOIN member m ON m.organization_id = s.active_organization_id AND m.user_id = s.user_id \
                 WHERE s.token = ANY ((SELECT $1::TEXT[])::TEXT[]) AND s.active AND s.expires_at > statement_timestamp()",
                presented.stored(),
            );
            let rows = rows.fetch_all(connection).await?.into_iter();
            let found = rows.map(|row| {
                let columns = (row.member_id, row.member_organization_id, row.member_role);
                let member = match (columns, row.member_created_at.into()) {
                    ((Some(id), Some(organization), Some(role)), Some(created_at)) => Some(
                        Member::new(id, organization, &row.user_id, role, created_at),
                    ),
                    _ => None,
                };
                let live = live_session!(row, presented);
                Self { live, member }
            });
            Ok(found.collect())
        })
    }
}

impl Repository {
    /// If the session is cached, the statement is about the membership alone.
    pub(super) async fn live_session_with_member(
        &self,
        token: &str,
    ) -> AuthResult<Option<(LiveSession, Option<Member>)>> {
        // The loader does not ask.
        let operation = LiveSessionWithMember::OPERATION.name;
        self.require(Store::Organizations, operation).await?;
        if !is_presentable(token) {
            return Ok(None);
        }
        let Some(cache) = self.session_cache_for(token) else {
            return self.look_up_with_member(token).await;
        };
        match cache.store.look_up(token, Wanted::SessionWithUser).await {
            Cached::Row(row, now) => {
                let Some((session, user)) = row.with_user(token) else {
                    return Ok(None);
                };
                let member = match &session.active_organization_id {
                    Some(organization) => self.get_member(organization, &user.id).await?,
                    None => None,
                };
                Ok(Some((LiveSession { session, user, now }, member)))
            }
            Cached::Missing(loading) => {
                let found = self.look_up_with_member(token).await?;
                if let Some((live, _)) = &found {
                    cache.store.keep(&loading, &live.session, Some(&live.user));
                }
                Ok(found)
            }
            Cached::Bypassed => {
                cache.revive(&self.connections);
                self.look_up_with_member(token).await
            }
        }
    }

    async fn look_up_with_member(
        &self,
        token: &str,
    ) -> AuthResult<Option<(LiveSession, Option<Member>)>> {
        let found: Option<LiveSessionWithMember> = self.look_up(token).await?;
        Ok(found.map(|found| (found.live, found.member)))
    }
}
