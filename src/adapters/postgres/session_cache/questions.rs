//! The callers who wait for the next question, and whether the cache listens at all.

use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use chrono::{DateTime, Utc};
use tokio::sync::Notify;

use super::question::{Answer, Question};

/// An attempt to listen that has not ended after so long is given up: its runtime stands still.
const MAX_START: Duration = Duration::from_secs(15);
const FIRST_PAUSE: Duration = Duration::from_millis(100);
const MAX_PAUSE: Duration = Duration::from_secs(5);
/// After a term that lasted so long, there is no pause.
const STEADY: Duration = Duration::from_secs(10);

/// The callers who wait for a question, and the listening connection's terms. A term begins with an attempt to listen and
/// ends with the first failure. Nothing that was cached in one term is used in another.
pub(super) struct Questions {
    state: Mutex<State>,
    /// The same as the state's phase, for callers who need not wait.
    is_listening: AtomicBool,
    asked: AtomicU64,
}

struct State {
    phase: Phase,
    term: u64,
    wake: Arc<Notify>,
    /// The next one to be sent.
    next: Arc<Question>,
    /// Whether somebody wants it.
    is_wanted: bool,
    under_way: Option<Arc<Question>>,
    failures: u32,
    retry_at: Instant,
    deaf_since: Option<Instant>,
    deaf_before: Duration,
}

#[derive(Clone, Copy, PartialEq)]
enum Phase {
    Deaf,
    Starting(Instant),
    Listening(Instant),
    Closed,
}

/// A term of the listening connection. It ends when this is dropped, at the latest.
pub(super) struct Term {
    pub(super) number: u64,
    pub(super) wake: Arc<Notify>,
}

impl Questions {
    pub(super) fn new() -> Self {
        let now = Instant::now();
        Self {
            state: Mutex::new(State {
                phase: Phase::Deaf,
                term: 0,
                wake: Arc::default(),
                next: Question::new(0),
                is_wanted: false,
                under_way: None,
                failures: 0,
                retry_at: now,
                deaf_since: Some(now),
                deaf_before: Duration::ZERO,
            }),
            is_listening: AtomicBool::new(false),
            asked: AtomicU64::new(0),
        }
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    pub(super) fn is_listening(&self) -> bool {
        self.is_listening.load(Ordering::Acquire)
    }

    /// How many questions were answered.
    pub(super) fn count(&self) -> u64 {
        self.asked.load(Ordering::Relaxed)
    }

    /// How long the cache has not listened, all in all.
    pub(super) fn deaf_time(&self) -> Duration {
        let state = self.state();
        let current = state
            .deaf_since
            .map_or(Duration::ZERO, |since| since.elapsed());
        state.deaf_before + current
    }

    /// Begins a term, if it is time for one.
    pub(super) fn begin(&self) -> Option<Term> {
        let mut state = self.state();
        let is_due = match state.phase {
            Phase::Deaf => state.retry_at <= Instant::now(),
            Phase::Starting(begun) => begun.elapsed() >= MAX_START,
            Phase::Listening(_) | Phase::Closed => false,
        };
        if !is_due {
            return None;
        }
        state.phase = Phase::Starting(Instant::now());
        state.term += 1;
        state.wake = Arc::default();
        Some(Term {
            number: state.term,
            wake: Arc::clone(&state.wake),
        })
    }

    /// Whether the term goes on, and answers may be given in it from now on.
    pub(super) fn listen(&self, term: &Term) -> bool {
        let mut state = self.state();
        let is_current = state.term == term.number && matches!(state.phase, Phase::Starting(_));
        if is_current {
            state.phase = Phase::Listening(Instant::now());
            if let Some(since) = state.deaf_since.take() {
                state.deaf_before += since.elapsed();
            }
            self.is_listening.store(true, Ordering::Release);
        }
        is_current
    }

    /// Ends a term, unless it has ended. Those who wait in it go the ordinary way.
    pub(super) fn end(&self, term: u64) {
        let mut state = self.state();
        if state.term != term || matches!(state.phase, Phase::Deaf | Phase::Closed) {
            return;
        }
        if matches!(state.phase, Phase::Listening(since) if since.elapsed() >= STEADY) {
            state.failures = 0;
        }
        state.retry_at = Instant::now() + pause_after(state.failures);
        state.failures += 1;
        self.deafen(state, Phase::Deaf);
    }

    /// No term begins any more.
    pub(super) fn close(&self) {
        self.deafen(self.state(), Phase::Closed);
    }

    fn deafen(&self, mut state: MutexGuard<'_, State>, phase: Phase) {
        self.is_listening.store(false, Ordering::Release);
        state.phase = phase;
        state.is_wanted = false;
        state.deaf_since.get_or_insert_with(Instant::now);
        state.wake.notify_one();
        let next = std::mem::replace(&mut state.next, Question::new(0));
        let under_way = state.under_way.take();
        // Callers who are woken may come back here.
        drop(state);
        next.end();
        if let Some(question) = under_way {
            question.end();
        }
    }

    /// The next caller may begin a term.
    pub(super) fn retry_now(&self) {
        let mut state = self.state();
        state.failures = 0;
        state.retry_at = Instant::now();
    }

    /// The answer to the next question, with the number of its term. `None` if the cache does not listen.
    pub(super) fn wait(&self) -> Option<(u64, Answer)> {
        let mut state = self.state();
        if !state.is_listening() {
            return None;
        }
        state.want();
        Some((state.term, state.next.outcome()))
    }

    /// Asks for a question without waiting for its answer.
    pub(super) fn want(&self) {
        let mut state = self.state();
        if state.is_listening() {
            state.want();
        }
    }

    /// The question that is to be sent now, if anybody wants one. `None` if the term has ended.
    pub(super) fn take(&self, term: &Term) -> Option<Option<Arc<Question>>> {
        let mut state = self.state();
        if state.term != term.number || !state.is_listening() {
            return None;
        }
        if !std::mem::take(&mut state.is_wanted) {
            return Some(None);
        }
        let after_it = Question::new(state.next.callers());
        let question = std::mem::replace(&mut state.next, after_it);
        state.under_way = Some(Arc::clone(&question));
        Some(Some(question))
    }

    /// A question was answered.
    pub(super) fn answer(&self, question: &Question, time: DateTime<Utc>) {
        self.asked.fetch_add(1, Ordering::Relaxed);
        question.answer(time);
    }
}

impl State {
    fn is_listening(&self) -> bool {
        matches!(self.phase, Phase::Listening(_))
    }

