//! Operations and batches under observation: what happens below them is noted while they are polled.

use std::cell::Cell;
use std::pin::Pin;
use std::task::{Context, Poll};
use std::time::{Duration, Instant};

use pin_project_lite::pin_project;

use super::facts::Facts;
use super::spans::{self, Span};
use super::{Kind, Subject, meters};

thread_local! {
    /// Of the operation or batch that is being polled.
    static CURRENT: Cell<Facts> = const { Cell::new(Facts::NONE) };
}

fn note(change: impl FnOnce(&mut Facts)) {
    // A future may be dropped when the thread's values are gone.
    let _ = CURRENT.try_with(|current| {
        let mut facts = current.get();
        change(&mut facts);
        current.set(facts);
    });
}

/// The operation's answer came with a batch.
pub(in crate::adapters) fn answered_by_batch() {
    note(|facts| facts.is_batched = true);
}

/// A statement of the operation has failed.
pub(in crate::adapters) fn failed(sqlstate: Option<&str>) {
    note(|facts| facts.sqlstate = sqlstate.and_then(|code| code.as_bytes().try_into().ok()));
}

pub(super) fn add_connection_wait(wait: Duration) {
    note(|facts| facts.connection_wait += wait);
}

pub(super) fn count_retry() {
    note(|facts| facts.retries += 1);
}

pub(super) fn note_batch_size(keys: usize) {
    note(|facts| facts.batch_size = keys);
}

pin_project! {
    /// A call of an operation, or a batch.
    pub(in crate::adapters) struct Observed<'a, F> {
        #[pin]
        call: F,
        // In a box, so that the futures of calls stay small.
        observation: Box<Observation<'a>>,
    }
}

/// Observes an operation of a caller's.
pub(in crate::adapters) fn observe<F>(subject: Subject<'_>, call: F) -> Observed<'_, F> {
    let span = Span::of_operation(subject);
    Observed::new(subject, What::Operation, span, call)
}

/// Observes a statement for several callers.
pub(in crate::adapters) fn observe_batch<F>(subject: Subject<'_>, call: F) -> Observed<'_, F> {
    let span = Span::of_batch(subject);
    Observed::new(subject, What::Batch, span, call)
}

impl<'a, F> Observed<'a, F> {
    fn new(subject: Subject<'a>, what: What, span: Span, call: F) -> Self {
        Self {
            call,
            observation: Box::new(Observation {
                what,
                subject,
                begun: Instant::now(),
                has_ended: false,
                facts: Facts::NONE,
                span,
            }),
        }
    }
}

impl<F, T, E> Future for Observed<'_, F>
where
    F: Future<Output = Result<T, E>>,
    E: Kind,
{
    type Output = F::Output;

    fn poll(self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Self::Output> {
        let this = self.project();
        let answer = this.observation.poll(|| this.call.poll(context));
        if let Poll::Ready(answer) = &answer {
            this.observation.end(answer.as_ref().err().map(Kind::kind));
        }
        answer
    }
}

struct Observation<'a> {
    what: What,
    subject: Subject<'a>,
    begun: Instant,
    has_ended: bool,
    facts: Facts,
    span: Span,
}

impl Drop for Observation<'_> {
    /// The caller has gone.
    fn drop(&mut self) {
        if self.what == What::Operation && !self.has_ended {
            let Subject {
                operation,
                database,
                ..
            } = self.subject;
            meters::operation_ended(database, operation, "dropped", self.begun.elapsed());
        }
    }
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum What {
    Operation,
    Batch,
}

impl Observation<'_> {
    fn poll<T>(&mut self, poll: impl FnOnce() -> T) -> T {
        let _current = Current::enter(&mut self.facts);
        self.span.in_scope(poll)
    }

    /// The answer is there, or an error of this kind.
    fn end(&mut self, error: Option<&'static str>) {
        self.has_ended = true;
        self.span.record(&self.facts, error);
        if self.what == What::Batch {
            return;
        }
        let Subject {
            operation,
            database,
            slow_threshold,
        } = self.subject;
        let duration = self.begun.elapsed();
        meters::operation_ended(database, operation, error.unwrap_or("ok"), duration);
        self.span.in_scope(|| {
            if error == Some("OutcomeUnknown") {
                meters::outcome_unknown(operation);
                spans::outcome_unknown(operation);
            }
            if duration >= slow_threshold && !may_take_long(operation) {
                spans::slow(operation, duration, &self.facts);
            }
        });
    }
}

/// Whether an operation works through a whole table.
fn may_take_long(operation: &str) -> bool {
    const LONG: [&str; 6] = [
        "check_names",
        "clean_up",
        "import",
        "migrate",
        "normalize_names",
        "hash_stored_session_tokens",
    ];
    LONG.contains(&operation) || operation.starts_with("delete_expired_")
}

/// While it lives, the facts of an operation are the current ones.
struct Current<'a> {
    own: &'a mut Facts,
    outer: Facts,
}

impl<'a> Current<'a> {
    fn enter(own: &'a mut Facts) -> Self {
        let outer = CURRENT.try_with(|current| current.replace(*own));
        Self {
            own,
            outer: outer.unwrap_or(Facts::NONE),
        }
    }
}

impl Drop for Current<'_> {
    fn drop(&mut self) {
        if let Ok(facts) = CURRENT.try_with(|current| current.replace(self.outer)) {
            *self.own = facts;
        }
    }
}
