//! The adapter's own connections: a `deadpool` pool, and what that does not do. A connection goes on opening when its caller
//! has gone, a server that refuses more makes the pool smaller for a while, old and idle connections are closed, and the
//! end is awaited.

use std::io;
use std::mem;
use std::sync::atomic::{AtomicBool, AtomicU64, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, OnceLock, PoisonError};
use std::time::{Duration, Instant};

use deadpool::managed::{
    self, Manager, Metrics, Object, PoolError, QueueMode, RecycleError, RecycleResult, Timeouts,
    WeakPool,
};
use sqlx::{Connection as _, PgConnection};
use tokio::runtime::Handle;
use tokio::sync::Notify;
use tokio::task::JoinHandle;
use tokio::time::{sleep, timeout};

use super::super::error::is_final_refusal;
use super::super::server_error::sqlstate;
use super::backend::{Backend, CLIENT_CHECK, Home, Pulse, Target};
use super::config::{MAX_TIMEOUT, PoolConfig};
use crate::adapters::backoff::backoff;

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

type Pool = managed::Pool<ConnectionManager>;
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

/// Connections that nobody but the adapter has.
#[derive(Clone)]
pub(in super::super) struct OwnPool(Pool);

impl OwnPool {
    pub(in super::super) fn new(
        target: Target,
        config: &PoolConfig,
    ) -> Result<Self, managed::BuildError> {
        let manager = ConnectionManager {
            target: Arc::new(target),
            max_connections: config.max_connections,
            min_connections: config.min_connections as usize,
            acquire_timeout: config.acquire_timeout.min(MAX_TIMEOUT),
            idle_timeout: config.idle_timeout.unwrap_or(Duration::MAX),
            max_lifetime: config.max_lifetime.unwrap_or(Duration::MAX),
            pool: OnceLock::new(),
            epoch: AtomicU64::new(0),
            epoch_begun: Mutex::new(Instant::now()),
            orphans: Mutex::default(),
            homes: Mutex::default(),
            refusals: Mutex::default(),
            is_filling: AtomicBool::new(false),
            closing: AtomicUsize::new(0),
            changed: Notify::new(),
        };
        let pool = Pool::builder(manager)
            .max_size(config.max_connections as usize)
            .queue_mode(QueueMode::Lifo)
            .build()?;
        let _ = pool.manager().pool.set(pool.weak());
        Ok(Self(pool))
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

    /// How many are open, and how many of those are idle.
    pub(super) fn counts(&self) -> (usize, usize) {
        let status = self.0.status();
        let refused = self.0.manager().refusals().places.len();
        (status.size.saturating_sub(refused), status.available)
    }

    /// A connection within `limit`. Whoever gets none learns what stopped the last attempt.
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
                Err(error) => match pool_error(error) {
                    sqlx::Error::PoolClosed => return Err(sqlx::Error::PoolClosed),
                    error if is_final_refusal(&error) => return Err(error),
                    error => error,
                },
            };
            *cause = Some(error);
            sleep(backoff(failures)).await;
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
        let mut begun = lock(&manager.epoch_begun);
        if begun.elapsed() >= MIN_EPOCH {
            *begun = Instant::now();
            manager.epoch.fetch_add(1, Ordering::Release);
            drop(begun);
            self.0.retain(|place, _| manager.is_current(place));
        }
    }

    pub(super) fn epoch(&self) -> u64 {
        self.0.manager().epoch.load(Ordering::Acquire)
    }

    /// Closes all connections, and waits for those that are leased.
    pub(super) async fn close(&self) {
        let manager = self.0.manager();
        self.0.close();
        self.0.retain(|_, _| false);
        let refused = mem::take(&mut manager.refusals().places);
        drop(refused);
        for (_, orphan) in lock(&manager.orphans).drain(..) {
            orphan.abort();
        }
        loop {
            let changed = manager.changed.notified();
            if self.0.status().size == 0 && manager.closing.load(Ordering::Acquire) == 0 {
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

    /// One round of upkeep.
    fn tidy(&self) {
        let manager = self.0.manager();
        // Nobody has come for what they opened.
        lock(&manager.orphans).retain(|(_, orphan)| !orphan.is_finished());
        let mut refusals = manager.refusals();
        let open = self.0.status().size.saturating_sub(refusals.places.len());
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
        self.0.retain(|place, _| {
            if !manager.is_current(place) {
                return false;
            }
            let is_unused = manager.is_unused(place) && surplus > 0;
            surplus -= usize::from(is_unused);
            !is_unused
        });
        if open < manager.min_connections && !manager.is_filling.swap(true, Ordering::AcqRel) {
            tokio::spawn(self.clone().fill());
        }
    }

    /// Opens connections until there are `min_connections`.
    async fn fill(self) {
        struct Filled<'a>(&'a AtomicBool);

        impl Drop for Filled<'_> {
            fn drop(&mut self) {
                self.0.store(false, Ordering::Release);
            }
        }

        let manager = self.0.manager();
        let _filled = Filled(&manager.is_filling);
        // Idle ones come first, and are held until the missing ones are open.
        let mut held = Vec::new();
        while self.counts().0 < manager.min_connections {
            let no_wait = Timeouts {
                wait: Some(Duration::ZERO),
                ..Timeouts::new()
            };
            match self.0.timeout_get(&no_wait).await {
                Ok(slot) if matches!(*slot, Place::Open(_)) => held.push(slot),
                _ => return,
            }
        }
    }
}

