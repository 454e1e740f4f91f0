//! The metrics of the feature `metrics`, and the dashboard and the alerts that read them.

use std::collections::BTreeSet;
use std::sync::OnceLock;
use std::time::Duration;

use better_auth::AuthError;
use better_auth::adapters::{DatabaseAdapter, PoolConfig, SessionCache, SqlxAdapter};
use better_auth::types::{CreateSession, CreateUser};
use metrics_exporter_prometheus::{Matcher, PrometheusBuilder, PrometheusHandle};
use sqlx::PgPool;

use crate::support::{MIGRATED, execute, url};
use crate::{look_up_at_once, recorder};

const DASHBOARD: &str = include_str!("../../docs/operations/dashboard.json");
const ALERTS: &str = include_str!("../../docs/operations/alerts.yml");

/// Buckets as `docs/operations/README.md` recommends them.
const SECONDS: [f64; 12] = [
    0.0005, 0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 1.0, 5.0, 30.0,
];
const SIZES: [f64; 8] = [1.0, 2.0, 4.0, 8.0, 16.0, 64.0, 256.0, 1000.0];

/// The exporter of this process.
fn prometheus() -> &'static PrometheusHandle {
    static PROMETHEUS: OnceLock<PrometheusHandle> = OnceLock::new();
    PROMETHEUS.get_or_init(|| {
        PrometheusBuilder::new()
            .set_buckets(&SECONDS)
            .unwrap()
            .set_buckets_for_metric(Matcher::Full("better_auth.batch.size".to_owned()), &SIZES)
            .unwrap()
            .install_recorder()
            .unwrap()
    })
}

/// The value of the series with these labels, whatever other labels it has.
fn value(scrape: &str, metric: &str, labels: &[(&str, &str)]) -> Option<f64> {
    let labels: Vec<_> = labels
        .iter()
        .map(|(key, value)| format!("{key}=\"{value}\""))
        .collect();
    let mut lines = scrape.lines().filter(|line| line.starts_with(metric));
    let line = lines.find(|line| {
        line[metric.len()..].starts_with(['{', ' '])
            && labels.iter().all(|label| line.contains(label))
    })?;
    line.rsplit_once(' ')?.1.parse().ok()
}

fn pool_name(pool: &PgPool) -> String {
    let options = pool.connect_options();
    let (host, port) = (options.get_host(), options.get_port());
    format!("{host}:{port}/{}", options.get_database().unwrap())
}

/// Does something of everything that is measured.
async fn use_everything(pool: &PgPool) -> SqlxAdapter {
    let config = PoolConfig {
        max_connections: 1,
        acquire_timeout: Duration::from_secs(2),
        ..PoolConfig::default()
    };
    let builder = SqlxAdapter::builder(&url(pool)).pool_config(config);
    let database = builder.connect().await.unwrap();
    execute(
        pool,
        "CREATE SEQUENCE writes; \
         CREATE FUNCTION conflicts() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN \
         IF nextval('writes') = 1 THEN RAISE EXCEPTION USING ERRCODE = '40001'; END IF; RETURN NEW; END $$; \
         CREATE TRIGGER conflicts BEFORE INSERT ON users FOR EACH ROW EXECUTE FUNCTION conflicts(); \
         CREATE FUNCTION breaks() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN \
         NEW.metadata = (repeat('{\"a\":', 200) || '1' || repeat('}', 200))::jsonb; RETURN NEW; END $$; \
         CREATE TRIGGER breaks BEFORE UPDATE ON users FOR EACH ROW EXECUTE FUNCTION breaks()",
    )
    .await;
    let ada = CreateUser::new().with_email("ada@example.com");
    let user = database.create_user(ada.clone()).await.unwrap();
    assert!(database.create_user(ada).await.is_err());
    let expired = CreateSession::new(&user.id, "2001-01-01T00:00:00Z".parse().unwrap());
    database.create_session(expired).await.unwrap();
    database.clean_up().await.unwrap();
    let unknown = database.ban_user(&user.id, None, None).await;
    assert!(matches!(unknown, Err(AuthError::OutcomeUnknown { .. })));
    look_up_at_once(&database).await;
    let held = database.acquire().await.unwrap();
    let waiting = database.get_user_by_email("ada@example.com");
    let gone = tokio::time::timeout(Duration::from_millis(50), waiting).await;
    assert!(gone.is_err());
    let too_late = database.get_user_by_email("ada@example.com").await;
    assert!(matches!(too_late, Err(AuthError::Unavailable { .. })));
    drop(held);
    database
}

