//! What the store of organizations costs in small and large organizations.

use std::path::Path;
use std::time::{Duration, Instant};

use better_auth::adapters::{DatabaseAdapter, OrganizationStore, SqlxAdapter, Store};
use better_auth::types::{CreateMember, ListMembers};
use better_auth::{AuthError, AuthResult, ConflictField};
use tokio::time::sleep;

use crate::Result;
use crate::data::{Size, create_ours, id, insert, pick, token, user_id, user_id_of};
use crate::delete::{Phase, phase};
use crate::facts::facts;
use crate::load::{Contender as _, Tasks};
use crate::options::Options;
use crate::organization_races::races;
use crate::report::{count, median, table};
use crate::server::Server;

const STORE: &str = "organizations";
const PLAIN: &str = "without_organizations";
const ORGANIZATION_ID_PREFIX: &str = "01990000-0000-7000-c000-";
const MEMBER_ID_PREFIX: &str = "01990000-0000-7000-d000-";
const INVITATION_ID_PREFIX: &str = "01990000-0000-7000-e000-";
const TEAM_MEMBER_ID_PREFIX: &str = "01990000-0000-7000-f000-";
const MEMBERS_OF_SMALL: u64 = 9;
const PAGE: u32 = 50;
const LISTS: [&str; 6] = [
    "first page of 50",
    "a page in the middle",
    "of a role that nearly all have",
    "of a role that one has",
    "of a role that none has",
    "`count_members`",
];

/// How much there is. The first users are members of nine small organizations each, as many of the others as needed are
/// members of larger ones, and the last are members of none.
pub struct Plan {
    organizations: u64,
    /// Members of the larger organizations.
    sizes: [u64; 3],
    calls: u64,
    pub rounds: usize,
    seconds: f64,
}

impl Plan {
    fn users(&self) -> u64 {
        self.first_without_any() + self.calls
    }

    fn first_without_any(&self) -> u64 {
        self.organizations + self.sizes[2]
    }

    /// The last of the larger ones.
    fn largest(&self) -> String {
        organization_id(self.organizations + 2)
    }
}

pub async fn run(server: &Server, mut options: Options, output: &Path) -> Result<()> {
    let plan = Plan {
        organizations: options.take("organizations", 100_000)?,
        sizes: [10, 1000, options.take("members", 100_000)?],
        calls: options.take("calls", 300)?,
        rounds: options.take("rounds", 1000)?,
        seconds: options.take("seconds", 10.0)?,
    };
    options.finish()?;
    let facts = facts(server).await?;
    let size = Size {
        users: plan.users(),
        sessions: plan.users(),
    };
    let without_store = create_ours(server, PLAIN, size).await?;
    create_ours(server, STORE, size).await?.close().await;
    let database = SqlxAdapter::builder(&server.url(STORE)).stores([Store::Organizations]);
    let database = database.migrate(true).connect().await?;
    fill(server, &plan).await?;

    eprintln!("lists");
    let lists = lists(&database, &plan).await?;
    eprintln!("delete_user");
    let users = deletes_of_users(&without_store, &database, &plan).await?;
    let phases = deletion_beside_calls(&database, &plan).await?;
    eprintln!("races");
    let races = races(server, plan.rounds).await?;
    let text = markdown(&facts, &plan, &lists, &users, &phases, &races);
    println!("{text}");
    std::fs::write(output.join("organizations.md"), text)?;
    Ok(())
}

fn organization_id(number: u64) -> String {
    format!("{ORGANIZATION_ID_PREFIX}{number:012x}")
}