/// Frees a place that holds no connection.
fn vacate(slot: Slot) {
    drop(Object::take(slot));
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

/// Opens connections and judges whether they may be used again.
pub(super) struct ConnectionManager {
    target: Arc<Target>,
    max_connections: u32,
    min_connections: usize,
    acquire_timeout: Duration,
    idle_timeout: Duration,
    max_lifetime: Duration,
    pool: OnceLock<WeakPool<Self>>,
    /// Connections of earlier epochs are not used again.
    epoch: AtomicU64,
    epoch_begun: Mutex<Instant>,
    /// Openings whose caller has gone. The next caller takes one over, so that there are never more connections than
    /// places.
    orphans: Mutex<Vec<OpeningTask>>,
    homes: Mutex<Vec<Arc<Home>>>,
    refusals: Mutex<Refusals>,
    is_filling: AtomicBool,
    /// Connections that have left the pool and are not closed yet.
    closing: AtomicUsize,
    changed: Notify,
}

#[derive(Default)]
struct Refusals {
    places: Vec<Slot>,
    last: Option<Instant>,
}

impl Manager for ConnectionManager {
    type Type = Place;
    type Error = sqlx::Error;

    async fn create(&self) -> sqlx::Result<Place> {
        let adopted = lock(&self.orphans).pop();
        let mut opening = Opening {
            manager: self,
            task: Some(adopted.unwrap_or_else(|| (Instant::now(), self.open()))),
        };
        match timeout(self.patience(), &mut opening).await {
            Ok(Ok(backend)) => {
                let refused = mem::take(&mut self.refusals().places);
                refused.into_iter().for_each(vacate);
                Ok(Place::Open(Box::new(backend)))
            }
            Ok(Err(error)) if sqlstate(&error) == Some("53300") => Ok(Place::Refused(Some(error))),
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
        let left = mem::replace(place, Place::Closed);
        if let (Place::Open(backend), Ok(runtime)) = (left, Handle::try_current())
            && let Some(pool) = self.pool.get().and_then(WeakPool::upgrade)
        {
            self.closing.fetch_add(1, Ordering::AcqRel);
            let closing = Closing(pool);
            runtime.spawn(async move {
                let _closing = closing;
                let _ = timeout(MAX_PATIENCE, backend.connection.close()).await;
            });
        }
        self.changed.notify_waiters();
    }
}

impl ConnectionManager {
    /// How long one connection is waited for before another is tried.
    fn patience(&self) -> Duration {
        (self.acquire_timeout / 4).min(MAX_PATIENCE)
    }

    /// How long an attempt to open a connection may take.
    fn longest_opening(&self) -> Duration {
        let longest = (self.acquire_timeout / 3).max(MAX_PATIENCE);
        longest.min(self.acquire_timeout)
    }

    fn refusals(&self) -> MutexGuard<'_, Refusals> {
        lock(&self.refusals)
    }

    /// Whether a connection may serve another caller.
    fn is_current(&self, place: &Place) -> bool {
        match place {
            Place::Open(backend) => {
                backend.is_fit
                    && backend.epoch == self.epoch.load(Ordering::Acquire)
                    && backend.opened_at.elapsed() < self.max_lifetime
                    && backend.home.pulse() != Pulse::Dead
            }
            Place::Refused(_) | Place::Closed => false,
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
        let epoch = self.epoch.load(Ordering::Acquire);
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
    fn home(&self) -> Arc<Home> {
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

/// Looks after the pool for as long as it is there, and tells that its runtime runs.
async fn upkeep(pool: WeakPool<ConnectionManager>, residence: Residence) {
    loop {
        residence.0.beat();
        let Some(pool) = pool.upgrade().filter(|pool| !pool.is_closed()) else {
            return;
        };
        OwnPool(pool).tidy();
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

/// A connection that is being closed.
struct Closing(Pool);

impl Drop for Closing {
    fn drop(&mut self) {
        let manager = self.0.manager();
        manager.closing.fetch_sub(1, Ordering::AcqRel);
        manager.changed.notify_waiters();
    }
}

/// A connection that is being opened for a caller.
struct Opening<'a> {
    manager: &'a ConnectionManager,
    /// Until it has ended.
    task: Option<OpeningTask>,
}

/// With the time at which it began.
type OpeningTask = (Instant, JoinHandle<sqlx::Result<Backend>>);

impl Opening<'_> {
    fn age(&self) -> Duration {
        let begun = self.task.as_ref().map(|(begun, _)| begun);
        begun.map_or(Duration::ZERO, Instant::elapsed)
    }

    fn abort(&mut self) {
        if let Some((_, task)) = self.task.take() {
            task.abort();
        }
    }
}

impl Future for Opening<'_> {
    type Output = sqlx::Result<Backend>;

    fn poll(
        mut self: std::pin::Pin<&mut Self>,
        context: &mut std::task::Context<'_>,
    ) -> std::task::Poll<Self::Output> {
        let Some((_, task)) = &mut self.task else {
            return std::task::Poll::Pending;
        };
        std::pin::Pin::new(task).poll(context).map(|ended| {
            self.task = None;
            // Its runtime has ended.
            ended.unwrap_or_else(|error| Err(io::Error::other(error).into()))
        })
    }
}

impl Drop for Opening<'_> {
    fn drop(&mut self) {
        if let Some(task) = self.task.take() {
            lock(&self.manager.orphans).push(task);
        }
    }
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}
