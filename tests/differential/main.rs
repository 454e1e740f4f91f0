//! The two adapters cannot be told apart: random sequences of operations get the same answers from both.
//!
//! `DIFFERENTIAL_CASES` sets how many sequences are tried, and `DIFFERENTIAL_SEED` (64 hexadecimal digits, as a failure
//! prints them) which.

mod steps;
mod subject;
#[path = "../support/mod.rs"]
mod support;

use better_auth::adapters::{MemoryDatabaseAdapter, SqlxAdapter};
use proptest::prelude::*;
use proptest::test_runner::{Config, RngAlgorithm, TestRng, TestRunner};
use sqlx::PgPool;
use steps::{Step, steps};
use subject::Subject;
use support::execute;

async fn compare(
    database: &SqlxAdapter,
    pool: &PgPool,
    steps: &[Step],
) -> Result<(), TestCaseError> {
    execute(pool, "TRUNCATE users, sessions, accounts, verifications").await;
    let mut memory = Subject::new(MemoryDatabaseAdapter::new());
    let mut postgres = Subject::new(database.clone());
    for (number, step) in steps.iter().enumerate() {
        let (left, right) = (memory.take(step).await, postgres.take(step).await);
        prop_assert_eq!(
            left,
            right,
            "memory and PostgreSQL differ at step {}: {:?}",
            number,
            step
        );
    }
    memory.transaction = None;
    if let Some(transaction) = postgres.transaction.take() {
        transaction.rollback().await.unwrap();
    }
    prop_assert_eq!(
        memory.everything().await,
        postgres.everything().await,
        "at the end"
    );
    Ok(())
}

/// The seed that the environment names, or a fresh one.
fn seed() -> [u8; 32] {
    let mut seed = [0; 32];
    if let Ok(hex) = std::env::var("DIFFERENTIAL_SEED") {
        for (byte, digits) in seed.iter_mut().zip(hex.as_bytes().chunks(2)) {
            *byte = u8::from_str_radix(std::str::from_utf8(digits).unwrap(), 16).unwrap();
        }
    } else {
        seed[..16].copy_from_slice(&fresh_bytes());
        seed[16..].copy_from_slice(&fresh_bytes());
    }
    seed
}

/// Of a hasher that the standard library seeds anew for each.
fn fresh_bytes() -> [u8; 16] {
    use std::hash::{BuildHasher as _, RandomState};

    let words = [
        RandomState::new().hash_one(0),
        RandomState::new().hash_one(1),
    ];
    let [left, right] = words.map(u64::to_le_bytes);
    let mut bytes = [0; 16];
    bytes[..8].copy_from_slice(&left);
    bytes[8..].copy_from_slice(&right);
    bytes
}

#[sqlx::test(migrator = "better_auth::MIGRATOR")]
async fn the_adapters_cannot_be_told_apart(pool: PgPool) {
    const STEPS: usize = 50;
    let cases = std::env::var("DIFFERENTIAL_CASES").map_or(400, |cases| cases.parse().unwrap());
    let seed = seed();
    let shown = seed
        .iter()
        .fold(String::new(), |shown, byte| shown + &format!("{byte:02x}"));
    let database = support::adapter(&pool).await;
    let runtime = tokio::runtime::Handle::current();
    let tried = tokio::task::spawn_blocking(move || {
        let config = Config {
            cases,
            failure_persistence: None,
            max_shrink_iters: 1000,
            ..Config::default()
        };
        let rng = TestRng::from_seed(RngAlgorithm::ChaCha, &seed);
        let mut runner = TestRunner::new_with_rng(config, rng);
        let counted = std::cell::Cell::new(0);
        let outcome = runner.run(&steps(STEPS), |steps| {
            counted.set(counted.get() + steps.len());
            runtime.block_on(compare(&database, &pool, &steps))
        });
        outcome
            .map(|()| counted.get())
            .map_err(|error| error.to_string())
    });
    match tried.await.unwrap() {
        Ok(operations) => println!("seed {shown}: {operations} operations compared, no difference"),
        Err(error) => panic!("DIFFERENTIAL_SEED={shown}\n{error}"),
    }
}
