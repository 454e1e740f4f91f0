//! The tables of stores: created where they are asked for, accepted from better-auth-rs 0.10, never an application's own.

use crate::support::{adapter, execute, url};
use better_auth::adapters::{DatabaseAdapter, MigrationReport, SqlxAdapter, Store};
use better_auth::types::{
    CreateInvitation, CreateMember, CreateOrganization, CreateOrganizationRole, CreateTeam,
    CreateTeamMember, CreateUser, InvitationStatus, ListMembers, MemberLimits, Metadata,
    UpdateOrganization,
};
use better_auth::{AuthError, ConflictField, MIGRATOR};
use chrono::{TimeDelta, Utc};
use sqlx::{PgPool, Row as _};

/// The tables of organizations as better-auth-rs 0.10 makes them.
const OLDER: &str = include_str!("../support/organizations_0_10.sql");

pub(crate) async fn with_organizations(pool: &PgPool) -> SqlxAdapter {
    let builder = SqlxAdapter::builder(&url(pool)).stores([Store::Organizations]);
    builder.connect().await.unwrap()
}

async fn tables(pool: &PgPool) -> Vec<String> {
    let query = "SELECT tablename::TEXT FROM pg_tables WHERE schemaname = 'public' ORDER BY 1";
    let rows = sqlx::query(query).fetch_all(pool).await.unwrap();
    rows.iter().map(|row| row.get(0)).collect()
}

#[sqlx::test(migrator = "MIGRATOR")]
async fn the_migrator_of_everything_does_as_well(pool: PgPool) {
    let database = with_organizations(&pool).await;
    let before = tables(&pool).await;
    database.check_schema().await.unwrap();
    database.migrate().await.unwrap();
    assert_eq!(tables(&pool).await, before);
    execute(&pool, "DROP INDEX member_owner_idx").await;
    let complaint = database.check_schema().await.unwrap_err().to_string();
    assert!(complaint.contains("member_owner_idx"), "{complaint}");
    execute(&pool, "DROP FUNCTION better_auth_count").await;
    let complaint = database.check_schema().await.unwrap_err().to_string();
    assert!(
        complaint.contains("better_auth_count is missing"),
        "{complaint}"
    );
}

#[sqlx::test(migrations = false)]
async fn a_table_of_the_applications_is_never_taken(pool: PgPool) {
    for (table, sql) in [
        (
            "member",
            "CREATE TABLE member (id BIGSERIAL PRIMARY KEY, name TEXT)",
        ),
        (
            "team",
            "CREATE TABLE team (id TEXT PRIMARY KEY, organization_id TEXT, name TEXT, city TEXT NOT NULL)",
        ),
        (
            "team",
            "CREATE TABLE team (id TEXT PRIMARY KEY, organization_id TEXT NOT NULL, name TEXT NOT NULL, city TEXT)",
        ),
        (
            "organization",
            "CREATE TABLE organization (id TEXT PRIMARY KEY, name TEXT NOT NULL, slug TEXT NOT NULL UNIQUE)",
        ),
        ("invitation", "CREATE VIEW invitation AS SELECT 1 AS id"),
    ] {
        execute(&pool, sql).await;
        let before = tables(&pool).await;
        let database = with_organizations(&pool).await;
        match database.migrate().await {
            Err(error @ AuthError::Database { .. }) => {
                assert!(error.to_string().contains(table), "{error}");
            }
            answer => panic!("{answer:?}"),
        }
        assert_eq!(tables(&pool).await, before);
        let kind = if table == "invitation" {
            "VIEW"
        } else {
            "TABLE"
        };
        execute(&pool, &format!("DROP {kind} {table}")).await;
    }
    execute(
        &pool,
        "CREATE TABLE member (id BIGSERIAL PRIMARY KEY, name TEXT)",
    )
    .await;
    let plain = adapter(&pool).await;
    plain.migrate().await.unwrap();
    let answer = plain.organizations().unwrap().count_members("a").await;
    assert!(
        matches!(answer, Err(AuthError::Unsupported { .. })),
        "{answer:?}"
    );
}

