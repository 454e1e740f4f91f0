//! Lists of users that other programs have stored.

use std::collections::BTreeSet;

use crate::support::{adapter, execute};
use better_auth::AuthError;
use better_auth::adapters::DatabaseAdapter;
use better_auth::types::{ListUsers, UserFilter, UserOrder};
use sqlx::PgPool;

#[sqlx::test(migrator = "crate::support::MIGRATED")]
async fn metadata_that_cannot_be_read_is_the_named_users(pool: PgPool) {
    execute(
        &pool,
        "ALTER TABLE users DROP CONSTRAINT users_metadata_check",
    )
    .await;
    execute(
        &pool,
        "INSERT INTO users (id, metadata, role) VALUES ('readable', '{\"a\": 1}', 'user'), ('broken', '[\"secret\"]', 'admin')",
    )
    .await;
    let database = adapter(&pool).await;
    let admins = UserFilter {
        role: Some("admin".to_owned()),
        ..UserFilter::default()
    };
    let of_admins = ListUsers::new().with_filter(admins);
    for query in [ListUsers::new(), of_admins] {
        let error = database.list_users(query).await.unwrap_err();
        assert!(matches!(error, AuthError::Database { .. }), "{error:?}");
        let message = error.to_string();
        assert!(
            message.contains("user with id broken") && message.contains("metadata"),
            "{message}"
        );
        assert!(!message.contains("secret"), "{message}");
    }
    let ids = ["readable".to_owned(), "broken".to_owned()];
    let message = database
        .get_users_by_ids(&ids)
        .await
        .unwrap_err()
        .to_string();
    assert!(
        message.contains("user with id broken") && !message.contains("secret"),
        "{message}"
    );
    let users = UserFilter {
        role: Some("user".to_owned()),
        ..UserFilter::default()
    };
    let page = database.list_users(ListUsers::new().with_filter(users));
    let page = page.await.unwrap();
    assert_eq!(page.users.len(), 1);
    assert_eq!(page.users[0].metadata["a"], 1);
}

#[sqlx::test(migrator = "crate::support::MIGRATED")]
async fn no_program_stores_metadata_that_is_no_object(pool: PgPool) {
    for metadata in ["[1]", "1", "null", "\"a\""] {
        let stored = sqlx::query("INSERT INTO users (id, metadata) VALUES ('1', $1::jsonb)")
            .bind(metadata)
            .execute(&pool)
            .await;
        let error = stored.unwrap_err().to_string();
        assert!(error.contains("users_metadata_check"), "{error}");
    }
}

#[sqlx::test(migrations = false)]
async fn rows_that_another_program_has_stored_stop_no_migration(pool: PgPool) {
    better_auth::MIGRATOR.run_to(19, &pool).await.unwrap();
    execute(
        &pool,
        "INSERT INTO users (id, metadata) VALUES ('1', '[1]')",
    )
    .await;
    let database = adapter(&pool).await;
    database.migrate().await.unwrap();
    database.check_schema().await.unwrap();
    let error = database.list_users(ListUsers::new()).await.unwrap_err();
    assert!(error.to_string().contains("user with id 1"), "{error}");
}

/// PostgreSQL's years go further than those of a `DateTime`.
#[sqlx::test(migrator = "crate::support::MIGRATED")]
async fn pages_go_through_all_times(pool: PgPool) {
    execute(
        &pool,
        "INSERT INTO users (id, created_at) \
         SELECT 'u' || i, CASE i % 4 WHEN 0 THEN 'infinity' WHEN 1 THEN '-infinity' \
         WHEN 2 THEN '294276-01-01'::timestamptz + i * INTERVAL '1 hour' ELSE now() END \
         FROM generate_series(1, 40) AS i",
    )
    .await;
    let database = adapter(&pool).await;
    for order in [UserOrder::NewestFirst, UserOrder::OldestFirst] {
        for limit in [1, 3, 7] {
            let mut query = ListUsers::new().with_order(order).with_limit(limit);
            let mut seen = BTreeSet::new();
            for _ in 0..41 {
                let page = database.list_users(query.clone()).await.unwrap();
                for user in page.users {
                    assert!(seen.insert(user.id.clone()), "{} twice", user.id);
                }
                match page.next_cursor {
                    Some(cursor) => query = query.with_cursor(cursor),
                    None => break,
                }
            }
            assert_eq!(seen.len(), 40, "{order:?} {limit}");
        }
    }
}

#[sqlx::test(migrator = "crate::support::MIGRATED")]
async fn names_that_lookups_do_not_find_are_mended_or_listed(pool: PgPool) {
    execute(
        &pool,
        "INSERT INTO users (id, email, username) VALUES ('empty', '', NULL), ('padded', '  ada@x.y ', NULL), \
         ('sigma', 'οδος', NULL), ('name', NULL, ' ada')",
    )
    .await;
    let database = adapter(&pool).await;
    let done = database.normalize_names().await.unwrap();
    assert_eq!(done.changed, 1);
    let skipped: BTreeSet<&str> = done
        .skipped
        .iter()
        .map(|name| name.user_id.as_str())
        .collect();
    assert_eq!(skipped, BTreeSet::from(["empty", "name", "padded"]));
    for name in &done.skipped {
        let error = &name.error;
        assert!(matches!(error, AuthError::Validation { .. }), "{error:?}");
    }
    let found = database.get_user_by_email("ΟΔΟΣ").await.unwrap();
    assert_eq!(found.unwrap().id, "sigma");
}
