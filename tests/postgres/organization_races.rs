//! Races in organizations, each with the first transaction held open while the second caller waits, under every isolation.

use crate::stores::{until_one_waits, users};
use crate::support::isolated;
use better_auth::adapters::{DatabaseAdapter, OrganizationStore, SqlxAdapter, Transaction};
use better_auth::types::{
    CreateInvitation, CreateMember, CreateOrganization, CreateTeam, CreateTeamMember, CreateUser,
    Invitation, InvitationStatus, MemberLimits, UpdateUser,
};
use better_auth::{AuthError, AuthResult, ConflictField};
use chrono::{TimeDelta, Utc};
use sqlx::PgPool;

pub(crate) const ISOLATIONS: [&str; 3] = ["read committed", "repeatable read", "serializable"];
const NO_LIMITS: MemberLimits = MemberLimits {
    members: None,
    team_members: None,
};

/// How often two owners leave; `ORGANIZATION_ROUNDS=1000` for the figures.
fn rounds() -> usize {
    std::env::var("ORGANIZATION_ROUNDS").map_or(10, |rounds| rounds.parse().unwrap())
}

#[track_caller]
fn assert_conflict<T: std::fmt::Debug>(answer: AuthResult<T>, on: ConflictField) {
    match answer {
        Err(AuthError::Conflict { field }) if field == on => {}
        answer => panic!("{answer:?}"),
    }
}

/// An organization with two owners, in a database where transactions are so isolated.
pub(crate) struct Place {
    pool: PgPool,
    pub(crate) database: SqlxAdapter,
    pub(crate) id: String,
    pub(crate) owners: [String; 2],
}

impl Place {
    pub(crate) async fn prepare(pool: &PgPool, isolation: &str, slug: &str) -> Self {
        let database = SqlxAdapter::from_pool(isolated(pool, isolation, 4).await);
        let owners: [String; 2] = users(&database).await;
        let store = database.organizations().unwrap();
        let create = CreateOrganization::new("Engines", format!("{slug} {isolation}"), &owners[0]);
        let (organization, _) = store.create_organization(create).await.unwrap();
        let place = Self {
            pool: pool.clone(),
            id: organization.id,
            owners,
            database: database.clone(),
        };
        place.add(&place.owners[1], "owner").await;
        place
    }

    fn store(&self) -> &dyn OrganizationStore {
        self.database.organizations().unwrap()
    }

    async fn add(&self, user: &str, role: &str) {
        let create = CreateMember::new(&self.id, user).with_role(role);
        self.store().create_member(create).await.unwrap();
    }

    async fn team(&self) -> String {
        let team = CreateTeam::new(&self.id, "Team");
        self.store().create_team(team).await.unwrap().id
    }

    /// A user with this address and an invitation to it.
    async fn invite(&self, email: &str, team: Option<&str>) -> (String, Invitation) {
        let create = CreateUser::new().with_email(email);
        let user = self.database.create_user(create).await.unwrap();
        let create = self
            .invitation(email)
            .maybe_team_id(team.map(str::to_owned));
        let invitation = self.store().create_invitation(create).await.unwrap();
        (user.id, invitation)
    }

    pub(crate) fn invitation(&self, email: &str) -> CreateInvitation {
        let until = Utc::now() + TimeDelta::hours(1);
        CreateInvitation::new(&self.id, email, &self.owners[0], until)
    }

    /// Commits the transaction once the second caller waits for it. What the second one is answered.
    pub(crate) async fn meet<T: Send + 'static, Call: Future<Output = AuthResult<T>> + Send>(
        &self,
        open: Box<dyn Transaction>,
        second: impl FnOnce(SqlxAdapter) -> Call + Send + 'static,
    ) -> AuthResult<T> {
        let database = self.database.clone();
        let second = tokio::spawn(async move { second(database).await });
        until_one_waits(&self.pool).await;
        open.commit().await.unwrap();
        second.await.unwrap()
    }
}

