//! `OrganizationStore`: organizations with members, invitations, teams and roles.

use async_trait::async_trait;

use crate::AuthResult;
#[allow(unused_imports, reason = "the documentation links to them")]
use crate::adapters::DatabaseAdapter;
use crate::types::{
    CreateInvitation, CreateMember, CreateOrganization, CreateOrganizationRole, CreateTeam,
    CreateTeamMember, Invitation, InvitationDetails, ListMembers, Member, MemberLimits, MemberPage,
    Metadata, Organization, OrganizationRole, Team, TeamMember, UpdateOrganization,
};
#[allow(unused_imports, reason = "the documentation links to them")]
use crate::{AuthError, ConflictField};

/// The store of organizations, their members, invitations, teams and roles.
/// [`DatabaseAdapter::organizations`] returns it.
///
/// ```
/// use better_auth::chrono::{TimeDelta, Utc};
/// use better_auth::prelude::*;
/// use better_auth::types::{CreateInvitation, CreateOrganization, MemberLimits};
///
/// # #[tokio::main]
/// # async fn main() -> AuthResult<()> {
/// let database = MemoryDatabaseAdapter::new();
/// let ada = database.create_user(CreateUser::new().with_email("ada@example.com")).await?;
/// let grace = database.create_user(CreateUser::new().with_email("grace@example.com")).await?;
///
/// let organizations = database.organizations()?;
/// let engines = CreateOrganization::new("Analytical Engines", "engines", &ada.id);
/// let (engines, owner) = organizations.create_organization(engines).await?;
/// assert!(owner.is_owner());
///
/// let in_two_days = Utc::now() + TimeDelta::days(2);
/// let invitation = CreateInvitation::new(&engines.id, "Grace@Example.com", &ada.id, in_two_days);
/// let invitation = organizations.create_invitation(invitation).await?;
/// let limits = MemberLimits { members: Some(100), ..MemberLimits::default() };
/// organizations.accept_invitation(&invitation.id, &grace.id, false, limits).await?;
/// assert_eq!(organizations.count_members(&engines.id).await?, 2);
/// # Ok(())
/// # }
/// ```
///
/// # What every store guarantees
///
/// - Each method is one statement in one round trip, and keeps its promises whatever other callers do, under READ
///   COMMITTED, REPEATABLE READ and SERIALIZABLE.
/// - **Limits are exact.** If a limit is 10 and there are 9, then of any number of callers exactly one succeeds, and the
///   others get [`Conflict`](AuthError::Conflict) of [`Limit`](ConflictField::Limit). Callers without a limit are not
///   counted.
/// - **The last owner stays.** An owner is a member of whose roles one is `owner`. [`remove_member`](Self::remove_member)
///   and [`update_member_role`](Self::update_member_role) of the only one is `Conflict` of
///   [`LastOwner`](ConflictField::LastOwner), also if two owners leave at once.
///   [`delete_user`](DatabaseAdapter::delete_user) alone may leave an organization without an owner;
///   [`list_organizations_without_owner`](Self::list_organizations_without_owner) finds it.
/// - Slugs and addresses are stored in lower case and compared without case. Names, slugs, roles and addresses are not empty
///   and take at most 255 bytes; otherwise they are [`Validation`](AuthError::Validation).
/// - A lookup by what cannot be stored answers `None`. Deletes of what is not there succeed. Lists are newest first.
/// - In a transaction of [`DatabaseAdapter::begin`], everything of this holds as well. A counter holds its organization
///   until the transaction ends.
/// - Who may do what is the application's to decide, before it calls.
#[async_trait]
pub trait OrganizationStore: Send + Sync {
    /// Creates an organization with its owner.
    ///
    /// # Errors
    ///
    /// [`AuthError::Validation`]; [`AuthError::Conflict`] of [`OrganizationSlug`](ConflictField::OrganizationSlug) or of
    /// [`Limit`](ConflictField::Limit), if the user is in so many organizations already; [`AuthError::UserNotFound`].
    async fn create_organization(
        &self,
        organization: CreateOrganization,
    ) -> AuthResult<(Organization, Member)>;

    /// Finds an organization by id.
    async fn get_organization(&self, id: &str) -> AuthResult<Option<Organization>>;

    /// Finds an organization by slug, in any case.
    async fn get_organization_by_slug(&self, slug: &str) -> AuthResult<Option<Organization>>;

