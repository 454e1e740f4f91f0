//! A store that is not migrated answers so, touches nothing, aborts nothing, and comes alive once it is migrated.

use crate::stores::with_organizations;
use crate::support::{adapter, execute, url};
use better_auth::adapters::{DatabaseAdapter, OrganizationStore, SqlxAdapter};
use better_auth::types::{CreateOrganization, CreateUser};
use better_auth::{AuthError, MIGRATOR, transaction};
use sqlx::{AssertSqlSafe, PgPool};

/// Asks for it, and says what the store answers.
async fn is_there(store: &dyn OrganizationStore) -> bool {
    let create = CreateOrganization::new("Engines", "engines", "nobody");
    let answers = [
        store.count_members("a").await.map(drop),
        store.delete_team("mine").await,
        store.delete_organization("mine").await,
        store.remove_member("mine", "mine").await,
        store.rename_team("mine", "Taken").await.map(drop),
        store
            .create_organization(create.with_limit(1))
            .await
            .map(drop),
    ];
    let missing = answers.iter().filter(|answer| match answer {
        Err(error @ AuthError::Unsupported { .. }) => {
            let message = error.to_string();
            assert!(
                message.contains(".stores([Store::Organizations])"),
                "{message}"
            );
            true
        }
        _ => false,
    });
    let missing = missing.count();
    assert!(missing == 0 || missing == answers.len(), "{answers:?}");
    missing == 0
}

#[sqlx::test(migrations = false)]
async fn a_store_comes_alive_when_another_instance_migrates_it(pool: PgPool) {
    let plain = adapter(&pool).await;
    let shared = SqlxAdapter::from_pool(pool.clone());
    plain.migrate().await.unwrap();
    plain.check_schema().await.unwrap();
    for database in [&plain, &shared] {
        assert!(!is_there(database.organizations().unwrap()).await);
    }
    let open = plain.begin().await.unwrap();
    assert!(!is_there(open.organizations().unwrap()).await);

    let database = with_organizations(&pool).await;
    let complaint = database.check_schema().await.unwrap_err().to_string();
    assert!(complaint.contains("organization_role"), "{complaint}");
    for _ in 0..2 {
        database.migrate().await.unwrap();
        database.check_schema().await.unwrap();
    }
    open.rollback().await.unwrap();
    for database in [&plain, &shared, &database] {
        assert!(is_there(database.organizations().unwrap()).await);
        database.migrate().await.unwrap();
        database.check_schema().await.unwrap();
    }
}

/// In a transaction, the answer is no failure of it.
#[sqlx::test(migrations = false)]
async fn a_transaction_goes_on(pool: PgPool) {
    let plain = adapter(&pool).await;
    plain.migrate().await.unwrap();
    let open = plain.begin().await.unwrap();
    let ada = open.create_user(CreateUser::new()).await.unwrap();
    let answer = open.organizations().unwrap().delete_team("a").await;
    assert!(matches!(answer, Err(AuthError::Unsupported { .. })));
    let grace = open.create_user(CreateUser::new()).await.unwrap();
    open.commit().await.unwrap();
    let found = plain.get_users_by_ids(&[ada.id.clone(), grace.id]).await;
    assert_eq!(found.unwrap().len(), 2);

    let joined = plain.join(pool.begin().await.unwrap());
    let answer = joined.organizations().unwrap().delete_team("a").await;
    assert!(matches!(answer, Err(AuthError::Unsupported { .. })));
    joined.delete_user(&ada.id).await.unwrap();
    joined.commit().await.unwrap();
    assert_eq!(plain.get_user_by_id(&ada.id).await.unwrap(), None);

    let created = transaction(&plain, async |tx| {
        match tx.organizations()?.get_team("a").await {
            Err(AuthError::Unsupported { .. }) => tx.create_user(CreateUser::new()).await,
            answer => panic!("{answer:?}"),
        }
    });
    let created = created.await.unwrap();
    assert!(plain.get_user_by_id(&created.id).await.unwrap().is_some());
}

