//! Sign-up writes all rows or none, in a transaction of better-auth's and in one of the application's.

use std::future::poll_fn;
use std::pin::pin;
use std::task::{Context, Poll};

use app::sign_up::{Form, Message, SignUpError, deliver_one, pool_options, sign_up, sign_up_in};
use better_auth::adapters::{DatabaseAdapter, SqlxAdapter};
use better_auth::types::Session;
use better_auth::{AuthError, ConflictField};
use sqlx::{AssertSqlSafe, ConnectOptions as _, PgPool};

const TABLES: [&str; 5] = ["users", "accounts", "profiles", "outbox", "sessions"];

#[derive(Clone, Copy, Debug)]
enum Way {
    /// With connections of the adapter's own.
    Ours,
    /// With the application's pool.
    OursOnPool,
    Joined,
}

const WAYS: [Way; 3] = [Way::Ours, Way::OursOnPool, Way::Joined];

struct App {
    pool: PgPool,
    own: SqlxAdapter,
    shared: SqlxAdapter,
}

impl App {
    async fn new(pool: PgPool) -> Self {
        app::MIGRATOR.run(&pool).await.unwrap();
        let options = pool.connect_options().as_ref().clone();
        let url = options.to_url_lossy();
        let pool = pool_options().connect_with(options).await.unwrap();
        Self {
            own: SqlxAdapter::new(url.as_str()).await.unwrap(),
            shared: SqlxAdapter::from_pool(pool.clone()),
            pool,
        }
    }

    async fn sign_up(&self, way: Way, form: &Form) -> Result<Session, SignUpError> {
        match way {
            Way::Ours => sign_up(&self.own, form).await,
            Way::OursOnPool => sign_up(&self.shared, form).await,
            Way::Joined => {
                let transaction = self.pool.begin().await?;
                let (transaction, session) = sign_up_in(transaction, &self.shared, form).await?;
                transaction.commit().await?;
                Ok(session)
            }
        }
    }

    async fn counts(&self) -> [i64; 5] {
        let mut counts = [0; 5];
        for (count, table) in counts.iter_mut().zip(TABLES) {
            let sql = AssertSqlSafe(format!("SELECT count(*) FROM {table}"));
            *count = sqlx::query_scalar(sql).fetch_one(&self.pool).await.unwrap();
        }
        counts
    }

    async fn execute(&self, sql: impl Into<String>) {
        let sql = sqlx::raw_sql(AssertSqlSafe(sql.into()));
        sql.execute(&self.pool).await.unwrap();
    }

    async fn empty(&self) {
        self.execute("DELETE FROM users; DELETE FROM outbox").await;
    }
}

fn form(name: &str) -> Form {
    Form {
        email: format!("{name}@example.com"),
        handle: name.to_owned(),
        password_hash: "argon2id".to_owned(),
    }
}

#[sqlx::test(migrator = "better_auth::MIGRATOR")]
async fn all_rows_are_written(pool: PgPool) {
    let app = App::new(pool).await;
    for way in WAYS {
        let session = app.sign_up(way, &form("ada")).await.unwrap();
        assert_eq!(app.counts().await, [1; 5], "{way:?}");
        let found = app.own.get_session_with_user(&session.token).await.unwrap();
        assert_eq!(found.unwrap().1.email.as_deref(), Some("ada@example.com"));
        app.empty().await;
    }
}

#[sqlx::test(migrator = "better_auth::MIGRATOR")]
async fn a_failure_after_each_step_leaves_nothing(pool: PgPool) {
    let app = App::new(pool).await;
    app.execute(
        "CREATE FUNCTION refuse() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN RAISE 'refused'; END $$",
    )
    .await;
    for table in TABLES {
        for at_commit in [false, true] {
            let kind = if at_commit { "CONSTRAINT" } else { "" };
            let deferred = if at_commit {
                "DEFERRABLE INITIALLY DEFERRED"
            } else {
                ""
            };
            app.execute(format!(
                "CREATE {kind} TRIGGER refuses AFTER INSERT ON {table} {deferred} \
                 FOR EACH ROW EXECUTE FUNCTION refuse()"
            ))
            .await;
            for way in WAYS {
                app.sign_up(way, &form("ada")).await.unwrap_err();
                assert_eq!(app.counts().await, [0; 5], "{way:?}, {table}, {at_commit}");
            }
            app.execute(format!("DROP TRIGGER refuses ON {table}"))
                .await;
        }
    }
    for way in WAYS {
        app.sign_up(way, &form("ada")).await.unwrap();
        app.empty().await;
    }
}

