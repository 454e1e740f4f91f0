//! No log line, no error and no `Debug` shows a secret, whatever goes well or wrong.

#[path = "../support/calls.rs"]
mod calls;
mod credentials;
#[path = "../support/mod.rs"]
mod support;

use std::collections::BTreeSet;
use std::io::Write;
use std::sync::{Arc, Mutex, OnceLock};
use std::time::Duration;

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use better_auth::adapters::{
    DatabaseAdapter, MemoryDatabaseAdapter, PoolConfig, SqlxAdapter, SqlxAdapterBuilder,
    VerificationKeys,
};
use better_auth::types::{
    CreateAccount, CreateApiKey, CreateOrganization, CreateSession, CreateSigningKey, CreateUser,
    CreateVerification, ListUsers, UpdateAccount, UpdateApiKey, UpdateOrganization, UpdateSession,
    UpdateUser,
};
use better_auth::{AuthError, AuthResult};
use calls::{Call, OrganizationCall, Places};
use chrono::{DateTime, Utc};
use credentials::{credentials_show_no_secret, kinds_of_credential_calls};
use sqlx::postgres::{PgConnectOptions, PgPoolOptions};
use sqlx::{ConnectOptions as _, PgPool};
use support::{execute, shown};
use tracing_subscriber::filter::LevelFilter;
use tracing_subscriber::fmt::format::FmtSpan;

/// In every secret and every value, and in no statement of this test.
const MARK: &str = "hunter2";

fn marked(place: &str) -> String {
    let place = match place {
        "user_id" | "owner_id" => "id",
        "provider" => "provider_id",
        place => place,
    };
    format!("{MARK} {place}")
}

/// All that this process logs, at every level. Of one subscriber for all tests, as those of single threads miss events
/// while others come and go.
#[derive(Clone, Default)]
struct Log(Arc<Mutex<Vec<u8>>>);

impl Write for Log {
    fn write(&mut self, bytes: &[u8]) -> std::io::Result<usize> {
        self.0.lock().unwrap().write(bytes)
    }

    fn flush(&mut self) -> std::io::Result<()> {
        Ok(())
    }
}

impl Log {
    fn start() -> Self {
        static LOG: OnceLock<Log> = OnceLock::new();
        let start = || {
            let log = Self::default();
            let writer = log.clone();
            tracing_subscriber::fmt()
                .with_max_level(LevelFilter::TRACE)
                .with_ansi(false)
                .with_span_events(FmtSpan::FULL)
                .with_writer(move || writer.clone())
                .init();
            log
        };
        LOG.get_or_init(start).clone()
    }

    fn text(&self) -> String {
        String::from_utf8(self.0.lock().unwrap().clone()).unwrap()
    }
}

fn assert_no_secret(shown: &str) {
    assert!(!shown.contains(MARK), "{shown}");
}

/// The kinds of the errors of these calls, which show no secret.
fn kinds<T>(answers: impl IntoIterator<Item = AuthResult<T>>) -> BTreeSet<String> {
    let kind = |error: AuthError| {
        assert_no_secret(&shown(&error));
        format!("{error:?}")
            .split([' ', '{'])
            .next()
            .unwrap()
            .to_owned()
    };
    answers
        .into_iter()
        .filter_map(Result::err)
        .map(kind)
        .collect()
}

fn far_future() -> DateTime<Utc> {
    "2999-01-01T00:00:00Z".parse().unwrap()
}

/// Every method, with a marked value in every place: what creates first, what removes last.
fn calls() -> Vec<Call> {
    let (removing, mut calls): (Vec<_>, Vec<_>) =
        Call::of_every_method().into_iter().partition(|call| {
            ["delete_", "consume_"]
                .iter()
                .any(|prefix| call.method().starts_with(prefix))
        });
    calls.sort_by_key(|call| !call.method().starts_with("create_"));
    // Users go last.
    calls.extend(removing.into_iter().rev());
    let mark = |mut call: Call| {
        call.fill(&mut |place| (place != "cursor").then(|| marked(place)));
        call
    };
    let query = ListUsers::new();
    let more = [
        // A cursor would have the list above refused.
        Call::list_users { query }.with("cursor", MARK),
        // The user is gone by now.
        Call::create_session {
            session: CreateSession::new(marked("id"), far_future()),
        },
    ];
    calls.into_iter().map(mark).chain(more).collect()
}

