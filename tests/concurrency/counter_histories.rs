//! Histories of a few callers on an API key, on a rate limit and on a device code; and rotations of signing keys.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};

use better_auth::adapters::DatabaseAdapter;
use better_auth::types::{
    ApiKeyUse, CreateApiKey, CreateDeviceCode, CreateSigningKey, CreateUser, DeviceCodeStatus,
    DevicePoll, SigningKey, UpdateApiKey,
};
use better_auth::{AuthResult, transaction};

use crate::histories::{Answer, Refusal, Subject};
use crate::linearizability::Model;
use crate::one_winner::CONTENDERS;
use crate::random::Random;
use crate::{Run, in_an_hour};

const HOUR: Duration = Duration::from_secs(3600);

/// An API key with a quota or without, while it is there.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub(crate) struct OneApiKey(Option<(bool, Option<i32>)>);

impl Default for OneApiKey {
    fn default() -> Self {
        Self(Some((true, Some(2))))
    }
}

#[derive(Clone, Debug)]
pub(crate) enum OnApiKey {
    Use,
    SetRemaining(Option<i32>),
    SetEnabled(bool),
    Delete,
    Get,
}

impl Model for OneApiKey {
    type Operation = OnApiKey;
    type Answer = Answer;

    fn apply(&mut self, operation: &OnApiKey) -> Answer {
        let shown = match (operation, &mut self.0) {
            (OnApiKey::Use, None) => "unknown".to_owned(),
            (OnApiKey::Use, Some((false, _))) => "disabled".to_owned(),
            (OnApiKey::Use, Some((true, remaining))) => match remaining {
                Some(0) => "used up".to_owned(),
                remaining => {
                    *remaining = remaining.map(|left| left - 1);
                    "accepted".to_owned()
                }
            },
            (OnApiKey::SetRemaining(_) | OnApiKey::SetEnabled(_), None) => {
                return Err(Refusal::NotFound);
            }
            (OnApiKey::SetRemaining(new), Some((_, remaining))) => {
                *remaining = *new;
                return Ok(None);
            }
            (OnApiKey::SetEnabled(new), Some((is_enabled, _))) => {
                *is_enabled = *new;
                return Ok(None);
            }
            (OnApiKey::Delete, key) => {
                *key = None;
                return Ok(None);
            }
            (OnApiKey::Get, key) => {
                let shown = key.map(|(is_enabled, left)| format!("{is_enabled} {left:?}"));
                return Ok(shown);
            }
        };
        Ok(Some(shown))
    }
}

impl Subject for OneApiKey {
    async fn prepare(database: &dyn DatabaseAdapter, _: usize) -> AuthResult<String> {
        let user = database.create_user(CreateUser::new()).await?;
        let create = CreateApiKey::for_user(&user.id).with_quota(2);
        let issued = database.api_keys()?.create_api_key(create).await?;
        Ok(format!("{} {}", issued.row.id, issued.key))
    }

    fn choose(random: &mut Random) -> OnApiKey {
        let left = i32::try_from(random.below(4)).unwrap();
        match random.below(14) {
            0..=6 => OnApiKey::Use,
            7..=9 => OnApiKey::SetRemaining((left < 3).then_some(left)),
            10..=11 => OnApiKey::SetEnabled(left < 2),
            12 => OnApiKey::Get,
            _ if left == 0 => OnApiKey::Delete,
            _ => OnApiKey::Get,
        }
    }

    async fn call(
        database: &dyn DatabaseAdapter,
        key: &str,
        operation: &OnApiKey,
    ) -> AuthResult<Option<String>> {
        let (id, key) = key.split_once(' ').unwrap();
        let keys = database.api_keys()?;
        let update = match *operation {
            OnApiKey::Use => {
                let shown = match keys.use_key(key).await? {
                    ApiKeyUse::Accepted(row) => {
                        assert!(row.enabled && row.remaining >= row.remaining.min(Some(0)));
                        "accepted"
                    }
                    ApiKeyUse::UsedUp => "used up",
                    ApiKeyUse::Disabled => "disabled",
                    ApiKeyUse::NotFound => "unknown",
                    other => panic!("{other:?}"),
                };
                return Ok(Some(shown.to_owned()));
            }
            OnApiKey::Delete => return keys.delete_api_key(id).await.map(|()| None),
            OnApiKey::Get => {
                let found = keys.get_api_key(id).await?;
                return Ok(found.map(|row| format!("{} {:?}", row.enabled, row.remaining)));
            }
            OnApiKey::SetRemaining(Some(left)) => UpdateApiKey::new().with_remaining(left),
            OnApiKey::SetRemaining(None) => UpdateApiKey::new().without_remaining(),
            OnApiKey::SetEnabled(is_enabled) => UpdateApiKey::new().with_enabled(is_enabled),
        };
        keys.update_api_key(id, update).await.map(|_| None)
    }
}

