//! The connections of an adapter, from its own pool or from the application's.

use std::future::poll_fn;
use std::io;
use std::pin::pin;
use std::sync::Arc;
use std::time::Duration;

use sqlx::postgres::PgConnectOptions;
use sqlx::{Connection as _, PgConnection, PgPool};
use tokio::time::{Instant, sleep, timeout};

use super::super::error::{broke_connection, connection_error, timed_out};
use super::super::maintenance::MigratedStores;
use super::super::server::Server;
use super::super::server_error::sqlstate;
use super::super::sqlstate::TOO_MANY_CONNECTIONS;
use super::super::tls;
use super::super::violation::OurTables;
use super::PoolStats;
use super::backend::Target;
use super::config::{MAX_TIMEOUT, PoolConfig, Settings, parse_url};
use super::lease::Lease;
use super::opening::connect_backoff;
use super::pool::OwnPool;
use super::pooler::Pooler;
use super::pressure::{Pressure, Waits};
use crate::adapters::telemetry::{self, PoolState, Subject, WaitEnd};
use crate::{AuthError, AuthResult};

/// How long an answer may take if `acquire_timeout` is short, so that a statement with much to do gets through.
const MIN_ANSWER_TIMEOUT: Duration = Duration::from_secs(30);
/// By how much the server's limit for a statement is shorter than the adapter's, so that the server's answer arrives.
const MAX_ANSWER_DELAY: Duration = Duration::from_secs(2);

/// By how much a wait may seem shorter than its limit.
const TIMER_DELAY: Duration = Duration::from_millis(10);

/// Connections to one server, each leased for a statement, a batch or a transaction.
pub(in super::super) struct Connections {
    pool: Pool,
    pub(in super::super) server: Server,
    pub(in super::super) settings: Settings,
    answer_timeout: Duration,
    pub(in super::super) our_tables: OurTables,
    pub(in super::super) migrated_stores: MigratedStores,
    pressure: Arc<Pressure>,
    /// What `check_pooler` has found.
    pub(in super::super) pooler: Pooler,
}

enum Pool {
    Own(OwnPool),
    Shared(PgPool),
}

impl Connections {
    /// Connections of the adapter's own. Connects once, so that what is wrong with the URL or the server shows now.
    pub(in super::super) async fn open(
        url: &str,
        config: &PoolConfig,
        settings: Settings,
    ) -> AuthResult<Self> {
        config.check()?;
        let options = parse_url(url)?;
        let server = Server::new(&options);
        let acquire_timeout = config.acquire_timeout.min(MAX_TIMEOUT);
        let answer_timeout = answer_timeout(&settings, acquire_timeout);
        let target = Target {
            options,
            server: server.clone(),
            lock_timeout: acquire_timeout,
            statement_timeout: answer_timeout
                .saturating_sub(MAX_ANSWER_DELAY.min(answer_timeout / 10)),
        };
        let pressure = Arc::new(Pressure::new());
        let pool = OwnPool::new(target, config, Arc::clone(&pressure)).map_err(|error| {
            AuthError::Database {
                message: format!("connect on {server}: the pool could not be made ({error})"),
                source: Some(error.into()),
            }
        })?;
        // It sends no statement, which a pooler may mix up with those of others: that is for `check_pooler` to say.
        // Unboxed, its 16 kB would be part of every caller's future.
        let probe = Box::pin(PgConnection::connect_with(&pool.target().options));
        let probe = timeout(acquire_timeout, probe)
            .await
            .unwrap_or(Err(sqlx::Error::PoolTimedOut))
            .map_err(|error| match tls::configuration_mistake(&error) {
                Some(advice) if tls::is_missing(&error) => AuthError::validation("url", advice),
                _ => connection_error(error, "connect", &server),
            })?;
        let _ = probe.close().await;
        pool.keep_minimum();
        telemetry::describe(server.database());
        Ok(Self {
            pool: Pool::Own(pool),
            server,
            settings,
            answer_timeout,
            our_tables: OurTables::default(),
            migrated_stores: MigratedStores::default(),
            pressure,
            pooler: Pooler::new(),
        })
    }

    /// Connections of the application's pool.
    pub(in super::super) fn shared(pool: PgPool, settings: Settings) -> Self {
        let server = Server::new(&pool.connect_options());
        telemetry::describe(server.database());
        Self {
            server,
            answer_timeout: answer_timeout(&settings, pool.options().get_acquire_timeout()),
            settings,
            pool: Pool::Shared(pool),
            our_tables: OurTables::default(),
            migrated_stores: MigratedStores::default(),
            pressure: Arc::new(Pressure::new()),
            pooler: Pooler::new(),
        }
    }

