//! Chance that a seed decides, and futures that are dropped by it.

use std::future::poll_fn;
use std::hash::{BuildHasher as _, RandomState};
use std::pin::pin;
use std::task::Poll;

/// `SplitMix64`.
pub(crate) struct Random(u64);

impl Random {
    /// Of the seed that the environment names, or of a fresh one, which it prints.
    pub(crate) fn seeded() -> Self {
        let seed = std::env::var("CONCURRENCY_SEED").map_or_else(
            |_| RandomState::new().hash_one(0),
            |seed| seed.parse().unwrap(),
        );
        println!("CONCURRENCY_SEED={seed}");
        Self(seed)
    }

    /// Another one, for another task.
    pub(crate) fn fork(&mut self) -> Self {
        Self(self.next())
    }

    fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mixed = (self.0 ^ (self.0 >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        let mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        mixed ^ (mixed >> 31)
    }

    pub(crate) fn below(&mut self, end: usize) -> usize {
        usize::try_from(self.next() % u64::try_from(end).unwrap()).unwrap()
    }

    pub(crate) fn one_in(&mut self, count: usize) -> bool {
        self.below(count) == 0
    }

    pub(crate) fn pick<'a, T: ?Sized>(&mut self, from: &[&'a T]) -> &'a T {
        from[self.below(from.len())]
    }

    /// Waits for a future, or drops it at some point after its begin: `None`.
    pub(crate) async fn finish_or_drop<T>(&mut self, future: impl Future<Output = T>) -> Option<T> {
        if self.one_in(4) {
            self.begin_and_drop(future).await
        } else {
            Some(future.await)
        }
    }

    /// Polls a future up to ten times, each time when it is woken, and then drops it, perhaps a little later.
    pub(crate) async fn begin_and_drop<T>(&mut self, future: impl Future<Output = T>) -> Option<T> {
        let mut future = pin!(future);
        let most = if self.one_in(2) { 2 } else { 10 };
        let mut polls = 1 + self.below(most);
        let answer = poll_fn(|context| {
            polls -= 1;
            match future.as_mut().poll(context) {
                Poll::Ready(answer) => Poll::Ready(Some(answer)),
                Poll::Pending if polls == 0 => Poll::Ready(None),
                Poll::Pending => Poll::Pending,
            }
        })
        .await;
        if answer.is_none() && self.one_in(2) {
            for _ in 0..self.below(30) {
                tokio::task::yield_now().await;
            }
        }
        answer
    }
}
