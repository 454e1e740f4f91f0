//! Invitations to organizations.

use std::borrow::Cow;
use std::iter;

use chrono::{DateTime, Utc};

use super::key::Key;
use super::member;
use super::organization::{check_limit, check_organization, conflict};
use super::store::{Access, Repository, View};
use super::stripes::Stripes;
use super::table::{ListIndex, Row, UniqueIndex};
use super::team;
use crate::adapters::input;
use crate::types::{
    CreateInvitation, CreateMember, Invitation, InvitationDetails, InvitationStatus, Member,
    MemberLimits, TeamMember,
};
use crate::{AuthError, AuthResult, ConflictField};

const BY_PENDING: UniqueIndex<Invitation> = UniqueIndex::nth(0);
pub(super) const BY_ORGANIZATION: ListIndex<Invitation> = ListIndex::nth(0);
const BY_EMAIL: ListIndex<Invitation> = ListIndex::nth(1);
pub(super) const BY_INVITER: ListIndex<Invitation> = ListIndex::nth(2);

impl Row for Invitation {
    const UNIQUE: usize = 1;
    const LISTS: usize = 3;

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
        let is_pending = self.status == InvitationStatus::Pending;
        let pair = || Cow::Owned(pending_key(&self.organization_id, &self.email));
        iter::once(is_pending.then(pair))
    }

    fn list_keys(&self) -> impl Iterator<Item = Cow<'_, str>> {
        let keys = [&self.organization_id, &self.email, &self.inviter_id];
        keys.into_iter().map(|key| Cow::Borrowed(key.as_str()))
    }
}

impl<A: Access> Repository<A> {
    pub(super) fn create_invitation(&self, invitation: CreateInvitation) -> AuthResult<Invitation> {
        let limit = invitation.limit;
        let invitation = input::new_invitation(invitation, self.0.clock().now())?;
        let input = (invitation.clone(), limit);
        self.0.write(
            |view| {
                let pending = find_pending(view, &invitation);
                let inviter = &invitation.inviter_id;
                let team = invitation.team_id.as_deref().unwrap_or_default();
                invitation.stripes()
                    | pending.map(|old| old.stripes()).unwrap_or_default()
                    | member::stripes_of(view, &invitation.organization_id, inviter)
                    | view.teams().stripes_of(team)
            },
            input,
            |view, (invitation, limit)| invite(view, invitation, limit),
        )
    }

    pub(super) fn get_invitation(&self, id: &str) -> AuthResult<Option<InvitationDetails>> {
        Ok(self.0.read(|view| {
            let invitation = view.invitations().get(id)?;
            let organization = view.organizations().get(&invitation.organization_id)?;
            let names = (view.users()).with(&invitation.inviter_id, |user| {
                (user.name.clone(), user.email.clone())
            });
            let (inviter_name, inviter_email) = names?;
            Some(InvitationDetails {
                invitation,
                organization_name: organization.name,
                organization_slug: organization.slug,
                inviter_name,
                inviter_email,
            })
        }))
    }

    pub(super) fn list_invitations(&self, organization_id: &str) -> AuthResult<Vec<Invitation>> {
        let read = |view: &mut View<'_>| {
            (view.invitations()).list(&BY_ORGANIZATION, organization_id, |_| true)
        };
        Ok(self.0.read(read))
    }

    pub(super) fn list_pending_invitations(&self, email: &str) -> AuthResult<Vec<Invitation>> {
        let Some(email) = input::lookup_name(email) else {
            return Ok(Vec::new());
        };
        Ok(self.0.read(|view| {
            let now = self.0.clock().now();
            let live = |invitation: &Invitation| is_live(invitation, now);
            view.invitations().list(&BY_EMAIL, &email, live)
        }))
    }

    pub(super) fn accept_invitation(
        &self,
        id: &str,
        user_id: &str,
        require_verified_email: bool,
        limits: MemberLimits,
    ) -> AuthResult<(Invitation, Member)> {
        let now = self.0.clock().now();
        let answer = Answer::new(id, user_id, now);
        let (member_id, in_team) = (input::new_id()?, input::new_id()?);
        self.0.write(
            |view| {
                let (organization_id, team_id) = match view.invitations().get(id) {
                    Some(invitation) => (invitation.organization_id, invitation.team_id),
                    None => return Stripes::of(id) | Stripes::of(user_id),
                };
                let team_id = team_id.unwrap_or_default();
                view.invitations().stripes_of(id)
                    | member::stripes_of(view, &organization_id, user_id)
                    | Stripes::of(user_id)
                    | Stripes::of(&Key::composite(&team_id, user_id))
                    | Stripes::of(&team_id)
            },
            (answer, require_verified_email, limits, member_id, in_team),
            |view, (answer, require_verified_email, limits, member_id, in_team)| {
                let invitation = answered(view, &answer, require_verified_email)?;
                let member = CreateMember::new(&invitation.organization_id, &answer.user_id);
                let member = input::new_member(member.with_role(&invitation.role), answer.now)?;
                let member = Member {
                    id: member_id,
                    ..member
                };
                let member = member::check(view, member, limits.members)?;
                if let Some(team_id) = &invitation.team_id {
                    let row = TeamMember {
                        id: in_team,
                        organization_id: invitation.organization_id.clone(),
                        team_id: team_id.clone(),
                        user_id: answer.user_id,
                        created_at: answer.now,
                    };
                    team::check(view, &row, limits.team_members)?;
                    view.team_members().insert(row);
                }
                view.members().insert(member.clone());
                let invitation = answer_with(view, invitation, InvitationStatus::Accepted);
                Ok((invitation, member))
            },
        )
    }

    pub(super) fn reject_invitation(&self, id: &str, user_id: &str) -> AuthResult<Invitation> {
        let answer = Answer::new(id, user_id, self.0.clock().now());
        self.0.write(
            |view| view.invitations().stripes_of(id) | Stripes::of(user_id),
            answer,
            |view, answer| {
                let invitation = answered(view, &answer, false)?;
                Ok(answer_with(view, invitation, InvitationStatus::Rejected))
            },
        )
    }

    pub(super) fn cancel_invitation(
        &self,
        organization_id: &str,
        id: &str,
    ) -> AuthResult<Invitation> {
        let input = (organization_id.to_owned(), id.to_owned());
        self.0.write(
            |view| view.invitations().stripes_of(id),
            input,
            |view, (organization_id, id)| {
                let invitation = view.invitations().rely(&id, Invitation::clone);
                let invitation = invitation.filter(|invitation| {
                    invitation.organization_id == organization_id
                        && invitation.status == InvitationStatus::Pending
                });
                let invitation = invitation.ok_or(AuthError::InvitationNotFound)?;
                Ok(answer_with(view, invitation, InvitationStatus::Canceled))
            },
        )
    }
}

