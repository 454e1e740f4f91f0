//! Histories of a few callers on the members of an organization and on an invitation to it.

use better_auth::adapters::{DatabaseAdapter, OrganizationStore};
use better_auth::types::{
    CreateInvitation, CreateMember, CreateOrganization, CreateUser, InvitationStatus, Member,
    MemberLimits,
};
use better_auth::{AuthResult, ConflictField};

use crate::histories::{Answer, Refusal, Subject, explore};
use crate::linearizability::Model;
use crate::random::Random;
use crate::{Run, in_an_hour};

const LIMIT: u32 = 2;

/// Whether each of three users is a member, and of these whether an owner. At least one is.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
struct Members([Option<bool>; 3]);

impl Default for Members {
    fn default() -> Self {
        Self([Some(true), None, None])
    }
}

#[derive(Clone, Debug)]
enum OnMembers {
    /// Whether as an owner. Each caller has the limit: one without it writes nothing that others would wait for.
    Add(usize, bool),
    SetOwner(usize, bool),
    Remove(usize),
    Get(usize),
    Count,
}

fn role(is_owner: bool) -> &'static str {
    if is_owner { "owner" } else { "member" }
}

impl Members {
    fn count(&self) -> usize {
        self.0.iter().flatten().count()
    }

    fn is_last_owner(&self, user: usize) -> bool {
        let owners = self.0.iter().flatten().filter(|is_owner| **is_owner);
        self.0[user] == Some(true) && owners.count() == 1
    }
}

impl Model for Members {
    type Operation = OnMembers;
    type Answer = Answer;

    fn apply(&mut self, operation: &OnMembers) -> Answer {
        let conflict = |field| Err(Refusal::Conflict(field));
        match *operation {
            OnMembers::Add(user, _) if self.0[user].is_some() => conflict(ConflictField::Member),
            OnMembers::Add(..) if self.count() >= LIMIT as usize => conflict(ConflictField::Limit),
            OnMembers::SetOwner(user, _) if self.0[user].is_none() => Err(Refusal::NotFound),
            OnMembers::SetOwner(user, false) | OnMembers::Remove(user)
                if self.is_last_owner(user) =>
            {
                conflict(ConflictField::LastOwner)
            }
            OnMembers::Add(user, is_owner) | OnMembers::SetOwner(user, is_owner) => {
                self.0[user] = Some(is_owner);
                Ok(Some(role(is_owner).to_owned()))
            }
            OnMembers::Remove(user) => {
                self.0[user] = None;
                Ok(None)
            }
            OnMembers::Get(user) => Ok(self.0[user].map(|is_owner| role(is_owner).to_owned())),
            OnMembers::Count => Ok(Some(self.count().to_string())),
        }
    }
}

/// An organization of the first of so many new users: its id, and theirs.
async fn prepare<const USERS: usize>(
    database: &dyn DatabaseAdapter,
    name: &str,
) -> AuthResult<(String, [String; USERS])> {
    let mut users = [const { String::new() }; USERS];
    for (number, user) in users.iter_mut().enumerate() {
        let create = CreateUser::new().with_email(format!("{number}.{name}@example.com"));
        *user = database.create_user(create).await?.id;
    }
    let create = CreateOrganization::new(name, name, &users[0]);
    let (organization, _) = database
        .organizations()?
        .create_organization(create)
        .await?;
    Ok((organization.id, users))
}

impl Subject for Members {
    async fn prepare(database: &dyn DatabaseAdapter, round: usize) -> AuthResult<String> {
        let (organization, users) = prepare::<3>(database, &format!("members-{round}")).await?;
        Ok(format!("{organization} {}", users.join(" ")))
    }

    fn choose(random: &mut Random) -> OnMembers {
        let (user, is_owner) = (random.below(3), random.one_in(2));
        match random.below(12) {
            0..=3 => OnMembers::Add(user, is_owner),
            4..=5 => OnMembers::SetOwner(user, is_owner),
            6..=8 => OnMembers::Remove(user),
            9..=10 => OnMembers::Get(user),
            _ => OnMembers::Count,
        }
    }

    async fn call(
        database: &dyn DatabaseAdapter,
        key: &str,
        operation: &OnMembers,
    ) -> AuthResult<Option<String>> {
        let ids: Vec<&str> = key.split(' ').collect();
        let (id, users) = (ids[0], &ids[1..]);
        let organizations = database.organizations()?;
        let role_of = |member: Member| Some(member.role);
        match *operation {
            OnMembers::Add(user, is_owner) => {
                let create = CreateMember {
                    limit: Some(LIMIT),
                    ..CreateMember::new(id, users[user]).with_role(role(is_owner))
                };
                organizations.create_member(create).await.map(role_of)
            }
            OnMembers::SetOwner(user, is_owner) => {
                let changed = organizations
                    .update_member_role(id, users[user], role(is_owner))
                    .await;
                changed.map(role_of)
            }
            OnMembers::Remove(user) => organizations
                .remove_member(id, users[user])
                .await
                .map(|()| None),
            OnMembers::Get(user) => {
                let found = organizations.get_member(id, users[user]).await?;
                Ok(found.and_then(role_of))
            }
            OnMembers::Count => {
                let count = organizations.count_members(id).await?;
                Ok(Some(count.to_string()))
            }
        }
    }
}

/// An invitation, whether another one of its address is pending, and whether the invited user is a member.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
struct Invitation {
    status: &'static str,
    has_other: bool,
    is_member: bool,
}