    /// Finds up to 1,000 organizations at once, in the order of the ids. An id that is unknown is left out.
    ///
    /// # Errors
    ///
    /// [`AuthError::Validation`] if there are more ids.
    async fn get_organizations_by_ids(&self, ids: &[String]) -> AuthResult<Vec<Organization>>;

    /// The organizations of a user, the newest first, each with the user's membership.
    async fn list_user_organizations(
        &self,
        user_id: &str,
    ) -> AuthResult<Vec<(Organization, Member)>>;

    /// The organizations whose last owner's user was deleted, the newest first. It looks at every organization.
    async fn list_organizations_without_owner(&self) -> AuthResult<Vec<Organization>>;

    /// Changes an organization. An empty update returns the row unchanged.
    ///
    /// # Errors
    ///
    /// [`AuthError::Validation`]; [`AuthError::Conflict`] of [`OrganizationSlug`](ConflictField::OrganizationSlug);
    /// [`AuthError::OrganizationNotFound`].
    async fn update_organization(
        &self,
        id: &str,
        update: UpdateOrganization,
    ) -> AuthResult<Organization>;

    /// Removes an organization with its members, invitations, teams and roles. `active_organization_id` of sessions is a
    /// hint, and stays.
    async fn delete_organization(&self, id: &str) -> AuthResult<()>;

    /// Adds a member.
    ///
    /// # Errors
    ///
    /// [`AuthError::Validation`]; [`AuthError::Conflict`] of [`Member`](ConflictField::Member);
    /// [`AuthError::OrganizationNotFound`]; [`AuthError::Conflict`] of [`Limit`](ConflictField::Limit);
    /// [`AuthError::UserNotFound`].
    async fn create_member(&self, member: CreateMember) -> AuthResult<Member>;

    /// Finds a member. Ask it for each request, or [`check_session`](DatabaseAdapter::check_session):
    /// `active_organization_id` of the session is a hint.
    async fn get_member(&self, organization_id: &str, user_id: &str) -> AuthResult<Option<Member>>;

    /// Finds a member by the id of the membership.
    async fn get_member_by_id(&self, id: &str) -> AuthResult<Option<Member>>;

    /// A page of the members of an organization, the newest first, each with the user's name, email and image.
    ///
    /// # Errors
    ///
    /// [`AuthError::Validation`] of a limit or a cursor.
    async fn list_members(&self, query: ListMembers) -> AuthResult<MemberPage>;

    /// Counts the members of an organization.
    async fn count_members(&self, organization_id: &str) -> AuthResult<u64>;

    /// Changes the role of a member. To pass an organization on, make the other one an owner first, in a transaction with
    /// the second change.
    ///
    /// # Errors
    ///
    /// [`AuthError::Validation`]; [`AuthError::MemberNotFound`]; [`AuthError::Conflict`] of
    /// [`LastOwner`](ConflictField::LastOwner).
    async fn update_member_role(
        &self,
        organization_id: &str,
        user_id: &str,
        role: &str,
    ) -> AuthResult<Member>;

    /// Removes a member, also from the teams of the organization, and clears `active_organization_id` of the user's sessions
    /// that name it.
    ///
    /// # Errors
    ///
    /// [`AuthError::Conflict`] of [`LastOwner`](ConflictField::LastOwner).
    async fn remove_member(&self, organization_id: &str, user_id: &str) -> AuthResult<()>;

    /// Invites an address. An expired pending invitation of the same address is replaced.
    ///
    /// # Errors
    ///
    /// [`AuthError::Validation`]; [`AuthError::Conflict`] of [`Invitation`](ConflictField::Invitation) if the address has a
    /// live pending one; [`AuthError::OrganizationNotFound`]; [`AuthError::MemberNotFound`] if the inviter is no member;
    /// [`AuthError::TeamNotFound`] if the organization has no such team; [`AuthError::Conflict`] of
    /// [`Limit`](ConflictField::Limit).
    async fn create_invitation(&self, invitation: CreateInvitation) -> AuthResult<Invitation>;

    /// Finds an invitation, whatever has become of it, with the names of the organization and of the inviter.
    async fn get_invitation(&self, id: &str) -> AuthResult<Option<InvitationDetails>>;

    /// All invitations of an organization, the newest first.
    async fn list_invitations(&self, organization_id: &str) -> AuthResult<Vec<Invitation>>;

    /// The live pending invitations of an address, the newest first.
    async fn list_pending_invitations(&self, email: &str) -> AuthResult<Vec<Invitation>>;

