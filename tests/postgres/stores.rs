//! The tables of stores: created where they are asked for, accepted from better-auth-rs 0.10, never an application's own.

use crate::support::{adapter, execute, url};
use better_auth::adapters::{DatabaseAdapter, SqlxAdapter, Store};
use better_auth::types::{
    CreateInvitation, CreateMember, CreateOrganization, CreateUser, InvitationStatus,
};
use better_auth::{AuthError, MIGRATOR};
use chrono::{TimeDelta, Utc};
use sqlx::{PgPool, Row as _};

/// The tables of organizations as better-auth-rs 0.10 makes them.
const OLDER: &str = include_str!("../support/organizations_0_10.sql");

async fn with_organizations(pool: &PgPool) -> SqlxAdapter {
    let builder = SqlxAdapter::builder(&url(pool)).stores([Store::Organizations]);
    builder.connect().await.unwrap()
}

async fn tables(pool: &PgPool) -> Vec<String> {
    let query = "SELECT tablename::TEXT FROM pg_tables WHERE schemaname = 'public' ORDER BY 1";
    let rows = sqlx::query(query).fetch_all(pool).await.unwrap();
    rows.iter().map(|row| row.get(0)).collect()
}

#[sqlx::test(migrations = false)]
async fn a_store_that_is_not_migrated_says_so(pool: PgPool) {
    let plain = adapter(&pool).await;
    plain.migrate().await.unwrap();
    plain.check_schema().await.unwrap();
    assert!(!tables(&pool).await.contains(&"member".to_owned()));
    let unsupported = |answer: AuthError| match answer {
        error @ AuthError::Unsupported { .. } => error.to_string(),
        other => panic!("{other:?}"),
    };
    let organizations = plain.organizations().unwrap();
    let answer = organizations.count_members("a").await.unwrap_err();
    assert!(unsupported(answer).contains(".stores([Store::Organizations])"));
    let create = CreateOrganization::new("Engines", "engines", "a").with_limit(1);
    unsupported(organizations.create_organization(create).await.unwrap_err());
    let transaction = plain.begin().await.unwrap();
    let organizations = transaction.organizations().unwrap();
    unsupported(organizations.count_members("a").await.unwrap_err());
    let answer = transaction.get_user_by_id("a").await;
    assert!(matches!(answer, Err(AuthError::TransactionAborted)));
    drop(transaction);

    let database = with_organizations(&pool).await;
    let complaint = database.check_schema().await.unwrap_err().to_string();
    assert!(complaint.contains("organization_role"), "{complaint}");
    for _ in 0..2 {
        database.migrate().await.unwrap();
        database.check_schema().await.unwrap();
    }
    assert_eq!(organizations_of(&database).await, 0);
    // The other instance goes on.
    assert_eq!(organizations_of(&plain).await, 0);
    plain.migrate().await.unwrap();
    plain.check_schema().await.unwrap();
}

async fn organizations_of(database: &SqlxAdapter) -> u64 {
    let organizations = database.organizations().unwrap();
    organizations.count_members("a").await.unwrap()
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
        "INSERT INTO organization (id, name, slug) VALUES ('1', 'One', 'One'), ('2', 'Two', 'TWO'), ('3', 'Two', 'two')",
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
         ('d', '2', 'grace@example.com', 'ada', 'pending', 'infinity', now())",
    )
    .await;
    // Nobody asks for the store: its tables are there.
    let plain = adapter(&pool).await;
    plain.migrate().await.unwrap();
    let database = with_organizations(&pool).await;
    database.check_schema().await.unwrap();
    let organizations = database.organizations().unwrap();
    for (slug, id) in [("one", Some("1")), ("two", Some("3")), ("TWO", Some("3"))] {
        let found = organizations.get_organization_by_slug(slug).await.unwrap();
        assert_eq!(found.map(|found| found.id).as_deref(), id, "{slug}");
    }
    let left = organizations.get_organization("2").await.unwrap();
    assert_eq!(left.unwrap().slug, "TWO");
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

/// What the store promises under READ COMMITTED holds where transactions are stricter by default.
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
