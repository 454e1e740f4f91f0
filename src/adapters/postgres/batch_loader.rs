//! Lookups that wait for the server at the same time, answered together.

use std::collections::{BTreeMap, HashMap};
use std::pin::pin;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use tokio::sync::oneshot;
use tokio::time::{Instant, timeout};

use crate::adapters::telemetry;
use crate::{AuthError, AuthResult};

#[cfg(test)]
#[path = "batch_loader_tests.rs"]
mod tests;

/// Most lookups that are under way directly, each in its caller's own task, with nothing added to its latency.
const MAX_DIRECT: u32 = 8;
/// Most batches that are under way.
const MAX_WORKERS: u32 = 3;
/// For how many direct lookups a batch counts: a busy server gets more done with few large ones.
const WORKER_WEIGHT: u32 = 3;
/// Most keys of a statement.
const MAX_KEYS: usize = 1000;
/// How often a worker looks at a batch that has no answer. The second time since the batch was sent, it may have met a
/// dead connection, and another worker goes on in its place.
const STALL_CHECK: Duration = Duration::from_millis(500);
/// A worker that has not run for so long is replaced: its runtime stands still.
const STALLED: Duration = Duration::from_secs(1);

/// A row that is found by a key.
pub(super) trait Keyed: Clone + Send + 'static {
    fn key(&self) -> &str;
}

/// Where rows are.
pub(super) trait Source<R>: Clone + Send + Sync + 'static {
    type Failure: Send;

    /// Longest wait for the turn to be asked for.
    fn longest_wait(&self) -> Duration;

    /// What a caller is told who has waited for so long.
    fn timed_out(&self) -> AuthError;

    /// How much longer a caller waits whose turn has come, for an answer that never comes.
    fn longest_answer(&self) -> Duration;

    /// Whether every statement would fail like this one, for now.
    fn concerns_all(failure: &Self::Failure) -> bool;

    /// What a caller is told.
    fn error(&self, failure: Self::Failure) -> AuthError;

    /// Finds the rows of the keys that `take` gives. It is called when the statement can be sent, and again when it has
    /// to be sent again.
    fn find(
        &self,
        take: impl Fn() -> Vec<String> + Send + Sync,
    ) -> impl Future<Output = Result<Vec<R>, Self::Failure>> + Send;

    /// As [`find`](Self::find), for several callers.
    fn find_for_batch(
        &self,
        take: impl Fn() -> Vec<String> + Send + Sync,
    ) -> impl Future<Output = Result<Vec<R>, Self::Failure>> + Send {
        self.find(take)
    }
}

/// Answers a few lookups at a time directly, each by one statement, and further ones in batches.
///
/// A statement takes its keys when it has a connection, so an answer is never older than the call. If a batch fails and the
/// server can be reached, each of its callers sends a separate statement: a row that cannot be read then fails only the
/// callers who want it, and a `statement_timeout` may be long enough for one row.
pub(super) struct BatchLoader<R> {
    max_direct: u32,
    max_workers: usize,
    state: Mutex<State<R>>,
}

struct State<R> {
    direct: u32,
    /// Which workers there are, with the time at which each ran last.
    workers: Vec<(u64, Instant)>,
    next_worker: u64,
    next_ticket: u64,
    /// By ticket. While there are any, there is a worker, and it will take them next.
    pending: BTreeMap<u64, Pending<R>>,
}

struct Pending<R> {
    key: String,
    answer: Answer<R>,
}

/// Dropped if the caller is to ask directly.
type Answer<R> = oneshot::Sender<AuthResult<Option<R>>>;

impl<R> BatchLoader<R> {
    pub(super) fn new(connections: u32) -> Self {
        Self {
            max_direct: MAX_DIRECT.min(connections),
            max_workers: MAX_WORKERS.min(connections) as usize,
            state: Mutex::new(State {
                direct: 0,
                workers: Vec::new(),
                next_worker: 0,
                next_ticket: 0,
                pending: BTreeMap::new(),
            }),
        }
    }

    fn state(&self) -> MutexGuard<'_, State<R>> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn enter(self: &Arc<Self>, key: &str) -> Admission<R> {
        let mut state = self.state();
        let workers = u32::try_from(state.workers.len()).unwrap_or(u32::MAX);
        let under_way = state.direct + WORKER_WEIGHT * workers;
        if state.pending.is_empty() && under_way < self.max_direct {
            state.direct += 1;
            return Admission::Direct(DirectSlot(Arc::clone(self)));
        }
        let ticket = state.next_ticket;
        state.next_ticket += 1;
        let (answer, receiver) = oneshot::channel();
        let key = key.to_owned();
        state.pending.insert(ticket, Pending { key, answer });
        let worker = (state.workers.len() < self.max_workers).then(|| self.hire(&mut state));
        drop(state);
        let waiter = Waiter {
            loader: Arc::clone(self),
            ticket: Some(ticket),
            receiver,
        };
        Admission::Queued(waiter, worker)
    }

    fn hire(self: &Arc<Self>, state: &mut State<R>) -> Worker<R> {
        let id = state.next_worker;
        state.next_worker += 1;
        state.workers.push((id, Instant::now()));
        Worker {
            loader: Arc::clone(self),
            id,
        }
    }
}

