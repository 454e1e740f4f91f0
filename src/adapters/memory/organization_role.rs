//! Roles that organizations define.

use std::borrow::Cow;
use std::iter;

use chrono::{DateTime, Utc};

use super::key::Key;
use super::organization::{check_organization, conflict};
use super::store::{Access, Repository, View};
use super::stripes::Stripes;
use super::table::{ListIndex, Row, UniqueIndex};
use crate::adapters::input;
use crate::types::{CreateOrganizationRole, Metadata, OrganizationRole};
use crate::{AuthError, AuthResult, ConflictField};

const BY_NAME: UniqueIndex<OrganizationRole> = UniqueIndex::nth(0);
pub(super) const BY_ORGANIZATION: ListIndex<OrganizationRole> = ListIndex::nth(0);

impl Row for OrganizationRole {
    const UNIQUE: usize = 1;
    const LISTS: usize = 1;

    fn key(&self) -> &str {
        &self.id
    }

    fn created_at(&self) -> DateTime<Utc> {
        self.created_at
    }

    fn owner(&self) -> &str {
        &self.organization_id
    }

    fn unique_keys(&self) -> impl Iterator<Item = Option<Cow<'_, str>>> {
        let name = Key::composite(&self.organization_id, &self.role);
        iter::once(Some(Cow::Owned(name)))
    }

    fn list_keys(&self) -> impl Iterator<Item = Cow<'_, str>> {
        iter::once(Cow::Borrowed(self.organization_id.as_str()))
    }
}

impl<A: Access> Repository<A> {
    pub(super) fn create_organization_role(
        &self,
        role: CreateOrganizationRole,
    ) -> AuthResult<OrganizationRole> {
        let role = input::new_organization_role(role, self.0.clock().now())?;
        let stripes = role.stripes();
        self.0.write(
            |_| stripes,
            role,
            |view, role| {
                if find(view, &role.organization_id, &role.role).is_some() {
                    return Err(conflict(ConflictField::OrganizationRole));
                }
                check_organization(view, &role.organization_id)?;
                view.organization_roles().insert(role.clone());
                Ok(role)
            },
        )
    }

    pub(super) fn get_organization_role(
        &self,
        organization_id: &str,
        role: &str,
    ) -> AuthResult<Option<OrganizationRole>> {
        let Some(role) = input::lookup_role(role) else {
            return Ok(None);
        };
        Ok(self.0.read(|view| {
            let id = find(view, organization_id, role)?;
            view.organization_roles().get(id.as_str())
        }))
    }

    pub(super) fn list_organization_roles(
        &self,
        organization_id: &str,
    ) -> AuthResult<Vec<OrganizationRole>> {
        let read = |view: &mut View<'_>| {
            (view.organization_roles()).list(&BY_ORGANIZATION, organization_id, |_| true)
        };
        Ok(self.0.read(read))
    }

    pub(super) fn update_organization_role(
        &self,
        organization_id: &str,
        role: &str,
        permission: Metadata,
    ) -> AuthResult<OrganizationRole> {
        let permission = input::role_permission(permission)?;
        let role = input::lookup_role(role).ok_or(AuthError::RoleNotFound)?;
        let input = (
            organization_id.to_owned(),
            role.to_owned(),
            permission,
            self.0.clock().now(),
        );
        self.0.write(
            |view| stripes_of(view, organization_id, role),
            input,
            |view, (organization_id, role, permission, now)| {
                let row = rely(view, &organization_id, &role).ok_or(AuthError::RoleNotFound)?;
                let changed = view.organization_roles().update(&row.id, |row| {
                    row.permission = permission;
                    row.updated_at = input::next_update(row.updated_at, now);
                    row.clone()
                });
                changed.ok_or(AuthError::RoleNotFound)
            },
        )
    }

    pub(super) fn delete_organization_role(
        &self,
        organization_id: &str,
        role: &str,
    ) -> AuthResult<()> {
        let Some(role) = input::lookup_role(role) else {
            return Ok(());
        };
        self.0.write(
            |view| stripes_of(view, organization_id, role),
            (organization_id.to_owned(), role.to_owned()),
            |view, (organization_id, role)| {
                if let Some(row) = rely(view, &organization_id, &role) {
                    view.organization_roles().remove(&row.id);
                }
                Ok(())
            },
        )
    }
}

fn find(view: &mut View<'_>, organization_id: &str, role: &str) -> Option<Key> {
    let name = Key::composite(organization_id, role);
    view.organization_roles().find_unique(&BY_NAME, &name)
}

fn rely(view: &mut View<'_>, organization_id: &str, role: &str) -> Option<OrganizationRole> {
    let name = Key::composite(organization_id, role);
    view.organization_roles().rely_unique(&BY_NAME, &name)
}

fn stripes_of(view: &mut View<'_>, organization_id: &str, role: &str) -> Stripes {
    let name = Stripes::of(&Key::composite(organization_id, role));
    let row = find(view, organization_id, role);
    let row = row.map(|id| view.organization_roles().stripes_of(id.as_str()));
    name | row.unwrap_or_default()
}
