//! Connections that are being opened. Each goes on opening when its caller has gone, and the next caller takes it over, so
//! that there are never more connections than places.

use std::io;
use std::mem;
use std::pin::Pin;
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::task::{Context, Poll};
use std::time::{Duration, Instant};

use tokio::task::JoinHandle;

use super::backend::Backend;
use crate::adapters::backoff::backoff;

/// How often the pause between attempts to connect doubles: what became possible is to be noticed soon.
const MAX_DOUBLINGS: u32 = 6;

/// The pause before the next attempt to connect, after this many.
pub(super) fn connect_backoff(attempts: u32) -> Duration {
    backoff(attempts.min(MAX_DOUBLINGS))
}

/// Openings whose caller has gone.
#[derive(Default)]
pub(super) struct Orphans(Mutex<Vec<Task>>);

/// With the time at which it began.
type Task = (Instant, JoinHandle<sqlx::Result<Backend>>);

impl Orphans {
    /// Takes an opening over, or begins one.
    pub(super) fn adopt_or(
        &self,
        open: impl FnOnce() -> JoinHandle<sqlx::Result<Backend>>,
    ) -> Opening<'_> {
        let adopted = self.tasks().pop();
        Opening {
            orphans: self,
            task: Some(adopted.unwrap_or_else(|| (Instant::now(), open()))),
        }
    }

    /// Closes the connections that are open and that no caller took over.
    pub(super) fn forget_finished(&self) {
        self.tasks().retain(|(_, task)| !task.is_finished());
    }

    pub(super) fn abort(&self) {
        for (_, task) in mem::take(&mut *self.tasks()) {
            task.abort();
        }
    }

    fn tasks(&self) -> MutexGuard<'_, Vec<Task>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// A connection that is being opened for a caller.
pub(super) struct Opening<'a> {
    orphans: &'a Orphans,
    /// Until it has ended.
    task: Option<Task>,
}

impl Opening<'_> {
    pub(super) fn age(&self) -> Duration {
        let begun = self.task.as_ref().map(|(begun, _)| begun);
        begun.map_or(Duration::ZERO, Instant::elapsed)
    }

    pub(super) fn abort(&mut self) {
        if let Some((_, task)) = self.task.take() {
            task.abort();
        }
    }
}

impl Future for Opening<'_> {
    type Output = sqlx::Result<Backend>;

    fn poll(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Self::Output> {
        let Some((_, task)) = &mut self.task else {
            return Poll::Pending;
        };
        Pin::new(task).poll(context).map(|ended| {
            self.task = None;
            // Its runtime has ended.
            ended.unwrap_or_else(|error| Err(io::Error::other(error).into()))
        })
    }
}

impl Drop for Opening<'_> {
    fn drop(&mut self) {
        if let Some(task) = self.task.take() {
            self.orphans.tasks().push(task);
        }
    }
}

#[cfg(test)]
mod tests {
    use std::future::pending;

    use tokio::task::yield_now;

    use super::{MAX_DOUBLINGS, Orphans, connect_backoff};

    #[test]
    fn attempts_to_connect_do_not_follow_each_other_at_once() {
        let longest = |attempts| (0..100).map(|_| connect_backoff(attempts)).max();
        assert!(longest(3) > longest(0));
        // Both are a random part of the same bound.
        let [many, most] = [u32::MAX, MAX_DOUBLINGS].map(|attempts| longest(attempts).unwrap());
        assert!(!most.is_zero() && many < 2 * most, "{many:?} {most:?}");
    }

    #[tokio::test]
    async fn openings_whose_caller_has_gone_are_taken_over_until_they_have_ended() {
        let orphans = Orphans::default();
        let open = || tokio::spawn(async { pending().await });
        drop(orphans.adopt_or(open));
        assert_eq!(orphans.tasks().len(), 1);
        orphans.forget_finished();
        assert_eq!(orphans.tasks().len(), 1, "it goes on");
        let mut adopted = orphans.adopt_or(|| unreachable!("one is under way"));
        assert_eq!(orphans.tasks().len(), 0);
        adopted.abort();
        drop(adopted);
        assert_eq!(orphans.tasks().len(), 0, "it was given up");
        let ended = || tokio::spawn(async { Err(sqlx::Error::PoolClosed) });
        drop(orphans.adopt_or(ended));
        yield_now().await;
        orphans.forget_finished();
        assert_eq!(orphans.tasks().len(), 0, "it has ended");
    }
}
