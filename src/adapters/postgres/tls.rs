//! Which failures to encrypt a connection are mistakes of the configuration, and what to do about them.

use sqlx::Error;

/// The advice, if the build, the URL or the server's certificate has to change before a connection can be made.
pub(super) fn configuration_mistake(error: &Error) -> Option<&'static str> {
    // native-tls reports a refused certificate as an error of TLS, rustls as one of I/O.
    if !matches!(error, Error::Tls(_) | Error::Io(_)) {
        return None;
    }
    let message = error.to_string();
    if is_missing(error) {
        Some(
            "sslmode needs encryption, and no TLS feature is enabled: enable tls-rustls-ring-webpki, \
             tls-rustls-ring-native-roots, tls-rustls-aws-lc-rs or tls-native-tls of better-auth",
        )
    } else if message.contains("certificate") {
        Some(
            "the server's certificate is refused: its authority has to be in sslrootcert or among the trusted ones, \
             and with sslmode=verify-full its name the URL's host",
        )
    } else if message.contains("server does not support TLS") {
        Some(
            "sslmode needs encryption, and the server offers none: switch ssl on there, or change sslmode",
        )
    } else {
        None
    }
}

/// Whether sqlx was built without TLS, by the features of this crate and of all others.
pub(super) fn is_missing(error: &Error) -> bool {
    matches!(error, Error::Tls(error) if error.to_string().contains("without TLS support"))
}
