//! The advisory locks of the library, in one list.

/// What only one instance does at a time. The locks are the database's own; those of the cleanup hold the table's schema too.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(in super::super) enum AdvisoryLock {
    Migration,
    ExpiredSessions,
    InactiveSessions,
    ExpiredVerifications,
    EndedRateLimits,
    ExpiredDeviceCodes,
    ExpiredApiKeys,
}

impl AdvisoryLock {
    /// Arbitrary, and the same in every process.
    pub(in super::super) const fn key(self) -> i64 {
        let offset = match self {
            Self::Migration => 0,
            Self::ExpiredSessions => 1,
            Self::InactiveSessions => 2,
            Self::ExpiredVerifications => 3,
            Self::EndedRateLimits => 4,
            Self::ExpiredDeviceCodes => 5,
            Self::ExpiredApiKeys => 6,
        };
        0x6265_7474_6572_2d61 + offset
    }
}

#[cfg(test)]
mod tests {
    use super::AdvisoryLock;

    /// Instances of several versions are at work during a rolling deploy.
    #[test]
    fn keys_stay_as_they_are() {
        let migration = i64::from_be_bytes(*b"better-a");
        for (lock, key) in [
            (AdvisoryLock::Migration, migration),
            (AdvisoryLock::ExpiredSessions, migration + 1),
            (AdvisoryLock::InactiveSessions, migration + 2),
            (AdvisoryLock::ExpiredVerifications, migration + 3),
            (AdvisoryLock::EndedRateLimits, migration + 4),
            (AdvisoryLock::ExpiredDeviceCodes, migration + 5),
            (AdvisoryLock::ExpiredApiKeys, migration + 6),
        ] {
            assert_eq!(lock.key(), key, "{lock:?}");
        }
    }
}
