//! Promises about organizations in transactions, and about transactions that meet.

use super::organizations::{named, new_organization, store};
use super::transaction_races::overlap;
use super::{Adapter, assert_eq, in_an_hour, new_user};
use crate::types::{
    CreateInvitation, CreateMember, CreateOrganization, CreateTeam, CreateTeamMember, MemberLimits,
};
use crate::{AuthError, AuthResult};

/// Fails unless exactly one has succeeded.
#[track_caller]
fn assert_one_wins(first: &AuthResult<()>, second: &AuthResult<()>) {
    match (first, second) {
        (Ok(()), Err(error)) | (Err(error), Ok(())) => {
            let lost = matches!(
                error,
                AuthError::Conflict { .. } | AuthError::InvitationNotFound
            );
            assert!(lost || error.is_retryable(), "{error:?}");
        }
        both => panic!("{both:?}"),
    }
}

pub(super) async fn the_store_works_in_transactions(adapter: Adapter) {
    let user = named(&adapter, "ada@example.com").await;
    let other = named(&adapter, "grace@example.com").await;
    for commits in [false, true] {
        let transaction = adapter.begin().await.unwrap();
        let organizations = store(&*transaction);
        let create = CreateOrganization::new("Engines", "engines", &user.id).with_limit(1);
        let (organization, owner) = organizations.create_organization(create).await.unwrap();
        let id = organization.id.as_str();
        let invitation =
            CreateInvitation::new(id, "grace@example.com", &user.id, in_an_hour()).with_limit(1);
        let invitation = organizations.create_invitation(invitation).await.unwrap();
        let limits = MemberLimits {
            members: Some(2),
            team_members: Some(2),
        };
        let accepted = organizations.accept_invitation(&invitation.id, &other.id, false, limits);
        let (_, member) = accepted.await.unwrap();
        let team = organizations.create_team(CreateTeam::new(id, "Team"));
        let team = team.await.unwrap();
        let in_team = CreateTeamMember::new(&team.id, &other.id).with_limit(1);
        let in_team = organizations.create_team_member(in_team).await.unwrap();
        let promoted = organizations.update_member_role(id, &other.id, "owner");
        promoted.await.unwrap();
        organizations.remove_member(id, &user.id).await.unwrap();
        assert_eq!(organizations.count_members(id).await.unwrap(), 1);
        let outside = store(&adapter).get_organization(id).await.unwrap();
        assert_eq!(outside, None);
        if commits {
            transaction.commit().await.unwrap();
        } else {
            transaction.rollback().await.unwrap();
        }
        let found = store(&adapter).get_organization(id).await.unwrap();
        assert_eq!(found.is_some(), commits);
        let found = store(&adapter).get_member_by_id(&owner.id).await.unwrap();
        assert_eq!(found, None);
        let found = store(&adapter).get_member_by_id(&member.id).await.unwrap();
        assert_eq!(
            found.map(|member| member.is_owner()),
            commits.then_some(true)
        );
        let listed = store(&adapter).list_team_members(&team.id).await.unwrap();
        let expected: Vec<_> = commits.then_some(in_team).into_iter().collect();
        assert_eq!(listed, expected);
    }
}

pub(super) async fn of_two_transactions_one_takes_an_owner_away(adapter: Adapter) {
    for round in 0..4 {
        let (organization, _, first) = new_organization(&adapter, &format!("slug-{round}")).await;
        let second = new_user(&adapter).await;
        let create = CreateMember::new(&organization.id, &second.id).with_role("owner");
        store(&adapter).create_member(create).await.unwrap();
        let transaction = adapter.begin().await.unwrap();
        let id = organization.id.clone();
        let removed = store(&*transaction).remove_member(&id, &first.id).await;
        removed.unwrap();
        let database = adapter.clone();
        let (first, second) = overlap(transaction.commit(), async move {
            if round < 2 {
                return store(&database).remove_member(&id, &second.id).await;
            }
            let transaction = database.begin().await?;
            let demoted = store(&*transaction).update_member_role(&id, &second.id, "member");
            demoted.await?;
            transaction.commit().await
        })
        .await;
        assert_one_wins(&first, &second);
    }
    let listed = store(&adapter).list_organizations_without_owner().await;
    assert_eq!(listed.unwrap(), []);
}