    /// Accepts an invitation that is pending, live and sent to the address that the user has now: the user becomes a member,
    /// and joins the team if the invitation names one. Among any number of callers exactly one succeeds.
    ///
    /// With `require_verified_email`, the user's address has to be verified. Without it, anybody who knows the id and
    /// signs up with the address becomes a member.
    ///
    /// # Errors
    ///
    /// [`AuthError::InvitationNotFound`] for whatever stands against it, without saying what;
    /// [`AuthError::Conflict`] of [`Member`](ConflictField::Member) if the user is a member already, or of
    /// [`Limit`](ConflictField::Limit): the invitation stays as it was.
    async fn accept_invitation(
        &self,
        id: &str,
        user_id: &str,
        require_verified_email: bool,
        limits: MemberLimits,
    ) -> AuthResult<(Invitation, Member)>;

    /// Declines an invitation that is pending, live and sent to the address that the user has now.
    ///
    /// # Errors
    ///
    /// [`AuthError::InvitationNotFound`].
    async fn reject_invitation(&self, id: &str, user_id: &str) -> AuthResult<Invitation>;

    /// Takes back a pending invitation of the organization.
    ///
    /// # Errors
    ///
    /// [`AuthError::InvitationNotFound`].
    async fn cancel_invitation(&self, organization_id: &str, id: &str) -> AuthResult<Invitation>;

    /// Creates a team.
    ///
    /// # Errors
    ///
    /// [`AuthError::Validation`]; [`AuthError::OrganizationNotFound`]; [`AuthError::Conflict`] of
    /// [`Limit`](ConflictField::Limit).
    async fn create_team(&self, team: CreateTeam) -> AuthResult<Team>;

    /// Finds a team.
    async fn get_team(&self, id: &str) -> AuthResult<Option<Team>>;

    /// The teams of an organization, the newest first.
    async fn list_teams(&self, organization_id: &str) -> AuthResult<Vec<Team>>;

    /// The teams that a user is in, the newest first.
    async fn list_user_teams(&self, user_id: &str) -> AuthResult<Vec<Team>>;

    /// Renames a team.
    ///
    /// # Errors
    ///
    /// [`AuthError::Validation`]; [`AuthError::TeamNotFound`].
    async fn rename_team(&self, id: &str, name: &str) -> AuthResult<Team>;

    /// Removes a team with its memberships. Invitations that name it stay, without it.
    async fn delete_team(&self, id: &str) -> AuthResult<()>;

    /// Adds a member of the organization to a team of it.
    ///
    /// # Errors
    ///
    /// [`AuthError::TeamNotFound`]; [`AuthError::Conflict`] of [`TeamMember`](ConflictField::TeamMember) or of
    /// [`Limit`](ConflictField::Limit); [`AuthError::MemberNotFound`] if the user is no member of the organization.
    async fn create_team_member(&self, member: CreateTeamMember) -> AuthResult<TeamMember>;

    /// The members of a team, the newest first.
    async fn list_team_members(&self, team_id: &str) -> AuthResult<Vec<TeamMember>>;

    /// Removes a user from a team.
    async fn remove_team_member(&self, team_id: &str, user_id: &str) -> AuthResult<()>;

    /// Creates a role.
    ///
    /// # Errors
    ///
    /// [`AuthError::Validation`]; [`AuthError::Conflict`] of [`OrganizationRole`](ConflictField::OrganizationRole);
    /// [`AuthError::OrganizationNotFound`].
    async fn create_organization_role(
        &self,
        role: CreateOrganizationRole,
    ) -> AuthResult<OrganizationRole>;

    /// Finds a role of an organization.
    async fn get_organization_role(
        &self,
        organization_id: &str,
        role: &str,
    ) -> AuthResult<Option<OrganizationRole>>;

    /// The roles of an organization, the newest first.
    async fn list_organization_roles(
        &self,
        organization_id: &str,
    ) -> AuthResult<Vec<OrganizationRole>>;

    /// Replaces what a role may do.
    ///
    /// # Errors
    ///
    /// [`AuthError::Validation`]; [`AuthError::RoleNotFound`].
    async fn update_organization_role(
        &self,
        organization_id: &str,
        role: &str,
        permission: Metadata,
    ) -> AuthResult<OrganizationRole>;

    /// Removes a role. Members that have it keep its name.
    async fn delete_organization_role(&self, organization_id: &str, role: &str) -> AuthResult<()>;
}
