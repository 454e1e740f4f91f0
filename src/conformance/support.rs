//! What cases of several modules need.

use std::collections::HashMap;
use std::fmt::Debug;
use std::panic::Location;
use std::pin::Pin;
use std::task::Poll;
use std::time::Duration;

use chrono::{DateTime, TimeDelta, Utc};

use super::difference::assert_same as assert_eq;
use crate::adapters::DatabaseAdapter;
use crate::types::{
    CreateAccount, CreateSession, CreateUser, CreateVerification, Session, User, Verification,
};
use crate::{AuthError, AuthResult};

/// Fails unless an answer is the error of the pattern.
macro_rules! assert_error {
    ($answer:expr, $($pattern:tt)+) => {
        match $answer {
            Err($($pattern)+) => {}
            answer => panic!("the answer is {:?} instead of `Err({})`", answer, stringify!($($pattern)+)),
        }
    };
}
pub(super) use assert_error;

/// For each of the first fields, its name and the input with this value in it. The fields after the semicolon are not
/// set; they are named so that a new field of the type is not forgotten.
macro_rules! each_with {
    ($base:expr, $value:expr => $type:ident { $($field:ident),* ; $($other:ident),* $(,)? }) => {{
        let $type { $($field: _,)* $($other: _,)* } = $base;
        [$((stringify!($field), $type { $field: $value, ..$base })),*]
    }};
}
pub(super) use each_with;

/// Fails unless the answer is `Validation` of this field.
#[track_caller]
pub(super) fn assert_refused<T: Debug>(field: &str, answer: AuthResult<T>) {
    match answer {
        Err(AuthError::Validation { field: named, .. }) => {
            assert_eq!(named, field, "the error names another field");
        }
        answer => panic!("{answer:?} instead of `Validation` of `{field}`"),
    }
}

pub(super) fn in_an_hour() -> DateTime<Utc> {
    Utc::now() + TimeDelta::hours(1)
}

pub(super) fn an_hour_ago() -> DateTime<Utc> {
    Utc::now() - TimeDelta::hours(1)
}

/// The place in a case that called a helper. Prints it if the helper panics.
pub(super) struct Caller(&'static Location<'static>);

impl Caller {
    #[track_caller]
    pub(super) fn here() -> Self {
        Self(Location::caller())
    }
}

impl Drop for Caller {
    fn drop(&mut self) {
        if std::thread::panicking() {
            eprintln!("the case failed at {}", self.0);
        }
    }
}

#[track_caller]
pub(super) fn new_user(adapter: &dyn DatabaseAdapter) -> impl Future<Output = User> {
    let caller = Caller::here();
    async move {
        let _caller = caller;
        adapter.create_user(CreateUser::new()).await.unwrap()
    }
}

#[track_caller]
pub(super) fn new_session(
    adapter: &dyn DatabaseAdapter,
    user: &User,
) -> impl Future<Output = Session> {
    let caller = Caller::here();
    let session = CreateSession::new(&user.id, in_an_hour());
    async move {
        let _caller = caller;
        adapter.create_session(session).await.unwrap()
    }
}

pub(super) fn account_of(user: &User, account_id: &str) -> CreateAccount {
    CreateAccount::new(&user.id, "github", account_id)
}

pub(super) fn code(identifier: &str, value: &str) -> CreateVerification {
    CreateVerification::new(identifier, value, in_an_hour())
}

pub(super) fn expired_code(identifier: &str, value: &str) -> CreateVerification {
    CreateVerification::new(identifier, value, an_hour_ago())
}

/// Creates a verification whose value is hashed. `None` if the adapter has no keys; nothing is stored then.
#[track_caller]
pub(super) fn new_hashed(
    adapter: &dyn DatabaseAdapter,
    verification: CreateVerification,
) -> impl Future<Output = Option<Verification>> {
    let caller = Caller::here();
    async move {
        let _caller = caller;
        let (identifier, value) = (verification.identifier.clone(), verification.value.clone());
        let stored = || async { adapter.get_verification(&identifier, &value).await.unwrap() };
        let before = stored().await;
        match adapter.create_verification(verification.hashed()).await {
            Ok(row) => {
                assert_eq!((&row.identifier, &row.value), (&identifier, &value));
                Some(row)
            }
            Err(AuthError::Unsupported { .. }) => {
                assert_eq!(stored().await, before);
                None
            }
            Err(error) => panic!("{error:?} instead of a row or `Unsupported`"),
        }
    }
}

/// What has the form in which the value of a verification may be stored.
pub(super) fn value_digest() -> String {
    format!("hmac-sha256:0a1b2c3d:{}", "0f".repeat(32))
}

/// Fails unless a list of sessions is the expected one, with the tokens or with digests in their place.
#[track_caller]
pub(super) fn assert_listed(listed: &[Session], expected: &[Session]) {
    let id = |session: &Session| session.id.clone();
    let tokens: HashMap<String, &String> =
        expected.iter().map(|row| (id(row), &row.token)).collect();
    let mut with_tokens = listed.to_vec();
    for session in &mut with_tokens {
        let Some(&token) = tokens.get(&session.id) else {
            continue;
        };
        assert!(
            session.token == *token || is_digest(&session.token),
            "the list shows neither the token of session {} nor `sha256:` and 64 hexadecimal digits",
            session.id
        );
        session.token.clone_from(token);
    }
    assert_eq!(with_tokens, expected);
}

fn is_digest(token: &str) -> bool {
    token.strip_prefix("sha256:").is_some_and(|hex| {
        hex.len() == 64
            && hex
                .bytes()
                .all(|digit| matches!(digit, b'0'..=b'9' | b'a'..=b'f'))
    })
}

/// What looks as a stored digest may, that of the empty text among them.
pub(super) fn digests() -> impl Iterator<Item = String> {
    let of_nothing = "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855";
    let shapes = [
        String::new(),
        "0".repeat(64),
        "f".repeat(63),
        "a".repeat(65),
        of_nothing.to_owned(),
        of_nothing.to_uppercase(),
    ];
    shapes.into_iter().map(|hex| format!("sha256:{hex}"))
}

/// Fails if the work is not done within 20 seconds.
#[track_caller]
pub(super) fn in_time<T>(work: impl Future<Output = T>) -> impl Future<Output = T> {
    let caller = Caller::here();
    async move {
        let _caller = caller;
        tokio::time::timeout(Duration::from_secs(20), work)
            .await
            .expect("the operation still waits after 20 seconds")
    }
}

/// Polls a future so often, or until it answers, and lets others work in between.
pub(super) async fn poll<T>(
    mut future: Pin<&mut (impl Future<Output = T> + ?Sized)>,
    times: usize,
) -> Option<T> {
    for _ in 0..times {
        let polled = std::future::poll_fn(|context| Poll::Ready(future.as_mut().poll(context)));
        if let Poll::Ready(answer) = polled.await {
            return Some(answer);
        }
        tokio::task::yield_now().await;
    }
    None
}

/// Runs so many calls at once and returns their answers.
pub(super) async fn at_once<T, F>(count: usize, call: impl Fn(usize) -> F) -> Vec<T>
where
    T: Send + 'static,
    F: Future<Output = T> + Send + 'static,
{
    let tasks: Vec<_> = (0..count).map(|index| tokio::spawn(call(index))).collect();
    let mut answers = Vec::with_capacity(count);
    for task in tasks {
        answers.push(task.await.unwrap());
    }
    answers
}
