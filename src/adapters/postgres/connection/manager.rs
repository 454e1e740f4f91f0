//! How the pool opens its connections, judges whether they may be used again, and looks after them: old and idle ones are
//! closed, missing ones are opened.

use std::io;
use std::mem;
use std::sync::atomic::{AtomicBool, AtomicU64, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, OnceLock, PoisonError};
use std::time::{Duration, Instant};

use deadpool::managed::{
    self, Manager, Metrics, Object, RecycleError, RecycleResult, Timeouts, WeakPool,
};
use sqlx::Connection as _;
use tokio::runtime::Handle;
use tokio::sync::Notify;
use tokio::task::JoinHandle;
use tokio::time::{sleep, timeout};

use super::super::error::is_final_refusal;
use super::super::server_error::sqlstate;
use super::super::sqlstate::TOO_MANY_CONNECTIONS;
use super::backend::{Backend, Home, Pulse, Target};
use super::config::{MAX_TIMEOUT, PoolConfig};
use super::opening::Orphans;
use super::pressure::Pressure;
use crate::adapters::telemetry::{self, PoolState};

/// A connection that was idle for longer is pinged before it is used.
const TRUSTED_IDLE: Duration = Duration::from_secs(1);
/// Longest wait for a connection to open or to answer a ping, so that there is time for another.
const MAX_PATIENCE: Duration = Duration::from_secs(5);
/// Longest wait for the ping of a connection whose runtime may not run.
const DOUBTFUL_PATIENCE: Duration = Duration::from_millis(250);
/// Pause between two rounds of upkeep.
pub(super) const UPKEEP: Duration = Duration::from_millis(500);
/// After so long, a server that refused a connection is asked for one more. If it gives one, the others are asked for too.
const REFUSAL_PAUSE: Duration = Duration::from_secs(2);
/// Shortest time between two events that make all connections suspicious.
const MIN_EPOCH: Duration = Duration::from_secs(1);

pub(super) type Pool = managed::Pool<ConnectionManager>;
/// A place in the pool, with what it holds.
pub(super) type Slot = Object<ConnectionManager>;

/// What a place in the pool holds.
pub(super) enum Place {
    Open(Box<Backend>),
    /// The server refused to open one. The place stays taken for a while, so that callers wait for those that are open.
    Refused(Option<sqlx::Error>),
    /// The connection is being closed.
    Closed,
}

/// Opens connections and judges whether they may be used again.
pub(super) struct ConnectionManager {
    pub(super) target: Arc<Target>,
    pressure: Arc<Pressure>,
    pub(super) max_connections: u32,
    pub(super) min_connections: usize,
    pub(super) acquire_timeout: Duration,
    idle_timeout: Duration,
    max_lifetime: Duration,
    pool: OnceLock<WeakPool<Self>>,
    pub(super) epoch: Epoch,
    pub(super) orphans: Orphans,
    homes: Mutex<Vec<Arc<Home>>>,
    refusals: Mutex<Refusals>,
    is_filling: AtomicBool,
    /// Connections that have left the pool and are not closed yet.
    pub(super) closing: AtomicUsize,
    pub(super) changed: Notify,
}

/// What the server refused of late.
#[derive(Default)]
pub(super) struct Refusals {
    pub(super) places: Vec<Slot>,
    pub(super) last: Option<Instant>,
}

/// Connections of earlier epochs are not used again.
pub(super) struct Epoch {
    number: AtomicU64,
    begun: Mutex<Instant>,
}

impl Epoch {
    fn new() -> Self {
        Self {
            number: AtomicU64::new(0),
            begun: Mutex::new(Instant::now()),
        }
    }

    /// Begins another one, unless this one has only begun. Says whether it did.
    pub(super) fn begin(&self) -> bool {
        let mut begun = lock(&self.begun);
        let is_over = begun.elapsed() >= MIN_EPOCH;
        if is_over {
            *begun = Instant::now();
            self.number.fetch_add(1, Ordering::Release);
        }
        is_over
    }

    pub(super) fn number(&self) -> u64 {
        self.number.load(Ordering::Acquire)
    }
}

