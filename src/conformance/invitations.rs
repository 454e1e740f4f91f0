//! Promises about invitations to organizations.

use chrono::{DateTime, Utc};

use super::organizations::{assert_conflict, named, new_organization, store};
use super::{
    Adapter, an_hour_ago, assert_eq, assert_error, assert_refused, at_once, in_an_hour, new_user,
};
use crate::types::{
    CreateInvitation, CreateMember, CreateTeam, Invitation, InvitationStatus, MemberLimits, Team,
    UpdateUser, User,
};
use crate::{AuthError, ConflictField};

const GRACE: &str = "grace@example.com";
const NO_LIMITS: MemberLimits = MemberLimits {
    members: None,
    team_members: None,
};

/// An organization's id, its owner's, and an invitation to it.
struct Invited {
    organization_id: String,
    owner_id: String,
}

impl Invited {
    async fn new(adapter: &Adapter, slug: &str) -> Self {
        let (organization, _, owner) = new_organization(adapter, slug).await;
        Self {
            organization_id: organization.id,
            owner_id: owner.id,
        }
    }

    fn until(&self, email: &str, expires_at: DateTime<Utc>) -> CreateInvitation {
        CreateInvitation::new(&self.organization_id, email, &self.owner_id, expires_at)
    }

    fn to(&self, email: &str) -> CreateInvitation {
        self.until(email, in_an_hour())
    }

    async fn invite(&self, adapter: &Adapter, email: &str) -> Invitation {
        let invitation = store(adapter).create_invitation(self.to(email)).await;
        invitation.unwrap()
    }

    async fn team(&self, adapter: &Adapter) -> Team {
        let team = CreateTeam::new(&self.organization_id, "Team");
        store(adapter).create_team(team).await.unwrap()
    }
}

async fn status(adapter: &Adapter, id: &str) -> InvitationStatus {
    let found = store(adapter).get_invitation(id).await.unwrap();
    found.unwrap().invitation.status
}

pub(super) async fn an_invitation_is_accepted_once(adapter: Adapter) {
    let invited = Invited::new(&adapter, "engines").await;
    let grace = named(&adapter, GRACE).await;
    let create = invited.to("Grace@Example.com").with_role("admin, billing");
    let invitation = store(&adapter).create_invitation(create).await.unwrap();
    assert_eq!(invitation.email, GRACE);
    let answers = at_once(30, |_| {
        let (adapter, id, user) = (adapter.clone(), invitation.id.clone(), grace.id.clone());
        async move {
            let accepted = store(&adapter).accept_invitation(&id, &user, false, NO_LIMITS);
            accepted.await
        }
    });
    let (won, lost): (Vec<_>, Vec<_>) = answers.await.into_iter().partition(Result::is_ok);
    assert_eq!(won.len(), 1);
    for answer in lost {
        assert_error!(answer, AuthError::InvitationNotFound);
    }
    let (accepted, member) = won.into_iter().next().unwrap().unwrap();
    let expected = Invitation {
        status: InvitationStatus::Accepted,
        role: "admin,billing".into(),
        ..invitation
    };
    assert_eq!(accepted, expected);
    let found = store(&adapter).get_member(&invited.organization_id, &grace.id);
    assert_eq!(found.await.unwrap(), Some(member));
    assert_eq!(
        status(&adapter, &accepted.id).await,
        InvitationStatus::Accepted
    );
}

