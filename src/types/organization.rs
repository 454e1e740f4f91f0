//! Organizations: the row, and what creates and changes one.

use chrono::{DateTime, Utc};
use serde::{Deserialize, Serialize};

use super::{Metadata, column_setters, fields, nullable_setters, optional_setters};

/// A row of `organization`.
///
/// ```
/// use better_auth::types::Organization;
/// use chrono::Utc;
///
/// let organization = Organization::new("id", "Analytical Engines", "engines", Utc::now());
/// let json = serde_json::to_value(&organization)?;
/// assert_eq!(json["slug"], "engines");
/// assert!(json.get("createdAt").is_some());
/// # Ok::<(), serde_json::Error>(())
/// ```
#[derive(Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Organization {
    /// Primary key: a UUIDv7.
    pub id: String,
    /// What people call it.
    pub name: String,
    /// Its name in URLs, in lower case; unique.
    pub slug: String,
    /// URL of a picture.
    pub logo: Option<String>,
    /// Data of the application's own.
    pub metadata: Metadata,
    /// When the row was created.
    pub created_at: DateTime<Utc>,
    /// When the row last changed; `created_at` until then.
    pub updated_at: DateTime<Utc>,
}

fields!(Organization { id, name, slug, logo, created_at, updated_at } redact { metadata });

impl Organization {
    /// An organization with the columns that every organization has.
    #[must_use]
    pub fn new(
        id: impl Into<String>,
        name: impl Into<String>,
        slug: impl Into<String>,
        created_at: DateTime<Utc>,
    ) -> Self {
        Self {
            id: id.into(),
            name: name.into(),
            slug: slug.into(),
            logo: None,
            metadata: Metadata::new(),
            created_at,
            updated_at: created_at,
        }
    }
}

/// An organization to be created, with its first member, who owns it.
///
/// ```
/// use better_auth::types::CreateOrganization;
///
/// let organization = CreateOrganization::new("Analytical Engines", "engines", "user-id").with_limit(5);
/// assert_eq!(organization.limit, Some(5));
/// ```
#[derive(Clone, PartialEq)]
pub struct CreateOrganization {
    /// What people call it.
    pub name: String,
    /// Its name in URLs: 1 to 255 bytes, compared without case.
    pub slug: String,
    /// URL of a picture.
    pub logo: Option<String>,
    /// Data of the application's own.
    pub metadata: Metadata,
    /// The user who becomes its first member, with the role `owner`.
    pub owner_id: String,
    /// In how many organizations the user may be at most, with this one. Default: any number. On PostgreSQL, a create with
    /// a limit writes the user's row without changing it, so that triggers on updates of `users` fire.
    pub limit: Option<u32>,
}

fields!(CreateOrganization { name, slug, logo, owner_id, limit } redact { metadata });

impl CreateOrganization {
    /// An organization of this user.
    #[must_use]
    pub fn new(
        name: impl Into<String>,
        slug: impl Into<String>,
        owner_id: impl Into<String>,
    ) -> Self {
        Self {
            name: name.into(),
            slug: slug.into(),
            logo: None,
            metadata: Metadata::new(),
            owner_id: owner_id.into(),
            limit: None,
        }
    }

    /// Sets `metadata`.
    #[must_use]
    pub fn with_metadata(mut self, metadata: Metadata) -> Self {
        self.metadata = metadata;
        self
    }

    optional_setters! {
        with_logo, maybe_logo => logo: String,
    }

    column_setters! {
        with_limit => limit: u32,
    }
}

/// A change to an organization. `Default` changes nothing.
///
/// ```
/// use better_auth::types::UpdateOrganization;
///
/// let rename = UpdateOrganization::new().with_name("Engines").without_logo();
/// assert_eq!(rename.logo, Some(None));
/// ```
#[derive(Clone, Default, PartialEq)]
pub struct UpdateOrganization {
    /// What people call it.
    pub name: Option<String>,
    /// Its name in URLs.
    pub slug: Option<String>,
    /// URL of a picture. `Some(None)` removes it.
    pub logo: Option<Option<String>>,
    /// Replaces the metadata whole.
    pub metadata: Option<Metadata>,
}

fields!(UpdateOrganization { name, slug, logo } redact { metadata });

impl UpdateOrganization {
    /// Changes nothing yet.
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }

    /// Sets `metadata`.
    #[must_use]
    pub fn with_metadata(mut self, metadata: Metadata) -> Self {
        self.metadata = Some(metadata);
        self
    }

    optional_setters! {
        with_name, maybe_name => name: String,
        with_slug, maybe_slug => slug: String,
    }

    nullable_setters! {
        with_logo, without_logo => logo: String,
    }
}
