//! The stores of device codes and API keys: what meets an open transaction, under every isolation, and whose tables are
//! accepted.

use std::time::Duration;

use better_auth::AuthError;
use better_auth::adapters::{DatabaseAdapter, SqlxAdapter, Store};
use better_auth::types::{
    ApiKeyUse, CreateApiKey, CreateDeviceCode, CreatePasskey, CreateSigningKey, CreateUser,
    DevicePoll, IssuedApiKey, ListApiKeys, Removed, UpdateApiKey,
};
use chrono::{TimeDelta, Utc};
use sqlx::{PgPool, Row as _};

use crate::credentials::{ISOLATIONS, isolated_adapter, meet, tables};
use crate::support::{adapter, execute, url};

const HOUR: Duration = Duration::from_secs(3600);

/// The table of better-auth-rs 0.10.
const OLDER: &str = include_str!("../support/api_keys_0_10.sql");

async fn new_user(database: &SqlxAdapter) -> String {
    database.create_user(CreateUser::new()).await.unwrap().id
}

async fn issue(database: &SqlxAdapter, create: CreateApiKey) -> IssuedApiKey {
    let keys = database.api_keys().unwrap();
    keys.create_api_key(create).await.unwrap()
}

#[sqlx::test(migrator = "crate::support::MIGRATED")]
async fn a_device_code_is_used_once(pool: PgPool) {
    for isolation in ISOLATIONS {
        let database = isolated_adapter(&pool, isolation).await;
        for commits in [true, false] {
            let user = new_user(&database).await;
            let codes = database.device_codes().unwrap();
            let create = CreateDeviceCode::new(Utc::now() + TimeDelta::hours(1));
            let issued = codes.create_device_code(create).await.unwrap();
            let typed = issued.row.user_code.clone();
            let transaction = database.begin().await.unwrap();
            let denied = transaction.device_codes().unwrap().deny(&typed).await;
            assert!(denied.unwrap());
            let (other, of, id) = (database.clone(), typed.clone(), user.clone());
            let second = async move { other.device_codes().unwrap().approve(&of, &id).await };
            let second = meet(&pool, transaction, commits, second).await.unwrap();
            assert_eq!(second, !commits, "{isolation}");

            let create = CreateDeviceCode::new(Utc::now() + TimeDelta::hours(1));
            let issued = codes.create_device_code(create).await.unwrap();
            assert!(codes.approve(&issued.row.user_code, &user).await.unwrap());
            let code = issued.device_code;
            let transaction = database.begin().await.unwrap();
            let polled = transaction.device_codes().unwrap().poll(&code, None).await;
            assert!(matches!(polled, Ok(DevicePoll::Approved { .. })));
            let other = database.clone();
            let second = async move { other.device_codes().unwrap().poll(&code, None).await };
            let second = meet(&pool, transaction, commits, second).await.unwrap();
            let is_approved = matches!(second, DevicePoll::Approved { .. });
            assert_eq!(is_approved, !commits, "{isolation}: {second:?}");
        }
    }
}

#[sqlx::test(migrator = "crate::support::MIGRATED")]
async fn the_last_use_is_taken_once(pool: PgPool) {
    for isolation in ISOLATIONS {
        let database = isolated_adapter(&pool, isolation).await;
        let user = new_user(&database).await;
        for commits in [true, false] {
            for create in [
                CreateApiKey::for_user(&user).with_quota(1),
                CreateApiKey::for_user(&user).with_rate_limit(1, HOUR),
            ] {
                let key = issue(&database, create).await.key;
                let transaction = database.begin().await.unwrap();
                let told = transaction.api_keys().unwrap().use_key(&key).await;
                assert!(matches!(told, Ok(ApiKeyUse::Accepted(_))));
                let (other, of) = (database.clone(), key.clone());
                let second = async move { other.api_keys().unwrap().use_key(&of).await };
                let second = meet(&pool, transaction, commits, second).await.unwrap();
                let is_accepted = matches!(second, ApiKeyUse::Accepted(_));
                assert_eq!(is_accepted, !commits, "{isolation}: {second:?}");
            }
        }
    }
}