/// Makes all calls on their own and in transactions, and answers the kinds of the errors.
async fn kinds_of_all_calls(database: &dyn DatabaseAdapter) -> BTreeSet<String> {
    let mut answers = Vec::new();
    for call in calls() {
        answers.push(call.make(database).await);
        if let Ok(transaction) = database.begin().await {
            answers.push(call.make(&transaction).await);
            answers.push(
                transaction
                    .commit()
                    .await
                    .map(|()| calls::Answer::default()),
            );
        }
    }
    kinds(answers)
}

/// Makes all calls of the store of organizations, in an organization of the user whom the other calls create, and answers
/// the kinds of the errors.
async fn kinds_of_organization_calls(database: &dyn DatabaseAdapter) -> BTreeSet<String> {
    let mark = |mut call: OrganizationCall, organization: &str| {
        let method = call.method();
        call.fill(&mut |place| match place {
            "cursor" => None,
            "organization_id" | "ids" => Some(organization.to_owned()),
            "id" if method.contains("organization") => Some(organization.to_owned()),
            _ => Some(marked(place)),
        });
        call
    };
    let user = CreateUser::new().with_id(marked("id"));
    let mut answers = vec![database.create_user(user).await.map(calls::Answer::from)];
    let (removing, mut calls): (Vec<_>, Vec<_>) = OrganizationCall::of_every_method()
        .into_iter()
        .partition(|call| {
            let mut begins = ["delete_", "remove_"].iter();
            begins.any(|begin| call.method().starts_with(begin))
        });
    calls.sort_by_key(|call| !call.method().starts_with("create_"));
    calls.extend(removing.into_iter().rev());
    let mut organization = marked("organization_id");
    for call in calls {
        // Of no organization as well.
        for call in [mark(call.clone(), &organization), mark(call, &marked("id"))] {
            let answer = call.make(database).await;
            if let (OrganizationCall::create_organization { .. }, Ok(answer)) = (&call, &answer) {
                organization = answer.rows[0].text("id").unwrap().to_owned();
            }
            answers.push(answer);
            if let Ok(transaction) = database.begin().await {
                answers.push(call.make(&transaction).await);
                let committed = transaction.commit().await;
                answers.push(committed.map(|()| calls::Answer::default()));
            }
        }
    }
    kinds(answers)
}

/// A role of the test's own, whose password is a secret, and the URL with which it connects to the test's database.
async fn secret_url(pool: &PgPool) -> String {
    let options = pool.connect_options().as_ref().clone();
    let role = format!("role of {}", options.get_database().unwrap());
    let mut connection = pool.acquire().await.unwrap();
    for (name, value) in [
        ("test.role", role.as_str()),
        ("test.password", &marked("password")),
    ] {
        sqlx::query("SELECT set_config($1, $2, false)")
            .bind(name)
            .bind(value)
            .execute(&mut *connection)
            .await
            .unwrap();
    }
    sqlx::query(
        "DO $$ BEGIN \
         EXECUTE format('DROP ROLE IF EXISTS %I', current_setting('test.role')); \
         EXECUTE format('CREATE ROLE %I LOGIN IN ROLE %I PASSWORD %L', \
         current_setting('test.role'), current_user, current_setting('test.password')); END $$",
    )
    .execute(&mut *connection)
    .await
    .unwrap();
    let options = options.username(&role).password(&marked("password"));
    options.to_url_lossy().to_string()
}

async fn drop_role(pool: &PgPool) {
    let database = pool.connect_options();
    let role = database.get_database().unwrap();
    execute(pool, &format!("DROP ROLE \"role of {role}\"")).await;
}

