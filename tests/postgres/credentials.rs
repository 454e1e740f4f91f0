//! The stores of rate limits, signing keys, second factors and passkeys: what meets an open transaction, under every
//! isolation, and whose tables are accepted.

use std::time::Duration;

use better_auth::AuthError;
use better_auth::adapters::{DatabaseAdapter, SqlxAdapter, Store, Transaction};
use better_auth::types::{
    Attempt, CreatePasskey, CreateSigningKey, CreateUser, PasskeyUse, Removed, StepOutcome,
};
use sqlx::{PgPool, Row as _};

use crate::stores::until_one_waits;
use crate::support::{adapter, execute, isolated, url};

pub(crate) const ISOLATIONS: [&str; 3] = ["read committed", "repeatable read", "serializable"];
const HOUR: Duration = Duration::from_secs(3600);
const STORES: [Store; 4] = [
    Store::RateLimits,
    Store::SigningKeys,
    Store::TwoFactor,
    Store::Passkeys,
];

/// The tables of better-auth-rs 0.10.
const OLDER: &str = include_str!("../support/credentials_0_10.sql");

/// An adapter for each isolation. The pool stays.
pub(crate) async fn isolated_adapter(pool: &PgPool, isolation: &str) -> SqlxAdapter {
    SqlxAdapter::from_pool(isolated(pool, isolation, 5).await)
}

/// Runs the second call while the transaction is open, and ends that when the call waits for it.
pub(crate) async fn meet<T: Send + 'static>(
    pool: &PgPool,
    transaction: Box<dyn Transaction>,
    commits: bool,
    second: impl Future<Output = T> + Send + 'static,
) -> T {
    let second = tokio::spawn(second);
    until_one_waits(pool).await;
    if commits {
        transaction.commit().await.unwrap();
    } else {
        transaction.rollback().await.unwrap();
    }
    second.await.unwrap()
}

async fn new_user(database: &SqlxAdapter) -> String {
    database.create_user(CreateUser::new()).await.unwrap().id
}

async fn new_factor(database: &SqlxAdapter) -> String {
    let user = new_user(database).await;
    let factors = database.two_factor().unwrap();
    factors.enroll(&user, "secret", Some("a")).await.unwrap();
    factors.confirm(&user, 10).await.unwrap();
    user
}

#[sqlx::test(migrator = "crate::support::MIGRATED")]
async fn the_last_place_is_taken_once(pool: PgPool) {
    for isolation in ISOLATIONS {
        let database = isolated_adapter(&pool, isolation).await;
        for (commits, held) in [(true, 0), (true, 1), (false, 0), (false, 1)] {
            let key = format!("{isolation} {commits} {held}");
            for _ in 0..held {
                let taken = database.rate_limits().unwrap().take(&key, 2, HOUR).await;
                assert!(taken.unwrap().allowed);
            }
            let transaction = database.begin().await.unwrap();
            for _ in held..2 {
                let taken = transaction.rate_limits().unwrap().take(&key, 2, HOUR).await;
                assert!(taken.unwrap().allowed);
            }
            let (other, of) = (database.clone(), key.clone());
            let second = async move { other.rate_limits().unwrap().take(&of, 2, HOUR).await };
            let second = meet(&pool, transaction, commits, second).await.unwrap();
            assert_eq!(second.allowed, !commits, "{key}");
            assert!(second.retry_after <= HOUR);
        }
    }
}

/// An ended window is begun anew by one of two.
#[sqlx::test(migrator = "crate::support::MIGRATED")]
async fn an_ended_window_is_begun_once(pool: PgPool) {
    for isolation in ISOLATIONS {
        let database = isolated_adapter(&pool, isolation).await;
        execute(
            &pool,
            "INSERT INTO rate_limit (key, count, window_started_at) VALUES ('key', 1, '2020-01-01') \
             ON CONFLICT (key) DO UPDATE SET window_started_at = '2020-01-01'",
        )
        .await;
        let transaction = database.begin().await.unwrap();
        let taken = transaction
            .rate_limits()
            .unwrap()
            .take("key", 1, HOUR)
            .await;
        assert!(taken.unwrap().allowed);
        let other = database.clone();
        let second = async move { other.rate_limits().unwrap().take("key", 1, HOUR).await };
        let second = meet(&pool, transaction, true, second).await.unwrap();
        assert!(!second.allowed && second.retry_after > Duration::ZERO);
    }
}

