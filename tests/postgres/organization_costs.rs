//! What the store of organizations costs: round trips, and, if asked for, times in large organizations.
//!
//! `cargo test --release … --test postgres -- --ignored --nocapture organization_costs` prints the figures of
//! docs/performance/organizations.md.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use crate::support::proxy::Proxy;
use crate::support::{adapter, execute, url};
use crate::transactions::{adapter_through, round_trips};
use better_auth::adapters::{DatabaseAdapter, SqlxAdapter};
use better_auth::types::{
    CreateInvitation, CreateMember, CreateOrganization, CreateOrganizationRole, CreateSession,
    CreateTeam, CreateTeamMember, CreateUser, ListMembers, MemberLimits, Metadata,
    UpdateOrganization,
};
use chrono::{DateTime, TimeDelta, Utc};
use sqlx::PgPool;

fn in_an_hour() -> DateTime<Utc> {
    Utc::now() + TimeDelta::hours(1)
}

#[sqlx::test(migrator = "crate::support::MIGRATED")]
async fn each_method_of_the_store_takes_one_round_trip(pool: PgPool) {
    let options = pool.connect_options();
    let proxy = Proxy::start((options.get_host(), options.get_port())).await;
    let place = format!("{}:{}", options.get_host(), options.get_port());
    let database = adapter_through(&proxy, &url(&pool), &place).await;
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

/// The middle of the times of so many calls.
async fn median(calls: usize, mut call: impl AsyncFnMut(usize)) -> Duration {
    let mut times = Vec::new();
    for number in 0..calls {
        let begun = Instant::now();
        call(number).await;
        times.push(begun.elapsed());
    }
    times.sort();
    times[calls / 2]
}

/// 200,000 users, 100,000 organizations with 900,000 members, and organizations of 10, 1,000 and 100,000 beside them.
async fn fill(pool: &PgPool) {
    for sql in [
        "INSERT INTO users (id, email, name) SELECT 'u' || i, i || '@example.com', 'Name ' || i \
         FROM generate_series(1, 200000) AS i",
        "INSERT INTO organization (id, name, slug) SELECT 'o' || i, 'Name', 'o' || i \
         FROM generate_series(1, 100000) AS i",
        "INSERT INTO member (id, organization_id, user_id, role) \
         SELECT 'm' || i || '-' || j, 'o' || i, 'u' || (i * 2 + j * 7919) % 200000 + 1, \
         CASE WHEN j = 0 THEN 'owner' ELSE 'member' END \
         FROM generate_series(1, 100000) AS i, generate_series(0, 8) AS j ON CONFLICT DO NOTHING",
        "INSERT INTO organization (id, name, slug) SELECT 'n' || n, 'Name', 'n' || n \
         FROM unnest(ARRAY[10, 1000, 100000]) AS n",
        "INSERT INTO member (id, organization_id, user_id, role, created_at) \
         SELECT 'm' || n || '.' || i, 'n' || n, 'u' || i, CASE i WHEN 1 THEN 'owner' WHEN 2 THEN 'admin,billing' \
         ELSE 'member' END, now() - (n - i) * INTERVAL '1 second' \
         FROM unnest(ARRAY[10, 1000, 100000]) AS n, generate_series(1, n) AS i",
        "INSERT INTO team (id, organization_id, name) VALUES ('t', 'n100000', 'Team')",
        "INSERT INTO team_member (id, organization_id, team_id, user_id) \
         SELECT 'tm' || i, 'n100000', 't', 'u' || i FROM generate_series(1, 10000) AS i",
        "INSERT INTO invitation (id, organization_id, email, inviter_id, status, expires_at) \
         SELECT 'i' || i, 'n100000', i || '@c.example', 'u' || i, 'accepted', now() \
         FROM generate_series(1, 100000) AS i",
        "VACUUM ANALYZE",
    ] {
        execute(pool, sql).await;
    }
}

#[sqlx::test(migrator = "crate::support::MIGRATED")]
#[ignore = "it measures"]
async fn figures(pool: PgPool) {
    fill(&pool).await;
    let database = adapter(&pool).await;
    lists(&database).await;
    deletes_of_users(&pool, &database).await;
    delete_beside_traffic(&pool, &database).await;
}

async fn lists(database: &SqlxAdapter) {
    const CALLS: usize = 200;
    let store = database.organizations().unwrap();
    for members in [10, 1_000, 100_000] {
        let id = format!("n{members}");
        let page = |role: Option<&str>| {
            ListMembers::new(&id)
                .with_limit(50)
                .maybe_role(role.map(str::to_owned))
        };
        let mut cursor = None;
        // Half of the way through.
        for _ in 0..(members / 2 / 1000) {
            let query = ListMembers::new(&id).with_limit(1000).maybe_cursor(cursor);
            cursor = store.list_members(query).await.unwrap().next_cursor;
        }
        let list = async |query: ListMembers| {
            median(CALLS, async |_| {
                store.list_members(query.clone()).await.unwrap();
            })
            .await
        };
        println!(
            "{members} members: first page {:?}, half of the way {:?}; of role owner {:?}, member {:?}, billing {:?}, \
             nobody's {:?}; count {:?}",
            list(page(None)).await,
            list(page(None).maybe_cursor(cursor)).await,
            list(page(Some("owner"))).await,
            list(page(Some("member"))).await,
            list(page(Some("billing"))).await,
            list(page(Some("auditor"))).await,
            median(CALLS, async |_| {
                store.count_members(&id).await.unwrap();
            })
            .await,
        );
    }
}

/// Users without rows, users in nine organizations, and users in a database without the store's tables.
async fn deletes_of_users(pool: &PgPool, database: &SqlxAdapter) {
    const CALLS: usize = 300;
    execute(
        pool,
        "INSERT INTO users (id) SELECT kind || i FROM unnest(ARRAY['plain', 'later']) AS kind, generate_series(0, 299) AS i",
    )
    .await;
    let delete = async |prefix: &str, from: usize| {
        median(CALLS, async |number| {
            let id = format!("{prefix}{}", from + number);
            database.delete_user(&id).await.unwrap();
        })
        .await
    };
    let (plain, members) = (delete("plain", 0).await, delete("u", 150_000).await);
    // What the server checks for a user, the same statement in a schema without the store.
    execute(
        pool,
        "CREATE SCHEMA without; CREATE TABLE without.users (LIKE public.users INCLUDING ALL); \
         INSERT INTO without.users SELECT * FROM public.users",
    )
    .await;
    execute(
        pool,
        "ALTER TABLE member DROP CONSTRAINT member_user_id_fkey; \
         ALTER TABLE invitation DROP CONSTRAINT invitation_inviter_id_fkey",
    )
    .await;
    let without = delete("later", 0).await;
    execute(
        pool,
        "ALTER TABLE member ADD CONSTRAINT member_user_id_fkey FOREIGN KEY (user_id) REFERENCES users (id) \
         ON DELETE CASCADE NOT VALID; \
         ALTER TABLE invitation ADD CONSTRAINT invitation_inviter_id_fkey FOREIGN KEY (inviter_id) \
         REFERENCES users (id) ON DELETE CASCADE NOT VALID",
    )
    .await;
    println!(
        "delete_user: {without:?} without the store's references, {plain:?} with them, {members:?} of a member of nine \
         organizations"
    );
}

async fn delete_beside_traffic(pool: &PgPool, database: &SqlxAdapter) {
    let mut tokens = Vec::new();
    for number in 0..100 {
        let create = CreateSession::new(format!("u{}", 160_000 + number), in_an_hour());
        tokens.push(database.create_session(create).await.unwrap().token);
    }
    let tokens = Arc::new(tokens);
    let lookups = async |delete: bool| {
        let ends = Arc::new(AtomicBool::new(false));
        let tasks = [0, 1].map(|task| {
            let (ends, tokens, database) =
                (Arc::clone(&ends), Arc::clone(&tokens), database.clone());
            tokio::spawn(async move {
                let mut times = Vec::new();
                while !ends.load(Ordering::Relaxed) {
                    let begun = Instant::now();
                    let store = database.organizations().unwrap();
                    let token = &tokens[times.len() * 7 % tokens.len()];
                    let (session, _) = database
                        .get_session_with_user(token)
                        .await
                        .unwrap()
                        .unwrap();
                    let other = format!("o{}", (times.len() * 2 + task) % 100_000 + 1);
                    store.get_member(&other, &session.user_id).await.unwrap();
                    let create = CreateMember::new(&other, &session.user_id).with_limit(1000);
                    let _ = store.create_member(create).await;
                    times.push(begun.elapsed());
                }
                times
            })
        });
        let begun = Instant::now();
        if delete {
            let store = database.organizations().unwrap();
            store.delete_organization("n100000").await.unwrap();
        } else {
            tokio::time::sleep(Duration::from_secs(3)).await;
        }
        let took = begun.elapsed();
        ends.store(true, Ordering::Relaxed);
        let mut times = Vec::new();
        for task in tasks {
            times.extend(task.await.unwrap());
        }
        times.sort();
        (took, times)
    };
    let (_, quiet) = lookups(false).await;
    let (took, beside) = lookups(true).await;
    let shown = |times: &[Duration]| {
        let part = |percent: usize| times[times.len() * percent / 100];
        format!(
            "{} calls, median {:?}, p99 {:?}, longest {:?}",
            times.len(),
            part(50),
            part(99),
            times[times.len() - 1]
        )
    };
    println!(
        "an organization of 100,000 members, 10,000 of them in a team, and 100,000 invitations was deleted in {took:?}"
    );
    println!("two callers before: {}", shown(&quiet));
    println!("two callers beside: {}", shown(&beside));
    execute(pool, "SELECT 1").await;
}
