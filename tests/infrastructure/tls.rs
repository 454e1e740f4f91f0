//! Encrypted connections, passwords and Unix sockets, on the server that `scripts/tls.sh` makes. `just tls-check`
//! runs this, once for each kind of TLS.

use std::env;

use better_auth::AuthError;
use better_auth::adapters::{DatabaseAdapter, SqlxAdapter};
use better_auth::types::CreateUser;

/// What the script names: `PORT`, the `DIRECTORY` with the socket, or `CA` and `OTHER_CA`, two files.
fn given(name: &str) -> String {
    let name = format!("BETTER_AUTH_TLS_{name}");
    env::var(&name).unwrap_or_else(|_| panic!("{name} is not set: run `just tls-check`"))
}

/// The certificate is for `localhost`; `ca` names one of the files.
fn url(password: &str, host: &str, ca: &str) -> String {
    let (port, ca) = (given("PORT"), given(ca));
    format!(
        "postgresql://better_auth:{password}@{host}:{port}/postgres?sslmode=verify-full&sslrootcert={ca}"
    )
}

/// Works, on a connection that the server says to be encrypted, or not.
async fn works(url: &str, encrypted: bool) {
    let database = SqlxAdapter::new(url).await.unwrap();
    let ssl: bool = sqlx::query_scalar("SELECT ssl FROM pg_stat_ssl WHERE pid = pg_backend_pid()")
        .fetch_one(&mut *database.acquire().await.unwrap())
        .await
        .unwrap();
    assert_eq!(ssl, encrypted, "{url}");
    database.migrate().await.unwrap();
    let user = database.create_user(CreateUser::new()).await.unwrap();
    assert_eq!(database.get_user_by_id(&user.id).await.unwrap(), Some(user));
}

async fn refusal(url: &str) -> AuthError {
    let error = SqlxAdapter::new(url).await.unwrap_err();
    let message = error.to_string();
    assert!(
        !message.contains("password@") && !message.contains("mistaken"),
        "{message}"
    );
    error
}

#[tokio::test]
async fn a_verified_server_serves() {
    works(&url("password", "localhost", "CA"), true).await;
}

#[tokio::test]
async fn a_server_of_another_authority_is_refused() {
    let error = refusal(&url("password", "localhost", "OTHER_CA")).await;
    assert_certificate_refused(&error);
}

#[tokio::test]
async fn a_server_under_another_name_is_refused() {
    let error = refusal(&url("password", "127.0.0.1", "CA")).await;
    assert_certificate_refused(&error);
}

fn assert_certificate_refused(error: &AuthError) {
    let message = error.to_string();
    assert!(matches!(error, AuthError::Database { .. }), "{error:?}");
    assert!(message.contains("certificate"), "{message}");
    assert!(message.contains("sslrootcert"), "{message}");
}

#[tokio::test]
async fn a_wrong_password_is_refused() {
    let error = refusal(&url("mistaken", "localhost", "CA")).await;
    assert!(matches!(error, AuthError::Database { .. }), "{error:?}");
    let message = error.to_string();
    assert!(
        message.contains("refused the user name or password"),
        "{message}"
    );
}

/// Both ways of naming the directory of the socket, with the same password check.
#[tokio::test]
async fn a_unix_socket_serves() {
    let (directory, port) = (given("DIRECTORY"), given("PORT"));
    let host = directory.replace('/', "%2F");
    for (password, served) in [("password", true), ("mistaken", false)] {
        let login = format!("postgresql://better_auth:{password}");
        for url in [
            format!("{login}@{host}:{port}/postgres"),
            format!("{login}@localhost/postgres?host={directory}&port={port}"),
        ] {
            if served {
                works(&url, false).await;
            } else {
                let message = refusal(&url).await.to_string();
                assert!(
                    message.contains("refused the user name or password"),
                    "{message}"
                );
                assert!(message.contains(&directory), "{message}");
            }
        }
    }
}

/// `scram-sha-256` and no other method, as the server's own list of passwords says.
#[tokio::test]
async fn passwords_are_checked_by_scram() {
    let database = SqlxAdapter::new(&url("password", "localhost", "CA"))
        .await
        .unwrap();
    let methods: Vec<String> =
        sqlx::query_scalar("SELECT DISTINCT auth_method FROM pg_hba_file_rules")
            .fetch_all(&mut *database.acquire().await.unwrap())
            .await
            .unwrap();
    assert_eq!(methods, ["scram-sha-256"]);
}
