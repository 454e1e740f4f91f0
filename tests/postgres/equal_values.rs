//! Many verifications with one value, as short codes have.

use better_auth::CreateVerification;
use better_auth::adapters::{DatabaseAdapter, PoolConfig, SqlxAdapter};
use chrono::{TimeDelta, Utc};
use sqlx::PgPool;
use tokio::task::JoinSet;

use crate::support::url;

const CALLERS: usize = 8;
const CODES: usize = 400;

/// A hash index may miss a row while its bucket is split.
#[sqlx::test(migrator = "crate::support::MIGRATED")]
async fn codes_are_found_while_others_with_their_value_are_issued(pool: PgPool) {
    let database = SqlxAdapter::builder(&url(&pool))
        .pool_config(PoolConfig {
            max_connections: 8,
            ..PoolConfig::default()
        })
        .connect()
        .await
        .unwrap();
    let mut callers = JoinSet::new();
    for caller in 0..CALLERS {
        let database = database.clone();
        callers.spawn(async move {
            let mut lost = Vec::new();
            for code in 0..CODES {
                let identifier = format!("{caller} {code}");
                let expires_at = Utc::now() + TimeDelta::hours(1);
                let verification = CreateVerification::new(&identifier, "123456", expires_at);
                database.create_verification(verification).await.unwrap();
                let found = database.get_verification(&identifier, "123456").await;
                if found.unwrap().is_none() {
                    lost.push(identifier);
                }
            }
            lost
        });
    }
    let lost = callers.join_all().await.concat();
    assert_eq!(lost, [""; 0]);
    database.close().await;
}
