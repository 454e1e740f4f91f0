//! The statements about invitations.

use super::columns::{NullableTime, Status, Time};
use super::member;
use super::organization::{conflict, read, write};
use super::repository::Repository;
use super::team;
use super::violation::Constraints;
use crate::adapters::input;
use crate::types::{
    CreateInvitation, Invitation, InvitationDetails, InvitationStatus, Member, MemberLimits,
};
use crate::{AuthError, AuthResult, ConflictField};

/// A statement that answers with whole invitations: `query_invitation!("SELECT " COLUMNS " FROM invitation …", …)`.
macro_rules! query_invitation {
    ($before:literal COLUMNS $after:literal $(, $argument:expr)* $(,)?) => {
        sqlx::query_as!(
            Invitation,
            $before
                + "invitation.id, invitation.organization_id, invitation.email, invitation.role, \
                   invitation.status AS \"status: Status\", invitation.inviter_id, invitation.team_id, \
                   invitation.expires_at AS \"expires_at: Time\", invitation.created_at AS \"created_at: Time\""
                + $after
            $(, $argument)*
        )
    };
}

impl Repository {
    /// The unique index of pending invitations decides among several. The rows of organization, inviter and team are
    /// locked, in this order, so that they stay until the invitation is there.
    pub(super) async fn create_invitation(
        &self,
        invitation: CreateInvitation,
    ) -> AuthResult<Invitation> {
        let limit = invitation.limit.map(i64::from);
        let invitation = input::new_invitation(invitation, input::now())?;
        if !input::is_possible_id(&invitation.organization_id) {
            return Err(AuthError::OrganizationNotFound);
        }
        // NULL finds nobody.
        let possible = |id: &String| input::is_possible_id(id).then(|| id.clone());
        let inviter_id = possible(&invitation.inviter_id);
        let team_id = invitation.team_id.as_ref().and_then(possible);
        let created = self.run(write("create_invitation"), |connection| {
            Box::pin(
                sqlx::query!(
                    "WITH counted AS (UPDATE organization SET revision = revision + 1 \
                     WHERE id = $2 AND $8::BIGINT IS NOT NULL RETURNING id), \
                     held AS (SELECT id FROM organization WHERE id = $2 AND $8 IS NULL FOR KEY SHARE), \
                     inviter AS (SELECT user_id FROM member WHERE organization_id = $2 AND user_id = $5 \
                     AND EXISTS (SELECT FROM counted UNION ALL SELECT FROM held) FOR KEY SHARE), \
                     chosen AS (SELECT id FROM team WHERE id = $6 AND organization_id = $2 FOR KEY SHARE), \
                     verdict AS (SELECT CASE \
                     WHEN EXISTS (SELECT FROM invitation WHERE organization_id = $2 AND email = $3 \
                     AND status = 'pending' AND expires_at > statement_timestamp()) THEN 'taken' \
                     WHEN NOT EXISTS (SELECT FROM counted UNION ALL SELECT FROM held) THEN 'no organization' \
                     WHEN NOT EXISTS (SELECT FROM inviter) THEN 'no member' \
                     WHEN $9 AND NOT EXISTS (SELECT FROM chosen) THEN 'no team' \
                     WHEN (SELECT better_auth_count('invitations', id, $8) FROM counted) >= $8 THEN \
                     CASE WHEN better_auth_has('invitation', $2, $3) THEN 'taken' ELSE 'full' END \
                     ELSE 'created' END AS outcome), \
                     created AS (INSERT INTO invitation (id, organization_id, email, role, status, inviter_id, \
                     team_id, expires_at, created_at) \
                     SELECT $1, $2, $3, $4, 'pending', $5, $6, $7, statement_timestamp() FROM verdict \
                     WHERE outcome = 'created' \
                     ON CONFLICT (organization_id, email) WHERE status = 'pending' DO UPDATE SET \
                     id = EXCLUDED.id, role = EXCLUDED.role, inviter_id = EXCLUDED.inviter_id, \
                     team_id = EXCLUDED.team_id, expires_at = EXCLUDED.expires_at, created_at = EXCLUDED.created_at \
                     WHERE invitation.expires_at <= statement_timestamp() RETURNING created_at) \
                     SELECT outcome AS \"outcome!\", created_at AS \"created_at!: NullableTime\" \
                     FROM verdict LEFT JOIN created ON TRUE",
                    invitation.id,
                    invitation.organization_id,
                    invitation.email,
                    invitation.role,
                    inviter_id,
                    team_id,
                    invitation.expires_at,
                    limit,
                    invitation.team_id.is_some(),
                )
                .fetch_one(connection),
            )
        });
        let row = created.await?;
        match (row.outcome.as_str(), row.created_at.into()) {
            ("created", Some(created_at)) => Ok(Invitation {
                created_at,
                ..invitation
            }),
            ("no organization", _) => Err(AuthError::OrganizationNotFound),
            ("no member", _) => Err(AuthError::MemberNotFound),
            ("no team", _) => Err(AuthError::TeamNotFound),
            ("full", _) => Err(conflict(ConflictField::Limit)),
            // Also if another caller has created one meanwhile.
            _ => Err(conflict(ConflictField::Invitation)),
        }
    }

