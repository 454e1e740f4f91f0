//! What a cleanup has removed.

use std::ops::AddAssign;

/// How many rows a clean-up has removed.
///
/// ```
/// use better_auth::types::Removed;
///
/// let mut total = Removed::default();
/// total += Removed { sessions: 2, verifications: 1 };
/// assert_eq!(total.sessions, 2);
/// ```
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Removed {
    /// Sessions that were not live.
    pub sessions: usize,
    /// Verifications that were not live.
    pub verifications: usize,
}

impl AddAssign for Removed {
    fn add_assign(&mut self, other: Self) {
        self.sessions = self.sessions.saturating_add(other.sessions);
        self.verifications = self.verifications.saturating_add(other.verifications);
    }
}