impl Manager for ConnectionManager {
    type Type = Place;
    type Error = sqlx::Error;

    async fn create(&self) -> sqlx::Result<Place> {
        let mut opening = self.orphans.adopt_or(|| self.open());
        match timeout(self.patience(), &mut opening).await {
            Ok(Ok(backend)) => {
                let refused = mem::take(&mut self.refusals().places);
                refused.into_iter().for_each(vacate);
                Ok(Place::Open(Box::new(backend)))
            }
            // Those that are open may serve all the same.
            Ok(Err(error)) if is_refused_by_server(&error) => Ok(Place::Refused(Some(error))),
            Ok(Err(error)) => Err(error),
            Err(_) => {
                // Otherwise the next caller waits on for the same, if nothing else is idle by then.
                if opening.age() >= self.longest_opening() {
                    opening.abort();
                }
                Err(io::Error::from(io::ErrorKind::TimedOut).into())
            }
        }
    }

    async fn recycle(&self, place: &mut Place, _: &Metrics) -> RecycleResult<sqlx::Error> {
        if !self.is_current(place) || self.is_unused(place) {
            return Err(RecycleError::message("is not to be used again"));
        }
        let Place::Open(backend) = place else {
            return Err(RecycleError::message("is closed"));
        };
        let is_doubtful = backend.home.pulse() == Pulse::Doubtful;
        if !is_doubtful && backend.idle_since.elapsed() <= TRUSTED_IDLE {
            return Ok(());
        }
        let patience = if is_doubtful {
            DOUBTFUL_PATIENCE.min(self.patience())
        } else {
            self.patience()
        };
        // Also where the caller goes away in the middle of it.
        backend.is_fit = false;
        let Ok(answer) = timeout(patience, backend.connection.ping()).await else {
            if is_doubtful {
                backend.home.stall();
            }
            return Err(RecycleError::message("does not answer"));
        };
        answer?;
        backend.is_fit = true;
        Ok(())
    }

    /// Closes a connection that leaves the pool in order, if it runs where that can be waited for.
    fn detach(&self, place: &mut Place) {
        if let Place::Open(backend) = mem::replace(place, Place::Closed) {
            let pool = self.pool.get().and_then(WeakPool::upgrade);
            let otherwise = match &pool {
                Some(pool) if !pool.is_closed() => "idle_timeout",
                _ => "pool_closed",
            };
            let reason = self.unfit_because(&backend).unwrap_or(otherwise);
            if let (Some(pool), Ok(runtime)) = (pool, Handle::try_current()) {
                self.closing.fetch_add(1, Ordering::AcqRel);
                let closing = Closing(pool);
                runtime.spawn(async move {
                    let _closing = closing;
                    // Here the pool's lock is not held: a subscriber may ask for the pool's state.
                    telemetry::connection_closed(reason);
                    let _ = timeout(MAX_PATIENCE, backend.connection.close()).await;
                });
            } else {
                telemetry::connection_closed(reason);
            }
        }
        self.changed.notify_waiters();
    }
}

impl ConnectionManager {
    pub(super) fn new(target: Target, config: &PoolConfig, pressure: Arc<Pressure>) -> Self {
        Self {
            target: Arc::new(target),
            pressure,
            max_connections: config.max_connections,
            min_connections: config.min_connections as usize,
            acquire_timeout: config.acquire_timeout.min(MAX_TIMEOUT),
            idle_timeout: config.idle_timeout.unwrap_or(Duration::MAX),
            max_lifetime: config.max_lifetime.unwrap_or(Duration::MAX),
            pool: OnceLock::new(),
            epoch: Epoch::new(),
            orphans: Orphans::default(),
            homes: Mutex::default(),
            refusals: Mutex::default(),
            is_filling: AtomicBool::new(false),
            closing: AtomicUsize::new(0),
            changed: Notify::new(),
        }
    }

    /// The pool of which this is the manager.
    pub(super) fn set_pool(&self, pool: &Pool) {
        let _ = self.pool.set(pool.weak());
    }