async fn fill(server: &Server, plan: &Plan) -> Result<()> {
    let Plan {
        organizations,
        sizes,
        ..
    } = plan;
    let [ten, thousand, largest] = sizes;
    let all = organizations + 3;
    let organization = id(ORGANIZATION_ID_PREFIX, "i");
    let of_largest = format!("'{}'", plan.largest());
    let in_larger = user_id_of(&format!("i + {organizations}"));
    let email = "'grace.hopper.' || i || '@example.com'";
    insert(
        server,
        STORE,
        [
            format!(
                "INSERT INTO organization (id, name, slug) SELECT {organization}, 'Organization ' || i, 'organization-' || i \
                 FROM generate_series(0, {all} - 1) AS i"
            ),
            format!(
                "INSERT INTO member (id, organization_id, user_id, role) \
                 SELECT {member}, {organization}, {user}, CASE j WHEN 0 THEN 'owner' ELSE 'member' END \
                 FROM generate_series(0, {organizations} - 1) AS i, generate_series(0, {MEMBERS_OF_SMALL} - 1) AS j",
                member = id(MEMBER_ID_PREFIX, &format!("i * {MEMBERS_OF_SMALL} + j")),
                user = user_id_of(&format!("(i + j * 7919) % {organizations}")),
            ),
            format!(
                "INSERT INTO member (id, organization_id, user_id, role, created_at) \
                 SELECT {member}, {larger}, {in_larger}, CASE i WHEN 0 THEN 'owner' WHEN 1 THEN 'admin,billing' \
                 ELSE 'member' END, now() - (size - i) * INTERVAL '1 second' \
                 FROM unnest(ARRAY[{ten}, {thousand}, {largest}]) WITH ORDINALITY AS larger (size, number), \
                 generate_series(0, size - 1) AS i",
                member = id(
                    MEMBER_ID_PREFIX,
                    &format!("{organizations} * {MEMBERS_OF_SMALL} + number * 10000000 + i")
                ),
                larger = id(
                    ORGANIZATION_ID_PREFIX,
                    &format!("{organizations} + number - 1")
                ),
            ),
            format!(
                "INSERT INTO team (id, organization_id, name) VALUES ('team', {of_largest}, 'Team'); \
                 INSERT INTO team_member (id, organization_id, team_id, user_id) \
                 SELECT {team_member}, {of_largest}, 'team', {in_larger} FROM generate_series(0, {largest} / 10 - 1) AS i; \
                 INSERT INTO invitation (id, organization_id, email, inviter_id, status, expires_at) \
                 SELECT {invitation}, {of_largest}, {email}, {in_larger}, 'accepted', now() \
                 FROM generate_series(0, {largest} - 1) AS i",
                team_member = id(TEAM_MEMBER_ID_PREFIX, "i"),
                invitation = id(INVITATION_ID_PREFIX, "i"),
            ),
        ],
    )
    .await
}

/// How long a call takes, in milliseconds.
async fn timed<T>(call: impl Future<Output = AuthResult<T>>) -> Result<f64> {
    let since = Instant::now();
    call.await?;
    Ok(since.elapsed().as_secs_f64() * 1000.0)
}

/// A row for each list, with the medians in each organization and how often that is the median in the smallest.
async fn lists(database: &SqlxAdapter, plan: &Plan) -> Result<Vec<Vec<String>>> {
    let store = database.organizations()?;
    let mut places = Vec::new();
    for (number, members) in (plan.organizations..).zip(plan.sizes) {
        let id = organization_id(number);
        let page = ListMembers::new(&id).with_limit(PAGE);
        let middle = page
            .clone()
            .maybe_cursor(middle(store, &id, members).await?);
        let role = |role: &str| page.clone().with_role(role);
        let queries = [
            page.clone(),
            middle,
            role("member"),
            role("billing"),
            role("auditor"),
        ];
        places.push((id, queries));
    }
    let mut times = [const { [const { Vec::new() }; 3] }; LISTS.len()];
    for _ in 0..plan.calls {
        for (place, (id, queries)) in places.iter().enumerate() {
            for (list, query) in queries.iter().enumerate() {
                times[list][place].push(timed(store.list_members(query.clone())).await?);
            }
            times[queries.len()][place].push(timed(store.count_members(id)).await?);
        }
    }
    let rows = LISTS.iter().zip(&times).map(|(list, times)| {
        let mut row = vec![(*list).to_owned()];
        row.extend(times.iter().map(|times| format!("{:.3}", median(times))));
        for larger in &times[1..] {
            row.push(format!("{:.2}×", ratio(larger, &times[0])));
        }
        row
    });
    Ok(rows.collect())
}

