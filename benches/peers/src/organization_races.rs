//! Races in organizations, under every isolation, with their counts.

use better_auth::adapters::{DatabaseAdapter, OrganizationStore, SqlxAdapter, Store};
use better_auth::types::{
    CreateInvitation, CreateMember, CreateOrganization, CreateUser, MemberLimits,
};
use better_auth::{AuthError, ConflictField};
use chrono::{TimeDelta, Utc};
use sqlx::PgConnection;

use crate::Result;
use crate::report::count;
use crate::server::{Server, execute};

const ISOLATIONS: [&str; 3] = ["read committed", "repeatable read", "serializable"];

/// Runs the races, and fails where one does not end as it should. A row for each.
pub async fn races(server: &Server, rounds: usize) -> Result<Vec<Vec<String>>> {
    let mut rows = Vec::new();
    for isolation in ISOLATIONS {
        let name = format!("races_{}", isolation.replace(' ', "_"));
        server.create_database(&name).await?;
        let mut observer = server.connect(&name).await?;
        let default =
            format!("ALTER DATABASE {name} SET default_transaction_isolation = '{isolation}'");
        execute(&mut observer, default).await?;
        let database = SqlxAdapter::builder(&server.url(&name)).stores([Store::Organizations]);
        let database = database.migrate(true).connect().await?;
        let mut row = |race: &str, outcome: String| {
            rows.push(vec![race.to_owned(), isolation.to_owned(), outcome]);
        };
        let stayed = owners_leave(&database, &mut observer, rounds).await?;
        let outcome = format!(
            "one stays in {} of {} rounds",
            count(stayed),
            count(rounds as u64)
        );
        row(
            "two owners leave, the first in an open transaction",
            outcome,
        );
        let (came, members) = last_place(&database).await?;
        let outcome = format!("{came} comes in, and there are {members} members");
        row("50 callers for the last of 10 places", outcome);
        let (accepted, members) = accepts(&database).await?;
        let outcome = format!("{accepted} succeeds, and there is {members} member by it");
        row("100 callers accept one invitation", outcome);
        database.close().await;
    }
    Ok(rows)
}

/// An organization with an owner.
async fn organization(database: &SqlxAdapter, slug: &str) -> Result<(String, String)> {
    let owner = database.create_user(CreateUser::new()).await?.id;
    let create = CreateOrganization::new("Engines", slug, &owner);
    let (organization, _) = database
        .organizations()?
        .create_organization(create)
        .await?;
    Ok((organization.id, owner))
}

/// How often one of two owners stayed.
async fn owners_leave(
    database: &SqlxAdapter,
    observer: &mut PgConnection,
    rounds: usize,
) -> Result<u64> {
    let (id, first) = organization(database, "owners").await?;
    let second = database.create_user(CreateUser::new()).await?.id;
    let store = database.organizations()?;
    let owner = |user: &str| CreateMember::new(&id, user).with_role("owner");
    store.create_member(owner(&second)).await?;
    let mut stayed = 0;
    for _ in 0..rounds {
        let open = database.begin().await?;
        open.organizations()?.remove_member(&id, &first).await?;
        let late = {
            let (database, id, second) = (database.clone(), id.clone(), second.clone());
            tokio::spawn(async move { database.organizations()?.remove_member(&id, &second).await })
        };
        until_one_waits(observer).await?;
        open.commit().await?;
        let late = late.await?;
        let is_told = matches!(
            late,
            Err(AuthError::Conflict {
                field: ConflictField::LastOwner
            })
        );
        let ownerless = store.list_organizations_without_owner().await?;
        stayed += u64::from(is_told && ownerless.is_empty());
        store.create_member(owner(&first)).await?;
    }
    if stayed == rounds as u64 {
        Ok(stayed)
    } else {
        Err(
            format!("an organization lost its owners: one stayed in {stayed} of {rounds} rounds")
                .into(),
        )
    }
}

async fn until_one_waits(observer: &mut PgConnection) -> Result<()> {
    let query = "SELECT EXISTS (SELECT FROM pg_stat_activity \
                 WHERE datname = current_database() AND wait_event_type = 'Lock')";
    while !sqlx::query_scalar::<_, bool>(query)
        .fetch_one(&mut *observer)
        .await?
    {}
    Ok(())
}

/// How many of 50 callers come in, and how many members there are then.
async fn last_place(database: &SqlxAdapter) -> Result<(usize, u64)> {
    let (id, _) = organization(database, "places").await?;
    let store = database.organizations()?;
    let mut callers = Vec::new();
    for number in 0..58 {
        let user = database.create_user(CreateUser::new()).await?.id;
        let create = CreateMember::new(&id, user).with_limit(10);
        if number < 8 {
            store.create_member(create).await?;
            continue;
        }
        let database = database.clone();
        callers.push(async move { database.organizations()?.create_member(create).await });
    }
    let callers: Vec<_> = callers.into_iter().map(tokio::spawn).collect();
    let mut came = 0;
    for caller in callers {
        match caller.await? {
            Ok(_) => came += 1,
            Err(AuthError::Conflict {
                field: ConflictField::Limit,
            }) => {}
            Err(error) => return Err(error.into()),
        }
    }
    exactly_one(came, store, &id, 10).await
}

/// How many of 100 callers accept, and how many members there are by it.
async fn accepts(database: &SqlxAdapter) -> Result<(usize, u64)> {
    let (id, owner) = organization(database, "accepts").await?;
    let store = database.organizations()?;
    let create = CreateUser::new().with_email("grace@example.com");
    let user = database.create_user(create).await?.id;
    let until = Utc::now() + TimeDelta::hours(1);
    let create = CreateInvitation::new(&id, "grace@example.com", owner, until);
    let invitation = store.create_invitation(create).await?.id;
    let callers: Vec<_> = (0..100)
        .map(|_| {
            let (database, invitation, user) = (database.clone(), invitation.clone(), user.clone());
            tokio::spawn(async move {
                let store = database.organizations()?;
                let accepted =
                    store.accept_invitation(&invitation, &user, false, MemberLimits::default());
                accepted.await
            })
        })
        .collect();
    let mut accepted = 0;
    for caller in callers {
        match caller.await? {
            Ok(_) => accepted += 1,
            Err(AuthError::InvitationNotFound) => {}
            Err(error) => return Err(error.into()),
        }
    }
    let (accepted, members) = exactly_one(accepted, store, &id, 2).await?;
    // The owner was there before.
    Ok((accepted, members - 1))
}

async fn exactly_one(
    winners: usize,
    store: &dyn OrganizationStore,
    id: &str,
    members: u64,
) -> Result<(usize, u64)> {
    let found = store.count_members(id).await?;
    if (winners, found) == (1, members) {
        Ok((winners, found))
    } else {
        Err(format!("{winners} callers won, and there are {found} members of {members}").into())
    }
}
