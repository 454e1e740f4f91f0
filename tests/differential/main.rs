//! The two adapters cannot be told apart: random sequences of operations get the same answers from both, inside up to
//! three transactions that are open at once and outside them.
//!
//! PostgreSQL makes an operation wait for the rows that another transaction has changed; the memory adapter does not. A
//! short `lock_timeout` ends such a wait. The operation is then left out on both sides, and its transaction undone.
//!
//! Every second sequence runs on an adapter with a session cache, which is asked for every session after each step.
//!
//! `DIFFERENTIAL_OPERATIONS` sets how many operations are compared at least, and `DIFFERENTIAL_SEED` (64 hexadecimal
//! digits, as each run shows them) which. A failure shows the seed that has its sequence as the first. It belongs into `seeds.txt`, whose
//! sequences are tried before all others.

#[path = "../support/calls.rs"]
mod calls;
mod credentials;
mod inputs;
mod organizations;
mod steps;
mod subject;
#[path = "../support/mod.rs"]
mod support;
mod values;

use std::collections::BTreeSet;
use std::time::Duration;

use better_auth::adapters::{MemoryDatabaseAdapter, SessionCache, SqlxAdapter, SqlxAdapterBuilder};
use calls::{Call, CredentialCall, OrganizationCall};
use proptest::prop_assert_eq;
use proptest::strategy::{Strategy as _, ValueTree as _};
use proptest::test_runner::TestCaseError;
use sqlx::PgPool;
use sqlx::postgres::PgPoolOptions;
use steps::{Place, Step, TRANSACTIONS, steps};
use subject::{Subject, aborted, waited};
use support::execute;
use support::seed::{Seed, announce};

/// What was compared.
#[derive(Default)]
struct Tally {
    operations: usize,
    /// Of these, how many ran while so many transactions were open.
    open: [usize; TRANSACTIONS + 1],
    /// Operations that PostgreSQL made wait, left out on both sides.
    waited: usize,
}

async fn compare(
    database: &SqlxAdapter,
    pool: &PgPool,
    steps: &[(Place, Step)],
    is_cached: bool,
    tally: &mut Tally,
) -> Result<(), TestCaseError> {
    execute(
        pool,
        "DELETE FROM organization; DELETE FROM users; DELETE FROM verifications; DELETE FROM rate_limit; DELETE FROM jwks; \
         DELETE FROM device_code",
    )
    .await;
    let mut memory = Subject::new(MemoryDatabaseAdapter::new());
    let mut postgres = Subject::new(database.clone());
    for (number, (place, step)) in steps.iter().enumerate() {
        let others = postgres.open() - usize::from(postgres.is_open(*place));
        if others > 0 && step.skips_locked_rows() {
            continue;
        }
        let right = postgres.take(*place, step).await;
        if right == waited() {
            tally.waited += 1;
            memory.undo(*place).await;
            postgres.undo(*place).await;
            continue;
        }
        let left = memory.take(*place, step).await;
        prop_assert_eq!(
            &left,
            &right,
            "memory and PostgreSQL differ at step {}, {:?}: {:?}",
            number,
            place,
            step
        );
        tally.operations += 1;
        tally.open[postgres.open()] += 1;
        if is_cached {
            let (left, right) = (memory.sessions().await, postgres.sessions().await);
            prop_assert_eq!(
                left,
                right,
                "after step {}, {:?}: {:?}",
                number,
                place,
                step
            );
        }
        if right == aborted() {
            // It would only repeat itself: another transaction takes its place.
            memory.undo(*place).await;
            postgres.undo(*place).await;
            memory.take(*place, &Step::Begin).await;
            postgres.take(*place, &Step::Begin).await;
        }
        if matches!(step, Step::DropTransaction) {
            transactions_end(pool, postgres.open()).await;
        }
    }
    for number in 0..TRANSACTIONS {
        memory.undo(Place::Inside(number)).await;
        postgres.undo(Place::Inside(number)).await;
    }
    prop_assert_eq!(
        memory.everything().await,
        postgres.everything().await,
        "at the end"
    );
    Ok(())
}