pub(super) async fn an_invitation_shows_names(adapter: Adapter) {
    let (organization, _, _) = new_organization(&adapter, "engines").await;
    let ada = named(&adapter, "ada@example.com").await;
    let member = CreateMember::new(&organization.id, &ada.id);
    store(&adapter).create_member(member).await.unwrap();
    let create = CreateInvitation::new(&organization.id, GRACE, &ada.id, in_an_hour());
    let invitation = store(&adapter).create_invitation(create).await.unwrap();
    let found = store(&adapter).get_invitation(&invitation.id).await;
    let found = found.unwrap().unwrap();
    assert_eq!(found.invitation, invitation);
    let organization_names = (found.organization_name, found.organization_slug);
    assert_eq!(organization_names, (organization.name, organization.slug));
    assert_eq!(
        (found.inviter_name, found.inviter_email),
        (ada.name, ada.email)
    );
    for unknown in ["unknown", "a\0b"] {
        let found = store(&adapter).get_invitation(unknown).await;
        assert_eq!(found.unwrap(), None);
    }
}

pub(super) async fn only_the_addressee_accepts(adapter: Adapter) {
    let invited = Invited::new(&adapter, "engines").await;
    let grace = named(&adapter, GRACE).await;
    let mallory = named(&adapter, "mallory@example.com").await;
    let nobody = new_user(&adapter).await;
    let invitation = invited.invite(&adapter, GRACE).await;
    let accept = async |id: &str, user: &str, verified| {
        let organizations = store(&adapter);
        let accepted = organizations.accept_invitation(id, user, verified, NO_LIMITS);
        accepted.await
    };
    for user in [&mallory.id, &nobody.id, "unknown", "a\0b"] {
        let answer = accept(&invitation.id, user, false).await;
        assert_error!(answer, AuthError::InvitationNotFound);
        let answer = store(&adapter).reject_invitation(&invitation.id, user);
        assert_error!(answer.await, AuthError::InvitationNotFound);
    }
    for id in ["unknown", "a\0b", &"x".repeat(5000)] {
        let answer = accept(id, &grace.id, false).await;
        assert_error!(answer, AuthError::InvitationNotFound);
    }
    let answer = accept(&invitation.id, &grace.id, true).await;
    assert_error!(answer, AuthError::InvitationNotFound);
    let to = |email: &str| UpdateUser::new().with_email(email);
    adapter
        .update_user(&grace.id, to("other@example.com"))
        .await
        .unwrap();
    let answer = accept(&invitation.id, &grace.id, false).await;
    assert_error!(answer, AuthError::InvitationNotFound);
    let verified = to(GRACE).with_email_verified(true);
    adapter.update_user(&grace.id, verified).await.unwrap();
    accept(&invitation.id, &grace.id, true).await.unwrap();
}

pub(super) async fn expired_and_answered_ones_are_gone(adapter: Adapter) {
    let invited = Invited::new(&adapter, "engines").await;
    let grace = named(&adapter, GRACE).await;
    let expired = invited.until(GRACE, an_hour_ago());
    let expired = store(&adapter).create_invitation(expired).await.unwrap();
    let refuse = async |id: &str| {
        let organizations = store(&adapter);
        let answer = organizations.accept_invitation(id, &grace.id, false, NO_LIMITS);
        assert_error!(answer.await, AuthError::InvitationNotFound);
        let answer = organizations.reject_invitation(id, &grace.id).await;
        assert_error!(answer, AuthError::InvitationNotFound);
    };
    refuse(&expired.id).await;
    let rejected = invited.invite(&adapter, GRACE).await;
    refuse(&expired.id).await;
    let answer = store(&adapter).reject_invitation(&rejected.id, &grace.id);
    assert_eq!(answer.await.unwrap().status, InvitationStatus::Rejected);
    refuse(&rejected.id).await;
    let canceled = invited.invite(&adapter, GRACE).await;
    let (other, _, _) = new_organization(&adapter, "other").await;
    for organization in [&other.id, "a\0b"] {
        let answer = store(&adapter).cancel_invitation(organization, &canceled.id);
        assert_error!(answer.await, AuthError::InvitationNotFound);
    }
    let organization_id = &invited.organization_id;
    let answer = store(&adapter).cancel_invitation(organization_id, &canceled.id);
    assert_eq!(answer.await.unwrap().status, InvitationStatus::Canceled);
    let again = store(&adapter).cancel_invitation(organization_id, &canceled.id);
    assert_error!(again.await, AuthError::InvitationNotFound);
    refuse(&canceled.id).await;
    let count = store(&adapter).count_members(organization_id).await;
    assert_eq!(count.unwrap(), 1);
}

