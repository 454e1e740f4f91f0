//! The statements about organizations, and the constraints of their table.

use std::collections::HashMap;

use sqlx::types::Json;

use super::columns::{NullableTime, OrganizationMetadata, Time, new_value};
use super::error::Operation;
use super::member;
use super::repository::Repository;
use super::violation::{Constraints, Key};
use crate::adapters::{Store, input};
use crate::types::{CreateOrganization, Member, Organization, UpdateOrganization};
use crate::{AuthError, AuthResult, ConflictField};

/// A statement that answers with whole organizations: `query_organization!("SELECT " COLUMNS " FROM organization …", …)`.
macro_rules! query_organization {
    ($before:literal COLUMNS $after:literal $(, $argument:expr)* $(,)?) => {
        sqlx::query_as!(
            Organization,
            $before
                + "id AS \"id!\", name AS \"name!\", slug AS \"slug!\", logo, \
                   metadata AS \"metadata!: OrganizationMetadata\", created_at AS \"created_at!: Time\", \
                   updated_at AS \"updated_at!: Time\""
                + $after
            $(, $argument)*
        )
    };
}

const CONSTRAINTS: Constraints = Constraints {
    table: "organization",
    keys: &[Key {
        constraint: "organization_slug_key",
        columns: &["slug"],
        field: ConflictField::OrganizationSlug,
    }],
    references: &[],
};

pub(super) const fn read(name: &'static str) -> Operation {
    Operation::read(name).of_store(Store::Organizations)
}

pub(super) const fn write(name: &'static str) -> Operation {
    Operation::write(name).of_store(Store::Organizations)
}

pub(super) fn conflict(field: ConflictField) -> AuthError {
    AuthError::Conflict { field }
}

impl Repository {
    /// The store. Whether its tables are there is asked before its first statement.
    #[allow(clippy::unnecessary_wraps, reason = "the method of all adapters")]
    pub(super) fn organizations(&self) -> AuthResult<&Self> {
        Ok(self)
    }

    /// A write to the user's row comes before the count, so that two callers never count at once.
    pub(super) async fn create_organization(
        &self,
        organization: CreateOrganization,
    ) -> AuthResult<(Organization, Member)> {
        const WRITTEN: &[Constraints] = &[CONSTRAINTS, member::CONSTRAINTS];
        let limit = organization.limit.map(i64::from);
        let (organization, owner) = input::new_organization(organization, input::now())?;
        // NULL finds nobody.
        let user_id = input::is_possible_id(&owner.user_id).then_some(&owner.user_id);
        let operation = write("create_organization").may_violate_any(WRITTEN);
        let created = self.run(operation, |connection| {
            Box::pin(
                sqlx::query!(
                    "WITH counted AS (UPDATE users SET two_factor_enabled = two_factor_enabled \
                     WHERE id = $7 AND $8::BIGINT IS NOT NULL RETURNING id), \
                     verdict AS (SELECT CASE \
                     WHEN EXISTS (SELECT FROM organization WHERE slug = $3) THEN 'taken' \
                     WHEN $7 IS NULL OR ($8 IS NOT NULL AND NOT EXISTS (SELECT FROM counted)) THEN 'no user' \
                     WHEN (SELECT better_auth_count('organizations', id, $8) FROM counted) >= $8 THEN \
                     CASE WHEN better_auth_has('organization', NULL, $3) THEN 'taken' ELSE 'full' END \
                     ELSE 'created' END AS outcome), \
                     created AS (INSERT INTO organization (id, name, slug, logo, metadata, created_at, updated_at) \
                     SELECT $1, $2, $3, $4, $5, statement_timestamp(), statement_timestamp() FROM verdict \
                     WHERE outcome = 'created' RETURNING id, metadata, created_at), \
                     owner AS (INSERT INTO member (id, organization_id, user_id, role, created_at) \
                     SELECT $6, id, $7, 'owner', created_at FROM created) \
                     SELECT outcome AS \"outcome!\", metadata AS \"metadata?: OrganizationMetadata\", \
                     created_at AS \"created_at!: NullableTime\" FROM verdict LEFT JOIN created ON TRUE",
                    organization.id,
                    organization.name,
                    organization.slug,
                    organization.logo,
                    Json(&organization.metadata) as _,
                    owner.id,
                    user_id,
                    limit,
                )
                .fetch_one(connection),
            )
        });
        let row = created.await?;
        match (row.outcome.as_str(), row.metadata, row.created_at.into()) {
            ("created", Some(metadata), Some(created_at)) => Ok((
                Organization {
                    metadata: metadata.into(),
                    created_at,
                    updated_at: created_at,
                    ..organization
                },
                Member {
                    created_at,
                    ..owner
                },
            )),
            ("no user", ..) => Err(AuthError::UserNotFound),
            ("full", ..) => Err(conflict(ConflictField::Limit)),
            _ => Err(conflict(ConflictField::OrganizationSlug)),
        }
    }

