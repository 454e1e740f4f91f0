//! The keys by which the values of verifications are hashed, and the forms in which a store may hold a value.

use std::borrow::Cow;
use std::fmt;

use super::input;
use crate::{AuthError, AuthResult};

/// What every digest of a value begins with. The number of its key follows, then the digest, each in hexadecimal digits.
const DIGEST_PREFIX: &str = "hmac-sha256:";
/// Bytes of a key's number.
pub(in crate::adapters) const NUMBER_BYTES: usize = 4;
/// Bytes of a digest.
pub(in crate::adapters) const DIGEST_BYTES: usize = 32;

/// The least that makes a key as hard to guess as its digests.
const MIN_KEY_BYTES: usize = 32;

/// The keys by which an adapter hashes the values of verifications that are created
/// [`hashed`](crate::types::CreateVerification::hashed()).
///
/// A code of six digits is found by trying all of them, so a plain digest would hide nothing. HMAC-SHA-256 takes a key
/// too: a leaked table or backup reveals no code unless the key has leaked as well. Keep the keys away from the database,
/// for example in the environment. A key is at least 32 random bytes (`openssl rand -base64 32`).
///
/// ```
/// use better_auth::adapters::{DatabaseAdapter, MemoryDatabaseAdapter, VerificationKeys};
/// use better_auth::types::{CodeCheck, CreateVerification};
/// use chrono::{TimeDelta, Utc};
///
/// # #[tokio::main(flavor = "current_thread")]
/// # async fn main() -> better_auth::AuthResult<()> {
/// # let (current, old) = ([1_u8; 32], [2_u8; 32]);
/// let keys = VerificationKeys::new(current).with_previous(old);
/// // `SqlxAdapter::builder(url).verification_keys(keys)` on PostgreSQL.
/// let database = MemoryDatabaseAdapter::new().verification_keys(keys)?;
///
/// let end = Utc::now() + TimeDelta::minutes(10);
/// let code = CreateVerification::new("ada@example.com", "493027", end).hashed();
/// database.create_verification(code).await?;
/// let check = database.check_code("ada@example.com", "493027", 3).await?;
/// assert!(matches!(check, CodeCheck::Accepted(row) if row.value == "493027"));
/// # Ok(())
/// # }
/// ```
///
/// # What callers see
///
/// - Methods that are given the value find it in every form: `get_verification`, `get_verification_by_value`,
///   `consume_verification` and `check_code` try the current key, the previous ones and the value itself. The row that they
///   return holds the value that they were given, and so does the row of `create_verification`.
/// - Methods that are given an identifier only, `get_verification_by_identifier` and
///   `consume_verification_by_identifier`, cannot know the value. Their row holds the stored digest: `hmac-sha256:`, the
///   number of the key and the digest. Never compare it with what a client sends.
/// - A stored digest is never accepted as a value. Lookups by text of its form find nothing, `check_code` counts it as a
///   wrong guess, and `create_verification` refuses it as
///   [`Validation`](crate::AuthError::Validation). All of this holds for adapters without keys too.
/// - Values of other verifications are stored as they are, because flows keep data there.
///
/// Equal values have equal digests under one key, because they have to be found. Who reads the table while it is in use,
/// and can have codes sent to an address of their own, may recognize a code that they were sent. So let codes be short-lived.
///
/// # Changing keys while traffic runs
///
/// An instance finds only the digests of keys that it has. So give a key to every instance before one of them uses it:
///
/// | to | do this, one instance after the other |
/// |---|---|
/// | begin | give every instance the key; then create with `hashed()` |
/// | replace a key | `new(old).with_previous(new)` in every instance, then `new(new).with_previous(old)`; `new(new)` once the verifications that the old key has hashed have expired |
/// | stop | create without `hashed()`; take the keys away once the hashed verifications have expired |
///
/// A value whose key is gone is not found any more; its row stays until it expires. The number in the stored form is
/// derived from the key alone, so the order of the keys does not matter.
#[derive(Clone)]
pub struct VerificationKeys {
    current: Vec<u8>,
    previous: Vec<Vec<u8>>,
}

impl VerificationKeys {
    /// New values are hashed by this key. The adapter refuses one of less than 32 bytes.
    #[must_use]
    pub fn new(current: impl AsRef<[u8]>) -> Self {
        Self {
            current: current.as_ref().to_vec(),
            previous: Vec::new(),
        }
    }

    /// Values that were hashed by this key are found as well. There may be any number of such keys.
    #[must_use]
    pub fn with_previous(mut self, previous: impl AsRef<[u8]>) -> Self {
        self.previous.push(previous.as_ref().to_vec());
        self
    }

    /// Fails if a key is too short.
    pub(in crate::adapters) fn check(&self) -> AuthResult<()> {
        let Some(short) = self.all().find(|key| key.len() < MIN_KEY_BYTES) else {
            return Ok(());
        };
        let message = format!(
            "a key has {} bytes; use at least {MIN_KEY_BYTES} random bytes",
            short.len()
        );
        Err(AuthError::validation("verification_keys", message))
    }

    pub(in crate::adapters) fn current(&self) -> &[u8] {
        &self.current
    }