/// Nobody asks for the store, and not all tables are those of better-auth-rs 0.10.
#[sqlx::test(migrations = false)]
async fn what_resembles_the_tables_of_an_older_version_stays_as_it_is(pool: PgPool) {
    execute(&pool, include_str!("../support/page.sql")).await;
    execute(&pool, OLDER).await;
    execute(
        &pool,
        "INSERT INTO organization (id, name, slug) VALUES ('1', 'One', 'One')",
    )
    .await;
    for (change, undo) in [
        (
            "ALTER TABLE organization DROP COLUMN updated_at",
            "ALTER TABLE organization ADD COLUMN updated_at TIMESTAMPTZ NOT NULL DEFAULT now()",
        ),
        (
            "CREATE TABLE organization_role (id BIGSERIAL PRIMARY KEY, title TEXT)",
            "DROP TABLE organization_role",
        ),
        (
            "ALTER TABLE member ALTER COLUMN role DROP NOT NULL",
            "ALTER TABLE member ALTER COLUMN role SET NOT NULL",
        ),
    ] {
        execute(&pool, change).await;
        let plain = adapter(&pool).await;
        plain.migrate().await.unwrap();
        plain.check_schema().await.unwrap();
        assert!(
            !tables(&pool).await.contains(&"team".to_owned()),
            "{change}"
        );
        execute(&pool, undo).await;
    }
    adapter(&pool).await.migrate().await.unwrap();
    assert!(tables(&pool).await.contains(&"team".to_owned()));
}

#[sqlx::test(migrations = false)]
async fn a_table_that_hides_ours_is_refused(pool: PgPool) {
    execute(
        &pool,
        "CREATE SCHEMA app; CREATE TABLE app.member (id BIGSERIAL PRIMARY KEY)",
    )
    .await;
    adapter(&pool).await.migrate().await.unwrap();
    let path = format!(
        "{}?options=-c%20search_path%3Dapp,public",
        url(&pool).split('?').next().unwrap()
    );
    let builder = SqlxAdapter::builder(&path).stores([Store::Organizations]);
    let database = builder.connect().await.unwrap();
    let before = tables(&pool).await;
    let refusal = database.migrate().await.unwrap_err().to_string();
    assert!(
        refusal.contains("schema app has a table member"),
        "{refusal}"
    );
    assert_eq!(tables(&pool).await, before);
}

