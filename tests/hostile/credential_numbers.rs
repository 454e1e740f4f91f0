//! Numbers, spans, times and ids of other tables in the stores of credentials: on both adapters the same answer, and nothing
//! but its own row changes.

use std::fmt::Debug;
use std::time::Duration;

use better_auth::adapters::{DatabaseAdapter, MemoryDatabaseAdapter};
use better_auth::types::{
    Attempt, CreateApiKey, CreateDeviceCode, CreatePasskey, CreateSigningKey, CreateUser,
    ListApiKeys, UpdateApiKey,
};
use better_auth::{AuthError, AuthResult};
use chrono::{DateTime, TimeDelta, Utc};
use sqlx::PgPool;

use crate::calls::CredentialCall;
use crate::credentials::{add_bystander, bystanders, told};
use crate::support::seed::announce;
use crate::world::far_future;
use crate::{plain, verdict};

const HOUR: Duration = Duration::from_secs(3600);
const DAY_SECONDS: u64 = 24 * 60 * 60;
const CENTURY: Duration = Duration::from_secs(100 * 365 * DAY_SECONDS);

const SHORTS: [i32; 6] = [i32::MIN, -1, 0, 1, 2, i32::MAX];
const LONGS: [i64; 11] = [
    i64::MIN,
    -1,
    0,
    1,
    2,
    i32::MAX as i64,
    i32::MAX as i64 + 1,
    100 * 365 * 24 * 60 * 60 * 1000,
    100 * 365 * 24 * 60 * 60 * 1000 + 1,
    i64::MAX - 1,
    i64::MAX,
];
const COUNTS: [u32; 5] = [0, 1, i32::MAX as u32, i32::MAX as u32 + 1, u32::MAX];
const SPANS: [Duration; 13] = [
    Duration::ZERO,
    Duration::from_nanos(1),
    Duration::from_nanos(999),
    Duration::from_micros(1),
    HOUR,
    Duration::from_millis(i32::MAX as u64),
    Duration::from_micros(i32::MAX as u64 * 1000 + 1),
    CENTURY,
    Duration::from_micros(100 * 365 * DAY_SECONDS * 1_000_000 + 1),
    Duration::from_secs(100_000 * 365 * DAY_SECONDS),
    Duration::from_secs(200_000 * 366 * DAY_SECONDS),
    Duration::from_secs(i64::MAX as u64),
    Duration::MAX,
];

/// None of them is near.
fn times() -> Vec<DateTime<Utc>> {
    let first_of_postgresql = DateTime::from_timestamp(-210_866_803_200, 0).unwrap();
    let nanosecond = TimeDelta::nanoseconds(1);
    let written = [
        "0000-01-01T00:00:00Z",
        "1969-12-31T23:59:59.999999999Z",
        "1970-01-01T00:00:00.000001500Z",
        "2016-12-31T23:59:60.999999999Z",
        "2999-06-30T23:59:60.500Z",
        "2999-01-01T00:00:00.123999999Z",
        "+10000-01-01T00:00:00Z",
    ];
    let mut times: Vec<_> = written.map(|text| text.parse().unwrap()).into();
    times.extend([
        DateTime::<Utc>::MAX_UTC,
        DateTime::<Utc>::MAX_UTC - nanosecond,
        DateTime::<Utc>::MIN_UTC,
        first_of_postgresql,
        first_of_postgresql - nanosecond,
    ]);
    times
}

/// What was tried, and what was answered.
#[derive(Default)]
struct Answers(Vec<String>);

impl Answers {
    fn add<T, S: Debug>(
        &mut self,
        about: impl Debug,
        answer: AuthResult<T>,
        show: impl FnOnce(T) -> S,
    ) {
        self.0.push(format!("{about:?}: {}", told(answer, show)));
    }
}

async fn try_spans(
    database: &dyn DatabaseAdapter,
    user: &str,
    all: &mut Answers,
) -> AuthResult<()> {
    let (limits, factors) = (database.rate_limits()?, database.two_factor()?);
    for (number, span) in SPANS.into_iter().enumerate() {
        let key = format!("{number} of {user}");
        let taken = limits.take(&key, 1, span).await;
        all.add(("window", span), taken, |limit| {
            (limit.allowed, limit.remaining)
        });
        let taken = limits.take(&key, 1, CENTURY).await;
        all.add(("window", span), taken, |_| ());
        let enrolled = factors.enroll(user, "secret", None).await;
        all.add("enroll", enrolled, |_| ());
        // The second one locks.
        for _ in 0..2 {
            let attempt = factors.begin_attempt(user, 1, span).await;
            all.add(("lock_for", span), attempt, |attempt| {
                matches!(attempt, Attempt::Granted(_))
            });
        }
        let create = CreateDeviceCode::new(far_future()).with_polling_interval(span);
        let issued = database.device_codes()?.create_device_code(create).await;
        all.add(("polling_interval", span), issued, |issued| {
            issued.row.polling_interval
        });
        for (max, window) in [(1, span), (i32::MAX, span)] {
            let create = CreateApiKey::for_user(user);
            let create = create.with_rate_limit(max, window).with_refill(2, span);
            let issued = database.api_keys()?.create_api_key(create).await;
            if let Ok(issued) = &issued {
                let outcome = database.api_keys()?.use_key(&issued.key).await;
                all.add("use", outcome, |outcome| {
                    format!("{outcome:?}").starts_with("Accepted")
                });
            }
            all.add(("window and refill", span), issued, |issued| {
                (
                    issued.row.rate_limit_time_window,
                    issued.row.refill_interval,
                )
            });
        }
        let keys = database.signing_keys()?;
        let first = keys
            .rotate(CreateSigningKey::new("a", "a"), Duration::ZERO)
            .await?;
        // Shorter ages depend on the clock.
        if span == Duration::ZERO || span >= HOUR {
            let rotated = keys.rotate(CreateSigningKey::new("b", "b"), span).await;
            all.add(("older_than", span), rotated, |key| {
                key.generation - first.generation
            });
        }
    }
    Ok(())
}

