//! What organizations, members, invitations, teams and roles consist of, in normal form.

use std::collections::HashSet;

use chrono::{DateTime, Utc};

use super::metadata::normal_metadata;
use super::random::new_id;
use super::text::{
    MAX_NAME_BYTES, given_key, is_possible_id, key, name_key, optional_text, text_update,
};
use super::time::normal_time;
use crate::types::{
    CreateInvitation, CreateMember, CreateOrganization, CreateOrganizationRole, CreateTeam,
    Invitation, InvitationStatus, Member, Metadata, OWNER, Organization, OrganizationRole, Team,
    UpdateOrganization,
};
use crate::{AuthError, AuthResult};

/// The rows of a new organization and of its owner, in normal form, with ids. If the store has a clock, as a database
/// server does, its time replaces `now`.
///
/// # Errors
///
/// [`AuthError::Validation`], which names the field; [`AuthError::Unavailable`] if the operating system gives no random
/// bytes.
pub fn new_organization(
    organization: CreateOrganization,
    now: DateTime<Utc>,
) -> AuthResult<(Organization, Member)> {
    let CreateOrganization {
        name,
        slug,
        logo,
        metadata,
        owner_id,
        limit: _,
    } = organization;
    let organization = Organization {
        id: new_id()?,
        name: given_name("name", name)?,
        slug: name_key("slug", &slug)?,
        logo: optional_text("logo", logo)?,
        metadata: normal_metadata(metadata)?,
        created_at: now,
        updated_at: now,
    };
    let owner = Member::new(new_id()?, &organization.id, owner_id, OWNER, now);
    Ok((organization, owner))
}

/// The update in normal form.
///
/// # Errors
///
/// [`AuthError::Validation`], which names the field.
pub fn organization_update(update: UpdateOrganization) -> AuthResult<UpdateOrganization> {
    let UpdateOrganization {
        name,
        slug,
        logo,
        metadata,
    } = update;
    Ok(UpdateOrganization {
        name: name.map(|name| given_name("name", name)).transpose()?,
        slug: slug.map(|slug| name_key("slug", &slug)).transpose()?,
        logo: text_update("logo", logo)?,
        metadata: metadata.map(normal_metadata).transpose()?,
    })
}

/// The row of a new member, in normal form, with an id.
///
/// # Errors
///
/// As [`new_organization`].
pub fn new_member(member: CreateMember, now: DateTime<Utc>) -> AuthResult<Member> {
    let CreateMember {
        organization_id,
        user_id,
        role,
        limit: _,
    } = member;
    let role = member_role(&role)?;
    Ok(Member::new(new_id()?, organization_id, user_id, role, now))
}

/// The role of a member in normal form: names joined by commas, without space around them, each once.
///
/// ```
/// use better_auth::adapters::input;
///
/// assert_eq!(input::member_role("admin, billing,admin")?, "admin,billing");
/// assert!(input::member_role("admin,,billing").is_err());
/// # Ok::<(), better_auth::AuthError>(())
/// ```
///
/// # Errors
///
/// [`AuthError::Validation`] if a name is empty, or the role is too long.
pub fn member_role(role: &str) -> AuthResult<String> {
    let mut names = HashSet::new();
    let mut normal = String::new();
    for name in role.split(',') {
        let name = role_name(name)?;
        if !names.insert(name.clone()) {
            continue;
        }
        if !normal.is_empty() {
            normal.push(',');
        }
        normal.push_str(&name);
        // More names make it only longer.
        if normal.len() > MAX_NAME_BYTES {
            break;
        }
    }
    key("role", normal, MAX_NAME_BYTES)
}

/// The row of a new invitation, in normal form, with an id.
///
/// # Errors
///
/// As [`new_organization`].
pub fn new_invitation(invitation: CreateInvitation, now: DateTime<Utc>) -> AuthResult<Invitation> {
    let CreateInvitation {
        organization_id,
        email,
        role,
        inviter_id,
        team_id,
        expires_at,
        limit: _,
    } = invitation;
    Ok(Invitation {
        id: new_id()?,
        organization_id,
        email: name_key("email", &email)?,
        role: member_role(&role)?,
        status: InvitationStatus::Pending,
        inviter_id,
        team_id,
        expires_at: normal_time("expires_at", expires_at)?,
        created_at: now,
    })
}

/// The row of a new team, in normal form, with an id.
///
/// # Errors
///
/// As [`new_organization`].
pub fn new_team(team: CreateTeam, now: DateTime<Utc>) -> AuthResult<Team> {
    Ok(Team {
        id: new_id()?,
        organization_id: team.organization_id,
        name: given_name("name", team.name)?,
        created_at: now,
        updated_at: now,
    })
}

/// The new name of a team.
///
/// # Errors
///
/// [`AuthError::Validation`].
pub fn team_name(name: &str) -> AuthResult<String> {
    given_name("name", name.to_owned())
}

/// The row of a new role, in normal form, with an id.
///
/// # Errors
///
/// As [`new_organization`].
pub fn new_organization_role(
    role: CreateOrganizationRole,
    now: DateTime<Utc>,
) -> AuthResult<OrganizationRole> {
    let CreateOrganizationRole {
        organization_id,
        role,
        permission,
    } = role;
    let role = role_name(&role)?;
    if role.contains(',') {
        return Err(AuthError::validation("role", "holds a comma"));
    }
    Ok(OrganizationRole {
        id: new_id()?,
        organization_id,
        role,
        permission: role_permission(permission)?,
        created_at: now,
        updated_at: now,
    })
}

/// What a role may do, in normal form.
///
/// # Errors
///
/// [`AuthError::Validation`], as for metadata.
pub fn role_permission(permission: Metadata) -> AuthResult<Metadata> {
    normal_metadata(permission).map_err(|error| match error {
        AuthError::Validation { message, .. } => AuthError::validation("permission", message),
        other => other,
    })
}

/// The name of one role as it is looked up, without space around it. `None` if no role has it.
#[must_use]
pub fn lookup_role(role: &str) -> Option<&str> {
    let role = role.trim();
    is_possible_id(role).then_some(role)
}

/// The name of one role in normal form.
fn role_name(role: &str) -> AuthResult<String> {
    given_name("role", role.trim().to_owned())
}

/// A name that is not empty and fits an index.
fn given_name(field: &'static str, name: String) -> AuthResult<String> {
    given_key(field, name, MAX_NAME_BYTES)
}