    /// How long one connection is waited for before another is tried.
    fn patience(&self) -> Duration {
        (self.acquire_timeout / 4).min(MAX_PATIENCE)
    }

    /// How long an attempt to open a connection may take.
    fn longest_opening(&self) -> Duration {
        let longest = (self.acquire_timeout / 3).max(MAX_PATIENCE);
        longest.min(self.acquire_timeout)
    }

    pub(super) fn refusals(&self) -> MutexGuard<'_, Refusals> {
        lock(&self.refusals)
    }

    /// Whether a connection may serve another caller.
    pub(super) fn is_current(&self, place: &Place) -> bool {
        matches!(place, Place::Open(backend) if self.unfit_because(backend).is_none())
    }

    fn unfit_because(&self, backend: &Backend) -> Option<&'static str> {
        if !backend.is_fit {
            Some("no_answer")
        } else if backend.epoch != self.epoch.number() {
            Some("server_changed")
        } else if backend.opened_at.elapsed() >= self.max_lifetime {
            Some("max_lifetime")
        } else if backend.home.pulse() == Pulse::Dead {
            Some("runtime_stopped")
        } else {
            None
        }
    }

    /// Whether a connection was idle for too long.
    fn is_unused(&self, place: &Place) -> bool {
        matches!(place, Place::Open(backend) if backend.idle_since.elapsed() >= self.idle_timeout)
    }

    /// Opens a connection in a task, so that the caller may go away.
    fn open(&self) -> JoinHandle<sqlx::Result<Backend>> {
        let target = Arc::clone(&self.target);
        let home = self.home();
        let epoch = self.epoch.number();
        tokio::spawn(async move {
            // Unboxed, its 16 kB would be part of every caller's future.
            let (connection, pid) = Box::pin(target.connect()).await?;
            let now = Instant::now();
            Ok(Backend {
                connection,
                pid,
                home,
                opened_at: now,
                idle_since: now,
                epoch,
                is_fit: true,
            })
        })
    }

    /// The runtime of this caller, with a task for the upkeep on it.
    pub(super) fn home(&self) -> Arc<Home> {
        let id = Handle::current().id();
        let mut homes = lock(&self.homes);
        homes.retain(|home| !home.has_ended());
        if let Some(home) = homes.iter().find(|home| home.id == id) {
            return Arc::clone(home);
        }
        let home = Arc::new(Home::new(id));
        homes.push(Arc::clone(&home));
        drop(homes);
        if let Some(pool) = self.pool.get().and_then(WeakPool::upgrade) {
            tokio::spawn(upkeep(pool.weak(), Residence(Arc::clone(&home))));
        }
        home
    }
}

/// A connection that is being closed.
struct Closing(Pool);

impl Drop for Closing {
    fn drop(&mut self) {
        let manager = self.0.manager();
        manager.closing.fetch_sub(1, Ordering::AcqRel);
        manager.changed.notify_waiters();
    }
}

/// Looks after the pool for as long as it is there, and tells that its runtime runs.
async fn upkeep(pool: WeakPool<ConnectionManager>, residence: Residence) {
    loop {
        residence.0.beat();
        let Some(pool) = pool.upgrade().filter(|pool| !pool.is_closed()) else {
            return;
        };
        tidy(&pool);
        sleep(UPKEEP).await;
    }
}

/// Held by a task of a runtime. A runtime that ends drops it.
struct Residence(Arc<Home>);

impl Drop for Residence {
    fn drop(&mut self) {
        self.0.end();
    }
}

/// One round of upkeep.
fn tidy(pool: &Pool) {
    let manager = pool.manager();
    telemetry::pool(manager.target.server.database(), || state(pool));
    manager.orphans.forget_finished();
    let open = open_count(pool);
    let mut refusals = manager.refusals();
    let is_over = refusals
        .last
        .is_none_or(|last| last.elapsed() >= REFUSAL_PAUSE);
    let reopened = if open == 0 {
        mem::take(&mut refusals.places)
    } else if is_over {
        refusals.last = Some(Instant::now());
        refusals.places.pop().into_iter().collect()
    } else {
        Vec::new()
    };
    drop(refusals);
    reopened.into_iter().for_each(vacate);
    let mut surplus = open.saturating_sub(manager.min_connections);
    pool.retain(|place, _| {
        if !manager.is_current(place) {
            return false;
        }
        let is_unused = manager.is_unused(place) && surplus > 0;
        surplus -= usize::from(is_unused);
        !is_unused
    });
    if open < manager.min_connections && !manager.is_filling.swap(true, Ordering::AcqRel) {
        tokio::spawn(fill(pool.clone()));
    }
}

