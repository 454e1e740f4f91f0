//! What cannot be asked, or is refused: one clear line, the right exit code, and nothing has changed.

use crate::databases::{contents, execute, fresh, migrated, server_url};
use crate::program::{command, finish, run};

/// Every command that asks the database.
const COMMANDS: [&[&str]; 18] = [
    &["migrate"],
    &["migrate", "--dry-run"],
    &["migrate", "--sql"],
    &["status"],
    &["check"],
    &["doctor"],
    &["clean-up"],
    &["hash-tokens"],
    &["normalize-names"],
    &["users", "list"],
    &["users", "show", "ada"],
    &["users", "ban", "ada"],
    &["users", "unban", "ada"],
    &["users", "delete", "ada", "--yes"],
    &["sessions", "list", "ada"],
    &["sessions", "revoke", "ada", "1"],
    &["sessions", "revoke", "ada", "--all"],
    &["users", "list", "--all"],
];

#[tokio::test]
async fn what_cannot_be_asked_is_2_for_every_command() {
    for arguments in COMMANDS {
        run("", arguments)
            .with_code(2)
            .refused("no database is named");
    }
    let server = server_url();
    let (before, host) = server.rsplit_once('@').unwrap();
    let (host, _) = host.split_once('/').unwrap();
    let (scheme, login) = before.split_once("://").unwrap();
    let (user, _) = login.split_once(':').unwrap_or((login, ""));
    let wrong_password = format!("{scheme}://{user}:s3cr3t@{host}/postgres");
    let no_database = format!("{before}@{host}/no_such_database");
    for (url, words) in [
        ("mysql://ada:s3cr3t@localhost/db", "expected postgresql://"),
        (
            "postgresql://ada:s3/cr3t@localhost/db",
            "percent-encode the password",
        ),
        ("not a URL", "expected postgresql://"),
        (
            "postgresql://ada:s3cr3t@localhost:1/db",
            "is the server running",
        ),
        (
            "postgresql://ada:s3cr3t@host.invalid/db",
            "is the server running",
        ),
        (&wrong_password, "refused the user name or password"),
        (&no_database, "there is no such database"),
    ] {
        for arguments in [&["status"][..], &["users", "delete", "ada", "--yes"]] {
            let refused = run(url, arguments).with_code(2).refused(words);
            assert_eq!(refused.out, "");
        }
        let json = run(url, &["status", "--json"])
            .with_code(2)
            .refused(words)
            .json();
        assert!(
            json["error"]["message"].as_str().unwrap().contains(words),
            "{json}"
        );
    }
}

/// What the URL leaves out, the file of passwords has.
#[cfg(unix)]
#[tokio::test]
async fn a_password_may_come_from_a_file() {
    use std::os::unix::fs::PermissionsExt as _;

    let (url, database) = migrated("pgpass").await;
    database.close().await;
    let (scheme, rest) = url.split_once("://").unwrap();
    let (login, host) = rest.split_once('@').unwrap();
    let (user, password) = login.split_once(':').unwrap();
    let without = format!("{scheme}://{user}@{host}");
    run(&without, &["status"]).with_code(2);
    let file = std::env::temp_dir().join(format!("cli_test_pgpass_{}", std::process::id()));
    std::fs::write(&file, format!("*:*:*:{user}:{password}\n")).unwrap();
    std::fs::set_permissions(&file, std::fs::Permissions::from_mode(0o600)).unwrap();
    let mut command = command(&without, &["status"]);
    command.env("PGPASSFILE", &file);
    let answer = finish(command);
    std::fs::remove_file(file).unwrap();
    answer.with_code(0);
}