async fn connected(url: &str) -> SqlxAdapter {
    let config = PoolConfig {
        max_connections: 2,
        acquire_timeout: Duration::from_secs(2),
        ..PoolConfig::default()
    };
    let keys =
        VerificationKeys::new(marked("key").repeat(3)).with_previous(marked("old").repeat(3));
    let builder = SqlxAdapter::builder(url)
        .pool_config(config)
        .max_retries(1)
        .verification_keys(keys);
    assert_no_secret(&format!("{builder:?}"));
    builder.connect().await.unwrap()
}

/// Statements that break what the calls do, and those that mend it.
fn breakages() -> Vec<(String, String)> {
    let mut breakages = Vec::new();
    let on_all = |statement: &str| -> String {
        calls::TABLES
            .iter()
            .chain(calls::CREDENTIAL_TABLES)
            .chain(&["rate_limit"])
            .map(|table| statement.replace("TABLE_", table))
            .collect()
    };
    // What the server says of a check quotes the row.
    breakages.push((
        "ALTER TABLE users ADD CONSTRAINT checked CHECK (name NOT LIKE 'hunter_ %') NOT VALID; \
         ALTER TABLE sessions ADD CONSTRAINT checked CHECK (user_agent NOT LIKE 'hunter_ %') NOT VALID; \
         ALTER TABLE accounts ADD CONSTRAINT checked CHECK (password NOT LIKE 'hunter_ %') NOT VALID; \
         ALTER TABLE verifications ADD CONSTRAINT checked CHECK (value NOT LIKE 'hunter_ %') NOT VALID"
            .to_owned(),
        on_all("ALTER TABLE TABLE_ DROP CONSTRAINT IF EXISTS checked; "),
    ));
    // Of each class, with the row wherever the server may quote one.
    for state in [
        "22001", "22P02", "23502", "23505", "23503", "23514", "25006", "40001", "40P01", "53100",
        "54000", "55P03", "57014", "57P03", "58030", "P0001", "XX000", "42501", "42P01", "08006",
    ] {
        let quoted = ["22", "23", "P0"].contains(&&state[..2]);
        let trigger = format!(
            "CREATE TRIGGER breaks BEFORE INSERT OR UPDATE ON TABLE_ FOR EACH ROW \
             EXECUTE FUNCTION breaks('{state}', {quoted}); "
        );
        breakages.push((on_all(&trigger), on_all("DROP TRIGGER breaks ON TABLE_; ")));
    }
    let altered = [
        ("image", "INTEGER USING NULL"),
        ("name", "VARCHAR(3) USING NULL"),
        ("display_username", "BYTEA USING NULL"),
    ];
    for (column, type_) in altered {
        breakages.push((
            format!("ALTER TABLE users ALTER {column} TYPE {type_}"),
            format!("ALTER TABLE users ALTER {column} TYPE TEXT USING NULL"),
        ));
    }
    breakages.push((
        "ALTER TABLE accounts RENAME password TO pass".to_owned(),
        "ALTER TABLE accounts RENAME pass TO password".to_owned(),
    ));
    // Rows that cannot be read.
    breakages.push((
        "CREATE TRIGGER breaks BEFORE INSERT OR UPDATE ON users FOR EACH ROW EXECUTE FUNCTION breaks_metadata()"
            .to_owned(),
        "DROP TRIGGER breaks ON users".to_owned(),
    ));
    breakages
}

