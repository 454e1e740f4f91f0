//! Every statement runs on an index, whatever the tables' size: looked at under the plan that a long-lived connection
//! comes to use, for each entry of `.sqlx`.

use std::collections::HashSet;

use crate::support::{execute, url};
use serde_json::Value;
use sqlx::{AssertSqlSafe, Connection as _, PgConnection, PgPool, Row as _};

const TABLES: [&str; 16] = [
    "users",
    "sessions",
    "accounts",
    "verifications",
    "organization",
    "member",
    "invitation",
    "team",
    "team_member",
    "organization_role",
    "rate_limit",
    "jwks",
    "two_factor",
    "passkeys",
    "device_code",
    "api_keys",
];

/// Statements that may read whole tables, as their rustdoc says.
const MAY_SCAN: [&str; 3] = [
    "FROM organization WHERE NOT EXISTS",
    // An import reads the tables of another program from end to end.
    "AS source CROSS JOIN LATERAL (SELECT row_to_json(source.*)",
    // The keys of one application, which are few.
    "FROM jwks WHERE expires_at IS NULL",
];

/// Statements that may sort, by a part of their text. Whatever is sorted is read before, also where only a page is kept.
const MAY_SORT: [(&str, &str); 11] = [
    (
        "FROM member JOIN organization ON organization.id = member.organization_id WHERE member.user_id",
        "the organizations of one user",
    ),
    (
        "FROM team_member JOIN team ON team.id = team_member.team_id WHERE team_member.user_id",
        "the teams of one user",
    ),
    ("FROM team_member WHERE team_id", "the members of one team"),
    (
        "FROM texts CROSS JOIN LATERAL",
        "a page of members for each text with the role, of which organizations have few",
    ),
    (
        "FROM invitation WHERE organization_id = $1 ORDER BY",
        "the invitations of one organization",
    ),
    (
        "ORDER BY newest.created_at DESC",
        "the newest row of each form of a value: one, and one more for each key",
    ),
    (
        "ORDER BY created_at DESC, id COLLATE \"C\" DESC FOR UPDATE",
        "the rows of one pair or identifier, which it locks from the newest on",
    ),
    ("email = $8", "one user at the most"),
    ("username = $8", "one user at the most"),
    (
        "COLLATE \"C\" < $9",
        "all that begins so, as rustdoc says of `StartsWith`",
    ),
    (" LIKE $8", "all users, as rustdoc says of `Contains`"),
];