/// A use is judged by what the key is when the wait ends.
#[sqlx::test(migrator = "crate::support::MIGRATED")]
async fn a_key_that_is_disabled_meanwhile_is_refused(pool: PgPool) {
    for isolation in ISOLATIONS {
        let database = isolated_adapter(&pool, isolation).await;
        let user = new_user(&database).await;
        for removes in [false, true] {
            let issued = issue(&database, CreateApiKey::for_user(&user).with_quota(9)).await;
            let transaction = database.begin().await.unwrap();
            let inside = transaction.api_keys().unwrap();
            if removes {
                inside.delete_api_key(&issued.row.id).await.unwrap();
            } else {
                let update = UpdateApiKey::new().with_enabled(false);
                inside.update_api_key(&issued.row.id, update).await.unwrap();
            }
            let other = database.clone();
            let second = async move { other.api_keys().unwrap().use_key(&issued.key).await };
            let second = meet(&pool, transaction, true, second).await.unwrap();
            let expected = if removes {
                ApiKeyUse::NotFound
            } else {
                ApiKeyUse::Disabled
            };
            assert_eq!(second, expected, "{isolation}");
        }
    }
}

/// Nobody waits for a key that counts nothing, and its last use is written once a minute.
#[sqlx::test(migrator = "crate::support::MIGRATED")]
async fn a_key_that_counts_nothing_is_seldom_written(pool: PgPool) {
    let database = adapter(&pool).await;
    let user = new_user(&database).await;
    let issued = issue(&database, CreateApiKey::for_user(&user)).await;
    let mut held = pool.begin().await.unwrap();
    sqlx::query("SELECT FROM api_keys FOR UPDATE")
        .execute(&mut *held)
        .await
        .unwrap();
    let keys = database.api_keys().unwrap();
    let told = keys.use_key(&issued.key).await.unwrap();
    assert!(matches!(told, ApiKeyUse::Accepted(row) if row.last_request.is_none()));
    held.rollback().await.unwrap();
    execute(
        &pool,
        "CREATE TABLE writes (at TIMESTAMPTZ); \
         CREATE FUNCTION notes() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN INSERT INTO writes VALUES (now()); \
         RETURN NEW; END $$; \
         CREATE TRIGGER notes BEFORE UPDATE ON api_keys FOR EACH ROW EXECUTE FUNCTION notes()",
    )
    .await;
    let mut callers = Vec::new();
    for _ in 0..64 {
        let (database, key) = (database.clone(), issued.key.clone());
        callers.push(tokio::spawn(async move {
            database.api_keys().unwrap().use_key(&key).await
        }));
    }
    for caller in callers {
        assert!(matches!(caller.await.unwrap(), Ok(ApiKeyUse::Accepted(_))));
    }
    let writes: i64 = sqlx::query("SELECT count(*) FROM writes")
        .fetch_one(&pool)
        .await
        .unwrap()
        .get(0);
    assert_eq!(writes, 1);
}

#[sqlx::test(migrator = "crate::support::MIGRATED")]
async fn a_refill_is_due_after_its_interval(pool: PgPool) {
    let database = adapter(&pool).await;
    let user = new_user(&database).await;
    let issued = issue(
        &database,
        CreateApiKey::for_user(&user).with_refill(3, HOUR),
    )
    .await;
    let keys = database.api_keys().unwrap();
    execute(
        &pool,
        "UPDATE api_keys SET remaining = 0, created_at = now() - INTERVAL '61 minutes'",
    )
    .await;
    for remaining in [2, 1, 0] {
        match keys.use_key(&issued.key).await.unwrap() {
            ApiKeyUse::Accepted(row) => {
                assert_eq!(row.remaining, Some(remaining));
                assert!(row.last_refill_at.is_some());
            }
            outcome => panic!("{outcome:?}"),
        }
    }
    assert_eq!(keys.use_key(&issued.key).await.unwrap(), ApiKeyUse::UsedUp);
}

