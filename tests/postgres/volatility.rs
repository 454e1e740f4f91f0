//! What an `UPDATE` applies to columns is immutable, as engines that distribute tables demand of it.

use std::collections::BTreeMap;

use crate::plans::statements;
use crate::support::execute;
use sqlx::PgPool;

/// The functions and operators, by oid, that a parse tree applies to something that holds a column.
fn applied_to_columns(tree: &str) -> Vec<i64> {
    let mut applied = Vec::new();
    let mut open = Vec::new();
    for (place, character) in tree.char_indices() {
        match character {
            '{' => open.push(place),
            '}' => {
                let node = &tree[open.pop().unwrap()..=place];
                let kind = node[1..].split_whitespace().next().unwrap_or_default();
                let field = match kind {
                    "FUNCEXPR" => ":funcid ",
                    "OPEXPR" | "DISTINCTEXPR" | "NULLIFEXPR" | "SCALARARRAYOPEXPR" => ":opfuncid ",
                    _ => continue,
                };
                if node.contains("{VAR ") {
                    let oid = node.split(field).nth(1).unwrap();
                    applied.push(oid.split_whitespace().next().unwrap().parse().unwrap());
                }
            }
            _ => {}
        }
    }
    applied
}

#[sqlx::test(migrator = "crate::support::MIGRATED")]
async fn updates_apply_only_immutable_functions_to_columns(pool: PgPool) {
    let version: String = sqlx::query_scalar("SHOW server_version_num")
        .fetch_one(&pool)
        .await
        .unwrap();
    // Before, no parse tree of a statement with parameters can be looked at.
    if version.parse::<u32>().unwrap() < 140_000 {
        return;
    }
    let mut wrong = BTreeMap::new();
    let mut updates = 0;
    for (query, types) in statements() {
        // Those that only lock rows change no column.
        if !query.replace("FOR UPDATE", "").contains("UPDATE ") {
            continue;
        }
        updates += 1;
        execute(
            &pool,
            &format!(
                "CREATE OR REPLACE FUNCTION statement_{updates}({}) RETURNS VOID BEGIN ATOMIC {query}; END",
                types.join(", ")
            ),
        )
        .await;
        let tree: String =
            sqlx::query_scalar("SELECT prosqlbody::TEXT FROM pg_proc WHERE proname = $1")
                .bind(format!("statement_{updates}"))
                .fetch_one(&pool)
                .await
                .unwrap();
        let applied = applied_to_columns(&tree);
        assert!(!applied.is_empty(), "{query}");
        // Those of stores look again after a statement has waited for a row, so they have to be volatile.
        let mutable: Vec<String> = sqlx::query_scalar(
            "SELECT oid::regprocedure::TEXT FROM pg_proc WHERE oid::BIGINT = ANY ($1) AND provolatile <> 'i' \
             AND proname NOT IN ('better_auth_count', 'better_auth_has', 'better_auth_is_last_owner')",
        )
        .bind(&applied)
        .fetch_all(&pool)
        .await
        .unwrap();
        if !mutable.is_empty() {
            wrong.insert(query, mutable);
        }
    }
    assert!(updates >= 5, "{updates}");
    assert!(wrong.is_empty(), "{wrong:#?}");
}
