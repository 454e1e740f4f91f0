//! What the environment decides.

use std::env;
use std::net::SocketAddr;
use std::path::PathBuf;

use crate::secrets;

/// The configuration of a process.
#[derive(Clone)]
pub struct Config {
    /// Where the application listens.
    pub listen: SocketAddr,
    /// Where metrics are served, for the monitoring and not for the world. `None`: nowhere.
    pub metrics_listen: Option<SocketAddr>,
    /// What browsers see: scheme, host and port, without a slash at the end.
    pub base_url: String,
    /// PostgreSQL. `None`: everything is in memory.
    pub database_url: Option<String>,
    /// Encrypts and signs. Everything that is signed or encrypted becomes void if it changes.
    pub secret: String,
    /// Mails are written into this folder.
    pub mail_folder: PathBuf,
    /// Who proves this address becomes an administrator.
    pub administrator: Option<String>,
    /// Whether a proxy that sets `X-Forwarded-For` stands in front of the application.
    pub behind_proxy: bool,
}

impl Config {
    /// Reads the environment.
    ///
    /// # Errors
    ///
    /// What is wrong, for whoever starts the process.
    pub fn from_environment() -> Result<Self, String> {
        let listen = address("LISTEN", Some("127.0.0.1:3000"))?.expect("it has a default");
        let database_url = variable("DATABASE_URL");
        let config = Self {
            base_url: variable("BASE_URL")
                .unwrap_or_else(|| format!("http://localhost:{}", listen.port())),
            secret: match variable("SECRET") {
                Some(secret) if secret.len() >= 32 => secret,
                Some(_) => {
                    return Err("SECRET is too short: use `openssl rand -base64 32`".to_owned());
                }
                // What memory holds ends with the process, so the secret may end too.
                None if database_url.is_none() => secrets::random_token(),
                None => return Err("SECRET is not set: use `openssl rand -base64 32`".to_owned()),
            },
            database_url,
            listen,
            metrics_listen: address("METRICS_LISTEN", None)?,
            mail_folder: variable("MAIL_FOLDER")
                .unwrap_or_else(|| "mails".to_owned())
                .into(),
            administrator: variable("ADMINISTRATOR"),
            behind_proxy: variable("BEHIND_PROXY").is_some(),
        };
        config.check()?;
        Ok(config)
    }

    /// Whether pages go over plain http, as on a developer's machine. Cookies are not `Secure` then, and the fake provider
    /// of OAuth is there.
    #[must_use]
    pub fn is_development(&self) -> bool {
        self.base_url.starts_with("http://")
    }

    /// Plain http is for this machine alone.
    fn check(&self) -> Result<(), String> {
        let local = ["http://localhost", "http://127.0.0.1"];
        let is_local = local.iter().any(|local| {
            self.base_url
                .strip_prefix(local)
                .is_some_and(|rest| rest.is_empty() || rest.starts_with(':'))
        });
        if self.base_url.starts_with("https://") || is_local {
            return Ok(());
        }
        Err(format!(
            "BASE_URL is {}: use https://, or http://localhost:PORT for development",
            self.base_url
        ))
    }
}

fn variable(name: &str) -> Option<String> {
    env::var(name).ok().filter(|value| !value.is_empty())
}

fn address(name: &str, default: Option<&str>) -> Result<Option<SocketAddr>, String> {
    let text = variable(name).or_else(|| default.map(str::to_owned));
    let parse = |text: String| {
        text.parse()
            .map_err(|_| format!("{name} is {text}: use ADDRESS:PORT"))
    };
    text.map(parse).transpose()
}