/// Nothing in the tables can be presented.
#[sqlx::test(migrator = "crate::support::MIGRATED")]
async fn tables_hold_digests_alone(pool: PgPool) {
    let database = adapter(&pool).await;
    let user = new_user(&database).await;
    let issued = issue(&database, CreateApiKey::for_user(&user).with_prefix("app_")).await;
    let codes = database.device_codes().unwrap();
    let create = CreateDeviceCode::new(Utc::now() + TimeDelta::hours(1));
    let code = codes.create_device_code(create).await.unwrap();
    let rows = sqlx::query(
        "SELECT api_keys::TEXT, ROW(device_code.*)::TEXT, key, device_code.device_code FROM api_keys, device_code",
    );
    let row = rows.fetch_one(&pool).await.unwrap();
    let [first, second, digest, code_digest]: [String; 4] =
        [0, 1, 2, 3].map(|column| row.get(column));
    assert!(!first.contains(&issued.key) && !second.contains(&code.device_code));
    assert!(digest.len() == 43 && code_digest.len() == 43);
    let told = database.api_keys().unwrap().use_key(&digest).await.unwrap();
    assert_eq!(told, ApiKeyUse::NotFound);
    let polled = codes.poll(&code_digest, None).await.unwrap();
    assert_eq!(polled, DevicePoll::NotFound);
}

#[sqlx::test(migrator = "crate::support::MIGRATED")]
async fn a_clean_up_removes_what_has_expired(pool: PgPool) {
    let database = adapter(&pool).await;
    let user = new_user(&database).await;
    let kept = issue(&database, CreateApiKey::for_user(&user)).await;
    execute(
        &pool,
        &format!(
            "INSERT INTO api_keys (id, key, user_id, expires_at) \
             SELECT i, i, '{user}', '2020-01-01' FROM generate_series(1, 2500) AS i; \
             INSERT INTO device_code (id, device_code, user_code, expires_at, status, polling_interval) \
             SELECT i, i, i, '2020-01-01', 'pending', 1 FROM generate_series(1, 2500) AS i"
        ),
    )
    .await;
    assert_eq!(database.clean_up().await.unwrap(), Removed::default());
    let count: i64 =
        sqlx::query("SELECT (SELECT count(*) FROM api_keys) + (SELECT count(*) FROM device_code)")
            .fetch_one(&pool)
            .await
            .unwrap()
            .get(0);
    assert_eq!(count, 1);
    let told = database
        .api_keys()
        .unwrap()
        .use_key(&kept.key)
        .await
        .unwrap();
    assert!(matches!(told, ApiKeyUse::Accepted(_)));
}

async fn with_store(pool: &PgPool, store: Store) -> SqlxAdapter {
    let builder = SqlxAdapter::builder(&url(pool)).stores([store]);
    builder.connect().await.unwrap()
}

/// Organizations own keys, so their tables come along.
#[sqlx::test(migrations = false)]
async fn keys_bring_organizations_along(pool: PgPool) {
    let plain = adapter(&pool).await;
    plain.migrate().await.unwrap();
    for answer in [
        plain.api_keys().unwrap().delete_api_key("a").await,
        plain.device_codes().unwrap().deny("a").await.map(drop),
        plain
            .device_codes()
            .unwrap()
            .deny("BCDFGHJK")
            .await
            .map(drop),
    ]
    .into_iter()
    .filter(Result::is_err)
    {
        assert!(
            matches!(answer, Err(AuthError::Unsupported { .. })),
            "{answer:?}"
        );
    }
    let database = with_store(&pool, Store::ApiKeys).await;
    for _ in 0..2 {
        database.migrate().await.unwrap();
        database.check_schema().await.unwrap();
    }
    for table in ["organization", "api_keys"] {
        assert!(tables(&pool).await.contains(&table.to_owned()), "{table}");
    }
    let database = with_store(&pool, Store::DeviceCodes).await;
    database.migrate().await.unwrap();
    database.check_schema().await.unwrap();
}

