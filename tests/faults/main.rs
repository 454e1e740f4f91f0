//! What an application goes through when its server, or the network before it, fails: on a PostgreSQL server of each
//! test's own, under load, with a record of what was acknowledged.

mod application;
mod endings;
mod failover;
mod load;
mod migrations;
mod network;
mod refusals;
mod retries;
mod session_cache;
mod stopped;
#[path = "../support/mod.rs"]
mod support;
