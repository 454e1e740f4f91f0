//! `pgbench`, PostgreSQL's own load generator, as a contender.

use std::path::{Path, PathBuf};
use std::time::Duration;

use async_trait::async_trait;
use tokio::process::Command;

use crate::Result;
use crate::contenders::lookup_sql;
use crate::data::{DIGEST_PREFIX, Size, TOKEN_DIGITS, TOKEN_PREFIX};
use crate::load::{Contender, Latencies, Round};
use crate::server::Server;

/// PostgreSQL's own load generator, with the same join as a prepared statement. It decodes nothing.
pub struct Pgbench {
    program: PathBuf,
    url: String,
    script: PathBuf,
}

impl Pgbench {
    pub fn new(server: &Server, name: &str, size: Size, output: &Path) -> Result<Self> {
        let script = output.join("lookup.pgbench.sql");
        let last = size.sessions - 1;
        let sql = lookup_sql()?
            .replace("$1", &format!("'{TOKEN_PREFIX}' || :digits::text"))
            .replace("$2", &format!("'{DIGEST_PREFIX}' || :digits::text"));
        std::fs::write(
            &script,
            format!("\\set i random(0, {last})\n\\set digits {TOKEN_DIGITS}\n{sql};\n"),
        )?;
        Ok(Self {
            program: server.binary("pgbench"),
            url: server.url(name),
            script,
        })
    }

    async fn per_second(&self, clients: usize, length: Duration) -> Result<f64> {
        let seconds = length.as_secs().max(1).to_string();
        let output = Command::new(&self.program)
            .args(["--no-vacuum", "--protocol=prepared", "--time", &seconds])
            .args(["--client", &clients.to_string()])
            .args(["--jobs", &clients.min(2).to_string()])
            .arg("--file")
            .arg(&self.script)
            .arg(&self.url)
            .output()
            .await?;
        let text = String::from_utf8_lossy(&output.stdout);
        let tps = text.lines().find_map(|line| {
            let rest = line.strip_prefix("tps = ")?;
            rest.split(' ').next()?.parse().ok()
        });
        tps.ok_or_else(|| String::from_utf8_lossy(&output.stderr).into())
    }
}

impl Drop for Pgbench {
    fn drop(&mut self) {
        let _ = std::fs::remove_file(&self.script);
    }
}

#[async_trait]
impl Contender for Pgbench {
    /// The best of three numbers of clients, whatever the number of callers.
    async fn round(&self, _: usize, length: Duration) -> Result<Round> {
        let mut best = 0.0;
        for clients in [1, 8, 64] {
            best = f64::max(best, self.per_second(clients, length).await?);
        }
        Ok(Round {
            per_second: best,
            latencies: Latencies::default(),
        })
    }
}
