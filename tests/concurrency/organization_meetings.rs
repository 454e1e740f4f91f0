//! Callers, each in a transaction or not, who meet at the limits and guards of an organization.

use better_auth::adapters::{DatabaseAdapter, OrganizationStore};
use better_auth::types::{
    CreateInvitation, CreateMember, CreateOrganization, CreateTeam, CreateTeamMember, CreateUser,
    ListMembers, MemberLimits,
};
use better_auth::{AuthError, ConflictField};

use crate::meetings::linger;
use crate::one_winner::{CONTENDERS, Way, conflict_on, contend, one_winner};
use crate::{Run, in_an_hour};

/// An organization with a user for each contender, who is a member or not, and an owner beside them.
struct Place {
    organization: String,
    owner: String,
}

fn store(run: &Run) -> &dyn OrganizationStore {
    run.database.organizations().unwrap()
}

fn user_of(contender: usize, key: &str) -> String {
    format!("{contender} {key}")
}

fn email_of(contender: usize, key: &str) -> String {
    format!("{contender}.{}@example.com", key.replace(' ', "."))
}

impl Place {
    async fn prepare(run: &Run, key: &str, role: Option<&str>) -> Self {
        let owner = run.database.create_user(CreateUser::new()).await.unwrap();
        let create = CreateOrganization::new(key, key, &owner.id);
        let (organization, _) = store(run).create_organization(create).await.unwrap();
        for contender in 0..CONTENDERS {
            let create = CreateUser::new()
                .with_id(user_of(contender, key))
                .with_email(email_of(contender, key));
            let user = run.database.create_user(create).await.unwrap();
            if let Some(role) = role {
                let create = CreateMember::new(&organization.id, &user.id).with_role(role);
                store(run).create_member(create).await.unwrap();
            }
        }
        Self {
            organization: organization.id,
            owner: owner.id,
        }
    }

    async fn count(&self, run: &Run) -> usize {
        let count = store(run).count_members(&self.organization).await.unwrap();
        usize::try_from(count).unwrap()
    }

    /// What never is: an organization without owner, two live invitations of an address, a team member that is no member.
    async fn check(&self, run: &Run) {
        let query = ListMembers::new(&self.organization).with_limit(1000);
        let members = store(run).list_members(query).await.unwrap().members;
        assert!(
            members.iter().any(|row| row.member.is_owner()),
            "{members:?}"
        );
        for team in store(run).list_teams(&self.organization).await.unwrap() {
            for in_team in store(run).list_team_members(&team.id).await.unwrap() {
                let mut members = members.iter();
                assert!(
                    members.any(|row| row.member.user_id == in_team.user_id),
                    "{in_team:?}"
                );
            }
        }
        let mut invited = Vec::new();
        for invitation in store(run)
            .list_invitations(&self.organization)
            .await
            .unwrap()
        {
            if invitation.status == better_auth::types::InvitationStatus::Pending {
                assert!(!invited.contains(&invitation.email), "{invitation:?}");
                invited.push(invitation.email);
            }
        }
    }
}

async fn for_the_last_place(run: &mut Run, way: Way, key: &str) {
    let place = Place::prepare(run, key, None).await;
    let about = format!("{}\n{key}", place.organization);
    let answers = contend(run, way, &about, |database, contender, about| {
        Box::pin(async move {
            let (organization, key) = about.split_once('\n').unwrap();
            let create = CreateMember::new(organization, user_of(contender, key)).with_limit(2);
            let created = database.organizations()?.create_member(create).await;
            linger().await;
            created
        })
    });
    one_winner(answers.await, |error| {
        conflict_on(ConflictField::Limit, error)
    });
    assert!(place.count(run).await <= 2);
    place.check(run).await;
}

/// All owners but one leave, or become something else.
async fn to_leave_as_an_owner(run: &mut Run, way: Way, key: &str) {
    let place = Place::prepare(run, key, Some("owner")).await;
    let left = store(run)
        .remove_member(&place.organization, &place.owner)
        .await;
    left.unwrap();
    let about = format!("{}\n{key}", place.organization);
    let answers = contend(run, way, &about, |database, contender, about| {
        Box::pin(async move {
            let (organization, key) = about.split_once('\n').unwrap();
            let (store, user) = (database.organizations()?, user_of(contender, key));
            if contender % 2 == 0 {
                store.remove_member(organization, &user).await?;
            } else {
                store
                    .update_member_role(organization, &user, "member")
                    .await?;
            }
            linger().await;
            Ok(())
        })
    });
    let answers = answers.await;
    let stayed = answers.iter().flatten().filter(|answer| match answer {
        Ok(()) => false,
        Err(error) => {
            assert!(conflict_on(ConflictField::LastOwner, error), "{error:?}");
            true
        }
    });
    assert!(stayed.count() >= 1 || answers.iter().any(Option::is_none));
    place.check(run).await;
}

