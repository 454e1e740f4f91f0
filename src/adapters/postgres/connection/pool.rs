//! The adapter's own connections: a `deadpool` pool, and what that does not do. A server that refuses more connections makes
//! the pool smaller for a while, all connections can be made suspicious, and the end is awaited.

use std::io;
use std::mem;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::{Duration, Instant};

use deadpool::managed::{self, Object, PoolError, QueueMode, Timeouts};
use sqlx::PgConnection;
use tokio::time::{sleep, timeout};

use super::super::error::is_final_refusal;
use super::backend::{CLIENT_CHECK, Target};
use super::config::PoolConfig;
use super::manager::{ConnectionManager, Place, Pool, Slot, state, vacate};
use super::opening::connect_backoff;
use super::pressure::Pressure;
use crate::adapters::telemetry::{self, PoolState};

/// Connections that only the adapter uses.
#[derive(Clone)]
pub(in super::super) struct OwnPool(Pool);

impl OwnPool {
    pub(in super::super) fn new(
        target: Target,
        config: &PoolConfig,
        pressure: Arc<Pressure>,
    ) -> Result<Self, managed::BuildError> {
        let manager = ConnectionManager::new(target, config, pressure);
        let pool = Pool::builder(manager)
            .max_size(config.max_connections as usize)
            .queue_mode(QueueMode::Lifo)
            .build()?;
        pool.manager().set_pool(&pool);
        Ok(Self(pool))
    }

    /// Opens `min_connections` before anybody uses one.
    pub(super) fn keep_minimum(&self) {
        if self.0.manager().min_connections > 0 {
            self.0.manager().home();
        }
    }

    pub(super) fn of(slot: &Slot) -> Option<Self> {
        Object::pool(slot).map(Self)
    }

    pub(super) fn target(&self) -> &Arc<Target> {
        &self.0.manager().target
    }

    pub(super) fn max_connections(&self) -> u32 {
        self.0.manager().max_connections
    }

    pub(super) fn acquire_timeout(&self) -> Duration {
        self.0.manager().acquire_timeout
    }

    pub(super) fn is_closed(&self) -> bool {
        self.0.is_closed()
    }

    pub(super) fn state(&self) -> PoolState {
        state(&self.0)
    }

    /// A connection within `limit`, or the error that stopped the last attempt.
    pub(super) async fn acquire(&self, limit: Duration) -> sqlx::Result<Slot> {
        let mut cause = None;
        match timeout(limit, self.keep_trying(&mut cause)).await {
            Ok(answer) => answer,
            Err(_) => Err(cause.unwrap_or(sqlx::Error::PoolTimedOut)),
        }
    }

    async fn keep_trying(&self, cause: &mut Option<sqlx::Error>) -> sqlx::Result<Slot> {
        let mut failures = 0;
        loop {
            let error = match self.0.get().await {
                Ok(mut slot) => {
                    let refusal = match &mut *slot {
                        Place::Open(backend) => {
                            backend.is_fit = false;
                            return Ok(slot);
                        }
                        Place::Refused(error) => error.take(),
                        Place::Closed => None,
                    };
                    if self.occupy(slot) {
                        *cause = refusal;
                        continue;
                    }
                    refusal.unwrap_or(sqlx::Error::PoolTimedOut)
                }
                Err(error) => pool_error(error),
            };
            if matches!(error, sqlx::Error::PoolClosed) || is_final_refusal(&error) {
                return Err(error);
            }
            *cause = Some(error);
            sleep(connect_backoff(failures)).await;
            failures += 1;
        }
    }

    /// Keeps the place of a connection that the server refused, if others are open for which its caller can wait.
    fn occupy(&self, slot: Slot) -> bool {
        let size = self.0.status().size;
        let mut refusals = self.0.manager().refusals();
        let is_alone = size <= refusals.places.len() + 1;
        refusals.last = Some(Instant::now());
        if is_alone || self.0.is_closed() {
            drop(refusals);
            vacate(slot);
            return false;
        }
        refusals.places.push(slot);
        true
    }

    /// Makes all connections suspicious that were opened until now, as the server's address may have moved to another.
    pub(super) fn begin_epoch(&self) {
        let manager = self.0.manager();
        if manager.epoch.begin() {
            self.0.retain(|place, _| manager.is_current(place));
        }
    }

    pub(super) fn epoch(&self) -> u64 {
        self.0.manager().epoch.number()
    }

    /// Closes all connections, and waits for those that are leased.
    pub(super) async fn close(&self) {
        let manager = self.0.manager();
        self.0.close();
        self.0.retain(|_, _| false);
        let refused = mem::take(&mut manager.refusals().places);
        drop(refused);
        manager.orphans.abort();
        loop {
            let changed = manager.changed.notified();
            if self.0.status().size == 0 && manager.closing.load(Ordering::Acquire) == 0 {
                telemetry::pool(manager.target.server.database(), || self.state());
                return;
            }
            changed.await;
        }
    }

    /// Waits until the server's process has ended, which was told so by closing its connection.
    pub(super) async fn until_gone(&self, pid: i32, limit: Duration) {
        let begun = Instant::now();
        while begun.elapsed() < limit {
            sleep(CLIENT_CHECK / 4).await;
            if self.0.status().available == 0 {
                continue;
            }
            let no_wait = Timeouts {
                wait: Some(Duration::ZERO),
                ..Timeouts::new()
            };
            if let Ok(mut slot) = self.0.timeout_get(&no_wait).await
                && let Place::Open(backend) = &mut *slot
            {
                backend.is_fit = false;
                let asked = timeout(limit, is_running(&mut backend.connection, pid)).await;
                if let Ok(Ok(is_running)) = asked {
                    backend.is_fit = true;
                    if !is_running {
                        return;
                    }
                }
            }
        }
    }
}

async fn is_running(connection: &mut PgConnection, pid: i32) -> sqlx::Result<bool> {
    sqlx::query_scalar!(
        "SELECT EXISTS (SELECT FROM pg_stat_activity WHERE pid = $1) AS \"is_running!\"",
        pid
    )
    .fetch_one(connection)
    .await
}

fn pool_error(error: PoolError<sqlx::Error>) -> sqlx::Error {
    match error {
        PoolError::Backend(error) => error,
        PoolError::Closed => sqlx::Error::PoolClosed,
        other => io::Error::other(other.to_string()).into(),
    }
}
