//! A primary that dies, and the standby that takes its place behind the same address.

use super::application::{Application, observer, until};
use super::load::Load;
use super::support::server::Stop;

const SYNCHRONOUS: &str = "SELECT count(*) FROM pg_stat_replication WHERE sync_state = 'sync'";

#[tokio::test(flavor = "multi_thread")]
#[ignore = "needs PostgreSQL's own binaries: run `just faults`"]
async fn a_failover_loses_no_acknowledged_write() {
    let (mut application, proxy) = Application::behind_proxy().await;
    let standby = application.server.standby();
    application
        .set("synchronous_standby_names", "standby")
        .await;
    until("the standby is synchronous", async || {
        application.count(SYNCHRONOUS).await == 1
    })
    .await;

    let load = Load::start(&application.database);
    load.writes(300).await;
    application.server.stop(Stop::Killed);
    standby.promote();
    application.observer = observer(&standby);
    application.server = standby;
    let port = application.server.port();
    proxy.change(|network| network.target.1 = port);
    application.check(load).await;
}
