//! Teams of organizations and their members: the rows, and what creates them.

use chrono::{DateTime, Utc};
use serde::{Deserialize, Serialize};

use super::{column_setters, fields};

/// A row of `team`.
#[derive(Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Team {
    /// Primary key: a UUIDv7.
    pub id: String,
    /// The organization.
    pub organization_id: String,
    /// What people call it.
    pub name: String,
    /// When the row was created.
    pub created_at: DateTime<Utc>,
    /// When the row last changed; `created_at` until then.
    pub updated_at: DateTime<Utc>,
}

fields!(Team {
    id,
    organization_id,
    name,
    created_at,
    updated_at
});

/// A team to be created.
#[derive(Clone, PartialEq)]
pub struct CreateTeam {
    /// The organization.
    pub organization_id: String,
    /// What people call it.
    pub name: String,
    /// How many teams the organization may have at most, with this one. Default: any number.
    pub limit: Option<u32>,
}

fields!(CreateTeam {
    organization_id,
    name,
    limit
});

impl CreateTeam {
    /// A team of this organization.
    #[must_use]
    pub fn new(organization_id: impl Into<String>, name: impl Into<String>) -> Self {
        Self {
            organization_id: organization_id.into(),
            name: name.into(),
            limit: None,
        }
    }

    column_setters! {
        with_limit => limit: u32,
    }
}

/// A row of `team_member`: a member of the organization in one of its teams.
#[derive(Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct TeamMember {
    /// Primary key: a UUIDv7.
    pub id: String,
    /// The organization of the team.
    pub organization_id: String,
    /// The team.
    pub team_id: String,
    /// The user. A user is in a team once.
    pub user_id: String,
    /// When the row was created.
    pub created_at: DateTime<Utc>,
}

fields!(TeamMember {
    id,
    organization_id,
    team_id,
    user_id,
    created_at
});

/// A member to be added to a team.
#[derive(Clone, PartialEq)]
pub struct CreateTeamMember {
    /// The team.
    pub team_id: String,
    /// The user: a member of the team's organization.
    pub user_id: String,
    /// How many members the team may have at most, with this one. Default: any number.
    pub limit: Option<u32>,
}

fields!(CreateTeamMember {
    team_id,
    user_id,
    limit
});

impl CreateTeamMember {
    /// This user in this team.
    #[must_use]
    pub fn new(team_id: impl Into<String>, user_id: impl Into<String>) -> Self {
        Self {
            team_id: team_id.into(),
            user_id: user_id.into(),
            limit: None,
        }
    }

    column_setters! {
        with_limit => limit: u32,
    }
}
