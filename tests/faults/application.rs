//! An adapter, built once, on a server that fails, and what must hold of both afterwards.

use std::time::{Duration, Instant};

use better_auth::adapters::{DatabaseAdapter, PoolConfig, SqlxAdapter, Transaction};
use better_auth::{AuthError, AuthResult, Verification};
use sqlx::postgres::PgPoolOptions;
use sqlx::{PgPool, PgTransaction};
use tokio::task::JoinHandle;

use super::load::{Fate, Load, Written, create_verification};
use super::support::proxy::Proxy;
use super::support::server::{Server, Stop};

pub(super) const MAX_CONNECTIONS: u32 = 6;
const ACQUIRE_TIMEOUT: Duration = Duration::from_secs(2);
pub(super) const ANSWER_TIMEOUT: Duration = Duration::from_secs(3);

pub(super) const WAITING: &str =
    "SELECT count(*) FROM pg_stat_activity WHERE usename = 'app' AND wait_event_type = 'Lock'";

/// Sessions of the application's that are at work or hold anything.
pub(super) const BUSY: &str = "SELECT (SELECT count(*) FROM pg_stat_activity WHERE usename = 'app' AND state <> 'idle') + \
                    (SELECT count(*) FROM pg_locks JOIN pg_stat_activity USING (pid) WHERE usename = 'app') + \
                    (SELECT count(*) FROM pg_prepared_xacts)";
const SYNCHRONOUS: &str = "SELECT count(*) FROM pg_stat_replication WHERE sync_state = 'sync'";
const SESSIONS: &str = "SELECT count(*) FROM pg_stat_activity WHERE usename = 'app'";

pub(super) struct Application {
    pub(super) server: Server,
    /// Someone else's sessions, who look at the server and disturb it.
    pub(super) observer: PgPool,
    pub(super) database: SqlxAdapter,
}

