//! The PostgreSQL server that figures are measured on.

use std::env;
use std::path::{Path, PathBuf};

use sqlx::{AssertSqlSafe, Connection as _, PgConnection};

use crate::Result;

/// The PostgreSQL server that `run.sh` has started for this run.
pub struct Server {
    address: String,
    binaries: PathBuf,
    peer_migrations: PathBuf,
}

impl Server {
    pub fn of_environment() -> Result<Self> {
        let variable = |name| env::var(name).map_err(|_| format!("{name} is not set; use run.sh"));
        Ok(Self {
            address: variable("PEERS_SERVER")?,
            binaries: variable("PEERS_BINARIES")?.into(),
            peer_migrations: variable("PEERS_MIGRATIONS")?.into(),
        })
    }

    pub fn url(&self, database: &str) -> String {
        format!("{}/{database}", self.address)
    }

    pub fn binary(&self, name: &str) -> PathBuf {
        self.binaries.join(name)
    }

    pub async fn connect(&self, database: &str) -> Result<PgConnection> {
        Ok(PgConnection::connect(&self.url(database)).await?)
    }

    /// An empty database. Its commits wait for no disk, as those of sessions need not.
    pub async fn create_database(&self, name: &str) -> Result<()> {
        let mut connection = self.connect("postgres").await?;
        for statement in [
            format!("CREATE DATABASE {name}"),
            format!("ALTER DATABASE {name} SET synchronous_commit = off"),
        ] {
            execute(&mut connection, statement).await?;
        }
        Ok(())
    }

    /// The statements that better-auth 0.9 ships for setting up its database.
    pub fn peer_migrations(&self) -> Result<Vec<String>> {
        let mut files = paths(&self.peer_migrations)?;
        files.sort();
        let contents = files.into_iter().map(std::fs::read_to_string);
        Ok(contents.collect::<std::io::Result<_>>()?)
    }
}

pub async fn execute(connection: &mut PgConnection, statements: String) -> Result<()> {
    sqlx::raw_sql(AssertSqlSafe(statements))
        .execute(connection)
        .await?;
    Ok(())
}

pub fn paths(directory: &Path) -> Result<Vec<PathBuf>> {
    let entries = std::fs::read_dir(directory)?;
    Ok(entries
        .map(|entry| entry.map(|entry| entry.path()))
        .collect::<std::io::Result<_>>()?)
}
