//! The PostgreSQL adapter on a running server, each test on a database of its own.

mod adapter;
mod adoption;
mod batches;
#[path = "../support/calls.rs"]
mod calls;
mod cleanup;
mod cleanup_instances;
mod clocks;
mod conformance;
mod connections;
mod credential_costs;
mod credentials;
mod equal_values;
mod foreign_databases;
mod health;
mod import;
mod import_sources;
mod joined;
mod keys;
mod large_organization;
mod large_tables;
mod migration_locks;
mod migration_places;
mod migrations;
#[cfg(feature = "arbitrary-precision")]
mod numbers;
mod organization_costs;
mod organization_races;
mod page;
mod pending_migrations;
mod plans;
mod pool_limits;
mod progress;
mod refreshes;
mod schema;
mod session_cache;
mod session_tokens;
mod sqlx_transaction;
mod stores;
#[path = "../support/mod.rs"]
mod support;
mod transactions;
mod unmigrated_stores;
mod user_lists;
mod vanished_organizations;
mod verification_keys;
mod violations;
mod volatility;