impl<R: Keyed> BatchLoader<R> {
    /// The row of a key.
    pub(super) async fn get(
        self: &Arc<Self>,
        key: &str,
        source: &impl Source<R>,
    ) -> AuthResult<Option<R>> {
        let (waiter, worker) = match self.enter(key) {
            Admission::Direct(_slot) => return ask_directly(key, source).await,
            Admission::Queued(waiter, worker) => (waiter, worker),
        };
        if let Some(worker) = worker {
            worker.start(source);
        }
        match waiter.wait(source).await {
            WaitOutcome::Answer(answer) => {
                telemetry::answered_by_batch();
                answer
            }
            WaitOutcome::Unanswered => ask_directly(key, source).await,
            WaitOutcome::TooLong => Err(source.timed_out()),
        }
    }
}

async fn ask_directly<R>(key: &str, source: &impl Source<R>) -> AuthResult<Option<R>> {
    // In a box, so that the futures of those who wait for others' answers stay small.
    let rows = Box::pin(source.find(|| vec![key.to_owned()])).await;
    let rows = rows.map_err(|failure| source.error(failure))?;
    Ok(rows.into_iter().next())
}

enum Admission<R> {
    Direct(DirectSlot<R>),
    /// With a worker to be started, if there may be one more.
    Queued(Waiter<R>, Option<Worker<R>>),
}

/// Counts a lookup that is under way directly.
struct DirectSlot<R>(Arc<BatchLoader<R>>);

impl<R> Drop for DirectSlot<R> {
    fn drop(&mut self) {
        self.0.state().direct -= 1;
    }
}

/// A caller who waits for a batch.
struct Waiter<R> {
    loader: Arc<BatchLoader<R>>,
    /// Until it has an answer.
    ticket: Option<u64>,
    receiver: oneshot::Receiver<AuthResult<Option<R>>>,
}

enum WaitOutcome<R> {
    Answer(AuthResult<Option<R>>),
    Unanswered,
    TooLong,
}

/// What a caller does who has waited for a while.
enum Verdict<R> {
    GoOn,
    Replace(Worker<R>),
    Leave(WaitOutcome<R>),
}

impl<R: Keyed> Waiter<R> {
    async fn wait(mut self, source: &impl Source<R>) -> WaitOutcome<R> {
        let begun = Instant::now();
        loop {
            let until_timed_out = source.longest_wait().saturating_sub(begun.elapsed());
            let pause = match until_timed_out {
                Duration::ZERO => STALLED,
                left => left.min(STALLED),
            };
            if let Ok(answer) = timeout(pause, &mut self.receiver).await {
                self.ticket = None;
                return answer.map_or(WaitOutcome::Unanswered, WaitOutcome::Answer);
            }
            match self.judge(begun.elapsed(), source) {
                Verdict::GoOn => {}
                Verdict::Replace(worker) => worker.start(source),
                Verdict::Leave(outcome) => return outcome,
            }
        }
    }

    fn judge(&mut self, waited: Duration, source: &impl Source<R>) -> Verdict<R> {
        let mut state = self.loader.state();
        let is_pending = self
            .ticket
            .is_some_and(|ticket| state.pending.contains_key(&ticket));
        let before = state.workers.len();
        state.workers.retain(|(_, ran)| ran.elapsed() < STALLED);
        let has_stalled = state.workers.len() < before;
        if is_pending && waited >= source.longest_wait() {
            let ticket = self.ticket.take();
            drop(ticket.and_then(|ticket| state.pending.remove(&ticket)));
            return Verdict::Leave(WaitOutcome::TooLong);
        }
        if is_pending && state.workers.is_empty() {
            return Verdict::Replace(self.loader.hire(&mut state));
        }
        // It was taken, and the statement ends by itself, unless nobody drives the runtime that it is on.
        let limit = source
            .longest_wait()
            .saturating_add(source.longest_answer());
        if !is_pending && (has_stalled || waited >= limit) {
            return Verdict::Leave(WaitOutcome::Unanswered);
        }
        Verdict::GoOn
    }
}

impl<R> Drop for Waiter<R> {
    fn drop(&mut self) {
        if let Some(ticket) = self.ticket.take() {
            let left = self.loader.state().pending.remove(&ticket);
            drop(left);
        }
    }
}

