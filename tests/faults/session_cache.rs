//! The session cache while its listening connection, the server or the network before it fails: no answer is stale, and
//! the cache is in use again afterwards.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::{Duration, Instant};

use better_auth::adapters::{
    DatabaseAdapter, PoolConfig, SessionCache, SessionCacheStats, SqlxAdapter,
};
use better_auth::{AuthError, CreateSession, CreateUser, Session};
use chrono::{TimeDelta, Utc};
use tokio::task::JoinSet;

use super::application::{ANSWER_TIMEOUT, Application, MAX_CONNECTIONS, address, until};
use super::support::proxy::{Direction, Proxy};
use super::support::server::{Server, Stop};

const CALLERS: usize = 8;
const BOUND: Duration = Duration::from_millis(400);
const LISTENING: &str = "SELECT pid FROM pg_stat_activity WHERE usename = 'app' AND query LIKE '%pg_is_in_recovery%' LIMIT 1";

/// Callers of two instances with a cache, who sign users out by one and ask the other.
struct Callers {
    instances: [SqlxAdapter; 2],
    ends: Arc<AtomicBool>,
    revoked: Arc<AtomicU64>,
    tasks: JoinSet<()>,
}

impl Callers {
    async fn start(url: &str, cache: SessionCache, staleness: Duration) -> Self {
        let instances = [instance(url, &cache).await, instance(url, &cache).await];
        let ends = Arc::new(AtomicBool::new(false));
        let revoked = Arc::new(AtomicU64::new(0));
        let mut tasks = JoinSet::new();
        for caller in 0..CALLERS {
            let here = instances[caller % 2].clone();
            let there = instances[(caller + caller / 2) % 2].clone();
            let (ends, revoked) = (Arc::clone(&ends), Arc::clone(&revoked));
            tasks.spawn(async move {
                while !ends.load(Ordering::Relaxed) {
                    if revoke(&here, &there, staleness).await.is_some() {
                        revoked.fetch_add(1, Ordering::Relaxed);
                    }
                }
            });
        }
        Self {
            instances,
            ends,
            revoked,
            tasks,
        }
    }

    async fn revocations(&self, count: u64) {
        let before = self.revoked.load(Ordering::Relaxed);
        until("sessions are revoked", async || {
            self.revoked.load(Ordering::Relaxed) >= before + count
        })
        .await;
    }

    fn stats(&self) -> [SessionCacheStats; 2] {
        self.instances
            .each_ref()
            .map(|instance| instance.session_cache_stats().unwrap())
    }

    /// Both caches answer again.
    async fn check(mut self) {
        let hits = self.stats().map(|stats| stats.hits);
        until("both caches answer", async || {
            let now = self.stats().map(|stats| stats.hits);
            now[0] > hits[0] + 50 && now[1] > hits[1] + 50
        })
        .await;
        self.ends.store(true, Ordering::Relaxed);
        while let Some(task) = self.tasks.join_next().await {
            task.unwrap();
        }
        println!(
            "{} revocations, {:?}",
            self.revoked.load(Ordering::Relaxed),
            self.stats()
        );
    }
}

async fn instance(url: &str, cache: &SessionCache) -> SqlxAdapter {
    let config = PoolConfig {
        max_connections: MAX_CONNECTIONS,
        acquire_timeout: Duration::from_secs(2),
        ..PoolConfig::default()
    };
    SqlxAdapter::builder(url)
        .pool_config(config)
        .answer_timeout(ANSWER_TIMEOUT)
        .session_cache(cache.clone())
        .migrate(true)
        .connect()
        .await
        .unwrap()
}

/// A session that one instance has cached, and the other one ends. `None` if something failed on the way.
async fn revoke(here: &SqlxAdapter, there: &SqlxAdapter, staleness: Duration) -> Option<()> {
    let user = here.create_user(CreateUser::new()).await.ok()?;
    let tomorrow = Utc::now() + TimeDelta::days(1);
    let session = here
        .create_session(CreateSession::new(&user.id, tomorrow))
        .await
        .ok()?;
    for _ in 0..20 {
        let found = there.get_session_with_user(&session.token).await.ok()?;
        assert!(found.is_some(), "a session that exists is not found");
    }
    end(here, &session).await.ok()?;
    let ended = Instant::now();
    loop {
        let asked = ended.elapsed();
        let found = there.get_session_with_user(&session.token).await;
        match found {
            Ok(None) => return Some(()),
            Ok(Some(_)) => assert!(
                asked <= staleness,
                "a session is valid {asked:?} after its end"
            ),
            Err(_) if ended.elapsed() > ANSWER_TIMEOUT => return None,
            Err(_) => {}
        }
        tokio::task::yield_now().await;
    }
}

async fn end(database: &SqlxAdapter, session: &Session) -> Result<(), AuthError> {
    database.delete_session(&session.token).await
}

fn both_modes() -> [(SessionCache, Duration); 2] {
    [
        (SessionCache::exact(), Duration::ZERO),
        (SessionCache::bounded(BOUND), BOUND),
    ]
}

async fn listening(application: &Application) -> Vec<u32> {
    let pids = sqlx::query_scalar::<_, i32>(LISTENING)
        .fetch_all(&application.observer)
        .await;
    pids.unwrap().into_iter().map(i32::unsigned_abs).collect()
}