#[sqlx::test(migrator = "crate::support::MIGRATED")]
async fn no_error_and_no_log_line_shows_a_value(pool: PgPool) {
    let url = secret_url(&pool).await;
    execute(
        &pool,
        "CREATE FUNCTION breaks() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN \
         RAISE EXCEPTION USING ERRCODE = TG_ARGV[0], \
         MESSAGE = CASE WHEN TG_ARGV[1]::boolean THEN NEW::text ELSE 'broken' END, \
         DETAIL = NEW::text, HINT = NEW::text; END $$; \
         CREATE FUNCTION breaks_metadata() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN \
         NEW.metadata = (repeat('{\"a\":', 200) || to_jsonb(NEW.name)::text || repeat('}', 200))::jsonb; RETURN NEW; END $$",
    )
    .await;
    let log = Log::start();
    let database = connected(&url).await;
    assert_no_secret(&format!("{database:?}"));

    let mut seen = kinds_of_organization_calls(&database).await;
    seen.extend(kinds_of_credential_calls(&database, Some(&log)).await);
    seen.extend(kinds_of_all_calls(&database).await);
    for (breaks, mends) in breakages() {
        // The row that is read, changed and removed.
        let user = CreateUser::new()
            .with_id(marked("id"))
            .with_name(marked("name"));
        let exists = database.create_user(user).await;
        execute(&pool, &breaks).await;
        let kinds = kinds_of_all_calls(&database).await;
        assert!(
            kinds
                .iter()
                .any(|kind| kind != "UserNotFound" && kind != "Validation"),
            "{breaks} breaks nothing: {kinds:?}, {exists:?}"
        );
        seen.extend(kinds);
        seen.extend(kinds_of_organization_calls(&database).await);
        seen.extend(kinds_of_credential_calls(&database, None).await);
        execute(&pool, &mends).await;
    }
    seen.extend(kinds_when_locked(&database, &pool, &url).await);
    seen.extend(kinds_when_disconnected(&database, &pool, &url).await);
    assert_eq!(
        seen.iter().map(String::as_str).collect::<Vec<_>>(),
        calls::KINDS
    );

    let logged = log.text();
    for shown in [
        "INSERT INTO users",
        "UPDATE accounts",
        "INSERT INTO member",
        "UPDATE organization_role",
        "INSERT INTO two_factor",
        "UPDATE passkeys",
        "INSERT INTO rate_limit",
        "INSERT INTO jwks",
        "otel.name=use_key api_keys",
        "otel.name=poll device_code",
        "otel.name=create_user users",
        "db.response.status_code=\"23505\"",
        "error.type=\"Conflict\"",
        "a statement is sent again",
        "a connection is closed",
        "a write may or may not have happened",
    ] {
        assert!(logged.contains(shown), "{shown} is not logged");
    }
    assert_no_secret(&logged);
    drop_role(&pool).await;
}

/// Ended by `lock_timeout`, by `statement_timeout`, and as a conflict between serializable transactions.
async fn kinds_when_locked(database: &SqlxAdapter, pool: &PgPool, url: &str) -> BTreeSet<String> {
    let create = calls().remove(0);
    create.make(database).await.unwrap();
    let update = Call::update_user {
        id: marked("id"),
        update: UpdateUser::default(),
    };
    let update = update.with("name", &marked("name"));
    let mut lock = pool.begin().await.unwrap();
    sqlx::query("LOCK TABLE users")
        .execute(&mut *lock)
        .await
        .unwrap();
    let separator = if url.contains('?') { '&' } else { '?' };
    let hurried = connected(&format!(
        "{url}{separator}options=-c%20statement_timeout=50ms"
    ))
    .await;
    let mut answers = vec![update.make(database).await, update.make(&hurried).await];
    lock.rollback().await.unwrap();

    let strict = connected(&format!(
        "{url}{separator}options=-c%20default_transaction_isolation=serializable"
    ))
    .await;
    let (first, second) = (strict.begin().await.unwrap(), strict.begin().await.unwrap());
    update.make(&first).await.unwrap();
    second.get_user_by_id("someone").await.unwrap();
    first.commit().await.unwrap();
    answers.push(update.make(&second).await);
    assert!(answers.iter().all(Result::is_err));
    kinds(answers)
}

