//! The rows that everything is measured on, as alike in length and order to real ones as can be computed from a number.

use std::time::Instant;

use better_auth::adapters::SqlxAdapter;

use crate::Result;
use crate::server::{Server, execute};

/// What tokens begin with; 16 digits follow.
pub const TOKEN_PREFIX: &str = "Zm9yIGJlbmNobWFya3Mgb25seS0";
/// As long as the digest of a token, which is looked for beside it; what follows is as in the token.
pub const DIGEST_PREFIX: &str = "sha256:000000000000000000000000000000000000000000000000";
/// Digits as text, in an order other than that of the rows: of session `:i`, for SQL and for pgbench alike.
pub const TOKEN_DIGITS: &str = "(1000000000000000 + (:i * 2654435761) % 4294967296)";

// Ids are in the order of the rows, as UUIDv7 are.
const USER_ID_PREFIX: &str = "01990000-0000-7000-8000-";
const SESSION_ID_PREFIX: &str = "01990000-0000-7000-9000-";
const ACCOUNT_ID_PREFIX: &str = "01990000-0000-7000-a000-";
const VERIFICATION_PREFIX: &str = "01990000-0000-7000-b000-";

#[derive(Clone, Copy)]
pub struct Size {
    pub users: u64,
    pub sessions: u64,
}

impl Size {
    /// Five sessions for each user.
    pub fn of_sessions(sessions: u64) -> Self {
        Self {
            users: (sessions / 5).max(1),
            sessions,
        }
    }
}

fn token_digits(session: u64) -> u64 {
    1_000_000_000_000_000 + (session * 2_654_435_761) % 4_294_967_296
}

pub fn token(session: u64) -> String {
    format!("{TOKEN_PREFIX}{}", token_digits(session))
}

pub fn digest(session: u64) -> String {
    format!("{DIGEST_PREFIX}{}", token_digits(session))
}

pub fn user_id(user: u64) -> String {
    format!("{USER_ID_PREFIX}{user:012x}")
}

pub fn email(user: u64) -> String {
    format!("ada.lovelace.{user}@example.com")
}

/// What a verification of the user's email holds.
pub fn verification_value(user: u64) -> String {
    format!("{VERIFICATION_PREFIX}{user:012x}")
}

/// The number of a row, from a random one.
pub fn pick(random: u64, of: u64) -> u64 {
    random % of
}

/// A database with the tables of this crate, migrated and filled.
pub async fn create_ours(server: &Server, name: &str, size: Size) -> Result<SqlxAdapter> {
    server.create_database(name).await?;
    let database = SqlxAdapter::new(&server.url(name)).await?;
    database.migrate().await?;
    fill(server, name, size).await?;
    Ok(database)
}

/// A database with the tables of better-auth 0.9, as its migrations make them, filled.
pub async fn create_peers(server: &Server, name: &str, size: Size) -> Result<()> {
    server.create_database(name).await?;
    let mut connection = server.connect(name).await?;
    for migration in server.peer_migrations()? {
        execute(&mut connection, migration).await?;
    }
    fill(server, name, size).await
}

async fn fill(server: &Server, name: &str, size: Size) -> Result<()> {
    let since = Instant::now();
    let user = format!("i % {}", size.users);
    let sessions = sessions_between(0, size.sessions, &user, "30 days");
    insert(server, name, [users(size.users), sessions]).await?;
    let (sessions, seconds) = (size.sessions, since.elapsed().as_secs());
    eprintln!("{name}: {sessions} sessions in {seconds} s");
    Ok(())
}

/// Runs the statements, then does what autovacuum would do some time after.
pub async fn insert<const N: usize>(
    server: &Server,
    name: &str,
    statements: [String; N],
) -> Result<()> {
    let mut connection = server.connect(name).await?;
    // The rows refer to each other rightly; checking each would take most of the time.
    let unchecked = "SET session_replication_role = replica".to_owned();
    execute(&mut connection, unchecked).await?;
    for statement in statements {
        execute(&mut connection, statement).await?;
    }
    execute(&mut connection, "VACUUM ANALYZE".into()).await?;
    execute(&mut connection, "CHECKPOINT".into()).await
}

/// Reads everything into the server's memory, from which the load of a larger database may have driven it.
pub async fn warm(server: &Server, name: &str) -> Result<()> {
    let statements = "CREATE EXTENSION pg_prewarm; \
        SELECT pg_prewarm(oid) FROM pg_class WHERE relnamespace = 'public'::regnamespace AND relkind IN ('r', 'i')";
    execute(&mut server.connect(name).await?, statements.into()).await
}

/// Users, each with an account and a verification.
fn users(users: u64) -> String {
    let user_id = id(USER_ID_PREFIX, "i");
    let account_id = id(ACCOUNT_ID_PREFIX, "i");
    let verification = id(VERIFICATION_PREFIX, "i");
    let email = "'ada.lovelace.' || i || '@example.com'";
    let each = format!("FROM generate_series(0, {users} - 1) i");
    format!(
        "INSERT INTO users (id, name, email, email_verified, image, username, display_username, created_at, \
         updated_at) SELECT {user_id}, 'Ada Lovelace ' || i, {email}, TRUE, 'https://images.example.com/avatars/' || i || '.png', \
         'ada' || i, 'Ada' || i, now() - i * INTERVAL '1 second', now() {each}; \
         INSERT INTO accounts (id, account_id, provider_id, user_id, access_token, scope) \
         SELECT {account_id}, i::text, 'github', {user_id}, 'gho_' || md5(i::text), 'read:user,user:email' {each}; \
         INSERT INTO verifications (id, identifier, value, expires_at) \
         SELECT {verification}, {email}, {verification}, now() + INTERVAL '1 day' {each}"
    )
}

/// Sessions from one number up to another, of the user that an expression over their number `i` says. They end so long
/// from now, each a little later than the one before.
pub fn sessions_between(from: u64, to: u64, user: &str, lasting: &str) -> String {
    let (session_id, user_id) = (id(SESSION_ID_PREFIX, "i"), id(USER_ID_PREFIX, user));
    let digits = TOKEN_DIGITS.replace(":i", "i");
    format!(
        "INSERT INTO sessions (id, expires_at, token, ip_address, user_agent, user_id, created_at, updated_at) \
         SELECT {session_id}, now() + INTERVAL '{lasting}' + i * INTERVAL '1 microsecond', \
         '{TOKEN_PREFIX}' || {digits}, \
         CASE WHEN i % 2 = 0 THEN '192.0.2.' || i % 256 END, \
         CASE WHEN i % 2 = 0 THEN 'Mozilla/5.0 (X11; Linux x86_64; rv:145.0) Gecko/20100101 Firefox/145.0' END, \
         {user_id}, now() - INTERVAL '1 day' + i * INTERVAL '1 microsecond', now() \
         FROM generate_series({from}::bigint, {to} - 1) i"
    )
}

/// The id of the user that an expression says, for SQL.
pub fn user_id_of(number: &str) -> String {
    id(USER_ID_PREFIX, number)
}

/// An id for SQL, of a prefix and of the number that an expression says.
pub fn id(prefix: &str, number: &str) -> String {
    format!("'{prefix}' || lpad(to_hex({number}), 12, '0')")
}
