//! The process: configuration, database, cleanup, listeners, and an orderly end.

use std::error::Error;
use std::net::SocketAddr;
use std::time::Duration;

use application::config::Config;
use application::state::AppState;
use application::{router, telemetry};
use tokio::net::TcpListener;
use tokio::signal::unix::{SignalKind, signal};

/// How long the end waits for what goes on in the background.
const MAX_WAIT: Duration = Duration::from_secs(10);

#[tokio::main]
async fn main() -> Result<(), Box<dyn Error>> {
    telemetry::write_log();
    // Before the adapter is made, which keeps to the recorder that it finds.
    let metrics = telemetry::collect_metrics()?;
    let config = Config::from_environment()?;
    let state = AppState::new(config.clone()).await?;
    let cleanup = better_auth::spawn_cleanup(state.database.clone(), Duration::from_secs(600))?;
    if let Some(address) = config.metrics_listen {
        let listener = TcpListener::bind(address).await?;
        tokio::spawn(axum::serve(listener, telemetry::routes(metrics)).into_future());
    }

    let listener = TcpListener::bind(config.listen).await?;
    let place = if config.database_url.is_some() {
        "on PostgreSQL"
    } else {
        "in memory"
    };
    tracing::info!(
        "{} is served {place}; mails go to {}",
        config.base_url,
        config.mail_folder.display()
    );
    let service = router(state.clone()).into_make_service_with_connect_info::<SocketAddr>();
    axum::serve(listener, service)
        .with_graceful_shutdown(asked_to_end())
        .await?;

    state.background.close();
    if tokio::time::timeout(MAX_WAIT, state.background.wait())
        .await
        .is_err()
    {
        tracing::warn!("the process ends before all mails are sent");
    }
    tracing::info!(
        "ended; the cleanup has removed {:?}",
        cleanup.report().removed
    );
    Ok(())
}

/// Ctrl-C, or what an orchestrator sends.
async fn asked_to_end() {
    let mut terminate = signal(SignalKind::terminate()).expect("signals can be received");
    tokio::select! {
        _ = tokio::signal::ctrl_c() => {}
        _ = terminate.recv() => {}
    }
}