/// Any secret in the wrong place is left out of what is printed.
#[test]
fn a_url_in_the_wrong_place_is_not_printed() {
    let url = "postgresql://ada:s3cr3t@localhost/db";
    for arguments in [
        &[url][..],
        &["status", url],
        &["users", "list", "--limit", url],
        &["users", "ban", "ada", "--until", url],
        &["postgresql://ada:s3cr3t and more@localhost/db"],
        &["ada:s3cr3t@localhost"],
        &[
            "--database-urlpostgresql://ada:s3cr3t@localhost/db?sslmode=require",
            "status",
        ],
        &["status", "--databaseurl:s3cr3t=ada@localhost"],
        &["--json=postgresql://ada:s3cr3t@localhost/db?sslmode=require"],
        &[
            "--limit=postgresql://ada:s3cr3t@localhost/db?sslmode=require",
            "users",
            "list",
        ],
        &[
            "users",
            "list",
            "--limit=postgresql://ada:s3cr3t@localhost/db?sslmode=require",
        ],
        &[
            "-q=postgresql://ada:s3cr3t@localhost/db?sslmode=require",
            "status",
        ],
        &["-postgresql://ada:s3cr3t@localhost/db?sslmode=require"],
        &["host=localhost password=s3cr3t"],
        &["users", "host=localhost PassWord = s3cr3t"],
        &["status", "PGPASSWORD=s3cr3t"],
        &["completions", "password=s3cr3t"],
        &["postgresql://ada:s3\u{1b}[31mcr3t@localhost/db"],
    ] {
        let usage = run("", arguments).with_code(2);
        // Of letters behind one dash only one is printed, and of an unknown option only its name.
        let is_cut = ["-p", "-q", "--limit"]
            .iter()
            .any(|it| arguments[0].starts_with(it));
        assert!(is_cut || usage.err.contains('…'), "{}", usage.err);
    }
    let json = run("", &["--json", url]).with_code(2).json();
    assert_eq!(json["error"]["kind"], "Usage");
    for arguments in [
        &["--help"][..],
        &["help", "status"],
        &["status", "--help"],
        &["-h"],
    ] {
        let help = run(url, arguments).with_code(0);
        assert!(
            help.out.contains("DATABASE_URL") && !help.out.contains("ada:"),
            "{}",
            help.out
        );
    }
}

#[tokio::test]
async fn an_empty_database_is_1_and_stays_empty() {
    let url = fresh("empty").await;
    for arguments in COMMANDS
        .into_iter()
        .filter(|arguments| arguments[0] != "migrate")
    {
        if matches!(arguments[0], "status" | "check" | "doctor") {
            run(&url, arguments).with_code(1);
        } else {
            let refused = finish({
                let mut command = command(&url, arguments);
                command.arg("--quiet");
                command
            });
            refused.with_code(1).refused("run `better-auth migrate`");
        }
    }
    assert!(contents(&url).await.is_empty());
}

#[tokio::test]
async fn tables_of_another_program_are_left_alone() {
    let url = fresh("foreign").await;
    execute(
        &url,
        "CREATE TABLE users (id INT PRIMARY KEY, login TEXT); INSERT INTO users VALUES (1, 'ada')",
    )
    .await;
    let before = contents(&url).await;
    for arguments in COMMANDS {
        let run = run(&url, arguments).with_code(1);
        if !matches!(arguments[0], "check" | "doctor" | "status") {
            let last = run.err.lines().last().unwrap();
            assert!(last.starts_with("better-auth: "), "{last}");
        }
    }
    assert_eq!(contents(&url).await, before);
}

#[tokio::test]
async fn a_role_without_privileges_changes_nothing() {
    let (url, database) = migrated("privileges").await;
    database.close().await;
    let role = format!("cli_test_role_{}", std::process::id());
    execute(
        &url,
        &format!(
            "CREATE ROLE {role} LOGIN PASSWORD 's3cr3t'; REVOKE ALL ON SCHEMA public FROM PUBLIC; \
             DELETE FROM _better_auth_migrations WHERE version = 23"
        ),
    )
    .await;
    let (scheme, rest) = url.split_once("://").unwrap();
    let (_, host) = rest.split_once('@').unwrap();
    let as_role = format!("{scheme}://{role}:s3cr3t@{host}");
    let before = contents(&url).await;
    for arguments in COMMANDS {
        run(&as_role, arguments).with_code(1);
    }
    run(&as_role, &["migrate"])
        .with_code(1)
        .refused("GRANT USAGE");
    execute(&url, &format!("GRANT USAGE ON SCHEMA public TO {role}")).await;
    run(&as_role, &["migrate", "--quiet"])
        .with_code(1)
        .refused("privilege");
    run(&as_role, &["users", "list"])
        .with_code(1)
        .refused("lacks a privilege");
    execute(
        &url,
        &format!(
            "REVOKE CONNECT ON DATABASE {} FROM PUBLIC",
            "cli_test_privileges"
        ),
    )
    .await;
    run(&as_role, &["status"])
        .with_code(2)
        .refused("permission denied for database");
    assert_eq!(contents(&url).await, before);
    execute(&url, &format!("DROP OWNED BY {role}; DROP ROLE {role}")).await;
}