#[sqlx::test(migrations = false)]
async fn tables_of_an_older_version_are_accepted_with_their_rows(pool: PgPool) {
    execute(&pool, include_str!("../support/page.sql")).await;
    execute(&pool, OLDER).await;
    execute(
        &pool,
        "INSERT INTO users (id, email) VALUES ('ada', 'ada@example.com'), ('grace', 'grace@example.com')",
    )
    .await;
    execute(
        &pool,
        "INSERT INTO organization (id, name, slug) VALUES ('1', 'One', 'One'), ('2', 'Two', 'TWO'), ('3', 'Two', 'two'), \
         ('4', 'School', 'ÉCOLE')",
    )
    .await;
    execute(
        &pool,
        "INSERT INTO member (id, organization_id, user_id, role) VALUES ('m', '1', 'ada', 'owner')",
    )
    .await;
    execute(
        &pool,
        "INSERT INTO invitation (id, organization_id, email, inviter_id, status, expires_at, created_at) VALUES \
         ('a', '1', 'Grace@Example.com', 'ada', 'pending', 'infinity', now() - INTERVAL '2 hours'), \
         ('b', '1', 'grace@example.com', 'ada', 'pending', 'infinity', now() - INTERVAL '1 hour'), \
         ('c', '1', 'grace@example.com', 'ada', 'expired', 'infinity', now()), \
         ('d', '2', 'grace@example.com', 'ada', 'pending', 'infinity', now()), \
         ('e', '2', 'ÉMILE@example.com', 'ada', 'pending', 'infinity', now()), \
         ('f', '3', 'ÉMILE@example.com', 'ada', 'accepted', 'infinity', now())",
    )
    .await;
    // Nobody asks for the store: its tables are there.
    let plain = adapter(&pool).await;
    let migrated = plain.migrate_with(|_| ()).await.unwrap();
    let database = with_organizations(&pool).await;
    database.check_schema().await.unwrap();
    let organizations = database.organizations().unwrap();
    for (slug, id) in [("one", Some("1")), ("two", Some("3")), ("TWO", Some("3"))] {
        let found = organizations.get_organization_by_slug(slug).await.unwrap();
        assert_eq!(found.map(|found| found.id).as_deref(), id, "{slug}");
    }
    let left = organizations.get_organization("2").await.unwrap();
    assert_eq!(left.unwrap().slug, "TWO");
    // What lookups do not find is reported, and its id helps.
    let report = plain.check_names().await.unwrap();
    assert_eq!(report.unreachable, 0);
    let (slugs, addresses) = (report.organizations, report.invitations);
    assert_eq!((slugs.count, addresses.count), (2, 1));
    assert_eq!(
        (&migrated.organizations, &migrated.invitations),
        (&slugs, &addresses)
    );
    let again = plain.migrate_with(|_| ()).await.unwrap();
    assert_eq!(again, MigrationReport::default());
    assert_eq!(
        (slugs.first_ids, addresses.first_ids),
        (vec!["2".to_owned(), "4".to_owned()], vec!["e".to_owned()])
    );
    for (id, slug) in [("2", "zwei"), ("4", "ÉCOLE")] {
        let update = UpdateOrganization::new().with_slug(slug);
        organizations.update_organization(id, update).await.unwrap();
    }
    organizations.cancel_invitation("2", "e").await.unwrap();
    let report = plain.check_names().await.unwrap();
    assert_eq!(
        (report.organizations.count, report.invitations.count),
        (0, 0)
    );
    let listed = organizations.list_invitations("1").await.unwrap();
    let listed: Vec<_> = listed.iter().map(|row| (&*row.id, row.status)).collect();
    let expected = [
        ("c", InvitationStatus::Canceled),
        ("b", InvitationStatus::Pending),
        ("a", InvitationStatus::Canceled),
    ];
    assert_eq!(listed, expected);
    let accepted = organizations.accept_invitation("b", "grace", false, <_>::default());
    accepted.await.unwrap();
    assert_eq!(organizations.count_members("1").await.unwrap(), 2);
}

/// A program of the older version goes on while the index is built.
#[sqlx::test(migrations = false)]
async fn new_duplicates_are_canceled_again(pool: PgPool) {
    let plain = adapter(&pool).await;
    plain.migrate().await.unwrap();
    execute(&pool, OLDER).await;
    let database = with_organizations(&pool).await;
    database.migrate().await.unwrap();
    execute(
        &pool,
        "DROP INDEX invitation_pending_organization_id_email_idx",
    )
    .await;
    execute(
        &pool,
        "DELETE FROM _better_auth_organizations_migrations WHERE version = 1008",
    )
    .await;
    let ada = database.create_user(CreateUser::new()).await.unwrap();
    let organizations = database.organizations().unwrap();
    let create = CreateOrganization::new("Engines", "engines", &ada.id);
    let (organization, _) = organizations.create_organization(create).await.unwrap();
    for id in ["a", "b", "c"] {
        execute(
            &pool,
            &format!(
                "INSERT INTO invitation (id, organization_id, email, inviter_id, expires_at, created_at) \
                 VALUES ('{id}', '{}', 'grace@example.com', '{}', 'infinity', now())",
                organization.id, ada.id
            ),
        )
        .await;
    }
    database.migrate().await.unwrap();
    database.check_schema().await.unwrap();
    let listed = organizations.list_invitations(&organization.id).await;
    let pending = |status| status == InvitationStatus::Pending;
    let listed = listed.unwrap();
    assert_eq!(listed.iter().filter(|row| pending(row.status)).count(), 1);
    let again = CreateInvitation::new(
        &organization.id,
        "grace@example.com",
        &ada.id,
        Utc::now() + TimeDelta::hours(1),
    );
    let again = organizations.create_invitation(again).await;
    assert!(
        matches!(again, Err(AuthError::Conflict { .. })),
        "{again:?}"
    );
}