#[sqlx::test(migrator = "crate::support::MIGRATED")]
async fn of_two_owners_who_leave_one_stays(pool: PgPool) {
    for isolation in ISOLATIONS {
        let place = Place::prepare(&pool, isolation, "owners").await;
        let mut stayed = 0;
        for round in 0..rounds() {
            let [first, second] = place.owners.clone();
            let open = place.database.begin().await.unwrap();
            let inside = open.organizations().unwrap();
            if round % 2 == 0 {
                inside.remove_member(&place.id, &first).await.unwrap();
            } else {
                let demoted = inside.update_member_role(&place.id, &first, "member").await;
                demoted.unwrap();
            }
            let id = place.id.clone();
            let answer = place.meet(open, move |database| async move {
                let store = database.organizations()?;
                if round % 4 < 2 {
                    store.remove_member(&id, &second).await
                } else {
                    let demoted = store.update_member_role(&id, &second, "member").await;
                    demoted.map(drop)
                }
            });
            assert_conflict(answer.await, ConflictField::LastOwner);
            let ownerless = place.store().list_organizations_without_owner().await;
            assert_eq!(ownerless.unwrap(), []);
            stayed += 1;
            if round % 2 == 0 {
                place.add(&place.owners[0], "owner").await;
            } else {
                let (id, user) = (&place.id, &place.owners[0]);
                place
                    .store()
                    .update_member_role(id, user, "owner")
                    .await
                    .unwrap();
            }
        }
        println!("{isolation}: two owners left at once {stayed} times, and one stayed each time");
    }
}

#[sqlx::test(migrator = "crate::support::MIGRATED")]
async fn limits_hold_while_a_transaction_is_open(pool: PgPool) {
    for isolation in ISOLATIONS {
        let place = Place::prepare(&pool, isolation, "limits").await;
        let [first, second] = users(&place.database).await;
        let member = |user: &str| CreateMember::new(&place.id, user).with_limit(3);
        let open = place.database.begin().await.unwrap();
        let inside = open.organizations().unwrap();
        inside.create_member(member(&first)).await.unwrap();
        let create = member(&second);
        let answer = place.meet(open, move |database| async move {
            database.organizations()?.create_member(create).await
        });
        assert_conflict(answer.await, ConflictField::Limit);
        let count = place.store().count_members(&place.id).await.unwrap();
        assert_eq!(count, 3, "{isolation}");

        let team = || CreateTeam::new(&place.id, "Team").with_limit(1);
        let open = place.database.begin().await.unwrap();
        let created = open
            .organizations()
            .unwrap()
            .create_team(team())
            .await
            .unwrap();
        let create = team();
        let answer = place.meet(open, move |database| async move {
            database.organizations()?.create_team(create).await
        });
        assert_conflict(answer.await, ConflictField::Limit);

        let in_team = |user: &str| CreateTeamMember::new(&created.id, user).with_limit(1);
        let open = place.database.begin().await.unwrap();
        let inside = open.organizations().unwrap();
        inside.create_team_member(in_team(&first)).await.unwrap();
        let create = in_team(&place.owners[0]);
        let answer = place.meet(open, move |database| async move {
            database.organizations()?.create_team_member(create).await
        });
        assert_conflict(answer.await, ConflictField::Limit);

        let invitation = |email: &str| place.invitation(email).with_limit(1);
        let open = place.database.begin().await.unwrap();
        let inside = open.organizations().unwrap();
        inside.create_invitation(invitation("a")).await.unwrap();
        let create = invitation("b");
        let answer = place.meet(open, move |database| async move {
            database.organizations()?.create_invitation(create).await
        });
        assert_conflict(answer.await, ConflictField::Limit);

        let organization = |slug: &str| {
            CreateOrganization::new("Engines", format!("{slug} {isolation}"), &place.owners[0])
        };
        let open = place.database.begin().await.unwrap();
        let inside = open.organizations().unwrap();
        let create = organization("first").with_limit(2);
        inside.create_organization(create).await.unwrap();
        let create = organization("second").with_limit(2);
        let answer = place.meet(open, move |database| async move {
            database.organizations()?.create_organization(create).await
        });
        assert_conflict(answer.await, ConflictField::Limit);
    }
}

