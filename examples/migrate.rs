//! Migrates the database of `DATABASE_URL`: `cargo run --example migrate --features sqlx-postgres`.

use better_auth::adapters::SqlxAdapter;

#[tokio::main]
async fn main() -> Result<(), Box<dyn std::error::Error>> {
    let database = SqlxAdapter::new(&std::env::var("DATABASE_URL")?).await?;
    database.migrate().await?;
    println!("{database:?} is migrated");
    Ok(())
}