#[tokio::test(flavor = "multi_thread")]
#[ignore = "needs PostgreSQL's own binaries: run `just faults`"]
async fn a_stopped_listening_backend_makes_no_answer_stale() {
    let application = Application::start(&[]).await;
    for (cache, staleness) in both_modes() {
        let callers = Callers::start(&application.server.url(), cache, staleness).await;
        for _ in 0..4 {
            callers.revocations(30).await;
            let before = callers.stats().map(|stats| stats.time_in_fallback);
            let stopped = listening(&application).await;
            assert!(!stopped.is_empty(), "nobody listens");
            for pid in &stopped {
                application.server.signal("STOP", *pid);
            }
            until("a cache has noticed", async || {
                callers.stats().map(|stats| stats.time_in_fallback) != before
            })
            .await;
            callers.revocations(30).await;
            for pid in stopped {
                application.server.signal("CONT", pid);
            }
        }
        callers.check().await;
    }
}

#[tokio::test(flavor = "multi_thread")]
#[ignore = "needs PostgreSQL's own binaries: run `just faults`"]
async fn a_bad_network_before_the_listening_connection_makes_no_answer_stale() {
    let server = Server::start(&[]);
    let proxy = Proxy::start(("127.0.0.1", server.port())).await;
    for (cache, staleness) in both_modes() {
        let cache = cache.listen_url(address(&proxy));
        let callers = Callers::start(&server.url(), cache, staleness).await;
        callers.revocations(30).await;
        // Most answers come within the limit, then most of them do not.
        for delay in [5, 60, 200, 400] {
            proxy.change(|network| network.delay = Duration::from_millis(delay));
            callers.revocations(30).await;
        }
        proxy.change(|network| network.delay = Duration::ZERO);
        for direction in [Direction::ToServer, Direction::ToClient] {
            let cuts = proxy.cuts();
            proxy.change(|network| {
                network.cut = Some((direction, 0..3000));
                network.cuts_left = 10;
            });
            until("connections are cut", async || proxy.cuts() == cuts + 10).await;
        }
        for _ in 0..3 {
            proxy.change(|network| network.black_hole = true);
            callers.revocations(30).await;
            proxy.change(|network| network.black_hole = false);
            callers.revocations(30).await;
        }
        callers.check().await;
    }
}

#[tokio::test(flavor = "multi_thread")]
#[ignore = "needs PostgreSQL's own binaries: run `just faults`"]
async fn restarts_make_no_answer_stale() {
    let mut application = Application::start(&[]).await;
    for (cache, staleness) in both_modes() {
        let callers = Callers::start(&application.server.url(), cache, staleness).await;
        for stop in [Stop::Fast, Stop::Immediate, Stop::Killed] {
            callers.revocations(50).await;
            application.server.stop(stop);
            application.server.start_again();
        }
        callers.check().await;
    }
}

#[tokio::test(flavor = "multi_thread")]
#[ignore = "needs PostgreSQL's own binaries: run `just faults`"]
async fn a_failover_makes_no_answer_stale() {
    for (cache, staleness) in both_modes() {
        let (mut application, proxy) = Application::behind_proxy().await;
        let standby = application.synchronous_standby().await;
        let callers = Callers::start(&address(&proxy), cache, staleness).await;
        callers.revocations(50).await;
        application.fail_over(standby, &proxy);
        callers.check().await;
    }
}

/// A listening backend that stands still keeps every notification since. Once no more fit, PostgreSQL refuses the commit
/// of whoever notifies.
#[tokio::test(flavor = "multi_thread")]
#[ignore = "needs PostgreSQL 17 or later, which can limit the queue: run `just servers-check 18`"]
async fn a_full_notification_queue_makes_no_answer_stale() {
    let application = Application::start(&["max_notify_queue_pages=64"]).await;
    for (cache, staleness) in both_modes() {
        let url = application.server.url();
        let (here, there) = (instance(&url, &cache).await, instance(&url, &cache).await);
        let user = here.create_user(CreateUser::new()).await.unwrap();
        let tomorrow = || CreateSession::new(&user.id, Utc::now() + TimeDelta::days(1));
        let session = here.create_session(tomorrow()).await.unwrap();
        let is_live = async || {
            let found = there.get_session_with_user(&session.token).await;
            found.unwrap().is_some()
        };
        for _ in 0..20 {
            assert!(is_live().await);
        }

        let stopped = listening(&application).await;
        for pid in &stopped {
            application.server.signal("STOP", *pid);
        }
        let notify = "SELECT pg_notify('anything', repeat('x', 7900) || number) FROM generate_series(1, 8) AS number";
        let full = loop {
            if let Err(error) = sqlx::raw_sql(notify).execute(&application.observer).await {
                break error;
            }
        };
        assert!(full.to_string().contains("NOTIFY queue"), "{full}");

        // Who signs out is told that it failed, and everybody still finds the session.
        let refused = end(&here, &session).await.unwrap_err();
        assert!(matches!(refused, AuthError::Database { .. }), "{refused:?}");
        for _ in 0..20 {
            assert!(is_live().await);
        }
        let signed_in = here.create_session(tomorrow()).await.unwrap();
        let found = there.get_session(&signed_in.token).await.unwrap();
        assert!(found.is_some(), "who signs in needs no notification");

        for pid in stopped {
            application.server.signal("CONT", pid);
        }
        until("there is room again", async || {
            // Nobody else gives the room back: a commit that finds the queue full does not look.
            application
                .execute("SELECT pg_notification_queue_usage()")
                .await;
            end(&here, &session).await.is_ok()
        })
        .await;
        tokio::time::sleep(staleness).await;
        assert!(!is_live().await);
        Callers::start(&url, cache, staleness).await.check().await;
    }
}
