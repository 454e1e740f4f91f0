//! Databases of the tests' own, made anew by the first test that asks for one.

use std::env;

use better_auth::adapters::SqlxAdapter;
use better_auth::sqlx::{self, AssertSqlSafe, Connection as _, Executor as _, PgConnection};

const ADVICE: &str = "these tests need a PostgreSQL server: run `just db-up`, then `just test`";

pub(crate) fn server_url() -> String {
    env::var("DATABASE_URL").expect(ADVICE)
}

fn url(name: &str) -> String {
    let server = server_url();
    let (server, parameters) = server.split_once('?').unwrap_or((&server, ""));
    let (server, _) = server.rsplit_once('/').unwrap();
    let separator = if parameters.is_empty() { "" } else { "?" };
    format!("{server}/{name}{separator}{parameters}")
}

/// An empty database.
pub(crate) async fn fresh(name: &str) -> String {
    let name = format!("cli_test_{name}");
    let mut server = PgConnection::connect(&server_url()).await.expect(ADVICE);
    for statement in [
        format!("DROP DATABASE IF EXISTS {name} WITH (FORCE)"),
        format!("CREATE DATABASE {name}"),
    ] {
        server.execute(AssertSqlSafe(statement)).await.unwrap();
    }
    url(&name)
}

/// A migrated database.
pub(crate) async fn migrated(name: &str) -> (String, SqlxAdapter) {
    let url = fresh(name).await;
    let database = SqlxAdapter::builder(&url).migrate(true).connect().await;
    (url, database.unwrap())
}

pub(crate) async fn execute(url: &str, sql: &str) {
    let mut connection = PgConnection::connect(url).await.unwrap();
    let sql = AssertSqlSafe(sql.to_owned());
    sqlx::raw_sql(sql).execute(&mut connection).await.unwrap();
}

pub(crate) async fn number(url: &str, query: &'static str) -> i64 {
    let mut connection = PgConnection::connect(url).await.unwrap();
    let number = sqlx::query_scalar(query).fetch_one(&mut connection).await;
    number.unwrap()
}

/// All that the schemas hold, to see that nothing has changed.
pub(crate) async fn contents(url: &str) -> Vec<String> {
    let mut connection = PgConnection::connect(url).await.unwrap();
    let contents = sqlx::query_scalar(
        "SELECT relname || ' ' || relkind::TEXT || ' ' || relfilenode || ' ' || relnatts FROM pg_class \
         JOIN pg_namespace ON pg_namespace.oid = relnamespace WHERE nspname !~ '^pg_' \
         AND nspname <> 'information_schema' ORDER BY 1",
    );
    contents.fetch_all(&mut connection).await.unwrap()
}
