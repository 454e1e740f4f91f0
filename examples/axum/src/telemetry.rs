//! Spans and metrics of requests. Those of the database are the library's.

use std::time::Instant;

use axum::Router;
use axum::extract::{MatchedPath, Request, State};
use axum::middleware::Next;
use axum::response::Response;
use axum::routing::get;
use metrics_exporter_prometheus::{PrometheusBuilder, PrometheusHandle};
use tower_http::trace::{HttpMakeClassifier, TraceLayer};
use tracing::Span;
use tracing_subscriber::EnvFilter;

/// The path of the route that serves the request: it has no ids and no tokens, and there are only so many.
fn route(request: &Request) -> String {
    request
        .extensions()
        .get::<MatchedPath>()
        .map_or("none", MatchedPath::as_str)
        .to_owned()
}

/// A span for each request.
#[must_use]
pub fn spans() -> TraceLayer<HttpMakeClassifier, fn(&Request) -> Span> {
    let span = |request: &Request| tracing::info_span!("request", method = %request.method(), route = route(request));
    TraceLayer::new_for_http().make_span_with(span as fn(&Request) -> Span)
}

/// Measures how long requests take.
pub async fn measure(request: Request, next: Next) -> Response {
    let (begun, method, route) = (
        Instant::now(),
        request.method().to_string(),
        route(&request),
    );
    let response = next.run(request).await;
    let status = response.status().as_u16().to_string();
    metrics::histogram!("http.server.request.duration", "method" => method, "route" => route, "status" => status)
        .record(begun.elapsed());
    response
}

/// Writes spans and events to the standard output, as `RUST_LOG` filters them.
pub fn write_log() {
    let filter =
        EnvFilter::try_from_default_env().unwrap_or_else(|_| EnvFilter::new("info,sqlx=warn"));
    tracing_subscriber::fmt().with_env_filter(filter).init();
}

/// Collects metrics.
///
/// # Errors
///
/// If something else does already.
pub fn collect_metrics() -> Result<PrometheusHandle, metrics_exporter_prometheus::BuildError> {
    PrometheusBuilder::new().install_recorder()
}

/// Serves the metrics. They are for the monitoring: let this router listen where the world cannot reach it.
pub fn routes(metrics: PrometheusHandle) -> Router {
    let render = |State(metrics): State<PrometheusHandle>| async move {
        metrics.run_upkeep();
        metrics.render()
    };
    Router::new()
        .route("/metrics", get(render))
        .with_state(metrics)
}
