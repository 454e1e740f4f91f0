//! Organizations.

use std::borrow::Cow;
use std::iter;

use chrono::{DateTime, Utc};

use super::api_key;
use super::invitation;
use super::member;
use super::organization_role;
use super::store::{Access, Repository, View, set};
use super::stripes::Stripes;
use super::table::{Row, UniqueIndex};
use super::team;
use crate::adapters::input;
use crate::types::{CreateOrganization, Member, Organization, UpdateOrganization};
use crate::{AuthError, AuthResult, ConflictField};

const BY_SLUG: UniqueIndex<Organization> = UniqueIndex::nth(0);

impl Row for Organization {
    const UNIQUE: usize = 1;

    fn key(&self) -> &str {
        &self.id
    }

    fn created_at(&self) -> DateTime<Utc> {
        self.created_at
    }

    fn owner(&self) -> &str {
        &self.id
    }

    fn unique_keys(&self) -> impl Iterator<Item = Option<Cow<'_, str>>> {
        iter::once(Some(Cow::Borrowed(self.slug.as_str())))
    }
}

impl<A: Access> Repository<A> {
    /// The store, which has its tables from the start.
    pub(super) fn organizations(&self) -> AuthResult<&Self> {
        Ok(self)
    }

    pub(super) fn create_organization(
        &self,
        organization: CreateOrganization,
    ) -> AuthResult<(Organization, Member)> {
        let limit = organization.limit;
        let (organization, owner) = input::new_organization(organization, self.0.clock().now())?;
        let stripes = organization.stripes() | owner.stripes();
        self.0.write(
            |_| stripes,
            (organization, owner, limit),
            |view, (organization, owner, limit)| {
                check_slug_is_free(view, &organization)?;
                let user = view.users().rely(&owner.user_id, |_| ());
                user.ok_or(AuthError::UserNotFound)?;
                check_limit(limit, || {
                    view.members().count(&member::BY_USER, &owner.user_id)
                })?;
                view.organizations().insert(organization.clone());
                view.members().insert(owner.clone());
                Ok((organization, owner))
            },
        )
    }

    pub(super) fn get_organization(&self, id: &str) -> AuthResult<Option<Organization>> {
        Ok(self.0.read(|view| view.organizations().get(id)))
    }

    pub(super) fn get_organization_by_slug(&self, slug: &str) -> AuthResult<Option<Organization>> {
        let Some(slug) = input::lookup_name(slug) else {
            return Ok(None);
        };
        Ok(self.0.read(|view| {
            let id = view.organizations().find_unique(&BY_SLUG, &slug)?;
            view.organizations().get(id.as_str())
        }))
    }

    pub(super) fn get_organizations_by_ids(&self, ids: &[String]) -> AuthResult<Vec<Organization>> {
        input::check_ids(ids)?;
        Ok(self.0.read(|view| {
            let organization = |id: &String| view.organizations().get(id);
            ids.iter().filter_map(organization).collect()
        }))
    }

    pub(super) fn list_user_organizations(
        &self,
        user_id: &str,
    ) -> AuthResult<Vec<(Organization, Member)>> {
        let mut organizations = self.0.read(|view| {
            let members = view.members().list(&member::BY_USER, user_id, |_| true);
            let with_organization = |member: Member| {
                let organization = view.organizations().get(&member.organization_id)?;
                Some((organization, member))
            };
            members
                .into_iter()
                .filter_map(with_organization)
                .collect::<Vec<_>>()
        });
        organizations.sort_by_key(|(organization, _)| std::cmp::Reverse(organization.place()));
        Ok(organizations)
    }

    pub(super) fn list_organizations_without_owner(&self) -> AuthResult<Vec<Organization>> {
        let mut organizations = self.0.read(|view| {
            let keys = view.organizations().keys(|_| true);
            let ownerless = |id: &super::key::Key| {
                let organization = view.organizations().get(id.as_str())?;
                let members = &member::BY_ORGANIZATION;
                let mut members = view.members().list(members, id.as_str(), Member::is_owner);
                members.pop().is_none().then_some(organization)
            };
            keys.iter().filter_map(ownerless).collect::<Vec<_>>()
        });
        organizations.sort_by_key(|organization| std::cmp::Reverse(organization.place()));
        Ok(organizations)
    }

