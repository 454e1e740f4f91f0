//! Tables of a size at which a plan without an index shows: a million members of 100,000 organizations, 100,000 of them in
//! the first one, and as many rows of other kinds.

use crate::support::execute;
use sqlx::pool::PoolConnection;
use sqlx::{AssertSqlSafe, Executor as _, PgPool, Postgres};

/// The first organization has as many, each other one nine.
pub(crate) const MEMBERS_OF_THE_LARGEST: u32 = 100_000;

/// The id of a row, by its number in the table.
pub(crate) fn id(number: u32) -> String {
    format!("{number:032}")
}

/// The same for SQL. Rows are stored in the order of their ids, as those of an application are.
fn sql_id(number: &str) -> String {
    format!("lpad(({number})::TEXT, 32, '0')")
}

/// Fills the tables of an empty database. Rows refer to each other rightly, so references are not checked; indexes are
/// built afterwards, which takes a part of the time.
pub(crate) async fn fill(pool: &PgPool) {
    let mut connection = pool.acquire().await.unwrap();
    for sql in [
        "SET session_replication_role = replica",
        "SET synchronous_commit = off",
        "SET maintenance_work_mem = '256MB'",
    ] {
        connection.execute(sql).await.unwrap();
    }
    let indexes = drop_indexes(&mut connection).await;
    for sql in users_and_sessions()
        .into_iter()
        .chain(organizations())
        .chain(other_stores())
        .chain(indexes)
    {
        connection.execute(AssertSqlSafe(sql)).await.unwrap();
    }
    // The settings go with it.
    connection.close().await.unwrap();
    execute(pool, "VACUUM ANALYZE").await;
}

/// Drops the indexes that no constraint needs, and answers the statements that make them again.
async fn drop_indexes(connection: &mut PoolConnection<Postgres>) -> Vec<String> {
    let indexes: Vec<(String, String)> = sqlx::query_as(
        "SELECT indexrelid::regclass::TEXT, pg_get_indexdef(indexrelid) FROM pg_index \
         JOIN pg_class ON pg_class.oid = indexrelid WHERE relnamespace = 'public'::regnamespace \
         AND NOT EXISTS (SELECT FROM pg_constraint WHERE conindid = indexrelid)",
    )
    .fetch_all(&mut **connection)
    .await
    .unwrap();
    assert!(indexes.len() > 20, "{indexes:?}");
    let mut definitions = Vec::new();
    for (name, definition) in indexes {
        let drop = AssertSqlSafe(format!("DROP INDEX {name}"));
        connection.execute(drop).await.unwrap();
        definitions.push(definition);
    }
    definitions
}

fn users_and_sessions() -> Vec<String> {
    let (id, owner) = (sql_id("i"), sql_id("i % 200000 + 1"));
    vec![
        format!(
            "INSERT INTO users (id, name, email, email_verified, username, role, banned, created_at) \
             SELECT {id}, 'Name ' || i % 5000, i || '@example.com', i % 10 <> 0, 'u' || i, \
             CASE WHEN i % 1000 = 0 THEN 'admin' END, i % 500 = 0, now() - i * INTERVAL '1 minute' \
             FROM generate_series(1, 200000) AS i"
        ),
        format!(
            "INSERT INTO sessions (id, token, user_id, expires_at, active) SELECT {id}, 'token' || {id}, {owner}, \
             now() + (i % 1000 - 100) * INTERVAL '1 hour', i % 10 <> 0 FROM generate_series(1, 1000000) AS i"
        ),
        format!(
            "INSERT INTO accounts (id, provider_id, account_id, user_id) SELECT {id}, 'github', {id}, {id} \
             FROM generate_series(1, 100000) AS i"
        ),
        format!(
            "INSERT INTO verifications (id, identifier, value, expires_at) \
             SELECT {id}, i % 50000, i, now() + (i % 1000 - 100) * INTERVAL '1 hour' FROM generate_series(1, 100000) AS i"
        ),
    ]
}

