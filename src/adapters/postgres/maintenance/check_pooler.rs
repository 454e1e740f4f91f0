//! `check_pooler`: asks through several connections whether a pooler keeps prepared statements apart.

use std::io;
use std::sync::Arc;

use sqlx::postgres::PgConnectOptions;
use sqlx::{Connection as _, PgConnection};
use tokio::sync::Barrier;
use tokio::task::JoinSet;

use super::super::SqlxAdapter;
use super::super::connection::{Pooler, PoolerHealth};
use super::super::error::{Operation, connection_error, statement_error};
use super::super::redaction::Cause;
use super::super::server::Server;
use super::super::server_error::sqlstate;
use super::super::sqlstate;
use crate::{AuthError, AuthResult};

const OPERATION: Operation = Operation::read("check_pooler");

/// Questions per client while all clients ask at the same time.
const QUESTIONS_AT_ONCE: i64 = 16;

/// One client for each statement of `ask!`.
const CLIENTS: usize = 4;

impl SqlxAdapter {
    /// Checks that a pooler in front of the server keeps the prepared statements of its clients apart. If it does not,
    /// lookups can return another client's rows, and the pooler must not be used. PgBouncer in transaction mode is such
    /// a pooler before 1.21, or with `max_prepared_statements` at 0.
    ///
    /// The check takes some milliseconds. It opens four connections beside those of the pool. Each sends its own
    /// statement under the name that the other three use as well: first one after the other, then all at once. The check
    /// passes without a pooler, and with a pooler in session mode.
    ///
    /// A pooler in transaction mode that passes loses notifications all the same. Through it, a session cache needs a
    /// [`listen_url`](crate::adapters::SessionCache::listen_url), and [`connect`](crate::adapters::SqlxAdapterBuilder::connect) fails without one.
    ///
    /// # Errors
    ///
    /// [`AuthError::Database`], which says what to do, if an answer belonged to another client, or if the server did not
    /// know a statement that it should know or knew one that it should not. [`AuthError::Unavailable`] if the four
    /// connections are not answered within the pool's `acquire_timeout`.
    pub async fn check_pooler(&self) -> AuthResult<()> {
        let connections = &self.repository.connections;
        let check = Check {
            options: connections.options(),
            server: connections.server.clone(),
            found: &connections.pooler,
        };
        let limit = connections.acquire_timeout();
        let asked = async {
            let asked = tokio::time::timeout(limit, check.run()).await;
            asked.unwrap_or_else(|_| Err(check.connection_error(sqlx::Error::PoolTimedOut)))?;
            check.found.set(PoolerHealth::Safe);
            Ok(())
        };
        connections.observe(OPERATION.name, asked).await
    }
}

struct Check<'a> {
    options: PgConnectOptions,
    server: Server,
    found: &'a Pooler,
}

/// A connection that prepares a single statement, so that sqlx gives it the same name on every connection.
struct Client {
    connection: PgConnection,
    statement: usize,
}

impl Check<'_> {
    async fn run(&self) -> AuthResult<()> {
        let mut clients = Vec::new();
        for statement in 0..CLIENTS {
            let connection = PgConnection::connect_with(&self.options).await;
            clients.push(Client {
                connection: connection.map_err(|error| self.connection_error(error))?,
                statement,
            });
        }
        self.in_turn(&mut clients).await?;
        self.at_once(clients).await
    }

    /// An otherwise unused pooler either gives all clients the same server connection (the next client's first question
    /// finds that out) or gives out its connections in rotation (a client's second question finds that out).
    async fn in_turn(&self, clients: &mut [Client]) -> AuthResult<()> {
        for client in clients {
            for number in 0..2 {
                let asked = client.ask(number).await;
                self.judge(asked)?;
            }
        }
        Ok(())
    }

    /// Beside other traffic the pooler picks server connections by chance, so each client asks many times.
    async fn at_once(&self, clients: Vec<Client>) -> AuthResult<()> {
        let start = Arc::new(Barrier::new(clients.len()));
        let mut tasks = JoinSet::new();
        for mut client in clients {
            let start = start.clone();
            tasks.spawn(async move {
                start.wait().await;
                for number in 0..QUESTIONS_AT_ONCE {
                    client.ask(number).await?;
                }
                // The answers are known; an error at the close changes nothing.
                let _ = client.connection.close().await;
                Ok(())
            });
        }
        while let Some(ended) = tasks.join_next().await {
            // A task fails to join only if the runtime shuts down.
            let asked = ended.unwrap_or_else(|error| Err(io::Error::other(error).into()));
            self.judge(asked)?;
        }
        Ok(())
    }

    fn judge(&self, asked: Result<(), ProbeError>) -> AuthResult<()> {
        let said = match asked {
            Ok(()) => return Ok(()),
            Err(ProbeError::Answer) => " (the answer to another client's statement)".to_owned(),
            Err(ProbeError::Error(error)) if mixed_up(&error) => Cause(&error).to_string(),
            Err(ProbeError::Error(error)) => {
                return Err(statement_error(error, OPERATION, &self.server));
            }
        };
        self.found.set(PoolerHealth::Unsafe);
        Err(AuthError::Database {
            message: format!(
                "check_pooler on {}: the pooler mixes up its clients' prepared statements{said}, so lookups can return \
                 another client's rows: set its pool_mode to session, or use PgBouncer 1.21 or later with \
                 max_prepared_statements above 0, or connect to the server directly",
                self.server
            ),
            source: None,
        })
    }

    fn connection_error(&self, error: sqlx::Error) -> AuthError {
        connection_error(error, OPERATION.name, &self.server)
    }
}

