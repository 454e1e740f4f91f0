//! The program `better-auth`: migrates, checks and repairs a database, and administrates users and sessions.

mod arguments;
mod checks;
mod completions;
mod database;
mod doctor;
mod import;
mod live_sessions;
mod maintenance;
mod migrate;
mod output;
mod sessions;
mod table;
mod times;
mod users;
mod watch;

use std::process::ExitCode;

use crate::arguments::{Arguments, Command, Global};
use crate::output::{Answer, Problem};

/// What a command comes to.
type Outcome = Result<Answer, Problem>;

fn main() -> ExitCode {
    let Arguments { global, command } = match Arguments::read() {
        Ok(arguments) => arguments,
        Err(exit_code) => return exit_code,
    };
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build();
    let outcome = match runtime {
        Ok(runtime) => runtime.block_on(run(&global, command)),
        Err(error) => {
            let message = format!("the program cannot start its tasks: {error}");
            Err(Problem::not_asked(message))
        }
    };
    output::print(&outcome, &global)
}

async fn run(global: &Global, command: Command) -> Outcome {
    match command {
        Command::Migrate(options) => migrate::migrate(global, &options).await,
        Command::Import(options) => import::import(global, &options).await,
        Command::Status => checks::status(global).await,
        Command::Check => checks::check(global).await,
        Command::Doctor => doctor::doctor(global).await,
        Command::CleanUp => maintenance::clean_up(global).await,
        Command::HashTokens => maintenance::hash_tokens(global).await,
        Command::NormalizeNames => maintenance::normalize_names(global).await,
        Command::Users(command) => users::run(global, command).await,
        Command::Sessions(command) => sessions::run(global, command).await,
        Command::Completions { shell } => Ok(completions::completions(shell)),
    }
}