#[sqlx::test(migrator = "better_auth::MIGRATOR")]
async fn what_is_taken_is_told(pool: PgPool) {
    let app = App::new(pool).await;
    app.sign_up(Way::Ours, &form("ada")).await.unwrap();
    for way in WAYS {
        let same_handle = Form {
            email: "other@example.com".to_owned(),
            ..form("ada")
        };
        let answer = app.sign_up(way, &same_handle).await;
        assert!(
            matches!(answer, Err(SignUpError::HandleTaken)),
            "{answer:?}"
        );
        let same_email = Form {
            handle: "other".to_owned(),
            ..form("ada")
        };
        let field = ConflictField::Email;
        match app.sign_up(way, &same_email).await {
            Err(SignUpError::Auth(AuthError::Conflict { field: taken })) => {
                assert_eq!(taken, field)
            }
            answer => panic!("{answer:?}"),
        }
        assert_eq!(app.counts().await, [1; 5], "{way:?}");
    }
}

/// Wherever the request is dropped, there are all rows or none.
#[sqlx::test(migrator = "better_auth::MIGRATOR")]
async fn a_dropped_request_leaves_all_or_nothing(pool: PgPool) {
    let app = App::new(pool).await;
    for way in WAYS {
        let mut undone = 0;
        for polls in 1..60 {
            {
                let form = form("ada");
                let mut request = pin!(app.sign_up(way, &form));
                for _ in 0..polls {
                    let is_done = |context: &mut Context<'_>| {
                        Poll::Ready(request.as_mut().poll(context).is_ready())
                    };
                    if poll_fn(is_done).await {
                        break;
                    }
                    tokio::task::yield_now().await;
                }
            }
            // A dropped COMMIT may still be on its way.
            let mut counts = app.counts().await;
            for _ in 0..100 {
                if counts == app.counts().await {
                    break;
                }
                counts = app.counts().await;
            }
            assert!(
                counts == [0; 5] || counts == [1; 5],
                "{way:?}, {polls} polls: {counts:?}"
            );
            undone += usize::from(counts == [0; 5]);
            app.empty().await;
        }
        assert!(undone > 0, "{way:?}");
    }
}

#[sqlx::test(migrator = "better_auth::MIGRATOR")]
async fn the_outbox_delivers_what_was_committed(pool: PgPool) {
    let app = App::new(pool).await;
    let session = app.sign_up(Way::Ours, &form("ada")).await.unwrap();
    app.sign_up(Way::Joined, &form("ada")).await.unwrap_err();

    let failed = deliver_one(&app.pool, async |_: &Message| {
        Err::<(), _>(sqlx::Error::WorkerCrashed)
    })
    .await;
    failed.unwrap_err();
    let mut delivered = Vec::new();
    let mut is_empty = false;
    // The message stays locked until the transaction that failed has ended, which happens in the background.
    while delivered.is_empty() || !is_empty {
        is_empty = !deliver_one(&app.pool, async |message: &Message| {
            delivered.push(message.clone());
            Ok::<_, sqlx::Error>(())
        })
        .await
        .unwrap();
    }
    let [message] = delivered.try_into().unwrap();
    assert_eq!(
        (message.topic.as_str(), &message.user_id),
        ("signed-up", &session.user_id)
    );

    // While one instance delivers a message, the others take the next one.
    for name in ["bea", "cleo"] {
        app.sign_up(Way::OursOnPool, &form(name)).await.unwrap();
    }
    let (pool, mut ids) = (&app.pool, Vec::new());
    deliver_one(pool, async |first: &Message| {
        ids.push(first.id);
        deliver_one(pool, async |second: &Message| {
            ids.push(second.id);
            Ok::<_, sqlx::Error>(())
        })
        .await
        .map(drop)
    })
    .await
    .unwrap();
    assert_eq!(ids.len(), 2);
    assert!(ids[0] < ids[1], "{ids:?}");
    assert_eq!(app.counts().await[3], 0);
}
