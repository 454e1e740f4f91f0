//! How much callers have waited for connections of late.

use std::collections::VecDeque;
use std::ops::AddAssign;
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

/// The seconds that are looked back upon.
pub(in super::super) const WINDOW: u64 = 10;

/// Counts the callers that wait for a connection, and for how long.
pub(in super::super) struct Pressure(Mutex<State>);

struct State {
    begun: Instant,
    waiting: u32,
    /// Up to when the seconds are complete.
    counted_to: Instant,
    /// Those in which callers waited, oldest first.
    seconds: VecDeque<Second>,
}

/// What was waited in one second.
struct Second {
    /// Since the beginning.
    number: u64,
    waits: Waits,
}

/// What callers have waited for connections in the last ten seconds.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub(in super::super) struct Waits {
    /// For how long at least one caller waited.
    pub(in super::super) any: Duration,
    /// The waits of all callers together.
    pub(in super::super) total: Duration,
}

impl Pressure {
    pub(super) fn new() -> Self {
        let now = Instant::now();
        Self(Mutex::new(State {
            begun: now,
            waiting: 0,
            counted_to: now,
            seconds: VecDeque::new(),
        }))
    }

    /// A caller begins to wait.
    pub(super) fn enter(&self) -> Waiting<'_> {
        let mut state = self.state();
        let now = state.count();
        state.waiting += 1;
        Waiting {
            pressure: self,
            begun: now,
        }
    }

    /// How many callers wait.
    pub(super) fn waiting(&self) -> u32 {
        self.state().waiting
    }

    pub(in super::super) fn waits(&self) -> Waits {
        let mut state = self.state();
        state.count();
        state.waits()
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl State {
    /// The time, up to which is counted now. Read below the lock, so that it does not go back.
    fn count(&mut self) -> Instant {
        let now = Instant::now();
        self.count_to(now);
        now
    }

    fn count_to(&mut self, now: Instant) {
        if self.waiting > 0 {
            let oldest = now.checked_sub(Duration::from_secs(WINDOW));
            let mut from = self.counted_to.max(oldest.unwrap_or(self.begun));
            while from < now {
                let number = from.duration_since(self.begun).as_secs();
                let to = now.min(self.begun + Duration::from_secs(number + 1));
                let any = to.duration_since(from);
                let total = any * self.waiting;
                self.add(number, Waits { any, total });
                from = to;
            }
        }
        self.counted_to = now;
    }

    fn add(&mut self, number: u64, waits: Waits) {
        self.seconds
            .retain(|second| second.number + WINDOW > number);
        match self.seconds.back_mut() {
            Some(second) if second.number == number => second.waits += waits,
            _ => self.seconds.push_back(Second { number, waits }),
        }
    }

    fn waits(&self) -> Waits {
        let current = self.counted_to.duration_since(self.begun).as_secs();
        let recent = self.seconds.iter();
        let recent = recent.filter(|second| second.number + WINDOW > current);
        recent.fold(Waits::default(), |mut sum, second| {
            sum += second.waits;
            sum
        })
    }
}

impl AddAssign for Waits {
    fn add_assign(&mut self, other: Self) {
        self.any += other.any;
        self.total += other.total;
    }
}

/// A caller that waits.
pub(super) struct Waiting<'a> {
    pressure: &'a Pressure,
    begun: Instant,
}

impl Waiting<'_> {
    pub(super) fn elapsed(&self) -> Duration {
        self.begun.elapsed()
    }
}

impl Drop for Waiting<'_> {
    fn drop(&mut self) {
        let mut state = self.pressure.state();
        state.count();
        state.waiting -= 1;
    }
}

#[cfg(test)]
mod tests {
    use std::time::{Duration, Instant};

    use super::{Pressure, Waits};

    const SECOND: Duration = Duration::from_secs(1);

    /// The state after callers have waited, each for the seconds from one to another since the beginning.
    fn waits_after(waits: &[(u32, u32)], end: u32) -> Waits {
        let pressure = Pressure::new();
        let mut state = pressure.state();
        let begun: Instant = state.begun;
        let mut times: Vec<u32> = waits.iter().flat_map(|&(from, to)| [from, to]).collect();
        times.extend([end]);
        times.sort_unstable();
        times.dedup();
        for time in times {
            state.count_to(begun + SECOND * time);
            let is_waiting = |&&(from, to): &&(u32, u32)| (from..to).contains(&time);
            let waiting = waits.iter().filter(is_waiting).count();
            state.waiting = u32::try_from(waiting).unwrap();
        }
        state.waits()
    }

    fn waits(any: u32, total: u32) -> Waits {
        Waits {
            any: SECOND * any,
            total: SECOND * total,
        }
    }

    #[test]
    fn waits_add_up_while_any_caller_waits() {
        assert_eq!(waits_after(&[], 5), waits(0, 0));
        assert_eq!(waits_after(&[(1, 3)], 5), waits(2, 2));
        assert_eq!(waits_after(&[(1, 3), (2, 5)], 6), waits(4, 5));
        assert_eq!(waits_after(&[(0, 2), (4, 5)], 8), waits(3, 3));
    }

    #[test]
    fn what_is_long_ago_does_not_count() {
        assert_eq!(waits_after(&[(0, 5)], 30), waits(0, 0));
        assert_eq!(waits_after(&[(0, 5)], 12), waits(2, 2));
        // The second that has just begun is one of the ten.
        assert_eq!(waits_after(&[(0, 100)], 100), waits(9, 9));
        assert_eq!(waits_after(&[(0, 3), (40, 42)], 43), waits(2, 2));
    }

    #[test]
    fn no_more_seconds_are_kept_than_count() {
        let pressure = Pressure::new();
        let mut state = pressure.state();
        let begun = state.begun;
        state.waiting = 1;
        for second in 1..100 {
            state.count_to(begun + SECOND * second);
        }
        assert_eq!(state.seconds.len(), 10);
    }

    #[test]
    fn a_wait_lasts_as_long_as_it_does() {
        let pressure = Pressure::new();
        let waiting = pressure.enter();
        std::thread::sleep(Duration::from_millis(2));
        assert!(waiting.elapsed() >= Duration::from_millis(2));
    }

    #[test]
    fn callers_that_wait_are_counted() {
        let pressure = Pressure::new();
        let first = pressure.enter();
        let second = pressure.enter();
        assert_eq!(pressure.waiting(), 2);
        drop((first, second));
        assert_eq!(pressure.waiting(), 0);
    }
}
