//! Session checks with the session cache: beside the same adapter without it, peers, and the memory adapter; what it costs
//! writers; and how soon a revocation is honoured.

use std::path::Path;
use std::sync::Arc;
use std::time::{Duration, Instant};

use better_auth::adapters::{
    DatabaseAdapter as _, MemoryDatabaseAdapter, SessionCache, SqlxAdapter,
};
use better_auth::types::{CreateSession, CreateUser};
use better_auth_core_09 as peer;
use chrono::{TimeDelta, Utc};
use sqlx::Row as _;

use crate::Result;
use crate::contenders::{IP_ADDRESS, USER_AGENT, check, our_sign_ins, ours, peers, pipelined};
use crate::data::{Size, create_ours, create_peers, pick, token};
use crate::facts::facts;
use crate::load::{Contender, Latencies, Plan, Tasks, alternate};
use crate::options::Options;
use crate::report::Target::{AtLeast, AtMost};
use crate::report::{Comparison, Measure, Target, callers, count, table, thousands, verdict};
use crate::server::Server;

/// How many sessions are asked for.
const WARM: u64 = 50_000;
const BOUND: Duration = Duration::from_secs(1);
/// The callers, and how many times as much exact checks are to reach as checks without the cache.
const EXACT: [(usize, f64); 4] = [(1, 1.4), (8, 3.5), (64, 6.0), (256, 10.0)];
const WITHOUT: &str = "the same adapter without the cache";
const UNTRIGGERED: &str = "a database without the triggers";

pub async fn run(server: &Server, mut options: Options, output: &Path) -> Result<()> {
    let size = Size::of_sessions(options.take("sessions", 500_000)?);
    let plan = Plan {
        rounds: options.take("rounds", 5)?,
        length: Duration::from_secs_f64(options.take("seconds", 1.0)?),
    };
    options.finish()?;
    let facts = facts(server).await?;
    let uncached = create_ours(server, "plain", size).await?;
    drop(create_ours(server, "cached", size).await?);
    create_peers(server, "peers", size).await?;
    let url = server.url("cached");
    let exact = caching(&url, SessionCache::exact()).await?;
    let bounded = caching(&url, SessionCache::bounded(BOUND)).await?;

    let warm = Size {
        users: size.users,
        sessions: size.sessions.min(WARM),
    };
    let mut comparisons = lookups(server, [&uncached, &exact, &bounded], warm, plan).await?;
    eprintln!("server CPU");
    let cpu = server_cpu(server, [&uncached, &exact], warm, plan).await?;
    eprintln!("writes");
    comparisons.extend(writes([&uncached, &exact], size, plan).await?);
    eprintln!("revocations");
    let revocations = revocations(&url, plan).await?;
    let stats = exact.session_cache_stats().ok_or("there is a cache")?;

    let header = ["mode, callers beside it", "p50", "p99", "longest"];
    let text = format!(
        "<!-- Written by `just bench-cache`; not to be edited. -->\n\n\
         # Session checks from memory\n\n\
         {} sessions, of which {} are asked for, at random. Medians of {} rounds of {:?}, in which the contenders take \
         turns. A check is `get_session_with_user`; a cached session with its user takes about {} bytes.\n\n\
         {facts}\n{}\n\
         {cpu}\n\
         ## How soon another instance honours a revocation\n\n\
         From the answer to `delete_session` on one instance to the first call that another one answers with `None`, in \
         microseconds, of 1,000 sessions.\n\n{}\n",
        count(size.sessions),
        count(warm.sessions),
        plan.rounds,
        plan.length,
        stats.bytes_per_entry,
        table(2, &Comparison::HEADER, &comparisons),
        table(1, &header, &revocations),
    );
    println!("{text}");
    std::fs::write(output.join("session-cache.md"), text)?;
    Ok(())
}

async fn caching(url: &str, cache: SessionCache) -> Result<SqlxAdapter> {
    let builder = SqlxAdapter::builder(url).session_cache(cache).migrate(true);
    Ok(builder.connect().await?)
}

