//! Lookups of many callers at once, which share statements, are answered as if each had come alone.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use crate::support::{adapter, execute, url};
use better_auth::adapters::{DatabaseAdapter, SqlxAdapter, SqlxAdapterBuilder};
use better_auth::{
    AuthError, CheckSession, CreateOrganization, CreateSession, CreateUser, Session, UpdateSession,
    User,
};
use chrono::{TimeDelta, Utc};
use sqlx::PgPool;
use sqlx::postgres::PgPoolOptions;
use tokio::task::JoinSet;
use tokio::time::timeout;

/// More than run alone, and more than fit into the batches under way.
const CALLERS: usize = 200;
/// For what would otherwise hang for ever.
const LONGEST_WAIT: Duration = Duration::from_secs(120);

/// Users with a session each in an organization of theirs, every other one's token hashed.
async fn fill(database: &SqlxAdapter, hashing: &SqlxAdapter) -> Vec<(Session, User)> {
    let mut rows = Vec::new();
    for number in 0..40 {
        let user = CreateUser::new().with_name(format!("user {number}"));
        let user = database.create_user(user).await.unwrap();
        let organization = CreateOrganization::new("own", format!("own-{number}"), &user.id);
        let organizations = database.organizations().unwrap();
        let (organization, _) = organizations
            .create_organization(organization)
            .await
            .unwrap();
        let session = CreateSession::new(&user.id, Utc::now() + TimeDelta::hours(1))
            .with_active_organization_id(organization.id);
        let opener = if number % 2 == 0 { database } else { hashing };
        rows.push((opener.create_session(session).await.unwrap(), user));
    }
    rows
}

async fn hashing(pool: &PgPool) -> SqlxAdapter {
    let builder = SqlxAdapter::builder(&url(pool)).hash_session_tokens(true);
    builder.connect().await.unwrap()
}

#[sqlx::test(migrator = "crate::support::MIGRATED")]
async fn all_callers_get_their_own_rows(pool: PgPool) {
    let database = Arc::new(adapter(&pool).await);
    let rows = Arc::new(fill(&database, &hashing(&pool).await).await);
    let mut callers = JoinSet::new();
    for caller in 0..CALLERS {
        let (database, rows) = (Arc::clone(&database), Arc::clone(&rows));
        callers.spawn(async move {
            for round in 0..30 {
                let (session, user) = &rows[(caller * 7 + round * 11) % rows.len()];
                let found = database
                    .get_session_with_user(&session.token)
                    .await
                    .unwrap();
                assert_eq!(found.as_ref(), Some(&(session.clone(), user.clone())));
                let found = database.get_session(&session.token).await.unwrap();
                assert_eq!(found.as_ref(), Some(session));
                let check = CheckSession::new().with_member();
                let checked = database.check_session(&session.token, check).await;
                let checked = checked.unwrap().unwrap();
                assert_eq!((&checked.session, &checked.user), (session, user));
                let member = checked.member.unwrap();
                assert_eq!(
                    (Some(&member.organization_id), &member.user_id),
                    (session.active_organization_id.as_ref(), &user.id)
                );
                let found = database.get_user_by_id(&user.id).await.unwrap();
                assert_eq!(found.as_ref(), Some(user));
                let missing = format!("missing {caller} {round}");
                assert_eq!(database.get_session(&missing).await.unwrap(), None);
                assert_eq!(database.get_user_by_id(&missing).await.unwrap(), None);
            }
        });
    }
    while let Some(caller) = timeout(LONGEST_WAIT, callers.join_next()).await.unwrap() {
        caller.unwrap();
    }
}

/// Callers who look up all the time, until they are dropped.
fn crowd(database: &Arc<SqlxAdapter>, rows: &Arc<Vec<(Session, User)>>) -> JoinSet<()> {
    let mut crowd = JoinSet::new();
    for caller in 0..CALLERS {
        let (database, rows) = (Arc::clone(database), Arc::clone(rows));
        crowd.spawn(async move {
            for round in caller.. {
                let (session, _) = &rows[round % rows.len()];
                database.get_session(&session.token).await.unwrap();
            }
        });
    }
    crowd
}