#[sqlx::test(migrations = false)]
async fn tables_of_the_applications_are_refused(pool: PgPool) {
    for (store, table, columns) in [
        (
            Store::ApiKeys,
            "api_keys",
            "id BIGSERIAL PRIMARY KEY, key TEXT NOT NULL",
        ),
        (
            Store::ApiKeys,
            "team",
            "id BIGSERIAL PRIMARY KEY, city TEXT",
        ),
        (
            Store::DeviceCodes,
            "device_code",
            "code TEXT PRIMARY KEY, device TEXT NOT NULL",
        ),
    ] {
        execute(&pool, &format!("CREATE TABLE {table} ({columns})")).await;
        let before = tables(&pool).await;
        match with_store(&pool, store).await.migrate().await {
            Err(error @ AuthError::Database { .. }) => {
                assert!(error.to_string().contains(table), "{error}");
            }
            answer => panic!("{table}: {answer:?}"),
        }
        assert_eq!(tables(&pool).await, before);
        execute(&pool, &format!("DROP TABLE {table}")).await;
    }
}

#[sqlx::test(migrations = false)]
async fn keys_of_an_older_version_are_accepted(pool: PgPool) {
    execute(&pool, include_str!("../support/page.sql")).await;
    execute(&pool, include_str!("../support/organizations_0_10.sql")).await;
    execute(&pool, OLDER).await;
    execute(
        &pool,
        "INSERT INTO users (id) VALUES ('ada'); \
         INSERT INTO api_keys (id, key, user_id, remaining, request_count, refill_interval, refill_amount) VALUES \
         ('1', rtrim(translate(encode(sha256('app_secret'), 'base64'), '+/', '-_'), '='), 'ada', 2, NULL, 1000, 5)",
    )
    .await;
    // Nobody asks for the store: its table is there.
    let plain = adapter(&pool).await;
    plain.migrate().await.unwrap();
    let database = with_store(&pool, Store::ApiKeys).await;
    database.check_schema().await.unwrap();
    let keys = database.api_keys().unwrap();
    let listed = keys
        .list_api_keys(ListApiKeys::of_user("ada"))
        .await
        .unwrap();
    assert_eq!(listed.keys[0].refill_interval, Some(1000));
    assert_eq!(listed.keys[0].request_count, 0);
    let told = keys.use_key("app_secret").await.unwrap();
    assert!(matches!(told, ApiKeyUse::Accepted(row) if row.remaining.is_some()));
    let two_owners = "UPDATE api_keys SET organization_id = 'a'";
    let stored = sqlx::query(two_owners).execute(&pool).await;
    assert!(stored.is_err());
}

