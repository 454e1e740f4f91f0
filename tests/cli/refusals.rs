//! What cannot be asked, or is refused: one clear line, the right exit code, and nothing has changed.

use better_auth::adapters::DatabaseAdapter as _;
use better_auth::chrono::{TimeDelta, Utc};
use better_auth::types::{CreateSession, CreateUser};

use crate::databases::{contents, execute, fresh, migrated, server_url};
use crate::program::{Run, command, finish, run};

/// Every command that asks the database.
const COMMANDS: [&[&str]; 22] = [
    &["migrate"],
    &["migrate", "--dry-run"],
    &["migrate", "--sql"],
    &["import"],
    &["import", "--dry-run"],
    &["import", "--verify"],
    &["status"],
    &["check"],
    &["doctor"],
    &["clean-up"],
    &["hash-tokens"],
    &["normalize-names"],
    &["users", "list"],
    &["users", "list", "--all"],
    &["users", "show", "ada"],
    &["users", "ban", "ada"],
    &["users", "unban", "ada"],
    &["users", "delete", "ada", "--yes"],
    &["sessions", "list", "ada"],
    &["sessions", "revoke", "ada", "1"],
    &["sessions", "revoke", "ada", "--all"],
    &["import", "--from-schema", "elsewhere"],
];

/// Runs every command at the same time, as some of them wait, and says what each came to, as text and with `--json`.
fn run_all(url: &str) -> Vec<(&'static [&'static str], Run, Run)> {
    std::thread::scope(|scope| {
        let runs = COMMANDS.map(|arguments| {
            let run =
                |more| scope.spawn(move || run(url, &[arguments, &["--quiet"], more].concat()));
            (arguments, run(&[]), run(&["--json"]))
        });
        let runs = runs
            .map(|(arguments, text, json)| (arguments, text.join().unwrap(), json.join().unwrap()));
        runs.into()
    })
}

/// Asserts that every command ends with this exit code, and says one of these in one line. What looks at a database without
/// changing it may have an answer.
#[track_caller]
fn all_are_refused(url: &str, code: i32, words: &[&str], may_answer: &[&[&str]]) {
    for (arguments, text, json) in run_all(url) {
        if may_answer.contains(&arguments) {
            assert!(
                matches!(text.code, Some(0 | 1)) && json.code == text.code,
                "{arguments:?}: {}",
                text.err
            );
            json.json();
            continue;
        }
        assert_eq!(
            text.code,
            Some(code),
            "{arguments:?}: {}{}",
            text.out,
            text.err
        );
        let json = json.with_code(code);
        let said = &text.err;
        assert!(
            words.iter().any(|words| said.contains(words)),
            "{arguments:?}: {said}"
        );
        let text = text.with_code(code).refused("");
        assert_eq!(text.out, "", "{arguments:?}");
        let message = json.json()["error"]["message"].as_str().unwrap().to_owned();
        assert_eq!(text.err.trim_end(), format!("better-auth: {message}"));
    }
}

/// Commands that only look, and say what is wrong as their answer.
const REPORTS: [&[&str]; 3] = [&["status"], &["check"], &["doctor"]];

#[tokio::test]
async fn what_cannot_be_asked_is_2_for_every_command() {
    let server = server_url();
    let (before, host) = server.rsplit_once('@').unwrap();
    let (host, _) = host.split_once('/').unwrap();
    let (scheme, login) = before.split_once("://").unwrap();
    let (user, _) = login.split_once(':').unwrap_or((login, ""));
    let wrong_password = format!("{scheme}://{user}:s3cr3t@{host}/postgres");
    let no_database = format!("{before}@{host}/no_such_database");
    for (url, words) in [
        ("", "no database is named"),
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
        all_are_refused(url, 2, &[words], &[]);
    }
}

