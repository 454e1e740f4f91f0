//! Text that can be stored, and keys in the form in which they are compared.

use crate::{AuthError, AuthResult};

/// Longest id, email, username and provider id, in bytes.
pub const MAX_NAME_BYTES: usize = 255;
/// Longest account id and verification identifier, in bytes.
pub const MAX_IDENTIFIER_BYTES: usize = 1024;

/// Whether this can be stored as text at all, of any length: a NUL character cannot.
#[must_use]
pub fn is_possible_text(text: &str) -> bool {
    !text.contains('\0')
}

fn fits(text: &str, max_bytes: usize) -> bool {
    text.len() <= max_bytes && is_possible_text(text)
}

/// Whether this can be the id of a row. A lookup by anything else answers `None` without asking the store.
#[must_use]
pub fn is_possible_id(id: &str) -> bool {
    fits(id, MAX_NAME_BYTES)
}

/// Whether these can be the provider id and the account id of an account.
#[must_use]
pub fn is_possible_account(provider_id: &str, account_id: &str) -> bool {
    fits(provider_id, MAX_NAME_BYTES) && fits(account_id, MAX_IDENTIFIER_BYTES)
}

/// Whether this can be the identifier of a verification.
#[must_use]
pub fn is_possible_identifier(identifier: &str) -> bool {
    fits(identifier, MAX_IDENTIFIER_BYTES)
}

/// Text as emails and usernames are compared: without case, where a final sigma is a sigma.
pub(in crate::adapters) fn without_case(text: &str) -> String {
    text.to_lowercase().replace('ς', "σ")
}

/// The stored form of an email address or username to look up; `None` if it cannot be stored.
#[must_use]
pub fn lookup_name(name: &str) -> Option<String> {
    name_key("", name).ok()
}

/// Bytes in hexadecimal digits.
pub(in crate::adapters) fn hex(bytes: &[u8]) -> String {
    const DIGITS: &[u8; 16] = b"0123456789abcdef";
    let nibbles = bytes.iter().flat_map(|byte| [byte >> 4, byte & 15]);
    let digits = nibbles.filter_map(|nibble| DIGITS.get(usize::from(nibble)).copied());
    digits.map(char::from).collect()
}

pub(super) fn text(field: &'static str, text: String) -> AuthResult<String> {
    if is_possible_text(&text) {
        Ok(text)
    } else {
        Err(AuthError::validation(field, "holds a NUL character"))
    }
}

pub(super) fn key(field: &'static str, value: String, max_bytes: usize) -> AuthResult<String> {
    let value = text(field, value)?;
    if value.len() <= max_bytes {
        Ok(value)
    } else {
        let message = format!(
            "takes {} bytes, at most {max_bytes} can be stored",
            value.len()
        );
        Err(AuthError::validation(field, message))
    }
}

/// An email address or username: compared, and so stored, without case.
pub(in crate::adapters) fn name_key(field: &'static str, name: &str) -> AuthResult<String> {
    if name.is_empty() {
        return Err(AuthError::validation(field, "is empty"));
    }
    if name.trim() != name {
        return Err(AuthError::validation(
            field,
            "begins or ends with white space",
        ));
    }
    key(field, without_case(name), MAX_NAME_BYTES)
}

/// A key that is not empty.
pub(super) fn given_key(
    field: &'static str,
    value: String,
    max_bytes: usize,
) -> AuthResult<String> {
    key(field, given_text(field, value)?, max_bytes)
}

/// A key that may be missing.
pub(super) fn optional_key(
    field: &'static str,
    value: Option<String>,
    max_bytes: usize,
) -> AuthResult<Option<String>> {
    value.map(|value| key(field, value, max_bytes)).transpose()
}

/// Text of any length, but not none.
pub(super) fn given_text(field: &'static str, value: String) -> AuthResult<String> {
    if value.is_empty() {
        return Err(AuthError::validation(field, "is empty"));
    }
    text(field, value)
}

pub(super) fn optional_text(
    field: &'static str,
    value: Option<String>,
) -> AuthResult<Option<String>> {
    value.map(|value| text(field, value)).transpose()
}

pub(super) fn text_update(
    field: &'static str,
    update: Option<Option<String>>,
) -> AuthResult<Option<Option<String>>> {
    each(update, |value| text(field, value))
}

/// Checks the new value of a nullable column, if there is one.
pub(super) fn each<T, U>(
    update: Option<Option<T>>,
    check: impl FnOnce(T) -> AuthResult<U>,
) -> AuthResult<Option<Option<U>>> {
    update.map(|value| value.map(check).transpose()).transpose()
}

#[cfg(test)]
mod tests {
    use super::{
        MAX_IDENTIFIER_BYTES, MAX_NAME_BYTES, is_possible_account, is_possible_id,
        is_possible_identifier,
    };

    /// Whether a key is possible up to this length, and without a NUL character.
    fn is_limited_to(max_bytes: usize, is_possible: impl Fn(&str) -> bool) -> bool {
        let longest = "x".repeat(max_bytes);
        is_possible(&longest) && !is_possible(&(longest + "x")) && !is_possible("a\0b")
    }

    #[test]
    fn keys_have_a_longest() {
        assert!(is_limited_to(MAX_NAME_BYTES, is_possible_id));
        assert!(is_limited_to(MAX_IDENTIFIER_BYTES, is_possible_identifier));
        let of_provider = |id: &str| is_possible_account(id, "1");
        assert!(is_limited_to(MAX_NAME_BYTES, of_provider));
        let of_account = |id: &str| is_possible_account("github", id);
        assert!(is_limited_to(MAX_IDENTIFIER_BYTES, of_account));
    }
}