#[sqlx::test(migrator = "crate::support::MIGRATED")]
async fn one_of_two_rotates(pool: PgPool) {
    for isolation in ISOLATIONS {
        let database = isolated_adapter(&pool, isolation).await;
        for (commits, older_than) in [(true, HOUR), (false, HOUR)] {
            execute(&pool, "DELETE FROM jwks").await;
            let transaction = database.begin().await.unwrap();
            let new = |name: &str| CreateSigningKey::new(name, name);
            let keys = transaction.signing_keys().unwrap();
            let first = keys.rotate(new("first"), older_than).await.unwrap();
            let (other, second) = (database.clone(), new("second"));
            let second = async move {
                other
                    .signing_keys()
                    .unwrap()
                    .rotate(second, older_than)
                    .await
            };
            let second = meet(&pool, transaction, commits, second).await.unwrap();
            assert_eq!(second.generation, 1);
            assert_eq!(second == first, commits, "{isolation}");
            let listed = database.signing_keys().unwrap().list_signing_keys().await;
            assert_eq!(listed.unwrap(), [second]);
        }
    }
}

#[sqlx::test(migrator = "crate::support::MIGRATED")]
async fn a_time_step_and_an_attempt_are_used_once(pool: PgPool) {
    for isolation in ISOLATIONS {
        let database = isolated_adapter(&pool, isolation).await;
        for commits in [true, false] {
            let user = new_factor(&database).await;
            let transaction = database.begin().await.unwrap();
            let told = transaction
                .two_factor()
                .unwrap()
                .accept_step(&user, 11)
                .await;
            assert_eq!(told.unwrap(), StepOutcome::Accepted);
            let (other, id) = (database.clone(), user.clone());
            let second = async move { other.two_factor().unwrap().accept_step(&id, 11).await };
            let second = meet(&pool, transaction, commits, second).await.unwrap();
            assert_eq!(second == StepOutcome::Accepted, !commits, "{isolation}");

            let transaction = database.begin().await.unwrap();
            let inside = transaction.two_factor().unwrap();
            let attempt = inside.begin_attempt(&user, 1, HOUR).await.unwrap();
            assert!(matches!(attempt, Attempt::Granted(_)));
            let (other, id) = (database.clone(), user.clone());
            let second = async move {
                other
                    .two_factor()
                    .unwrap()
                    .begin_attempt(&id, 1, HOUR)
                    .await
            };
            let second = meet(&pool, transaction, commits, second).await.unwrap();
            let is_granted = matches!(second, Attempt::Granted(_));
            assert_eq!(is_granted, !commits, "{isolation}: {second:?}");

            let user = new_factor(&database).await;
            let transaction = database.begin().await.unwrap();
            let inside = transaction.two_factor().unwrap();
            let replaced = inside
                .replace_backup_codes(&user, Some("a"), Some("b"))
                .await;
            assert!(replaced.unwrap());
            let (other, id) = (database.clone(), user.clone());
            let second = async move {
                let factors = other.two_factor().unwrap();
                factors
                    .replace_backup_codes(&id, Some("a"), Some("c"))
                    .await
            };
            let second = meet(&pool, transaction, commits, second).await.unwrap();
            assert_eq!(second, !commits, "{isolation}");
        }
    }
}