impl Application {
    pub(super) async fn start(settings: &[&'static str]) -> Self {
        let server = Server::start(settings);
        let url = server.url();
        Self::on(server, &url).await
    }

    pub(super) async fn behind_proxy() -> (Self, Proxy) {
        let server = Server::start(&[]);
        let proxy = Proxy::start(("127.0.0.1", server.port())).await;
        (Self::on(server, &address(&proxy)).await, proxy)
    }

    async fn on(server: Server, url: &str) -> Self {
        let database = adapter(url, MAX_CONNECTIONS).await;
        database.migrate().await.unwrap();
        Self {
            observer: observer(&server),
            server,
            database,
        }
    }

    /// A standby of the server, once every commit waits for it.
    pub(super) async fn synchronous_standby(&self) -> Server {
        let standby = self.server.standby();
        self.set("synchronous_standby_names", "standby").await;
        until("the standby is synchronous", async || {
            self.count(SYNCHRONOUS).await == 1
        })
        .await;
        standby
    }

    /// Kills the server, and puts the standby in its place behind the proxy.
    pub(super) fn fail_over(&mut self, standby: Server, proxy: &Proxy) {
        self.server.stop(Stop::Killed);
        standby.promote();
        self.observer = observer(&standby);
        self.server = standby;
        let port = self.server.port();
        proxy.change(|network| network.target.1 = port);
    }

    pub(super) async fn execute(&self, sql: &str) {
        super::support::execute(&self.observer, sql).await;
    }

    /// Sets or, with `DEFAULT`, resets a parameter of the running server.
    pub(super) async fn set(&self, parameter: &str, value: &str) {
        self.execute(&format!("ALTER SYSTEM SET {parameter} = {value}"))
            .await;
        self.execute("SELECT pg_reload_conf()").await;
    }

    /// The end of every test: what was acknowledged is there, and adapter and server are as before.
    pub(super) async fn check(&self, load: Load) -> Written {
        load.writes(100).await;
        let written = load.stop().await;
        self.check_connections().await;
        written.check(&self.observer).await;
        println!("{:?}", written.counts());
        written
    }

    /// The adapter recovers as it is, with as many connections as it may have, and leaves nothing open on the server.
    pub(super) async fn check_connections(&self) {
        until("the server answers", async || {
            self.database.ping().await.is_ok()
        })
        .await;
        let mut begun = tokio::task::JoinSet::new();
        for _ in 0..MAX_CONNECTIONS {
            let database = self.database.clone();
            begun.spawn(async move { database.begin().await });
        }
        let begun = begun.join_all().await;
        let stats = self.database.pool_stats();
        assert_eq!((stats.size, stats.idle), (MAX_CONNECTIONS, 0));
        for transaction in begun {
            transaction.unwrap().rollback().await.unwrap();
        }
        until("all connections are given back", async || {
            self.database.pool_stats().idle == MAX_CONNECTIONS as usize
        })
        .await;
        until("nothing stays open on the server", async || {
            self.count(BUSY).await == 0 && self.count(SESSIONS).await == i64::from(MAX_CONNECTIONS)
        })
        .await;
        assert_eq!(self.database.pool_stats().size, MAX_CONNECTIONS);
    }

    pub(super) async fn count(&self, sql: &'static str) -> i64 {
        sqlx::query_scalar(sql)
            .fetch_one(&self.observer)
            .await
            .unwrap()
    }
}

/// A write, a read and a transaction's write, all of which wait for the lock of someone else's transaction.
pub(super) struct Waiting {
    pub(super) lock: PgTransaction<'static>,
    pub(super) write: JoinHandle<AuthResult<()>>,
    pub(super) read: JoinHandle<AuthResult<Option<Verification>>>,
    pub(super) in_transaction: JoinHandle<(Box<dyn Transaction>, AuthResult<()>)>,
}

impl Waiting {
    pub(super) async fn start(application: &Application) -> Self {
        let database = &application.database;
        let transaction = database.begin().await.unwrap();
        let mut lock = application.observer.begin().await.unwrap();
        sqlx::query("LOCK TABLE verifications")
            .execute(&mut *lock)
            .await
            .unwrap();
        let (writer, reader) = (database.clone(), database.clone());
        let waiting = Self {
            lock,
            write: tokio::spawn(async move { create_verification(&writer, "written").await }),
            read: tokio::spawn(
                async move { reader.get_verification_by_identifier("stored").await },
            ),
            in_transaction: tokio::spawn(async move {
                let answer = create_verification(&*transaction, "lost").await;
                (transaction, answer)
            }),
        };
        until("all three wait", async || {
            application.count(WAITING).await == 3
        })
        .await;
        waiting
    }
}

/// The transaction's write was not done, and no more can be done in it.
pub(super) async fn assert_aborted((transaction, answer): (Box<dyn Transaction>, AuthResult<()>)) {
    assert_eq!(Fate::of(&answer), Fate::NotDone, "{answer:?}");
    assert!(matches!(
        transaction.commit().await,
        Err(AuthError::TransactionAborted)
    ));
}

/// The URL of the server behind a proxy.
pub(super) fn address(proxy: &Proxy) -> String {
    format!("postgresql://app@127.0.0.1:{}/app", proxy.port())
}

pub(super) async fn adapter(url: &str, max_connections: u32) -> SqlxAdapter {
    let config = PoolConfig {
        max_connections,
        acquire_timeout: ACQUIRE_TIMEOUT,
        ..PoolConfig::default()
    };
    SqlxAdapter::builder(url)
        .pool_config(config)
        .answer_timeout(ANSWER_TIMEOUT)
        .connect()
        .await
        .unwrap()
}

pub(super) fn observer(server: &Server) -> PgPool {
    PgPoolOptions::new()
        .max_connections(3)
        .connect_lazy(&server.superuser_url())
        .unwrap()
}

/// Fails where something has not come about after a long time.
pub(super) async fn until(what: &str, mut condition: impl AsyncFnMut() -> bool) {
    let begun = Instant::now();
    while !condition().await {
        assert!(begun.elapsed() < Duration::from_secs(60), "never: {what}");
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
}
