//! Help, completions, pipes and signals.

use std::process::Stdio;

use crate::databases::{execute, migrated};
use crate::program::{Running, command, run};

#[test]
fn help_shows_examples_and_exit_codes() {
    let help = run("", &["--help"]).with_code(0);
    for words in [
        "Exit codes:",
        "Examples:",
        "normalize-names",
        "DATABASE_URL",
        "--json",
    ] {
        assert!(help.out.contains(words), "{words}: {}", help.out);
    }
    for arguments in [
        &["migrate"][..],
        &["status"],
        &["check"],
        &["doctor"],
        &["clean-up"],
        &["hash-tokens"],
        &["normalize-names"],
        &["users", "list"],
        &["users", "show"],
        &["users", "ban"],
        &["users", "unban"],
        &["users", "delete"],
        &["sessions", "list"],
        &["sessions", "revoke"],
        &["completions"],
    ] {
        let arguments: Vec<&str> = arguments.iter().copied().chain(["--help"]).collect();
        let help = run("", &arguments).with_code(0);
        assert!(
            help.out.contains("Examples:"),
            "{arguments:?}: {}",
            help.out
        );
    }
    let version = run("", &["--version"]).with_code(0);
    assert_eq!(
        version.out,
        format!("better-auth {}\n", env!("CARGO_PKG_VERSION"))
    );
}

#[test]
fn wrong_usage_is_2() {
    for arguments in [
        &[][..],
        &["frobnicate"],
        &["migrate", "--sql", "--dry-run"],
        &["users"],
        &["users", "list", "--limit", "0"],
        &["users", "list", "--banned", "--not-banned"],
        &["users", "ban", "ada", "--until", "tomorrow"],
        &["sessions", "revoke", "ada"],
        &["sessions", "revoke", "ada", "1", "--all"],
        &["completions", "cobol"],
    ] {
        let usage = run("", arguments).with_code(2);
        assert_eq!(usage.out, "", "{arguments:?}");
        assert!(!usage.err.is_empty(), "{arguments:?}");
    }
}

#[test]
fn completions_know_the_commands() {
    for shell in ["bash", "elvish", "fish", "powershell", "zsh"] {
        let script = run("", &["completions", shell]).with_code(0);
        assert!(script.out.contains("normalize-names"), "{shell}");
        let json = run("", &["completions", shell, "--json"])
            .with_code(0)
            .json();
        assert_eq!(json["shell"], shell);
        assert_eq!(
            json["script"].as_str().unwrap().trim_end(),
            script.out.trim_end()
        );
    }
}

/// A reader that has seen enough closes the pipe.
#[tokio::test]
async fn a_closed_pipe_is_no_error() {
    let (url, database) = migrated("pipe").await;
    database.close().await;
    execute(
        &url,
        "INSERT INTO users (id, name) SELECT i, repeat('x', 100) FROM generate_series(1, 3000) AS i",
    )
    .await;
    for arguments in [
        &["users", "list", "--all"][..],
        &["users", "list", "--all", "--json"],
        &["migrate", "--help"],
        &["completions", "bash"],
    ] {
        let mut command = command(&url, arguments);
        let command = command.stdout(Stdio::piped()).stderr(Stdio::piped());
        let mut child = command.spawn().unwrap();
        drop(child.stdout.take());
        let ended = child.wait_with_output().unwrap();
        let err = String::from_utf8(ended.stderr).unwrap();
        assert_eq!((ended.status.code(), &*err), (Some(0), ""), "{arguments:?}");
    }
}

/// The second signal does not wait for the end of the batch.
#[tokio::test]
async fn a_second_signal_ends_the_program_at_once() {
    let (url, database) = migrated("second").await;
    database.close().await;
    execute(
        &url,
        "INSERT INTO verifications (id, identifier, value, expires_at) VALUES ('v', 'i', 'x', now()); \
         CREATE FUNCTION stuck() RETURNS TRIGGER LANGUAGE plpgsql AS $$ BEGIN PERFORM pg_sleep(600); RETURN OLD; END $$; \
         CREATE TRIGGER stuck BEFORE DELETE ON verifications FOR EACH ROW EXECUTE FUNCTION stuck()",
    )
    .await;
    let mut running = Running::start(&url, &["clean-up"]);
    running.wait_for("removing expired verifications");
    running.signal("-INT");
    running.wait_for("stopping at the end of this batch");
    running.signal("-INT");
    running.end().with_code(1);
}