/// Waits until only so many transactions are open on the server: what was dropped is rolled back in the background.
async fn transactions_end(pool: &PgPool, open: usize) {
    let count = "SELECT count(*) FROM pg_stat_activity \
                 WHERE datname = current_database() AND pid <> pg_backend_pid() AND xact_start IS NOT NULL \
                 AND backend_type = 'client backend'";
    let open = i64::try_from(open).unwrap();
    for _ in 0..10_000 {
        let still: i64 = sqlx::query_scalar(count).fetch_one(pool).await.unwrap();
        if still <= open {
            return;
        }
        tokio::time::sleep(Duration::from_millis(2)).await;
    }
    panic!("a dropped transaction is still open");
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

#[sqlx::test(migrator = "crate::support::MIGRATED")]
async fn the_adapters_cannot_be_told_apart(pool: PgPool) {
    const STEPS: usize = 50;
    let wanted = std::env::var("DIFFERENTIAL_OPERATIONS").map_or(20_000, |n| n.parse().unwrap());
    let seed = Seed::of_environment("DIFFERENTIAL_SEED");
    announce(format_args!("DIFFERENTIAL_SEED={seed}"));
    let options = pool.connect_options().as_ref().clone();
    let impatient = PgPoolOptions::new()
        .max_connections(5)
        .connect_with(options.options([("lock_timeout", "20ms")]))
        .await
        .unwrap();
    let plain = SqlxAdapter::from_pool(impatient.clone());
    let cached = SqlxAdapterBuilder::from_pool(impatient)
        .session_cache(SessionCache::exact())
        .migrate(true);
    let cached = cached.connect().await.unwrap();
    let databases = [plain, cached.clone()];
    let runtime = tokio::runtime::Handle::current();
    let tried = tokio::task::spawn_blocking(move || {
        let tally = std::cell::RefCell::new(Tally::default());
        for seed in known_seeds().chain((0..).map(|case| seed.nth(case))) {
            if tally.borrow().operations >= wanted {
                break;
            }
            let is_cached = seed.is_odd();
            let database = &databases[usize::from(is_cached)];
            let outcome = seed.runner(1).run(&steps(STEPS), |steps| {
                runtime.block_on(compare(
                    database,
                    &pool,
                    &steps,
                    is_cached,
                    &mut tally.borrow_mut(),
                ))
            });
            outcome.map_err(|error| format!("DIFFERENTIAL_SEED={seed}\n{error}"))?;
        }
        Ok::<_, String>(tally.into_inner())
    });
    let Tally {
        operations,
        open,
        waited,
    } = tried
        .await
        .unwrap()
        .unwrap_or_else(|difference| panic!("{difference}"));
    let hits = cached.session_cache_stats().unwrap().hits;
    assert!(hits > 0, "the session cache answered nothing");
    announce(format_args!(
        "{operations} operations compared, no difference; by transactions open: {open:?}; {waited} that would have \
         waited were left out; {hits} answers came from the session cache"
    ));
}

/// Steps are written by hand: this names the methods that none calls.
#[test]
fn every_method_is_compared() {
    // The step that begins a transaction keeps it.
    let mut missing = BTreeSet::from_iter(Call::METHODS);
    missing.remove(&"begin");
    missing.extend(OrganizationCall::METHODS);
    missing.extend(CredentialCall::METHODS);
    let mut runner = Seed::parse(&"0".repeat(64)).runner(1);
    for _ in 0..200 {
        let sequence = steps(50).new_tree(&mut runner).unwrap().current();
        for (_, step) in sequence {
            match step {
                Step::Call(call, _) => missing.remove(&call.method()),
                Step::Organization(call, _) => missing.remove(&call.method()),
                Step::Credential(call, _) => missing.remove(&call.method()),
                _ => continue,
            };
        }
    }
    assert!(missing.is_empty(), "no step calls {missing:?}");
}