/// Opens connections until there are `min_connections`.
async fn fill(pool: Pool) {
    struct Filled<'a>(&'a AtomicBool);

    impl Drop for Filled<'_> {
        fn drop(&mut self) {
            self.0.store(false, Ordering::Release);
        }
    }

    let manager = pool.manager();
    let _filled = Filled(&manager.is_filling);
    // Idle ones come first, and are held until the missing ones are open.
    let mut held = Vec::new();
    while open_count(&pool) < manager.min_connections {
        let no_wait = Timeouts {
            wait: Some(Duration::ZERO),
            ..Timeouts::new()
        };
        match pool.timeout_get(&no_wait).await {
            Ok(slot) if matches!(*slot, Place::Open(_)) => held.push(slot),
            _ => return,
        }
    }
}

/// What a pool holds at the moment.
pub(super) fn state(pool: &Pool) -> PoolState {
    let manager = pool.manager();
    let count = |connections| u32::try_from(connections).unwrap_or(u32::MAX);
    PoolState {
        open: count(open_count(pool)),
        idle: count(pool.status().available),
        max: manager.max_connections,
        waiting: manager.pressure.waiting(),
    }
}

/// How many connections are open.
fn open_count(pool: &Pool) -> usize {
    let refused = pool.manager().refusals().places.len();
    pool.status().size.saturating_sub(refused)
}

/// Frees a place that holds no connection.
pub(super) fn vacate(slot: Slot) {
    drop(Object::take(slot));
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

/// For want of a connection, or because the server admits this role no more.
fn is_refused_by_server(error: &sqlx::Error) -> bool {
    sqlstate(error).is_some_and(|code| code == TOO_MANY_CONNECTIONS || is_final_refusal(error))
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;
    use std::time::Duration;

    use sqlx::postgres::PgConnectOptions;

    use super::super::PoolConfig;
    use super::super::backend::Target;
    use super::{ConnectionManager, Epoch, MIN_EPOCH, Pressure};
    use crate::adapters::postgres::server::Server;

    fn manager(acquire_timeout: Duration) -> ConnectionManager {
        let options = PgConnectOptions::new_without_pgpass();
        let target = Target {
            server: Server::new(&options),
            options,
            lock_timeout: acquire_timeout,
            statement_timeout: acquire_timeout,
        };
        let config = PoolConfig {
            acquire_timeout,
            ..PoolConfig::default()
        };
        ConnectionManager::new(target, &config, Arc::new(Pressure::new()))
    }

    /// Within `acquire_timeout` there is time for another attempt, and a slow server has some seconds.
    #[test]
    fn a_connection_is_waited_for_until_another_is_worth_a_try() {
        let seconds = Duration::from_secs;
        for (acquire_timeout, patience, longest_opening) in [
            (seconds(2), seconds(2) / 4, seconds(2)),
            (seconds(12), seconds(3), seconds(5)),
            (seconds(60), seconds(5), seconds(20)),
        ] {
            let manager = manager(acquire_timeout);
            assert_eq!(manager.patience(), patience);
            assert_eq!(manager.longest_opening(), longest_opening);
        }
    }

    #[test]
    fn an_epoch_lasts_for_a_while() {
        let epoch = Epoch::new();
        assert!(!epoch.begin() && epoch.number() == 0, "it has only begun");
        let begun = super::lock(&epoch.begun).checked_sub(MIN_EPOCH).unwrap();
        *super::lock(&epoch.begun) = begun;
        assert!(epoch.begin() && epoch.number() == 1);
        assert!(!epoch.begin() && epoch.number() == 1);
    }
}