async fn fill(pool: &PgPool) {
    for sql in [
        "INSERT INTO users (id, name, email, email_verified, username, role, banned, created_at) \
         SELECT md5(i::TEXT), 'Name ' || i % 5000, i || '@example.com', i % 10 <> 0, 'u' || i, \
         CASE WHEN i % 1000 = 0 THEN 'admin' END, i % 500 = 0, now() - i * INTERVAL '1 minute' \
         FROM generate_series(1, 200000) AS i",
        "INSERT INTO sessions (id, token, user_id, expires_at, active) \
         SELECT lpad(i::TEXT, 32, '0'), 'token' || lpad(i::TEXT, 32, '0'), md5((i % 200000 + 1)::TEXT), \
         now() + (i % 1000 - 100) * INTERVAL '1 hour', i % 10 <> 0 FROM generate_series(1, 1000000) AS i",
        "INSERT INTO accounts (id, provider_id, account_id, user_id) \
         SELECT md5('a' || i), 'github', i, md5(i::TEXT) FROM generate_series(1, 100000) AS i",
        "INSERT INTO verifications (id, identifier, value, expires_at) \
         SELECT md5('v' || i), i % 50000, i, now() + (i % 1000 - 100) * INTERVAL '1 hour' \
         FROM generate_series(1, 100000) AS i",
        "INSERT INTO organization (id, name, slug, created_at) \
         SELECT md5('o' || i), 'Name', i, now() - i * INTERVAL '1 minute' FROM generate_series(1, 50000) AS i",
        // A tenth of them is in one organization.
        "INSERT INTO member (id, organization_id, user_id, role, created_at) \
         SELECT md5('m' || i), md5('o' || CASE WHEN i % 10 = 0 THEN 1 ELSE i % 50000 + 1 END), md5((i / 2 + 1)::TEXT), \
         CASE WHEN i % 10 = 1 THEN 'owner' ELSE 'member' END, now() - i * INTERVAL '1 second' \
         FROM generate_series(1, 300000) AS i ON CONFLICT DO NOTHING",
        "INSERT INTO invitation (id, organization_id, email, inviter_id, status, expires_at) \
         SELECT md5('i' || i), md5('o' || i % 50000 + 1), i / 2 || '@example.com', md5(i::TEXT), \
         CASE WHEN i % 2 = 0 THEN 'pending' ELSE 'accepted' END, now() + (i % 100 - 50) * INTERVAL '1 hour' \
         FROM generate_series(1, 100000) AS i",
        "INSERT INTO team (id, organization_id, name) \
         SELECT md5('t' || i), md5('o' || i), 'Name' FROM generate_series(1, 50000) AS i",
        "INSERT INTO team_member (id, organization_id, team_id, user_id) \
         SELECT md5('tm' || member.id), organization_id, team.id, user_id FROM member JOIN team USING (organization_id)",
        "INSERT INTO organization_role (id, organization_id, role, permission) \
         SELECT md5('r' || i), md5('o' || i), 'auditor', '{}' FROM generate_series(1, 50000) AS i",
        "INSERT INTO rate_limit (key, count, window_started_at, expires_at) \
         SELECT 'key ' || i, i % 10, now() - i % 100 * INTERVAL '1 hour', now() + (i % 100 - 10) * INTERVAL '1 hour' \
         FROM generate_series(1, 300000) AS i",
        "INSERT INTO jwks (id, public_key, private_key, generation) \
         SELECT md5('k' || i), 'public', 'private', i FROM generate_series(1, 10000) AS i",
        "INSERT INTO two_factor (id, secret, user_id) \
         SELECT md5('2' || i), 'secret', md5(i::TEXT) FROM generate_series(1, 200000) AS i",
        "INSERT INTO passkeys (id, public_key, user_id, credential_id) \
         SELECT md5('p' || i), 'key', md5((i % 200000 + 1)::TEXT), 'credential ' || i FROM generate_series(1, 1000000) AS i",
        "INSERT INTO device_code (id, device_code, user_code, user_id, expires_at, status, polling_interval) \
         SELECT md5('d' || i), i, i, CASE WHEN i % 10 = 0 THEN md5((i % 200000 + 1)::TEXT) END, \
         now() + (i % 100 - 50) * INTERVAL '1 hour', 'pending', 5000 FROM generate_series(1, 300000) AS i",
        "INSERT INTO api_keys (id, key, user_id, organization_id, remaining, expires_at) \
         SELECT md5('a' || i), i, CASE WHEN i % 10 > 0 THEN md5((i % 200000 + 1)::TEXT) END, \
         CASE WHEN i % 10 = 0 THEN md5('o' || i % 50000 + 1) END, i % 100, now() + (i % 1000 - 10) * INTERVAL '1 hour' \
         FROM generate_series(1, 1000000) AS i",
        "ANALYZE",
    ] {
        execute(pool, sql).await;
    }
}

/// The statements of the cache with the types of their parameters.
pub(crate) fn statements() -> Vec<(String, Vec<String>)> {
    let folder = concat!(env!("CARGO_MANIFEST_DIR"), "/../.sqlx");
    let mut statements = Vec::new();
    for entry in std::fs::read_dir(folder).unwrap() {
        let entry: Value =
            serde_json::from_slice(&std::fs::read(entry.unwrap().path()).unwrap()).unwrap();
        // It reads no table, and SQL's PREPARE does not take it.
        if entry["query"].as_str().unwrap().starts_with("EXPLAIN ") {
            continue;
        }
        let parameters = entry["describe"]["parameters"]["Left"].as_array().unwrap();
        let types = parameters.iter().map(|name| match name.as_str() {
            Some(name) => name.replace("Array", "[]"),
            None => panic!("{name} of a parameter"),
        });
        statements.push((entry["query"].as_str().unwrap().to_owned(), types.collect()));
    }
    statements
}

