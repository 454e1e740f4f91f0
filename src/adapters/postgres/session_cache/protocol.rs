//! Which cached rows are current: the part of the protocol that knows neither connections nor clocks.
//!
//! Each invalidation gets the next number. A row carries the number that was the last one before its load began. It is
//! current while nothing that concerns it has a higher number. A row whose load overlaps a notification is therefore
//! never current, whichever of the two ends first.

use std::hash::{BuildHasher as _, RandomState};
use std::sync::atomic::{AtomicU64, Ordering};

const MIN_STRIPES: usize = 1 << 10;
const MAX_STRIPES: usize = 1 << 20;

/// What a notification says: these rows have changed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Change<'a> {
    Session(&'a str),
    /// The user, or several sessions of the user.
    User(&'a str),
    All,
    /// Asks only whether it arrives.
    Probe,
}

impl<'a> Change<'a> {
    /// The payloads of the triggers. What a newer version says may concern every row.
    pub(super) fn parse(payload: &'a str) -> Self {
        match payload.split_at_checked(1) {
            Some(("s", id)) => Self::Session(id),
            Some(("u", id)) => Self::User(id),
            Some(("p", _)) => Self::Probe,
            _ => Self::All,
        }
    }
}

/// The number of the last invalidation before a load.
#[derive(Clone, Copy, Debug)]
pub(super) struct Ticket(u64);

/// What a cached row is judged by.
#[derive(Clone, Copy, Debug)]
pub(super) struct Stamp {
    ticket: Ticket,
    session: usize,
    user: usize,
}

/// The numbers of the last invalidations. Several ids share a stripe: an invalidation may concern a row too many, never one
/// too few.
pub(super) struct Invalidations {
    last: AtomicU64,
    last_of_all: AtomicU64,
    stripes: Box<[AtomicU64]>,
    /// Random, so that an attacker cannot choose ids that share a stripe.
    hasher: RandomState,
}

impl Invalidations {
    pub(super) fn new(capacity: usize) -> Self {
        let stripes = capacity
            .saturating_mul(2)
            .clamp(MIN_STRIPES, MAX_STRIPES)
            .next_power_of_two();
        Self {
            last: AtomicU64::new(0),
            last_of_all: AtomicU64::new(0),
            stripes: (0..stripes).map(|_| AtomicU64::new(0)).collect(),
            hasher: RandomState::new(),
        }
    }

    /// Taken before the statement of a load is sent.
    pub(super) fn ticket(&self) -> Ticket {
        Ticket(self.last.load(Ordering::Acquire))
    }

    pub(super) fn stamp(&self, ticket: Ticket, session_id: &str, user_id: &str) -> Stamp {
        Stamp {
            ticket,
            session: self.stripe(Change::Session(session_id)),
            user: self.stripe(Change::User(user_id)),
        }
    }

    /// Called when a notification has arrived, so after its change was committed.
    pub(super) fn note(&self, change: Change<'_>) {
        if change == Change::Probe {
            return;
        }
        let number = self.last.fetch_add(1, Ordering::AcqRel) + 1;
        let last_of_these = match change {
            Change::Session(_) | Change::User(_) => self.stripes.get(self.stripe(change)),
            Change::All | Change::Probe => None,
        };
        let last_of_these = last_of_these.unwrap_or(&self.last_of_all);
        last_of_these.fetch_max(number, Ordering::AcqRel);
    }

    /// How many there were.
    pub(super) fn count(&self) -> u64 {
        self.last.load(Ordering::Relaxed)
    }

    pub(super) fn is_current(&self, stamp: &Stamp) -> bool {
        let is_older = |last: &AtomicU64| last.load(Ordering::Acquire) <= stamp.ticket.0;
        let stripe_is_older = |stripe: usize| self.stripes.get(stripe).is_some_and(is_older);
        is_older(&self.last_of_all) && stripe_is_older(stamp.session) && stripe_is_older(stamp.user)
    }

    fn stripe(&self, change: Change<'_>) -> usize {
        let hash = match change {
            Change::Session(id) => self.hasher.hash_one((0_u8, id)),
            Change::User(id) => self.hasher.hash_one((1_u8, id)),
            Change::All | Change::Probe => 0,
        };
        // Their number is a power of two.
        usize::try_from(hash).unwrap_or(usize::MAX) & (self.stripes.len() - 1)
    }
}

#[cfg(test)]
mod tests {
    use std::collections::VecDeque;

    use super::{Change, Invalidations, Stamp, Ticket};

    #[test]
    fn payloads_are_those_of_the_triggers() {
        assert_eq!(Change::parse("sabc"), Change::Session("abc"));
        assert_eq!(Change::parse("uä"), Change::User("ä"));
        assert_eq!(Change::parse("p1"), Change::Probe);
        for of_all in ["*", "", "äbc", "xyz"] {
            assert_eq!(Change::parse(of_all), Change::All);
        }
    }

    #[test]
    fn a_change_concerns_its_rows_only() {
        // Enough stripes that these few ids hardly ever share one.
        let invalidations = Invalidations::new(super::MAX_STRIPES);
        let stamp = |session, user| invalidations.stamp(invalidations.ticket(), session, user);
        let (one, other) = (stamp("1", "a"), stamp("2", "b"));
        invalidations.note(Change::Probe);
        assert!(invalidations.is_current(&one));
        invalidations.note(Change::Session("1"));
        assert!(!invalidations.is_current(&one) && invalidations.is_current(&other));
        invalidations.note(Change::User("b"));
        assert!(!invalidations.is_current(&other));
        let again = stamp("1", "a");
        assert!(invalidations.is_current(&again));
        invalidations.note(Change::All);
        assert!(!invalidations.is_current(&again));
        assert_eq!(invalidations.count(), 3);
    }

    /// Few, so that most of them end before they are of no use.
    const MAX_UNDER_WAY: usize = 2;

    /// A server with one session, whose version counts the writes, and everything that is under way.
    struct World {
        invalidations: Invalidations,
        version: u64,
        /// Committed and not delivered yet, in the order of the commits.
        notifications: VecDeque<&'static str>,
        /// Loads: the ticket, and the version once it was read.
        loads: Vec<(Ticket, Option<u64>)>,
        cached: Option<(Stamp, u64)>,
        /// Calls that wait for a question: the version that was acknowledged when they began, the row that they found, and
        /// whether the question was answered.
        calls: Vec<(u64, (Stamp, u64), bool)>,
        answers: usize,
    }

    impl World {
        fn new() -> Self {
            Self {
                invalidations: Invalidations::new(1),
                version: 0,
                notifications: VecDeque::new(),
                loads: Vec::new(),
                cached: None,
                calls: Vec::new(),
                answers: 0,
            }
        }

        fn deliver(&mut self) {
            if let Some(payload) = self.notifications.pop_front() {
                self.invalidations.note(Change::parse(payload));
            }
        }

        fn step(&mut self, random: &mut u64) {
            let mut below = |bound: usize| {
                *random ^= *random << 13;
                *random ^= *random >> 7;
                *random ^= *random << 17;
                usize::try_from(*random % 1_000_003).unwrap() % bound
            };
            // Writes are rare, so that some rows are current when they are asked for.
            let event = match below(36) {
                0 => 0,
                other => 1 + other % 7,
            };
            match event {
                0 => {
                    self.version += 1;
                    let payload = ["s1", "ua", "*"][below(3)];
                    self.notifications.push_back(payload);
                }
                1 => self.deliver(),
                2 if self.loads.len() < MAX_UNDER_WAY => {
                    self.loads.push((self.invalidations.ticket(), None));
                }
                3 if !self.loads.is_empty() => {
                    let load = below(self.loads.len());
                    self.loads[load].1.get_or_insert(self.version);
                }
                4 if !self.loads.is_empty() => {
                    let load = below(self.loads.len());
                    if let (ticket, Some(version)) = self.loads[load] {
                        self.loads.swap_remove(load);
                        let stamp = self.invalidations.stamp(ticket, "1", "a");
                        self.cached = Some((stamp, version));
                    }
                }
                5 if self.calls.len() < MAX_UNDER_WAY => {
                    if let Some(row) = self.cached {
                        self.calls.push((self.version, row, false));
                    }
                }
                6 => {
                    // The answer to a question comes after everything that was committed before it was sent.
                    while !self.notifications.is_empty() {
                        self.deliver();
                    }
                    for call in &mut self.calls {
                        call.2 = true;
                    }
                }
                7 if !self.calls.is_empty() => {
                    let call = below(self.calls.len());
                    let (acknowledged, (stamp, version), is_answered) = self.calls[call];
                    if is_answered {
                        self.calls.swap_remove(call);
                        if self.invalidations.is_current(&stamp) {
                            self.answers += 1;
                            assert!(version >= acknowledged, "{version} < {acknowledged}");
                        }
                    }
                }
                _ => {}
            }
        }
    }

    #[test]
    fn no_answer_is_older_than_its_call_in_any_order_of_events() {
        let (mut random, mut answers) = (0x9e37_79b9_7f4a_7c15, 0);
        for _ in 0..2000 {
            let mut world = World::new();
            for _ in 0..200 {
                world.step(&mut random);
            }
            answers += world.answers;
        }
        assert!(answers > 5000, "{answers} answers came from the cache");
    }
}
