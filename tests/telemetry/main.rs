//! What operators see: spans, events, metrics.

mod metrics;
mod recorder;
mod spans;
#[path = "../support/mod.rs"]
mod support;