/// How many calls a window has counted.
#[derive(Clone, Debug, Default, PartialEq, Eq, Hash)]
pub(crate) struct Window(u32);

impl Window {
    const MAX: u32 = 7;
}

impl Model for Window {
    type Operation = ();
    type Answer = Answer;

    fn apply(&mut self, (): &()) -> Answer {
        let is_allowed = self.0 < Self::MAX;
        self.0 += u32::from(is_allowed);
        Ok(Some(is_allowed.to_string()))
    }
}

impl Subject for Window {
    async fn prepare(_: &dyn DatabaseAdapter, round: usize) -> AuthResult<String> {
        Ok(format!("window {round}"))
    }

    fn choose(_: &mut Random) {}

    async fn call(
        database: &dyn DatabaseAdapter,
        key: &str,
        (): &(),
    ) -> AuthResult<Option<String>> {
        let limit = database.rate_limits()?.take(key, Self::MAX, HOUR).await?;
        Ok(Some(limit.allowed.to_string()))
    }
}

/// What has become of a device code. `None`: it is used up.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub(crate) struct DeviceCode(Option<DeviceCodeStatus>);

impl Default for DeviceCode {
    fn default() -> Self {
        Self(Some(DeviceCodeStatus::Pending))
    }
}

#[derive(Clone, Debug)]
pub(crate) enum OnDeviceCode {
    Approve,
    Deny,
    Poll,
    Get,
}

impl Model for DeviceCode {
    type Operation = OnDeviceCode;
    type Answer = Answer;

    fn apply(&mut self, operation: &OnDeviceCode) -> Answer {
        use DeviceCodeStatus::{Approved, Denied, Pending};
        let shown = match (operation, self.0) {
            (OnDeviceCode::Approve | OnDeviceCode::Deny, Some(Pending)) => {
                let is_approved = matches!(operation, OnDeviceCode::Approve);
                self.0 = Some(if is_approved { Approved } else { Denied });
                "true".to_owned()
            }
            (OnDeviceCode::Approve | OnDeviceCode::Deny, _) => "false".to_owned(),
            (OnDeviceCode::Poll, Some(Pending)) => "waiting".to_owned(),
            (OnDeviceCode::Poll, Some(Denied)) => "denied".to_owned(),
            (OnDeviceCode::Poll, Some(Approved)) => {
                self.0 = None;
                "approved".to_owned()
            }
            (OnDeviceCode::Poll, None) => "unknown".to_owned(),
            (OnDeviceCode::Get, status) => return Ok(status.map(|status| format!("{status:?}"))),
        };
        Ok(Some(shown))
    }
}

impl Subject for DeviceCode {
    async fn prepare(database: &dyn DatabaseAdapter, _: usize) -> AuthResult<String> {
        let user = database.create_user(CreateUser::new()).await?;
        let create = CreateDeviceCode::new(in_an_hour());
        let issued = database.device_codes()?.create_device_code(create).await?;
        let (code, typed) = (issued.device_code, issued.row.user_code);
        Ok(format!("{} {code} {typed}", user.id))
    }

    fn choose(random: &mut Random) -> OnDeviceCode {
        match random.below(10) {
            0 => OnDeviceCode::Approve,
            1 => OnDeviceCode::Deny,
            2 => OnDeviceCode::Get,
            _ => OnDeviceCode::Poll,
        }
    }