    fn want(&mut self) {
        if !self.is_wanted {
            self.is_wanted = true;
            self.wake.notify_one();
        }
    }
}

/// The pause before the next term, after so many in a row that have failed before the one that ends.
fn pause_after(failures: u32) -> Duration {
    match failures {
        0 => Duration::ZERO,
        failures => MAX_PAUSE.min(FIRST_PAUSE * (1 << (failures - 1).min(10))),
    }
}

#[cfg(test)]
mod tests {
    use std::future::Future as _;
    use std::pin::pin;
    use std::task::{Context, Poll, Waker};

    use chrono::Utc;

    use super::super::question::{Answer, Outcome};
    use super::{FIRST_PAUSE, MAX_PAUSE, Questions, pause_after};

    fn now_or_never(answer: Answer) -> Option<Outcome> {
        match pin!(answer).poll(&mut Context::from_waker(Waker::noop())) {
            Poll::Ready(outcome) => Some(outcome),
            Poll::Pending => None,
        }
    }

    #[test]
    fn pauses_between_terms_double_up_to_the_longest() {
        assert!(pause_after(0).is_zero());
        assert_eq!(pause_after(1), FIRST_PAUSE);
        assert_eq!(pause_after(2), 2 * FIRST_PAUSE);
        assert_eq!(pause_after(4), 8 * FIRST_PAUSE);
        assert_eq!(pause_after(u32::MAX), MAX_PAUSE);
    }

    #[test]
    fn a_question_is_for_those_who_came_before_it() {
        let questions = Questions::new();
        assert!(questions.wait().is_none());
        let term = questions.begin().unwrap();
        assert!(questions.begin().is_none(), "one at a time");
        assert!(questions.wait().is_none());
        assert!(questions.listen(&term) && questions.is_listening());
        let (_, early) = questions.wait().unwrap();
        let question = questions.take(&term).unwrap().unwrap();
        let (_, late) = questions.wait().unwrap();
        let time = Utc::now();
        questions.answer(&question, time);
        let Some(Outcome::Answered(answered)) = now_or_never(early) else {
            panic!("it is answered");
        };
        assert_eq!(answered.timestamp_micros(), time.timestamp_micros());
        assert!(now_or_never(late).is_none());
        assert!(questions.take(&term).unwrap().is_some());
        assert!(questions.take(&term).unwrap().is_none());
        questions.want();
        assert!(questions.take(&term).unwrap().is_some());
        assert_eq!(questions.count(), 1);
    }

    #[test]
    fn the_end_of_a_term_sends_everyone_away() {
        let questions = Questions::new();
        let first = questions.begin().unwrap();
        assert!(questions.listen(&first));
        let (_, under_way) = questions.wait().unwrap();
        let question = questions.take(&first).unwrap().unwrap();
        let (number, waiting) = questions.wait().unwrap();
        questions.end(number);
        assert_eq!(now_or_never(waiting), Some(Outcome::Ended));
        questions.answer(&question, Utc::now());
        assert_eq!(
            now_or_never(under_way),
            Some(Outcome::Ended),
            "the answer came too late"
        );
        assert!(!questions.is_listening());
        assert!(questions.take(&first).is_none());
        let second = questions.begin().expect("the first failure may be chance");
        questions.end(first.number);
        assert!(questions.listen(&second), "the end of another term");
        assert!(!questions.listen(&first));
        questions.end(second.number);
        assert!(questions.begin().is_none(), "there is a pause");
        questions.retry_now();
        let third = questions.begin().unwrap();
        questions.close();
        assert!(!questions.listen(&third));
        questions.retry_now();
        assert!(questions.begin().is_none());
    }
}
