//! The connections of an adapter, from its own pool or from the application's.

use std::io;
use std::time::Duration;

use sqlx::pool::PoolConnection;
use sqlx::postgres::PgConnectOptions;
use sqlx::{Connection as _, PgConnection, PgPool};
use tokio::time::{Instant, timeout};

use super::super::error::connection_error;
use super::super::server::Server;
use super::super::tls;
use super::super::violation::OurTables;
use super::PoolStats;
use super::backend::Target;
use super::config::{MAX_TIMEOUT, PoolConfig, Settings, parse_url};
use super::lease::Lease;
use super::pool::OwnPool;
use crate::{AuthError, AuthResult};

/// How long an answer may take if `acquire_timeout` is short, so that a statement with much to do gets through.
const MIN_ANSWER_TIMEOUT: Duration = Duration::from_secs(30);
/// By how much the server's limit for a statement is shorter than the adapter's, so that the server's answer arrives.
const MAX_ANSWER_DELAY: Duration = Duration::from_secs(2);

/// Connections to one server, each leased for a statement, a batch or a transaction.
pub(in super::super) struct Connections {
    pool: Pool,
    pub(in super::super) server: Server,
    pub(in super::super) settings: Settings,
    answer_timeout: Duration,
    pub(in super::super) our_tables: OurTables,
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
            lock_timeout: acquire_timeout,
            statement_timeout: answer_timeout
                .saturating_sub(MAX_ANSWER_DELAY.min(answer_timeout / 10)),
        };
        let pool = OwnPool::new(target, config).map_err(|error| AuthError::Database {
            message: format!("connect on {server}: the pool could not be made ({error})"),
            source: Some(error.into()),
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
        Ok(Self {
            pool: Pool::Own(pool),
            server,
            settings,
            answer_timeout,
            our_tables: OurTables::default(),
        })
    }

    /// Connections of the application's pool.
    pub(in super::super) fn shared(pool: PgPool, settings: Settings) -> Self {
        Self {
            server: Server::new(&pool.connect_options()),
            answer_timeout: answer_timeout(&settings, pool.options().get_acquire_timeout()),
            settings,
            pool: Pool::Shared(pool),
            our_tables: OurTables::default(),
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
        match &self.pool {
            Pool::Own(pool) => {
                let (size, idle) = pool.counts();
                let size = u32::try_from(size).unwrap_or(u32::MAX);
                PoolStats { size, idle }
            }
            Pool::Shared(pool) => PoolStats {
                size: pool.size(),
                idle: pool.num_idle(),
            },
        }
    }

    pub(in super::super) async fn close(&self) {
        match &self.pool {
            Pool::Own(pool) => pool.close().await,
            Pool::Shared(pool) => pool.close().await,
        }
    }

    /// A connection within `acquire_timeout`.
    pub(in super::super) async fn acquire(&self) -> sqlx::Result<Lease> {
        self.acquire_within(self.acquire_timeout()).await
    }

    async fn acquire_within(&self, limit: Duration) -> sqlx::Result<Lease> {
        match &self.pool {
            Pool::Own(pool) if pool.is_closed() => Err(sqlx::Error::PoolClosed),
            Pool::Own(pool) => {
                let slot = pool.acquire(limit).await?;
                Ok(Lease::own(slot, self.answer_timeout))
            }
            Pool::Shared(pool) => {
                let connection = timeout(limit, pool.acquire())
                    .await
                    .unwrap_or(Err(sqlx::Error::PoolTimedOut))?;
                Lease::shared(
                    connection,
                    self.answer_timeout,
                    self.settings.pool_resets_connections,
                )
                .await
            }
        }
    }

    /// One round trip within `limit`. Fails with what the server or the network says, not with a pool that waits.
    pub(in super::super) async fn ping(&self, limit: Duration) -> sqlx::Result<()> {
        let begun = Instant::now();
        let answer = timeout(limit, async {
            let mut lease = self.acquire_within(limit / 2).await?;
            lease.run(|connection| Box::pin(connection.ping())).await
        })
        .await
        .unwrap_or_else(|_| Err(io::Error::from(io::ErrorKind::TimedOut).into()));
        if let (Pool::Shared(pool), Err(sqlx::Error::PoolTimedOut)) = (&self.pool, &answer)
            && pool.num_idle() == 0
        {
            // The pool goes on trying, and keeps to itself why it fails.
            let options = pool.connect_options();
            let left = limit.saturating_sub(begun.elapsed());
            if let Ok(Err(cause)) = timeout(left, PgConnection::connect_with(&options)).await {
                return Err(cause);
            }
        }
        answer
    }

    /// A connection beside the pool's. It is closed after its use.
    pub(in super::super) async fn dedicated(&self) -> sqlx::Result<PgConnection> {
        match &self.pool {
            Pool::Own(pool) => timeout(pool.acquire_timeout(), pool.target().connect())
                .await
                .unwrap_or(Err(sqlx::Error::PoolTimedOut))
                .map(|(connection, _)| connection),
            // One of the pool's, for what the application's `after_connect` sets.
            Pool::Shared(pool) => pool.acquire().await.map(PoolConnection::detach),
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

fn answer_timeout(settings: &Settings, acquire_timeout: Duration) -> Duration {
    let default = acquire_timeout.saturating_mul(2).max(MIN_ANSWER_TIMEOUT);
    settings.answer_timeout.unwrap_or(default).min(MAX_TIMEOUT)
}
