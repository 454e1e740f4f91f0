//! How a session's token stands in the table: as it is, or as a digest that opens nothing.

use std::collections::HashMap;

use super::digest::DIGEST_PREFIX;
/// What `sessions.token` holds for a token where tokens are hashed.
pub(super) use super::digest::digest;
use crate::adapters::input;

pub(super) fn is_digest(stored: &str) -> bool {
    stored.starts_with(DIGEST_PREFIX)
}

/// Whether it can be anyone's token: a digest, above all, is what a leaked table shows.
pub(super) fn is_presentable(token: &str) -> bool {
    !is_digest(token) && input::is_possible_text(token)
}

/// In which form `sessions.token` holds the tokens of new sessions, and in which forms tokens are looked up.
///
/// | | a new session's token is stored | a client's token is found |
/// |---|---|---|
/// | `Plain` | as it is | in both forms |
/// | `Hashing` | as its SHA-256 digest | in both forms |
/// | `HashedOnly` | as its SHA-256 digest | as its digest alone, so that a lookup goes down the index once |
///
/// With `Hashing` and `HashedOnly`, who reads the table or a backup can open no session with it. Callers see tokens as
/// before, with one exception: [`get_user_sessions`] shows the digest, as `sha256:` and 64 hexadecimal digits, which
/// [`delete_session`] takes and nothing else does. No setting takes a digest for a token.
///
/// No other program may compare the stored tokens with what clients send: one that does, as Better Auth in TypeScript
/// with its `bearer` plugin, would take the stored digest for a token.
///
/// # Switching while traffic runs
///
/// From `Plain` to `Hashing` and back, at any time, one instance after the other. To `HashedOnly`, in this order:
///
/// 1. `Hashing` in every instance. From now on, no token is stored as it is.
/// 2. [`SqlxAdapter::hash_stored_session_tokens`], once. [`SqlxAdapter::check_schema`] then answers with
///    [`plain_session_tokens`]` = false`.
/// 3. `HashedOnly`, one instance after the other.
///
/// An adapter with `HashedOnly` would not find a token that is stored as it is, and its user would seem to be signed out.
/// Therefore [`connect`] fails with an error that says what to do while there is such a token, and so does `check_schema`.
///
/// On the way back, every instance first has `Hashing`, then `Plain`: an instance with `Plain` creates sessions that those
/// with `HashedOnly` do not find. [`delete_session`] and [`delete_other_sessions`] know both forms with every setting.
///
/// [`get_user_sessions`]: crate::adapters::DatabaseAdapter::get_user_sessions
/// [`delete_session`]: crate::adapters::DatabaseAdapter::delete_session
/// [`delete_other_sessions`]: crate::adapters::DatabaseAdapter::delete_other_sessions
/// [`SqlxAdapter::hash_stored_session_tokens`]: crate::adapters::SqlxAdapter::hash_stored_session_tokens
/// [`SqlxAdapter::check_schema`]: crate::adapters::SqlxAdapter::check_schema
/// [`plain_session_tokens`]: crate::adapters::SchemaReport::plain_session_tokens
/// [`connect`]: crate::adapters::SqlxAdapterBuilder::connect
///
/// ```no_run
/// use better_auth::adapters::{SessionTokens, SqlxAdapter};
///
/// # async fn example(url: &str) -> better_auth::AuthResult<()> {
/// let database = SqlxAdapter::builder(url)
///     .session_tokens(SessionTokens::HashedOnly)
///     .connect()
///     .await?;
/// # Ok(())
/// # }
/// ```
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub enum SessionTokens {
    /// New tokens are stored as they are.
    #[default]
    Plain,
    /// New tokens are stored as digests.
    Hashing,
    /// Every token is stored as a digest.
    HashedOnly,
}

impl SessionTokens {
    /// What the table holds for the token of a new session.
    pub(super) fn new_stored(self, token: &str) -> String {
        match self {
            Self::Plain => token.to_owned(),
            Self::Hashing | Self::HashedOnly => digest(token),
        }
    }

    /// All that the table may hold for a token that a client presents.
    pub(super) fn stored(self, token: &str) -> Vec<String> {
        match self {
            Self::Plain | Self::Hashing => vec![token.to_owned(), digest(token)],
            Self::HashedOnly => vec![digest(token)],
        }
    }
}

/// Tokens as clients present them, to be found in the forms in which the table may hold them.
pub(super) struct TokenLookup {
    stored: Vec<String>,
    by_digest: HashMap<String, String>,
}

impl TokenLookup {
    pub(super) fn new(tokens: &[String], setting: SessionTokens) -> Self {
        let by_digest: HashMap<_, _> = tokens
            .iter()
            .map(|token| (digest(token), token.clone()))
            .collect();
        let plain = match setting {
            SessionTokens::Plain | SessionTokens::Hashing => tokens,
            SessionTokens::HashedOnly => &[],
        };
        Self {
            stored: plain.iter().chain(by_digest.keys()).cloned().collect(),
            by_digest,
        }
    }

    /// All that the table may hold for them.
    pub(super) fn stored(&self) -> &[String] {
        &self.stored
    }

    /// Makes a token that the table holds the presented one.
    pub(super) fn restore(&self, stored: &mut String) {
        if let Some(presented) = self.by_digest.get(stored) {
            presented.clone_into(stored);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::{SessionTokens, TokenLookup, digest, is_presentable};

    #[test]
    fn digests_are_those_of_sha_256() {
        assert_eq!(
            digest("abc"),
            "sha256:ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad"
        );
    }

    #[test]
    fn a_digest_cannot_be_presented() {
        assert!(!is_presentable(&digest("abc")));
        assert!(!is_presentable("sha256:"));
        assert!(!is_presentable("a\0b"));
        assert!(is_presentable("abc"));
    }

    #[test]
    fn tokens_are_found_in_the_forms_of_the_setting() {
        let tokens = ["abc".to_owned(), "def".to_owned()];
        for (setting, forms) in [
            (SessionTokens::Plain, 2),
            (SessionTokens::Hashing, 2),
            (SessionTokens::HashedOnly, 1),
        ] {
            let presented = TokenLookup::new(&tokens, setting);
            assert_eq!(presented.stored().len(), 2 * forms);
            for token in &tokens {
                let alone = setting.stored(token);
                assert_eq!(alone.len(), forms);
                assert!(alone.contains(&digest(token)));
                for mut stored in alone {
                    assert!(presented.stored().contains(&stored));
                    presented.restore(&mut stored);
                    assert_eq!(stored, *token);
                }
            }
        }
    }
}
