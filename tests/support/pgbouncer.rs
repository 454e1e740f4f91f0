//! A PgBouncer of a test's own before the test's server. Linux only.

use std::net::TcpStream;
use std::os::unix::fs::MetadataExt as _;
use std::process::{Child, Command, Stdio};
use std::thread::sleep;
use std::time::{Duration, Instant};

use sqlx::PgPool;

use super::server::free_port;

const LONGEST_START: Duration = Duration::from_secs(30);

/// Runs until it is dropped, and takes its connections to the server with it.
pub struct PgBouncer {
    process: Child,
    directory: std::path::PathBuf,
    port: u16,
}

impl PgBouncer {
    /// The program of the environment variable `PGBOUNCER`, or the machine's, with its stock configuration but for
    /// `settings`, before the server of the pool.
    pub fn start(pool: &PgPool, settings: &[&str]) -> Self {
        let url = super::url(pool);
        let (login, _) = url.split_once("://").unwrap().1.split_once('@').unwrap();
        let (user, password) = login.split_once(':').unwrap();
        let options = pool.connect_options();
        let (host, server_port) = (options.get_host(), options.get_port());
        let port = free_port();
        let directory =
            std::env::temp_dir().join(format!("pgbouncer-{}-{port}", std::process::id()));
        std::fs::create_dir(&directory).unwrap();
        let configuration = directory.join("pgbouncer.ini");
        let settings = settings.join("\n");
        let text = format!(
            "[databases]\n* = host={host} port={server_port} user={user} password={password}\n\
             [pgbouncer]\nlisten_addr = 127.0.0.1\nlisten_port = {port}\nauth_type = any\nunix_socket_dir =\n{settings}\n"
        );
        std::fs::write(&configuration, text).unwrap();
        let program = std::env::var("PGBOUNCER").unwrap_or_else(|_| "pgbouncer".to_owned());
        let mut command = Command::new(program);
        // It refuses to run as root.
        if std::fs::metadata("/proc/self").unwrap().uid() == 0 {
            command.arg("--user=nobody");
        }
        let process = command
            .arg(configuration)
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .spawn()
            .expect("PgBouncer is missing: sudo apt-get install --yes pgbouncer");
        let mut pgbouncer = Self {
            process,
            directory,
            port,
        };
        let begun = Instant::now();
        while TcpStream::connect(("127.0.0.1", port)).is_err() {
            let ended = pgbouncer.process.try_wait().unwrap();
            assert!(ended.is_none(), "PgBouncer does not start: {ended:?}");
            assert!(begun.elapsed() < LONGEST_START, "PgBouncer is mute");
            sleep(Duration::from_millis(5));
        }
        pgbouncer
    }

    /// The URL of the pool's database through this.
    pub fn url(&self, pool: &PgPool) -> String {
        let options = pool.connect_options();
        let (user, database) = (options.get_username(), options.get_database().unwrap());
        format!("postgresql://{user}@127.0.0.1:{}/{database}", self.port)
    }
}

impl Drop for PgBouncer {
    fn drop(&mut self) {
        // Both fail only where it is gone already.
        let _ = self.process.kill();
        let _ = self.process.wait();
        let _ = std::fs::remove_dir_all(&self.directory);
    }
}
