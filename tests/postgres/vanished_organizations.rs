//! Callers who wait for an organization that another transaction deletes.

use crate::organization_races::{ISOLATIONS, Place};
use crate::stores::users;
use better_auth::AuthResult;
use better_auth::adapters::{DatabaseAdapter, OrganizationStore};
use better_auth::types::{
    CreateInvitation, CreateMember, CreateOrganizationRole, CreateTeam, Metadata,
    UpdateOrganization,
};
use sqlx::PgPool;

#[derive(Clone, Copy, Debug, PartialEq)]
enum Call {
    AddMember,
    Invite,
    CreateTeam,
    CreateRole,
    Rename,
    ChangeRole,
}

const CALLS: [Call; 6] = [
    Call::AddMember,
    Call::Invite,
    Call::CreateTeam,
    Call::CreateRole,
    Call::Rename,
    Call::ChangeRole,
];

/// Who calls what.
struct Caller {
    call: Call,
    limit: Option<u32>,
    id: String,
    owner: String,
    user: String,
    invitation: CreateInvitation,
}

impl Caller {
    async fn call(self, store: &dyn OrganizationStore) -> AuthResult<()> {
        let (id, limit) = (self.id.as_str(), self.limit);
        match self.call {
            Call::AddMember => {
                let member = CreateMember::new(id, self.user);
                let created = store.create_member(CreateMember { limit, ..member });
                created.await.map(drop)
            }
            Call::Invite => {
                let invitation = CreateInvitation {
                    limit,
                    ..self.invitation
                };
                store.create_invitation(invitation).await.map(drop)
            }
            Call::CreateTeam => {
                let team = CreateTeam::new(id, "Team");
                let created = store.create_team(CreateTeam { limit, ..team });
                created.await.map(drop)
            }
            Call::CreateRole => {
                let role = CreateOrganizationRole::new(id, "auditor", Metadata::new());
                store.create_organization_role(role).await.map(drop)
            }
            Call::Rename => {
                let update = UpdateOrganization::new().with_name("Renamed");
                store.update_organization(id, update).await.map(drop)
            }
            Call::ChangeRole => {
                let changed = store.update_member_role(id, &self.owner, "owner");
                changed.await.map(drop)
            }
        }
    }
}

/// The organization is what is missing, and not what went with it.
#[sqlx::test(migrator = "crate::support::MIGRATED")]
async fn who_waits_for_it_is_told_that_it_is_gone(pool: PgPool) {
    for isolation in ISOLATIONS {
        for (number, call) in CALLS.into_iter().enumerate() {
            for limit in [None, Some(9)] {
                let place = Place::prepare(&pool, isolation, &format!("{number} {limit:?}")).await;
                let [user] = users(&place.database).await;
                let caller = Caller {
                    call,
                    limit,
                    id: place.id.clone(),
                    owner: place.owners[0].clone(),
                    user,
                    invitation: place.invitation("grace@example.com"),
                };
                let open = place.database.begin().await.unwrap();
                let inside = open.organizations().unwrap();
                inside.delete_organization(&place.id).await.unwrap();
                let answer = place.meet(open, move |database| async move {
                    caller.call(database.organizations()?).await
                });
                let expected = match call {
                    Call::ChangeRole => "MemberNotFound",
                    _ => "OrganizationNotFound",
                };
                let error = answer.await.unwrap_err();
                assert_eq!(error.kind(), expected, "{call:?}, {limit:?}, {isolation}");
            }
        }
    }
}