    pub(super) fn update_organization(
        &self,
        id: &str,
        update: UpdateOrganization,
    ) -> AuthResult<Organization> {
        let update = input::organization_update(update)?;
        if update == UpdateOrganization::default() {
            let found = self.get_organization(id)?;
            return found.ok_or(AuthError::OrganizationNotFound);
        }
        let slug = update.slug.as_deref().map(Stripes::of).unwrap_or_default();
        let input = (id.to_owned(), update, self.0.clock().now());
        self.0.write(
            |view| view.organizations().stripes_of(id) | slug,
            input,
            |view, (id, update, now)| {
                let organization = view.organizations().rely(&id, Organization::clone);
                let mut organization = organization.ok_or(AuthError::OrganizationNotFound)?;
                let UpdateOrganization {
                    name,
                    slug,
                    logo,
                    metadata,
                } = update;
                set(&mut organization.name, name);
                set(&mut organization.slug, slug);
                set(&mut organization.logo, logo);
                set(&mut organization.metadata, metadata);
                organization.updated_at = input::next_update(organization.updated_at, now);
                check_slug_is_free(view, &organization)?;
                view.organizations().replace(organization.clone());
                Ok(organization)
            },
        )
    }

    pub(super) fn delete_organization(&self, id: &str) -> AuthResult<()> {
        self.0.write(
            |view| stripes_of_all(view, id),
            id.to_owned(),
            |view, id| {
                if view.organizations().remove(&id).is_none() {
                    return Ok(());
                }
                for team in view.teams().list(&team::BY_ORGANIZATION, &id, |_| true) {
                    team::remove(view, &team.id);
                }
                view.members()
                    .remove_each(&member::BY_ORGANIZATION, &id, |_| true);
                view.invitations()
                    .remove_each(&invitation::BY_ORGANIZATION, &id, |_| true);
                let keys = api_key::owner_of_organization(&id);
                view.api_keys()
                    .remove_each(&api_key::BY_OWNER, &keys, |_| true);
                view.organization_roles().remove_each(
                    &organization_role::BY_ORGANIZATION,
                    &id,
                    |_| true,
                );
                Ok(())
            },
        )
    }
}

/// The stripes of an organization and of everything in it.
fn stripes_of_all(view: &mut View<'_>, id: &str) -> Stripes {
    let mut stripes = view.organizations().stripes_of(id);
    for team in view.teams().list(&team::BY_ORGANIZATION, id, |_| true) {
        stripes |= team::stripes_of_all(view, &team.id);
    }
    stripes |= view.members().stripes_of_list(&member::BY_ORGANIZATION, id);
    stripes |= (view.invitations()).stripes_of_list(&invitation::BY_ORGANIZATION, id);
    let keys = api_key::owner_of_organization(id);
    stripes |= view.api_keys().stripes_of_list(&api_key::BY_OWNER, &keys);
    stripes |= (view.organization_roles()).stripes_of_list(&organization_role::BY_ORGANIZATION, id);
    stripes
}

fn check_slug_is_free(view: &mut View<'_>, organization: &Organization) -> AuthResult<()> {
    let holder = (view.organizations()).find_unique(&BY_SLUG, &organization.slug);
    if holder.is_some_and(|holder| holder.as_str() != organization.id) {
        return Err(conflict(ConflictField::OrganizationSlug));
    }
    Ok(())
}

pub(super) fn conflict(field: ConflictField) -> AuthError {
    AuthError::Conflict { field }
}

/// Fails if there is a limit and it is reached.
pub(super) fn check_limit(limit: Option<u32>, count: impl FnOnce() -> usize) -> AuthResult<()> {
    match limit {
        Some(limit) if u32::try_from(count()).unwrap_or(u32::MAX) >= limit => {
            Err(conflict(ConflictField::Limit))
        }
        _ => Ok(()),
    }
}

/// Fails unless the organization is there.
pub(super) fn check_organization(view: &mut View<'_>, id: &str) -> AuthResult<()> {
    let organization = view.organizations().rely(id, |_| ());
    organization.ok_or(AuthError::OrganizationNotFound)
}
