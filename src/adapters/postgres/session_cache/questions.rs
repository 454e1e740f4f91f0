//! The callers who wait for the next question, and whether the cache listens at all.

use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use chrono::{DateTime, Utc};
use tokio::sync::{Notify, oneshot};

/// An attempt to listen that has not ended after so long is given up: its runtime stands still.
const MAX_START: Duration = Duration::from_secs(15);
const FIRST_PAUSE: Duration = Duration::from_millis(100);
const MAX_PAUSE: Duration = Duration::from_secs(5);
/// After a term that lasted so long, there is no pause.
const STEADY: Duration = Duration::from_secs(10);

/// Told the database's time when a question that was sent after the call is answered. Dropped if there is no answer.
type Waiting = oneshot::Sender<DateTime<Utc>>;

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
    waiting: Vec<Waiting>,
    /// Whether a question was asked for by callers who do not wait for it.
    is_wanted: bool,
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
                waiting: Vec::new(),
                is_wanted: false,
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
        let pause = match state.failures {
            0 => Duration::ZERO,
            failures => MAX_PAUSE.min(FIRST_PAUSE * (1 << (failures - 1).min(10))),
        };
        state.failures += 1;
        state.retry_at = Instant::now() + pause;
        state.deafen(Phase::Deaf);
        self.is_listening.store(false, Ordering::Release);
    }

    /// No term begins any more.
    pub(super) fn close(&self) {
        self.state().deafen(Phase::Closed);
        self.is_listening.store(false, Ordering::Release);
    }

    /// The next caller may begin a term.
    pub(super) fn retry_now(&self) {
        let mut state = self.state();
        state.failures = 0;
        state.retry_at = Instant::now();
    }

    /// The answer to the next question, with the number of its term. `None` if the cache does not listen.
    pub(super) fn wait(&self) -> Option<(u64, oneshot::Receiver<DateTime<Utc>>)> {
        let mut state = self.state();
        if !state.is_listening() {
            return None;
        }
        let (waiting, answer) = oneshot::channel();
        state.waiting.push(waiting);
        if state.waiting.len() == 1 {
            state.wake.notify_one();
        }
        Some((state.term, answer))
    }

    /// Asks for a question without waiting for its answer.
    pub(super) fn want(&self) {
        let mut state = self.state();
        if !state.is_wanted && state.is_listening() {
            state.is_wanted = true;
            state.wake.notify_one();
        }
    }

    /// Those for whom a question is to be sent now: there may be none. `None` if the term has ended.
    pub(super) fn take(&self, term: &Term) -> Option<(Vec<Waiting>, bool)> {
        let mut state = self.state();
        if state.term != term.number || !state.is_listening() {
            return None;
        }
        let is_wanted = std::mem::take(&mut state.is_wanted);
        let capacity = state.waiting.len();
        let waiting = std::mem::replace(&mut state.waiting, Vec::with_capacity(capacity));
        let is_needed = is_wanted || !waiting.is_empty();
        Some((waiting, is_needed))
    }

    /// A question was answered.
    pub(super) fn answer(&self, waiting: Vec<Waiting>, time: DateTime<Utc>) {
        self.asked.fetch_add(1, Ordering::Relaxed);
        for waiting in waiting {
            // A caller who has gone gets nothing.
            let _ = waiting.send(time);
        }
    }
}

impl State {
    fn is_listening(&self) -> bool {
        matches!(self.phase, Phase::Listening(_))
    }

    fn deafen(&mut self, phase: Phase) {
        self.phase = phase;
        self.is_wanted = false;
        self.waiting = Vec::new();
        self.deaf_since.get_or_insert_with(Instant::now);
        self.wake.notify_one();
    }
}

#[cfg(test)]
mod tests {
    use chrono::Utc;

    use super::Questions;

    #[test]
    fn a_question_is_for_those_who_came_before_it() {
        let questions = Questions::new();
        assert!(questions.wait().is_none());
        let term = questions.begin().unwrap();
        assert!(questions.begin().is_none(), "one at a time");
        assert!(questions.wait().is_none());
        assert!(questions.listen(&term) && questions.is_listening());
        let (_, mut early) = questions.wait().unwrap();
        let (waiting, is_needed) = questions.take(&term).unwrap();
        assert!(is_needed);
        let (_, mut late) = questions.wait().unwrap();
        let time = Utc::now();
        questions.answer(waiting, time);
        assert_eq!(early.try_recv(), Ok(time));
        assert!(late.try_recv().is_err());
        assert_eq!(questions.take(&term).unwrap().0.len(), 1);
        assert!(!questions.take(&term).unwrap().1);
        questions.want();
        assert!(questions.take(&term).unwrap().1);
        assert_eq!(questions.count(), 1);
    }

    #[test]
    fn the_end_of_a_term_sends_everyone_away() {
        let questions = Questions::new();
        let first = questions.begin().unwrap();
        assert!(questions.listen(&first));
        let (number, mut waiting) = questions.wait().unwrap();
        questions.end(number);
        assert!(waiting.try_recv().is_err() && !questions.is_listening());
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