pub(super) async fn an_address_has_one_live_pending_invitation(adapter: Adapter) {
    let invited = Invited::new(&adapter, "engines").await;
    let expired = invited.until(GRACE, an_hour_ago());
    let expired = store(&adapter).create_invitation(expired).await.unwrap();
    let listed = store(&adapter).list_pending_invitations(GRACE).await;
    assert_eq!(listed.unwrap(), []);
    let answers = at_once(20, |_| {
        let (adapter, create) = (adapter.clone(), invited.to("GRACE@example.com"));
        async move { store(&adapter).create_invitation(create).await }
    });
    let (won, lost): (Vec<_>, Vec<_>) = answers.await.into_iter().partition(Result::is_ok);
    assert_eq!(won.len(), 1);
    for answer in lost {
        assert_conflict!(answer, Invitation);
    }
    let invitation = won.into_iter().next().unwrap().unwrap();
    let listed = store(&adapter).list_invitations(&invited.organization_id);
    assert_eq!(listed.await.unwrap(), std::slice::from_ref(&invitation));
    let found = store(&adapter).get_invitation(&expired.id).await;
    assert_eq!(found.unwrap(), None);

    let other = Invited::new(&adapter, "other").await;
    let second = other.invite(&adapter, GRACE).await;
    let listed = store(&adapter).list_pending_invitations("Grace@Example.com");
    assert_eq!(listed.await.unwrap(), [second, invitation.clone()]);
    let organization_id = &invited.organization_id;
    let canceled = store(&adapter).cancel_invitation(organization_id, &invitation.id);
    canceled.await.unwrap();
    invited.invite(&adapter, GRACE).await;
    let listed = store(&adapter).list_invitations(organization_id).await;
    assert_eq!(listed.unwrap().len(), 2);
}

pub(super) async fn who_is_a_member_accepts_nothing(adapter: Adapter) {
    let invited = Invited::new(&adapter, "engines").await;
    let grace = named(&adapter, GRACE).await;
    let invitation = invited.invite(&adapter, GRACE).await;
    let member = CreateMember::new(&invited.organization_id, &grace.id);
    store(&adapter).create_member(member).await.unwrap();
    for limits in [
        NO_LIMITS,
        MemberLimits {
            members: Some(1),
            team_members: None,
        },
    ] {
        let answer = store(&adapter).accept_invitation(&invitation.id, &grace.id, false, limits);
        assert_conflict!(answer.await, Member);
    }
    assert_eq!(
        status(&adapter, &invitation.id).await,
        InvitationStatus::Pending
    );
}

pub(super) async fn impossible_invitations_are_refused(adapter: Adapter) {
    let invited = Invited::new(&adapter, "engines").await;
    let other = Invited::new(&adapter, "other").await;
    let foreign_team = other.team(&adapter).await;
    for wrong in ["", "a\0b", " a@example.com"] {
        let answer = store(&adapter).create_invitation(invited.to(wrong)).await;
        assert_refused("email", answer);
    }
    let answer = store(&adapter).create_invitation(invited.to(GRACE).with_role(""));
    assert_refused("role", answer.await);
    let user = new_user(&adapter).await;
    for id in [user.id.as_str(), "unknown", "a\0b"] {
        let mut create = invited.to(GRACE);
        create.inviter_id = id.to_owned();
        let answer = store(&adapter).create_invitation(create).await;
        assert_error!(answer, AuthError::MemberNotFound);
    }
    for id in [foreign_team.id.as_str(), "unknown", "a\0b"] {
        let create = invited.to(GRACE).with_team_id(id);
        let answer = store(&adapter).create_invitation(create).await;
        assert_error!(answer, AuthError::TeamNotFound);
    }
    for id in ["unknown", "a\0b"] {
        let mut create = invited.to(GRACE);
        create.organization_id = id.to_owned();
        let answer = store(&adapter).create_invitation(create).await;
        assert_error!(answer, AuthError::OrganizationNotFound);
    }
    let listed = store(&adapter).list_invitations(&invited.organization_id);
    assert_eq!(listed.await.unwrap(), []);
}