#[sqlx::test(migrator = "MIGRATED")]
async fn a_scrape_has_what_the_dashboard_and_the_alerts_read(pool: PgPool) {
    recorder::start();
    let prometheus = prometheus();
    let database = use_everything(&pool).await;
    let name = pool_name(&pool);
    let pool_label = ("db_client_connection_pool_name", name.as_str());
    let idle = [pool_label, ("db_client_connection_state", "idle")];
    // The pool is looked at twice a second.
    while value(&prometheus.render(), "db_client_connection_count", &idle) != Some(1.0) {
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
    let scrape = prometheus.render();
    let of = |metric: &str, labels: &[(&str, &str)]| value(&scrape, metric, labels);
    for (operation, outcome) in [
        ("create_user", "ok"),
        ("create_user", "Conflict"),
        ("ban_user", "OutcomeUnknown"),
        ("get_user_by_email", "dropped"),
        ("get_user_by_email", "Unavailable"),
        ("get_user_by_id", "ok"),
    ] {
        let labels = [("db_operation_name", operation), ("outcome", outcome)];
        let count = of("db_client_operation_duration_count", &labels);
        assert!(count >= Some(1.0), "{operation} {outcome}");
    }
    // Other tests of the process count too.
    let retries = [
        ("db_operation_name", "create_user"),
        ("reason", "contention"),
    ];
    assert!(of("better_auth_retries", &retries) >= Some(1.0));
    let unknown = [("db_operation_name", "ban_user")];
    assert!(of("better_auth_unknown_outcomes", &unknown) >= Some(1.0));
    let removed = [("db_collection_name", "sessions")];
    assert!(of("better_auth_rows_removed", &removed) >= Some(1.0));
    let sizes = [("db_operation_name", "get_user_by_id")];
    assert!(of("better_auth_batch_size_sum", &sizes) > Some(1.0));
    assert_eq!(
        of("db_client_connection_timeouts", &[pool_label]),
        Some(1.0)
    );
    assert_eq!(of("db_client_connection_max", &[pool_label]), Some(1.0));
    assert_eq!(
        of("db_client_connection_pending_requests", &[pool_label]),
        Some(0.0)
    );
    assert!(of("db_client_connection_wait_time_count", &[pool_label]) > Some(1.0));

    let dashboard: serde_json::Value = serde_json::from_str(DASHBOARD).unwrap();
    let panels = dashboard["panels"].as_array().unwrap();
    let queries = panels
        .iter()
        .flat_map(|panel| panel["targets"].as_array().unwrap())
        .map(|target| target["expr"].as_str().unwrap());
    let alerts = ALERTS
        .lines()
        .filter_map(|line| line.trim_start().strip_prefix("expr: "));
    let read: BTreeSet<&str> = queries.chain(alerts).flat_map(metrics_of).collect();
    assert!(read.len() >= 8, "{read:?}");
    for metric in read {
        assert!(of(metric, &[]).is_some(), "{metric} is not in the scrape");
    }
    database.close().await;
}

/// A retry of a batch is no other batch.
#[sqlx::test(migrator = "MIGRATED")]
async fn a_batch_that_is_sent_again_counts_once(pool: PgPool) {
    recorder::start();
    let prometheus = prometheus();
    let config = PoolConfig {
        max_connections: 4,
        acquire_timeout: Duration::from_secs(30),
        ..PoolConfig::default()
    };
    let builder = SqlxAdapter::builder(&url(&pool)).pool_config(config);
    let database = builder.connect().await.unwrap();
    let labels = [("db_operation_name", "get_session")];
    let sizes = || value(&prometheus.render(), "better_auth_batch_size_sum", &labels);
    let before = sizes().unwrap_or_default();
    let mut lock = pool.begin().await.unwrap();
    let lock_table = "LOCK TABLE sessions";
    sqlx::query(lock_table).execute(&mut *lock).await.unwrap();
    let lookups: Vec<_> = (0..60)
        .map(|number: u32| {
            let database = database.clone();
            tokio::spawn(async move { database.get_session(&format!("token {number}")).await })
        })
        .collect();
    for _ in 0..3 {
        let waiting = "SELECT count(*) FROM pg_stat_activity \
                       WHERE datname = current_database() AND wait_event_type = 'Lock'";
        while sqlx::query_scalar::<_, i64>(waiting)
            .fetch_one(&pool)
            .await
            .unwrap()
            < 4
        {
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
        execute(
            &pool,
            "SELECT pg_terminate_backend(pid) FROM pg_stat_activity \
             WHERE datname = current_database() AND wait_event_type = 'Lock'",
        )
        .await;
    }
    lock.rollback().await.unwrap();
    for lookup in lookups {
        assert_eq!(lookup.await.unwrap().unwrap(), None);
    }
    let asked = sizes().unwrap_or_default() - before;
    assert!((1.0..=60.0).contains(&asked), "{asked}");
}

#[sqlx::test(migrator = "MIGRATED")]
async fn a_session_cache_is_measured(pool: PgPool) {
    recorder::start();
    let prometheus = prometheus();
    let builder = SqlxAdapter::builder(&url(&pool)).session_cache(SessionCache::exact());
    let database = builder.migrate(true).connect().await.unwrap();
    let user = database.create_user(CreateUser::new()).await.unwrap();
    let session = CreateSession::new(&user.id, "2999-01-01T00:00:00Z".parse().unwrap());
    let session = database.create_session(session).await.unwrap();
    for _ in 0..3 {
        let found = database.get_session(&session.token).await.unwrap();
        assert!(found.is_some());
    }
    database.delete_session(&session.token).await.unwrap();
    let name = pool_name(&pool);
    let pool_label = ("db_client_connection_pool_name", name.as_str());
    let of = |metric: &str, label| {
        let metric = format!("better_auth_session_cache_{metric}");
        value(&prometheus.render(), &metric, &[pool_label, label])
    };
    let any = |metric: &str| {
        let metric = format!("better_auth_session_cache_{metric}");
        value(&prometheus.render(), &metric, &[pool_label])
    };
    while of("lookups", ("result", "hit")) != Some(2.0) || any("invalidations") < Some(1.0) {
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
    assert_eq!(of("lookups", ("result", "miss")), Some(1.0));
    assert_eq!(of("lookups", ("result", "bypass")), Some(0.0));
    assert!(any("questions") >= Some(2.0));
    assert_eq!(any("listening"), Some(1.0));
    assert!(any("question_age").is_some() && any("fallback_time").is_some());
    assert!(any("entries").is_some());
    database.close().await;
}

/// The metrics that a query reads.
fn metrics_of(query: &str) -> impl Iterator<Item = &str> {
    let is_part = |c: char| c.is_ascii_alphanumeric() || c == '_';
    let words = query.split(move |c| !is_part(c));
    let is_metric = |word: &&str| {
        let is_label = word.contains("_name") || word.ends_with("_state");
        (word.starts_with("db_client_") || word.starts_with("better_auth_")) && !is_label
    };
    words.filter(is_metric)
}