    pub(in super::super) fn max_connections(&self) -> u32 {
        match &self.pool {
            Pool::Own(pool) => pool.max_connections(),
            Pool::Shared(pool) => pool.options().get_max_connections(),
        }
    }

    pub(in super::super) fn acquire_timeout(&self) -> Duration {
        match &self.pool {
            Pool::Own(pool) => pool.acquire_timeout(),
            Pool::Shared(pool) => pool.options().get_acquire_timeout(),
        }
    }

    pub(in super::super) fn answer_timeout(&self) -> Duration {
        self.answer_timeout
    }

    pub(in super::super) fn stats(&self) -> PoolStats {
        let state = self.pool_state();
        PoolStats {
            size: state.open,
            idle: state.idle as usize,
        }
    }

    pub(in super::super) fn pool_state(&self) -> PoolState {
        match &self.pool {
            Pool::Own(pool) => pool.state(),
            Pool::Shared(pool) => PoolState {
                open: pool.size(),
                idle: u32::try_from(pool.num_idle()).unwrap_or(u32::MAX),
                max: self.max_connections(),
                waiting: self.pressure.waiting(),
            },
        }
    }

    /// What callers have waited for connections of late.
    pub(in super::super) fn waits(&self) -> Waits {
        self.pressure.waits()
    }

    pub(in super::super) async fn close(&self) {
        match &self.pool {
            Pool::Own(pool) => pool.close().await,
            Pool::Shared(pool) => pool.close().await,
        }
    }

    /// Runs an operation of a caller's, where telemetry sees it.
    pub(in super::super) fn observe<T>(
        &self,
        operation: &'static str,
        call: impl Future<Output = AuthResult<T>>,
    ) -> impl Future<Output = AuthResult<T>> {
        telemetry::observe(self.subject(operation), call)
    }

