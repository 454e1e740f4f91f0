//! Instances of an application with session caches, on one database.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use better_auth::adapters::{DatabaseAdapter, SessionCache, SqlxAdapter};
use better_auth::types::{CreateSession, CreateUser, UpdateSession};
use sqlx::PgPool;

use crate::{Run, in_an_hour};

/// Each call goes to the next instance.
pub(crate) struct Instances {
    adapters: Vec<SqlxAdapter>,
    next: AtomicUsize,
}

impl Instances {
    pub(crate) async fn connect(url: &str) -> Self {
        let mut adapters = Vec::new();
        for _ in 0..3 {
            let builder = SqlxAdapter::builder(url)
                .session_cache(SessionCache::exact())
                .migrate(true);
            adapters.push(builder.connect().await.unwrap());
        }
        Self {
            adapters,
            next: AtomicUsize::new(0),
        }
    }

    fn next(&self) -> &dyn DatabaseAdapter {
        let next = self.next.fetch_add(1, Ordering::Relaxed);
        &self.adapters[next % self.adapters.len()]
    }

    /// How many answers came from memory.
    pub(crate) fn hits(&self) -> u64 {
        let stats = self.adapters.iter().map(SqlxAdapter::session_cache_stats);
        stats.map(|stats| stats.unwrap().hits).sum()
    }
}

better_auth::forward_database_adapter! {
    impl [] for Instances, |this| this.next(), |call| call().await
}

/// A writer counts a session up, through one instance after the other. Readers of every instance never see a number below
/// the last one that was acknowledged before their call, also while the connections that listen are ended.
pub(crate) async fn read_and_write(run: &Run, pool: &PgPool, instances: &Arc<Instances>) {
    let user = instances.create_user(CreateUser::new()).await.unwrap();
    let session = CreateSession::new(&user.id, in_an_hour()).with_user_agent("0");
    let session = instances.create_session(session).await.unwrap();
    let acknowledged = Arc::new(AtomicUsize::new(0));
    let readers: Vec<_> = (0..6)
        .map(|reader| {
            let (instances, acknowledged) = (Arc::clone(instances), Arc::clone(&acknowledged));
            let (token, end) = (session.token.clone(), run.end);
            tokio::spawn(async move {
                let database = &instances.adapters[reader % instances.adapters.len()];
                while std::time::Instant::now() < end {
                    let before = acknowledged.load(Ordering::SeqCst);
                    let found = database.get_session(&token).await.unwrap().unwrap();
                    let found: usize = found.user_agent.unwrap().parse().unwrap();
                    assert!(found >= before, "{found} after {before}");
                }
            })
        })
        .collect();
    let watched = run.watch.task("writer");
    let mut number = 0;
    while run.goes_on() {
        number += 1;
        watched.does(format!("write {number}"));
        let update = UpdateSession {
            user_agent: Some(Some(number.to_string())),
            ..UpdateSession::default()
        };
        instances
            .update_session(&session.token, update)
            .await
            .unwrap();
        acknowledged.store(number, Ordering::SeqCst);
        if number % 100 == 0 {
            let end = "SELECT pg_terminate_backend(pid) FROM pg_stat_activity \
                WHERE datname = current_database() AND query LIKE $1";
            let ended = sqlx::query(end).bind("%pg_is_in_recovery%");
            ended.execute(pool).await.unwrap();
        }
        tokio::time::sleep(Duration::from_millis(1)).await;
    }
    for reader in readers {
        reader.await.unwrap();
    }
}
