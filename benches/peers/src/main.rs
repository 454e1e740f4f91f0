//! What `better-auth` costs: beside its peers, as tables grow, and while much is deleted. See README.md.

use std::error::Error;
use std::path::PathBuf;

mod chart;
mod contenders;
mod credentials;
mod data;
mod delete;
mod facts;
mod load;
mod memory;
mod options;
mod organization_races;
mod organizations;
mod pgbench;
mod report;
mod scale;
mod server;
mod session_cache;
mod sessions;
mod shared;
mod table;

use options::Options;

type Result<T> = std::result::Result<T, Box<dyn Error + Send + Sync>>;

/// As many threads as the targets speak of, for every contender.
#[tokio::main(worker_threads = 2)]
async fn main() -> Result<()> {
    let mut arguments = std::env::args().skip(1);
    let command = arguments.next().unwrap_or_default();
    let mut options = Options::parse(arguments)?;
    let output: PathBuf = options.take("output", "docs/performance".into())?;
    std::fs::create_dir_all(&output)?;
    let server = server::Server::of_environment()?;
    match command.as_str() {
        "table" => table::run(&server, options, &output).await,
        "scale" => scale::run(&server, options, &output).await,
        "delete" => delete::run(&server, options, &output).await,
        "shared" => shared::run(&server, options, &output).await,
        "sessions" => sessions::run(&server, options, &output).await,
        "cache" => session_cache::run(&server, options, &output).await,
        "organizations" => organizations::run(&server, options, &output).await,
        "credentials" => credentials::run(&server, options, &output).await,
        _ => Err(
            "usage: run.sh table|scale|delete|shared|sessions|cache|organizations|credentials [--OPTION VALUE]…"
                .into(),
        ),
    }
}
