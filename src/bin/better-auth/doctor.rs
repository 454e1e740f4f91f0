//! `doctor`: what `check` finds, and advice about the server.

use better_auth::adapters::SqlxAdapter;
use better_auth::chrono::{DateTime, Utc};

use crate::Outcome;
use crate::arguments::Global;
use crate::checks::{Findings, State};
use crate::database::{self, statement_error};
use crate::output::Problem;

/// The oldest release that the adapter supports.
const OLDEST_RELEASE: i32 = 130_000;
/// The first release that ends a statement whose client has gone.
const FIRST_WITH_CLIENT_CHECK: i32 = 140_000;
/// Longer differences between the two clocks confuse who compares times.
const MAX_CLOCK_DIFFERENCE: i64 = 2_000;
/// A share of the server's connections that leaves little room, in percent.
const MANY_CONNECTIONS: i64 = 80;

pub(crate) async fn doctor(global: &Global) -> Outcome {
    let database = database::connect(global).await?;
    let server = Server::ask(&database).await?;
    let mut findings = Findings::default();
    server.judge(&mut findings);
    let mut findings = findings.then(Findings::of(global, &database).await?);
    if findings.has_plain_session_tokens() {
        let message = "some are stored as they are: set hash_session_tokens(true) in every instance, then run \
                       `better-auth hash-tokens`, so that a leaked table or backup cannot be used to sign in";
        findings.add("tokens", State::Advice, message);
    }
    Ok(findings.into_answer())
}

/// What the server says of itself.
struct Server {
    release: String,
    release_number: i32,
    is_encrypted: bool,
    is_local: bool,
    is_standby: bool,
    isolation: String,
    connections: i64,
    max_connections: i32,
    milliseconds_ahead: i64,
}

impl Server {
    async fn ask(database: &SqlxAdapter) -> Result<Self, Problem> {
        let mut connection = database.acquire().await?;
        let row = sqlx::query!(
            "SELECT current_setting('server_version') AS \"release!\", \
             current_setting('server_version_num')::INT AS \"release_number!\", \
             COALESCE((SELECT ssl FROM pg_stat_ssl WHERE pid = pg_backend_pid()), FALSE) AS \"is_encrypted!\", \
             inet_server_addr() IS NULL OR inet_server_addr() = inet_client_addr() AS \"is_local!\", \
             pg_is_in_recovery() AS \"is_standby!\", \
             current_setting('default_transaction_isolation') AS \"isolation!\", \
             (SELECT COALESCE(sum(numbackends), 0)::BIGINT FROM pg_stat_database) AS \"connections!\", \
             current_setting('max_connections')::INT AS \"max_connections!\", \
             clock_timestamp() AS \"now!\""
        )
        .fetch_one(&mut *connection)
        .await
        .map_err(|error| statement_error("doctor: the server's settings cannot be read", error))?;
        let now: DateTime<Utc> = row.now;
        Ok(Self {
            release: row.release,
            release_number: row.release_number,
            is_encrypted: row.is_encrypted,
            is_local: row.is_local,
            is_standby: row.is_standby,
            isolation: row.isolation,
            connections: row.connections,
            max_connections: row.max_connections,
            milliseconds_ahead: (now - Utc::now()).num_milliseconds(),
        })
    }

    fn judge(&self, findings: &mut Findings) {
        self.judge_release(findings);
        if self.is_standby {
            let message = "it is a standby, which is read-only: name the primary in the URL";
            findings.add("role", State::Wrong, message);
        }
        match (self.is_encrypted, self.is_local) {
            (true, _) => findings.add("encryption", State::Ok, "the connection is encrypted"),
            (false, true) => {
                let message = "the connection is not encrypted, and stays on this machine";
                findings.add("encryption", State::Ok, message);
            }
            (false, false) => {
                let message =
                    "the connection is not encrypted: add ?sslmode=verify-full to the URL";
                findings.add("encryption", State::Advice, message);
            }
        }
        let ahead = self.milliseconds_ahead;
        let clocks = format!("the server's is {ahead} ms ahead of this machine's");
        if ahead.abs() > MAX_CLOCK_DIFFERENCE {
            let message =
                format!("{clocks}: synchronize both; the server's decides what has expired");
            findings.add("clock", State::Advice, &message);
        } else {
            findings.add("clock", State::Ok, &clocks);
        }
        self.judge_connections(findings);
        let isolation = &self.isolation;
        if matches!(isolation.as_str(), "read committed" | "serializable") {
            findings.add("isolation", State::Ok, isolation);
        } else {
            let message = format!(
                "{isolation} is the default here: ALTER ROLE … SET default_transaction_isolation = 'read committed'"
            );
            findings.add("isolation", State::Advice, &message);
        }
    }

    fn judge_release(&self, findings: &mut Findings) {
        let release = format!("PostgreSQL {}", self.release);
        if self.release_number < OLDEST_RELEASE {
            let message = format!("{release} is too old: 13 is the oldest that is supported");
            findings.add("server", State::Wrong, &message);
        } else if self.release_number < FIRST_WITH_CLIENT_CHECK {
            let message = format!(
                "{release} does not notice that the client of a waiting statement is gone: 14 and later do"
            );
            findings.add("server", State::Advice, &message);
        } else {
            findings.add("server", State::Ok, &release);
        }
    }

    fn judge_connections(&self, findings: &mut Findings) {
        let message = format!("{} of {} are open", self.connections, self.max_connections);
        if self.connections * 100 > i64::from(self.max_connections) * MANY_CONNECTIONS {
            let message = format!("{message}: raise max_connections or shrink the pools");
            findings.add("connections", State::Advice, &message);
        } else {
            findings.add("connections", State::Ok, &message);
        }
    }
}
