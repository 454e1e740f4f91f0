//! Every statement runs on an index, whatever the tables' size: looked at under the plan that a long-lived connection
//! comes to use, for each entry of `.sqlx`.

use std::collections::HashSet;

use crate::support::{execute, url};
use crate::{large_organization, large_tables};
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
const MAY_SORT: [(&str, &str); 9] = [
    (
        "FROM member JOIN organization ON organization.id = member.organization_id WHERE member.user_id",
        "the organizations of one user",
    ),
    (
        "FROM team_member JOIN team ON team.id = team_member.team_id WHERE team_member.user_id",
        "the teams of one user",
    ),
    (
        "FROM texts CROSS JOIN LATERAL",
        "a page of members for each text with the role, of which organizations have few",
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
    large_tables::fill(&pool).await;
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
    let excuses = MAY_SORT.iter().map(|(part, _)| part);
    let unneeded: Vec<_> = excuses.filter(|part| !needed.contains(part)).collect();
    assert!(
        unneeded.is_empty(),
        "excuses that nobody needs: {unneeded:?}"
    );
    // On the same rows, as to store them takes most of the time.
    large_organization::each_call_runs_on_indexes(&pool).await;
}