/// The attempt is counted on the second factor that is there when the wait ends.
#[sqlx::test(migrator = "crate::support::MIGRATED")]
async fn an_attempt_is_counted_on_what_is_enrolled_by_then(pool: PgPool) {
    for isolation in ISOLATIONS {
        let database = isolated_adapter(&pool, isolation).await;
        let user = new_user(&database).await;
        let factors = database.two_factor().unwrap();
        factors.enroll(&user, "first", None).await.unwrap();
        let transaction = database.begin().await.unwrap();
        let inside = transaction.two_factor().unwrap();
        let enrolled = inside.enroll(&user, "second", None).await.unwrap();
        let (other, id) = (database.clone(), user.clone());
        let second = async move {
            other
                .two_factor()
                .unwrap()
                .begin_attempt(&id, 5, HOUR)
                .await
        };
        let second = meet(&pool, transaction, true, second).await.unwrap();
        let Attempt::Granted(factor) = second else {
            panic!("{isolation}: {second:?}");
        };
        assert_eq!((factor.id, &*factor.secret), (enrolled.id, "second"));
        assert_eq!(factor.failed_verification_count, 1);
        let next = factors.begin_attempt(&user, 5, HOUR).await.unwrap();
        assert!(matches!(next, Attempt::Granted(factor) if factor.failed_verification_count == 2));
    }
}

/// A user is never left with the flag and without the row, or the other way round.
#[sqlx::test(migrator = "crate::support::MIGRATED")]
async fn the_flag_goes_with_the_row(pool: PgPool) {
    let inconsistent = "SELECT count(*) FROM users LEFT JOIN two_factor ON user_id = users.id \
                        WHERE two_factor_enabled <> COALESCE(verified, FALSE)";
    for isolation in ISOLATIONS {
        let database = isolated_adapter(&pool, isolation).await;
        // What is there before: nothing, a second factor that is not verified, or one that the transaction replaces.
        for (is_enrolled, is_replaced) in [(false, false), (true, false), (true, true)] {
            let user = new_user(&database).await;
            let factors = database.two_factor().unwrap();
            if is_enrolled {
                factors.enroll(&user, "secret", None).await.unwrap();
            }
            if is_replaced {
                factors.confirm(&user, 1).await.unwrap();
            }
            let transaction = database.begin().await.unwrap();
            let inside = transaction.two_factor().unwrap();
            if is_replaced {
                inside.disable(&user).await.unwrap();
            }
            inside.enroll(&user, "secret", None).await.unwrap();
            inside.confirm(&user, 1).await.unwrap();
            let (other, id) = (database.clone(), user.clone());
            let second = async move { other.two_factor().unwrap().disable(&id).await };
            meet(&pool, transaction, true, second).await.unwrap();
            let count: i64 = sqlx::query(inconsistent)
                .fetch_one(&pool)
                .await
                .unwrap()
                .get(0);
            assert_eq!(count, 0, "{isolation}, {is_enrolled}, {is_replaced}");
        }
    }
}

#[sqlx::test(migrator = "crate::support::MIGRATED")]
async fn a_counter_and_a_credential_are_used_once(pool: PgPool) {
    for isolation in ISOLATIONS {
        let database = isolated_adapter(&pool, isolation).await;
        let user = new_user(&database).await;
        for commits in [true, false] {
            let id = format!("{isolation} {commits}");
            let create = CreatePasskey::new(&user, "key", &id);
            let transaction = database.begin().await.unwrap();
            let created = transaction
                .passkeys()
                .unwrap()
                .create_passkey(create.clone())
                .await;
            created.unwrap();
            let other = database.clone();
            let second = async move { other.passkeys().unwrap().create_passkey(create).await };
            let second = meet(&pool, transaction, commits, second).await;
            assert_eq!(second.is_ok(), !commits, "{id}: {second:?}");

            let transaction = database.begin().await.unwrap();
            let told = transaction
                .passkeys()
                .unwrap()
                .record_use(&id, 7, true)
                .await;
            assert_eq!(told.unwrap(), PasskeyUse::Accepted);
            let (other, of) = (database.clone(), id.clone());
            let second = async move { other.passkeys().unwrap().record_use(&of, 7, true).await };
            let second = meet(&pool, transaction, commits, second).await.unwrap();
            assert_eq!(second == PasskeyUse::Accepted, !commits, "{id}");
        }
    }
}

