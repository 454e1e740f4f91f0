//! `migrate` and `status`.

use std::process::{Command, Stdio};

use crate::databases::{contents, execute, fresh, migrated};
use crate::program::run;

#[tokio::test]
async fn a_fresh_database_is_migrated_once() {
    let url = fresh("migrate").await;
    let status = run(&url, &["status", "--json"]).with_code(1).json();
    assert_eq!(status["upToDate"], false);
    assert_eq!(status["pending"].as_array().unwrap().len(), 23);
    assert_eq!(status["pending"][0]["action"], "apply");
    let text = run(&url, &["status"]).with_code(1);
    assert!(text.out.contains("lacks 23"), "{}", text.out);

    let plan = run(&url, &["migrate", "--dry-run"]).with_code(0);
    assert!(
        plan.out.starts_with("23 migrations to do in schema public"),
        "{}",
        plan.out
    );
    let plan = run(&url, &["migrate", "--dry-run", "--json"])
        .with_code(0)
        .json();
    assert_eq!(plan["pending"], status["pending"]);
    assert!(contents(&url).await.is_empty());

    let migrated = run(&url, &["migrate"]).with_code(0);
    assert_eq!(
        migrated.out,
        "the schema is up to date: 23 migrations done\n"
    );
    let lines = migrated
        .err
        .lines()
        .filter(|line| line.contains(" of 23, "));
    assert!(lines.count() >= 23, "{}", migrated.err);
    let again = run(&url, &["migrate", "--json"]).with_code(0);
    assert_eq!(again.err, "");
    assert_eq!(again.json()["applied"], 0);

    let status = run(&url, &["status"]).with_code(0);
    assert_eq!(
        status.out,
        "up to date: schema public has all 23 migrations\n"
    );
    let status = run(&url, &["status", "--json"]).with_code(0).json();
    assert_eq!(
        (&status["upToDate"], &status["applied"]),
        (&true.into(), &23.into())
    );
    let script = run(&url, &["migrate", "--sql"]).with_code(0);
    assert_eq!(script.out, "-- The schema is up to date.\n");
}

/// Tables of better-auth-rs 0.10 that hold names which only a person can mend.
#[tokio::test]
async fn names_that_are_left_are_shown() {
    let url = fresh("names_left").await;
    for sql in [
        include_str!("../support/page.sql"),
        include_str!("../support/organizations_0_10.sql"),
        "INSERT INTO users (id, email) VALUES ('ada', 'ada@example.com')",
        "INSERT INTO organization (id, name, slug) VALUES ('1', 'One', 'One'), ('2', 'Two', 'TWO'), ('3', 'Two', 'two')",
        "INSERT INTO invitation (id, organization_id, email, inviter_id, expires_at) VALUES \
         ('a', '1', 'Grace@Example.com', 'ada', 'infinity'), ('b', '1', 'ÉMILE@example.com', 'ada', 'infinity')",
    ] {
        execute(&url, sql).await;
    }
    let migrated = run(&url, &["migrate"]).with_code(0).out;
    let lines: Vec<_> = migrated.lines().skip(1).collect();
    let slugs = "1 organizations have a slug that lookups do not find, the first are 2: give each another one by its id";
    let addresses = "1 pending invitations name an address that no user has, the first are b: cancel them and invite again";
    assert_eq!(
        lines,
        [format!("left: {slugs}"), format!("left: {addresses}")]
    );
    let check = run(&url, &["check"]).with_code(1).out;
    for line in [
        format!("wrong   slugs: {slugs}"),
        format!("wrong   invitations: {addresses}"),
    ] {
        assert!(check.lines().any(|shown| shown == line), "{check}");
    }
    // As if the migration had been cut off behind the names.
    execute(
        &url,
        "DELETE FROM _better_auth_organizations_migrations WHERE version = 1026",
    )
    .await;
    let again = run(&url, &["migrate", "--quiet", "--json"])
        .with_code(0)
        .json();
    assert_eq!(again["left"]["organizations"]["count"], 1);
    assert_eq!(again["left"]["organizations"]["firstIds"][0], "2");
    assert_eq!(again["left"]["invitations"]["firstIds"][0], "b");
    let done = run(&url, &["migrate"]).with_code(0).out;
    assert_eq!(done, "the schema is up to date\n");
}

#[tokio::test]
async fn quiet_means_no_progress() {
    let url = fresh("quiet").await;
    let migrated = run(&url, &["migrate", "--quiet", "--json"]).with_code(0);
    assert_eq!(migrated.err, "");
    let migrated = migrated.json();
    assert_eq!(migrated["applied"], 23);
    assert_eq!(migrated["left"]["organizations"]["count"], 0);
}

