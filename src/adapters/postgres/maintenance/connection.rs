//! A connection that serves one maintenance operation and is closed after it.

use std::io;

use sqlx::pool::PoolConnection;
use sqlx::{PgConnection, Postgres};
use tokio::runtime::Handle;

use super::super::database::Connections;
use super::super::error::connection_error;
use crate::AuthResult;

/// A connection of the pool, with whatever the application's `after_connect` has set. It is closed at the end, so its
/// settings and its advisory locks reach no other caller, also if it is dropped outside a runtime.
pub(super) struct DedicatedConnection {
    connection: Option<PoolConnection<Postgres>>,
    runtime: Handle,
}

/// Gets a connection for the operation of this name.
pub(super) async fn dedicated_connection(
    connections: &Connections,
    operation: &'static str,
) -> AuthResult<DedicatedConnection> {
    let connection = connections.pool.acquire().await;
    let mut connection =
        connection.map_err(|error| connection_error(error, operation, &connections.server))?;
    connection.close_on_drop();
    Ok(DedicatedConnection {
        connection: Some(connection),
        runtime: Handle::current(),
    })
}

impl DedicatedConnection {
    pub(super) fn get(&mut self) -> sqlx::Result<&mut PgConnection> {
        match &mut self.connection {
            Some(connection) => Ok(connection),
            None => Err(io::Error::from(io::ErrorKind::NotConnected).into()),
        }
    }

    pub(super) async fn close(mut self) {
        if let Some(connection) = self.connection.take() {
            // The operation has its answer; an error here changes nothing.
            let _ = connection.close().await;
        }
    }
}

impl Drop for DedicatedConnection {
    fn drop(&mut self) {
        // sqlx closes the connection in a task, and panics if there is no runtime to spawn it on.
        let _runtime = self.runtime.enter();
        drop(self.connection.take());
    }
}
