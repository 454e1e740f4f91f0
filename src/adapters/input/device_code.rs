//! New device codes, and codes that users type.

use chrono::{DateTime, Utc};

use super::random::{fill_random, new_id, new_token};
use super::text::{MAX_NAME_BYTES, optional_key, optional_text};
use super::time::{later, normal_time, positive_micros};
use crate::types::{CreateDeviceCode, DeviceCode, DeviceCodeStatus, IssuedDeviceCode};
use crate::{AuthError, AuthResult};

/// The letters of RFC 8628, section 6.1: no vowels, so that no words come up.
const LETTERS: &[u8; 20] = b"BCDFGHJKLMNPQRSTVWXZ";
const USER_CODE_LETTERS: usize = 8;
/// By how much a poll that comes too soon raises the interval, in milliseconds.
pub(in crate::adapters) const SLOW_DOWN: i32 = 5_000;

/// The row of a new device code with both codes and an id. If the user code is taken, the store tries again with
/// [`new_user_code`].
///
/// # Errors
///
/// [`AuthError::Validation`], which names the field; [`AuthError::Unavailable`] if the operating system gives no random
/// bytes.
pub fn new_device_code(code: CreateDeviceCode, now: DateTime<Utc>) -> AuthResult<IssuedDeviceCode> {
    let CreateDeviceCode {
        expires_at,
        polling_interval,
        client_id,
        scope,
    } = code;
    let micros = positive_micros("polling_interval", polling_interval)?;
    let interval = micros / 1000 + i64::from(micros % 1000 > 0);
    let interval = i32::try_from(interval)
        .map_err(|_| AuthError::validation("polling_interval", "is longer than 24 days"))?;
    let row = DeviceCode {
        id: new_id()?,
        user_code: new_user_code()?,
        user_id: None,
        expires_at: normal_time("expires_at", expires_at)?,
        status: DeviceCodeStatus::Pending,
        last_polled_at: None,
        polling_interval: interval,
        client_id: optional_key("client_id", client_id, MAX_NAME_BYTES)?,
        scope: optional_text("scope", scope)?,
        created_at: now,
        updated_at: now,
    };
    Ok(IssuedDeviceCode {
        device_code: new_token()?,
        row,
    })
}

/// A new code for users to type: 8 letters, each as likely as the others.
///
/// # Errors
///
/// [`AuthError::Unavailable`] if the operating system gives no random bytes.
pub fn new_user_code() -> AuthResult<String> {
    let mut code = String::with_capacity(USER_CODE_LETTERS);
    while code.len() < USER_CODE_LETTERS {
        let mut random = [0; 1];
        fill_random(&mut random)?;
        let [byte] = random;
        code.extend(letter(byte).map(char::from));
    }
    Ok(code)
}

/// A letter for a random byte. The last 16 values, which would make some letters more likely, have none.
fn letter(byte: u8) -> Option<u8> {
    let letter = LETTERS.get(usize::from(byte) % LETTERS.len());
    letter.filter(|_| byte < 240).copied()
}

/// The stored form of a code that a user has typed, in any case and with or without hyphens; `None` if it is no such code.
#[must_use]
pub fn user_code(typed: &str) -> Option<String> {
    if typed.len() > 4 * USER_CODE_LETTERS {
        return None;
    }
    let letters = typed.bytes().filter(|byte| *byte != b'-');
    let letters: Vec<u8> = letters.map(|byte| byte.to_ascii_uppercase()).collect();
    let is_code =
        letters.len() == USER_CODE_LETTERS && letters.iter().all(|letter| LETTERS.contains(letter));
    String::from_utf8(letters).ok().filter(|_| is_code)
}

/// Whether a poll comes sooner than the interval in milliseconds allows.
#[must_use]
pub fn is_too_soon(
    last_polled_at: Option<DateTime<Utc>>,
    polling_interval: i32,
    now: DateTime<Utc>,
) -> bool {
    let interval = i64::from(polling_interval) * 1000;
    last_polled_at.is_some_and(|last| later(last, interval) > now)
}

/// The interval after a poll that came too soon.
#[must_use]
pub fn slowed_down(polling_interval: i32) -> i32 {
    polling_interval.saturating_add(SLOW_DOWN)
}

#[cfg(test)]
mod tests {
    use std::collections::HashMap;

    use chrono::{DateTime, TimeDelta};

    use super::{LETTERS, is_too_soon, letter, new_user_code, user_code};

    #[test]
    fn letters_are_equally_likely() {
        for expected in LETTERS {
            let bytes = (0..=u8::MAX).filter(|byte| letter(*byte) == Some(*expected));
            assert_eq!(bytes.count(), 12);
        }
    }

    #[test]
    fn a_poll_is_on_time_when_the_interval_is_over() {
        let last = DateTime::UNIX_EPOCH;
        let polled = |later| is_too_soon(Some(last), 5_000, last + later);
        assert!(polled(TimeDelta::seconds(5) - TimeDelta::microseconds(1)));
        assert!(!polled(TimeDelta::seconds(5)));
        assert!(!is_too_soon(None, 5_000, last));
    }

    #[test]
    fn codes_of_users_are_letters_each_as_likely_as_the_others() {
        let mut counts: HashMap<u8, u32> = HashMap::new();
        for _ in 0..5_000 {
            let code = new_user_code().unwrap();
            assert_eq!(user_code(&code), Some(code.clone()));
            for letter in code.bytes() {
                *counts.entry(letter).or_default() += 1;
            }
        }
        assert_eq!(counts.len(), LETTERS.len());
        assert!(
            counts.values().all(|count| (1_600..2_400).contains(count)),
            "{counts:?}"
        );
    }

    #[test]
    fn case_and_hyphens_make_no_other_code() {
        for typed in ["WDJBMJHT", "wdjb-mjht", "-W-D-J-B-M-J-H-T-"] {
            assert_eq!(user_code(typed).as_deref(), Some("WDJBMJHT"));
        }
        let hyphens = |count| "-".repeat(count) + "WDJBMJHT";
        assert!(user_code(&hyphens(24)).is_some() && user_code(&hyphens(25)).is_none());
        for typed in [
            "",
            "WDJBMJH",
            "WDJBMJHTT",
            "WDJBMJHA",
            "WDJB MJHT",
            "WDJBMJH\0",
            "ŴDJBMJHT",
        ] {
            assert_eq!(user_code(typed), None, "{typed}");
        }
    }
}
