//! Invitations to organizations: the row, what creates and accepts one.

use std::fmt;
use std::str::FromStr;

use chrono::{DateTime, Utc};
use serde::{Deserialize, Serialize};

use super::{column_setters, fields, optional_setters};

/// What has become of an invitation. An expired one is still pending, but counts no more.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
#[non_exhaustive]
pub enum InvitationStatus {
    /// Nobody has answered yet.
    #[default]
    Pending,
    /// The invited user became a member.
    Accepted,
    /// The invited user declined.
    Rejected,
    /// The organization took it back.
    Canceled,
}

impl InvitationStatus {
    /// As it is stored.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Pending => "pending",
            Self::Accepted => "accepted",
            Self::Rejected => "rejected",
            Self::Canceled => "canceled",
        }
    }
}

impl fmt::Display for InvitationStatus {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

/// The error of a text that is no status.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("the status of an invitation is pending, accepted, rejected or canceled")]
pub struct UnknownInvitationStatus;

impl FromStr for InvitationStatus {
    type Err = UnknownInvitationStatus;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let all = [
            Self::Pending,
            Self::Accepted,
            Self::Rejected,
            Self::Canceled,
        ];
        let found = all.into_iter().find(|status| status.as_str() == text);
        found.ok_or(UnknownInvitationStatus)
    }
}

/// A row of `invitation`.
#[derive(Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Invitation {
    /// Primary key: a UUIDv7.
    pub id: String,
    /// The organization.
    pub organization_id: String,
    /// The address that is invited, in lower case.
    pub email: String,
    /// The role that the user gets, or several joined by commas.
    pub role: String,
    /// What has become of it.
    pub status: InvitationStatus,
    /// The user who invited.
    pub inviter_id: String,
    /// A team of the organization that the user joins as well.
    pub team_id: Option<String>,
    /// It can be accepted while this is in the future.
    pub expires_at: DateTime<Utc>,
    /// When the row was created.
    pub created_at: DateTime<Utc>,
}

fields!(Invitation {
    id,
    organization_id,
    email,
    role,
    status,
    inviter_id,
    team_id,
    expires_at,
    created_at
});

/// An invitation with the names that its reader wants to see.
#[derive(Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct InvitationDetails {
    /// The row of `invitation`.
    #[serde(flatten)]
    pub invitation: Invitation,
    /// `organization.name`.
    pub organization_name: String,
    /// `organization.slug`.
    pub organization_slug: String,
    /// `users.name` of the inviter.
    pub inviter_name: Option<String>,
    /// `users.email` of the inviter.
    pub inviter_email: Option<String>,
}

fields!(InvitationDetails {
    invitation,
    organization_name,
    organization_slug,
    inviter_name,
    inviter_email
});

/// An invitation to be sent.
///
/// ```
/// use better_auth::types::CreateInvitation;
/// use chrono::{TimeDelta, Utc};
///
/// let in_two_days = Utc::now() + TimeDelta::days(2);
/// let invitation = CreateInvitation::new("organization-id", "grace@example.com", "user-id", in_two_days)
///     .with_role("admin");
/// assert_eq!(invitation.team_id, None);
/// ```
#[derive(Clone, PartialEq)]
pub struct CreateInvitation {
    /// The organization.
    pub organization_id: String,
    /// The address to be invited, compared without case.
    pub email: String,
    /// The role that the user gets, or several joined by commas. Default: `member`.
    pub role: String,
    /// The user who invites: a member of the organization.
    pub inviter_id: String,
    /// A team of the organization that the user joins as well.
    pub team_id: Option<String>,
    /// Until when it can be accepted.
    pub expires_at: DateTime<Utc>,
    /// How many live pending invitations the organization may have at most, with this one. Default: any number.
    pub limit: Option<u32>,
}

fields!(CreateInvitation {
    organization_id,
    email,
    role,
    inviter_id,
    team_id,
    expires_at,
    limit
});

impl CreateInvitation {
    /// An invitation to become a `member`.
    #[must_use]
    pub fn new(
        organization_id: impl Into<String>,
        email: impl Into<String>,
        inviter_id: impl Into<String>,
        expires_at: DateTime<Utc>,
    ) -> Self {
        Self {
            organization_id: organization_id.into(),
            email: email.into(),
            role: "member".to_owned(),
            inviter_id: inviter_id.into(),
            team_id: None,
            expires_at,
            limit: None,
        }
    }

    /// Sets `role`.
    #[must_use]
    pub fn with_role(mut self, role: impl Into<String>) -> Self {
        self.role = role.into();
        self
    }

    optional_setters! {
        with_team_id, maybe_team_id => team_id: String,
    }

    column_setters! {
        with_limit => limit: u32,
    }
}

/// How many members there may be at most after an invitation is accepted. `Default`: any number.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct MemberLimits {
    /// In the organization.
    pub members: Option<u32>,
    /// In the team of the invitation, if it names one.
    pub team_members: Option<u32>,
}
