//! One question, and the callers who wait for its answer.

use std::future::Future;
use std::pin::Pin;
use std::sync::atomic::{AtomicI64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::task::{Context, Poll, Waker};
use std::time::Duration;

use chrono::{DateTime, Utc};
use tokio::runtime::{self, Handle};
use tokio::time::{Instant, Sleep, sleep_until};

/// Longest time from the first call to the answer: for the question before it, and for the question itself.
pub(super) const MAX_WAIT: Duration = Duration::from_millis(550);

const WAITING: i64 = i64::MIN;
const ENDED: i64 = i64::MIN + 1;

/// A question that waits to be sent, or for its answer. A caller allocates nothing, and one caller of each runtime
/// sets a timer for all of them.
pub(super) struct Question {
    /// The database's time in microseconds since 1970, [`WAITING`] or [`ENDED`].
    answer: AtomicI64,
    callers: Mutex<Callers>,
}

#[derive(Default)]
struct Callers {
    wakers: Vec<Waker>,
    /// How often all of them were woken: a place among them is of one such time.
    round: u64,
    /// Runtimes of which a caller keeps the time. A runtime that nobody drives wakes its own callers only.
    timed: Vec<runtime::Id>,
    deadline: Option<Instant>,
}

/// What became of a question.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) enum Outcome {
    /// The database's time.
    Answered(DateTime<Utc>),
    /// The cache does not listen any more.
    Ended,
    /// Nobody drives the runtime of the listening connection.
    Overdue,
}

impl Question {
    /// `callers` is about how many there will be.
    pub(super) fn new(callers: usize) -> Arc<Self> {
        Arc::new(Self {
            answer: AtomicI64::new(WAITING),
            callers: Mutex::new(Callers {
                wakers: Vec::with_capacity(callers),
                ..Callers::default()
            }),
        })
    }

    pub(super) fn outcome(self: &Arc<Self>) -> Answer {
        Answer {
            question: Arc::clone(self),
            place: None,
            timer: None,
        }
    }

    /// How many callers wait for it, or did.
    pub(super) fn callers(&self) -> usize {
        self.lock().wakers.len()
    }

    pub(super) fn answer(&self, time: DateTime<Utc>) {
        self.settle(time.timestamp_micros());
    }

    pub(super) fn end(&self) {
        self.settle(ENDED);
    }

    fn settle(&self, answer: i64) {
        // The first one decides.
        let _ = self
            .answer
            .compare_exchange(WAITING, answer, Ordering::AcqRel, Ordering::Acquire);
        self.wake_all();
    }

    fn wake_all(&self) {
        let wakers = {
            let mut callers = self.lock();
            callers.round += 1;
            std::mem::take(&mut callers.wakers)
        };
        // Without the lock: a task that is woken may drop a waiting call, which takes the lock.
        wakers.into_iter().for_each(Waker::wake);
    }

    fn settled(&self) -> Option<Outcome> {
        match self.answer.load(Ordering::Acquire) {
            WAITING => None,
            ENDED => Some(Outcome::Ended),
            time => {
                let time = DateTime::from_timestamp_micros(time);
                Some(time.map_or(Outcome::Ended, Outcome::Answered))
            }
        }
    }

    fn lock(&self) -> MutexGuard<'_, Callers> {
        self.callers.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// A caller who waits.
#[must_use = "it is a future"]
pub(super) struct Answer {
    question: Arc<Question>,
    /// The round, and the index in it.
    place: Option<(u64, usize)>,
    timer: Option<(runtime::Id, Pin<Box<Sleep>>)>,
}

impl Answer {
    /// Leaves the waker with the question. Says when time is up, if this caller is to keep the time from now on.
    fn register(&mut self, waker: &Waker) -> Option<(runtime::Id, Instant)> {
        let mut callers = self.question.lock();
        if self.question.settled().is_some() {
            return None;
        }
        let round = callers.round;
        match self.place {
            Some((of, index)) if of == round => {
                if let Some(own) = callers.wakers.get_mut(index) {
                    own.clone_from(waker);
                }
            }
            _ => {
                self.place = Some((round, callers.wakers.len()));
                callers.wakers.push(waker.clone());
            }
        }
        let runtime = Handle::try_current().ok()?.id();
        if callers.timed.contains(&runtime) {
            return None;
        }
        callers.timed.push(runtime);
        let deadline = callers.deadline;
        let deadline = *callers
            .deadline
            .insert(deadline.unwrap_or_else(|| Instant::now() + MAX_WAIT));
        Some((runtime, deadline))
    }
}

impl Future for Answer {
    type Output = Outcome;

