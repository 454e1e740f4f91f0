//! A network that delays, cuts and swallows.

use std::time::Duration;

use super::application::Application;
use super::load::Load;
use super::support::proxy::Direction;

#[tokio::test(flavor = "multi_thread")]
#[ignore = "needs PostgreSQL's own binaries: run `just faults`"]
async fn delays_cost_nothing_but_time() {
    let (application, proxy) = Application::behind_proxy().await;
    let load = Load::start(&application.database);
    proxy.change(|network| network.delay = Duration::from_millis(20));
    load.writes(200).await;
    proxy.change(|network| network.delay = Duration::ZERO);
    let counts = application.check(load).await.counts();
    assert_eq!(
        (counts.failed_reads, counts.not_done, counts.unknown),
        (0, 0, 0)
    );
}

/// Also while connections are made, so that a read may find none.
#[tokio::test(flavor = "multi_thread")]
#[ignore = "needs PostgreSQL's own binaries: run `just faults`"]
async fn cuts_in_the_middle_of_messages_lose_nothing() {
    const CUTS: usize = 150;
    let (application, proxy) = Application::behind_proxy().await;
    let load = Load::start(&application.database);
    load.writes(50).await;
    for direction in [Direction::ToServer, Direction::ToClient] {
        let cuts = proxy.cuts();
        proxy.change(|network| {
            network.cut = Some((direction, 0..5000));
            network.cuts_left = CUTS;
        });
        super::application::until("connections are cut", async || proxy.cuts() == cuts + CUTS)
            .await;
    }
    let written = application.check(load).await;
    assert!(written.counts().unknown > 0);
}