/// Disconnected by the server, with wrong passwords and addresses, and closed.
async fn kinds_when_disconnected(
    database: &SqlxAdapter,
    pool: &PgPool,
    url: &str,
) -> BTreeSet<String> {
    let update = Call::update_user {
        id: marked("id"),
        update: UpdateUser::default(),
    };
    let update = update.with("name", &marked("name"));
    let transaction = database.begin().await.unwrap();
    update.make(&transaction).await.unwrap();
    execute(
        pool,
        "SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE datname = current_database() \
         AND pid <> pg_backend_pid() AND xact_start IS NOT NULL",
    )
    .await;
    let mut seen = kinds([update.make(&transaction).await]);
    drop(transaction);

    let password = url.split_once('@').unwrap().0.rsplit_once(':').unwrap().1;
    let port = pool.connect_options().get_port();
    let urls = [
        url.replace(password, "hunter2wrong"),
        url.replace(&format!(":{port}/"), ":1/"),
        url.replace(&format!(":{port}/"), ":port/"),
        url.replace("/_sqlx_test", "/none_sqlx_test"),
        url.replace("://", ":/"),
    ];
    for wrong in urls {
        assert_ne!(wrong, url);
        seen.extend(kinds([SqlxAdapter::new(&wrong).await]));
    }
    database.close().await;
    assert_no_secret(&format!("{:?}", database.health().await));
    seen.extend(kinds_of_all_calls(database).await);
    seen
}

/// sqlx logs the text of statements, in which there are only `$1` and the like.
#[sqlx::test(migrator = "crate::support::MIGRATED")]
async fn logged_statements_hold_no_values(pool: PgPool) {
    let options: PgConnectOptions = secret_url(&pool).await.parse().unwrap();
    let log = Log::start();
    let options = options.log_statements("debug".parse().unwrap());
    let all_slow = options
        .clone()
        .log_slow_statements("warn".parse().unwrap(), Duration::ZERO);
    for (options, expected) in [(options, "DEBUG sqlx::query"), (all_slow, "slow statement")] {
        let before = log.text().len();
        let pool = PgPoolOptions::new().connect_with(options).await.unwrap();
        let builder = SqlxAdapterBuilder::from_pool(pool).hash_session_tokens(true);
        assert_no_secret(&format!("{builder:?}"));
        let database = builder.connect().await.unwrap();
        let mut secrets = tokens_of_a_sign_in(&database).await;
        kinds_of_organization_calls(&database).await;
        kinds_of_credential_calls(&database, Some(&log)).await;
        kinds_of_all_calls(&database).await;
        let logged = log.text().split_off(before);
        for shown in [expected, "INSERT INTO sessions", "UPDATE accounts", "$2"] {
            assert!(logged.contains(shown), "{shown} is not logged");
        }
        secrets.retain(|secret| logged.contains(secret.as_str()));
        assert_eq!(secrets, Vec::<String>::new());
        assert_no_secret(&logged);
    }
    drop_role(&pool).await;
}

/// The token of a session, made and used.
async fn tokens_of_a_sign_in(database: &dyn DatabaseAdapter) -> Vec<String> {
    let user = database.create_user(CreateUser::new()).await.unwrap();
    let create = CreateSession::new(&user.id, far_future());
    let session = database.create_session(create).await.unwrap();
    let token = session.token.as_str();
    assert!(!format!("{session:?} {session:#?}").contains(token));
    database
        .get_session_with_user(token)
        .await
        .unwrap()
        .unwrap();
    database
        .update_session_expiry(token, far_future())
        .await
        .unwrap();
    let listed = database.get_user_sessions(&user.id).await.unwrap();
    database.delete_session(token).await.unwrap();
    vec![session.token, listed[0].token.clone()]
}

