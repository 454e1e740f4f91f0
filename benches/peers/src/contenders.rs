//! Who looks up a session with its user, and who opens sessions.

use std::path::Path;
use std::sync::Arc;

use better_auth::adapters::{DatabaseAdapter as _, SqlxAdapter};
use better_auth::types::{CreateSession, Session, User};
use better_auth_core_09 as peer;
use chrono::{DateTime, TimeDelta, Utc};
use peer::{SessionOps as _, UserOps as _};
use sqlx::Row as _;
use tokio::sync::Mutex;

use crate::Result;
use crate::data::{Size, digest, pick, token, user_id};
use crate::load::Tasks;
use crate::server::{Server, paths};

/// What both adapters have by default.
const CONNECTIONS: u64 = 10;

pub fn ours(database: SqlxAdapter, size: Size) -> Tasks {
    Tasks::new(move |random| {
        let database = database.clone();
        async move {
            let token = token(pick(random, size.sessions));
            let found = database.get_session_with_user(&token).await.unwrap();
            check(&found.unwrap(), &token);
        }
    })
}

/// The two statements that better-auth 0.9 takes.
pub fn peers(database: Arc<peer::SqlxAdapter>, size: Size) -> Tasks {
    Tasks::new(move |random| {
        let database = database.clone();
        async move {
            let token = token(pick(random, size.sessions));
            let session = database.get_session(&token).await.unwrap().unwrap();
            let user = database.get_user_by_id(&session.user_id).await.unwrap();
            assert_eq!(session.token, token);
            assert_eq!(user.unwrap().id, session.user_id);
        }
    })
}

/// The same join by tokio-postgres, whose connections many callers share, each sending before others have answers.
pub async fn pipelined(server: &Server, name: &str, size: Size) -> Result<Tasks> {
    let mut connections = Vec::new();
    for _ in 0..CONNECTIONS {
        let url = server.url(name);
        let (client, connection) = tokio_postgres::connect(&url, tokio_postgres::NoTls).await?;
        tokio::spawn(connection);
        let statement = client.prepare(&lookup_sql()?).await?;
        connections.push((client, statement));
    }
    let connections = Arc::new(connections);
    Ok(Tasks::new(move |random| {
        let connections = connections.clone();
        async move {
            let session = pick(random, size.sessions);
            let token = token(session);
            // The high half: the low one has picked the session.
            let connection = usize::try_from((random >> 32) % CONNECTIONS).unwrap_or_default();
            let (client, statement) = &connections[connection];
            let digest = digest(session);
            let row = client.query_one(statement, &[&token, &digest]).await;
            check(&of_tokio_postgres(&row.unwrap()), &token);
        }
    }))
}

/// The same join by sqlx, on one connection that is held throughout: for one caller.
pub async fn direct(server: &Server, name: &str, size: Size) -> Result<Tasks> {
    let connection = Arc::new(Mutex::new(server.connect(name).await?));
    let sql: sqlx::SqlStr = sqlx::SqlSafeStr::into_sql_str(sqlx::AssertSqlSafe(lookup_sql()?));
    Ok(Tasks::new(move |random| {
        let (connection, sql) = (connection.clone(), sql.clone());
        async move {
            let session = pick(random, size.sessions);
            let token = token(session);
            let mut connection = connection.lock().await;
            let row = sqlx::query(sql).bind(&token).bind(digest(session));
            let row = row.fetch_one(&mut *connection).await.unwrap();
            check(&of_sqlx(&row), &token);
        }
    }))
}

pub fn our_sign_ins(database: SqlxAdapter, size: Size) -> Tasks {
    Tasks::new(move |random| {
        let database = database.clone();
        async move {
            let id = user_id(pick(random, size.users));
            let session = CreateSession::new(&id, Utc::now() + TimeDelta::days(7))
                .with_ip_address(IP_ADDRESS)
                .with_user_agent(USER_AGENT);
            let session = database.create_session(session).await.unwrap();
            assert_eq!(session.user_id, id);
        }
    })
}

pub fn peers_sign_ins(database: Arc<peer::SqlxAdapter>, size: Size) -> Tasks {
    Tasks::new(move |random| {
        let database = database.clone();
        async move {
            let id = user_id(pick(random, size.users));
            let session = database.create_session(peers_session(&id)).await.unwrap();
            assert_eq!(session.user_id, id);
        }
    })
}

pub const IP_ADDRESS: &str = "192.0.2.17";
pub const USER_AGENT: &str =
    "Mozilla/5.0 (X11; Linux x86_64; rv:145.0) Gecko/20100101 Firefox/145.0";

pub fn peers_session(user_id: &str) -> peer::CreateSession {
    peer::CreateSession {
        user_id: user_id.to_owned(),
        expires_at: Utc::now() + TimeDelta::days(7),
        ip_address: Some(IP_ADDRESS.to_owned()),
        user_agent: Some(USER_AGENT.to_owned()),
        impersonated_by: None,
        active_organization_id: None,
    }
}

pub fn check((session, user): &(Session, User), token: &str) {
    assert_eq!(session.token, token);
    assert_eq!(user.id, session.user_id);
}

/// The statement of `SqlxAdapter::get_session_with_user` as it goes to the server, for one token.
pub fn lookup_sql() -> Result<String> {
    const TOKENS: &str = "s.token = ANY ((SELECT $1::TEXT[])::TEXT[])";
    let cache = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../.sqlx");
    for path in paths(&cache)? {
        let entry: serde_json::Value = serde_json::from_slice(&std::fs::read(path)?)?;
        let sql = entry["query"].as_str().unwrap_or_default();
        // `check_session` has another one, with the member.
        if sql.contains("JOIN users u") && sql.contains(TOKENS) && !sql.contains("JOIN member") {
            return Ok(sql.replace(TOKENS, "s.token IN ($1, $2)"));
        }
    }
    Err("no statement in .sqlx looks up sessions with their users by tokens".into())
}

/// All columns of a row, as an application would take them. `get` is that of the crate whose row it is.
macro_rules! decode {
    ($row:expr) => {{
        let row = $row;
        let session = Session {
            id: row.get(0),
            expires_at: row.get(1),
            token: row.get(2),
            ip_address: row.get(3),
            user_agent: row.get(4),
            user_id: row.get(5),
            impersonated_by: row.get(6),
            active_organization_id: row.get(7),
            active: true,
            created_at: row.get(9),
            updated_at: row.get(10),
        };
        // The time of the statement, at which the session is live.
        let _now: DateTime<Utc> = row.get(8);
        let Json(metadata) = row.get(22);
        let user = User {
            id: session.user_id.clone(),
            name: row.get(11),
            email: row.get(12),
            email_verified: row.get(13),
            image: row.get(14),
            username: row.get(15),
            display_username: row.get(16),
            two_factor_enabled: row.get(17),
            role: row.get(18),
            banned: row.get(19),
            ban_reason: row.get(20),
            ban_expires: row.get(21),
            metadata,
            created_at: row.get(23),
            updated_at: row.get(24),
        };
        (session, user)
    }};
}

fn of_tokio_postgres(row: &tokio_postgres::Row) -> (Session, User) {
    use tokio_postgres::types::Json;
    decode!(row)
}

pub fn of_sqlx(row: &sqlx::postgres::PgRow) -> (Session, User) {
    use sqlx::types::Json;
    decode!(row)
}
