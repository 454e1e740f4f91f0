//! [`Progress`] of what works through a table or builds indexes, and who hears of it.

use std::future::poll_fn;
use std::task::Poll;

/// How far a long operation is: what an observer of `migrate_with`, `clean_up_with`, `hash_stored_session_tokens_with`,
/// `normalize_names_with`, `check_names_with` or `import_with` is called with.
///
/// An operation goes through steps. Each begins with a report in which `done` is 0, and in each `done` never falls. It may
/// stay as it is, while the operation waits for others.
///
/// The observer is called between two statements, while the operation has no transaction open, so a slow observer
/// delays the operation but no one else. If it panics, the operation ends as if its future had been dropped. After each
/// report the operation yields once: a caller that drops the future then, because of what the observer has seen, stops it
/// between two batches, with nothing under way. Only while an index is built is there always a statement under way.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct Progress {
    /// What is being done, in plain words. It never holds a stored value.
    pub step: String,
    /// How much of the step is done: rows, or what the server counts while it builds an index (blocks, rows, or
    /// transactions that it waits for).
    pub done: u64,
    /// How much there is to do, as the server's planner estimates it from its statistics. `None` if that is not known.
    /// Never less than `done`.
    pub estimated_total: Option<u64>,
}

/// Tells the caller's function of an operation's progress, if there is one.
pub(super) struct Observer<'a> {
    observe: Option<&'a mut (dyn FnMut(&Progress) + Send)>,
    progress: Progress,
}

impl<'a> Observer<'a> {
    pub(super) fn new(observe: &'a mut (dyn FnMut(&Progress) + Send)) -> Self {
        Self {
            observe: Some(observe),
            ..Self::silent()
        }
    }

    /// For operations that nobody observes: they neither estimate nor yield.
    pub(super) fn silent() -> Self {
        Self {
            observe: None,
            progress: Progress {
                step: String::new(),
                done: 0,
                estimated_total: None,
            },
        }
    }

    pub(super) fn is_silent(&self) -> bool {
        self.observe.is_none()
    }

    pub(super) async fn begin(&mut self, step: &str, estimated_total: Option<u64>) {
        if self.is_silent() {
            return;
        }
        self.progress = Progress {
            step: step.to_owned(),
            done: 0,
            estimated_total,
        };
        self.report().await;
    }

    /// So much more of the step is done.
    pub(super) async fn advance(&mut self, more: usize) {
        if self.is_silent() {
            return;
        }
        let more = u64::try_from(more).unwrap_or(u64::MAX);
        self.progress.done = self.progress.done.saturating_add(more);
        self.report().await;
    }

    /// So much of a step is done. Begins the step if it is another one than the last. Reports also what has not changed,
    /// so that a caller may stop an operation that waits.
    pub(super) async fn reach(&mut self, step: &str, done: u64, estimated_total: Option<u64>) {
        if self.progress.step != step {
            self.begin(step, estimated_total).await;
        }
        if self.is_silent() {
            return;
        }
        self.progress.done = self.progress.done.max(done);
        self.progress.estimated_total = estimated_total;
        self.report().await;
    }

    async fn report(&mut self) {
        let done = self.progress.done;
        let total = &mut self.progress.estimated_total;
        *total = total.map(|total| total.max(done));
        if let Some(observe) = &mut self.observe {
            observe(&self.progress);
            yield_once().await;
        }
    }
}

/// Not tokio's, which leaves the waking to the runtime's next turn and wants a runtime.
async fn yield_once() {
    let mut has_yielded = false;
    poll_fn(|context| {
        if has_yielded {
            return Poll::Ready(());
        }
        has_yielded = true;
        context.waker().wake_by_ref();
        Poll::Pending
    })
    .await;
}

#[cfg(test)]
mod tests {
    use super::{Observer, Progress};

    #[test]
    fn only_who_is_given_an_observer_speaks() {
        assert!(Observer::silent().is_silent());
        assert!(!Observer::new(&mut |_: &Progress| ()).is_silent());
    }

    #[tokio::test]
    async fn a_step_begins_at_zero_and_only_grows() {
        let mut seen = Vec::new();
        let mut observe = |progress: &Progress| {
            seen.push((
                progress.step.clone(),
                progress.done,
                progress.estimated_total,
            ));
        };
        let mut observer = Observer::new(&mut observe);
        observer.begin("one", Some(5)).await;
        observer.advance(3).await;
        observer.advance(3).await;
        observer.reach("two", 4, Some(9)).await;
        observer.reach("two", 2, Some(9)).await;
        let step = |step: &str, done, total| (step.to_owned(), done, total);
        let expected = [
            step("one", 0, Some(5)),
            step("one", 3, Some(5)),
            step("one", 6, Some(6)),
            step("two", 0, Some(9)),
            step("two", 4, Some(9)),
            step("two", 4, Some(9)),
        ];
        assert_eq!(seen, expected);
    }
}