/// A value that cannot be meant is told in one line, with the form that is expected.
#[tokio::test]
async fn malformed_values_are_2_and_one_line() {
    let (url, database) = migrated("values").await;
    database.close().await;
    for (arguments, words) in [
        (
            &["users", "ban", "ada", "--until", "2001-01-01T00:00:00Z"][..],
            "expected a time to come",
        ),
        (
            &["users", "ban", "ada", "--until", "tomorrow"],
            "as in 2027-01-01T00:00:00Z",
        ),
        (
            &["users", "ban", "ada", "--until", ""],
            "as in 2027-01-01T00:00:00Z",
        ),
        (
            &["users", "list", "--created-from", "2026-01-01"],
            "as in 2027-01-01T00:00:00Z",
        ),
        (
            &["users", "list", "--created-before", "now"],
            "as in 2027-01-01T00:00:00Z",
        ),
        (
            &["users", "list", "--cursor", "xx"],
            "--cursor: this is no cursor",
        ),
        (
            &["users", "list", "--cursor", ""],
            "--cursor: this is no cursor",
        ),
        (&["users", "list", "--limit", "0"], "1..=1000"),
        (&["users", "list", "--limit", "many"], "invalid digit"),
        (
            &["users", "list", "--search", "a", "--field", "age"],
            "possible values: email, username, name",
        ),
        (&["completions", "cobol"], "possible values: bash"),
    ] {
        let refused = run(&url, arguments).with_code(2).refused(words);
        assert_eq!(refused.out, "");
        let json = run(&url, &[arguments, &["--json"]].concat())
            .with_code(2)
            .json();
        let message = json["error"]["message"].as_str().unwrap();
        assert_eq!(format!("better-auth: {message}"), refused.err.trim_end());
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
    let mut may_answer = REPORTS.to_vec();
    // They have something to do, or to say.
    may_answer.extend([&["migrate", "--dry-run"][..], &["migrate", "--sql"]]);
    let before = contents(&url).await;
    // All others at once: this one makes the tables.
    let others: Vec<_> = COMMANDS
        .into_iter()
        .filter(|arguments| *arguments != ["migrate"])
        .collect();
    for arguments in others {
        let run = run(&url, &[arguments, &["--quiet"]].concat());
        if may_answer.contains(&arguments) {
            let is_report = REPORTS.contains(&arguments);
            run.with_code(i32::from(is_report));
        } else if arguments[0] == "import" {
            run.with_code(1).refused("no table user or users");
        } else {
            run.with_code(1).refused("run `better-auth migrate`");
        }
    }
    assert_eq!(contents(&url).await, before);
}

#[tokio::test]
async fn tables_of_another_program_are_left_alone() {
    let (renamed, typed) = (fresh("foreign").await, fresh("foreign_types").await);
    execute(
        &renamed,
        "CREATE TABLE users (id INT PRIMARY KEY, login TEXT); INSERT INTO users VALUES (1, 'ada')",
    )
    .await;
    // All names are right, and no type is.
    execute(
        &typed,
        "CREATE TABLE users (id INT, name INT, email INT, email_verified INT, image INT, username INT, display_username INT, \
         two_factor_enabled INT, role INT, banned INT, ban_reason INT, ban_expires INT, metadata INT, created_at INT, \
         updated_at INT)",
    )
    .await;
    for url in [&renamed, &typed] {
        let before = contents(url).await;
        let words = [
            "not ours",
            "no table user or users",
            "run `better-auth migrate`",
            "the database refused",
        ];
        all_are_refused(url, 1, &words, &REPORTS);
        run(url, &["migrate"])
            .with_code(1)
            .refused("table users that is not ours");
        assert_eq!(&contents(url).await, &before);
    }
}

/// Nothing is wrong with what is there, and something is missing.
#[tokio::test]
async fn a_half_migrated_database_is_used_as_far_as_it_goes() {
    let (url, database) = migrated("half_migrated").await;
    database.close().await;
    execute(
        &url,
        "DROP TABLE verifications, sessions; DELETE FROM _better_auth_migrations WHERE version > 1",
    )
    .await;
    let before = contents(&url).await;
    let others: Vec<_> = COMMANDS
        .into_iter()
        .filter(|arguments| *arguments != ["migrate"])
        .collect();
    for arguments in others {
        let run = run(&url, &[arguments, &["--quiet"]].concat());
        match arguments {
            ["migrate", ..] | ["users", "list", ..] | ["normalize-names"] => drop(run.with_code(0)),
            ["status" | "check" | "doctor"] => drop(run.with_code(1)),
            ["import", "--from-schema", ..] => {
                drop(run.with_code(1).refused("no table user or users"));
            }
            ["import", ..] => drop(run.with_code(1).refused("this crate's own")),
            ["users" | "sessions", ..] => drop(run.with_code(1).refused("no user has this")),
            _ => drop(run.with_code(1).refused("run `better-auth migrate`")),
        }
    }
    assert_eq!(contents(&url).await, before);
}

/// As a standby is.
#[tokio::test]
async fn a_read_only_server_is_named_as_one() {
    let (url, database) = migrated("read_only").await;
    let ada = CreateUser::new()
        .with_username("ada")
        .with_email("ada@example.com");
    let ada = database.create_user(ada).await.unwrap();
    let session = CreateSession::new(&ada.id, Utc::now() + TimeDelta::hours(1));
    database.create_session(session).await.unwrap();
    database.close().await;
    execute(
        &url,
        "DELETE FROM _better_auth_migrations WHERE version = 23; \
         INSERT INTO users (id, email) VALUES ('2', 'Bob@Example.com'); \
         INSERT INTO sessions (id, token, user_id, expires_at) VALUES ('expired', 's3cr3t', '2', now() - INTERVAL '1 day'); \
         ALTER DATABASE cli_test_read_only SET default_transaction_read_only = on",
    )
    .await;
    let before = contents(&url).await;
    let mut may_answer = REPORTS.to_vec();
    may_answer.extend([
        &["migrate", "--dry-run"][..],
        &["migrate", "--sql"],
        &["users", "list"],
        &["users", "list", "--all"],
        &["users", "show", "ada"],
        &["sessions", "list", "ada"],
        // This one has nothing to end.
        &["sessions", "revoke", "ada", "1"],
    ]);
    all_are_refused(
        &url,
        1,
        &["read-only", "this crate's own", "no table user or users"],
        &may_answer,
    );
    run(&url, &["users", "show", "ada"]).with_code(0);
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
    let words = [
        "GRANT USAGE",
        "lacks a privilege",
        "no table user or users",
        "this crate's own",
        "run `better-auth migrate`",
    ];
    all_are_refused(&as_role, 1, &words, &REPORTS);
    run(&as_role, &["migrate"])
        .with_code(1)
        .refused("GRANT USAGE");
    execute(&url, &format!("GRANT USAGE ON SCHEMA public TO {role}")).await;
    all_are_refused(&as_role, 1, &words, &REPORTS);
    run(&as_role, &["users", "list"])
        .with_code(1)
        .refused("lacks a privilege");
    // It may read users and nothing else.
    execute(
        &url,
        &format!(
            "GRANT SELECT ON users TO {role}; INSERT INTO users (id, username) VALUES ('1', 'ada')"
        ),
    )
    .await;
    for command in [
        &["users", "show", "ada"][..],
        &["sessions", "list", "ada"],
        &["sessions", "revoke", "ada", "1"],
    ] {
        run(&as_role, command)
            .with_code(1)
            .refused("lacks a privilege");
    }
    execute(
        &url,
        &format!(
            "REVOKE CONNECT ON DATABASE {} FROM PUBLIC",
            "cli_test_privileges"
        ),
    )
    .await;
    all_are_refused(&as_role, 2, &["permission denied for database"], &[]);
    assert_eq!(contents(&url).await, before);
    execute(&url, &format!("DROP OWNED BY {role}; DROP ROLE {role}")).await;
}

/// A record that `migrate` never writes: what it says, `check` and `status` say too.
#[tokio::test]
async fn an_unfinished_migration_is_left_to_a_person() {
    let (url, database) = migrated("unfinished").await;
    database.close().await;
    execute(
        &url,
        "UPDATE _better_auth_migrations SET success = FALSE WHERE version = 19; \
         DELETE FROM _better_auth_migrations WHERE version > 19",
    )
    .await;
    let before = contents(&url).await;
    let words = "another program has recorded migration 19 as begun and not done";
    for arguments in [&["migrate"][..], &["migrate", "--sql"], &["status"]] {
        run(&url, arguments).with_code(1).refused(words);
    }
    let check = run(&url, &["check"]).with_code(1).out;
    assert!(check.contains(words), "{check}");
    assert!(!check.contains("19 has not run"), "{check}");
    assert_eq!(contents(&url).await, before);
    // As it says.
    execute(
        &url,
        "DELETE FROM _better_auth_migrations WHERE version = 19",
    )
    .await;
    run(&url, &["migrate"]).with_code(0);
    run(&url, &["check"]).with_code(0);
}
