//! Promises about members of organizations.

use super::organizations::{assert_conflict, named, new_organization, store};
use super::{Adapter, assert_eq, assert_error, assert_refused, at_once, in_an_hour, new_user};
use crate::adapters::DatabaseAdapter;
use crate::types::{
    CreateMember, CreateSession, CreateTeam, CreateTeamMember, ListMembers, MemberWithUser,
    PublicUser,
};
use crate::{AuthError, ConflictField};

pub(super) async fn a_user_is_a_member_once(adapter: Adapter) {
    let (organization, _, _) = new_organization(&adapter, "engines").await;
    let user = new_user(&adapter).await;
    let answers = at_once(20, |_| {
        let adapter = adapter.clone();
        let create = CreateMember::new(&organization.id, &user.id).with_limit(50);
        async move { store(&adapter).create_member(create).await }
    });
    let (won, lost): (Vec<_>, Vec<_>) = answers.await.into_iter().partition(Result::is_ok);
    assert_eq!(won.len(), 1);
    for answer in lost {
        assert_conflict!(answer, Member);
    }
    let member = won.into_iter().next().unwrap().unwrap();
    let found = store(&adapter).get_member(&organization.id, &user.id).await;
    assert_eq!(found.unwrap(), Some(member.clone()));
    let found = store(&adapter).get_member_by_id(&member.id).await;
    assert_eq!(found.unwrap(), Some(member));
    let count = store(&adapter).count_members(&organization.id).await;
    assert_eq!(count.unwrap(), 2);
}

pub(super) async fn members_need_organization_and_user(adapter: Adapter) {
    let (organization, _, user) = new_organization(&adapter, "engines").await;
    for unknown in ["unknown", "a\0b", &"x".repeat(5000)] {
        for user_id in [&user.id, unknown] {
            let create = CreateMember::new(unknown, user_id);
            let answer = store(&adapter).create_member(create).await;
            assert_error!(answer, AuthError::OrganizationNotFound);
        }
        for limit in [None, Some(10)] {
            let create = CreateMember {
                limit,
                ..CreateMember::new(&organization.id, unknown)
            };
            let answer = store(&adapter).create_member(create).await;
            assert_error!(answer, AuthError::UserNotFound);
        }
        let found = store(&adapter).get_member(&organization.id, unknown).await;
        assert_eq!(found.unwrap(), None);
        let changed = store(&adapter).update_member_role(&organization.id, unknown, "admin");
        assert_error!(changed.await, AuthError::MemberNotFound);
        let removed = store(&adapter).remove_member(&organization.id, unknown);
        removed.await.unwrap();
        assert_eq!(store(&adapter).count_members(unknown).await.unwrap(), 0);
    }
}

pub(super) async fn roles_are_names_joined_by_commas(adapter: Adapter) {
    let (organization, _, _) = new_organization(&adapter, "engines").await;
    let user = new_user(&adapter).await;
    let create = CreateMember::new(&organization.id, &user.id);
    let many: Vec<String> = (0..100_000).map(|name| name.to_string()).collect();
    let longest = "x".repeat(255);
    let longer = format!("{longest},b");
    for wrong in [
        "",
        " ",
        "a,,b",
        "a\0b",
        &"x".repeat(256),
        &longer,
        &many.join(","),
    ] {
        let create = create.clone().with_role(wrong);
        assert_refused("role", store(&adapter).create_member(create).await);
        let changed = store(&adapter).update_member_role(&organization.id, &user.id, wrong);
        assert_refused("role", changed.await);
    }
    let create = create.with_role("admin, billing ,admin");
    let member = store(&adapter).create_member(create).await.unwrap();
    assert_eq!(member.role, "admin,billing");
    let changed = store(&adapter).update_member_role(&organization.id, &user.id, "a , owner");
    let changed = changed.await.unwrap();
    assert!(changed.role == "a,owner" && changed.is_owner());
    let found = store(&adapter).get_member(&organization.id, &user.id).await;
    assert_eq!(found.unwrap(), Some(changed));
}