async fn to_accept_an_invitation(run: &mut Run, way: Way, key: &str) {
    let place = Place::prepare(run, key, None).await;
    let team = CreateTeam::new(&place.organization, "Team");
    let team = store(run).create_team(team).await.unwrap();
    let create = CreateInvitation::new(
        &place.organization,
        email_of(0, key),
        &place.owner,
        in_an_hour(),
    );
    let invitation = store(run)
        .create_invitation(create.with_team_id(&team.id))
        .await
        .unwrap();
    let about = format!("{}\n{key}", invitation.id);
    let answers = contend(run, way, &about, |database, _, about| {
        Box::pin(async move {
            let (id, key) = about.split_once('\n').unwrap();
            let limits = MemberLimits {
                members: Some(100),
                team_members: Some(1),
            };
            let store = database.organizations()?;
            let accepted = store
                .accept_invitation(id, &user_of(0, key), false, limits)
                .await;
            linger().await;
            accepted.map(|(_, member)| member)
        })
    });
    let winner = one_winner(answers.await, |error| {
        matches!(error, AuthError::InvitationNotFound)
    });
    if let Some(member) = winner {
        let found = store(run).get_member_by_id(&member.id).await.unwrap();
        assert_eq!(found, Some(member));
    }
    assert!(place.count(run).await <= 2);
    place.check(run).await;
}

async fn to_invite_an_address(run: &mut Run, way: Way, key: &str) {
    let place = Place::prepare(run, key, Some("member")).await;
    let about = format!("{}\n{key}", place.organization);
    let answers = contend(run, way, &about, |database, contender, about| {
        Box::pin(async move {
            let (organization, key) = about.split_once('\n').unwrap();
            let email = email_of(9, key);
            let inviter = user_of(contender, key);
            let create = CreateInvitation::new(organization, email, inviter, in_an_hour());
            let created = database.organizations()?.create_invitation(create).await;
            linger().await;
            created
        })
    });
    one_winner(answers.await, |error| {
        conflict_on(ConflictField::Invitation, error)
    });
    place.check(run).await;
}

/// The first contender removes the member that the others bring into a team.
async fn to_join_a_team(run: &mut Run, way: Way, key: &str) {
    let place = Place::prepare(run, key, Some("member")).await;
    let team = CreateTeam::new(&place.organization, "Team");
    let team = store(run).create_team(team).await.unwrap();
    let about = format!("{}\n{}\n{key}", place.organization, team.id);
    let answers = contend(run, way, &about, |database, contender, about| {
        Box::pin(async move {
            let parts: Vec<&str> = about.split('\n').collect();
            let (store, user) = (database.organizations()?, user_of(0, parts[2]));
            if contender == 0 {
                store.remove_member(parts[0], &user).await?;
            } else {
                let create = CreateTeamMember::new(parts[1], user).with_limit(2);
                store.create_team_member(create).await?;
            }
            linger().await;
            Ok(())
        })
    });
    for answer in answers.await.into_iter().flatten().filter_map(Result::err) {
        let lost = conflict_on(ConflictField::TeamMember, &answer);
        assert!(
            lost || matches!(answer, AuthError::MemberNotFound),
            "{answer:?}"
        );
    }
    place.check(run).await;
}

pub(crate) async fn organizations_keep_their_limits_and_guards(mut run: Run) {
    let watched = run.watch.task("meetings in organizations");
    let mut rounds = 0;
    while run.goes_on() || rounds < 4 {
        for way in [Way::InTransactions, Way::Plainly, Way::Mixed, Way::Dropping] {
            macro_rules! meet {
                ($($meeting:ident)*) => {
                    $(
                        watched.does(format!("{}, round {rounds}", stringify!($meeting)));
                        $meeting(&mut run, way, &format!("{} {rounds}", stringify!($meeting))).await;
                    )*
                };
            }
            meet! {
                for_the_last_place to_leave_as_an_owner to_accept_an_invitation to_invite_an_address to_join_a_team
            }
            rounds += 1;
        }
    }
    println!("{rounds} rounds of 5 meetings, {CONTENDERS} contenders each");
    run.settle().await;
}
