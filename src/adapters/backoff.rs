//! The pauses between attempts of what conflicts with concurrent transactions.

use std::time::Duration;

/// How often a conflict is retried unless the caller sets a number.
pub(super) const DEFAULT_MAX_RETRIES: u32 = 10;
/// The upper bound of the first pause. It doubles with each retry up to [`MAX_PAUSE`].
const FIRST_PAUSE: Duration = Duration::from_millis(4);
const MAX_PAUSE: Duration = Duration::from_secs(1);

/// The pause before the next attempt, after this many retries: a random part of the bound, so that transactions that
/// conflicted do not meet again.
pub(super) fn backoff(retries: u32) -> Duration {
    let bound = FIRST_PAUSE.saturating_mul(1 << retries.min(16));
    bound.min(MAX_PAUSE).mul_f64(random_fraction())
}

/// From 0 to 1.
pub(super) fn random_fraction() -> f64 {
    let random = getrandom::u32().unwrap_or(u32::MAX);
    f64::from(random) / f64::from(u32::MAX)
}

#[cfg(test)]
mod tests {
    use super::{FIRST_PAUSE, MAX_PAUSE, backoff};

    #[test]
    fn pauses_grow_up_to_the_longest() {
        let longest = |retries| (0..200).map(|_| backoff(retries)).max();
        assert!(longest(0) <= Some(FIRST_PAUSE));
        assert!(longest(3) > Some(FIRST_PAUSE));
        assert!(longest(3) <= Some(8 * FIRST_PAUSE));
        assert!(longest(99) > Some(8 * FIRST_PAUSE));
        assert!(longest(99) <= Some(MAX_PAUSE));
    }
}
