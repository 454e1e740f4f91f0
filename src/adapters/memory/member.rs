//! Members of organizations.

use std::borrow::Cow;
use std::iter;

use chrono::{DateTime, Utc};

use super::invitation;
use super::key::Key;
use super::organization::{check_limit, check_organization, conflict};
use super::session;
use super::store::{Access, Repository, View};
use super::stripes::Stripes;
use super::table::{ListIndex, Row, UniqueIndex};
use super::team;
use crate::adapters::input;
use crate::adapters::member_query::MemberQuery;
use crate::types::{
    CreateMember, ListMembers, Member, MemberPage, MemberWithUser, PublicUser, Session,
};
use crate::{AuthError, AuthResult, ConflictField};

const BY_PAIR: UniqueIndex<Member> = UniqueIndex::nth(0);
pub(super) const BY_ORGANIZATION: ListIndex<Member> = ListIndex::nth(0);
pub(super) const BY_USER: ListIndex<Member> = ListIndex::nth(1);

impl Row for Member {
    const UNIQUE: usize = 1;
    const LISTS: usize = 2;

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
        let pair = Key::composite(&self.organization_id, &self.user_id);
        iter::once(Some(Cow::Owned(pair)))
    }

    fn list_keys(&self) -> impl Iterator<Item = Cow<'_, str>> {
        let keys = [&self.organization_id, &self.user_id];
        keys.into_iter().map(|key| Cow::Borrowed(key.as_str()))
    }
}

impl<A: Access> Repository<A> {
    pub(super) fn create_member(&self, member: CreateMember) -> AuthResult<Member> {
        let limit = member.limit;
        let member = input::new_member(member, self.0.clock().now())?;
        let stripes = member.stripes();
        self.0.write(
            |_| stripes,
            (member, limit),
            |view, (member, limit)| {
                let member = check(view, member, limit)?;
                view.members().insert(member.clone());
                Ok(member)
            },
        )
    }

    pub(super) fn get_member(
        &self,
        organization_id: &str,
        user_id: &str,
    ) -> AuthResult<Option<Member>> {
        Ok(self.0.read(|view| find(view, organization_id, user_id)))
    }

    pub(super) fn get_member_by_id(&self, id: &str) -> AuthResult<Option<Member>> {
        Ok(self.0.read(|view| view.members().get(id)))
    }

    pub(super) fn list_members(&self, query: ListMembers) -> AuthResult<MemberPage> {
        let Some(query) = MemberQuery::new(query)? else {
            return Ok(MemberPage::default());
        };
        let (created_at, id) = &query.after;
        let after = (created_at.timestamp_micros(), Key::new(id));
        let members = self.0.read(|view| {
            let members = view.members().page(
                &BY_ORGANIZATION,
                &query.organization_id,
                &after,
                // One more tells whether there is a next page.
                query.limit + 1,
                |member| query.matches(member),
            );
            let with_user = |member: Member| {
                let user = view.users().with(&member.user_id, |user| PublicUser {
                    id: user.id.clone(),
                    name: user.name.clone(),
                    email: user.email.clone(),
                    image: user.image.clone(),
                })?;
                Some(MemberWithUser { member, user })
            };
            members.into_iter().filter_map(with_user).collect()
        });
        Ok(query.page(members))
    }

    pub(super) fn count_members(&self, organization_id: &str) -> AuthResult<u64> {
        let read = |view: &mut View<'_>| view.members().count(&BY_ORGANIZATION, organization_id);
        Ok(u64::try_from(self.0.read(read)).unwrap_or(u64::MAX))
    }

    pub(super) fn update_member_role(
        &self,
        organization_id: &str,
        user_id: &str,
        role: &str,
    ) -> AuthResult<Member> {
        let role = input::member_role(role)?;
        let input = (organization_id.to_owned(), user_id.to_owned(), role);
        self.0.write(
            |view| stripes_of(view, organization_id, user_id),
            input,
            |view, (organization_id, user_id, role)| {
                let member = rely(view, &organization_id, &user_id);
                let mut member = member.ok_or(AuthError::MemberNotFound)?;
                let was_owner = member.is_owner();
                member.role = role;
                if was_owner && !member.is_owner() {
                    check_other_owner(view, &member)?;
                }
                view.members()
                    .update(&member.id, |stored| stored.role.clone_from(&member.role))
                    .ok_or(AuthError::MemberNotFound)?;
                Ok(member)
            },
        )
    }