pub(super) async fn the_limit_of_members_is_exact(adapter: Adapter) {
    let (organization, _, _) = new_organization(&adapter, "engines").await;
    let create = async |limit| {
        let user = new_user(&adapter).await;
        CreateMember::new(&organization.id, user.id).with_limit(limit)
    };
    for _ in 0..8 {
        let create = create(10).await;
        store(&adapter).create_member(create).await.unwrap();
    }
    let mut users = Vec::new();
    for _ in 0..50 {
        users.push(create(10).await);
    }
    let answers = at_once(50, |index| {
        let (adapter, create) = (adapter.clone(), users[index].clone());
        async move { store(&adapter).create_member(create).await }
    });
    let (won, lost): (Vec<_>, Vec<_>) = answers.await.into_iter().partition(Result::is_ok);
    assert_eq!(won.len(), 1);
    for answer in lost {
        assert_conflict!(answer, Limit);
    }
    let member = won.into_iter().next().unwrap().unwrap();
    let again = CreateMember::new(&organization.id, &member.user_id).with_limit(10);
    assert_conflict!(store(&adapter).create_member(again).await, Member);
    let count = store(&adapter).count_members(&organization.id).await;
    assert_eq!(count.unwrap(), 10);
}

pub(super) async fn the_last_owner_stays(adapter: Adapter) {
    let (organization, owner, user) = new_organization(&adapter, "engines").await;
    let id = organization.id.as_str();
    let other = new_user(&adapter).await;
    let create = CreateMember::new(id, &other.id).with_role("ownership");
    store(&adapter).create_member(create).await.unwrap();
    let removed = store(&adapter).remove_member(id, &user.id).await;
    assert_conflict!(removed, LastOwner);
    let demoted = store(&adapter).update_member_role(id, &user.id, "admin");
    assert_conflict!(demoted.await, LastOwner);
    let found = store(&adapter).get_member(id, &user.id).await.unwrap();
    assert_eq!(found, Some(owner));
    let kept = store(&adapter).update_member_role(id, &user.id, "admin,owner");
    kept.await.unwrap();
    let promoted = store(&adapter).update_member_role(id, &other.id, "owner");
    promoted.await.unwrap();
    let demoted = store(&adapter).update_member_role(id, &user.id, "admin");
    assert_eq!(demoted.await.unwrap().role, "admin");
    let removed = store(&adapter).remove_member(id, &other.id).await;
    assert_conflict!(removed, LastOwner);
    for _ in 0..2 {
        store(&adapter).remove_member(id, &user.id).await.unwrap();
    }
}

pub(super) async fn of_two_owners_who_leave_one_stays(adapter: Adapter) {
    for round in 0..20 {
        let slug = format!("engines-{round}");
        let (organization, _, first) = new_organization(&adapter, &slug).await;
        let second = new_user(&adapter).await;
        let create = CreateMember::new(&organization.id, &second.id).with_role("owner");
        store(&adapter).create_member(create).await.unwrap();
        let answers = at_once(2, |index| {
            let (adapter, id) = (adapter.clone(), organization.id.clone());
            let user = [&first, &second][index].id.clone();
            async move {
                if round % 2 == index {
                    return store(&adapter).remove_member(&id, &user).await;
                }
                let demoted = store(&adapter).update_member_role(&id, &user, "member");
                demoted.await.map(drop)
            }
        });
        let (won, lost): (Vec<_>, Vec<_>) = answers.await.into_iter().partition(Result::is_ok);
        assert_eq!((won.len(), lost.len()), (1, 1));
        for answer in lost {
            assert_conflict!(answer, LastOwner);
        }
    }
    let listed = store(&adapter).list_organizations_without_owner().await;
    assert_eq!(listed.unwrap(), []);
}

/// The ids and the roles of all members, by pages of so many.
async fn all_members(
    adapter: &dyn DatabaseAdapter,
    organization_id: &str,
    limit: u32,
) -> Vec<(String, String)> {
    let mut query = ListMembers::new(organization_id).with_limit(limit);
    let mut listed = Vec::new();
    loop {
        let page = store(adapter).list_members(query.clone()).await.unwrap();
        let members = page.members.into_iter().map(|found| found.member);
        listed.extend(members.map(|member| (member.user_id, member.role)));
        query.cursor = page.next_cursor;
        if query.cursor.is_none() {
            return listed;
        }
    }
}

