//! Where a request has its session token.

use http::HeaderMap;
use http::header::{AUTHORIZATION, COOKIE};

use super::AuthRejection;

/// A shorter one could be guessed.
const MIN_TOKEN: usize = 32;
const MAX_TOKEN: usize = 255;

/// Where a token was found.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Source {
    Bearer,
    Cookie,
}

/// What a request presents.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Presented<'a> {
    Nothing,
    /// No session has such a token.
    Impossible,
    Token(&'a str, Source),
}

/// The token of a request. A bearer token, if there is one, hides the cookie.
///
/// # Errors
///
/// [`AuthRejection::Malformed`] if there are several.
pub(super) fn find<'a>(
    headers: &'a HeaderMap,
    cookie_name: &str,
    takes_bearer: bool,
) -> Result<Presented<'a>, AuthRejection> {
    if takes_bearer && let Some(bearer) = only(bearers(headers))? {
        return Ok(presented(bearer, Source::Bearer));
    }
    match only(cookies(headers, cookie_name))? {
        Some(value) => Ok(presented(value, Source::Cookie)),
        None => Ok(Presented::Nothing),
    }
}

fn only<T>(mut found: impl Iterator<Item = T>) -> Result<Option<T>, AuthRejection> {
    let first = found.next();
    match found.next() {
        None => Ok(first),
        Some(_) => Err(AuthRejection::Malformed),
    }
}

fn bearers(headers: &HeaderMap) -> impl Iterator<Item = &[u8]> {
    headers.get_all(AUTHORIZATION).iter().filter_map(|value| {
        let (scheme, token) = value.as_bytes().split_at_checked("Bearer ".len())?;
        scheme
            .eq_ignore_ascii_case(b"Bearer ")
            .then(|| token.trim_ascii())
    })
}

/// HTTP/2 may send one header for each cookie.
fn cookies<'a>(headers: &'a HeaderMap, name: &str) -> impl Iterator<Item = &'a [u8]> {
    let headers = headers.get_all(COOKIE).iter();
    let pairs = headers.flat_map(|value| value.as_bytes().split(|byte| *byte == b';'));
    pairs.filter_map(move |pair| {
        let value = pair.trim_ascii().strip_prefix(name.as_bytes())?;
        Some(value.strip_prefix(b"=")?.trim_ascii())
    })
}

fn presented(value: &[u8], source: Source) -> Presented<'_> {
    // An empty cookie is what browsers make of one that was taken away.
    if value.is_empty() {
        return Presented::Nothing;
    }
    match str::from_utf8(value) {
        Ok(token) if is_possible(token) => Presented::Token(token, source),
        _ => Presented::Impossible,
    }
}

/// Whether a session may have such a token: this library's, or those of Better Auth (TypeScript), in a table that both
/// have written.
fn is_possible(token: &str) -> bool {
    let is_possible_byte = |byte: u8| byte.is_ascii_alphanumeric() || b"-._~+/=".contains(&byte);
    (MIN_TOKEN..=MAX_TOKEN).contains(&token.len()) && token.bytes().all(is_possible_byte)
}
