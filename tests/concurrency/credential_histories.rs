//! Histories of a few callers on a second factor and on a passkey.

use std::time::Duration;

use better_auth::adapters::DatabaseAdapter;
use better_auth::types::{Attempt, CreatePasskey, CreateUser, PasskeyUse, StepOutcome};
use better_auth::{AuthResult, ConflictField};

use crate::Run;
use crate::counter_histories::{DeviceCode, OneApiKey, Window, rotations_move_on};
use crate::histories::{Answer, Refusal, Subject, explore_until};
use crate::linearizability::Model;
use crate::random::Random;

const HOUR: Duration = Duration::from_secs(3600);
const MAX_FAILURES: u32 = 2;

#[derive(Clone, Debug, PartialEq, Eq, Hash)]
struct Factor {
    secret: usize,
    codes: usize,
    is_verified: bool,
    attempts: u32,
    is_locked: bool,
    step: Option<i64>,
}

impl Factor {
    fn succeed(&mut self) {
        self.attempts = 0;
    }
}

/// A user's second factor, and the flag of the user.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
struct SecondFactor {
    factor: Option<Factor>,
    is_enabled: bool,
}

impl Default for SecondFactor {
    fn default() -> Self {
        let factor = Factor {
            is_verified: true,
            step: Some(0),
            ..new_factor(0)
        };
        Self {
            factor: Some(factor),
            is_enabled: true,
        }
    }
}

/// Its backup codes are a copy of the secret.
fn new_factor(secret: usize) -> Factor {
    Factor {
        secret,
        codes: secret,
        is_verified: false,
        attempts: 0,
        is_locked: false,
        step: None,
    }
}

#[derive(Clone, Debug)]
enum OnFactor {
    Enroll(usize),
    Confirm(i64),
    Disable,
    Attempt,
    Accept(i64),
    ReplaceCodes(usize, usize),
    IsEnabled,
}

impl Model for SecondFactor {
    type Operation = OnFactor;
    type Answer = Answer;

    fn apply(&mut self, operation: &OnFactor) -> Answer {
        match (operation, &mut self.factor) {
            (OnFactor::Enroll(_), Some(factor)) if factor.is_verified => {
                Err(Refusal::Conflict(ConflictField::TwoFactor))
            }
            (OnFactor::Enroll(secret), factor) => {
                *factor = Some(new_factor(*secret));
                Ok(None)
            }
            (OnFactor::Confirm(step), Some(factor)) if !factor.is_verified && !factor.is_locked => {
                factor.is_verified = true;
                factor.step = Some(*step);
                factor.succeed();
                self.is_enabled = true;
                Ok(Some(factor.secret.to_string()))
            }
            (OnFactor::Confirm(_), _) => Err(Refusal::NotFound),
            (OnFactor::Disable, factor) => {
                *factor = None;
                self.is_enabled = false;
                Ok(None)
            }
            (OnFactor::IsEnabled, _) => Ok(Some(self.is_enabled.to_string())),
            (OnFactor::Attempt, Some(factor)) => {
                factor.is_locked |= factor.attempts >= MAX_FAILURES;
                if factor.is_locked {
                    return Ok(Some("locked".to_owned()));
                }
                factor.attempts += 1;
                Ok(Some(format!("{} {}", factor.secret, factor.is_verified)))
            }
            (OnFactor::Accept(step), Some(factor)) if factor.is_verified => {
                if factor.is_locked {
                    return Ok(Some("locked".to_owned()));
                }
                if factor.step >= Some(*step) {
                    return Ok(Some("replayed".to_owned()));
                }
                factor.step = Some(*step);
                factor.succeed();
                Ok(Some("accepted".to_owned()))
            }
            (OnFactor::ReplaceCodes(expected, new), Some(factor))
                if factor.codes == *expected && !factor.is_locked =>
            {
                factor.codes = *new;
                factor.succeed();
                Ok(Some("true".to_owned()))
            }
            (OnFactor::ReplaceCodes(..), _) => Ok(Some("false".to_owned())),
            (OnFactor::Attempt | OnFactor::Accept(_), _) => Ok(Some("none".to_owned())),
        }
    }
}

