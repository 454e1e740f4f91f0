//! Many callers at once want the same thing, on both adapters: as many get it as there is of it.

#[cfg(feature = "sqlx-postgres")]
mod support;

use std::collections::HashMap;
use std::sync::Arc;

use better_auth::adapters::{DatabaseAdapter, MemoryDatabaseAdapter};
use better_auth::{AuthResult, CreateVerification, transaction};
use chrono::{TimeDelta, Utc};

const TOKENS: usize = 100;
const ATTEMPTS: usize = 10_000;

async fn issue_tokens(database: &dyn DatabaseAdapter) {
    for token in 0..TOKENS {
        let expires_at = Utc::now() + TimeDelta::hours(1);
        let token = CreateVerification::new("reset", token.to_string(), expires_at);
        database.create_verification(token).await.unwrap();
    }
}

/// How often each token was consumed, every second attempt being made in a transaction.
async fn consume_all_at_once(database: Arc<dyn DatabaseAdapter>) -> HashMap<String, usize> {
    let attempts: Vec<_> = (0..ATTEMPTS)
        .map(|attempt| {
            let database = Arc::clone(&database);
            tokio::spawn(async move {
                let token = &(attempt % TOKENS).to_string();
                if (attempt / TOKENS).is_multiple_of(2) {
                    return database.consume_verification("reset", token).await;
                }
                transaction(&database, |tx| async move {
                    tx.consume_verification("reset", token).await
                })
                .await
            })
        })
        .collect();
    let mut winners = HashMap::new();
    for attempt in attempts {
        let answer: AuthResult<_> = attempt.await.unwrap();
        if let Some(verification) = answer.unwrap() {
            *winners.entry(verification.value).or_default() += 1;
        }
    }
    winners
}

fn assert_each_once(adapter: &str, winners: &HashMap<String, usize>) {
    let total: usize = winners.values().sum();
    println!("{adapter}: {ATTEMPTS} attempts on {TOKENS} tokens, {total} winners");
    assert_eq!((winners.len(), total), (TOKENS, TOKENS));
}

#[tokio::test(flavor = "multi_thread")]
async fn each_token_is_consumed_once_in_memory() {
    let database: Arc<dyn DatabaseAdapter> = Arc::new(MemoryDatabaseAdapter::new());
    issue_tokens(&database).await;
    assert_each_once("memory", &consume_all_at_once(database).await);
}

#[cfg(feature = "sqlx-postgres")]
#[sqlx::test(migrator = "better_auth::MIGRATOR")]
async fn each_token_is_consumed_once_on_postgresql(pool: sqlx::PgPool) {
    use better_auth::adapters::{PoolConfig, SqlxAdapter};

    let config = PoolConfig {
        max_connections: 16,
        acquire_timeout: std::time::Duration::from_secs(120),
        ..PoolConfig::default()
    };
    let database = SqlxAdapter::with_config(&support::url(&pool), config)
        .await
        .unwrap();
    let database: Arc<dyn DatabaseAdapter> = Arc::new(database);
    issue_tokens(&database).await;
    assert_each_once("PostgreSQL", &consume_all_at_once(database).await);
}
