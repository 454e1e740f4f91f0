//! A database that another program filled is brought to the forms in which names are looked up here.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use crate::support::{adapter, execute};
use better_auth::adapters::DatabaseAdapter;
use better_auth::{AuthError, ConflictField, UpdateUser};
use sqlx::PgPool;

/// The update may find the name changed since it was read, or a trigger may leave the row alone.
#[sqlx::test(migrator = "crate::support::MIGRATED")]
async fn a_name_that_was_not_changed_does_not_count(pool: PgPool) {
    for sql in [
        "INSERT INTO users (id, email, username) VALUES ('1', 'Ada@example.com', 'Ada')",
        "CREATE FUNCTION leave() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN RETURN NULL; END $$",
        "CREATE TRIGGER leave BEFORE UPDATE ON users FOR EACH ROW EXECUTE FUNCTION leave()",
    ] {
        execute(&pool, sql).await;
    }
    let done = adapter(&pool).await.normalize_names().await.unwrap();
    assert_eq!((done.changed, done.skipped.len()), (0, 0));
}

#[sqlx::test(migrations = false)]
async fn names_in_mixed_case_become_reachable(pool: PgPool) {
    execute(&pool, include_str!("../support/page.sql")).await;
    execute(
        &pool,
        "INSERT INTO users (id, email, username, display_username) VALUES \
         ('1', 'Ada@Example.COM', 'Ada', NULL), ('2', 'ÉLOÏSE@example.com', 'ELOISE', 'Éloïse'), \
         ('3', 'lower@example.com', 'lower', NULL), ('4', NULL, NULL, NULL), \
         ('5', 'Taken@example.com', 'TAKEN', NULL), ('6', 'taken@example.com', 'taken', NULL)",
    )
    .await;
    execute(
        &pool,
        "INSERT INTO users (id, email, updated_at) \
         SELECT 'many' || i, 'Many' || i || '@example.com', 'infinity' FROM generate_series(1, 2500) AS i",
    )
    .await;
    let database = adapter(&pool).await;
    database.migrate().await.unwrap();
    let before = database.get_user_by_id("3").await.unwrap();
    assert_eq!(
        database.get_user_by_email("ada@example.com").await.unwrap(),
        None
    );

    let done = database.normalize_names().await.unwrap();
    assert_eq!(done.changed, 4 + 2500);
    let left = done.skipped.iter().map(|left| match left.error {
        AuthError::Conflict { field } => (&*left.user_id, field),
        ref error => panic!("{error}"),
    });
    let expected = [("5", ConflictField::Email), ("5", ConflictField::Username)];
    assert_eq!(left.collect::<Vec<_>>(), expected);

    let ada = database
        .get_user_by_email("Ada@example.com")
        .await
        .unwrap()
        .unwrap();
    assert_eq!((&*ada.id, ada.username.as_deref()), ("1", Some("ada")));
    assert_eq!(ada.display_username.as_deref(), Some("Ada"));
    let eloise = database
        .get_user_by_username("Eloise")
        .await
        .unwrap()
        .unwrap();
    assert_eq!(eloise.email.as_deref(), Some("éloïse@example.com"));
    assert_eq!(eloise.display_username.as_deref(), Some("Éloïse"));
    let many = database
        .get_user_by_email("many2500@example.com")
        .await
        .unwrap();
    assert!(many.is_some());
    assert_eq!(database.get_user_by_id("3").await.unwrap(), before);

    let again = database.normalize_names().await.unwrap();
    assert_eq!(
        (again.changed, again.skipped.len()),
        (0, done.skipped.len())
    );
}

#[sqlx::test(migrator = "better_auth::MIGRATOR")]
async fn traffic_goes_on_meanwhile(pool: PgPool) {
    execute(
        &pool,
        "INSERT INTO users (id, email) SELECT i, 'User' || i || '@example.com' FROM generate_series(1, 3000) AS i",
    )
    .await;
    let database = adapter(&pool).await;
    let done = Arc::new(AtomicBool::new(false));
    let traffic = tokio::spawn({
        let (database, done) = (database.clone(), Arc::clone(&done));
        async move {
            let mut changed = 0;
            while !done.load(Ordering::Relaxed) && changed < 3000 {
                changed += 1;
                let update = UpdateUser {
                    email: Some(Some(format!("New{changed}@example.com"))),
                    ..UpdateUser::default()
                };
                database
                    .update_user(&changed.to_string(), update)
                    .await
                    .unwrap();
            }
            changed
        }
    });
    let normalized = database.normalize_names().await.unwrap();
    done.store(true, Ordering::Relaxed);
    let changed = traffic.await.unwrap();
    assert!(normalized.skipped.is_empty(), "{normalized:?}");
    for id in 1..=3000 {
        let name = if id <= changed { "new" } else { "user" };
        let user = database
            .get_user_by_email(&format!("{name}{id}@example.com"))
            .await
            .unwrap();
        assert_eq!(user.unwrap().id, id.to_string());
    }
}

