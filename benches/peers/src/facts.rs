//! The machine, the server and the versions that figures were measured with.

use std::fmt::Write as _;
use std::fs;
use std::process::Command;

use chrono::Utc;

use crate::Result;
use crate::server::Server;

/// The machine, the server and the versions that figures were measured with, as a list in Markdown.
pub async fn facts(server: &Server) -> Result<String> {
    let cpu = field("/proc/cpuinfo", "model name");
    let cores = std::thread::available_parallelism()?;
    let memory = field("/proc/meminfo", "MemTotal");
    let kilobytes: u64 = memory.trim_end_matches(" kB").parse().unwrap_or_default();
    let kernel = fs::read_to_string("/proc/sys/kernel/osrelease").unwrap_or_default();
    let changes = if command(
        "git",
        &["status", "--porcelain", "--", ".", ":!docs/performance"],
    )
    .is_empty()
    {
        ""
    } else {
        " with changes"
    };
    let mut list = String::new();
    for (what, value) in [
        (
            "Machine",
            format!("{cpu}, {cores} cores, {} GB", kilobytes >> 20),
        ),
        ("Kernel", kernel.trim().to_owned()),
        ("PostgreSQL", settings(server).await?),
        ("Compiler", command("rustc", &["--version"])),
        (
            "Commit",
            command("git", &["rev-parse", "--short", "HEAD"]) + changes,
        ),
        ("Date", Utc::now().date_naive().to_string()),
    ] {
        writeln!(list, "- {what}: {value}")?;
    }
    Ok(list)
}

/// The version and what the command line sets that may change a figure.
async fn settings(server: &Server) -> Result<String> {
    let mut connection = server.connect("postgres").await?;
    let settings: (String, String) = sqlx::query_as(
        "SELECT current_setting('server_version'), \
         string_agg(name || ' = ' || current_setting(name), ', ' ORDER BY name) \
         FROM pg_settings WHERE source = 'command line' \
         AND name NOT IN ('listen_addresses', 'port', 'unix_socket_directories')",
    )
    .fetch_one(&mut connection)
    .await?;
    let (version, settings) = settings;
    Ok(format!("{version}, over loopback TCP; {settings}"))
}

fn field(file: &str, name: &str) -> String {
    let text = fs::read_to_string(file).unwrap_or_default();
    let line = text.lines().find(|line| line.starts_with(name));
    let value = line.and_then(|line| line.split_once(':'));
    value
        .map_or("unknown", |(_, value)| value.trim())
        .to_owned()
}

fn command(program: &str, arguments: &[&str]) -> String {
    let output = Command::new(program).args(arguments).output();
    let output = output.map(|output| output.stdout).unwrap_or_default();
    String::from_utf8_lossy(&output).trim().to_owned()
}
