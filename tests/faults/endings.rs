//! Backends and servers that end, in order or not.

use std::time::Duration;

use super::application::Application;
use super::load::Load;
use super::support::server::Stop;

/// Any session of the application's, at whatever it is.
const TERMINATE_ONE: &str = "SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE usename = 'app' \
                             ORDER BY random() LIMIT 1";

#[tokio::test(flavor = "multi_thread")]
#[ignore = "needs PostgreSQL's own binaries: run `just faults`"]
async fn terminated_backends_cost_no_read_and_no_acknowledged_write() {
    // A commit takes long, so that many a backend is ended in the middle of it.
    let application = Application::start(&["commit_delay=5000", "commit_siblings=0"]).await;
    let load = Load::start(&application.database);
    for _ in 0..150 {
        load.writes(5).await;
        application.execute(TERMINATE_ONE).await;
    }
    let written = application.check(load).await;
    assert_eq!(written.counts().failed_reads, 0);
}

async fn restarted(stop: Stop) {
    let mut application = Application::start(&[]).await;
    let load = Load::start(&application.database);
    for _ in 0..3 {
        load.writes(200).await;
        application.server.stop(stop);
        tokio::time::sleep(Duration::from_millis(100)).await;
        application.server.start_again();
    }
    application.check(load).await;
}

#[tokio::test(flavor = "multi_thread")]
#[ignore = "needs PostgreSQL's own binaries: run `just faults`"]
async fn a_fast_restart_loses_nothing() {
    restarted(Stop::Fast).await;
}

#[tokio::test(flavor = "multi_thread")]
#[ignore = "needs PostgreSQL's own binaries: run `just faults`"]
async fn an_immediate_restart_loses_nothing() {
    restarted(Stop::Immediate).await;
}

#[tokio::test(flavor = "multi_thread")]
#[ignore = "needs PostgreSQL's own binaries: run `just faults`"]
async fn a_killed_server_recovers_what_was_acknowledged() {
    restarted(Stop::Killed).await;
}