enum ProbeError {
    Answer,
    Error(sqlx::Error),
}

impl<E: Into<sqlx::Error>> From<E> for ProbeError {
    fn from(error: E) -> Self {
        Self::Error(error.into())
    }
}

/// Sends the client's statement. All take the same five parameters: the server refuses a statement with another number
/// of parameters, so a mix-up with an application's statement has no effect.
macro_rules! ask {
    ($client:ident, $number:ident, $($place:literal => $statement:literal,)+) => {
        match $client.statement {
            $($place => {
                sqlx::query_scalar!($statement, $number, 1_i64, 2_i64, 3_i64, 4_i64)
                    .fetch_one(&mut $client.connection)
                    .await
            })+
            _ => unreachable!("there are CLIENTS statements"),
        }
    };
}

impl Client {
    async fn ask(&mut self, number: i64) -> Result<(), ProbeError> {
        let answer = ask!(self, number,
            0 => "SELECT ARRAY[0, $1::INT8, $2::INT8, $3::INT8, $4::INT8, $5::INT8] AS \"answer!\"",
            1 => "SELECT ARRAY[1, $1::INT8, $2::INT8, $3::INT8, $4::INT8, $5::INT8] AS \"answer!\"",
            2 => "SELECT ARRAY[2, $1::INT8, $2::INT8, $3::INT8, $4::INT8, $5::INT8] AS \"answer!\"",
            3 => "SELECT ARRAY[3, $1::INT8, $2::INT8, $3::INT8, $4::INT8, $5::INT8] AS \"answer!\"",
        )?;
        let own = i64::try_from(self.statement).unwrap_or(i64::MAX);
        if answer == [own, number, 1, 2, 3, 4] {
            Ok(())
        } else {
            Err(ProbeError::Answer)
        }
    }
}

/// Whether the error proves that the server ran another statement than the one that this client prepared.
fn mixed_up(error: &sqlx::Error) -> bool {
    match sqlstate(error) {
        // The statement exists already, does not exist, or takes other parameters.
        Some(state) => matches!(
            state,
            sqlstate::DUPLICATE_PREPARED_STATEMENT
                | sqlstate::INVALID_SQL_STATEMENT_NAME
                | sqlstate::PROTOCOL_VIOLATION
        ),
        None => matches!(
            error,
            sqlx::Error::RowNotFound
                | sqlx::Error::Decode(_)
                | sqlx::Error::ColumnDecode { .. }
                | sqlx::Error::ColumnIndexOutOfBounds { .. }
        ),
    }
}

#[cfg(test)]
mod tests {
    use super::mixed_up;

    #[test]
    fn what_may_have_other_causes_is_no_mix_up() {
        assert!(mixed_up(&sqlx::Error::RowNotFound));
        assert!(!mixed_up(&sqlx::Error::PoolTimedOut));
        let lost = std::io::Error::from(std::io::ErrorKind::UnexpectedEof);
        assert!(!mixed_up(&lost.into()));
    }
}