#[sqlx::test(migrator = "crate::support::MIGRATED")]
async fn columns_of_the_applications_change_no_answer(pool: PgPool) {
    for table in ["api_keys", "device_code", "users"] {
        for column in [
            "outcome",
            "state",
            "held",
            "seen",
            "looked",
            "answer",
            "verdict",
            "judged",
            "is_limited",
            "is_refilled",
            "uses_left",
            "used",
            "window_end",
            "left_micros",
            "status",
            "scope",
            "user_code",
            "approver",
            "now",
            "key",
        ] {
            let sql = format!("ALTER TABLE {table} ADD COLUMN IF NOT EXISTS {column} TEXT");
            execute(&pool, &sql).await;
        }
    }
    let database = adapter(&pool).await;
    let user = new_user(&database).await;
    let create = CreateApiKey::for_user(&user)
        .with_rate_limit(2, HOUR)
        .with_quota(1);
    let key = issue(&database, create).await.key;
    let keys = database.api_keys().unwrap();
    let told = keys.use_key(&key).await.unwrap();
    assert!(matches!(told, ApiKeyUse::Accepted(row) if row.remaining == Some(0)));
    assert_eq!(keys.use_key(&key).await.unwrap(), ApiKeyUse::UsedUp);
    let plain = issue(&database, CreateApiKey::for_user(&user)).await.key;
    for _ in 0..2 {
        let told = keys.use_key(&plain).await.unwrap();
        assert!(matches!(told, ApiKeyUse::Accepted(_)));
    }
    let codes = database.device_codes().unwrap();
    let create = CreateDeviceCode::new(Utc::now() + TimeDelta::hours(1));
    let issued = codes.create_device_code(create).await.unwrap();
    let polled = codes.poll(&issued.device_code, None).await.unwrap();
    assert_eq!(polled, DevicePoll::Pending);
    assert!(codes.approve(&issued.row.user_code, &user).await.unwrap());
    let polled = codes.poll(&issued.device_code, None).await.unwrap();
    assert!(matches!(polled, DevicePoll::Approved { .. }));
}

/// Whatever the server says of a row that it refuses, no error quotes a secret.
#[sqlx::test(migrator = "crate::support::MIGRATED")]
async fn no_error_shows_a_secret(pool: PgPool) {
    const MARK: &str = "hunter2";
    let database = adapter(&pool).await;
    let user = new_user(&database).await;
    let factors = database.two_factor().unwrap();
    factors.enroll(&user, MARK, Some(MARK)).await.unwrap();
    let key = issue(&database, CreateApiKey::for_user(&user).with_quota(5))
        .await
        .key;
    let codes = database.device_codes().unwrap();
    let create = CreateDeviceCode::new(Utc::now() + TimeDelta::hours(1));
    let code = codes.create_device_code(create).await.unwrap().device_code;
    execute(
        &pool,
        "CREATE FUNCTION breaks() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN \
         RAISE EXCEPTION USING ERRCODE = '23514', MESSAGE = NEW::text, DETAIL = NEW::text, HINT = NEW::text; END $$",
    )
    .await;
    for table in [
        "two_factor",
        "jwks",
        "rate_limit",
        "passkeys",
        "device_code",
        "api_keys",
    ] {
        let sql = format!(
            "CREATE TRIGGER breaks BEFORE INSERT OR UPDATE ON {table} FOR EACH ROW EXECUTE FUNCTION breaks()"
        );
        execute(&pool, &sql).await;
    }
    let new = CreateSigningKey::new("public", MARK);
    let passkey = CreatePasskey::new(&user, MARK, MARK);
    let keys = database.api_keys().unwrap();
    for answer in [
        factors.enroll(&user, MARK, Some(MARK)).await.map(drop),
        factors.begin_attempt(&user, 5, HOUR).await.map(drop),
        factors.confirm(&user, 1).await.map(drop),
        factors
            .replace_backup_codes(&user, Some(MARK), Some(MARK))
            .await
            .map(drop),
        database
            .signing_keys()
            .unwrap()
            .rotate(new, HOUR)
            .await
            .map(drop),
        database
            .rate_limits()
            .unwrap()
            .take(MARK, 1, HOUR)
            .await
            .map(drop),
        database
            .passkeys()
            .unwrap()
            .create_passkey(passkey)
            .await
            .map(drop),
        codes.poll(&code, None).await.map(drop),
        keys.use_key(&key).await.map(drop),
        keys.create_api_key(CreateApiKey::for_user(&user).with_name(MARK))
            .await
            .map(drop),
    ] {
        let error = answer.unwrap_err();
        let shown = crate::support::shown(&error);
        for secret in [MARK, &key, &code] {
            assert!(!shown.contains(secret), "{shown}");
        }
    }
}
