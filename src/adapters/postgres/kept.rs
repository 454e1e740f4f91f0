use std::collections::BTreeMap;
use std::future::poll_fn;
use std::pin::{Pin, pin};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::task::Poll;
use std::time::{Duration, Instant};

use tokio::sync::oneshot;

/// How long a connection may be away from its pool, which has to look after it, and for which others wait there.
const LONGEST_LOAN: Duration = Duration::from_millis(50);
/// How long one is kept that nobody uses, at least; at most twice as long.
const LONGEST_IDLE: Duration = Duration::from_millis(5);

/// A connection on loan from the pool, to which it goes back when it is dropped.
pub(super) trait Loan: Send + 'static {
    fn age(&self) -> Duration;
}

/// Connections that pass from one statement to the next, as each return to the pool costs a round trip.
pub(super) struct Kept<L>(Mutex<State<L>>);

struct State<L> {
    /// With the time since which each is idle. None while anyone waits.
    idle: Vec<(Instant, L)>,
    next_ticket: u64,
    waiting: BTreeMap<u64, oneshot::Sender<L>>,
    has_keeper: bool,
}

impl<L: Loan> Kept<L> {
    pub(super) fn new() -> Self {
        Self(Mutex::new(State {
            idle: Vec::new(),
            next_ticket: 0,
            waiting: BTreeMap::new(),
            has_keeper: false,
        }))
    }

    /// A connection that another statement has done with, or a new loan. Whoever may have the pool open a connection
    /// takes none over meanwhile, so that the pool comes to its full size.
    pub(super) async fn acquire<E>(
        &self,
        pool_is_full: bool,
        new_loan: impl Future<Output = Result<L, E>>,
    ) -> Result<L, E> {
        let (mut passed_on, _waiting) = match self.take(pool_is_full) {
            Turn::Now(loan) => return Ok(loan),
            Turn::Pool => return new_loan.await,
            Turn::Waits(receiver, waiting) => (receiver, waiting),
        };
        let mut new_loan = pin!(new_loan);
        poll_fn(|context| match new_loan.as_mut().poll(context) {
            Poll::Pending => match Pin::new(&mut passed_on).poll(context) {
                Poll::Ready(Ok(loan)) => Poll::Ready(Ok(loan)),
                _ => Poll::Pending,
            },
            ready @ Poll::Ready(_) => ready,
        })
        .await
    }

    /// Passes a connection on, to who waits or who comes next.
    pub(super) fn keep(self: &Arc<Self>, mut loan: L) {
        if loan.age() >= LONGEST_LOAN {
            return;
        }
        let needs_keeper = loop {
            let mut state = self.state();
            let Some((_, next)) = state.waiting.pop_first() else {
                state.idle.push((Instant::now(), loan));
                break !std::mem::replace(&mut state.has_keeper, true);
            };
            drop(state);
            match next.send(loan) {
                Ok(()) => return,
                Err(back) => loan = back,
            }
        };
        // A runtime that is ending drops the keeper at once, and that locks the state.
        if needs_keeper {
            tokio::spawn(Keeper(Arc::clone(self)).run());
        }
    }

    fn take(&self, may_wait: bool) -> Turn<'_, L> {
        let mut state = self.state();
        // The one used last, so that those that are not needed go back.
        if let Some((_, loan)) = state.idle.pop() {
            return Turn::Now(loan);
        }
        if !may_wait {
            return Turn::Pool;
        }
        let ticket = state.next_ticket;
        state.next_ticket += 1;
        let (sender, receiver) = oneshot::channel();
        state.waiting.insert(ticket, sender);
        Turn::Waits(receiver, Waiting { kept: self, ticket })
    }

    fn state(&self) -> MutexGuard<'_, State<L>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

enum Turn<'a, L: Loan> {
    Now(L),
    Pool,
    Waits(oneshot::Receiver<L>, Waiting<'a, L>),
}

/// In the queue.
struct Waiting<'a, L: Loan> {
    kept: &'a Kept<L>,
    ticket: u64,
}

