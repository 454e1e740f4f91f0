//! Lookups that wait for the server at the same time, answered together.

use std::collections::{BTreeMap, HashMap};
use std::pin::pin;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use tokio::sync::oneshot;
use tokio::time::timeout;

use crate::{AuthError, AuthResult};

#[cfg(test)]
#[path = "batch_tests.rs"]
mod tests;

/// Most lookups that are under way alone, each in its caller's own task, with nothing added to its latency.
const MOST_ALONE: u32 = 8;
/// Most batches that are under way.
const MOST_BATCHES: u32 = 3;
/// For how many lookups alone a batch counts: a busy server gets more done with few large ones.
const BATCH_WEIGHT: u32 = 3;
/// Most keys of a statement.
const MOST_KEYS: usize = 1000;
/// How often a batch is looked at that has no answer. Where that is the second time since it was sent, it may have met a
/// dead connection, and others go on in its place.
const LOOK: Duration = Duration::from_millis(500);

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
}

/// Answers a few lookups at a time each by a statement of its own, and those that come meanwhile by common ones.
///
/// A statement takes its keys when it has a connection, so an answer is never older than the call. A failed common
/// statement leaves each of its callers to a statement of its own, unless nothing can be reached: a row that cannot be
/// read is the matter of those who want it, and a `statement_timeout` may be long enough for one.
pub(super) struct Batcher<R> {
    most_alone: u32,
    most_batches: u32,
    state: Mutex<State<R>>,
}

struct State<R> {
    alone: u32,
    batches: u32,
    next_ticket: u64,
    /// By ticket. While there are any, a batch is under way, and will take them next.
    waiting: BTreeMap<u64, Waiting<R>>,
}

struct Waiting<R> {
    key: String,
    answer: Answer<R>,
}

/// Dropped where the caller is to ask alone.
type Answer<R> = oneshot::Sender<AuthResult<Option<R>>>;

impl<R> Batcher<R> {
    pub(super) fn new(connections: u32) -> Self {
        Self {
            most_alone: MOST_ALONE.min(connections),
            most_batches: MOST_BATCHES.min(connections),
            state: Mutex::new(State {
                alone: 0,
                batches: 0,
                next_ticket: 0,
                waiting: BTreeMap::new(),
            }),
        }
    }

    fn state(&self) -> MutexGuard<'_, State<R>> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn enter(self: &Arc<Self>, key: &str) -> Turn<R> {
        let mut state = self.state();
        let under_way = state.alone + BATCH_WEIGHT * state.batches;
        if state.waiting.is_empty() && under_way < self.most_alone {
            state.alone += 1;
            return Turn::Alone(Alone(Arc::clone(self)));
        }
        let ticket = state.next_ticket;
        state.next_ticket += 1;
        let (answer, receiver) = oneshot::channel();
        let key = key.to_owned();
        state.waiting.insert(ticket, Waiting { key, answer });
        let batches = (state.batches < self.most_batches).then(|| {
            state.batches += 1;
            Batches {
                batcher: Arc::clone(self),
                ended: false,
            }
        });
        drop(state);
        let waiter = Waiter {
            batcher: Arc::clone(self),
            ticket: Some(ticket),
            receiver,
        };
        Turn::Together(waiter, batches)
    }
}

impl<R: Keyed> Batcher<R> {
    /// The row of a key.
    pub(super) async fn get(
        self: &Arc<Self>,
        key: &str,
        source: &impl Source<R>,
    ) -> AuthResult<Option<R>> {
        let (waiter, batches) = match self.enter(key) {
            Turn::Alone(_alone) => return ask_alone(key, source).await,
            Turn::Together(waiter, batches) => (waiter, batches),
        };
        if let Some(batches) = batches {
            batches.start(source);
        }
        let answer = waiter.wait(source.longest_wait(), source.longest_answer());
        match answer.await {
            Waited::Answer(answer) => answer,
            Waited::Nothing => ask_alone(key, source).await,
            Waited::TooLong => Err(source.timed_out()),
        }
    }
}

async fn ask_alone<R>(key: &str, source: &impl Source<R>) -> AuthResult<Option<R>> {
    let rows = source.find(|| vec![key.to_owned()]).await;
    let rows = rows.map_err(|failure| source.error(failure))?;
    Ok(rows.into_iter().next())
}

enum Turn<R> {
    Alone(Alone<R>),
    /// With batches to be run where more may be under way.
    Together(Waiter<R>, Option<Batches<R>>),
}