/// Who answers which invitation, and when.
#[derive(Clone)]
struct Answer {
    id: String,
    user_id: String,
    now: DateTime<Utc>,
}

impl Answer {
    fn new(id: &str, user_id: &str, now: DateTime<Utc>) -> Self {
        Self {
            id: id.to_owned(),
            user_id: user_id.to_owned(),
            now,
        }
    }
}

fn pending_key(organization_id: &str, email: &str) -> String {
    Key::composite(organization_id, email)
}

fn find_pending(view: &mut View<'_>, invitation: &Invitation) -> Option<Invitation> {
    let key = pending_key(&invitation.organization_id, &invitation.email);
    let id = view.invitations().find_unique(&BY_PENDING, &key)?;
    view.invitations().get(id.as_str())
}

fn is_live(invitation: &Invitation, now: DateTime<Utc>) -> bool {
    invitation.status == InvitationStatus::Pending && invitation.expires_at > now
}

fn invite(
    view: &mut View<'_>,
    invitation: Invitation,
    limit: Option<u32>,
) -> AuthResult<Invitation> {
    let now = invitation.created_at;
    let pending = find_pending(view, &invitation);
    if pending.as_ref().is_some_and(|old| is_live(old, now)) {
        return Err(conflict(ConflictField::Invitation));
    }
    let organization_id = &invitation.organization_id;
    check_organization(view, organization_id)?;
    let inviter = member::rely(view, organization_id, &invitation.inviter_id);
    inviter.ok_or(AuthError::MemberNotFound)?;
    if let Some(team_id) = &invitation.team_id {
        let team = view
            .teams()
            .rely(team_id, |team| team.organization_id.clone());
        if team.as_ref() != Some(organization_id) {
            return Err(AuthError::TeamNotFound);
        }
    }
    check_limit(limit, || {
        let live = |invitation: &Invitation| is_live(invitation, now);
        let live = (view.invitations()).list(&BY_ORGANIZATION, organization_id, live);
        live.len()
    })?;
    if let Some(old) = pending {
        view.invitations().remove(&old.id);
    }
    view.invitations().insert(invitation.clone());
    Ok(invitation)
}

/// The invitation, if it is live and sent to the user's address.
fn answered(
    view: &mut View<'_>,
    answer: &Answer,
    require_verified_email: bool,
) -> AuthResult<Invitation> {
    let invitation = view.invitations().rely(&answer.id, Invitation::clone);
    let invitation = invitation.filter(|invitation| is_live(invitation, answer.now));
    let invitation = invitation.ok_or(AuthError::InvitationNotFound)?;
    let is_addressee = view.users().rely(&answer.user_id, |user| {
        user.email.as_ref() == Some(&invitation.email)
            && (user.email_verified || !require_verified_email)
    });
    match is_addressee {
        Some(true) => Ok(invitation),
        _ => Err(AuthError::InvitationNotFound),
    }
}

fn answer_with(
    view: &mut View<'_>,
    invitation: Invitation,
    status: InvitationStatus,
) -> Invitation {
    let invitation = Invitation {
        status,
        ..invitation
    };
    view.invitations().replace(invitation.clone());
    invitation
}
