//! Teams of organizations, and their members.

use std::borrow::Cow;
use std::iter;

use chrono::{DateTime, Utc};

use super::invitation;
use super::key::Key;
use super::member;
use super::organization::{check_limit, check_organization, conflict};
use super::store::{Access, Repository, View};
use super::stripes::Stripes;
use super::table::{ListIndex, Row, UniqueIndex};
use crate::adapters::input;
use crate::types::{CreateTeam, CreateTeamMember, Invitation, Team, TeamMember};
use crate::{AuthError, AuthResult, ConflictField};

pub(super) const BY_ORGANIZATION: ListIndex<Team> = ListIndex::nth(0);
const BY_PAIR: UniqueIndex<TeamMember> = UniqueIndex::nth(0);
const BY_TEAM: ListIndex<TeamMember> = ListIndex::nth(0);
pub(super) const BY_USER: ListIndex<TeamMember> = ListIndex::nth(1);

impl Row for Team {
    const LISTS: usize = 1;

    fn key(&self) -> &str {
        &self.id
    }

    fn created_at(&self) -> DateTime<Utc> {
        self.created_at
    }

    fn owner(&self) -> &str {
        &self.organization_id
    }

    fn list_keys(&self) -> impl Iterator<Item = Cow<'_, str>> {
        iter::once(Cow::Borrowed(self.organization_id.as_str()))
    }
}

impl Row for TeamMember {
    const UNIQUE: usize = 1;
    const LISTS: usize = 2;

    fn key(&self) -> &str {
        &self.id
    }

    fn created_at(&self) -> DateTime<Utc> {
        self.created_at
    }

    fn owner(&self) -> &str {
        &self.team_id
    }

    fn unique_keys(&self) -> impl Iterator<Item = Option<Cow<'_, str>>> {
        let pair = Key::composite(&self.team_id, &self.user_id);
        iter::once(Some(Cow::Owned(pair)))
    }

    fn list_keys(&self) -> impl Iterator<Item = Cow<'_, str>> {
        let keys = [&self.team_id, &self.user_id];
        keys.into_iter().map(|key| Cow::Borrowed(key.as_str()))
    }
}

impl<A: Access> Repository<A> {
    pub(super) fn create_team(&self, team: CreateTeam) -> AuthResult<Team> {
        let limit = team.limit;
        let team = input::new_team(team, self.0.clock().now())?;
        let stripes = team.stripes();
        self.0.write(
            |_| stripes,
            (team, limit),
            |view, (team, limit)| {
                check_organization(view, &team.organization_id)?;
                check_limit(limit, || {
                    view.teams().count(&BY_ORGANIZATION, &team.organization_id)
                })?;
                view.teams().insert(team.clone());
                Ok(team)
            },
        )
    }

    pub(super) fn get_team(&self, id: &str) -> AuthResult<Option<Team>> {
        Ok(self.0.read(|view| view.teams().get(id)))
    }

    pub(super) fn list_teams(&self, organization_id: &str) -> AuthResult<Vec<Team>> {
        let read =
            |view: &mut View<'_>| (view.teams()).list(&BY_ORGANIZATION, organization_id, |_| true);
        Ok(self.0.read(read))
    }

    pub(super) fn list_user_teams(&self, user_id: &str) -> AuthResult<Vec<Team>> {
        let mut teams = self.0.read(|view| {
            let members = view.team_members().list(&BY_USER, user_id, |_| true);
            let team = |member: TeamMember| view.teams().get(&member.team_id);
            members.into_iter().filter_map(team).collect::<Vec<_>>()
        });
        teams.sort_by_key(|team| std::cmp::Reverse(team.place()));
        Ok(teams)
    }

    pub(super) fn rename_team(&self, id: &str, name: &str) -> AuthResult<Team> {
        let input = (id.to_owned(), input::team_name(name)?, self.0.clock().now());
        self.0.write(
            |view| view.teams().stripe_of(id),
            input,
            |view, (id, name, now)| {
                let renamed = view.teams().update(&id, |team| {
                    team.name = name;
                    team.updated_at = input::next_update(team.updated_at, now);
                    team.clone()
                });
                renamed.ok_or(AuthError::TeamNotFound)
            },
        )
    }