async fn try_counts(
    database: &dyn DatabaseAdapter,
    user: &str,
    all: &mut Answers,
) -> AuthResult<()> {
    let (limits, factors) = (database.rate_limits()?, database.two_factor()?);
    for count in COUNTS {
        for _ in 0..2 {
            let taken = limits
                .take(&format!("{count} of {user}"), count, HOUR)
                .await;
            all.add(("max", count), taken, |limit| {
                (limit.allowed, limit.remaining)
            });
        }
        factors.disable(user).await?;
        factors.enroll(user, "secret", None).await?;
        for _ in 0..3 {
            let attempt = factors.begin_attempt(user, count, HOUR).await;
            all.add(("max_failures", count), attempt, |attempt| {
                matches!(attempt, Attempt::Granted(_))
            });
        }
        let query = ListApiKeys::of_user(user).with_limit(count);
        let listed = database.api_keys()?.list_api_keys(query).await;
        all.add(("limit", count), listed, |page| page.keys.is_empty());
    }
    Ok(())
}

async fn try_numbers(
    database: &dyn DatabaseAdapter,
    user: &str,
    all: &mut Answers,
) -> AuthResult<()> {
    let (factors, passkeys) = (database.two_factor()?, database.passkeys()?);
    for (number, long) in LONGS.into_iter().enumerate() {
        factors.disable(user).await?;
        factors.enroll(user, "secret", None).await?;
        all.add(
            ("confirm", long),
            factors.confirm(user, long).await,
            |factor| factor.last_used_step,
        );
        let id = format!("{number} of {user}");
        let create = CreatePasskey::new(user, "key", &id).with_counter(long);
        all.add(
            ("counter", long),
            passkeys.create_passkey(create).await,
            |row| row.counter,
        );
        for other in LONGS {
            let accepted = factors.accept_step(user, other).await;
            all.add(("step", long, other), accepted, |outcome| outcome);
            let recorded = passkeys.record_use(&id, other, true).await;
            all.add(("counter", long, other), recorded, |outcome| outcome);
        }
    }
    Ok(())
}

async fn try_amounts(
    database: &dyn DatabaseAdapter,
    user: &str,
    all: &mut Answers,
) -> AuthResult<()> {
    let keys = database.api_keys()?;
    let plain = keys.create_api_key(CreateApiKey::for_user(user)).await?.row;
    for long in LONGS {
        for create in [
            CreateApiKey {
                refill_interval: Some(long),
                refill_amount: Some(1),
                ..CreateApiKey::for_user(user)
            },
            CreateApiKey {
                rate_limit_time_window: Some(long),
                rate_limit_max: Some(1),
                ..CreateApiKey::for_user(user)
            },
            CreateApiKey {
                refill_interval: Some(long),
                ..CreateApiKey::for_user(user)
            },
        ] {
            all.add(
                ("span", long),
                keys.create_api_key(create).await,
                |issued| {
                    (
                        issued.row.refill_interval,
                        issued.row.rate_limit_time_window,
                    )
                },
            );
        }
        for update in [
            UpdateApiKey::new().with_refill_interval(long),
            UpdateApiKey::new().with_rate_limit_time_window(long),
        ] {
            all.add(
                ("span", long),
                keys.update_api_key(&plain.id, update).await,
                |row| (row.refill_interval, row.rate_limit_time_window),
            );
        }
    }
    for short in SHORTS {
        let create = CreateApiKey::for_user(user)
            .with_rate_limit(short, HOUR)
            .with_quota(short);
        for create in [
            create,
            CreateApiKey::for_user(user).with_refill(short, HOUR),
        ] {
            let issued = keys.create_api_key(create).await;
            if let Ok(issued) = &issued {
                for _ in 0..3 {
                    let outcome = keys.use_key(&issued.key).await;
                    all.add("use", outcome, |outcome| {
                        format!("{outcome:?}").chars().take(8).collect::<String>()
                    });
                }
                let found = keys.get_api_key(&issued.row.id).await;
                all.add("uses left", found, |found| {
                    found.map(|row| (row.remaining, row.request_count))
                });
            }
            all.add(("amount", short), issued, |issued| issued.row.remaining);
        }
        for update in [
            UpdateApiKey::new().with_remaining(short),
            UpdateApiKey::new().with_rate_limit_max(short),
            UpdateApiKey::new().with_refill_amount(short),
        ] {
            all.add(
                ("amount", short),
                keys.update_api_key(&plain.id, update).await,
                |row| (row.remaining, row.rate_limit_max, row.refill_amount),
            );
        }
    }
    Ok(())
}

