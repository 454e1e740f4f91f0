//! Many callers at once, whose futures are dropped at any point, on both adapters.
//!
//! `CONCURRENCY_SECONDS` sets how long each test goes on, and `CONCURRENCY_SEED` what it tries, though never in which
//! order threads run; each test prints its seed.

#[cfg(feature = "sqlx-postgres")]
mod connections;
mod counter_histories;
mod credential_histories;
mod credential_meetings;
mod credential_storms;
mod histories;
#[cfg(feature = "sqlx-postgres")]
mod instances;
mod ledger;
mod linearizability;
mod meetings;
mod one_winner;
mod organization_histories;
mod organization_meetings;
mod random;
mod storm;
#[cfg(feature = "sqlx-postgres")]
#[path = "../support/mod.rs"]
mod support;
mod watch;
mod whole_commits;

use std::sync::Arc;
use std::time::{Duration, Instant};

use better_auth::adapters::{DatabaseAdapter, MemoryDatabaseAdapter};
use chrono::{DateTime, TimeDelta, Utc};

use random::Random;
use watch::Watch;

/// No task waits for so long, on the slowest machine.
const PATIENCE: Duration = Duration::from_secs(30);

/// What a case runs on.
struct Run {
    database: Arc<dyn DatabaseAdapter>,
    #[cfg(feature = "sqlx-postgres")]
    postgres: Option<connections::UnderTest>,
    watch: Arc<Watch>,
    random: Random,
    end: Instant,
}

impl Run {
    fn new(database: Arc<dyn DatabaseAdapter>, watch: Arc<Watch>) -> Self {
        let seconds = std::env::var("CONCURRENCY_SECONDS").map_or(5, |text| text.parse().unwrap());
        Self {
            database,
            #[cfg(feature = "sqlx-postgres")]
            postgres: None,
            watch,
            random: Random::seeded(),
            end: Instant::now() + Duration::from_secs(seconds),
        }
    }

    fn goes_on(&self) -> bool {
        Instant::now() < self.end
    }

    /// Shares the time out between so many parts, and tells each when it ends.
    async fn in_parts(&mut self, parts: u32, part: impl AsyncFn(&mut Self, u32, Instant)) {
        let share = self.end.saturating_duration_since(Instant::now()) / parts;
        for number in 0..parts {
            let end = Instant::now() + share;
            part(self, number, end).await;
        }
    }

    /// So many instances of the application on the same database.
    #[cfg_attr(
        not(feature = "sqlx-postgres"),
        allow(clippy::unused_async, reason = "nothing to connect to")
    )]
    async fn instances(&self, count: usize) -> Vec<Arc<dyn DatabaseAdapter>> {
        #[cfg(feature = "sqlx-postgres")]
        if let Some(postgres) = &self.postgres {
            let mut instances: Vec<Arc<dyn DatabaseAdapter>> = Vec::new();
            for _ in 0..count {
                instances.push(Arc::new(postgres.another().await));
            }
            return instances;
        }
        vec![Arc::clone(&self.database); count]
    }

    /// Waits until what was dropped has come to an end everywhere, and checks that nothing is left of it.
    #[cfg_attr(
        not(feature = "sqlx-postgres"),
        allow(
            clippy::unused_async,
            clippy::unused_self,
            reason = "nothing to wait for"
        )
    )]
    async fn settle(&self) {
        #[cfg(feature = "sqlx-postgres")]
        if let Some(postgres) = &self.postgres {
            connections::settle(postgres).await;
        }
    }
}

fn in_an_hour() -> DateTime<Utc> {
    Utc::now() + TimeDelta::hours(1)
}

fn in_memory<F: Future<Output = ()> + 'static>(case: fn(Run) -> F) {
    let run = move |watch| case(Run::new(Arc::new(MemoryDatabaseAdapter::new()), watch));
    watch::run(PATIENCE, run).unwrap();
}

#[cfg(feature = "sqlx-postgres")]
async fn on_postgresql<F: Future<Output = ()> + 'static>(pool: sqlx::PgPool, case: fn(Run) -> F) {
    // Looked for after a second, deadlocks would be all that happens.
    let name = pool.connect_options().get_database().unwrap().to_owned();
    let eager = format!("ALTER DATABASE \"{name}\" SET deadlock_timeout = '20ms'");
    support::execute(&pool, &eager).await;
    let url = support::url(&pool);
    let run = async move |watch| {
        let postgres = connections::connect(&url).await;
        let run = Run::new(Arc::new(postgres.database.clone()), watch);
        case(Run {
            postgres: Some(postgres),
            ..run
        })
        .await;
    };
    let watched = tokio::task::spawn_blocking(move || watch::run(PATIENCE, run));
    watched.await.unwrap().unwrap();
}

