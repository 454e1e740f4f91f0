use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Duration;

/// Others wait for it in the pool, which may also have to retire it.
const LONGEST_KEPT: Duration = Duration::from_millis(50);

/// A connection on loan from the pool.
pub(super) trait OnLoan {
    /// For how long it has been.
    fn age(&self) -> Duration;
}

/// Connections that pass from one lookup to the next, as each return to the pool costs a round trip.
///
/// There are never more of them than lookups under way, none while anyone waits for the pool, and each goes back after
/// [`LONGEST_KEPT`]; so the pool misses none for long that nobody uses.
pub(super) struct Kept<L>(Mutex<State<L>>);

struct State<L> {
    look_ups: usize,
    waiting: usize,
    loans: Vec<L>,
}

impl<L: OnLoan> Kept<L> {
    pub(super) fn new() -> Self {
        Self(Mutex::new(State {
            look_ups: 0,
            waiting: 0,
            loans: Vec::new(),
        }))
    }

    /// A connection that was kept, or a new loan.
    pub(super) async fn acquire<E>(
        &self,
        new_loan: impl Future<Output = Result<L, E>>,
    ) -> Result<L, E> {
        while let Some(loan) = self.take() {
            if loan.age() < LONGEST_KEPT {
                return Ok(loan);
            }
        }
        let _waiting = Waiting(self);
        new_loan.await
    }

    pub(super) fn begin_look_up(&self) -> LookingUp<'_, L> {
        self.state().look_ups += 1;
        LookingUp(self)
    }

    /// Where there is none, the caller waits from now on: what others have done with by then must go to the pool.
    fn take(&self) -> Option<L> {
        let mut state = self.state();
        let loan = state.loans.pop();
        if loan.is_none() {
            state.waiting += 1;
        }
        loan
    }

    fn state(&self) -> MutexGuard<'_, State<L>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

struct Waiting<'a, L: OnLoan>(&'a Kept<L>);

impl<L: OnLoan> Drop for Waiting<'_, L> {
    fn drop(&mut self) {
        self.0.state().waiting -= 1;
    }
}

/// A lookup that is under way.
pub(super) struct LookingUp<'a, L: OnLoan>(&'a Kept<L>);

impl<L: OnLoan> LookingUp<'_, L> {
    /// Ends it, and keeps its connection for the next one.
    pub(super) fn keep(self, loan: L) {
        if loan.age() < LONGEST_KEPT {
            let mut state = self.0.state();
            if state.waiting == 0 {
                state.loans.push(loan);
            }
        }
    }
}

impl<L: OnLoan> Drop for LookingUp<'_, L> {
    fn drop(&mut self) {
        let mut state = self.0.state();
        state.look_ups -= 1;
        let most = state.look_ups.min(state.loans.len());
        let surplus = state.loans.split_off(most);
        drop(state);
        drop(surplus);
    }
}

#[cfg(test)]
mod tests {
    use std::convert::Infallible;
    use std::future::pending;
    use std::pin::pin;
    use std::sync::atomic::{AtomicUsize, Ordering};
    use std::task::{Context, Waker};
    use std::time::Duration;

    use super::{Kept, LONGEST_KEPT, OnLoan};

    /// Counts those that went back.
    struct Loan<'a>(Duration, &'a AtomicUsize);

    impl OnLoan for Loan<'_> {
        fn age(&self) -> Duration {
            self.0
        }
    }

    impl Drop for Loan<'_> {
        fn drop(&mut self) {
            self.1.fetch_add(1, Ordering::Relaxed);
        }
    }

    fn fresh(back: &AtomicUsize) -> Loan<'_> {
        Loan(Duration::ZERO, back)
    }

    /// Whether a caller finds one; the pool has none.
    fn finds_one(kept: &Kept<Loan<'_>>) -> bool {
        let mut acquire = pin!(kept.acquire(pending::<Result<_, Infallible>>()));
        let mut context = Context::from_waker(Waker::noop());
        acquire.as_mut().poll(&mut context).is_ready()
    }

    #[test]
    fn it_passes_to_the_next_while_a_lookup_is_under_way() {
        let (back, kept) = (AtomicUsize::new(0), Kept::new());
        let other = kept.begin_look_up();
        kept.begin_look_up().keep(fresh(&back));
        assert_eq!(back.load(Ordering::Relaxed), 0);
        assert!(finds_one(&kept));
        assert!(!finds_one(&kept));
        drop(other);
    }

    #[test]
    fn none_is_kept_once_lookups_end() {
        let (back, kept) = (AtomicUsize::new(0), Kept::new());
        let [first, second, failed] = [(); 3].map(|()| kept.begin_look_up());
        first.keep(fresh(&back));
        second.keep(fresh(&back));
        assert_eq!(back.load(Ordering::Relaxed), 1, "one lookup is under way");
        drop(failed);
        assert_eq!(back.load(Ordering::Relaxed), 2);
        assert!(!finds_one(&kept));
    }

    #[test]
    fn none_is_kept_while_anyone_waits() {
        let (back, kept) = (AtomicUsize::new(0), Kept::new());
        let _other = kept.begin_look_up();
        {
            let mut waiting = pin!(kept.acquire(pending::<Result<_, Infallible>>()));
            let mut context = Context::from_waker(Waker::noop());
            assert!(waiting.as_mut().poll(&mut context).is_pending());
            kept.begin_look_up().keep(fresh(&back));
            assert_eq!(back.load(Ordering::Relaxed), 1);
        }
        kept.begin_look_up().keep(fresh(&back));
        assert_eq!(back.load(Ordering::Relaxed), 1, "nobody waits any more");
    }

    #[test]
    fn an_old_one_goes_back() {
        let (back, kept) = (AtomicUsize::new(0), Kept::new());
        let _other = kept.begin_look_up();
        kept.begin_look_up().keep(Loan(LONGEST_KEPT, &back));
        assert_eq!(back.load(Ordering::Relaxed), 1);
    }

    #[test]
    fn one_that_has_grown_old_is_not_used() {
        let (back, kept) = (AtomicUsize::new(0), Kept::new());
        let _other = kept.begin_look_up();
        kept.state().loans.push(Loan(LONGEST_KEPT, &back));
        assert!(!finds_one(&kept));
        assert_eq!(back.load(Ordering::Relaxed), 1);
    }
}
