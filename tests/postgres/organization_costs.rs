//! What the store of organizations costs in round trips. `just bench-organizations` measures times.

use crate::transactions::{behind_proxy, round_trips};
use better_auth::adapters::DatabaseAdapter;
use better_auth::types::{
    CreateInvitation, CreateMember, CreateOrganization, CreateOrganizationRole, CreateTeam,
    CreateTeamMember, CreateUser, ListMembers, MemberLimits, Metadata, UpdateOrganization,
};
use chrono::{DateTime, TimeDelta, Utc};
use sqlx::PgPool;

fn in_an_hour() -> DateTime<Utc> {
    Utc::now() + TimeDelta::hours(1)
}

#[sqlx::test(migrator = "crate::support::MIGRATED")]
async fn each_method_of_the_store_takes_one_round_trip(pool: PgPool) {
    let (proxy, database) = behind_proxy(&pool).await;
    let store = database.organizations().unwrap();
    let mut users = Vec::new();
    for number in 0..16 {
        let create = CreateUser::new().with_email(format!("{number}@example.com"));
        users.push(database.create_user(create).await.unwrap().id);
    }
    let create = CreateOrganization::new("Engines", "engines", &users[0]);
    let (organization, owner) = store.create_organization(create).await.unwrap();
    let id = organization.id.as_str();
    let team = store
        .create_team(CreateTeam::new(id, "Team"))
        .await
        .unwrap()
        .id;
    let mut invitations = Vec::new();
    for number in 8..16 {
        let email = format!("{number}@example.com");
        let create = CreateInvitation::new(id, email, &users[0], in_an_hour());
        let create = create.with_team_id(&team);
        invitations.push(store.create_invitation(create).await.unwrap().id);
    }
    let limits = MemberLimits {
        members: Some(100),
        team_members: Some(100),
    };
    let mut counts = Vec::new();
    macro_rules! count {
        ($round:ident: $method:ident($($argument:expr),*)) => {
            let trips = round_trips(&proxy, async |$round: usize| {
                store.$method($($argument),*).await.unwrap();
            });
            counts.push((stringify!($method), trips.await));
        };
    }
    count!(round: create_organization(
        CreateOrganization::new("Name", round.to_string(), &users[0]).with_limit(100)
    ));
    count!(_round: get_organization(id));
    count!(_round: get_organization_by_slug("engines"));
    count!(_round: get_organizations_by_ids(&vec![id.to_owned(); 1000]));
    count!(_round: list_user_organizations(&users[0]));
    count!(_round: list_organizations_without_owner());
    count!(_round: update_organization(id, UpdateOrganization::new().with_name("Renamed")));
    count!(round: delete_organization(&round.to_string()));
    count!(round: create_member(CreateMember::new(id, &users[round + 1]).with_limit(100)));
    count!(_round: get_member(id, &users[0]));
    count!(_round: get_member_by_id(&owner.id));
    count!(_round: list_members(ListMembers::new(id)));
    count!(_round: list_members(ListMembers::new(id).with_role("owner")));
    count!(_round: count_members(id));
    count!(round: update_member_role(id, &users[round + 1], "admin"));
    count!(round: create_invitation(
        CreateInvitation::new(id, format!("{round}@b.example"), &users[0], in_an_hour()).with_limit(100)
    ));
    count!(_round: get_invitation(&invitations[0]));
    count!(_round: list_invitations(id));
    count!(_round: list_pending_invitations("9@example.com"));
    count!(round: accept_invitation(&invitations[round], &users[round + 8], false, limits));
    count!(round: reject_invitation(&invitations[round % 4 + 4], &users[round % 4 + 12]));
    let mut pending = store.list_invitations(id).await.unwrap();
    pending.retain(|row| row.email.ends_with("@b.example"));
    count!(round: cancel_invitation(id, &pending[round].id));
    count!(_round: create_team(CreateTeam::new(id, "Team").with_limit(100)));
    count!(_round: get_team(&team));
    count!(_round: list_teams(id));
    count!(_round: list_user_teams(&users[0]));
    count!(_round: rename_team(&team, "Renamed"));
    count!(round: create_team_member(
        CreateTeamMember::new(&team, &users[round + 1]).with_limit(100)
    ));
    count!(_round: list_team_members(&team));
    count!(round: remove_team_member(&team, &users[round + 1]));
    count!(round: create_organization_role(
        CreateOrganizationRole::new(id, round.to_string(), Metadata::new())
    ));
    count!(_round: get_organization_role(id, "1"));
    count!(_round: list_organization_roles(id));
    count!(_round: update_organization_role(id, "1", Metadata::new()));
    count!(_round: delete_organization_role(id, "1"));
    count!(round: remove_member(id, &users[round + 1]));
    count!(_round: delete_team(&team));
    println!("round trips: {counts:?}");
    assert!(counts.iter().all(|(_, trips)| *trips == 1), "{counts:?}");
}