/// A test in memory and one on PostgreSQL for each case.
macro_rules! on_both_adapters {
    ($($case:path: $in_memory:ident, $on_postgresql:ident;)*) => {
        $(
            #[test]
            fn $in_memory() {
                in_memory($case);
            }

            #[cfg(feature = "sqlx-postgres")]
            #[sqlx::test(migrator = "crate::support::MIGRATED")]
            async fn $on_postgresql(pool: sqlx::PgPool) {
                on_postgresql(pool, $case).await;
            }
        )*
    };
}

on_both_adapters! {
    storm::nobody_sees_what_may_not_be: nobody_sees_what_may_not_be_in_memory, nobody_sees_what_may_not_be_on_postgresql;
    whole_commits::commits_are_seen_whole: commits_are_seen_whole_in_memory, commits_are_seen_whole_on_postgresql;
    one_winner::each_race_has_one_winner: each_race_has_one_winner_in_memory, each_race_has_one_winner_on_postgresql;
    meetings::transactions_that_meet_have_one_winner: transactions_that_meet_have_one_winner_in_memory, transactions_that_meet_have_one_winner_on_postgresql;
    one_winner::each_token_is_consumed_once: each_token_is_consumed_once_in_memory, each_token_is_consumed_once_on_postgresql;
    histories::users_and_emails_are_linearizable: users_and_emails_are_linearizable_in_memory, users_and_emails_are_linearizable_on_postgresql;
    histories::sessions_are_linearizable: sessions_are_linearizable_in_memory, sessions_are_linearizable_on_postgresql;
    histories::one_time_tokens_are_linearizable: one_time_tokens_are_linearizable_in_memory, one_time_tokens_are_linearizable_on_postgresql;
    organization_histories::members_are_linearizable: members_are_linearizable_in_memory, members_are_linearizable_on_postgresql;
    organization_histories::invitations_are_linearizable: invitations_are_linearizable_in_memory, invitations_are_linearizable_on_postgresql;
    credential_histories::credentials_are_linearizable: credentials_are_linearizable_in_memory, credentials_are_linearizable_on_postgresql;
    credential_meetings::credentials_that_meet_work_once: credentials_that_meet_work_once_in_memory, credentials_that_meet_work_once_on_postgresql;
    credential_storms::storms_pass_no_count: storms_pass_no_count_in_memory, storms_pass_no_count_on_postgresql;
    organization_meetings::organizations_keep_their_limits_and_guards: organizations_keep_their_limits_and_guards_in_memory, organizations_keep_their_limits_and_guards_on_postgresql;
}

/// Three instances see each other's writes as if there was one of them, and no cache.
#[cfg(feature = "sqlx-postgres")]
#[sqlx::test(migrator = "crate::support::MIGRATED")]
async fn sessions_are_linearizable_over_several_caches(pool: sqlx::PgPool) {
    on_instances(pool, async |run, _, instances| {
        let database: Arc<dyn DatabaseAdapter> = instances;
        histories::sessions_are_linearizable(Run { database, ..run }).await;
    })
    .await;
}

#[cfg(feature = "sqlx-postgres")]
#[sqlx::test(migrator = "crate::support::MIGRATED")]
async fn no_cache_answers_what_was_overwritten(pool: sqlx::PgPool) {
    on_instances(pool, async |run, pool, instances| {
        instances::read_and_write(&run, &pool, &instances).await;
        assert!(instances.hits() > 1000, "{} hits", instances.hits());
    })
    .await;
}

#[cfg(feature = "sqlx-postgres")]
async fn on_instances(
    pool: sqlx::PgPool,
    case: impl AsyncFnOnce(Run, sqlx::PgPool, Arc<instances::Instances>) + Send + 'static,
) {
    let url = support::url(&pool);
    let run = async move |watch| {
        let instances = Arc::new(instances::Instances::connect(&url).await);
        let observer = sqlx::PgPool::connect(&url).await.unwrap();
        let run = Run::new(instances.clone(), watch);
        case(run, observer, instances).await;
    };
    let watched = tokio::task::spawn_blocking(move || watch::run(PATIENCE, run));
    watched.await.unwrap().unwrap();
}