pub(super) async fn members_are_listed_as_changed_inside(adapter: Adapter) {
    let (organization, _, owner) = new_organization(&adapter, "engines").await;
    let id = organization.id.as_str();
    let mut before = vec![(owner.id, "owner".to_owned())];
    let add = async |adapter: &dyn DatabaseAdapter| {
        let user = new_user(adapter).await;
        let create = CreateMember::new(id, &user.id);
        let member = store(adapter).create_member(create).await.unwrap();
        (member.user_id, member.role)
    };
    for _ in 0..5 {
        before.push(add(&adapter).await);
    }
    let transaction = match adapter.begin().await {
        Err(AuthError::Unsupported { .. }) => return,
        transaction => transaction.unwrap(),
    };
    let mut after = before.clone();
    "admin".clone_into(&mut after[1].1);
    let changed = store(&transaction).update_member_role(id, &after[1].0, "admin");
    changed.await.unwrap();
    let (removed, _) = after.remove(3);
    let removed = store(&transaction).remove_member(id, &removed);
    removed.await.unwrap();
    for _ in 0..2 {
        after.push(add(&transaction).await);
    }
    before.reverse();
    after.reverse();
    for limit in [1, 2, 100] {
        assert_eq!(all_members(&transaction, id, limit).await, after);
        assert_eq!(all_members(&adapter, id, limit).await, before);
    }
    transaction.commit().await.unwrap();
    assert_eq!(all_members(&adapter, id, 2).await, after);
}

pub(super) async fn members_are_listed_in_pages(adapter: Adapter) {
    let (organization, owner, user) = new_organization(&adapter, "engines").await;
    let mut expected = vec![MemberWithUser {
        member: owner,
        user: PublicUser {
            id: user.id,
            name: None,
            email: None,
            image: None,
        },
    }];
    for number in 0..7 {
        let user = named(&adapter, &format!("{number}@example.com")).await;
        let role = ["member", "admin,auditor"][number % 2];
        let create = CreateMember::new(&organization.id, &user.id).with_role(role);
        let member = store(&adapter).create_member(create).await.unwrap();
        let user = PublicUser {
            id: user.id,
            name: user.name,
            email: user.email,
            image: user.image,
        };
        expected.push(MemberWithUser { member, user });
    }
    expected.reverse();
    for limit in [1, 3, 8, 100] {
        let mut query = ListMembers::new(&organization.id).with_limit(limit);
        let mut listed = Vec::new();
        loop {
            let page = store(&adapter).list_members(query.clone()).await.unwrap();
            listed.extend(page.members);
            query.cursor = page.next_cursor;
            if query.cursor.is_none() {
                break;
            }
        }
        assert_eq!(listed, expected);
    }
    for (role, count) in [("auditor", 3), ("owner", 1), ("adm", 0), ("a\0b", 0)] {
        let query = ListMembers::new(&organization.id).with_role(role);
        let page = store(&adapter).list_members(query).await.unwrap();
        assert_eq!(page.members.len(), count);
    }
    let wrong = ListMembers::new(&organization.id).with_limit(0);
    assert_refused("limit", store(&adapter).list_members(wrong).await);
    let wrong = ListMembers::new(&organization.id).with_cursor("!");
    assert_refused("cursor", store(&adapter).list_members(wrong).await);
    let unknown = ListMembers::new("unknown");
    let page = store(&adapter).list_members(unknown).await.unwrap();
    assert_eq!((page.members.len(), page.next_cursor), (0, None));
}