    async fn call(
        database: &dyn DatabaseAdapter,
        key: &str,
        operation: &OnDeviceCode,
    ) -> AuthResult<Option<String>> {
        let parts: Vec<&str> = key.split(' ').collect();
        let [user, code, typed] = parts[..] else {
            panic!("{key}");
        };
        let codes = database.device_codes()?;
        let shown = match operation {
            OnDeviceCode::Approve => codes.approve(typed, user).await?.to_string(),
            OnDeviceCode::Deny => codes.deny(typed).await?.to_string(),
            OnDeviceCode::Poll => match codes.poll(code, None).await? {
                // Which of the two depends on the clock.
                DevicePoll::Pending | DevicePoll::SlowDown => "waiting".to_owned(),
                DevicePoll::Denied => "denied".to_owned(),
                DevicePoll::NotFound => "unknown".to_owned(),
                DevicePoll::Approved { user_id, .. } => {
                    assert_eq!(user_id, user);
                    "approved".to_owned()
                }
                DevicePoll::Expired => panic!("it has an hour"),
            },
            OnDeviceCode::Get => {
                let found = codes.get_device_code(typed).await?;
                return Ok(found.map(|row| format!("{:?}", row.status)));
            }
        };
        Ok(Some(shown))
    }
}

/// What a rotation answered, and when it was invoked and returned.
struct Rotation {
    invoked: u64,
    returned: u64,
    key: SigningKey,
}

/// Rotates a few times, in a transaction or not. Some calls are dropped.
async fn rotate(
    database: Arc<dyn DatabaseAdapter>,
    caller: String,
    clock: Arc<AtomicU64>,
    mut random: Random,
) -> Vec<Rotation> {
    let mut rotations = Vec::new();
    for call in 0..4 {
        let offered = &format!("{caller} {call}");
        let invoked = clock.fetch_add(1, Ordering::SeqCst);
        let new = || CreateSigningKey::new(offered, "private");
        let returned = if random.one_in(3) {
            let rotate = transaction(&database, |tx| async move {
                tx.signing_keys()?.rotate(new(), Duration::ZERO).await
            });
            random.finish_or_drop(rotate).await
        } else {
            let keys = database.signing_keys().unwrap();
            random
                .finish_or_drop(keys.rotate(new(), Duration::ZERO))
                .await
        };
        let returned_at = clock.fetch_add(1, Ordering::SeqCst);
        match returned {
            Some(Ok(key)) => rotations.push(Rotation {
                invoked,
                returned: returned_at,
                key,
            }),
            Some(Err(error)) => assert!(error.is_retryable(), "{error:?}"),
            None => {}
        }
    }
    rotations
}

/// Each rotation answers a key that is newer than all that were answered before its call, and one key has a generation.
pub(crate) async fn rotations_move_on(run: &mut Run, end: Instant) {
    let watched = run.watch.task("rotations");
    let (mut rounds, mut calls) = (0, 0);
    while Instant::now() < end {
        watched.does(format!("round {rounds}"));
        let clock = Arc::new(AtomicU64::new(0));
        let callers: Vec<_> = (0..CONTENDERS)
            .map(|caller| {
                let (database, random) = (Arc::clone(&run.database), run.random.fork());
                let caller = format!("{rounds} {caller}");
                tokio::spawn(rotate(database, caller, Arc::clone(&clock), random))
            })
            .collect();
        let mut rotations = Vec::new();
        for caller in callers {
            rotations.extend(caller.await.unwrap());
        }
        let mut of_generation = BTreeMap::new();
        for rotation in &rotations {
            let key = of_generation
                .entry(rotation.key.generation)
                .or_insert(&rotation.key);
            assert_eq!(*key, &rotation.key);
            let earlier = rotations.iter().filter(|it| it.returned < rotation.invoked);
            let newest = earlier.map(|it| it.key.generation).max();
            assert!(newest < Some(rotation.key.generation), "{newest:?}");
        }
        rounds += 1;
        calls += rotations.len();
    }
    let listed = run.database.signing_keys().unwrap().list_signing_keys();
    let generations: Vec<_> = listed
        .await
        .unwrap()
        .iter()
        .map(|key| key.generation)
        .collect();
    let newest = i64::try_from(generations.len()).unwrap();
    assert_eq!(generations, (1..=newest).rev().collect::<Vec<_>>());
    println!("{calls} rotations in {rounds} rounds; {newest} keys");
    assert!(calls > 0);
}