async fn lookups(
    server: &Server,
    [uncached, exact, bounded]: [&SqlxAdapter; 3],
    warm: Size,
    plan: Plan,
) -> Result<Vec<Vec<String>>> {
    for session in 0..warm.sessions {
        for database in [exact, bounded] {
            database.get_session_with_user(&token(session)).await?;
        }
    }
    let theirs = Arc::new(peer::SqlxAdapter::new(&server.url("peers")).await?);
    let contenders = [
        ours(uncached.clone(), warm),
        ours(exact.clone(), warm),
        ours(bounded.clone(), warm),
        in_memory(warm).await?,
        peers(theirs, warm),
        pipelined(server, "plain", warm).await?,
    ];
    let mut rows = Vec::new();
    for (number, target) in EXACT {
        eprintln!("{}", callers(number));
        let of_most = if number == 256 { 6 } else { 4 };
        let contenders: Vec<&dyn Contender> = contenders
            .iter()
            .take(of_most)
            .map(|tasks| tasks as &dyn Contender)
            .collect();
        let rounds = alternate(&contenders, number, plan).await?;
        let mut row = |mode: &str, ours: usize, theirs: usize, against, target| {
            let comparison = Comparison {
                what: format!("{mode}, {}", callers(number)),
                against,
                measure: Measure::PerSecond,
                target,
            };
            rows.push(comparison.row(&rounds[ours], &rounds[theirs]));
        };
        row("exact", 1, 0, WITHOUT, AtLeast(target));
        row("bounded by 1 s", 2, 3, "the memory adapter", AtLeast(0.9));
        if number == 256 {
            row(
                "exact",
                1,
                4,
                "better-auth 0.9's `SqlxAdapter`",
                AtLeast(75.0),
            );
            row(
                "exact",
                1,
                5,
                "tokio-postgres, 10 pipelined connections",
                AtLeast(15.0),
            );
        }
    }
    Ok(rows)
}

async fn in_memory(size: Size) -> Result<Tasks> {
    let database = MemoryDatabaseAdapter::new();
    let mut tokens = Vec::new();
    let mut user = String::new();
    for number in 0..size.sessions {
        if number % 5 == 0 {
            let new = CreateUser::new()
                .with_email(format!("ada.lovelace.{number}@example.com"))
                .with_name("Ada Lovelace");
            user = database.create_user(new).await?.id;
        }
        let session = CreateSession::new(&user, Utc::now() + TimeDelta::days(7))
            .with_ip_address(IP_ADDRESS)
            .with_user_agent(USER_AGENT);
        tokens.push(database.create_session(session).await?.token);
    }
    let tokens = Arc::new(tokens);
    Ok(Tasks::new(move |random| {
        let (database, tokens) = (database.clone(), tokens.clone());
        async move {
            let index = usize::try_from(pick(random, tokens.len() as u64)).unwrap_or_default();
            let found = database
                .get_session_with_user(&tokens[index])
                .await
                .unwrap();
            check(&found.unwrap(), &tokens[index]);
        }
    }))
}

/// The time of both cores that the server's processes have taken, in clock ticks.
async fn ticks(server: &Server) -> Result<f64> {
    let mut connection = server.connect("postgres").await?;
    let pids = sqlx::query("SELECT pid FROM pg_stat_activity WHERE datname IN ('plain', 'cached')");
    let mut ticks = 0.0;
    for row in pids.fetch_all(&mut connection).await? {
        let pid: i32 = row.get(0);
        let stat = std::fs::read_to_string(format!("/proc/{pid}/stat")).unwrap_or_default();
        let after_name = stat.rsplit_once(')').map_or("", |(_, rest)| rest);
        let fields: Vec<&str> = after_name.split_whitespace().collect();
        for field in fields.iter().skip(11).take(2) {
            ticks += field.parse::<f64>()?;
        }
    }
    Ok(ticks)
}

