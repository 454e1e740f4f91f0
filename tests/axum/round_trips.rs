//! How many round trips a request takes on PostgreSQL.

use std::sync::Arc;

use axum::Router;
use axum::http::header::COOKIE;
use better_auth::DatabaseAdapter as _;
use better_auth::adapters::{PoolConfig, SessionCache, SqlxAdapter, SqlxAdapterBuilder, Store};
use better_auth::axum::{AuthState, ClientInfo};
use better_auth::chrono::{TimeDelta, Utc};
use better_auth::types::{CreateOrganization, CreateSession, CreateUser, Session, UpdateSession};
use sqlx::PgPool;

use crate::support::proxy::Proxy;
use crate::support::url;
use crate::{Answer, ask, router};

struct Counted {
    proxy: Proxy,
    database: SqlxAdapter,
    router: Router,
}

impl Counted {
    async fn new(
        pool: &PgPool,
        set: impl FnOnce(SqlxAdapterBuilder) -> SqlxAdapterBuilder,
    ) -> Self {
        let options = pool.connect_options();
        let proxy = Proxy::start((options.get_host(), options.get_port())).await;
        let place = format!("{}:{}", options.get_host(), options.get_port());
        let through = format!("127.0.0.1:{}", proxy.port());
        let url = url(pool).replace(&place, &through);
        let url = format!("{}?sslmode=disable", url.split('?').next().unwrap());
        let config = PoolConfig {
            max_connections: 4,
            ..PoolConfig::default()
        };
        let builder = SqlxAdapter::builder(&url).pool_config(config).migrate(true);
        let builder = builder.stores([Store::Organizations]);
        let database = set(builder).connect().await.unwrap();
        let auth = AuthState::new(Arc::new(database.clone()));
        Self {
            proxy,
            database,
            router: router().with_state(auth),
        }
    }

    async fn signed_in(&self) -> Session {
        let create = CreateUser::new().with_name("Ada");
        let user = self.database.create_user(create).await.unwrap();
        let auth = AuthState::new(Arc::new(self.database.clone()));
        auth.sign_in(&user, ClientInfo::default()).await.unwrap().0
    }

    /// The answer to a request with this token, and its round trips.
    async fn get(&self, path: &str, token: &str) -> (Answer, usize) {
        let cookie = format!("__Host-session={token}");
        let before = self.proxy.round_trips();
        let answer = ask(&self.router, path, &[(COOKIE, &cookie)]).await;
        (answer, self.proxy.round_trips() - before)
    }

    async fn trips(&self, path: &str, token: &str) -> usize {
        // Statements are prepared by the first calls.
        for _ in 0..3 {
            self.get(path, token).await;
        }
        self.get(path, token).await.1
    }
}

#[sqlx::test(migrator = "crate::support::MIGRATED")]
async fn a_request_takes_one_round_trip(pool: PgPool) {
    let app = Counted::new(&pool, |builder| builder).await;
    let session = app.signed_in().await;
    let token = session.token.as_str();
    let organizations = app.database.organizations().unwrap();
    let create = CreateOrganization::new("Engines", "engines", &session.user_id);
    let (engines, _) = organizations.create_organization(create).await.unwrap();
    let update = UpdateSession::new().with_active_organization_id(engines.id);
    app.database.update_session(token, update).await.unwrap();

    let forged = better_auth::adapters::input::new_token().unwrap();
    let mut trips = Vec::new();
    for (path, token) in [
        ("/user", token),
        ("/session", token),
        ("/optional", token),
        ("/member", token),
        ("/optional-member", token),
        ("/user", &forged),
        // The membership comes second there.
        ("/all", token),
        ("/user", ""),
        ("/optional", "too short"),
        ("/member", ""),
    ] {
        trips.push(app.trips(path, token).await);
    }
    println!("round trips of a request: {trips:?}");
    assert_eq!(trips, [1, 1, 1, 1, 1, 1, 2, 0, 0, 0]);
    let (answer, _) = app.get("/member", token).await;
    assert_eq!(answer.body, "Adaowner");
}

#[sqlx::test(migrator = "crate::support::MIGRATED")]
async fn an_extension_takes_a_second_one(pool: PgPool) {
    let app = Counted::new(&pool, |builder| builder).await;
    let session = app.signed_in().await;
    let mut trips = Vec::new();
    for path in ["/user", "/user", "/user", "/member"] {
        let create = CreateSession::new(&session.user_id, Utc::now() + TimeDelta::days(5));
        let due = app.database.create_session(create).await.unwrap();
        let (answer, extending) = app.get(path, &due.token).await;
        assert_eq!(answer.cookies().len(), 1);
        let (answer, next) = app.get(path, &due.token).await;
        assert_eq!(answer.cookies().len(), 0);
        trips.push((extending, next));
    }
    println!("round trips of a request that extends, and of the next one: {trips:?}");
    assert_eq!(trips[2], (2, 1));
}

/// With the session cache, the membership alone is looked up.
#[sqlx::test(migrator = "crate::support::MIGRATED")]
async fn a_cached_session_takes_less(pool: PgPool) {
    let cache = SessionCache::exact();
    let app = Counted::new(&pool, |builder| builder.session_cache(cache)).await;
    let session = app.signed_in().await;
    let token = session.token.as_str();
    let organizations = app.database.organizations().unwrap();
    let create = CreateOrganization::new("Engines", "engines", &session.user_id);
    let (engines, member) = organizations.create_organization(create).await.unwrap();
    let update = UpdateSession::new().with_active_organization_id(&engines.id);
    app.database.update_session(token, update).await.unwrap();
    for _ in 0..3 {
        let (answer, _) = app.get("/member", token).await;
        assert_eq!(answer.body, "Adaowner");
    }
    let stats = app.database.session_cache_stats().unwrap();
    assert!(stats.hits > 0, "{stats:?}");
    let create = better_auth::types::CreateMember::new(&engines.id, {
        let other = app.database.create_user(CreateUser::new()).await.unwrap();
        other.id
    });
    organizations
        .create_member(create.with_role("owner"))
        .await
        .unwrap();
    let changed = organizations.update_member_role(&engines.id, &member.user_id, "billing");
    changed.await.unwrap();
    let (answer, _) = app.get("/member", token).await;
    assert_eq!(answer.body, "Adabilling");
}