/// The median of the ratios of the same turns.
fn ratio(times: &[f64], others: &[f64]) -> f64 {
    let ratios: Vec<f64> = times.iter().zip(others).map(|(a, b)| a / b).collect();
    median(&ratios)
}

/// The cursor half of the way through.
async fn middle(store: &dyn OrganizationStore, id: &str, members: u64) -> Result<Option<String>> {
    let mut cursor = None;
    let mut seen = 0;
    while seen < members / 2 {
        let page = u32::try_from(members / 2 - seen).unwrap_or(1000).min(1000);
        let query = ListMembers::new(id).with_limit(page).maybe_cursor(cursor);
        let page = store.list_members(query).await?;
        seen += page.members.len() as u64;
        cursor = page.next_cursor;
    }
    Ok(cursor)
}

/// Deletes of users in a database without the store, of users without a membership, and of members of nine organizations,
/// which take turns.
async fn deletes_of_users(
    without_store: &SqlxAdapter,
    database: &SqlxAdapter,
    plan: &Plan,
) -> Result<Vec<Vec<String>>> {
    let mut times = [const { Vec::new() }; 3];
    for call in 0..plan.calls {
        let (alone, member) = (user_id(plan.first_without_any() + call), user_id(call));
        times[0].push(timed(without_store.delete_user(&alone)).await?);
        times[1].push(timed(database.delete_user(&alone)).await?);
        times[2].push(timed(database.delete_user(&member)).await?);
    }
    let whats = [
        "in a database without the store",
        "with the store, a member of none",
        "with the store, a member of nine organizations",
    ];
    let rows = whats.iter().zip(&times).map(|(what, of)| {
        vec![
            (*what).to_owned(),
            format!("{:.3}", median(of)),
            format!("{:.2}×", ratio(of, &times[0])),
        ]
    });
    Ok(rows.collect())
}

/// What unrelated callers do, and the deletion of the largest organization beside them.
async fn deletion_beside_calls(database: &SqlxAdapter, plan: &Plan) -> Result<Vec<Phase>> {
    let calls = unrelated_calls(database.clone(), plan);
    // Also to warm up.
    let capacity = calls.round(8, Duration::from_secs_f64(plan.seconds / 5.0));
    let per_second = capacity.await?.per_second / 2.0;
    let quiet = async {
        sleep(Duration::from_secs_f64(plan.seconds)).await;
        Ok(None)
    };
    let deleted = async {
        let store = database.organizations()?;
        store.delete_organization(&plan.largest()).await?;
        assert_eq!(store.count_members(&plan.largest()).await?, 0);
        // Members, invitations, members of the team.
        Ok(Some(plan.sizes[2] * 2 + plan.sizes[2] / 10))
    };
    let deletion = format!("`delete_organization`, {} members", count(plan.sizes[2]));
    Ok(vec![
        phase("nothing".to_owned(), &calls, per_second, quiet).await?,
        phase(deletion, &calls, per_second, deleted).await?,
    ])
}

