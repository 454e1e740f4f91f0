//! Random tokens, and what the secret of the application signs and encrypts.

use chacha20poly1305::aead::{Aead, KeyInit};
use chacha20poly1305::{XChaCha20Poly1305, XNonce};
use data_encoding::BASE64URL_NOPAD;
use hmac::{Hmac, Mac};
use sha2::{Digest, Sha256};

const NONCE_BYTES: usize = 24;

/// Signs and encrypts. Each purpose has a key of its own, so that what is made for one is void for the others.
#[derive(Clone)]
pub struct Secrets(String);

impl Secrets {
    /// By the secret of the configuration.
    #[must_use]
    pub fn new(secret: impl Into<String>) -> Self {
        Self(secret.into())
    }

    /// A key for one purpose.
    #[must_use]
    pub fn key(&self, purpose: &str) -> [u8; 32] {
        mac(self.0.as_bytes(), purpose)
            .finalize()
            .into_bytes()
            .into()
    }

    /// A signature of the text.
    #[must_use]
    pub fn sign(&self, purpose: &str, text: &str) -> String {
        BASE64URL_NOPAD.encode(&mac(&self.key(purpose), text).finalize().into_bytes())
    }

    /// Whether it is the signature of the text, in a time that tells nothing.
    #[must_use]
    pub fn is_signed(&self, purpose: &str, text: &str, signature: &str) -> bool {
        let signature = BASE64URL_NOPAD
            .decode(signature.as_bytes())
            .unwrap_or_default();
        mac(&self.key(purpose), text)
            .verify_slice(&signature)
            .is_ok()
    }

    /// The text, encrypted.
    #[must_use]
    pub fn encrypt(&self, purpose: &str, text: &str) -> String {
        let nonce = random_bytes::<NONCE_BYTES>();
        let sealed = self
            .cipher(purpose)
            .encrypt(&XNonce::from(nonce), text.as_bytes());
        BASE64URL_NOPAD.encode(&[&nonce[..], &sealed.expect("a short text")].concat())
    }

    /// What was encrypted, or nothing if it was altered or the secret is another one.
    #[must_use]
    pub fn decrypt(&self, purpose: &str, sealed: &str) -> Option<String> {
        let bytes = BASE64URL_NOPAD.decode(sealed.as_bytes()).ok()?;
        let (nonce, sealed) = bytes.split_first_chunk::<NONCE_BYTES>()?;
        let text = self
            .cipher(purpose)
            .decrypt(&XNonce::from(*nonce), sealed)
            .ok()?;
        String::from_utf8(text).ok()
    }

    fn cipher(&self, purpose: &str) -> XChaCha20Poly1305 {
        XChaCha20Poly1305::new(&self.key(purpose).into())
    }
}

fn mac(key: &[u8], text: &str) -> Hmac<Sha256> {
    Hmac::new_from_slice(key)
        .expect("any length is a key")
        .chain_update(text)
}

/// 32 random bytes that nobody guesses.
#[must_use]
pub fn random_token() -> String {
    BASE64URL_NOPAD.encode(&random_bytes::<32>())
}

/// Six random digits. They can be guessed: count the attempts.
#[must_use]
pub fn random_code() -> String {
    // 2⁶⁴ is so much more than a million that no code is likelier than another.
    format!("{:06}", u64::from_le_bytes(random_bytes()) % 1_000_000)
}

/// Random bytes of the operating system.
///
/// # Panics
///
/// If the operating system has none.
#[must_use]
pub fn random_bytes<const N: usize>() -> [u8; N] {
    let mut bytes = [0; N];
    getrandom::fill(&mut bytes).expect("the operating system has random bytes");
    bytes
}

/// What is stored of a token, so that a leaked table opens nothing.
#[must_use]
pub fn digest(token: &str) -> String {
    BASE64URL_NOPAD.encode(&Sha256::digest(token))
}
