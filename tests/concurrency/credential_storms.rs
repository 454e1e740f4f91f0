//! Storms on what works once or so many times: as many callers win as may.

use std::sync::Arc;
use std::time::Duration;

use better_auth::AuthResult;
use better_auth::adapters::DatabaseAdapter;
use better_auth::types::{
    ApiKeyUse, Attempt, CreateApiKey, CreateDeviceCode, CreatePasskey, CreateSigningKey,
    CreateUser, DevicePoll, PasskeyUse, StepOutcome,
};
use tokio::sync::Barrier;

use crate::one_winner::Call;
use crate::{Run, in_an_hour};

const HOUR: Duration = Duration::from_secs(3600);
const INSTANCES: usize = 50;

/// Lets so many callers call at once, and answers how many have won.
async fn storm(
    databases: &[Arc<dyn DatabaseAdapter>],
    callers: usize,
    key: &str,
    call: Call<bool>,
) -> usize {
    let start = Arc::new(Barrier::new(callers));
    let callers: Vec<_> = (0..callers)
        .zip(databases.iter().cycle())
        .map(|(caller, database)| {
            let (database, start) = (Arc::clone(database), Arc::clone(&start));
            let key = key.to_owned();
            tokio::spawn(async move {
                start.wait().await;
                call(&database, caller, &key).await.unwrap()
            })
        })
        .collect();
    let mut winners = 0;
    for caller in callers {
        winners += usize::from(caller.await.unwrap());
    }
    winners
}

async fn new_user(run: &Run) -> String {
    let user = run.database.create_user(CreateUser::new()).await;
    user.unwrap().id
}

/// A user with a second factor whose backup codes are `all`.
async fn new_factor(run: &Run) -> AuthResult<String> {
    let user = new_user(run).await;
    let factors = run.database.two_factor()?;
    factors.enroll(&user, "secret", Some("all")).await?;
    factors.confirm(&user, 0).await?;
    Ok(user)
}

async fn new_api_key(run: &Run, create: impl FnOnce(CreateApiKey) -> CreateApiKey) -> String {
    let create = create(CreateApiKey::for_user(new_user(run).await));
    let keys = run.database.api_keys().unwrap();
    keys.create_api_key(create).await.unwrap().key
}

/// The code of the device, and the code of the user.
async fn new_device_code(run: &Run) -> (String, String) {
    let codes = run.database.device_codes().unwrap();
    let create = CreateDeviceCode::new(in_an_hour());
    let issued = codes.create_device_code(create).await.unwrap();
    (issued.device_code, issued.row.user_code)
}

async fn use_key(database: &dyn DatabaseAdapter, key: &str) -> AuthResult<bool> {
    match database.api_keys()?.use_key(key).await? {
        ApiKeyUse::Accepted(row) => {
            assert!(row.remaining.is_none_or(|left| (0..100).contains(&left)));
            Ok(true)
        }
        ApiKeyUse::UsedUp | ApiKeyUse::RateLimited { .. } => Ok(false),
        other => panic!("{other:?}"),
    }
}

/// Rotates on instances of their own, all of which get one key.
async fn rotate_everywhere(run: &Run) -> usize {
    let instances = run.instances(INSTANCES).await;
    let winners = storm(&instances, INSTANCES, "", |database, caller, _| {
        Box::pin(async move {
            let offered = caller.to_string();
            let new = CreateSigningKey::new(&offered, "private");
            let key = database.signing_keys()?.rotate(new, HOUR).await?;
            assert_eq!(key.generation, 1);
            Ok(key.public_key == offered)
        })
    });
    let winners = winners.await;
    let keys = run.database.signing_keys().unwrap();
    let listed = keys.list_signing_keys().await.unwrap();
    assert_eq!(listed.len(), 1, "{listed:?}");
    winners
}