    pub(in super::super) fn subject(&self, operation: &'static str) -> Subject<'_> {
        Subject {
            operation,
            database: self.server.database(),
            slow_threshold: self.settings.slow_operation_threshold,
        }
    }

    /// A connection within `acquire_timeout`.
    pub(in super::super) async fn acquire(&self) -> sqlx::Result<Lease> {
        self.acquire_within(self.acquire_timeout()).await
    }

    pub(in super::super) async fn acquire_within(&self, limit: Duration) -> sqlx::Result<Lease> {
        match &self.pool {
            Pool::Own(pool) if pool.is_closed() => Err(sqlx::Error::PoolClosed),
            Pool::Own(pool) => {
                let slot = self.wait(limit, true, pool.acquire(limit)).await?;
                Ok(Lease::own(slot, self.answer_timeout))
            }
            Pool::Shared(pool) => {
                let begun = Instant::now();
                // Each of them leaves the pool when it is found.
                let mut lost_connections = 0;
                loop {
                    let left = limit.saturating_sub(begun.elapsed());
                    let acquire = async {
                        // Unboxed, its 2.5 kB would be part of every call's future.
                        let acquired = timeout(left, Box::pin(pool.acquire())).await;
                        acquired.unwrap_or(Err(sqlx::Error::PoolTimedOut))
                    };
                    // An idle one is asked whether it lives, which is no wait for a connection.
                    let is_exhausted = pool.num_idle() == 0;
                    let connection = self.wait(left, is_exhausted, acquire).await;
                    telemetry::pool(self.server.database(), || self.pool_state());
                    let lease = Lease::shared(
                        connection?,
                        self.answer_timeout,
                        self.settings.pool_resets_connections,
                    );
                    match lease.await {
                        Err(error)
                            if broke_connection(&error)
                                && !timed_out(&error)
                                && lost_connections < self.max_connections() =>
                        {
                            lost_connections += 1;
                        }
                        lease => return lease,
                    }
                }
            }
        }
    }

    /// Waits for a connection, where telemetry and `health` see it, unless what it waits for is no connection.
    async fn wait<T>(
        &self,
        limit: Duration,
        is_seen: bool,
        acquire: impl Future<Output = sqlx::Result<T>>,
    ) -> sqlx::Result<T> {
        let mut acquire = pin!(acquire);
        let mut waiting = None;
        let acquired = poll_fn(|context| {
            let acquired = acquire.as_mut().poll(context);
            if is_seen && acquired.is_pending() && waiting.is_none() {
                waiting = Some(self.pressure.enter());
            }
            acquired
        })
        .await;
        let wait = waiting.map_or(Duration::ZERO, |waiting| waiting.elapsed());
        let end = match &acquired {
            Ok(_) => WaitEnd::Acquired,
            Err(sqlx::Error::PoolTimedOut) => WaitEnd::TimedOut,
            // The pool's own timer began a moment earlier.
            Err(_) if wait + TIMER_DELAY >= limit => WaitEnd::TimedOut,
            Err(_) => WaitEnd::Failed,
        };
        telemetry::waited_for_connection(self.server.database(), wait, end);
        acquired
    }

    /// One round trip within `limit`. Fails with what the server or the network says, not with a pool that waits.
    pub(in super::super) async fn ping(&self, limit: Duration) -> sqlx::Result<()> {
        let begun = Instant::now();
        let answer = timeout(limit, async {
            // A connection that died while it was idle does not say whether the server is there.
            let mut lost_connections = 0;
            loop {
                let mut lease = self.acquire_within(limit / 2).await?;
                match lease.run(|connection| Box::pin(connection.ping())).await {
                    Err(error)
                        if broke_connection(&error)
                            && !timed_out(&error)
                            && lost_connections < self.max_connections() =>
                    {
                        lost_connections += 1;
                    }
                    answer => return answer,
                }
            }
        })
        .await
        .unwrap_or_else(|_| Err(io::Error::from(io::ErrorKind::TimedOut).into()));
        match answer {
            Err(error) => Err(self
                .cause(error, limit.saturating_sub(begun.elapsed()))
                .await),
            Ok(()) => Ok(()),
        }
    }

    /// Why there is no connection, if that can be found out within `limit`: the application's pool goes on trying, and
    /// keeps to itself why it fails.
    pub(in super::super) async fn cause(&self, error: sqlx::Error, limit: Duration) -> sqlx::Error {
        if let (Pool::Shared(pool), sqlx::Error::PoolTimedOut) = (&self.pool, &error)
            && pool.num_idle() == 0
        {
            let options = pool.connect_options();
            if let Ok(Err(cause)) = timeout(limit, PgConnection::connect_with(&options)).await {
                return cause;
            }
        }
        error
    }

    /// A connection beside the pool's. It is closed after its use.
    pub(in super::super) async fn dedicated(&self) -> sqlx::Result<PgConnection> {
        match &self.pool {
            Pool::Own(pool) => {
                let mut refusal = None;
                timeout(
                    pool.acquire_timeout(),
                    connect_when_admitted(pool.target(), &mut refusal),
                )
                .await
                .unwrap_or_else(|_| Err(refusal.unwrap_or(sqlx::Error::PoolTimedOut)))
            }
            // One of the pool's, for what the application's `after_connect` sets.
            Pool::Shared(_) => {
                let lease = self.acquire().await?;
                lease.detach().ok_or(sqlx::Error::PoolClosed)
            }
        }
    }

    pub(in super::super) fn options(&self) -> PgConnectOptions {
        match &self.pool {
            Pool::Own(pool) => pool.target().options.clone(),
            Pool::Shared(pool) => pool.connect_options().as_ref().clone(),
        }
    }

    /// Changes when the server's address may have moved to another server.
    pub(in super::super) fn epoch(&self) -> u64 {
        match &self.pool {
            Pool::Own(pool) => pool.epoch(),
            Pool::Shared(_) => 0,
        }
    }

    /// The server was fenced, perhaps, while its address has moved to another.
    pub(super) fn suspect_all(&self) {
        if let Pool::Own(pool) = &self.pool {
            pool.begin_epoch();
        }
    }
}

/// Tries again while the server has no connection left: one that was just closed still counts.
async fn connect_when_admitted(
    target: &Target,
    refusal: &mut Option<sqlx::Error>,
) -> sqlx::Result<PgConnection> {
    let mut refusals = 0;
    loop {
        match target.connect().await {
            Ok((connection, _)) => return Ok(connection),
            Err(error) if sqlstate(&error) == Some(TOO_MANY_CONNECTIONS) => {
                *refusal = Some(error);
                sleep(connect_backoff(refusals)).await;
                refusals += 1;
            }
            Err(error) => return Err(error),
        }
    }
}

fn answer_timeout(settings: &Settings, acquire_timeout: Duration) -> Duration {
    let default = acquire_timeout.saturating_mul(2).max(MIN_ANSWER_TIMEOUT);
    settings.answer_timeout.unwrap_or(default).min(MAX_TIMEOUT)
}