impl Default for Invitation {
    fn default() -> Self {
        Self {
            status: PENDING,
            has_other: false,
            is_member: false,
        }
    }
}

const PENDING: &str = "pending";

#[derive(Clone, Debug)]
enum OnInvitation {
    Accept,
    Reject,
    Cancel,
    /// The same address again.
    Invite,
    Get,
    CountPending,
    AddMember,
    RemoveMember,
    GetMember,
}

impl Model for Invitation {
    type Operation = OnInvitation;
    type Answer = Answer;

    fn apply(&mut self, operation: &OnInvitation) -> Answer {
        let is_pending = self.status == PENDING;
        match operation {
            OnInvitation::Accept | OnInvitation::Reject | OnInvitation::Cancel if !is_pending => {
                Err(Refusal::NotFound)
            }
            OnInvitation::Accept | OnInvitation::AddMember if self.is_member => {
                Err(Refusal::Conflict(ConflictField::Member))
            }
            OnInvitation::Accept => {
                (self.status, self.is_member) = ("accepted", true);
                Ok(None)
            }
            OnInvitation::Reject => {
                self.status = "rejected";
                Ok(None)
            }
            OnInvitation::Cancel => {
                self.status = "canceled";
                Ok(None)
            }
            OnInvitation::Invite if is_pending || self.has_other => {
                Err(Refusal::Conflict(ConflictField::Invitation))
            }
            OnInvitation::Invite => {
                self.has_other = true;
                Ok(None)
            }
            OnInvitation::Get => Ok(Some(self.status.to_owned())),
            OnInvitation::CountPending => {
                let count = usize::from(is_pending) + usize::from(self.has_other);
                Ok(Some(count.to_string()))
            }
            OnInvitation::AddMember => {
                self.is_member = true;
                Ok(None)
            }
            OnInvitation::RemoveMember => {
                self.is_member = false;
                Ok(None)
            }
            OnInvitation::GetMember => Ok(Some(self.is_member.to_string())),
        }
    }
}

fn shown(status: InvitationStatus) -> String {
    let status = match status {
        InvitationStatus::Pending => PENDING,
        InvitationStatus::Accepted => "accepted",
        InvitationStatus::Rejected => "rejected",
        InvitationStatus::Canceled => "canceled",
        other => panic!("{other:?} is new"),
    };
    status.to_owned()
}

impl Subject for Invitation {
    async fn prepare(database: &dyn DatabaseAdapter, round: usize) -> AuthResult<String> {
        let name = format!("invitation-{round}");
        let (organization, [inviter, guest]) = prepare(database, &name).await?;
        let email = format!("1.{name}@example.com");
        let create = CreateInvitation::new(&organization, &email, &inviter, in_an_hour());
        let invitation = database.organizations()?.create_invitation(create).await?;
        Ok(format!(
            "{organization} {inviter} {guest} {email} {}",
            invitation.id
        ))
    }

    fn choose(random: &mut Random) -> OnInvitation {
        match random.below(16) {
            0..=2 => OnInvitation::Accept,
            3 => OnInvitation::Reject,
            4 => OnInvitation::Cancel,
            5..=7 => OnInvitation::Invite,
            8 => OnInvitation::Get,
            9..=10 => OnInvitation::CountPending,
            11..=12 => OnInvitation::AddMember,
            13..=14 => OnInvitation::RemoveMember,
            _ => OnInvitation::GetMember,
        }
    }

    async fn call(
        database: &dyn DatabaseAdapter,
        key: &str,
        operation: &OnInvitation,
    ) -> AuthResult<Option<String>> {
        let ids: Vec<&str> = key.split(' ').collect();
        let [organization, inviter, guest, email, id] = ids[..] else {
            panic!("{key}");
        };
        let store: &dyn OrganizationStore = database.organizations()?;
        match operation {
            OnInvitation::Accept => {
                let limits = MemberLimits {
                    members: Some(100),
                    team_members: None,
                };
                store
                    .accept_invitation(id, guest, false, limits)
                    .await
                    .map(|_| None)
            }
            OnInvitation::Reject => store.reject_invitation(id, guest).await.map(|_| None),
            OnInvitation::Cancel => store
                .cancel_invitation(organization, id)
                .await
                .map(|_| None),
            OnInvitation::Invite => {
                let create = CreateInvitation::new(organization, email, inviter, in_an_hour());
                store.create_invitation(create).await.map(|_| None)
            }
            OnInvitation::Get => {
                let found = store.get_invitation(id).await?;
                Ok(found.map(|found| shown(found.invitation.status)))
            }
            OnInvitation::CountPending => {
                let pending = store.list_pending_invitations(email).await?;
                Ok(Some(pending.len().to_string()))
            }
            OnInvitation::AddMember => {
                let create = CreateMember::new(organization, guest);
                store.create_member(create).await.map(|_| None)
            }
            OnInvitation::RemoveMember => store
                .remove_member(organization, guest)
                .await
                .map(|()| None),
            OnInvitation::GetMember => {
                let found = store.get_member(organization, guest).await?;
                Ok(Some(found.is_some().to_string()))
            }
        }
    }
}

pub(crate) async fn members_are_linearizable(run: Run) {
    explore::<Members>(run).await;
}

pub(crate) async fn invitations_are_linearizable(run: Run) {
    explore::<Invitation>(run).await;
}