#[sqlx::test(migrator = "crate::support::MIGRATED")]
async fn a_lookup_sees_every_write_before_it(pool: PgPool) {
    let database = Arc::new(adapter(&pool).await);
    let rows = Arc::new(fill(&database, &hashing(&pool).await).await);
    let _crowd = crowd(&database, &rows);
    for (number, (session, _)) in rows.iter().enumerate() {
        let token = session.token.as_str();
        let agent = Some(format!("agent {number}"));
        let update = UpdateSession {
            user_agent: Some(agent.clone()),
            ..UpdateSession::default()
        };
        let updated = database.update_session(token, update).await.unwrap();
        assert_eq!(updated.user_agent, agent);
        let looked_up = database.get_session(token).await.unwrap();
        assert_eq!(looked_up, Some(updated));
        database.delete_session(token).await.unwrap();
        assert_eq!(database.get_session(token).await.unwrap(), None);
    }
}

#[sqlx::test(migrator = "crate::support::MIGRATED")]
async fn a_row_that_cannot_be_read_is_its_own_users_matter(pool: PgPool) {
    let database = Arc::new(adapter(&pool).await);
    let rows = Arc::new(fill(&database, &hashing(&pool).await).await);
    let (unreadable, user) = &rows[0];
    let deep = format!("{}{}", "[".repeat(200), "]".repeat(200));
    let id = &user.id;
    let sql = format!("UPDATE users SET metadata = '{{\"a\": {deep}}}' WHERE id = '{id}'");
    execute(&pool, &sql).await;
    let mut callers = JoinSet::new();
    for caller in 0..CALLERS {
        let (database, rows) = (Arc::clone(&database), Arc::clone(&rows));
        callers.spawn(async move {
            let row = &rows[caller % rows.len()];
            (
                row.0.token.clone(),
                database.get_session_with_user(&row.0.token).await,
            )
        });
    }
    let mut failed = 0;
    while let Some(answer) = timeout(LONGEST_WAIT, callers.join_next()).await.unwrap() {
        let (token, answer) = answer.unwrap();
        if token == unreadable.token {
            let error = answer.unwrap_err();
            assert!(error.to_string().contains("cannot be read"), "{error}");
            failed += 1;
        } else {
            assert_eq!(answer.unwrap().unwrap().0.token, token);
        }
    }
    assert_eq!(failed, CALLERS / rows.len());
}

#[sqlx::test(migrator = "crate::support::MIGRATED")]
async fn a_common_statement_that_took_too_long_is_sent_again_for_each(pool: PgPool) {
    let statement_timeout = Duration::from_millis(500);
    let impatient = (*pool.connect_options()).clone();
    let impatient = impatient.options([("statement_timeout", statement_timeout.as_millis())]);
    let impatient = PgPoolOptions::new().connect_with(impatient).await.unwrap();
    // Opened before, which takes longer than the statements may.
    let mut opened = Vec::new();
    for _ in 0..impatient.options().get_max_connections() {
        opened.push(impatient.acquire().await.unwrap());
    }
    drop(opened);
    let builder = SqlxAdapterBuilder::from_pool(impatient);
    let database = Arc::new(builder.connect().await.unwrap());
    let rows = Arc::new(fill(&adapter(&pool).await, &hashing(&pool).await).await);
    let mut lock = pool.begin().await.unwrap();
    sqlx::query("LOCK TABLE sessions")
        .execute(&mut *lock)
        .await
        .unwrap();
    let mut callers = JoinSet::new();
    for caller in 0..CALLERS {
        let (database, rows) = (Arc::clone(&database), Arc::clone(&rows));
        callers.spawn(async move {
            let (session, _) = &rows[caller % rows.len()];
            database.get_session(&session.token).await
        });
    }
    let first = callers.join_next().await.unwrap().unwrap();
    let error = first.unwrap_err();
    assert!(error.to_string().contains("57014"), "{error}");
    // The common ones are cancelled as well.
    tokio::time::sleep(statement_timeout / 4).await;
    lock.rollback().await.unwrap();
    let answers = callers.join_all().await;
    let failed = answers.iter().filter(|answer| answer.is_err()).count();
    println!("{failed} of {CALLERS} failed");
    assert!(failed < CALLERS / 4, "{failed}");
}

