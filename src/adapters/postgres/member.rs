//! The statements about members of organizations, and the constraints of their table.

use chrono::{DateTime, Utc};

use super::columns::{ExactTime, NullableTime, Time};
use super::organization::{conflict, read, write};
use super::repository::Repository;
use super::violation::{Constraints, Key, Reference};
use crate::adapters::input;
use crate::adapters::member_query::MemberQuery;
use crate::types::{CreateMember, ListMembers, Member, MemberPage, MemberWithUser, PublicUser};
use crate::{AuthError, AuthResult, ConflictField};

/// A statement that answers with whole members: `query_member!("SELECT " COLUMNS " FROM member WHERE …", …)`.
macro_rules! query_member {
    ($before:literal COLUMNS $after:literal $(, $argument:expr)* $(,)?) => {
        sqlx::query_as!(
            Member,
            $before
                + "id, organization_id, user_id, role, created_at AS \"created_at: Time\""
                + $after
            $(, $argument)*
        )
    };
}

/// As `query_member!`, with what others see of the user.
macro_rules! query_listed_member {
    ($before:literal COLUMNS $after:literal $(, $argument:expr)* $(,)?) => {
        sqlx::query_as!(
            ListedMember,
            $before
                + "member.id AS \"id!\", member.organization_id AS \"organization_id!\", \
                   member.user_id AS \"user_id!\", member.role AS \"role!\", \
                   member.created_at AS \"created_at!: Time\", users.name, users.email, users.image"
                + $after
            $(, $argument)*
        )
    };
}

struct ListedMember {
    id: String,
    organization_id: String,
    user_id: String,
    role: String,
    created_at: DateTime<Utc>,
    name: Option<String>,
    email: Option<String>,
    image: Option<String>,
}

impl From<ListedMember> for MemberWithUser {
    fn from(row: ListedMember) -> Self {
        Self {
            user: PublicUser {
                id: row.user_id.clone(),
                name: row.name,
                email: row.email,
                image: row.image,
            },
            member: Member {
                id: row.id,
                organization_id: row.organization_id,
                user_id: row.user_id,
                role: row.role,
                created_at: row.created_at,
            },
        }
    }
}

/// How many rows tell whether there is a next page.
fn one_more(limit: usize) -> i64 {
    i64::try_from(limit).unwrap_or(i64::MAX).saturating_add(1)
}

pub(super) const CONSTRAINTS: Constraints = Constraints {
    table: "member",
    keys: &[Key {
        constraint: "member_organization_id_user_id_key",
        columns: &["organization_id", "user_id"],
        field: ConflictField::Member,
    }],
    references: &[
        Reference::to_organization("member_organization_id_fkey"),
        Reference::to_user("member_user_id_fkey"),
    ],
};

impl Repository {
    /// A write to the organization's row comes before the count, so that two callers never count at once.
    pub(super) async fn create_member(&self, member: CreateMember) -> AuthResult<Member> {
        let limit = member.limit.map(i64::from);
        let member = input::new_member(member, input::now())?;
        let Member {
            id,
            organization_id,
            user_id,
            role,
            ..
        } = &member;
        if !input::is_possible_id(organization_id) {
            return Err(AuthError::OrganizationNotFound);
        }
        // NULL finds nobody.
        let user_id = input::is_possible_id(user_id).then_some(user_id);
        let operation = write("create_member").may_violate(&CONSTRAINTS);
        let created = self.run(operation, |connection| {
            Box::pin(
                sqlx::query!(
                    "WITH counted AS (UPDATE organization SET revision = revision + 1 \
                     WHERE id = $2 AND $5::BIGINT IS NOT NULL RETURNING id), \
                     verdict AS (SELECT CASE \
                     WHEN NOT EXISTS (SELECT FROM organization WHERE id = $2) \
                     OR ($5 IS NOT NULL AND NOT EXISTS (SELECT FROM counted)) THEN 'no organization' \
                     WHEN EXISTS (SELECT FROM member WHERE organization_id = $2 AND user_id = $3) THEN 'taken' \
                     WHEN (SELECT better_auth_count('members', id, $5) FROM counted) >= $5 THEN \
                     CASE WHEN better_auth_has('member', $2, $3) THEN 'taken' ELSE 'full' END \
                     WHEN $3 IS NULL THEN 'no user' ELSE 'created' END AS outcome), \
                     created AS (INSERT INTO member (id, organization_id, user_id, role, created_at) \
                     SELECT $1, $2, $3, $4, statement_timestamp() FROM verdict WHERE outcome = 'created' \
                     RETURNING created_at) \
                     SELECT outcome AS \"outcome!\", created_at AS \"created_at!: NullableTime\" \
                     FROM verdict LEFT JOIN created ON TRUE",
                    id,
                    organization_id,
                    user_id,
                    role,
                    limit,
                )
                .fetch_one(connection),
            )
        });
        let row = created.await?;
        match (row.outcome.as_str(), row.created_at.into()) {
            ("created", Some(created_at)) => Ok(Member {
                created_at,
                ..member
            }),
            ("no organization", _) => Err(AuthError::OrganizationNotFound),
            ("no user", _) => Err(AuthError::UserNotFound),
            ("full", _) => Err(conflict(ConflictField::Limit)),
            _ => Err(conflict(ConflictField::Member)),
        }
    }

