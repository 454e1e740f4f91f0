//! What the program is called with.

use std::env;
use std::io::{self, Write as _};
use std::process::ExitCode;

use clap::error::ErrorKind;
use clap::{Args, Parser, Subcommand};
use clap_complete::Shell;

use crate::output::{
    after_writing, print_error, print_message, shown, without_secrets, write_line,
};
use crate::{import, migrate, sessions, users};

const LONG_ABOUT: &str = "Migrates, checks and repairs the PostgreSQL database of better-auth, and administrates its \
users and sessions.

The database is named by --database-url or by the environment variable DATABASE_URL, as in \
postgresql://user@localhost:5432/mydb. A password that the URL leaves out comes from PGPASSWORD or from the file \
.pgpass (PGPASSFILE), and the schema can be chosen with ?options=-c%20search_path%3Dauth. The program never prints \
the URL or the password. Encrypted connections work as with psql (?sslmode=require, ?sslmode=verify-full).";

const AFTER_HELP: &str = "Exit codes:
  0  right: the operation was done, or nothing wrong was found
  1  wrong: the operation failed or was stopped, or something wrong was found
  2  could not be asked: wrong usage, a wrong URL, no server, or no permission to connect

Examples:
  better-auth status                        is the schema up to date?
  better-auth migrate                       bring it up to date
  better-auth migrate --sql >migrate.sql    as a script for psql instead
  better-auth check --json | jq .ok         is anything wrong with the database?
  better-auth users ban ada@example.com --reason spam
  better-auth sessions revoke ada@example.com --all";

/// The whole command line.
#[derive(Parser)]
#[command(
    name = "better-auth",
    version,
    about = "Operates a better-auth database on PostgreSQL",
    long_about = LONG_ABOUT,
    after_long_help = AFTER_HELP,
    max_term_width = 100
)]
pub(crate) struct Arguments {
    #[command(flatten)]
    pub(crate) global: Global,
    #[command(subcommand)]
    pub(crate) command: Command,
}

/// What every command takes.
#[derive(Args)]
pub(crate) struct Global {
    /// The database, as in postgresql://user@localhost:5432/mydb
    ///
    /// Prefer the environment variable: other users of the machine can see the arguments of a program.
    #[arg(
        long,
        value_name = "URL",
        env = "DATABASE_URL",
        hide_env_values = true,
        global = true
    )]
    pub(crate) database_url: Option<String>,
    /// Print one JSON document
    ///
    /// It is printed to standard output whatever happens. If the command failed, it is
    /// {"error": {"kind": …, "message": …}}.
    #[arg(long, global = true)]
    pub(crate) json: bool,
    /// Show no progress
    #[arg(long, short, global = true)]
    pub(crate) quiet: bool,
}

#[derive(Subcommand)]
pub(crate) enum Command {
    Migrate(migrate::Options),
    /// Say whether the schema is up to date
    ///
    /// Exits with 1 if a migration is missing. If a newer version of better-auth has applied migrations that this version does
    /// not know, it says how many. Most leave this version working, which ignores them, and the exit code stays 0. One whose
    /// description begins with "breaking" does not: `status` and `migrate` then exit with 1, the application does not start,
    /// and this program and the application have to be updated. Changes nothing.
    #[command(after_long_help = "Examples:
  better-auth status
  better-auth status --json | jq -r '.pending[].description'")]
    Status,
    /// Check the database: schema, pooler, row level security, indexes and names
    ///
    /// Compares the schema with what the statements need, finds a pooler that mixes up prepared statements, row level
    /// security that hides rows, indexes that cost time for nothing, and emails and usernames in a form that no lookup
    /// finds. It reads all users, and changes nothing. Exits with 1 if something is wrong.
    #[command(after_long_help = "Examples:
  better-auth check
  better-auth check --json | jq -r '.findings[] | select(.state == \"wrong\") | .message'")]
    Check,
    /// Check everything, and give advice about the server and the configuration
    ///
    /// Does what `check` does, and looks at the server: its release, its clock, encryption, connections and isolation.
    /// Advice alone does not make the exit code 1.
    #[command(after_long_help = "Examples:
  better-auth doctor
  better-auth doctor --json >doctor.json")]
    Doctor,
    /// Remove expired sessions and verifications
    ///
    /// Works in batches of 1,000 while traffic goes on. Ctrl-C stops between two batches; call it again to go on. If
    /// another instance removes the same kind of rows at the moment, they are left to it.
    #[command(after_long_help = "Examples:
  better-auth clean-up
  better-auth clean-up --quiet --json        from cron")]
    CleanUp,
    /// Hash the session tokens that are stored as they are
    ///
    /// Call it once every instance of the application has `hash_session_tokens(true)`. Works in batches of 1,000 while
    /// traffic goes on: every session stays open. Ctrl-C stops between two batches; call it again to go on.
    #[command(after_long_help = "Examples:
  better-auth hash-tokens
  better-auth check --json | jq .plainSessionTokens        is any left?")]
    HashTokens,
    /// Bring emails and usernames that another program stored into the form that lookups use
    ///
    /// Names whose normal form another user has, or that are not valid, are left and listed, and the exit code is 1: a
    /// person has to decide about them. Ctrl-C stops between two batches of users; call it again to go on.
    #[command(after_long_help = "Examples:
  better-auth normalize-names
  better-auth normalize-names --json | jq '.skipped'")]
    NormalizeNames,
    Import(import::Options),
    /// List, show, ban and delete users
    #[command(subcommand)]
    Users(users::Command),
    /// List and revoke the sessions of a user
    #[command(subcommand)]
    Sessions(sessions::Command),
    /// Print a script that completes commands and options in a shell
    #[command(after_long_help = "Examples:
  better-auth completions bash >/etc/bash_completion.d/better-auth
  better-auth completions zsh >~/.zfunc/_better-auth
  better-auth completions fish >~/.config/fish/completions/better-auth.fish")]
    Completions {
        /// The shell
        shell: Shell,
    },
}

impl Arguments {
    /// The arguments, or the exit code if help was asked for or they are wrong.
    pub(crate) fn read() -> Result<Self, ExitCode> {
        Self::try_parse().map_err(|error| {
            let text = error.render();
            if !error.use_stderr() {
                return after_writing(write_line(text.to_string().trim_end()), 0);
            }
            // A password may be in an argument that is in the wrong place.
            let arguments =
                || env::args_os().map(|argument| argument.to_string_lossy().into_owned());
            let text = without_secrets(&text.to_string(), arguments());
            let text = text.lines().map(shown).collect::<Vec<_>>().join("\n");
            let is_json = arguments().any(|argument| argument == "--json");
            // What is wrong with a value, a line can say; otherwise the usage is needed.
            if matches!(
                error.kind(),
                ErrorKind::ValueValidation | ErrorKind::InvalidValue
            ) {
                let line = text.lines().take_while(|line| !line.is_empty());
                let line = line.map(str::trim).collect::<Vec<_>>().join(" ");
                let line = line.trim_start_matches("error: ");
                if is_json {
                    print_error("Usage", line);
                }
                print_message(line);
                return ExitCode::from(2);
            }
            if is_json {
                print_error("Usage", text.trim_end());
            }
            // Without a reader there is no one to tell.
            let _ = writeln!(io::stderr(), "{text}");
            ExitCode::from(2)
        })
    }
}