    pub(super) fn delete_team(&self, id: &str) -> AuthResult<()> {
        self.0.write(
            |view| stripes_of_all(view, id),
            id.to_owned(),
            |view, id| {
                remove(view, &id);
                Ok(())
            },
        )
    }

    pub(super) fn create_team_member(&self, member: CreateTeamMember) -> AuthResult<TeamMember> {
        let CreateTeamMember {
            team_id,
            user_id,
            limit,
        } = member;
        let (id, now) = (input::new_id()?, self.0.clock().now());
        let pair = Stripes::of(&Key::composite(&team_id, &user_id));
        let input = (id, team_id.clone(), user_id.clone(), limit, now);
        self.0.write(
            |view| {
                let team = view.teams().get(&team_id);
                let organization_id = team.map(|team| team.organization_id).unwrap_or_default();
                let member = member::stripes_of(view, &organization_id, &user_id);
                pair | member | Stripes::of(&team_id) | Stripes::of(&user_id)
            },
            input,
            |view, (id, team_id, user_id, limit, created_at)| {
                let team = view.teams().rely(&team_id, Team::clone);
                let team = team.ok_or(AuthError::TeamNotFound)?;
                let row = TeamMember {
                    id,
                    organization_id: team.organization_id,
                    team_id,
                    user_id,
                    created_at,
                };
                check(view, &row, limit)?;
                let member = member::rely(view, &row.organization_id, &row.user_id);
                member.ok_or(AuthError::MemberNotFound)?;
                view.team_members().insert(row.clone());
                Ok(row)
            },
        )
    }

    pub(super) fn list_team_members(&self, team_id: &str) -> AuthResult<Vec<TeamMember>> {
        let read = |view: &mut View<'_>| view.team_members().list(&BY_TEAM, team_id, |_| true);
        Ok(self.0.read(read))
    }

    pub(super) fn remove_team_member(&self, team_id: &str, user_id: &str) -> AuthResult<()> {
        let pair = Key::composite(team_id, user_id);
        self.0.write(
            |view| {
                let row = view.team_members().find_unique(&BY_PAIR, &pair);
                let row = row.map(|id| view.team_members().stripes_of(id.as_str()));
                Stripes::of(&pair) | row.unwrap_or_default()
            },
            pair.clone(),
            |view, pair| {
                if let Some(row) = view.team_members().rely_unique(&BY_PAIR, &pair) {
                    view.team_members().remove(&row.id);
                }
                Ok(())
            },
        )
    }
}

/// Fails if the user is in the team, the team is full or not there.
pub(super) fn check(view: &mut View<'_>, row: &TeamMember, limit: Option<u32>) -> AuthResult<()> {
    let pair = Key::composite(&row.team_id, &row.user_id);
    if view.team_members().find_unique(&BY_PAIR, &pair).is_some() {
        return Err(conflict(ConflictField::TeamMember));
    }
    let team = view.teams().rely(&row.team_id, |_| ());
    team.ok_or(AuthError::TeamNotFound)?;
    check_limit(limit, || view.team_members().count(&BY_TEAM, &row.team_id))
}

/// The stripes of a team, of its members and of the invitations of its organization.
pub(super) fn stripes_of_all(view: &mut View<'_>, id: &str) -> Stripes {
    let team = view.teams().stripes_of(id);
    team | view.team_members().stripes_of_list(&BY_TEAM, id)
}

/// Removes a team with its memberships, and its name from invitations.
pub(super) fn remove(view: &mut View<'_>, id: &str) {
    let Some(team) = view.teams().remove(id) else {
        return;
    };
    view.team_members().remove_each(&BY_TEAM, id, |_| true);
    let names_team = |invitation: &Invitation| invitation.team_id.as_deref() == Some(id);
    let organization_id = &team.organization_id;
    for invitation in
        (view.invitations()).list(&invitation::BY_ORGANIZATION, organization_id, names_team)
    {
        view.invitations().update(&invitation.id, |invitation| {
            invitation.team_id = None;
        });
    }
}