async fn server_cpu(
    server: &Server,
    databases: [&SqlxAdapter; 2],
    warm: Size,
    plan: Plan,
) -> Result<String> {
    let mut per_check = Vec::new();
    for database in databases {
        let tasks = ours(database.clone(), warm);
        tasks.round(256, plan.length / 2).await?;
        let before = ticks(server).await?;
        let round = tasks.round(256, plan.length * 3).await?;
        let ticks = ticks(server).await? - before;
        // Ticks of a hundredth of a second; a tenth of the round before it counts.
        let checks = round.per_second * plan.length.as_secs_f64() * 3.3;
        per_check.push(ticks * 10_000.0 / checks);
    }
    let (without, with) = (per_check[0], per_check[1]);
    let target = AtMost(0.05);
    let ratio = with / without;
    Ok(format!(
        "The server's CPU for each check, exact, 256 callers: {with:.2} µs, {without:.2} µs without the cache: \
         {ratio:.3}× (target {target}, {}).\n",
        verdict(target.is_met(ratio)),
    ))
}

async fn writes(
    [uncached, cached]: [&SqlxAdapter; 2],
    size: Size,
    plan: Plan,
) -> Result<Vec<Vec<String>>> {
    let extensions = |database: &SqlxAdapter| {
        let database = database.clone();
        Tasks::new(move |random| {
            let database = database.clone();
            async move {
                let token = token(pick(random, size.sessions));
                let later = Utc::now() + TimeDelta::days(30);
                database.update_session_expiry(&token, later).await.unwrap();
            }
        })
    };
    let mut rows = Vec::new();
    for number in [1, 16] {
        let pairs = [
            (
                "sign-ins",
                our_sign_ins(cached.clone(), size),
                our_sign_ins(uncached.clone(), size),
            ),
            ("extensions", extensions(cached), extensions(uncached)),
        ];
        for (what, with, without) in pairs {
            let rounds = alternate(&[&with, &without], number, plan).await?;
            let comparison = Comparison {
                what: format!("{what}, {}", callers(number)),
                against: UNTRIGGERED,
                measure: Measure::PerSecond,
                target: Target::AtLeast(0.95),
            };
            rows.push(comparison.row(&rounds[0], &rounds[1]));
        }
    }
    Ok(rows)
}

async fn revocations(url: &str, plan: Plan) -> Result<Vec<Vec<String>>> {
    let mut rows = Vec::new();
    for (name, cache) in [
        ("exact", SessionCache::exact()),
        ("bounded by 1 s", SessionCache::bounded(BOUND)),
    ] {
        let (one, other) = (SqlxAdapter::new(url).await?, caching(url, cache).await?);
        let user = one.create_user(CreateUser::new()).await?;
        for load in [0, 8] {
            let stop = Arc::new(std::sync::atomic::AtomicBool::new(false));
            let load: Vec<_> = (0..load)
                .map(|caller| {
                    let (other, stop) = (other.clone(), stop.clone());
                    tokio::spawn(async move {
                        let mut session = caller;
                        while !stop.load(std::sync::atomic::Ordering::Relaxed) {
                            session = (session + 8) % 5000;
                            let found = other.get_session_with_user(&token(session)).await;
                            found.unwrap().unwrap();
                            tokio::task::yield_now().await;
                        }
                    })
                })
                .collect();
            let mut latencies = Vec::new();
            for _ in 0..plan.length.as_millis().clamp(20, 1000) {
                let session = CreateSession::new(&user.id, Utc::now() + TimeDelta::days(7));
                let session = one.create_session(session).await?;
                for _ in 0..2 {
                    other
                        .get_session(&session.token)
                        .await?
                        .ok_or("it is live")?;
                }
                one.delete_session(&session.token).await?;
                let revoked = Instant::now();
                let mut answered = revoked;
                while other.get_session(&session.token).await?.is_some() {
                    answered = Instant::now();
                }
                latencies.push(answered - revoked);
            }
            stop.store(true, std::sync::atomic::Ordering::Relaxed);
            let number = load.len();
            for task in load {
                task.await?;
            }
            let latencies = Latencies::of(latencies);
            let shown = |share| thousands(latencies.quantile(share));
            rows.push(vec![
                format!("{name}, {number}"),
                shown(0.5),
                shown(0.99),
                shown(1.0),
            ]);
        }
    }
    Ok(rows)
}
