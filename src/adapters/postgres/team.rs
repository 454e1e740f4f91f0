//! The statements about teams and their members, and the constraints of their tables.

use super::columns::{NullableTime, Time};
use super::organization::{conflict, read, write};
use super::repository::Repository;
use super::violation::{Constraints, Key, Parent, Reference};
use crate::adapters::input;
use crate::types::{CreateTeam, CreateTeamMember, Team, TeamMember};
use crate::{AuthError, AuthResult, ConflictField};

/// A statement that answers with whole teams: `query_team!("SELECT " COLUMNS " FROM team WHERE …", …)`.
macro_rules! query_team {
    ($before:literal COLUMNS $after:literal $(, $argument:expr)* $(,)?) => {
        sqlx::query_as!(
            Team,
            $before
                + "team.id, team.organization_id, team.name, team.created_at AS \"created_at: Time\", \
                   team.updated_at AS \"updated_at: Time\""
                + $after
            $(, $argument)*
        )
    };
}

const CONSTRAINTS: Constraints = Constraints {
    table: "team",
    keys: &[],
    references: &[Reference::to_organization("team_organization_id_fkey")],
};

pub(super) const MEMBER_CONSTRAINTS: Constraints = Constraints {
    table: "team_member",
    keys: &[Key {
        constraint: "team_member_team_id_user_id_key",
        columns: &["team_id", "user_id"],
        field: ConflictField::TeamMember,
    }],
    references: &[
        Reference {
            constraint: "team_member_team_id_organization_id_fkey",
            columns: "team_id, organization_id",
            table: "team",
            parent: Parent::Team,
        },
        Reference {
            constraint: "team_member_organization_id_user_id_fkey",
            columns: "organization_id, user_id",
            table: "member",
            parent: Parent::Member,
        },
    ],
};

impl Repository {
    /// As for members.
    pub(super) async fn create_team(&self, team: CreateTeam) -> AuthResult<Team> {
        let limit = team.limit.map(i64::from);
        let team = input::new_team(team, input::now())?;
        if !input::is_possible_id(&team.organization_id) {
            return Err(AuthError::OrganizationNotFound);
        }
        let operation = write("create_team").may_violate(&CONSTRAINTS);
        let created = self.run(operation, |connection| {
            Box::pin(
                sqlx::query!(
                    "WITH counted AS (UPDATE organization SET revision = revision + 1 \
                     WHERE id = $2 AND $4::BIGINT IS NOT NULL RETURNING id), \
                     verdict AS (SELECT CASE \
                     WHEN NOT EXISTS (SELECT FROM organization WHERE id = $2) \
                     OR ($4 IS NOT NULL AND NOT EXISTS (SELECT FROM counted)) THEN 'no organization' \
                     WHEN (SELECT better_auth_count('teams', id, $4) FROM counted) >= $4 THEN 'full' \
                     ELSE 'created' END AS outcome), \
                     created AS (INSERT INTO team (id, organization_id, name, created_at, updated_at) \
                     SELECT $1, $2, $3, statement_timestamp(), statement_timestamp() FROM verdict \
                     WHERE outcome = 'created' RETURNING created_at) \
                     SELECT outcome AS \"outcome!\", created_at AS \"created_at!: NullableTime\" \
                     FROM verdict LEFT JOIN created ON TRUE",
                    team.id,
                    team.organization_id,
                    team.name,
                    limit,
                )
                .fetch_one(connection),
            )
        });
        let row = created.await?;
        match (row.outcome.as_str(), row.created_at.into()) {
            ("created", Some(created_at)) => Ok(Team {
                created_at,
                updated_at: created_at,
                ..team
            }),
            ("full", _) => Err(conflict(ConflictField::Limit)),
            _ => Err(AuthError::OrganizationNotFound),
        }
    }

    pub(super) async fn get_team(&self, id: &str) -> AuthResult<Option<Team>> {
        if !input::is_possible_id(id) {
            return Ok(None);
        }
        self.fetch_optional(
            read("get_team"),
            || query_team!("SELECT " COLUMNS " FROM team WHERE id = $1", id),
        )
        .await
    }

    pub(super) async fn list_teams(&self, organization_id: &str) -> AuthResult<Vec<Team>> {
        if !input::is_possible_id(organization_id) {
            return Ok(Vec::new());
        }
        self.fetch_all(read("list_teams"), || {
            query_team!(
                "SELECT " COLUMNS " FROM team WHERE organization_id = $1 \
                 ORDER BY team.created_at DESC, team.id COLLATE \"C\" DESC",
                organization_id,
            )
        })
        .await
    }

    pub(super) async fn list_user_teams(&self, user_id: &str) -> AuthResult<Vec<Team>> {
        if !input::is_possible_id(user_id) {
            return Ok(Vec::new());
        }
        self.fetch_all(read("list_user_teams"), || {
            query_team!(
                "SELECT " COLUMNS " FROM team_member JOIN team ON team.id = team_member.team_id \
                 WHERE team_member.user_id = $1 \
                 ORDER BY team.created_at DESC, team.id COLLATE \"C\" DESC",
                user_id,
            )
        })
        .await
    }