/// Among the lookups that are under way alone.
struct Alone<R>(Arc<Batcher<R>>);

impl<R> Drop for Alone<R> {
    fn drop(&mut self) {
        self.0.state().alone -= 1;
    }
}

/// A caller who waits for a batch.
struct Waiter<R> {
    batcher: Arc<Batcher<R>>,
    /// Until it has an answer.
    ticket: Option<u64>,
    receiver: oneshot::Receiver<AuthResult<Option<R>>>,
}

enum Waited<R> {
    Answer(AuthResult<Option<R>>),
    Nothing,
    TooLong,
}

impl<R> Waiter<R> {
    async fn wait(mut self, longest_wait: Duration, longest_answer: Duration) -> Waited<R> {
        let mut answer = timeout(longest_wait, &mut self.receiver).await;
        if answer.is_err() {
            if self.leave() {
                return Waited::TooLong;
            }
            // It was taken, and the statement ends by itself, unless nobody drives the runtime that it is on.
            answer = timeout(longest_answer, &mut self.receiver).await;
        }
        self.ticket = None;
        match answer {
            Ok(Ok(answer)) => Waited::Answer(answer),
            _ => Waited::Nothing,
        }
    }

    /// Whether it was waiting still.
    fn leave(&mut self) -> bool {
        let ticket = self.ticket.take();
        ticket.is_some_and(|ticket| self.batcher.state().waiting.remove(&ticket).is_some())
    }
}

impl<R> Drop for Waiter<R> {
    fn drop(&mut self) {
        self.leave();
    }
}

/// Common statements, one after the other until nobody waits.
struct Batches<R> {
    batcher: Arc<Batcher<R>>,
    ended: bool,
}

impl<R: Keyed> Batches<R> {
    fn start(self, source: &impl Source<R>) {
        tokio::spawn(self.run(source.clone()));
    }

    async fn run<S: Source<R>>(self, source: S) {
        let batcher = Arc::clone(&self.batcher);
        let mut in_place = Some(self);
        while let Some(batches) = &mut in_place {
            // Those who have just got an answer may want the next one.
            tokio::task::yield_now().await;
            let Some(newest) = batches.newest_ticket() else {
                return;
            };
            let batch = Mutex::new(Batch::default());
            let taken = || batch.lock().unwrap_or_else(PoisonError::into_inner);
            let found = {
                let mut finding = pin!(source.find(|| {
                    let mut batch = taken();
                    batch.take(&batcher, u64::MAX);
                    batch.keys()
                }));
                let mut was_sent = false;
                loop {
                    if let Ok(found) = timeout(LOOK, &mut finding).await {
                        break found;
                    }
                    // Others would get a connection no sooner than one that waits for it.
                    if let Some(others) = in_place.take_if(|_| was_sent) {
                        others.start(&source);
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
                        batch.take(&batcher, newest);
                    }
                    if S::concerns_all(&failure) {
                        batch.fail(&source.error(failure));
                    }
                }
            }
        }
    }

    /// The last of those who wait. Where nobody does, this is the end, before anyone counts on it.
    fn newest_ticket(&mut self) -> Option<u64> {
        let mut state = self.batcher.state();
        let newest = state.waiting.last_key_value().map(|(&ticket, _)| ticket);
        if newest.is_none() {
            state.batches -= 1;
            self.ended = true;
        }
        newest
    }
}

impl<R> Drop for Batches<R> {
    fn drop(&mut self) {
        if self.ended {
            return;
        }
        let mut state = self.batcher.state();
        state.batches -= 1;
        if state.batches == 0 {
            // The runtime has ended, and they have others.
            let left = std::mem::take(&mut state.waiting);
            drop(state);
            drop(left);
        }
    }
}

/// Whom a common statement answers, by key.
struct Batch<R>(HashMap<String, Vec<Answer<R>>>);

impl<R> Default for Batch<R> {
    fn default() -> Self {
        Self(HashMap::new())
    }
}

impl<R: Keyed> Batch<R> {
    /// Takes those who wait, the oldest first, up to a ticket.
    fn take(&mut self, batcher: &Batcher<R>, newest: u64) {
        let mut state = batcher.state();
        while self.0.len() < MOST_KEYS
            && let Some(first) = state.waiting.first_entry()
            && *first.key() <= newest
        {
            let Waiting { key, answer } = first.remove();
            self.0.entry(key).or_default().push(answer);
        }
    }

    fn keys(&self) -> Vec<String> {
        self.0.keys().cloned().collect()
    }

    // Whoever has gone meanwhile gets nothing.

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