pub(super) async fn of_two_transactions_one_gets_the_last_place(adapter: Adapter) {
    let (organization, _, _) = new_organization(&adapter, "engines").await;
    for round in 0..4_u32 {
        let (first, second) = (new_user(&adapter).await, new_user(&adapter).await);
        let limit = round + 2;
        let create = |user: &str| CreateMember::new(&organization.id, user).with_limit(limit);
        let transaction = adapter.begin().await.unwrap();
        let created = store(&*transaction).create_member(create(&first.id)).await;
        created.unwrap();
        let (database, create) = (adapter.clone(), create(&second.id));
        let (first, second) = overlap(transaction.commit(), async move {
            if round < 2 {
                return store(&database).create_member(create).await.map(drop);
            }
            let transaction = database.begin().await?;
            store(&*transaction).create_member(create).await?;
            transaction.commit().await
        })
        .await;
        assert_one_wins(&first, &second);
        let count = store(&adapter).count_members(&organization.id).await;
        assert_eq!(count.unwrap(), u64::from(limit));
    }
}

pub(super) async fn of_two_transactions_one_accepts(adapter: Adapter) {
    let (organization, _, owner) = new_organization(&adapter, "engines").await;
    for round in 0..4 {
        let email = format!("{round}@example.com");
        let user = named(&adapter, &email).await;
        let create = CreateInvitation::new(&organization.id, email, &owner.id, in_an_hour());
        let invitation = store(&adapter).create_invitation(create).await.unwrap();
        let limits = MemberLimits {
            members: Some(100).filter(|_| round % 2 == 0),
            team_members: None,
        };
        let transaction = adapter.begin().await.unwrap();
        let accepted =
            store(&*transaction).accept_invitation(&invitation.id, &user.id, false, limits);
        accepted.await.unwrap();
        let database = adapter.clone();
        let (first, second) = overlap(transaction.commit(), async move {
            if round < 2 {
                let organizations = store(&database);
                let accepted =
                    organizations.accept_invitation(&invitation.id, &user.id, false, limits);
                return accepted.await.map(drop);
            }
            let rejected = store(&database).reject_invitation(&invitation.id, &user.id);
            rejected.await.map(drop)
        })
        .await;
        assert_one_wins(&first, &second);
    }
    let count = store(&adapter).count_members(&organization.id).await;
    assert!(count.unwrap() <= 5);
}

pub(super) async fn nobody_is_in_a_team_without_being_a_member(adapter: Adapter) {
    let (organization, _, _) = new_organization(&adapter, "engines").await;
    let team = CreateTeam::new(&organization.id, "Team");
    let team = store(&adapter).create_team(team).await.unwrap();
    let user = new_user(&adapter).await;
    let create = CreateMember::new(&organization.id, &user.id);
    store(&adapter).create_member(create).await.unwrap();
    let transaction = adapter.begin().await.unwrap();
    let in_team = CreateTeamMember::new(&team.id, &user.id);
    let created = store(&*transaction).create_team_member(in_team).await;
    created.unwrap();
    let (database, id, user_id) = (adapter.clone(), organization.id.clone(), user.id.clone());
    let (_, removed) = overlap(transaction.commit(), async move {
        store(&database).remove_member(&id, &user_id).await
    })
    .await;
    removed.unwrap();
    let found = store(&adapter).get_member(&organization.id, &user.id).await;
    assert_eq!(found.unwrap(), None);
    let listed = store(&adapter).list_team_members(&team.id).await;
    assert_eq!(listed.unwrap(), []);
}