/// Who asks for the same as the one who has taken the last place is told that it is taken, not that there is no room.
#[sqlx::test(migrator = "crate::support::MIGRATED")]
async fn what_is_taken_is_no_question_of_room(pool: PgPool) {
    for isolation in ISOLATIONS {
        let place = Place::prepare(&pool, isolation, "taken").await;
        let [user] = users(&place.database).await;
        let member = || CreateMember::new(&place.id, &user).with_limit(3);
        let open = place.database.begin().await.unwrap();
        let inside = open.organizations().unwrap();
        inside.create_member(member()).await.unwrap();
        let create = member();
        let answer = place.meet(open, move |database| async move {
            database.organizations()?.create_member(create).await
        });
        assert_conflict(answer.await, ConflictField::Member);

        let team = place.team().await;
        let in_team = || CreateTeamMember::new(&team, &user).with_limit(1);
        let open = place.database.begin().await.unwrap();
        let inside = open.organizations().unwrap();
        inside.create_team_member(in_team()).await.unwrap();
        let create = in_team();
        let answer = place.meet(open, move |database| async move {
            database.organizations()?.create_team_member(create).await
        });
        assert_conflict(answer.await, ConflictField::TeamMember);

        let invitation = || place.invitation("taken").with_limit(1);
        let open = place.database.begin().await.unwrap();
        let inside = open.organizations().unwrap();
        inside.create_invitation(invitation()).await.unwrap();
        let create = invitation();
        let answer = place.meet(open, move |database| async move {
            database.organizations()?.create_invitation(create).await
        });
        assert_conflict(answer.await, ConflictField::Invitation);

        let organization = || {
            let slug = format!("twice {isolation}");
            CreateOrganization::new("Engines", slug, &place.owners[0]).with_limit(2)
        };
        let open = place.database.begin().await.unwrap();
        let inside = open.organizations().unwrap();
        inside.create_organization(organization()).await.unwrap();
        let create = organization();
        let answer = place.meet(open, move |database| async move {
            database.organizations()?.create_organization(create).await
        });
        assert_conflict(answer.await, ConflictField::OrganizationSlug);
    }
}

/// The last places in organization and team, for which two invited users come at once.
#[sqlx::test(migrator = "crate::support::MIGRATED")]
async fn accepting_keeps_the_limits_while_a_transaction_is_open(pool: PgPool) {
    for isolation in ISOLATIONS {
        let places = [(Some(3), None), (None, Some(1)), (Some(3), Some(1))];
        for (number, (members, team_members)) in places.into_iter().enumerate() {
            let place = Place::prepare(&pool, isolation, &format!("accepting {number}")).await;
            let team = place.team().await;
            let limits = MemberLimits {
                members,
                team_members,
            };
            let email = |caller| format!("{caller}.{number}.{isolation}@example.com");
            let (ada, first) = place.invite(&email("ada"), Some(&team)).await;
            let (grace, second) = place.invite(&email("grace"), Some(&team)).await;
            let open = place.database.begin().await.unwrap();
            let inside = open.organizations().unwrap();
            let accepted = inside
                .accept_invitation(&first.id, &ada, false, limits)
                .await;
            accepted.unwrap();
            let id = second.id.clone();
            let answer = place.meet(open, move |database| async move {
                let store = database.organizations()?;
                store.accept_invitation(&id, &grace, false, limits).await
            });
            assert_conflict(answer.await, ConflictField::Limit);
            let count = place.store().count_members(&place.id).await.unwrap();
            assert_eq!(count, 3, "{isolation}");
            let found = place.store().get_invitation(&second.id).await.unwrap();
            assert_eq!(found.unwrap().invitation.status, InvitationStatus::Pending);
        }
    }
}

#[sqlx::test(migrator = "crate::support::MIGRATED")]
async fn an_invitation_is_answered_once_while_a_transaction_is_open(pool: PgPool) {
    for isolation in ISOLATIONS {
        let place = Place::prepare(&pool, isolation, "answers").await;
        // Who is first, and who comes second: accept, reject, cancel.
        for (number, (first, second)) in [(0, 0), (0, 1), (0, 2), (1, 0), (2, 0)]
            .into_iter()
            .enumerate()
        {
            let email = format!("{number}.{isolation}@example.com");
            let (user, invitation) = place.invite(&email, None).await;
            let (id, organization) = (invitation.id.clone(), place.id.clone());
            let answer = async move |store: &dyn OrganizationStore, how: usize| match how {
                0 => store
                    .accept_invitation(&id, &user, false, NO_LIMITS)
                    .await
                    .map(drop),
                1 => store.reject_invitation(&id, &user).await.map(drop),
                _ => store.cancel_invitation(&organization, &id).await.map(drop),
            };
            let open = place.database.begin().await.unwrap();
            answer(open.organizations().unwrap(), first).await.unwrap();
            let (id, organization) = (invitation.id.clone(), place.id.clone());
            let user = place
                .database
                .get_user_by_email(&email)
                .await
                .unwrap()
                .unwrap()
                .id;
            let late = place.meet(open, move |database| async move {
                let store = database.organizations()?;
                match second {
                    0 => store
                        .accept_invitation(&id, &user, false, NO_LIMITS)
                        .await
                        .map(drop),
                    1 => store.reject_invitation(&id, &user).await.map(drop),
                    _ => store.cancel_invitation(&organization, &id).await.map(drop),
                }
            });
            let late = late.await;
            assert!(
                matches!(late, Err(AuthError::InvitationNotFound)),
                "{isolation}: {late:?}"
            );
            let found = place.store().get_invitation(&invitation.id).await.unwrap();
            let expected = match first {
                0 => InvitationStatus::Accepted,
                1 => InvitationStatus::Rejected,
                _ => InvitationStatus::Canceled,
            };
            assert_eq!(found.unwrap().invitation.status, expected);
        }
    }
}

