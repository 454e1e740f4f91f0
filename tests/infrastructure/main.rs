//! What needs more than a PostgreSQL server: a pooler, a server with TLS. Recipes of `just` set these up and run the tests.

mod poolers;
#[path = "../support/mod.rs"]
mod support;
mod tls;
