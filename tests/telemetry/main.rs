//! What operators see: spans, events.

mod recorder;
mod spans;
#[path = "../support/mod.rs"]
mod support;