#[sqlx::test(migrator = "crate::support::MIGRATED")]
async fn an_unknown_status_cannot_be_stored(pool: PgPool) {
    let database = adapter(&pool).await;
    let ada = database.create_user(CreateUser::new()).await.unwrap();
    let organizations = database.organizations().unwrap();
    let create = CreateOrganization::new("Engines", "engines", &ada.id);
    let (organization, owner) = organizations.create_organization(create).await.unwrap();
    let sql = format!(
        "INSERT INTO invitation (id, organization_id, email, inviter_id, expires_at, status) \
         VALUES ('a', '{}', 'b', '{}', now(), 'lost')",
        organization.id, ada.id
    );
    let stored = sqlx::raw_sql(sqlx::AssertSqlSafe(sql)).execute(&pool).await;
    assert!(stored.is_err());
    let again = CreateMember::new(&organization.id, &ada.id);
    assert!(organizations.create_member(again).await.is_err());
    let found = organizations.get_member_by_id(&owner.id).await.unwrap();
    assert_eq!(found, Some(owner));
}

/// Goes on as soon as a statement of another connection waits for a lock.
pub(crate) async fn until_one_waits(pool: &PgPool) {
    let query = "SELECT EXISTS (SELECT FROM pg_stat_activity \
                 WHERE datname = current_database() AND wait_event_type = 'Lock')";
    while !sqlx::query_scalar::<_, bool>(query)
        .fetch_one(pool)
        .await
        .unwrap()
    {
        tokio::task::yield_now().await;
    }
}

pub(crate) async fn users<const N: usize>(database: &SqlxAdapter) -> [String; N] {
    let mut ids = [const { String::new() }; N];
    for id in &mut ids {
        *id = database.create_user(CreateUser::new()).await.unwrap().id;
    }
    ids
}

/// A member is replaced by another in a transaction, while the first is added again.
#[sqlx::test(migrator = "crate::support::MIGRATED")]
async fn a_member_that_goes_meanwhile_makes_no_room(pool: PgPool) {
    let database = adapter(&pool).await;
    let [ada, grace, joan] = users(&database).await;
    let organizations = database.organizations().unwrap();
    let create = CreateOrganization::new("Engines", "engines", &ada);
    let (organization, _) = organizations.create_organization(create).await.unwrap();
    let id = &organization.id;
    let create = |user: &str| CreateMember::new(id, user).with_limit(2);
    organizations.create_member(create(&grace)).await.unwrap();

    let transaction = database.begin().await.unwrap();
    let inside = transaction.organizations().unwrap();
    inside.remove_member(id, &grace).await.unwrap();
    inside.create_member(create(&joan)).await.unwrap();
    let (other, again) = (database.clone(), create(&grace));
    let again = tokio::spawn(async move {
        let organizations = other.organizations().unwrap();
        organizations.create_member(again).await
    });
    until_one_waits(&pool).await;
    transaction.commit().await.unwrap();
    let again = again.await.unwrap();
    assert!(
        matches!(again, Err(AuthError::Conflict { .. })),
        "{again:?}"
    );
    assert_eq!(organizations.count_members(id).await.unwrap(), 2);
}

