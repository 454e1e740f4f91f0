//! Values of verifications that are stored as digests: who reads the table finds no code there, and keys can be changed.

use std::sync::Arc;

use better_auth::adapters::{
    DatabaseAdapter, PoolConfig, SqlxAdapter, SqlxAdapterBuilder, VerificationKeys,
};
use better_auth::types::CreateVerification;
use better_auth::{AuthError, AuthResult};
use chrono::{TimeDelta, Utc};
use promises::{Adapter, keys};
use sqlx::PgPool;

use crate::support::url;

#[path = "../support/keys.rs"]
mod promises;

fn builder(pool: &PgPool) -> SqlxAdapterBuilder {
    SqlxAdapter::builder(&url(pool)).pool_config(PoolConfig {
        max_connections: 3,
        ..PoolConfig::default()
    })
}

/// An instance with these keys.
async fn on(pool: &PgPool, numbers: &[u8]) -> Adapter {
    let builder = match keys(numbers) {
        Some(keys) => builder(pool).verification_keys(keys),
        None => builder(pool),
    };
    Arc::new(builder.connect().await.unwrap())
}

macro_rules! kept_on_postgresql {
    ($($promise:ident)*) => {
        $(
            #[sqlx::test(migrator = "crate::support::MIGRATED")]
            async fn $promise(pool: PgPool) {
                promises::$promise(async |numbers: &[u8]| on(&pool, numbers).await).await;
            }
        )*
    };
}
kept_on_postgresql! {
    keys_change_while_traffic_runs
    a_forgotten_key_finds_nothing
    rows_of_all_keys_are_one_pair
    without_keys_nothing_is_hashed
    no_digest_is_a_value
    transactions_have_the_keys
}

fn code(value: &str) -> CreateVerification {
    CreateVerification::new("ada@example.com", value, Utc::now() + TimeDelta::hours(1))
}

/// What whoever reads the table or a backup sees, in the order in which it was created.
async fn leaked(pool: &PgPool) -> Vec<String> {
    let values = sqlx::query_scalar("SELECT value FROM verifications ORDER BY created_at, id");
    values.fetch_all(pool).await.unwrap()
}

#[sqlx::test(migrator = "crate::support::MIGRATED")]
async fn a_leaked_table_shows_no_code(pool: PgPool) {
    let one = on(&pool, &[1, 2]).await;
    let other = on(&pool, &[2]).await;
    for (adapter, value) in [
        (&one, "493027"),
        (&one, "493027"),
        (&one, "2"),
        (&other, "2"),
    ] {
        adapter
            .create_verification(code(value).hashed())
            .await
            .unwrap();
    }
    one.create_verification(code("data of a flow"))
        .await
        .unwrap();
    let [first, same, different, by_another, plain] = leaked(&pool).await.try_into().unwrap();
    assert_eq!(plain, "data of a flow");
    assert_eq!(first, same);
    let parts = |stored: &str| -> [String; 3] {
        let parts: Vec<_> = stored.split(':').map(str::to_owned).collect();
        parts.try_into().unwrap()
    };
    let [kind, number, digest] = parts(&first);
    assert_eq!(
        (kind.as_str(), number.len(), digest.len()),
        ("hmac-sha256", 8, 64)
    );
    let [_, same_number, different_digest] = parts(&different);
    assert_eq!(same_number, number);
    assert_ne!(different_digest, digest);
    let [_, number_of_another, digest_of_another] = parts(&by_another);
    assert_ne!(number_of_another, number);
    assert_ne!(digest_of_another, different_digest);
    // Not what a guess of all codes without the key finds.
    let unkeyed = "SELECT encode(sha256('493027'), 'hex')";
    let unkeyed: String = sqlx::query_scalar(unkeyed).fetch_one(&pool).await.unwrap();
    assert_ne!(unkeyed, digest);
}

#[sqlx::test(migrator = "crate::support::MIGRATED")]
async fn short_keys_are_refused(pool: PgPool) {
    let (long, short) = ([1; 32], [2; 31]);
    for keys in [
        VerificationKeys::new(short),
        VerificationKeys::new(long).with_previous(short),
    ] {
        let answers: [AuthResult<SqlxAdapter>; 2] = [
            builder(&pool)
                .verification_keys(keys.clone())
                .connect()
                .await,
            SqlxAdapterBuilder::from_pool(pool.clone())
                .verification_keys(keys)
                .connect()
                .await,
        ];
        for answer in answers {
            assert!(
                matches!(
                    answer,
                    Err(AuthError::Validation {
                        field: "verification_keys",
                        ..
                    })
                ),
                "{answer:?}"
            );
        }
    }
}

/// A transaction of the application's that the adapter joins.
#[sqlx::test(migrator = "crate::support::MIGRATED")]
async fn a_joined_transaction_has_the_keys(pool: PgPool) {
    let database = builder(&pool).verification_keys(VerificationKeys::new([1; 32]));
    let database = database.connect().await.unwrap();
    let joined = database.join(pool.begin().await.unwrap());
    let row = joined
        .create_verification(code("493027").hashed())
        .await
        .unwrap();
    let found = joined.get_verification_by_value("493027").await.unwrap();
    assert_eq!(found.as_ref(), Some(&row));
    joined.commit().await.unwrap();
    let found = database.get_verification_by_value("493027").await.unwrap();
    assert_eq!(found, Some(row));
    assert!(leaked(&pool).await[0].starts_with("hmac-sha256:"));
}
