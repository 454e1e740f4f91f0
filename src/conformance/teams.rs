//! Promises about teams and their members.

use super::organizations::{assert_conflict, new_organization, store};
use super::{Adapter, assert_eq, assert_error, assert_refused, at_once, new_user};
use crate::types::{CreateMember, CreateTeam, CreateTeamMember};
use crate::{AuthError, ConflictField};

pub(super) async fn teams_are_created_renamed_and_deleted(adapter: Adapter) {
    let (organization, _, user) = new_organization(&adapter, "engines").await;
    let organizations = store(&adapter);
    let create = |name: &str| CreateTeam::new(&organization.id, name);
    let first = organizations.create_team(create("First")).await.unwrap();
    let second = organizations.create_team(create("First")).await.unwrap();
    let found = organizations.get_team(&first.id).await.unwrap();
    assert_eq!(found, Some(first.clone()));
    let renamed = organizations.rename_team(&first.id, "Renamed").await;
    let renamed = renamed.unwrap();
    assert!(renamed.name == "Renamed" && renamed.updated_at > first.updated_at);
    let listed = organizations.list_teams(&organization.id).await.unwrap();
    assert_eq!(listed, [second, renamed.clone()]);
    let create_member = CreateTeamMember::new(&first.id, &user.id);
    organizations
        .create_team_member(create_member)
        .await
        .unwrap();
    let of_user = organizations.list_user_teams(&user.id).await.unwrap();
    assert_eq!(of_user, [renamed]);
    for _ in 0..2 {
        organizations.delete_team(&first.id).await.unwrap();
    }
    let listed = organizations.list_team_members(&first.id).await;
    assert_eq!(listed.unwrap(), []);
    for wrong in ["", "a\0b"] {
        assert_refused("name", organizations.create_team(create(wrong)).await);
        let renamed = organizations.rename_team(&first.id, wrong).await;
        assert_refused("name", renamed);
    }
    for unknown in ["unknown", "a\0b"] {
        let answer = organizations.create_team(CreateTeam::new(unknown, "Team"));
        assert_error!(answer.await, AuthError::OrganizationNotFound);
        let answer = organizations.rename_team(unknown, "Team").await;
        assert_error!(answer, AuthError::TeamNotFound);
        assert_eq!(organizations.get_team(unknown).await.unwrap(), None);
    }
}

pub(super) async fn only_members_of_the_organization_are_in_its_teams(adapter: Adapter) {
    let (organization, _, owner) = new_organization(&adapter, "engines").await;
    let (_, _, foreigner) = new_organization(&adapter, "other").await;
    let organizations = store(&adapter);
    let team = CreateTeam::new(&organization.id, "Team");
    let team = organizations.create_team(team).await.unwrap();
    for user in [&foreigner.id, "unknown", "a\0b"] {
        let answer = organizations.create_team_member(CreateTeamMember::new(&team.id, user));
        assert_error!(answer.await, AuthError::MemberNotFound);
    }
    for id in ["unknown", "a\0b"] {
        let answer = organizations.create_team_member(CreateTeamMember::new(id, &owner.id));
        assert_error!(answer.await, AuthError::TeamNotFound);
    }
    let create = CreateTeamMember::new(&team.id, &owner.id);
    let member = organizations.create_team_member(create.clone()).await;
    let member = member.unwrap();
    assert_eq!(member.organization_id, organization.id);
    for create in [create.clone(), create.with_limit(1)] {
        let again = organizations.create_team_member(create).await;
        assert_conflict!(again, TeamMember);
    }
    let listed = organizations.list_team_members(&team.id).await.unwrap();
    assert_eq!(listed, [member]);
    for (team, user) in [("a\0b", &*owner.id), (&team.id, "a\0b")] {
        organizations.remove_team_member(team, user).await.unwrap();
    }
    for _ in 0..2 {
        let removed = organizations.remove_team_member(&team.id, &owner.id);
        removed.await.unwrap();
    }
    let listed = organizations.list_team_members(&team.id).await.unwrap();
    assert_eq!(listed, []);
}

pub(super) async fn limits_of_teams_are_exact(adapter: Adapter) {
    let (organization, _, _) = new_organization(&adapter, "engines").await;
    let answers = at_once(20, |_| {
        let create = CreateTeam::new(&organization.id, "Team").with_limit(3);
        let adapter = adapter.clone();
        async move { store(&adapter).create_team(create).await }
    });
    let (teams, lost): (Vec<_>, Vec<_>) = answers.await.into_iter().partition(Result::is_ok);
    assert_eq!(teams.len(), 3);
    for answer in lost {
        assert_conflict!(answer, Limit);
    }
    let team = teams.into_iter().next().unwrap().unwrap();
    let mut users = Vec::new();
    for _ in 0..20 {
        let user = new_user(&adapter).await;
        let create = CreateMember::new(&organization.id, &user.id);
        store(&adapter).create_member(create).await.unwrap();
        users.push(user.id);
    }
    let answers = at_once(users.len(), |index| {
        let create = CreateTeamMember::new(&team.id, &users[index]).with_limit(4);
        let adapter = adapter.clone();
        async move { store(&adapter).create_team_member(create).await }
    });
    let (won, lost): (Vec<_>, Vec<_>) = answers.await.into_iter().partition(Result::is_ok);
    assert_eq!(won.len(), 4);
    for answer in lost {
        assert_conflict!(answer, Limit);
    }
}
