//! The server and database that connections go to, as messages name them.

use std::fmt;
use std::sync::Arc;

use sqlx::postgres::PgConnectOptions;

/// Shown as `database "mydb" at localhost:5432`.
#[derive(Clone)]
pub(super) struct Server(Arc<str>);

impl Server {
    pub(super) fn new(options: &PgConnectOptions) -> Self {
        // What PostgreSQL assumes if the URL names no database.
        let database = options.get_database().unwrap_or(options.get_username());
        let place = match options.get_socket() {
            Some(socket) => socket.display().to_string(),
            None => options.get_host().to_owned(),
        };
        let port = options.get_port();
        Self(format!("database \"{database}\" at {place}:{port}").into())
    }
}

impl fmt::Display for Server {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}