impl<L: Loan> Drop for Waiting<'_, L> {
    fn drop(&mut self) {
        self.kept.state().waiting.remove(&self.ticket);
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

#[cfg(test)]
mod tests {
    use std::convert::Infallible;
    use std::future::{pending, ready};
    use std::sync::Arc;
    use std::sync::atomic::{AtomicUsize, Ordering};
    use std::time::Duration;

    use tokio::task::yield_now;
    use tokio::time::{sleep, timeout};

    use super::{Kept, LONGEST_IDLE, LONGEST_LOAN, Loan};

    /// Counts those that went back to the pool.
    struct Counted(&'static str, Duration, Arc<AtomicUsize>);

    impl Loan for Counted {
        fn age(&self) -> Duration {
            self.1
        }
    }

    impl Drop for Counted {
        fn drop(&mut self) {
            self.2.fetch_add(1, Ordering::Relaxed);
        }
    }

    #[derive(Default)]
    struct Pool(Arc<AtomicUsize>);

    impl Pool {
        fn lend(&self, name: &'static str) -> Counted {
            Counted(name, Duration::ZERO, Arc::clone(&self.0))
        }

        fn back(&self) -> usize {
            self.0.load(Ordering::Relaxed)
        }
    }

    /// The name of what a caller gets while the pool has none left.
    async fn acquire(kept: Arc<Kept<Counted>>) -> &'static str {
        let new_loan = pending::<Result<_, Infallible>>();
        let loan = kept.acquire(true, new_loan).await.unwrap();
        let name = loan.0;
        kept.keep(loan);
        name
    }

    #[tokio::test]
    async fn the_one_used_last_is_used_next() {
        let (kept, pool) = (Arc::new(Kept::new()), Pool::default());
        kept.keep(pool.lend("a"));
        kept.keep(pool.lend("b"));
        for _ in 0..3 {
            assert_eq!(acquire(Arc::clone(&kept)).await, "b");
        }
        assert_eq!(pool.back(), 0);
    }

    #[tokio::test]
    async fn who_waits_longest_is_next() {
        let (kept, pool) = (Arc::new(Kept::new()), Pool::default());
        let [first, dropped, second] = [(); 3].map(|()| tokio::spawn(acquire(Arc::clone(&kept))));
        yield_now().await;
        assert_eq!(kept.state().waiting.len(), 3);
        dropped.abort();
        yield_now().await;
        assert_eq!(kept.state().waiting.len(), 2);
        kept.keep(pool.lend("a"));
        assert_eq!(kept.state().waiting.len(), 1, "it is the first one's");
        assert_eq!((first.await.unwrap(), second.await.unwrap()), ("a", "a"));
        assert!(kept.state().waiting.is_empty());
        assert_eq!(pool.back(), 0);
    }

    #[tokio::test]
    async fn the_pool_comes_first() {
        let (kept, pool) = (Arc::new(Kept::new()), Pool::default());
        let new_loan = ready(Ok::<_, Infallible>(pool.lend("new")));
        let loan = kept.acquire(true, new_loan).await.unwrap();
        assert_eq!(loan.0, "new");
        assert!(kept.state().waiting.is_empty());
    }

    #[tokio::test(start_paused = true)]
    async fn a_pool_that_may_grow_is_waited_for() {
        let (kept, pool) = (Arc::new(Kept::new()), Pool::default());
        let growing = kept.acquire(false, pending::<Result<_, Infallible>>());
        let growing = timeout(LONGEST_IDLE, growing);
        let kept_meanwhile = async { kept.keep(pool.lend("a")) };
        let (grown, ()) = tokio::join!(growing, kept_meanwhile);
        assert!(grown.is_err());
    }

    #[tokio::test]
    async fn a_long_loan_ends() {
        let (kept, pool) = (Arc::new(Kept::new()), Pool::default());
        kept.keep(Counted("a", LONGEST_LOAN, Arc::clone(&pool.0)));
        assert_eq!(pool.back(), 1);
        assert!(kept.state().idle.is_empty());
    }

    #[tokio::test]
    async fn what_nobody_uses_goes_back() {
        let (kept, pool) = (Arc::new(Kept::new()), Pool::default());
        kept.keep(pool.lend("a"));
        kept.keep(pool.lend("b"));
        while pool.back() < 2 {
            sleep(LONGEST_IDLE).await;
        }
        yield_now().await;
        assert!(!kept.state().has_keeper);
    }

    #[test]
    fn a_runtime_that_is_ending_keeps_nothing() {
        struct KeptAtTheEnd(Arc<Kept<Counted>>, Option<Counted>);

        impl Drop for KeptAtTheEnd {
            fn drop(&mut self) {
                self.0.keep(self.1.take().unwrap());
            }
        }

        let (kept, pool) = (Arc::new(Kept::new()), Pool::default());
        let at_the_end = KeptAtTheEnd(Arc::clone(&kept), Some(pool.lend("a")));
        let (ended, end) = std::sync::mpsc::channel();
        std::thread::spawn(move || {
            let runtime = tokio::runtime::Runtime::new().unwrap();
            runtime.spawn(async move {
                let _at_the_end = at_the_end;
                pending::<()>().await;
            });
            drop(runtime);
            ended.send(()).unwrap();
        });
        end.recv_timeout(Duration::from_secs(30))
            .expect("the runtime ends");
        assert_eq!(pool.back(), 1);
        assert!(!kept.state().has_keeper);
    }

    #[test]
    fn nothing_is_kept_beyond_the_runtime() {
        let (kept, pool) = (Arc::new(Kept::new()), Pool::default());
        let runtime = tokio::runtime::Builder::new_current_thread()
            .enable_time()
            .build()
            .unwrap();
        runtime.block_on(async { kept.keep(pool.lend("a")) });
        assert_eq!(pool.back(), 0);
        drop(runtime);
        assert_eq!(pool.back(), 1);
        assert!(!kept.state().has_keeper);
    }
}
