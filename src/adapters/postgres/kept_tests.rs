use std::convert::Infallible;
use std::future::pending;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use tokio::task::yield_now;
use tokio::time::{Instant, sleep};

use super::{Kept, LONGEST_IDLE, LONGEST_LOAN, Loan, Place, TRUSTED_IDLE};

const PATIENCE: Duration = Duration::from_secs(5);

/// Counts those that went back to the pool.
struct Counted {
    name: &'static str,
    age: Duration,
    back: Arc<AtomicUsize>,
    place: Option<Place<Self>>,
}

impl Loan for Counted {
    fn age(&self) -> Duration {
        self.age
    }
}

impl Drop for Counted {
    fn drop(&mut self) {
        self.back.fetch_add(1, Ordering::Relaxed);
    }
}

#[derive(Clone, Default)]
struct Pool(Arc<AtomicUsize>);

impl Pool {
    fn lend(&self, name: &'static str) -> Counted {
        Counted {
            name,
            age: Duration::ZERO,
            back: Arc::clone(&self.0),
            place: None,
        }
    }

    fn back(&self) -> usize {
        self.0.load(Ordering::Relaxed)
    }
}

/// The name of what a caller gets, from a pool that lends "new" after a time.
async fn acquire(kept: Arc<Kept<Counted>>, pool: Pool, after: Duration) -> &'static str {
    let loan = kept.acquire(PATIENCE, |place| async move {
        sleep(after).await;
        let mut loan = pool.lend("new");
        loan.place = Some(place);
        Ok::<_, Infallible>(loan)
    });
    let loan = loan.await.unwrap();
    let name = loan.name;
    kept.keep(loan);
    name
}

fn kept(places: u32) -> (Arc<Kept<Counted>>, Pool) {
    (Arc::new(Kept::new(places)), Pool::default())
}

fn assert_nothing_is_left(kept: &Kept<Counted>, places: u32) {
    let state = kept.state();
    let left = (state.free_places, state.idle.len(), state.waiting.len());
    assert_eq!(left, (places, 0, 0));
}

#[tokio::test]
async fn the_one_used_last_is_used_next() {
    let (kept, pool) = kept(0);
    kept.keep(pool.lend("a"));
    kept.keep(pool.lend("b"));
    for _ in 0..3 {
        let name = acquire(Arc::clone(&kept), pool.clone(), Duration::ZERO);
        assert_eq!(name.await, "b");
    }
    assert_eq!(pool.back(), 0);
}

#[tokio::test]
async fn who_waits_longest_is_next() {
    let (kept, pool) = kept(0);
    let [first, dropped, second] =
        [(); 3].map(|()| tokio::spawn(acquire(Arc::clone(&kept), pool.clone(), Duration::ZERO)));
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

#[tokio::test(start_paused = true)]
async fn the_pool_is_asked_by_as_many_as_there_are_places() {
    let (kept, pool) = kept(2);
    let callers = [(); 3].map(|()| {
        tokio::spawn(acquire(
            Arc::clone(&kept),
            pool.clone(),
            Duration::from_secs(1),
        ))
    });
    sleep(Duration::from_millis(500)).await;
    assert_eq!(kept.state().waiting.len(), 1);
    for caller in callers {
        assert_eq!(caller.await.unwrap(), "new");
    }
    sleep(LONGEST_IDLE * 2).await;
    assert_eq!(pool.back(), 2, "one passed on");
    assert_nothing_is_left(&kept, 2);
}

/// What it is about to lend would be lost.
#[tokio::test(start_paused = true)]
async fn a_pool_that_is_asked_is_waited_for() {
    let (kept, pool) = kept(1);
    let caller = tokio::spawn(acquire(Arc::clone(&kept), pool.clone(), PATIENCE / 2));
    yield_now().await;
    kept.keep(pool.lend("a"));
    assert_eq!(caller.await.unwrap(), "new");
}

#[tokio::test(start_paused = true)]
async fn a_pool_that_does_not_answer_is_given_up_for_one_passed_on() {
    let (kept, pool) = kept(1);
    let asks = tokio::spawn(acquire(Arc::clone(&kept), pool.clone(), PATIENCE * 3));
    sleep(PATIENCE * 3 / 2).await;
    let waits = tokio::spawn(acquire(Arc::clone(&kept), pool.clone(), Duration::ZERO));
    sleep(PATIENCE / 2).await;
    assert_eq!(kept.state().waiting.len(), 2);
    kept.keep(pool.lend("a"));
    // Whose place is then the other's.
    assert_eq!((asks.await.unwrap(), waits.await.unwrap()), ("a", "new"));
    sleep(LONGEST_IDLE * 2).await;
    assert_nothing_is_left(&kept, 1);
}

#[tokio::test(start_paused = true)]
async fn a_pool_that_answers_late_is_heard() {
    let (kept, pool) = kept(1);
    let caller = acquire(Arc::clone(&kept), pool.clone(), PATIENCE * 3);
    assert_eq!(caller.await, "new");
    sleep(LONGEST_IDLE * 2).await;
    assert_nothing_is_left(&kept, 1);
}

#[tokio::test(start_paused = true)]
async fn a_dropped_caller_leaves_its_place() {
    let (kept, pool) = kept(1);
    let dropped = tokio::spawn(acquire(Arc::clone(&kept), pool.clone(), PATIENCE * 3));
    yield_now().await;
    let waits = tokio::spawn(acquire(Arc::clone(&kept), pool.clone(), Duration::ZERO));
    yield_now().await;
    dropped.abort();
    assert_eq!(waits.await.unwrap(), "new");
    sleep(LONGEST_IDLE * 2).await;
    assert_nothing_is_left(&kept, 1);
}

#[tokio::test]
async fn one_that_was_idle_for_long_goes_back() {
    let (kept, pool) = kept(1);
    let long_ago = Instant::now() - 2 * TRUSTED_IDLE;
    kept.state().idle.push((long_ago, pool.lend("a")));
    let name = acquire(Arc::clone(&kept), pool.clone(), Duration::ZERO);
    assert_eq!(name.await, "new");
    assert_eq!(pool.back(), 1);
}

#[tokio::test]
async fn a_long_loan_ends() {
    let (kept, pool) = kept(0);
    let mut loan = pool.lend("a");
    loan.age = LONGEST_LOAN;
    kept.keep(loan);
    assert_eq!(pool.back(), 1);
    assert!(kept.state().idle.is_empty());
}

#[tokio::test]
async fn what_nobody_uses_goes_back() {
    let (kept, pool) = kept(0);
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

    let (kept, pool) = kept(0);
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
    let (kept, pool) = kept(0);
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