impl Subject for SecondFactor {
    async fn prepare(database: &dyn DatabaseAdapter, _: usize) -> AuthResult<String> {
        let user = database.create_user(CreateUser::new()).await?;
        let factors = database.two_factor()?;
        factors.enroll(&user.id, "0", Some("0")).await?;
        factors.confirm(&user.id, 0).await?;
        Ok(user.id)
    }

    fn choose(random: &mut Random) -> OnFactor {
        let (small, step) = (random.below(3), 1 + random.below(4));
        let step = i64::try_from(step).unwrap();
        match random.below(16) {
            0..=1 => OnFactor::Enroll(small),
            2..=3 => OnFactor::Confirm(step),
            4 => OnFactor::Disable,
            5..=7 => OnFactor::Attempt,
            8..=11 => OnFactor::Accept(step),
            12..=13 => OnFactor::ReplaceCodes(small, random.below(3)),
            _ => OnFactor::IsEnabled,
        }
    }

    async fn call(
        database: &dyn DatabaseAdapter,
        user: &str,
        operation: &OnFactor,
    ) -> AuthResult<Option<String>> {
        let factors = database.two_factor()?;
        let shown = match *operation {
            OnFactor::Enroll(secret) => {
                let secret = &secret.to_string();
                factors.enroll(user, secret, Some(secret)).await?;
                return Ok(None);
            }
            OnFactor::Confirm(step) => factors.confirm(user, step).await?.secret,
            OnFactor::Disable => {
                factors.disable(user).await?;
                return Ok(None);
            }
            OnFactor::Attempt => match factors.begin_attempt(user, MAX_FAILURES, HOUR).await? {
                Attempt::Granted(factor) => format!("{} {}", factor.secret, factor.verified),
                Attempt::Locked { .. } => "locked".to_owned(),
                Attempt::NotEnrolled => "none".to_owned(),
            },
            OnFactor::Accept(step) => match factors.accept_step(user, step).await? {
                StepOutcome::Accepted => "accepted".to_owned(),
                StepOutcome::Replayed => "replayed".to_owned(),
                StepOutcome::Locked { .. } => "locked".to_owned(),
                StepOutcome::NotEnrolled => "none".to_owned(),
            },
            OnFactor::ReplaceCodes(expected, new) => {
                let (expected, new) = (expected.to_string(), new.to_string());
                let replaced = factors.replace_backup_codes(user, Some(&expected), Some(&new));
                replaced.await?.to_string()
            }
            OnFactor::IsEnabled => {
                let found = database.get_user_by_id(user).await?;
                found.unwrap().two_factor_enabled.to_string()
            }
        };
        Ok(Some(shown))
    }
}

/// A credential: the passkey of a first user with its counter and name, or one of another user with its counter.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
enum Credential {
    First(i64, usize),
    Other(i64),
    None,
}

impl Default for Credential {
    fn default() -> Self {
        Self::First(1, 0)
    }
}

#[derive(Clone, Debug)]
enum OnCredential {
    /// By the other user.
    Create,
    Use(i64),
    /// By the first user, as the next two.
    Rename(usize),
    Delete,
    List,
    Get,
}

impl Credential {
    fn counter(&mut self) -> Option<&mut i64> {
        match self {
            Self::First(counter, _) | Self::Other(counter) => Some(counter),
            Self::None => None,
        }
    }
}

impl Model for Credential {
    type Operation = OnCredential;
    type Answer = Answer;