/// The address of an invitation is invited once, and is that of the user who accepts.
#[sqlx::test(migrator = "crate::support::MIGRATED")]
async fn addresses_stay_while_a_transaction_is_open(pool: PgPool) {
    for isolation in ISOLATIONS {
        let place = Place::prepare(&pool, isolation, "addresses").await;
        let open = place.database.begin().await.unwrap();
        let inside = open.organizations().unwrap();
        inside
            .create_invitation(place.invitation("twice"))
            .await
            .unwrap();
        let create = place.invitation("twice");
        let answer = place.meet(open, move |database| async move {
            database.organizations()?.create_invitation(create).await
        });
        assert_conflict(answer.await, ConflictField::Invitation);

        let moved = |email: &str| UpdateUser {
            email: Some(Some(email.to_owned())),
            ..UpdateUser::default()
        };
        let email = format!("moves.{isolation}@example.com");
        let (user, invitation) = place.invite(&email, None).await;
        let open = place.database.begin().await.unwrap();
        let elsewhere = format!("moved.{isolation}@example.com");
        open.update_user(&user, moved(&elsewhere)).await.unwrap();
        let (id, late) = (invitation.id.clone(), user.clone());
        let answer = place.meet(open, move |database| async move {
            let store = database.organizations()?;
            store.accept_invitation(&id, &late, false, NO_LIMITS).await
        });
        let answer = answer.await;
        assert!(
            matches!(answer, Err(AuthError::InvitationNotFound)),
            "{isolation}: {answer:?}"
        );

        // The other way round, who accepts was first.
        place
            .database
            .update_user(&user, moved(&email))
            .await
            .unwrap();
        let open = place.database.begin().await.unwrap();
        let inside = open.organizations().unwrap();
        let accepted = inside
            .accept_invitation(&invitation.id, &user, false, NO_LIMITS)
            .await;
        accepted.unwrap();
        let (late, update) = (user.clone(), moved(&elsewhere));
        let answer = place.meet(open, move |database| async move {
            database.update_user(&late, update).await
        });
        answer.await.unwrap();
        assert!(
            place
                .store()
                .get_member(&place.id, &user)
                .await
                .unwrap()
                .is_some()
        );
    }
}

#[sqlx::test(migrator = "crate::support::MIGRATED")]
async fn teams_hold_members_alone_while_a_transaction_is_open(pool: PgPool) {
    for isolation in ISOLATIONS {
        let place = Place::prepare(&pool, isolation, "teams").await;
        let team = place.team().await;
        for (is_removed_first, limit) in [
            (false, None),
            (true, None),
            (false, Some(9)),
            (true, Some(9)),
        ] {
            let [user] = users(&place.database).await;
            place.add(&user, "member").await;
            let in_team = CreateTeamMember {
                limit,
                ..CreateTeamMember::new(&team, &user)
            };
            let open = place.database.begin().await.unwrap();
            let inside = open.organizations().unwrap();
            if is_removed_first {
                inside.remove_member(&place.id, &user).await.unwrap();
                let answer = place.meet(open, move |database| async move {
                    database.organizations()?.create_team_member(in_team).await
                });
                let answer = answer.await;
                assert!(
                    matches!(answer, Err(AuthError::MemberNotFound)),
                    "{isolation}: {answer:?}"
                );
            } else {
                inside.create_team_member(in_team).await.unwrap();
                let (id, user) = (place.id.clone(), user.clone());
                let answer = place.meet(open, move |database| async move {
                    database.organizations()?.remove_member(&id, &user).await
                });
                answer.await.unwrap();
            }
            let listed = place.store().list_team_members(&team).await.unwrap();
            assert_eq!(listed, [], "{isolation}");
        }
    }
}