pub(super) async fn a_removed_member_leaves_teams_and_sessions(adapter: Adapter) {
    let (organization, _, _) = new_organization(&adapter, "engines").await;
    let (other, _, user) = new_organization(&adapter, "other").await;
    let mut sessions = Vec::new();
    for id in [&organization.id, &other.id] {
        let create = CreateSession::new(&user.id, in_an_hour());
        let create = create.with_active_organization_id(id);
        sessions.push(adapter.create_session(create).await.unwrap());
    }
    let create = CreateMember::new(&organization.id, &user.id);
    store(&adapter).create_member(create).await.unwrap();
    for id in [&organization.id, &other.id] {
        let team = CreateTeam::new(id, "Team");
        let team = store(&adapter).create_team(team).await.unwrap();
        let create = CreateTeamMember::new(team.id, &user.id);
        store(&adapter).create_team_member(create).await.unwrap();
    }
    let removed = store(&adapter).remove_member(&organization.id, &user.id);
    removed.await.unwrap();
    let found = store(&adapter).get_member(&organization.id, &user.id).await;
    assert_eq!(found.unwrap(), None);
    let teams = store(&adapter).list_user_teams(&user.id).await.unwrap();
    assert_eq!(teams.len(), 1);
    assert_eq!(teams[0].organization_id, other.id);
    let cleared = adapter.get_session(&sessions[0].token).await.unwrap();
    let cleared = cleared.unwrap();
    assert_eq!(cleared.active_organization_id, None);
    assert!(cleared.updated_at > sessions[0].updated_at);
    let kept = adapter.get_session(&sessions[1].token).await.unwrap();
    assert_eq!(kept, Some(sessions[1].clone()));
}

pub(super) async fn a_deleted_user_is_no_member(adapter: Adapter) {
    let (organization, _, _) = new_organization(&adapter, "engines").await;
    let user = new_user(&adapter).await;
    let create = CreateMember::new(&organization.id, &user.id);
    let member = store(&adapter).create_member(create).await.unwrap();
    let team = CreateTeam::new(&organization.id, "Team");
    let team = store(&adapter).create_team(team).await.unwrap();
    let create = CreateTeamMember::new(&team.id, &user.id);
    store(&adapter).create_team_member(create).await.unwrap();
    adapter.delete_user(&user.id).await.unwrap();
    let found = store(&adapter).get_member_by_id(&member.id).await;
    assert_eq!(found.unwrap(), None);
    let listed = store(&adapter).list_team_members(&team.id).await;
    assert_eq!(listed.unwrap(), []);
    let count = store(&adapter).count_members(&organization.id).await;
    assert_eq!(count.unwrap(), 1);
}

pub(super) async fn members_of_a_role_are_listed_in_pages(adapter: Adapter) {
    let (organization, owner, _) = new_organization(&adapter, "engines").await;
    let longest = format!("{},admin", "x".repeat(249));
    let roles = [
        "admin",
        "member",
        "admin,billing",
        "administrator",
        "billing, admin",
        "admin",
        &longest,
        "Admin",
        "owner,admin",
    ];
    let mut expected = Vec::new();
    for role in roles {
        let user = new_user(&adapter).await;
        let create = CreateMember::new(&organization.id, &user.id).with_role(role);
        let member = store(&adapter).create_member(create).await.unwrap();
        if member.roles().any(|name| name == "admin") {
            expected.insert(0, member.id);
        }
    }
    assert_eq!(expected.len(), 6);
    // Nobody of another organization is listed.
    new_organization(&adapter, "other").await;
    for limit in [1, 2, 5, 6, 7] {
        let mut query = ListMembers::new(&organization.id)
            .with_role(" admin")
            .with_limit(limit);
        let mut listed = Vec::new();
        loop {
            let page = store(&adapter).list_members(query.clone()).await.unwrap();
            assert!(page.members.len() <= usize::try_from(limit).unwrap());
            listed.extend(page.members.into_iter().map(|row| row.member.id));
            match page.next_cursor {
                Some(cursor) => query = query.with_cursor(cursor),
                None => break,
            }
        }
        assert_eq!(listed, expected, "pages of {limit}");
    }
    let owners = ListMembers::new(&organization.id).with_role("owner");
    let owners = store(&adapter).list_members(owners).await.unwrap().members;
    assert!(owners.len() == 2 && owners[1].member == owner);
    for role in ["", "nobody", "admin,billing", "a\0b", "%", &"x".repeat(256)] {
        let query = ListMembers::new(&organization.id).with_role(role);
        let page = store(&adapter).list_members(query).await.unwrap();
        assert_eq!(page.members.len(), 0, "{role:?}");
    }
}
