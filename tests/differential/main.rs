//! The two adapters cannot be told apart: random sequences of operations get the same answers from both.
//!
//! `DIFFERENTIAL_CASES` sets how many sequences are tried, and `DIFFERENTIAL_SEED` (64 hexadecimal digits, as each run
//! shows them) which. A failure shows the seed that has its sequence as the first. It belongs into `seeds.txt`, whose
//! sequences are tried before all others.

mod steps;
mod subject;
#[path = "../support/mod.rs"]
mod support;

use better_auth::adapters::{MemoryDatabaseAdapter, SqlxAdapter};
use proptest::prop_assert_eq;
use proptest::test_runner::TestCaseError;
use sqlx::PgPool;
use steps::{Step, steps};
use subject::Subject;
use support::execute;
use support::seed::{Seed, announce};

async fn compare(
    database: &SqlxAdapter,
    pool: &PgPool,
    steps: &[Step],
) -> Result<(), TestCaseError> {
    execute(pool, "DELETE FROM users; DELETE FROM verifications").await;
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

/// The seeds of sequences that showed a difference once.
fn known_seeds() -> impl Iterator<Item = Seed> {
    let lines = include_str!("seeds.txt").lines();
    let seeds = lines.filter_map(|line| line.split('#').next());
    seeds
        .map(str::trim)
        .filter(|seed| !seed.is_empty())
        .map(Seed::parse)
}

#[sqlx::test(migrator = "better_auth::MIGRATOR")]
async fn the_adapters_cannot_be_told_apart(pool: PgPool) {
    const STEPS: usize = 50;
    let cases = std::env::var("DIFFERENTIAL_CASES").map_or(400, |cases| cases.parse().unwrap());
    let seed = Seed::of_environment("DIFFERENTIAL_SEED");
    announce(format_args!("DIFFERENTIAL_SEED={seed}"));
    let database = support::adapter(&pool).await;
    let runtime = tokio::runtime::Handle::current();
    let tried = tokio::task::spawn_blocking(move || {
        let operations = std::cell::Cell::new(0);
        for seed in known_seeds().chain((0..cases).map(|case| seed.nth(case))) {
            let outcome = seed.runner(1).run(&steps(STEPS), |steps| {
                operations.set(operations.get() + steps.len());
                runtime.block_on(compare(&database, &pool, &steps))
            });
            outcome.map_err(|error| format!("DIFFERENTIAL_SEED={seed}\n{error}"))?;
        }
        Ok::<_, String>(operations.get())
    });
    let operations = tried
        .await
        .unwrap()
        .unwrap_or_else(|difference| panic!("{difference}"));
    announce(format_args!(
        "{operations} operations compared, no difference"
    ));
}
