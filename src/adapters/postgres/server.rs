//! The server and database that connections go to, as messages and telemetry name them.

use std::fmt;
use std::sync::Arc;

use sqlx::postgres::PgConnectOptions;

use crate::adapters::telemetry::Database;

/// Shown as `database "mydb" at localhost:5432`.
#[derive(Clone)]
pub(super) struct Server(Arc<Database>);

impl Server {
    pub(super) fn new(options: &PgConnectOptions) -> Self {
        // What PostgreSQL assumes if the URL names no database.
        let name = options.get_database().unwrap_or(options.get_username());
        let address = match options.get_socket() {
            Some(socket) => socket.display().to_string(),
            None => options.get_host().to_owned(),
        };
        let port = options.get_port();
        Self(Arc::new(Database {
            pool_name: format!("{address}:{port}/{name}").into(),
            name: name.to_owned(),
            address,
            port,
        }))
    }

    pub(super) fn database(&self) -> &Database {
        &self.0
    }
}

impl fmt::Display for Server {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Database {
            name,
            address,
            port,
            ..
        } = &*self.0;
        write!(f, "database \"{name}\" at {address}:{port}")
    }
}