#[sqlx::test(migrator = "crate::support::MIGRATED")]
async fn a_clean_up_removes_ended_rate_limits(pool: PgPool) {
    let database = adapter(&pool).await;
    let taken = database
        .rate_limits()
        .unwrap()
        .take("running", 1, HOUR)
        .await;
    assert!(taken.unwrap().allowed);
    execute(
        &pool,
        "INSERT INTO rate_limit (key, count, window_started_at, expires_at) \
         SELECT 'key ' || i, 1, '2020-01-01', '2020-01-01'::TIMESTAMPTZ + i % 7 * INTERVAL '1 hour' \
         FROM generate_series(1, 2500) AS i",
    )
    .await;
    // As an instance that is at work.
    let mut other = pool.begin().await.unwrap();
    sqlx::query("SELECT pg_advisory_xact_lock(hashtextextended(current_schema(), $1))")
        .bind(0x6265_7474_6572_2d61_i64 + 4)
        .execute(&mut *other)
        .await
        .unwrap();
    assert_eq!(database.clean_up().await.unwrap(), Removed::default());
    let count = async || -> i64 {
        let count = sqlx::query("SELECT count(*) FROM rate_limit");
        count.fetch_one(&pool).await.unwrap().get(0)
    };
    assert_eq!(count().await, 2501);
    other.rollback().await.unwrap();
    database.clean_up().await.unwrap();
    assert_eq!(count().await, 1);
    assert!(
        !database
            .rate_limits()
            .unwrap()
            .take("running", 1, HOUR)
            .await
            .unwrap()
            .allowed
    );
}

/// A clean-up that cannot remove a key does not name it, as it may be an address.
#[sqlx::test(migrator = "crate::support::MIGRATED")]
async fn a_key_that_stays_is_not_named(pool: PgPool) {
    execute(
        &pool,
        "INSERT INTO rate_limit (key, count, window_started_at) VALUES ('hunter2', 1, '2020-01-01'); \
         CREATE FUNCTION keeps() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN RETURN NULL; END $$; \
         CREATE TRIGGER keeps BEFORE DELETE ON rate_limit FOR EACH ROW EXECUTE FUNCTION keeps()",
    )
    .await;
    let error = adapter(&pool).await.clean_up().await.unwrap_err();
    let shown = crate::support::shown(&error);
    assert!(
        shown.contains("rate_limit") && !shown.contains("hunter2"),
        "{shown}"
    );
}

pub(crate) async fn tables(pool: &PgPool) -> Vec<String> {
    let query = "SELECT tablename::TEXT FROM pg_tables WHERE schemaname = 'public' ORDER BY 1";
    let rows = sqlx::query(query).fetch_all(pool).await.unwrap();
    rows.iter().map(|row| row.get(0)).collect()
}

async fn with_stores(pool: &PgPool) -> SqlxAdapter {
    let builder = SqlxAdapter::builder(&url(pool)).stores(STORES);
    builder.connect().await.unwrap()
}

