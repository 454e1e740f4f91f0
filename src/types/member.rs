//! Members of organizations: the row, what creates one, and pages of them.

use chrono::{DateTime, Utc};
use serde::{Deserialize, Serialize};

use super::{column_setters, fields, optional_setters};

/// A row of `member`: a user in an organization.
#[derive(Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Member {
    /// Primary key: a UUIDv7.
    pub id: String,
    /// The organization.
    pub organization_id: String,
    /// The user. A user is in an organization once.
    pub user_id: String,
    /// One role, or several joined by commas: `owner`, `admin,billing`.
    pub role: String,
    /// When the row was created.
    pub created_at: DateTime<Utc>,
}

fields!(Member {
    id,
    organization_id,
    user_id,
    role,
    created_at
});

impl Member {
    /// A member.
    #[must_use]
    pub fn new(
        id: impl Into<String>,
        organization_id: impl Into<String>,
        user_id: impl Into<String>,
        role: impl Into<String>,
        created_at: DateTime<Utc>,
    ) -> Self {
        Self {
            id: id.into(),
            organization_id: organization_id.into(),
            user_id: user_id.into(),
            role: role.into(),
            created_at,
        }
    }

    /// The names of the roles.
    ///
    /// ```
    /// use better_auth::types::Member;
    /// use chrono::Utc;
    ///
    /// let member = Member::new("id", "organization-id", "user-id", "admin,billing", Utc::now());
    /// assert!(member.roles().eq(["admin", "billing"]));
    /// assert!(!member.is_owner());
    /// ```
    pub fn roles(&self) -> impl Iterator<Item = &str> {
        self.role.split(',').map(|role| role.trim_matches(' '))
    }

    /// Whether one of the roles is `owner`.
    #[must_use]
    pub fn is_owner(&self) -> bool {
        self.roles().any(|role| role == OWNER)
    }
}

/// The role of who owns an organization. At least one member has it, unless the last one's user was deleted.
pub(crate) const OWNER: &str = "owner";

/// A member to be added.
///
/// ```
/// use better_auth::types::CreateMember;
///
/// let member = CreateMember::new("organization-id", "user-id").with_role("admin").with_limit(100);
/// assert_eq!(member.role, "admin");
/// ```
#[derive(Clone, PartialEq)]
pub struct CreateMember {
    /// The organization.
    pub organization_id: String,
    /// The user.
    pub user_id: String,
    /// One role, or several joined by commas. Default: `member`.
    pub role: String,
    /// How many members the organization may have at most, with this one. Default: any number.
    pub limit: Option<u32>,
}

fields!(CreateMember {
    organization_id,
    user_id,
    role,
    limit
});

impl CreateMember {
    /// This user as a `member` of this organization.
    #[must_use]
    pub fn new(organization_id: impl Into<String>, user_id: impl Into<String>) -> Self {
        Self {
            organization_id: organization_id.into(),
            user_id: user_id.into(),
            role: "member".to_owned(),
            limit: None,
        }
    }

    /// Sets `role`.
    #[must_use]
    pub fn with_role(mut self, role: impl Into<String>) -> Self {
        self.role = role.into();
        self
    }

    column_setters! {
        with_limit => limit: u32,
    }
}

/// What the members of an organization see of each other's user.
#[derive(Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct PublicUser {
    /// `users.id`.
    pub id: String,
    /// `users.name`.
    pub name: Option<String>,
    /// `users.email`.
    pub email: Option<String>,
    /// `users.image`.
    pub image: Option<String>,
}

fields!(PublicUser {
    id,
    name,
    email,
    image
});

/// A member with what others see of the user.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct MemberWithUser {
    /// The row of `member`.
    #[serde(flatten)]
    pub member: Member,
    /// The user.
    pub user: PublicUser,
}

/// Which page of the members of an organization to list.
///
/// ```
/// use better_auth::types::ListMembers;
///
/// let admins = ListMembers::new("organization-id").with_role("admin").with_limit(50);
/// assert_eq!(admins.cursor, None);
/// ```
#[derive(Clone, PartialEq)]
pub struct ListMembers {
    /// The organization.
    pub organization_id: String,
    /// Members that have this role, alone or among others. Default: all.
    pub role: Option<String>,
    /// How many members a page holds at most, 1 to 1,000. Default: 100.
    pub limit: u32,
    /// [`MemberPage::next_cursor`] of the page before; `None` asks for the first page.
    pub cursor: Option<String>,
}

fields!(ListMembers {
    organization_id,
    role,
    limit,
    cursor
});

impl ListMembers {
    /// The first page of all members, the newest first.
    #[must_use]
    pub fn new(organization_id: impl Into<String>) -> Self {
        Self {
            organization_id: organization_id.into(),
            role: None,
            limit: 100,
            cursor: None,
        }
    }

    /// Sets `limit`.
    #[must_use]
    pub fn with_limit(mut self, limit: u32) -> Self {
        self.limit = limit;
        self
    }

    optional_setters! {
        with_role, maybe_role => role: String,
        with_cursor, maybe_cursor => cursor: String,
    }
}

/// A page of members.
#[derive(Clone, Debug, Default, PartialEq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct MemberPage {
    /// The members, the newest first.
    pub members: Vec<MemberWithUser>,
    /// Where the next page begins: opaque, safe in a URL as it is. `None` if there is no further member.
    pub next_cursor: Option<String>,
}