/// The same in a team.
#[sqlx::test(migrator = "crate::support::MIGRATED")]
async fn a_team_member_that_goes_meanwhile_makes_no_room(pool: PgPool) {
    let database = adapter(&pool).await;
    let [ada, grace, joan] = users(&database).await;
    let organizations = database.organizations().unwrap();
    let create = CreateOrganization::new("Engines", "engines", &ada);
    let (organization, _) = organizations.create_organization(create).await.unwrap();
    for user in [&grace, &joan] {
        let create = CreateMember::new(&organization.id, user);
        organizations.create_member(create).await.unwrap();
    }
    let create = CreateTeam::new(&organization.id, "Team");
    let team = organizations.create_team(create).await.unwrap().id;
    let create = |user: &str| CreateTeamMember::new(&team, user).with_limit(2);
    for user in [&ada, &grace] {
        organizations
            .create_team_member(create(user))
            .await
            .unwrap();
    }

    let transaction = database.begin().await.unwrap();
    let inside = transaction.organizations().unwrap();
    inside.remove_team_member(&team, &grace).await.unwrap();
    inside.create_team_member(create(&joan)).await.unwrap();
    let (other, again) = (database.clone(), create(&grace));
    let again = tokio::spawn(async move {
        let organizations = other.organizations().unwrap();
        organizations.create_team_member(again).await
    });
    until_one_waits(&pool).await;
    transaction.commit().await.unwrap();
    let again = again.await.unwrap();
    assert!(
        matches!(again, Err(AuthError::Conflict { .. })),
        "{again:?}"
    );
    let members = organizations.list_team_members(&team).await.unwrap();
    assert_eq!(members.len(), 2);
}

/// An organization is replaced by another in a transaction, while one of its slug is created.
#[sqlx::test(migrator = "crate::support::MIGRATED")]
async fn a_slug_that_is_given_up_makes_no_room(pool: PgPool) {
    let database = adapter(&pool).await;
    let [ada] = users(&database).await;
    let organizations = database.organizations().unwrap();
    let create = |slug: &str| CreateOrganization::new("Engines", slug, &ada).with_limit(1);
    let first = organizations.create_organization(create("first")).await;
    let (first, _) = first.unwrap();

    let transaction = database.begin().await.unwrap();
    let inside = transaction.organizations().unwrap();
    inside.delete_organization(&first.id).await.unwrap();
    inside.create_organization(create("second")).await.unwrap();
    let (other, again) = (database.clone(), create("first"));
    let again = tokio::spawn(async move {
        let organizations = other.organizations().unwrap();
        organizations.create_organization(again).await
    });
    until_one_waits(&pool).await;
    transaction.commit().await.unwrap();
    let again = again.await.unwrap();
    assert!(
        matches!(again, Err(AuthError::Conflict { .. })),
        "{again:?}"
    );
    let listed = organizations.list_user_organizations(&ada).await.unwrap();
    let slugs: Vec<_> = listed.iter().map(|(row, _)| &*row.slug).collect();
    assert_eq!(slugs, ["second"]);
}

/// An id that no user can have is one that no user has, also at the limit.
#[sqlx::test(migrator = "crate::support::MIGRATED")]
async fn the_limit_goes_before_an_impossible_user(pool: PgPool) {
    let database = adapter(&pool).await;
    let [ada] = users(&database).await;
    let organizations = database.organizations().unwrap();
    let create = CreateOrganization::new("Engines", "engines", &ada);
    let (organization, _) = organizations.create_organization(create).await.unwrap();
    let id = &organization.id;
    let team = CreateTeam::new(id, "Team");
    let team = organizations.create_team(team).await.unwrap().id;
    let full =
        |error| matches!(error, AuthError::Conflict { field } if field == ConflictField::Limit);
    for user in ["nobody", "\0"] {
        let create = |limit| CreateMember::new(id, user).with_limit(limit);
        let answer = organizations.create_member(create(1)).await;
        assert!(full(answer.unwrap_err()), "{user:?}");
        let answer = organizations.create_member(create(2)).await;
        assert!(matches!(answer, Err(AuthError::UserNotFound)), "{user:?}");
        let create = |limit| CreateTeamMember::new(&team, user).with_limit(limit);
        let answer = organizations.create_team_member(create(0)).await;
        assert!(full(answer.unwrap_err()), "{user:?}");
        let answer = organizations.create_team_member(create(1)).await;
        assert!(matches!(answer, Err(AuthError::MemberNotFound)), "{user:?}");
        let create = CreateOrganization::new("Engines", "others", user).with_limit(1);
        let answer = organizations.create_organization(create).await;
        assert!(matches!(answer, Err(AuthError::UserNotFound)), "{user:?}");
    }
}