/// A team or an organization goes while others come into it.
#[sqlx::test(migrator = "crate::support::MIGRATED")]
async fn what_goes_while_a_transaction_is_open_is_gone(pool: PgPool) {
    for isolation in ISOLATIONS {
        let place = Place::prepare(&pool, isolation, "going").await;
        for (number, members) in [None, Some(9)].into_iter().enumerate() {
            let team = place.team().await;
            let limits = MemberLimits {
                members,
                team_members: members,
            };
            let email = format!("{number}.{isolation}@example.com");
            let (user, invitation) = place.invite(&email, Some(&team)).await;
            let open = place.database.begin().await.unwrap();
            open.organizations()
                .unwrap()
                .delete_team(&team)
                .await
                .unwrap();
            let late = user.clone();
            let answer = place.meet(open, move |database| async move {
                let store = database.organizations()?;
                store
                    .accept_invitation(&invitation.id, &late, false, limits)
                    .await
            });
            let (accepted, member) = answer.await.unwrap();
            assert_eq!(
                (accepted.team_id, member.user_id),
                (None, user.clone()),
                "{isolation}"
            );
            place.store().remove_member(&place.id, &user).await.unwrap();

            let team = place.team().await;
            let (user, invitation) = place.invite(&format!("and.{email}"), Some(&team)).await;
            let open = place.database.begin().await.unwrap();
            let inside = open.organizations().unwrap();
            let accepted = inside
                .accept_invitation(&invitation.id, &user, false, limits)
                .await;
            accepted.unwrap();
            let gone = team.clone();
            let answer = place.meet(open, move |database| async move {
                database.organizations()?.delete_team(&gone).await
            });
            answer.await.unwrap();
            let listed = place.store().list_user_teams(&user).await.unwrap();
            assert_eq!(listed, [], "{isolation}");
        }
        for limit in [None, Some(9)] {
            let [user] = users(&place.database).await;
            let create = CreateOrganization::new("Gone", format!("gone {isolation}"), &user);
            let (gone, _) = place.store().create_organization(create).await.unwrap();
            let open = place.database.begin().await.unwrap();
            open.organizations()
                .unwrap()
                .delete_organization(&gone.id)
                .await
                .unwrap();
            let create = CreateMember {
                limit,
                ..CreateMember::new(&gone.id, &place.owners[0])
            };
            let answer = place.meet(open, move |database| async move {
                database.organizations()?.create_member(create).await
            });
            let answer = answer.await;
            assert!(
                matches!(answer, Err(AuthError::OrganizationNotFound)),
                "{isolation}: {answer:?}"
            );
        }
    }
}

/// 50 callers for the last place of ten, and 100 for one invitation.
#[sqlx::test(migrator = "crate::support::MIGRATED")]
async fn of_a_crowd_one_wins(pool: PgPool) {
    for isolation in ISOLATIONS {
        let place = Place::prepare(&pool, isolation, "crowd").await;
        let crowd: [String; 57] = users(&place.database).await;
        for user in &crowd[..7] {
            place.add(user, "member").await;
        }
        let mut callers = Vec::new();
        for user in &crowd[7..] {
            let create = CreateMember::new(&place.id, user).with_limit(10);
            let database = place.database.clone();
            callers.push(tokio::spawn(async move {
                database.organizations()?.create_member(create).await
            }));
        }
        let mut winners = 0;
        for caller in callers {
            match caller.await.unwrap() {
                Ok(_) => winners += 1,
                answer => assert_conflict(answer, ConflictField::Limit),
            }
        }
        assert_eq!(winners, 1, "{isolation}");
        let count = place.store().count_members(&place.id).await.unwrap();
        assert_eq!(count, 10, "{isolation}");

        let (user, invitation) = place
            .invite(&format!("{isolation}@example.com"), None)
            .await;
        let mut callers = Vec::new();
        for _ in 0..100 {
            let (database, id, user) =
                (place.database.clone(), invitation.id.clone(), user.clone());
            callers.push(tokio::spawn(async move {
                let store = database.organizations()?;
                store.accept_invitation(&id, &user, false, NO_LIMITS).await
            }));
        }
        let mut winners = 0;
        for caller in callers {
            match caller.await.unwrap() {
                Ok(_) => winners += 1,
                Err(AuthError::InvitationNotFound) => {}
                answer => panic!("{isolation}: {answer:?}"),
            }
        }
        assert_eq!(winners, 1, "{isolation}");
        println!(
            "{isolation}: of 50 callers at the limit one came in, of 100 accepts one succeeded"
        );
    }
}