/// Whatever they look like: these have all columns of ours.
#[sqlx::test(migrations = false)]
async fn tables_of_the_applications_stay_untouched(pool: PgPool) {
    let plain = adapter(&pool).await;
    plain.migrate().await.unwrap();
    execute(
        &pool,
        "CREATE SCHEMA ours; CREATE TABLE ours.users (id TEXT PRIMARY KEY)",
    )
    .await;
    let mut creates = String::from("SET search_path = ours;");
    let organizations = MIGRATOR.iter().filter(|migration| {
        migration.migration_type.is_up_migration() && (1001..2000).contains(&migration.version)
    });
    for migration in organizations.filter(|migration| !migration.sql.as_str().contains("INDEX")) {
        creates.push_str(migration.sql.as_str());
        creates.push(';');
    }
    sqlx::raw_sql(AssertSqlSafe(creates + "RESET search_path"))
        .execute(&pool)
        .await
        .unwrap();
    for table in crate::support::STORE_TABLES {
        execute(
            &pool,
            &format!("CREATE TABLE {table} (LIKE ours.{table} INCLUDING DEFAULTS)"),
        )
        .await;
    }
    execute(
        &pool,
        "INSERT INTO organization (id, name, slug) VALUES ('mine', 'Mine', 'mine'); \
         INSERT INTO member (id, organization_id, user_id) VALUES ('mine', 'mine', 'mine'); \
         INSERT INTO team (id, organization_id, name) VALUES ('mine', 'mine', 'Mine')",
    )
    .await;
    let rows = || async {
        let query = "SELECT (SELECT count(*) FROM organization) + (SELECT count(*) FROM member) \
                     + (SELECT count(*) FROM team WHERE name = 'Mine')";
        sqlx::query_scalar::<_, i64>(query)
            .fetch_one(&pool)
            .await
            .unwrap()
    };
    for also in [
        "",
        // All at once: the functions too.
        "DO $$ DECLARE of_ours NAME; BEGIN \
           FOR of_ours IN SELECT proname FROM pg_proc WHERE pronamespace = 'ours'::regnamespace LOOP \
             EXECUTE format('CREATE FUNCTION %I() RETURNS INT LANGUAGE sql AS %L', of_ours, 'SELECT 1'); \
           END LOOP; \
         END $$",
        // The table of another schema that search_path names later.
        "CREATE TABLE ours._better_auth_organizations_migrations (version BIGINT)",
    ] {
        execute(&pool, also).await;
        assert!(!is_there(plain.organizations().unwrap()).await, "{also}");
        assert_eq!(rows().await, 3, "{also}");
        // Nothing of ours is there at all.
        let path = format!(
            "{}?options=-c%20search_path%3Dpublic,ours",
            url(&pool).split('?').next().unwrap()
        );
        let other = SqlxAdapter::new(&path).await.unwrap();
        assert!(!is_there(other.organizations().unwrap()).await, "{also}");
        assert_eq!(rows().await, 3, "{also}");
    }
}

/// As where only what the instance uses is granted to its role.
#[sqlx::test(migrations = false)]
async fn a_role_that_may_not_read_the_records_may_use_the_store(pool: PgPool) {
    let database = with_organizations(&pool).await;
    database.migrate().await.unwrap();
    let role = format!("plain_{}", std::process::id());
    execute(
        &pool,
        &format!(
            "CREATE ROLE {role} LOGIN PASSWORD 'password'; \
             GRANT USAGE ON SCHEMA public TO {role}; \
             GRANT SELECT, INSERT, UPDATE, DELETE ON ALL TABLES IN SCHEMA public TO {role}; \
             REVOKE ALL ON _better_auth_migrations, _better_auth_organizations_migrations FROM {role}"
        ),
    )
    .await;
    let options = pool.connect_options().as_ref().clone();
    let options = options.username(&role).password("password");
    let narrow = PgPool::connect_with(options).await.unwrap();
    let narrow_database = SqlxAdapter::from_pool(narrow.clone());
    assert!(is_there(narrow_database.organizations().unwrap()).await);
    narrow.close().await;
    execute(&pool, &format!("DROP OWNED BY {role}; DROP ROLE {role}")).await;
}

/// What a function of the application's misses is no table of a store, in whatever language it is written.
#[sqlx::test(migrator = "crate::support::MIGRATED")]
async fn a_function_of_the_applications_that_misses_a_table_is_named(pool: PgPool) {
    for sql in [
        "SET check_function_bodies = off; \
         CREATE FUNCTION is_known(TEXT) RETURNS BOOLEAN LANGUAGE sql \
         AS 'SELECT EXISTS (SELECT FROM directory WHERE directory.name = $1)'",
        "ALTER TABLE organization ADD CHECK (is_known(name)) NOT VALID",
    ] {
        execute(&pool, sql).await;
    }
    let database = adapter(&pool).await;
    let user = database.create_user(CreateUser::new()).await.unwrap();
    let create = CreateOrganization::new("Engines", "engines", &user.id);
    let organizations = database.organizations().unwrap();
    let error = organizations.create_organization(create).await.unwrap_err();
    assert_eq!(error.kind(), "Database", "{error}");
    assert!(error.to_string().contains("42P01"), "{error}");
}

#[sqlx::test(migrator = "crate::support::MIGRATED")]
async fn a_store_that_is_dropped_meanwhile_says_so(pool: PgPool) {
    let database = adapter(&pool).await;
    let organizations = database.organizations().unwrap();
    assert_eq!(organizations.count_members("a").await.unwrap(), 0);
    execute(&pool, "DROP TABLE member CASCADE").await;
    let error = organizations.count_members("a").await.unwrap_err();
    assert_eq!(error.kind(), "Unsupported", "{error}");
}