pub(super) async fn limits_of_invitations_are_exact(adapter: Adapter) {
    let invited = Invited::new(&adapter, "engines").await;
    let expired = invited.until("expired@example.com", an_hour_ago());
    store(&adapter).create_invitation(expired).await.unwrap();
    let answers = at_once(20, |index| {
        let create = invited.to(&format!("{index}@example.com")).with_limit(3);
        let adapter = adapter.clone();
        async move { store(&adapter).create_invitation(create).await }
    });
    let (won, lost): (Vec<_>, Vec<_>) = answers.await.into_iter().partition(Result::is_ok);
    assert_eq!(won.len(), 3);
    for answer in lost {
        assert_conflict!(answer, Limit);
    }
}

pub(super) async fn accepting_keeps_the_limits(adapter: Adapter) {
    let invited = Invited::new(&adapter, "engines").await;
    let team = invited.team(&adapter).await;
    let mut pairs: Vec<(User, Invitation)> = Vec::new();
    for number in 0..10 {
        let email = format!("{number}@example.com");
        let create = invited.to(&email).with_team_id(&team.id);
        let invitation = store(&adapter).create_invitation(create).await.unwrap();
        pairs.push((named(&adapter, &email).await, invitation));
    }
    for (members, team_members, joined) in [(Some(3), None, 2), (None, Some(5), 5)] {
        let limits = MemberLimits {
            members,
            team_members,
        };
        let answers = at_once(pairs.len(), |index| {
            let (user, invitation) = pairs[index].clone();
            let adapter = adapter.clone();
            async move {
                let organizations = store(&adapter);
                let accept =
                    organizations.accept_invitation(&invitation.id, &user.id, false, limits);
                accept.await
            }
        });
        for answer in answers.await {
            match answer {
                Ok(_) | Err(AuthError::InvitationNotFound) => {}
                answer => assert_conflict!(answer, Limit),
            }
        }
        let listed = store(&adapter).list_team_members(&team.id).await;
        assert_eq!(listed.unwrap().len(), joined);
        let count = store(&adapter)
            .count_members(&invited.organization_id)
            .await;
        assert_eq!(count.unwrap(), u64::try_from(joined).unwrap() + 1);
    }
}

pub(super) async fn a_team_of_an_invitation_may_go(adapter: Adapter) {
    let invited = Invited::new(&adapter, "engines").await;
    let grace = named(&adapter, GRACE).await;
    let team = invited.team(&adapter).await;
    let create = invited.to(GRACE).with_team_id(&team.id);
    let invitation = store(&adapter).create_invitation(create).await.unwrap();
    assert_eq!(invitation.team_id, Some(team.id.clone()));
    store(&adapter).delete_team(&team.id).await.unwrap();
    let accepted = store(&adapter).accept_invitation(&invitation.id, &grace.id, false, NO_LIMITS);
    let (invitation, _) = accepted.await.unwrap();
    assert_eq!(invitation.team_id, None);
}

pub(super) async fn invitations_of_a_deleted_inviter_are_gone(adapter: Adapter) {
    let invited = Invited::new(&adapter, "engines").await;
    let invitation = invited.invite(&adapter, GRACE).await;
    adapter.delete_user(&invited.owner_id).await.unwrap();
    let found = store(&adapter).get_invitation(&invitation.id).await;
    assert_eq!(found.unwrap(), None);
    let listed = store(&adapter).list_pending_invitations(GRACE).await;
    assert_eq!(listed.unwrap(), []);
}