async fn try_times(
    database: &dyn DatabaseAdapter,
    user: &str,
    all: &mut Answers,
) -> AuthResult<()> {
    let (codes, keys) = (database.device_codes()?, database.api_keys()?);
    for time in times() {
        let issued = codes.create_device_code(CreateDeviceCode::new(time)).await;
        if let Ok(issued) = &issued {
            all.add(
                "poll",
                codes.poll(&issued.device_code, None).await,
                |poll| poll,
            );
            let found = codes.get_device_code(&issued.row.user_code).await;
            all.add("get", found, |found| found.map(|row| row.expires_at));
        }
        all.add(time, issued, |issued| issued.row.expires_at);
        let issued = keys
            .create_api_key(CreateApiKey::for_user(user).with_expires_at(time))
            .await;
        if let Ok(issued) = &issued {
            let outcome = keys.use_key(&issued.key).await;
            all.add("use", outcome, |outcome| {
                format!("{outcome:?}").chars().take(8).collect::<String>()
            });
            let update = UpdateApiKey::new().with_expires_at(time);
            let updated = keys.update_api_key(&issued.row.id, update).await;
            all.add(time, updated, |row| row.expires_at);
        }
        all.add(time, issued, |issued| issued.row.expires_at);
        let new = CreateSigningKey::new("a", "a").with_expires_at(time);
        let keys = database.signing_keys()?;
        all.add(time, keys.rotate(new, Duration::ZERO).await, |key| {
            key.expires_at
        });
        all.add("current", keys.current().await, |key| {
            key.map(|key| key.expires_at)
        });
    }
    Ok(())
}

/// Calls of every method with the id of another table's row in each place.
async fn try_ids(database: &dyn DatabaseAdapter, all: &mut Answers) -> AuthResult<()> {
    let codes = database.device_codes()?;
    let code = codes
        .create_device_code(CreateDeviceCode::new(far_future()))
        .await?;
    let passkeys = database.passkeys()?.list_passkeys("bystander").await?;
    let query = ListApiKeys::of_user("bystander");
    let keys = database.api_keys()?.list_api_keys(query).await?.keys;
    let ids = [
        ("user", "bystander".to_owned()),
        ("passkey", passkeys[0].id.clone()),
        ("API key", keys[0].id.clone()),
        ("device code", code.row.id),
    ];
    for (table, id) in ids {
        for mut call in CredentialCall::of_every_method() {
            let method = call.method();
            if table == "API key" && method.ends_with("api_key") {
                // It is its own.
                continue;
            }
            call.fill(&mut |place| match place {
                "cursor" | "organization_id" => None,
                "user_id" if table == "user" => Some("nobody".to_owned()),
                _ => Some(id.clone()),
            });
            let answer = call.make(database).await;
            let numbers = answer.as_ref().map(|answer| answer.numbers.clone()).ok();
            all.0.push(format!(
                "{method} of a {table}: {} {numbers:?}",
                verdict(&answer)
            ));
            if let Err(error) = answer {
                assert!(
                    !matches!(error, AuthError::Database { .. }),
                    "{method}: {error}"
                );
            }
        }
    }
    Ok(())
}

#[sqlx::test(migrator = "crate::support::MIGRATED")]
async fn hostile_numbers_times_and_ids_are_answered_alike(pool: PgPool) {
    let postgres = plain(&pool).await;
    let memory = MemoryDatabaseAdapter::new();
    let databases: [&dyn DatabaseAdapter; 2] = [&memory, &postgres];
    let mut told = Vec::new();
    for database in databases {
        add_bystander(database).await;
        let before = bystanders(database).await;
        let user = database
            .create_user(CreateUser::new().with_id("ada"))
            .await
            .unwrap()
            .id;
        let mut all = Answers::default();
        try_spans(database, &user, &mut all).await.unwrap();
        try_counts(database, &user, &mut all).await.unwrap();
        try_numbers(database, &user, &mut all).await.unwrap();
        try_amounts(database, &user, &mut all).await.unwrap();
        try_times(database, &user, &mut all).await.unwrap();
        try_ids(database, &mut all).await.unwrap();
        assert_eq!(bystanders(database).await, before);
        told.push(all.0);
    }
    let (left, right) = (&told[0], &told[1]);
    assert_eq!(left.len(), right.len());
    for (left, right) in left.iter().zip(right) {
        assert_eq!(left, right);
    }
    announce(format_args!(
        "{} answers about numbers, times and ids",
        left.len()
    ));
}