    pub(super) async fn get_organization(&self, id: &str) -> AuthResult<Option<Organization>> {
        if !input::is_possible_id(id) {
            return Ok(None);
        }
        self.fetch_optional(
            read("get_organization"),
            || query_organization!("SELECT " COLUMNS " FROM organization WHERE id = $1", id),
        )
        .await
    }

    pub(super) async fn get_organization_by_slug(
        &self,
        slug: &str,
    ) -> AuthResult<Option<Organization>> {
        let Some(slug) = input::lookup_name(slug) else {
            return Ok(None);
        };
        self.fetch_optional(
            read("get_organization_by_slug"),
            || query_organization!("SELECT " COLUMNS " FROM organization WHERE slug = $1", slug),
        )
        .await
    }

    pub(super) async fn get_organizations_by_ids(
        &self,
        ids: &[String],
    ) -> AuthResult<Vec<Organization>> {
        input::check_ids(ids)?;
        let possible = ids.iter().filter(|id| input::is_possible_id(id));
        let possible: Vec<String> = possible.cloned().collect();
        if possible.is_empty() {
            return Ok(Vec::new());
        }
        let found = self.fetch_all(read("get_organizations_by_ids"), || {
            query_organization!(
                "SELECT " COLUMNS " FROM organization WHERE id = ANY ((SELECT $1::TEXT[])::TEXT[])",
                &possible,
            )
        });
        let found = found.await?.into_iter().map(|row| (row.id.clone(), row));
        let found: HashMap<String, Organization> = found.collect();
        Ok(ids.iter().filter_map(|id| found.get(id).cloned()).collect())
    }

    pub(super) async fn list_user_organizations(
        &self,
        user_id: &str,
    ) -> AuthResult<Vec<(Organization, Member)>> {
        if !input::is_possible_id(user_id) {
            return Ok(Vec::new());
        }
        let rows = self.run(read("list_user_organizations"), |connection| {
            Box::pin(
                sqlx::query!(
                    "SELECT organization.id, organization.name, organization.slug, organization.logo, \
                     organization.metadata AS \"metadata: OrganizationMetadata\", \
                     organization.created_at AS \"created_at: Time\", \
                     organization.updated_at AS \"updated_at: Time\", \
                     member.id AS member_id, member.role, member.created_at AS \"joined_at: Time\" \
                     FROM member JOIN organization ON organization.id = member.organization_id WHERE member.user_id = $1 \
                     ORDER BY organization.created_at DESC, organization.id COLLATE \"C\" DESC",
                    user_id,
                )
                .fetch_all(connection),
            )
        });
        let with_member = rows.await?.into_iter().map(|row| {
            let joined_at = row.joined_at.into();
            let member = Member::new(row.member_id, &row.id, user_id, row.role, joined_at);
            let organization = Organization {
                id: row.id,
                name: row.name,
                slug: row.slug,
                logo: row.logo,
                metadata: row.metadata.into(),
                created_at: row.created_at.into(),
                updated_at: row.updated_at.into(),
            };
            (organization, member)
        });
        Ok(with_member.collect())
    }

    pub(super) async fn list_organizations_without_owner(&self) -> AuthResult<Vec<Organization>> {
        self.fetch_all(read("list_organizations_without_owner"), || {
            query_organization!(
                "SELECT " COLUMNS " FROM organization WHERE NOT EXISTS (SELECT FROM member \
                 WHERE member.organization_id = organization.id AND member.role ~ '(^|,) *owner *(,|$)') \
                 ORDER BY organization.created_at DESC, organization.id COLLATE \"C\" DESC"
            )
        })
        .await
    }

    pub(super) async fn update_organization(
        &self,
        id: &str,
        update: UpdateOrganization,
    ) -> AuthResult<Organization> {
        let update = input::organization_update(update)?;
        if !input::is_possible_id(id) {
            return Err(AuthError::OrganizationNotFound);
        }
        if update == UpdateOrganization::default() {
            let found = self.get_organization(id).await?;
            return found.ok_or(AuthError::OrganizationNotFound);
        }
        let operation = write("update_organization").may_violate(&CONSTRAINTS);
        let changed = self.fetch_optional(operation, || {
            query_organization!(
                "UPDATE organization SET name = COALESCE($2, name), slug = COALESCE($3, slug), \
                 logo = CASE WHEN $4 THEN $5 ELSE logo END, metadata = COALESCE($6, metadata), \
                 updated_at = GREATEST(statement_timestamp(), \
                 (updated_at AT TIME ZONE 'UTC' + INTERVAL '1 microsecond') AT TIME ZONE 'UTC') \
                 WHERE id = $1 RETURNING " COLUMNS "",
                id,
                update.name,
                update.slug,
                update.logo.is_some(),
                new_value(&update.logo),
                update.metadata.as_ref().map(Json) as _,
            )
        });
        changed.await?.ok_or(AuthError::OrganizationNotFound)
    }

    pub(super) async fn delete_organization(&self, id: &str) -> AuthResult<()> {
        if !input::is_possible_id(id) {
            return Ok(());
        }
        self.execute(write("delete_organization"), || {
            sqlx::query!("DELETE FROM organization WHERE id = $1", id)
        })
        .await
        .map(drop)
    }
}