/// Sends batches one after the other, until no caller waits.
struct Worker<R> {
    loader: Arc<BatchLoader<R>>,
    id: u64,
}

impl<R: Keyed> Worker<R> {
    fn start(self, source: &impl Source<R>) {
        tokio::spawn(self.run(source.clone()));
    }

    async fn run<S: Source<R>>(self, source: S) {
        let loader = Arc::clone(&self.loader);
        let mut in_place = Some(self);
        while let Some(worker) = &in_place {
            // Those who have just got an answer may want the next one.
            tokio::task::yield_now().await;
            let Some(newest) = worker.newest_ticket() else {
                return;
            };
            let batch = Mutex::new(Batch::default());
            let taken = || batch.lock().unwrap_or_else(PoisonError::into_inner);
            let found = {
                let mut finding = pin!(source.find_for_batch(|| {
                    let mut batch = taken();
                    batch.take(&loader, u64::MAX);
                    batch.keys()
                }));
                let mut was_sent = false;
                loop {
                    if let Ok(found) = timeout(STALL_CHECK, &mut finding).await {
                        break found;
                    }
                    // Another worker would get a connection no sooner than one that waits for it.
                    if let Some(other) = in_place.take_if(|_| was_sent) {
                        other.start(&source);
                    }
                    if let Some(worker) = &in_place {
                        worker.runs();
                    }
                    was_sent = !taken().0.is_empty();
                }
            };
            let mut batch = batch.into_inner().unwrap_or_else(PoisonError::into_inner);
            match found {
                Ok(rows) => batch.answer(rows),
                Err(failure) => {
                    if batch.0.is_empty() {
                        // No connection for those who have waited all the time.
                        batch.take(&loader, newest);
                    }
                    if S::concerns_all(&failure) {
                        batch.fail(&source.error(failure));
                    }
                }
            }
        }
    }

    /// Tells that its runtime is driven. Whether it is still one of the workers, and was not replaced.
    fn runs(&self) -> bool {
        let mut state = self.loader.state();
        state.note(self.id)
    }

    /// The newest of the waiting callers. If there is none, the worker ends here, before another caller relies on it.
    fn newest_ticket(&self) -> Option<u64> {
        let mut state = self.loader.state();
        let newest = state.pending.last_key_value().map(|(&ticket, _)| ticket);
        if newest.is_none() {
            state.dismiss(self.id);
        }
        newest.filter(|_| state.note(self.id))
    }
}

impl<R> State<R> {
    fn note(&mut self, id: u64) -> bool {
        let mut workers = self.workers.iter_mut();
        let worker = workers.find(|(other, _)| *other == id);
        worker.is_some_and(|(_, ran)| {
            *ran = Instant::now();
            true
        })
    }

    fn dismiss(&mut self, id: u64) -> bool {
        let before = self.workers.len();
        self.workers.retain(|(other, _)| *other != id);
        self.workers.len() < before
    }
}

impl<R> Drop for Worker<R> {
    fn drop(&mut self) {
        let mut state = self.loader.state();
        if state.dismiss(self.id) && state.workers.is_empty() {
            // The runtime has ended, and they have others.
            let left = std::mem::take(&mut state.pending);
            drop(state);
            drop(left);
        }
    }
}

/// Whom a statement answers, by key.
struct Batch<R>(HashMap<String, Vec<Answer<R>>>);

impl<R> Default for Batch<R> {
    fn default() -> Self {
        Self(HashMap::new())
    }
}

impl<R: Keyed> Batch<R> {
    /// Takes those who wait, the oldest first, up to a ticket.
    fn take(&mut self, loader: &BatchLoader<R>, newest: u64) {
        let mut state = loader.state();
        while self.0.len() < MAX_KEYS
            && let Some(first) = state.pending.first_entry()
            && *first.key() <= newest
        {
            let Pending { key, answer } = first.remove();
            self.0.entry(key).or_default().push(answer);
        }
    }

    fn keys(&self) -> Vec<String> {
        self.0.keys().cloned().collect()
    }

    // A caller who has gone gets nothing.

    fn answer(&mut self, rows: Vec<R>) {
        for row in rows {
            let mut answers = self.0.remove(row.key()).unwrap_or_default();
            let last = answers.pop();
            for answer in answers {
                let _ = answer.send(Ok(Some(row.clone())));
            }
            if let Some(last) = last {
                let _ = last.send(Ok(Some(row)));
            }
        }
        for answer in self.0.drain().flat_map(|(_, answers)| answers) {
            let _ = answer.send(Ok(None));
        }
    }

    fn fail(self, error: &AuthError) {
        for answer in self.0.into_values().flatten() {
            let _ = answer.send(Err(error.clone()));
        }
    }
}
