//! The statements about roles that organizations define, and the constraints of their table.

use sqlx::types::Json;

use super::columns::{RolePermission, Time};
use super::organization::{read, write};
use super::repository::Repository;
use super::violation::{Constraints, Key, Reference};
use crate::adapters::input;
use crate::types::{CreateOrganizationRole, Metadata, OrganizationRole};
use crate::{AuthError, AuthResult, ConflictField};

/// A statement that answers with whole roles: `query_role!("SELECT " COLUMNS " FROM organization_role WHERE …", …)`.
macro_rules! query_role {
    ($before:literal COLUMNS $after:literal $(, $argument:expr)* $(,)?) => {
        sqlx::query_as!(
            OrganizationRole,
            $before
                + "id, organization_id, role, permission AS \"permission: RolePermission\", \
                   created_at AS \"created_at: Time\", updated_at AS \"updated_at: Time\""
                + $after
            $(, $argument)*
        )
    };
}

const CONSTRAINTS: Constraints = Constraints {
    table: "organization_role",
    keys: &[Key {
        constraint: "organization_role_organization_id_role_key",
        columns: &["organization_id", "role"],
        field: ConflictField::OrganizationRole,
    }],
    references: &[Reference::to_organization(
        "organization_role_organization_id_fkey",
    )],
};

impl Repository {
    pub(super) async fn create_organization_role(
        &self,
        role: CreateOrganizationRole,
    ) -> AuthResult<OrganizationRole> {
        let role = input::new_organization_role(role, input::now())?;
        if !input::is_possible_id(&role.organization_id) {
            return Err(AuthError::OrganizationNotFound);
        }
        let operation = write("create_organization_role").may_violate(&CONSTRAINTS);
        self.fetch_one(operation, || {
            query_role!(
                "INSERT INTO organization_role (id, organization_id, role, permission, created_at, updated_at) \
                 VALUES ($1, $2, $3, $4, statement_timestamp(), statement_timestamp()) RETURNING " COLUMNS "",
                role.id,
                role.organization_id,
                role.role,
                Json(&role.permission) as _,
            )
        })
        .await
    }

    pub(super) async fn get_organization_role(
        &self,
        organization_id: &str,
        role: &str,
    ) -> AuthResult<Option<OrganizationRole>> {
        let Some(role) = input::lookup_role(role) else {
            return Ok(None);
        };
        if !input::is_possible_id(organization_id) {
            return Ok(None);
        }
        self.fetch_optional(read("get_organization_role"), || {
            query_role!(
                "SELECT " COLUMNS " FROM organization_role WHERE organization_id = $1 AND role = $2",
                organization_id,
                role,
            )
        })
        .await
    }

    pub(super) async fn list_organization_roles(
        &self,
        organization_id: &str,
    ) -> AuthResult<Vec<OrganizationRole>> {
        if !input::is_possible_id(organization_id) {
            return Ok(Vec::new());
        }
        self.fetch_all(read("list_organization_roles"), || {
            query_role!(
                "SELECT " COLUMNS " FROM organization_role WHERE organization_id = $1 \
                 ORDER BY organization_role.created_at DESC, organization_role.id COLLATE \"C\" DESC",
                organization_id,
            )
        })
        .await
    }

    pub(super) async fn update_organization_role(
        &self,
        organization_id: &str,
        role: &str,
        permission: Metadata,
    ) -> AuthResult<OrganizationRole> {
        let permission = input::role_permission(permission)?;
        let role = input::lookup_role(role).ok_or(AuthError::RoleNotFound)?;
        if !input::is_possible_id(organization_id) {
            return Err(AuthError::RoleNotFound);
        }
        let changed = self.fetch_optional(write("update_organization_role"), || {
            query_role!(
                "UPDATE organization_role SET permission = $3, updated_at = GREATEST(statement_timestamp(), \
                 (updated_at AT TIME ZONE 'UTC' + INTERVAL '1 microsecond') AT TIME ZONE 'UTC') \
                 WHERE organization_id = $1 AND role = $2 RETURNING " COLUMNS "",
                organization_id,
                role,
                Json(&permission) as _,
            )
        });
        changed.await?.ok_or(AuthError::RoleNotFound)
    }

    pub(super) async fn delete_organization_role(
        &self,
        organization_id: &str,
        role: &str,
    ) -> AuthResult<()> {
        let Some(role) = input::lookup_role(role) else {
            return Ok(());
        };
        if !input::is_possible_id(organization_id) {
            return Ok(());
        }
        self.execute(write("delete_organization_role"), || {
            sqlx::query!(
                "DELETE FROM organization_role WHERE organization_id = $1 AND role = $2",
                organization_id,
                role,
            )
        })
        .await
        .map(drop)
    }
}