    pub(super) async fn rename_team(&self, id: &str, name: &str) -> AuthResult<Team> {
        let name = input::team_name(name)?;
        if !input::is_possible_id(id) {
            return Err(AuthError::TeamNotFound);
        }
        let renamed = self.fetch_optional(write("rename_team"), || {
            query_team!(
                "UPDATE team SET name = $2, updated_at = GREATEST(statement_timestamp(), \
                 (updated_at AT TIME ZONE 'UTC' + INTERVAL '1 microsecond') AT TIME ZONE 'UTC') \
                 WHERE id = $1 RETURNING " COLUMNS "",
                id,
                name,
            )
        });
        renamed.await?.ok_or(AuthError::TeamNotFound)
    }

    pub(super) async fn delete_team(&self, id: &str) -> AuthResult<()> {
        if !input::is_possible_id(id) {
            return Ok(());
        }
        self.execute(write("delete_team"), || {
            sqlx::query!("DELETE FROM team WHERE id = $1", id)
        })
        .await
        .map(drop)
    }

    /// A write to the team's row comes before the count.
    pub(super) async fn create_team_member(
        &self,
        member: CreateTeamMember,
    ) -> AuthResult<TeamMember> {
        let CreateTeamMember {
            team_id,
            user_id,
            limit,
        } = member;
        if !input::is_possible_id(&team_id) {
            return Err(AuthError::TeamNotFound);
        }
        // NULL finds nobody.
        let stored_user_id = input::is_possible_id(&user_id).then_some(&user_id);
        let id = input::new_id()?;
        let operation = write("create_team_member").may_violate(&MEMBER_CONSTRAINTS);
        let created = self.run(operation, |connection| {
            Box::pin(
                sqlx::query!(
                    "WITH counted AS (UPDATE team SET revision = revision + 1 \
                     WHERE id = $2 AND $4::BIGINT IS NOT NULL RETURNING id), \
                     verdict AS (SELECT team.id, team.organization_id, CASE \
                     WHEN EXISTS (SELECT FROM team_member WHERE team_member.team_id = $2 \
                     AND team_member.user_id = $3) THEN 'taken' \
                     WHEN (SELECT better_auth_count('team members', counted.id, $4) FROM counted) >= $4 THEN \
                     CASE WHEN better_auth_has('team member', $2, $3) THEN 'taken' ELSE 'full' END \
                     WHEN $3 IS NULL THEN 'no member' ELSE 'created' END AS outcome \
                     FROM team WHERE team.id = $2 AND ($4 IS NULL OR EXISTS (SELECT FROM counted))), \
                     created AS (INSERT INTO team_member (id, organization_id, team_id, user_id, created_at) \
                     SELECT $1, organization_id, id, $3, statement_timestamp() FROM verdict \
                     WHERE outcome = 'created' RETURNING created_at) \
                     SELECT organization_id, outcome AS \"outcome!\", created_at AS \"created_at!: NullableTime\" \
                     FROM verdict LEFT JOIN created ON TRUE",
                    id,
                    team_id,
                    stored_user_id,
                    limit.map(i64::from),
                )
                .fetch_optional(connection),
            )
        });
        let row = created.await?.ok_or(AuthError::TeamNotFound)?;
        match (row.outcome.as_str(), row.created_at.into()) {
            ("created", Some(created_at)) => Ok(TeamMember {
                id,
                organization_id: row.organization_id,
                team_id,
                user_id,
                created_at,
            }),
            ("no member", _) => Err(AuthError::MemberNotFound),
            ("full", _) => Err(conflict(ConflictField::Limit)),
            _ => Err(conflict(ConflictField::TeamMember)),
        }
    }

    pub(super) async fn list_team_members(&self, team_id: &str) -> AuthResult<Vec<TeamMember>> {
        if !input::is_possible_id(team_id) {
            return Ok(Vec::new());
        }
        self.fetch_all(read("list_team_members"), || {
            sqlx::query_as!(
                TeamMember,
                "SELECT id, organization_id, team_id, user_id, created_at AS \"created_at: Time\" FROM team_member \
                 WHERE team_id = $1 ORDER BY team_member.created_at DESC, team_member.id COLLATE \"C\" DESC",
                team_id,
            )
        })
        .await
    }

    pub(super) async fn remove_team_member(&self, team_id: &str, user_id: &str) -> AuthResult<()> {
        if !input::is_possible_id(team_id) || !input::is_possible_id(user_id) {
            return Ok(());
        }
        self.execute(write("remove_team_member"), || {
            sqlx::query!(
                "DELETE FROM team_member WHERE team_id = $1 AND user_id = $2",
                team_id,
                user_id,
            )
        })
        .await
        .map(drop)
    }
}
