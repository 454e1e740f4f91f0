//! A PostgreSQL server of a test's own, from the machine's binaries, which may be stopped, killed and starved. Linux only.

use std::fs::{self, File};
use std::net::TcpListener;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::atomic::{AtomicU16, Ordering};
use std::thread::sleep;
use std::time::{Duration, Instant};

/// Below the ports that the kernel gives to clients: one of those could connect to itself while the server is down.
const PORTS: std::ops::Range<u16> = 15_000..32_000;
const PAUSE: Duration = Duration::from_millis(20);
const LONGEST_WAIT: Duration = Duration::from_secs(60);

/// How a server may be told to stop.
#[derive(Clone, Copy, Debug)]
pub enum Stop {
    /// Ends all sessions in order.
    Fast,
    /// Leaves everything to the recovery at the next start.
    Immediate,
    /// `kill -9` of the postmaster, which its children notice and follow.
    Killed,
}

/// Runs until it is dropped, with its data folder on the disk and fsync on.
pub struct Server {
    binaries: PathBuf,
    directory: PathBuf,
    port: u16,
    settings: Vec<&'static str>,
    postmaster: Child,
}

impl Server {
    /// A fresh server with the database and the user `app`, and the superuser `postgres`.
    pub fn start(settings: &[&'static str]) -> Self {
        let directory = new_directory();
        let (binaries, data) = (server_binaries(), directory.join("data"));
        run(as_owner(&binaries.join("initdb"))
            .args(["--username=postgres", "--auth=trust", "--encoding=UTF8"])
            .args(["--no-locale", "--no-sync", "--wal-segsize=1", "--pgdata"])
            .arg(data));
        let server = Self::launch(binaries, directory, settings.to_vec());
        for (tool, arguments) in [
            ("createuser", &["app"][..]),
            ("createdb", &["--owner=app", "app"]),
        ] {
            run(as_owner(&installed_binaries().join(tool))
                .args(["--host=127.0.0.1", "--username=postgres"])
                .arg(format!("--port={}", server.port))
                .args(arguments));
        }
        server
    }

    /// A streaming standby, `standby` in `synchronous_standby_names`, on a replication slot of its own.
    pub fn standby(&self) -> Self {
        let directory = new_directory();
        run(as_owner(&self.binaries.join("pg_basebackup"))
            .args(["-R", "-C", "-S", "standby", "-X", "stream", "--no-sync"])
            .args(["--checkpoint=fast", "-D"])
            .arg(directory.join("data"))
            .arg("-d")
            .arg(format!(
                "host=127.0.0.1 port={} user=postgres application_name=standby",
                self.port
            )));
        Self::launch(self.binaries.clone(), directory, self.settings.clone())
    }

    fn launch(binaries: PathBuf, directory: PathBuf, settings: Vec<&'static str>) -> Self {
        let port = free_port();
        let postmaster = postmaster(&binaries, &directory, port, &settings);
        let mut server = Self {
            binaries,
            directory,
            port,
            settings,
            postmaster,
        };
        server.until_ready();
        server
    }

    pub fn port(&self) -> u16 {
        self.port
    }

    /// The URL of the application's user.
    pub fn url(&self) -> String {
        format!("postgresql://app@127.0.0.1:{}/app", self.port)
    }

    /// The URL of someone who may do everything.
    pub fn superuser_url(&self) -> String {
        format!("postgresql://postgres@127.0.0.1:{}/app", self.port)
    }

    /// Stops the server and waits until all its processes are gone.
    pub fn stop(&mut self, stop: Stop) {
        let children = self.children();
        send_signal(
            match stop {
                Stop::Fast => "INT",
                Stop::Immediate => "QUIT",
                Stop::Killed => "KILL",
            },
            &[self.postmaster.id()],
        );
        self.postmaster.wait().unwrap();
        wait_until("the children are gone", || {
            !children.iter().any(|&pid| is_running(pid))
        });
    }

    /// Starts a server that was stopped and waits until it takes connections, so until it has recovered.
    pub fn start_again(&mut self) {
        self.postmaster = postmaster(&self.binaries, &self.directory, self.port, &self.settings);
        self.until_ready();
    }

    pub fn promote(&self) {
        run(as_owner(&self.binaries.join("pg_ctl"))
            .args(["promote", "--wait", "--pgdata"])
            .arg(self.directory.join("data")));
    }

    /// Sends a signal, such as `STOP`, to one process of the server's.
    pub fn signal(&self, signal: &str, pid: u32) {
        let own = pid == self.postmaster.id() || self.children().contains(&pid);
        assert!(own, "{pid} is no process of the server's");
        send_signal(signal, &[pid]);
    }

    /// Sends a signal to all processes of the server's, to the postmaster first.
    pub fn signal_all(&self, signal: &str) {
        send_signal(signal, &[self.postmaster.id()]);
        send_signal(signal, &self.children());
    }

    /// Has every `write` beyond so many bytes of a file fall short, as it does on a full disk; `None` ends that.
    pub fn limit_file_size(&self, bytes: Option<u64>) {
        let limit = bytes.map_or("unlimited".to_owned(), |bytes| bytes.to_string());
        // The postmaster first: its children inherit the limit.
        for pid in [self.postmaster.id()].into_iter().chain(self.children()) {
            // A child may be gone by now.
            let _ = as_owner(Path::new("prlimit"))
                .arg(format!("--pid={pid}"))
                .arg(format!("--fsize={limit}:unlimited"))
                .output()
                .unwrap();
        }
    }

    fn until_ready(&mut self) {
        let begun = Instant::now();
        let mut is_ready = as_owner(&installed_binaries().join("pg_isready"));
        is_ready
            .args(["--host=127.0.0.1", "--quiet"])
            .arg(format!("--port={}", self.port));
        while !is_ready.status().unwrap().success() {
            let waited = begun.elapsed();
            assert!(
                waited < LONGEST_WAIT,
                "the server does not start: {}",
                self.log()
            );
            // The last of a killed server's processes may still hold its memory.
            if self.postmaster.try_wait().unwrap().is_some() {
                self.postmaster =
                    postmaster(&self.binaries, &self.directory, self.port, &self.settings);
            }
            sleep(PAUSE);
        }
    }

    fn children(&self) -> Vec<u32> {
        let parent = self.postmaster.id().to_string();
        let processes = fs::read_dir("/proc").unwrap().flatten();
        processes
            .filter_map(|process| process.file_name().to_str()?.parse().ok())
            .filter(|&pid| state_and_parent(pid).is_some_and(|(_, its)| its == parent))
            .collect()
    }

    /// What a killed server that was not started again has left behind.
    fn remove_shared_memory(&self) {
        let pid_file = fs::read_to_string(self.directory.join("data/postmaster.pid"));
        let memory = pid_file.ok().and_then(|lines| {
            let key_and_id = lines.lines().nth(6)?;
            key_and_id.split_whitespace().nth(1).map(str::to_owned)
        });
        if let Some(id) = memory {
            let _ = as_owner(Path::new("ipcrm")).args(["-m", &id]).output();
        }
    }

    fn log(&self) -> String {
        let log = fs::read(self.directory.join("log")).unwrap_or_default();
        String::from_utf8_lossy(&log[log.len().saturating_sub(4000)..]).into_owned()
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        if std::thread::panicking() {
            eprintln!("the end of the server's log:\n{}", self.log());
        }
        if matches!(self.postmaster.try_wait(), Ok(None)) {
            self.signal_all("CONT");
            let children = self.children();
            send_signal("QUIT", &[self.postmaster.id()]);
            let _ = self.postmaster.wait();
            send_signal("KILL", &children);
        }
        self.remove_shared_memory();
        let _ = fs::remove_dir_all(&self.directory);
    }
}

fn postmaster(binaries: &Path, directory: &Path, port: u16, settings: &[&str]) -> Child {
    let log = File::options()
        .create(true)
        .append(true)
        .open(directory.join("log"))
        .unwrap();
    as_owner(&binaries.join("postgres"))
        .arg("-D")
        .arg(directory.join("data"))
        .arg(format!("--port={port}"))
        .args([
            "--listen_addresses=127.0.0.1",
            "--unix_socket_directories=",
            "--fsync=on",
            // In the data folder, which goes with the server.
            "--dynamic_shared_memory_type=mmap",
        ])
        .args(settings.iter().map(|setting| format!("--{setting}")))
        .stdin(Stdio::null())
        .stdout(log.try_clone().unwrap())
        .stderr(log)
        .spawn()
        .unwrap()
}

fn state_and_parent(pid: u32) -> Option<(String, String)> {
    let stat = fs::read_to_string(format!("/proc/{pid}/stat")).ok()?;
    // They follow the command's name, which is in brackets.
    let mut fields = stat.rsplit_once(") ")?.1.split(' ').map(str::to_owned);
    Some((fields.next()?, fields.next()?))
}

/// A zombie is none, and whoever inherits it may take his time.
fn is_running(pid: u32) -> bool {
    state_and_parent(pid).is_some_and(|(state, _)| state != "Z")
}

/// Those of the newest version on this machine.
/// Those of the server. The clients of any release will do.
fn server_binaries() -> PathBuf {
    std::env::var_os("POSTGRES_BINARIES").map_or_else(installed_binaries, Into::into)
}

fn installed_binaries() -> PathBuf {
    let versions = fs::read_dir("/usr/lib/postgresql").into_iter().flatten();
    let newest = versions
        .flatten()
        .map(|version| version.path().join("bin"))
        .filter(|binaries| binaries.join("initdb").exists())
        .max_by_key(|binaries| {
            let version = binaries.parent().and_then(Path::file_name);
            version.and_then(|version| version.to_str()?.parse::<u32>().ok())
        });
    newest
        .or_else(|| {
            let path = std::env::var_os("PATH").unwrap_or_default();
            std::env::split_paths(&path).find(|folder| folder.join("initdb").exists())
        })
        .expect("these tests need PostgreSQL's own binaries: sudo apt-get install --yes postgresql")
}

/// The server refuses to run as root.
fn as_owner(program: &Path) -> Command {
    let id = |arguments: &[&str]| {
        let output = Command::new("id").args(arguments).output().unwrap();
        let id = String::from_utf8(output.stdout).unwrap();
        output.status.success().then(|| id.trim().to_owned())
    };
    let mut command = if id(&["-u"]).as_deref() == Some("0") {
        let owner = ["postgres", "nobody"]
            .into_iter()
            .find(|user| id(&["-u", user]).is_some())
            .unwrap();
        let mut command = Command::new("setpriv");
        command
            .arg(format!("--reuid={owner}"))
            .arg(format!("--regid={}", id(&["-g", owner]).unwrap()))
            .args(["--clear-groups", "--"])
            .arg(program);
        command
    } else {
        Command::new(program)
    };
    // The working folder need not be open to the owner.
    command.current_dir("/");
    command
}

fn new_directory() -> PathBuf {
    static COUNT: AtomicU16 = AtomicU16::new(0);
    let count = COUNT.fetch_add(1, Ordering::Relaxed);
    let name = format!("better-auth-server-{}-{count}", std::process::id());
    let directory = std::env::temp_dir().join(name);
    let _ = fs::remove_dir_all(&directory);
    fs::create_dir(&directory).unwrap();
    // Whoever runs the server has to write there.
    run(Command::new("chmod").arg("777").arg(&directory));
    directory
}

pub fn free_port() -> u16 {
    let first = getrandom::u32().unwrap();
    let mut tried = (0..PORTS.len()).map(|number| {
        let offset = (first as usize + number) % PORTS.len();
        PORTS.start + u16::try_from(offset).unwrap()
    });
    tried
        .find(|&port| TcpListener::bind(("127.0.0.1", port)).is_ok())
        .unwrap()
}

fn send_signal(signal: &str, pids: &[u32]) {
    for pid in pids {
        // The process may be gone by now.
        let _ = as_owner(Path::new("sh"))
            .arg("-c")
            .arg(format!("kill -{signal} {pid}"))
            .output()
            .unwrap();
    }
}

fn run(command: &mut Command) {
    let output = command.output().unwrap();
    assert!(output.status.success(), "{command:?}: {output:?}");
}

fn wait_until(what: &str, condition: impl Fn() -> bool) {
    let begun = Instant::now();
    while !condition() {
        assert!(begun.elapsed() < LONGEST_WAIT, "never: {what}");
        sleep(PAUSE);
    }
}