    fn poll(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Outcome> {
        if let Some(outcome) = self.question.settled() {
            return Poll::Ready(outcome);
        }
        if let Some((runtime, deadline)) = self.register(context.waker()) {
            self.timer = Some((runtime, Box::pin(sleep_until(deadline))));
        }
        if let Some((_, timer)) = &mut self.timer
            && timer.as_mut().poll(context).is_ready()
        {
            return Poll::Ready(Outcome::Overdue);
        }
        // It may have been settled before the waker was there.
        match self.question.settled() {
            Some(outcome) => Poll::Ready(outcome),
            None => Poll::Pending,
        }
    }
}

impl Drop for Answer {
    fn drop(&mut self) {
        let Some((runtime, _)) = self.timer.take() else {
            return;
        };
        if self.question.settled().is_none() {
            self.question.lock().timed.retain(|timed| *timed != runtime);
            // One of them keeps the time from now on.
            self.question.wake_all();
        }
    }
}

#[cfg(test)]
mod tests {
    use std::future::Future as _;
    use std::pin::pin;
    use std::sync::Arc;
    use std::sync::atomic::{AtomicUsize, Ordering};
    use std::task::{Context, Poll, Wake, Waker};

    use chrono::{DateTime, Utc};
    use tokio::task::JoinSet;

    use super::{MAX_WAIT, Outcome, Question};

    #[derive(Default)]
    struct Count(AtomicUsize);

    impl Wake for Count {
        fn wake(self: Arc<Self>) {
            self.0.fetch_add(1, Ordering::Relaxed);
        }
    }

    impl Count {
        fn get(&self) -> usize {
            self.0.load(Ordering::Relaxed)
        }
    }

    fn time() -> DateTime<Utc> {
        DateTime::from_timestamp_micros(1_700_000_000_000_001).unwrap()
    }

    #[tokio::test]
    async fn each_caller_is_told_once_the_first_outcome() {
        let question = Question::new(2);
        let (one, other) = (question.outcome(), question.outcome());
        let waits = tokio::spawn(one);
        tokio::task::yield_now().await;
        question.answer(time());
        question.end();
        assert_eq!(waits.await.unwrap(), Outcome::Answered(time()));
        assert_eq!(other.await, Outcome::Answered(time()), "it came later");
    }

    #[tokio::test]
    async fn the_waker_of_the_last_poll_is_woken() {
        let question = Question::new(0);
        let mut answer = pin!(question.outcome());
        let mut neighbour = pin!(question.outcome());
        let (first, second, beside) = <(Arc<Count>, Arc<Count>, Arc<Count>)>::default();
        let mut poll = |count: &Arc<Count>| {
            let waker = Waker::from(Arc::clone(count));
            answer.as_mut().poll(&mut Context::from_waker(&waker))
        };
        assert!(poll(&first).is_pending() && poll(&second).is_pending());
        let waker = Waker::from(Arc::clone(&beside));
        let mut context = Context::from_waker(&waker);
        assert!(neighbour.as_mut().poll(&mut context).is_pending());
        assert_eq!(question.callers(), 2);
        question.end();
        assert_eq!((first.get(), second.get(), beside.get()), (0, 1, 1));
        assert_eq!(poll(&second), Poll::Ready(Outcome::Ended));
        assert_eq!(
            neighbour.as_mut().poll(&mut context),
            Poll::Ready(Outcome::Ended)
        );
    }

    #[tokio::test(start_paused = true)]
    async fn a_question_is_overdue_whoever_of_its_callers_goes() {
        let question = Question::new(0);
        let begun = tokio::time::Instant::now();
        let keeper = tokio::spawn(question.outcome());
        tokio::task::yield_now().await;
        let mut others: JoinSet<_> = (0..3).map(|_| question.outcome()).collect();
        tokio::time::sleep(MAX_WAIT / 2).await;
        keeper.abort();
        while let Some(other) = others.join_next().await {
            assert_eq!(other.unwrap(), Outcome::Overdue);
            assert_eq!(begun.elapsed().as_millis(), MAX_WAIT.as_millis());
        }
    }

    #[test]
    fn each_runtime_keeps_its_own_time() {
        let question = Question::new(0);
        let stopped = tokio::runtime::Builder::new_current_thread()
            .enable_time()
            .build()
            .unwrap();
        // Its caller keeps the time, and nobody drives it any more.
        stopped.block_on(async {
            drop(tokio::spawn(question.outcome()));
            tokio::task::yield_now().await;
        });
        let driven = tokio::runtime::Builder::new_current_thread()
            .enable_time()
            .build()
            .unwrap();
        assert_eq!(driven.block_on(question.outcome()), Outcome::Overdue);
        drop(stopped);
    }
}