#[sqlx::test(migrator = "crate::support::MIGRATED")]
async fn callers_who_may_not_share_take_a_connection_each(pool: PgPool) {
    let taken = Arc::new(AtomicUsize::new(0));
    let counter = Arc::clone(&taken);
    let counting = PgPoolOptions::new()
        .max_connections(4)
        .before_acquire(move |_, _| {
            counter.fetch_add(1, Ordering::Relaxed);
            Box::pin(async { Ok(true) })
        })
        .connect_with(pool.connect_options().as_ref().clone())
        .await
        .unwrap();
    let rows = Arc::new(fill(&adapter(&pool).await, &hashing(&pool).await).await);
    let mut uses = Vec::new();
    for share in [false, true] {
        let builder = SqlxAdapterBuilder::from_pool(counting.clone());
        let builder = builder.batch_lookups(share);
        let database = Arc::new(builder.connect().await.unwrap());
        let before = taken.load(Ordering::Relaxed);
        let mut callers = JoinSet::new();
        for caller in 0..CALLERS {
            let (database, rows) = (Arc::clone(&database), Arc::clone(&rows));
            callers.spawn(async move {
                let (session, _) = &rows[caller % rows.len()];
                let found = database.get_session(&session.token).await.unwrap();
                assert_eq!(found.as_ref(), Some(session));
            });
        }
        callers.join_all().await;
        uses.push(taken.load(Ordering::Relaxed) - before);
    }
    // New connections do not pass through the hook.
    assert!((CALLERS - 4..=CALLERS).contains(&uses[0]), "{uses:?}");
    assert!(uses[1] < CALLERS / 4, "{uses:?}");
}

#[sqlx::test(migrator = "crate::support::MIGRATED")]
async fn dropped_callers_leave_nothing_behind(pool: PgPool) {
    let database = Arc::new(adapter(&pool).await);
    let rows = Arc::new(fill(&database, &hashing(&pool).await).await);
    for _ in 0..20 {
        let mut dropped = crowd(&database, &rows);
        let (session, user) = &rows[1];
        let found = database.get_session_with_user(&session.token);
        let found = timeout(LONGEST_WAIT, found).await.unwrap().unwrap();
        assert_eq!(found.as_ref(), Some(&(session.clone(), user.clone())));
        dropped.shutdown().await;
    }
    // All connections are back in the pool, and work.
    let all_back = async {
        while database.pool_stats().idle != database.pool_stats().size as usize {
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
    };
    timeout(LONGEST_WAIT, all_back).await.unwrap();
    let mut all = Vec::new();
    for _ in 0..4 {
        let begun = timeout(LONGEST_WAIT, database.begin()).await.unwrap();
        all.push(begun.unwrap());
    }
}

#[sqlx::test(migrator = "crate::support::MIGRATED")]
async fn closing_answers_everyone(pool: PgPool) {
    let database = Arc::new(adapter(&pool).await);
    let rows = Arc::new(fill(&database, &hashing(&pool).await).await);
    let mut callers = JoinSet::new();
    for caller in 0..CALLERS {
        let (database, rows) = (Arc::clone(&database), Arc::clone(&rows));
        callers.spawn(async move {
            for round in caller.. {
                let (session, user) = &rows[round % rows.len()];
                match database.get_session_with_user(&session.token).await {
                    Ok(found) => assert_eq!(found, Some((session.clone(), user.clone()))),
                    Err(error) => return error,
                }
            }
            unreachable!("it is closed before")
        });
    }
    tokio::time::sleep(Duration::from_millis(200)).await;
    timeout(LONGEST_WAIT, database.close()).await.unwrap();
    while let Some(error) = timeout(LONGEST_WAIT, callers.join_next()).await.unwrap() {
        let error = error.unwrap();
        assert!(matches!(error, AuthError::Unavailable { .. }), "{error:?}");
        assert!(error.to_string().contains("was closed"), "{error}");
    }
}
