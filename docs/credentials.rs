// What the snippets of credentials.md take from an application. They include it, and run as tests.
use std::time::Duration;

use better_auth::chrono::{DateTime, TimeDelta, Utc};
use better_auth::prelude::*;
use better_auth::types::*;

const HOUR: Duration = Duration::from_secs(60 * 60);
const QUARTER_OF_AN_HOUR: Duration = Duration::from_secs(15 * 60);

fn run(case: impl Future<Output = AuthResult<()>>) {
    let runtime = tokio::runtime::Runtime::new().unwrap();
    runtime.block_on(case).unwrap();
}

async fn with_a_user() -> AuthResult<(MemoryDatabaseAdapter, User)> {
    let database = MemoryDatabaseAdapter::new();
    let user = database.create_user(CreateUser::new().with_name("Ada")).await?;
    Ok((database, user))
}

/// What the application answers.
#[derive(Debug, PartialEq)]
enum Answer {
    Is(&'static str),
    LockedUntil(DateTime<Utc>),
    RetryAfter(Duration),
}

impl Answer {
    fn is_locked(&self) -> bool {
        matches!(self, Self::LockedUntil(_))
    }

    fn is_limited(&self) -> bool {
        matches!(self, Self::RetryAfter(_))
    }
}

fn done() -> Answer {
    Answer::Is("done")
}

fn signed_in() -> Answer {
    Answer::Is("signed in")
}

fn wrong_code() -> Answer {
    Answer::Is("wrong code")
}

fn wrong() -> Answer {
    Answer::Is("wrong")
}

fn refused() -> Answer {
    Answer::Is("refused")
}

fn not_enrolled() -> Answer {
    Answer::Is("not enrolled")
}

fn payment_required() -> Answer {
    Answer::Is("payment required")
}

fn unauthorized() -> Answer {
    Answer::Is("unauthorized")
}

fn error(code: &'static str) -> Answer {
    Answer::Is(code)
}

fn try_again_at(until: DateTime<Utc>) -> Answer {
    Answer::LockedUntil(until)
}

fn too_many_requests(retry_after: Duration) -> Answer {
    Answer::RetryAfter(retry_after)
}

async fn sign_in(database: &dyn DatabaseAdapter, user: &User) -> AuthResult<Answer> {
    let next_week = Utc::now() + TimeDelta::days(7);
    database.create_session(CreateSession::new(&user.id, next_week)).await?;
    Ok(signed_in())
}

async fn refuse_and_tell(_: &User) -> AuthResult<Answer> {
    Ok(refused())
}

async fn serve(_: &ApiKey) -> AuthResult<Answer> {
    Ok(done())
}

async fn issue_tokens(_user_id: &str, _scope: Option<String>) -> AuthResult<Answer> {
    Ok(signed_in())
}

async fn agrees(_: &User, _client_id: Option<&str>, _scope: Option<&str>) -> bool {
    true
}

fn new_totp_secret() -> String {
    "a random secret".to_owned()
}

fn new_backup_codes() -> Vec<String> {
    ["first", "second", "third"].map(str::to_owned).to_vec()
}

/// Stands for encryption, as the next one for a hash.
fn encrypt(text: &str) -> String {
    text.chars().rev().collect()
}

fn decrypt(text: &str) -> String {
    encrypt(text)
}

fn hash_each(codes: &[String]) -> String {
    let hashes: Vec<String> = codes.iter().map(|code| encrypt(code)).collect();
    hashes.join(" ")
}

/// The set of hashes without that of a code, if it is there.
fn without(hashes: &str, code: &str) -> Option<String> {
    let hash = encrypt(code);
    let left: Vec<&str> = hashes.split(' ').filter(|other| *other != hash).collect();
    (left.len() < hashes.split(' ').count()).then(|| left.join(" "))
}

/// Stands for the code of a time step.
fn code_of(secret: &str, step: i64) -> String {
    format!("{step} {secret}")
}

fn step_of(typed: &str, secret: &str) -> Option<i64> {
    let (step, of) = typed.split_once(' ')?;
    (of == secret).then(|| step.parse().ok()).flatten()
}

struct KeyPair {
    public_jwk: &'static str,
    private_jwk: &'static str,
}

fn new_key_pair() -> KeyPair {
    KeyPair { public_jwk: "public", private_jwk: "private" }
}

fn new_challenge() -> String {
    "a random challenge".to_owned()
}

/// What a browser answers to a challenge.
struct BrowserAnswer {
    challenge: String,
    credential_id: String,
    backed_up: bool,
}

impl BrowserAnswer {
    fn new(challenge: impl Into<String>, credential_id: impl Into<String>) -> Self {
        let (challenge, credential_id) = (challenge.into(), credential_id.into());
        Self { challenge, credential_id, backed_up: true }
    }
}

/// Stands for a library.
mod webauthn {
    use super::BrowserAnswer;

    pub struct Credential {
        pub public_key: String,
        pub id: String,
    }

    pub fn verify_registration(answer: &BrowserAnswer) -> Option<Credential> {
        let id = answer.credential_id.clone();
        Some(Credential { public_key: "public key".to_owned(), id })
    }

