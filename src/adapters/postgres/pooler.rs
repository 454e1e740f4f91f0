use std::io;
use std::sync::Arc;

use sqlx::postgres::PgConnectOptions;
use sqlx::{Connection as _, PgConnection};
use tokio::sync::Barrier;
use tokio::task::JoinSet;

use super::SqlxAdapter;
use super::error::{Operation, Said, connection_error, sqlstate, statement_error};
use super::pool::Server;
use crate::{AuthError, AuthResult};

const OPERATION: Operation = Operation::read("check_pooler");

/// How often each client asks while the others do, too.
const QUESTIONS_AT_ONCE: i64 = 16;

/// As many clients as there are statements, each of which has a statement of its own.
const CLIENTS: usize = 4;

impl SqlxAdapter {
    /// Tells whether a pooler between here and the server keeps the prepared statements of its clients apart. One that
    /// does not answers a lookup with the rows of another, so it must not be used: PgBouncer in transaction mode,
    /// before 1.21 or with `max_prepared_statements` at 0.
    ///
    /// Takes some milliseconds, and four connections beside those of the pool, each of which asks its own question
    /// under the name that the others use, too: in turn, then all at once. Passes without a pooler, and through one
    /// that gives a client a connection for as long as it stays.
    ///
    /// # Errors
    ///
    /// [`AuthError::Database`] where an answer was another client's, or the server knew a statement that it should not,
    /// or the other way round: it says what to do. [`AuthError::Unavailable`] where the four do not get their answers
    /// within the pool's `acquire_timeout`.
    pub async fn check_pooler(&self) -> AuthResult<()> {
        let pool = self.pool();
        let check = Check {
            options: pool.connect_options(),
            server: self.database.connections.server.clone(),
        };
        tokio::time::timeout(pool.options().get_acquire_timeout(), check.run())
            .await
            .unwrap_or_else(|_| Err(check.connection_error(sqlx::Error::PoolTimedOut)))
    }
}

struct Check {
    options: Arc<PgConnectOptions>,
    server: Server,
}

/// A connection on which only one statement is ever prepared, so that its name is that of all clients' statements.
struct Client {
    connection: PgConnection,
    statement: usize,
}

impl Check {
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

    /// A pooler that nobody else uses gives all clients the same connection, or each the next one: the second question
    /// of the same client meets the latter, that of another client the former.
    async fn in_turn(&self, clients: &mut [Client]) -> AuthResult<()> {
        for client in clients {
            for number in 0..2 {
                let asked = client.ask(number).await;
                self.judge(asked)?;
            }
        }
        Ok(())
    }

    /// Among other clients' statements, chance decides which connection a client gets, so it is given many chances.
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
                // It has served its purpose, however it ends.
                let _ = client.connection.close().await;
                Ok(())
            });
        }
        while let Some(ended) = tasks.join_next().await {
            // Otherwise the runtime is shutting down.
            let asked = ended.unwrap_or_else(|error| Err(io::Error::other(error).into()));
            self.judge(asked)?;
        }
        Ok(())
    }

    fn judge(&self, asked: Result<(), Wrong>) -> AuthResult<()> {
        let said = match asked {
            Ok(()) => return Ok(()),
            Err(Wrong::Answer) => " (the answer to another client's statement)".to_owned(),
            Err(Wrong::Error(error)) if mixed_up(&error) => Said(&error).to_string(),
            Err(Wrong::Error(error)) => {
                return Err(statement_error(error, OPERATION, &self.server));
            }
        };
        Err(AuthError::Database {
            message: format!(
                "check_pooler on {}: the pooler mixes up its clients' prepared statements{said}, so lookups may answer \
                 with other rows: set its pool_mode to session, or use PgBouncer 1.21 or later with \
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

enum Wrong {
    Answer,
    Error(sqlx::Error),
}

impl<E: Into<sqlx::Error>> From<E> for Wrong {
    fn from(error: E) -> Self {
        Self::Error(error.into())
    }
}

/// The statements of the clients by their place. All take the same five parameters, which hardly anybody else's
/// statement does: the server does not run one with another number of them, so what is mixed up stays without effect.
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
    async fn ask(&mut self, number: i64) -> Result<(), Wrong> {
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
            Err(Wrong::Answer)
        }
    }
}

/// Whether it can come only from a statement that is not the one that this client has prepared.
fn mixed_up(error: &sqlx::Error) -> bool {
    match sqlstate(error) {
        // The statement exists already, does not exist, or takes other parameters.
        Some(state) => matches!(state, "42P05" | "26000" | "08P01"),
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