    pub(super) async fn get_member(
        &self,
        organization_id: &str,
        user_id: &str,
    ) -> AuthResult<Option<Member>> {
        if !input::is_possible_id(organization_id) || !input::is_possible_id(user_id) {
            return Ok(None);
        }
        self.fetch_optional(read("get_member"), || {
            query_member!(
                "SELECT " COLUMNS " FROM member WHERE organization_id = $1 AND user_id = $2",
                organization_id,
                user_id,
            )
        })
        .await
    }

    pub(super) async fn get_member_by_id(&self, id: &str) -> AuthResult<Option<Member>> {
        if !input::is_possible_id(id) {
            return Ok(None);
        }
        self.fetch_optional(
            read("get_member_by_id"),
            || query_member!("SELECT " COLUMNS " FROM member WHERE id = $1", id),
        )
        .await
    }

    pub(super) async fn list_members(&self, query: ListMembers) -> AuthResult<MemberPage> {
        let Some(query) = MemberQuery::new(query)? else {
            return Ok(MemberPage::default());
        };
        let members = match &query.role {
            None => self.members_of_any_role(&query).await?,
            Some(role) => self.members_of_role(&query, role).await?,
        };
        Ok(query.page(members.into_iter().map(MemberWithUser::from).collect()))
    }

    async fn members_of_any_role(&self, query: &MemberQuery) -> AuthResult<Vec<ListedMember>> {
        let (_, id) = &query.after;
        self.fetch_all(read("list_members"), || {
            query_listed_member!(
                "SELECT " COLUMNS " FROM member JOIN users ON users.id = member.user_id \
                 WHERE member.organization_id = $1 AND (member.created_at, member.id COLLATE \"C\") < ($2, $3) \
                 ORDER BY member.created_at DESC, member.id COLLATE \"C\" DESC LIMIT $4",
                query.organization_id,
                ExactTime(query.after_micros) as _,
                id,
                one_more(query.limit),
            )
        })
        .await
    }

    /// Of all texts that the organization has in `role`, which are few, those with this name; of each of them the first
    /// members behind the cursor. An index of texts has room for 256 characters, which roles of this crate do not fill.
    async fn members_of_role(
        &self,
        query: &MemberQuery,
        role: &str,
    ) -> AuthResult<Vec<ListedMember>> {
        let (_, id) = &query.after;
        self.fetch_all(read("list_members"), || {
            query_listed_member!(
                "WITH RECURSIVE texts AS ((SELECT left(member.role, 256) COLLATE \"C\" AS text FROM member \
                 WHERE member.organization_id = $1 ORDER BY left(member.role, 256) COLLATE \"C\" LIMIT 1) \
                 UNION ALL SELECT (SELECT left(member.role, 256) COLLATE \"C\" FROM member \
                 WHERE member.organization_id = $1 AND left(member.role, 256) COLLATE \"C\" > texts.text \
                 ORDER BY left(member.role, 256) COLLATE \"C\" LIMIT 1) FROM texts WHERE texts.text IS NOT NULL) \
                 SELECT " COLUMNS " FROM texts CROSS JOIN LATERAL (SELECT * FROM member \
                 WHERE member.organization_id = $1 AND left(member.role, 256) COLLATE \"C\" = texts.text \
                 AND (member.created_at, member.id COLLATE \"C\") < ($2, $3) \
                 AND $5 = ANY (regexp_split_to_array(btrim(member.role, ' '), ' *, *')) \
                 ORDER BY member.created_at DESC, member.id COLLATE \"C\" DESC LIMIT $4) AS member \
                 JOIN users ON users.id = member.user_id WHERE char_length(texts.text) = 256 \
                 OR $5 = ANY (regexp_split_to_array(btrim(texts.text, ' '), ' *, *')) \
                 ORDER BY member.created_at DESC, member.id COLLATE \"C\" DESC LIMIT $4",
                query.organization_id,
                ExactTime(query.after_micros) as _,
                id,
                one_more(query.limit),
                role,
            )
        })
        .await
    }