    pub(super) async fn get_invitation(&self, id: &str) -> AuthResult<Option<InvitationDetails>> {
        if !input::is_possible_id(id) {
            return Ok(None);
        }
        let found = self.run(read("get_invitation"), |connection| {
            Box::pin(
                sqlx::query!(
                    "SELECT invitation.id, invitation.organization_id, invitation.email, invitation.role, \
                     invitation.status AS \"status: Status\", invitation.inviter_id, invitation.team_id, \
                     invitation.expires_at AS \"expires_at: Time\", \
                     invitation.created_at AS \"created_at: Time\", organization.name AS organization_name, \
                     organization.slug AS organization_slug, users.name AS inviter_name, users.email AS inviter_email \
                     FROM invitation JOIN organization ON organization.id = invitation.organization_id \
                     JOIN users ON users.id = invitation.inviter_id WHERE invitation.id = $1",
                    id,
                )
                .fetch_optional(connection),
            )
        });
        Ok(found.await?.map(|row| InvitationDetails {
            invitation: Invitation {
                id: row.id,
                organization_id: row.organization_id,
                email: row.email,
                role: row.role,
                status: row.status.into(),
                inviter_id: row.inviter_id,
                team_id: row.team_id,
                expires_at: row.expires_at.into(),
                created_at: row.created_at.into(),
            },
            organization_name: row.organization_name,
            organization_slug: row.organization_slug,
            inviter_name: row.inviter_name,
            inviter_email: row.inviter_email,
        }))
    }

    pub(super) async fn list_invitations(
        &self,
        organization_id: &str,
    ) -> AuthResult<Vec<Invitation>> {
        if !input::is_possible_id(organization_id) {
            return Ok(Vec::new());
        }
        self.fetch_all(read("list_invitations"), || {
            query_invitation!(
                "SELECT " COLUMNS " FROM invitation WHERE organization_id = $1 \
                 ORDER BY invitation.created_at DESC, invitation.id COLLATE \"C\" DESC",
                organization_id,
            )
        })
        .await
    }

    pub(super) async fn list_pending_invitations(
        &self,
        email: &str,
    ) -> AuthResult<Vec<Invitation>> {
        let Some(email) = input::lookup_name(email) else {
            return Ok(Vec::new());
        };
        self.fetch_all(read("list_pending_invitations"), || {
            query_invitation!(
                "SELECT " COLUMNS " FROM invitation WHERE email = $1 AND status = 'pending' \
                 AND expires_at > statement_timestamp() \
                 ORDER BY invitation.created_at DESC, invitation.id COLLATE \"C\" DESC",
                email,
            )
        })
        .await
    }