pub(crate) async fn storms_pass_no_count(run: Run) {
    let watched = run.watch.task("storms");
    let databases = [Arc::clone(&run.database)];
    let check = |about: &str, callers: usize, expected: usize, winners: usize| {
        println!("{about}: {winners} of {callers}");
        assert_eq!(winners, expected, "{about}");
    };
    macro_rules! storm {
        ($about:literal, $expected:literal of $callers:literal, $key:expr, $call:expr) => {{
            watched.does($about);
            let key: String = $key;
            let winners = storm(&databases, $callers, &key, $call).await;
            check($about, $callers, $expected, winners);
        }};
    }
    let key = new_api_key(&run, |create| create.with_quota(100)).await;
    storm!("a quota of 100", 100 of 1_000, key, |database, _, key| {
        Box::pin(use_key(database, key))
    });
    let key = new_api_key(&run, |create| create.with_rate_limit(50, HOUR)).await;
    storm!("50 uses of a key in a window", 50 of 1_000, key, |database, _, key| {
        Box::pin(use_key(database, key))
    });
    storm!("take(max 50) in a window", 50 of 10_000, "key".to_owned(), |database, _, key| {
        Box::pin(async move { Ok(database.rate_limits()?.take(key, 50, HOUR).await?.allowed) })
    });
    let user = new_factor(&run).await.unwrap();
    storm!("a time step", 1 of 100, user, |database, _, user| {
        Box::pin(async move {
            let outcome = database.two_factor()?.accept_step(user, 1).await?;
            assert!([StepOutcome::Accepted, StepOutcome::Replayed].contains(&outcome));
            Ok(outcome == StepOutcome::Accepted)
        })
    });
    let user = new_factor(&run).await.unwrap();
    storm!("a backup code", 1 of 100, user, |database, caller, user| {
        Box::pin(async move {
            let left = format!("left by {caller}");
            let factors = database.two_factor()?;
            factors.replace_backup_codes(user, Some("all"), Some(&left)).await
        })
    });
    let user = new_factor(&run).await.unwrap();
    storm!("wrong codes of which 5 may be compared", 5 of 1_000, user, |database, _, user| {
        Box::pin(async move {
            match database.two_factor()?.begin_attempt(user, 5, HOUR).await? {
                Attempt::Granted(factor) => Ok(factor.secret == "secret"),
                Attempt::Locked { .. } => Ok(false),
                Attempt::NotEnrolled => panic!("the user is enrolled"),
            }
        })
    });
    let create = CreatePasskey::new(new_user(&run).await, "key", "credential");
    let passkeys = run.database.passkeys().unwrap();
    passkeys.create_passkey(create).await.unwrap();
    storm!("a counter of a passkey", 1 of 100, "credential".to_owned(), |database, _, id| {
        Box::pin(async move {
            let outcome = database.passkeys()?.record_use(id, 7, true).await?;
            Ok(outcome == PasskeyUse::Accepted)
        })
    });
    let (code, typed) = new_device_code(&run).await;
    let about = format!("{typed} {}", new_user(&run).await);
    storm!("an answer to a device code", 1 of 100, about, |database, caller, about| {
        Box::pin(async move {
            let (typed, user) = about.split_once(' ').unwrap();
            if caller % 2 == 0 {
                return database.device_codes()?.approve(typed, user).await;
            }
            database.device_codes()?.deny(typed).await
        })
    });
    let polled = run.database.device_codes().unwrap().poll(&code, None).await;
    assert!(matches!(
        polled,
        Ok(DevicePoll::Approved { .. } | DevicePoll::Denied)
    ));
    let (code, typed) = new_device_code(&run).await;
    let user = new_user(&run).await;
    let approved = run.database.device_codes().unwrap().approve(&typed, &user);
    assert!(approved.await.unwrap());
    storm!("a poll of an approved device", 1 of 100, code, |database, _, code| {
        Box::pin(async move {
            match database.device_codes()?.poll(code, None).await? {
                DevicePoll::Approved { .. } => Ok(true),
                DevicePoll::NotFound => Ok(false),
                other => panic!("{other:?}"),
            }
        })
    });
    watched.does("a rotation");
    check(
        "a rotation by instances",
        INSTANCES,
        1,
        rotate_everywhere(&run).await,
    );
    run.settle().await;
}
