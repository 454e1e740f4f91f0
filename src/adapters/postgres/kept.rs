use std::collections::BTreeMap;
use std::future::poll_fn;
use std::pin::pin;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::task::Poll;
use std::time::Duration;

use tokio::sync::oneshot;
use tokio::time::{Instant, timeout};

use super::pool::TRUSTED_IDLE;

#[cfg(test)]
#[path = "kept_tests.rs"]
mod tests;

/// How long a connection may be away from its pool, which has to look after it, and for which others wait there.
const LONGEST_LOAN: Duration = Duration::from_millis(20);
/// How long one is kept that nobody uses, at least; at most twice as long.
const LONGEST_IDLE: Duration = Duration::from_millis(5);

/// A connection on loan from the pool, to which it goes back when it is dropped. It holds its place until then.
pub(super) trait Loan: Sized + Send + 'static {
    fn age(&self) -> Duration;
}

/// Connections that pass from one statement to the next, as each return to the pool costs a round trip.
pub(super) struct Kept<L: Loan>(Mutex<State<L>>);

struct State<L: Loan> {
    /// How many more may ask the pool for a connection.
    free_places: u32,
    /// With the time since which each is idle. None while anyone waits.
    idle: Vec<(Instant, L)>,
    next_ticket: u64,
    waiting: BTreeMap<u64, Waiting<L>>,
    has_keeper: bool,
}

/// The right to one of the pool's connections, held while it is asked for and while it is on loan.
pub(super) struct Place<L: Loan>(Arc<Kept<L>>);

struct Waiting<L: Loan> {
    /// Whether for a connection only, as it has a place.
    has_place: bool,
    next: oneshot::Sender<Next<L>>,
}

enum Next<L: Loan> {
    /// With the time since which it is idle.
    Loan(Instant, L),
    Place(Place<L>),
}

impl<L: Loan> Kept<L> {
    pub(super) fn new(connections: u32) -> Self {
        Self(Mutex::new(State {
            free_places: connections,
            idle: Vec::new(),
            next_ticket: 0,
            waiting: BTreeMap::new(),
            has_keeper: false,
        }))
    }

    /// A connection that another statement has done with, or one from the pool, where there is a place.
    ///
    /// A pool that is asked may be checking a connection or opening one, which would be lost if one passed on were taken
    /// instead. So none is, until the pool has needed longer than `patience`.
    pub(super) async fn acquire<E, F>(
        self: &Arc<Self>,
        patience: Duration,
        ask_pool: impl FnOnce(Place<L>) -> F,
    ) -> Result<L, E>
    where
        F: Future<Output = Result<L, E>>,
    {
        let place = match self.next(false).await {
            Next::Loan(_, loan) => return Ok(loan),
            Next::Place(place) => place,
        };
        let mut asked = pin!(ask_pool(place));
        if let Ok(answer) = timeout(patience, &mut asked).await {
            return answer;
        }
        let mut passed_on = pin!(self.next_loan());
        poll_fn(|context| match asked.as_mut().poll(context) {
            Poll::Pending => passed_on.as_mut().poll(context).map(Ok),
            ready @ Poll::Ready(_) => ready,
        })
        .await
    }

    /// Passes a connection on, to who waits or who comes next.
    pub(super) fn keep(self: &Arc<Self>, loan: L) {
        if loan.age() >= LONGEST_LOAN {
            return;
        }
        let mut next = Next::Loan(Instant::now(), loan);
        let needs_keeper = loop {
            let mut state = self.state();
            let Some((_, first)) = state.waiting.pop_first() else {
                let Next::Loan(since, loan) = next else {
                    return;
                };
                state.idle.push((since, loan));
                break !std::mem::replace(&mut state.has_keeper, true);
            };
            drop(state);
            match first.next.send(next) {
                Ok(()) => return,
                Err(back) => next = back,
            }
        };
        // A runtime that is ending drops the keeper at once, and that locks the state.
        if needs_keeper {
            tokio::spawn(Keeper(Arc::clone(self)).run());
        }
    }

    async fn next_loan(self: &Arc<Self>) -> L {
        loop {
            if let Next::Loan(_, loan) = self.next(true).await {
                return loan;
            }
        }
    }

    async fn next(self: &Arc<Self>, has_place: bool) -> Next<L> {
        loop {
            let next = match self.take(has_place) {
                Turn::Now(next) => Ok(next),
                Turn::Later(receiver, _queued) => receiver.await,
            };
            match next {
                // As when the process was stopped, or the runtime not driven. The pool looks whether it is alive.
                Ok(Next::Loan(since, _)) if since.elapsed() > TRUSTED_IDLE => {}
                Ok(next) => return next,
                Err(_) => {}
            }
        }
    }

    fn take(self: &Arc<Self>, has_place: bool) -> Turn<'_, L> {
        let mut state = self.state();
        // The one used last, so that those that are not needed go back.
        if let Some((since, loan)) = state.idle.pop() {
            return Turn::Now(Next::Loan(since, loan));
        }
        if !has_place && state.free_places > 0 {
            state.free_places -= 1;
            return Turn::Now(Next::Place(Place(Arc::clone(self))));
        }
        let ticket = state.next_ticket;
        state.next_ticket += 1;
        let (next, receiver) = oneshot::channel();
        state.waiting.insert(ticket, Waiting { has_place, next });
        Turn::Later(receiver, Queued { kept: self, ticket })
    }

    fn state(&self) -> MutexGuard<'_, State<L>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

enum Turn<'a, L: Loan> {
    Now(Next<L>),
    Later(oneshot::Receiver<Next<L>>, Queued<'a, L>),
}

struct Queued<'a, L: Loan> {
    kept: &'a Kept<L>,
    ticket: u64,
}

impl<L: Loan> Drop for Queued<'_, L> {
    fn drop(&mut self) {
        self.kept.state().waiting.remove(&self.ticket);
    }
}

impl<L: Loan> Drop for Place<L> {
    fn drop(&mut self) {
        let mut state = self.0.state();
        let mut waiting = state.waiting.iter();
        let first = waiting.find(|(_, waiting)| !waiting.has_place);
        let Some(ticket) = first.map(|(&ticket, _)| ticket) else {
            state.free_places += 1;
            return;
        };
        let first = state.waiting.remove(&ticket);
        drop(state);
        if let Some(first) = first {
            // Who has gone meanwhile drops it again.
            let _ = first.next.send(Next::Place(Self(Arc::clone(&self.0))));
        }
    }
}

/// Gives back what nobody uses.
struct Keeper<L: Loan>(Arc<Kept<L>>);

impl<L: Loan> Keeper<L> {
    async fn run(self) {
        loop {
            tokio::time::sleep(LONGEST_IDLE).await;
            let mut state = self.0.state();
            let idle = std::mem::take(&mut state.idle).into_iter();
            let (unused, used): (Vec<_>, _) =
                idle.partition(|(since, _)| since.elapsed() >= LONGEST_IDLE);
            state.idle = used;
            let ended = state.idle.is_empty();
            drop(state);
            drop(unused);
            if ended {
                return;
            }
        }
    }
}

impl<L: Loan> Drop for Keeper<L> {
    fn drop(&mut self) {
        let mut state = self.0.state();
        state.has_keeper = false;
        // Where the runtime has ended, or one was kept at the last moment.
        let idle = std::mem::take(&mut state.idle);
        drop(state);
        drop(idle);
    }
}