/// Checks a session, looks a member up, and adds a member with a limit and removes it.
fn unrelated_calls(database: SqlxAdapter, plan: &Plan) -> Tasks {
    // Those that were deleted are left out.
    let (skipped, organizations, members) = (plan.calls, plan.organizations, plan.sizes[2]);
    Tasks::new(move |random| {
        let database = database.clone();
        async move {
            let token = token(pick(random, organizations - skipped) + skipped);
            let (session, _) = database
                .get_session_with_user(&token)
                .await
                .unwrap()
                .unwrap();
            let store = database.organizations().unwrap();
            let id = organization_id(pick(random >> 16, organizations));
            store.get_member(&id, &session.user_id).await.unwrap();
            let user = user_id(organizations + pick(random >> 32, members));
            let create = CreateMember::new(&id, &user).with_limit(1000);
            match store.create_member(create).await {
                // Another caller may be at the same.
                Ok(_)
                | Err(AuthError::Conflict {
                    field: ConflictField::Member,
                }) => {}
                Err(error) => panic!("{error}"),
            }
            match store.remove_member(&id, &user).await {
                Ok(()) | Err(AuthError::MemberNotFound) => {}
                Err(error) => panic!("{error}"),
            }
        }
    })
}

fn markdown(
    facts: &str,
    plan: &Plan,
    lists: &[Vec<String>],
    users: &[Vec<String>],
    phases: &[Phase],
    races: &[Vec<String>],
) -> String {
    let [ten, thousand, largest] = plan.sizes.map(count);
    let sizes = [&ten, &thousand, &largest].map(|size| format!("{size} members, ms"));
    let ratios = [&thousand, &largest].map(|size| format!("{size} : {ten}"));
    let mut list_header = vec!["call"];
    list_header.extend(sizes.iter().map(String::as_str));
    list_header.extend(ratios.iter().map(String::as_str));
    let phases: Vec<_> = phases.iter().map(Phase::row).collect();
    format!(
        "<!-- Written by `just bench-organizations`; not to be edited. -->\n\n\
         # Organizations\n\n\
         What the store of organizations costs on PostgreSQL: {users_in_all} users, {organizations} organizations of \
         {MEMBERS_OF_SMALL} members each, and beside them organizations of {ten}, {thousand} and {largest} members.\n\n\
         {facts}\n\
         ## Round trips\n\n\
         Each method takes one round trip, with a limit or without, at a limit or below it. The first call of the store on \
         an adapter takes a second one, which asks whether the store is migrated. The test \
         `organization_costs::each_method_of_the_store_takes_one_round_trip` counts them.\n\n\
         ## Lists of members\n\n\
         Medians of {calls} calls, which take turns; ratios are those of the same turn. The largest organization has \
         {share} % of all members.\n\n{list_table}\n\
         ## Deleting users\n\n\
         What the references of the store to `users` cost `delete_user`. Medians of {calls} calls, which take turns; ratios \
         are those of the same turn. Each user has an account and a session.\n\n{user_table}\n\
         ## Deleting a large organization\n\n\
         The organization has as many invitations as members, and a tenth of the members are in a team. It goes in one \
         statement, which locks the rows of that organization alone. Meanwhile other callers check a session, look a member \
         up, and add a member with a limit to another organization and remove it: four statements, at half of the pace that \
         8 callers without a pause reach. A latency counts from when the call was due.\n\n{phase_table}\n\
         ## Races\n\n\
         If two callers meet, the first one's transaction stays open until the second caller waits for it. The tests \
         `organization_races` hold more races open, under every isolation.\n\n{race_table}\n\
         ## What the entity cost\n\n\
         The store with its six tables touched 39 existing files of `src` and `tests` in 194 places when it came, with the \
         pattern for stores itself; 67 files were new, 40 of them migrations. CONTRIBUTING.md, \"Add an entity\", says which \
         files a further one touches.\n",
        users_in_all = count(plan.users()),
        organizations = count(plan.organizations),
        calls = count(plan.calls),
        share = plan.sizes[2] * 100 / (plan.organizations * MEMBERS_OF_SMALL + plan.sizes[2]),
        list_table = table(1, &list_header, lists),
        user_table = table(1, &["`delete_user`", "ms", "ratio"], users),
        phase_table = table(1, &Phase::HEADER, &phases),
        race_table = table(3, &["race", "isolation", "outcome"], races),
    )
}
