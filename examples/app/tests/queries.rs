//! An application's tests on a database of their own, migrated by better-auth and by the application.

use app::{Order, orders_over, organizations_by_plan, sessions_from, users_by_plan};
use better_auth::adapters::{DatabaseAdapter, SqlxAdapter};
use better_auth::types::{CreateOrganization, CreateSession, CreateUser, Metadata};
use chrono::{DateTime, TimeDelta, Utc};
use sqlx::PgPool;

#[sqlx::test(migrator = "better_auth::MIGRATOR")]
async fn whole_rows_come_back(pool: PgPool) {
    let database = SqlxAdapter::from_pool(pool.clone());
    let plan = Metadata::from_iter([("plan".to_owned(), "pro".into())]);
    let create = CreateUser::new()
        .with_email("ada@example.com")
        .with_metadata(plan);
    let user = database.create_user(create).await.unwrap();
    database.create_user(CreateUser::new()).await.unwrap();
    let in_an_hour = Utc::now() + TimeDelta::hours(1);
    let create = CreateSession::new(&user.id, in_an_hour).with_ip_address("192.0.2.1");
    let session = database.create_session(create).await.unwrap();
    assert_eq!(sessions_from(&pool, "192.0.2.1").await.unwrap(), [session]);
    assert_eq!(users_by_plan(&pool, "pro").await.unwrap(), [user]);

    sqlx::query("UPDATE users SET ban_expires = 'infinity'")
        .execute(&pool)
        .await
        .unwrap();
    let [user] = users_by_plan(&pool, "pro")
        .await
        .unwrap()
        .try_into()
        .unwrap();
    assert_eq!(user.ban_expires, Some(DateTime::<Utc>::MAX_UTC));
}

#[sqlx::test(migrator = "better_auth::MIGRATOR")]
async fn whole_organizations_come_back(pool: PgPool) {
    let database = SqlxAdapter::from_pool(pool.clone());
    let ada = database.create_user(CreateUser::new()).await.unwrap();
    let plan = Metadata::from_iter([("plan".to_owned(), "pro".into())]);
    let create = CreateOrganization::new("Engines", "engines", &ada.id).with_metadata(plan);
    let store = database.organizations().unwrap();
    let (organization, _) = store.create_organization(create).await.unwrap();
    let found = organizations_by_plan(&pool, "pro").await.unwrap();
    assert_eq!(found, [organization]);
    assert_eq!(organizations_by_plan(&pool, "free").await.unwrap(), []);
}

#[sqlx::test(migrator = "better_auth::MIGRATOR")]
async fn own_tables_join_users(pool: PgPool) {
    app::MIGRATOR.run(&pool).await.unwrap();
    let database = SqlxAdapter::from_pool(pool.clone());
    database.migrate().await.unwrap();
    let create = CreateUser::new().with_email("ada@example.com");
    let user = database.create_user(create).await.unwrap();
    let id: i64 = sqlx::query_scalar(
        "INSERT INTO orders (user_id, total_cents) VALUES ($1, 4200) RETURNING id",
    )
    .bind(&user.id)
    .fetch_one(&pool)
    .await
    .unwrap();
    let expected = Order {
        id,
        total_cents: 4200,
        email: user.email,
        customer_since: user.created_at,
    };
    assert_eq!(orders_over(&pool, 4199).await.unwrap(), [expected]);
    assert_eq!(orders_over(&pool, 4200).await.unwrap(), []);
    app::MIGRATOR.run(&pool).await.unwrap();
}