#[sqlx::test(migrator = "crate::support::MIGRATED")]
async fn columns_of_the_applications_change_no_answer(pool: PgPool) {
    for table in [
        "users",
        "organization",
        "member",
        "invitation",
        "team",
        "team_member",
    ] {
        for column in [
            "parent",
            "kind",
            "up_to",
            "owner",
            "outcome",
            "is_allowed",
            "slug",
            "logo",
            "name",
            "email",
            "image",
            "role",
            "status",
            "user_id",
            "team_id",
            "organization_id",
            "email_verified",
            "metadata",
        ] {
            let sql = format!("ALTER TABLE {table} ADD COLUMN IF NOT EXISTS {column} TEXT");
            execute(&pool, &sql).await;
        }
        let sql = format!("ALTER TABLE {table} ADD COLUMN organization TEXT");
        execute(&pool, &sql).await;
    }
    let database = adapter(&pool).await;
    let [ada, grace] = users(&database).await;
    execute(&pool, "UPDATE users SET email = id || '@example.com'").await;
    let organizations = database.organizations().unwrap();
    let create = CreateOrganization::new("Engines", "engines", &ada).with_limit(1);
    let (organization, _) = organizations.create_organization(create).await.unwrap();
    let id = &organization.id;
    let again = CreateOrganization::new("Engines", "others", &ada).with_limit(1);
    assert!(organizations.create_organization(again).await.is_err());
    assert!(organizations.remove_member(id, &ada).await.is_err());
    let lowered = organizations.update_member_role(id, &ada, "member").await;
    assert!(lowered.is_err());
    let create = CreateTeam::new(id, "Team").with_limit(1);
    let team = organizations.create_team(create).await.unwrap();
    let create = CreateInvitation::new(
        id,
        format!("{grace}@example.com"),
        &ada,
        Utc::now() + TimeDelta::hours(1),
    );
    let create = create.with_team_id(&team.id).with_limit(1);
    let invitation = organizations.create_invitation(create).await.unwrap();
    let found = organizations.get_invitation(&invitation.id).await.unwrap();
    assert_eq!(found.unwrap().organization_slug, "engines");
    let limits = MemberLimits::default();
    let accepted = organizations.accept_invitation(&invitation.id, &grace, false, limits);
    accepted.await.unwrap();
    let members = organizations.list_members(ListMembers::new(id)).await;
    assert_eq!(members.unwrap().members.len(), 2);
    let listed = organizations.list_user_organizations(&grace).await.unwrap();
    assert_eq!(listed.len(), 1);
    let teams = organizations.list_user_teams(&grace).await.unwrap();
    assert_eq!(teams.as_slice(), std::slice::from_ref(&team));
    organizations.remove_member(id, &grace).await.unwrap();
    let ownerless = organizations.list_organizations_without_owner().await;
    assert_eq!(ownerless.unwrap(), []);
    organizations.delete_team(&team.id).await.unwrap();
}

/// A team of another organization cannot be stored, and a deleted one is cleared.
#[sqlx::test(migrator = "crate::support::MIGRATED")]
async fn the_team_of_an_invitation_is_one_of_its_organization(pool: PgPool) {
    let database = adapter(&pool).await;
    let [ada] = users(&database).await;
    let organizations = database.organizations().unwrap();
    let mut teams = Vec::new();
    for slug in ["one", "two"] {
        let create = CreateOrganization::new("Engines", slug, &ada);
        let (organization, _) = organizations.create_organization(create).await.unwrap();
        let create = CreateTeam::new(&organization.id, "Team");
        teams.push(organizations.create_team(create).await.unwrap());
    }
    let until = Utc::now() + TimeDelta::hours(1);
    let create = CreateInvitation::new(&teams[0].organization_id, "grace@example.com", &ada, until);
    let create = create.with_team_id(&teams[0].id);
    let invitation = organizations.create_invitation(create).await.unwrap();
    let sql = format!("UPDATE invitation SET team_id = '{}'", teams[1].id);
    let stored = sqlx::raw_sql(sqlx::AssertSqlSafe(sql)).execute(&pool).await;
    assert!(stored.is_err());
    organizations.delete_team(&teams[0].id).await.unwrap();
    let found = organizations.get_invitation(&invitation.id).await.unwrap();
    assert_eq!(found.unwrap().invitation.team_id, None);
}

