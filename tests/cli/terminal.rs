//! Help, completions, pipes and signals.

use std::process::Stdio;

use crate::databases::{execute, fresh, migrated};
use crate::program::{Run, Running, command, run};

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

/// What cannot be written is not there, so that nothing is right.
#[cfg(target_os = "linux")]
#[tokio::test]
async fn a_full_disk_is_1() {
    let (url, database) = migrated("full").await;
    database.close().await;
    for arguments in [
        &["migrate", "--sql"][..],
        &["status"],
        &["status", "--json"],
        &["users", "list"],
        &["users", "list", "--json"],
        &["completions", "bash"],
        &["--help"],
        &["--version"],
    ] {
        let full = std::fs::OpenOptions::new().write(true).open("/dev/full");
        let mut command = command(&url, arguments);
        let command = command.stdout(full.unwrap()).stderr(Stdio::piped());
        let ended = command.spawn().unwrap().wait_with_output().unwrap();
        let run = Run {
            code: ended.status.code(),
            out: String::new(),
            err: String::from_utf8(ended.stderr).unwrap(),
        };
        run.with_code(1).refused("cannot be written");
    }
}

/// Names that somebody else has chosen, as text and as JSON.
#[tokio::test]
async fn stored_names_do_not_control_the_terminal() {
    let url = fresh("names").await;
    let marks = "\u{7f}\u{9b}31m\u{61c}\u{200e}\u{200f}\u{2028}\u{2029}\u{202e}\u{2066}";
    execute(
        &url,
        &format!("CREATE SCHEMA \"a{marks}\"; ALTER DATABASE cli_test_names SET search_path = \"a{marks}\""),
    )
    .await;
    let harmless = |arguments: &[&str]| {
        let run = run(&url, arguments);
        let is_harmless = |it: char| {
            it == '\n' || (!it.is_control() && !marks.contains(it)) || it.is_ascii_digit()
        };
        assert!(
            run.out.chars().all(|it| is_harmless(it) || it == 'm'),
            "{arguments:?}: {:?}",
            run.out
        );
        run.with_code(i32::from(arguments[0] == "status"))
    };
    let plan = harmless(&["migrate", "--dry-run"]);
    assert!(
        plan.out.contains("in schema a\\u{7f}\\u{9b}31m"),
        "{}",
        plan.out
    );
    harmless(&["status"]);
    for arguments in [
        &["migrate", "--dry-run", "--json"][..],
        &["status", "--json"],
        &["migrate", "--sql", "--json"],
    ] {
        let json = harmless(arguments).json();
        let schema = json["schema"].as_str().unwrap().to_owned();
        assert_eq!(schema, format!("a{marks}"), "{arguments:?}");
    }
    run(&url, &["migrate"]).with_code(0);
    harmless(&["migrate", "--dry-run"]);
    execute(
        &url,
        &format!("INSERT INTO users (id, name) VALUES ('1', 'a{marks}')"),
    )
    .await;
    harmless(&["users", "list"]);
    let listed = harmless(&["users", "list", "--json"]).json();
    assert_eq!(listed["users"][0]["name"], format!("a{marks}"));
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