    /// The counter.
    pub fn verify_assertion(public_key: &str, _: &BrowserAnswer) -> Option<i64> {
        (public_key == "public key").then_some(7)
    }
}

// What becomes of each snippet.

macro_rules! enrols {
    () => {
        run(async {
            let (database, ada) = with_a_user().await?;
            let (secret, _) = enrol(&database, &ada).await?;
            assert_eq!(confirm(&database, &ada, "wrong").await?, wrong_code());
            assert_eq!(confirm(&database, &ada, &code_of(&secret, 7)).await?, done());
            let found = database.get_user_by_id(&ada.id).await?;
            assert!(found.is_some_and(|user| user.two_factor_enabled));
            Ok(())
        })
    };
}

macro_rules! asks_for_the_second_step {
    () => {
        run(async {
            let (database, ada) = with_a_user().await?;
            assert_eq!(second_step(&database, &ada, "1").await?, not_enrolled());
            database.two_factor()?.enroll(&ada.id, &encrypt("secret"), None).await?;
            database.two_factor()?.confirm(&ada.id, 1).await?;
            assert_eq!(second_step(&database, &ada, &code_of("secret", 1)).await?, wrong_code());
            assert_eq!(second_step(&database, &ada, &code_of("secret", 2)).await?, signed_in());
            for _ in 0..5 {
                assert_eq!(second_step(&database, &ada, "wrong").await?, wrong_code());
            }
            assert!(second_step(&database, &ada, &code_of("secret", 3)).await?.is_locked());
            Ok(())
        })
    };
}

macro_rules! takes_a_backup_code {
    () => {
        run(async {
            let (database, ada) = with_a_user().await?;
            let codes = hash_each(&new_backup_codes());
            database.two_factor()?.enroll(&ada.id, &encrypt("secret"), Some(&codes)).await?;
            database.two_factor()?.confirm(&ada.id, 1).await?;
            let code = &new_backup_codes()[1];
            assert_eq!(by_backup_code(&database, &ada, code).await?, signed_in());
            assert_eq!(by_backup_code(&database, &ada, code).await?, wrong_code());
            Ok(())
        })
    };
}

macro_rules! registers_a_passkey {
    () => {
        run(async {
            let (database, ada) = with_a_user().await?;
            let answer = BrowserAnswer::new(challenge(&database, &ada).await?, "credential");
            assert_eq!(register(&database, &ada, &answer).await?, done());
            assert_eq!(register(&database, &ada, &answer).await?, wrong());
            assert_eq!(database.passkeys()?.list_passkeys(&ada.id).await?.len(), 1);
            Ok(())
        })
    };
}

macro_rules! signs_in_by_passkey {
    () => {
        run(async {
            let (database, ada) = with_a_user().await?;
            let create = CreatePasskey::new(&ada.id, "public key", "credential").with_counter(1);
            database.passkeys()?.create_passkey(create).await?;
            let answer = BrowserAnswer::new("challenge", "credential");
            assert_eq!(by_passkey(&database, &answer).await?, signed_in());
            assert_eq!(by_passkey(&database, &answer).await?, refused());
            assert_eq!(by_passkey(&database, &BrowserAnswer::new("challenge", "unknown")).await?, wrong());
            Ok(())
        })
    };
}

macro_rules! serves_machines {
    () => {
        run(async {
            let (database, ada) = with_a_user().await?;
            let create = CreateOrganization::new("Engines", "engines", &ada.id);
            let (engines, _) = database.organizations()?.create_organization(create).await?;
            let key = issue(&database, &engines).await?;
            for _ in 0..100 {
                assert_eq!(request(&database, &key).await?, done());
            }
            assert!(request(&database, &key).await?.is_limited());
            assert_eq!(request(&database, "app_other").await?, unauthorized());
            Ok(())
        })
    };
}

macro_rules! approves_a_device {
    () => {
        run(async {
            let (database, ada) = with_a_user().await?;
            let issued = begin(&database).await?;
            assert_eq!(poll(&database, &issued.device_code).await?, error("authorization_pending"));
            assert_eq!(approve(&database, &ada, "BBBB-BBBB").await?, wrong_code());
            assert_eq!(approve(&database, &ada, &issued.row.user_code).await?, done());
            assert_eq!(poll(&database, &issued.device_code).await?, signed_in());
            assert_eq!(poll(&database, &issued.device_code).await?, error("expired_token"));
            Ok(())
        })
    };
}

macro_rules! limits_tries {
    () => {
        run(async {
            let (database, _) = with_a_user().await?;
            for _ in 0..10 {
                assert_eq!(may_try(&database, "192.0.2.1", "ada@example.com").await?, None);
            }
            let refused = may_try(&database, "192.0.2.1", "ada@example.com").await?;
            assert!(refused.is_some_and(|answer| answer.is_limited()));
            Ok(())
        })
    };
}

macro_rules! rotates {
    () => {
        run(async {
            let (database, _) = with_a_user().await?;
            let key = rotate(&database).await?;
            assert_eq!(rotate(&database).await?, key);
            assert_eq!(database.signing_keys()?.current().await?, Some(key));
            Ok(())
        })
    };
}