#[tokio::test]
async fn a_script_for_psql_migrates() {
    let url = fresh("script").await;
    let script = run(&url, &["migrate", "--sql"]).with_code(0).out;
    let json = run(&url, &["migrate", "--sql", "--json"])
        .with_code(0)
        .json();
    assert_eq!(json["sql"].as_str().unwrap().trim_end(), script.trim_end());
    assert!(contents(&url).await.is_empty());
    // What would end a long build is lifted, as `migrate` lifts it.
    for limit in [
        "statement_timeout",
        "lock_timeout",
        "transaction_timeout",
        "idle_in_transaction_session_timeout",
        "idle_session_timeout",
    ] {
        assert!(script.contains(&format!("'{limit}'")), "{script}");
    }
    execute(
        &url,
        "ALTER DATABASE cli_test_script SET statement_timeout = '1min'; \
         ALTER DATABASE cli_test_script SET idle_in_transaction_session_timeout = '1min'; \
         ALTER DATABASE cli_test_script SET lock_timeout = '1min'",
    )
    .await;
    let mut psql = Command::new("psql");
    let mut psql = psql
        .args([
            "--no-psqlrc",
            "--quiet",
            "--tuples-only",
            "--no-align",
            &url,
        ])
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .spawn()
        .unwrap();
    let limits = "SELECT current_setting('statement_timeout'), current_setting('lock_timeout'), \
                  current_setting('idle_in_transaction_session_timeout');";
    let script = format!("{script}\n{limits}\n");
    std::io::Write::write_all(&mut psql.stdin.take().unwrap(), script.as_bytes()).unwrap();
    let ran = psql.wait_with_output().unwrap();
    assert!(ran.status.success());
    let out = String::from_utf8(ran.stdout).unwrap();
    assert_eq!(out.trim().lines().last(), Some("0|0|0"), "{out}");
    run(&url, &["status"]).with_code(0);
    let again = run(&url, &["migrate"]).with_code(0);
    assert_eq!(
        (&*again.out, &*again.err),
        ("the schema is up to date\n", "")
    );
    run(&url, &["check"]).with_code(0);
}

#[tokio::test]
async fn a_half_migrated_database_is_said_to_be_one() {
    let (url, database) = migrated("half").await;
    database.close().await;
    execute(
        &url,
        "DROP INDEX users_name_created_at_id_idx; DELETE FROM _better_auth_migrations WHERE version IN (19, 23)",
    )
    .await;
    let before = contents(&url).await;
    let status = run(&url, &["status", "--json"]).with_code(1).json();
    let pending: Vec<_> = status["pending"].as_array().unwrap().iter().collect();
    assert_eq!(pending.len(), 2);
    assert_eq!(pending[0]["version"], 19);
    let check = run(&url, &["check"]).with_code(1);
    assert!(
        check.out.contains("run `better-auth migrate`"),
        "{}",
        check.out
    );
    assert!(check.out.contains("skipped names"), "{}", check.out);
    assert_eq!(contents(&url).await, before);
    run(&url, &["migrate"]).with_code(0);
    run(&url, &["check"]).with_code(0);
}

#[tokio::test]
async fn a_database_of_a_newer_version_is_left_alone() {
    let (url, database) = migrated("newer").await;
    database.close().await;
    execute(
        &url,
        "INSERT INTO _better_auth_migrations VALUES (9998, 'from the future', now(), TRUE, '', 0)",
    )
    .await;
    let status = run(&url, &["status"]).with_code(0);
    assert!(
        status
            .out
            .contains("a newer version has applied 1 migration more"),
        "{}",
        status.out
    );
    let status = run(&url, &["status", "--json"]).with_code(0).json();
    assert_eq!(
        (&status["upToDate"], &status["unknown"]),
        (&true.into(), &1.into())
    );
    run(&url, &["migrate"]).with_code(0);
    execute(
        &url,
        "INSERT INTO _better_auth_migrations VALUES (9999, 'breaking the past', now(), TRUE, '', 0)",
    )
    .await;
    for command in [
        &["status"][..],
        &["migrate"],
        &["migrate", "--sql"],
        &["migrate", "--dry-run"],
    ] {
        run(&url, command).with_code(1).refused("newer version");
    }
    let check = run(&url, &["check", "--json"]).with_code(1).json();
    assert_eq!(check["ok"], false);
}
