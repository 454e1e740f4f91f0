//! Time-based codes of six digits (RFC 6238), as authenticator apps show them.

use std::time::SystemTime;

use data_encoding::BASE32_NOPAD;
use hmac::{Hmac, KeyInit, Mac};
use sha1::Sha1;

use crate::secrets;

/// How long a code lasts, in seconds.
const STEP: u64 = 30;

/// A new secret, in the letters that people can type into an app.
#[must_use]
pub fn new_secret() -> String {
    BASE32_NOPAD.encode(&secrets::random_bytes::<20>())
}

/// What the app reads from the picture.
#[must_use]
pub fn url(secret: &str, email: &str) -> String {
    let label: String = email
        .chars()
        .filter(|letter| letter.is_ascii_alphanumeric() || "@.-_+".contains(*letter))
        .collect();
    let label = label.replace('+', "%2B").replace('@', "%40");
    format!(
        "otpauth://totp/Example:{label}?secret={secret}&issuer=Example&algorithm=SHA1&digits=6&period={STEP}"
    )
}

/// The time step whose code this is: now, or one before or after, because clocks differ.
#[must_use]
pub fn step_of(typed: &str, secret: &str) -> Option<i64> {
    let now = current_step();
    [now, now - 1, now + 1]
        .into_iter()
        .find(|step| code(secret, *step).as_deref() == Some(typed.trim()))
}

/// The step of this moment.
#[must_use]
pub fn current_step() -> i64 {
    let since = SystemTime::now()
        .duration_since(SystemTime::UNIX_EPOCH)
        .unwrap_or_default();
    i64::try_from(since.as_secs() / STEP).unwrap_or(i64::MAX)
}

/// The code of a step.
#[must_use]
pub fn code(secret: &str, step: i64) -> Option<String> {
    let key = BASE32_NOPAD.decode(secret.as_bytes()).ok()?;
    let mac = Hmac::<Sha1>::new_from_slice(&key)
        .ok()?
        .chain_update(step.to_be_bytes())
        .finalize()
        .into_bytes();
    let offset = usize::from(mac.last()? & 15);
    let number = u32::from_be_bytes(mac.get(offset..offset + 4)?.try_into().ok()?) & 0x7fff_ffff;
    Some(format!("{:06}", number % 1_000_000))
}

#[cfg(test)]
mod tests {
    use super::{BASE32_NOPAD, code};

    /// The last six of the eight digits of RFC 6238, appendix B.
    #[test]
    fn codes_are_those_of_the_standard() {
        let secret = BASE32_NOPAD.encode(b"12345678901234567890");
        for (seconds, expected) in [
            (59, "287082"),
            (1_111_111_109, "081804"),
            (20_000_000_000, "353130"),
        ] {
            assert_eq!(code(&secret, seconds / 30).as_deref(), Some(expected));
        }
    }
}