/// Whatever refuses a name of one user keeps no other from being changed.
#[sqlx::test(migrator = "better_auth::MIGRATOR")]
async fn what_refuses_a_name_is_skipped(pool: PgPool) {
    // Ours is younger than the application's afterwards, so the server names that one.
    execute(
        &pool,
        "CREATE UNIQUE INDEX application_email ON users (email)",
    )
    .await;
    execute(&pool, "REINDEX INDEX CONCURRENTLY users_email_key").await;
    for statement in [
        "CREATE UNIQUE INDEX application_names ON users (left(username, 3)) WHERE username = lower(username)",
        "ALTER TABLE users ADD CONSTRAINT no_bob CHECK (username <> 'bob')",
        "CREATE FUNCTION refuse() RETURNS TRIGGER LANGUAGE plpgsql AS \
         $$ BEGIN RAISE EXCEPTION 'not carol'; END $$",
        "CREATE TRIGGER refuse BEFORE UPDATE ON users FOR EACH ROW WHEN (NEW.username = 'carol') \
         EXECUTE FUNCTION refuse()",
        "INSERT INTO users (id, email, username) VALUES ('1', 'Taken@example.com', 'Bob'), \
         ('2', 'taken@example.com', 'Carol'), ('3', 'Other@example.com', 'dan1'), ('4', NULL, 'DAN2'), \
         ('5', 'Last@example.com', 'Last')",
    ] {
        execute(&pool, statement).await;
    }
    let database = adapter(&pool).await;
    let done = database.normalize_names().await.unwrap();
    assert_eq!(done.changed, 3);
    let skipped = done.skipped.iter().map(|skipped| match &skipped.error {
        AuthError::Conflict { field } => format!("{} {field:?}", skipped.user_id),
        AuthError::Database { .. } => format!("{} {}", skipped.user_id, skipped.error),
        error => panic!("{error}"),
    });
    let skipped: Vec<String> = skipped.collect();
    assert_eq!(skipped.len(), 4, "{skipped:?}");
    for (skipped, expected) in skipped.iter().zip([
        ["1 ", "Email"],
        ["1 ", "no_bob"],
        ["2 ", "P0001"],
        ["4 ", "application_names"],
    ]) {
        assert!(
            expected.iter().all(|part| skipped.contains(part)),
            "{skipped}"
        );
    }
    assert!(
        database
            .get_user_by_username("last")
            .await
            .unwrap()
            .is_some()
    );
}

/// A final sigma is a sigma, and what can be no name is listed.
#[sqlx::test(migrator = "better_auth::MIGRATOR")]
async fn names_that_no_lookup_finds_are_changed_or_listed(pool: PgPool) {
    execute(
        &pool,
        "INSERT INTO users (id, email, username) VALUES ('1', 'ΟΔΟΣ@example.com', 'οδος'), ('2', '', 'ada '), \
         ('3', '  ada@example.com ', ''), ('4', 'νομος', 'νομος'), ('5', 'νομοσ', 'νομοσ'), \
         ('6', E'bob@example.com\\n', E'\\u00A0bob')",
    )
    .await;
    let database = adapter(&pool).await;
    let done = database.normalize_names().await.unwrap();
    assert_eq!(done.changed, 2);
    for name in ["ΟΔΟΣ@example.com", "οδοσ@example.com"] {
        let user = database.get_user_by_email(name).await.unwrap();
        assert_eq!(user.map(|user| user.id).as_deref(), Some("1"), "{name}");
    }
    let user = database
        .get_user_by_username("ΟΔΟΣ")
        .await
        .unwrap()
        .unwrap();
    assert_eq!(user.display_username.as_deref(), Some("οδος"));
    let skipped = done.skipped.iter().map(|skipped| match &skipped.error {
        AuthError::Conflict { field } => format!("{} taken {field:?}", skipped.user_id),
        AuthError::Validation { field, .. } => format!("{} wrong {field}", skipped.user_id),
        error => panic!("{error}"),
    });
    let expected = [
        "2 wrong email",
        "2 wrong username",
        "3 wrong email",
        "3 wrong username",
        "4 taken Email",
        "4 taken Username",
        "6 wrong email",
        "6 wrong username",
    ];
    assert_eq!(skipped.collect::<Vec<_>>(), expected);
}