#[sqlx::test(migrations = false)]
async fn stores_are_migrated_where_they_are_asked_for(pool: PgPool) {
    let plain = adapter(&pool).await;
    plain.migrate().await.unwrap();
    plain.check_schema().await.unwrap();
    assert_eq!(plain.clean_up().await.unwrap(), Removed::default());
    let before = tables(&pool).await;
    let transaction = plain.begin().await.unwrap();
    for database in [&plain as &dyn DatabaseAdapter, &*transaction] {
        let answers = [
            database
                .rate_limits()
                .unwrap()
                .take("a", 1, HOUR)
                .await
                .map(drop),
            database.signing_keys().unwrap().current().await.map(drop),
            database.two_factor().unwrap().disable("a").await,
            database
                .passkeys()
                .unwrap()
                .list_passkeys("a")
                .await
                .map(drop),
        ];
        for (store, answer) in STORES.iter().zip(answers) {
            match answer {
                Err(error @ AuthError::Unsupported { .. }) => {
                    let call = format!("Store::{store:?}");
                    assert!(error.to_string().contains(&call), "{error}");
                }
                answer => panic!("{store:?}: {answer:?}"),
            }
        }
    }
    transaction.commit().await.unwrap();
    assert_eq!(tables(&pool).await, before);
    let database = with_stores(&pool).await;
    for _ in 0..2 {
        database.migrate().await.unwrap();
        database.check_schema().await.unwrap();
    }
    for table in ["rate_limit", "jwks", "two_factor", "passkeys"] {
        assert!(tables(&pool).await.contains(&table.to_owned()), "{table}");
    }
    // The other instance goes on.
    assert!(
        plain
            .rate_limits()
            .unwrap()
            .take("a", 1, HOUR)
            .await
            .unwrap()
            .allowed
    );
}

#[sqlx::test(migrations = false)]
async fn tables_of_the_applications_are_refused(pool: PgPool) {
    adapter(&pool).await.migrate().await.unwrap();
    for (table, columns) in [
        (
            "rate_limit",
            "id BIGSERIAL PRIMARY KEY, key TEXT, count INTEGER",
        ),
        (
            "rate_limit",
            "key TEXT PRIMARY KEY, count BIGINT NOT NULL, window_started_at TIMESTAMPTZ NOT NULL",
        ),
        (
            "jwks",
            "id TEXT PRIMARY KEY, \"publicKey\" TEXT NOT NULL, \"privateKey\" TEXT NOT NULL",
        ),
        (
            "two_factor",
            "id TEXT PRIMARY KEY, user_id TEXT NOT NULL, phone TEXT NOT NULL",
        ),
        (
            "two_factor",
            "id TEXT PRIMARY KEY, secret TEXT NOT NULL, backup_codes TEXT, user_id TEXT, created_at TIMESTAMPTZ NOT NULL, \
             updated_at TIMESTAMPTZ NOT NULL",
        ),
        (
            "passkeys",
            "id BIGINT PRIMARY KEY, public_key TEXT NOT NULL",
        ),
    ] {
        execute(&pool, &format!("CREATE TABLE {table} ({columns})")).await;
        let before = tables(&pool).await;
        match with_stores(&pool).await.migrate().await {
            Err(error @ AuthError::Database { .. }) => {
                assert!(error.to_string().contains(table), "{error}");
            }
            answer => panic!("{table} ({columns}): {answer:?}"),
        }
        assert_eq!(tables(&pool).await, before);
        let plain = adapter(&pool).await;
        plain.migrate().await.unwrap();
        plain.clean_up().await.unwrap();
        assert_eq!(tables(&pool).await, before);
        execute(&pool, &format!("DROP TABLE {table}")).await;
    }
}