    /// Writes to the rows that limits count by come first. The team's row is locked before that of the invitation, as
    /// `delete_team` locks them; that one, so that one caller answers it; and the user's, so that the address stays.
    pub(super) async fn accept_invitation(
        &self,
        id: &str,
        user_id: &str,
        require_verified_email: bool,
        limits: MemberLimits,
    ) -> AuthResult<(Invitation, Member)> {
        const WRITTEN: &[Constraints] = &[member::CONSTRAINTS, team::MEMBER_CONSTRAINTS];
        if !input::is_possible_id(id) || !input::is_possible_id(user_id) {
            return Err(AuthError::InvitationNotFound);
        }
        let (member_id, team_member_id) = (input::new_id()?, input::new_id()?);
        let operation = write("accept_invitation").may_violate_any(WRITTEN);
        let accepted = self.run(operation, |connection| {
            Box::pin(
                sqlx::query!(
                    "WITH sent AS (SELECT organization_id, team_id FROM invitation WHERE id = $1), \
                     counted AS (UPDATE organization SET revision = revision + 1 FROM sent \
                     WHERE organization.id = sent.organization_id AND $4::BIGINT IS NOT NULL RETURNING organization.id), \
                     held_team AS (SELECT team.id FROM sent JOIN team ON team.id = sent.team_id \
                     WHERE $4 IS NULL OR EXISTS (SELECT FROM counted) FOR KEY SHARE OF team), \
                     invited AS (SELECT * FROM invitation WHERE id = $1 AND status = 'pending' \
                     AND expires_at > statement_timestamp() AND ($4 IS NULL OR EXISTS (SELECT FROM counted)) \
                     AND (SELECT count(*) FROM held_team) >= 0 FOR UPDATE), \
                     addressee AS (SELECT users.id FROM invited JOIN users ON users.id = $2 \
                     AND users.email = invited.email AND (users.email_verified OR NOT $3) FOR SHARE OF users), \
                     counted_team AS (UPDATE team SET revision = revision + 1 FROM invited, addressee \
                     WHERE team.id = invited.team_id AND $5::BIGINT IS NOT NULL RETURNING team.id), \
                     verdict AS (SELECT invited.organization_id, invited.email, invited.role, invited.inviter_id, \
                     invited.team_id, invited.expires_at, invited.created_at, CASE \
                     WHEN EXISTS (SELECT FROM member WHERE member.organization_id = invited.organization_id \
                     AND member.user_id = $2) THEN 'member' \
                     WHEN (SELECT better_auth_count('members', id, $4) FROM counted) >= $4 \
                     OR (SELECT better_auth_count('team members', id, $5) FROM counted_team) >= $5 THEN \
                     CASE WHEN better_auth_has('member', invited.organization_id, $2) THEN 'member' ELSE 'full' END \
                     ELSE 'accepted' END AS outcome FROM invited, addressee), \
                     accepted AS (UPDATE invitation SET status = 'accepted' FROM verdict \
                     WHERE invitation.id = $1 AND verdict.outcome = 'accepted'), \
                     joined AS (INSERT INTO member (id, organization_id, user_id, role, created_at) \
                     SELECT $6, organization_id, $2, role, statement_timestamp() FROM verdict \
                     WHERE outcome = 'accepted'), \
                     joined_team AS (INSERT INTO team_member (id, organization_id, team_id, user_id, created_at) \
                     SELECT $7, organization_id, team_id, $2, statement_timestamp() FROM verdict \
                     WHERE outcome = 'accepted' AND team_id IS NOT NULL) \
                     SELECT outcome AS \"outcome!\", organization_id AS \"organization_id!\", email AS \"email!\", \
                     role AS \"role!\", inviter_id AS \"inviter_id!\", team_id, \
                     expires_at AS \"expires_at!: Time\", created_at AS \"created_at!: Time\", \
                     statement_timestamp() AS \"now!: Time\" FROM verdict",
                    id,
                    user_id,
                    require_verified_email,
                    limits.members.map(i64::from),
                    limits.team_members.map(i64::from),
                    member_id,
                    team_member_id,
                )
                .fetch_optional(connection),
            )
        });
        let accepted = accepted.await.map_err(|error| match error {
            // The invitation is no longer one to this team.
            AuthError::TeamNotFound => AuthError::InvitationNotFound,
            error => error,
        });
        let row = accepted?.ok_or(AuthError::InvitationNotFound)?;
        match row.outcome.as_str() {
            "accepted" => {}
            "full" => return Err(conflict(ConflictField::Limit)),
            _ => return Err(conflict(ConflictField::Member)),
        }
        let (organization_id, joined_at) = (&row.organization_id, row.now.into());
        let member = Member::new(member_id, organization_id, user_id, &row.role, joined_at);
        let invitation = Invitation {
            id: id.to_owned(),
            organization_id: row.organization_id,
            email: row.email,
            role: row.role,
            status: InvitationStatus::Accepted,
            inviter_id: row.inviter_id,
            team_id: row.team_id,
            expires_at: row.expires_at.into(),
            created_at: row.created_at.into(),
        };
        Ok((invitation, member))
    }

    pub(super) async fn reject_invitation(
        &self,
        id: &str,
        user_id: &str,
    ) -> AuthResult<Invitation> {
        if !input::is_possible_id(id) || !input::is_possible_id(user_id) {
            return Err(AuthError::InvitationNotFound);
        }
        let rejected = self.fetch_optional(write("reject_invitation"), || {
            query_invitation!(
                "WITH addressee AS (SELECT email FROM users WHERE id = $2 FOR SHARE) \
                 UPDATE invitation SET status = 'rejected' FROM addressee \
                 WHERE invitation.id = $1 AND status = 'pending' AND expires_at > statement_timestamp() \
                 AND invitation.email = addressee.email RETURNING " COLUMNS "",
                id,
                user_id,
            )
        });
        rejected.await?.ok_or(AuthError::InvitationNotFound)
    }

    pub(super) async fn cancel_invitation(
        &self,
        organization_id: &str,
        id: &str,
    ) -> AuthResult<Invitation> {
        if !input::is_possible_id(organization_id) || !input::is_possible_id(id) {
            return Err(AuthError::InvitationNotFound);
        }
        let canceled = self.fetch_optional(write("cancel_invitation"), || {
            query_invitation!(
                "UPDATE invitation SET status = 'canceled' \
                 WHERE id = $1 AND organization_id = $2 AND status = 'pending' RETURNING " COLUMNS "",
                id,
                organization_id,
            )
        });
        canceled.await?.ok_or(AuthError::InvitationNotFound)
    }
}
