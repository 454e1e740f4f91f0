//! Lookups while much is deleted.

use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::mpsc::{Receiver, Sender, channel};
use std::thread::{JoinHandle, sleep, spawn};
use std::time::{Duration, Instant};

use better_auth::adapters::{DatabaseAdapter as _, SqlxAdapter};
use better_auth::types::CreateUser;
use tokio::runtime::Handle;
use tokio::task::block_in_place;
use tokio::time::sleep as pause;

use crate::Result;
use crate::contenders::ours;
use crate::data::{Size, create_ours, insert, sessions_between, user_id};
use crate::facts::facts;
use crate::load::{Contender as _, Latencies, Tasks, per_second};
use crate::options::Options;
use crate::report::{count, table, thousands};
use crate::server::Server;

const NAME: &str = "deleting";

/// How many rows there are and how often they are looked for.
struct Plan {
    size: Size,
    dead: u64,
    of_one_user: u64,
    seconds: f64,
    per_second: f64,
}

pub async fn run(server: &Server, mut options: Options, output: &Path) -> Result<()> {
    let mut plan = Plan {
        size: Size::of_sessions(options.take("sessions", 500_000)?),
        dead: options.take("dead", 5_000_000)?,
        of_one_user: options.take("of-one-user", 100_000)?,
        seconds: options.take("seconds", 10.0)?,
        per_second: options.take("per-second", 0.0)?,
    };
    options.finish()?;
    let facts = facts(server).await?;
    let database = fill(server, &plan).await?;
    let lookups = ours(database.clone(), plan.size);
    // Also to warm up.
    let capacity = lookups.round(8, Duration::from_secs(2)).await?.per_second;
    if plan.per_second == 0.0 {
        plan.per_second = capacity / 2.0;
    }

    let phases = measure(&database, &lookups, &plan).await?;
    let text = markdown(&facts, &plan, capacity, &phases);
    println!("{text}");
    std::fs::write(output.join("delete.md"), text)?;
    Ok(())
}

/// Beside the live sessions, dead ones of the same users, and one user more with many live ones.
async fn fill(server: &Server, plan: &Plan) -> Result<SqlxAdapter> {
    let Size { users, sessions } = plan.size;
    let database = create_ours(server, NAME, plan.size).await?;
    let user = CreateUser {
        id: Some(user_id(users)),
        ..CreateUser::new()
    };
    database.create_user(user).await?;
    let (dead, end) = (
        sessions + plan.dead,
        sessions + plan.dead + plan.of_one_user,
    );
    let of_all = sessions_between(sessions, dead, &format!("i % {users}"), "-30 days");
    let of_one = sessions_between(dead, end, &users.to_string(), "30 days");
    insert(server, NAME, [of_all, of_one]).await?;
    Ok(database)
}

/// What was going on, and what other calls took meanwhile.
pub struct Phase {
    what: String,
    rows: Option<u64>,
    pub time: Duration,
    latencies: Latencies,
}

impl Phase {
    pub const HEADER: [&str; 7] = [
        "meanwhile",
        "seconds",
        "rows deleted",
        "rows per second",
        "p50, µs",
        "p99, µs",
        "longest, µs",
    ];

    pub fn row(&self) -> Vec<String> {
        let pace = self.rows.map(|rows| per_second(rows, self.time));
        let quantile = |share| thousands(self.latencies.quantile(share));
        vec![
            self.what.clone(),
            format!("{:.1}", self.time.as_secs_f64()),
            self.rows.map(count).unwrap_or_default(),
            pace.map(thousands).unwrap_or_default(),
            quantile(0.5),
            quantile(0.99),
            quantile(1.0),
        ]
    }
}