    fn all(&self) -> impl Iterator<Item = &[u8]> + Clone {
        let previous = self.previous.iter().map(Vec::as_slice);
        std::iter::once(self.current()).chain(previous)
    }
}

impl fmt::Debug for VerificationKeys {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let redacted = format_args!("[redacted]");
        f.debug_struct("VerificationKeys")
            .field("current", &redacted)
            .field("previous", &vec![redacted; self.previous.len()])
            .finish()
    }
}

/// The stored form of a digest.
pub(in crate::adapters) fn stored_digest(number: &[u8], digest: &[u8]) -> String {
    format!(
        "{DIGEST_PREFIX}{}:{}",
        input::hex(number),
        input::hex(digest)
    )
}

/// Whether a text has the form of a stored digest.
pub(in crate::adapters) fn is_digest(text: &str) -> bool {
    let is_hex = |text: &str, bytes| {
        text.len() == 2 * bytes && text.bytes().all(|b| matches!(b, b'0'..=b'9' | b'a'..=b'f'))
    };
    text.strip_prefix(DIGEST_PREFIX)
        .and_then(|rest| rest.split_once(':'))
        .is_some_and(|(number, digest)| {
            is_hex(number, NUMBER_BYTES) && is_hex(digest, DIGEST_BYTES)
        })
}

/// Every form in which a store may hold a value that a client presents: itself, and what `hash` makes of it with each key.
/// There is no form for a value that no client can have: a digest, or text that cannot be stored.
pub(in crate::adapters) fn forms<'a>(
    value: &'a str,
    keys: Option<&'a VerificationKeys>,
    hash: fn(&[u8], &str) -> String,
) -> impl Iterator<Item = Cow<'a, str>> + Clone {
    let is_possible = input::is_possible_text(value) && !is_digest(value);
    let keys = keys.into_iter().flat_map(VerificationKeys::all);
    let hashed = keys.map(move |key| Cow::Owned(hash(key, value)));
    let all = std::iter::once(Cow::Borrowed(value)).chain(hashed);
    all.take_while(move |_| is_possible)
}

#[cfg(test)]
mod tests {
    use super::{VerificationKeys, is_digest, stored_digest};

    #[test]
    fn short_keys_are_refused() {
        let (long, short) = ([7; 32], [7; 31]);
        assert!(VerificationKeys::new(long).check().is_ok());
        assert!(VerificationKeys::new("x".repeat(33)).check().is_ok());
        for keys in [
            VerificationKeys::new(short),
            VerificationKeys::new(""),
            VerificationKeys::new(long).with_previous(short),
            VerificationKeys::new(long)
                .with_previous(long)
                .with_previous([]),
        ] {
            let error = keys.check().unwrap_err().to_string();
            assert!(error.starts_with("verification_keys: "), "{error}");
        }
    }

    #[test]
    fn keys_are_not_shown() {
        let secret = "hunter2".repeat(5);
        let keys = VerificationKeys::new(&secret).with_previous(&secret);
        for shown in [format!("{keys:?}"), format!("{keys:#?}")] {
            assert!(!shown.contains("hunter2"), "{shown}");
            assert_eq!(shown.matches("[redacted]").count(), 2, "{shown}");
        }
    }

    #[test]
    fn digests_are_told_from_text() {
        let (number, digest) = ("0a1b2c3d", "0f".repeat(32));
        assert_eq!(
            stored_digest(&[0x0a, 0x1b, 0x2c, 0x3d], &[0x0f; 32]),
            format!("hmac-sha256:{number}:{digest}")
        );
        assert!(is_digest(&format!("hmac-sha256:{number}:{digest}")));
        for text in [
            "",
            "hmac-sha256:",
            "hmac-sha256::",
            &format!("hmac-sha256:{number}"),
            &format!("hmac-sha256:{number}:"),
            &format!("hmac-sha256:{number}:{digest} "),
            &format!(" hmac-sha256:{number}:{digest}"),
            &format!("hmac-sha256:{number}0:{digest}"),
            &format!("hmac-sha256:{number}:{digest}:"),
            &format!("hmac-sha256:{number}:{}", digest.to_uppercase()),
            &format!("HMAC-SHA256:{number}:{digest}"),
            &format!("sha256:{digest}"),
        ] {
            assert!(!is_digest(text), "{text}");
        }
    }

    #[test]
    fn a_value_has_a_form_for_each_key() {
        let keys = VerificationKeys::new("a")
            .with_previous("b")
            .with_previous("c");
        let hash = |key: &[u8], value: &str| format!("{value} by {}", String::from_utf8_lossy(key));
        let forms = |value, keys| -> Vec<String> {
            super::forms(value, keys, hash)
                .map(std::borrow::Cow::into_owned)
                .collect()
        };
        assert_eq!(forms("1", None), ["1"]);
        assert_eq!(forms("1", Some(&keys)), ["1", "1 by a", "1 by b", "1 by c"]);
        assert_eq!(forms("a\0b", Some(&keys)), [""; 0]);
        let digest = format!("hmac-sha256:00000000:{}", "0".repeat(64));
        assert_eq!(forms(&digest, Some(&keys)), [""; 0]);
    }
}