#[sqlx::test(migrations = false)]
async fn tables_of_an_older_version_are_accepted_with_their_rows(pool: PgPool) {
    execute(&pool, include_str!("../support/page.sql")).await;
    execute(&pool, OLDER).await;
    execute(
        &pool,
        "INSERT INTO users (id, two_factor_enabled) VALUES ('ada', TRUE); \
         INSERT INTO two_factor (id, secret, backup_codes, user_id) VALUES ('1', 'secret', 'codes', 'ada'); \
         INSERT INTO passkeys (id, name, public_key, user_id, credential_id, counter) \
         VALUES ('1', 'phone', 'key', 'ada', 'credential', 5)",
    )
    .await;
    // Nobody asks for the stores: their tables are there.
    let plain = adapter(&pool).await;
    plain.migrate().await.unwrap();
    let builder = SqlxAdapter::builder(&url(&pool)).stores([Store::TwoFactor, Store::Passkeys]);
    let database = builder.connect().await.unwrap();
    database.check_schema().await.unwrap();
    let factors = database.two_factor().unwrap();
    let attempt = factors.begin_attempt("ada", 5, HOUR).await.unwrap();
    let Attempt::Granted(factor) = attempt else {
        panic!("{attempt:?}");
    };
    assert!(factor.verified && factor.last_used_step.is_none());
    let codes = (&*factor.secret, factor.backup_codes.as_deref());
    assert_eq!(codes, ("secret", Some("codes")));
    let outcome = factors.accept_step("ada", 1).await.unwrap();
    assert_eq!(outcome, StepOutcome::Accepted);
    let passkeys = database.passkeys().unwrap();
    let found = passkeys.get_passkey_with_user("credential").await.unwrap();
    let (passkey, _) = found.unwrap();
    assert_eq!(
        (passkey.counter, passkey.name.as_deref()),
        (5, Some("phone"))
    );
    for (counter, outcome) in [
        (5, PasskeyUse::ClonedAuthenticator),
        (6, PasskeyUse::Accepted),
    ] {
        let told = passkeys
            .record_use("credential", counter, true)
            .await
            .unwrap();
        assert_eq!(told, outcome);
    }
    let unnamed = CreatePasskey::new("ada", "key", "other");
    passkeys.create_passkey(unnamed).await.unwrap();
    assert_eq!(passkeys.list_passkeys("ada").await.unwrap().len(), 2);
}

/// Columns of an application's own stand for nothing in our statements.
#[sqlx::test(migrator = "crate::support::MIGRATED")]
async fn columns_of_the_applications_change_no_answer(pool: PgPool) {
    for table in ["rate_limit", "jwks", "two_factor", "passkeys", "users"] {
        for column in [
            "outcome",
            "held",
            "seen",
            "owner",
            "newest",
            "winner",
            "is_accepted",
            "counter",
            "count",
            "secret",
            "verified",
            "locked_until",
            "last_used_step",
            "credential_id",
            "generation",
            "key",
            "now",
            "until",
        ] {
            let sql = format!("ALTER TABLE {table} ADD COLUMN IF NOT EXISTS {column} TEXT");
            execute(&pool, &sql).await;
        }
    }
    let database = adapter(&pool).await;
    for allowed in [true, false] {
        let taken = database.rate_limits().unwrap().take("a", 1, HOUR).await;
        assert_eq!(taken.unwrap().allowed, allowed);
    }
    let keys = database.signing_keys().unwrap();
    for generation in [1, 2] {
        let new = CreateSigningKey::new("public", "private");
        let key = keys.rotate(new, Duration::ZERO).await.unwrap();
        assert_eq!(key.generation, generation);
    }
    assert_eq!(keys.list_signing_keys().await.unwrap().len(), 2);
    assert_eq!(keys.current().await.unwrap().unwrap().generation, 2);
    let user = new_factor(&database).await;
    let factors = database.two_factor().unwrap();
    let attempt = factors.begin_attempt(&user, 1, HOUR).await.unwrap();
    assert!(matches!(attempt, Attempt::Granted(_)));
    let outcome = factors.accept_step(&user, 11).await.unwrap();
    assert_eq!(outcome, StepOutcome::Accepted);
    assert!(
        factors
            .replace_backup_codes(&user, Some("a"), None)
            .await
            .unwrap()
    );
    let passkeys = database.passkeys().unwrap();
    let create = CreatePasskey::new(&user, "key", "credential");
    let passkey = passkeys.create_passkey(create).await.unwrap();
    let told = passkeys.record_use("credential", 1, true).await.unwrap();
    assert_eq!(told, PasskeyUse::Accepted);
    passkeys
        .rename_passkey(&user, &passkey.id, "name")
        .await
        .unwrap();
    let found = passkeys.get_passkey_with_user("credential").await.unwrap();
    assert_eq!(found.unwrap().1.id, user);
    factors.disable(&user).await.unwrap();
}
