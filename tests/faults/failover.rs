//! A primary that dies, and the standby that takes its place behind the same address.

use super::application::Application;
use super::load::Load;

#[tokio::test(flavor = "multi_thread")]
#[ignore = "needs PostgreSQL's own binaries: run `just faults`"]
async fn a_failover_loses_no_acknowledged_write() {
    let (mut application, proxy) = Application::behind_proxy().await;
    let standby = application.synchronous_standby().await;
    let load = Load::start(&application.database);
    load.writes(300).await;
    application.fail_over(standby, &proxy);
    application.check(load).await;
}
