//! When the last question was sent, and what time it was for the database.

use std::sync::atomic::{AtomicI64, AtomicU64, Ordering};
use std::time::{Duration, Instant};

use chrono::{DateTime, TimeDelta, Utc};

/// When a question is sent, by both clocks: the steady one stands still while the machine sleeps, the other one jumps.
#[derive(Clone, Copy)]
pub(super) struct Moment {
    steady: Instant,
    wall: DateTime<Utc>,
}

impl Moment {
    pub(super) fn now() -> Self {
        Self {
            steady: Instant::now(),
            wall: Utc::now(),
        }
    }

    /// As if the machine had slept since.
    #[cfg(test)]
    pub(super) fn before(age: Duration) -> Self {
        Self {
            wall: Utc::now() - age,
            ..Self::now()
        }
    }
}

/// Read by every lookup of the bounded mode, so without a lock. A reader may see parts of two questions, both answered.
pub(super) struct LastQuestion {
    begun: Instant,
    /// Microseconds since it began, plus one. Zero: there was no question in this term.
    sent: AtomicU64,
    /// Microseconds since 1970.
    sent_by_wall: AtomicI64,
    /// The database's time when the answer was made.
    answered: AtomicI64,
}

impl LastQuestion {
    pub(super) fn new() -> Self {
        Self {
            begun: Instant::now(),
            sent: AtomicU64::new(0),
            sent_by_wall: AtomicI64::new(0),
            answered: AtomicI64::new(0),
        }
    }

    pub(super) fn forget(&self) {
        self.sent.store(0, Ordering::Release);
    }

    pub(super) fn note(&self, sent: Moment, time: DateTime<Utc>) {
        self.answered
            .store(time.timestamp_micros(), Ordering::Relaxed);
        let by_wall = sent.wall.timestamp_micros();
        self.sent_by_wall.store(by_wall, Ordering::Relaxed);
        let since_begun = sent.steady.saturating_duration_since(self.begun);
        self.sent.store(micros(since_begun) + 1, Ordering::Release);
    }

    /// How long ago it was sent, by the clock that says more, and the latest time that it may be for the database now.
    pub(super) fn age_and_time(&self) -> Option<(Duration, DateTime<Utc>)> {
        let sent = self.sent.load(Ordering::Acquire).checked_sub(1)?;
        let steady = micros(self.begun.elapsed()).saturating_sub(sent);
        let by_wall = Utc::now().timestamp_micros() - self.sent_by_wall.load(Ordering::Relaxed);
        let age = steady.max(u64::try_from(by_wall).unwrap_or_default());
        let answered = DateTime::from_timestamp_micros(self.answered.load(Ordering::Relaxed))?;
        let age = Duration::from_micros(age);
        Some((age, answered + TimeDelta::from_std(age).ok()?))
    }
}

fn micros(duration: Duration) -> u64 {
    u64::try_from(duration.as_micros()).unwrap_or(u64::MAX - 1)
}

#[cfg(test)]
mod tests {
    use std::time::{Duration, Instant};

    use chrono::{DateTime, TimeDelta, Utc};

    use super::{LastQuestion, Moment};

    #[test]
    fn a_question_at_the_very_beginning_counts() {
        let last = LastQuestion::new();
        let sent = Moment {
            steady: last.begun,
            wall: Utc::now(),
        };
        assert!(last.age_and_time().is_none());
        last.note(sent, Utc::now());
        assert!(last.age_and_time().is_some());
    }

    #[test]
    fn the_clock_that_says_more_decides() {
        let last = LastQuestion::new();
        assert!(last.age_and_time().is_none());
        let time = DateTime::from_timestamp_micros(1_700_000_000_000_000).unwrap();
        last.note(Moment::now(), time);
        let (age, now) = last.age_and_time().unwrap();
        assert!(age < Duration::from_secs(5) && now >= time && now < time + TimeDelta::seconds(5));
        // The machine slept for an hour.
        let before_sleep = Moment {
            steady: Instant::now(),
            wall: Utc::now() - TimeDelta::hours(1),
        };
        last.note(before_sleep, time);
        let (age, now) = last.age_and_time().unwrap();
        assert!(age >= Duration::from_secs(3600) && now >= time + TimeDelta::hours(1));
        // Somebody set the clock back.
        let set_back = Moment {
            steady: Instant::now(),
            wall: Utc::now() + TimeDelta::hours(1),
        };
        last.note(set_back, time);
        assert!(last.age_and_time().unwrap().0 < Duration::from_secs(5));
        last.forget();
        assert!(last.age_and_time().is_none());
    }
}
