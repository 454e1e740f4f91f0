//! In memory without arguments; `consumer app|better-auth URL` names who migrates first.

use std::error::Error;

use better_auth::adapters::{DatabaseAdapter, MemoryDatabaseAdapter, SqlxAdapter};
use better_auth::types::CreateUser;
use sqlx::PgPool;

type Outcome = Result<(), Box<dyn Error>>;

#[tokio::main]
async fn main() -> Outcome {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    match arguments.iter().map(String::as_str).collect::<Vec<_>>()[..] {
        [] => sign_up(&MemoryDatabaseAdapter::new()).await,
        [first, url] => on_postgres(first, url).await,
        _ => Err("usage: consumer [app|better-auth URL]".into()),
    }
}

async fn sign_up(database: &dyn DatabaseAdapter) -> Outcome {
    let user = database
        .create_user(CreateUser::new().with_email("Ada@Example.com"))
        .await?;
    let found = database.get_user_by_email("ada@example.com").await?;
    assert_eq!(found.as_ref(), Some(&user));
    database.delete_user(&user.id).await?;
    println!("signed up {}", user.id);
    Ok(())
}

async fn on_postgres(first: &str, url: &str) -> Outcome {
    let pool = PgPool::connect(url).await?;
    let auth = SqlxAdapter::from_pool(pool.clone());
    for _ in 0..2 {
        match first {
            "app" => {
                sqlx::migrate!().run(&pool).await?;
                auth.migrate().await?;
            }
            "better-auth" => {
                auth.migrate().await?;
                sqlx::migrate!().run(&pool).await?;
            }
            _ => return Err(format!("nobody is called {first}").into()),
        }
    }
    let own: i64 = sqlx::query_scalar("SELECT count(*) FROM _sqlx_migrations")
        .fetch_one(&pool)
        .await?;
    assert_eq!(
        own, 2,
        "the application's books hold its own two migrations and no other"
    );
    auth.check_schema().await?;
    sign_up(&auth).await?;
    #[cfg(feature = "own-queries")]
    orders::place(&pool, "Ada").await?;
    pool.close().await;
    println!("{first} first, twice: both are migrated");
    Ok(())
}

#[cfg(feature = "own-queries")]
mod orders {
    use sqlx::PgPool;
    #[cfg(feature = "time")]
    type Time = sqlx::types::time::OffsetDateTime;
    #[cfg(not(feature = "time"))]
    type Time = sqlx::types::chrono::DateTime<sqlx::types::chrono::Utc>;

    pub async fn place(pool: &PgPool, customer: &str) -> sqlx::Result<()> {
        let order = sqlx::query!(
            "INSERT INTO orders (customer) VALUES ($1) RETURNING id, placed_at",
            customer
        )
        .fetch_one(pool)
        .await?;
        // better-auth's choice of a crate for times is not the application's.
        let placed_at: Time = order.placed_at;
        let newest = sqlx::query_scalar!(
            "SELECT max(id) FROM orders WHERE placed_at >= $1",
            placed_at
        )
        .fetch_one(pool)
        .await?;
        assert_eq!(newest, Some(order.id));
        Ok(())
    }
}