async fn measure(database: &SqlxAdapter, lookups: &Tasks, plan: &Plan) -> Result<Vec<Phase>> {
    let quiet = async {
        pause(Duration::from_secs_f64(plan.seconds)).await;
        Ok(None)
    };
    let expired = async {
        let deleted = database.delete_expired_sessions().await? as u64;
        assert_eq!(deleted, plan.dead);
        Ok(Some(deleted))
    };
    let user = async {
        let id = user_id(plan.size.users);
        database.delete_user(&id).await?;
        assert_eq!(database.get_user_sessions(&id).await?, []);
        Ok(Some(plan.of_one_user))
    };
    let expired_name = "`delete_expired_sessions`".to_owned();
    let user_name = format!("`delete_user` with {} sessions", count(plan.of_one_user));
    Ok(vec![
        phase("nothing".to_owned(), lookups, plan.per_second, quiet).await?,
        phase(expired_name, lookups, plan.per_second, expired).await?,
        phase(user_name, lookups, plan.per_second, user).await?,
    ])
}

/// Does the work while calls begin so many times a second.
pub async fn phase(
    what: String,
    lookups: &Tasks,
    per_second: f64,
    work: impl Future<Output = Result<Option<u64>>>,
) -> Result<Phase> {
    eprintln!("{what}");
    let pace = Pace::start(lookups.clone(), per_second);
    let since = Instant::now();
    let rows = work.await?;
    let time = since.elapsed();
    Ok(Phase {
        what,
        rows,
        time,
        latencies: pace.stop()?,
    })
}

/// Lookups that begin at their times, whether or not those before them have their answers: a server that stands still
/// for a second shows in all that were due in it.
struct Pace {
    stop: Arc<AtomicBool>,
    pacer: JoinHandle<usize>,
    latencies: Receiver<Duration>,
}

impl Pace {
    fn start(lookups: Tasks, per_second: f64) -> Self {
        let stop = Arc::new(AtomicBool::new(false));
        let (sender, latencies) = channel();
        let interval = Duration::from_secs_f64(1.0 / per_second);
        let pacer = {
            let (stop, runtime) = (stop.clone(), Handle::current());
            // A thread, as the runtime's timers are good to a millisecond.
            spawn(move || send_lookups(&runtime, &lookups, interval, &stop, &sender))
        };
        Self {
            stop,
            pacer,
            latencies,
        }
    }

    fn stop(self) -> Result<Latencies> {
        self.stop.store(true, Ordering::Relaxed);
        let (sent, answered) = block_in_place(|| {
            let sent = self.pacer.join();
            (sent, self.latencies.iter().collect::<Vec<_>>())
        });
        if sent.ok() != Some(answered.len()) {
            return Err("a lookup had no answer or a wrong one".into());
        }
        Ok(Latencies::of(answered))
    }
}

fn send_lookups(
    runtime: &Handle,
    lookups: &Tasks,
    interval: Duration,
    stop: &AtomicBool,
    latencies: &Sender<Duration>,
) -> usize {
    let mut random = fastrand::Rng::new();
    let mut due = Instant::now();
    let mut sent = 0;
    while !stop.load(Ordering::Relaxed) {
        sleep(due.saturating_duration_since(Instant::now()));
        let (lookups, latencies, random) = (lookups.clone(), latencies.clone(), random.u64(..));
        runtime.spawn(async move {
            lookups.call(random).await;
            let _ = latencies.send(due.elapsed());
        });
        due += interval;
        sent += 1;
    }
    sent
}

fn markdown(facts: &str, plan: &Plan, capacity: f64, phases: &[Phase]) -> String {
    let rows: Vec<_> = phases.iter().map(Phase::row).collect();
    format!(
        "<!-- Written by `just bench-delete`; not to be edited. -->\n\n\
         # Lookups while much is deleted\n\n\
         {sessions} live sessions of {users} users, beside {dead} dead ones and a user with {of_one_user} live ones. \
         `get_session_with_user` is called {per_second} times a second, evenly, whether or not the calls before have \
         their answers; 8 callers without a pause had {capacity} answers a second. A latency counts from when the call \
         was due.\n\n\
         {facts}\n{table}",
        sessions = count(plan.size.sessions),
        users = count(plan.size.users),
        dead = count(plan.dead),
        of_one_user = count(plan.of_one_user),
        per_second = thousands(plan.per_second),
        capacity = thousands(capacity),
        table = table(1, &Phase::HEADER, &rows),
    )
}
