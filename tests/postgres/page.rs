//! The snippets about PostgreSQL on the page that users follow.

use better_auth::AuthResult;
use better_auth::adapters::{PoolConfig, SqlxAdapter};

#[tokio::test]
async fn the_adapter_takes_a_url() {
    async fn connect(url: &str) -> AuthResult<()> {
        let database = SqlxAdapter::new(url).await?;
        database.ping().await
    }
    connect(&std::env::var("DATABASE_URL").expect("run `just db-up`, then `just test`"))
        .await
        .unwrap();
}

#[tokio::test]
async fn the_pool_takes_five_options_with_these_defaults() {
    let config = PoolConfig {
        max_connections: 10,
        min_connections: 0,
        acquire_timeout: std::time::Duration::from_secs(30),
        idle_timeout: Some(std::time::Duration::from_secs(600)),
        max_lifetime: Some(std::time::Duration::from_secs(1800)),
    };
    assert_eq!(config, PoolConfig::default());
    let url = std::env::var("DATABASE_URL").expect("run `just db-up`, then `just test`");
    SqlxAdapter::with_config(&url, config).await.unwrap();
}
