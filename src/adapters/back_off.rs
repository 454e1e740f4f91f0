use std::time::Duration;

/// How many more times what collides with others is tried, unless the caller says.
pub(super) const MAX_RETRIES: u32 = 10;
/// The longest wait before the first of them; it doubles up to the last constant.
const FIRST: Duration = Duration::from_millis(4);
const LONGEST: Duration = Duration::from_millis(250);

/// How long to wait after so many collisions: a random part of a time that doubles, so that those who collided do not
/// meet again.
pub(super) fn back_off(collisions: u32) -> Duration {
    let longest = FIRST.saturating_mul(1 << collisions.min(16)).min(LONGEST);
    longest.mul_f64(random_fraction())
}

/// From 0 to 1.
pub(super) fn random_fraction() -> f64 {
    let random = getrandom::u32().unwrap_or(u32::MAX);
    f64::from(random) / f64::from(u32::MAX)
}

#[cfg(test)]
mod tests {
    use super::{FIRST, LONGEST, back_off};

    #[test]
    fn pauses_grow_up_to_the_longest() {
        let longest = |collisions| (0..200).map(|_| back_off(collisions)).max();
        assert!(longest(0) <= Some(FIRST));
        assert!(longest(3) > Some(FIRST));
        assert!(longest(3) <= Some(8 * FIRST));
        assert!(longest(99) > Some(8 * FIRST));
        assert!(longest(99) <= Some(LONGEST));
    }
}