/// As another program may have stored them before the constraints stood.
#[sqlx::test(migrator = "crate::support::MIGRATED")]
async fn what_is_no_object_is_named_by_its_column(pool: PgPool) {
    let database = adapter(&pool).await;
    let [ada] = users(&database).await;
    let organizations = database.organizations().unwrap();
    let create = CreateOrganization::new("Engines", "engines", &ada);
    let (organization, _) = organizations.create_organization(create).await.unwrap();
    let create = CreateOrganizationRole::new(&organization.id, "auditor", Metadata::new());
    organizations
        .create_organization_role(create)
        .await
        .unwrap();
    for (table, column) in [
        ("organization", "metadata"),
        ("organization_role", "permission"),
    ] {
        for value in ["[]", "null", "\"{}\""] {
            let change = format!("UPDATE {table} SET {column} = '{value}'");
            let stored = sqlx::raw_sql(sqlx::AssertSqlSafe(change.clone()))
                .execute(&pool)
                .await;
            assert!(stored.is_err(), "{change}");
            let constraint = format!("{table}_{column}_check");
            execute(
                &pool,
                &format!("ALTER TABLE {table} DROP CONSTRAINT {constraint}; {change}"),
            )
            .await;
            let error = if table == "organization" {
                organizations
                    .get_organization_by_slug("engines")
                    .await
                    .unwrap_err()
            } else {
                let listed = organizations
                    .list_organization_roles(&organization.id)
                    .await;
                listed.unwrap_err()
            };
            let named = format!("{table}.{column} is not a JSON object");
            assert!(error.to_string().contains(&named), "{error}");
            execute(
                &pool,
                &format!(
                    "UPDATE {table} SET {column} = '{{}}'; ALTER TABLE {table} ADD CONSTRAINT {constraint} \
                     CHECK (jsonb_typeof({column}) = 'object')"
                ),
            )
            .await;
        }
    }
}

/// Who accepts waits for the team without holding the invitation, which the other session changes next.
#[sqlx::test(migrator = "crate::support::MIGRATED")]
async fn accepting_locks_the_team_before_the_invitation(pool: PgPool) {
    let database = adapter(&pool).await;
    let [ada, grace] = users(&database).await;
    execute(&pool, "UPDATE users SET email = id || '@example.com'").await;
    let organizations = database.organizations().unwrap();
    let create = CreateOrganization::new("Engines", "engines", &ada);
    let (organization, _) = organizations.create_organization(create).await.unwrap();
    let create = CreateTeam::new(&organization.id, "Team");
    let team = organizations.create_team(create).await.unwrap();
    for team_members in [None, Some(9)] {
        let until = Utc::now() + TimeDelta::hours(1);
        let email = format!("{grace}@example.com");
        let create = CreateInvitation::new(&organization.id, email, &ada, until);
        let create = create.with_team_id(&team.id);
        let invitation = organizations.create_invitation(create).await.unwrap();
        let mut other = pool.begin().await.unwrap();
        sqlx::raw_sql("SET LOCAL lock_timeout = '1s'; SELECT FROM team FOR UPDATE")
            .execute(&mut *other)
            .await
            .unwrap();
        let limits = MemberLimits {
            members: None,
            team_members,
        };
        let (accepting, id, user) = (database.clone(), invitation.id, grace.clone());
        let accepted = tokio::spawn(async move {
            let store = accepting.organizations()?;
            store.accept_invitation(&id, &user, false, limits).await
        });
        until_one_waits(&pool).await;
        sqlx::raw_sql("UPDATE invitation SET team_id = NULL")
            .execute(&mut *other)
            .await
            .unwrap();
        other.commit().await.unwrap();
        let (accepted, _) = accepted.await.unwrap().unwrap();
        assert_eq!(accepted.team_id, None);
        organizations
            .remove_member(&organization.id, &grace)
            .await
            .unwrap();
    }
}