fn organizations() -> Vec<String> {
    let id = sql_id("i");
    let (largest, in_largest) = (MEMBERS_OF_THE_LARGEST, sql_id("1"));
    let others = sql_id(&format!("(i - {largest} - 1) / 9 + 2"));
    vec![
        format!(
            "INSERT INTO organization (id, name, slug, created_at) \
             SELECT {id}, 'Name', 'slug-' || {id}, now() - i * INTERVAL '1 minute' FROM generate_series(1, 100001) AS i"
        ),
        // Those of the largest organization are the last users.
        format!(
            "INSERT INTO member (id, organization_id, user_id, role, created_at) \
             SELECT {id}, CASE WHEN i <= {largest} THEN {in_largest} ELSE {others} END, \
             CASE WHEN i <= {largest} THEN {last} ELSE {any} END, \
             CASE WHEN i % 9 = 0 THEN 'owner' ELSE 'member' END, now() - i * INTERVAL '1 second' \
             FROM generate_series(1, 1000000) AS i",
            last = sql_id("i + 100000"),
            any = sql_id("i % 200000 + 1"),
        ),
        format!(
            "INSERT INTO invitation (id, organization_id, email, inviter_id, status, expires_at) \
             SELECT {id}, CASE WHEN i % 10 = 0 THEN {in_largest} ELSE {any} END, i / 2 || '@example.com', {id}, \
             CASE WHEN i % 2 = 0 THEN 'pending' ELSE 'accepted' END, now() + (i % 100 - 50) * INTERVAL '1 hour' \
             FROM generate_series(1, 100000) AS i",
            any = sql_id("i % 50000 + 1"),
        ),
        format!(
            "INSERT INTO team (id, organization_id, name) SELECT {id}, {id}, 'Name' FROM generate_series(1, 50000) AS i"
        ),
        // Half of the members of each team's organization.
        "INSERT INTO team_member (id, organization_id, team_id, user_id) \
         SELECT member.id, organization_id, team.id, user_id FROM member JOIN team USING (organization_id) \
         WHERE right(member.id, 1) IN ('0', '2', '4', '6', '8')"
            .to_owned(),
        format!(
            "INSERT INTO organization_role (id, organization_id, role, permission) \
             SELECT {id}, {id}, 'auditor', '{{}}' FROM generate_series(1, 50000) AS i"
        ),
    ]
}

fn other_stores() -> Vec<String> {
    let (id, owner) = (sql_id("i"), sql_id("i % 200000 + 1"));
    vec![
        format!(
            "INSERT INTO rate_limit (key, count, window_started_at, expires_at) \
             SELECT {id}, i % 10, now() - i % 100 * INTERVAL '1 hour', now() + (i % 100 - 10) * INTERVAL '1 hour' \
             FROM generate_series(1, 300000) AS i"
        ),
        format!(
            "INSERT INTO jwks (id, public_key, private_key, generation) SELECT {id}, 'public', 'private', i \
             FROM generate_series(1, 10000) AS i"
        ),
        format!(
            "INSERT INTO two_factor (id, secret, user_id) SELECT {id}, 'secret', {id} FROM generate_series(1, 200000) AS i"
        ),
        format!(
            "INSERT INTO passkeys (id, public_key, user_id, credential_id) SELECT {id}, 'key', {owner}, {id} \
             FROM generate_series(1, 1000000) AS i"
        ),
        format!(
            "INSERT INTO device_code (id, device_code, user_code, user_id, expires_at, status, polling_interval) \
             SELECT {id}, {id}, {id}, CASE WHEN i % 10 = 0 THEN {owner} END, \
             now() + (i % 100 - 50) * INTERVAL '1 hour', 'pending', 5000 FROM generate_series(1, 300000) AS i"
        ),
        format!(
            "INSERT INTO api_keys (id, key, user_id, organization_id, remaining, expires_at) \
             SELECT {id}, {id}, CASE WHEN i % 10 > 0 THEN {owner} END, CASE WHEN i % 10 = 0 THEN {organization} END, \
             i % 100, now() + (i % 1000 - 10) * INTERVAL '1 hour' FROM generate_series(1, 1000000) AS i",
            organization = sql_id("i % 50000 + 1"),
        ),
    ]
}
