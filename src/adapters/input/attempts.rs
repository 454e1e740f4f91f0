//! How many guesses at a code are left.

use crate::types::{CodeCheck, Verification};
use crate::{AuthError, AuthResult};

/// Stands in place of the number of wrong guesses once no attempt is left. A verification with it is not live.
pub const USED_UP: i32 = -1;

/// How many wrong guesses a code may take, for [`check_code`](crate::adapters::DatabaseAdapter::check_code). The store
/// keeps with each verification how many it has seen, zero at first.
#[derive(Clone, Copy, Debug)]
pub struct Attempts(pub(in crate::adapters) i32);

impl Attempts {
    /// Checks the number.
    ///
    /// # Errors
    ///
    /// [`AuthError::Validation`] if it is zero.
    pub fn new(max_attempts: u32) -> AuthResult<Self> {
        if max_attempts == 0 {
            return Err(AuthError::validation("max_attempts", "is zero"));
        }
        Ok(Self(i32::try_from(max_attempts).unwrap_or(i32::MAX)))
    }

    /// What a check answers for a row that has seen so many wrong guesses. `guessed` is the row if the guess is right.
    #[must_use]
    pub fn check(self, attempts: i32, guessed: Option<Verification>) -> CodeCheck {
        if attempts == USED_UP || attempts >= self.0 {
            return CodeCheck::TooManyAttempts;
        }
        if let Some(row) = guessed {
            return CodeCheck::Accepted(row);
        }
        match self.0 - attempts - 1 {
            0 => CodeCheck::TooManyAttempts,
            left => CodeCheck::Wrong {
                attempts_left: left.unsigned_abs(),
            },
        }
    }

    /// How many wrong guesses the row has seen after another one, or [`USED_UP`].
    #[must_use]
    pub fn after_another(self, attempts: i32) -> i32 {
        if attempts == USED_UP || attempts >= self.0 - 1 {
            USED_UP
        } else {
            attempts + 1
        }
    }
}

#[cfg(test)]
mod tests {
    use chrono::Utc;

    use super::{Attempts, USED_UP};
    use crate::types::{CodeCheck, Verification};

    #[test]
    fn guesses_are_counted_to_the_last() {
        let now = Utc::now();
        let row = Verification::new("id", "ada", "right", now, now);
        let three = Attempts::new(3).unwrap();
        let check = |attempts, value| {
            let guessed = (value == row.value).then(|| row.clone());
            three.check(attempts, guessed)
        };
        assert_eq!(check(0, "wrong"), CodeCheck::Wrong { attempts_left: 2 });
        assert_eq!(check(1, "wrong"), CodeCheck::Wrong { attempts_left: 1 });
        assert_eq!(check(2, "wrong"), CodeCheck::TooManyAttempts);
        assert_eq!(check(2, "right"), CodeCheck::Accepted(row.clone()));
        for attempts in [USED_UP, 3, i32::MAX] {
            for value in ["wrong", "right"] {
                assert_eq!(check(attempts, value), CodeCheck::TooManyAttempts);
            }
        }
        let after = [0, 1, 2, 3, i32::MAX, USED_UP].map(|attempts| three.after_another(attempts));
        assert_eq!(after, [1, 2, USED_UP, USED_UP, USED_UP, USED_UP]);
        let most = Attempts::new(u32::MAX).unwrap();
        assert_eq!(most.after_another(0), 1);
        assert!(Attempts::new(0).is_err());
    }
}