    pub(super) async fn count_members(&self, organization_id: &str) -> AuthResult<u64> {
        if !input::is_possible_id(organization_id) {
            return Ok(0);
        }
        let count = self.run(read("count_members"), |connection| {
            Box::pin(
                sqlx::query_scalar!(
                    "SELECT count(*) AS \"count!\" FROM member WHERE organization_id = $1",
                    organization_id,
                )
                .fetch_one(connection),
            )
        });
        Ok(u64::try_from(count.await?).unwrap_or_default())
    }

    /// A write to the organization's row comes first, so that owners go one after the other.
    pub(super) async fn update_member_role(
        &self,
        organization_id: &str,
        user_id: &str,
        role: &str,
    ) -> AuthResult<Member> {
        let role = input::member_role(role)?;
        if !input::is_possible_id(organization_id) || !input::is_possible_id(user_id) {
            return Err(AuthError::MemberNotFound);
        }
        let changed = self.run(write("update_member_role"), |connection| {
            Box::pin(
                sqlx::query!(
                    "WITH guarded AS (UPDATE organization SET revision = revision + 1 WHERE id = $1 \
                     AND EXISTS (SELECT FROM member WHERE organization_id = $1 AND user_id = $2) RETURNING id), \
                     verdict AS (SELECT $3 ~ '(^|,) *owner *(,|$)' OR NOT better_auth_is_last_owner(id, $2) \
                     AS is_allowed FROM guarded), \
                     changed AS (UPDATE member SET role = $3 FROM verdict \
                     WHERE member.organization_id = $1 AND member.user_id = $2 AND verdict.is_allowed \
                     RETURNING member.id, member.created_at) \
                     SELECT is_allowed AS \"is_allowed!\", id AS \"id?\", created_at AS \"created_at!: NullableTime\" \
                     FROM verdict LEFT JOIN changed ON TRUE",
                    organization_id,
                    user_id,
                    role,
                )
                .fetch_optional(connection),
            )
        });
        let row = changed.await?.ok_or(AuthError::MemberNotFound)?;
        if !row.is_allowed {
            return Err(conflict(ConflictField::LastOwner));
        }
        match (row.id, row.created_at.into()) {
            (Some(id), Some(created_at)) => {
                Ok(Member::new(id, organization_id, user_id, role, created_at))
            }
            // It was removed meanwhile.
            _ => Err(AuthError::MemberNotFound),
        }
    }

    /// As for [`update_member_role`](Self::update_member_role).
    pub(super) async fn remove_member(
        &self,
        organization_id: &str,
        user_id: &str,
    ) -> AuthResult<()> {
        if !input::is_possible_id(organization_id) || !input::is_possible_id(user_id) {
            return Ok(());
        }
        let is_allowed = self.run(write("remove_member"), |connection| {
            Box::pin(
                sqlx::query_scalar!(
                    "WITH guarded AS (UPDATE organization SET revision = revision + 1 WHERE id = $1 \
                     AND EXISTS (SELECT FROM member WHERE organization_id = $1 AND user_id = $2) RETURNING id), \
                     verdict AS (SELECT NOT better_auth_is_last_owner(id, $2) AS is_allowed FROM guarded), \
                     removed AS (DELETE FROM member USING verdict \
                     WHERE member.organization_id = $1 AND member.user_id = $2 AND verdict.is_allowed \
                     RETURNING member.user_id), \
                     deactivated AS (UPDATE sessions SET active_organization_id = NULL, \
                     updated_at = GREATEST(statement_timestamp(), \
                     (updated_at AT TIME ZONE 'UTC' + INTERVAL '1 microsecond') AT TIME ZONE 'UTC') \
                     FROM removed WHERE sessions.user_id = removed.user_id AND active_organization_id = $1) \
                     SELECT is_allowed AS \"is_allowed!\" FROM verdict",
                    organization_id,
                    user_id,
                )
                .fetch_optional(connection),
            )
        });
        match is_allowed.await? {
            Some(false) => Err(conflict(ConflictField::LastOwner)),
            Some(true) | None => Ok(()),
        }
    }
}
