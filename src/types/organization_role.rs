//! Roles that an organization defines for itself: the row, and what creates one.

use chrono::{DateTime, Utc};
use serde::{Deserialize, Serialize};

use super::{Metadata, fields};

/// A row of `organization_role`. The application decides what the permission means.
#[derive(Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct OrganizationRole {
    /// Primary key: a UUIDv7.
    pub id: String,
    /// The organization.
    pub organization_id: String,
    /// The name, once in an organization.
    pub role: String,
    /// What the role may do: `{ "project": ["create", "share"] }`.
    pub permission: Metadata,
    /// When the row was created.
    pub created_at: DateTime<Utc>,
    /// When the row last changed; `created_at` until then.
    pub updated_at: DateTime<Utc>,
}

fields!(OrganizationRole {
    id,
    organization_id,
    role,
    permission,
    created_at,
    updated_at
});

/// A role to be created.
#[derive(Clone, PartialEq)]
pub struct CreateOrganizationRole {
    /// The organization.
    pub organization_id: String,
    /// The name: one, without a comma.
    pub role: String,
    /// What the role may do.
    pub permission: Metadata,
}

fields!(CreateOrganizationRole {
    organization_id,
    role,
    permission
});

impl CreateOrganizationRole {
    /// A role of this organization.
    #[must_use]
    pub fn new(
        organization_id: impl Into<String>,
        role: impl Into<String>,
        permission: Metadata,
    ) -> Self {
        Self {
            organization_id: organization_id.into(),
            role: role.into(),
            permission,
        }
    }
}