/// Its id is no copy of the value that is only encoded, and no longer for a long value.
async fn a_marker_shows_no_value(database: &dyn DatabaseAdapter) {
    for value in [marked("value"), marked("value").repeat(100_000)] {
        let reserved = database.reserve_verification("ada", &value, far_future());
        assert!(reserved.await.unwrap());
        let marker = database.get_verification("ada", &value).await.unwrap();
        let marker = marker.unwrap();
        for shown in [
            format!("{marker:?} {marker:#?}"),
            serde_json::to_string(&marker).unwrap(),
        ] {
            assert_no_secret(&shown);
            assert!(shown.len() < 2000, "the row shows {} bytes", shown.len());
        }
        let encoded = marker
            .id
            .split(|c: char| !c.is_ascii_alphanumeric() && c != '_');
        for part in encoded {
            let decoded = URL_SAFE_NO_PAD.decode(part).unwrap_or_default();
            assert_no_secret(&String::from_utf8_lossy(&decoded));
        }
    }
}

#[sqlx::test(migrator = "crate::support::MIGRATED")]
async fn markers_show_no_values(pool: PgPool) {
    a_marker_shows_no_value(&MemoryDatabaseAdapter::new()).await;
    a_marker_shows_no_value(&SqlxAdapter::from_pool(pool)).await;
}

/// Fills the places that hold secrets.
fn with_secrets<T: Places>(mut input: T) -> T {
    let secrets = [
        "password",
        "access_token",
        "refresh_token",
        "id_token",
        "value",
        "metadata: value",
        "token",
    ];
    input.fill("", &mut |place| {
        secrets.contains(&place).then(|| marked(place))
    });
    input
}

#[tokio::test]
async fn debug_shows_no_secret() {
    let database = MemoryDatabaseAdapter::new();
    let user = with_secrets(CreateUser::new().with_id("ada"));
    let update = with_secrets(UpdateUser::default());
    assert!(!user.metadata.is_empty() && update.metadata.is_some());
    let account = with_secrets(CreateAccount::new("ada", "github", "1"));
    let verification = with_secrets(CreateVerification::new("ada", "", far_future()));
    let session = with_secrets(CreateSession::new("ada", far_future()));
    let account_update = with_secrets(UpdateAccount::default());
    let session_update = with_secrets(UpdateSession::default());
    let organization = with_secrets(CreateOrganization::new("Engines", "engines", "ada"));
    let organization_update = with_secrets(UpdateOrganization::default());
    assert!(!organization.metadata.is_empty() && organization_update.metadata.is_some());
    for shown in [
        format!("{organization:?} {organization:#?} {organization_update:?}"),
        format!("{user:?} {user:#?} {update:?} {update:#?}"),
        format!("{account:?} {account:#?} {account_update:?} {account_update:#?}"),
        format!("{verification:?} {verification:#?}"),
        format!("{session:?} {session_update:?}"),
    ] {
        assert_no_secret(&shown);
    }
    let signing_key = CreateSigningKey::new("public", marked("private_key"));
    let key = CreateApiKey::for_user("ada").with_metadata(marked("metadata"));
    let key_update = UpdateApiKey::new().with_metadata(marked("metadata"));
    assert_no_secret(&format!(
        "{signing_key:?} {signing_key:#?} {key:?} {key:#?} {key_update:?}"
    ));
    let user = database.create_user(user).await.unwrap();
    credentials_show_no_secret(&database, signing_key, key)
        .await
        .unwrap();
    let account = database.create_account(account).await.unwrap();
    let verification = database.create_verification(verification).await.unwrap();
    let page = database.list_users(ListUsers::new()).await.unwrap();
    assert_eq!(account.password, Some(marked("password")));
    let organizations = database.organizations().unwrap();
    let (organization, _) = organizations
        .create_organization(organization)
        .await
        .unwrap();
    let listed = organizations.list_user_organizations("ada").await.unwrap();
    assert!(!listed[0].0.metadata.is_empty());
    assert_no_secret(&format!("{organization:?} {organization:#?} {listed:?}"));
    for shown in [
        format!("{user:?} {user:#?} {page:?} {database:?}"),
        format!("{account:?} {account:#?} {verification:?} {verification:#?}"),
        serde_json::to_string(&account).unwrap(),
        serde_json::to_string(&verification).unwrap(),
    ] {
        assert_no_secret(&shown);
    }
}