async fn generic_plan(connection: &mut PgConnection, query: &str, types: &[String]) -> Value {
    let types_list = if types.is_empty() {
        String::new()
    } else {
        format!("({})", types.join(", "))
    };
    let nulls = vec!["NULL"; types.len()].join(", ");
    let nulls = if types.is_empty() {
        nulls
    } else {
        format!("({nulls})")
    };
    for sql in [
        "DEALLOCATE ALL".to_owned(),
        format!("PREPARE statement {types_list} AS {query}"),
    ] {
        sqlx::raw_sql(AssertSqlSafe(sql))
            .execute(&mut *connection)
            .await
            .unwrap();
    }
    let explain = format!("EXPLAIN (FORMAT JSON) EXECUTE statement {nulls}");
    let row = sqlx::raw_sql(AssertSqlSafe(explain))
        .fetch_one(connection)
        .await
        .unwrap();
    let plan: Value = row.get(0);
    plan[0]["Plan"].clone()
}

/// Whether a plan touches one of the tables, rather than the server's catalog or the record of migrations.
fn touches_a_table(node: &Value) -> bool {
    let table = node["Relation Name"].as_str().unwrap_or_default();
    let mut children = node["Plans"].as_array().into_iter().flatten();
    TABLES.contains(&table) || children.any(touches_a_table)
}

/// What is wrong with a plan, below a node that stops it after some rows or not.
fn faults(node: &Value, limited: bool, faults: &mut Vec<String>) {
    let kind = node["Node Type"].as_str().unwrap_or_default();
    let table = node["Relation Name"].as_str().unwrap_or_default();
    if kind == "Seq Scan" && TABLES.contains(&table) {
        faults.push(format!("scans {table}"));
    }
    let by_index = matches!(kind, "Index Scan" | "Index Only Scan");
    if by_index && node["Index Cond"].is_null() && !limited {
        faults.push(format!("reads all of {table} by an index"));
    }
    if matches!(kind, "Sort" | "Incremental Sort") {
        faults.push(format!("sorts by {}", node["Sort Key"]));
    }
    let limited = match kind {
        "Limit" => true,
        // What only passes rows on stops with its reader.
        "LockRows" | "Result" | "Subquery Scan" | "Nested Loop" => limited,
        _ => false,
    };
    for child in node["Plans"].as_array().into_iter().flatten() {
        self::faults(child, limited, faults);
    }
}

#[sqlx::test(migrator = "crate::support::MIGRATED")]
async fn every_statement_runs_on_an_index(pool: PgPool) {
    // What `import` reads from, and what records the migrations of stores.
    execute(&pool, include_str!("../support/typescript.sql")).await;
    let records = include_str!("../../scripts/unmigrated_tables/9002_records_of_stores.sql");
    execute(&pool, records).await;
    fill(&pool).await;
    let mut connection = PgConnection::connect(&url(&pool)).await.unwrap();
    sqlx::raw_sql("SET plan_cache_mode = force_generic_plan")
        .execute(&mut connection)
        .await
        .unwrap();
    let mut wrong = Vec::new();
    let mut needed = HashSet::new();
    let statements = statements();
    assert!(statements.len() > 50, "{}", statements.len());
    for (query, types) in statements {
        let plan = generic_plan(&mut connection, &query, &types).await;
        if !touches_a_table(&plan) || MAY_SCAN.iter().any(|part| query.contains(part)) {
            continue;
        }
        let mut found = Vec::new();
        faults(&plan, false, &mut found);
        let excuse = MAY_SORT.iter().find(|(part, _)| query.contains(part));
        if let Some((part, _)) = excuse.filter(|_| !found.is_empty()) {
            needed.insert(part);
            found.retain(|fault| !fault.starts_with("sorts"));
        }
        if !found.is_empty() {
            wrong.push(format!("{found:?}: {query}\n{plan:#}"));
        }
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
    assert_eq!(needed.len(), MAY_SORT.len(), "an excuse that nobody needs");
}
