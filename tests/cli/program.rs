//! A run of the program, and what it printed.

use std::io::{BufRead as _, BufReader, Read as _};
use std::process::{Child, Command, Stdio};

use better_auth::serde_json::Value;

/// What a run came to.
pub(crate) struct Run {
    pub(crate) code: Option<i32>,
    pub(crate) out: String,
    pub(crate) err: String,
}

impl Run {
    /// The one document on standard output.
    pub(crate) fn json(&self) -> Value {
        let parsed = better_auth::serde_json::from_str(&self.out);
        parsed.unwrap_or_else(|error| panic!("{error}: {}", self.out))
    }

    /// Asserts the exit code.
    #[track_caller]
    pub(crate) fn with_code(self, code: i32) -> Self {
        assert_eq!(self.code, Some(code), "{}{}", self.out, self.err);
        // Whatever happens, no password is shown.
        for text in [&self.out, &self.err] {
            let text = text.replace("postgresql://user:password@host:5432", "");
            assert!(
                !text.contains("password@") && !text.contains(":password"),
                "{text}"
            );
            assert!(!text.contains("s3cr3t"), "{text}");
        }
        self
    }

    /// Asserts that one clear line on standard error says so.
    #[track_caller]
    pub(crate) fn refused(self, words: &str) -> Self {
        let lines: Vec<_> = self.err.lines().collect();
        assert_eq!(lines.len(), 1, "{}", self.err);
        assert!(lines[0].starts_with("better-auth: "), "{}", self.err);
        assert!(lines[0].contains(words), "{words}: {}", self.err);
        self
    }
}

pub(crate) fn command(url: &str, arguments: &[&str]) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_better-auth"));
    command.args(arguments).env("DATABASE_URL", url);
    command.stdin(Stdio::null());
    // Nothing of the machine's is to fill in what the URL leaves out.
    for variable in [
        "PGPASSWORD",
        "PGPASSFILE",
        "PGHOST",
        "PGUSER",
        "PGDATABASE",
        "PGPORT",
    ] {
        command.env_remove(variable);
    }
    command
}

#[track_caller]
pub(crate) fn finish(mut command: Command) -> Run {
    let output = command.output().unwrap();
    Run {
        code: output.status.code(),
        out: String::from_utf8(output.stdout).unwrap(),
        err: String::from_utf8(output.stderr).unwrap(),
    }
}

#[track_caller]
pub(crate) fn run(url: &str, arguments: &[&str]) -> Run {
    finish(command(url, arguments))
}

/// A program that runs.
pub(crate) struct Running {
    child: Child,
    err: BufReader<std::process::ChildStderr>,
    seen: String,
}

impl Running {
    pub(crate) fn start(url: &str, arguments: &[&str]) -> Self {
        let mut command = command(url, arguments);
        let command = command.stdout(Stdio::piped()).stderr(Stdio::piped());
        let mut child = command.spawn().unwrap();
        let err = BufReader::new(child.stderr.take().unwrap());
        Self {
            child,
            err,
            seen: String::new(),
        }
    }

    /// Waits for a line on standard error.
    pub(crate) fn wait_for(&mut self, words: &str) {
        loop {
            let mut line = String::new();
            assert_ne!(self.err.read_line(&mut line).unwrap(), 0, "{}", self.seen);
            self.seen.push_str(&line);
            if line.contains(words) {
                return;
            }
        }
    }

    pub(crate) fn signal(&self, signal: &str) {
        let id = self.child.id().to_string();
        let sent = Command::new("kill").args([signal, &id]).status().unwrap();
        assert!(sent.success());
    }

    pub(crate) fn end(mut self) -> Run {
        self.err.read_to_string(&mut self.seen).unwrap();
        let output = self.child.wait_with_output().unwrap();
        Run {
            code: output.status.code(),
            out: String::from_utf8(output.stdout).unwrap(),
            err: self.seen,
        }
    }
}
