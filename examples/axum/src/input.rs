//! What people type, in the form in which handlers take it.

use axum::extract::FromRequest;
use axum::extract::{FromRequestParts, Query as AxumQuery};
use serde::Deserialize;

use crate::error::AppError;

/// A form, whose failure is one of our pages.
#[derive(FromRequest)]
#[from_request(via(axum::Form), rejection(AppError))]
pub struct Form<T>(pub T);

/// JSON, whose failure is one of our answers.
#[derive(FromRequest)]
#[from_request(via(axum::Json), rejection(AppError))]
pub struct Json<T>(pub T);

/// A query, whose failure is one of our pages.
#[derive(FromRequestParts)]
#[from_request(via(AxumQuery), rejection(AppError))]
pub struct Query<T>(pub T);

/// A form without fields of its own.
#[derive(Deserialize)]
pub struct Nothing {}

/// An address without white space at its ends, or what is wrong with it. Only a mail proves that it exists.
///
/// # Errors
///
/// What to tell the user.
pub fn email(text: &str) -> Result<String, &'static str> {
    let email = text.trim();
    let parts = email
        .split_once('@')
        .is_some_and(|(name, host)| !name.is_empty() && !host.is_empty());
    if !parts
        || email.len() > 255
        || email
            .chars()
            .any(|letter| letter.is_control() || letter.is_whitespace())
    {
        return Err("This is not an email address.");
    }
    Ok(email.to_lowercase())
}

/// A name of a person or a thing.
///
/// # Errors
///
/// What to tell the user.
pub fn name(text: &str) -> Result<String, &'static str> {
    let name = text.trim();
    if name.is_empty() || name.len() > 200 || name.chars().any(char::is_control) {
        return Err("A name has 1 to 200 letters.");
    }
    Ok(name.to_owned())
}

/// A password that is worth hashing.
///
/// # Errors
///
/// What to tell the user.
pub fn password(text: &str) -> Result<&str, &'static str> {
    if (10..=1000).contains(&text.len()) {
        Ok(text)
    } else {
        Err("A password has at least 10 letters.")
    }
}

/// A path of this application. Anything else could lead to another site.
#[must_use]
pub fn local_path(text: &str) -> &str {
    let local = text.starts_with('/') && !text.starts_with("//");
    let plain = text
        .bytes()
        .all(|byte| byte.is_ascii_graphic() && byte != b'\\');
    if local && plain && text.len() <= 300 {
        text
    } else {
        "/"
    }
}

#[cfg(test)]
mod tests {
    use super::{email, local_path, name, password};

    #[test]
    fn paths_stay_here() {
        for away in [
            "https://evil.example",
            "//evil.example",
            "/\\evil.example",
            "/a\nb",
            "javascript:1",
            "",
        ] {
            assert_eq!(local_path(away), "/", "{away:?}");
        }
        assert_eq!(local_path("/invitations/1?a=b"), "/invitations/1?a=b");
    }

    #[test]
    fn fields_are_checked() {
        assert_eq!(email(" Ada@Example.com "), Ok("ada@example.com".to_owned()));
        for wrong in ["", "ada", "@", "a@", "a@b\r\nBcc: c@d", "a b@c", "a\0@b"] {
            assert!(email(wrong).is_err(), "{wrong:?}");
        }
        assert!(name("  ").is_err() && name("a\0").is_err() && name("Ada").is_ok());
        assert!(
            password("short").is_err()
                && password("long enough").is_ok()
                && password(&"x".repeat(1001)).is_err()
        );
    }
}
