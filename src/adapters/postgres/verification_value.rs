//! How a verification's value stands in the table: as it is, or as a digest under a key.

use hmac::digest::Key;
use hmac::{Hmac, KeyInit as _, Mac as _};
use sha2::{Digest as _, Sha256};

use crate::adapters::VerificationKeys;
use crate::adapters::verification_keys::{NUMBER_BYTES, forms, stored_digest};
use crate::types::Verification;

/// What the number of a key is the digest of. No value is: stored text holds no NUL character.
const NUMBER: &str = "\0the number of this key";

/// What `verifications.value` holds for a value that is hashed by this key.
pub(super) fn digest(key: &[u8], value: &str) -> String {
    let number = hmac(key, NUMBER);
    let number = number.get(..NUMBER_BYTES).unwrap_or(&number);
    stored_digest(number, &hmac(key, value))
}

fn hmac(key: &[u8], text: &str) -> [u8; 32] {
    let mut block = Key::<Hmac<Sha256>>::default();
    let digest;
    let key = if key.len() > block.len() {
        digest = Sha256::digest(key);
        digest.as_slice()
    } else {
        key
    };
    for (padded, byte) in block.iter_mut().zip(key) {
        *padded = *byte;
    }
    let mac = Hmac::<Sha256>::new(&block).chain_update(text);
    mac.finalize().into_bytes().into()
}

/// All forms in which the table may hold a value that a client presents. None if no client can have it: a digest, above
/// all, because a leaked table shows digests.
pub(super) fn stored_values(value: &str, keys: Option<&VerificationKeys>) -> Vec<String> {
    forms(value, keys, digest)
        .map(std::borrow::Cow::into_owned)
        .collect()
}

/// The row with the value that it was created with, or found by.
pub(super) fn with_value(row: Verification, value: &str) -> Verification {
    Verification {
        value: value.to_owned(),
        ..row
    }
}

#[cfg(test)]
mod tests {
    use super::{digest, hmac, stored_values, with_value};
    use crate::adapters::VerificationKeys;
    use crate::adapters::verification_keys::is_digest;
    use crate::types::Verification;

    /// Of RFC 4231.
    #[test]
    fn digests_are_those_of_hmac_sha_256() {
        let hex = |key: &[u8], text| crate::adapters::input::hex(&hmac(key, text));
        assert_eq!(
            hex(b"Jefe", "what do ya want for nothing?"),
            "5bdcc146bf60754e6a042426089575c75a003f089d2739839dec58b964ec3843"
        );
        // Not of the RFC: a key that fills a block is taken as it is.
        assert_eq!(
            hex(&[0xaa; 64], "what do ya want for nothing?"),
            "7d138503e26666740e493a90641024397c001ad5d3618558a580052081952885"
        );
        assert_eq!(
            hex(
                &[0xaa; 131],
                "Test Using Larger Than Block-Size Key - Hash Key First"
            ),
            "60e431591ee0b67f0d8a26aacbf5b77f8e0bc6213728c5140546040f0ee37f54"
        );
        let stored = digest(b"Jefe", "what do ya want for nothing?");
        let (_, last) = stored.rsplit_once(':').unwrap();
        assert_eq!(last, hex(b"Jefe", "what do ya want for nothing?"));
        assert!(is_digest(&stored), "{stored}");
    }

    #[test]
    fn a_row_is_shown_with_the_value_that_was_presented() {
        let time = chrono::DateTime::UNIX_EPOCH;
        let row = Verification::new("a", "ada@example.com", digest(b"key", "1"), time, time);
        let shown = with_value(row.clone(), "1");
        assert_eq!(shown.value, "1");
        assert_eq!(with_value(shown, &row.value), row);
    }

    #[test]
    fn a_key_has_its_number_wherever_it_stands() {
        let number = |key: &str, value| digest(key.as_bytes(), value)[..20].to_owned();
        assert_eq!(number("a", "1"), number("a", "2"));
        assert_ne!(number("a", "1"), number("b", "1"));
        let one = VerificationKeys::new("a").with_previous("b");
        let other = VerificationKeys::new("b").with_previous("a");
        let (mut one, mut other) = (
            stored_values("1", Some(&one)),
            stored_values("1", Some(&other)),
        );
        one.sort();
        other.sort();
        assert_eq!(one, other);
        assert_eq!(one.len(), 3);
        for stored in &one[1..] {
            assert_eq!(stored_values(stored, None), [""; 0]);
        }
    }
}
