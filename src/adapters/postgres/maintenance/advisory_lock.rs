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
