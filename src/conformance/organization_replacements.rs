//! Promises about transactions whose member, team member or role someone else replaces meanwhile by one of the same names.
//!
//! The replacement runs in a task of its own, as an adapter may let it wait for the end of the transaction.

use std::sync::Arc;

use super::organizations::{new_organization, store};
use super::transaction_races::overlap;
use super::{Adapter, assert_eq, in_an_hour, new_user};
use crate::adapters::OrganizationStore;
use crate::types::{
    CreateInvitation, CreateMember, CreateOrganizationRole, CreateTeam, CreateTeamMember, Metadata,
};
use crate::{AuthError, AuthResult};

/// An organization with a team, and with a user in both.
struct Place {
    organization: String,
    team: String,
    user: String,
    email: String,
}

impl Place {
    async fn create(adapter: &Adapter, slug: &str) -> Self {
        let (organization, _, _) = new_organization(adapter, slug).await;
        let user = new_user(adapter).await;
        let organizations = store(adapter);
        let member = CreateMember::new(&organization.id, &user.id);
        organizations.create_member(member).await.unwrap();
        let team = CreateTeam::new(&organization.id, "Team");
        let team = organizations.create_team(team).await.unwrap();
        let place = Self {
            organization: organization.id,
            team: team.id,
            user: user.id,
            email: format!("{slug}@example.com"),
        };
        place.join_team(organizations).await.unwrap();
        place.create_role(organizations).await.unwrap();
        place
    }

    async fn join_team(&self, organizations: &dyn OrganizationStore) -> AuthResult<()> {
        let member = CreateTeamMember::new(&self.team, &self.user);
        organizations.create_team_member(member).await.map(drop)
    }

    async fn create_role(&self, organizations: &dyn OrganizationStore) -> AuthResult<()> {
        let role = CreateOrganizationRole::new(&self.organization, "auditor", Metadata::new());
        organizations.create_organization_role(role).await.map(drop)
    }

    async fn invite(&self, organizations: &dyn OrganizationStore) -> AuthResult<()> {
        let (organization, user) = (&self.organization, &self.user);
        let invitation = CreateInvitation::new(organization, &self.email, user, in_an_hour());
        organizations.create_invitation(invitation).await.map(drop)
    }

    /// Ends the membership, those of the team and the role, and creates all of them again.
    async fn replace(self: Arc<Self>, adapter: Adapter) -> AuthResult<()> {
        let organizations = store(&adapter);
        organizations
            .delete_organization_role(&self.organization, "auditor")
            .await?;
        self.create_role(organizations).await?;
        organizations
            .remove_member(&self.organization, &self.user)
            .await?;
        let member = CreateMember::new(&self.organization, &self.user);
        organizations.create_member(member).await?;
        self.join_team(organizations).await
    }
}

/// Runs `write` in a transaction whose rows are replaced before its commit. All of the replacements stay as they are.
async fn assert_replacements_stay(
    adapter: &Adapter,
    slug: &str,
    write: impl AsyncFnOnce(&dyn OrganizationStore, &Place) -> AuthResult<()>,
) -> Place {
    let place = Arc::new(Place::create(adapter, slug).await);
    let transaction = adapter.begin().await.unwrap();
    write(store(&*transaction), &place).await.unwrap();
    let replace = Arc::clone(&place).replace(adapter.clone());
    let (ended, replaced) = overlap(transaction.commit(), replace).await;
    if let Err(error) = ended {
        let gone = matches!(
            error,
            AuthError::MemberNotFound | AuthError::RoleNotFound | AuthError::Conflict { .. }
        );
        assert!(gone || error.is_retryable(), "{error:?}");
    }
    replaced.unwrap();
    let organizations = store(adapter);
    let member = organizations
        .get_member(&place.organization, &place.user)
        .await;
    assert_eq!(
        member.unwrap().map(|member| member.role).as_deref(),
        Some("member")
    );
    let in_team = organizations.list_team_members(&place.team).await.unwrap();
    assert_eq!(in_team.len(), 1);
    let role = organizations
        .get_organization_role(&place.organization, "auditor")
        .await;
    assert_eq!(
        role.unwrap().map(|role| role.permission),
        Some(Metadata::new())
    );
    Arc::into_inner(place).unwrap()
}

pub(super) async fn what_is_changed_stays_with_its_row(adapter: Adapter) {
    assert_replacements_stay(&adapter, "promoted", async |tx, at| {
        tx.update_member_role(&at.organization, &at.user, "owner")
            .await
            .map(drop)
    })
    .await;
    assert_replacements_stay(&adapter, "removed", async |tx, at| {
        tx.remove_member(&at.organization, &at.user).await
    })
    .await;
    assert_replacements_stay(&adapter, "left", async |tx, at| {
        tx.remove_team_member(&at.team, &at.user).await
    })
    .await;
    assert_replacements_stay(&adapter, "permitted", async |tx, at| {
        let permission = serde_json::from_str(r#"{"member": ["delete"]}"#).unwrap();
        let changed = tx.update_organization_role(&at.organization, "auditor", permission);
        changed.await.map(drop)
    })
    .await;
    assert_replacements_stay(&adapter, "deleted", async |tx, at| {
        tx.delete_organization_role(&at.organization, "auditor")
            .await
    })
    .await;
}

pub(super) async fn what_is_attached_stays_with_its_member(adapter: Adapter) {
    assert_replacements_stay(&adapter, "teams", async |tx, at| {
        tx.remove_team_member(&at.team, &at.user).await?;
        at.join_team(tx).await
    })
    .await;
    assert_replacements_stay(&adapter, "inviter", async |tx, at| at.invite(tx).await).await;
}
