//! Backends, servers and networks that fall silent and close nothing.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use better_auth::adapters::DatabaseAdapter;
use better_auth::{CreateSession, CreateUser};
use chrono::{TimeDelta, Utc};
use tokio::sync::Notify;
use tokio::task::{JoinHandle, JoinSet};
use tokio::time::timeout;

use super::application::{ANSWER_TIMEOUT, Application, Waiting, assert_aborted, until};
use super::load::{Fate, Load, count_rows};

const WAITING_PIDS: &str =
    "SELECT pid FROM pg_stat_activity WHERE usename = 'app' AND wait_event_type = 'Lock'";
const ANY_PID: &str = "SELECT pid FROM pg_stat_activity WHERE usename = 'app' \
                       ORDER BY state = 'active' DESC, random() LIMIT 1";
const PIDS_IN_USE: &str =
    "SELECT pid FROM pg_stat_activity WHERE usename = 'app' ORDER BY query_start DESC LIMIT 3";

async fn pids(application: &Application, sql: &'static str) -> Vec<u32> {
    let pids = sqlx::query_scalar::<_, i32>(sql)
        .fetch_all(&application.observer)
        .await;
    pids.unwrap().into_iter().map(i32::unsigned_abs).collect()
}

async fn in_time<T>(call: JoinHandle<T>) -> T {
    let answer = timeout(ANSWER_TIMEOUT * 10, call).await;
    answer.expect("the call hangs").unwrap()
}

#[tokio::test(flavor = "multi_thread")]
#[ignore = "needs PostgreSQL's own binaries: run `just faults`"]
async fn a_stopped_backend_is_unavailable_to_a_read_and_unknown_to_a_write() {
    let application = Application::start(&[]).await;
    let database = application.database.clone();
    let waiting = Waiting::start(&application).await;
    let stopped = pids(&application, WAITING_PIDS).await;
    for pid in &stopped {
        application.server.signal("STOP", *pid);
    }
    waiting.lock.commit().await.unwrap();
    // The other connections go on.
    let other = CreateUser::new().with_email("other");
    let user = database.create_user(other).await.unwrap();
    assert_eq!(database.get_user_by_id(&user.id).await.unwrap(), Some(user));

    assert_aborted(in_time(waiting.in_transaction).await).await;
    let answer = in_time(waiting.read).await;
    assert_eq!(Fate::of(&answer), Fate::NotDone, "{answer:?}");
    let answer = in_time(waiting.write).await;
    assert_eq!(Fate::of(&answer), Fate::Unknown, "{answer:?}");

    for pid in stopped {
        application.server.signal("CONT", pid);
    }
    application.check_connections().await;
    assert!(!count_rows(&application.observer).await.contains_key("lost"));
}

#[tokio::test(flavor = "multi_thread")]
#[ignore = "needs PostgreSQL's own binaries: run `just faults`"]
async fn stopped_backends_lose_nothing() {
    let application = Application::start(&[]).await;
    let load = Load::start(&application.database);
    for _ in 0..3 {
        load.writes(50).await;
        let pid = pids(&application, ANY_PID).await[0];
        application.server.signal("STOP", pid);
        tokio::time::sleep(ANSWER_TIMEOUT.mul_f32(1.5)).await;
        application.server.signal("CONT", pid);
    }
    application.check(load).await;
}

#[tokio::test(flavor = "multi_thread")]
#[ignore = "needs PostgreSQL's own binaries: run `just faults`"]
async fn stopped_backends_leave_the_others_to_lookups() {
    let application = Application::start(&[]).await;
    let database = application.database.clone();
    let user = database.create_user(CreateUser::new()).await.unwrap();
    let tomorrow = Utc::now() + TimeDelta::days(1);
    let session = CreateSession::new(&user.id, tomorrow);
    let session = database.create_session(session).await.unwrap();
    let (answered, failed) = (Arc::new(AtomicUsize::new(0)), Arc::new(Notify::new()));
    let mut callers = JoinSet::new();
    let mut start_callers = || {
        for _ in 0..64 {
            let (database, token) = (database.clone(), session.token.clone());
            let (answered, failed) = (Arc::clone(&answered), Arc::clone(&failed));
            callers.spawn(async move {
                loop {
                    let found = database.get_session_with_user(&token).await;
                    match Fate::of(&found) {
                        Fate::Done => assert!(found.unwrap().is_some()),
                        _ => return failed.notify_one(),
                    }
                    answered.fetch_add(1, Ordering::Relaxed);
                }
            });
        }
    };
    let answered = || answered.load(Ordering::Relaxed);
    start_callers();
    until("lookups share statements", async || answered() > 1000).await;
    for pid in pids(&application, PIDS_IN_USE).await {
        application.server.signal("STOP", pid);
    }
    // By then as many batches as may be under way have met them, with all of these callers.
    tokio::time::sleep(ANSWER_TIMEOUT / 10).await;
    let before = answered();
    start_callers();
    timeout(ANSWER_TIMEOUT * 10, failed.notified())
        .await
        .expect("no lookup failed");
    let during = answered() - before;
    println!("{during} lookups were answered before the first failed");
    assert!(during > 100);
    application.server.signal_all("CONT");
    callers.abort_all();
    while let Some(caller) = callers.join_next().await {
        assert!(!caller.is_err_and(|error| error.is_panic()));
    }
    application.check_connections().await;
}

#[tokio::test(flavor = "multi_thread")]
#[ignore = "needs PostgreSQL's own binaries: run `just faults`"]
async fn a_stopped_server_keeps_nobody_waiting_for_ever() {
    let application = Application::start(&[]).await;
    let load = Load::start(&application.database);
    load.writes(50).await;
    application.server.signal_all("STOP");
    load.message("answer_timeout").await;
    load.message("acquire_timeout").await;
    application.server.signal_all("CONT");
    application.check(load).await;
}

#[tokio::test(flavor = "multi_thread")]
#[ignore = "needs PostgreSQL's own binaries: run `just faults`"]
async fn a_network_that_swallows_everything_keeps_nobody_waiting_for_ever() {
    let (application, proxy) = Application::behind_proxy().await;
    let load = Load::start(&application.database);
    load.writes(50).await;
    proxy.change(|network| network.black_hole = true);
    load.message("answer_timeout").await;
    load.message("acquire_timeout").await;
    proxy.change(|network| network.black_hole = false);
    application.check(load).await;
}