    fn apply(&mut self, operation: &OnCredential) -> Answer {
        match (operation, &mut *self) {
            (OnCredential::Create, Self::None) => {
                *self = Self::Other(0);
                Ok(None)
            }
            (OnCredential::Create, _) => Err(Refusal::Conflict(ConflictField::Passkey)),
            (OnCredential::Use(counter), credential) => {
                let Some(before) = credential.counter() else {
                    return Ok(Some("unknown".to_owned()));
                };
                if *counter > *before || (*counter, *before) == (0, 0) {
                    *before = *counter;
                    return Ok(Some("accepted".to_owned()));
                }
                Ok(Some("cloned".to_owned()))
            }
            (OnCredential::Rename(name), Self::First(_, stored)) => {
                *stored = *name;
                Ok(None)
            }
            (OnCredential::Rename(_), _) => Err(Refusal::NotFound),
            (OnCredential::Delete, Self::First(..)) => {
                *self = Self::None;
                Ok(None)
            }
            (OnCredential::List | OnCredential::Get, Self::First(counter, name)) => {
                Ok(Some(format!("{counter} {name}")))
            }
            (OnCredential::Get, Self::Other(counter)) => Ok(Some(format!("{counter} other"))),
            (OnCredential::Delete | OnCredential::List | OnCredential::Get, _) => Ok(None),
        }
    }
}

impl Subject for Credential {
    async fn prepare(database: &dyn DatabaseAdapter, round: usize) -> AuthResult<String> {
        let (first, other) = (
            database.create_user(CreateUser::new()).await?.id,
            database.create_user(CreateUser::new()).await?.id,
        );
        let credential = format!("credential-{round}");
        let create = CreatePasskey::new(&first, "key", &credential)
            .with_counter(1)
            .with_name("0");
        let passkey = database.passkeys()?.create_passkey(create).await?;
        Ok(format!("{first} {other} {credential} {}", passkey.id))
    }

    fn choose(random: &mut Random) -> OnCredential {
        let small = random.below(5);
        match random.below(12) {
            0..=1 => OnCredential::Create,
            2..=6 => OnCredential::Use(i64::try_from(small).unwrap()),
            7 => OnCredential::Rename(small),
            8 => OnCredential::Delete,
            9 => OnCredential::List,
            _ => OnCredential::Get,
        }
    }

    async fn call(
        database: &dyn DatabaseAdapter,
        key: &str,
        operation: &OnCredential,
    ) -> AuthResult<Option<String>> {
        let parts: Vec<&str> = key.split(' ').collect();
        let [first, other, credential, id] = parts[..] else {
            panic!("{key}");
        };
        let passkeys = database.passkeys()?;
        match *operation {
            OnCredential::Create => {
                let create = CreatePasskey::new(other, "key", credential).with_name("other");
                passkeys.create_passkey(create).await.map(|_| None)
            }
            OnCredential::Use(counter) => {
                let outcome = passkeys.record_use(credential, counter, true).await?;
                let shown = match outcome {
                    PasskeyUse::Accepted => "accepted",
                    PasskeyUse::ClonedAuthenticator => "cloned",
                    PasskeyUse::NotFound => "unknown",
                };
                Ok(Some(shown.to_owned()))
            }
            OnCredential::Rename(name) => passkeys
                .rename_passkey(first, id, &name.to_string())
                .await
                .map(|_| None),
            OnCredential::Delete => passkeys.delete_passkey(first, id).await.map(|()| None),
            OnCredential::List => {
                let listed = passkeys.list_passkeys(first).await?;
                let show = |row: &better_auth::types::Passkey| {
                    format!("{} {}", row.counter, row.name.as_deref().unwrap())
                };
                Ok(listed.first().map(show))
            }
            OnCredential::Get => {
                let found = passkeys.get_passkey_with_user(credential).await?;
                Ok(found.map(|(passkey, user)| {
                    assert_eq!(user.id, passkey.user_id);
                    format!("{} {}", passkey.counter, passkey.name.unwrap())
                }))
            }
        }
    }
}

/// Each of the stores has a part of the time.
pub(crate) async fn credentials_are_linearizable(mut run: Run) {
    run.in_parts(6, async |run, part, end| match part {
        0 => explore_until::<SecondFactor>(run, end).await,
        1 => explore_until::<Credential>(run, end).await,
        2 => explore_until::<OneApiKey>(run, end).await,
        3 => explore_until::<Window>(run, end).await,
        4 => explore_until::<DeviceCode>(run, end).await,
        _ => rotations_move_on(run, end).await,
    })
    .await;
    run.settle().await;
}