    pub(super) fn remove_member(&self, organization_id: &str, user_id: &str) -> AuthResult<()> {
        let input = (
            organization_id.to_owned(),
            user_id.to_owned(),
            self.0.clock().now(),
        );
        self.0.write(
            |view| {
                let teams = view.team_members().stripes_of_list(&team::BY_USER, user_id);
                stripes_of(view, organization_id, user_id) | teams | Stripes::of(user_id)
            },
            input,
            |view, (organization_id, user_id, now)| {
                let Some(member) = rely(view, &organization_id, &user_id) else {
                    return Ok(());
                };
                if member.is_owner() {
                    check_other_owner(view, &member)?;
                }
                remove(view, &member);
                deactivate(view, &member, now);
                Ok(())
            },
        )
    }
}

/// The member, if it can be added.
pub(super) fn check(view: &mut View<'_>, member: Member, limit: Option<u32>) -> AuthResult<Member> {
    let pair = Key::composite(&member.organization_id, &member.user_id);
    if view.members().find_unique(&BY_PAIR, &pair).is_some() {
        return Err(conflict(ConflictField::Member));
    }
    check_organization(view, &member.organization_id)?;
    check_limit(limit, || {
        (view.members()).count(&BY_ORGANIZATION, &member.organization_id)
    })?;
    let user = view.users().rely(&member.user_id, |_| ());
    user.ok_or(AuthError::UserNotFound)?;
    Ok(member)
}

pub(super) fn find(view: &mut View<'_>, organization_id: &str, user_id: &str) -> Option<Member> {
    let pair = Key::composite(organization_id, user_id);
    let id = view.members().find_unique(&BY_PAIR, &pair)?;
    view.members().get(id.as_str())
}

/// The member, for a write that changes or refers to it.
pub(super) fn rely(view: &mut View<'_>, organization_id: &str, user_id: &str) -> Option<Member> {
    let pair = Key::composite(organization_id, user_id);
    view.members().rely_unique(&BY_PAIR, &pair)
}

/// The stripes of a member, or of its coming.
pub(super) fn stripes_of(view: &mut View<'_>, organization_id: &str, user_id: &str) -> Stripes {
    let member = find(view, organization_id, user_id);
    let pair = Stripes::of(&Key::composite(organization_id, user_id));
    pair | Stripes::of(organization_id) | member.map(|member| member.stripes()).unwrap_or_default()
}

/// Removes a member, also from the teams of the organization.
fn remove(view: &mut View<'_>, member: &Member) {
    view.members().remove(&member.id);
    let in_organization =
        |row: &crate::types::TeamMember| row.organization_id == member.organization_id;
    view.team_members()
        .remove_each(&team::BY_USER, &member.user_id, in_organization);
}

/// Clears the organization in the sessions that work in it.
fn deactivate(view: &mut View<'_>, member: &Member, now: DateTime<Utc>) {
    let is_active = |session: &Session| {
        session.active_organization_id.as_ref() == Some(&member.organization_id)
    };
    for session in (view.sessions()).list(&session::BY_USER, &member.user_id, is_active) {
        view.sessions().update(&session.token, |session| {
            session.active_organization_id = None;
            session.updated_at = input::next_update(session.updated_at, now);
        });
    }
}

/// Fails unless somebody else owns the organization.
fn check_other_owner(view: &mut View<'_>, member: &Member) -> AuthResult<()> {
    let is_other = |other: &Member| other.id != member.id && other.is_owner();
    let organization = &member.organization_id;
    match (view.members()).find_in_list(&BY_ORGANIZATION, organization, is_other) {
        Some(_) => Ok(()),
        None => Err(conflict(ConflictField::LastOwner)),
    }
}

/// The stripes of what a user has in organizations.
pub(super) fn stripes_of_user(view: &mut View<'_>, user_id: &str) -> Stripes {
    let members = view.members().stripes_of_list(&BY_USER, user_id);
    let teams = view.team_members().stripes_of_list(&team::BY_USER, user_id);
    let invitations = (view.invitations()).stripes_of_list(&invitation::BY_INVITER, user_id);
    members | teams | invitations
}

/// Removes what a deleted user has in organizations. An organization may lose its last owner.
pub(super) fn remove_all_of_user(view: &mut View<'_>, user_id: &str) {
    view.team_members()
        .remove_each(&team::BY_USER, user_id, |_| true);
    view.members().remove_each(&BY_USER, user_id, |_| true);
    view.invitations()
        .remove_each(&invitation::BY_INVITER, user_id, |_| true);
}
